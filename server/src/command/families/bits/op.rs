//! `BITOP`: bitwise operations on several strings, and `DIFF`, `DIFF1`, `ANDOR`, `ONE` on them as sets.
//!
//! Sources are taken in one at a time, so that none but the results of the operation is copied; every step is a loop
//! over bytes without branches, which the compiler turns into vector instructions. A source that is shorter than others
//! counts as ending in zeros.
//!
//! With keys on several cores each combines its own sources, and answers what came of them: a string, two where the first source
//! is treated apart or what is set twice counts. The destination's core gets the result. A core whose answer would be longer than its
//! share of what may be held at once is asked by itself, when the others' answers are gone.

use larder_engine::{Access, DbIndex, EntryRef, Event, Shard, StoreError, StringForm, TtlChange};

use crate::command::families::fetch::{self, by_core};
use crate::command::{
    Args, Category, CommandSpec, CoreCall, CoreRequest, Flags, Group, KeyFlags, KeySpec, Keys,
    Round, Rounds, Run, ShardCall, Spread,
};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, REPLY_MAX_BYTES, Reply};
use crate::routing::{CoreId, SlotMap};

/// The table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "bitop",
    arity: -4,
    flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
    categories: &[Category::Bitmap],
    keys: Keys::of(&[
        KeySpec::at(2, KeyFlags::OW.update()),
        KeySpec::at(3, KeyFlags::RO.access()).to(-1),
    ]),
    group: Group::Bitmap,
    since: "2.6.0",
    syntax: "<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE> destkey key [key ...]",
    summary: "Stores the result of a bitwise operation on several string values and returns its length.",
    complexity: "O(N)",
    run: Run::FanOut {
        together: bitop,
        spread: Spread::Rounds(bitop_rounds),
    },
    ..CommandSpec::BASE
}];

/// What is done with the bits at one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    /// Set in all.
    And,
    /// Set in any.
    Or,
    /// Set in an odd number.
    Xor,
    /// Not set in the one.
    Not,
    /// Set in the first and in no other.
    Diff,
    /// Not set in the first but in another.
    Diff1,
    /// Set in the first and in another.
    AndOr,
    /// Set in exactly one.
    One,
}

impl Operation {
    const ALL: [Self; 8] = [
        Self::And,
        Self::Or,
        Self::Xor,
        Self::Not,
        Self::Diff,
        Self::Diff1,
        Self::AndOr,
        Self::One,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Xor => "XOR",
            Self::Not => "NOT",
            Self::Diff => "DIFF",
            Self::Diff1 => "DIFF1",
            Self::AndOr => "ANDOR",
            Self::One => "ONE",
        }
    }

    fn parse(args: &Args<'_>) -> Result<Self, ErrorReply> {
        let named = Self::ALL
            .into_iter()
            .find(|operation| args.is(1, operation.name()));
        let operation = named.ok_or(errors::SYNTAX)?;
        let sources = args.len() - 3;
        match operation {
            Self::Not if sources != 1 => Err(errors::BITOP_NOT_KEYS),
            Self::Diff | Self::Diff1 | Self::AndOr if sources < 2 => {
                Err(errors::bitop_keys(operation.name()))
            }
            _ => Ok(operation),
        }
    }
}

/// A result in the making.
#[derive(Debug)]
struct Combination {
    operation: Operation,
    /// The first source, for those that treat it apart.
    first: Option<Vec<u8>>,
    /// The operation on the sources taken in, if there were any; for those that treat the first apart, any of the others; for
    /// [`Operation::One`] what is set in any.
    sum: Option<Vec<u8>>,
    /// For [`Operation::One`]: what is set in more than one.
    twice: Vec<u8>,
}

impl Combination {
    fn new(operation: Operation) -> Self {
        Self {
            operation,
            first: None,
            sum: None,
            twice: Vec::new(),
        }
    }

    /// Takes in the first source.
    fn add_first(&mut self, source: &[u8]) {
        match self.operation {
            Operation::Diff | Operation::Diff1 | Operation::AndOr => {
                self.first = Some(source.to_vec());
            }
            _ => self.add(source),
        }
    }

