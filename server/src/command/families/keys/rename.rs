//! `RENAME` and `RENAMENX`: on one shard a relocation, between shards three rounds.
//!
//! ```text
//! source core:       hand the entry                          remove
//! destination core:                  check, put the entry
//! ```
//! The source has its entry until the destination has it. A large value is not copied on the way: both have its buffer until
//! then, which counts where it is to be. A destination that does not take it hands it back.
//!
//! A large collection goes in parts: the first two rounds come again for each, and the destination's key gets the last. Should it
//! reach its deadline meanwhile, the rest is not there to be handed, and it is as if it had before.

use larder_engine::{Access, Event, LooseId, PartFrom};

use crate::command::families::transfer::{self, Answer};
use crate::command::{Args, CoreCall, CoreRequest, Extent, Handed, Round, Rounds, ShardCall};
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
    /// Where the part begins that comes behind this one.
    next: Option<PartFrom>,
    /// What has the parts so far, at the destination.
    gathered: Option<LooseId>,
    /// The answer to the command, once it is known.
    outcome: Result<bool, ErrorReply>,
}

/// What the answers at hand are to.
#[derive(Debug)]
enum Step {
    Nothing,
    Fetch,
    Put,
    /// The source is gone: the destination drops what it has of it.
    Drop,
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
            next: None,
            gathered: None,
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
                    let Some(gathered) = self.gathered.take() else {
                        return Err(errors::NO_SUCH_KEY);
                    };
                    self.step = Step::Drop;
                    let dropping = transfer::drop_request(self.destination, gathered);
                    return Ok(Round::Ask(vec![dropping]));
                };
                self.step = Step::Put;
                self.given_bytes = handed.given_bytes;
                self.next = match handed.extent {
                    Extent::Whole => None,
                    Extent::Part { next } => next,
                };
                let request = CoreRequest {
                    core: self.destination,
                    run: match self.taken {
                        Taken::Replace => put_replacing,
                        Taken::Refuse => put_if_new,
                    },
                    args: vec![self.to.clone(), transfer::loose_argument(self.gathered)],
                };
                return Ok(Round::Hand(request, entry));
            }
            Step::Put => {
                let answer = Answer::of(answers[0]);
                if let (Ok(Answer::Yes(gathered)), Some(next)) = (&answer, self.next) {
                    self.gathered = transfer::loose_of(gathered);
                    self.step = Step::Fetch;
                    let request = CoreRequest {
                        core: self.source,
                        run: fetch_part,
                        args: vec![self.from.clone(), next.to_bytes().to_vec()],
                    };
                    return Ok(Round::Ask(vec![request]));
                }
                self.step = Step::End;
                self.outcome = answer.map(|answer| answer != Answer::No);
                if self.entry.is_empty() && !matches!(self.outcome, Ok(true)) {
                    // A part that was not taken: nothing of the source counts elsewhere.
                    self.taken.reply(self.outcome.clone()?, reply);
                    return Ok(Round::Done);
                }
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
            Step::Drop => return Err(errors::NO_SUCH_KEY),
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

/// Hands over the part of the collection of the key at argument 0 that begins at argument 1, if it is there.
fn fetch_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let from = PartFrom::of_bytes(call.args.at(1));
    call.hands.extend(call.core.hand_part(call.db, key, from));
}

/// Puts the entry under the key at argument 0, or gathers a part of it in what argument 1 says. If it cannot, it hands the entry back.
fn put_replacing(call: &mut CoreCall<'_>) {
    put(call);
}

/// The same unless the key is taken; then answers no, and hands the entry back.
fn put_if_new(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    let begins = transfer::loose_of(call.args.at(1)).is_none();
    if begins && shard.get(call.db, key, Access::Peek).is_some() {
        hand_back(call);
        Answer::no(call.out);
    } else {
        put(call);
    }
}

fn put(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let parts = (&call.handed[0], transfer::loose_of(call.args.at(1)));
    let taken = call
        .core
        .take_handed((call.db, key), parts, None, Event::RenameTo);
    match taken {
        Ok(gathered) => Answer::yes(call.out, |out| {
            out.extend(transfer::loose_argument(gathered));
        }),
        Err(error) => {
            hand_back(call);
            Answer::failed(call.out, &error.into());
        }
    }
}

/// Hands an entry back that was not taken. A part is the source's still.
fn hand_back(call: &mut CoreCall<'_>) {
    let whole = call
        .handed
        .iter()
        .filter(|handed| handed.extent == Extent::Whole);
    call.hands.extend(whole.cloned());
}

/// Removes the key at argument 0, of whose value so many bytes as argument 1 says counted elsewhere.
fn remove(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    let is_removed = shard.remove(call.db, key, Event::RenameFrom);
    // What is counted is that the entry has come to the other core.
    shard.journal().count_as(is_removed.into(), 0);
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
