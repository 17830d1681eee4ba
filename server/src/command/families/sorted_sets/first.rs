//! What pops the first of several sorted sets that there is: `ZMPOP`, and `BZPOPMIN`, `BZPOPMAX` and `BZMPOP`, which wait for one.

use larder_engine::{DbIndex, End, Key, Kind, Shard, WakesOn, WrongType};

use super::pop::{self, Form};
use crate::command::families::first::{Popped, Wanted, Wanting};
use crate::command::families::timeout;
use crate::command::{
    Args, Attempted, Blocking, Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys,
    Rounds, Run, ShardCall, Spread, Steps, Turn,
};
use crate::resp::errors::CommandResult;
use crate::resp::{ErrorReply, Reply};
use crate::routing::SlotMap;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "zmpop",
        arity: -4,
        keys: Keys::of(&[KeySpec::at(1, POPPED).counted()]),
        since: "7.0.0",
        syntax: "numkeys key [key ...] <MIN | MAX> [COUNT count]",
        summary: "Takes members of the first of several sorted sets that there is, and returns them.",
        complexity: "O(K)+O(M*log(N)) where K is the number of keys, N that of members of the sorted set, and M that of those returned. In one \
                     step if the keys are on several cores.",
        run: Run::FanOut {
            together: zmpop,
            spread: Spread::Rounds(zmpop_across),
        },
        steps: Some(|call| SortedSet::several(&call.args, 1)?.begin_or_null(call)),
        ..FIRST
    },
    CommandSpec {
        name: "bzpopmin",
        summary: "Takes the member with the lowest score of the first of several sorted sets that there is, and returns it. Waits \
                  until there is one.",
        run: Run::Blocking(Blocking {
            attempt: bzpopmin,
            begin: bzpopmin_across,
            ..BLOCKING
        }),
        ..BLOCKING_POP
    },
    CommandSpec {
        name: "bzpopmax",
        summary: "Takes the member with the highest score of the first of several sorted sets that there is, and returns it. Waits \
                  until there is one.",
        run: Run::Blocking(Blocking {
            attempt: bzpopmax,
            begin: bzpopmax_across,
            ..BLOCKING
        }),
        ..BLOCKING_POP
    },
    CommandSpec {
        name: "bzmpop",
        arity: -5,
        flags: Flags::WRITE.with(Flags::BLOCKING),
        keys: BZMPOP_KEYS,
        since: "7.0.0",
        syntax: "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
        summary: "Takes members of the first of several sorted sets that there is, and returns them. Waits until there is one.",
        complexity: SEVERAL,
        run: Run::Blocking(Blocking {
            attempt: bzmpop,
            begin: bzmpop_across,
            takes_one: false,
            awaits: BZMPOP_KEYS,
            timeout: |args| {
                SortedSet::several(args, 2)?;
                timeout::seconds(args.at(1))
            },
            ..BLOCKING
        }),
        ..BLOCKING_POP
    },
];

const POPPED: KeyFlags = KeyFlags::RW.access().delete();
const BZPOP_KEYS: Keys = Keys::of(&[KeySpec::at(1, POPPED).to(-2)]);
const BZMPOP_KEYS: Keys = Keys::of(&[KeySpec::at(2, POPPED).counted()]);

const SEVERAL: &str = "O(K)+O(M*log(N)) where K is the number of keys, N that of members of the sorted set, and M that of those returned. In one \
                       step.";

const FIRST: CommandSpec = CommandSpec {
    flags: Flags::WRITE,
    categories: &[Category::SortedSet],
    group: Group::SortedSet,
    ..CommandSpec::BASE
};

const BLOCKING_POP: CommandSpec = CommandSpec {
    arity: -3,
    flags: Flags::WRITE.with(Flags::FAST).with(Flags::BLOCKING),
    categories: &[Category::SortedSet, Category::Blocking],
    keys: BZPOP_KEYS,
    since: "5.0.0",
    syntax: "key [key ...] timeout",
    complexity: "O(log(N)) where N is the number of members of the sorted set.",
    ..FIRST
};

const BLOCKING: Blocking = Blocking {
    attempt: bzpopmin,
    begin: bzpopmin_across,
    takes: true,
    takes_one: true,
    awaits: BZPOP_KEYS,
    wakes_on: WakesOn::Value(Kind::SortedSet),
    timeout: |args| timeout::seconds(args.at(args.len() - 1)),
    on_timeout: |reply| reply.null_array(),
    on_nothing: |reply| reply.null_array(),
};

