//! Members on their way from one sorted set to another: chosen where they are, stored as a value that takes the place of what is there.
//!
//! ```text
//!  chosen ──▶ a part of a sorted set ──▶ gathered, 16 KiB in each round ──┬─▶ put at the key
//!     ▲                                        │ more                     ┘
//!     └────────────────────────────────────────┘
//! ```

use larder_engine::{DbIndex, Event, Key, LooseId, Member, PartOf, Shard, scored_of_part};

use crate::command::families::combine::gathered::{self, Gathering};
use crate::command::families::transfer::{self, Answer};
use crate::command::{Args, CoreFn, CoreRequest, Round, Rounds};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// Bytes that the members which a core chooses at once may have.
const MEMBERS_MAX_BYTES: usize = 512 << 20;

/// Members with their scores, as a part of a sorted set has them.
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
        PartOf::Scored.write(member, &mut self.bytes);
        match self.bytes.len() <= MEMBERS_MAX_BYTES {
            true => Ok(()),
            false => Err(errors::REPLY_TOO_LARGE),
        }
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Makes a sorted set of `members` at a key, in the place of what is there, and tells `event`; removes that, if there are none. How many
/// there are.
///
/// # Errors
/// Memory is out; then the key is as it was.
pub(in crate::command::families) fn store(
    shard: &mut Shard,
    (db, key): (DbIndex, Key<'_>),
    members: &Members,
    event: Event,
) -> Result<u64, ErrorReply> {
    let gathered = GATHERING.begin(shard);
    GATHERING.add(shard, gathered, &members.bytes)?;
    gathered::store(shard, db, key, gathered, event)
}

/// How chosen members are gathered: none comes twice.
pub(in crate::command::families) const GATHERING: Gathering = Gathering::STORED;

/// A command that chooses members of a key on one core and stores them at a key of another.
#[derive(Debug)]
struct Storing {
    args: Vec<Vec<u8>>,
    source: CoreId,
    destination: CoreId,
    plan: Plan,
    /// The members at hand, and where among them those begin that are not gathered yet.
    members: (Vec<u8>, usize),
    /// Where the next begin of those that are chosen, as the source says.
    next: Option<Vec<u8>>,
    gathered: Option<LooseId>,
    /// Why nothing more could be chosen: what is gathered is dropped first.
    failed: Option<ErrorReply>,
    step: Step,
}

/// What is done where.
#[derive(Clone, Copy, Debug)]
pub(in crate::command::families) struct Plan {
    /// The argument whose core chooses.
    pub(in crate::command::families) source: usize,
    /// The argument at whose key they are stored.
    pub(in crate::command::families) destination: usize,
    /// Chooses, and [answers](answer) what. Its first argument says where it begins, empty at first; the command's follow.
    pub(in crate::command::families) choose: CoreFn,
    /// What is told of that.
    pub(in crate::command::families) event: Event,
}

#[derive(Debug)]
enum Step {
    Begin,
    Choose,
    Gather,
    Store,
    /// What was gathered is dropped: it begins again.
    Drop,
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
            source: slots.core_of(args.at(self.source)),
            destination: slots.core_of(args.at(self.destination)),
            plan: self,
            members: (Vec::new(), 0),
            next: None,
            gathered: None,
            failed: None,
            step: Step::Begin,
        })
    }
}

/// Answers the members that were chosen, and where the next begin, if there are others; or why none could be.
pub(in crate::command::families) fn answer(
    out: &mut Vec<u8>,
    chosen: Result<(Members, Option<Vec<u8>>), ErrorReply>,
) {
    match chosen {
        Ok((members, next)) => Answer::yes(out, |out| {
            let mut part = PartWriter(out);
            part.bytes(&next.unwrap_or_default());
            part.bytes(&members.bytes);
        }),
        Err(error) => Answer::failed(out, &error),
    }
}

/// Bytes of members that are gathered in one round.
pub(super) const ROUND_BYTES: usize = 16 << 10;

