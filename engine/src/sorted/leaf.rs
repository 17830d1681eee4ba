//! Leaves: a run, with tags, in a block of its own.
//!
//! ```text
//!  0      1       5         9
//! +------+-------+---------+---------------------------+
//! | mark | owner | ordinal | a run, to the end         |
//! +------+-------+---------+---------------------------+
//! ```

use super::inner::{Bottom, Child, Prefix};
use super::run::{self, Run};
use super::{SortedSet, long, tag_of};
use crate::StoreError;
use crate::nodes::{Heap, NODE_HEAD_BYTES, NODE_MAX_BYTES, NodeKind};
use crate::raw::Block;

/// Bytes before the run.
pub(super) const HEADER_BYTES: usize = NODE_HEAD_BYTES;
/// A leaf that grows has room for a sixteenth more: what a size class rounds up to, about.
const ROOM_SHIFT: u32 = 4;
const ROOM_MIN_BYTES: usize = 24;
/// What may lie idle beside a part of what is used.
const IDLE_MIN_BYTES: usize = 48;

/// The run of a leaf.
#[inline(always)]
pub(super) fn run(heap: &Heap, block: Block) -> Run<'_> {
    Run::new(bytes(heap, block))
}

/// The bytes of the run of a leaf.
#[inline(always)]
pub(super) fn bytes(heap: &Heap, block: Block) -> &[u8] {
    let bytes = heap.arena.block_bytes(block);
    &heap.arena.tail(block)[HEADER_BYTES..bytes]
}

/// The bytes of the run of a leaf, to change.
#[inline(always)]
pub(super) fn bytes_mut(heap: &mut Heap, block: Block) -> &mut [u8] {
    let bytes = heap.arena.block_bytes(block);
    &mut heap.arena.tail_mut(block)[HEADER_BYTES..bytes]
}

/// Bytes of a run that uses so many, with room for what comes next, as far as a node has it.
pub(super) fn with_room(used: usize) -> usize {
    let roomy = used + (used >> ROOM_SHIFT).max(ROOM_MIN_BYTES);
    roomy.min(NODE_MAX_BYTES - HEADER_BYTES).max(used)
}

impl SortedSet {
    /// Bytes of a run in a leaf that is not to be divided.
    #[inline(always)]
    pub(super) fn run_max_bytes(&self) -> usize {
        self.bounds.leaf_bytes - HEADER_BYTES
    }

    /// A block for a leaf whose run has at least so many bytes, in which none is written.
    pub(super) fn leaf_block(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        run_bytes: usize,
    ) -> Result<Block, StoreError> {
        let bytes = HEADER_BYTES + run_bytes;
        assert!(bytes <= NODE_MAX_BYTES, "halves of a leaf fit a node");
        self.holdings
            .alloc(&mut heap.arena, bytes, NodeKind::Members, ordinal)
    }

    /// Gives a leaf a block for a run of at least so many bytes; that block.
    pub(super) fn resize_leaf(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        run_bytes: usize,
    ) -> Result<Block, StoreError> {
        let old = self.table.get(&heap.arena, ordinal);
        let new = self.leaf_block(heap, ordinal, run_bytes)?;
        let (old_bytes, new_bytes) = (heap.arena.block_bytes(old), heap.arena.block_bytes(new));
        let (from, to) = heap.arena.pair(old, new);
        run::copy(
            &from[HEADER_BYTES..old_bytes],
            &mut to[HEADER_BYTES..new_bytes],
        );
        self.put_in(heap, ordinal, old, new);
        Ok(new)
    }

    /// A node is in block `new` from now on.
    pub(super) fn put_in(&mut self, heap: &mut Heap, ordinal: u32, old: Block, new: Block) {
        self.holdings.free(&mut heap.arena, old);
        self.table.set(&mut heap.arena, ordinal, new);
    }

    /// Gives a leaf a shorter block if much of it lies idle: more than what is used, shifted by so many bits, and some bytes. Without memory
    /// for that, the long one does.
    pub(super) fn shorten_leaf(&mut self, heap: &mut Heap, ordinal: u32, idle_shift: u32) {
        let block = self.table.get(&heap.arena, ordinal);
        let run = run(heap, block);
        let used = run.used_bytes();
        if run.capacity() - used > (used >> idle_shift) + IDLE_MIN_BYTES {
            let _ = self.resize_leaf(heap, ordinal, used + (used >> ROOM_SHIFT));
        }
    }

    /// The entry of a leaf that has members.
    pub(super) fn leaf_child(&self, heap: &Heap, ordinal: u32) -> Child {
        let block = self.table.get(&heap.arena, ordinal);
        let run = run(heap, block);
        Child {
            ordinal,
            members: run.len() as u32,
            bottom: Bottom {
                score: run.score(0),
                prefix: Prefix::of(long::name(heap, run.body(0))),
            },
        }
    }

    /// The names of a leaf's members from `from` on, but for this one, are in leaf `to` now, which has them at `block`: long names and words
    /// of the index are to say so.
    pub(super) fn claim(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        block: Block,
        (from, to): (u32, u32),
        is_claimed: impl Fn(usize) -> bool,
    ) {
        let run = run(heap, block);
        let has_references = run.has_references();
        let members = (0..run.len()).filter(|&at| is_claimed(at));
        if let Some(index) = &mut self.index {
            let entries = run.entries(0..run.len()).enumerate();
            let claimed = entries.filter(|(at, _)| is_claimed(*at));
            let hashes: Vec<u64> = claimed
                .map(|(_, entry)| hash_of(long::name(heap, entry.body)))
                .collect();
            index.prefetch(heap, &hashes);
            for hash in hashes {
                index.repoint(heap, hash, from, to);
            }
        }
        if has_references {
            for at in members {
                let reference = long::reference(self::run(heap, block).body(at));
                long::set_leaf(heap, reference, to);
            }
        }
    }

    /// The hashes of the members of a leaf that have this tag.
    pub(super) fn hashes_in(
        &self,
        heap: &Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        ordinal: u32,
        tag: u8,
    ) -> Vec<u64> {
        let run = run(heap, self.table.get(&heap.arena, ordinal));
        let mut hashes = Vec::new();
        run.each_tagged(tag, |at| {
            let hash = hash_of(long::name(heap, run.body(at)));
            debug_assert_eq!(tag_of(hash), tag);
            hashes.push(hash);
            false
        });
        hashes
    }
}
