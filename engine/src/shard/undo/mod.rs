//! Taking back what was written: [`Shard::begin_undo`] opens a log of what entries were before they changed,
//! [`Shard::undo`] puts all of it back, and [`Shard::end_undo`] lets it stand.
//!
//! ```text
//!  begin_undo ──▶ commands ──▶ undo       the shard is what it was; nobody has heard of anything
//!                          └─▶ end_undo   records, notes and word to those who wait go out now
//! ```
//! While the log is open, what the commands did is known to nobody: the journal holds its records and notes back. So nobody
//! else may use the shard in between, unless the log is laid aside ([`Shard::lay_undo_aside`]) until its owner comes back: then
//! others may use all but what the log's owner has changed, which nobody else may read or write. As long as some log lies
//! aside, nothing expires by itself. Of what nobody can tell some stays: copies that other cores hold have ended, nodes may have been
//! divided or joined, expiry may look sooner than it need. Compaction rests while a log is open or lies aside, so that what is put back
//! finds the room that it had.
//!
//! *Collections*: a packed one is copied whole at its first change, as a small string is. Of a large one the log has each change, as what
//! takes it back; these are played back from the last to the first, of all collections together, so that taking back passes through
//! what there has been and needs no more room than that: as everything here, it fails only where memory that was there is gone, and
//! what came since is freed before it asks again. Nodes of a keyspace may need more than they had, since other entries lie in them by
//! then: for that the arena sets memory aside. A collection that is removed, overwritten or flushed with its database
//! after that is the log's, with its changes. One that is renamed has two items: the log keeps that of the key which it had, and its changes go on being
//! told, by its number, wherever the other goes; that one counts as new, and goes, or has gone, like all that came. A large list stays large while the log is open, however small it becomes.
//!
//! *Memory*: the log counts as used, its lists as tables and the items that it keeps as entries. What it holds of strings and packed
//! collections is bounded by what the entries that changed took before, and up to 160 bytes and the key for each of them. Changes of large
//! collections take 48 bytes and what they replace or remove, so they go on as long as the commands do: who opened the log asks
//! for its bytes between commands ([`Shard::undo_bytes`]) and ends it when they are too many. One command may exceed that by the
//! elements that it takes out, which are copied at once.

mod changes;
#[cfg(test)]
mod element_tests;
mod log;
#[cfg(test)]
mod rename_tests;
#[cfg(test)]
pub(super) mod tests;

use changes::Step;
pub(super) use log::UndoLog;
use log::{At, Attribute, Before, Fate, Image, Saved};

use super::Shard;
use crate::journal::{Element, LaidAside};
use crate::keyspace::Keyspace;
use crate::list::End;
use crate::memory::{Memory, Sharing, Times, item_of};
use crate::nodes::Owner;
use crate::raw::Block;
use crate::spiral::entries::{Entry, Short};
use crate::stream::StreamChange;
use crate::{DbIndex, Key, StoreError};

/// Sums of the shard as they were when the log was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    expired_total: u64,
    expired_bytes_total: u64,
    expired_fields_total: u64,
}

/// A log that lies aside.
#[must_use = "dropped, it can neither be taken back nor told"]
pub struct Undo {
    log: UndoLog,
    /// Entries that expired while it was open.
    expired: u64,
    /// Their bytes.
    expired_bytes: u64,
    /// Fields that did.
    expired_fields: u64,
    told: LaidAside,
    /// Bytes of it, without the items kept.
    bytes: u64,
}

impl Shard {
    /// Opens the log: from now on every change can be taken back.
    ///
    /// # Panics
    /// It is open.
    pub fn begin_undo(&mut self) {
        self.undo.open(self.databases.len());
        self.undo_sums = Sums {
            expired_total: self.expired_total,
            expired_bytes_total: self.expired_bytes_total,
            expired_fields_total: self.expired_fields_total,
        };
        self.see_who_is_told();
        self.memory.arena_mut().end_evacuation();
        self.journal.hold();
    }

    /// Whether the log is open.
    #[inline]
    pub fn is_undoable(&self) -> bool {
        self.undo.is_open
    }

