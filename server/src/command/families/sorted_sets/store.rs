//! Members on their way from one sorted set to another: chosen where they are, stored as a value that takes the place of what is there.
//!
//! ```text
//!  chosen ──▶ Members ──▶ on another core:  | score (8) | length (4) | name | … ──▶ gathered ──▶ put at the key
//! ```
//! They travel in one request, and so are bounded.

use larder_engine::{DbIndex, Event, Key, Kind, Member, Shard};

use crate::command::families::transfer::Answer;
use crate::command::{Args, CoreCall, CoreFn, CoreRequest, Round, Rounds};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// Bytes that the members of a command may have.
const MEMBERS_MAX_BYTES: usize = 512 << 20;

/// Bytes that a member has beside its name on the way between cores.
const HEAD_BYTES: usize = 12;

/// Members with their scores, in the form that travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::command::families) struct Members {
    bytes: Vec<u8>,
}

impl Members {
    /// Adds one.
    ///
    /// # Errors
    /// There are too many already.
    pub(in crate::command::families) fn push(&mut self, member: &Member<'_>) -> CommandResult {
        let len = u32::try_from(member.name.len()).expect("a name fits 32 bits");
        check_bytes(self.bytes.len() + HEAD_BYTES + member.name.len())?;
        self.bytes.extend_from_slice(&member.score.to_le_bytes());
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(member.name);
        Ok(())
    }

    /// Those that another core has written.
    pub(super) fn read(written: &[u8]) -> Self {
        Self {
            bytes: written.to_vec(),
        }
    }

    /// All, in the order in which they came.
    pub(in crate::command::families) fn iter(&self) -> impl Iterator<Item = Member<'_>> {
        members_of(&self.bytes)
    }
}

/// Whether members of so many bytes are not too many.
///
/// # Errors
/// They are.
pub(super) fn check_bytes(bytes: usize) -> CommandResult {
    match bytes <= MEMBERS_MAX_BYTES {
        true => Ok(()),
        false => Err(errors::REPLY_TOO_LARGE),
    }
}

/// The members that another core has written.
pub(super) fn members_of(mut bytes: &[u8]) -> impl Iterator<Item = Member<'_>> {
    std::iter::from_fn(move || {
        let (score, rest) = bytes.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (name, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
        bytes = rest;
        let score = f64::from_le_bytes(*score);
        Some(Member { name, score })
    })
}

/// Makes a sorted set of `members` at a key, in the place of what is there, and tells `event`; removes that, if there are none. How many
/// there are.
///
/// # Errors
/// Memory is out; then the key is as it was.
pub(in crate::command::families) fn store<'m>(
    shard: &mut Shard,
    (db, key): (DbIndex, Key<'_>),
    members: impl Iterator<Item = Member<'m>>,
    event: Event,
) -> Result<u64, ErrorReply> {
    let gathered = shard.begin_loose(Kind::SortedSet, None);
    let mut count = 0;
    for member in members {
        if let Err(error) = shard.add_scored(gathered, member) {
            shard.drop_loose(gathered);
            return Err(error.into());
        }
        count += 1;
    }
    if count == 0 {
        shard.drop_loose(gathered);
        shard.remove(db, key, Event::Del);
        return Ok(0);
    }
    let attributes = (None, shard.access_of_new());
    shard.put_loose(db, key, gathered, attributes, event)?;
    if matches!(event, Event::GeoSearchStore | Event::GeoRadiusStore) {
        // As in Redis, where each member counts.
        shard.journal().count_as(1, count);
    }
    Ok(count)
}

/// A command that chooses members of a key on one core and stores them at a key of another.
#[derive(Debug)]
struct Storing {
    args: Vec<Vec<u8>>,
    slots: SlotMap,
    plan: Plan,
    step: Step,
}

/// What is done where.
#[derive(Clone, Copy, Debug)]
pub(in crate::command::families) struct Plan {
    /// The argument whose core chooses.
    pub(in crate::command::families) source: usize,
    /// The argument at whose key they are stored.
    pub(in crate::command::families) destination: usize,
    /// Chooses, given the command's arguments, and [answers](answer) them.
    pub(in crate::command::families) choose: CoreFn,
    /// What is told of that.
    pub(in crate::command::families) event: Event,
}

#[derive(Debug)]
enum Step {
    Nothing,
    Choose,
    Store,
}

impl Plan {
    /// Begins it.
    pub(in crate::command::families) fn begin(
        self,
        args: &Args<'_>,
        slots: &SlotMap,
    ) -> Box<dyn Rounds> {
        Box::new(Storing {
            args: args.iter_from(0).map(<[u8]>::to_vec).collect(),
            slots: slots.copied(),
            plan: self,
            step: Step::Nothing,
        })
    }
}

/// Answers the members that were chosen, or why none could be.
pub(in crate::command::families) fn answer(out: &mut Vec<u8>, chosen: Result<Members, ErrorReply>) {
    match chosen {
        Ok(members) => Answer::yes(out, |out| out.extend_from_slice(&members.bytes)),
        Err(error) => Answer::failed(out, &error),
    }
}

impl Rounds for Storing {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let plan = self.plan;
        match self.step {
            Step::Nothing => {
                self.step = Step::Choose;
                Ok(Round::Ask(vec![CoreRequest {
                    core: self.slots.core_of(&self.args[plan.source]),
                    run: plan.choose,
                    args: self.args.clone(),
                }]))
            }
            Step::Choose => {
                self.step = Step::Store;
                let Answer::Yes(members) = Answer::of(answers[0])? else {
                    unreachable!("members are chosen, be it none")
                };
                let members = Members::read(members);
                let key = std::mem::take(&mut self.args[plan.destination]);
                let core = self.slots.core_of(&key);
                Ok(Round::Ask(vec![request(core, key, plan.event, &members)]))
            }
            Step::Store => {
                reply.count(stored(answers[0])?);
                Ok(Round::Done)
            }
        }
    }
}

/// Asks a core to store members at a key.
pub(super) fn request(core: CoreId, key: Vec<u8>, event: Event, members: &Members) -> CoreRequest {
    CoreRequest {
        core,
        run: store_part,
        args: vec![key, vec![event.code()], members.bytes.clone()],
    }
}

/// How many members a core has stored that was [asked](request) to.
///
/// # Errors
/// It could not.
pub(super) fn stored(answer: &[u8]) -> Result<u64, ErrorReply> {
    let Answer::Yes(count) = Answer::of(answer)? else {
        unreachable!("it is stored")
    };
    let count = count.try_into().expect("a count");
    Ok(u64::from_le_bytes(count))
}

/// Stores the members that argument 2 is at argument 0, and tells the event of the code that argument 1 is; answers how many they are.
fn store_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let event = Event::of_code(call.args.at(1)[0]);
    let members = members_of(call.args.at(2));
    match store(&mut call.core.shard, (call.db, key), members, event) {
        Ok(count) => Answer::yes(call.out, |out| out.extend(count.to_le_bytes())),
        Err(error) => Answer::failed(call.out, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_they_were_written() {
        let mut members = Members::default();
        let expected = [(&b"a"[..], 1.5), (b"", f64::NEG_INFINITY), (b"long", 0.0)];
        for (name, score) in expected {
            members.push(&Member { name, score }).unwrap();
        }
        let found: Vec<_> = members
            .iter()
            .map(|member| (member.name, member.score))
            .collect();
        assert_eq!(found, expected);
    }
}
