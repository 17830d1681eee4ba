//! Operations on sets of several cores, in rounds under locks.
//!
//! ```text
//!  all cores         look      type and number of members of each operand
//!  the base's core   fetch     a part of its members, those that the others there let pass        ◀─┐
//!  other cores       probe     which of them the others there let pass: a bit each                  │ until no base has more
//!  the home          gather    what is kept, if it is gathered                                     ──┘
//!  the home          store, or show what was gathered and drop it
//! ```
//! The home is the destination's core, or that of the first base. Rounds that nothing is asked in are left out. Cores are probed at the
//! same time, but where scores are put together: then each in its turn, since scores come in the order of the operands, and it answers
//! what they are. A part is of 64 KiB, one with scores of 16, so that none of it takes long, and nobody holds more of a set than that but
//! what is the reply.

use larder_engine::{Access, LooseId, PartOf, members_of_part};

use super::gathered::{self, Gathering};
use super::part::{self, Manner, Passed, Weighed};
use super::{Combining, Keep, Plan, SETS, SETS_AND_SORTED_SETS, Wanted, here, part_bytes};
use crate::command::families::pieces::Pieces;
use crate::command::families::transfer::{self, Answer, loose_argument, loose_of};
use crate::command::{Args, CoreCall, CoreRequest, PART_BYTES, Round, Rounds};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Protocol, Reply};
use crate::routing::{CoreId, SlotMap};

/// Begins it.
pub(super) fn begin(args: &Args<'_>, slots: &SlotMap, combining: Combining) -> Box<dyn Rounds> {
    let place = |at: usize| (slots.core_of(args.at(at)), args.at(at).to_vec());
    let operands = combining.operands.clone().map(place).collect();
    let destination = match combining.wanted {
        Wanted::Stored { at, .. } => Some(place(at)),
        _ => None,
    };
    Box::new(Across {
        manner: Manner::of(&combining),
        combining,
        operands,
        destination,
        asked: Vec::new(),
        plan: Plan::default(),
        beside: Vec::new(),
        stages: Vec::new(),
        stage: 0,
        from: 0,
        members: Vec::new(),
        found: Found::default(),
        step: Step::Begin,
    })
}

/// Bytes of a part that has scores.
const SCORED_PART_BYTES: usize = 16 << 10;

/// A key and its core.
type Operand = (CoreId, Vec<u8>);

/// Cores, and which operands each is asked about.
type Asked = Vec<(CoreId, Vec<usize>)>;

#[derive(Debug)]
struct Across {
    combining: Combining,
    manner: Manner,
    operands: Vec<Operand>,
    destination: Option<Operand>,
    /// Who was asked of which operands.
    asked: Asked,
    plan: Plan,
    /// The others that are asked together with the only base.
    beside: Vec<usize>,
    /// Those that are asked then, all of a stage at the same time.
    stages: Vec<Asked>,
    /// The stage that is next.
    stage: usize,
    /// Where the next part of the last base begins, or of what was gathered.
    from: u64,
    /// The part that others are asked for.
    members: Vec<u8>,
    found: Found,
    step: Step,
}

#[derive(Debug, Default)]
struct Found {
    /// Why it fails, once what was gathered is dropped.
    failed: Option<ErrorReply>,
    shown: Pieces,
    count: u64,
    gathered: Option<LooseId>,
}

/// What the answers at hand are to.
#[derive(Debug)]
enum Step {
    Begin,
    Look,
    Fetch,
    Probe,
    Gather,
    Store,
    Show,
    /// To the dropping of what was gathered; then it begins again, or ends.
    Drop(Then),
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Again,
    End,
}

/// Members of a part, and where the next begins: what a core writes for another.
fn write_part(members: &[u8], next: Option<u64>, out: &mut Vec<u8>) {
    let mut part = PartWriter(out);
    part.number(next.map_or(0, |next| next + 1));
    part.bytes(members);
}

/// What [`write_part`] has written.
fn read_part(written: &[u8]) -> (&[u8], Option<u64>) {
    let mut part = PartReader::new(written);
    let next = part.number().checked_sub(1);
    (part.bytes(), next)
}

impl Across {
    fn operand(&self, number: usize) -> (CoreId, &[u8]) {
        let (core, key) = &self.operands[number];
        (*core, key)
    }

    /// Operands by their core, each core's in their order.
    fn by_core(&self, numbers: impl Iterator<Item = usize>) -> Asked {
        let mut groups = Asked::new();
        for number in numbers {
            let (core, _) = self.operand(number);
            match groups.iter_mut().find(|(of, _)| *of == core) {
                Some((_, group)) => group.push(number),
                None => groups.push((core, vec![number])),
            }
        }
        groups
    }

