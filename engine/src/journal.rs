//! The journal: the one place through which every change of the keyspace passes.
//!
//! A mutation emits exactly one [`Record`] for each effect it has: what changed, deterministic and with absolute
//! deadlines ([`Effect`]), and why, in the vocabulary of keyspace notifications ([`Event`]). The append log, replicas,
//! notifications and client tracking read that one stream. With no consumer a record costs a counter.

use crate::awaited::AwaitedKeys;
use crate::copied::CopiedKeys;
use crate::watch::Watches;
use crate::{DbIndex, Encoding, Kind, UnixMillis};

/// What changed, enough to replay it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// The entry now holds this value and deadline.
    Put {
        /// The data type.
        kind: Kind,
        /// The encoding.
        encoding: Encoding,
        /// The value, in the representation of its encoding.
        value: &'a [u8],
        /// The deadline.
        expires_at: Option<UnixMillis>,
    },
    /// `bytes` were written at `offset` of a string, extending it with zeros where it was shorter.
    WriteRange {
        /// Where the first byte went.
        offset: u64,
        /// What was written.
        bytes: &'a [u8],
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
        key: &'a [u8],
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
    /// No event is published.
    Silent,
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

/// A consumer of the journal's records.
pub type Tap = Box<dyn FnMut(&Record<'_>)>;

/// The stream of a shard's changes.
#[derive(Default)]
pub struct Journal {
    changes: u64,
    tap: Option<Tap>,
    pub(crate) watches: Watches,
    pub(crate) awaited: AwaitedKeys,
    pub(crate) copied: CopiedKeys,
}

impl Journal {
    /// Attaches the consumer, which sees every record from now on.
    pub fn attach(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    /// Number of changes since the shard began (`rdb_changes_since_last_save` counts these).
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Passes one change to the consumers.
    #[inline(always)]
    pub fn record(&mut self, record: &Record<'_>) {
        // A range written silently is a part of a change that has its own record, or none that a client could read.
        let is_part = matches!(
            (&record.effect, record.event),
            (Effect::Arrive, _) | (Effect::WriteRange { .. }, Event::Silent)
        );
        self.changes += u64::from(!is_part);
        if !self.watches.is_empty() {
            self.watches.note(record);
        }
        if !self.awaited.is_empty() {
            self.awaited.note(record);
        }
        if !self.copied.is_empty() {
            self.copied.note(record);
        }
        if let Some(tap) = &mut self.tap {
            tap(record);
        }
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
            journal.record(&Record {
                db: DbIndex(0),
                key: b"k",
                effect,
                event,
            });
            assert_eq!(journal.changes(), changes);
        }
    }
}
