//! Names and values too long to lie in their element: in a block of their own up to 32 KiB, beyond in an extent.
//!
//! ```text
//!  0      1       5            11       13
//! +------+-------+------------+--------+-----------+
//! | mark | owner | position   | length | the bytes |
//! +------+-------+------------+--------+-----------+
//! ```
//! The position is where its element belongs, less the leading one: it says in which node the reference to a block that moves
//! is found, however the nodes are divided meanwhile. Extents do not move.

use std::sync::Arc;

use super::address::{POSITION_BITS, Position};
use super::run::{Field, IN_BLOCK, IN_EXTENT, Reference};
use crate::StoreError;
use crate::nodes::{Heap, Holdings, NodeKind, read_u16, read_u32};
use crate::raw::Arena;

/// The longest name or value that lies in its element.
const INLINE_MAX_BYTES: usize = 128;
/// In the place of an ordinal.
const POSITION_AT: usize = 5;
const LENGTH_AT: usize = 11;
const BYTES_AT: usize = 13;

/// Bytes as they lie in an element: themselves or a reference.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    code: u8,
    inline: &'a [u8],
    reference: [u8; 8],
}

impl Stored<'_> {
    /// The same of what lies elsewhere, whose bytes are not needed any more.
    fn apart<'b>(self) -> Stored<'b> {
        Stored {
            code: self.code,
            inline: &[],
            reference: self.reference,
        }
    }

    #[inline(always)]
    pub(super) fn field(&self) -> Field<'_> {
        let bytes = match self.code {
            IN_BLOCK => &self.reference[..4],
            IN_EXTENT => &self.reference,
            _ => self.inline,
        };
        Field {
            code: self.code,
            bytes,
        }
    }
}

/// Makes `bytes`, a name or value of the element at `position`, what lies in the element.
#[inline(always)]
pub(super) fn store<'a>(
    heap: &mut Heap,
    holdings: &mut Holdings,
    position: Position,
    bytes: &'a [u8],
) -> Result<Stored<'a>, StoreError> {
    if bytes.len() > INLINE_MAX_BYTES {
        return store_long(heap, holdings, position, bytes);
    }
    Ok(Stored {
        code: bytes.len() as u8,
        inline: bytes,
        reference: [0; 8],
    })
}

/// A copy of a name or value that lies in another collection, for one whose element belongs at the same position.
pub(super) fn duplicate<'a>(
    heap: &mut Heap,
    holdings: &mut Holdings,
    field: Field<'a>,
) -> Result<Stored<'a>, StoreError> {
    match field.reference() {
        None => Ok(Stored {
            code: field.code,
            inline: field.bytes,
            reference: [0; 8],
        }),
        Some(Reference::Block(block)) => {
            let position = position(heap.arena.tail(block));
            let bytes = bytes(heap, field).to_vec();
            Ok(store_long(heap, holdings, position, &bytes)?.apart())
        }
        Some(Reference::Extent(extent, len)) => {
            // A buffer is shared until either is written.
            let shared = heap.extents.buffer_of(extent);
            let Some((buffer, start)) = shared else {
                let bytes = heap.extents.bytes(extent, len).to_vec();
                return Ok(store_long(heap, holdings, Position::FIRST, &bytes)?.apart());
            };
            let lent_before = heap.extents.replace_lent(Some(Arc::clone(&buffer)));
            let bytes = &buffer.bytes()[start..][..len];
            let stored = store_long(heap, holdings, Position::FIRST, bytes);
            heap.extents.replace_lent(lent_before);
            Ok(stored?.apart())
        }
    }
}

#[cold]
fn store_long<'a>(
    heap: &mut Heap,
    holdings: &mut Holdings,
    position: Position,
    bytes: &'a [u8],
) -> Result<Stored<'a>, StoreError> {
    let mut reference = [0; 8];
    let total = BYTES_AT + bytes.len();
    if total > Arena::max_block_bytes() {
        let extent = heap.extents.store(bytes).ok_or(StoreError::OutOfMemory)?;
        holdings.bytes += heap.extents.used_bytes_of(extent);
        let len = u32::try_from(bytes.len()).expect("values are bounded by MAX_VALUE_BYTES");
        reference[..4].copy_from_slice(&extent.0.to_le_bytes());
        reference[4..].copy_from_slice(&len.to_le_bytes());
        return Ok(Stored {
            code: IN_EXTENT,
            inline: &[],
            reference,
        });
    }
    let block = holdings.alloc(&mut heap.arena, total, NodeKind::Long, 0)?;
    let node = heap.arena.tail_mut(block);
    node[LENGTH_AT..LENGTH_AT + 2].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
    node[POSITION_AT..LENGTH_AT]
        .copy_from_slice(&position.0.to_le_bytes()[..LENGTH_AT - POSITION_AT]);
    node[BYTES_AT..total].copy_from_slice(bytes);
    reference[..4].copy_from_slice(&block.0.to_le_bytes());
    Ok(Stored {
        code: IN_BLOCK,
        inline: &[],
        reference,
    })
}

/// Frees what a name or value has outside of its element.
#[inline(always)]
pub(super) fn free(heap: &mut Heap, holdings: &mut Holdings, reference: Option<Reference>) {
    match reference {
        None => {}
        Some(Reference::Block(block)) => holdings.free(&mut heap.arena, block),
        Some(Reference::Extent(extent, _)) => {
            holdings.bytes -= heap.extents.used_bytes_of(extent);
            heap.extents.destroy(extent);
        }
    }
}

/// The bytes of a name or value.
#[inline(always)]
pub(super) fn bytes<'a>(heap: &'a Heap, field: Field<'a>) -> &'a [u8] {
    match field.reference() {
        None => field.bytes,
        Some(Reference::Block(block)) => {
            let node = heap.arena.tail(block);
            &node[BYTES_AT..BYTES_AT + read_u16(node, LENGTH_AT)]
        }
        Some(Reference::Extent(extent, len)) => heap.extents.bytes(extent, len),
    }
}

/// Where the element of a long name or value belongs.
pub(super) fn position(node: &[u8]) -> Position {
    let low = u64::from(read_u32(node, POSITION_AT));
    let high = read_u16(node, POSITION_AT + 4) as u64;
    Position(1 << POSITION_BITS | high << 32 | low)
}
