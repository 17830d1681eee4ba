//! Leaves: a packed run in a block of its own.
//!
//! ```text
//!  0      1       5         9        13
//! +------+-------+---------+--------+------------------------------+
//! | mark | owner | ordinal | parent | a packed run, to the end     |
//! +------+-------+---------+--------+------------------------------+
//! ```

use super::field::Field;
use super::inner::PARENT_AT;
use super::layout::Layout;
use super::packed::{self, End, Packed, PackedMut};
use super::{EndLeaf, List, long};
use crate::StoreError;
use crate::nodes::{Heap, NodeKind};
use crate::raw::Block;

/// Bytes before the run.
pub(super) const HEADER_BYTES: usize = PARENT_AT + 4;
/// Room of the first leaf, and the least by which one at an end grows.
const ROOM_MIN_BYTES: usize = 64;
/// A leaf in the tree has room for an eighth more when it grows, or divides; its block becomes shorter when more lies idle.
const ROOM_SHIFT: u32 = 3;
const IDLE_MIN_BYTES: usize = 64;
/// One that was at an end is not expected to grow: its block becomes shorter when a size class is to be had, a sixteenth.
const SEALED_SHIFT: u32 = 4;

/// The run of a leaf.
#[inline(always)]
pub(super) fn run(heap: &Heap, block: Block) -> Packed<'_> {
    let bytes = heap.arena.block_bytes(block);
    Packed::new(&heap.arena.tail(block)[HEADER_BYTES..bytes])
}

/// The run of a leaf, to change.
#[inline(always)]
pub(super) fn run_mut(heap: &mut Heap, block: Block) -> PackedMut<'_> {
    let bytes = heap.arena.block_bytes(block);
    PackedMut::new(&mut heap.arena.tail_mut(block)[HEADER_BYTES..bytes])
}

/// A copy of the bytes of a run.
pub(super) fn image(heap: &Heap, block: Block) -> Vec<u8> {
    let bytes = heap.arena.block_bytes(block);
    heap.arena.tail(block)[HEADER_BYTES..bytes].to_vec()
}

impl List {
    /// A leaf without elements, with room for a run of so many bytes, or as many as there may be.
    pub(super) fn new_leaf(
        &mut self,
        heap: &mut Heap,
        run_bytes: usize,
    ) -> Result<EndLeaf, StoreError> {
        let ordinal = self.table.len();
        let block = self.leaf_block(heap, ordinal, run_bytes)?;
        PackedMut::empty(&mut heap.arena.tail_mut(block)[HEADER_BYTES..][..packed::HEADER_BYTES]);
        let pushed = self.table.push(&mut heap.arena, &mut self.holdings, block);
        if let Err(error) = pushed {
            self.holdings.free(&mut heap.arena, block);
            return Err(error);
        }
        Ok(EndLeaf {
            ordinal,
            block,
            elements: 0,
        })
    }

    /// A block for a leaf, in which no run is written yet.
    pub(super) fn leaf_block(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        run_bytes: usize,
    ) -> Result<Block, StoreError> {
        let bytes = (HEADER_BYTES + run_bytes).min(self.bounds.leaf_bytes);
        self.holdings
            .alloc(&mut heap.arena, bytes, NodeKind::Leaf, ordinal)
    }

    /// Bytes of a run that has all that a leaf may have.
    pub(super) fn run_max_bytes(&self) -> usize {
        self.bounds.leaf_bytes - HEADER_BYTES
    }

    /// Whether a leaf may have an element with this code, too, in whatever block.
    pub(super) fn may_take(&self, run: Packed<'_>, field: Field<'_>) -> bool {
        run.len() < self.bounds.leaf_elements && run.used_with(field.code()) <= self.run_max_bytes()
    }

    /// Pushes an element where the leaf at the end has no room for it in its block, or there is no such leaf.
    #[cold]
    #[inline(never)]
    pub(super) fn push_with_room(
        &mut self,
        heap: &mut Heap,
        end: End,
        field: Field<'_>,
    ) -> Result<(), StoreError> {
        // A long list's leaves have all the room at once, a short one's as much as all of it has, by an eighth.
        let room = (self.holdings.bytes >> ROOM_SHIFT) as usize;
        let room = room.clamp(ROOM_MIN_BYTES, self.bounds.leaf_bytes);
        let old = self.ends[end as usize];
        let mut leaf = match old {
            Some(leaf) if self.may_take(run(heap, leaf.block), field) => {
                let used = run(heap, leaf.block).used_with(field.code());
                let block = self.resize_leaf(heap, leaf.ordinal, used + room, end)?;
                EndLeaf { block, ..leaf }
            }
            _ => {
                let bytes = packed::HEADER_BYTES + field.bytes().len();
                let leaf = self.new_leaf(heap, bytes + room)?;
                if let Some(old) = old
                    && let Err(error) = self.attach(heap, end, old)
                {
                    self.table.pop(&mut heap.arena, &mut self.holdings);
                    self.holdings.free(&mut heap.arena, leaf.block);
                    return Err(error);
                }
                leaf
            }
        };
        let is_there = run_mut(heap, leaf.block).push(end, field);
        assert!(is_there, "a leaf was given the room");
        leaf.elements += 1;
        self.ends[end as usize] = Some(leaf);
        Ok(())
    }

