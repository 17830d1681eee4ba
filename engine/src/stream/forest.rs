//! The trees of a stream: its entries, what its groups have pending, and what of that each consumer has, all in nodes of one table.
//!
//! ```text
//!  trees: 0 entries      root ─▶ inner ─▶ … ─▶ leaf leaf leaf … leaf ◀─ tail      inner.rs, leaf.rs
//!         1 pending of a group                                     └ with the last id: what is added mostly comes behind
//!         2 of a consumer …
//! ```
//! A node says which tree it is in, and a leaf's ids lead to it: so whoever names a node is found without the node saying it,
//! and no leaf is touched for what happens above it. Ordinals stay dense: the node of the last one takes the place of one that goes.

use std::ops::ControlFlow;

use super::leaf::{self, Build, Draft, Edited, LONG, Leaf, LeafMut, Place, Prelude};
use super::long_names::LongNames;
use super::{StreamId, inner};
use crate::nodes::{Heap, Holdings, Long, NODE_MAX_BYTES, NodeKind, Owner, Table};
use crate::raw::Block;
use crate::{Direction, StoreError, UnixMillis};

/// The most inner nodes between a root and a leaf: each but the root has two children at least, and ordinals have 32 bits.
const HEIGHT_MAX: usize = 32;
/// No node.
pub(super) const NONE: u32 = u32::MAX;
/// A tree of no more leaves is freed at once.
const FREED_AT_ONCE_LEAVES: u32 = 16;
/// Room of the first leaf, and the least by which one grows at its end.
pub(super) const ROOM_MIN_BYTES: usize = 48;
/// A block becomes shorter when more than an eighth and so many bytes lie idle.
const IDLE_MIN_BYTES: usize = 64;

/// Which tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TreeId(pub(super) u32);

/// How large the nodes of a tree become. Tests have smaller ones, so that few records make a high tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes of a leaf.
    pub(super) leaf_bytes: usize,
    /// Records of a leaf.
    pub(super) leaf_records: usize,
    /// Children of an inner node.
    pub(super) children: usize,
    /// Bytes of a body that lies in its leaf.
    pub(super) inline_bytes: usize,
}

impl Bounds {
    /// Those of trees whose bodies are short.
    pub(super) const SHORT: Self = Self {
        leaf_bytes: NODE_MAX_BYTES / 2,
        leaf_records: 2048,
        children: inner::room_of(NODE_MAX_BYTES, false),
        inline_bytes: NODE_MAX_BYTES / 8,
    };
}

/// What the records of a tree are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Entries, with fields.
    Entries,
    /// What is pending with a group, with all that is known of it, and at what time it was delivered.
    Deliveries,
    /// Ids alone.
    Ids,
}

impl Holds {
    #[inline]
    pub(super) fn has_bodies(self) -> bool {
        self != Self::Ids
    }

    #[inline]
    pub(super) fn has_times(self) -> bool {
        self == Self::Deliveries
    }
}

/// A tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    pub(super) bounds: Bounds,
    pub(super) holds: Holds,
    pub(super) root: u32,
    /// Inner nodes between the root and a leaf, both included.
    pub(super) height: usize,
    /// The last leaf.
    pub(super) tail: u32,
    /// Number of leaves.
    pub(super) leaves: u32,
    /// Number of records.
    pub(super) len: u64,
    /// The greatest id.
    pub(super) last: StreamId,
    /// Of no child it is said that all below it is newer than this.
    pub(super) newest_oldest: UnixMillis,
}

/// All trees of a stream, and their nodes.
pub(super) struct Forest {
    pub(super) table: Table,
    pub(super) holdings: Holdings,
    trees: Vec<Option<Tree>>,
    vacant: Vec<TreeId>,
    /// Trees that are read no more, and wait to be freed.
    felled: Vec<TreeId>,
    /// Bytes of the records in leaves, and of what lies elsewhere of them.
    pub(super) payload_bytes: u64,
    pub(super) long_names: LongNames,
}

/// The way from a root to a leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    steps: [(u32, u16); HEIGHT_MAX],
    len: usize,
}

