//! Verifying a sorted set: every node where it belongs, every sum, the order, and a word for each member.

use super::inner::{self, Child};
use super::{NONE, SortedSet, VACANT, leaf, long, tag_of};
use crate::nodes::{Heap, Long, NodeKind, ordinal_of, owner_of};

/// What was seen of some nodes.
#[derive(Default)]
struct Seen {
    nodes: u32,
    leaves: u32,
    members: u64,
    bytes: u64,
    payload_bytes: u64,
    /// The member before the next one.
    last: Option<(f64, Vec<u8>)>,
}

impl SortedSet {
    /// Takes as long as there are members.
    ///
    /// # Panics
    /// An invariant is broken.
    pub(crate) fn check(&self, heap: &Heap, hash_of: &impl Fn(&[u8]) -> u64) {
        let mut seen = Seen::default();
        assert_eq!(self.root == NONE, self.len == 0);
        if self.root != NONE {
            let root = (self.root, self.height, true);
            self.check_node(heap, hash_of, root, &mut seen);
            assert!(self.height == 0 || self.inner(heap, self.root).len() > 1);
        }
        assert_eq!((seen.members, seen.leaves), (self.len, self.leaves));
        let holes = (0..self.table.len())
            .filter(|&ordinal| self.table.get(&heap.arena, ordinal) == VACANT)
            .count();
        assert_eq!(holes as u32, self.holes);
        assert_eq!(seen.nodes + self.holes, self.table.len());
        self.table
            .check(&heap.arena, &self.holdings, &mut seen.bytes);
        if let Some(index) = &self.index {
            assert_eq!(index.len(), self.len, "a word for each member");
            index.check(heap, &self.holdings, &mut seen.bytes);
        }
        assert_eq!(seen.bytes, self.holdings.bytes);
        assert_eq!(seen.payload_bytes, self.payload_bytes);
    }

    /// Verifies a node that has so many inner nodes on the way to its leaves, itself included, and those below, which may have the first
    /// leaf of all among them; its entry.
    fn check_node(
        &self,
        heap: &Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        (ordinal, height, is_first): (u32, usize, bool),
        seen: &mut Seen,
    ) -> Child {
        let block = self.table.get(&heap.arena, ordinal);
        let node = heap.arena.tail(block);
        let bytes = heap.arena.block_bytes(block);
        assert_eq!(
            (owner_of(node), ordinal_of(node)),
            (self.holdings.owner, ordinal)
        );
        seen.nodes += 1;
        seen.bytes += bytes as u64;
        if height == 0 {
            return self.check_leaf(heap, hash_of, ordinal, seen);
        }
        assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Branches));
        let node = self.inner(heap, ordinal);
        let count = node.len();
        assert!(count > 0 && count <= self.bounds.children && inner::bytes_of(count) <= bytes);
        let mut members = 0;
        for (slot, child) in node.children().enumerate() {
            let below = (child.ordinal, height - 1, is_first && slot == 0);
            let is = self.check_node(heap, hash_of, below, seen);
            assert_eq!((is.ordinal, is.members), (child.ordinal, child.members));
            assert!(is.bottom == child.bottom || is_first && slot == 0);
            members += child.members;
        }
        Child {
            ordinal,
            members,
            bottom: node.child(0).bottom,
        }
    }

    fn check_leaf(
        &self,
        heap: &Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        ordinal: u32,
        seen: &mut Seen,
    ) -> Child {
        let block = self.table.get(&heap.arena, ordinal);
        assert_eq!(
            NodeKind::of(heap.arena.tail(block)[0]),
            Some(NodeKind::Members)
        );
        let run = leaf::run(heap, block);
        run.check();
        assert!(run.len() > 0 && run.len() <= self.bounds.leaf_members);
        seen.leaves += 1;
        seen.members += run.len() as u64;
        for entry in run.entries(0..run.len()) {
            let (reference, name) = (long::reference(entry.body), long::name(heap, entry.body));
            assert_eq!(reference.is_some(), self.is_long(name.len()));
            let hash = hash_of(name);
            assert_eq!(entry.tag, tag_of(hash));
            if let Some(index) = &self.index {
                assert!(index.has(heap, hash, ordinal), "a member has a word");
            }
            seen.payload_bytes += name.len() as u64;
            seen.bytes += reference.map_or(0, |long| long.used_bytes(heap));
            if let Some(Long::Block(block)) = reference {
                let node = heap.arena.tail(block);
                assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Long));
                assert_eq!(owner_of(node), self.holdings.owner);
                assert_eq!(Long::place(node), ordinal.into());
            }
            if let Some((score, last)) = &seen.last {
                let order = super::compare_members((*score, last), (entry.score, name));
                assert!(order.is_lt(), "members are in order");
            }
            seen.last = Some((entry.score, name.to_vec()));
        }
        self.leaf_child(heap, ordinal)
    }
}
