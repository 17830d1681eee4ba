//! What must hold of a stream, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::forest::{Forest, NONE, TreeId, long_of};
use super::groups::Delivery;
use super::leaf::{LONG, Leaf, NAMED, Prelude, tree_of};
use super::long_names::LongNames;
use super::{ENTRIES, Fields, Stream, StreamId, inner};
use crate::nodes::{Heap, Long, NodeKind, ordinal_of, owner_of};
use crate::{Direction, UnixMillis};

/// What has been counted on the way.
#[derive(Default)]
struct Seen {
    nodes: u32,
    leaves: u32,
    bytes: u64,
    payload_bytes: u64,
    records: u64,
    /// How many leaves have the names of a number.
    names_apart: BTreeMap<u32, u32>,
    last: Option<StreamId>,
    /// The oldest time below a node.
    oldest: UnixMillis,
}

impl Stream {
    /// Verifies the stream.
    pub(crate) fn check(&self, heap: &Heap) {
        let mut seen = Seen::default();
        let mut trees = BTreeSet::from([ENTRIES.0]);
        for id in self.forest.trees() {
            self.forest.check_tree(heap, id, &mut seen);
        }
        self.forest.check_names(heap, &mut seen);
        let table = &self.forest.table;
        assert_eq!(seen.nodes, table.len());
        table.check(&heap.arena, &self.forest.holdings, &mut seen.bytes);
        assert_eq!(seen.bytes, self.forest.holdings.bytes);
        assert_eq!(seen.payload_bytes, self.forest.payload_bytes);
        if let Some(last) = self.view(heap).last_entry_id() {
            assert!(last <= self.marks.last_id);
        }
        self.producers.check();
        let mut state_bytes = self.groups.bytes() + self.producers.used_bytes();
        for (_, _, group) in self.groups.iter() {
            state_bytes += group.consumers.bytes();
            assert!(trees.insert(group.pending.0));
            let mut own = 0;
            for (_, _, consumer) in group.consumers.iter() {
                assert!(trees.insert(consumer.own.0));
                own += self.forest.tree(consumer.own).len;
            }
            assert_eq!(own, self.forest.tree(group.pending).len);
            self.forest.walk(
                heap,
                group.pending,
                StreamId::MIN,
                Direction::Up,
                &mut |record| {
                    let delivery = Delivery::read(record.id, record.body);
                    let own = group.consumers.at(delivery.consumer).own;
                    assert!(self.forest.get(heap, own, record.id).is_some());
                    ControlFlow::Continue(())
                },
            );
        }
        for names in &self.gone {
            state_bytes += names.bytes();
            for (_, _, consumer) in names.iter() {
                assert!(trees.insert(consumer.own.0));
            }
        }
        for id in self.forest.felled() {
            assert!(trees.insert(id.0));
        }
        assert_eq!(trees, self.forest.trees().map(|id| id.0).collect());
        assert_eq!(state_bytes, self.state_bytes);
    }
}