    /// Says when which of the others are asked about the members of the base.
    fn plan_stages(&mut self) {
        let Some(&base) = self.plan.bases.last() else {
            return;
        };
        let (base, _) = self.operand(base);
        let others = &self.plan.others;
        let is_there = |at: &usize| self.operand(*at).0 == base;
        (self.beside, self.stages) = match self.manner.keep {
            Keep::Scored(_) => {
                let ahead = others.iter().take_while(|at| is_there(at)).count();
                let (beside, behind) = others.split_at(ahead);
                let runs = behind.chunk_by(|a, b| self.operand(*a).0 == self.operand(*b).0);
                let stages = runs.map(|run| vec![(self.operand(run[0]).0, run.to_vec())]);
                (beside.to_vec(), stages.collect())
            }
            Keep::IfAllHave | Keep::IfNoneHas => {
                let (beside, elsewhere): (Vec<usize>, _) =
                    others.iter().copied().partition(is_there);
                let stage = self.by_core(elsewhere.into_iter());
                (beside, vec![stage])
            }
        };
    }

    fn keys_of<'s>(&'s self, numbers: &'s [usize]) -> impl Iterator<Item = Vec<u8>> + 's {
        numbers
            .iter()
            .map(|&number| self.operands[number].1.clone())
    }

    /// The weights of operands, then their keys, as arguments.
    fn weighed(&self, numbers: &[usize]) -> impl Iterator<Item = Vec<u8>> {
        let weights = numbers.iter().map(|&at| self.combining.weight(at));
        let weights = weights.flat_map(f64::to_le_bytes).collect();
        std::iter::once(weights).chain(self.keys_of(numbers).collect::<Vec<_>>())
    }

    /// Asks what there is.
    fn look(&mut self) -> Round {
        self.step = Step::Look;
        self.asked = self.by_core(0..self.operands.len());
        let types = u8::from(self.combining.scores.is_some());
        let requests = self.asked.iter().map(|(core, numbers)| CoreRequest {
            core: *core,
            run: look_part,
            args: std::iter::once(vec![types])
                .chain(self.keys_of(numbers))
                .collect(),
        });
        Round::Ask(requests.collect())
    }

    /// Plans, of what there is.
    fn plan(&mut self, answers: &[&[u8]]) -> Result<(), ErrorReply> {
        let mut seen = vec![Ok(None); self.operands.len()];
        for (answer, (_, numbers)) in answers.iter().zip(&self.asked) {
            let mut part = PartReader::new(answer);
            for &number in numbers {
                seen[number] = match part.number() {
                    ABSENT => Ok(None),
                    WRONG_TYPE => Err(errors::WRONG_TYPE),
                    len => Ok(Some(len - FIRST_LEN)),
                };
            }
        }
        let lens: Result<Vec<Option<u64>>, ErrorReply> = seen.into_iter().collect();
        let lens = lens?;
        if let Some(fault) = &self.combining.fault {
            return Err(fault.clone());
        }
        let name = |operand: usize| &self.operands[operand];
        self.plan = self.combining.plan(&lens, name);
        self.plan_stages();
        self.from = 0;
        Ok(())
    }

    /// Goes on with the next part of the last base, or ends.
    fn go_on(&mut self, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let Some(&base) = self.plan.bases.last() else {
            return self.end(reply);
        };
        self.step = Step::Fetch;
        let (core, _) = self.operand(base);
        let most = match self.manner.of {
            PartOf::Names => PART_BYTES,
            PartOf::Scored => SCORED_PART_BYTES,
        };
        let most = part_bytes(most, self.plan.others.len());
        let numbers = [&[base], &self.beside[..]].concat();
        let mut args = vec![
            self.manner.to_bytes(),
            self.from.to_le_bytes().to_vec(),
            (most as u64).to_le_bytes().to_vec(),
        ];
        args.extend(self.weighed(&numbers));
        let run = fetch_part;
        Ok(Round::Ask(vec![CoreRequest { core, run, args }]))
    }

    /// Asks the cores of the next stage which of the members at hand they let pass, if there are any; else takes these.
    fn probe(&mut self, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let stage = self.stages.get(self.stage);
        let Some(stage) = stage.filter(|stage| !stage.is_empty() && !self.members.is_empty())
        else {
            return self.take(reply);
        };
        let requests = stage.iter().map(|(core, numbers)| {
            let mut args = vec![self.manner.to_bytes(), self.members.clone()];
            args.extend(self.weighed(numbers));
            CoreRequest {
                core: *core,
                run: probe_part,
                args,
            }
        });
        let round = Round::Ask(requests.collect());
        self.step = Step::Probe;
        self.stage += 1;
        Ok(round)
    }