    /// Takes in another source.
    fn add(&mut self, source: &[u8]) {
        use Operation::{And, AndOr, Diff, Diff1, Not, One, Or, Xor};
        let Some(sum) = &mut self.sum else {
            self.sum = Some(source.to_vec());
            return;
        };
        if sum.len() < source.len() {
            sum.resize(source.len(), 0);
        }
        let (common, beyond) = sum.split_at_mut(source.len());
        match self.operation {
            And => {
                each(common, source, |bits, other| bits & other);
                beyond.fill(0);
            }
            Xor => each(common, source, |bits, other| bits ^ other),
            One => {
                self.twice.resize(self.twice.len().max(source.len()), 0);
                let sums = common.iter().zip(source);
                for (twice, (sum, other)) in self.twice.iter_mut().zip(sums) {
                    *twice |= sum & other;
                }
                each(common, source, |bits, other| bits | other);
            }
            Or | Not | Diff | Diff1 | AndOr => each(common, source, |bits, other| bits | other),
        }
    }

    /// Bytes it holds.
    fn bytes(&self) -> usize {
        let strings = [&self.first, &self.sum].into_iter().flatten();
        strings.map(Vec::len).sum::<usize>() + self.twice.len()
    }

    /// Makes one string of those that one can stand for: what of the first is set in no other that came.
    fn condense(&mut self) {
        if let (Operation::Diff, Some(first), Some(sum)) =
            (self.operation, &mut self.first, &self.sum)
        {
            first.resize(first.len().max(sum.len()), 0);
            each(first, sum, |first, bits| first & !bits);
            self.sum = None;
        }
    }

    /// Appends what has come so far.
    fn write(&self, part: &mut PartWriter<'_>) {
        for string in [&self.first, &self.sum] {
            part.number(string.is_some().into());
            part.bytes(string.as_deref().unwrap_or_default());
        }
        part.bytes(&self.twice);
    }

    /// Takes in what [`Self::write`] has written of other sources.
    fn merge(&mut self, part: &mut PartReader<'_>) {
        let mut string = || {
            let is_there = part.number() == 1;
            let bytes = part.bytes();
            is_there.then_some(bytes)
        };
        let (first, sum) = (string(), string());
        let twice = part.bytes();
        if let Some(first) = first {
            self.first = Some(first.to_vec());
        }
        if let Some(sum) = sum {
            self.add(sum);
        }
        self.twice.resize(self.twice.len().max(twice.len()), 0);
        each(&mut self.twice, twice, |bits, other| bits | other);
    }

    fn finish(mut self) -> Vec<u8> {
        use Operation::{And, AndOr, Diff, Diff1, Not, One, Or, Xor};
        self.condense();
        let (mut sum, mut first) = (self.sum.unwrap_or_default(), self.first.unwrap_or_default());
        let len = first.len().max(sum.len());
        match self.operation {
            And | Or | Xor => {}
            Not => sum.iter_mut().for_each(|bits| *bits = !*bits),
            One => each(&mut sum, &self.twice, |bits, twice| bits & !twice),
            Diff1 => each(&mut sum, &first, |bits, first| bits & !first),
            Diff => sum = first,
            AndOr => {
                first.resize(len, 0);
                sum.resize(len, 0);
                each(&mut sum, &first, |bits, first| first & bits);
            }
        }
        sum.resize(len, 0);
        sum
    }
}

/// Applies `operation` to each byte of `bits` and the byte of `other` at its place.
#[inline]
fn each(bits: &mut [u8], other: &[u8], operation: impl Fn(u8, u8) -> u8) {
    for (bits, other) in bits.iter_mut().zip(other) {
        *bits = operation(*bits, *other);
    }
}

fn bitop(call: &mut ShardCall<'_>) -> CommandResult {
    let mut combination = Combination::new(Operation::parse(&call.args)?);
    for at in 3..call.args.len() {
        let key = call.key(at);
        let entry = call.shard.read(call.db, key, call.access);
        call.stats
            .count_lookup((call.db, key.bytes()), entry.is_some());
        let source = source_of(entry.as_ref())?;
        match at {
            3 => combination.add_first(source),
            _ => combination.add(source),
        }
    }
    let result = combination.finish();
    store(call.shard, call.db, call.args.at(2), &result)?;
    call.reply.count(result.len() as u64);
    Ok(())
}

