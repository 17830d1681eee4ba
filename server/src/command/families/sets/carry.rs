//! `SMOVE`: a member carried from one set to another.
//!
//! Between cores it takes three rounds. The source has its member until the destination has it:
//!
//! ```text
//! source core:       look                     remove
//! destination core:  check the type    add
//! ```

use larder_engine::{DbIndex, Event, Key, Shard};

use super::{WRITING, close_told};
use crate::command::families::transfer::Answer;
use crate::command::{
    Args, CommandSpec, CoreCall, CoreFn, CoreRequest, KeyFlags, KeySpec, Keys, Round, Rounds, Run,
    ShardCall, Spread,
};
use crate::resp::errors::CommandResult;
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "smove",
    arity: 4,
    keys: Keys::of(&[
        KeySpec::at(1, KeyFlags::RW.access().delete()),
        KeySpec::at(2, KeyFlags::RW.insert()),
    ]),
    syntax: "source destination member",
    summary: "Moves a member from one set to another, and answers whether it was there.",
    run: Run::FanOut {
        together: smove,
        spread: Spread::Rounds(smove_across),
    },
    ..WRITING
}];

fn smove(call: &mut ShardCall<'_>) -> CommandResult {
    let (source, destination) = (call.key(1), call.key(2));
    let (shard, db, member) = (&mut *call.shard, call.db, call.args.at(3));
    let Some(is_there) = look(shard, db, source, member)? else {
        call.reply.integer(0);
        return Ok(());
    };
    check(shard, db, destination)?;
    let is_moved = is_there && source.bytes() != destination.bytes();
    if is_moved {
        // The source has it until the destination does: memory may be out.
        let added = add(shard, db, destination, member)?;
        remove(shard, db, source, member)?;
        tell_added(shard, db, destination, added)?;
    }
    call.reply.integer(is_there.into());
    Ok(())
}

/// Whether a set has a member; none if there is no set.
fn look(
    shard: &mut Shard,
    db: DbIndex,
    key: Key<'_>,
    member: &[u8],
) -> Result<Option<bool>, ErrorReply> {
    let set = shard.set_mut(db, key)?;
    let found = set.is_there().then(|| set.contains(member));
    set.close(&[]);
    Ok(found)
}

/// Whether there is a set at a key, or nothing.
fn check(shard: &mut Shard, db: DbIndex, key: Key<'_>) -> CommandResult {
    shard.set_mut(db, key)?.close(&[]);
    Ok(())
}

/// Adds a member, of which is told later; whether it is new.
fn add(shard: &mut Shard, db: DbIndex, key: Key<'_>, member: &[u8]) -> Result<bool, ErrorReply> {
    let mut set = shard.set_mut(db, key)?;
    let added = set.add(member);
    set.close(&[]);
    Ok(added?)
}

fn remove(shard: &mut Shard, db: DbIndex, key: Key<'_>, member: &[u8]) -> CommandResult {
    let mut set = shard.set_mut(db, key)?;
    let was_there = set.remove(member);
    close_told(set, was_there, Event::SRem);
    Ok(())
}

/// As in Redis, the source is told of first.
fn tell_added(shard: &mut Shard, db: DbIndex, key: Key<'_>, added: bool) -> CommandResult {
    let set = shard.set_mut(db, key)?;
    close_told(set, added, Event::SAdd);
    Ok(())
}

fn smove_across(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let place = |at: usize| (slots.core_of(args.at(at)), args.at(at).to_vec());
    Ok(Box::new(Carry {
        source: place(1),
        destination: place(2),
        member: args.at(3).to_vec(),
        step: Step::Nothing,
    }))
}

/// A member on its way between cores.
#[derive(Debug)]
struct Carry {
    source: (CoreId, Vec<u8>),
    destination: (CoreId, Vec<u8>),
    member: Vec<u8>,
    step: Step,
}

/// What the answers at hand are to.
#[derive(Debug)]
enum Step {
    Nothing,
    Look,
    Add,
    Remove,
}

impl Carry {
    fn request(&self, (core, key): &(CoreId, Vec<u8>), run: CoreFn) -> CoreRequest {
        CoreRequest {
            core: *core,
            run,
            args: vec![key.clone(), self.member.clone()],
        }
    }
}

impl Rounds for Carry {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Step::Nothing => {
                self.step = Step::Look;
                Ok(Round::Ask(vec![
                    self.request(&self.source, look_part),
                    self.request(&self.destination, check_part),
                ]))
            }
            Step::Look => {
                let found = Answer::of(answers[0])?;
                if found != Answer::No {
                    Answer::of(answers[1])?;
                }
                if found != Answer::Yes(HAS_IT) {
                    reply.integer(0);
                    return Ok(Round::Done);
                }
                self.step = Step::Add;
                Ok(Round::Ask(vec![self.request(&self.destination, add_part)]))
            }
            Step::Add => {
                Answer::of(answers[0])?;
                self.step = Step::Remove;
                Ok(Round::Ask(vec![self.request(&self.source, remove_part)]))
            }
            Step::Remove => {
                Answer::of(answers[0])?;
                reply.integer(1);
                Ok(Round::Done)
            }
        }
    }
}

/// What a source answers beside its yes, if it has the member.
const HAS_IT: &[u8] = b"1";

fn answer(out: &mut Vec<u8>, outcome: CommandResult) {
    match outcome {
        Ok(()) => Answer::yes(out, |_| ()),
        Err(error) => Answer::failed(out, &error),
    }
}

/// Answers whether the set at argument 0 has argument 1; no, if there is no set.
fn look_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    match look(&mut call.core.shard, call.db, key, call.args.at(1)) {
        Ok(Some(true)) => Answer::yes(call.out, |out| out.extend_from_slice(HAS_IT)),
        Ok(Some(false)) => Answer::yes(call.out, |_| ()),
        Ok(None) => Answer::no(call.out),
        Err(error) => Answer::failed(call.out, &error),
    }
}

/// Answers whether argument 0 may get a member: it is a set, or nothing.
fn check_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    answer(call.out, check(&mut call.core.shard, call.db, key));
}

/// Adds argument 1 to the set at argument 0.
fn add_part(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    let added = add(shard, call.db, key, call.args.at(1));
    let outcome = added.and_then(|added| tell_added(shard, call.db, key, added));
    answer(call.out, outcome);
}

/// Removes argument 1 from the set at argument 0.
fn remove_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let outcome = remove(&mut call.core.shard, call.db, key, call.args.at(1));
    answer(call.out, outcome);
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;

    #[test]
    fn a_member_leaves_one_set_for_another() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SADD a 1 2", "2"),
            ("SADD b 2 x", "2"),
            ("SMOVE a c none", "0"),
            ("SMOVE none c 1", "0"),
            ("SMOVE a a 1", "1"),
            ("SMOVE a a none", "0"),
            ("SMOVE a b 2", "1"),
            ("SMOVE a c 1", "1"),
            ("EXISTS a", "0"),
            ("SCARD b", "2"),
            ("SMEMBERS c", "[\"1\"]"),
        ]);
        let expected = ["srem a", "srem a", "del a", "sadd c"];
        assert_eq!(bench.events()[2..], expected);
        assert_eq!(bench.encoding("c"), "intset");
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        bench.check(&[
            ("SET s 1", "OK"),
            ("SMOVE s b 1", wrong),
            ("SMOVE b s 1", wrong),
            ("SMOVE none s 1", "0"),
        ]);
    }
}
