//! Bytes too long to lie with the element that has them: in a block of their own up to 32 KiB, beyond in an extent.
//!
//! ```text
//!  0      1       5       11       13
//! +------+-------+-------+--------+-----------+
//! | mark | owner | place | length | the bytes |
//! +------+-------+-------+--------+-----------+
//! ```
//! The element has a reference, of 4 bytes to a block and of 8 to an extent. The place says in which node that is, so that it is
//! found when the block moves: for elements by name where the element belongs, for those in order the leaf. Extents do not
//! move.

use super::{Heap, Holdings, NodeKind, read_u16, read_u32};
use crate::StoreError;
use crate::raw::{Arena, Block, ExtentId};

/// In the place of an ordinal, and beyond it.
const PLACE_AT: usize = 5;
const LENGTH_AT: usize = 11;
const BYTES_AT: usize = 13;

/// Where long bytes are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Long {
    /// In a block.
    Block(Block),
    /// In an extent, so many.
    Extent(ExtentId, usize),
}

impl Long {
    /// What a reference to a block says.
    #[inline(always)]
    pub(crate) fn of_block(reference: &[u8]) -> Self {
        Self::Block(Block(read_u32(reference, 0)))
    }

    /// What a reference to an extent says.
    #[inline(always)]
    pub(crate) fn of_extent(reference: &[u8]) -> Self {
        let extent = ExtentId(read_u32(reference, 0));
        Self::Extent(extent, read_u32(reference, 4) as usize)
    }

    /// The reference: 4 bytes to a block, 8 to an extent.
    #[inline(always)]
    pub(crate) fn reference(self) -> [u8; 8] {
        let (number, len) = match self {
            Self::Block(block) => (block.0, 0),
            Self::Extent(extent, len) => (extent.0, len as u32),
        };
        (u64::from(len) << 32 | u64::from(number)).to_le_bytes()
    }

    /// Stores `bytes`; a block has this place.
    ///
    /// # Errors
    /// Memory is out.
    #[cold]
    pub(crate) fn store(
        heap: &mut Heap,
        holdings: &mut Holdings,
        place: u64,
        bytes: &[u8],
    ) -> Result<Self, StoreError> {
        let total = BYTES_AT + bytes.len();
        if total > Arena::max_block_bytes() {
            let extent = heap.extents.store(bytes).ok_or(StoreError::OutOfMemory)?;
            holdings.bytes += heap.extents.used_bytes_of(extent);
            return Ok(Self::Extent(extent, bytes.len()));
        }
        let block = holdings.alloc(&mut heap.arena, total, NodeKind::Long, 0)?;
        let node = heap.arena.tail_mut(block);
        node[LENGTH_AT..BYTES_AT].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
        node[BYTES_AT..total].copy_from_slice(bytes);
        Self::set_place(heap, block, place);
        Ok(Self::Block(block))
    }

    /// Frees the block or the extent.
    pub(crate) fn free(self, heap: &mut Heap, holdings: &mut Holdings) {
        match self {
            Self::Block(block) => holdings.free(&mut heap.arena, block),
            Self::Extent(extent, _) => {
                holdings.bytes -= heap.extents.used_bytes_of(extent);
                heap.extents.destroy(extent);
            }
        }
    }

    /// The bytes.
    #[inline(always)]
    pub(crate) fn bytes(self, heap: &Heap) -> &[u8] {
        match self {
            Self::Block(block) => {
                let node = heap.arena.tail(block);
                &node[BYTES_AT..BYTES_AT + read_u16(node, LENGTH_AT)]
            }
            Self::Extent(extent, len) => heap.extents.bytes(extent, len),
        }
    }

    /// Where the element of a block's bytes is.
    pub(crate) fn place(node: &[u8]) -> u64 {
        u64::from(read_u32(node, PLACE_AT)) | (read_u16(node, PLACE_AT + 4) as u64) << 32
    }

    /// The element of a block's bytes is there now; 48 bits of it are kept.
    pub(crate) fn set_place(heap: &mut Heap, block: Block, place: u64) {
        let bytes = &place.to_le_bytes()[..LENGTH_AT - PLACE_AT];
        heap.arena.tail_mut(block)[PLACE_AT..LENGTH_AT].copy_from_slice(bytes);
    }

    /// Bytes of the block or extent.
    pub(crate) fn used_bytes(self, heap: &Heap) -> u64 {
        match self {
            Self::Block(block) => heap.arena.block_bytes(block) as u64,
            Self::Extent(extent, _) => heap.extents.used_bytes_of(extent),
        }
    }
}
