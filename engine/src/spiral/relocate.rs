//! What others do with the blocks of a collection: moving one, and freeing all in slices.

use super::address::{Bucket, POSITION_BITS};
use super::run::{Shape, repoint};
use super::{Spiral, long, run_mut_of, run_of};
use crate::nodes::{Heap, NodeKind, ordinal_of};
use crate::raw::Block;

impl Spiral {
    /// The content of `from`, a block of this collection, is in `to` now: whatever names the one is to name the other.
    ///
    /// # Panics
    /// It is not a block of this collection.
    pub(crate) fn block_moved(&mut self, heap: &mut Heap, kind: NodeKind, from: Block, to: Block) {
        let ordinal = ordinal_of(heap.arena.tail(to));
        match kind {
            NodeKind::Page => self.table.set_page(ordinal, to),
            NodeKind::Elements => self.moved(heap, ordinal, from, to),
            NodeKind::Long => self.long_moved(heap, from, to),
            _ => panic!("a spiral has no such nodes"),
        }
    }

    fn long_moved(&mut self, heap: &mut Heap, from: Block, to: Block) {
        let position = long::position(heap.arena.tail(to));
        // Also while it is dismantled: the last node has the upper half of a bucket, and the lower keeps its ordinal.
        let ordinal = Bucket::of(position, self.table.len()).ordinal();
        let is_repointed = self.blocks_of(heap, ordinal).any(|block| {
            let run = run_mut_of(heap, block);
            let shape = Shape::read(run);
            shape.has_references() && (0..shape.count).any(|at| repoint(run, &shape, at, from, to))
        });
        assert!(is_repointed, "a long name or value has an element");
    }

    /// Frees some of a collection that is in use no more, at most `budget` blocks and the references of one node beyond; how
    /// many blocks those were, `None` if none was left. Meanwhile blocks may move, and nothing else is to be asked of it.
    pub(crate) fn dismantle(&mut self, heap: &mut Heap, budget: u32) -> Option<u32> {
        let mut freed = 0;
        while freed < budget {
            let Some((_, block)) = self.overflow.pop() else {
                break;
            };
            freed += self.free_node(heap, block);
        }
        while freed < budget
            && let Some(block) = self.table.pop(&mut heap.arena, &mut self.holdings)
        {
            freed += self.free_node(heap, block);
        }
        (freed > 0).then_some(freed)
    }

    /// Frees a node and what its elements have elsewhere.
    fn free_node(&mut self, heap: &mut Heap, block: Block) -> u32 {
        let shape = Shape::read(run_of(heap, block));
        let mut freed = 1;
        if shape.has_references() {
            for at in 0..shape.count {
                let element = shape.element(run_of(heap, block), at);
                let references = [element.name().reference(), element.value().reference()];
                for reference in references.into_iter().filter(Option::is_some) {
                    long::free(heap, &mut self.holdings, reference);
                    freed += 1;
                }
            }
        }
        self.len -= shape.count as u64;
        self.holdings.free(&mut heap.arena, block);
        freed
    }
}

const _: () = assert!(POSITION_BITS == 48, "what a long block has of a position");
