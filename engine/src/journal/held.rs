//! Records that wait to be told: copies, their bytes one behind the other.

use super::{Effect, EffectOf, Element, ElementOf, Moment, Record};
use crate::DbIndex;

/// Records in their order.
#[derive(Debug, Default)]
pub(super) struct HeldRecords {
    records: Vec<HeldRecord>,
    elements: Vec<ElementOf<Part>>,
    bytes: Vec<u8>,
}

/// A part of the bytes, or of the elements.
#[derive(Clone, Copy, Debug)]
struct Part {
    at: usize,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct HeldRecord {
    /// The number among the records since the journal began to hold back: what was laid aside may be told behind others.
    number: u64,
    moment: Moment,
    db: DbIndex,
    key: Part,
    effect: EffectOf<Part, Part>,
}

impl Part {
    fn of<T>(self, list: &[T]) -> &[T] {
        &list[self.at..][..self.len]
    }
}

impl HeldRecords {
    /// Bytes of memory.
    pub(super) fn used_bytes(&self) -> u64 {
        let bytes = self.records.capacity() * size_of::<HeldRecord>()
            + self.elements.capacity() * size_of::<ElementOf<Part>>()
            + self.bytes.capacity();
        bytes as u64
    }

    /// Keeps a record; there were so many before the journal began to hold back.
    pub(super) fn push(&mut self, record: &Record<'_>, records_before: u64) {
        let Self {
            records,
            elements,
            bytes,
        } = self;
        let mut keep = |part: &[u8]| {
            let at = bytes.len();
            bytes.extend_from_slice(part);
            Part {
                at,
                len: part.len(),
            }
        };
        let key = keep(record.key);
        if let EffectOf::Elements(changed) = record.effect {
            elements.extend(changed.iter().map(|element| element.map(&mut keep)));
        }
        let elements_of = |changed: &[Element<'_>]| Part {
            at: elements.len() - changed.len(),
            len: changed.len(),
        };
        records.push(HeldRecord {
            number: record.sequence - records_before,
            moment: record.moment,
            db: record.db,
            key,
            effect: record.effect.map(&mut keep, elements_of),
        });
    }

    /// Tells the records, which come behind so many others.
    pub(super) fn for_each(&self, records_before: u64, mut tell: impl FnMut(&Record<'_>)) {
        let bytes = |part: Part| part.of(&self.bytes);
        let mut changed: Vec<Element<'_>> = Vec::new();
        for held in &self.records {
            changed.clear();
            if let EffectOf::Elements(part) = held.effect {
                let elements = part.of(&self.elements).iter();
                changed.extend(elements.map(|element| element.map(bytes)));
            }
            let effect: Effect<'_> = held.effect.map(&mut { bytes }, |_| &changed[..]);
            tell(&Record {
                sequence: records_before + held.number,
                moment: held.moment,
                db: held.db,
                key: bytes(held.key),
                effect,
            });
        }
    }
}