impl Path {
    pub(super) fn steps(&self) -> &[(u32, u16)] {
        &self.steps[..self.len]
    }

    fn push(&mut self, ordinal: u32, slot: usize) {
        self.steps[self.len] = (ordinal, slot as u16);
        self.len += 1;
    }
}

/// A record as readers see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) id: StreamId,
    pub(super) flags: u8,
    pub(super) body: &'a [u8],
    /// The names that its leaf has.
    pub(super) names: &'a [u8],
}

/// Where a body that is a reference says that it is.
pub(super) fn long_of(body: &[u8]) -> Long {
    match body.len() {
        4 => Long::of_block(body),
        _ => Long::of_extent(body),
    }
}

impl Forest {
    pub(super) fn new(owner: Owner) -> Self {
        Self {
            table: Table::default(),
            holdings: Holdings::new(owner),
            trees: Vec::new(),
            vacant: Vec::new(),
            felled: Vec::new(),
            payload_bytes: 0,
            long_names: LongNames::default(),
        }
    }

    /// Bytes of lists, which are not in the arena.
    pub(super) fn list_bytes(&self) -> u64 {
        let trees = self.trees.capacity() * size_of::<Option<Tree>>();
        let vacant = (self.vacant.capacity() + self.felled.capacity()) * size_of::<TreeId>();
        let lists = trees + vacant + self.long_names.list_bytes();
        self.table.list_bytes() + lists as u64
    }

    /// Makes a tree without records.
    pub(super) fn plant(&mut self, bounds: Bounds, holds: Holds) -> TreeId {
        let most = inner::room_of(NODE_MAX_BYTES, holds.has_times());
        let tree = Tree {
            bounds: Bounds {
                children: bounds.children.min(most),
                ..bounds
            },
            holds,
            root: NONE,
            height: 0,
            tail: NONE,
            leaves: 0,
            len: 0,
            last: StreamId::MIN,
            newest_oldest: inner::UNKNOWN,
        };
        match self.vacant.pop() {
            Some(id) => {
                self.trees[id.0 as usize] = Some(tree);
                id
            }
            None => {
                if self.trees.is_empty() {
                    // Most streams have no groups.
                    self.trees.reserve_exact(1);
                }
                self.trees.push(Some(tree));
                TreeId(self.trees.len() as u32 - 1)
            }
        }
    }

    /// Takes a tree out that has no records.
    pub(super) fn uproot(&mut self, id: TreeId) {
        assert_eq!(self.tree(id).root, NONE, "it has no nodes");
        self.trees[id.0 as usize] = None;
        self.vacant.push(id);
    }

    /// A tree is read no more: it is freed in slices, unless it is small. How many blocks were freed.
    pub(super) fn fell(&mut self, heap: &mut Heap, id: TreeId) -> u32 {
        let before = self.table.len();
        match self.tree(id).leaves > FREED_AT_ONCE_LEAVES {
            true => self.felled.push(id),
            false => self.clear(heap, id),
        }
        before - self.table.len()
    }

    /// Takes a tree out with all its records.
    fn clear(&mut self, heap: &mut Heap, id: TreeId) {
        while self.tree(id).root != NONE {
            self.remove_first_leaf(heap, id);
        }
        self.uproot(id);
    }

    /// Trees that are read no more.
    pub(super) fn felled(&self) -> &[TreeId] {
        &self.felled
    }

    /// Frees some of what is read no more, about `budget` blocks; how many those were, `None` if none was left.
    pub(super) fn free_felled(&mut self, heap: &mut Heap, budget: u32) -> Option<u32> {
        let before = self.table.len();
        while before - self.table.len() < budget
            && let Some(&id) = self.felled.last()
        {
            match self.tree(id).root {
                NONE => {
                    self.felled.pop();
                    self.uproot(id);
                }
                _ => drop(self.remove_first_leaf(heap, id)),
            }
        }
        if self.felled.is_empty() {
            self.felled = Vec::new();
        }
        let freed = before - self.table.len();
        (freed > 0).then_some(freed)
    }

    #[inline(always)]
    pub(super) fn tree(&self, id: TreeId) -> &Tree {
        let tree = self.trees[id.0 as usize].as_ref();
        tree.expect("whoever names a tree has it")
    }

