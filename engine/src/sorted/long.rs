//! Names as they lie in a leaf: themselves, or a reference to where they are ([`Long`]), whose place is the ordinal of the leaf.

use super::run::{Body, IN_BLOCK, IN_EXTENT};
use crate::StoreError;
use crate::nodes::{Heap, Holdings, Long};

/// A name as it lies in a leaf.
#[derive(Clone, Copy)]
pub(super) enum Stored<'a> {
    Inline(&'a [u8]),
    Long(Long, [u8; 8]),
}

impl Stored<'_> {
    /// Stores a name longer than those in leaves. Its place is to be set.
    ///
    /// # Errors
    /// Memory is out.
    pub(super) fn long(
        heap: &mut Heap,
        holdings: &mut Holdings,
        name: &[u8],
    ) -> Result<Self, StoreError> {
        let long = Long::store(heap, holdings, 0, name)?;
        Ok(Self::of(long))
    }

    pub(super) fn of(long: Long) -> Self {
        Self::Long(long, long.reference())
    }

    #[inline(always)]
    pub(super) fn body(&self) -> Body<'_> {
        match self {
            Self::Inline(name) => Body::inline(name),
            Self::Long(Long::Block(_), reference) => Body::reference(IN_BLOCK, reference),
            Self::Long(Long::Extent(..), reference) => Body::reference(IN_EXTENT, reference),
        }
    }
}

/// Where a name is, if not in the leaf.
#[inline(always)]
pub(super) fn reference(body: Body<'_>) -> Option<Long> {
    match body.code() {
        IN_BLOCK => Some(Long::of_block(body.bytes())),
        IN_EXTENT => Some(Long::of_extent(body.bytes())),
        _ => None,
    }
}

/// A name.
#[inline(always)]
pub(super) fn name<'a>(heap: &'a Heap, body: Body<'a>) -> &'a [u8] {
    match reference(body) {
        None => body.bytes(),
        Some(long) => long.bytes(heap),
    }
}

/// What this refers to is the name of a member in the leaf of this ordinal.
#[inline(always)]
pub(super) fn set_leaf(heap: &mut Heap, reference: Option<Long>, ordinal: u32) {
    if let Some(Long::Block(block)) = reference {
        Long::set_place(heap, block, ordinal.into());
    }
}
