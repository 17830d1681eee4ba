//! Everything of a shard that has to be true, for tests.

use std::collections::HashSet;

use super::Shard;
use crate::keyspace::Keyspace;
use crate::memory::item_of;
use crate::spiral::entries::Entry;

impl Shard {
    /// Verifies every invariant of keyspaces, arena and sums. Takes as long as there are entries: for tests.
    ///
    /// # Panics
    /// An invariant is broken.
    pub fn check(&self) {
        self.memory.check(&|name: &[u8]| self.hasher.hash(name));
        for keyspace in &self.databases {
            keyspace.check(&self.memory, &self.hasher, self.now);
        }
        self.check_quotas();
        let lists: u64 = self.databases.iter().map(Keyspace::list_bytes).sum();
        let kept: u64 = self.databases.iter().map(Keyspace::kept_bytes).sum();
        assert_eq!((lists, kept), (self.list_bytes, self.kept_bytes));
        assert!(
            !self
                .graveyard
                .as_ref()
                .is_some_and(|graveyard| graveyard.is_empty())
        );
        if self.graveyard.is_none() {
            let (mut bytes, mut payload) = (0, 0);
            let mut collections = HashSet::new();
            let mut count = |entry: Entry| {
                let view = self.memory.view(entry);
                payload += (view.key().len() + view.value().len()) as u64;
                let Some(item) = item_of(entry) else {
                    return;
                };
                self.memory
                    .check_packed(item, &|name: &[u8]| self.hasher.hash(name));
                bytes += self.memory.item_bytes(item);
                match self.memory.collection_of(item) {
                    // That of an item which the undo log keeps.
                    Some(collection) if !collections.insert(collection.0) => {
                        bytes -= self.memory.block_bytes_of(collection);
                    }
                    Some(collection) => payload += self.memory.payload_of(collection),
                    None => {}
                }
            };
            for keyspace in self.databases.iter().chain(self.undo.flushed()) {
                keyspace.for_each(&self.memory, &mut count);
            }
            self.undo.kept().for_each(|item| count(Entry::Item(item)));
            for keyspace in self.databases.iter().chain(self.undo.flushed()) {
                bytes += keyspace.node_bytes();
            }
            for owner in self.loose.owners() {
                payload += self.memory.payload_of(owner);
                bytes += self.memory.block_bytes_of(owner);
            }
            assert_eq!(payload, self.memory.payload_bytes());
            assert_eq!(
                bytes,
                self.memory.item_bytes_total() - self.memory.dying_bytes()
            );
        }
    }
}
