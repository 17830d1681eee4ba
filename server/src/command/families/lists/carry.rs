//! An element carried from one list to another: `LMOVE` and `RPOPLPUSH`, and `BLMOVE` and `BRPOPLPUSH`, which wait for one.
//!
//! Between cores it takes three rounds. The source has its element until the destination has it:
//!
//! ```text
//! source core:       show the element                 pop
//! destination core:  check the type       push
//! ```

use larder_engine::{DbIndex, End, Key, Kind, Shard, WakesOn, WrongType};

use super::{is_there, popped, pushed, words};
use crate::command::families::first::Wanting;
use crate::command::families::timeout;
use crate::command::families::transfer::Answer;
use crate::command::{
    Args, AttemptFn, AttemptRoundsFn, Attempted, Blocking, Category, CommandSpec, CoreCall, CoreFn,
    CoreRequest, Flags, Group, KeyFlags, KeySpec, Keys, Resolved, Round, Rounds, Run, ShardCall,
    Spread, TimeoutFn, Turn,
};
use crate::resp::errors::CommandResult;
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "lmove",
        arity: 5,
        since: "6.2.0",
        syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
        summary: "Moves an element from one list to another, and returns it.",
        run: Run::FanOut {
            together: lmove,
            spread: Spread::Rounds(lmove_across),
        },
        ..CARRY
    },
    CommandSpec {
        name: "rpoplpush",
        arity: 3,
        since: "1.2.0",
        syntax: "source destination",
        summary: "Moves the last element of a list to the head of another, and returns it.",
        deprecated: Some(("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")),
        run: Run::FanOut {
            together: rpoplpush,
            spread: Spread::Rounds(rpoplpush_across),
        },
        ..CARRY
    },
    CommandSpec {
        name: "blmove",
        arity: 6,
        since: "6.2.0",
        syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
        summary: "Moves an element from one list to another, and returns it. Waits until there is one.",
        run: Run::Blocking(blocking(blmove, blmove_across, |args| {
            Ends::of(args)?;
            timeout::seconds(args.at(5))
        })),
        ..BLOCKING_CARRY
    },
    CommandSpec {
        name: "brpoplpush",
        arity: 4,
        since: "2.2.0",
        syntax: "source destination timeout",
        summary: "Moves the last element of a list to the head of another, and returns it. Waits until there is one.",
        deprecated: Some(("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")),
        run: Run::Blocking(blocking(brpoplpush, brpoplpush_across, |args| {
            timeout::seconds(args.at(3))
        })),
        ..BLOCKING_CARRY
    },
];

const SOURCE: KeySpec = KeySpec::at(1, KeyFlags::RW.access().delete());

const CARRY: CommandSpec = CommandSpec {
    flags: Flags::WRITE.with(Flags::DENYOOM),
    categories: &[Category::List],
    keys: Keys::of(&[SOURCE, KeySpec::at(2, KeyFlags::RW.insert())]),
    group: Group::List,
    ..CommandSpec::BASE
};

const BLOCKING_CARRY: CommandSpec = CommandSpec {
    flags: CARRY.flags.with(Flags::BLOCKING),
    categories: &[Category::List, Category::Blocking],
    ..CARRY
};

const fn blocking(attempt: AttemptFn, begin: AttemptRoundsFn, timeout: TimeoutFn) -> Blocking {
    Blocking {
        attempt,
        begin,
        takes: true,
        takes_one: true,
        awaits: Keys::of(&[SOURCE]),
        wakes_on: WakesOn::Value(Kind::List),
        timeout,
        on_timeout: |reply| reply.null_array(),
        on_nothing: |reply| reply.null(),
    }
}

/// Where an element is popped, and where it is pushed.
#[derive(Clone, Copy, Debug)]
struct Ends {
    from: End,
    to: End,
}

impl Ends {
    /// Those of `RPOPLPUSH`.
    const TAIL_TO_HEAD: Self = Self {
        from: End::Tail,
        to: End::Head,
    };

    /// Those that arguments 3 and 4 name.
    fn of(args: &Args<'_>) -> Result<Self, ErrorReply> {
        Ok(Self {
            from: words::end(args, 3)?,
            to: words::end(args, 4)?,
        })
    }
}

fn lmove(call: &mut ShardCall<'_>) -> CommandResult {
    let ends = Ends::of(&call.args)?;
    carry_or_null(call, ends)
}

fn rpoplpush(call: &mut ShardCall<'_>) -> CommandResult {
    carry_or_null(call, Ends::TAIL_TO_HEAD)
}

