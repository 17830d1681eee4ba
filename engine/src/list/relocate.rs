//! What happens to nodes as such: they move, get other ordinals, and are freed in slices.

use super::field::Code;
use super::{List, inner, leaf};
use crate::nodes::{Heap, NodeKind, ordinal_of, write_head};
use crate::raw::Block;

impl List {
    /// The content of `from`, a block of this list, is in `to` now: whatever names the one is to name the other.
    ///
    /// # Panics
    /// It is not a block of this list.
    pub(crate) fn block_moved(&mut self, heap: &mut Heap, kind: NodeKind, from: Block, to: Block) {
        let ordinal = ordinal_of(heap.arena.tail(to));
        match kind {
            NodeKind::Page => self.table.set_page(ordinal, to),
            NodeKind::Long => self.long_moved(heap, ordinal, from, to),
            NodeKind::Leaf | NodeKind::Inner => {
                assert_eq!(self.table.get(&heap.arena, ordinal), from);
                self.table.set(&mut heap.arena, ordinal, to);
                for leaf in self.ends.iter_mut().flatten() {
                    if leaf.ordinal == ordinal {
                        leaf.block = to;
                    }
                }
            }
            _ => panic!("a list has no such nodes"),
        }
    }

    fn long_moved(&self, heap: &mut Heap, ordinal: u32, from: Block, to: Block) {
        let block = self.table.get(&heap.arena, ordinal);
        let run = leaf::run(heap, block);
        let reference = from.0.to_le_bytes();
        let mut elements = run.elements(0..run.len());
        let at = elements
            .position(|field| field.code() == Code::IN_BLOCK && field.bytes() == reference)
            .expect("a long element is in its leaf");
        leaf::run_mut(heap, block).repoint(at, &to.0.to_le_bytes());
    }

    /// Gives these ordinals, whose nodes are freed, up; those of the last nodes take their places.
    pub(super) fn vacate(&mut self, heap: &mut Heap, mut vacant: Vec<u32>) {
        vacant.sort_unstable();
        for &ordinal in vacant.iter().rev() {
            let last = self.table.len() - 1;
            if ordinal != last {
                self.rename(heap, last, ordinal);
            }
            self.table.pop(&mut heap.arena, &mut self.holdings);
        }
    }

    /// The node `from` is `to` from now on.
    fn rename(&mut self, heap: &mut Heap, from: u32, to: u32) {
        let block = self.table.get(&heap.arena, from);
        let node = heap.arena.tail(block);
        let kind = NodeKind::of(node[0]).expect("a node has a kind");
        let parent = inner::parent(node);
        self.rename_above(heap, parent, from, to);
        self.table.set(&mut heap.arena, to, block);
        write_head(heap.arena.tail_mut(block), kind, self.holdings.owner, to);
        if kind == NodeKind::Inner {
            for slot in 0..inner::len(heap.arena.tail(block)) {
                let child = inner::child(heap.arena.tail(block), slot);
                inner::set_parent(self.node_mut(heap, child.ordinal), to);
            }
        } else {
            Self::claim_long(heap, block, 0, to);
        }
    }

    /// What names the node `from` is to name it `to`.
    fn rename_above(&mut self, heap: &mut Heap, parent: u32, from: u32, to: u32) {
        if self.root == from {
            self.root = to;
            return;
        }
        if let Some(leaf) = self
            .ends
            .iter_mut()
            .flatten()
            .find(|leaf| leaf.ordinal == from)
        {
            leaf.ordinal = to;
            return;
        }
        // What is cut off may say anything; but only its parent has it.
        if parent < self.table.len() {
            let node = self.node_mut(heap, parent);
            if NodeKind::of(node[0]) == Some(NodeKind::Inner)
                && let Some(slot) = inner::slot_of(node, from)
            {
                let child = inner::child(node, slot);
                inner::set_child(
                    node,
                    slot,
                    inner::Child {
                        ordinal: to,
                        ..child
                    },
                );
                return;
            }
        }
        let mut detached = self.detached.iter_mut();
        let named = detached.find(|ordinal| **ordinal == from);
        *named.expect("a node has a parent, is at an end, or was cut off") = to;
    }

    /// Whether nodes that were cut off wait to be freed.
    pub(crate) fn has_some_to_reclaim(&self) -> bool {
        !self.detached.is_empty()
    }

    /// Frees some of what was cut off, about `budget` blocks; how many those were, `None` if none was left.
    pub(crate) fn reclaim(&mut self, heap: &mut Heap, budget: u32) -> Option<u32> {
        let mut left = budget;
        while left > 0
            && let Some(&ordinal) = self.detached.last()
        {
            let block = self.table.get(&heap.arena, ordinal);
            if NodeKind::of(heap.arena.tail(block)[0]) == Some(NodeKind::Inner) {
                self.detached.pop();
                let children = inner::children(heap.arena.tail(block));
                self.detached.extend(children.map(|child| child.ordinal));
                self.holdings.free(&mut heap.arena, block);
                left -= 1;
            } else if self.free_leaf(heap, block, &mut left) {
                self.detached.pop();
            } else {
                break;
            }
            self.vacate(heap, vec![ordinal]);
        }
        if self.detached.is_empty() {
            self.detached = Vec::new();
        }
        (left < budget).then_some(budget - left)
    }

    /// Frees some of a list that is in use no more, about `budget` blocks; how many those were, `None` if none was left. Meanwhile
    /// blocks may move, and nothing else is to be asked of it.
    pub(crate) fn dismantle(&mut self, heap: &mut Heap, budget: u32) -> Option<u32> {
        self.ends = [None; 2];
        let mut left = budget;
        while left > 0
            && let Some(last) = self.table.len().checked_sub(1)
        {
            let block = self.table.get(&heap.arena, last);
            if NodeKind::of(heap.arena.tail(block)[0]) == Some(NodeKind::Inner) {
                self.holdings.free(&mut heap.arena, block);
                left -= 1;
            } else if !self.free_leaf(heap, block, &mut left) {
                break;
            }
            self.table.pop(&mut heap.arena, &mut self.holdings);
        }
        (left < budget).then_some(budget - left)
    }

    /// Frees a leaf and what its elements have elsewhere, as far as `left` allows; whether the leaf itself is freed.
    fn free_leaf(&mut self, heap: &mut Heap, block: Block, left: &mut u32) -> bool {
        if leaf::run(heap, block).has_references() {
            while let Some(at) = leaf::run(heap, block).len().checked_sub(1) {
                if *left == 0 {
                    return false;
                }
                let field = leaf::run(heap, block).get(at);
                *left -= u32::from(field.code().is_reference());
                self.discard(heap, block, std::iter::once(at));
                leaf::run_mut(heap, block).remove(at..at + 1);
            }
        }
        self.payload_bytes -= leaf::run(heap, block).payload_bytes() as u64;
        self.holdings.free(&mut heap.arena, block);
        *left = left.saturating_sub(1);
        true
    }
}
