//! The keys with the highest sums of weights.
//!
//! Space-Saving with weights (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", ICDT
//! 2005): a fixed number of counters in a heap, the least on top; a key without one takes the least, and what was counted there is its
//! possible error. What is told of a key is what was surely its own. Cost: a look-up by name and a path in the heap. Memory: the
//! counters and their keys, of which longer ones than [`KEY_MAX_BYTES`] are left out.

use std::collections::HashMap;
use std::rc::Rc;

use super::hotkeys::KEY_MAX_BYTES;

/// Sums of weights by key.
#[derive(Debug)]
pub(super) struct TopKeys {
    most: usize,
    /// No counter is less than the one above it.
    heap: Vec<Counter>,
    /// Where a key's counter is.
    places: HashMap<Rc<[u8]>, usize>,
    total: u64,
}

#[derive(Debug)]
struct Counter {
    key: Rc<[u8]>,
    sum: u64,
    /// What of the sum may be others'.
    error: u64,
}

impl TopKeys {
    /// With so many counters, at least one.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            heap: Vec::new(),
            places: HashMap::new(),
            total: 0,
        }
    }

    /// The sum of all weights.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Adds a weight to a key's.
    pub(super) fn add(&mut self, key: &[u8], weight: u64) {
        if weight == 0 {
            return;
        }
        self.total += weight;
        if key.len() > KEY_MAX_BYTES {
            return;
        }
        if let Some(&at) = self.places.get(key) {
            self.heap[at].sum += weight;
            return self.sink(at);
        }
        let key: Rc<[u8]> = key.into();
        if self.heap.len() < self.most {
            self.places.insert(Rc::clone(&key), self.heap.len());
            self.heap.push(Counter {
                key,
                sum: weight,
                error: 0,
            });
            return self.rise(self.heap.len() - 1);
        }
        let least = &mut self.heap[0];
        let before = std::mem::replace(&mut least.key, Rc::clone(&key));
        least.error = least.sum;
        least.sum += weight;
        self.places.remove(&before);
        self.places.insert(key, 0);
        self.sink(0);
    }

    /// Keys and what was surely added to them, the highest first.
    pub(super) fn top(&self) -> Vec<(&[u8], u64)> {
        let surely = |counter: &Counter| counter.sum - counter.error;
        let mut top: Vec<&Counter> = self.heap.iter().collect();
        top.sort_unstable_by(|a, b| surely(b).cmp(&surely(a)).then_with(|| a.key.cmp(&b.key)));
        top.into_iter()
            .map(|counter| (&*counter.key, surely(counter)))
            .collect()
    }

    /// The counter at `at` may be less than the one above it.
    fn rise(&mut self, mut at: usize) {
        while at > 0 {
            let above = (at - 1) / 2;
            if self.heap[above].sum <= self.heap[at].sum {
                return;
            }
            self.swap(at, above);
            at = above;
        }
    }

    /// The counter at `at` may be higher than those below it.
    fn sink(&mut self, mut at: usize) {
        loop {
            let below = 2 * at + 1..(2 * at + 3).min(self.heap.len());
            let Some(least) = below.min_by_key(|&below| self.heap[below].sum) else {
                return;
            };
            if self.heap[at].sum <= self.heap[least].sum {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for at in [a, b] {
            let place = self.places.get_mut(&self.heap[at].key);
            *place.expect("every counter's key has its place") = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl TopKeys {
        fn check(&self) {
            assert_eq!(self.places.len(), self.heap.len());
            for (at, counter) in self.heap.iter().enumerate() {
                assert_eq!(self.places[&counter.key], at);
                assert!(at == 0 || self.heap[(at - 1) / 2].sum <= counter.sum);
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_told_of_a_key_is_its_own_and_a_key_of_much_is_told_of(
            adds in prop::collection::vec((0u8..40, 0u64..50), 1..400),
            most in 1usize..20,
        ) {
            let mut top = TopKeys::new(most);
            let mut model = BTreeMap::new();
            for (key, weight) in adds {
                top.add(&[key], weight);
                *model.entry(vec![key]).or_insert(0) += weight;
                top.check();
            }
            let total: u64 = model.values().sum();
            prop_assert_eq!(top.total(), total);
            let told = top.top();
            prop_assert!(told.len() <= most && told.is_sorted_by(|a, b| a.1 >= b.1));
            for (key, sum) in &told {
                prop_assert!(*sum <= model[*key]);
            }
            for (key, sum) in model {
                let is_told = told.iter().any(|(told, _)| *told == key);
                prop_assert!(is_told || sum <= total / most as u64);
            }
        }
    }

    #[test]
    fn keys_that_are_few_are_counted_exactly_and_long_ones_not_at_all() {
        let mut top = TopKeys::new(2);
        for _ in 0..3 {
            top.add(b"a", 5);
            top.add(b"b", 7);
        }
        top.add(&[b'k'; KEY_MAX_BYTES + 1], 100);
        assert_eq!(top.top(), [(&b"b"[..], 21), (&b"a"[..], 15)]);
        assert_eq!(top.total(), 136);
    }
}
