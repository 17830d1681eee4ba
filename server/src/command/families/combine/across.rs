//! Operations on sets of several cores, in rounds under locks.
//!
//! ```text
//!  all cores         look      type and number of members of each operand
//!  the base's core   fetch     a part of its members, those that the others there let pass        ◀─┐
//!  other cores       probe     which of them the others there let pass: a bit each                  │ until no base has more
//!  the home          gather    what is kept, if it is to be stored or is a union                  ──┘
//!  the home          store, or show what was gathered and drop it
//! ```
//! The home is the destination's core, or that of the first base. Rounds that nothing is asked in are left out. A part is of 64 KiB, so
//! that none of it takes long, and nobody holds more of a set than that but what is the reply.

use larder_engine::{Access, Event, Key, Kind, LooseId, members_of_part};

use super::found::Shown;
use super::part::{self, Bits, chosen};
use super::{Combining, Keep, Operation, Plan, Wanted, here};
use crate::command::families::transfer::{self, Answer, loose_argument, loose_of};
use crate::command::{Args, CoreCall, CoreRequest, PART_BYTES, Round, Rounds};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors;
use crate::resp::{ErrorReply, Reply};
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
        combining,
        operands,
        destination,
        asked: Vec::new(),
        plan: Plan::default(),
        from: 0,
        members: Vec::new(),
        found: Found::default(),
        step: Step::Begin,
    })
}

/// A key and its core.
type Operand = (CoreId, Vec<u8>);

#[derive(Debug)]
struct Across {
    combining: Combining,
    operands: Vec<Operand>,
    destination: Option<Operand>,
    /// Who was asked of which operands.
    asked: Vec<(CoreId, Vec<usize>)>,
    plan: Plan,
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
    shown: Shown,
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
    fn by_core(&self, numbers: impl Iterator<Item = usize>) -> Vec<(CoreId, Vec<usize>)> {
        let mut groups: Vec<(CoreId, Vec<usize>)> = Vec::new();
        for number in numbers {
            let (core, _) = self.operand(number);
            match groups.iter_mut().find(|(of, _)| *of == core) {
                Some((_, group)) => group.push(number),
                None => groups.push((core, vec![number])),
            }
        }
        groups
    }

    fn keys_of<'s>(&'s self, numbers: &'s [usize]) -> impl Iterator<Item = Vec<u8>> + 's {
        numbers
            .iter()
            .map(|&number| self.operands[number].1.clone())
    }

    fn keep_word(&self) -> Vec<u8> {
        vec![match self.combining.keeps() {
            Keep::IfAllHave => 0,
            Keep::IfNoneHas => 1,
        }]
    }

