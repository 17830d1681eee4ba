//! Sets: members, each there once, in no order.
//!
//! | file | commands |
//! |---|---|
//! | `members` | `SADD`, `SREM`, `SISMEMBER`, `SMISMEMBER`, `SCARD` |
//! | `whole` | `SMEMBERS`, in steps if it is large |
//! | `random` | `SPOP`, `SRANDMEMBER` |
//! | `scan` | `SSCAN` |
//! | `carry` | `SMOVE` |
//! | `operations` | `SINTER`, `SUNION`, `SDIFF`, and those that store or count what comes of them |
//!
//! A set that has become empty is gone.

mod carry;
mod members;
mod operations;
mod random;
mod scan;
mod whole;

use larder_engine::{Access, DbIndex, Event, Key, SetMut, SetRef, Shard, WrongType};

use crate::command::{Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys};
use crate::observe::Stats;

/// The tables.
pub(crate) use {
    carry::COMMANDS as CARRY, members::COMMANDS as MEMBERS, operations::COMMANDS as OPERATIONS,
    random::COMMANDS as RANDOM, scan::COMMANDS as SCAN, whole::COMMANDS as WHOLE,
};

/// The set at a key, for a command that reads; what is of another type is found, too.
///
/// # Errors
/// What is there is of another type.
fn read<'a>(
    shard: &'a mut Shard,
    stats: &mut Stats,
    (db, key, access): (DbIndex, Key<'_>, Access),
) -> Result<Option<SetRef<'a>>, WrongType> {
    let found = shard.set_at(db, key, access);
    stats.count_typed_lookup((db, key.bytes()), &found);
    found
}

/// What commands that answer what a set holds have in common.
const READING: CommandSpec = CommandSpec {
    flags: Flags::READONLY,
    categories: &[Category::Set],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
    group: Group::Set,
    ..CommandSpec::BASE
};

/// What commands that change a set have in common.
const WRITING: CommandSpec = CommandSpec {
    flags: Flags::WRITE.with(Flags::FAST),
    ..READING
};

/// Ends a command that has changed something or not, and tells `event` if it has.
fn close_told(set: SetMut<'_>, has_changed: bool, event: Event) {
    if has_changed {
        set.close(&[event]);
    } else {
        set.close(&[]);
    }
}
