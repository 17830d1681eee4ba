//! What pops the first of several lists that there is: `LMPOP`, and `BLPOP`, `BRPOP` and `BLMPOP`, which wait for one.
//!
//! On several cores it takes two rounds: every key is looked at, and the first list among them is popped.

use std::ops::Range;

use larder_engine::{End, Kind, WakesOn};

use super::{Wanting, is_there, pop, words};
use crate::command::families::counts;
use crate::command::families::timeout;
use crate::command::families::transfer::Answer;
use crate::command::{
    Args, Attempted, Blocking, Category, CommandSpec, CoreCall, CoreFn, CoreRequest, Flags, Group,
    KeyFlags, KeySpec, Keys, Round, Rounds, Run, ShardCall, Spread, Turn,
};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

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
                Wanted::several(args, 2)?;
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

/// What is to be popped.
#[derive(Clone, Debug)]
struct Wanted {
    /// The arguments that are keys.
    keys: Range<usize>,
    end: End,
    /// At most so many elements, as an array; else one, not in an array.
    count: Option<u64>,
}

impl Wanted {
    /// One element of the first of all arguments but the last.
    fn one(args: &Args<'_>, end: End) -> Self {
        Self {
            keys: 1..args.len() - 1,
            end,
            count: None,
        }
    }

    /// `numkeys key [key ...] <LEFT | RIGHT> [COUNT count]` from argument `at` on.
    fn several(args: &Args<'_>, at: usize) -> Result<Self, ErrorReply> {
        let numkeys = counts::positive(args.at(at), errors::NUMKEYS_NOT_POSITIVE)?;
        let first = at + 1;
        let end_at = usize::try_from(numkeys).ok();
        let end_at = end_at.and_then(|numkeys| numkeys.checked_add(first));
        let end_at = end_at.filter(|&end_at| end_at < args.len());
        let end_at = end_at.ok_or(errors::SYNTAX)?;
        let end = words::end(args, end_at)?;
        let count = match args.len() - (end_at + 1) {
            0 => 1,
            // What follows a count that is wrong is not looked at.
            2.. if args.is(end_at + 1, "count") => {
                let count = counts::positive(args.at(end_at + 2), errors::COUNT_NOT_POSITIVE)?;
                if args.len() > end_at + 3 {
                    return Err(errors::SYNTAX);
                }
                count
            }
            _ => return Err(errors::SYNTAX),
        };
        Ok(Self {
            keys: first..end_at,
            end,
            count: Some(count),
        })
    }
}

fn lmpop(call: &mut ShardCall<'_>) -> CommandResult {
    let wanted = Wanted::several(&call.args, 1)?;
    if !pop_first(call, &wanted)? {
        call.reply.null_array();
    }
    Ok(())
}

fn blpop(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    attempt(call, &Wanted::one(&call.args, End::Head), turn)
}

fn brpop(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    attempt(call, &Wanted::one(&call.args, End::Tail), turn)
}

fn blmpop(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    attempt(call, &Wanted::several(&call.args, 2)?, turn)
}

fn attempt(call: &mut ShardCall<'_>, wanted: &Wanted, turn: Turn) -> Result<Attempted, ErrorReply> {
    // Who has waited is served by a list, and looks at its keys then as if it had just come.
    let (waits_on, is_one_key) = (turn == Turn::Later, wanted.keys.len() == 1);
    if waits_on && !is_one_key && !wanted.keys.clone().any(|at| is_list(call, at)) {
        return Ok(Attempted::Wait(None));
    }
    match pop_first(call, wanted) {
        Ok(true) => Ok(Attempted::Done),
        Ok(false) => Ok(Attempted::Wait(None)),
        Err(error) if waits_on && is_one_key && error == errors::WRONG_TYPE => {
            Ok(Attempted::Wait(None))
        }
        Err(error) => Err(error),
    }
}

fn is_list(call: &mut ShardCall<'_>, at: usize) -> bool {
    let key = call.key(at);
    is_there(call.shard, call.db, key) == Ok(true)
}

/// Pops the first list, and writes its key and what was popped. Whether there is one.
fn pop_first(call: &mut ShardCall<'_>, wanted: &Wanted) -> Result<bool, ErrorReply> {
    for at in wanted.keys.clone() {
        let key = call.key(at);
        let mark = call.reply.mark();
        call.reply.array(2);
        call.reply.bulk(key.bytes());
        let (shard, reply) = (&mut *call.shard, &mut call.reply);
        let is_popped = match wanted.count {
            None => pop::pop_one(shard, call.db, key, wanted.end, reply),
            Some(count) => pop::pop_many(shard, call.db, key, (wanted.end, count), reply),
        };
        if is_popped? {
            return Ok(true);
        }
        call.reply.rewind(mark);
    }
    Ok(false)
}