    /// Asks what there is.
    fn look(&mut self) -> Round {
        self.step = Step::Look;
        self.asked = self.by_core(0..self.operands.len());
        let requests = self.asked.iter().map(|(core, numbers)| CoreRequest {
            core: *core,
            run: look_part,
            args: self.keys_of(numbers).collect(),
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
        let is_same = |a: usize, b: usize| self.operands[a] == self.operands[b];
        self.plan = self.combining.plan(&lens?, is_same);
        self.from = 0;
        Ok(())
    }

    /// Goes on with the next part of the last base, or ends.
    fn go_on(&mut self, reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        let Some(&base) = self.plan.bases.last() else {
            return self.end(reply);
        };
        self.step = Step::Fetch;
        let (core, key) = self.operand(base);
        let mut args = vec![
            self.keep_word(),
            self.from.to_le_bytes().to_vec(),
            key.to_vec(),
        ];
        let beside = self.plan.others.iter().copied();
        let beside: Vec<usize> = beside.filter(|&at| self.operand(at).0 == core).collect();
        args.extend(self.keys_of(&beside));
        let run = fetch_part;
        Ok(Round::Ask(vec![CoreRequest { core, run, args }]))
    }

    /// Asks the other cores which of the members at hand they let pass, if there are any.
    fn probe(&mut self, base: CoreId) -> Option<Round> {
        let elsewhere = self.plan.others.iter().copied();
        let elsewhere = elsewhere.filter(|&at| self.operand(at).0 != base);
        let groups = self.by_core(elsewhere);
        if groups.is_empty() || self.members.is_empty() {
            return None;
        }
        self.step = Step::Probe;
        let requests = groups.iter().map(|(core, numbers)| {
            let mut args = vec![self.keep_word(), self.members.clone()];
            args.extend(self.keys_of(numbers));
            CoreRequest {
                core: *core,
                run: probe_part,
                args,
            }
        });
        Some(Round::Ask(requests.collect()))
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
        let is_gathered = matches!(self.combining.wanted, Wanted::Stored { .. })
            || self.combining.operation == Operation::Union;
        if is_gathered && !members.is_empty() {
            self.step = Step::Gather;
            return Ok(Round::Ask(vec![CoreRequest {
                core: self.home(),
                run: gather_part,
                args: vec![loose_argument(self.found.gathered), members],
            }]));
        }
        match self.combining.wanted {
            Wanted::Members => self.found.shown.add(&members)?,
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
            (Wanted::Members, None) => self.found.shown.reply(reply),
            (Wanted::Members, Some(_)) => {
                self.from = 0;
                return Ok(self.show());
            }
            (Wanted::Stored { event, .. }, gathered) => {
                self.step = Step::Store;
                let (core, key) = self.destination.clone().expect("it was named");
                let run = store_part;
                let args = vec![key, vec![event.code()], loose_argument(gathered)];
                return Ok(Round::Ask(vec![CoreRequest { core, run, args }]));
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
                let base = self.plan.bases.last().map(|&at| self.operand(at).0);
                self.from = next.unwrap_or(0);
                if next.is_none() {
                    self.plan.bases.pop();
                }
                let probe = base.and_then(|base| self.probe(base));
                probe.map_or_else(|| self.take(reply), Ok)
            }
            Step::Probe => {
                let mut kept: Option<Bits> = None;
                for answer in answers {
                    let Answer::Yes(written) = Answer::of(answer)? else {
                        return Ok(self.again());
                    };
                    let bits = Bits::read(written);
                    match &mut kept {
                        None => kept = Some(bits),
                        Some(kept) => kept.and(&bits),
                    }
                }
                let kept = kept.expect("somebody was asked");
                self.members = chosen(&self.members, &kept);
                self.take(reply)
            }
            Step::Gather => {
                let Answer::Yes(gathered) = Answer::of(answers[0])? else {
                    unreachable!("no such answer is given");
                };
                self.found.gathered = loose_of(gathered);
                self.go_on(reply)
            }
            Step::Store => {
                let Answer::Yes(written) = Answer::of(answers[0])? else {
                    unreachable!("no such answer is given");
                };
                reply.count(PartReader::new(written).number());
                Ok(Round::Done)
            }
            Step::Show => {
                let (members, next) = read_part(answers[0]);
                let added = self.found.shown.add(members);
                let gathered = self.found.gathered.expect("it is shown");
                match (next, added) {
                    (Some(next), Ok(())) => {
                        self.from = next;
                        Ok(self.show())
                    }
                    (_, added) => {
                        if let Err(error) = added {
                            self.found.shown = Shown::default();
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
                self.found.shown.reply(reply);
                Ok(Round::Done)
            }
        }
    }
}

/// What is said of an operand: that there is none, that it is of another type, or its number of members, and this.
const ABSENT: u64 = 0;
const WRONG_TYPE: u64 = 1;
const FIRST_LEN: u64 = 2;

/// Answers what there is at each argument.
fn look_part(call: &mut CoreCall<'_>) {
    let mut part = PartWriter(call.out);
    for key in call.args.iter_from(0) {
        let core = &mut *call.core;
        if let Some(reader) = call.reader {
            core.remember_key(key, reader);
        }
        let key = core.shard.hasher().key(key);
        let found = core.shard.set_at(call.db, key, Access::Touch);
        core.stats.count_typed_lookup(&found);
        part.number(match found {
            Ok(None) => ABSENT,
            Err(_) => WRONG_TYPE,
            Ok(Some(set)) => FIRST_LEN + set.len(),
        });
    }
}

fn keep_of(word: &[u8]) -> Keep {
    match word {
        [0] => Keep::IfAllHave,
        _ => Keep::IfNoneHas,
    }
}

fn number_of(argument: &[u8]) -> u64 {
    u64::from_le_bytes(argument.try_into().expect("eight bytes"))
}

/// Argument `at` and all behind it as keys.
fn keys_from<'a>(call: &CoreCall<'a>, at: usize) -> Vec<Key<'a>> {
    let hasher = call.core.shard.hasher();
    call.args.iter_from(at).map(|key| hasher.key(key)).collect()
}

/// Answers a part of the set at argument 2, from argument 1 on: those members that are kept, as argument 0 says, for what the sets behind
/// have. No, if one is not there any more.
fn fetch_part(call: &mut CoreCall<'_>) {
    let keep = keep_of(call.args.at(0));
    let place = (number_of(call.args.at(1)), PART_BYTES);
    let mut keys = keys_from(call, 2).into_iter();
    let base = keys.next().expect("there is a base");
    match part::kept(&mut call.core.shard, call.db, (base, keys), keep, place) {
        Some(part) => Answer::yes(call.out, |out| write_part(&part.members, part.next, out)),
        None => Answer::no(call.out),
    }
}

/// Answers which of the members, argument 1, are kept, as argument 0 says, for what the sets behind have. No, if one is not there any
/// more.
fn probe_part(call: &mut CoreCall<'_>) {
    let keep = keep_of(call.args.at(0));
    let keys = keys_from(call, 2).into_iter();
    let members = call.args.at(1);
    match part::kept_for(&mut call.core.shard, call.db, keys, keep, members) {
        Some(bits) => Answer::yes(call.out, |out| bits.write(out)),
        None => Answer::no(call.out),
    }
}

/// Adds members, argument 1, to what is gathered, argument 0, and answers what that is.
fn gather_part(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let gathered = loose_of(call.args.at(0));
    let gathered = gathered.unwrap_or_else(|| shard.begin_loose(Kind::Set, None));
    match here::gather(shard, gathered, call.args.at(1)) {
        Ok(()) => Answer::yes(call.out, |out| out.extend(loose_argument(Some(gathered)))),
        Err(error) => Answer::failed(call.out, &error),
    }
}

/// Stores what is gathered, argument 2, if anything is, at argument 0, of which the event of code argument 1 is told. Answers how many
/// members there are.
fn store_part(call: &mut CoreCall<'_>) {
    let shard = &mut call.core.shard;
    let key = shard.hasher().key(call.args.at(0));
    let event = Event::of_code(call.args.at(1)[0]);
    let gathered = loose_of(call.args.at(2));
    let gathered = gathered.unwrap_or_else(|| shard.begin_loose(Kind::Set, None));
    match here::store(shard, call.db, key, gathered, event) {
        Ok(count) => Answer::yes(call.out, |out| PartWriter(out).number(count)),
        Err(error) => Answer::failed(call.out, &error),
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
