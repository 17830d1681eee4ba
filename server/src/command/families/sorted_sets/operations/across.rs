//! Operations on sorted sets of several cores, in rounds under locks: the cores look, fetch and probe, the session's combines, and the
//! destination's stores.

use larder_engine::{Access, Member};

use super::combination::Plan;
use super::{Command, Options, Wanted, fetch, look, probe, reply_with};
use crate::command::families::sorted_sets::kept;
use crate::command::families::sorted_sets::store::{self, Members};
use crate::command::families::transfer::Answer;
use crate::command::{Args, CoreCall, CoreFn, CoreRequest, Round, Rounds};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// Begins it.
pub(super) fn begin(
    args: &Args<'_>,
    slots: &SlotMap,
    command: &'static Command,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    let operands = command.operands(args)?;
    let place = |at: usize| (slots.core_of(args.at(at)), args.at(at).to_vec());
    Ok(Box::new(Across {
        command,
        options: command.options(args, &operands),
        operands: operands.map(place).collect(),
        destination: place(1),
        plan: Plan::default(),
        bases: Vec::new(),
        step: Step::Begin,
    }))
}

#[derive(Debug)]
struct Across {
    command: &'static Command,
    /// Or what is wrong with them, which is said once the types of the operands are right.
    options: Result<Options, ErrorReply>,
    operands: Vec<(CoreId, Vec<u8>)>,
    destination: (CoreId, Vec<u8>),
    plan: Plan,
    bases: Vec<Members>,
    step: Step,
}

/// What the answers at hand are to.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin,
    Look,
    Fetch,
    Probe,
    Store,
}

impl Across {
    /// Asks the cores of these operands, each about one of them; `members` go along.
    fn ask(&self, numbers: &[usize], run: CoreFn, members: Option<&Members>) -> Round {
        let requests = numbers.iter().map(|&number| {
            let (core, key) = &self.operands[number];
            let mut args = vec![key.clone()];
            args.extend(members.map(|members| members.bytes().to_vec()));
            CoreRequest {
                core: *core,
                run,
                args,
            }
        });
        Round::Ask(requests.collect())
    }

    fn fetch(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let mut lens = Vec::with_capacity(answers.len());
        for answer in answers {
            lens.push(match Answer::of(answer)? {
                Answer::Yes(len) => Some(number_of(len)),
                Answer::No => None,
            });
        }
        let options = self.options.as_ref().map_err(ErrorReply::clone)?;
        self.plan = Plan::of(options.combination.operation, &lens);
        if self.plan.bases.is_empty() {
            return self.end(&[], reply);
        }
        self.step = Step::Fetch;
        Ok(self.ask(&self.plan.bases, fetch_part, None))
    }

    fn probe(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let mut bytes = 0;
        for answer in answers {
            let Answer::Yes(members) = Answer::of(answer)? else {
                unreachable!("members are answered, be it none")
            };
            bytes += members.len();
            store::check_bytes(bytes)?;
            self.bases.push(Members::read(members));
        }
        match self.bases.first() {
            Some(base) if !self.plan.others.is_empty() => {
                self.step = Step::Probe;
                Ok(self.ask(&self.plan.others, probe_part, Some(base)))
            }
            _ => self.end(&[], reply),
        }
    }

    /// All is there: shows it, or has it stored.
    fn end(&mut self, probes: &[Vec<f64>], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let options = self.options.as_ref().map_err(ErrorReply::clone)?;
        let members = options.combination.of(&self.plan, &self.bases, probes);
        let Wanted::Stored(event) = self.command.wanted else {
            reply_with(reply, self.command, options, &members)?;
            return Ok(Round::Done);
        };
        let mut stored = Members::default();
        for Member { name, score } in members {
            let score = kept(score);
            stored.push(&Member { name, score })?;
        }
        self.step = Step::Store;
        let (core, key) = self.destination.clone();
        Ok(Round::Ask(vec![store::request(core, key, event, &stored)]))
    }
}

impl Rounds for Across {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Step::Begin => {
                self.step = Step::Look;
                let all: Vec<usize> = (0..self.operands.len()).collect();
                Ok(self.ask(&all, look_part, None))
            }
            Step::Look => self.fetch(answers, reply),
            Step::Fetch => self.probe(answers, reply),
            Step::Probe => {
                let mut probes = Vec::with_capacity(answers.len());
                for answer in answers {
                    let Answer::Yes(scores) = Answer::of(answer)? else {
                        unreachable!("scores are answered, be it none")
                    };
                    let (scores, _) = scores.as_chunks();
                    probes.push(
                        scores
                            .iter()
                            .map(|score| f64::from_le_bytes(*score))
                            .collect(),
                    );
                }
                self.end(&probes, reply)
            }
            Step::Store => {
                reply.count(store::stored(answers[0])?);
                Ok(Round::Done)
            }
        }
    }
}

fn number_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// Answers how many members the operand at argument 0 has; no, if there is none.
fn look_part(call: &mut CoreCall<'_>) {
    let (key, core) = (call.args.at(0), &mut *call.core);
    if let Some(reader) = call.reader {
        core.remember_key(key, reader);
    }
    let place = (call.db, core.shard.hasher().key(key), Access::Touch);
    match look(&mut core.shard, &mut core.stats, place) {
        Ok(Some(len)) => Answer::yes(call.out, |out| out.extend(len.to_le_bytes())),
        Ok(None) => Answer::no(call.out),
        Err(error) => Answer::failed(call.out, &error.into()),
    }
}

/// Answers the members of the operand at argument 0.
fn fetch_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    store::answer(call.out, fetch(&mut call.core.shard, call.db, key));
}

/// Answers the scores that the operand at argument 0 gives the members that argument 1 is.
fn probe_part(call: &mut CoreCall<'_>) {
    let key = call.core.shard.hasher().key(call.args.at(0));
    let members = store::members_of(call.args.at(1));
    match probe(&mut call.core.shard, call.db, key, members) {
        Ok(scores) => Answer::yes(call.out, |out| {
            out.extend(scores.iter().flat_map(|score| score.to_le_bytes()));
        }),
        Err(error) => Answer::failed(call.out, &error.into()),
    }
}
