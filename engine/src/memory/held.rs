//! What the memory of a shard holds from the system, and what of that it gives back, in bounded steps.

use super::{LazyObjects, Memory};
use crate::raw::IdleBound;

impl Memory {
    /// Bytes held from the system for items.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.heap.arena.touched_bytes() + self.heap.extents.held_bytes()
    }

    /// Says how much memory may lie idle from now on.
    pub(crate) fn set_idle_bound(&mut self, bound: IdleBound) {
        self.heap.arena.set_idle_bound(bound);
        self.heap.extents.set_idle_bound(bound);
    }

    /// Bytes of the side tables of arena and extents.
    pub(crate) fn table_bytes(&self) -> u64 {
        self.heap.arena.table_bytes()
            + self.heap.extents.table_bytes()
            + self.heap.drafts.bytes()
            + self.collections.table_bytes()
    }

    /// Gives back a slab or some pages of extents of memory nobody reads any more; whether some is left.
    pub(crate) fn release_some(&mut self) -> bool {
        self.collections.drop_some()
            || self.heap.extents.trim_some()
            || self.heap.extents.destroy_some()
            || self.heap.arena.discard_some()
    }

    /// Whether there may be pages of extents or of free slabs to give back, collections to free, or slabs to compact.
    #[inline(always)]
    pub(crate) fn has_to_tend(&mut self) -> bool {
        self.heap.extents.has_some_to_trim()
            || self.collections.has_some_to_free()
            || self.heap.arena.has_to_tend()
    }

    /// Gives some pages back that are not in use any more, or frees some nodes; whether there were any.
    #[inline]
    pub(crate) fn trim_some(&mut self) -> bool {
        self.heap.extents.trim_some()
            || self.heap.arena.trim_some()
            || self.collections.free_some(&mut self.heap)
    }

    /// Bytes of extents and collections destroyed and not yet given back.
    pub(crate) fn dying_bytes(&self) -> u64 {
        self.heap.extents.dying_bytes() + self.collections.dying_bytes()
    }

    /// Collections that were removed with many elements.
    pub(crate) fn lazy_objects(&self) -> LazyObjects {
        self.collections.lazy_objects()
    }
}
