//! The journal: the one place through which every change of the keyspace passes.
//!
//! A mutation emits exactly one [`Record`] for each effect it has: what changed, deterministic and with absolute
//! deadlines ([`Effect`]), and why, in the vocabulary of keyspace notifications ([`Event`]). There are two ways to read
//! that one stream:
//!
//! - a **tap** sees each record as it is made, values included: what writes changes down (an append log, a replica's
//!   feed);
//! - **notes** are kept of which keys changed and why, for the owner of the shard to take behind the command: what acts
//!   on other sessions, which no mutation can wait for or call into (notifications, client tracking, those who wait for a
//!   key). All of them read the same notes.
//!
//! Watched keys ([`Watches`]) are marked as the record is made. With none of these, a record costs a counter and a test.

mod held;

use held::HeldRecords;

use crate::awaited::AwaitedKeys;
use crate::copied::CopiedKeys;
use crate::watch::{BreaksHeld, Watches};
use crate::{DbIndex, Encoding, Kind, UnixMillis};

/// What changed, enough to replay it; bytes are `B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectOf<B> {
    /// The entry now holds this value and deadline.
    Put {
        /// The data type.
        kind: Kind,
        /// The encoding.
        encoding: Encoding,
        /// The value, in the representation of its encoding.
        value: B,
        /// The deadline.
        expires_at: Option<UnixMillis>,
    },
    /// `bytes` were written at `offset` of a string, extending it with zeros where it was shorter.
    WriteRange {
        /// Where the first byte went.
        offset: u64,
        /// What was written.
        bytes: B,
    },
    /// The deadline changed; `None` removes it.
    Deadline(Option<UnixMillis>),
    /// The entry is gone.
    Remove,
    /// The entry moved to `key` of `db`, replacing what was there.
    MoveTo {
        /// The new database.
        db: DbIndex,
        /// The new key.
        key: B,
    },
    /// The entry came by the [`Effect::MoveTo`] of the record just before, which is the whole change.
    Arrive,
    /// Every entry of the database is gone (the record's key is empty).
    FlushDb,
    /// The databases exchanged their contents (the record's key is empty).
    SwapDb {
        /// The other database.
        with: DbIndex,
    },
}

/// What changed, with borrowed bytes.
pub type Effect<'a> = EffectOf<&'a [u8]>;

impl<B> EffectOf<B> {
    /// The same effect with other bytes.
    fn map<C>(self, bytes_of: &mut impl FnMut(B) -> C) -> EffectOf<C> {
        match self {
            Self::Put {
                kind,
                encoding,
                value,
                expires_at,
            } => EffectOf::Put {
                kind,
                encoding,
                value: bytes_of(value),
                expires_at,
            },
            Self::WriteRange { offset, bytes } => EffectOf::WriteRange {
                offset,
                bytes: bytes_of(bytes),
            },
            Self::Deadline(deadline) => EffectOf::Deadline(deadline),
            Self::Remove => EffectOf::Remove,
            Self::MoveTo { db, key } => EffectOf::MoveTo {
                db,
                key: bytes_of(key),
            },
            Self::Arrive => EffectOf::Arrive,
            Self::FlushDb => EffectOf::FlushDb,
            Self::SwapDb { with } => EffectOf::SwapDb { with },
        }
    }
}

/// Class of a keyspace event: the letter of `notify-keyspace-events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventClass {
    /// `g`: commands of any type.
    Generic,
    /// `$`: string commands.
    String,
    /// `x`: an entry reached its deadline.
    Expired,
    /// `e`: an entry was evicted for `maxmemory`.
    Evicted,
    /// `n`: a key came to be.
    New,
    /// `m`: a key that was read is not there.
    Missed,
    /// No event is published.
    Silent,
}

impl EventClass {
    /// The letter of `notify-keyspace-events`.
    pub fn letter(self) -> Option<char> {
        match self {
            Self::Generic => Some('g'),
            Self::String => Some('$'),
            Self::Expired => Some('x'),
            Self::Evicted => Some('e'),
            Self::New => Some('n'),
            Self::Missed => Some('m'),
            Self::Silent => None,
        }
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = ($text:literal, $class:ident),)*) => {
        /// Why an entry changed: the event of a keyspace notification.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Event { $($(#[$doc])* $name,)* }

        impl Event {
            /// The event's name on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The event's class.
            pub fn class(self) -> EventClass {
                match self { $(Self::$name => EventClass::$class,)* }
            }
        }
    };
}

