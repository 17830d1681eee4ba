//! What others do with the blocks of a collection: moving one, copying all, and freeing all in slices.

use super::address::{Bucket, POSITION_BITS};
use super::run::{Element, NewElement, Shape, append, repoint};
use super::{Spiral, long, run_mut_of, run_of};
use crate::StoreError;
use crate::nodes::{Heap, Holdings, NodeKind, Owner, Table, ordinal_of};
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
            NodeKind::Leaf | NodeKind::Inner => panic!("a spiral has no such nodes"),
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

    /// Another collection of the same elements, in blocks of the same sizes. Takes as long as there are elements.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn duplicate(&self, heap: &mut Heap, owner: Owner) -> Result<Self, StoreError> {
        let mut copy = Self {
            sizes: self.sizes,
            table: Table::default(),
            holdings: Holdings::new(owner),
            overflow: Vec::new(),
            len: 0,
            volatile: self.volatile,
            agenda: self.agenda.clone(),
            used_bytes: 0,
            payload_bytes: self.payload_bytes,
        };
        match copy.copy_nodes(heap, self) {
            Ok(()) => Ok(copy),
            Err(error) => {
                while copy.dismantle(heap, u32::MAX).is_some() {}
                Err(error)
            }
        }
    }

    fn copy_nodes(&mut self, heap: &mut Heap, of: &Self) -> Result<(), StoreError> {
        for ordinal in 0..of.table.len() {
            let block = of.table.get(&heap.arena, ordinal);
            let copy = self.copy_node(heap, block, ordinal)?;
            if let Err(error) = self.table.push(&mut heap.arena, &mut self.holdings, copy) {
                self.free_node(heap, copy);
                return Err(error);
            }
        }
        for &(ordinal, block) in &of.overflow {
            let copy = self.copy_node(heap, block, ordinal)?;
            self.overflow.push((ordinal, copy));
        }
        Ok(())
    }

    /// A copy of a node, and of what its elements have elsewhere.
    fn copy_node(
        &mut self,
        heap: &mut Heap,
        block: Block,
        ordinal: u32,
    ) -> Result<Block, StoreError> {
        let shape = Shape::read(run_of(heap, block));
        let copy = self.block_for(heap, ordinal, shape.capacity)?;
        let image = run_of(heap, block)[..shape.capacity].to_vec();
        let run = run_mut_of(heap, copy);
        if !shape.has_references() {
            run[..shape.capacity].copy_from_slice(&image);
            self.len += shape.count as u64;
            self.used_bytes += shape.used() as u64;
            return Ok(copy);
        }
        let mut copied = Shape::empty(shape.capacity);
        copied.write(run);
        for at in 0..shape.count {
            let element = shape.element(&image, at);
            if let Err(error) = self.copy_element(heap, copy, &mut copied, &element) {
                self.free_node(heap, copy);
                return Err(error);
            }
            self.len += 1;
        }
        self.used_bytes += copied.used() as u64;
        copied.set_overflows(shape.overflows());
        copied.write(run_mut_of(heap, copy));
        Ok(copy)
    }

    fn copy_element(
        &mut self,
        heap: &mut Heap,
        node: Block,
        shape: &mut Shape,
        element: &Element<'_>,
    ) -> Result<(), StoreError> {
        let name = long::duplicate(heap, &mut self.holdings, element.name())?;
        let value = match long::duplicate(heap, &mut self.holdings, element.value()) {
            Ok(value) => value,
            Err(error) => {
                long::free(heap, &mut self.holdings, name.field().reference());
                return Err(error);
            }
        };
        let copied = NewElement {
            tag: element.tag,
            name: name.field(),
            value: value.field(),
            deadline: element.deadline,
        };
        let new = shape.with(copied.name.code, copied.value.code, copied.deadline);
        append(run_mut_of(heap, node), shape, &new, &copied);
        *shape = new;
        Ok(())
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
