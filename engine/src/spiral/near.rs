//! Bringing near: what operations on some elements will touch is asked for before any of it is read.
//!
//! ```text
//!  of all: the word of the table ──▶ of all: the node's first line, to write all its lines ──▶ of all: the element's lines, to read
//! ```
//! The misses of one look-up wait for each other, those of several do not. A change may copy its node: the lines of a node come at
//! once, not one behind the other as copying asks for them. The nodes that will be divided or merged by what many changes add or
//! take out are brought near with theirs.

use super::address::{Bucket, Position};
use super::run::Shape;
use super::{MERGE_SHIFT, Spiral, run_of, tag_of};
use crate::limits::NEAR_AT_ONCE;
use crate::nodes::Heap;
use crate::raw::Block;

/// What for elements are brought near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To be read.
    Read,
    /// To be added, changed or removed.
    Write,
}

impl Spiral {
    /// Brings the elements of these hashes near, or where they are to be. One to be read is not, since it would be waited for as
    /// long. A hint: no effect but speed.
    #[inline]
    pub(crate) fn prefetch(&self, heap: &Heap, hashes: &[u64], intent: Intent) {
        if hashes.len() < 2 && intent == Intent::Read {
            return;
        }
        for hashes in hashes.chunks(NEAR_AT_ONCE) {
            let mut at = [0; NEAR_AT_ONCE];
            for (&hash, at) in hashes.iter().zip(&mut at) {
                *at = self.ask_for_word(heap, hash);
            }
            for (_, at) in hashes.iter().zip(&mut at) {
                *at = self.ask_for_node(heap, *at, intent).0;
            }
            match intent {
                Intent::Write => self.ask_for_balance(heap, hashes.len()),
                Intent::Read => {
                    for (&hash, &at) in hashes.iter().zip(&at) {
                        Self::ask_for_element(heap, Block(at), hash);
                    }
                }
            }
        }
    }

    /// Asks for the word of the table that says where the node of this hash is; its ordinal.
    #[inline(always)]
    pub(crate) fn ask_for_word(&self, heap: &Heap, hash: u64) -> u32 {
        let ordinal = Bucket::of(Position::of(hash), self.table.len()).ordinal();
        self.table.prefetch(&heap.arena, ordinal);
        ordinal
    }

    /// Asks for a node's lines; its block.
    #[inline(always)]
    pub(crate) fn ask_for_node(&self, heap: &Heap, ordinal: u32, intent: Intent) -> Block {
        let block = self.table.get(&heap.arena, ordinal);
        match intent {
            Intent::Read => heap.arena.prefetch(block, 1),
            Intent::Write => heap.arena.prefetch_whole(block),
        }
        block
    }

    /// Asks for the lines of what is probably the element of this hash.
    #[inline(always)]
    pub(crate) fn ask_for_element(heap: &Heap, block: Block, hash: u64) {
        let run = run_of(heap, block);
        Shape::read(run).prefetch(run, tag_of(hash));
    }

    /// Asks for the nodes that will be divided or merged if so many elements of ordinary size are added, or removed.
    #[inline]
    pub(crate) fn ask_for_balance(&self, heap: &Heap, changes: usize) {
        let (nodes, mean) = (self.table.len(), self.sizes.run_mean_bytes);
        let most = mean * u64::from(nodes);
        let changed = self.used_bytes / self.len.max(1) * changes as u64;
        if self.used_bytes + changed > most {
            let bucket = Bucket::to_divide(nodes);
            self.ask_for_node(heap, bucket.ordinal(), Intent::Write);
        } else if self.used_bytes + (most >> MERGE_SHIFT) + mean < most + changed && nodes > 1 {
            let halves = Bucket::to_divide(nodes - 1).halves();
            for half in halves {
                self.ask_for_node(heap, half.ordinal(), Intent::Write);
            }
        }
    }
}
