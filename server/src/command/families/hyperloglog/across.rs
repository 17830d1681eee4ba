//! `PFCOUNT` and `PFMERGE` whose keys live on several cores.
//!
//! Every core answers the values of its keys, which are taken together here; the core of the destination gets the registers, a byte each,
//! and writes them over what it has.

use larder_engine::hyperloglog::{self, Registers, Representation};

use super::store_merged;
use crate::command::families::fetch::{self, Fetched, by_core};
use crate::command::{Args, CoreCall, CoreRequest, Round, Rounds};
use crate::resp::{ErrorReply, Reply, errors};
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
    Fetched,
    Stored,
}

/// Values of several cores that are taken together.
struct Together {
    state: State,
    purpose: Purpose,
    /// The questions for the values.
    asks: Vec<CoreRequest>,
    /// For each key the question whose answer has its value.
    keys: Vec<usize>,
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
        let groups = by_core(args, 1..args.len(), slots);
        let mut keys = vec![0; args.len() - 1];
        for (number, (_, places)) in groups.iter().enumerate() {
            places.iter().for_each(|at| keys[at - 1] = number);
        }
        let asks = groups.into_iter().map(|(core, places)| CoreRequest {
            core,
            run: fetch::strings,
            args: places.into_iter().map(|at| args.at(at).to_vec()).collect(),
        });
        Self {
            state: State::Begun,
            purpose,
            asks: asks.collect(),
            keys,
        }
    }

    /// The registers of all values, and whether any is dense.
    fn merge(&self, answers: &[&[u8]]) -> Result<(Registers, bool), ErrorReply> {
        let mut answers: Vec<_> = answers
            .iter()
            .map(|answer| fetch::fetched(answer))
            .collect::<Result<_, _>>()?;
        let (mut registers, mut is_dense) = (Registers::default(), false);
        for &answer in &self.keys {
            match answers[answer].next() {
                Some(Fetched::String(value)) => {
                    let representation = hyperloglog::representation(value);
                    let representation = representation.ok_or(errors::NOT_A_HYPERLOGLOG)?;
                    is_dense |= representation == Representation::Dense;
                    registers.merge(value)?;
                }
                Some(Fetched::Missing) => {}
                Some(Fetched::WrongType) => return Err(errors::WRONG_TYPE),
                None => unreachable!("every key asked for is answered"),
            }
        }
        Ok((registers, is_dense))
    }
}

impl Rounds for Together {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        match self.state {
            State::Begun => {
                self.state = State::Fetched;
                Ok(Round::Ask(std::mem::take(&mut self.asks)))
            }
            State::Fetched => {
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
