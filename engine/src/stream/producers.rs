//! Idempotent production: which messages of a producer have been added, by the identifiers that it gave them.
//!
//! A producer's identifiers are kept in the order in which they came, at most so many and for so long; one that comes again is
//! answered with the entry that it has. They are looked at from the newest on: those that come again mostly do so at once.

use std::collections::VecDeque;

use super::StreamId;
use super::names::Names;

/// How long identifiers are kept if nothing is said, in seconds (`stream-idmp-duration`).
pub(super) const DURATION_SECS: u64 = 100;
/// How many a producer has at most if nothing is said (`stream-idmp-maxsize`).
pub(super) const MOST: u64 = 100;

/// The producers of a stream.
#[derive(Debug)]
pub(super) struct Producers {
    pub(super) duration_secs: u64,
    pub(super) most: u64,
    pub(super) by_name: Names<Producer>,
    /// Bytes of the identifiers.
    bytes: u64,
}

/// What a producer has added, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Producer {
    pub(super) produced: VecDeque<(Box<[u8]>, StreamId)>,
    text_bytes: usize,
}

impl Default for Producers {
    fn default() -> Self {
        Self {
            duration_secs: DURATION_SECS,
            most: MOST,
            by_name: Names::default(),
            bytes: 0,
        }
    }
}

impl Producer {
    /// The entry of an identifier.
    pub(super) fn find(&self, iid: &[u8]) -> Option<StreamId> {
        let found = self
            .produced
            .iter()
            .rev()
            .find(|(known, _)| **known == *iid);
        found.map(|(_, id)| *id)
    }

    fn bytes(&self) -> u64 {
        let places = self.produced.capacity() * size_of::<(Box<[u8]>, StreamId)>();
        (self.text_bytes + places) as u64
    }

    fn forget(&mut self, at: usize) {
        if let Some((iid, _)) = self.produced.remove(at) {
            self.text_bytes -= iid.len();
        }
    }
}

impl Producers {
    /// Bytes of memory.
    pub(super) fn used_bytes(&self) -> u64 {
        self.by_name.bytes() + self.bytes
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

    /// A producer's identifier has this entry: the newest of it, or the oldest. The oldest goes if there are too many then.
    pub(super) fn add(&mut self, producer: &[u8], iid: &[u8], id: StreamId, is_oldest: bool) {
        let number = match self.by_name.find(producer) {
            Some(number) => number,
            None => self.by_name.insert(producer, Producer::default()),
        };
        let most = self.most;
        self.change(number, |producer| {
            producer.text_bytes += iid.len();
            match is_oldest {
                true => producer.produced.push_front((iid.into(), id)),
                false => producer.produced.push_back((iid.into(), id)),
            }
            if producer.produced.len() as u64 > most {
                producer.forget(0);
            }
        });
    }

    /// A producer's identifier is forgotten.
    pub(super) fn remove(&mut self, producer: &[u8], iid: &[u8]) {
        let Some(number) = self.by_name.find(producer) else {
            return;
        };
        self.change(number, |producer| {
            let at = producer
                .produced
                .iter()
                .position(|(known, _)| **known == *iid);
            if let Some(at) = at {
                producer.forget(at);
            }
        });
        if self.by_name.at(number).produced.is_empty() {
            let producer = self.by_name.remove(number);
            self.bytes -= producer.bytes();
        }
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut Producer)) {
        let producer = self.by_name.at_mut(number);
        let before = producer.bytes();
        change(producer);
        self.bytes = self.bytes - before + producer.bytes();
    }

    /// The oldest identifier of a producer that has been kept for as long as it is.
    pub(super) fn ended(&self, now_ms: u64) -> Option<(&[u8], &[u8])> {
        let until = now_ms.checked_sub(self.duration_secs * 1000)?;
        self.by_name.iter().find_map(|(_, name, producer)| {
            let (iid, id) = producer.produced.front()?;
            (id.ms <= until).then_some((name, &**iid))
        })
    }
}
