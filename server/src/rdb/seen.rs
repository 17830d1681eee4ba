//! The fields and members that were read, so that none comes twice.

use std::ops::Range;

use ahash::RandomState;
use hashbrown::HashTable;

use super::fault::Fault;

/// Whether a collection's reader looks for fields and members that come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// It refuses them.
    Refused,
    /// It does not: who puts them into a table finds them there.
    LeftToCaller,
}

/// Copies of all texts, and where each is.
#[derive(Debug, Default)]
pub(super) struct Seen {
    texts: Vec<u8>,
    places: HashTable<Range<usize>>,
    hasher: RandomState,
}

impl Seen {
    pub(super) fn new(duplicates: Duplicates) -> Option<Self> {
        (duplicates == Duplicates::Refused).then(Self::default)
    }

    /// Notes a text.
    ///
    /// # Errors
    /// It was there.
    pub(super) fn add(&mut self, text: &[u8]) -> Result<(), Fault> {
        let Self {
            texts,
            places,
            hasher,
        } = self;
        let hash = hasher.hash_one(text);
        if places
            .find(hash, |place| &texts[place.clone()] == text)
            .is_some()
        {
            return Err(Fault::Duplicate);
        }
        let start = texts.len();
        texts.extend_from_slice(text);
        places.insert_unique(hash, start..texts.len(), |place| {
            hasher.hash_one(&texts[place.clone()])
        });
        Ok(())
    }

    /// The memory it takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.texts.capacity() + self.places.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_is_refused() {
        let mut seen = Seen::new(Duplicates::Refused).unwrap();
        let texts = || (0..1000).map(|number: u32| number.to_string());
        seen.add(b"").unwrap();
        for text in texts() {
            seen.add(text.as_bytes()).unwrap();
        }
        for text in texts() {
            assert_eq!(seen.add(text.as_bytes()), Err(Fault::Duplicate));
        }
        assert_eq!(seen.add(b""), Err(Fault::Duplicate));
        seen.add(b"01").unwrap();
    }
}