/// The bits of an entry; of none, none.
fn source_of<'e>(entry: Option<&EntryRef<'e>>) -> Result<&'e [u8], ErrorReply> {
    let source = entry.map(|entry| entry.string().ok_or(errors::WRONG_TYPE));
    source.unwrap_or(Ok(b""))
}

/// Stores the result; an empty one deletes the destination.
fn store(shard: &mut Shard, db: DbIndex, key: &[u8], result: &[u8]) -> Result<(), StoreError> {
    let key = shard.hasher().key(key);
    if result.is_empty() {
        shard.remove(db, key, Event::Del);
        return Ok(());
    }
    let (form, ttl) = (StringForm::Raw, TtlChange::Clear);
    shard.set(db, key, result, form, ttl, Event::Set)
}

/// `BITOP` whose keys live on several cores.
struct Spreading {
    state: State,
    destination: (CoreId, Vec<u8>),
    /// The sources of each core; the first source is the first one of the first core.
    sources: Vec<(CoreId, Vec<Vec<u8>>)>,
    /// Whose sources the answers at hand are of.
    asked: Vec<usize>,
    /// Who is to be asked by itself.
    left: Vec<usize>,
    combination: Combination,
}

#[derive(Clone, Copy)]
enum State {
    Begun,
    Combined,
    Stored { result_bytes: usize },
}

fn bitop_rounds(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let operation = Operation::parse(args)?;
    let groups = by_core(args, 3..args.len(), slots).into_iter();
    let sources = groups.map(|(core, places)| {
        let keys = places.into_iter().map(|at| args.at(at).to_vec());
        (core, keys.collect())
    });
    let destination = args.at(2);
    Ok(Box::new(Spreading {
        state: State::Begun,
        destination: (slots.core_of(destination), destination.to_vec()),
        sources: sources.collect(),
        asked: Vec::new(),
        left: Vec::new(),
        combination: Combination::new(operation),
    }))
}

impl Spreading {
    /// Asks these for what comes of their sources, if it is no longer than `most_bytes`.
    fn ask(&mut self, asked: Vec<usize>, most_bytes: Option<usize>) -> Round {
        self.state = State::Combined;
        let requests = asked.iter().map(|&number| {
            let (core, keys) = &self.sources[number];
            let mut args = Vec::with_capacity(1 + keys.len());
            args.push(Asked::of(&self.combination, number, most_bytes).write());
            args.extend_from_slice(keys);
            CoreRequest {
                core: *core,
                run: combine_there,
                args,
            }
        });
        let requests = requests.collect();
        self.asked = asked;
        Round::Ask(requests)
    }

    /// Takes the answers in, and asks the next of those that are asked by themselves, or has the result stored.
    fn take(&mut self, answers: &[&[u8]]) -> Result<Round, ErrorReply> {
        for (answer, &number) in answers.iter().zip(&self.asked) {
            match fetch::outcome(answer)? {
                [] => self.left.push(number),
                written => self.combination.merge(&mut PartReader::new(written)),
            }
        }
        if let Some(number) = self.left.pop() {
            return Ok(self.ask(vec![number], None));
        }
        let fresh = Combination::new(self.combination.operation);
        let result = std::mem::replace(&mut self.combination, fresh).finish();
        self.state = State::Stored {
            result_bytes: result.len(),
        };
        let (core, key) = &mut self.destination;
        Ok(Round::Ask(vec![CoreRequest {
            core: *core,
            run: store_there,
            args: vec![std::mem::take(key), result],
        }]))
    }
}

impl Rounds for Spreading {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.state {
            State::Begun => {
                let cores = self.sources.len();
                Ok(self.ask((0..cores).collect(), Some(REPLY_MAX_BYTES / cores)))
            }
            State::Combined => self.take(answers),
            State::Stored { result_bytes } => {
                for answer in answers {
                    fetch::outcome(answer)?;
                }
                reply.count(result_bytes as u64);
                Ok(Round::Done)
            }
        }
    }
}

/// What a core is asked to do with its sources.
struct Asked {
    operation: Operation,
    /// Whether the first of its sources is the first of all.
    has_first: bool,
    /// No longer answer is wanted. `None`: whatever its length; it was asked before.
    most_bytes: Option<usize>,
}

impl Asked {
    fn of(combination: &Combination, number: usize, most_bytes: Option<usize>) -> Self {
        Self {
            operation: combination.operation,
            has_first: number == 0,
            most_bytes,
        }
    }

