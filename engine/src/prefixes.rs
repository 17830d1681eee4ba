//! Prefixes of keys, and which of them a key belongs to: the longest that it begins with.
//!
//! ```text
//!  sorted:   app:   app:user:   app:user:1:   log:          parent of each: the longest other that it begins with
//! ```
//! All prefixes of a key are at or before it in order, and those between its longest prefix and the key begin with that prefix. So the last
//! one at or before the key is looked up, and its parents are tried: a binary search and mostly one comparison, or none where no prefix
//! begins as the key does.

/// A set of prefixes, each with its place in the order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    prefixes: Vec<Box<[u8]>>,
    /// For each the place of the longest that it begins with.
    parents: Vec<Option<u32>>,
    /// The bytes that they begin with, a bit each.
    first_bytes: [u64; 4],
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
            first_bytes: [0; 4],
        };
        for prefix in prefixes {
            let parent = set.place_of(&prefix).map(|place| place as u32);
            match prefix.first() {
                Some(first) => set.first_bytes[usize::from(first >> 6)] |= 1 << (first & 63),
                None => set.first_bytes = [u64::MAX; 4],
            }
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

    /// The prefix at a place.
    pub fn get(&self, place: usize) -> &[u8] {
        &self.prefixes[place]
    }

    /// The place of the longest that `key` begins with.
    #[inline]
    pub fn place_of(&self, key: &[u8]) -> Option<usize> {
        let may_begin = match key.first() {
            Some(first) => self.first_bytes[usize::from(first >> 6)] & 1 << (first & 63) != 0,
            None => true,
        };
        match may_begin {
            true => self.look_up(key),
            false => None,
        }
    }

    fn look_up(&self, key: &[u8]) -> Option<usize> {
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

    fn word(bytes: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(
            prop::sample::select(&[0u8, b'a', b'b', b':', 255][..]),
            bytes,
        )
    }

    proptest! {
        #[test]
        fn a_key_belongs_to_the_longest_prefix_that_it_begins_with(
            prefixes in prop::collection::vec(word(0..5), 0..12),
            keys in prop::collection::vec(word(0..8), 1..20),
        ) {
            let set = PrefixSet::new(prefixes.iter().map(Vec::as_slice));
            for key in &keys {
                let model = prefixes.iter().filter(|prefix| key.starts_with(prefix));
                let model = model.max_by_key(|prefix| prefix.len());
                let found = set.place_of(key).map(|place| set.get(place));
                prop_assert_eq!(found, model.map(Vec::as_slice));
            }
        }
    }
}