events! {
    /// A string was written whole.
    Set = ("set", String),
    /// `SETRANGE`.
    SetRange = ("setrange", String),
    /// `APPEND`.
    Append = ("append", String),
    /// `SETBIT`, `BITFIELD`.
    SetBit = ("setbit", String),
    /// `INCR`, `DECR`, `INCRBY`, `DECRBY`.
    IncrBy = ("incrby", String),
    /// `INCRBYFLOAT`.
    IncrByFloat = ("incrbyfloat", String),
    /// The entry was deleted by a command.
    Del = ("del", Generic),
    /// A deadline was set.
    Expire = ("expire", Generic),
    /// A deadline was removed.
    Persist = ("persist", Generic),
    /// The entry was renamed away.
    RenameFrom = ("rename_from", Generic),
    /// The entry came by a rename.
    RenameTo = ("rename_to", Generic),
    /// The entry was moved to another database.
    MoveFrom = ("move_from", Generic),
    /// The entry came from another database.
    MoveTo = ("move_to", Generic),
    /// The entry was copied here.
    CopyTo = ("copy_to", Generic),
    /// `RESTORE`.
    Restore = ("restore", Generic),
    /// The entry reached its deadline.
    Expired = ("expired", Expired),
    /// The entry was evicted.
    Evicted = ("evicted", Evicted),
    /// The key came to be; what follows says how.
    New = ("new", New),
    /// The key was read and is not there: no change.
    Missed = ("keymiss", Missed),
    /// A change that publishes nothing (an overwritten destination, `FLUSHDB`).
    Silent = ("", Silent),
}

/// One entry of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The database.
    pub db: DbIndex,
    /// The key.
    pub key: &'a [u8],
    /// What changed.
    pub effect: Effect<'a>,
    /// Why.
    pub event: Event,
}

/// What else a change was: the events that go with its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Besides(u8);

impl Besides {
    /// Nothing else.
    pub const NOTHING: Self = Self(0);
    /// The key was not there before, or was removed to be written anew.
    pub const NEW_KEY: Self = Self(1);
    /// The command gave the key a deadline of its own.
    pub const DEADLINE: Self = Self(2);