    /// The home.
    fn home(&self) -> CoreId {
        match &self.destination {
            Some((core, _)) => *core,
            None => self.operands[0].0,
        }
    }

    /// Takes the members at hand, which are kept, and goes on.
    fn take(&mut self, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let members = std::mem::take(&mut self.members);
        if self.plan.is_gathered {
            if members.is_empty() {
                return self.go_on(reply);
            }
            self.step = Step::Gather;
            let gathering = Gathering::of(&self.combining);
            let found = self.found.gathered;
            let request = gathered::gather_request(self.home(), found, gathering, members);
            return Ok(Round::Ask(vec![request]));
        }
        match self.combining.wanted {
            Wanted::Members => self.show_more(&members, reply)?,
            Wanted::Count { limit } => {
                let count = self.found.count + members_of_part(&members).count() as u64;
                self.found.count = count.min(limit);
                if count >= limit {
                    return self.end(reply);
                }
            }
            Wanted::Stored { .. } => {}
        }
        self.go_on(reply)
    }

    /// Adds members to those that are shown.
    fn show_more(&mut self, members: &[u8], reply: &Reply<'_>) -> CommandResult {
        let shown = (&mut self.found.shown, reply.protocol());
        here::show(&self.combining, shown, members)
    }

    /// Replies with those that are shown.
    fn reply(&mut self, protocol: Protocol) -> Round {
        let shown = std::mem::take(&mut self.found.shown);
        let count = shown.count();
        Round::Reply(shown.into_reply(protocol, |reply| {
            self.combining.begin_reply(count, reply);
        }))
    }

    /// A key is not there any more: begins again, without what was found.
    fn again(&mut self) -> Round {
        let found = std::mem::take(&mut self.found);
        match found.gathered {
            None => self.look(),
            Some(gathered) => self.drop(gathered, Then::Again),
        }
    }

    fn drop(&mut self, gathered: LooseId, then: Then) -> Round {
        self.step = Step::Drop(then);
        Round::Ask(vec![transfer::drop_request(self.home(), gathered)])
    }

    /// All is found.
    fn end(&mut self, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match (self.combining.wanted, self.found.gathered) {
            (Wanted::Count { .. }, _) => reply.count(self.found.count),
            (Wanted::Members, None) => return Ok(self.reply(reply.protocol())),
            (Wanted::Members, Some(_)) => {
                self.from = 0;
                return Ok(self.show());
            }
            (Wanted::Stored { event, .. }, gathered) => {
                self.step = Step::Store;
                let (core, key) = self.destination.clone().expect("it was named");
                let what = (gathered, Gathering::of(&self.combining));
                let request = gathered::store_request(core, key, event, what);
                return Ok(Round::Ask(vec![request]));
            }
        }
        Ok(Round::Done)
    }

    /// Asks for more of what was gathered.
    fn show(&mut self) -> Round {
        self.step = Step::Show;
        Round::Ask(vec![CoreRequest {
            core: self.home(),
            run: show_part,
            args: vec![
                loose_argument(self.found.gathered),
                self.from.to_le_bytes().to_vec(),
            ],
        }])
    }
}

impl Rounds for Across {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.step {
            Step::Begin => Ok(self.look()),
            Step::Look => {
                self.plan(answers)?;
                self.go_on(reply)
            }
            Step::Fetch => {
                let Answer::Yes(written) = Answer::of(answers[0])? else {
                    return Ok(self.again());
                };
                let (members, next) = read_part(written);
                self.members = members.to_vec();
                self.from = next.unwrap_or(0);
                if next.is_none() {
                    self.plan.bases.pop();
                }
                self.stage = 0;
                self.probe(reply)
            }
            Step::Probe => {
                let mut passed: Option<Passed> = None;
                for answer in answers {
                    let Answer::Yes(written) = Answer::of(answer)? else {
                        return Ok(self.again());
                    };
                    let by_this = Passed::read(written);
                    match &mut passed {
                        None => passed = Some(by_this),
                        Some(passed) => passed.and(&by_this),
                    }
                }
                let passed = passed.expect("somebody was asked");
                self.members = passed.of(&self.members, self.manner.of);
                self.probe(reply)
            }
            Step::Gather => {
                self.found.gathered = Some(gathered::gathered(answers[0])?);
                self.go_on(reply)
            }
            Step::Store => {
                reply.count(gathered::stored(answers[0])?);
                Ok(Round::Done)
            }
            Step::Show => {
                let (members, next) = read_part(answers[0]);
                let added = self.show_more(members, reply);
                let gathered = self.found.gathered.expect("it is shown");
                match (next, added) {
                    (Some(next), Ok(())) => {
                        self.from = next;
                        Ok(self.show())
                    }
                    (_, added) => {
                        if let Err(error) = added {
                            self.found.shown = Pieces::default();
                            self.found.failed = Some(error);
                        }
                        Ok(self.drop(gathered, Then::End))
                    }
                }
            }
            Step::Drop(Then::Again) => Ok(self.look()),
            Step::Drop(Then::End) => {
                if let Some(error) = self.found.failed.take() {
                    return Err(error);
                }
                Ok(self.reply(reply.protocol()))
            }
        }
    }

    fn held_bytes(&self) -> usize {
        self.found.shown.held_bytes() + self.members.capacity()
    }

    fn give_up(&mut self, next: Vec<CoreRequest>) -> Vec<CoreRequest> {
        self.found.shown = Pieces::default();
        match (&mut self.step, self.found.gathered.take()) {
            (Step::Drop(then), _) => {
                *then = Then::End;
                next
            }
            (_, Some(gathered)) => {
                self.step = Step::Drop(Then::End);
                vec![transfer::drop_request(self.home(), gathered)]
            }
            (_, None) => Vec::new(),
        }
    }
}