fn carry_or_null(call: &mut ShardCall<'_>, ends: Ends) -> CommandResult {
    if !carry(call, ends)? {
        call.reply.null();
    }
    Ok(())
}

fn blmove(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    let ends = Ends::of(&call.args)?;
    attempt(call, ends, turn)
}

fn brpoplpush(call: &mut ShardCall<'_>, turn: Turn) -> Result<Attempted, ErrorReply> {
    attempt(call, Ends::TAIL_TO_HEAD, turn)
}

fn attempt(call: &mut ShardCall<'_>, ends: Ends, turn: Turn) -> Result<Attempted, ErrorReply> {
    let source = call.key(1);
    if turn == Turn::Later && is_there(call.shard, call.db, source).is_err() {
        return Ok(Attempted::Wait(Resolved::AS_BEFORE));
    }
    Ok(match carry(call, ends)? {
        true => Attempted::Done,
        false => Attempted::Wait(Resolved::AS_BEFORE),
    })
}

/// Carries an element within a shard, and writes it: from the reply it goes to the destination. Whether there was one.
fn carry(call: &mut ShardCall<'_>, ends: Ends) -> Result<bool, ErrorReply> {
    let (source, destination) = (call.key(1), call.key(2));
    if source.bytes() == destination.bytes() {
        return turn_around(call, source, ends);
    }
    let (shard, reply) = (&mut *call.shard, &mut call.reply);
    let shown = show_end(shard, call.db, source, ends.from, |element| {
        reply.bulk(element);
        element.len()
    })?;
    let Some(len) = shown else {
        return Ok(false);
    };
    // The source has it until the destination does: that may be of another type, or memory out.
    push_one(shard, call.db, destination, ends.to, reply.last_bulk(len))?;
    pop_one(shard, call.db, source, ends.from)?;
    Ok(true)
}

/// Shows the element at an end of a list, if there is one.
fn show_end<T>(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    end: End,
    show: impl FnOnce(&[u8]) -> T,
) -> Result<Option<T>, WrongType> {
    let list = shard.list_mut(db, key)?;
    let shown = list.get(index_of(end, list.len())).map(show);
    list.close(&[]);
    Ok(shown)
}

/// The index of the element at an end of a list of `len` elements.
fn index_of(end: End, len: u32) -> u32 {
    match end {
        End::Head => 0,
        End::Tail => len.saturating_sub(1),
    }
}

/// Takes the element at one end of the list, pushes it at another, and writes it. Whether there was one.
fn turn_around(
    call: &mut ShardCall<'_>,
    key: Key<'_>,
    Ends { from, to }: Ends,
) -> Result<bool, ErrorReply> {
    let (mut list, reply) = (call.shard.list_mut(call.db, key)?, &mut call.reply);
    let shown = list.get(index_of(from, list.len())).map(|element| {
        reply.bulk(element);
        element.len()
    });
    let Some(len) = shown else {
        list.close(&[]);
        return Ok(false);
    };
    if let Err(error) = list.push(to, reply.last_bulk(len)) {
        list.close(&[]);
        return Err(error.into());
    }
    let len = list.len();
    let at = match (from, to) {
        (End::Head, End::Tail) => 0,
        (End::Head, End::Head) => 1,
        (End::Tail, End::Tail) => len - 2,
        (End::Tail, End::Head) => len - 1,
    };
    list.remove(at..at + 1);
    list.count_as(1, 0);
    list.close(&[pushed(to), popped(from)]);
    Ok(true)
}

fn push_one(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    end: End,
    element: &[u8],
) -> CommandResult {
    let mut list = shard.list_mut(db, key)?;
    let put = list.push(end, element);
    let events = [pushed(end)];
    list.close(if put.is_ok() { &events } else { &[] });
    Ok(put?)
}

/// Takes the element at an end out that has been pushed elsewhere, which is the change that is counted.
fn pop_one(shard: &mut Shard, db: DbIndex, key: Key<'_>, end: End) -> CommandResult {
    let mut list = shard.list_mut(db, key)?;
    let taken = list.pop(end, |_| ());
    taken.expect("it was looked at");
    list.count_as(1, 0);
    list.close(&[popped(end)]);
    Ok(())
}

fn lmove_across(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(Carry::boxed(args, slots, Ends::of(args)?, Wanting::Null))
}

fn rpoplpush_across(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let ends = Ends::TAIL_TO_HEAD;
    Ok(Carry::boxed(args, slots, ends, Wanting::Null))
}