    /// Lets stand what was done since [`Self::begin_undo`], and tells of it.
    ///
    /// # Panics
    /// The log is not open.
    pub fn end_undo(&mut self) {
        assert!(self.undo.is_open, "a log is opened before it is closed");
        for item in self.undo.kept() {
            self.memory.destroy(item);
        }
        if !self.undo.flushed.is_empty() {
            for (_, table) in std::mem::take(&mut self.undo.flushed) {
                self.bury_table(table);
            }
            self.retire_memory_if_unused();
        }
        self.undo.close();
        self.see_who_is_told();
        self.journal.release();
    }

    /// Takes back what was done since [`Self::begin_undo`]: entries, with deadlines and histories, are what they were, and
    /// nobody hears of anything. What was written since is freed at once, but for flushed tables.
    ///
    /// # Panics
    /// The log is not open.
    pub fn undo(&mut self) {
        self.settle_quotas();
        let mut log = self.take_undo();
        self.memory.insist(true);
        self.put_tables_back(&mut log);
        for saved in log.saved() {
            self.remove_what_came(&log, saved);
        }
        // With their times as the tables know them: what is taken back of a collection's elements changes them.
        let is_in_place = |saved: &&Saved| matches!(saved.before, Before::InPlace);
        let in_place = log.saved().iter().filter(is_in_place);
        let in_place: Vec<(&Saved, Option<Times>)> = in_place
            .map(|saved| (saved, self.memory.times(self.changed_in_place(&log, saved))))
            .collect();
        for (collection, step) in log.changes.back() {
            self.step_back(collection, &step);
        }
        for (saved, times) in in_place {
            self.put_right(&log, saved, times);
        }
        for saved in log.saved() {
            self.put_back(&log, saved);
            let key = Key::new(log.key(saved), saved.hash);
            self.count_undone(DbIndex(saved.table.0 as u16), key, true);
        }
        self.memory.insist(false);
        log.close();
        self.undo = log;
        self.see_who_is_told();
        self.expired_total = self.undo_sums.expired_total;
        self.expired_bytes_total = self.undo_sums.expired_bytes_total;
        self.expired_fields_total = self.undo_sums.expired_fields_total;
        self.journal.drop_held();
    }

    /// Lays the open log aside: what is done from now on is not in it.
    ///
    /// # Panics
    /// The log is not open.
    pub fn lay_undo_aside(&mut self) -> Box<Undo> {
        let log = self.take_undo();
        self.see_who_is_told();
        let told = self.journal.lay_aside();
        let bytes = log.used_bytes() + told.used_bytes();
        self.undos_aside += 1;
        self.undos_aside_bytes += bytes;
        Box::new(Undo {
            log,
            expired: self.expired_total - self.undo_sums.expired_total,
            expired_bytes: self.expired_bytes_total - self.undo_sums.expired_bytes_total,
            expired_fields: self.expired_fields_total - self.undo_sums.expired_fields_total,
            told,
            bytes,
        })
    }

    /// Whether some log lies aside.
    #[inline]
    pub fn has_undo_aside(&self) -> bool {
        self.undos_aside > 0
    }

    /// Opens a log again that was laid aside.
    ///
    /// # Panics
    /// Another is open.
    pub fn take_up_undo(&mut self, undo: Box<Undo>) {
        assert!(!self.undo.is_open, "one log at a time");
        let undo = *undo;
        self.undos_aside -= 1;
        self.undos_aside_bytes -= undo.bytes;
        self.undo = undo.log;
        self.see_who_is_told();
        self.undo_sums = Sums {
            expired_total: self.expired_total - undo.expired,
            expired_bytes_total: self.expired_bytes_total - undo.expired_bytes,
            expired_fields_total: self.expired_fields_total - undo.expired_fields,
        };
        self.journal.take_up(undo.told);
    }

    /// Bytes of the open log and of what the journal holds back, without the items kept, which count as entries.
    #[cold]
    #[inline(never)]
    pub fn undo_bytes(&self) -> u64 {
        self.undo.used_bytes() + self.journal.held_bytes()
    }

