//! `BITOP`: bitwise operations on several strings, and `DIFF`, `DIFF1`, `ANDOR`, `ONE` on them as sets.
//!
//! Sources are taken in one at a time, so that none but the results of the operation is copied; every step is a loop
//! over bytes without branches, which the compiler turns into vector instructions. A source that is shorter than others
//! counts as ending in zeros.
//!
//! With keys on several cores: every core is asked for its sources, then the destination's core gets the result.

use larder_engine::{DbIndex, Event, Shard, StoreError, StringForm, TtlChange};

use crate::command::families::fetch::{self, Fetched, by_core};
use crate::command::{
    Args, Category, CommandSpec, CoreCall, CoreRequest, Flags, Group, KeyFlags, KeySpec, Keys,
    Round, Rounds, Run, ShardCall, Spread,
};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
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
struct Combination {
    operation: Operation,
    sources: usize,
    /// The first source, for those that treat it apart.
    first: Vec<u8>,
    /// The operation on the sources taken in; for those that treat the first apart, any of the others; for
    /// [`Operation::One`] what is set in any.
    sum: Vec<u8>,
    /// For [`Operation::One`]: what is set in more than one.
    twice: Vec<u8>,
}

impl Combination {
    fn new(operation: Operation) -> Self {
        Self {
            operation,
            sources: 0,
            first: Vec::new(),
            sum: Vec::new(),
            twice: Vec::new(),
        }
    }

    /// Takes in the next source.
    fn add(&mut self, source: &[u8]) {
        use Operation::{And, AndOr, Diff, Diff1, Not, One, Or, Xor};
        self.sources += 1;
        if self.sources == 1 {
            match self.operation {
                Diff | Diff1 | AndOr => self.first = source.to_vec(),
                And | Or | Xor | Not | One => self.sum = source.to_vec(),
            }
            return;
        }
        if self.sum.len() < source.len() {
            self.sum.resize(source.len(), 0);
        }
        let (common, beyond) = self.sum.split_at_mut(source.len());
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

    fn finish(mut self) -> Vec<u8> {
        use Operation::{And, AndOr, Diff, Diff1, Not, One, Or, Xor};
        let len = self.first.len().max(self.sum.len());
        match self.operation {
            And | Or | Xor => {}
            Not => self.sum.iter_mut().for_each(|bits| *bits = !*bits),
            One => each(&mut self.sum, &self.twice, |bits, twice| bits & !twice),
            Diff1 => each(&mut self.sum, &self.first, |bits, first| bits & !first),
            Diff | AndOr => {
                let keep = self.operation == AndOr;
                self.first.resize(len, 0);
                self.sum.resize(len, 0);
                if keep {
                    each(&mut self.sum, &self.first, |bits, first| first & bits);
                } else {
                    each(&mut self.sum, &self.first, |bits, first| first & !bits);
                }
            }
        }
        self.sum.resize(len, 0);
        self.sum
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
        match call.shard.read(call.db, key, call.access) {
            Some(entry) => {
                call.stats.hits += 1;
                combination.add(entry.string().ok_or(errors::WRONG_TYPE)?);
            }
            None => {
                call.stats.misses += 1;
                combination.add(b"");
            }
        }
    }
    let result = combination.finish();
    store(call.shard, call.db, call.args.at(2), &result)?;
    call.reply.count(result.len() as u64);
    Ok(())
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
    operation: Operation,
    destination: (CoreId, Vec<u8>),
    /// The questions for the sources.
    asks: Vec<CoreRequest>,
    /// For each source the question whose answer has it.
    sources: Vec<usize>,
}

#[derive(Clone, Copy)]
enum State {
    Begun,
    Fetched,
    Stored { result_bytes: usize },
}

fn bitop_rounds(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    let operation = Operation::parse(args)?;
    let groups = by_core(args, 3..args.len(), slots);
    let mut sources = vec![0; args.len() - 3];
    for (number, (_, places)) in groups.iter().enumerate() {
        places.iter().for_each(|at| sources[at - 3] = number);
    }
    let asks = groups.into_iter().map(|(core, places)| CoreRequest {
        core,
        run: fetch::strings,
        args: places.into_iter().map(|at| args.at(at).to_vec()).collect(),
    });
    let destination = args.at(2);
    Ok(Box::new(Spreading {
        state: State::Begun,
        operation,
        destination: (slots.core_of(destination), destination.to_vec()),
        asks: asks.collect(),
        sources,
    }))
}

impl Rounds for Spreading {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.state {
            State::Begun => {
                self.state = State::Fetched;
                Ok(Round::Ask(std::mem::take(&mut self.asks)))
            }
            State::Fetched => {
                let mut answers: Vec<_> = answers
                    .iter()
                    .map(|answer| fetch::fetched(answer))
                    .collect::<Result<_, _>>()?;
                let mut combination = Combination::new(self.operation);
                for &answer in &self.sources {
                    match answers[answer].next() {
                        Some(Fetched::String(value)) => combination.add(value),
                        Some(Fetched::Missing) => combination.add(b""),
                        Some(Fetched::WrongType) => return Err(errors::WRONG_TYPE),
                        None => unreachable!("every source asked for is answered"),
                    }
                }
                let result = combination.finish();
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
                sources.iter().for_each(|source| combination.add(source));
                prop_assert_eq!(combination.finish(), model(operation, sources), "{:?}", operation);
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