    /// Both `self` and, if `holds`, `other`.
    #[inline(always)]
    pub fn and_if(self, holds: bool, other: Self) -> Self {
        Self(self.0 | if holds { other.0 } else { 0 })
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A consumer of the journal's records.
pub type Tap = Box<dyn FnMut(&Record<'_>)>;

/// What was made since the journal began to hold back.
#[derive(Default)]
struct Held {
    records: HeldRecords,
    /// Changes before.
    changes: u64,
    /// Notes before.
    notes: usize,
}

/// What was held back, laid aside: meanwhile others are told of what they do.
#[derive(Default)]
pub(crate) struct LaidAside {
    records: HeldRecords,
    changes: u64,
    notes: Notes,
    breaks: BreaksHeld,
    written: Vec<(DbIndex, Box<[u8]>)>,
}

impl LaidAside {
    /// Bytes of memory.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.records.used_bytes() + self.notes.used_bytes()
    }
}

/// The stream of a shard's changes.
#[derive(Default)]
pub struct Journal {
    changes: u64,
    /// Whether anybody reads: a tap or a guest is attached, or notes are kept.
    is_read: bool,
    keeps_notes: bool,
    notes: Notes,
    tap: Option<Tap>,
    /// A second consumer, for a time.
    guest: Option<Tap>,
    /// What is told at the end only, while it may be taken back.
    held: Option<Held>,
    pub(crate) watches: Watches,
    pub(crate) awaited: AwaitedKeys,
    pub(crate) copied: CopiedKeys,
}

impl Journal {
    /// Attaches the consumer, which sees every record from now on.
    pub fn attach(&mut self, tap: Tap) {
        self.tap = Some(tap);
        self.is_read = true;
    }

    /// Keeps notes of changes from now on, or no longer; then those there are have no reader.
    pub fn keep_notes(&mut self, on: bool) {
        if !on {
            self.notes = Notes::default();
        }
        self.keeps_notes = on;
        self.see_who_reads();
    }

    /// Whether there are notes to take. While what is done may be taken back, there are none.
    #[inline]
    pub fn has_notes(&self) -> bool {
        !self.notes.heads.is_empty() && self.held.is_none()
    }

    /// Takes the notes kept since they were last taken. [`Self::return_notes`] gives their memory back.
    pub fn take_notes(&mut self) -> Notes {
        match self.held {
            None => std::mem::take(&mut self.notes),
            Some(_) => Notes::default(),
        }
    }

    /// Takes emptied notes back, for their memory.
    pub fn return_notes(&mut self, mut notes: Notes) {
        /// More room than this is not kept.
        const KEPT_BYTES: usize = 64 * 1024;
        if self.notes.heads.is_empty() && notes.keys.capacity() <= KEPT_BYTES {
            notes.heads.clear();
            notes.keys.clear();
            self.notes = notes;
        }
    }

    /// Lets `guest` see every record too from now on, or no guest any more.
    pub fn set_guest(&mut self, guest: Option<Tap>) {
        self.guest = guest;
        self.see_who_reads();
    }

    /// Holds back all that is told from now on.
    pub(crate) fn hold(&mut self) {
        self.held = Some(Held {
            records: HeldRecords::default(),
            changes: self.changes,
            notes: self.notes.heads.len(),
        });
        self.watches.hold();
        self.awaited.hold();
    }

    /// Tells what was held back.
    pub(crate) fn release(&mut self) {
        self.watches.release();
        self.awaited.release();
        let held = self.held.take().expect("something is held back");
        for record in held.records.iter() {
            for tap in self.tap.iter_mut().chain(&mut self.guest) {
                tap(&record);
            }
        }
    }

    /// Forgets what was held back, as if it had not happened.
    pub(crate) fn drop_held(&mut self) {
        self.watches.drop_held();
        self.awaited.drop_held();
        let held = self.held.take().expect("something is held back");
        self.changes = held.changes;
        self.notes.truncate(held.notes);
    }

    /// Lays aside what was held back. It is as if it had not happened, until [`Self::take_up`].
    pub(crate) fn lay_aside(&mut self) -> LaidAside {
        let held = self.held.take().expect("something is held back");
        let changes = self.changes - held.changes;
        self.changes = held.changes;
        LaidAside {
            records: held.records,
            changes,
            notes: self.notes.split_off(held.notes),
            breaks: self.watches.lay_aside(),
            written: self.awaited.lay_aside(),
        }
    }

    /// Goes on holding back, behind what was laid aside.
    pub(crate) fn take_up(&mut self, aside: LaidAside) {
        self.hold();
        self.watches.take_up(aside.breaks);
        self.awaited.take_up(aside.written);
        self.changes += aside.changes;
        if self.keeps_notes {
            self.notes.append(&aside.notes);
        }
        let held = self.held.as_mut().expect("it has just been opened");
        held.records = aside.records;
    }

    /// Bytes of what is held back.
    pub(crate) fn held_bytes(&self) -> u64 {
        match &self.held {
            None => 0,
            Some(held) => held.records.used_bytes(),
        }
    }

    fn see_who_reads(&mut self) {
        self.is_read = self.keeps_notes || self.tap.is_some() || self.guest.is_some();
    }

    /// Number of changes since the shard began (`rdb_changes_since_last_save` counts these).
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Passes one change to the consumers.
    #[inline(always)]
    pub fn record(&mut self, record: &Record<'_>) {
        self.record_besides(record, Besides::NOTHING);
    }

    /// As [`Self::record`], for a change that is something else besides.
    #[inline(always)]
    pub fn record_besides(&mut self, record: &Record<'_>, besides: Besides) {
        // A range written silently is a part of a change that has its own record, or none that a client could read.
        let is_part = matches!(
            (&record.effect, record.event),
            (Effect::Arrive, _) | (Effect::WriteRange { .. }, Event::Silent)
        );
        self.changes += u64::from(!is_part);
        if self.is_read
            || !self.watches.is_empty()
            || !self.awaited.is_empty()
            || !self.copied.is_empty()
        {
            self.tell(record, besides);
        }
    }

    /// Notes an event that is no change: a key that was read is not there, or one is about to come to be.
    #[inline(always)]
    pub fn note(&mut self, db: DbIndex, key: &[u8], event: Event) {
        if self.keeps_notes {
            self.note_down(db, key, event);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_down(&mut self, db: DbIndex, key: &[u8], event: Event) {
        self.notes
            .push(db, key, event, Besides::NOTHING, Extent::Nothing);
    }

    #[cold]
    #[inline(never)]
    fn tell(&mut self, record: &Record<'_>, besides: Besides) {
        if !self.watches.is_empty() {
            self.watches.note(record);
        }
        if !self.awaited.is_empty() {
            self.awaited.note(record);
        }
        if !self.copied.is_empty() {
            self.copied.note(record);
        }
        let mut taps = self.tap.iter_mut().chain(&mut self.guest).peekable();
        match &mut self.held {
            Some(held) if taps.peek().is_some() => held.records.push(record),
            Some(_) => {}
            None => taps.for_each(|tap| tap(record)),
        }
        if self.keeps_notes {
            let extent = match (&record.effect, record.event) {
                (Effect::WriteRange { .. }, Event::Silent) if besides == Besides::NOTHING => return,
                (Effect::FlushDb | Effect::SwapDb { .. }, _) => Extent::Database,
                _ => Extent::Key,
            };
            self.notes
                .push(record.db, record.key, record.event, besides, extent);
        }
    }
}

/// How much a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One key.
    Key,
    /// A whole database: it was emptied, or exchanged with another.
    Database,
    /// Nothing changed.
    Nothing,
}

/// Notes of changes, in their order.
#[derive(Debug, Default)]
pub struct Notes {
    heads: Vec<NoteHead>,
    keys: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct NoteHead {
    db: DbIndex,
    event: Event,
    besides: Besides,
    extent: Extent,
    /// Where the key ends in `keys`; it begins where the one before it ends.
    key_end: usize,
}

/// That a key changed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The database.
    pub db: DbIndex,
    /// The key; empty where the note is about a database.
    pub key: &'a [u8],
    /// Why.
    pub event: Event,
    /// How much changed.
    pub extent: Extent,
    besides: Besides,
}

impl Note<'_> {
    /// The events to publish, in their order.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        let new = self.besides.has(Besides::NEW_KEY).then_some(Event::New);
        let own = (self.event != Event::Silent).then_some(self.event);
        let expire = self.besides.has(Besides::DEADLINE).then_some(Event::Expire);
        [new, own, expire].into_iter().flatten()
    }
}

impl Notes {
    fn push(&mut self, db: DbIndex, key: &[u8], event: Event, besides: Besides, extent: Extent) {
        self.keys.extend_from_slice(key);
        self.heads.push(NoteHead {
            db,
            event,
            besides,
            extent,
            key_end: self.keys.len(),
        });
    }