    /// Takes the log out, so that nothing more is saved in it. Nobody is told of what is put back: of each entry they have been
    /// told when it was what it will be.
    fn take_undo(&mut self) -> UndoLog {
        assert!(self.undo.is_open, "a log is opened before it is closed");
        self.is_told_before = false;
        std::mem::take(&mut self.undo)
    }

    /// Gives each database the table that it had. The others go.
    fn put_tables_back(&mut self, log: &mut UndoLog) {
        self.ahead.forget();
        let databases = self.databases.len();
        let present = std::mem::take(&mut self.databases).into_iter();
        let flushed = std::mem::take(&mut log.flushed);
        let numbered = (0..databases).map(|db| log.table_of(db)).zip(present);
        let (mut tables, came): (Vec<_>, Vec<_>) = numbered
            .chain(flushed)
            .partition(|(id, _)| (id.0 as usize) < databases);
        tables.sort_unstable_by_key(|(id, _)| id.0);
        self.databases = tables.into_iter().map(|(_, table)| table).collect();
        self.list_bytes = self.databases.iter().map(Keyspace::list_bytes).sum();
        self.kept_bytes = self.databases.iter().map(Keyspace::kept_bytes).sum();
        self.add_up_quotas();
        for (_, table) in came {
            self.bury_table(table);
        }
    }

    fn remove_what_came(&mut self, log: &UndoLog, saved: &Saved) {
        let (db, key) = (
            DbIndex(saved.table.0 as u16),
            Key::new(log.key(saved), saved.hash),
        );
        self.count_undone(db, key, false);
        let came = self.keyspace(db).find(key, &self.memory);
        if let Some(entry) = came.filter(|_| !matches!(saved.before, Before::InPlace)) {
            self.delete(db, saved.hash, entry);
        }
    }

    fn changed_in_place(&self, log: &UndoLog, saved: &Saved) -> Block {
        let (db, key) = (
            DbIndex(saved.table.0 as u16),
            Key::new(log.key(saved), saved.hash),
        );
        let entry = self.keyspace(db).find(key, &self.memory);
        let item = entry.and_then(item_of);
        item.expect("what changed in place is there, and an item")
    }

    /// Makes an entry that has changed in place what it was; its keyspace knows these times of it.
    fn put_right(&mut self, log: &UndoLog, saved: &Saved, is: Option<Times>) {
        let (db, hash) = (DbIndex(saved.table.0 as u16), saved.hash);
        let item = self.changed_in_place(log, saved);
        let reverted = self.revert(log, saved, item);
        if reverted != item {
            self.repoint(db, hash, item, reverted);
        }
        let was = self.memory.times(reverted);
        self.times_changed(db, hash, reverted, (is, was));
    }

    /// Puts an entry that is in no keyspace back into its own.
    fn put_back(&mut self, log: &UndoLog, saved: &Saved) {
        let (db, hash) = (DbIndex(saved.table.0 as u16), saved.hash);
        match saved.before {
            Before::Absent | Before::InPlace => {}
            Before::Copied(image) => self.put_copy_back(log, saved, image),
            Before::Kept(item) => {
                let item = self.revert(log, saved, item);
                self.attach_anyway(db, hash, item);
            }
        }
    }

    /// Puts an entry back of which the log has a copy.
    fn put_copy_back(&mut self, log: &UndoLog, saved: &Saved, image: Image) {
        let (db, hash) = (DbIndex(saved.table.0 as u16), saved.hash);
        let (bytes, block_bytes) = (log.image(image), image.block_bytes);
        let first_access = log.first_access(saved);
        if let Some((key, mut content)) = Memory::short_in_image(bytes) {
            content.access = first_access.unwrap_or(content.access);
            let short = content.short(key.len()).expect("it has been asked for");
            let put = self.store_short(db, Key::new(key, hash), None, &short);
            return put.expect("there is memory set aside for what must not fail");
        }
        let item = self.insist(|memory| memory.restore(bytes, block_bytes));
        if let Some(access) = first_access {
            self.memory.set_access(item, access);
        }
        self.attach_anyway(db, hash, item);
    }