    fn write(&self) -> Vec<u8> {
        let mut written = Vec::new();
        let mut part = PartWriter(&mut written);
        part.number(self.operation as u64);
        part.number(self.has_first.into());
        part.number(self.most_bytes.map_or(0, |most| 1 + most as u64));
        written
    }

    fn read(written: &[u8]) -> Self {
        let mut part = PartReader::new(written);
        Self {
            operation: Operation::ALL[part.number() as usize],
            has_first: part.number() == 1,
            most_bytes: part.number().checked_sub(1).map(|most| most as usize),
        }
    }
}

/// Answers what comes of the sources at the arguments behind the first, which says what is asked ([`Asked`]); nothing, if that is too long.
fn combine_there(call: &mut CoreCall<'_>) {
    match combine_own(call) {
        Ok(combined) => {
            fetch::succeed(call.out);
            if let Some(combined) = combined {
                combined.write(&mut PartWriter(call.out));
            }
        }
        Err(error) => fetch::fail(call.out, &error),
    }
}

fn combine_own(call: &mut CoreCall<'_>) -> Result<Option<Combination>, ErrorReply> {
    let asked = Asked::read(call.args.at(0));
    let core = &mut *call.core;
    let mut combined = Some(Combination::new(asked.operation));
    for (number, key) in call.args.iter_from(1).enumerate() {
        if let Some(reader) = call.reader {
            core.remember_key(key, reader);
        }
        let entry = core.shard.hasher().key(key);
        let entry = core.shard.read(call.db, entry, Access::Touch);
        if asked.most_bytes.is_some() {
            core.stats.count_lookup((call.db, key), entry.is_some());
        }
        let source = source_of(entry.as_ref())?;
        combined = combined.and_then(|mut combined| {
            match asked.has_first && number == 0 {
                true => combined.add_first(source),
                false => combined.add(source),
            }
            let fits = asked.most_bytes.is_none_or(|most| combined.bytes() <= most);
            fits.then_some(combined)
        });
    }
    if let Some(combined) = &mut combined {
        combined.condense();
    }
    Ok(combined)
}

