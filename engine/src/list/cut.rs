//! Taking ranges out, and keeping leaves from becoming small.
//!
//! ```text
//!             a ──────────────────────────────── b
//!   leaf   le│af   leaf   inner   inner   leaf   le│af
//!          └ 1 ┘   └────────── 2 ─────────────┘   └ 1 ┘
//! ```
//! In the leaves where a range begins and ends its elements go at once (1). What is between is cut off as whole branches (2): on each
//! level at most twice as many as a node has children, freed later. Then the nodes on both sides of the cut are balanced.

use std::ops::Range;

use super::inner::{self, Child};
use super::layout::Layout;
use super::packed::{End, Packed};
use super::{List, NONE, Spot, leaf};
use crate::nodes::Heap;

/// How full two leaves that are joined make one, at most: three quarters. Only one that has half as much looks at its
/// neighbours.
const JOINED_64THS: usize = 48;

impl List {
    /// Takes the elements `range`, which there are, out.
    pub(crate) fn remove(&mut self, heap: &mut Heap, range: Range<u32>) {
        let head = self.elements_at(End::Head);
        let behind = head + self.tree_len;
        let Range { start, end } = range;
        if end > behind {
            let from = start.max(behind) - behind;
            self.remove_at_end(heap, End::Tail, from..end - behind);
        }
        let in_tree = start.max(head)..end.min(behind);
        if !in_tree.is_empty() {
            self.cut(heap, in_tree.start - head..in_tree.end - head);
        }
        if start < head {
            self.remove_at_end(heap, End::Head, start..end.min(head));
        }
    }

    fn remove_at_end(&mut self, heap: &mut Heap, end: End, range: Range<u32>) {
        let leaf = self.ends[end as usize].expect("it has elements");
        let range = range.start as usize..range.end as usize;
        self.discard(heap, leaf.block, range.clone());
        leaf::run_mut(heap, leaf.block).remove(range.clone());
        let leaf = self.ends[end as usize].as_mut().expect("as before");
        leaf.elements -= range.len() as u32;
    }

    /// Takes elements of the tree out.
    fn cut(&mut self, heap: &mut Heap, range: Range<u32>) {
        let Range { start, mut end } = range;
        let spot = self.descend(heap, start);
        let elements = leaf::run(heap, spot.block).len();
        let in_leaf = (end - start) as usize;
        if spot.at + in_leaf <= elements {
            self.remove_in(heap, &spot, spot.at..spot.at + in_leaf);
            self.balance(heap, &spot);
            return;
        }
        if spot.at > 0 {
            self.remove_in(heap, &spot, spot.at..elements);
            end -= (elements - spot.at) as u32;
        }
        if end < self.tree_len {
            let spot = self.descend(heap, end);
            if spot.at > 0 {
                self.remove_in(heap, &spot, 0..spot.at);
                end -= spot.at as u32;
            }
        }
        if end - start == self.tree_len {
            self.detached.push(self.root);
            (self.root, self.height, self.tree_len) = (NONE, 0, 0);
            return;
        }
        if start < end {
            self.cut_below(heap, self.root, start..end);
            self.tree_len -= end - start;
        }
        for index in [start.checked_sub(1), Some(start)].into_iter().flatten() {
            if index < self.tree_len {
                let spot = self.descend(heap, index);
                self.balance(heap, &spot);
                let path = self.descend(heap, index).path;
                let mut vacant = Vec::new();
                self.settle(heap, &path, &mut vacant);
                self.vacate(heap, vacant);
            }
        }
    }

    /// Takes elements out of the run of a leaf of the tree.
    fn remove_in(&mut self, heap: &mut Heap, spot: &Spot, range: Range<usize>) {
        self.discard(heap, spot.block, range.clone());
        leaf::run_mut(heap, spot.block).remove(range.clone());
        self.count(heap, &spot.path, -(range.len() as i64));
    }

