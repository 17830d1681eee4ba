//! Idempotent production: which messages of a producer have been added, by the identifiers that it gave them.
//!
//! ```text
//!  producers by name ─▶ produced:  | id, identifier | id, identifier | …      the oldest first
//!                       places:    identifier ─▶ place in that
//!  oldest:              time of a producer's oldest ─▶ producer
//! ```
//! A producer's identifiers are kept in the order in which they came, at most so many and for so long; one that comes again is
//! answered with the entry that it has. An identifier is found by its hash, what has been kept for long enough by its time: neither looks at what
//! else there is.

use std::collections::{BTreeSet, VecDeque};

use ahash::RandomState;
use hashbrown::HashTable;

use super::StreamId;
use super::names::Names;
use crate::StreamProduction;

/// What an element of the set of times takes, as far as is known: its own bytes, and what its nodes have idle.
const TIME_BYTES: usize = 2 * size_of::<(u64, u32)>();

/// The producers of a stream.
#[derive(Debug)]
pub(super) struct Producers {
    pub(super) duration_secs: u64,
    pub(super) most: u64,
    pub(super) by_name: Names<Producer>,
    /// When the oldest identifier of each came, in milliseconds, and whose it is.
    oldest: BTreeSet<(u64, u32)>,
    /// Identifiers of all.
    len: usize,
    /// Bytes of the identifiers.
    bytes: u64,
}

/// What a producer has added.
#[derive(Debug, Default)]
pub(super) struct Producer {
    /// The oldest first. One that is forgotten in the midst leaves its place.
    produced: VecDeque<Option<(Box<[u8]>, StreamId)>>,
    /// The number of the first of them; it wraps.
    first: u64,
    /// Their numbers, by the hash of the identifier.
    numbers: HashTable<u64>,
    hasher: RandomState,
    text_bytes: usize,
}

impl Default for Producers {
    fn default() -> Self {
        let StreamProduction {
            duration_secs,
            most,
        } = StreamProduction::default();
        Self {
            duration_secs,
            most,
            by_name: Names::default(),
            oldest: BTreeSet::new(),
            len: 0,
            bytes: 0,
        }
    }
}

impl Producer {
    /// How many identifiers are known.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The identifiers, the oldest first, and the entry of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], StreamId)> {
        let known = self.produced.iter().flatten();
        known.map(|(iid, id)| (&**iid, *id))
    }

    /// The oldest identifier, and its entry.
    pub(super) fn oldest(&self) -> Option<(&[u8], StreamId)> {
        self.iter().next()
    }

    fn number_of(&self, iid: &[u8]) -> Option<u64> {
        let is_it = |number: &u64| self.at(*number).is_some_and(|(known, _)| **known == *iid);
        self.numbers.find(self.hasher.hash_one(iid), is_it).copied()
    }

    fn at(&self, number: u64) -> Option<&(Box<[u8]>, StreamId)> {
        let at = number.wrapping_sub(self.first) as usize;
        self.produced.get(at)?.as_ref()
    }

    /// The entry of an identifier.
    pub(super) fn find(&self, iid: &[u8]) -> Option<StreamId> {
        self.at(self.number_of(iid)?).map(|(_, id)| *id)
    }

    fn bytes(&self) -> u64 {
        let places = self.produced.capacity() * size_of::<Option<(Box<[u8]>, StreamId)>>();
        let numbers = self.numbers.capacity() * (size_of::<u64>() + 1);
        (self.text_bytes + places + numbers) as u64
    }

    /// Adds an identifier that is not known.
    fn push(&mut self, iid: &[u8], id: StreamId, is_oldest: bool) {
        self.text_bytes += iid.len();
        let known = Some((Box::from(iid), id));
        let number = match is_oldest {
            true => {
                self.produced.push_front(known);
                self.first = self.first.wrapping_sub(1);
                self.first
            }
            false => {
                self.produced.push_back(known);
                self.first.wrapping_add(self.produced.len() as u64 - 1)
            }
        };
        let Self {
            numbers,
            hasher,
            produced,
            first,
            ..
        } = self;
        let hash_of = |number: &u64| {
            let at = number.wrapping_sub(*first) as usize;
            let known = produced[at].as_ref();
            hasher.hash_one(&*known.expect("a number is of an identifier").0)
        };
        numbers.insert_unique(hasher.hash_one(iid), number, hash_of);
    }

    fn forget(&mut self, iid: &[u8]) {
        let Some(number) = self.number_of(iid) else {
            return;
        };
        let hash = self.hasher.hash_one(iid);
        if let Ok(found) = self.numbers.find_entry(hash, |known| *known == number) {
            found.remove();
        }
        self.produced[number.wrapping_sub(self.first) as usize] = None;
        self.text_bytes -= iid.len();
        while let Some(None) = self.produced.front() {
            self.produced.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        while let Some(None) = self.produced.back() {
            self.produced.pop_back();
        }
    }
}

impl Producers {
    /// Bytes of memory.
    pub(super) fn used_bytes(&self) -> u64 {
        let times = self.oldest.len() * TIME_BYTES;
        self.by_name.bytes() + times as u64 + self.bytes
    }

