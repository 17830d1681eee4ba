//! Hashes: fields with values, and with deadlines of their own.
//!
//! A command that reads looks its fields up in the hash where it lies. One that writes opens the hash once, changes field by
//! field, each of which makes its record, and closes it with the events of the command: the key comes to be with the first
//! field and goes with the last.

mod deadlines;
mod expiring;
mod fields;
mod numbers;
mod options;
mod random;
mod scan;
mod ttl;
mod whole;

use larder_engine::{Access, DbIndex, HashRef, Key, Shard, WrongType};

use crate::command::{Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys};
use crate::observe::Stats;

/// The tables.
pub(crate) use {
    deadlines::COMMANDS as DEADLINES, expiring::COMMANDS as EXPIRING, fields::COMMANDS as FIELDS,
    numbers::COMMANDS as NUMBERS, random::COMMANDS as RANDOM, scan::COMMANDS as SCAN,
    ttl::COMMANDS as TTL, whole::COMMANDS as WHOLE,
};

/// The hash at a key, for a command that reads; what is of another type is found, too.
///
/// # Errors
/// What is there is of another type.
fn read<'a>(
    shard: &'a mut Shard,
    stats: &mut Stats,
    (db, key, access): (DbIndex, Key<'_>, Access),
) -> Result<Option<HashRef<'a>>, WrongType> {
    let found = shard.hash(db, key, access);
    stats.count_typed_lookup((db, key.bytes()), &found);
    found
}

/// What commands that answer what a hash holds have in common.
const READING: CommandSpec = CommandSpec {
    flags: Flags::READONLY.with(Flags::FAST),
    categories: &[Category::Hash],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
    group: Group::Hash,
    since: "2.0.0",
    ..CommandSpec::BASE
};

/// What commands that answer a number about a hash have in common.
const MEASURING: CommandSpec = CommandSpec {
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO)]),
    ..READING
};

/// What commands that write fields have in common.
const WRITING: CommandSpec = CommandSpec {
    flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())]),
    ..READING
};
