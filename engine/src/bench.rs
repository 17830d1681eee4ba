//! What benches measure of the engine's insides by itself: no part of the engine's interface.

use crate::nodes::Owner;
use crate::raw::{Arena, Block};
use crate::spiral::{ElementRef, Put};
use crate::{DbIndex, Event, Shard, ShardOptions, StoreError, UnixMillis};

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

/// A large hash in a shard of its own, without commands.
pub struct BareHash {
    shard: Shard,
    collection: Owner,
}

/// Where the bytes of a [`BareHash`] are.
#[derive(Clone, Copy, Debug)]
pub struct HashBytes {
    /// Names and values.
    pub payload: u64,
    /// What counts as used: blocks, extents, lists.
    pub used: u64,
    /// Pages touched, and lists.
    pub touched: u64,
}

impl BareHash {
    const DB: DbIndex = DbIndex(0);

    /// An empty one.
    ///
    /// # Errors
    /// Memory is out.
    pub fn new(options: &ShardOptions) -> Result<Self, StoreError> {
        let mut shard = Shard::new(options)?;
        let key = shard.hasher().clone().key(b"hash");
        let collection = shard.create_hash(Self::DB, key)?;
        Ok(Self { shard, collection })
    }

    /// Gives a field this value and deadline; whether it is new.
    ///
    /// # Errors
    /// Memory is out.
    #[inline]
    pub fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        deadline: Option<UnixMillis>,
    ) -> Result<bool, StoreError> {
        let element = ElementRef {
            name,
            value,
            deadline,
        };
        let put = self.shard.put_element(self.collection, element)?;
        Ok(put == Put::Added)
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let element = self.shard.element(self.collection, name)?;
        Some(element.value)
    }

    /// Removes a field; whether it was there.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> bool {
        self.shard.remove_element(self.collection, name)
    }

    /// Emits about `count` fields from `cursor` on; where to go on, `None` at the end.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        emit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Option<u64> {
        let mut emit = |element: ElementRef<'_>| emit(element.name, element.value);
        self.shard
            .scan_elements(self.collection, cursor, count, &mut emit)
    }

    /// A step of house-keeping; whether more is left to do.
    pub fn tend(&mut self, budget: u32) -> bool {
        self.shard.tend(budget)
    }

    /// Deletes the hash: [`Self::tend`] frees it.
    pub fn delete(&mut self) {
        let key = self.shard.hasher().clone().key(b"hash");
        self.shard.remove(Self::DB, key, Event::Del);
    }

    /// Where the bytes are.
    pub fn bytes(&self) -> HashBytes {
        let memory = self.shard.memory();
        HashBytes {
            payload: memory.payload_bytes,
            used: memory.used_bytes(),
            touched: memory.arena_bytes + memory.table_bytes,
        }
    }
}