    /// Identifiers of all producers.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The entry that a producer's identifier has.
    pub(super) fn find(&self, producer: &[u8], iid: &[u8]) -> Option<StreamId> {
        self.by_name.get(producer)?.find(iid)
    }

    /// Changes what is said of all, and forgets all, if it is anything else.
    pub(super) fn configure(&mut self, duration_secs: u64, most: u64) {
        if (self.duration_secs, self.most) != (duration_secs, most) {
            *self = Self {
                duration_secs,
                most,
                ..Self::default()
            };
        }
    }

    /// A producer's identifier, which is not known, has this entry: the newest of it, or the oldest. The oldest goes if there are too many
    /// then.
    pub(super) fn add(&mut self, producer: &[u8], iid: &[u8], id: StreamId, is_oldest: bool) {
        let number = match self.by_name.find(producer) {
            Some(number) => number,
            None => self.by_name.insert(producer, Producer::default()),
        };
        let most = self.most;
        self.change(number, |producer| {
            producer.push(iid, id, is_oldest);
            if producer.len() as u64 > most
                && let Some((iid, _)) = producer.oldest()
            {
                let iid = iid.to_vec();
                producer.forget(&iid);
            }
        });
    }

    /// A producer's identifier is forgotten.
    pub(super) fn remove(&mut self, producer: &[u8], iid: &[u8]) {
        let Some(number) = self.by_name.find(producer) else {
            return;
        };
        self.change(number, |producer| producer.forget(iid));
        if self.by_name.at(number).len() == 0 {
            let producer = self.by_name.remove(number);
            self.bytes -= producer.bytes();
        }
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut Producer)) {
        let producer = self.by_name.at_mut(number);
        let (bytes, len) = (producer.bytes(), producer.len());
        let was = producer.oldest().map(|(_, id)| (id.ms, number));
        change(producer);
        self.bytes = self.bytes - bytes + producer.bytes();
        self.len = self.len - len + producer.len();
        let is = producer.oldest().map(|(_, id)| (id.ms, number));
        if was != is {
            was.map(|was| self.oldest.remove(&was));
            is.map(|is| self.oldest.insert(is));
        }
    }

    /// Whether an identifier whose entry this is has been kept for as long as it is.
    pub(super) fn has_ended(&self, id: StreamId, now_ms: u64) -> bool {
        let until = now_ms.checked_sub(self.duration_secs * 1000);
        until.is_some_and(|until| id.ms <= until)
    }

    /// The oldest identifier of all, if it has been kept for as long as it is, and whose it is.
    pub(super) fn ended(&self, now_ms: u64) -> Option<(&[u8], &[u8])> {
        let &(_, number) = self.oldest.first()?;
        let (iid, id) = self.by_name.at(number).oldest()?;
        let has_ended = self.has_ended(id, now_ms);
        has_ended.then(|| (self.by_name.name(number), iid))
    }

    /// Takes out a producer of those that are in use no more; how many identifiers it had.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let producer = self.by_name.pop()?;
        self.oldest.pop_last();
        self.bytes -= producer.bytes();
        self.len -= producer.len();
        Some(producer.len())
    }

    /// Verifies what follows from what else is known.
    pub(super) fn check(&self) {
        let (mut oldest, mut len, mut bytes) = (BTreeSet::new(), 0, 0);
        for (number, _, producer) in self.by_name.iter() {
            let (_, id) = producer.oldest().expect("who has none is gone");
            oldest.insert((id.ms, number));
            assert_eq!(producer.iter().count(), producer.len());
            for (iid, id) in producer.iter() {
                assert_eq!(producer.find(iid), Some(id));
            }
            len += producer.len();
            bytes += producer.bytes();
        }
        assert_eq!((&oldest, len, bytes), (&self.oldest, self.len, self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_come_and_go_at_either_end_and_in_the_midst() {
        let mut producers = Producers::default();
        producers.configure(10, 50);
        let id = |ms| StreamId::new(ms, 0);
        for number in 0..200u64 {
            let (name, iid) = ([b'p', (number % 3) as u8], number.to_le_bytes());
            producers.add(&name, &iid, id(number * 100), false);
            producers.check();
        }
        assert_eq!(producers.len(), 150);
        let first = 50u64;
        assert_eq!(
            producers.find(&[b'p', 2], &first.to_le_bytes()),
            Some(id(5000))
        );
        for number in [70u64, 73, 50, 198, 199] {
            let (name, iid) = ([b'p', (number % 3) as u8], number.to_le_bytes());
            producers.remove(&name, &iid);
            producers.check();
            assert_eq!(producers.find(&name, &iid), None);
        }
        producers.add(&[b'p', 2], &first.to_le_bytes(), id(5000), true);
        producers.check();
        let (name, iid) = producers.ended(15_000).expect("it came ten seconds before");
        assert_eq!((name, iid), (&[b'p', 2][..], &first.to_le_bytes()[..]));
        assert_eq!(producers.ended(14_999), None);
        let mut forgotten = 0;
        while let Some((name, iid)) = producers.ended(30_000) {
            let (name, iid) = (name.to_vec(), iid.to_vec());
            producers.remove(&name, &iid);
            producers.check();
            forgotten += 1;
        }
        assert_eq!((forgotten, producers.by_name.len()), (146, 0));
        assert_eq!(producers.used_bytes(), 0);
    }
}
