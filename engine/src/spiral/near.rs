//! Bringing near: what operations on some elements will touch is asked for before any of it is read.
//!
//! ```text
//!  of all: the word of the table ──▶ of all: the node's first line, to write all its lines ──▶ of all: the element's lines, to read
//! ```
//! The misses of one look-up wait for each other, those of several do not. A change may copy its node: the lines of a node come at
//! once, not one behind the other as copying asks for them. The nodes that will be divided or merged by what many changes add or
//! take out are brought near with theirs.

use super::address::{Bucket, Position};
use super::run::{Shape, is_length};
use super::{MERGE_SHIFT, Spiral, run_of, tag_of};
use crate::limits::NEAR_AT_ONCE;
use crate::nodes::Heap;
use crate::raw::Block;

/// What for an element is brought near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To be read.
    Read,
    /// To be changed where it is, or removed.
    Change,
    /// To be given a value, of so many bytes if that is known; it may not be there yet.
    Write(Option<usize>),
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
            for (&hash, &at) in hashes.iter().zip(&at) {
                Self::ask_for_element(heap, Block(at), hash, intent);
            }
            if intent != Intent::Read {
                self.ask_for_balance(heap, hashes.len());
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

    /// Asks for a node's first line, or for all if they will be needed; its block.
    #[inline(always)]
    pub(crate) fn ask_for_node(&self, heap: &Heap, ordinal: u32, intent: Intent) -> Block {
        let block = self.table.get(&heap.arena, ordinal);
        match intent {
            Intent::Write(None) => heap.arena.prefetch_whole(block),
            _ => heap.arena.prefetch(block, 1),
        }
        block
    }

    /// Asks for the lines of what is probably the element of this hash. A value of another length, or an element more, may have the
    /// node copied: then for all of it.
    #[inline(always)]
    pub(crate) fn ask_for_element(heap: &Heap, block: Block, hash: u64, intent: Intent) {
        if intent == Intent::Write(None) {
            return;
        }
        let run = run_of(heap, block);
        let value_code = Shape::read(run).prefetch(run, tag_of(hash));
        if let Intent::Write(Some(len)) = intent
            && !value_code.is_some_and(|code| is_length(code, len))
        {
            heap.arena.prefetch_whole(block);
        }
    }

    /// Asks for the nodes that will be divided or merged if so many elements of ordinary size are added, or removed.
    #[inline]
    pub(crate) fn ask_for_balance(&self, heap: &Heap, changes: usize) {
        let (nodes, mean) = (self.table.len(), self.sizes.run_mean_bytes);
        let most = mean * u64::from(nodes);
        let changed = self.used_bytes / self.len.max(1) * changes as u64;
        if self.used_bytes + changed > most {
            let bucket = Bucket::to_divide(nodes);
            let block = self.table.get(&heap.arena, bucket.ordinal());
            heap.arena.prefetch_whole(block);
        } else if self.used_bytes + (most >> MERGE_SHIFT) + mean < most + changed && nodes > 1 {
            let halves = Bucket::to_divide(nodes - 1).halves();
            for half in halves {
                let block = self.table.get(&heap.arena, half.ordinal());
                heap.arena.prefetch_whole(block);
            }
        }
    }
}
