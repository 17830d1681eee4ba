//! Larder's storage engine: one [`Shard`] is everything one core owns of the keyspace.
//!
//! The engine is synchronous and performs no I/O. Time, randomness and the memory budget are arguments, so that every
//! behaviour can be replayed in a test. The layers, each using only those to its right:
//! `shard -> quota -> {evict, expiry, journal} -> keyspace -> memory -> {sorted, list, stream} -> spiral -> item -> nodes -> thresholds -> {raw, value, agenda} -> {limits, units, error}`.

mod agenda;
mod awaited;
#[cfg(feature = "bench")]
pub mod bench;
mod copied;
mod double;
mod entry;
mod error;
pub mod evict;
mod expiry;
pub mod hyperloglog;
mod item;
mod journal;
mod key;
mod key_map;
mod keyspace;
pub mod limits;
mod list;
mod memory;
#[cfg(any(test, feature = "model"))]
pub mod model;
mod nodes;
mod prefixes;
mod quota;
mod raw;
mod shard;
mod sorted;
mod spiral;
mod stream;
mod subscribers;
mod thresholds;
mod units;
mod value;
mod watch;

pub use awaited::{AwaitedKeys, WakesOn};
pub use copied::{CopiedKeys, Version, VersionWords};
pub use double::{DoubleText, parse_double, read_double};
pub use entry::EntryRef;
pub use error::{StoreError, WrongType};
pub use evict::Lfu;
pub use journal::{
    Author, CoreSet, Effect, EffectOf, Element, ElementOf, Event, EventClass, Journal, Kept,
    Moment, Note, Noted, Notes, Record, Removal, Subscriber,
};
pub use key::{Key, KeyHasher};
pub use keyspace::{ContentsId, KeyAhead};
pub use list::End;
pub use memory::LazyObjects;
pub use prefixes::PrefixSet;
pub use quota::QuotaId;
pub use raw::Buffer;
pub use shard::{
    Access, AsOf, BeforeChange, DeadlineStats, Early, Entries, Evicted, EvictionOptions,
    ExpireStats, Fate, Field, FieldAhead, HashMut, HashRef, IsWanted, KeysAsOf, ListMut, ListRef,
    LooseId, Member, MemberAhead, MembersRef, MemoryUsage, Met, PartFrom, PartOf, ScanCursor,
    Scored, SetMut, SetRef, Shard, ShardOptions, SortedSetMut, SortedSetRef, Stored, StreamMut,
    TtlChange, Undo, Upcoming, members_of_part, scored_of_part, write_member, write_scored,
};
pub use sorted::{Bound, Side};
pub use spiral::Intent;
pub use stream::{
    ConsumerRef, Fields, FieldsIter, GivenEntries, GroupProgress, GroupRef, PendingRef,
    ProducerRef, StreamChange, StreamChangeOf, StreamEntry, StreamId, StreamMarks, StreamRef,
    Together, TrimBy, TrimPlan, TrimTo,
};
pub use subscribers::SubscriberId;
pub use thresholds::{ListThreshold, StreamNodeLimits, StreamProduction, Thresholds};
pub use units::{AccessClock, DbIndex, Direction, UnixMillis};
pub use value::{Encoding, Kind, StringForm, ValueBytes, ValueImage, parse_canonical_i64};
pub use watch::{Presence, Watches};