    fn truncate(&mut self, notes: usize) {
        self.heads.truncate(notes);
        let key_end = self.heads.last().map_or(0, |last| last.key_end);
        self.keys.truncate(key_end);
    }

    /// Takes out all but the first so many.
    fn split_off(&mut self, notes: usize) -> Self {
        let mut rest = Self::default();
        for note in self.iter().skip(notes) {
            rest.push(note.db, note.key, note.event, note.besides, note.extent);
        }
        self.truncate(notes);
        rest
    }

    fn append(&mut self, more: &Self) {
        for note in more.iter() {
            self.push(note.db, note.key, note.event, note.besides, note.extent);
        }
    }

    fn used_bytes(&self) -> u64 {
        (self.heads.capacity() * size_of::<NoteHead>() + self.keys.capacity()) as u64
    }

    /// The notes.
    pub fn iter(&self) -> impl Iterator<Item = Note<'_>> {
        let mut key_start = 0;
        self.heads.iter().map(move |head| {
            let key = &self.keys[key_start..head.key_end];
            key_start = head.key_end;
            Note {
                db: head.db,
                key,
                event: head.event,
                extent: head.extent,
                besides: head.besides,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_written_silently_is_no_change_of_its_own() {
        let mut journal = Journal::default();
        for (event, changes) in [(Event::Silent, 0), (Event::SetBit, 1), (Event::Silent, 1)] {
            let effect = Effect::WriteRange {
                offset: 0,
                bytes: b"x",
            };
            let record = Record {
                db: DbIndex(0),
                key: b"k",
                effect,
                event,
            };
            journal.record(&record);
            assert_eq!(journal.changes(), changes);
        }
    }

    fn remove(key: &[u8], event: Event) -> Record<'_> {
        Record {
            db: DbIndex(2),
            key,
            effect: Effect::Remove,
            event,
        }
    }

    #[test]
    fn notes_are_kept_while_they_are_asked_for_and_taken_once() {
        let mut journal = Journal::default();
        journal.record(&remove(b"before", Event::Del));
        journal.keep_notes(true);
        journal.record(&remove(b"", Event::Expired));
        journal.note(DbIndex(0), b"absent", Event::Missed);
        let both = Besides::NEW_KEY.and_if(true, Besides::DEADLINE);
        journal.record_besides(&remove(b"key", Event::Set), both);
        let notes = journal.take_notes();
        let told: Vec<_> = notes
            .iter()
            .map(|note| (note.key, note.extent, note.events().collect::<Vec<_>>()))
            .collect();
        assert_eq!(
            told,
            [
                (&b""[..], Extent::Key, vec![Event::Expired]),
                (b"absent", Extent::Nothing, vec![Event::Missed]),
                (
                    b"key",
                    Extent::Key,
                    vec![Event::New, Event::Set, Event::Expire]
                ),
            ]
        );
        assert!(!journal.has_notes());
        journal.return_notes(notes);
        assert!(!journal.has_notes());
        journal.keep_notes(false);
        journal.record(&remove(b"after", Event::Del));
        assert!(!journal.has_notes());
        assert_eq!(journal.changes(), 4);
    }
}
