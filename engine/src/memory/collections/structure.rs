//! What a large collection is made of.

use crate::list::List;
use crate::nodes::{Heap, NodeKind, Owner};
use crate::raw::Block;
use crate::sorted::SortedSet;
use crate::spiral::{NodeSizes, Spiral};
use crate::stream::Stream;
use crate::{Kind, StoreError};

/// A large collection.
pub(crate) enum Structure {
    /// Elements by name.
    Spiral(Spiral),
    /// Elements in order.
    List(List),
    /// Members in the order of their scores.
    Sorted(SortedSet),
    /// Entries by id. Roots have much to say of such.
    Stream(Box<Stream>),
}

impl Structure {
    /// An empty one, for a value of this kind.
    pub(crate) fn new(heap: &mut Heap, kind: Kind, owner: Owner) -> Result<Self, StoreError> {
        match kind {
            Kind::String => unreachable!("a string is no collection"),
            Kind::List => Ok(Self::List(List::new(owner))),
            Kind::Set | Kind::Hash => {
                Ok(Self::Spiral(Spiral::new(heap, owner, &NodeSizes::FIELDS)?))
            }
            Kind::SortedSet => Ok(Self::Sorted(SortedSet::new(owner))),
            Kind::Stream => Ok(Self::Stream(Box::new(Stream::new(owner)))),
        }
    }

    /// The elements by name.
    #[inline]
    pub(crate) fn spiral(&self) -> &Spiral {
        match self {
            Self::Spiral(spiral) => spiral,
            _ => unreachable!("it is of another structure"),
        }
    }

    /// As [`Self::spiral`].
    #[inline]
    pub(crate) fn spiral_mut(&mut self) -> &mut Spiral {
        match self {
            Self::Spiral(spiral) => spiral,
            _ => unreachable!("it is of another structure"),
        }
    }

    /// The elements in order.
    #[inline]
    pub(crate) fn list(&self) -> &List {
        match self {
            Self::List(list) => list,
            _ => unreachable!("it is of another structure"),
        }
    }

    /// As [`Self::list`].
    #[inline]
    pub(crate) fn list_mut(&mut self) -> &mut List {
        match self {
            Self::List(list) => list,
            _ => unreachable!("it is of another structure"),
        }
    }

    /// The members in the order of their scores.
    #[inline]
    pub(crate) fn sorted(&self) -> &SortedSet {
        match self {
            Self::Sorted(set) => set,
            _ => unreachable!("it is of another structure"),
        }
    }

    /// As [`Self::sorted`].
    #[inline]
    pub(crate) fn sorted_mut(&mut self) -> &mut SortedSet {
        match self {
            Self::Sorted(set) => set,
            _ => unreachable!("it is of another structure"),
        }
    }

    /// The entries by id.
    #[inline]
    pub(crate) fn stream(&self) -> &Stream {
        match self {
            Self::Stream(stream) => stream,
            _ => unreachable!("it is of another structure"),
        }
    }

    /// As [`Self::stream`].
    #[inline]
    pub(crate) fn stream_mut(&mut self) -> &mut Stream {
        match self {
            Self::Stream(stream) => stream,
            _ => unreachable!("it is of another structure"),
        }
    }

    /// How many elements it has.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Spiral(spiral) => spiral.len(),
            Self::List(list) => list.len().into(),
            Self::Sorted(set) => set.len(),
            Self::Stream(stream) => stream.len(),
        }
    }

    /// Bytes of all its blocks and extents.
    #[inline]
    pub(crate) fn block_bytes(&self) -> u64 {
        match self {
            Self::Spiral(spiral) => spiral.block_bytes(),
            Self::List(list) => list.block_bytes(),
            Self::Sorted(set) => set.block_bytes(),
            Self::Stream(stream) => stream.block_bytes(),
        }
    }

    /// Bytes of its lists, which are not in the arena.
    #[inline]
    pub(crate) fn list_bytes(&self) -> u64 {
        match self {
            Self::Spiral(spiral) => spiral.list_bytes(),
            Self::List(list) => list.list_bytes(),
            Self::Sorted(set) => set.list_bytes(),
            Self::Stream(stream) => stream.list_bytes(),
        }
    }

    /// Bytes of its elements.
    #[inline]
    pub(crate) fn payload_bytes(&self) -> u64 {
        match self {
            Self::Spiral(spiral) => spiral.payload_bytes(),
            Self::List(list) => list.payload_bytes(),
            Self::Sorted(set) => set.payload_bytes(),
            Self::Stream(stream) => stream.payload_bytes(),
        }
    }

    /// Frees at most about so many blocks; how many they were, `None` when there is nothing left.
    pub(crate) fn dismantle(&mut self, heap: &mut Heap, budget: u32) -> Option<u32> {
        match self {
            Self::Spiral(spiral) => spiral.dismantle(heap, budget),
            Self::List(list) => list.dismantle(heap, budget),
            Self::Sorted(set) => set.dismantle(heap, budget),
            Self::Stream(stream) => stream.dismantle(heap, budget),
        }
    }

    /// Whether blocks wait to be freed that it has cut off.
    #[inline]
    pub(crate) fn has_some_to_reclaim(&self) -> bool {
        match self {
            Self::Spiral(_) | Self::Sorted(_) => false,
            Self::List(list) => list.has_some_to_reclaim(),
            Self::Stream(stream) => stream.has_some_to_reclaim(),
        }
    }

    /// Frees at most about so many of them; how many they were, `None` when there are none left.
    pub(crate) fn reclaim(&mut self, heap: &mut Heap, budget: u32) -> Option<u32> {
        match self {
            Self::Spiral(_) | Self::Sorted(_) => None,
            Self::List(list) => list.reclaim(heap, budget),
            Self::Stream(stream) => stream.reclaim(heap, budget),
        }
    }

    /// The content of `from`, a node of this kind, is in `to` now.
    pub(crate) fn block_moved(&mut self, heap: &mut Heap, kind: NodeKind, from: Block, to: Block) {
        match self {
            Self::Spiral(spiral) => spiral.block_moved(heap, kind, from, to),
            Self::List(list) => list.block_moved(heap, kind, from, to),
            Self::Sorted(set) => set.block_moved(heap, kind, from, to),
            Self::Stream(stream) => stream.block_moved(heap, kind, from, to),
        }
    }

    /// Verifies it; `hash_of` tells the hash of the name of an element.
    pub(crate) fn check(&self, heap: &Heap, hash_of: &impl Fn(&[u8]) -> u64) {
        match self {
            Self::Spiral(spiral) => spiral.check(heap, hash_of),
            Self::List(list) => list.check(heap),
            Self::Sorted(set) => set.check(heap, hash_of),
            Self::Stream(stream) => stream.check(heap),
        }
    }
}
