//! Entries as they were at one moment, met in steps while commands go on.
//!
//! ```text
//!  positions   | walked: what was there has been met             │ ahead: as it was, but for keys that have changed      |
//!                                                             cursor                           │
//!                 a key ahead is about to change for the first time ──▶ was it there then? ────┘
//!                 it is met now, if it was, and passed when the walk comes to it
//! ```
//! The walk is a scan in the order of positions ([`crate::keyspace`]), of one contents after the other, and is told before a key changes
//! ([`super::before`]). What changes behind the cursor does not matter any more, and what has changed ahead is decided, so each entry
//! is met once if it was there, whatever becomes of it. Nobody waits for a walk, and it waits for nobody.
//!
//! Who meets an entry may put it off, since it takes long: then it is met again with a later step, or just before it changes.
//!
//! Cost: a look at each entry; of each key ahead that changes its hash, and its name, if that is one that is wanted. A database that is
//! emptied meanwhile is walked to its end then, unless who meets its entries gives them up.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::rc::Rc;

use super::{Shard, Upcoming};
use crate::keyspace::Cursor;
use crate::memory::Memory;
use crate::subscribers::SubscriberId;
use crate::{ContentsId, DbIndex, EntryRef, KeyHasher, UnixMillis};

/// Whether a key is one that is looked for.
pub type IsWanted = Box<dyn Fn(&[u8]) -> bool>;

/// Who meets entries just before they change, or go.
pub trait Early {
    /// This entry is about to change for the first time since the moment.
    fn meet(&mut self, contents: ContentsId, entry: &EntryRef<'_>);

    /// All that is left of these contents, so many entries at most, is about to go. Whether they are to be met now.
    fn meets_all(&mut self, _contents: ContentsId, _entries: u64) -> bool {
        true
    }
}

/// What became of an entry that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It need not be met again.
    Whole,
    /// It is put off.
    Later,
}

/// A walk over the entries that were there when it began. [`Shard::end_as_of`] ends it.
#[must_use = "a walk is ended, or is told of all changes for ever"]
pub struct AsOf {
    subscriber: SubscriberId,
    walk: Rc<RefCell<Walk>>,
}

impl fmt::Debug for AsOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let walk = self.walk.borrow();
        let mut shown = formatter.debug_struct("AsOf");
        shown.field("time", &walk.time).finish_non_exhaustive()
    }
}

impl AsOf {
    /// Bytes of memory that it holds: the names of keys that have changed ahead of it, or are put off.
    pub fn held_bytes(&self) -> usize {
        let walk = self.walk.borrow();
        walk.parts.iter().map(Part::held_bytes).sum()
    }

    /// How many keys have changed ahead of it since it began.
    pub fn changed_early(&self) -> u64 {
        self.walk.borrow().changed_early
    }
}

/// What has yet to be met.
struct Walk {
    hasher: KeyHasher,
    /// The moment's time, by which deadlines are judged.
    time: UnixMillis,
    is_wanted: IsWanted,
    /// What is left, the part at work first.
    parts: VecDeque<Part>,
    changed_early: u64,
}

/// What is left of some contents.
struct Part {
    contents: ContentsId,
    /// Where the walk goes on; none: it has come to its end.
    cursor: Option<Cursor>,
    /// Keys ahead of it that have changed since the moment.
    changed: HashSet<Rc<[u8]>, ahash::RandomState>,
    /// Keys behind it that are put off, as they were.
    later: VecDeque<Rc<[u8]>>,
    /// Bytes of the names in either.
    name_bytes: usize,
}

impl Part {
    fn held_bytes(&self) -> usize {
        let names = self.changed.capacity() + self.later.capacity();
        self.name_bytes + names * size_of::<Rc<[u8]>>()
    }

    fn is_over(&self) -> bool {
        self.cursor.is_none() && self.later.is_empty()
    }

    /// A key is about to change: whether it has yet to be met, as it is.
    fn decide(&mut self, key: &[u8], hasher: &KeyHasher) -> Decided {
        let is_ahead = |cursor: Cursor| cursor.is_before(hasher.hash(key));
        if self.cursor.is_some_and(is_ahead) {
            if self.changed.contains(key) {
                return Decided::Before;
            }
            self.name_bytes += key.len();
            self.changed.insert(key.into());
            return Decided::Ahead;
        }
        let at = self.later.iter().position(|name| **name == *key);
        match at.and_then(|at| self.later.remove(at)) {
            Some(name) => {
                self.name_bytes -= name.len();
                Decided::PutOff
            }
            None => Decided::Before,
        }
    }

    fn put_off(&mut self, key: &[u8]) {
        self.name_bytes += key.len();
        self.later.push_back(key.into());
    }
}

/// What a key is that is about to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decided {
    /// Nothing is to be done about it.
    Before,
    /// The walk would have come to it.
    Ahead,
    /// It was put off.
    PutOff,
}

/// Whether an entry was there at a time.
fn was_there(entry: &EntryRef<'_>, time: UnixMillis) -> bool {
    entry.expires_at().is_none_or(|at| at > time)
}