    /// Gives a leaf a block with room for a run of so many bytes; that block.
    pub(super) fn resize_leaf(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        run_bytes: usize,
        towards: End,
    ) -> Result<Block, StoreError> {
        let old = self.table.get(&heap.arena, ordinal);
        let new = self.leaf_block(heap, ordinal, run_bytes)?;
        let image = image(heap, old);
        let packed = Packed::new(&image);
        heap.arena
            .copy_between(old, PARENT_AT..HEADER_BYTES, new, PARENT_AT);
        self.write_run(
            heap,
            new,
            &Layout::new(&[(packed, 0..packed.len())]),
            towards,
        );
        self.put_in(heap, ordinal, old, new);
        Ok(new)
    }

    /// Writes a run into a block.
    pub(super) fn write_run(
        &self,
        heap: &mut Heap,
        block: Block,
        layout: &Layout<'_, '_>,
        towards: End,
    ) {
        let bytes = heap.arena.block_bytes(block);
        layout.write(
            &mut heap.arena.tail_mut(block)[HEADER_BYTES..bytes],
            towards,
        );
    }

    /// A leaf is in block `new` from now on.
    pub(super) fn put_in(&mut self, heap: &mut Heap, ordinal: u32, old: Block, new: Block) {
        self.holdings.free(&mut heap.arena, old);
        self.table.set(&mut heap.arena, ordinal, new);
        for leaf in self.ends.iter_mut().flatten() {
            if leaf.ordinal == ordinal {
                leaf.block = new;
            }
        }
    }

    /// Bytes that a run in the tree has for what comes next, when it uses so many.
    pub(super) fn room_for(used: usize) -> usize {
        used >> ROOM_SHIFT
    }

    /// Gives a leaf a shorter block if much of it lies idle; without memory for that, the long one does.
    pub(super) fn shorten_leaf(&mut self, heap: &mut Heap, ordinal: u32) {
        let idle_max = |used: usize| (used >> ROOM_SHIFT) + IDLE_MIN_BYTES;
        self.shorten_leaf_beyond(heap, ordinal, idle_max);
    }

    /// The same for a leaf that goes into the tree.
    pub(super) fn seal_leaf(&mut self, heap: &mut Heap, ordinal: u32) {
        self.shorten_leaf_beyond(heap, ordinal, |used| (used >> SEALED_SHIFT) + 16);
    }

    fn shorten_leaf_beyond(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        idle_max: impl Fn(usize) -> usize,
    ) {
        let block = self.table.get(&heap.arena, ordinal);
        let used = run(heap, block).used_bytes();
        let idle = heap.arena.block_bytes(block) - HEADER_BYTES - used;
        if idle > idle_max(used + HEADER_BYTES) {
            let _ = self.resize_leaf(heap, ordinal, used, End::Tail);
        }
    }

    /// The references of a leaf's elements from `first` on name a leaf of this ordinal.
    pub(super) fn claim_long(heap: &mut Heap, block: Block, first: usize, ordinal: u32) {
        if !run(heap, block).has_references() {
            return;
        }
        for at in first..run(heap, block).len() {
            let reference = long::reference(run(heap, block).get(at));
            long::set_leaf(heap, reference, ordinal);
        }
    }

    /// Elements of a leaf are about to go: frees what they have outside of it, and counts their bytes no more.
    pub(super) fn discard(
        &mut self,
        heap: &mut Heap,
        block: Block,
        elements: impl Iterator<Item = usize>,
    ) {
        let leaf = run(heap, block);
        if !leaf.has_references() {
            let bytes: usize = elements.map(|at| leaf.code(at).body_bytes()).sum();
            self.payload_bytes -= bytes as u64;
            return;
        }
        for at in elements {
            let field = run(heap, block).get(at);
            self.payload_bytes -= long::bytes(heap, field).len() as u64;
            if let Some(long) = long::reference(field) {
                long.free(heap, &mut self.holdings);
            }
        }
    }
}