impl Forest {
    /// Verifies the names that lie apart, those of all leaves having been counted.
    fn check_names(&self, heap: &Heap, seen: &mut Seen) {
        let mut known = BTreeMap::new();
        for (number, names, leaves) in self.long_names.iter() {
            known.insert(number, leaves);
            seen.bytes += names.used_bytes(heap);
            seen.payload_bytes += names.bytes(heap).len() as u64;
            if let Long::Block(block) = names {
                let node = heap.arena.tail(block);
                assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Long));
                assert_eq!(owner_of(node), self.holdings.owner);
                assert_eq!(LongNames::number_of(Long::place(node)), Some(number));
            }
        }
        assert_eq!(known, seen.names_apart);
    }

    fn check_tree(&self, heap: &Heap, id: TreeId, seen: &mut Seen) {
        let tree = self.tree(id);
        (seen.records, seen.leaves, seen.last) = (0, 0, None);
        if tree.root == NONE {
            assert_eq!((tree.len, tree.height, tree.tail), (0, 0, NONE));
            return assert_eq!(tree.last, StreamId::MIN);
        }
        if tree.len == 0 {
            return self.check_kept_leaf(heap, id, seen);
        }
        self.check_node(heap, id, (tree.root, tree.height), (None, None), seen);
        assert_eq!((seen.records, seen.leaves), (tree.len, tree.leaves));
        assert_eq!(seen.last, Some(tree.last));
        let (_, tail) = self.descend(heap, id, StreamId::MAX);
        assert_eq!(tail, tree.tail);
        assert!(tree.height == 0 || inner::len(self.node(heap, tree.root)) > 1);
    }

    /// Verifies a tree that has no record, and kept its leaf.
    fn check_kept_leaf(&self, heap: &Heap, id: TreeId, seen: &mut Seen) {
        let tree = self.tree(id);
        assert_ne!(id, ENTRIES);
        assert_eq!((tree.height, tree.leaves, tree.tail), (0, 1, tree.root));
        assert_eq!(tree.last, StreamId::MIN);
        let node = self.node(heap, tree.root);
        let place = (owner_of(node), ordinal_of(node), tree_of(node));
        assert_eq!(place, (self.holdings.owner, tree.root, id.0));
        let leaf = Leaf(node);
        assert_eq!((leaf.len(), leaf.record_bytes()), (0, 0));
        seen.nodes += 1;
        seen.bytes += node.len() as u64;
    }

    fn check_node(
        &self,
        heap: &Heap,
        id: TreeId,
        (ordinal, height): (u32, usize),
        (least, below): (Option<StreamId>, Option<StreamId>),
        seen: &mut Seen,
    ) {
        let node = self.node(heap, ordinal);
        let place = (owner_of(node), ordinal_of(node), tree_of(node));
        assert_eq!(place, (self.holdings.owner, ordinal, id.0));
        seen.nodes += 1;
        seen.bytes += node.len() as u64;
        if height == 0 {
            return self.check_leaf(heap, id, ordinal, (least, below), seen);
        }
        assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Inner));
        let children: Vec<_> = inner::children(node).collect();
        let mut oldest = UnixMillis(i64::MAX);
        assert!(!children.is_empty() && children.len() <= self.tree(id).bounds.children);
        assert!(inner::used_bytes(node) <= node.len());
        for (slot, child) in children.iter().enumerate() {
            assert!(child.oldest <= self.tree(id).newest_oldest);
            let least = if slot == 0 { least } else { Some(child.least) };
            let below = children
                .get(slot + 1)
                .map_or(below, |next| Some(next.least));
            let place = (child.ordinal, height - 1);
            seen.oldest = UnixMillis(i64::MAX);
            self.check_node(heap, id, place, (least, below), seen);
            assert!(child.oldest <= seen.oldest);
            oldest = oldest.min(seen.oldest);
        }
        seen.oldest = oldest;
    }

    fn check_leaf(
        &self,
        heap: &Heap,
        id: TreeId,
        ordinal: u32,
        (least, below): (Option<StreamId>, Option<StreamId>),
        seen: &mut Seen,
    ) {
        let node = self.node(heap, ordinal);
        assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Leaf));
        let leaf = Leaf(node);
        let holds = self.tree(id).holds;
        let (first, last) = leaf.check(holds.has_bodies());
        assert!(seen.last.is_none_or(|last| last < first));
        assert!(least.is_none_or(|least| least <= first && least <= leaf.base()));
        assert!(below.is_none_or(|below| last < below));
        seen.last = Some(last);
        seen.leaves += 1;
        seen.records += leaf.len() as u64;
        seen.payload_bytes += leaf.record_bytes() as u64;
        if let Prelude::Apart(number) = leaf.prelude() {
            *seen.names_apart.entry(number).or_default() += 1;
        }
        if holds.has_times() {
            let times = leaf
                .records()
                .map(|place| Delivery::read(place.id, leaf.body(&place)).delivered_at);
            seen.oldest = times.min().expect("a leaf has records");
        }
        for place in leaf.records() {
            assert!(place.flags & NAMED == 0 || !self.names(heap, leaf).is_empty());
            if id == ENTRIES && place.flags & LONG == 0 {
                let (names, body) = (self.names(heap, leaf), leaf.body(&place));
                let fields = match place.flags & NAMED {
                    0 => Fields::of_bytes(body),
                    _ => Fields::named(names, body),
                };
                assert_eq!(fields.iter().count(), fields.len());
            }
            if place.flags & LONG == 0 {
                continue;
            }
            let long = long_of(leaf.body(&place));
            seen.payload_bytes += long.bytes(heap).len() as u64;
            seen.bytes += long.used_bytes(heap);
            if let Long::Block(block) = long {
                let node = heap.arena.tail(block);
                assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Long));
                assert_eq!(owner_of(node), self.holdings.owner);
                assert_eq!(Long::place(node), ordinal.into());
            }
        }
    }
}
