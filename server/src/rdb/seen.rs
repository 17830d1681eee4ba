//! The fields and members that were read, so that none comes twice.

use std::ops::Range;

use ahash::RandomState;
use hashbrown::HashTable;

use super::fault::Fault;
use super::item::Item;

/// Whether a collection's reader looks for fields and members that come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// It refuses them.
    Refused,
    /// It does not: who puts them into a table finds them there.
    LeftToCaller,
}

/// The fields or members of a collection that have come.
#[derive(Debug)]
pub(super) struct Names {
    /// All of them, if none may come twice.
    seen: Option<Seen>,
    is_empty: bool,
}

impl Names {
    /// None yet.
    pub(super) fn new(duplicates: Duplicates) -> Self {
        Self {
            seen: (duplicates == Duplicates::Refused).then(Seen::default),
            is_empty: true,
        }
    }

    /// One has come.
    ///
    /// # Errors
    /// It was there, and must not be.
    pub(super) fn add(&mut self, name: Item<'_>) -> Result<(), Fault> {
        self.is_empty = false;
        match &mut self.seen {
            Some(seen) => seen.add(&name.text()),
            None => Ok(()),
        }
    }

    /// No more will come.
    ///
    /// # Errors
    /// None has come.
    pub(super) fn end(&self) -> Result<(), Fault> {
        match self.is_empty {
            true => Err(Fault::Empty),
            false => Ok(()),
        }
    }

    /// The memory it takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.seen.as_ref().map_or(0, Seen::held_bytes)
    }
}

/// Copies of all texts, and where each is.
#[derive(Debug, Default)]
struct Seen {
    texts: Vec<u8>,
    places: HashTable<Range<usize>>,
    hasher: RandomState,
}

impl Seen {
    /// Notes a text.
    ///
    /// # Errors
    /// It was there.
    fn add(&mut self, text: &[u8]) -> Result<(), Fault> {
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

    fn held_bytes(&self) -> usize {
        self.texts.capacity() + self.places.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_is_refused() {
        let mut seen = Seen::default();
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
