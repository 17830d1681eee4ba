//! Elements too long to lie in a leaf: in a block of their own up to 32 KiB, beyond in an extent.
//!
//! ```text
//!  0      1       5         9        11
//! +------+-------+---------+--------+-----------+
//! | mark | owner | ordinal | length | the bytes |
//! +------+-------+---------+--------+-----------+
//!                  of the leaf where the reference is
//! ```
//! So what names a block that moves is found in one leaf; elements that go to another leaf take their blocks' ordinals along.
//! Extents do not move.

use std::sync::Arc;

use super::field::{Code, Field};
use crate::StoreError;
use crate::nodes::{Heap, Holdings, NODE_HEAD_BYTES, NodeKind, read_u16, read_u32, write_head};
use crate::raw::{Arena, Block, ExtentId};

const LENGTH_AT: usize = NODE_HEAD_BYTES;
const BYTES_AT: usize = LENGTH_AT + 2;

/// Where a long element is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reference {
    Block(Block),
    Extent(ExtentId, usize),
}

/// An element as it lies in a leaf: itself or a reference.
#[derive(Clone, Copy)]
pub(super) enum Stored<'a> {
    Inline(&'a [u8]),
    Block([u8; 4]),
    Extent([u8; 8]),
}

impl Stored<'_> {
    #[inline(always)]
    pub(super) fn field(&self) -> Field<'_> {
        match self {
            Self::Inline(bytes) => Field::inline(bytes),
            Self::Block(reference) => Field::reference(Code::IN_BLOCK, reference),
            Self::Extent(reference) => Field::reference(Code::IN_EXTENT, reference),
        }
    }
}

/// Where an element is, if not in the leaf.
#[inline(always)]
pub(super) fn reference(field: Field<'_>) -> Option<Reference> {
    match field.code() {
        Code::IN_BLOCK => Some(Reference::Block(Block(read_u32(field.bytes(), 0)))),
        Code::IN_EXTENT => {
            let extent = ExtentId(read_u32(field.bytes(), 0));
            Some(Reference::Extent(
                extent,
                read_u32(field.bytes(), 4) as usize,
            ))
        }
        _ => None,
    }
}

/// Makes `bytes`, an element longer than those in leaves, what lies in one.
///
/// # Errors
/// Memory is out.
#[cold]
pub(super) fn store<'a>(
    heap: &mut Heap,
    holdings: &mut Holdings,
    bytes: &[u8],
) -> Result<Stored<'a>, StoreError> {
    let total = BYTES_AT + bytes.len();
    if total > Arena::max_block_bytes() {
        let extent = heap.extents.store(bytes).ok_or(StoreError::OutOfMemory)?;
        holdings.bytes += heap.extents.used_bytes_of(extent);
        let len = u32::try_from(bytes.len()).expect("values are bounded by MAX_VALUE_BYTES");
        let mut reference = [0; 8];
        reference[..4].copy_from_slice(&extent.0.to_le_bytes());
        reference[4..].copy_from_slice(&len.to_le_bytes());
        return Ok(Stored::Extent(reference));
    }
    let block = holdings.alloc(&mut heap.arena, total, NodeKind::Long, 0)?;
    let node = heap.arena.tail_mut(block);
    node[LENGTH_AT..LENGTH_AT + 2].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
    node[BYTES_AT..total].copy_from_slice(bytes);
    Ok(Stored::Block(block.0.to_le_bytes()))
}

/// A copy of an element that lies outside of a leaf.
///
/// # Errors
/// Memory is out.
pub(super) fn duplicate<'a>(
    heap: &mut Heap,
    holdings: &mut Holdings,
    reference: Reference,
) -> Result<Stored<'a>, StoreError> {
    let shared = match reference {
        Reference::Block(_) => None,
        Reference::Extent(extent, len) => {
            let buffer = heap.extents.buffer_of(extent);
            buffer.map(|(buffer, start)| (buffer, start..start + len))
        }
    };
    let Some((buffer, range)) = shared else {
        let bytes = referred(heap, reference).to_vec();
        return store(heap, holdings, &bytes);
    };
    // A buffer is shared until either is written.
    let lent_before = heap.extents.replace_lent(Some(Arc::clone(&buffer)));
    let stored = store(heap, holdings, &buffer.bytes()[range]);
    heap.extents.replace_lent(lent_before);
    stored
}

/// The element in this block is in the leaf of this ordinal.
pub(super) fn set_leaf(heap: &mut Heap, holdings: &Holdings, block: Block, ordinal: u32) {
    let node = heap.arena.tail_mut(block);
    write_head(node, NodeKind::Long, holdings.owner, ordinal);
}

/// Frees what an element has outside of its leaf.
pub(super) fn free(heap: &mut Heap, holdings: &mut Holdings, reference: Reference) {
    match reference {
        Reference::Block(block) => holdings.free(&mut heap.arena, block),
        Reference::Extent(extent, _) => {
            holdings.bytes -= heap.extents.used_bytes_of(extent);
            heap.extents.destroy(extent);
        }
    }
}

/// The bytes of an element.
#[inline(always)]
pub(super) fn bytes<'a>(heap: &'a Heap, field: Field<'a>) -> &'a [u8] {
    match reference(field) {
        None => field.bytes(),
        Some(reference) => referred(heap, reference),
    }
}

fn referred(heap: &Heap, reference: Reference) -> &[u8] {
    match reference {
        Reference::Block(block) => {
            let node = heap.arena.tail(block);
            &node[BYTES_AT..BYTES_AT + read_u16(node, LENGTH_AT)]
        }
        Reference::Extent(extent, len) => heap.extents.bytes(extent, len),
    }
}
