//! Commands of a test type that block: a string is a queue of bytes, and `APPEND` adds to it.
//!
//! `TEST.TAKE key [key ...] millis` takes a byte of the first of the keys that has one, as `BLPOP` does of lists;
//! `TEST.CARRY from to millis` takes one of `from` and appends it to `to`, as `BLMOVE` does;
//! `TEST.READ key [key ...] from millis` reads, from byte `from` on, the first of the keys that is longer, as `XREAD` does;
//! `$` for `from` is the length of the longest when the command comes.
//!
//! A key that begins with `#` is to `TEST.TAKE` as one of another type: it takes nothing of it.

use larder_engine::{Access, DbIndex, Event, Shard, parse_canonical_i64};

use super::transfer::Answer;
use crate::command::{
    Args, Attempted, Blocking, Category, CommandSpec, CoreCall, CoreFn, CoreRequest, Flags, Group,
    KeyFlags, KeySpec, Keys, Resolved, Round, Rounds, Run, ShardCall, Turn, WaitLimit,
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
            attempt: take_here,
            begin: take,
            takes: true,
            awaits: KEYS,
            timeout,
            on_timeout: |reply| reply.null_array(),
            on_nothing: |reply| reply.null_array(),
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
            attempt: carry_here,
            begin: carry,
            takes: true,
            awaits: Keys::of(&[KeySpec::at(1, KeyFlags::RW.update())]),
            timeout,
            on_timeout: |reply| reply.null(),
            on_nothing: |reply| reply.null(),
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "test.read",
        arity: -4,
        summary: "Reads the first of the keys that is longer, from a byte on.",
        syntax: "key [key ...] from millis",
        flags: Flags::READONLY.with(Flags::BLOCKING),
        categories: &[Category::Blocking],
        keys: READ_KEYS,
        group: Group::Generic,
        run: Run::Blocking(Blocking {
            attempt: read_here,
            begin: read,
            takes: false,
            awaits: READ_KEYS,
            timeout,
            on_timeout: |reply| reply.null_array(),
            on_nothing: |reply| reply.null_array(),
        }),
        ..CommandSpec::BASE
    },
];

/// All arguments but the last two.
const READ_KEYS: Keys = Keys::of(&[KeySpec::at(1, KeyFlags::RO.access()).to(-3)]);

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

fn take_here(call: &mut ShardCall<'_>, _: Turn) -> Result<Attempted, ErrorReply> {
    for at in 1..call.args.len() - 1 {
        if value_of(call.shard, call.db, call.args.at(at)).is_some_and(|value| is_other(&value)) {
            continue;
        }
        if let Some(first) = take_byte(call.shard, call.db, call.args.at(at)) {
            call.reply.array(2);
            call.reply.bulk(call.args.at(at));
            call.reply.bulk(&[first]);
            return Ok(Attempted::Done);
        }
    }
    Ok(Attempted::Wait(None))
}

fn carry_here(call: &mut ShardCall<'_>, _: Turn) -> Result<Attempted, ErrorReply> {
    let Some(first) = take_byte(call.shard, call.db, call.args.at(1)) else {
        return Ok(Attempted::Wait(None));
    };
    append(call.shard, call.db, call.args.at(2), &[first]);
    call.reply.bulk(&[first]);
    Ok(Attempted::Done)
}

fn read_here(call: &mut ShardCall<'_>, _: Turn) -> Result<Attempted, ErrorReply> {
    let words: Vec<Vec<u8>> = call.args.iter_from(0).map(<[u8]>::to_vec).collect();
    let keys = words[1..words.len() - 2].iter();
    let values = keys.map(|key| value_of(call.shard, call.db, key).unwrap_or_default());
    let values: Vec<Vec<u8>> = values.collect();
    let from = from_of(&words, values.iter().map(Vec::len))?;
    let Some(at) = values.iter().position(|value| value.len() > from) else {
        return Ok(Attempted::Wait(resolved(words, from)));
    };
    call.reply.array(2);
    call.reply.bulk(&words[at + 1]);
    call.reply.bulk(&values[at][from..]);
    Ok(Attempted::Done)
}

