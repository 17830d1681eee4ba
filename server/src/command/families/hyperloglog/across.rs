//! `PFCOUNT` and `PFMERGE` whose keys live on several cores.
//!
//! Every core merges its own values, and answers the registers, a byte each, which are merged here; the core of the destination gets
//! what comes of all, and writes it over what it has.

use larder_engine::Access;
use larder_engine::hyperloglog::{Registers, Representation};

use super::{store_merged, value_of};
use crate::command::families::fetch::{self, by_core};
use crate::command::{Args, CoreCall, CoreRequest, Round, Rounds};
use crate::resp::{ErrorReply, Reply};
use crate::routing::{CoreId, SlotMap};

/// What becomes of the registers of all keys.
#[derive(Debug)]
enum Purpose {
    Count,
    Store { core: CoreId, key: Vec<u8> },
}

#[derive(Clone, Copy, Debug)]
enum State {
    Begun,
    Merged,
    Stored,
}

/// Values of several cores that are taken together.
struct Together {
    state: State,
    purpose: Purpose,
    /// The questions for the registers.
    asks: Vec<CoreRequest>,
    /// For each question the arguments that its keys are.
    places: Vec<Vec<usize>>,
}

pub(super) fn pfcount_rounds(
    args: &Args<'_>,
    slots: &SlotMap,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(Box::new(Together::new(args, slots, Purpose::Count)))
}

pub(super) fn pfmerge_rounds(
    args: &Args<'_>,
    slots: &SlotMap,
) -> Result<Box<dyn Rounds>, ErrorReply> {
    let key = args.at(1);
    let purpose = Purpose::Store {
        core: slots.core_of(key),
        key: key.to_vec(),
    };
    Ok(Box::new(Together::new(args, slots, purpose)))
}

impl Together {
    fn new(args: &Args<'_>, slots: &SlotMap, purpose: Purpose) -> Self {
        let (mut asks, mut places) = (Vec::new(), Vec::new());
        for (core, own) in by_core(args, 1..args.len(), slots) {
            asks.push(CoreRequest {
                core,
                run: merge_there,
                args: own.iter().map(|&at| args.at(at).to_vec()).collect(),
            });
            places.push(own);
        }
        Self {
            state: State::Begun,
            purpose,
            asks,
            places,
        }
    }

    /// The registers of all values, and whether any is dense.
    ///
    /// # Errors
    /// That of the first key, in the order of the arguments, of which a core says that it has no registers.
    fn merge(&self, answers: &[&[u8]]) -> Result<(Registers, bool), ErrorReply> {
        let (mut registers, mut is_dense) = (Registers::default(), false);
        let mut failed: Option<(usize, ErrorReply)> = None;
        for (answer, places) in answers.iter().zip(&self.places) {
            match Merged::read(answer) {
                Merged::Nothing => {}
                Merged::Registers(own, dense) => {
                    registers.merge_with(&own);
                    is_dense |= dense;
                }
                Merged::Failed(number, error) => {
                    let at = places[number];
                    if failed.as_ref().is_none_or(|(first, _)| at < *first) {
                        failed = Some((at, error));
                    }
                }
            }
        }
        match failed {
            Some((_, error)) => Err(error),
            None => Ok((registers, is_dense)),
        }
    }
}

impl Rounds for Together {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.state {
            State::Begun => {
                self.state = State::Merged;
                Ok(Round::Ask(std::mem::take(&mut self.asks)))
            }
            State::Merged => {
                let (registers, is_dense) = self.merge(answers)?;
                match &mut self.purpose {
                    Purpose::Count => {
                        reply.integer(registers.count() as i64);
                        Ok(Round::Done)
                    }
                    Purpose::Store { core, key } => {
                        self.state = State::Stored;
                        let key = std::mem::take(key);
                        let registers = registers.bytes().to_vec();
                        Ok(Round::Ask(vec![CoreRequest {
                            core: *core,
                            run: store_there,
                            args: vec![key, registers, vec![is_dense.into()]],
                        }]))
                    }
                }
            }
            State::Stored => {
                for answer in answers {
                    fetch::outcome(answer)?;
                }
                reply.ok();
                Ok(Round::Done)
            }
        }
    }
}

/// What comes of the values of one core.
///
/// ```text
/// answer:  (empty)                                no key is there
///          0 | 1, register ...                    whether any is dense, then the registers of all
///          2 number (8 bytes) error text ...      the key of this number, of those asked for, has none
/// ```
enum Merged {
    Nothing,
    Registers(Registers, bool),
    Failed(usize, ErrorReply),
}

const FAILED: u8 = 2;

impl Merged {
    fn read(answer: &[u8]) -> Self {
        match answer {
            [] => Self::Nothing,
            [FAILED, rest @ ..] => {
                let (number, text) = rest.split_first_chunk().expect("a key failed");
                Self::Failed(u64::from_le_bytes(*number) as usize, ErrorReply::new(text))
            }
            [is_dense, registers @ ..] => {
                let registers = Registers::try_from(registers).expect("another core has made them");
                Self::Registers(registers, *is_dense == 1)
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Registers(registers, is_dense) => {
                out.push((*is_dense).into());
                out.extend_from_slice(registers.bytes());
            }
            Self::Failed(number, error) => {
                out.push(FAILED);
                out.extend_from_slice(&(*number as u64).to_le_bytes());
                out.extend_from_slice(error.text());
            }
        }
    }
}

/// Answers what comes of the values at its arguments ([`Merged`]), which count as read up to the first that fails.
fn merge_there(call: &mut CoreCall<'_>) {
    let core = &mut *call.core;
    let mut merged = Merged::Nothing;
    for (number, key) in call.args.iter_from(0).enumerate() {
        if let Some(reader) = call.reader {
            core.remember_key(key, reader);
        }
        let key = core.shard.hasher().key(key);
        let entry = core.shard.read(call.db, key, Access::Touch);
        core.stats
            .count_lookup((call.db, key.bytes()), entry.is_some());
        let Some(entry) = entry else {
            continue;
        };
        let (mut registers, was_dense) = match merged {
            Merged::Registers(registers, is_dense) => (registers, is_dense),
            _ => Default::default(),
        };
        let taken = value_of(&entry).and_then(|(value, representation)| {
            registers.merge(value)?;
            Ok(was_dense || representation == Representation::Dense)
        });
        match taken {
            Ok(is_dense) => merged = Merged::Registers(registers, is_dense),
            Err(error) => {
                merged = Merged::Failed(number, error);
                break;
            }
        }
    }
    merged.write(call.out);
}

/// Stores the registers of argument 1 at argument 0; argument 2 says whether any of the values was dense.
fn store_there(call: &mut CoreCall<'_>) {
    let (key, registers) = (call.args.at(0), call.args.at(1));
    let registers = Registers::try_from(registers).expect("another core has made them");
    let merged = (registers, call.args.at(2) == [1]);
    let core = &mut *call.core;
    let key = core.shard.hasher().key(key);
    match store_merged(&mut core.shard, call.db, key, &merged, &core.config) {
        Ok(()) => fetch::succeed(call.out),
        Err(error) => fetch::fail(call.out, &error),
    }
}