/// Stores argument 1 at argument 0.
fn store_there(call: &mut CoreCall<'_>) {
    let (key, result) = (call.args.at(0), call.args.at(1));
    match store(&mut call.core.shard, call.db, key, result) {
        Ok(()) => fetch::succeed(call.out),
        Err(error) => fetch::fail(call.out, &error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::testing::{Bench, check};
    use crate::command::families::wire::words;
    use crate::dispatch::testing::key_on;
    use crate::resp::Protocol;
    use proptest::prelude::*;

    fn model(operation: Operation, sources: &[Vec<u8>]) -> Vec<u8> {
        let len = sources.iter().map(Vec::len).max().unwrap_or(0);
        (0..len)
            .map(|at| {
                let column: Vec<u8> = sources
                    .iter()
                    .map(|source| source.get(at).copied().unwrap_or(0))
                    .collect();
                let others = column[1..].iter().fold(0, |any, byte| any | byte);
                (0..8).fold(0, |byte, bit| {
                    let set = |value: u8| value >> bit & 1 == 1;
                    let count = column.iter().filter(|&&value| set(value)).count();
                    let on = match operation {
                        Operation::And => count == column.len(),
                        Operation::Or => count > 0,
                        Operation::Xor => count % 2 == 1,
                        Operation::Not => count == 0,
                        Operation::Diff => set(column[0]) && !set(others),
                        Operation::Diff1 => !set(column[0]) && set(others),
                        Operation::AndOr => set(column[0]) && set(others),
                        Operation::One => count == 1,
                    };
                    byte | u8::from(on) << bit
                })
            })
            .collect()
    }

    proptest! {
        #[test]
        fn operations_agree_with_looking_at_each_bit(
            sources in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
        ) {
            for operation in Operation::ALL {
                let sources = if operation == Operation::Not { &sources[..1] } else { &sources[..] };
                let mut combination = Combination::new(operation);
                combination.add_first(&sources[0]);
                sources[1..].iter().for_each(|source| combination.add(source));
                prop_assert_eq!(combination.finish(), model(operation, sources), "{:?}", operation);
            }
        }
    }

    proptest! {
        #[test]
        fn what_cores_make_of_their_own_sources_comes_to_the_same(
            sources in prop::collection::vec((0usize..3, prop::collection::vec(any::<u8>(), 0..20)), 2..8),
        ) {
            let strings: Vec<Vec<u8>> = sources.iter().map(|(_, source)| source.clone()).collect();
            for operation in Operation::ALL.into_iter().filter(|&operation| operation != Operation::Not) {
                let mut whole = Combination::new(operation);
                for core in 0..3 {
                    let mut own = Combination::new(operation);
                    for (number, (of, source)) in sources.iter().enumerate() {
                        match (*of == core, number) {
                            (false, _) => {}
                            (true, 0) => own.add_first(source),
                            (true, _) => own.add(source),
                        }
                    }
                    own.condense();
                    let mut written = Vec::new();
                    own.write(&mut PartWriter(&mut written));
                    whole.merge(&mut PartReader::new(&written));
                }
                prop_assert_eq!(whole.finish(), model(operation, &strings), "{:?}", operation);
            }
        }
    }

    #[test]
    fn results_are_stored_raw_and_empty_ones_delete_the_destination() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SET a abc", "OK"),
            ("SET b ab", "OK"),
            ("BITOP and d a b", "3"),
            ("GET d", r#""ab\x00""#),
            ("BITOP NOT d b", "2"),
            ("GET d", r#""\x9e\x9d""#),
        ]);
        assert_eq!(bench.encoding("d"), "raw");
        bench.check(&[("BITOP OR d none none", "0"), ("GET d", "nil")]);
        assert_eq!(bench.events()[2..], ["set d", "set d", "del d"]);
        bench.check(&[("SETEX a 10 x", "OK"), ("BITOP OR a a b", "2")]);
        assert_eq!(bench.deadline("a"), None);
    }

    #[test]
    fn a_core_whose_answer_is_long_is_asked_by_itself_behind_the_others() {
        let keys = [0, 1].map(|core| key_on(core, 2, "source"));
        let (bytes, ranges) = words(&["bitop", "diff", "d", &keys[0], &keys[1]]);
        let args = Args::new(&bytes, &ranges);
        let mut rounds = bitop_rounds(&args, &SlotMap::even(2)).unwrap();
        let mut out = Vec::new();
        let mut next = |answers: &[&[u8]]| {
            let mut reply = Reply::new(&mut out, Protocol::Resp2);
            match rounds.next(answers, &mut reply).unwrap() {
                Round::Ask(requests) => requests,
                _ => panic!("something is asked"),
            }
        };
        let asked = next(&[]);
        let of = |request: &CoreRequest| (request.core, Asked::read(&request.args[0]).most_bytes);
        let share = Some(REPLY_MAX_BYTES / 2);
        assert_eq!(
            asked.iter().map(of).collect::<Vec<_>>(),
            [(CoreId(0), share), (CoreId(1), share)]
        );
        let answer = |source: &[u8], is_first: bool| {
            let mut own = Combination::new(Operation::Diff);
            match is_first {
                true => own.add_first(source),
                false => own.add(source),
            }
            let mut out = Vec::new();
            fetch::succeed(&mut out);
            own.write(&mut PartWriter(&mut out));
            out
        };
        let mut too_long = Vec::new();
        fetch::succeed(&mut too_long);
        let asked = next(&[&too_long, &answer(b"\x0f\x0f\x01", false)]);
        assert_eq!(
            asked.iter().map(of).collect::<Vec<_>>(),
            [(CoreId(0), None)]
        );
        let stored = next(&[&answer(b"\xff\x1f", true)]);
        assert_eq!(stored[0].args[1], b"\xf0\x10\x00");
    }

    #[test]
    fn operations_ask_for_as_many_sources_as_they_need() {
        check(&[
            (
                "BITOP NOT d a b",
                "ERR BITOP NOT must be called with a single source key.",
            ),
            (
                "BITOP diff d a",
                "ERR BITOP DIFF must be called with at least two source keys.",
            ),
            (
                "BITOP DIFF1 d a",
                "ERR BITOP DIFF1 must be called with at least two source keys.",
            ),
            (
                "BITOP ANDOR d a",
                "ERR BITOP ANDOR must be called with at least two source keys.",
            ),
            ("BITOP ONE d a", "0"),
            ("BITOP NAND d a b", "ERR syntax error"),
        ]);
    }
}
