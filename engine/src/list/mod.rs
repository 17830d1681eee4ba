//! A large list: a tree of leaves of at most 4 KiB, whose first and last are held apart.
//!
//! ```text
//!              ┌─────────── inner ───────────┐            children by ordinal, with their elements: inner.rs
//!              │                             │
//!        ┌── inner ──┐               ┌──── inner ────┐
//!        │     │     │               │       │       │
//!  ends: head   leaf  leaf  leaf  …  leaf    leaf   leaf  tail     elements packed: packed.rs
//!        ▲ pushes, pops                                   ▲        those too long for that by reference: long.rs
//! ```
//! The leaf at an end takes what is pushed there, and gives what is popped, without a look at the tree: nothing shifts in it,
//! and only when it is full it goes into the tree, or the next comes out. One that has become empty stays until then, so that
//! pushing and popping by turns does not make and free leaves. A list that grows at one end only has no leaf at the other.
//!
//! Within the tree leaves divide when they are full, join a neighbour when both have become small, and lie in blocks of the size
//! that they need. What whole branches a removed range has are cut off at once, and freed in slices ([`List::reclaim`]), as
//! is all of a list that is no more ([`List::dismantle`]).
//!
//! Ordinals stay dense: the node of the last one takes the place of one that goes. For that a node says what its parent is.
//!
//! Cost: at the ends a leaf; elsewhere a descent, of two inner nodes at ten million elements, and a leaf.

mod check;
mod cut;
mod edit;
mod equal;
mod field;
mod inner;
mod layout;
mod leaf;
mod long;
mod pack;
mod packed;
mod relocate;
mod tree;
mod view;

#[cfg(any(test, feature = "model"))]
pub(crate) mod model;
#[cfg(any(test, feature = "model"))]
pub(crate) mod packed_model;
#[cfg(test)]
mod tests;

use std::ops::{ControlFlow, Range};

pub(crate) use equal::Sweep;
pub(crate) use field::Field;
pub(crate) use layout::Layout;
pub use packed::End;
pub(crate) use packed::{HEADER_BYTES as RUN_HEADER_BYTES, Packed, PackedMut};
pub(crate) use view::ListView;

use crate::StoreError;
use crate::limits::MAX_LIST_ELEMENTS;
use crate::nodes::{Heap, Holdings, NODE_MAX_BYTES, Owner, Path, Table};
use crate::raw::Block;

/// How large the nodes of a list become. Tests have smaller ones, so that few elements make a high tree.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Bytes of a leaf.
    leaf_bytes: usize,
    /// Elements of a leaf: a step may concern as many references.
    leaf_elements: usize,
    /// Children of an inner node.
    children: usize,
    /// Bytes of an element that lies in a leaf; at most about a quarter of the leaf's.
    inline_bytes: usize,
}

/// The bounds of every list but those of tests.
pub(crate) static BOUNDS: Bounds = Bounds {
    leaf_bytes: NODE_MAX_BYTES,
    leaf_elements: 256,
    children: inner::room_of(NODE_MAX_BYTES),
    inline_bytes: 1000,
};

/// No node.
const NONE: u32 = u32::MAX;

/// The leaf at an end, and what of it need not be read.
#[derive(Clone, Copy, Debug)]
struct EndLeaf {
    ordinal: u32,
    block: Block,
    elements: u32,
}

/// The root of a list.
pub(crate) struct List {
    bounds: &'static Bounds,
    table: Table,
    holdings: Holdings,
    /// The leaves before and behind the tree.
    ends: [Option<EndLeaf>; 2],
    /// The tree's first node: a leaf, or an inner node.
    root: u32,
    /// Inner nodes between the root and a leaf, both included.
    height: usize,
    /// Elements in the tree.
    tree_len: u32,
    /// Nodes that were cut off the tree, with all below them.
    detached: Vec<u32>,
    /// Bytes of elements, those below such nodes included.
    payload_bytes: u64,
}

/// Where an element is.
#[derive(Clone, Copy, Debug)]
struct Spot {
    /// The end whose leaf it is in, if it is not in the tree.
    end: Option<End>,
    /// What is above the leaf.
    path: Path,
    ordinal: u32,
    block: Block,
    at: usize,
}

impl List {
    /// An empty list.
    pub(crate) fn new(owner: Owner) -> Self {
        Self::with_bounds(owner, &BOUNDS)
    }

