//! What benches measure of the engine's insides by itself: no part of the engine's interface.

mod sorted_sets;

pub use sorted_sets::BareSortedSets;

use std::ops::Range;

use crate::list::List;
use crate::nodes::{Heap, NodeKind, Owner};
use crate::raw::{Arena, Block, EMPTIED_MAX_EIGHTHS, NthBlock};
use crate::{
    Access, DbIndex, End, Event, FieldAhead, HashMut, HashRef, Intent, Shard, ShardOptions,
    StoreError, Stored, TtlChange, UnixMillis,
};

/// An arena with nothing above it.
pub struct BareArena(Arena);

/// A block of a [`BareArena`].
#[derive(Clone, Copy, Debug)]
pub struct BareBlock(Block);

impl BareArena {
    /// An arena for a shard of at most `ceiling_bytes`.
    ///
    /// # Errors
    /// Its address space could not be reserved.
    pub fn new(ceiling_bytes: u64) -> Result<Self, StoreError> {
        Arena::new(ceiling_bytes)
            .map(Self)
            .ok_or(StoreError::OutOfMemory)
    }

    /// A block of at least `bytes`; `None` above the largest block or when memory is out.
    #[inline]
    pub fn alloc(&mut self, bytes: usize) -> Option<BareBlock> {
        self.0.alloc(bytes).map(BareBlock)
    }

    /// Takes back a block of this arena, once.
    #[inline]
    pub fn free(&mut self, block: BareBlock) {
        self.0.free(block.0);
    }
}

/// Hashes in a shard of their own, without commands.
pub struct BareHashes {
    shard: Shard,
}

/// Where the bytes of a [`BareHashes`], or of a [`BareSortedSets`], are.
#[derive(Clone, Copy, Debug)]
pub struct HashBytes {
    /// What counts as used: blocks, extents, lists.
    pub used: u64,
    /// Pages touched, and lists.
    pub touched: u64,
}

impl BareHashes {
    const DB: DbIndex = DbIndex(0);

    /// None yet.
    ///
    /// # Errors
    /// The address space could not be reserved.
    pub fn new(options: &ShardOptions) -> Result<Self, StoreError> {
        Shard::new(options).map(|shard| Self { shard })
    }

    fn change<T>(&mut self, key: &[u8], change: impl FnOnce(&mut HashMut<'_>) -> T) -> T {
        let key = self.shard.hasher().key(key);
        let opened = self.shard.hash_mut(Self::DB, key);
        let mut hash = opened.expect("all are hashes");
        let result = change(&mut hash);
        hash.close(&[Event::HSet]);
        result
    }

    /// The hash at a key.
    #[inline]
    pub fn hash(&mut self, key: &[u8]) -> Option<HashRef<'_>> {
        let key = self.shard.hasher().key(key);
        let hash = self.shard.hash(Self::DB, key, Access::Touch);
        hash.expect("all are hashes")
    }

    /// Brings fields of the hash at a key near, of a batch of operations.
    #[inline]
    pub fn prefetch<'a>(&self, key: &[u8], names: impl Iterator<Item = &'a [u8]>, intent: Intent) {
        let key_hash = self.shard.hasher().hash(key);
        let fields = names.map(|name| FieldAhead {
            key_hash,
            name,
            intent,
        });
        self.shard.prefetch_fields(Self::DB, fields);
    }

    /// Gives a field this value and deadline; whether it is new.
    ///
    /// # Errors
    /// Memory is out.
    #[inline]
    pub fn set(
        &mut self,
        key: &[u8],
        name: &[u8],
        value: &[u8],
        deadline: Option<UnixMillis>,
    ) -> Result<bool, StoreError> {
        let ttl = deadline.map_or(TtlChange::Clear, TtlChange::At);
        let stored = self.change(key, |hash| hash.set(name, value, ttl))?;
        Ok(stored == Stored::Added)
    }

    /// Removes a field; whether it was there.
    #[inline]
    pub fn remove(&mut self, key: &[u8], name: &[u8]) -> bool {
        self.change(key, |hash| hash.remove(name))
    }

    /// A step of house-keeping; whether more is left to do.
    pub fn tend(&mut self, budget: u32) -> bool {
        self.shard.tend(budget)
    }

    /// Deletes a hash: [`Self::tend`] frees it.
    pub fn delete(&mut self, key: &[u8]) {
        let key = self.shard.hasher().key(key);
        self.shard.remove(Self::DB, key, Event::Del);
    }

    /// Where the bytes are.
    pub fn bytes(&self) -> HashBytes {
        let memory = self.shard.memory();
        HashBytes {
            used: memory.used_bytes(),
            touched: memory.arena_bytes + memory.table_bytes,
        }
    }
}