    /// Does what takes memory that was there before.
    fn insist<T>(&mut self, mut attempt: impl FnMut(&mut Memory) -> Option<T>) -> T {
        if let Some(done) = attempt(&mut self.memory) {
            return done;
        }
        // What came since may wait to be freed.
        while self.free_node().is_some() || self.memory.trim_some() {}
        let done = attempt(&mut self.memory);
        done.expect("all that came is freed, and what was there before had room")
    }

    fn revert(&mut self, log: &UndoLog, saved: &Saved, mut item: Block) -> Block {
        let Some(part) = log.part(saved) else {
            return item;
        };
        if let Some(image) = part.packed {
            let (bytes, block_bytes) = (log.image(image), image.block_bytes);
            item = self.insist(|memory| memory.restore_packed(item, bytes, block_bytes));
        }
        self.memory.revert(item, &part.was, &part.ranges)
    }

    /// Takes a change of a large collection back.
    fn step_back(&mut self, collection: Owner, step: &Step<'_>) {
        match *step {
            Step::Put(field) => {
                let hasher = self.hasher.clone();
                self.insist(|memory| {
                    memory.change_spiral(collection, |spiral, heap| {
                        let put = spiral.put(heap, &|name: &[u8]| hasher.hash(name), field);
                        put.ok()
                    })
                });
            }
            Step::Drop(name) => {
                let hasher = &self.hasher;
                self.memory
                    .remove_named(collection, &|name: &[u8]| hasher.hash(name), name);
            }
            Step::Score(name, score) => {
                let hasher = self.hasher.clone();
                let hash_of = |name: &[u8]| hasher.hash(name);
                self.insist(|memory| {
                    memory
                        .update_scored(collection, &hash_of, name, |_| score)
                        .ok()
                });
            }
            Step::Shorten { index, len } => {
                self.memory.change_list(collection, |list, heap| {
                    let more = list.len() - len;
                    list.remove(heap, index..index + more);
                });
            }
            Step::Insert {
                index,
                ref elements,
            } => self.put_elements_back(collection, index, elements),
            Step::Replace { index, value } => self.insist(|memory| {
                memory.change_list(collection, |list, heap| {
                    list.replace(heap, index, value).ok()
                })
            }),
            Step::Stream(mut changes) => {
                while !changes.is_empty() {
                    let change = StreamChange::read(&mut changes);
                    self.insist(|memory| {
                        memory.change_stream(collection, |stream, heap| {
                            stream.apply(heap, &change).ok()
                        })
                    });
                }
            }
        }
    }

    /// Puts elements before element `index` of a list: where it can, as they come to an end.
    fn put_elements_back(&mut self, collection: Owner, index: u32, elements: &[&[u8]]) {
        let (list, _) = self.memory.list(collection);
        let (is_head, is_tail) = (index == 0, index == list.len());
        let numbered = (index..).zip(elements);
        let mut put = |index: u32, element: &[u8]| {
            self.insist(|memory| {
                memory.change_list(collection, |list, heap| {
                    let put = match (is_head, is_tail) {
                        (true, _) => list.push(heap, End::Head, element),
                        (_, true) => list.push(heap, End::Tail, element),
                        _ => list.insert(heap, index, element),
                    };
                    put.ok()
                })
            });
        };
        match is_head {
            true => elements.iter().rev().for_each(|element| put(0, element)),
            false => numbered.for_each(|(index, element)| put(index, element)),
        }
    }
}

/// What mutations call before they change something, while somebody is told: first others are ([`super::before`]), then
/// the log saves what it needs, if it is open.
impl Shard {
    /// An entry of `key`, which is not there, is about to be made.
    #[cold]
    #[inline(never)]
    pub(super) fn before_new(&mut self, db: DbIndex, key: Key<'_>) {
        self.tell_of_new(db, key.bytes());
        if self.undo.is_open {
            self.undo.before_new(db, key.hash(), key.bytes());
        }
    }

