//! `TEST.READ`, `TEST.CLAIM` and `TEST.FOLLOW`, of tests alone. The first is a command that waits and takes nothing of what it finds, so that one write serves all who wait, and
//! that finds out when it comes from where on it reads. No command of lists does that; `XREAD` of streams does.
//!
//! `TEST.READ key [key ...] from seconds` reads, from element `from` on, the first of the lists that is longer; `$` for `from` is the
//! length of the longest when the command comes. The reply is its key and what it read, put together.
//!
//! `TEST.CLAIM` does the same as one who takes: to find nothing in a list that serves another, as a consumer of a stream's group may.
//!
//! `TEST.FOLLOW` reads as `TEST.READ` does, and ends with an error when none of its keys is a list any more, as such a consumer does whose
//! stream is gone.

#![cfg(test)]

use larder_engine::{Access, DbIndex, Kind, Shard, WakesOn, parse_canonical_i64};

use super::timeout;
use crate::command::{
    Args, Attempted, Blocking, Category, CommandSpec, CoreCall, CoreRequest, Flags, Group,
    KeyFlags, KeySpec, Keys, Resolved, Round, Rounds, Run, ShardCall, Turn,
};
use crate::resp::{ErrorReply, Reply, errors};
use crate::routing::{CoreId, SlotMap};

pub(crate) static COMMANDS: &[CommandSpec] = &[
    READ,
    CommandSpec {
        name: "test.claim",
        summary: "Does the same, and keeps those who wait behind it from their turns until it is clear whether it found anything.",
        run: Run::Blocking(Blocking {
            takes: true,
            ..BLOCKING
        }),
        ..READ
    },
    CommandSpec {
        name: "test.follow",
        summary: "Does the same as test.read until none of the keys is a list any more.",
        run: Run::Blocking(Blocking {
            attempt: follow_here,
            begin: follow,
            wakes_on: WakesOn::ValueOrLoss(Kind::List),
            ..BLOCKING
        }),
        ..READ
    },
];

const READ: CommandSpec = CommandSpec {
    name: "test.read",
    arity: -4,
    summary: "Reads the first of the lists that is longer, from an element on.",
    syntax: "key [key ...] from seconds",
    flags: Flags::READONLY.with(Flags::BLOCKING),
    categories: &[Category::Blocking],
    keys: KEYS,
    group: Group::Generic,
    run: Run::Blocking(BLOCKING),
    ..CommandSpec::BASE
};

const BLOCKING: Blocking = Blocking {
    attempt: read_here,
    begin: read,
    takes: false,
    takes_one: false,
    awaits: KEYS,
    wakes_on: WakesOn::Value(Kind::List),
    timeout: |args| timeout::seconds(args.at(args.len() - 1)),
    on_timeout: |reply| reply.null_array(),
    on_nothing: |reply| reply.null_array(),
};

/// All arguments but the last two.
const KEYS: Keys = Keys::of(&[KeySpec::at(1, KeyFlags::RO.access()).to(-3)]);

fn read_here(call: &mut ShardCall<'_>, _: Turn) -> Result<Attempted, ErrorReply> {
    let words: Vec<Vec<u8>> = call.args.iter_from(0).map(<[u8]>::to_vec).collect();
    let keys = words[1..words.len() - 2].iter();
    let lists: Vec<_> = keys
        .map(|key| elements_of(call.shard, call.db, key))
        .collect();
    let from = from_of(&words, lists.iter().map(Vec::len))?;
    let Some(at) = lists.iter().position(|list| list.len() > from) else {
        return Ok(Attempted::Wait(resolved(words, from)));
    };
    call.reply.array(2);
    call.reply.bulk(&words[at + 1]);
    call.reply.bulk(&lists[at][from..].concat());
    Ok(Attempted::Done)
}

fn follow_here(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    let attempted = read_here(call, turn)?;
    let keys = 1..call.args.len() - 2;
    let is_empty = |at| elements_of(call.shard, call.db, call.args.at(at)).is_empty();
    if turn == Turn::Later && keys.into_iter().all(is_empty) {
        return Err(errors::NO_SUCH_KEY);
    }
    Ok(attempted)
}

/// From which element on is read, the lists being so long now.
fn from_of(words: &[Vec<u8>], lens: impl Iterator<Item = usize>) -> Result<usize, ErrorReply> {
    match &words[words.len() - 2][..] {
        b"$" => Ok(lens.max().unwrap_or(0)),
        from => {
            let from = parse_canonical_i64(from).and_then(|from| usize::try_from(from).ok());
            from.ok_or(errors::NOT_AN_INTEGER)
        }
    }
}

fn resolved(mut words: Vec<Vec<u8>>, from: usize) -> Resolved {
    let at = words.len() - 2;
    words[at] = from.to_string().into_bytes();
    Resolved {
        args: Some(words),
        again_in_ms: None,
    }
}

fn read(args: &Args<'_>, slots: &SlotMap, _: Turn) -> Result<Box<dyn Rounds>, ErrorReply> {
    read_unless(args, slots, false)
}

fn follow(args: &Args<'_>, slots: &SlotMap, turn: Turn) -> Result<Box<dyn Rounds>, ErrorReply> {
    read_unless(args, slots, turn == Turn::Later)
}

fn read_unless(
    args: &Args<'_>,
    slots: &SlotMap,
    ends_without_lists: bool,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    let words: Vec<Vec<u8>> = args.iter_from(0).map(<[u8]>::to_vec).collect();
    let keys = &words[1..words.len() - 2];
    let cores = keys.iter().map(|key| slots.core_of(key)).collect();
    Ok(Box::new(Read {
        words,
        cores,
        ends_without_lists,
        is_asked: false,
    }))
}

/// `TEST.READ` on several cores.
struct Read {
    words: Vec<Vec<u8>>,
    cores: Vec<CoreId>,
    ends_without_lists: bool,
    is_asked: bool,
}

impl Rounds for Read {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        if !std::mem::replace(&mut self.is_asked, true) {
            let requests = self.cores.iter().zip(&self.words[1..]);
            let requests = requests.map(|(core, key)| CoreRequest {
                core: *core,
                run: read_part,
                args: vec![key.clone()],
            });
            return Ok(Round::Ask(requests.collect()));
        }
        if self.ends_without_lists && answers.iter().all(|answer| answer.is_empty()) {
            return Err(errors::NO_SUCH_KEY);
        }
        // An element is a byte.
        let from = from_of(&self.words, answers.iter().map(|answer| answer.len()))?;
        let Some(at) = answers.iter().position(|answer| answer.len() > from) else {
            return Ok(Round::Wait(resolved(self.words.clone(), from)));
        };
        reply.array(2);
        reply.bulk(&self.words[at + 1]);
        reply.bulk(&answers[at][from..]);
        Ok(Round::Done)
    }
}

fn read_part(call: &mut CoreCall<'_>) {
    let elements = elements_of(&mut call.core.shard, call.db, call.args.at(0));
    call.out.extend(elements.concat());
}

fn elements_of(shard: &mut Shard, db: DbIndex, key: &[u8]) -> Vec<Vec<u8>> {
    let key = shard.hasher().key(key);
    let mut elements = Vec::new();
    if let Ok(Some(list)) = shard.list(db, key, Access::Peek) {
        list.range(0..list.len(), |element| elements.push(element.to_vec()));
    }
    elements
}
