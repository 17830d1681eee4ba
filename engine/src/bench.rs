//! What benches measure of the engine's insides by itself: no part of the engine's interface.

use crate::StoreError;
use crate::raw::{Arena, Block};

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
