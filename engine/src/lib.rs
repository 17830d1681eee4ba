//! Larder's storage engine: one [`Shard`] is everything one core owns of the keyspace.
//!
//! The engine is synchronous and performs no I/O. Time, randomness and the memory budget are arguments, so that every
//! behaviour can be replayed in a test. The layers, each using only those to its right:
//! `shard -> {keyspace, expiry, journal} -> value -> {raw, memory} -> {limits, units, error}`.

mod error;
mod journal;
mod key;
pub mod limits;
mod shard;
mod units;
mod value;

pub use error::StoreError;
pub use journal::{Effect, Event, EventClass, Journal, Record};
pub use key::{Key, KeyHasher};
pub use shard::{
    Access, EntryRef, ExpireStats, MemoryUsage, ScanCursor, Shard, ShardOptions, TtlChange,
};
pub use units::{AccessClock, DbIndex, UnixMillis};
pub use value::{Encoding, Kind, StringForm, ValueImage, parse_canonical_i64};
