//! The elements of large collections: what the types of collections work on.

use super::Shard;
use crate::item::Variant;
use crate::nodes::Owner;
use crate::spiral::{ElementRef, Put};
use crate::{DbIndex, Key, Kind, StoreError};

#[allow(dead_code, reason = "the types of collections follow")]
impl Shard {
    /// Makes an empty hash, which no reader may see, at a key that is not there.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn create_hash(&mut self, db: DbIndex, key: Key<'_>) -> Result<Owner, StoreError> {
        if self.is_told_before {
            self.before_new(db, key);
        }
        let hash = (Kind::Hash, Variant::default().outgrown());
        let item = self
            .memory
            .create_collection(key.bytes(), hash, self.clock, None)?;
        self.attach(db, key.hash(), item);
        let collection = self.memory.collection_of(item);
        Ok(collection.expect("that is its value"))
    }

    /// The collection at a key, if there is one.
    pub(crate) fn collection(&mut self, db: DbIndex, key: Key<'_>) -> Option<Owner> {
        let item = self.find_to_read(db, key)?;
        self.memory.collection_of(item)
    }

    /// An element by its name.
    #[inline]
    pub(crate) fn element(&self, collection: Owner, name: &[u8]) -> Option<ElementRef<'_>> {
        let (spiral, heap) = self.memory.spiral(collection);
        spiral.get(heap, self.hasher.hash(name), name)
    }

    /// Gives an element this value and deadline; adds it if it is not there.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    #[inline]
    pub(crate) fn put_element(
        &mut self,
        collection: Owner,
        element: ElementRef<'_>,
    ) -> Result<Put, StoreError> {
        let hasher = &self.hasher;
        self.memory.change_spiral(collection, |spiral, heap| {
            spiral.put(heap, &|name: &[u8]| hasher.hash(name), element)
        })
    }

    /// Removes an element; whether it was there.
    #[inline]
    pub(crate) fn remove_element(&mut self, collection: Owner, name: &[u8]) -> bool {
        let hasher = &self.hasher;
        self.memory.change_spiral(collection, |spiral, heap| {
            spiral.remove(heap, &|name: &[u8]| hasher.hash(name), name)
        })
    }

    /// Emits about `count` elements from `cursor`, zero at first, on; where to go on, `None` at the end.
    pub(crate) fn scan_elements(
        &self,
        collection: Owner,
        cursor: u64,
        count: usize,
        emit: &mut dyn FnMut(ElementRef<'_>),
    ) -> Option<u64> {
        let (spiral, heap) = self.memory.spiral(collection);
        let hash_of = |name: &[u8]| self.hasher.hash(name);
        spiral.scan(heap, &hash_of, cursor, count, emit)
    }

    /// Number of elements, and how many have a deadline.
    pub(crate) fn element_count(&self, collection: Owner) -> (u64, u64) {
        let (spiral, _) = self.memory.spiral(collection);
        (spiral.len(), spiral.volatile_len())
    }

    /// An element chosen by `random`, close to uniformly; `None` if there is none.
    pub(crate) fn random_element(&self, collection: Owner, random: u64) -> Option<ElementRef<'_>> {
        let (spiral, heap) = self.memory.spiral(collection);
        spiral.random(heap, random)
    }
}
