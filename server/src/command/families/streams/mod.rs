//! Streams: entries in the order of their ids, which groups of consumers read.
//!
//! | file | commands |
//! |---|---|
//! | `write` | `XADD`, `XTRIM`, `XSETID`, `XCFGSET`, `XIDMPRECORD` |
//! | `delete` | `XDEL`, `XDELEX`, `XACK`, `XACKDEL` |
//! | `range` | `XLEN`, `XRANGE`, `XREVRANGE`; how entries are shown |
//! | `read` | `XREAD`, `XREADGROUP` |
//! | `groups` | `XGROUP` |
//! | `pending` | `XPENDING`, `XCLAIM`, `XAUTOCLAIM` |
//! | `info` | `XINFO` |
//!
//! Ids are read and written in `ids`, what is trimmed or deleted is said in `trimming`, and `message_hash` tells messages apart. A stream
//! without entries stays.

mod delete;
mod groups;
mod ids;
mod info;
mod message_hash;
mod pending;
mod range;
mod read;
#[cfg(test)]
mod tests;
mod trimming;
mod write;

use larder_engine::{Access, DbIndex, Key, Shard, StreamMut, StreamRef, WrongType};

pub(crate) use {
    groups::COMMANDS as GROUPS, info::COMMANDS as INFO, pending::COMMANDS as PENDING,
    range::COMMANDS as RANGE, read::COMMANDS as READ, write::COMMANDS as WRITE,
};

use crate::command::{Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys};
use crate::observe::Stats;

/// A stream that is changed.
const CHANGED_KEY: Keys = Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())]);
/// A stream of which entries are deleted.
const DELETED_KEY: Keys = Keys::of(&[KeySpec::at(1, KeyFlags::RW.delete())]);

/// What commands that read a stream have in common.
const READING: CommandSpec = CommandSpec {
    flags: Flags::READONLY,
    categories: &[Category::Stream],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
    group: Group::Stream,
    since: "5.0.0",
    ..CommandSpec::BASE
};

/// What commands that change a stream have in common.
const WRITING: CommandSpec = CommandSpec {
    flags: Flags::WRITE,
    keys: CHANGED_KEY,
    ..READING
};

/// The stream at a key, for a command that reads; what is of another type is found, too.
///
/// # Errors
/// What is there is of another type.
fn read<'a>(
    shard: &'a mut Shard,
    stats: &mut Stats,
    (db, key, access): (DbIndex, Key<'_>, Access),
) -> Result<Option<StreamRef<'a>>, WrongType> {
    let found = shard.stream(db, key, access);
    stats.count_typed_lookup((db, key.bytes()), &found);
    found
}

/// The stream at a key, to change, for a command whose looking for it counts.
///
/// # Errors
/// What is there is of another type.
fn change<'a>(
    shard: &'a mut Shard,
    stats: &mut Stats,
    (db, key): (DbIndex, Key<'a>),
) -> Result<StreamMut<'a>, WrongType> {
    let found = shard.stream_mut(db, key);
    let is_found = found.as_ref().map_or(true, StreamMut::is_there);
    stats.count_lookup((db, key.bytes()), is_found);
    found
}
