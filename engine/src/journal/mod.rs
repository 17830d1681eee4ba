//! The journal: the one place through which every change of the keyspace passes.
//!
//! ```text
//!               ┌─ record: what changed ──▶ watches, awaited and copied keys     at once
//!  a mutation ──┤                     ├───▶ subscribers                          at once, values included
//!               │                     └───▶ a note that the key changed ─┐
//!               └─ tell: events ──────────▶ a note of the event ─────────┴─▶   taken by the shard's owner behind the command
//! ```
//! A mutation makes exactly one [`Record`] for each [`Effect`] it has, and tells which [`Event`]s go with it; some effects have none,
//! some events no effect. **Subscribers** write changes down (an append log, a replica's feed) or follow them for a time.
//! **Notes** are for what acts on sessions, which no mutation can wait for or call into: client tracking goes by changes,
//! keyspace notifications by events, each kept only while somebody reads them.
//!
//! With nobody there, a record costs two counters and a test, an event a test.

mod effect;
mod event;
mod held;
mod notes;

pub use effect::{CoreSet, Effect, EffectOf, Element, ElementOf, Moment, Record, Removal};
pub use event::{Event, EventClass};
pub use notes::{Author, Kept, Note, Noted, Notes};

use held::HeldRecords;

use crate::DbIndex;
use crate::awaited::AwaitedKeys;
use crate::copied::CopiedKeys;
use crate::subscribers::{SubscriberId, Subscribers};
use crate::watch::{BreaksHeld, Watches};

/// A consumer of the journal's records.
pub type Subscriber = Box<dyn FnMut(&Record<'_>)>;

/// What a record counts as among the changes that clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// A change.
    Change,
    /// A part of a change that is counted by itself.
    Part,
    /// A change that those who watch the key, or keep what they read of it, do not hear of, as in Redis.
    Unwatched,
    /// No change: there is no difference that a client could read.
    Nothing,
}

impl Counts {
    fn is_watched(self) -> bool {
        matches!(self, Self::Change | Self::Part)
    }
}

/// What was made since the journal began to hold back.
#[derive(Default)]
struct Held {
    records: HeldRecords,
    /// Records before.
    sequence: u64,
    /// By how much they count as less than a change each.
    uncounted: i64,
    /// Notes before.
    notes: usize,
}

/// What was held back, laid aside: meanwhile others are told of what they do.
#[derive(Default)]
pub(crate) struct LaidAside {
    records: HeldRecords,
    /// How many records it is, those that nobody reads included.
    record_count: u64,
    /// By how much they count as less than a change each.
    uncounted: i64,
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
    /// The number of the last record.
    sequence: u64,
    /// By how much they count as less than a change each.
    uncounted: i64,
    /// Where this core is in the order of all cores.
    position: u64,
    /// That of the records that are made now, unless they are of this core alone, and now.
    moment: Option<Moment>,
    /// Whether anybody reads records: there are subscribers, or changes are noted.
    is_read: bool,
    kept: Kept,
    notes: Notes,
    subscribers: Subscribers<Subscriber>,
    /// What is told at the end only, while it may be taken back.
    held: Option<Held>,
    pub(crate) watches: Watches,
    pub(crate) awaited: AwaitedKeys,
    pub(crate) copied: CopiedKeys,
}

impl Journal {
    /// Adds a subscriber, which sees every record from now on, in the order in which they have come.
    pub fn subscribe(&mut self, subscriber: Subscriber) -> SubscriberId {
        let id = self.subscribers.add(subscriber);
        self.see_who_reads();
        id
    }

    /// Removes a subscriber. Whether it was there.
    pub fn unsubscribe(&mut self, id: SubscriberId) -> bool {
        let was_there = self.subscribers.remove(id);
        self.see_who_reads();
        was_there
    }