/// What is said of an operand: that there is none, that it is of another type, or its number of members, and this.
const ABSENT: u64 = 0;
const WRONG_TYPE: u64 = 1;
const FIRST_LEN: u64 = 2;

/// Answers what there is at each argument behind the first, which says whether sorted sets may be.
fn look_part(call: &mut CoreCall<'_>) {
    let mut part = PartWriter(call.out);
    let kinds = match call.args.at(0) {
        [0] => SETS,
        _ => SETS_AND_SORTED_SETS,
    };
    for key in call.args.iter_from(1) {
        let core = &mut *call.core;
        if let Some(reader) = call.reader {
            core.remember_key(key, reader);
        }
        let keys = std::iter::once(core.shard.hasher().key(key));
        let looked_up = (call.db, key);
        let stats = &mut core.stats;
        let wanted = (kinds, Access::Touch);
        let found = core.shard.members_at(call.db, keys, wanted, |found| {
            stats.count_lookup(looked_up, found != Ok(false));
            found.map(drop)
        });
        part.number(match found.as_deref() {
            Err(_) => WRONG_TYPE,
            Ok([Some(set)]) => FIRST_LEN + set.len(),
            Ok(_) => ABSENT,
        });
    }
}

fn number_of(argument: &[u8]) -> u64 {
    u64::from_le_bytes(argument.try_into().expect("eight bytes"))
}

/// The operands that argument `at`, of weights, and those behind it are.
fn operands_from<'a>(call: &CoreCall<'a>, at: usize) -> Vec<Weighed<'a>> {
    let hasher = call.core.shard.hasher();
    let (weights, rest) = call.args.at(at).as_chunks();
    assert!(rest.is_empty(), "weights are whole");
    let keys = call.args.iter_from(at + 1).map(|key| hasher.key(key));
    let weights = weights.iter().map(|weight| f64::from_le_bytes(*weight));
    keys.zip(weights).collect()
}

/// Answers a part of the first operand behind argument 2, from argument 1 on and of argument 2 bytes: those members that are kept, in the
/// manner of argument 0, for what the others have. No, if one is not there any more.
fn fetch_part(call: &mut CoreCall<'_>) {
    let manner = Manner::of_bytes(call.args.at(0));
    let place = (
        number_of(call.args.at(1)),
        number_of(call.args.at(2)) as usize,
    );
    let operands = operands_from(call, 3);
    let (base, others) = operands.split_first().expect("there is a base");
    let keys = (*base, others);
    match part::made(&mut call.core.shard, call.db, keys, manner, place) {
        Some(part) => Answer::yes(call.out, |out| write_part(&part.members, part.next, out)),
        None => Answer::no(call.out),
    }
}

/// Answers which of the members, argument 1, are kept, in the manner of argument 0, for what the operands behind have. No, if one is not
/// there any more.
fn probe_part(call: &mut CoreCall<'_>) {
    let manner = Manner::of_bytes(call.args.at(0));
    let operands = operands_from(call, 2);
    let members = call.args.at(1);
    match part::passed_at(&mut call.core.shard, call.db, &operands, manner, members) {
        Some(passed) => Answer::yes(call.out, |out| passed.write(out)),
        None => Answer::no(call.out),
    }
}

/// Answers a part of what is gathered, argument 0, from argument 1 on.
fn show_part(call: &mut CoreCall<'_>) {
    let gathered = loose_of(call.args.at(0));
    let gathered = gathered.expect("something was gathered");
    let place = (number_of(call.args.at(1)), PART_BYTES);
    let (members, next) = call.core.shard.loose_part(gathered, place);
    write_part(&members, next, call.out);
}