fn blmove_across(
    args: &Args<'_>,
    slots: &SlotMap,
    turn: Turn,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    let ends = Ends::of(args)?;
    Ok(Carry::boxed(args, slots, ends, Wanting::Wait(turn)))
}

fn brpoplpush_across(
    args: &Args<'_>,
    slots: &SlotMap,
    turn: Turn,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    let ends = Ends::TAIL_TO_HEAD;
    Ok(Carry::boxed(args, slots, ends, Wanting::Wait(turn)))
}

/// An element on its way between cores.
#[derive(Debug)]
struct Carry {
    source: (CoreId, Vec<u8>),
    destination: (CoreId, Vec<u8>),
    ends: Ends,
    wanting: Wanting,
    step: Step,
    element: Vec<u8>,
}

/// What the answers at hand are to.
#[derive(Debug)]
enum Step {
    Nothing,
    Look,
    Push,
    Pop,
}

impl Carry {
    fn boxed(args: &Args<'_>, slots: &SlotMap, ends: Ends, wanting: Wanting) -> Box<dyn Rounds> {
        let place = |at: usize| (slots.core_of(args.at(at)), args.at(at).to_vec());
        Box::new(Self {
            source: place(1),
            destination: place(2),
            ends,
            wanting,
            step: Step::Nothing,
            element: Vec::new(),
        })
    }
}

fn request((core, key): &(CoreId, Vec<u8>), run: CoreFn, end: End) -> CoreRequest {
    CoreRequest {
        core: *core,
        run,
        args: vec![key.clone(), words::of_end(end).to_vec()],
    }
}

impl Rounds for Carry {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Step::Nothing => {
                self.step = Step::Look;
                Ok(Round::Ask(vec![
                    request(&self.source, look_part, self.ends.from),
                    request(&self.destination, check_part, self.ends.to),
                ]))
            }
            Step::Look => {
                let element = match (Answer::of(answers[0]), self.wanting) {
                    (Ok(Answer::Yes(element)), _) => element.to_vec(),
                    // What is waited for is a list.
                    (Ok(Answer::No), Wanting::Wait(_)) | (Err(_), Wanting::Wait(Turn::Later)) => {
                        return Ok(Round::Wait(Resolved::AS_BEFORE));
                    }
                    (Ok(Answer::No), Wanting::Null) => {
                        reply.null();
                        return Ok(Round::Done);
                    }
                    (Err(error), _) => return Err(error),
                };
                Answer::of(answers[1])?;
                let mut request = request(&self.destination, push_part, self.ends.to);
                request.args.push(element.clone());
                self.element = element;
                self.step = Step::Push;
                Ok(Round::Ask(vec![request]))
            }
            Step::Push => {
                Answer::of(answers[0])?;
                self.step = Step::Pop;
                let request = request(&self.source, pop_part, self.ends.from);
                Ok(Round::Ask(vec![request]))
            }
            Step::Pop => {
                Answer::of(answers[0])?;
                reply.bulk(&self.element);
                Ok(Round::Done)
            }
        }
    }
}

/// Writes what came of a part that answers no element.
fn answer(out: &mut Vec<u8>, outcome: CommandResult) {
    match outcome {
        Ok(()) => Answer::yes(out, |_| ()),
        Err(error) => Answer::failed(out, &error),
    }
}

/// Answers the element at the end, argument 1, of the list at argument 0.
fn look_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let (shard, out) = (&mut call.core.shard, &mut *call.out);
    let shown = words::end(&call.args, 1).and_then(|end| {
        let shown = show_end(shard, call.db, key, end, |element| {
            Answer::yes(out, |out| out.extend_from_slice(element));
        });
        Ok(shown?)
    });
    match shown {
        Ok(Some(())) => {}
        Ok(None) => Answer::no(call.out),
        Err(error) => Answer::failed(call.out, &error),
    }
}

/// Answers whether an element may be pushed to argument 0: it is a list, or nothing.
fn check_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let outcome = is_there(&mut call.core.shard, call.db, key);
    answer(call.out, outcome.map(|_| ()).map_err(ErrorReply::from));
}

/// Pushes argument 2 at the end, argument 1, of the list at argument 0.
fn push_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let (shard, element) = (&mut call.core.shard, call.args.at(2));
    let outcome =
        words::end(&call.args, 1).and_then(|end| push_one(shard, call.db, key, end, element));
    answer(call.out, outcome);
}

/// Takes the element at the end, argument 1, of the list at argument 0 out.
fn pop_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let outcome =
        words::end(&call.args, 1).and_then(|end| pop_one(&mut call.core.shard, call.db, key, end));
    answer(call.out, outcome);
}