    /// Which notes are kept from now on. With none, those there are have no reader.
    pub fn keep_notes(&mut self, kept: Kept) {
        if kept == Kept::default() {
            self.notes = Notes::default();
        }
        self.kept = kept;
        self.see_who_reads();
    }

    /// Whether there are notes to take. While what is done may be taken back, there are none.
    #[inline]
    pub fn has_notes(&self) -> bool {
        !self.notes.is_empty() && self.held.is_none()
    }

    /// Takes the notes kept since they were last taken. [`Self::return_notes`] gives their memory back.
    pub fn take_notes(&mut self) -> Notes {
        match self.held {
            None => std::mem::take(&mut self.notes),
            Some(_) => Notes::default(),
        }
    }

    /// Takes the events out of the notes that are held back: whoever takes them tells of them when what was done stands.
    pub fn take_held_events(&mut self) -> Notes {
        match &self.held {
            Some(held) => self.notes.split_events_off(held.notes),
            None => Notes::default(),
        }
    }

    /// Takes notes back for their memory.
    pub fn return_notes(&mut self, notes: Notes) {
        if self.notes.is_empty() {
            self.notes = notes.empty();
        }
    }

    /// What this core does alone from now on comes to this position in the order of all cores.
    #[inline]
    pub fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// The records made from now on are of this moment; with none, of this core alone and of the position that it has come to.
    /// What was set before.
    #[inline]
    pub fn set_moment(&mut self, moment: Option<Moment>) -> Option<Moment> {
        std::mem::replace(&mut self.moment, moment)
    }

    /// The moment of the records that are made now.
    #[inline]
    pub fn moment(&self) -> Moment {
        self.moment.unwrap_or(Moment::alone(self.position))
    }

    /// Holds back all that is told from now on.
    pub(crate) fn hold(&mut self) {
        self.held = Some(Held {
            records: HeldRecords::default(),
            sequence: self.sequence,
            uncounted: self.uncounted,
            notes: self.notes.len(),
        });
        self.watches.hold();
        self.awaited.hold();
    }

    /// Tells what was held back.
    pub(crate) fn release(&mut self) {
        self.watches.release();
        self.awaited.release();
        let held = self.held.take().expect("something is held back");
        let subscribers = &mut self.subscribers;
        held.records.for_each(held.sequence, |record| {
            subscribers
                .iter_mut()
                .for_each(|subscriber| subscriber(record));
        });
    }

    /// Forgets what was held back, as if it had not happened.
    pub(crate) fn drop_held(&mut self) {
        self.watches.drop_held();
        self.awaited.drop_held();
        let held = self.held.take().expect("something is held back");
        self.uncounted = held.uncounted;
        self.sequence = held.sequence;
        self.notes.truncate(held.notes);
    }