    /// Cuts off what an inner node has of a range that begins and ends between leaves.
    fn cut_below(&mut self, heap: &mut Heap, ordinal: u32, range: Range<u32>) {
        let mut first = 0;
        let mut whole = 0..0;
        let mut parts = Vec::new();
        for (slot, child) in inner::children(self.node(heap, ordinal)).enumerate() {
            let behind = first + child.elements;
            let cut = range.start.max(first)..range.end.min(behind);
            if cut.len() == child.elements as usize {
                whole = if whole.is_empty() { slot } else { whole.start }..slot + 1;
                self.detached.push(child.ordinal);
            } else if !cut.is_empty() {
                parts.push((slot, child, cut.start - first..cut.end - first));
            }
            first = behind;
        }
        for (slot, child, range) in parts {
            let elements = child.elements - range.len() as u32;
            self.cut_below(heap, child.ordinal, range);
            let node = self.node_mut(heap, ordinal);
            inner::set_child(node, slot, Child { elements, ..child });
        }
        inner::remove(self.node_mut(heap, ordinal), whole);
    }

    /// Frees a leaf of the tree that has no elements, joins it with a neighbour if both are small, or gives it a shorter block;
    /// then the nodes above likewise.
    pub(super) fn balance(&mut self, heap: &mut Heap, spot: &Spot) {
        let run = leaf::run(heap, spot.block);
        let mut vacant = Vec::new();
        if run.len() == 0 {
            self.free_node(heap, spot.ordinal, &mut vacant);
            match spot.path.bottom() {
                None => self.root = NONE,
                Some(step) => {
                    let node = self.node_mut(heap, step.ordinal);
                    inner::remove(node, step.slot()..step.slot() + 1);
                }
            }
        } else if !self.join_leaf(heap, spot, &mut vacant) {
            self.shorten_leaf(heap, spot.ordinal);
        }
        if vacant.is_empty() {
            return;
        }
        self.settle(heap, &spot.path, &mut vacant);
        self.vacate(heap, vacant);
    }

    /// Joins a leaf and a neighbour below the same inner node, if both fit one with room to spare; whether they did.
    fn join_leaf(&mut self, heap: &mut Heap, spot: &Spot, vacant: &mut Vec<u32>) -> bool {
        let Some(step) = spot.path.bottom() else {
            return false;
        };
        // Of what a leaf may have, in 64ths: of bytes or of elements, whichever is more.
        let fill = |heap: &Heap, ordinal| {
            let run = leaf::run(heap, self.table.get(&heap.arena, ordinal));
            let bytes = run.used_bytes() * 64 / self.run_max_bytes();
            bytes.max(run.len() * 64 / self.bounds.leaf_elements)
        };
        if fill(heap, spot.ordinal) > JOINED_64THS / 2 {
            return false;
        }
        let Some(slots) = self.neighbours(heap, step, JOINED_64THS, fill) else {
            return false;
        };
        let [left, right] = slots.map(|slot| inner::child(self.node(heap, step.ordinal), slot));
        let blocks = [left, right].map(|child| self.table.get(&heap.arena, child.ordinal));
        let images = blocks.map(|block| leaf::image(heap, block));
        let runs = [Packed::new(&images[0]), Packed::new(&images[1])];
        let parts = runs.map(|run| (run, 0..run.len()));
        let layout = Layout::new(&parts);
        let used = layout.used_bytes();
        if used > self.run_max_bytes() {
            return false;
        }
        let bytes = used + Self::room_for(used);
        let Ok(block) = self.leaf_block(heap, left.ordinal, bytes) else {
            return false;
        };
        inner::set_parent(heap.arena.tail_mut(block), step.ordinal);
        self.write_run(heap, block, &layout, End::Tail);
        self.put_in(heap, left.ordinal, blocks[0], block);
        Self::claim_long(heap, block, runs[0].len(), left.ordinal);
        self.free_node(heap, right.ordinal, vacant);
        let node = self.node_mut(heap, step.ordinal);
        let elements = left.elements + right.elements;
        inner::set_child(node, slots[0], Child { elements, ..left });
        inner::remove(node, slots[1]..slots[1] + 1);
        true
    }
}
