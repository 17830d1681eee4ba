//! `RENAME` and `RENAMENX`: on one shard a relocation, between shards three rounds.
//!
//! ```text
//! source core:       hand the entry                          remove
//! destination core:                  check, put the entry
//! ```
//! The source has its entry until the destination has it. A large value is not copied on the way: both have its buffer until
//! then, which counts where it is to be. A destination that does not take it hands it back.

use larder_engine::{Access, Event};

use crate::command::families::transfer::Answer;
use crate::command::{Args, CoreCall, CoreRequest, Handed, Round, Rounds, ShardCall};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// What becomes of an entry that has the new name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It is replaced (`RENAME`).
    Replace,
    /// It stays, and so does the source (`RENAMENX`).
    Refuse,
}

impl Taken {
    /// Answers a rename that was done, or found source and destination to be one.
    fn reply(self, done: bool, reply: &mut Reply<'_>) {
        match self {
            Self::Replace => reply.ok(),
            Self::Refuse => reply.integer(i64::from(done)),
        }
    }
}

/// `RENAME` on one shard.
pub(super) fn replacing(call: &mut ShardCall<'_>) -> CommandResult {
    rename(call, Taken::Replace)
}

/// `RENAMENX` on one shard.
pub(super) fn if_new(call: &mut ShardCall<'_>) -> CommandResult {
    rename(call, Taken::Refuse)
}

fn rename(call: &mut ShardCall<'_>, taken: Taken) -> CommandResult {
    let (from, to, db) = (call.key(1), call.key(2), call.db);
    if call.shard.get(db, from, call.access).is_none() {
        return Err(errors::NO_SUCH_KEY);
    }
    let stays = from.bytes() == to.bytes()
        || (taken == Taken::Refuse && call.shard.get(db, to, Access::Peek).is_some());
    if !stays {
        let events = (Event::RenameFrom, Event::RenameTo);
        call.shard.relocate((db, from), (db, to), events)?;
    }
    taken.reply(!stays, &mut call.reply);
    Ok(())
}

/// `RENAME` between shards.
pub(super) fn replacing_across(
    args: &Args<'_>,
    slots: &SlotMap,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(Box::new(Rename::new(args, slots, Taken::Replace)))
}

/// `RENAMENX` between shards.
pub(super) fn if_new_across(
    args: &Args<'_>,
    slots: &SlotMap,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(Box::new(Rename::new(args, slots, Taken::Refuse)))
}

#[derive(Debug)]
struct Rename {
    taken: Taken,
    from: Vec<u8>,
    to: Vec<u8>,
    source: CoreId,
    destination: CoreId,
    step: Step,
    /// The entry, between source and destination.
    entry: Vec<Handed>,
    /// What of it counts elsewhere than at the source.
    given_bytes: u64,
    /// The answer to the command, once it is known.
    outcome: Result<bool, ErrorReply>,
}

/// What the answers at hand are to.
#[derive(Debug)]
enum Step {
    Nothing,
    Fetch,
    Put,
    End,
}

impl Rename {
    fn new(args: &Args<'_>, slots: &SlotMap, taken: Taken) -> Self {
        let (from, to) = (args.at(1), args.at(2));
        Self {
            taken,
            from: from.to_vec(),
            to: to.to_vec(),
            source: slots.core_of(from),
            destination: slots.core_of(to),
            step: Step::Nothing,
            entry: Vec::new(),
            given_bytes: 0,
            outcome: Ok(true),
        }
    }
}

impl Rounds for Rename {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let request = match self.step {
            Step::Nothing => {
                self.step = Step::Fetch;
                CoreRequest {
                    core: self.source,
                    run: fetch,
                    args: vec![self.from.clone()],
                }
            }
            Step::Fetch => {
                let entry = std::mem::take(&mut self.entry);
                let [handed] = entry.as_slice() else {
                    return Err(errors::NO_SUCH_KEY);
                };
                self.step = Step::Put;
                self.given_bytes = handed.given_bytes;
                let request = CoreRequest {
                    core: self.destination,
                    run: match self.taken {
                        Taken::Replace => put_replacing,
                        Taken::Refuse => put_if_new,
                    },
                    args: vec![self.to.clone()],
                };
                return Ok(Round::Hand(request, entry));
            }
            Step::Put => {
                self.step = Step::End;
                self.outcome = Answer::of(answers[0]).map(|answer| answer != Answer::No);
                let given_bytes = self.given_bytes.to_le_bytes().to_vec();
                if !self.entry.is_empty() {
                    let request = CoreRequest {
                        core: self.source,
                        run: take_back,
                        args: vec![given_bytes],
                    };
                    let entry = std::mem::take(&mut self.entry);
                    return Ok(Round::Hand(request, entry));
                }
                CoreRequest {
                    core: self.source,
                    run: remove,
                    args: vec![self.from.clone(), given_bytes],
                }
            }
            Step::End => {
                self.taken.reply(self.outcome.clone()?, reply);
                return Ok(Round::Done);
            }
        };
        Ok(Round::Ask(vec![request]))
    }

    fn hand(&mut self, entry: Vec<Handed>) {
        self.entry = entry;
    }
}

/// Hands over the entry of the key at argument 0, if there is one.
fn fetch(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let handed = call.core.hand_over(call.db, key, Access::Touch);
    call.hands.extend(handed);
}

/// Puts the entry under the key at argument 0. If it cannot, it hands the entry back.
fn put_replacing(call: &mut CoreCall<'_>) {
    put(call);
}

/// The same unless the key is taken; then answers no, and hands the entry back.
fn put_if_new(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    if shard.get(call.db, key, Access::Peek).is_some() {
        call.hands.extend_from_slice(call.handed);
        Answer::no(call.out);
    } else {
        put(call);
    }
}

fn put(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    match shard.put(call.db, key, &call.handed[0].image, Event::RenameTo) {
        Ok(()) => Answer::yes(call.out, |_| ()),
        Err(error) => {
            call.hands.extend_from_slice(call.handed);
            Answer::failed(call.out, &error.into());
        }
    }
}

/// Removes the key at argument 0, of whose value so many bytes as argument 1 says counted elsewhere.
fn remove(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    shard.remove(call.db, key, Event::RenameFrom);
    call.core.end_handing(given_bytes(call.args.at(1)));
}

/// Takes back the entry that was handed over: it has been here all the time, and counts here again, as many bytes as argument 0
/// says.
fn take_back(call: &mut CoreCall<'_>) {
    call.core.end_handing(given_bytes(call.args.at(0)));
}

fn given_bytes(argument: &[u8]) -> u64 {
    u64::from_le_bytes(argument.try_into().expect("a number of eight bytes"))
}