    /// Lays aside what was held back. It is as if it had not happened, until [`Self::take_up`].
    pub(crate) fn lay_aside(&mut self) -> LaidAside {
        let held = self.held.take().expect("something is held back");
        let uncounted = self.uncounted - held.uncounted;
        let record_count = self.sequence - held.sequence;
        self.uncounted = held.uncounted;
        self.sequence = held.sequence;
        LaidAside {
            records: held.records,
            record_count,
            uncounted,
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
        self.uncounted += aside.uncounted;
        self.sequence += aside.record_count;
        if self.kept != Kept::default() {
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

    /// Whether anybody sees every record.
    pub(crate) fn has_subscribers(&self) -> bool {
        !self.subscribers.is_empty()
    }

    fn see_who_reads(&mut self) {
        self.is_read = self.kept.changes || !self.subscribers.is_empty();
    }

    /// Number of changes since the shard began (`rdb_changes_since_last_save` counts these).
    pub fn changes(&self) -> u64 {
        self.sequence.wrapping_sub_signed(self.uncounted)
    }

    /// So many records that have just been made count as so many changes: `LPOP` of three elements is one record and three changes,
    /// `LMOVE` two and one.
    pub fn count_as(&mut self, records: u64, changes: u64) {
        self.uncounted += records as i64 - changes as i64;
    }

    /// A command has had to do with a key and left it as it was: those who watch it cannot know, and Redis breaks their watches,
    /// as it does what clients keep of it.
    #[inline]
    pub(crate) fn touch(&mut self, db: DbIndex, key: &[u8]) {
        if !self.watches.is_empty() || self.kept.changes {
            self.note_touched(db, key);
        }
    }

    #[cold]
    #[inline(never)]
    fn note_touched(&mut self, db: DbIndex, key: &[u8]) {
        self.watches.note_touched(db, key);
        if self.kept.changes {
            self.notes.push(db, key, Noted::Changed(Author::Command));
        }
    }

    /// The number of the last record.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Passes one change to the consumers.
    #[inline(always)]
    pub(crate) fn record(&mut self, db: DbIndex, key: &[u8], effect: &Effect<'_>) {
        self.record_as(Counts::Change, db, key, effect);
    }

    /// As [`Self::record`], for what may count as less than a change.
    #[inline(always)]
    pub(crate) fn record_as(
        &mut self,
        counts: Counts,
        db: DbIndex,
        key: &[u8],
        effect: &Effect<'_>,
    ) {
        self.sequence += 1;
        if matches!(counts, Counts::Part | Counts::Nothing) {
            self.uncounted += 1;
        }
        if self.is_heard() {
            self.pass_on(counts, db, key, effect);
        }
    }

    /// Whether anybody is passed changes.
    #[inline(always)]
    pub(crate) fn is_heard(&self) -> bool {
        self.is_read
            || !self.watches.is_empty()
            || !self.awaited.is_empty()
            || !self.copied.is_empty()
    }

    /// As [`Self::record`], while nobody is passed changes.
    #[inline]
    pub(crate) fn count_unheard(&mut self) {
        self.sequence += 1;
    }

    #[cold]
    #[inline(never)]
    fn pass_on(&mut self, counts: Counts, db: DbIndex, key: &[u8], effect: &Effect<'_>) {
        if !self.watches.is_empty() && counts.is_watched() {
            self.watches.note(db, key, effect);
        }
        if !self.awaited.is_empty() {
            self.awaited.note(db, key, effect);
        }
        if !self.copied.is_empty() {
            self.copied.note(db, key, effect);
        }
        if !self.subscribers.is_empty() {
            let record = Record {
                sequence: self.sequence,
                moment: self.moment(),
                db,
                key,
                effect: *effect,
            };
            match &mut self.held {
                Some(held) => held.records.push(&record, held.sequence),
                None => {
                    let subscribers = self.subscribers.iter_mut();
                    subscribers.for_each(|subscriber| subscriber(&record));
                }
            }
        }
        if self.kept.changes && counts.is_watched() {
            let what = match effect {
                effect if !effect.is_on_key() => Noted::Database,
                effect if effect.is_of_the_shard() => Noted::Changed(Author::Shard),
                _ => Noted::Changed(Author::Command),
            };
            self.notes.push(db, key, what);
        }
    }

    /// Tells an event of a key: why it changed, or that it was read and is not there.
    #[inline(always)]
    pub(crate) fn tell(&mut self, db: DbIndex, key: &[u8], event: Event) {
        if self.kept.events {
            self.note_event(db, key, event);
        }
    }

    /// Tells several, in their order.
    #[inline(always)]
    pub(crate) fn tell_each<const N: usize>(
        &mut self,
        db: DbIndex,
        key: &[u8],
        events: impl FnOnce() -> [Option<Event>; N],
    ) {
        if self.kept.events {
            for event in events().into_iter().flatten() {
                self.note_event(db, key, event);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn note_event(&mut self, db: DbIndex, key: &[u8], event: Event) {
        if event.class() != EventClass::Silent {
            self.notes.push(db, key, Noted::Event(event));
        }
    }
}

#[cfg(test)]
mod tests;
