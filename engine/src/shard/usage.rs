//! Where a shard's bytes are: in use, idle, or on their way back to the system.

use super::Shard;

/// Where a shard's bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// Bytes of live entries, their nodes and rounding included, and of flushed ones not yet freed.
    pub entry_bytes: u64,
    /// Bytes of lists and side tables, which are not in the arena, and of the nodes that empty databases keep.
    pub table_bytes: u64,
    /// Bytes the arena holds from the system, live or free.
    pub arena_bytes: u64,
    /// Bytes held from the system in which nothing lies: free blocks, free slabs, free pages of spans.
    pub idle_bytes: u64,
    /// Bytes of keys and values alone.
    pub payload_bytes: u64,
}

impl MemoryUsage {
    /// What `used_memory` shows.
    pub fn used_bytes(&self) -> u64 {
        self.entry_bytes + self.table_bytes
    }

    /// What is held from the system, which `maxmemory` bounds.
    pub fn held_bytes(&self) -> u64 {
        self.used_bytes() + self.idle_bytes
    }
}

impl Shard {
    /// Where the bytes are; exact. Inlined, as each turn ends by asking for some of it.
    #[inline(always)]
    pub fn memory(&self) -> MemoryUsage {
        let (retired_bytes, flushed_bytes) = match &self.graveyard {
            Some(graveyard) => graveyard.retired_and_list_bytes(),
            None => (0, 0),
        };
        let mut table_bytes = self.undos_aside_bytes
            + self.list_bytes
            + self.kept_bytes
            + flushed_bytes
            + self.memory.table_bytes()
            + self.eviction_bytes()
            + self.curve_bytes()
            + self.quota_bytes();
        if self.undo.is_open {
            table_bytes += self.undo_bytes();
        }
        MemoryUsage {
            entry_bytes: self.entry_bytes(),
            table_bytes,
            arena_bytes: self.memory.held_bytes() + retired_bytes,
            idle_bytes: self.memory.held_bytes() - self.memory.item_bytes_total(),
            payload_bytes: self.memory.payload_bytes(),
        }
    }

    /// Bytes of entries.
    #[inline(always)]
    pub(super) fn entry_bytes(&self) -> u64 {
        let retired = self.graveyard.as_ref();
        let retired_bytes = retired.map_or(0, |graveyard| graveyard.retired_bytes());
        self.memory.item_bytes_total() - self.kept_bytes + retired_bytes
    }

    /// Bytes that count as used and belong to no entry any more: large buffers that [`Self::tend`] gives back in pieces.
    #[inline]
    pub fn dying_bytes(&self) -> u64 {
        self.memory.dying_bytes()
    }
}
