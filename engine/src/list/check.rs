//! Verifying a list: every node where it belongs, and every sum.

use super::long;
use super::packed::End;
use super::{List, NONE, inner, leaf};
use crate::nodes::{Heap, Long, NodeKind, ordinal_of, owner_of};

/// What was seen of some nodes.
#[derive(Default)]
struct Seen {
    nodes: u32,
    elements: u32,
    bytes: u64,
    payload_bytes: u64,
}

impl List {
    /// Takes as long as there are elements.
    ///
    /// # Panics
    /// An invariant is broken.
    pub(crate) fn check(&self, heap: &Heap) {
        let mut seen = Seen::default();
        for end in [End::Head, End::Tail] {
            if let Some(leaf) = self.ends[end as usize] {
                assert_eq!(leaf.block, self.table.get(&heap.arena, leaf.ordinal));
                let elements = seen.elements;
                self.check_node(heap, leaf.ordinal, 0, &mut seen);
                assert_eq!(seen.elements - elements, leaf.elements);
            }
        }
        assert_eq!(self.root == NONE, self.tree_len == 0);
        if self.root != NONE {
            let elements = seen.elements;
            self.check_node(heap, self.root, self.height, &mut seen);
            assert_eq!(seen.elements - elements, self.tree_len);
            assert!(self.height == 0 || inner::len(self.node(heap, self.root)) > 1);
        }
        assert_eq!(seen.elements, self.len());
        for &ordinal in &self.detached {
            let mut height = 0;
            let mut below = ordinal;
            while NodeKind::of(self.node(heap, below)[0]) == Some(NodeKind::Inner) {
                below = inner::child(self.node(heap, below), 0).ordinal;
                height += 1;
            }
            self.check_node(heap, ordinal, height, &mut seen);
        }
        assert_eq!(seen.nodes, self.table.len());
        self.table
            .check(&heap.arena, &self.holdings, &mut seen.bytes);
        assert_eq!(seen.bytes, self.holdings.bytes);
        assert_eq!(seen.payload_bytes, self.payload_bytes);
    }

    /// Verifies a node that has so many inner nodes on the way to its leaves, itself included, and those below.
    fn check_node(&self, heap: &Heap, ordinal: u32, height: usize, seen: &mut Seen) {
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
            return self.check_leaf(heap, ordinal, seen);
        }
        assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Inner));
        let count = inner::len(node);
        assert!(count > 0 && count <= self.bounds.children && inner::bytes_of(count) <= bytes);
        for child in inner::children(node) {
            let elements = seen.elements;
            self.check_node(heap, child.ordinal, height - 1, seen);
            assert_eq!(seen.elements - elements, child.elements);
            assert!(child.elements > 0, "nodes of the tree have elements");
            assert_eq!(inner::parent(self.node(heap, child.ordinal)), ordinal);
        }
    }

    fn check_leaf(&self, heap: &Heap, ordinal: u32, seen: &mut Seen) {
        let block = self.table.get(&heap.arena, ordinal);
        assert_eq!(
            NodeKind::of(heap.arena.tail(block)[0]),
            Some(NodeKind::Leaf)
        );
        assert!(heap.arena.block_bytes(block) <= self.bounds.leaf_bytes);
        let run = leaf::run(heap, block);
        run.check();
        assert!(run.len() <= self.bounds.leaf_elements);
        seen.elements += run.len() as u32;
        for field in run.elements(0..run.len()) {
            let reference = long::reference(field);
            let element = long::bytes(heap, field);
            assert_eq!(reference.is_some(), self.is_long(element.len()));
            seen.payload_bytes += element.len() as u64;
            seen.bytes += reference.map_or(0, |long| long.used_bytes(heap));
            if let Some(Long::Block(block)) = reference {
                let node = heap.arena.tail(block);
                assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Long));
                assert_eq!(owner_of(node), self.holdings.owner);
                assert_eq!(Long::place(node), ordinal.into());
            }
        }
    }
}
