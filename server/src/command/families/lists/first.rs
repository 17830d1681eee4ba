//! What pops the first of several lists that there is: `LMPOP`, and `BLPOP`, `BRPOP` and `BLMPOP`, which wait for one.

use larder_engine::{DbIndex, End, Key, Kind, Shard, WakesOn, WrongType};

use super::{is_there, pop, words};
use crate::command::families::first::{Popped, Wanted, Wanting};
use crate::command::families::timeout;
use crate::command::{
    Args, Attempted, Blocking, Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys,
    Rounds, Run, ShardCall, Spread, Turn,
};
use crate::resp::errors::CommandResult;
use crate::resp::{ErrorReply, Reply};
use crate::routing::SlotMap;

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "lmpop",
        arity: -4,
        keys: Keys::of(&[KeySpec::at(1, POPPED).counted()]),
        since: "7.0.0",
        syntax: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        summary: "Takes elements of the first of several lists that there is, and returns them.",
        complexity: "O(N+M) where N is the number of keys, and M the number of elements returned.",
        run: Run::FanOut {
            together: lmpop,
            spread: Spread::Rounds(lmpop_across),
        },
        ..FIRST
    },
    CommandSpec {
        name: "blpop",
        summary: "Takes the first element of the first of several lists that there is, and returns it. Waits until there is one.",
        run: Run::Blocking(Blocking {
            attempt: blpop,
            begin: blpop_across,
            ..BLOCKING
        }),
        ..BLOCKING_POP
    },
    CommandSpec {
        name: "brpop",
        summary: "Takes the last element of the first of several lists that there is, and returns it. Waits until there is one.",
        run: Run::Blocking(Blocking {
            attempt: brpop,
            begin: brpop_across,
            ..BLOCKING
        }),
        ..BLOCKING_POP
    },
    CommandSpec {
        name: "blmpop",
        arity: -5,
        keys: BLMPOP_KEYS,
        since: "7.0.0",
        syntax: "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
        summary: "Takes elements of the first of several lists that there is, and returns them. Waits until there is one.",
        complexity: "O(N+M) where N is the number of keys, and M the number of elements returned.",
        run: Run::Blocking(Blocking {
            attempt: blmpop,
            begin: blmpop_across,
            takes_one: false,
            awaits: BLMPOP_KEYS,
            timeout: |args| {
                List::several(args, 2)?;
                timeout::seconds(args.at(1))
            },
            ..BLOCKING
        }),
        ..BLOCKING_POP
    },
];

const POPPED: KeyFlags = KeyFlags::RW.access().delete();
const BLPOP_KEYS: Keys = Keys::of(&[KeySpec::at(1, POPPED).to(-2)]);
const BLMPOP_KEYS: Keys = Keys::of(&[KeySpec::at(2, POPPED).counted()]);

const FIRST: CommandSpec = CommandSpec {
    flags: Flags::WRITE,
    categories: &[Category::List],
    group: Group::List,
    ..CommandSpec::BASE
};

const BLOCKING_POP: CommandSpec = CommandSpec {
    arity: -3,
    flags: Flags::WRITE.with(Flags::BLOCKING),
    categories: &[Category::List, Category::Blocking],
    keys: BLPOP_KEYS,
    since: "2.0.0",
    syntax: "key [key ...] timeout",
    complexity: "O(N) where N is the number of keys.",
    ..FIRST
};

const BLOCKING: Blocking = Blocking {
    attempt: blpop,
    begin: blpop_across,
    takes: true,
    takes_one: true,
    awaits: BLPOP_KEYS,
    wakes_on: WakesOn::Value(Kind::List),
    timeout: |args| timeout::seconds(args.at(args.len() - 1)),
    on_timeout: |reply| reply.null_array(),
    on_nothing: |reply| reply.null_array(),
};

/// What is wanted of lists.
type List = Wanted<Lists>;

/// Lists, as they are popped.
#[derive(Debug)]
struct Lists;

impl Popped for Lists {
    const ENDS: [&'static str; 2] = words::ENDS;

    fn is_there(shard: &mut Shard, db: DbIndex, key: Key<'_>) -> Result<bool, WrongType> {
        is_there(shard, db, key)
    }

    fn pop(
        shard: &mut Shard,
        db: DbIndex,
        key: Key<'_>,
        (end, count): (End, Option<u64>),
        reply: &mut Reply<'_>,
    ) -> Result<bool, ErrorReply> {
        reply.array(2);
        reply.bulk(key.bytes());
        match count {
            None => pop::pop_one(shard, db, key, end, reply),
            Some(count) => pop::pop_many(shard, db, key, (end, count), reply),
        }
    }
}

fn lmpop(call: &mut ShardCall<'_>) -> CommandResult {
    List::several(&call.args, 1)?.pop_or_null(call)
}

fn blpop(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    List::one(&call.args, End::Head).attempt(call, turn)
}

fn brpop(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    List::one(&call.args, End::Tail).attempt(call, turn)
}

fn blmpop(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    List::several(&call.args, 2)?.attempt(call, turn)
}

/// An attempt in rounds.
type Begun = Result<Box<dyn Rounds>, ErrorReply>;

fn lmpop_across(args: &Args<'_>, slots: &SlotMap) -> Begun {
    Ok(List::several(args, 1)?.begin(args, slots, Wanting::Null))
}

fn blpop_across(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Begun {
    Ok(List::one(args, End::Head).begin(args, slots, Wanting::Wait(turn)))
}

fn brpop_across(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Begun {
    Ok(List::one(args, End::Tail).begin(args, slots, Wanting::Wait(turn)))
}

fn blmpop_across(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Begun {
    Ok(List::several(args, 2)?.begin(args, slots, Wanting::Wait(turn)))
}
