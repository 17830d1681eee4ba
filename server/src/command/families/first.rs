//! What pops the first of several keys that there is: `LMPOP` and `ZMPOP`, and `BLPOP`, `BZPOPMIN` and their kin, which wait for one.
//!
//! On several cores it takes two rounds: every key is looked at, and the first that is there is popped.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Range;

use larder_engine::{DbIndex, End, Key, Shard, WrongType};

use super::counts;
use super::transfer::Answer;
use crate::command::{
    Args, Attempted, CoreCall, CoreRequest, Resolved, Round, Rounds, ShardCall, Steps, Turn,
};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// A type whose values are popped at either end.
pub(super) trait Popped: Debug + 'static {
    /// The words for its ends, head and tail.
    const ENDS: [&'static str; 2];

    /// Whether a value of this type is at a key.
    ///
    /// # Errors
    /// What is there is of another type.
    fn is_there(shard: &mut Shard, db: DbIndex, key: Key<'_>) -> Result<bool, WrongType>;

    /// Pops at most so many elements, or one that is no array if no number was given, and writes the key and them. Whether there is
    /// something to pop; else what was written does not count.
    ///
    /// # Errors
    /// What is there is of another type, or more than a reply holds. Then it is as it was.
    fn pop(
        shard: &mut Shard,
        db: DbIndex,
        key: Key<'_>,
        what: (End, Option<u64>),
        reply: &mut Reply<'_>,
    ) -> Result<bool, ErrorReply>;

    /// Begins to pop so many elements at the key that argument `at` is, in steps, if they are many.
    ///
    /// # Errors
    /// What is there is of another type.
    fn begin_steps(_: &mut ShardCall<'_>, _at: usize, _: (End, u64)) -> Begun {
        Ok(None)
    }
}

/// A command that takes several steps, or is done.
type Begun = Result<Option<Box<dyn Steps>>, ErrorReply>;

/// What a command on several cores does that finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanting {
    /// Its reply is null.
    Null,
    /// It waits. With the turn of the attempt.
    Wait(Turn),
}

/// What is to be popped.
#[derive(Clone, Debug)]
pub(super) struct Wanted<P> {
    /// The arguments that are keys.
    keys: Range<usize>,
    end: End,
    /// At most so many elements, as an array; else one, not in an array.
    count: Option<u64>,
    of: PhantomData<P>,
}

impl<P: Popped> Wanted<P> {
    /// One element of the first of all arguments but the last.
    pub(super) fn one(args: &Args<'_>, end: End) -> Self {
        Self {
            keys: 1..args.len() - 1,
            end,
            count: None,
            of: PhantomData,
        }
    }

    /// `numkeys key [key ...] <end> [COUNT count]` from argument `at` on.
    pub(super) fn several(args: &Args<'_>, at: usize) -> Result<Self, ErrorReply> {
        let numkeys = counts::positive(args.at(at), errors::NUMKEYS_NOT_POSITIVE)?;
        let first = at + 1;
        let end_at = usize::try_from(numkeys).ok();
        let end_at = end_at.and_then(|numkeys| numkeys.checked_add(first));
        let end_at = end_at.filter(|&end_at| end_at < args.len());
        let end_at = end_at.ok_or(errors::SYNTAX)?;
        let end = end_of::<P>(args, end_at)?;
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
            of: PhantomData,
        })
    }

    /// An attempt that does not wait, on the core of all keys.
    pub(super) fn pop_or_null(&self, call: &mut ShardCall<'_>) -> CommandResult {
        if !self.pop_first(call)? {
            call.reply.null_array();
        }
        Ok(())
    }

    /// As [`Self::pop_or_null`]; in steps, if many elements are popped.
    pub(super) fn begin_or_null(&self, call: &mut ShardCall<'_>) -> Begun {
        let Some(count) = self.count.filter(|&count| count > 1) else {
            return self.pop_or_null(call).map(|()| None);
        };
        for at in self.keys.clone() {
            let key = call.key(at);
            if P::is_there(call.shard, call.db, key)? {
                if let Some(steps) = P::begin_steps(call, at, (self.end, count))? {
                    return Ok(Some(steps));
                }
                break;
            }
        }
        self.pop_or_null(call).map(|()| None)
    }

    /// An attempt on the core of all keys.
    pub(super) fn attempt(
        &self,
        call: &mut ShardCall<'_>,
        turn: Turn,
    ) -> Result<Attempted, ErrorReply> {
        // Who has waited is served by a value of his type, and looks at its keys then as if it had just come.
        let (waits_on, is_one_key) = (turn == Turn::Later, self.keys.len() == 1);
        if waits_on && !is_one_key && !self.keys.clone().any(|at| is_of_type::<P>(call, at)) {
            return Ok(Attempted::Wait(Resolved::AS_BEFORE));
        }
        match self.pop_first(call) {
            Ok(true) => Ok(Attempted::Done),
            Ok(false) => Ok(Attempted::Wait(Resolved::AS_BEFORE)),
            Err(error) if waits_on && is_one_key && error == errors::WRONG_TYPE => {
                Ok(Attempted::Wait(Resolved::AS_BEFORE))
            }
            Err(error) => Err(error),
        }
    }

    /// Pops the first that is there, and writes its key and what was popped. Whether there is one.
    fn pop_first(&self, call: &mut ShardCall<'_>) -> Result<bool, ErrorReply> {
        for at in self.keys.clone() {
            let key = call.key(at);
            let mark = call.reply.mark();
            let (shard, reply) = (&mut *call.shard, &mut call.reply);
            if P::pop(shard, call.db, key, (self.end, self.count), reply)? {
                return Ok(true);
            }
            call.reply.rewind(mark);
        }
        Ok(false)
    }

    /// An attempt in rounds.
    pub(super) fn begin(
        self,
        args: &Args<'_>,
        slots: &SlotMap,
        wanting: Wanting,
    ) -> Box<dyn Rounds> {
        let keys = self.keys.clone().map(|at| args.at(at));
        let keys = keys.map(|key| (slots.core_of(key), key.to_vec()));
        Box::new(First {
            keys: keys.collect(),
            wanted: self,
            wanting,
            step: Stage::Nothing,
        })
    }
}

