//! What happens to nodes as such: blocks move, and all of a stream that is no more is freed in slices, nodes first, then names.

use super::Stream;
use super::forest::{Forest, long_of};
use super::leaf::{LONG, Leaf, LeafMut};
use super::long_names::LongNames;
use crate::nodes::{Heap, Long, NodeKind, ordinal_of};
use crate::raw::Block;

impl Stream {
    /// The content of `from`, a block of this stream, is in `to` now: whatever names the one is to name the other.
    ///
    /// # Panics
    /// It is not a block of this stream.
    pub(crate) fn block_moved(&mut self, heap: &mut Heap, kind: NodeKind, from: Block, to: Block) {
        self.forest.block_moved(heap, kind, from, to);
    }

    /// Whether there is something of groups that are no more, and waits to be freed.
    #[inline]
    pub(crate) fn has_some_to_reclaim(&self) -> bool {
        !self.forest.felled().is_empty() || !self.gone.is_empty()
    }

    /// Frees some of that, about `budget` blocks and names; how many those were, `None` if none was left.
    pub(crate) fn reclaim(&mut self, heap: &mut Heap, budget: u32) -> Option<u32> {
        let freed = self.forest.free_felled(heap, budget);
        freed.or_else(|| self.free_gone(heap, budget))
    }

    /// Frees consumers of groups that are no more, as [`Self::reclaim`] does.
    fn free_gone(&mut self, heap: &mut Heap, budget: u32) -> Option<u32> {
        let mut freed = 0;
        while freed < budget
            && let Some(names) = self.gone.last_mut()
        {
            let before = names.bytes();
            let consumer = names.pop();
            self.state_bytes = self.state_bytes - before + names.bytes();
            match consumer {
                Some(consumer) => freed += 1 + self.forest.fell(heap, consumer.own),
                None => {
                    self.state_bytes -= names.bytes();
                    self.gone.pop();
                    freed += 1;
                }
            }
        }
        if self.gone.is_empty() {
            self.gone = Vec::new();
        }
        (freed > 0).then_some(freed)
    }

    /// Frees some of a stream that is in use no more, about `budget` blocks; how many those were, `None` if none was left. Meanwhile
    /// blocks may move, and nothing else is to be asked of it.
    pub(crate) fn dismantle(&mut self, heap: &mut Heap, budget: u32) -> Option<u32> {
        let mut freed = 0;
        while freed < budget
            && let Some(blocks) = self.forest.free_last(heap)
        {
            freed += blocks;
        }
        while freed < budget
            && let Some(names) = self.free_some_name()
        {
            freed += names;
        }
        (freed > 0).then_some(freed)
    }

    /// Frees a consumer, a group without consumers, or a producer, none of which has nodes any more; how many names that were.
    fn free_some_name(&mut self) -> Option<u32> {
        if let Some(names) = self.gone.last_mut().filter(|names| names.len() > 0) {
            let before = names.bytes();
            names.pop();
            self.state_bytes = self.state_bytes - before + names.bytes();
            return Some(1);
        }
        if let Some(names) = self.gone.pop() {
            self.state_bytes -= names.bytes();
            return Some(1);
        }
        if let Some(group) = self.groups.last_mut() {
            let before = group.consumers.bytes();
            let had_one = group.consumers.pop().is_some();
            self.state_bytes = self.state_bytes - before + group.consumers.bytes();
            if !had_one {
                let (bytes, before) = (group.consumers.bytes(), self.groups.bytes());
                self.groups.pop();
                self.state_bytes = self.state_bytes - bytes - before + self.groups.bytes();
            }
            return Some(1);
        }
        let before = self.producers.used_bytes();
        let iids = self.producers.pop()?;
        self.state_bytes = self.state_bytes - before + self.producers.used_bytes();
        Some(1 + iids as u32)
    }
}

impl Forest {
    fn block_moved(&mut self, heap: &mut Heap, kind: NodeKind, from: Block, to: Block) {
        let node = heap.arena.tail(to);
        match kind {
            NodeKind::Page => self.table.set_page(ordinal_of(node), to),
            NodeKind::Long => {
                let place = Long::place(node);
                match LongNames::number_of(place) {
                    Some(number) => self.long_names.moved(number, to),
                    None => self.long_moved(heap, place as u32, from, to),
                }
            }
            NodeKind::Leaf | NodeKind::Inner => {
                let ordinal = ordinal_of(node);
                assert_eq!(self.block(heap, ordinal), from);
                self.table.set(&mut heap.arena, ordinal, to);
            }
            _ => panic!("a stream has no {kind:?}"),
        }
    }

    fn long_moved(&mut self, heap: &mut Heap, ordinal: u32, from: Block, to: Block) {
        let leaf = self.leaf(heap, ordinal);
        let reference = from.0.to_le_bytes();
        let is_it = |body: &[u8]| body == reference;
        let place = leaf
            .records()
            .find(|place| place.flags & LONG != 0 && is_it(leaf.body(place)))
            .expect("a long record is in its leaf");
        let mut leaf = LeafMut(self.node_mut(heap, ordinal));
        leaf.body_mut(&place).copy_from_slice(&to.0.to_le_bytes());
    }

    /// Frees the node of the last ordinal; how many blocks that were.
    fn free_last(&mut self, heap: &mut Heap) -> Option<u32> {
        let last = self.table.len().checked_sub(1)?;
        let node = self.node(heap, last);
        let mut freed = 1;
        if NodeKind::of(node[0]) == Some(NodeKind::Leaf) && Leaf(node).has_long() {
            let leaf = Leaf(node);
            let places = leaf.records().filter(|place| place.flags & LONG != 0);
            let bodies: Vec<Vec<u8>> = places.map(|place| leaf.body(&place).to_vec()).collect();
            for body in bodies {
                long_of(&body).free(heap, &mut self.holdings);
                freed += 1;
            }
        }
        if NodeKind::of(self.node(heap, last)[0]) == Some(NodeKind::Leaf) {
            self.release_names(heap, last);
        }
        let block = self.block(heap, last);
        self.holdings.free(&mut heap.arena, block);
        self.table.pop(&mut heap.arena, &mut self.holdings);
        Some(freed)
    }
}