fn lmpop_across(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let wanted = Wanted::several(args, 1)?;
    Ok(First::boxed(args, slots, wanted, Wanting::Null))
}

fn blpop_across(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Begun {
    let wanted = Wanted::one(args, End::Head);
    Ok(First::boxed(args, slots, wanted, Wanting::Wait(turn)))
}

fn brpop_across(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Begun {
    let wanted = Wanted::one(args, End::Tail);
    Ok(First::boxed(args, slots, wanted, Wanting::Wait(turn)))
}

fn blmpop_across(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Begun {
    let wanted = Wanted::several(args, 2)?;
    Ok(First::boxed(args, slots, wanted, Wanting::Wait(turn)))
}

/// An attempt in rounds.
type Begun = Result<Box<dyn Rounds>, ErrorReply>;

/// The first of lists on several cores.
#[derive(Debug)]
struct First {
    keys: Vec<(CoreId, Vec<u8>)>,
    end: End,
    count: Option<u64>,
    wanting: Wanting,
    step: Step,
}

/// What the answers at hand are to.
#[derive(Debug)]
enum Step {
    Nothing,
    Look,
    /// To the pop of the list at the key of this number.
    Pop(usize),
}

impl First {
    fn boxed(
        args: &Args<'_>,
        slots: &SlotMap,
        wanted: Wanted,
        wanting: Wanting,
    ) -> Box<dyn Rounds> {
        let keys = wanted.keys.map(|at| args.at(at));
        let keys = keys.map(|key| (slots.core_of(key), key.to_vec()));
        Box::new(Self {
            keys: keys.collect(),
            end: wanted.end,
            count: wanted.count,
            wanting,
            step: Step::Nothing,
        })
    }

    /// The number of the first key that is a list.
    fn choose(&self, answers: &[&[u8]]) -> Result<Option<usize>, ErrorReply> {
        let is_list = |answer: &&[u8]| matches!(Answer::of(answer), Ok(Answer::Yes(_)));
        if self.wanting == Wanting::Wait(Turn::Later) && !answers.iter().any(is_list) {
            return Ok(None);
        }
        for (number, answer) in answers.iter().enumerate() {
            if Answer::of(answer)? != Answer::No {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }
}

impl Rounds for First {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Step::Nothing => {
                self.step = Step::Look;
                let requests = self.keys.iter().map(|(core, key)| CoreRequest {
                    core: *core,
                    run: look_part,
                    args: vec![key.clone()],
                });
                Ok(Round::Ask(requests.collect()))
            }
            Step::Look => match (self.choose(answers)?, self.wanting) {
                (Some(number), _) => {
                    self.step = Step::Pop(number);
                    let (core, key) = &self.keys[number];
                    let mut args = vec![key.clone(), words::of_end(self.end).to_vec()];
                    args.extend(self.count.map(|count| count.to_string().into_bytes()));
                    let run: CoreFn = pop_part;
                    let core = *core;
                    Ok(Round::Ask(vec![CoreRequest { core, run, args }]))
                }
                (None, Wanting::Wait(_)) => Ok(Round::Wait(None)),
                (None, Wanting::Null) => {
                    reply.null_array();
                    Ok(Round::Done)
                }
            },
            Step::Pop(number) => {
                let Answer::Yes(popped) = Answer::of(answers[0])? else {
                    unreachable!("it was there, and is locked")
                };
                reply.array(2);
                reply.bulk(&self.keys[number].1);
                reply.raw(popped);
                Ok(Round::Done)
            }
        }
    }
}

/// Answers whether argument 0 is a list; no, if there is no such key.
fn look_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    match is_there(&mut call.core.shard, call.db, key) {
        Ok(true) => Answer::yes(call.out, |_| ()),
        Ok(false) => Answer::no(call.out),
        Err(error) => Answer::failed(call.out, &error.into()),
    }
}

/// Pops the list at argument 0 at the end that argument 1 names: as many elements as argument 2 says, or one. Answers them in the
/// form of the reply.
fn pop_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let mut popped = Vec::new();
    let (shard, mut reply) = (&mut call.core.shard, Reply::new(&mut popped, call.protocol));
    let outcome = words::end(&call.args, 1).and_then(|end| match call.args.get(2) {
        None => pop::pop_one(shard, call.db, key, end, &mut reply),
        Some(count) => {
            let count = counts::positive(count, errors::COUNT_NOT_POSITIVE)?;
            pop::pop_many(shard, call.db, key, (end, count), &mut reply)
        }
    });
    match outcome {
        Ok(true) => Answer::yes(call.out, |out| out.extend_from_slice(&popped)),
        Ok(false) => Answer::no(call.out),
        Err(error) => Answer::failed(call.out, &error),
    }
}