fn is_of_type<P: Popped>(call: &mut ShardCall<'_>, at: usize) -> bool {
    let key = call.key(at);
    P::is_there(call.shard, call.db, key) == Ok(true)
}

/// The end that argument `at` names.
fn end_of<P: Popped>(args: &Args<'_>, at: usize) -> Result<End, ErrorReply> {
    let [head, tail] = P::ENDS;
    match () {
        () if args.is(at, head) => Ok(End::Head),
        () if args.is(at, tail) => Ok(End::Tail),
        () => Err(errors::SYNTAX),
    }
}

/// The first of keys on several cores.
#[derive(Debug)]
struct First<P> {
    keys: Vec<(CoreId, Vec<u8>)>,
    wanted: Wanted<P>,
    wanting: Wanting,
    step: Stage,
}

/// What the answers at hand are to.
#[derive(Debug)]
enum Stage {
    Nothing,
    Look,
    Pop,
}

impl<P: Popped> First<P> {
    /// The number of the first key that is there.
    fn choose(&self, answers: &[&[u8]]) -> Result<Option<usize>, ErrorReply> {
        let is_there = |answer: &&[u8]| matches!(Answer::of(answer), Ok(Answer::Yes(_)));
        if self.wanting == Wanting::Wait(Turn::Later) && !answers.iter().any(is_there) {
            return Ok(None);
        }
        for (number, answer) in answers.iter().enumerate() {
            if Answer::of(answer)? != Answer::No {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Asks for the pop of the key of this number.
    fn pop(&self, number: usize) -> Round {
        let (core, key) = &self.keys[number];
        let [head, tail] = P::ENDS;
        let word = match self.wanted.end {
            End::Head => head,
            End::Tail => tail,
        };
        let mut args = vec![key.clone(), word.into()];
        args.extend(
            self.wanted
                .count
                .map(|count| count.to_string().into_bytes()),
        );
        Round::Ask(vec![CoreRequest {
            core: *core,
            run: pop_part::<P>,
            args,
        }])
    }
}

impl<P: Popped> Rounds for First<P> {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Stage::Nothing => {
                self.step = Stage::Look;
                let requests = self.keys.iter().map(|(core, key)| CoreRequest {
                    core: *core,
                    run: look_part::<P>,
                    args: vec![key.clone()],
                });
                Ok(Round::Ask(requests.collect()))
            }
            Stage::Look => match (self.choose(answers)?, self.wanting) {
                (Some(number), _) => {
                    self.step = Stage::Pop;
                    Ok(self.pop(number))
                }
                (None, Wanting::Wait(_)) => Ok(Round::Wait(Resolved::AS_BEFORE)),
                (None, Wanting::Null) => {
                    reply.null_array();
                    Ok(Round::Done)
                }
            },
            Stage::Pop => {
                let Answer::Yes(popped) = Answer::of(answers[0])? else {
                    unreachable!("it was there, and is locked")
                };
                reply.raw(popped);
                Ok(Round::Done)
            }
        }
    }
}

/// Answers whether a value of the type is at argument 0; no, if there is no such key.
fn look_part<P: Popped>(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    match P::is_there(&mut call.core.shard, call.db, key) {
        Ok(true) => Answer::yes(call.out, |_| ()),
        Ok(false) => Answer::no(call.out),
        Err(error) => Answer::failed(call.out, &error.into()),
    }
}

/// Pops the value at argument 0 at the end that argument 1 names: as many elements as argument 2 says, or one. Answers key and elements
/// in the form of the reply.
fn pop_part<P: Popped>(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let mut popped = Vec::new();
    let (shard, mut reply) = (&mut call.core.shard, Reply::new(&mut popped, call.protocol));
    let outcome = end_of::<P>(&call.args, 1).and_then(|end| {
        let count = call.args.get(2);
        let count = count.map(|count| counts::positive(count, errors::COUNT_NOT_POSITIVE));
        P::pop(shard, call.db, key, (end, count.transpose()?), &mut reply)
    });
    match outcome {
        Ok(true) => Answer::yes(call.out, |out| out.extend_from_slice(&popped)),
        Ok(false) => Answer::no(call.out),
        Err(error) => Answer::failed(call.out, &error),
    }
}