/// A large list with nothing above it.
pub struct BareList {
    heap: Heap,
    list: List,
}

/// Where the bytes of a [`BareList`] are.
#[derive(Clone, Copy, Debug)]
pub struct ListBytes {
    /// Elements.
    pub payload: u64,
    /// Blocks, extents and lists.
    pub used: u64,
    /// Pages touched, and lists.
    pub touched: u64,
}

impl BareList {
    /// An empty one, in memory of at most `ceiling_bytes`.
    ///
    /// # Errors
    /// Its address space could not be reserved.
    pub fn new(ceiling_bytes: u64) -> Result<Self, StoreError> {
        Ok(Self {
            heap: Heap::new(ceiling_bytes)?,
            list: List::new(Owner(0)),
        })
    }

    /// Number of elements.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> u32 {
        self.list.len()
    }

    /// Adds an element at an end.
    ///
    /// # Errors
    /// Memory is out.
    #[inline]
    pub fn push(&mut self, end: End, element: &[u8]) -> Result<(), StoreError> {
        self.list.push(&mut self.heap, end, element)
    }

    /// Takes the element at an end out; its length.
    #[inline]
    pub fn pop(&mut self, end: End) -> Option<usize> {
        self.list.pop(&mut self.heap, end, <[u8]>::len)
    }

    /// Element `index`.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&[u8]> {
        self.list.get(&self.heap, index)
    }

    /// Emits the elements `range`, which there are, in order.
    #[inline]
    pub fn range(&self, range: Range<u32>, emit: impl FnMut(&[u8])) {
        self.list.range(&self.heap, range, emit);
    }

    /// Adds an element before element `index`.
    ///
    /// # Errors
    /// Memory is out.
    #[inline]
    pub fn insert(&mut self, index: u32, element: &[u8]) -> Result<(), StoreError> {
        self.list.insert(&mut self.heap, index, element)
    }

    /// Takes the elements `range`, which there are, out.
    pub fn remove(&mut self, range: Range<u32>) {
        self.list.remove(&mut self.heap, range);
    }

    /// Takes all elements out that are `element`, from the first on; how many those were.
    pub fn remove_equal(&mut self, element: &[u8]) -> u32 {
        self.list
            .remove_equal(&mut self.heap, element, u32::MAX, End::Head)
    }

    /// Frees some of what was cut off; whether there was any.
    pub fn reclaim(&mut self, budget: u32) -> bool {
        self.list.reclaim(&mut self.heap, budget).is_some()
    }

    /// Frees some of the list, which nobody uses any more; whether there was any.
    pub fn dismantle(&mut self, budget: u32) -> bool {
        self.list.dismantle(&mut self.heap, budget).is_some()
    }

    /// Empties and packs sparse slabs, as compaction does, and gives free ones back; how many blocks were moved.
    pub fn compact(&mut self) -> u64 {
        let mut moved = 0;
        for slab in 0..self.heap.arena.slab_count() {
            let Some(slab) = self.heap.arena.sparse_slab(slab, EMPTIED_MAX_EIGHTHS) else {
                continue;
            };
            for index in (0..self.heap.arena.used_blocks(slab)).rev() {
                let NthBlock::Live(block) = self.heap.arena.nth_block(slab, index) else {
                    continue;
                };
                let kind = NodeKind::of(self.heap.arena.tail(block)[0]).expect("all is nodes");
                let Some(to) = self.heap.arena.move_block(block) else {
                    break;
                };
                self.list.block_moved(&mut self.heap, kind, block, to);
                moved += 1;
            }
            self.heap.arena.end_evacuation();
        }
        while self.heap.arena.trim_some() {}
        moved
    }

    /// Where the bytes are.
    pub fn bytes(&self) -> ListBytes {
        let lists = self.list.list_bytes();
        ListBytes {
            payload: self.list.payload_bytes(),
            used: self.list.block_bytes() + lists,
            touched: self.heap.arena.touched_bytes() + self.heap.extents.held_bytes() + lists,
        }
    }
}