/// From which byte on is read, the keys being so long now.
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
    Some(words)
}

fn read(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let words: Vec<Vec<u8>> = args.iter_from(0).map(<[u8]>::to_vec).collect();
    let keys = &words[1..words.len() - 2];
    let cores = keys.iter().map(|key| slots.core_of(key)).collect();
    Ok(Box::new(Read {
        words,
        cores,
        is_asked: false,
    }))
}

/// `TEST.READ` on several cores.
struct Read {
    words: Vec<Vec<u8>>,
    cores: Vec<CoreId>,
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
    let value = value_of(&mut call.core.shard, call.db, call.args.at(0));
    call.out.extend(value.unwrap_or_default());
}

fn value_of(shard: &mut Shard, db: DbIndex, key: &[u8]) -> Option<Vec<u8>> {
    let key = shard.hasher().key(key);
    let value = shard.get(db, key, Access::Peek);
    value.and_then(|entry| entry.string()).map(<[u8]>::to_vec)
}

/// Whether a value is of another type for `TEST.TAKE`.
fn is_other(value: &[u8]) -> bool {
    value.first() == Some(&b'#')
}

/// Takes the first byte of a key that has one.
fn take_byte(shard: &mut Shard, db: DbIndex, key: &[u8]) -> Option<u8> {
    let value = value_of(shard, db, key)?;
    let (first, rest) = value.split_first()?;
    let key = shard.hasher().key(key);
    shard.remove(db, key, Event::Del);
    if !rest.is_empty() {
        let put = shard.write_range(db, key, 0, rest, Event::SetRange);
        put.expect("the test is small");
    }
    Some(*first)
}

fn append(shard: &mut Shard, db: DbIndex, key: &[u8], bytes: &[u8]) {
    let offset = value_of(shard, db, key).map_or(0, |value| value.len());
    let key = shard.hasher().key(key);
    let put = shard.write_range(db, key, offset, bytes, Event::Append);
    put.expect("the test is small");
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
        let ask = |at: usize, run| CoreRequest {
            core: self.cores[at],
            run,
            args: vec![self.keys[at].clone()],
        };
        match &self.state {
            State::Begun => {
                self.state = State::Looked;
                let look: CoreFn = match self.to {
                    Some(_) => look_part,
                    None => look_for_take_part,
                };
                Ok(Round::Ask(
                    (0..self.keys.len()).map(|at| ask(at, look)).collect(),
                ))
            }
            State::Looked => {
                let found = answers.iter().position(|answer| *answer == b"1");
                let Some(at) = found else {
                    return Ok(Round::Wait(None));
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
                Ok(Round::Ask(vec![CoreRequest { core, run, args }]))
            }
            State::Putting(value) => {
                reply.bulk(value);
                Ok(Round::Done)
            }
        }
    }
}

fn look_part(call: &mut CoreCall<'_>) {
    let value = value_of(&mut call.core.shard, call.db, call.args.at(0));
    // A string may be there and empty.
    let found = value.is_some_and(|value| !value.is_empty());
    call.out.push(if found { b'1' } else { b'0' });
}

fn look_for_take_part(call: &mut CoreCall<'_>) {
    let value = value_of(&mut call.core.shard, call.db, call.args.at(0));
    let found = value.is_some_and(|value| !value.is_empty() && !is_other(&value));
    call.out.push(if found { b'1' } else { b'0' });
}

fn take_part(call: &mut CoreCall<'_>) {
    match take_byte(&mut call.core.shard, call.db, call.args.at(0)) {
        Some(first) => Answer::yes(call.out, |out| out.push(first)),
        None => Answer::no(call.out),
    }
}

fn put_part(call: &mut CoreCall<'_>) {
    append(
        &mut call.core.shard,
        call.db,
        call.args.at(0),
        call.args.at(1),
    );
    Answer::yes(call.out, |_| {});
}
