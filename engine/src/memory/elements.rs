//! Items whose value is a large collection, and their elements.

use super::{Content, Memory};
use crate::item::Form;
use crate::nodes::{Heap, NodeKind, Owner};
use crate::raw::Block;
use crate::spiral::Spiral;
use crate::{AccessClock, StoreError, UnixMillis};

impl Memory {
    /// Writes a new item whose value is an empty collection.
    pub(crate) fn create_collection(
        &mut self,
        key: &[u8],
        form: Form,
        access: AccessClock,
        deadline: Option<UnixMillis>,
    ) -> Result<Block, StoreError> {
        let collection = self.collections.create(&mut self.heap)?;
        let content = Content {
            form,
            access,
            deadline,
            value: &collection.0.to_le_bytes(),
        };
        self.create_around(collection, key, &content)
    }

    /// Writes an item whose value is a copy of a collection.
    pub(super) fn duplicate_collection(
        &mut self,
        of: Owner,
        key: &[u8],
        content: &Content<'_>,
    ) -> Result<Block, StoreError> {
        let collection = self.collections.duplicate(&mut self.heap, of)?;
        let content = Content {
            value: &collection.0.to_le_bytes(),
            ..*content
        };
        self.create_around(collection, key, &content)
    }

    /// Writes the item of a collection, or takes that out of use.
    fn create_around(
        &mut self,
        collection: Owner,
        key: &[u8],
        content: &Content<'_>,
    ) -> Result<Block, StoreError> {
        let created = self.create(key, content);
        if created.is_err() {
            self.collections.bury(collection);
        }
        created
    }

    /// The collection that is the value of an item, if it is one.
    #[inline]
    pub(crate) fn collection_of(&self, item: Block) -> Option<Owner> {
        let bytes = self.heap.arena.tail(item);
        self.layout(item).collection(bytes)
    }

    /// Bytes of the root of an item's collection, if it has one.
    pub(crate) fn root_bytes(&self, item: Block) -> u64 {
        let collection = self.collection_of(item);
        collection.map_or(0, |collection| self.collections.root_bytes_of(collection))
    }

    /// A collection, to read, and the memory it lies in.
    #[inline]
    pub(crate) fn collection(&self, number: Owner) -> (&Spiral, &Heap) {
        (self.collections.get(number), &self.heap)
    }

    /// Has `change` change a collection in its memory.
    #[inline]
    pub(crate) fn change_collection<T>(
        &mut self,
        number: Owner,
        change: impl FnOnce(&mut Spiral, &mut Heap) -> T,
    ) -> T {
        let Self {
            collections, heap, ..
        } = self;
        collections.change(number, |spiral| change(spiral, heap))
    }

    /// Moves a node to another block of its class; whether there was memory for that.
    pub(crate) fn move_node(&mut self, node: Block, kind: NodeKind) -> bool {
        let Some(moved) = self.heap.arena.move_block(node) else {
            return false;
        };
        self.collections
            .block_moved(&mut self.heap, kind, node, moved);
        true
    }
}