/// Bytes of the first of some members: at least so many, if there are.
fn first_of(members: &[u8], most: usize) -> usize {
    let mut part = Vec::new();
    for member in scored_of_part(members) {
        if part.len() >= most {
            break;
        }
        PartOf::Scored.write(&member, &mut part);
    }
    part.len()
}

impl Storing {
    fn choose(&mut self, from: Vec<u8>) -> Round {
        self.step = Step::Choose;
        let args = std::iter::once(from).chain(self.args.iter().cloned());
        Round::Ask(vec![CoreRequest {
            core: self.source,
            run: self.plan.choose,
            args: args.collect(),
        }])
    }

    /// Has more of the members at hand gathered, or more of them chosen, or all stored.
    fn go_on(&mut self) -> Round {
        let (members, at) = &mut self.members;
        let members = &members[*at..];
        let len = first_of(members, ROUND_BYTES);
        if len > 0 {
            *at += len;
            self.step = Step::Gather;
            let members = members[..len].to_vec();
            let request =
                gathered::gather_request(self.destination, self.gathered, GATHERING, members);
            return Round::Ask(vec![request]);
        }
        if let Some(from) = self.next.take() {
            return self.choose(from);
        }
        self.step = Step::Store;
        let key = self.args[self.plan.destination].clone();
        let what = (self.gathered, GATHERING);
        let request = gathered::store_request(self.destination, key, self.plan.event, what);
        Round::Ask(vec![request])
    }
}

impl Rounds for Storing {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Step::Begin | Step::Drop => {
                if let Some(error) = self.failed.take() {
                    return Err(error);
                }
                self.gathered = None;
                Ok(self.choose(Vec::new()))
            }
            Step::Choose => {
                let chosen = match (Answer::of(answers[0]), self.gathered) {
                    (Err(error), Some(id)) => {
                        (self.step, self.failed) = (Step::Drop, Some(error));
                        let drop = transfer::drop_request(self.destination, id);
                        return Ok(Round::Ask(vec![drop]));
                    }
                    (chosen, _) => chosen?,
                };
                let Answer::Yes(chosen) = chosen else {
                    // The source has reached its deadline.
                    self.step = Step::Drop;
                    return Ok(match self.gathered {
                        Some(id) => Round::Ask(vec![transfer::drop_request(self.destination, id)]),
                        None => self.choose(Vec::new()),
                    });
                };
                let mut part = PartReader::new(chosen);
                let next = part.bytes();
                self.next = (!next.is_empty()).then(|| next.to_vec());
                self.members = (part.bytes().to_vec(), 0);
                Ok(self.go_on())
            }
            Step::Gather => {
                self.gathered = Some(gathered::gathered(answers[0])?);
                Ok(self.go_on())
            }
            Step::Store => {
                reply.count(gathered::stored(answers[0])?);
                Ok(Round::Done)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: &[&str]) -> Members {
        let mut members = Members::default();
        for name in names {
            let name = name.as_bytes();
            members.push(&Member { name, score: 1.5 }).unwrap();
        }
        members
    }

    #[test]
    fn members_are_read_as_they_were_written() {
        let names = ["a", "", "long"];
        let members = members(&names);
        let found: Vec<_> = scored_of_part(members.bytes())
            .map(|member| (member.name, member.score))
            .collect();
        assert_eq!(found, names.map(|name| (name.as_bytes(), 1.5)));
    }

    #[test]
    fn members_are_cut_between_two_of_them() {
        let bytes = members(&["a"; 10]).bytes;
        let each = bytes.len() / 10;
        assert_eq!(first_of(&bytes, 1), each);
        assert_eq!(first_of(&bytes, 3 * each), 3 * each);
        assert_eq!(first_of(&bytes, 3 * each + 1), 4 * each);
        assert_eq!(first_of(&bytes, 1000), bytes.len());
        assert_eq!(first_of(b"", 1000), 0);
    }
}
