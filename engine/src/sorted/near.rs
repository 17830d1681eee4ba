//! Bringing members near, in three rounds for all that are asked for: the words of the table, the nodes of the index, the leaves.

use super::SortedSet;
use crate::nodes::Heap;

impl SortedSet {
    /// Asks for the word of the table that has the index's node of a hash. A hint.
    pub(crate) fn ask_for_word(&self, heap: &Heap, hash: u64) {
        if let Some(index) = &self.index {
            index.ask_for_word(heap, hash);
        }
    }

    /// Asks for that node. A hint.
    pub(crate) fn ask_for_node(&self, heap: &Heap, hash: u64) {
        if let Some(index) = &self.index {
            index.ask_for_node(heap, hash);
        }
    }

    /// Asks for the leaf that a name of this hash is probably in. A hint.
    pub(crate) fn ask_for_leaf(&self, heap: &Heap, hash: u64) {
        if let Some(index) = &self.index {
            index.each_leaf(heap, hash, |leaf| {
                heap.arena.prefetch_whole(self.table.get(&heap.arena, leaf));
                true
            });
        }
    }
}