    #[inline(always)]
    pub(super) fn tree_mut(&mut self, id: TreeId) -> &mut Tree {
        let tree = self.trees[id.0 as usize].as_mut();
        tree.expect("whoever names a tree has it")
    }

    /// All trees there are.
    pub(super) fn trees(&self) -> impl Iterator<Item = TreeId> + '_ {
        let numbered = (0..).map(TreeId).zip(&self.trees);
        numbered.filter_map(|(id, tree)| tree.as_ref().map(|_| id))
    }

    #[inline(always)]
    pub(super) fn block(&self, heap: &Heap, ordinal: u32) -> Block {
        self.table.get(&heap.arena, ordinal)
    }

    /// The bytes of a node's block.
    #[inline(always)]
    pub(super) fn node<'a>(&self, heap: &'a Heap, ordinal: u32) -> &'a [u8] {
        let block = self.block(heap, ordinal);
        &heap.arena.tail(block)[..heap.arena.block_bytes(block)]
    }

    #[inline(always)]
    pub(super) fn node_mut<'a>(&self, heap: &'a mut Heap, ordinal: u32) -> &'a mut [u8] {
        let block = self.block(heap, ordinal);
        let bytes = heap.arena.block_bytes(block);
        &mut heap.arena.tail_mut(block)[..bytes]
    }

    #[inline(always)]
    pub(super) fn leaf<'a>(&self, heap: &'a Heap, ordinal: u32) -> Leaf<'a> {
        Leaf(self.node(heap, ordinal))
    }

    /// The way to the leaf where an id is, if it is there, of a tree that has records.
    #[inline]
    pub(super) fn descend(&self, heap: &Heap, id: TreeId, at: StreamId) -> (Path, u32) {
        let tree = self.tree(id);
        let mut path = Path {
            steps: [(NONE, 0); HEIGHT_MAX],
            len: 0,
        };
        let mut ordinal = tree.root;
        for _ in 0..tree.height {
            let node = self.node(heap, ordinal);
            let slot = inner::find(node, at);
            path.push(ordinal, slot);
            ordinal = inner::child(node, slot).ordinal;
        }
        (path, ordinal)
    }

    /// The way to the next leaf, or to the one before.
    pub(super) fn neighbour(
        &self,
        heap: &Heap,
        path: &mut Path,
        direction: Direction,
    ) -> Option<u32> {
        let depth = (0..path.len).rev().find(|&depth| {
            let (ordinal, slot) = path.steps[depth];
            match direction {
                Direction::Up => usize::from(slot) + 1 < inner::len(self.node(heap, ordinal)),
                Direction::Down => slot > 0,
            }
        })?;
        let (above, slot) = path.steps[depth];
        let slot = match direction {
            Direction::Up => slot + 1,
            Direction::Down => slot - 1,
        };
        path.steps[depth] = (above, slot);
        let mut ordinal = inner::child(self.node(heap, above), slot.into()).ordinal;
        for step in &mut path.steps[depth + 1..path.len] {
            let node = self.node(heap, ordinal);
            let slot = match direction {
                Direction::Up => 0,
                Direction::Down => inner::len(node) - 1,
            };
            *step = (ordinal, slot as u16);
            ordinal = inner::child(node, slot).ordinal;
        }
        Some(ordinal)
    }

    /// The names that a leaf has.
    #[inline(always)]
    pub(super) fn names<'a>(&self, heap: &'a Heap, leaf: Leaf<'a>) -> &'a [u8] {
        match leaf.prelude() {
            Prelude::Names(names) => names,
            Prelude::Apart(number) => self.long_names.bytes(heap, number),
        }
    }

    #[inline(always)]
    fn record<'a>(
        (leaf, names): (Leaf<'a>, &'a [u8]),
        place: &Place,
        heap: &'a Heap,
    ) -> Record<'a> {
        let body = leaf.body(place);
        Record {
            id: place.id,
            flags: place.flags,
            body: match place.flags & LONG {
                0 => body,
                _ => long_of(body).bytes(heap),
            },
            names,
        }
    }

    /// The record of an id.
    #[inline]
    pub(super) fn get<'a>(&self, heap: &'a Heap, id: TreeId, at: StreamId) -> Option<Record<'a>> {
        let tree = self.tree(id);
        if tree.root == NONE || at > tree.last {
            return None;
        }
        let (_, ordinal) = self.descend(heap, id, at);
        let leaf = self.leaf(heap, ordinal);
        let place = leaf.get(at)?;
        Some(Self::record((leaf, self.names(heap, leaf)), &place, heap))
    }

    /// The record of an id as it lies: its flags, and its body or the reference to that.
    pub(super) fn get_raw(&self, heap: &Heap, id: TreeId, at: StreamId) -> Option<(u8, Vec<u8>)> {
        if self.tree(id).root == NONE {
            return None;
        }
        let (_, ordinal) = self.descend(heap, id, at);
        let leaf = self.leaf(heap, ordinal);
        let place = leaf.get(at)?;
        Some((place.flags, leaf.body(&place).to_vec()))
    }

    /// The first record of a tree.
    pub(super) fn first<'a>(&self, heap: &'a Heap, id: TreeId) -> Option<Record<'a>> {
        let mut first = None;
        self.walk(heap, id, StreamId::MIN, Direction::Up, &mut |record| {
            first = Some(record);
            ControlFlow::Break(())
        });
        first
    }

    /// Shows records, from that of `from` on or what is next to it, until `show` breaks.
    pub(super) fn walk<'a>(
        &self,
        heap: &'a Heap,
        id: TreeId,
        from: StreamId,
        direction: Direction,
        show: &mut dyn FnMut(Record<'a>) -> ControlFlow<()>,
    ) {
        if self.tree(id).root == NONE {
            return;
        }
        let (mut path, mut ordinal) = self.descend(heap, id, from);
        loop {
            let flow = match direction {
                Direction::Up => self.walk_leaf_up(heap, ordinal, from, show),
                Direction::Down => self.walk_leaf_down(heap, ordinal, from, show),
            };
            if flow.is_break() {
                return;
            }
            match self.neighbour(heap, &mut path, direction) {
                Some(next) => ordinal = next,
                None => return,
            }
        }
    }

    pub(super) fn walk_leaf_up<'a>(
        &self,
        heap: &'a Heap,
        ordinal: u32,
        from: StreamId,
        show: &mut dyn FnMut(Record<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let leaf = self.leaf(heap, ordinal);
        let names = self.names(heap, leaf);
        let mut next = leaf.find(from).place;
        while let Some(place) = next {
            show(Self::record((leaf, names), &place, heap))?;
            next = leaf.after(Some(&place));
        }
        ControlFlow::Continue(())
    }

    fn walk_leaf_down<'a>(
        &self,
        heap: &'a Heap,
        ordinal: u32,
        from: StreamId,
        show: &mut dyn FnMut(Record<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let leaf = self.leaf(heap, ordinal);
        let names = self.names(heap, leaf);
        let mut places: Vec<Place> = Vec::new();
        let mut group = leaf.group_up_to(from);
        while let Some(number) = group {
            places.clear();
            places.extend(leaf.records_of(number).take_while(|place| place.id <= from));
            for place in places.iter().rev() {
                show(Self::record((leaf, names), place, heap))?;
            }
            group = number.checked_sub(1);
        }
        ControlFlow::Continue(())
    }

    /// Adds a record behind the last, in its leaf; whether it is there: else the leaf is full, or there is none.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    #[inline]
    pub(super) fn append(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        draft: &Draft<'_>,
    ) -> Result<bool, StoreError> {
        let &Tree {
            tail, bounds, last, ..
        } = self.tree(id);
        if tail == NONE {
            return Ok(false);
        }
        let mut record = std::mem::take(&mut heap.drafts.record);
        let done = self.append_to(heap, (tail, bounds, last), draft, &mut record);
        heap.drafts.record = record;
        if done == Ok(true) {
            self.appended(heap, id, draft.id, tail);
        }
        done
    }

    fn append_to(
        &mut self,
        heap: &mut Heap,
        (tail, bounds, last): (u32, Bounds, StreamId),
        draft: &Draft<'_>,
        scratch: &mut Vec<u8>,
    ) -> Result<bool, StoreError> {
        let leaf = self.leaf(heap, tail);
        if leaf.len() >= bounds.leaf_records {
            return Ok(false);
        }
        let before = leaf.record_bytes();
        let edited = LeafMut(self.node_mut(heap, tail)).append(Some(last), draft, scratch);
        if edited != Edited::Done {
            let used = self.leaf(heap, tail).used_bytes();
            let needed = used + scratch.len() + leaf::RESTART_BYTES;
            if needed > bounds.leaf_bytes {
                return Ok(false);
            }
            let room = (used / 2).clamp(ROOM_MIN_BYTES, bounds.leaf_bytes);
            self.resize(heap, tail, (needed + room).min(bounds.leaf_bytes))?;
            let edited = LeafMut(self.node_mut(heap, tail)).append(Some(last), draft, scratch);
            assert_eq!(edited, Edited::Done, "it was given the room");
        }
        let after = self.leaf(heap, tail).record_bytes();
        self.payload_bytes += (after - before) as u64;
        Ok(true)
    }

    fn appended(&mut self, heap: &mut Heap, id: TreeId, at: StreamId, ordinal: u32) {
        let tree = self.tree_mut(id);
        tree.len += 1;
        tree.last = at;
        tree.tail = ordinal;
        let _ = heap;
    }

    /// Adds a record behind the last, in a leaf of its own that has this prelude.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(super) fn append_leaf(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        prelude: Prelude<'_>,
        draft: &Draft<'_>,
    ) -> Result<(), StoreError> {
        let tree = *self.tree(id);
        let mut build = Build::new(draft.id, prelude, tree.holds.has_bodies());
        build.push(draft);
        // The leaves of a long stream have all the room at once.
        let room = match tree.leaves {
            0 => ROOM_MIN_BYTES,
            _ => tree.bounds.leaf_bytes,
        };
        let bytes = (build.used_bytes() + room).min(tree.bounds.leaf_bytes);
        let bytes = bytes.max(build.used_bytes());
        let path = match tree.root {
            NONE => None,
            _ => Some(self.descend(heap, id, StreamId::MAX).0),
        };
        let said = (draft.id, self.time_of(id, draft));
        let ordinal = self.link_leaf(heap, id, path.as_ref(), (&build, bytes, said))?;
        let leaf = self.leaf(heap, ordinal);
        self.payload_bytes += leaf.record_bytes() as u64;
        if tree.tail != NONE {
            self.shorten(heap, tree.tail, 16);
        }
        self.appended(heap, id, draft.id, ordinal);
        Ok(())
    }

    /// Gives a leaf a block of so many bytes.
    pub(super) fn resize(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        bytes: usize,
    ) -> Result<(), StoreError> {
        let old = self.block(heap, ordinal);
        let arena = &mut heap.arena;
        let new = self.holdings.alloc(arena, bytes, NodeKind::Leaf, ordinal)?;
        let (from_len, to_len) = (arena.block_bytes(old), arena.block_bytes(new));
        let (from, to) = arena.pair(old, new);
        leaf::copy(&from[..from_len], &mut to[..to_len]);
        self.holdings.free(arena, old);
        self.table.set(arena, ordinal, new);
        Ok(())
    }

    /// Gives a leaf a shorter block if more than an `nth` of it lies idle; without memory for that, the long one does.
    pub(super) fn shorten(&mut self, heap: &mut Heap, ordinal: u32, nth: usize) {
        let node = self.node(heap, ordinal);
        let used = Leaf(node).used_bytes();
        if node.len() - used > used / nth + if nth == 16 { 16 } else { IDLE_MIN_BYTES } {
            let _ = self.resize(heap, ordinal, used);
        }
    }

    /// Frees what a record's body refers to.
    pub(super) fn free_long(&mut self, heap: &mut Heap, body: &[u8]) {
        let long = long_of(body);
        self.payload_bytes -= long.bytes(heap).len() as u64;
        long.free(heap, &mut self.holdings);
    }
}
