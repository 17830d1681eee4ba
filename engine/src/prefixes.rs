//! Prefixes of keys, and which of them a key belongs to: the longest that it begins with.
//!
//! ```text
//!  sorted:   app:   app:user:   app:user:1:   log:          parent of each: the longest other that it begins with
//! ```
//! All prefixes of a key are at or before it in order, and those between its longest prefix and the key begin with that prefix. So the last
//! one at or before the key is looked up, and its parents are tried: a binary search and mostly one comparison.

/// A set of prefixes, each with its place in the order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    prefixes: Vec<Box<[u8]>>,
    /// For each the place of the longest that it begins with.
    parents: Vec<Option<u32>>,
}

impl PrefixSet {
    /// Of these, in any order; each counts once.
    pub fn new<'a>(prefixes: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut prefixes: Vec<Box<[u8]>> = prefixes.into_iter().map(Box::from).collect();
        prefixes.sort();
        prefixes.dedup();
        let mut set = Self {
            prefixes: Vec::with_capacity(prefixes.len()),
            parents: Vec::with_capacity(prefixes.len()),
        };
        for prefix in prefixes {
            let parent = set.place_of(&prefix).map(|place| place as u32);
            set.prefixes.push(prefix);
            set.parents.push(parent);
        }
        set
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// The prefixes, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.prefixes.iter().map(|prefix| &**prefix)
    }

    /// The place of the longest that `key` begins with.
    pub fn place_of(&self, key: &[u8]) -> Option<usize> {
        let behind = self.prefixes.partition_point(|prefix| **prefix <= *key);
        let mut place = behind.checked_sub(1);
        while let Some(at) = place {
            if key.starts_with(&self.prefixes[at]) {
                return Some(at);
            }
            place = self.parents[at].map(|parent| parent as usize);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_belongs_to_the_longest_prefix_that_it_begins_with(
            prefixes in prop::collection::vec("[ab:]{0,5}", 0..12),
            keys in prop::collection::vec("[ab:]{0,8}", 1..20),
        ) {
            let set = PrefixSet::new(prefixes.iter().map(String::as_bytes));
            for key in &keys {
                let model = prefixes.iter().filter(|prefix| key.starts_with(prefix.as_str()));
                let model = model.max_by_key(|prefix| prefix.len());
                let found = set.place_of(key.as_bytes()).and_then(|place| set.iter().nth(place));
                prop_assert_eq!(found, model.map(String::as_bytes));
            }
        }
    }
}
