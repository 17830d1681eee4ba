//! Sorted sets: members with scores, in the order of these, and of the members where scores are alike.
//!
//! | file | commands |
//! |---|---|
//! | `add` | `ZADD`, `ZINCRBY` |
//! | `remove` | `ZREM`, `ZREMRANGEBYRANK`, `ZREMRANGEBYSCORE`, `ZREMRANGEBYLEX` |
//! | `read` | `ZCARD`, `ZSCORE`, `ZMSCORE`, `ZRANK`, `ZREVRANK`, `ZCOUNT`, `ZLEXCOUNT` |
//! | `range` | `ZRANGE` and its older kin; `selection`: what they choose |
//! | `range_store` | `ZRANGESTORE` |
//! | `pop` | `ZPOPMIN`, `ZPOPMAX`; how members are popped |
//! | `first` | `ZMPOP`, `BZPOPMIN`, `BZPOPMAX`, `BZMPOP` |
//! | `operations` | `ZUNION`, `ZINTER`, `ZDIFF`, those that store, `ZINTERCARD`: by [`crate::command::families::combine`] |
//! | `random`, `scan` | `ZRANDMEMBER`, `ZSCAN` |
//!
//! A sorted set that has become empty is gone. A small one makes 0 of a score of −0, a large one keeps it, as in Redis.

pub(super) mod add;
mod first;
mod operations;
mod pop;
mod random;
mod range;
mod range_store;
mod read;
mod remove;
mod scan;
mod selection;
pub(super) mod store;

use larder_engine::{
    Access, DbIndex, DoubleText, Event, Key, Member, Shard, SortedSetMut, SortedSetRef, WrongType,
};

use crate::command::{Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys};
use crate::observe::Stats;
use crate::resp::Reply;

/// The tables.
pub(crate) use {
    add::COMMANDS as ADD, first::COMMANDS as FIRST, operations::COMMANDS as OPERATIONS,
    pop::COMMANDS as POP, random::COMMANDS as RANDOM, range::COMMANDS as RANGE,
    range_store::COMMANDS as RANGE_STORE, read::COMMANDS as READ, remove::COMMANDS as REMOVE,
    scan::COMMANDS as SCAN,
};

/// What commands that answer members and scores have in common.
const READING: CommandSpec = CommandSpec {
    flags: Flags::READONLY,
    categories: &[Category::SortedSet],
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
    group: Group::SortedSet,
    ..CommandSpec::BASE
};

/// What commands that change members one by one have in common.
const WRITING: CommandSpec = CommandSpec {
    flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::FAST),
    keys: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())]),
    ..READING
};

/// The sorted set at a key, for a command that reads; what is of another type is found, too.
///
/// # Errors
/// What is there is of another type.
pub(super) fn read<'a>(
    shard: &'a mut Shard,
    stats: &mut Stats,
    (db, key, access): (DbIndex, Key<'_>, Access),
) -> Result<Option<SortedSetRef<'a>>, WrongType> {
    let found = shard.sorted_set(db, key, access);
    stats.count_typed_lookup((db, key.bytes()), &found);
    found
}

/// Ends a command that has changed something or not, and tells `event` if it has.
pub(super) fn close_told(set: SortedSetMut<'_>, has_changed: bool, event: Event) {
    if has_changed {
        set.close(&[event]);
    } else {
        set.close(&[]);
    }
}

/// Removes a sorted set whose members, so many, all go, and tells `event`: as one, whatever they take.
pub(super) fn remove_all(shard: &mut Shard, (db, key): (DbIndex, Key<'_>), len: u64, event: Event) {
    shard.remove_told(db, key, &[event, Event::Del]);
    shard.journal().count_as(1, len);
}

/// What is shown of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command::families) enum Parts {
    /// Its name.
    Names,
    /// Its name and its score, next to each other in RESP2 and in an array of their own in RESP3.
    Both,
}

impl Parts {
    /// The parts that `WITHSCORES`, given or not, asks for.
    pub(super) fn with_scores(is_given: bool) -> Self {
        match is_given {
            true => Self::Both,
            false => Self::Names,
        }
    }

    /// How many elements of an array a member is.
    pub(in crate::command::families) fn replies_each(self, reply: &Reply<'_>) -> usize {
        match self {
            Self::Both if !reply.is_resp3() => 2,
            Self::Both | Self::Names => 1,
        }
    }

    /// Writes a member.
    #[inline]
    pub(in crate::command::families) fn write(self, reply: &mut Reply<'_>, member: &Member<'_>) {
        match self {
            Self::Names => reply.bulk(member.name),
            Self::Both => {
                if reply.is_resp3() {
                    reply.array(2);
                }
                write_member(reply, member);
            }
        }
    }
}

/// Writes a member's name and its score.
#[inline]
pub(super) fn write_member(reply: &mut Reply<'_>, member: &Member<'_>) {
    reply.bulk(member.name);
    write_score(reply, member.score);
}

/// Writes a score.
#[inline]
pub(super) fn write_score(reply: &mut Reply<'_>, score: f64) {
    reply.double_text(DoubleText::of(score).as_str());
}