/// What is wanted of sorted sets.
type SortedSet = Wanted<SortedSets>;

/// Sorted sets, as they are popped.
#[derive(Debug)]
struct SortedSets;

impl Popped for SortedSets {
    const ENDS: [&'static str; 2] = ["min", "max"];

    fn is_there(shard: &mut Shard, db: DbIndex, key: Key<'_>) -> Result<bool, WrongType> {
        let set = shard.sorted_set_mut(db, key)?;
        let is_there = set.is_there();
        set.close(&[]);
        Ok(is_there)
    }

    fn pop(
        shard: &mut Shard,
        db: DbIndex,
        key: Key<'_>,
        (end, count): (End, Option<u64>),
        reply: &mut Reply<'_>,
    ) -> Result<bool, ErrorReply> {
        let (len, what) = match count {
            None => (3, (end, 1, Form::Bare)),
            Some(count) => (2, (end, count, Form::Pairs)),
        };
        reply.array(len);
        reply.bulk(key.bytes());
        pop::pop_many(shard, db, key, what, reply)
    }

    fn begin_steps(
        call: &mut ShardCall<'_>,
        at: usize,
        what: (End, u64),
    ) -> Result<Option<Box<dyn Steps>>, ErrorReply> {
        pop::begin_steps(call, at, what, true)
    }
}

fn zmpop(call: &mut ShardCall<'_>) -> CommandResult {
    SortedSet::several(&call.args, 1)?.pop_or_null(call)
}

fn bzpopmin(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    SortedSet::one(&call.args, End::Head).attempt(call, turn)
}

fn bzpopmax(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    SortedSet::one(&call.args, End::Tail).attempt(call, turn)
}

fn bzmpop(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    SortedSet::several(&call.args, 2)?.attempt(call, turn)
}

/// An attempt in rounds.
type Begun = Result<Box<dyn Rounds>, ErrorReply>;

fn zmpop_across(args: &Args<'_>, slots: &SlotMap) -> Begun {
    Ok(SortedSet::several(args, 1)?.begin(args, slots, Wanting::Null))
}

fn bzpopmin_across(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Begun {
    Ok(SortedSet::one(args, End::Head).begin(args, slots, Wanting::Wait(turn)))
}

fn bzpopmax_across(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Begun {
    Ok(SortedSet::one(args, End::Tail).begin(args, slots, Wanting::Wait(turn)))
}

fn bzmpop_across(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Begun {
    Ok(SortedSet::several(args, 2)?.begin(args, slots, Wanting::Wait(turn)))
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;
    use crate::resp::Protocol;

    #[test]
    fn the_first_that_there_is_is_popped() {
        let mut bench = Bench::new();
        bench.check(&[
            ("ZADD y 1 a 2 b 3 c", "3"),
            ("ZADD z 4 d", "1"),
            ("ZMPOP 3 x y z MIN", "[\"y\", [[\"a\", \"1\"]]]"),
            (
                "ZMPOP 2 y z MAX COUNT 5",
                "[\"y\", [[\"c\", \"3\"], [\"b\", \"2\"]]]",
            ),
            ("ZMPOP 2 y z MIN COUNT 1", "[\"z\", [[\"d\", \"4\"]]]"),
            ("ZMPOP 2 y z MIN", "nil"),
            ("SET s 1", "OK"),
            (
                "ZMPOP 2 y s MIN",
                "WRONGTYPE Operation against a key holding the wrong kind of value",
            ),
            ("ZMPOP 0 y MIN", "ERR numkeys should be greater than 0"),
            ("ZMPOP 1 y LEFT", "ERR syntax error"),
            (
                "ZMPOP 1 y MIN COUNT 0",
                "ERR count should be greater than 0",
            ),
            ("ZMPOP 1 y MIN COUNT 1 COUNT 2", "ERR syntax error"),
        ]);
        bench.protocol = Protocol::Resp3;
        bench.run("ZADD z 4 d");
        let reply = bench.run_words(&[b"ZMPOP", b"1", b"z", b"MIN"]);
        assert_eq!(reply, b"*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nd\r\n,4\r\n");
    }
}
