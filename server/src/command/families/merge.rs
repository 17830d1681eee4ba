//! Sorting in steps: runs that are sorted by themselves, then merged by twos until one is left.
//!
//! ```text
//!  order   | run | run | run | ru |   RUN elements each, sorted one a step
//!             └──┬──┘     └──┬──┘
//!  merged  |   run     |   run    |   STEP elements a step; then both change places
//! ```
//! What is equal stays in its order. Twice as many numbers are held as there are elements.

use std::cmp::Ordering;

/// Elements of a run that is sorted at once.
const RUN: usize = 1024;

/// Elements that one step merges.
const STEP: usize = 4096;

/// Elements, by their numbers, that are sorted in steps.
#[derive(Debug)]
pub(super) struct Sorting {
    order: Vec<usize>,
    merged: Vec<usize>,
    /// Elements of a run that is sorted; none: the first runs are not, yet.
    width: usize,
    /// Where the next run begins that is to be sorted.
    next: usize,
    /// What of the two runs that are merged is left: from where on, of each.
    left: [usize; 2],
}

impl Sorting {
    /// Begins to sort elements of the numbers below `len`.
    pub(super) fn new(len: usize) -> Self {
        Self {
            order: (0..len).collect(),
            merged: Vec::new(),
            width: 0,
            next: 0,
            left: [0, 0],
        }
    }

    /// Does a step; whether all are sorted.
    pub(super) fn step(&mut self, compare: impl Fn(usize, usize) -> Ordering) -> bool {
        let len = self.order.len();
        if self.width == 0 {
            let end = len.min(self.next + RUN);
            self.order[self.next..end].sort_by(|&one, &other| compare(one, other));
            self.next = end;
            if end == len {
                self.begin_pass(RUN);
            }
        } else {
            self.merge(compare);
        }
        self.width >= len
    }

    /// The numbers in their order, once all are sorted.
    pub(super) fn into_order(self) -> Vec<usize> {
        self.order
    }

    /// Bytes that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        (self.order.capacity() + self.merged.capacity()) * size_of::<usize>()
    }

    fn begin_pass(&mut self, width: usize) {
        self.width = width;
        self.merged.clear();
        if width < self.order.len() {
            self.merged.reserve_exact(self.order.len());
        }
        self.left = [0, width];
    }

    fn merge(&mut self, compare: impl Fn(usize, usize) -> Ordering) {
        let len = self.order.len();
        for _ in 0..STEP {
            // Where the two runs began follows from where what is merged ends.
            let begin = self.merged.len() - self.merged.len() % (2 * self.width);
            let middle = len.min(begin + self.width);
            let end = len.min(begin + 2 * self.width);
            let [left, right] = self.left;
            let takes_left = match (left < middle, right < end) {
                (true, true) => compare(self.order[left], self.order[right]).is_le(),
                (is_left, _) => is_left,
            };
            let from = if takes_left { 0 } else { 1 };
            self.merged.push(self.order[self.left[from]]);
            self.left[from] += 1;
            if self.merged.len() == len {
                std::mem::swap(&mut self.order, &mut self.merged);
                return self.begin_pass(2 * self.width);
            }
            if self.merged.len() == end {
                self.left = [end, end + self.width];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn what_is_sorted_in_steps_is_as_a_stable_sort_has_it(
            keys in prop::collection::vec(any::<u8>(), 0..9000),
        ) {
            let mut sorting = Sorting::new(keys.len());
            let mut steps = 1;
            while !sorting.step(|one, other| keys[one].cmp(&keys[other])) {
                steps += 1;
            }
            let mut expected: Vec<usize> = (0..keys.len()).collect();
            expected.sort_by_key(|&at| keys[at]);
            prop_assert_eq!(sorting.into_order(), expected);
            prop_assert!(steps >= keys.len() / STEP, "{}", steps);
        }
    }

    #[test]
    fn no_step_compares_much() {
        let len = 100_000;
        let key = |at: usize| at.wrapping_mul(0x9E37_79B9) % len;
        let mut sorting = Sorting::new(len);
        loop {
            let compared = std::cell::Cell::new(0);
            let is_done = sorting.step(|one, other| {
                compared.set(compared.get() + 1);
                key(one).cmp(&key(other))
            });
            assert!(compared.get() <= 12 * RUN, "{}", compared.get());
            if is_done {
                break;
            }
        }
        let order = sorting.into_order();
        assert!(order.is_sorted_by_key(|&at| key(at)));
    }
}
