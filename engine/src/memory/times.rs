//! When an item ends, and when it wants to be looked at, which may be earlier: fields of a hash end by themselves.

use super::{Memory, Named};
use crate::UnixMillis;
use crate::limits::{FIELD_REMOVAL_COST, NODE_LOOK_COST};
use crate::raw::Block;
use crate::spiral::{ElementRef, packed};

/// The times of an item that wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// Its deadline.
    pub(crate) ends_at: Option<UnixMillis>,
    /// The sooner of that and of the deadlines of its fields: no field ends before.
    pub(crate) wakes_at: UnixMillis,
    /// Whether it has fields with deadlines.
    pub(crate) fields_end: bool,
}

impl Times {
    /// Those of an item without fields; `None` if it does not end.
    #[inline(always)]
    pub(crate) fn ending(ends_at: Option<UnixMillis>) -> Option<Self> {
        ends_at.map(|wakes_at| Self {
            ends_at,
            wakes_at,
            fields_end: false,
        })
    }
}

impl Memory {
    /// When an item ends and wakes; `None` if it does neither.
    #[inline(always)]
    pub(crate) fn times(&self, item: Block) -> Option<Times> {
        match self.head(item).form().has_fields() {
            false => Times::ending(self.deadline(item)),
            true => self.times_with_fields(item),
        }
    }

    #[inline(never)]
    fn times_with_fields(&self, item: Block) -> Option<Times> {
        let ends_at = self.deadline(item);
        let (wakes_at, fields_end) = match (ends_at, self.named(item).soonest_deadline()) {
            (None, None) => return None,
            (Some(ends_at), None) => (ends_at, false),
            (None, Some(at)) => (at, true),
            (Some(ends_at), Some(at)) => (ends_at.min(at), true),
        };
        Some(Times {
            ends_at,
            wakes_at,
            fields_end,
        })
    }

    /// Removes fields of a hash that have ended at `now`, and shows `gone` each before, until none is left or it has cost
    /// `budget`, in entries read; what it has cost, and where the item is now.
    pub(crate) fn expire_fields(
        &mut self,
        item: Block,
        hash_of: &impl Fn(&[u8]) -> u64,
        (now, budget): (UnixMillis, u32),
        gone: &mut dyn FnMut(ElementRef<'_>),
    ) -> (u32, Block) {
        match self.collection_of(item) {
            None => self.expire_packed(item, now, gone),
            Some(collection) => {
                let spent = self.change_spiral(collection, |spiral, heap| {
                    spiral.expire_some(heap, hash_of, now, budget, gone)
                });
                (spent, item)
            }
        }
    }

    /// The same of a packed hash: all at once, since it is small.
    fn expire_packed(
        &mut self,
        item: Block,
        now: UnixMillis,
        gone: &mut dyn FnMut(ElementRef<'_>),
    ) -> (u32, Block) {
        let (mut removed, mut from) = (0, 0);
        loop {
            let Named::Packed(run) = self.named(item) else {
                unreachable!("nothing makes it large meanwhile");
            };
            let Some((at, element)) = run.next_due(from, now) else {
                let shorter = run.shorter();
                // Without memory for a shorter run, the long one does.
                let resized =
                    shorter.and_then(|bytes| self.resize_packed(item, bytes, packed::copy).ok());
                let spent = NODE_LOOK_COST + removed * FIELD_REMOVAL_COST;
                return (spent, resized.unwrap_or(item));
            };
            gone(element);
            packed::remove(self.packed_mut(item), at);
            (removed, from) = (removed + 1, at);
        }
    }
}
