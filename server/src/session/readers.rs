//! Who has read which of a core's keys, and is to be told when they change.
//!
//! A key is forgotten with the first change: who reads it again is remembered again. A session that ends stays where it is
//! remembered until then, as in Redis; its id finds nobody any more. Keys are held in a list beside the table that finds
//! them, so that one can be chosen at random when there are too many.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;

use super::{Crowd, SessionId};
use crate::routing::CoreId;

/// A session of any core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reader {
    /// Its core.
    pub core: CoreId,
    /// Its place there.
    pub session: SessionId,
}

impl Reader {
    /// Bytes of [`Self::to_bytes`].
    pub const BYTES: usize = 2 + SessionId::BYTES;

    /// A form to send to another core.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (core, session) = bytes.split_at_mut(2);
        core.copy_from_slice(&self.core.0.to_le_bytes());
        session.copy_from_slice(&self.session.to_bytes());
        bytes
    }

    /// What [`Self::to_bytes`] was made of.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (core, session) = bytes.split_first_chunk().expect("longer than a core's id");
        Self {
            core: CoreId(u16::from_le_bytes(*core)),
            session: SessionId::from_bytes(session.try_into().expect("the rest is the session")),
        }
    }
}

/// The readers of one core's keys.
#[derive(Debug, Default)]
pub struct Readers {
    entries: Vec<Entry>,
    places: HashMap<Arc<[u8]>, u32, RandomState>,
    readings: u64,
    /// Bytes of all keys.
    key_bytes: usize,
    /// Keys that have come since that was last asked.
    come: u64,
}

#[derive(Debug)]
struct Entry {
    key: Arc<[u8]>,
    readers: Crowd<Reader>,
}

impl Readers {
    /// Remembers that `reader` has read `key`; how many readers the key has now.
    pub fn remember(&mut self, key: &[u8], reader: Reader) -> usize {
        let place = match self.places.get(key) {
            Some(&place) => place as usize,
            None => {
                let key: Arc<[u8]> = Arc::from(key);
                self.key_bytes += key.len();
                self.come += 1;
                let place = self.entries.len();
                let short = u32::try_from(place).expect("fewer keys than four billion");
                self.places.insert(Arc::clone(&key), short);
                let readers = Crowd::default();
                self.entries.push(Entry { key, readers });
                place
            }
        };
        let readers = &mut self.entries[place].readers;
        self.readings += u64::from(readers.insert(reader));
        readers.len()
    }

    /// Forgets `key`; who had read it.
    pub fn forget(&mut self, key: &[u8]) -> Option<Crowd<Reader>> {
        let place = self.places.remove(key)?;
        Some(self.remove_at(place as usize).readers)
    }

    /// Forgets a key chosen by `random`; the key, and who had read it.
    pub fn forget_any(&mut self, random: u64) -> Option<(Arc<[u8]>, Crowd<Reader>)> {
        let place = random.checked_rem(self.entries.len() as u64)? as usize;
        let key = Arc::clone(&self.entries[place].key);
        self.places.remove(&key);
        Some((key, self.remove_at(place).readers))
    }

    fn remove_at(&mut self, place: usize) -> Entry {
        let entry = self.entries.swap_remove(place);
        if let Some(moved) = self.entries.get(place) {
            let known = self.places.get_mut(&moved.key);
            *known.expect("every entry has its place") = place as u32;
        }
        self.readings -= entry.readers.len() as u64;
        self.key_bytes -= entry.key.len();
        entry
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Number of keys that have come since this was last asked.
    pub fn take_come(&mut self) -> u64 {
        std::mem::take(&mut self.come)
    }

    /// Number of keys somebody has read.
    pub fn keys(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Number of pairs of a key and a reader.
    pub fn readings(&self) -> u64 {
        self.readings
    }

    /// Bytes of memory held, as near as they can be told without asking the allocator.
    pub fn memory_bytes(&self) -> usize {
        /// The two counters in front of a shared key.
        const COUNTS_BYTES: usize = 2 * size_of::<usize>();
        let of_entry = size_of::<Entry>() + size_of::<(Arc<[u8]>, u32)>() + COUNTS_BYTES;
        let readings = self.readings as usize * size_of::<Reader>();
        self.entries.len() * of_entry + self.key_bytes + readings
    }

    /// Whether no key is remembered.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use proptest::prelude::*;

    fn reader(number: u16) -> Reader {
        Reader {
            core: CoreId(number),
            session: SessionId::default(),
        }
    }

    #[test]
    fn a_reader_comes_back_from_its_bytes() {
        let bytes = *b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a";
        assert_eq!(Reader::from_bytes(bytes).to_bytes(), bytes);
        assert_eq!(Reader::from_bytes(bytes).core, CoreId(0x0201));
    }

    proptest! {
        #[test]
        fn readers_are_remembered_until_the_key_is_forgotten(
            steps in prop::collection::vec((0..4u8, 0..20u8, 0..5u16), 0..300),
        ) {
            let mut readers = Readers::default();
            let mut model: BTreeMap<Vec<u8>, BTreeSet<Reader>> = BTreeMap::new();
            let set = |crowd: Crowd<Reader>| crowd.iter().copied().collect::<BTreeSet<_>>();
            for (what, key, number) in steps {
                match what {
                    0 => prop_assert_eq!(readers.forget(&[key]).map(set), model.remove(&[key][..])),
                    1 => match readers.forget_any(u64::from(number) * 7919) {
                        Some((key, crowd)) => prop_assert_eq!(Some(set(crowd)), model.remove(&key[..])),
                        None => prop_assert!(model.is_empty()),
                    },
                    _ => {
                        let of_key = model.entry(vec![key]).or_default();
                        of_key.insert(reader(number));
                        prop_assert_eq!(readers.remember(&[key], reader(number)), of_key.len());
                    }
                }
                prop_assert_eq!(readers.keys(), model.len() as u64);
                prop_assert_eq!(readers.key_bytes, model.keys().map(Vec::len).sum::<usize>());
                prop_assert_eq!(readers.memory_bytes() == 0, model.is_empty());
                prop_assert_eq!(readers.readings(), model.values().map(|set| set.len() as u64).sum());
            }
        }
    }
}
