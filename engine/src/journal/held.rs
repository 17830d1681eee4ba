//! Records that wait to be told: copies, their bytes one behind the other.

use super::{Effect, EffectOf, Event, Record};
use crate::DbIndex;

/// Records in their order.
#[derive(Debug, Default)]
pub(super) struct HeldRecords {
    records: Vec<HeldRecord>,
    bytes: Vec<u8>,
}

/// A part of the bytes.
#[derive(Clone, Copy, Debug)]
struct Part {
    at: usize,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct HeldRecord {
    db: DbIndex,
    key: Part,
    effect: EffectOf<Part>,
    event: Event,
}

impl HeldRecords {
    /// Bytes of memory.
    pub(super) fn used_bytes(&self) -> u64 {
        (self.records.capacity() * size_of::<HeldRecord>() + self.bytes.capacity()) as u64
    }

    pub(super) fn push(&mut self, record: &Record<'_>) {
        let Self { records, bytes } = self;
        let mut keep = |part: &[u8]| {
            let at = bytes.len();
            bytes.extend_from_slice(part);
            Part {
                at,
                len: part.len(),
            }
        };
        records.push(HeldRecord {
            db: record.db,
            key: keep(record.key),
            effect: record.effect.map(&mut keep),
            event: record.event,
        });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let bytes = |part: Part| &self.bytes[part.at..][..part.len];
        self.records.iter().map(move |held| Record {
            db: held.db,
            key: bytes(held.key),
            effect: held.effect.map(&mut { bytes }) as Effect<'_>,
            event: held.event,
        })
    }
}
