//! What a change did: enough to do it again elsewhere, deterministic and with absolute deadlines.
//!
//! ```text
//!  record    sequence | moment | database | key | effect
//!                                                        ├─ the whole entry   put, moved, gone, its deadline
//!                                                        ├─ elements of it    bytes of a string, fields, members, entries
//!                                                        └─ a database        emptied, exchanged
//! ```
//! An effect says nothing of the command that had it. Which events are published for it is told apart ([`super::Event`]).

use crate::stream::StreamChangeOf;
use crate::{DbIndex, Encoding, End, Kind, UnixMillis};

/// One entry of the journal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// The record's number in its shard: the first is 1, and none is left out.
    pub sequence: u64,
    /// When it took effect, in the order of all cores. Of one moment, a shard's records are in the order of their numbers.
    pub moment: Moment,
    /// The database.
    pub db: DbIndex,
    /// The key; empty where the effect is on a database.
    pub key: &'a [u8],
    /// What changed.
    pub effect: Effect<'a>,
}

/// A moment in the order of all cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Its position in the order.
    pub position: u64,
    /// The cores that may have records of it: transactions take effect there, on all of them at once. None: the work of one core
    /// alone, before the transactions at this position.
    pub cores: CoreSet,
}

impl Moment {
    /// That of work of one core alone which has come to this position.
    pub fn alone(position: u64) -> Self {
        Self {
            position,
            cores: CoreSet::default(),
        }
    }

    /// Whether it is work of one core alone.
    pub fn is_alone(&self) -> bool {
        self.cores == CoreSet::default()
    }
}

/// Cores, a bit for each group of them as the order names them: a group is one core as long as there are few.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreSet(pub u64);

/// What changed. Bytes are `B`, the elements of a value `E`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EffectOf<B, E> {
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
    /// These elements changed, one after the other. What else the value holds, and its deadline, are as they were; without an
    /// entry they made one.
    Elements(E),
    /// The deadline changed; `None` removes it.
    Deadline(Option<UnixMillis>),
    /// The entry is gone.
    Remove(Removal),
    /// The entry moved to `key` of `db`, replacing what was there.
    MoveTo {
        /// The new database.
        db: DbIndex,
        /// The new key.
        key: B,
    },
    /// The entry came by the [`EffectOf::MoveTo`] of the record just before, which is the whole change.
    Arrive {
        /// The data type.
        kind: Kind,
    },
    /// Every entry of the database is gone.
    FlushDb,
    /// The databases exchanged their contents.
    SwapDb {
        /// The other database.
        with: DbIndex,
    },
}

/// A change of an element of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ElementOf<B> {
    /// `bytes` were written at `offset` of a string, extending it with zeros where it was shorter.
    Range {
        /// Where the first byte went.
        offset: u64,
        /// What was written.
        bytes: B,
    },
    /// A field of a hash holds this value and deadline.
    Field {
        /// The field.
        field: B,
        /// Its value.
        value: B,
        /// Its deadline.
        expires_at: Option<UnixMillis>,
    },
    /// A value came to an end of a list.
    Push {
        /// Which end.
        end: End,
        /// The value.
        value: B,
    },
    /// The value at an end of a list is gone.
    Pop(End),
    /// A value came to stand before element `index` of a list, or behind the last.
    Insert {
        /// Which element it is now.
        index: u32,
        /// The value.
        value: B,
    },
    /// Element `index` of a list is this value.
    Replace {
        /// Which element.
        index: u32,
        /// The value.
        value: B,
    },
    /// `count` elements of a list, from `index` on, are gone.
    Cut {
        /// The first of them.
        index: u32,
        /// How many.
        count: u32,
    },
    /// A set has this member.
    Member(B),
    /// A member of a sorted set has this score.
    Score {
        /// The member.
        member: B,
        /// Its score.
        score: f64,
    },
    /// A stream is so from now on.
    Stream(StreamChangeOf<B>),
    /// A field or member is gone.
    Gone(B),
}

/// Why an entry is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A command removed it.
    Deleted,
    /// It reached its deadline.
    Expired,
    /// Memory was short.
    Evicted,
    /// Another shard has it now.
    HandedOver,
}

/// A change of an element, with borrowed bytes.
pub type Element<'a> = ElementOf<&'a [u8]>;

/// What changed, with borrowed bytes.
pub type Effect<'a> = EffectOf<&'a [u8], &'a [Element<'a>]>;

