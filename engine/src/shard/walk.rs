//! Reading many entries: scans, whole walks, samples.

use super::Shard;
use crate::DbIndex;
use crate::entry::EntryRef;
use crate::keyspace::Cursor;

/// Position of an incremental scan, below 2^48; zero begins and ends one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCursor(pub u64);

impl Shard {
    /// Visits about `count` live entries from `cursor` on and returns where to go on. Every entry present from the first
    /// call of a scan to its last is visited at least once, however the keyspace grows, shrinks or moves in between.
    pub fn scan(
        &mut self,
        db: DbIndex,
        cursor: ScanCursor,
        count: usize,
        visit: &mut dyn FnMut(EntryRef<'_>),
    ) -> ScanCursor {
        let (memory, now) = (&self.memory, self.now);
        let within = (memory, &self.hasher);
        let next = self
            .keyspace(db)
            .scan(within, Cursor(cursor.0), count, &mut |entry| {
                if !memory.has_ended(entry, now) {
                    visit(memory.view(entry));
                }
            });
        ScanCursor(next.map_or(0, |cursor| cursor.0))
    }

    /// Visits every live entry of `db`.
    pub fn for_each(&self, db: DbIndex, visit: &mut dyn FnMut(EntryRef<'_>)) {
        self.keyspace(db).for_each(&self.memory, |entry| {
            if !self.memory.has_ended(entry, self.now) {
                visit(self.memory.view(entry));
            }
        });
    }

    /// A live entry of `db` chosen by `random`, close to uniformly; `None` if there is none. Those past their deadline are the
    /// hand's to remove: somebody may have locks of them, or a log of them to take back.
    pub fn random(&self, db: DbIndex, random: u64) -> Option<EntryRef<'_>> {
        let (memory, now) = (&self.memory, self.now);
        let is_live = |entry| !memory.has_ended(entry, now);
        let drawn = self.keyspace(db).random(memory, random, is_live);
        drawn.map(|entry| memory.view(entry))
    }
}
