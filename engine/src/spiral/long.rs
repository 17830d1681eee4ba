//! Names and values as they lie in their element: themselves, or a reference to where they are ([`Long`]).
//!
//! The place of a long one is where its element belongs, less the leading one: so the node of the reference is found however the
//! nodes are divided meanwhile.

use super::address::{POSITION_BITS, Position};
use super::run::{Field, IN_BLOCK, IN_EXTENT, is_reference};
use crate::StoreError;
use crate::item::key_of;
use crate::nodes::{Heap, Holdings, Long};

/// The longest name or value that lies in its element.
pub(super) const INLINE_MAX_BYTES: usize = 128;

/// Bytes as they lie in an element: themselves or a reference.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    code: u8,
    inline: &'a [u8],
    reference: [u8; 8],
}

impl<'a> Stored<'a> {
    fn inline(code: u8, inline: &'a [u8]) -> Self {
        Self {
            code,
            inline,
            reference: [0; 8],
        }
    }

    fn long(long: Long) -> Self {
        Self {
            code: match long {
                Long::Block(_) => IN_BLOCK,
                Long::Extent(..) => IN_EXTENT,
            },
            inline: &[],
            reference: long.reference(),
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
        return Long::store(heap, holdings, position.0, bytes).map(Stored::long);
    }
    Ok(Stored::inline(bytes.len() as u8, bytes))
}

/// Frees what a name or value has outside of its element.
#[inline(always)]
pub(super) fn free(heap: &mut Heap, holdings: &mut Holdings, reference: Option<Long>) {
    if let Some(long) = reference {
        long.free(heap, holdings);
    }
}

/// The bytes of a name or value. The name of an element that is an item is the item's key.
#[inline(always)]
pub(super) fn bytes<'a>(heap: &'a Heap, field: Field<'a>) -> &'a [u8] {
    match is_reference(field.code) {
        false => field.bytes,
        true => bytes_elsewhere(heap, field),
    }
}

#[inline]
fn bytes_elsewhere<'a>(heap: &'a Heap, field: Field<'a>) -> &'a [u8] {
    match (field.item(), field.reference()) {
        (Some(item), _) => key_of(heap, item),
        (None, Some(long)) => long.bytes(heap),
        (None, None) => field.bytes,
    }
}

/// Where the element of a long name or value belongs.
pub(super) fn position(node: &[u8]) -> Position {
    Position(1 << POSITION_BITS | Long::place(node))
}