impl Effect<'_> {
    /// Whether it is on one key, not on a database as a whole.
    #[inline]
    pub fn is_on_key(&self) -> bool {
        !matches!(self, Self::FlushDb | Self::SwapDb { .. })
    }

    /// The type of the value, if the key may hold something of it now that it did not hold before. What [`Self::destination`]
    /// names has a record of its own for that.
    pub fn brings(&self) -> Option<Kind> {
        match self {
            Self::Put { kind, .. } | Self::Arrive { kind } => Some(*kind),
            Self::Elements(elements) => elements.iter().find_map(Element::brings),
            Self::Deadline(_)
            | Self::Remove(_)
            | Self::MoveTo { .. }
            | Self::FlushDb
            | Self::SwapDb { .. } => None,
        }
    }

    /// Whether the value that the key held is gone: removed, moved away, or replaced by another.
    pub fn takes_away(&self) -> bool {
        match self {
            Self::Put { .. } | Self::Arrive { .. } | Self::MoveTo { .. } => true,
            // Whoever waits for it follows it.
            Self::Remove(removal) => *removal != Removal::HandedOver,
            Self::Elements(_) | Self::Deadline(_) | Self::FlushDb | Self::SwapDb { .. } => false,
        }
    }

    /// The other key that changed, if there is one.
    pub fn destination(&self) -> Option<(DbIndex, &[u8])> {
        match self {
            Self::MoveTo { db, key } => Some((*db, key)),
            _ => None,
        }
    }

    /// Whether the shard did it by itself.
    pub fn is_of_the_shard(&self) -> bool {
        matches!(self, Self::Remove(Removal::Expired | Removal::Evicted))
    }
}

impl Element<'_> {
    /// The type of the value, if it has something that it did not have before.
    fn brings(&self) -> Option<Kind> {
        match self {
            Self::Range { .. } => Some(Kind::String),
            Self::Push { .. } | Self::Insert { .. } | Self::Replace { .. } => Some(Kind::List),
            Self::Member(_) => Some(Kind::Set),
            Self::Field { .. } => Some(Kind::Hash),
            Self::Score { .. } => Some(Kind::SortedSet),
            Self::Pop(_) | Self::Cut { .. } | Self::Gone(_) => None,
            // A group that is gone is to be told to those who wait for what it is given.
            Self::Stream(
                StreamChangeOf::Added { .. }
                | StreamChangeOf::Entries { .. }
                | StreamChangeOf::GroupGone { .. },
            ) => Some(Kind::Stream),
            Self::Stream(_) => None,
        }
    }
}

impl<B, E> EffectOf<B, E> {
    /// The same effect with other bytes and elements.
    pub(super) fn map<C, F>(
        self,
        bytes_of: &mut impl FnMut(B) -> C,
        elements_of: impl FnOnce(E) -> F,
    ) -> EffectOf<C, F> {
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
            Self::Elements(elements) => EffectOf::Elements(elements_of(elements)),
            Self::Deadline(deadline) => EffectOf::Deadline(deadline),
            Self::Remove(removal) => EffectOf::Remove(removal),
            Self::MoveTo { db, key } => EffectOf::MoveTo {
                db,
                key: bytes_of(key),
            },
            Self::Arrive { kind } => EffectOf::Arrive { kind },
            Self::FlushDb => EffectOf::FlushDb,
            Self::SwapDb { with } => EffectOf::SwapDb { with },
        }
    }
}

impl<B> ElementOf<B> {
    /// The same change with other bytes.
    pub fn map<C>(self, mut bytes_of: impl FnMut(B) -> C) -> ElementOf<C> {
        match self {
            Self::Range { offset, bytes } => ElementOf::Range {
                offset,
                bytes: bytes_of(bytes),
            },
            Self::Field {
                field,
                value,
                expires_at,
            } => ElementOf::Field {
                field: bytes_of(field),
                value: bytes_of(value),
                expires_at,
            },
            Self::Push { end, value } => ElementOf::Push {
                end,
                value: bytes_of(value),
            },
            Self::Pop(end) => ElementOf::Pop(end),
            Self::Insert { index, value } => ElementOf::Insert {
                index,
                value: bytes_of(value),
            },
            Self::Replace { index, value } => ElementOf::Replace {
                index,
                value: bytes_of(value),
            },
            Self::Cut { index, count } => ElementOf::Cut { index, count },
            Self::Member(member) => ElementOf::Member(bytes_of(member)),
            Self::Score { member, score } => ElementOf::Score {
                member: bytes_of(member),
                score,
            },
            Self::Stream(change) => ElementOf::Stream(change.map(bytes_of)),
            Self::Gone(name) => ElementOf::Gone(bytes_of(name)),
        }
    }
}