impl Walk {
    fn part(&mut self, contents: ContentsId) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.contents == contents)
    }

    /// A key is about to change, or to go, and holds this.
    fn note(
        &mut self,
        contents: ContentsId,
        key: &[u8],
        entry: Option<&EntryRef<'_>>,
        early: &mut dyn Early,
    ) {
        if !(self.is_wanted)(key) {
            return;
        }
        let (hasher, time) = (self.hasher.clone(), self.time);
        let Some(part) = self.part(contents) else {
            return;
        };
        let decided = part.decide(key, &hasher);
        if decided == Decided::Before {
            return;
        }
        self.changed_early += 1;
        if let Some(entry) = entry.filter(|entry| was_there(entry, time)) {
            early.meet(contents, entry);
        }
    }

    fn note_upcoming(&mut self, upcoming: &Upcoming<'_>, early: &mut dyn Early) {
        match upcoming {
            Upcoming::Entry {
                contents,
                key,
                entry,
            } => self.note(*contents, key, entry.as_ref(), early),
            Upcoming::Flush { contents, entries } => {
                if self.part(*contents).is_none() {
                    return;
                }
                if early.meets_all(*contents, entries.count()) {
                    entries.for_each(&mut |entry| {
                        self.note(*contents, entry.key(), Some(&entry), early);
                    });
                }
                self.parts.retain(|part| part.contents != *contents);
            }
        }
    }
}

impl Shard {
    /// Begins a walk over the entries of some databases as they are now. `early` meets those that change ahead of the walk.
    pub fn begin_as_of(
        &mut self,
        databases: impl Iterator<Item = DbIndex>,
        is_wanted: IsWanted,
        mut early: impl Early + 'static,
    ) -> AsOf {
        let part = |db| Part {
            contents: self.contents_of(db),
            cursor: Some(Cursor(0)),
            changed: HashSet::default(),
            later: VecDeque::new(),
            name_bytes: 0,
        };
        let walk = Rc::new(RefCell::new(Walk {
            hasher: self.hasher.clone(),
            time: self.now,
            is_wanted,
            parts: databases.map(part).collect(),
            changed_early: 0,
        }));
        let told = Rc::clone(&walk);
        let subscriber = self.subscribe_before(Box::new(move |upcoming| {
            told.borrow_mut().note_upcoming(upcoming, &mut early);
        }));
        AsOf { subscriber, walk }
    }

    /// Meets about `count` more entries of those that were there and are wanted, or passes as many that are not; those put off are
    /// not among them. Whether there may be others, these included.
    pub fn more_as_of(
        &mut self,
        as_of: &AsOf,
        count: usize,
        meet: &mut dyn FnMut(ContentsId, &EntryRef<'_>) -> Met,
    ) -> bool {
        let walk = &mut *as_of.walk.borrow_mut();
        // What was put off may have been met since, before it changed.
        walk.parts.retain(|part| !part.is_over());
        let Some(part) = walk.parts.iter_mut().find(|part| part.cursor.is_some()) else {
            return !walk.parts.is_empty();
        };
        let cursor = part.cursor.expect("it is such a one");
        let mut databases = self.databases.iter();
        let keyspace = databases.find(|keyspace| keyspace.id() == part.contents);
        let keyspace = keyspace.expect("contents that go are told of");
        let (memory, contents) = (&self.memory, part.contents);
        let mut later: Vec<Rc<[u8]>> = Vec::new();
        let next = keyspace.scan((memory, &self.hasher), cursor, count, &mut |entry| {
            let key = memory.key_of(entry);
            let is_met = !memory.has_ended(entry, walk.time)
                && (walk.is_wanted)(key)
                && !part.changed.contains(key);
            if is_met && meet(contents, &memory.view(entry)) == Met::Later {
                later.push(key.into());
            }
        });
        later.iter().for_each(|key| part.put_off(key));
        part.cursor = next;
        if next.is_none() {
            part.changed = HashSet::default();
            part.name_bytes = part.later.iter().map(|name| name.len()).sum();
        }
        walk.parts.retain(|part| !part.is_over());
        !walk.parts.is_empty()
    }

    /// Meets the entry again that was put off first, if there is one. Whether there was.
    pub fn put_off_as_of(
        &mut self,
        as_of: &AsOf,
        meet: &mut dyn FnMut(ContentsId, &EntryRef<'_>) -> Met,
    ) -> bool {
        let walk = &mut *as_of.walk.borrow_mut();
        let Some(part) = walk.parts.iter_mut().find(|part| !part.later.is_empty()) else {
            return false;
        };
        let entry = self.entry_in(part.contents, &part.later[0]);
        let entry = entry.expect("what is put off has not changed");
        if meet(part.contents, &entry) == Met::Whole
            && let Some(name) = part.later.pop_front()
        {
            part.name_bytes -= name.len();
        }
        walk.parts.retain(|part| !part.is_over());
        true
    }

    /// The entry of a key, though it may be past its deadline.
    fn entry_in(&self, contents: ContentsId, key: &[u8]) -> Option<EntryRef<'_>> {
        let mut databases = self.databases.iter();
        let keyspace = databases.find(|keyspace| keyspace.id() == contents)?;
        let memory: &Memory = &self.memory;
        let found = keyspace.find(self.hasher.key(key), memory)?;
        Some(memory.view(found))
    }

    /// Ends a walk, whether it has come to its end or not.
    pub fn end_as_of(&mut self, as_of: &AsOf) {
        let was_told = self.unsubscribe_before(as_of.subscriber);
        assert!(was_told, "a walk is ended once");
    }
}
