//! Elements as they lie in a leaf: themselves, or a reference to where they are ([`Long`]).
//!
//! The place of a long one is the ordinal of its leaf. Elements that go to another leaf take their blocks' places along.

use super::field::{Code, Field};
use crate::StoreError;
use crate::nodes::{Heap, Holdings, Long};

/// An element as it lies in a leaf.
#[derive(Clone, Copy)]
pub(super) enum Stored<'a> {
    Inline(&'a [u8]),
    Long(Long, [u8; 8]),
}

impl Stored<'_> {
    pub(super) fn long(long: Long) -> Self {
        Self::Long(long, long.reference())
    }

    #[inline(always)]
    pub(super) fn field(&self) -> Field<'_> {
        match self {
            Self::Inline(bytes) => Field::inline(bytes),
            Self::Long(Long::Block(_), reference) => {
                Field::reference(Code::IN_BLOCK, &reference[..4])
            }
            Self::Long(Long::Extent(..), reference) => Field::reference(Code::IN_EXTENT, reference),
        }
    }
}

/// Makes `bytes`, an element longer than those in leaves, what lies in one. Its place is to be set.
///
/// # Errors
/// Memory is out.
pub(super) fn store<'a>(
    heap: &mut Heap,
    holdings: &mut Holdings,
    bytes: &[u8],
) -> Result<Stored<'a>, StoreError> {
    Long::store(heap, holdings, 0, bytes).map(Stored::long)
}

/// Where an element is, if not in the leaf.
#[inline(always)]
pub(super) fn reference(field: Field<'_>) -> Option<Long> {
    match field.code() {
        Code::IN_BLOCK => Some(Long::of_block(field.bytes())),
        Code::IN_EXTENT => Some(Long::of_extent(field.bytes())),
        _ => None,
    }
}

/// The bytes of an element.
#[inline(always)]
pub(super) fn bytes<'a>(heap: &'a Heap, field: Field<'a>) -> &'a [u8] {
    match reference(field) {
        None => field.bytes(),
        Some(long) => long.bytes(heap),
    }
}

/// What this refers to is of an element in the leaf of this ordinal.
#[inline(always)]
pub(super) fn set_leaf(heap: &mut Heap, reference: Option<Long>, ordinal: u32) {
    if let Some(Long::Block(block)) = reference {
        Long::set_place(heap, block, ordinal.into());
    }
}
