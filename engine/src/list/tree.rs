//! The tree between the ends: descending, and leaves that come in and go out.
//!
//! What a change needs is taken before it is made ([`List::reserve`]), so that without memory nothing changes. An inner node
//! that is full divides; where the new child is at its very end, the new node gets that child alone, so that a list
//! which grows at an end has full nodes.

use super::inner::{self, Child};
use super::packed::End;
use super::{EndLeaf, List, NONE, Spot, leaf};
use crate::StoreError;
use crate::nodes::{Heap, NodeKind, Path, Step};
use crate::raw::Block;

/// Children for which the first inner node has room, and by which one grows besides a quarter.
const ROOM_CHILDREN: usize = 4;

/// Inner nodes without children, for what is to be linked.
pub(super) struct Spares(Vec<u32>);

/// A node to be linked beside another: behind it or before.
#[derive(Clone, Copy)]
struct Beside {
    is_behind: bool,
    child: Child,
}

impl List {
    #[inline(always)]
    pub(super) fn node<'a>(&self, heap: &'a Heap, ordinal: u32) -> &'a [u8] {
        heap.arena.tail(self.table.get(&heap.arena, ordinal))
    }

    #[inline(always)]
    pub(super) fn node_mut<'a>(&self, heap: &'a mut Heap, ordinal: u32) -> &'a mut [u8] {
        let block = self.table.get(&heap.arena, ordinal);
        heap.arena.tail_mut(block)
    }

    /// Which leaf has element `index` of the tree, and which of its elements that is; the inner nodes above are shown to `pass`.
    #[inline(always)]
    pub(super) fn seek(
        &self,
        heap: &Heap,
        index: u32,
        mut pass: impl FnMut(u32, usize),
    ) -> (u32, usize) {
        let (mut ordinal, mut at) = (self.root, index);
        for _ in 0..self.height {
            let node = self.node(heap, ordinal);
            let (slot, rest) = inner::find(node, at);
            pass(ordinal, slot);
            (ordinal, at) = (inner::child(node, slot).ordinal, rest);
        }
        (ordinal, at as usize)
    }

    /// Where element `index` of the tree is.
    pub(super) fn descend(&self, heap: &Heap, index: u32) -> Spot {
        let mut path = Path::EMPTY;
        let (ordinal, at) = self.seek(heap, index, |ordinal, slot| path.push(ordinal, slot));
        let block = self.table.get(&heap.arena, ordinal);
        Spot {
            end: None,
            path,
            ordinal,
            block,
            at,
        }
    }

    /// The way to the first leaf, or the last, and its ordinal.
    fn way_to_end(&self, heap: &Heap, end: End) -> (Path, u32) {
        let (mut path, mut ordinal) = (Path::EMPTY, self.root);
        for _ in 0..self.height {
            let node = self.node(heap, ordinal);
            let slot = match end {
                End::Head => 0,
                End::Tail => inner::len(node) - 1,
            };
            path.push(ordinal, slot);
            ordinal = inner::child(node, slot).ordinal;
        }
        (path, ordinal)
    }

    /// So many elements more, or fewer, are below the end of a path.
    pub(super) fn count(&mut self, heap: &mut Heap, path: &Path, change: i64) {
        for step in path.steps() {
            let node = self.node_mut(heap, step.ordinal);
            let mut child = inner::child(node, step.slot());
            child.elements = (i64::from(child.elements) + change) as u32;
            inner::set_child(node, step.slot(), child);
        }
        self.tree_len = (i64::from(self.tree_len) + change) as u32;
    }

    /// Puts the leaf at an end into the tree. It is still at the end, too.
    pub(super) fn attach(
        &mut self,
        heap: &mut Heap,
        end: End,
        leaf: EndLeaf,
    ) -> Result<(), StoreError> {
        if self.root == NONE {
            self.root = leaf.ordinal;
        } else {
            let (path, _) = self.way_to_end(heap, end);
            let spares = self.reserve(heap, &path)?;
            let child = Child {
                ordinal: leaf.ordinal,
                elements: leaf.elements,
            };
            self.link(heap, &path, end == End::Tail, child, spares);
        }
        self.tree_len += leaf.elements;
        self.seal_leaf(heap, leaf.ordinal);
        Ok(())
    }

    /// Takes the tree's first leaf, or last, out to the end. The leaf there, if any, has no elements.
    pub(super) fn take_end(&mut self, heap: &mut Heap, end: End) {
        let (path, ordinal) = self.way_to_end(heap, end);
        let block = self.table.get(&heap.arena, ordinal);
        let elements = leaf::run(heap, block).len() as u32;
        let taken = EndLeaf {
            ordinal,
            block,
            elements,
        };
        let empty = self.ends[end as usize].replace(taken);
        self.tree_len -= elements;
        let mut vacant = Vec::new();
        match path.bottom() {
            None => self.root = NONE,
            Some(step) => {
                let node = self.node_mut(heap, step.ordinal);
                inner::remove(node, step.slot()..step.slot() + 1);
                self.settle(heap, &path, &mut vacant);
            }
        }
        if let Some(empty) = empty {
            debug_assert_eq!(empty.elements, 0);
            self.holdings.free(&mut heap.arena, empty.block);
            vacant.push(empty.ordinal);
        }
        self.vacate(heap, vacant);
    }

    /// Makes sure that a child can be linked at the end of a path.
    pub(super) fn reserve(&mut self, heap: &mut Heap, path: &Path) -> Result<Spares, StoreError> {
        let mut divided = 0;
        let mut is_root_divided = true;
        for step in path.steps().iter().rev() {
            let block = self.table.get(&heap.arena, step.ordinal);
            let count = inner::len(heap.arena.tail(block));
            if count < self.bounds.children {
                let room = inner::room_of(heap.arena.block_bytes(block));
                if room == count {
                    self.resize_inner(heap, step.ordinal, count + count / 4 + ROOM_CHILDREN)?;
                }
                is_root_divided = false;
                break;
            }
            divided += 1;
        }
        let half = self.bounds.children.div_ceil(2) + 1;
        let halves = std::iter::repeat_n(half, divided);
        let root = is_root_divided.then_some(ROOM_CHILDREN);
        let mut spares = Vec::new();
        for room in halves.chain(root) {
            match self.new_inner(heap, room) {
                Ok(ordinal) => spares.push(ordinal),
                Err(error) => {
                    for _ in spares {
                        let block = self.table.pop(&mut heap.arena, &mut self.holdings);
                        let block = block.expect("it was pushed");
                        self.holdings.free(&mut heap.arena, block);
                    }
                    return Err(error);
                }
            }
        }
        Ok(Spares(spares))
    }

    fn inner_block(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        room: usize,
    ) -> Result<Block, StoreError> {
        let bytes = inner::bytes_of(room.min(self.bounds.children));
        self.holdings
            .alloc(&mut heap.arena, bytes, NodeKind::Inner, ordinal)
    }

    fn new_inner(&mut self, heap: &mut Heap, room: usize) -> Result<u32, StoreError> {
        let block = self.inner_block(heap, self.table.len(), room)?;
        inner::set_len(heap.arena.tail_mut(block), 0);
        let pushed = self.table.push(&mut heap.arena, &mut self.holdings, block);
        if pushed.is_err() {
            self.holdings.free(&mut heap.arena, block);
        }
        pushed
    }

    /// Gives an inner node a block for so many children.
    fn resize_inner(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        room: usize,
    ) -> Result<(), StoreError> {
        let old = self.table.get(&heap.arena, ordinal);
        let new = self.inner_block(heap, ordinal, room)?;
        let count = inner::len(heap.arena.tail(old));
        inner::set_len(heap.arena.tail_mut(new), count);
        let used = inner::PARENT_AT..inner::bytes_of(count);
        heap.arena.copy_between(old, used, new, inner::PARENT_AT);
        self.put_in(heap, ordinal, old, new);
        Ok(())
    }

    /// Links a child behind the end of a path, or before it, and reckons the elements on the path anew.
    pub(super) fn link(
        &mut self,
        heap: &mut Heap,
        path: &Path,
        is_behind: bool,
        child: Child,
        spares: Spares,
    ) {
        let mut spares = spares.0.into_iter();
        let mut spare = || spares.next().expect("as many as needed were reserved");
        let mut beside = Some(Beside { is_behind, child });
        for (level, step) in path.steps().iter().enumerate().rev() {
            if let Some(Beside { is_behind, child }) = beside.take() {
                let slot = step.slot() + usize::from(is_behind);
                beside = self.add_child(heap, step.ordinal, slot, child, &mut spare);
            }
            if level > 0 {
                self.recount(heap, path.steps()[level - 1], step.ordinal);
            }
        }
        if let Some(Beside { is_behind, child }) = beside {
            let root = spare();
            let elements = match self.height {
                0 => self.tree_len,
                _ => inner::elements(self.node(heap, self.root)),
            };
            let ordinal = self.root;
            let mut children = [Child { ordinal, elements }, child];
            if !is_behind {
                children.reverse();
            }
            inner::append(self.node_mut(heap, root), &children);
            self.adopt(heap, root, &children);
            self.root = root;
            self.height += 1;
        }
    }

    /// The entry above an inner node says how many elements are below the node.
    pub(super) fn recount(&self, heap: &mut Heap, above: Step, ordinal: u32) {
        let elements = inner::elements(self.node(heap, ordinal));
        let child = Child { ordinal, elements };
        inner::set_child(self.node_mut(heap, above.ordinal), above.slot(), child);
    }

    /// Adds a child to an inner node; what has divided from it is to be linked beside it.
    fn add_child(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        slot: usize,
        child: Child,
        spare: &mut impl FnMut() -> u32,
    ) -> Option<Beside> {
        let count = inner::len(self.node(heap, ordinal));
        if count < self.bounds.children {
            inner::insert(self.node_mut(heap, ordinal), slot, child);
            self.adopt(heap, ordinal, &[child]);
            return None;
        }
        let new = spare();
        let is_behind = slot > 0;
        let (home, slot) = if slot == 0 || slot == count {
            (new, 0)
        } else {
            let half = count / 2;
            let moved: Vec<Child> = inner::children(self.node(heap, ordinal))
                .skip(half)
                .collect();
            inner::remove(self.node_mut(heap, ordinal), half..count);
            inner::append(self.node_mut(heap, new), &moved);
            self.adopt(heap, new, &moved);
            if slot <= half {
                (ordinal, slot)
            } else {
                (new, slot - half)
            }
        };
        inner::insert(self.node_mut(heap, home), slot, child);
        self.adopt(heap, home, &[child]);
        let elements = inner::elements(self.node(heap, new));
        let child = Child {
            ordinal: new,
            elements,
        };
        Some(Beside { is_behind, child })
    }

    /// What is above these nodes is the node of this ordinal.
    pub(super) fn adopt(&self, heap: &mut Heap, parent: u32, children: &[Child]) {
        for child in children {
            inner::set_parent(self.node_mut(heap, child.ordinal), parent);
        }
    }

    /// Children have gone from the inner nodes of a path: reckons their elements anew, from below, frees those that have none,
    /// joins those that have few, and makes the tree as low as it can be. Ordinals of nodes freed go to `vacant`.
    pub(super) fn settle(&mut self, heap: &mut Heap, path: &Path, vacant: &mut Vec<u32>) {
        for (level, step) in path.steps().iter().enumerate().skip(1).rev() {
            let above = path.steps()[level - 1];
            let count = inner::len(self.node(heap, step.ordinal));
            if count == 0 {
                let node = self.node_mut(heap, above.ordinal);
                inner::remove(node, above.slot()..above.slot() + 1);
                self.free_node(heap, step.ordinal, vacant);
                continue;
            }
            self.recount(heap, above, step.ordinal);
            if count <= self.bounds.children / 4 {
                self.join_inner(heap, above, vacant);
            }
        }
        while self.height > 0 {
            let root = self.root;
            let node = self.node(heap, root);
            match inner::len(node) {
                0 => (self.root, self.height) = (NONE, 0),
                1 => {
                    self.root = inner::child(node, 0).ordinal;
                    self.height -= 1;
                }
                _ => break,
            }
            self.free_node(heap, root, vacant);
        }
    }

    /// Frees a node whose content is elsewhere, or nowhere.
    pub(super) fn free_node(&mut self, heap: &mut Heap, ordinal: u32, vacant: &mut Vec<u32>) {
        let block = self.table.get(&heap.arena, ordinal);
        self.holdings.free(&mut heap.arena, block);
        vacant.push(ordinal);
    }

    /// The slots of a child and a neighbour that together have at most `most` of what `amount` tells, the left one first.
    pub(super) fn neighbours(
        &self,
        heap: &Heap,
        at: Step,
        most: usize,
        amount: impl Fn(&Heap, u32) -> usize,
    ) -> Option<[usize; 2]> {
        let node = self.node(heap, at.ordinal);
        let amount_of = |slot: usize| amount(heap, inner::child(node, slot).ordinal);
        let own = amount_of(at.slot());
        let right = at.slot() + 1;
        if right < inner::len(node) && own + amount_of(right) <= most {
            return Some([at.slot(), right]);
        }
        let left = at.slot().checked_sub(1)?;
        (own + amount_of(left) <= most).then_some([left, at.slot()])
    }

    /// Joins an inner node and a neighbour below the same one, if both fit one with room to spare.
    fn join_inner(&mut self, heap: &mut Heap, at: Step, vacant: &mut Vec<u32>) {
        let most = self.bounds.children * 3 / 4;
        let amount = |heap: &Heap, ordinal| inner::len(self.node(heap, ordinal));
        let Some(slots) = self.neighbours(heap, at, most, amount) else {
            return;
        };
        let [left, right] = slots.map(|slot| inner::child(self.node(heap, at.ordinal), slot));
        let moved: Vec<Child> = inner::children(self.node(heap, right.ordinal)).collect();
        let block = self.table.get(&heap.arena, left.ordinal);
        let count = inner::len(heap.arena.tail(block)) + moved.len();
        if inner::room_of(heap.arena.block_bytes(block)) < count
            && self
                .resize_inner(heap, left.ordinal, count + ROOM_CHILDREN)
                .is_err()
        {
            return;
        }
        inner::append(self.node_mut(heap, left.ordinal), &moved);
        self.adopt(heap, left.ordinal, &moved);
        self.free_node(heap, right.ordinal, vacant);
        let node = self.node_mut(heap, at.ordinal);
        let elements = left.elements + right.elements;
        let joined = Child { elements, ..left };
        inner::set_child(node, slots[0], joined);
        inner::remove(node, slots[1]..slots[1] + 1);
    }
}
