//! What is above the leaves: a leaf comes and goes, inner nodes divide and join, and all memory for that is taken before anything changes.

use super::StreamId;
use super::forest::{Forest, NONE, Path, TreeId};
use super::inner::{self, Child};
use super::leaf::{self, Build, Prelude};
use crate::nodes::{Heap, NodeKind, owner_of, write_head};
use crate::raw::Block;
use crate::{StoreError, UnixMillis};

/// Children for which a first inner node has room.
const ROOM_CHILDREN: usize = 4;

/// What a level of inner nodes needs for one more child, from the lowest level on.
#[derive(Clone, Copy)]
enum Room {
    /// Nothing.
    Fits,
    /// This block instead of its own.
    Grown(Block),
    /// This node beside it, so that the level above has one more child.
    Sibling(u32),
    /// This node above the root.
    Root(u32),
}

impl Forest {
    /// Puts a leaf behind the one that a way leads to, which has no id from `least` on; its ordinal. Without a way it is the first of its tree.
    /// No record of it is older than `oldest`, if its tree knows times.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(super) fn link_leaf(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        path: Option<&Path>,
        (build, bytes, (least, oldest)): (&Build, usize, (StreamId, UnixMillis)),
    ) -> Result<u32, StoreError> {
        let ordinal = self.add_node(heap, NodeKind::Leaf, bytes)?;
        let rooms = match path {
            None => Ok(Vec::new()),
            Some(path) => self.reserve(heap, id, path),
        };
        let rooms = match rooms {
            Ok(rooms) => rooms,
            Err(error) => {
                self.drop_last_node(heap);
                return Err(error);
            }
        };
        build.write(self.node_mut(heap, ordinal), id.0);
        self.tree_mut(id).leaves += 1;
        match path {
            None => self.tree_mut(id).root = ordinal,
            Some(path) => {
                let child = Child {
                    least,
                    ordinal,
                    oldest,
                };
                self.link(heap, id, (path, &rooms), child);
                self.note_oldest(id, oldest);
            }
        }
        if let Some(number) = build.names_apart() {
            self.long_names.keep(number);
        }
        Ok(ordinal)
    }

    /// A node with the next ordinal.
    fn add_node(
        &mut self,
        heap: &mut Heap,
        kind: NodeKind,
        bytes: usize,
    ) -> Result<u32, StoreError> {
        let ordinal = self.table.len();
        let block = self.holdings.alloc(&mut heap.arena, bytes, kind, ordinal)?;
        let pushed = self.table.push(&mut heap.arena, &mut self.holdings, block);
        if pushed.is_err() {
            self.holdings.free(&mut heap.arena, block);
        }
        pushed
    }

    fn drop_last_node(&mut self, heap: &mut Heap) {
        let block = self.table.pop(&mut heap.arena, &mut self.holdings);
        let block = block.expect("it has been added");
        self.holdings.free(&mut heap.arena, block);
    }

    /// An inner node without children, with room for so many.
    fn add_inner(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        children: usize,
    ) -> Result<u32, StoreError> {
        let has_times = self.tree(id).holds.has_times();
        let bytes = inner::bytes_of(children, has_times);
        let ordinal = self.add_node(heap, NodeKind::Inner, bytes)?;
        let node = self.node_mut(heap, ordinal);
        leaf::set_tree(node, id.0);
        inner::begin(node, has_times);
        Ok(ordinal)
    }

    /// Takes the memory that one more leaf behind this way needs above it.
    fn reserve(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        path: &Path,
    ) -> Result<Vec<Room>, StoreError> {
        let mut rooms = Vec::new();
        for &(ordinal, _) in path.steps().iter().rev() {
            match self.room_in(heap, id, ordinal) {
                Ok(Room::Sibling(sibling)) => rooms.push(Room::Sibling(sibling)),
                Ok(room) => {
                    rooms.push(room);
                    return Ok(rooms);
                }
                Err(error) => {
                    self.give_back(heap, rooms);
                    return Err(error);
                }
            }
        }
        match self.add_inner(heap, id, ROOM_CHILDREN) {
            Ok(root) => rooms.push(Room::Root(root)),
            Err(error) => {
                self.give_back(heap, rooms);
                return Err(error);
            }
        }
        Ok(rooms)
    }

    fn room_in(&mut self, heap: &mut Heap, id: TreeId, ordinal: u32) -> Result<Room, StoreError> {
        let tree = self.tree(id);
        let (most, has_times) = (tree.bounds.children, tree.holds.has_times());
        let node = self.node(heap, ordinal);
        let len = inner::len(node);
        if len < inner::room_of(node.len(), has_times).min(most) {
            return Ok(Room::Fits);
        }
        if len < most {
            let bytes = inner::bytes_of((2 * len).min(most), has_times);
            let kind = NodeKind::Inner;
            let block = self.holdings.alloc(&mut heap.arena, bytes, kind, ordinal)?;
            return Ok(Room::Grown(block));
        }
        self.add_inner(heap, id, most).map(Room::Sibling)
    }

    fn give_back(&mut self, heap: &mut Heap, rooms: Vec<Room>) {
        for room in rooms.into_iter().rev() {
            match room {
                Room::Fits => {}
                Room::Grown(block) => self.holdings.free(&mut heap.arena, block),
                Room::Sibling(_) | Room::Root(_) => self.drop_last_node(heap),
            }
        }
    }

    /// Puts a child behind the one that a way leads to.
    fn link(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        (path, rooms): (&Path, &[Room]),
        mut child: Child,
    ) {
        let mut steps = path.steps().iter().rev();
        for &room in rooms {
            let step = steps.next();
            let &(ordinal, slot) = match room {
                Room::Root(root) => return self.raise(heap, id, root, child),
                _ => step.expect("each level has its room"),
            };
            let at = usize::from(slot) + 1;
            match room {
                Room::Root(_) => unreachable!("that has been seen to"),
                Room::Fits => return inner::insert(self.node_mut(heap, ordinal), at, child),
                Room::Grown(block) => {
                    self.move_inner(heap, ordinal, block);
                    return inner::insert(self.node_mut(heap, ordinal), at, child);
                }
                Room::Sibling(sibling) => child = self.divide(heap, (ordinal, at), sibling, child),
            }
        }
    }

    /// Gives an inner node another block.
    fn move_inner(&mut self, heap: &mut Heap, ordinal: u32, block: Block) {
        let old = self.block(heap, ordinal);
        let used = inner::used_bytes(self.node(heap, ordinal));
        let from = crate::nodes::NODE_HEAD_BYTES;
        heap.arena.copy_between(old, from..used, block, from);
        self.holdings.free(&mut heap.arena, old);
        self.table.set(&mut heap.arena, ordinal, block);
    }

    /// Puts a child into a full node, half of which goes to a sibling; the sibling. One that comes behind all others goes alone,
    /// so that what grows at its end leaves full nodes behind.
    fn divide(
        &mut self,
        heap: &mut Heap,
        (ordinal, at): (u32, usize),
        sibling: u32,
        child: Child,
    ) -> Child {
        let mut children: Vec<Child> = inner::children(self.node(heap, ordinal)).collect();
        let half = match at == children.len() {
            true => at,
            false => children.len() / 2,
        };
        children.insert(at, child);
        for (node, children) in [(ordinal, &children[..half]), (sibling, &children[half..])] {
            let node = self.node_mut(heap, node);
            inner::set_len(node, children.len());
            for (slot, child) in children.iter().enumerate() {
                inner::set_child(node, slot, *child);
            }
        }
        Child {
            least: children[half].least,
            ordinal: sibling,
            oldest: inner::oldest(self.node(heap, sibling)),
        }
    }

    /// Puts a root above the root and what comes beside it.
    fn raise(&mut self, heap: &mut Heap, id: TreeId, root: u32, child: Child) {
        let old = self.tree(id).root;
        let (least, oldest) = match self.tree(id).height {
            0 => (self.leaf(heap, old).base(), inner::UNKNOWN),
            _ => {
                let node = self.node(heap, old);
                (inner::child(node, 0).least, inner::oldest(node))
            }
        };
        let first = Child {
            least,
            ordinal: old,
            oldest,
        };
        let node = self.node_mut(heap, root);
        inner::insert(node, 0, first);
        inner::insert(node, 1, child);
        let tree = self.tree_mut(id);
        tree.root = root;
        tree.height += 1;
    }

    /// Takes out a leaf that a way leads to, and frees it. What its records refer to is freed before.
    pub(super) fn unlink(&mut self, heap: &mut Heap, id: TreeId, path: &Path, ordinal: u32) {
        let mut vacant = Vec::new();
        self.release_names(heap, ordinal);
        self.free_node(heap, ordinal, &mut vacant);
        self.tree_mut(id).leaves -= 1;
        let mut is_empty = true;
        for (depth, &(above, slot)) in path.steps().iter().enumerate().rev() {
            let node = self.node_mut(heap, above);
            inner::remove(node, slot.into());
            is_empty = inner::len(node) == 0;
            if !is_empty {
                if let Some(depth) = depth.checked_sub(1) {
                    self.join_inner(heap, id, path.steps()[depth], &mut vacant);
                }
                break;
            }
            self.free_node(heap, above, &mut vacant);
        }
        if is_empty {
            let tree = self.tree_mut(id);
            (tree.root, tree.height, tree.tail) = (NONE, 0, NONE);
        }
        self.lower(heap, id, &mut vacant);
        self.vacate(heap, vacant);
    }

    /// A leaf has its names no more.
    pub(super) fn release_names(&mut self, heap: &mut Heap, ordinal: u32) {
        if let Prelude::Apart(number) = self.leaf(heap, ordinal).prelude() {
            let freed = self.long_names.release(heap, &mut self.holdings, number);
            self.payload_bytes -= freed as u64;
        }
    }

    /// Takes roots away that have a single child.
    fn lower(&mut self, heap: &mut Heap, id: TreeId, vacant: &mut Vec<u32>) {
        while self.tree(id).height > 0 {
            let root = self.tree(id).root;
            let node = self.node(heap, root);
            if inner::len(node) > 1 {
                return;
            }
            let child = inner::child(node, 0).ordinal;
            let tree = self.tree_mut(id);
            tree.root = child;
            tree.height -= 1;
            self.free_node(heap, root, vacant);
        }
    }

    fn free_node(&mut self, heap: &mut Heap, ordinal: u32, vacant: &mut Vec<u32>) {
        let block = self.block(heap, ordinal);
        self.holdings.free(&mut heap.arena, block);
        vacant.push(ordinal);
    }

    /// Joins a child, an inner node, and a neighbour, if one of the two has become small and both leave room.
    fn join_inner(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        (above, slot): (u32, u16),
        vacant: &mut Vec<u32>,
    ) {
        let tree = self.tree(id);
        let (most, has_times) = (tree.bounds.children, tree.holds.has_times());
        let slot = usize::from(slot);
        let count = inner::len(self.node(heap, above));
        let len_of = |slot: usize| {
            let child = inner::child(self.node(heap, above), slot);
            inner::len(self.node(heap, child.ordinal))
        };
        if len_of(slot) > most / 4 {
            return;
        }
        let pairs = [
            Some((slot, slot + 1)),
            slot.checked_sub(1).map(|left| (left, slot)),
        ];
        let pair = pairs
            .into_iter()
            .flatten()
            .find(|&(left, right)| right < count && len_of(left) + len_of(right) <= most * 3 / 4);
        let Some((left, right)) = pair else {
            return;
        };
        let node = self.node(heap, above);
        let [low, high] = [left, right].map(|slot| inner::child(node, slot));
        let mut moved: Vec<Child> = inner::children(self.node(heap, high.ordinal)).collect();
        // What is below its first child may be less than that one says, since it was the first.
        moved[0].least = high.least;
        let len = inner::len(self.node(heap, low.ordinal)) + moved.len();
        if inner::room_of(self.node(heap, low.ordinal).len(), has_times) < len {
            let bytes = inner::bytes_of((len + ROOM_CHILDREN).min(most), has_times);
            let (arena, kind) = (&mut heap.arena, NodeKind::Inner);
            let Ok(block) = self.holdings.alloc(arena, bytes, kind, low.ordinal) else {
                return;
            };
            self.move_inner(heap, low.ordinal, block);
        }
        let node = self.node_mut(heap, low.ordinal);
        for child in moved {
            inner::insert(node, inner::len(node), child);
        }
        self.free_node(heap, high.ordinal, vacant);
        let node = self.node_mut(heap, above);
        inner::remove(node, right);
        let oldest = low.oldest.min(high.oldest);
        inner::set_child(node, left, Child { oldest, ..low });
    }

    /// Gives these ordinals, whose nodes are freed, up; those of the last nodes take their places.
    fn vacate(&mut self, heap: &mut Heap, mut vacant: Vec<u32>) {
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
        let block = self.block(heap, from);
        let node = heap.arena.tail(block);
        let kind = NodeKind::of(node[0]).expect("a node has a kind");
        let (owner, id) = (owner_of(node), TreeId(leaf::tree_of(node)));
        if self.tree(id).root == from {
            self.tree_mut(id).root = to;
        } else {
            self.rename_above(heap, id, from, to);
        }
        if self.tree(id).tail == from {
            self.tree_mut(id).tail = to;
        }
        self.table.set(&mut heap.arena, to, block);
        write_head(heap.arena.tail_mut(block), kind, owner, to);
        if kind == NodeKind::Leaf {
            self.claim_long(heap, to);
        }
    }

    /// What names the node `from` is to name it `to`: it is on the way to what is below that.
    fn rename_above(&mut self, heap: &mut Heap, id: TreeId, from: u32, to: u32) {
        let mut below = from;
        while NodeKind::of(self.node(heap, below)[0]) == Some(NodeKind::Inner) {
            below = inner::child(self.node(heap, below), 0).ordinal;
        }
        let some_id = self.leaf(heap, below).base();
        let (path, _) = self.descend(heap, id, some_id);
        for &(above, slot) in path.steps() {
            let node = self.node_mut(heap, above);
            let child = inner::child(node, slot.into());
            if child.ordinal == from {
                let child = Child {
                    ordinal: to,
                    ..child
                };
                return inner::set_child(node, slot.into(), child);
            }
        }
        unreachable!("a node's ids lead to it");
    }
}
