//! Notes of what happened, which the owner of the shard takes behind the command: that keys changed, and events to publish.

use super::Event;
use crate::DbIndex;

/// More room than this is not kept for the next notes.
const KEPT_BYTES: usize = 64 * 1024;

/// Which notes are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// That keys changed.
    pub changes: bool,
    /// Events.
    pub events: bool,
}

/// What is noted of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It changed.
    Changed(Author),
    /// The database changed as a whole; there is no key.
    Database,
    /// An event is to be published.
    Event(Event),
}

/// Who changed a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// The command that ran.
    Command,
    /// The shard itself: it expired, or made room.
    Shard,
}

/// A note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The database.
    pub db: DbIndex,
    /// The key.
    pub key: &'a [u8],
    /// What is noted of it.
    pub what: Noted,
}

/// Notes, in their order.
#[derive(Debug, Default)]
pub struct Notes {
    heads: Vec<NoteHead>,
    keys: Vec<u8>,
}

/// A note; its key lies in `keys`, where neighbours share it.
#[derive(Clone, Copy, Debug)]
struct NoteHead {
    db: DbIndex,
    what: Noted,
    key_start: usize,
    key_end: usize,
}

impl Notes {
    pub(super) fn push(&mut self, db: DbIndex, key: &[u8], what: Noted) {
        let last = self.heads.last().map(|last| (last.key_start, last.key_end));
        let (key_start, key_end) = match last {
            Some((start, end)) if self.keys[start..end] == *key => (start, end),
            _ => {
                let start = self.keys.len();
                self.keys.extend_from_slice(key);
                (start, self.keys.len())
            }
        };
        self.heads.push(NoteHead {
            db,
            what,
            key_start,
            key_end,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Forgets all but the first `notes`.
    pub(super) fn truncate(&mut self, notes: usize) {
        self.heads.truncate(notes);
        let key_end = self.heads.last().map_or(0, |last| last.key_end);
        self.keys.truncate(key_end);
    }

    /// Takes out all but the first so many.
    pub(super) fn split_off(&mut self, notes: usize) -> Self {
        let mut rest = Self::default();
        for note in self.iter().skip(notes) {
            rest.push(note.db, note.key, note.what);
        }
        self.truncate(notes);
        rest
    }

    /// Takes the events out of all but the first so many, and leaves the other notes.
    pub(super) fn split_events_off(&mut self, notes: usize) -> Self {
        let is_event = |note: &NoteHead| matches!(note.what, Noted::Event(_));
        if !self.heads[notes..].iter().any(is_event) {
            return Self::default();
        }
        let mut events = Self::default();
        for note in self.split_off(notes).iter() {
            let notes = match note.what {
                Noted::Event(_) => &mut events,
                Noted::Changed(_) | Noted::Database => &mut *self,
            };
            notes.push(note.db, note.key, note.what);
        }
        events
    }

    /// Adds others behind.
    pub(super) fn append(&mut self, more: &Self) {
        for note in more.iter() {
            self.push(note.db, note.key, note.what);
        }
    }

    /// Bytes of memory.
    pub(super) fn used_bytes(&self) -> u64 {
        (self.heads.capacity() * size_of::<NoteHead>() + self.keys.capacity()) as u64
    }

    /// Empties them, and keeps their memory unless it is much.
    pub(super) fn empty(self) -> Self {
        let Self {
            mut heads,
            mut keys,
        } = self;
        if keys.capacity() > KEPT_BYTES {
            return Self::default();
        }
        heads.clear();
        keys.clear();
        Self { heads, keys }
    }

    /// The notes.
    pub fn iter(&self) -> impl Iterator<Item = Note<'_>> {
        self.heads.iter().map(|head| Note {
            db: head.db,
            key: &self.keys[head.key_start..head.key_end],
            what: head.what,
        })
    }
}
