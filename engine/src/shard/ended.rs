//! Entries that go because they have reached their deadline: told, counted, removed.

use super::Shard;
use crate::DbIndex;
use crate::journal::{Counts, Effect, Event, Removal};
use crate::spiral::entries::Entry;

impl Shard {
    /// Entries removed because of their deadline since the shard began.
    pub fn expired_total(&self) -> u64 {
        self.expired_total
    }

    /// Bytes of these.
    pub fn expired_bytes_total(&self) -> u64 {
        self.expired_bytes_total
    }

    /// Removes an entry past its deadline.
    #[cold]
    #[inline(never)]
    pub(super) fn expire(&mut self, db: DbIndex, hash: u64, entry: Entry) {
        self.note_end(db, entry);
        self.delete(db, hash, entry);
    }

    /// As [`Self::expire`]; the keyspace is yet to be balanced.
    pub(super) fn expire_unbalanced(&mut self, db: DbIndex, hash: u64, entry: Entry) {
        self.note_end(db, entry);
        self.delete_unbalanced(db, hash, entry);
    }

    /// An entry goes because it has reached its deadline.
    fn note_end(&mut self, db: DbIndex, entry: Entry) {
        let key = self.memory.key_of(entry);
        // As in Redis, whose clients did not ask for it.
        self.journal
            .record_as(Counts::Part, db, key, &Effect::Remove(Removal::Expired));
        self.journal.tell(db, key, Event::Expired);
        self.expired_total += 1;
        self.expired_bytes_total += self.memory.view(entry).memory_bytes();
    }
}
