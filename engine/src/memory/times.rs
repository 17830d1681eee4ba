//! When an item ends, and when it wants to be looked at, which may be earlier: fields of a hash end by themselves.

use super::Memory;
use crate::UnixMillis;
use crate::agenda::NEVER;
use crate::item::Head;
use crate::raw::Block;

/// The times of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// Its deadline.
    pub(crate) ends_at: Option<UnixMillis>,
    /// The sooner of that and of the deadlines of its fields: no field ends before.
    pub(crate) wakes_at: Option<UnixMillis>,
}

impl Times {
    /// Those of an item without fields.
    #[inline(always)]
    pub(crate) fn ending(ends_at: Option<UnixMillis>) -> Self {
        Self {
            ends_at,
            wakes_at: ends_at,
        }
    }
}

impl Memory {
    /// When an item ends and wakes.
    #[inline(always)]
    pub(crate) fn times(&self, item: Block) -> Times {
        let times = Times::ending(self.deadline(item));
        match Head::read(self.heap.arena.tail(item)).form().has_fields() {
            false => times,
            true => self.times_with_fields(item, times),
        }
    }

    #[inline(never)]
    fn times_with_fields(&self, item: Block, times: Times) -> Times {
        match self.fields_end_at(item) {
            NEVER => times,
            at => Times {
                wakes_at: Some(times.ends_at.map_or(at, |ends_at| ends_at.min(at))),
                ..times
            },
        }
    }

    /// No field of a hash ends before this.
    fn fields_end_at(&self, item: Block) -> UnixMillis {
        match self.collection_of(item) {
            Some(collection) => self.collections.spiral(collection).wakes_at(),
            None => NEVER,
        }
    }

    /// Removes fields of a hash that have ended at `now`, and tells `gone` their names before, until none is left or it has cost
    /// `budget`, in entries read; what it has cost, and where the item is now.
    pub(crate) fn expire_fields(
        &mut self,
        item: Block,
        hash_of: &impl Fn(&[u8]) -> u64,
        now: UnixMillis,
        budget: u32,
        gone: &mut dyn FnMut(&[u8]),
    ) -> (u32, Block) {
        let Some(collection) = self.collection_of(item) else {
            todo!()
        };
        let spent = self.change_spiral(collection, |spiral, heap| {
            spiral.expire_some(heap, hash_of, now, budget, gone)
        });
        (spent, item)
    }

    /// Whether no field of a hash is left.
    pub(crate) fn is_empty_hash(&self, item: Block) -> bool {
        match self.collection_of(item) {
            Some(collection) => self.collections.spiral(collection).len() == 0,
            None => todo!(),
        }
    }

    /// When an item wants to be looked at.
    #[inline(always)]
    pub(crate) fn wakes_at(&self, item: Block) -> Option<UnixMillis> {
        self.times(item).wakes_at
    }

    /// Whether an item, or a field of it, may have ended at `now`.
    #[inline(always)]
    pub(crate) fn is_awake(&self, item: Block, now: UnixMillis) -> bool {
        self.wakes_at(item).is_some_and(|at| at <= now)
    }
}
