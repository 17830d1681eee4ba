//! A list to read, whichever form it has.

use std::ops::{ControlFlow, Range};

use super::List;
use super::packed::{End, Packed};
use crate::nodes::Heap;

/// A list to read.
#[derive(Clone, Copy)]
pub(crate) enum ListView<'a> {
    /// A run in an item.
    Packed(Packed<'a>),
    /// A tree, and the memory it lies in.
    Large(&'a List, &'a Heap),
}

impl<'a> ListView<'a> {
    /// Number of elements.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::Packed(run) => run.len() as u32,
            Self::Large(list, _) => list.len(),
        }
    }

    /// Bytes of the elements, and of those cut off that are yet to be freed.
    #[inline]
    pub(crate) fn payload_bytes(&self) -> u64 {
        match self {
            Self::Packed(run) => run.payload_bytes() as u64,
            Self::Large(list, _) => list.payload_bytes(),
        }
    }

    /// Bytes of the elements: walks over them where some were cut off that are yet to be freed.
    pub(crate) fn element_bytes(&self) -> u64 {
        match self {
            Self::Large(list, heap) if list.has_some_to_reclaim() => {
                let mut bytes = 0;
                list.range(heap, 0..list.len(), |element| bytes += element.len() as u64);
                bytes
            }
            _ => self.payload_bytes(),
        }
    }

    /// Element `index`.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&'a [u8]> {
        match self {
            Self::Packed(run) => {
                let is_there = (index as usize) < run.len();
                is_there.then(|| run.get(index as usize).bytes())
            }
            Self::Large(list, heap) => list.get(heap, index),
        }
    }

    /// Emits the elements `range`, which there are, in order.
    #[inline]
    pub(crate) fn range(&self, range: Range<u32>, emit: impl FnMut(&'a [u8])) {
        match self {
            Self::Packed(run) => run.each(range.start as usize..range.end as usize, emit),
            Self::Large(list, heap) => list.range(heap, range, emit),
        }
    }

    /// Shows `visit` the elements `range`, the first one first or the last, with their indexes, until it breaks.
    #[inline]
    pub(crate) fn walk(
        &self,
        range: Range<u32>,
        from: End,
        mut visit: impl FnMut(u32, &'a [u8]) -> ControlFlow<()>,
    ) {
        let run = match self {
            Self::Packed(run) => run,
            Self::Large(list, heap) => return list.walk(heap, range, from, visit),
        };
        let elements = run.elements(range.start as usize..range.end as usize);
        let elements = elements.map(|field| field.bytes());
        let mut see = |(index, element)| visit(index, element);
        let _ = match from {
            End::Head => range.zip(elements).try_for_each(&mut see),
            End::Tail => range.rev().zip(elements.rev()).try_for_each(&mut see),
        };
    }

    /// The index of the first element that is `element` in `range`, or of the last.
    pub(crate) fn find(&self, range: Range<u32>, from: End, element: &[u8]) -> Option<u32> {
        match self {
            Self::Packed(run) => {
                let range = range.start as usize..range.end as usize;
                run.find(range, from, element).map(|at| at as u32)
            }
            Self::Large(list, heap) => list.find(heap, range, from, element),
        }
    }
}
