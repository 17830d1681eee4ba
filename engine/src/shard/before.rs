//! Who is told *before* something changes: quotas, subscribers, each with what there is still to be seen, and the undo log.
//!
//! ```text
//!  a mutation ── nobody is told? one test ──▶ the change
//!       └── somebody is ──▶ before_new, before_whole, before_range, before_element, … ─┬─▶ subscribers: the entry as it is
//!                                                                                      └─▶ the undo log, if it is open
//! ```
//! A snapshot that walks the shard while commands go on is such a subscriber: it copies what is about to change and has not been
//! walked. It is told again of an entry that it has copied, and of changes that then fail for want of memory. It is not told of
//! uses of an entry, which change its history alone, nor of entries that move in memory or come back by [`Shard::undo`]. Nor is it
//! told that databases are exchanged: it knows entries by the contents that they are in, which go along.
//!
//! Of a collection it is told before each change of an element, so that at the first it finds all as it was:
//! [`EntryRef::each_field`] and [`EntryRef::each_element`] show the elements of one of any size, in one step.

use super::Shard;
use crate::entry::EntryRef;
use crate::keyspace::Keyspace;
use crate::memory::{Memory, Sharing};
use crate::spiral::entries::Entry;
use crate::subscribers::SubscriberId;
use crate::{ContentsId, DbIndex};

/// What is about to change.
pub enum Upcoming<'a> {
    /// What a key holds.
    Entry {
        /// In which contents.
        contents: ContentsId,
        /// The key.
        key: &'a [u8],
        /// What it holds now, perhaps past its deadline; none: nothing.
        entry: Option<EntryRef<'a>>,
    },
    /// The contents of a database, all of which are about to go.
    Flush {
        /// Which contents.
        contents: ContentsId,
        /// What they are.
        entries: Entries<'a>,
    },
}

/// The entries of a database, those past their deadline included.
#[derive(Clone, Copy)]
pub struct Entries<'a> {
    table: &'a Keyspace,
    memory: &'a Memory,
}

impl Entries<'_> {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.table.len()
    }

    /// Shows each entry once.
    pub fn for_each(&self, show: &mut dyn FnMut(EntryRef<'_>)) {
        self.table
            .for_each(self.memory, |entry| show(self.memory.view(entry)));
    }
}

/// A function that is told before something changes.
pub type BeforeChange = Box<dyn FnMut(&Upcoming<'_>)>;

impl Shard {
    /// Adds a subscriber that is told before each change from now on.
    pub fn subscribe_before(&mut self, subscriber: BeforeChange) -> SubscriberId {
        let id = self.before_changes.add(subscriber);
        self.see_who_is_told();
        id
    }

    /// Removes a subscriber. Whether it was there.
    pub fn unsubscribe_before(&mut self, id: SubscriberId) -> bool {
        let was_there = self.before_changes.remove(id);
        self.see_who_is_told();
        was_there
    }

    /// Which contents a database has.
    pub fn contents_of(&self, db: DbIndex) -> ContentsId {
        self.keyspace(db).id()
    }

    /// Whether anybody is told before a change follows from who is there.
    pub(super) fn see_who_is_told(&mut self) {
        self.is_told_before =
            self.undo.is_open || !self.before_changes.is_empty() || self.quotas.is_some();
        self.choose_sharing();
    }

    /// While the log has what was written in place of some buffer, to write it back, no buffer is shared: who shared it could
    /// hold it still when it is to be written, on another core.
    pub(super) fn choose_sharing(&mut self) {
        self.memory
            .set_sharing(match self.undo.has_written_extents() {
                true => Sharing::Own,
                false => Sharing::Shared,
            });
    }

    /// Tells subscribers of an entry that is about to change.
    pub(super) fn tell_of_entry(&mut self, db: DbIndex, entry: Entry) {
        self.note_for_quota(db, entry);
        let entry = self.memory.view(entry);
        let upcoming = Upcoming::Entry {
            contents: self.contents_of(db),
            key: entry.key(),
            entry: Some(entry),
        };
        for subscriber in self.before_changes.iter_mut() {
            subscriber(&upcoming);
        }
    }

    /// Tells subscribers of an entry that is about to be made.
    pub(super) fn tell_of_new(&mut self, db: DbIndex, key: &[u8]) {
        self.note_new_for_quota(db, key);
        let upcoming = Upcoming::Entry {
            contents: self.contents_of(db),
            key,
            entry: None,
        };
        for subscriber in self.before_changes.iter_mut() {
            subscriber(&upcoming);
        }
    }

    /// Tells subscribers that a database is about to be emptied.
    #[cold]
    #[inline(never)]
    pub(super) fn before_flush(&mut self, db: DbIndex) {
        let entries = Entries {
            table: &self.databases[usize::from(db.0)],
            memory: &self.memory,
        };
        let contents = self.contents_of(db);
        let upcoming = Upcoming::Flush { contents, entries };
        for subscriber in self.before_changes.iter_mut() {
            subscriber(&upcoming);
        }
    }
}