    /// The item is about to be destroyed or overwritten as a whole. Whether the caller must leave it as it is, and hand it over
    /// by [`Self::keep`].
    #[cold]
    #[inline(never)]
    pub(super) fn before_whole(&mut self, db: DbIndex, hash: u64, entry: Entry) -> bool {
        self.tell_of_entry(db, entry);
        match entry {
            Entry::Short(short) => {
                self.before_short(db, hash, &short);
                false
            }
            Entry::Item(item) => {
                let at = At { db, hash, item };
                self.undo.is_open && self.undo.before_whole(at, &self.memory) == Fate::Keep
            }
        }
    }

    /// A short string is about to change, or to be used: the log copies it.
    fn before_short(&mut self, db: DbIndex, hash: u64, short: &Short) {
        if self.undo.is_open {
            self.undo.copy_short(db, hash, short, &self.memory);
        }
    }

    /// Hands over an item that another has taken the place of, or none.
    #[cold]
    pub(super) fn keep(&mut self, db: DbIndex, hash: u64, item: Block) {
        self.undo.keep(At { db, hash, item }, item, &self.memory);
    }

    /// An element of the item's collection is about to change as the record will say.
    #[cold]
    #[inline(never)]
    pub(super) fn before_element(
        &mut self,
        db: DbIndex,
        hash: u64,
        item: Block,
        element: &Element<'_>,
    ) {
        self.tell_of_entry(db, Entry::Item(item));
        if self.undo.is_open {
            let at = At { db, hash, item };
            let hasher = &self.hasher;
            self.undo
                .before_element(at, element, &self.memory, |name| hasher.hash(name));
        }
    }

    /// Fields of the item's hash are about to end. The collection of which the log wants each, if it does.
    #[cold]
    pub(super) fn before_fields_end(
        &mut self,
        db: DbIndex,
        hash: u64,
        item: Block,
    ) -> Option<Owner> {
        self.tell_of_entry(db, Entry::Item(item));
        let at = At { db, hash, item };
        let is_open = self.undo.is_open;
        is_open
            .then(|| self.undo.before_elements(at, &self.memory))
            .flatten()
    }

    /// A range of the item's value is about to be written.
    ///
    /// # Errors
    /// The log wants a copy of the value, for which there is no memory.
    #[cold]
    #[inline(never)]
    pub(super) fn before_range(
        &mut self,
        db: DbIndex,
        hash: u64,
        entry: Entry,
        range: (usize, usize),
    ) -> Result<(), StoreError> {
        self.tell_of_entry(db, entry);
        let item = match entry {
            _ if !self.undo.is_open => return Ok(()),
            Entry::Short(short) => {
                self.before_short(db, hash, &short);
                return Ok(());
            }
            Entry::Item(item) => item,
        };
        let at = At { db, hash, item };
        if self.undo.before_range(at, range, &self.memory) == Fate::Keep {
            let key = self.memory.key(item).to_vec();
            let copy = self.memory.duplicate(item, &key, Sharing::Own)?;
            self.undo.keep(at, copy, &self.memory);
        }
        self.choose_sharing();
        Ok(())
    }

    /// The entry's deadline is about to change.
    #[cold]
    #[inline(never)]
    pub(super) fn before_deadline(&mut self, db: DbIndex, hash: u64, entry: Entry) {
        self.tell_of_entry(db, entry);
        self.before_attribute(db, hash, entry, Attribute::Deadline);
    }

    /// The entry's history is about to change.
    #[cold]
    #[inline(never)]
    pub(super) fn before_use(&mut self, db: DbIndex, entry: Entry) {
        if self.undo.is_open {
            let hash = self.hasher.hash(self.memory.key_of(entry));
            self.before_attribute(db, hash, entry, Attribute::Access);
        }
    }

    fn before_attribute(&mut self, db: DbIndex, hash: u64, entry: Entry, attribute: Attribute) {
        match entry {
            Entry::Short(short) => self.before_short(db, hash, &short),
            Entry::Item(item) if self.undo.is_open => {
                let at = At { db, hash, item };
                self.undo.before_attributes(at, attribute, &self.memory);
            }
            Entry::Item(_) => {}
        }
    }
}
