//! Reading many entries: scans, whole walks, samples.

use super::{ScanCursor, Shard};
use crate::entry::EntryRef;
use crate::keyspace::{Cursor, Items};
use crate::{DbIndex, UnixMillis};

impl Shard {
    /// Visits about `count` live entries from `cursor` on and returns where to go on. Every entry present from the first
    /// call of a scan to its last is visited at least once, however the table grows, shrinks or moves in between.
    pub fn scan(
        &mut self,
        db: DbIndex,
        cursor: ScanCursor,
        count: usize,
        visit: &mut dyn FnMut(EntryRef<'_>),
    ) -> ScanCursor {
        let items = Items {
            memory: &self.memory,
            hasher: &self.hasher,
            now: self.now,
        };
        let (memory, now) = (&self.memory, self.now);
        let next = self
            .keyspace(db)
            .scan(Cursor(cursor.0), count, items, &mut |item| {
                if !memory.is_due(item, now) {
                    visit(memory.entry(item));
                }
            });
        ScanCursor(next.map_or(0, |cursor| cursor.0))
    }

    /// Visits every live entry of `db`.
    pub fn for_each(&self, db: DbIndex, visit: &mut dyn FnMut(EntryRef<'_>)) {
        for segment in self.keyspace(db).segments() {
            segment.prefetch(&self.memory);
            for item in segment.items() {
                if !self.memory.is_due(item, self.now) {
                    visit(self.memory.entry(item));
                }
            }
        }
    }

    /// A live entry of `db` chosen by `random`, close to uniformly; `None` if there is none. Entries past their deadline
    /// that it meets on the way are removed, which pays for meeting them, unless expiry is held.
    pub fn random(&mut self, db: DbIndex, random: u64) -> Option<EntryRef<'_>> {
        let (memory, now): (_, UnixMillis) = (&self.memory, self.now);
        let mut dead = Vec::new();
        let drawn =
            self.keyspace(db)
                .random(random, |item| !memory.is_due(item, now), &mut |item| {
                    dead.push(item)
                });
        if self.expiry_is_held {
            dead.clear();
        }
        dead.sort_unstable_by_key(|item| item.0);
        dead.dedup();
        for item in dead {
            let hash = self.hasher.hash(self.memory.key(item));
            self.expire(db, hash, item);
        }
        drawn.map(|item| self.memory.entry(item))
    }
}
