//! What happens to nodes as such: they move, and are freed in slices.

use super::{SortedSet, VACANT, leaf, long, run};
use crate::nodes::{Heap, NodeKind, Table, ordinal_of};
use crate::raw::Block;

impl SortedSet {
    pub(super) fn is_inner(&self, heap: &Heap, ordinal: u32) -> bool {
        let block = self.table.get(&heap.arena, ordinal);
        NodeKind::of(heap.arena.tail(block)[0]) == Some(NodeKind::Branches)
    }

    /// The content of `from`, a block of this sorted set, is in `to` now: whatever names the one is to name the other.
    ///
    /// # Panics
    /// It is not a block of this sorted set.
    pub(crate) fn block_moved(&mut self, heap: &mut Heap, kind: NodeKind, from: Block, to: Block) {
        let ordinal = ordinal_of(heap.arena.tail(to));
        match kind {
            NodeKind::Page if Table::is_of_second(ordinal) => self.second().set_page(ordinal, to),
            NodeKind::Page => self.table.set_page(ordinal, to),
            NodeKind::Words => {
                let table = self.second();
                assert_eq!(table.get(&heap.arena, ordinal), from);
                table.set(&mut heap.arena, ordinal, to);
            }
            NodeKind::Members | NodeKind::Branches => {
                assert_eq!(self.table.get(&heap.arena, ordinal), from);
                self.table.set(&mut heap.arena, ordinal, to);
            }
            NodeKind::Long => self.long_moved(heap, ordinal, from, to),
            _ => panic!("a sorted set has no such nodes"),
        }
    }

    /// The table of the index.
    fn second(&mut self) -> &mut Table {
        let index = self.index.as_mut();
        &mut index.expect("its nodes are there").table
    }

    fn long_moved(&self, heap: &mut Heap, ordinal: u32, from: Block, to: Block) {
        let block = self.table.get(&heap.arena, ordinal);
        let run = leaf::run(heap, block);
        let reference = from.0.to_le_bytes();
        let at = (0..run.len()).find(|&at| {
            let body = run.body(at);
            body.is_block() && body.bytes() == reference
        });
        let at = at.expect("a long name is in its leaf");
        run::repoint(leaf::bytes_mut(heap, block), at, &to.0.to_le_bytes());
    }

    /// Frees some of a sorted set that is in use no more, about `budget` blocks; how many those were, `None` if none was left.
    /// Meanwhile blocks may move, and nothing else is to be asked of it.
    pub(crate) fn dismantle(&mut self, heap: &mut Heap, budget: u32) -> Option<u32> {
        let mut left = budget;
        while left > 0
            && let Some(index) = &mut self.index
        {
            match index.free_one(heap, &mut self.holdings) {
                true => left -= 1,
                false => self.index = None,
            }
        }
        while left > 0
            && let Some(last) = self.table.len().checked_sub(1)
        {
            let block = self.table.get(&heap.arena, last);
            if block != VACANT {
                if !self.is_inner(heap, last) && !self.free_names(heap, block, &mut left) {
                    break;
                }
                self.holdings.free(&mut heap.arena, block);
                left = left.saturating_sub(1);
            }
            self.table.pop(&mut heap.arena, &mut self.holdings);
        }
        (left < budget).then_some(budget - left)
    }

    /// Takes the members of a leaf that has long names out, as far as `left` allows; whether none is left.
    fn free_names(&mut self, heap: &mut Heap, block: Block, left: &mut u32) -> bool {
        while leaf::run(heap, block).has_references() {
            if *left == 0 {
                return false;
            }
            let at = leaf::run(heap, block).len() - 1;
            let body = leaf::run(heap, block).body(at);
            if let Some(long) = long::reference(body) {
                long.free(heap, &mut self.holdings);
                *left -= 1;
            }
            run::remove(leaf::bytes_mut(heap, block), at..at + 1);
        }
        true
    }
}