    fn with_bounds(owner: Owner, bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            table: Table::default(),
            holdings: Holdings::new(owner),
            ends: [None; 2],
            root: NONE,
            height: 0,
            tree_len: 0,
            detached: Vec::new(),
            payload_bytes: 0,
        }
    }

    #[inline(always)]
    fn elements_at(&self, end: End) -> u32 {
        self.ends[end as usize].map_or(0, |leaf| leaf.elements)
    }

    /// Number of elements.
    #[inline(always)]
    pub(crate) fn len(&self) -> u32 {
        self.elements_at(End::Head) + self.tree_len + self.elements_at(End::Tail)
    }

    /// Bytes of all its blocks and extents.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.holdings.bytes
    }

    /// Bytes of the elements, and of those cut off that are yet to be freed.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Bytes of its lists, which are not in the arena.
    pub(crate) fn list_bytes(&self) -> u64 {
        self.table.list_bytes() + (self.detached.capacity() * size_of::<u32>()) as u64
    }

    /// Whether an element so long has a place of its own.
    #[inline(always)]
    fn is_long(&self, bytes: usize) -> bool {
        bytes > self.bounds.inline_bytes
    }

    /// Adds an element at an end.
    ///
    /// # Errors
    /// Memory is out, or there are [`MAX_LIST_ELEMENTS`]; then nothing changed.
    #[inline]
    pub(crate) fn push(
        &mut self,
        heap: &mut Heap,
        end: End,
        element: &[u8],
    ) -> Result<(), StoreError> {
        if self.is_long(element.len()) {
            return self.push_long(heap, end, element);
        }
        self.push_field(heap, end, Field::inline(element))?;
        self.payload_bytes += element.len() as u64;
        Ok(())
    }

    #[cold]
    fn push_long(&mut self, heap: &mut Heap, end: End, element: &[u8]) -> Result<(), StoreError> {
        self.put(heap, element, |list, heap, field| {
            list.push_field(heap, end, field)?;
            let leaf = list.ends[end as usize].expect("it is in that leaf");
            long::set_leaf(heap, long::reference(field), leaf.ordinal);
            Ok(())
        })
    }

    #[inline]
    fn push_field(
        &mut self,
        heap: &mut Heap,
        end: End,
        field: Field<'_>,
    ) -> Result<(), StoreError> {
        if self.len() == MAX_LIST_ELEMENTS {
            return Err(StoreError::TooLarge);
        }
        if let Some(leaf) = &mut self.ends[end as usize]
            && (leaf.elements as usize) < self.bounds.leaf_elements
            && leaf::run_mut(heap, leaf.block).push(end, field)
        {
            leaf.elements += 1;
            return Ok(());
        }
        self.push_with_room(heap, end, field)
    }

    /// The element at an end.
    pub(crate) fn peek<'a>(&self, heap: &'a Heap, end: End) -> Option<&'a [u8]> {
        let last = self.len().checked_sub(1)?;
        self.get(heap, if end == End::Head { 0 } else { last })
    }

    /// Takes the element at an end out; what `read` makes of it, `None` if there is none.
    #[inline]
    pub(crate) fn pop<T>(
        &mut self,
        heap: &mut Heap,
        end: End,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        if self.elements_at(end) == 0 {
            return self.pop_beyond(heap, end, read);
        }
        Some(self.pop_from(heap, end, end, read))
    }

    /// Takes the element at `end` out of the leaf at `of`.
    #[inline(always)]
    fn pop_from<T>(
        &mut self,
        heap: &mut Heap,
        of: End,
        end: End,
        read: impl FnOnce(&[u8]) -> T,
    ) -> T {
        let leaf = self.ends[of as usize].as_mut().expect("it has elements");
        let mut run = leaf::run_mut(heap, leaf.block);
        let field = run.peek(end);
        if field.code().is_reference() {
            return self.pop_long(heap, of, end, read);
        }
        self.payload_bytes -= field.bytes().len() as u64;
        let result = read(field.bytes());
        run.pop(end);
        leaf.elements -= 1;
        result
    }

    #[cold]
    fn pop_long<T>(
        &mut self,
        heap: &mut Heap,
        of: End,
        end: End,
        read: impl FnOnce(&[u8]) -> T,
    ) -> T {
        let leaf = self.ends[of as usize].as_mut().expect("it has elements");
        leaf.elements -= 1;
        let (block, at) = (
            leaf.block,
            match end {
                End::Head => 0,
                End::Tail => leaf.elements as usize,
            },
        );
        let field = leaf::run(heap, block).get(at);
        let result = read(long::bytes(heap, field));
        self.discard(heap, block, std::iter::once(at));
        leaf::run_mut(heap, block).pop(end);
        result
    }

    #[cold]
    fn pop_beyond<T>(
        &mut self,
        heap: &mut Heap,
        end: End,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        if self.tree_len > 0 {
            self.take_end(heap, end);
            return Some(self.pop_from(heap, end, end, read));
        }
        let other = end.other();
        (self.elements_at(other) > 0).then(|| self.pop_from(heap, other, end, read))
    }

    /// Element `index`.
    #[inline]
    pub(crate) fn get<'a>(&self, heap: &'a Heap, index: u32) -> Option<&'a [u8]> {
        if index >= self.len() {
            return None;
        }
        let (block, at) = self.find_leaf(heap, index);
        let field = leaf::run(heap, block).get(at);
        Some(long::bytes(heap, field))
    }

    /// The leaf of element `index`, which there is, and which of its elements that is.
    #[inline(always)]
    fn find_leaf(&self, heap: &Heap, index: u32) -> (Block, usize) {
        let head = self.elements_at(End::Head);
        let behind = head + self.tree_len;
        if index >= head && index < behind {
            let (ordinal, at) = self.seek(heap, index - head, |_, _| ());
            return (self.table.get(&heap.arena, ordinal), at);
        }
        let (leaf, at) = self.leaf_at_end(index, head, behind);
        (leaf.block, at)
    }

    /// The leaf of element `index`, which is before the tree's or behind, and which of its elements that is.
    #[inline(always)]
    fn leaf_at_end(&self, index: u32, head: u32, behind: u32) -> (EndLeaf, usize) {
        let (end, at) = match index < head {
            true => (End::Head, index),
            false => (End::Tail, index - behind),
        };
        let leaf = self.ends[end as usize].expect("an element has a leaf");
        (leaf, at as usize)
    }

    /// Where element `index`, which there is, is.
    fn locate(&self, heap: &Heap, index: u32) -> Spot {
        let head = self.elements_at(End::Head);
        let behind = head + self.tree_len;
        if index >= head && index < behind {
            return self.descend(heap, index - head);
        }
        let (leaf, at) = self.leaf_at_end(index, head, behind);
        Spot {
            end: Some(if index < head { End::Head } else { End::Tail }),
            path: Path::EMPTY,
            ordinal: leaf.ordinal,
            block: leaf.block,
            at,
        }
    }

    /// Shows `visit` the elements `range`, leaf by leaf, the first leaf first or the last: the index of the first of a piece, the
    /// run that it is in, and which of the run's elements it is.
    #[inline]
    fn each_piece<'a>(
        &self,
        heap: &'a Heap,
        range: Range<u32>,
        from: End,
        mut visit: impl FnMut(u32, Packed<'a>, Range<usize>) -> ControlFlow<()>,
    ) {
        let Range { mut start, mut end } = range;
        while start < end {
            let index = if from == End::Head { start } else { end - 1 };
            let (block, at) = self.find_leaf(heap, index);
            let run = leaf::run(heap, block);
            let first = index - at as u32;
            let low = start.max(first) - first;
            let high = (end - first).min(run.len() as u32);
            let flow = visit(first + low, run, low as usize..high as usize);
            if flow.is_break() {
                return;
            }
            match from {
                End::Head => start = first + high,
                End::Tail => end = first + low,
            }
        }
    }

    /// Emits the elements `range`, which there are, in order.
    #[inline]
    pub(crate) fn range<'a>(
        &self,
        heap: &'a Heap,
        range: Range<u32>,
        mut emit: impl FnMut(&'a [u8]),
    ) {
        self.each_piece(heap, range, End::Head, |_, run, range| {
            match run.has_references() {
                true => run
                    .elements(range)
                    .for_each(|field| emit(long::bytes(heap, field))),
                false => run.each(range, &mut emit),
            }
            ControlFlow::Continue(())
        });
    }

    /// Shows `visit` the elements `range`, the first one first or the last, with their indexes, until it breaks.
    #[inline]
    pub(crate) fn walk<'a>(
        &self,
        heap: &'a Heap,
        range: Range<u32>,
        from: End,
        mut visit: impl FnMut(u32, &'a [u8]) -> ControlFlow<()>,
    ) {
        self.each_piece(heap, range, from, |first, run, range| {
            let indexes = first..first + range.len() as u32;
            let elements = run.elements(range);
            let mut see = |(index, field)| visit(index, long::bytes(heap, field));
            match from {
                End::Head => indexes.zip(elements).try_for_each(&mut see),
                End::Tail => indexes.rev().zip(elements.rev()).try_for_each(&mut see),
            }
        });
    }

    /// The index of the first element that is `element` in `range`, or of the last.
    pub(crate) fn find(
        &self,
        heap: &Heap,
        range: Range<u32>,
        from: End,
        element: &[u8],
    ) -> Option<u32> {
        let mut found = None;
        self.each_piece(heap, range, from, |first, run, range| {
            let start = range.start;
            let at = self.find_in(heap, run, range, from, element);
            found = at.map(|at| first + (at - start) as u32);
            match found {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        });
        found
    }

    /// Which of the elements `range` of a run is the first, or the last, that is `element`.
    fn find_in(
        &self,
        heap: &Heap,
        run: Packed<'_>,
        range: Range<usize>,
        from: End,
        element: &[u8],
    ) -> Option<usize> {
        if !self.is_long(element.len()) {
            return run.find(range, from, element);
        }
        run.position(range, from, |field| {
            field.code().is_reference() && long::bytes(heap, field) == element
        })
    }

    /// Frees what an element has outside of its leaf.
    fn free_field(&mut self, heap: &mut Heap, field: Field<'_>) {
        if let Some(long) = long::reference(field) {
            long.free(heap, &mut self.holdings);
        }
    }
}
