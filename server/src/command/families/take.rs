//! Commands of a test type that block: a string is a queue of bytes, and `APPEND` adds to it.
//!
//! `TEST.TAKE key [key ...] millis` takes a byte of the first of the keys that has one, as `BLPOP` does of lists;
//! `TEST.CARRY from to millis` takes one of `from` and appends it to `to`, as `BLMOVE` does.

use larder_engine::{Access, Event, parse_canonical_i64};

use super::transfer::Answer;
use crate::command::{
    Args, Blocking, Category, CommandSpec, CoreCall, Flags, Group, KeyFlags, KeySpec, Keys,
    Request, Round, Rounds, Run, WaitLimit,
};
use crate::resp::{ErrorReply, Reply, errors};
use crate::routing::{CoreId, SlotMap};

pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "test.take",
        arity: -3,
        summary: "Takes a byte of the first of the keys that has one.",
        syntax: "key [key ...] millis",
        flags: Flags::WRITE.with(Flags::BLOCKING),
        categories: &[Category::Blocking],
        keys: KEYS,
        group: Group::Generic,
        run: Run::Blocking(Blocking {
            begin: take,
            awaits: KEYS,
            timeout,
            on_timeout: |reply| reply.null_array(),
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "test.carry",
        arity: 4,
        summary: "Carries a byte from one key to another.",
        syntax: "from to millis",
        flags: Flags::WRITE.with(Flags::BLOCKING),
        categories: &[Category::Blocking],
        keys: KEYS,
        group: Group::Generic,
        run: Run::Blocking(Blocking {
            begin: carry,
            awaits: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())]),
            timeout,
            on_timeout: |reply| reply.null(),
        }),
        ..CommandSpec::BASE
    },
];

/// All arguments but the last.
const KEYS: Keys = Keys::of(&[KeySpec::at(1, KeyFlags::RW.update()).to(-2)]);

fn timeout(args: &Args<'_>) -> Result<WaitLimit, ErrorReply> {
    let millis = parse_canonical_i64(args.at(args.len() - 1));
    let millis = millis.ok_or(errors::TIMEOUT_NOT_AN_INTEGER)?;
    match u64::try_from(millis).map_err(|_| errors::TIMEOUT_NEGATIVE)? {
        0 => Ok(WaitLimit::None),
        millis => Ok(WaitLimit::Millis(millis)),
    }
}

fn take(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let keys: Vec<Vec<u8>> = (1..args.len() - 1).map(|at| args.at(at).to_vec()).collect();
    let cores = keys.iter().map(|key| slots.core_of(key)).collect();
    Ok(Box::new(Take {
        keys,
        cores,
        state: State::Begun,
        to: None,
    }))
}

fn carry(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let (from, to) = (args.at(1).to_vec(), args.at(2).to_vec());
    Ok(Box::new(Take {
        cores: vec![slots.core_of(&from)],
        keys: vec![from],
        state: State::Begun,
        to: Some((slots.core_of(&to), to)),
    }))
}

enum State {
    Begun,
    Looked,
    Taking(usize),
    Putting(Vec<u8>),
}

struct Take {
    keys: Vec<Vec<u8>>,
    cores: Vec<CoreId>,
    state: State,
    to: Option<(CoreId, Vec<u8>)>,
}

impl Rounds for Take {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let ask = |at: usize, run| Request {
            core: self.cores[at],
            run,
            args: vec![self.keys[at].clone()],
        };
        match &self.state {
            State::Begun => {
                self.state = State::Looked;
                Ok(Round::Ask(
                    (0..self.keys.len()).map(|at| ask(at, look_part)).collect(),
                ))
            }
            State::Looked => {
                let found = answers.iter().position(|answer| *answer == b"1");
                let Some(at) = found else {
                    return Ok(Round::Wait);
                };
                let request = ask(at, take_part);
                self.state = State::Taking(at);
                Ok(Round::Ask(vec![request]))
            }
            State::Taking(at) => {
                let Answer::Yes(value) = Answer::of(answers[0])? else {
                    unreachable!("it was there, and is locked")
                };
                let Some((core, to)) = self.to.take() else {
                    reply.array(2);
                    reply.bulk(&self.keys[*at]);
                    reply.bulk(value);
                    return Ok(Round::Done);
                };
                let value = value.to_vec();
                let args = vec![to, value.clone()];
                self.state = State::Putting(value);
                let run = put_part;
                Ok(Round::Ask(vec![Request { core, run, args }]))
            }
            State::Putting(value) => {
                reply.bulk(value);
                Ok(Round::Done)
            }
        }
    }
}

fn look_part(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    // A string may be there and empty.
    let value = shard.get(call.db, key, Access::Peek);
    let value = value.and_then(|entry| entry.string());
    let found = value.is_some_and(|value| !value.is_empty());
    call.out.push(if found { b'1' } else { b'0' });
}

fn take_part(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    let value = shard.get(call.db, key, Access::Peek);
    let value = value.and_then(|entry| entry.string()).map(<[u8]>::to_vec);
    match value.as_deref() {
        Some([first, rest @ ..]) => {
            shard.remove(call.db, key, Event::Del);
            if !rest.is_empty() {
                let put = shard.write_range(call.db, key, 0, rest, Event::SetRange);
                put.expect("the test is small");
            }
            Answer::yes(call.out, |out| out.push(*first));
        }
        _ => Answer::no(call.out),
    }
}

fn put_part(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    let offset = shard
        .get(call.db, key, Access::Peek)
        .and_then(|entry| entry.string())
        .map_or(0, <[u8]>::len);
    let put = shard.write_range(call.db, key, offset, call.args.at(1), Event::Append);
    put.expect("the test is small");
    Answer::yes(call.out, |_| {});
}
