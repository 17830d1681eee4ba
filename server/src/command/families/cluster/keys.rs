//! `CLUSTER COUNTKEYSINSLOT` and `GETKEYSINSLOT`: the keys of one slot.
//!
//! There is no index by slot: it would cost every key some bytes for two commands of operators. The core that owns the
//! slot walks its table, and does nothing else meanwhile. Cost: a look at every key of that core in the selected
//! database, about 0.1 s for a million keys; `GETKEYSINSLOT` ends when it has found as many as were asked for.
//!
//! The slot may move while the question is on its way: then the core asked says who owns it now, and that one is asked.

use larder_engine::{ScanCursor, parse_canonical_i64};

use super::super::transfer::Answer;
use crate::command::{Args, CoreCall, CoreRequest, Round, Rounds};
use crate::resp::errors;
use crate::resp::{ErrorReply, Protocol, Reply};
use crate::routing::{CoreId, Slot, SlotMap};

/// Entries visited between two looks at whether enough keys are found.
const STEP_ENTRIES: usize = 1000;

/// Begins `CLUSTER COUNTKEYSINSLOT`.
pub(super) fn count(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(Box::new(OfSlot::new(args, slots, count_part)))
}

/// Begins `CLUSTER GETKEYSINSLOT`.
pub(super) fn get(args: &Args<'_>, slots: &SlotMap) -> Result<Box<dyn Rounds>, ErrorReply> {
    Ok(Box::new(OfSlot::new(args, slots, get_part)))
}

/// A question to the owner of a slot. Whether it makes sense the core asked says: here it is not known whether there is
/// a cluster at all.
struct OfSlot {
    request: Option<CoreRequest>,
    /// To ask again, should the slot have moved.
    args: Vec<Vec<u8>>,
    run: fn(&mut CoreCall<'_>),
}

impl OfSlot {
    fn new(args: &Args<'_>, slots: &SlotMap, run: fn(&mut CoreCall<'_>)) -> Self {
        let slot = parse_canonical_i64(args.at(2)).and_then(Slot::new);
        let args: Vec<Vec<u8>> = args.iter_from(2).map(<[u8]>::to_vec).collect();
        Self {
            request: Some(CoreRequest {
                core: slot.map_or(CoreId(0), |slot| slots.owner(slot)),
                run,
                args: args.clone(),
            }),
            args,
            run,
        }
    }
}

impl Rounds for OfSlot {
    fn next(&mut self, answers: &[&[u8]], reply: &mut Reply<'_>) -> Result<Round, ErrorReply> {
        if let Some(request) = self.request.take() {
            return Ok(Round::Ask(vec![request]));
        }
        match Answer::of(answers[0])? {
            Answer::Yes([OWNER_IS, owner @ ..]) => {
                let owner = owner.try_into().expect("a core's number is two bytes");
                Ok(Round::Ask(vec![CoreRequest {
                    core: CoreId(u16::from_le_bytes(owner)),
                    run: self.run,
                    args: self.args.clone(),
                }]))
            }
            Answer::Yes([_, encoded @ ..]) => {
                reply.raw(encoded);
                Ok(Round::Done)
            }
            _ => unreachable!("the core asked answers or fails"),
        }
    }
}

/// Begins the answer of a core that does not own the slot: who does.
const OWNER_IS: u8 = 0;
/// Begins the answer of the owner: the reply.
const REPLY_IS: u8 = 1;

fn count_part(call: &mut CoreCall<'_>) {
    let slot = parse(call.args.at(0)).and_then(|slot| slot.ok_or(errors::INVALID_SLOT));
    answer(call, slot, |call, slot| {
        let mut keys = 0;
        walk(call, slot, usize::MAX, &mut |_| keys += 1);
        Reply::new(call.out, Protocol::Resp2).integer(keys);
    });
}

fn get_part(call: &mut CoreCall<'_>) {
    let count = parse_canonical_i64(call.args.at(1)).ok_or(errors::NOT_AN_INTEGER);
    let slot = parse(call.args.at(0)).and_then(|slot| match (slot, count) {
        (Some(slot), Ok(count)) if count >= 0 => Ok((slot, count as usize)),
        (_, Err(error)) => Err(error),
        _ => Err(errors::INVALID_SLOT_OR_COUNT),
    });
    let count = slot.as_ref().map_or(0, |(_, count)| *count);
    answer(call, slot.map(|(slot, _)| slot), |call, slot| {
        let mut keys: Vec<Box<[u8]>> = Vec::new();
        walk(call, slot, count, &mut |key| {
            if keys.len() < count {
                keys.push(key.into());
            }
        });
        let mut reply = Reply::new(call.out, Protocol::Resp2);
        reply.array(keys.len());
        keys.iter().for_each(|key| reply.bulk(key));
    });
}

/// The slot of this number; none if there is none.
fn parse(text: &[u8]) -> Result<Option<Slot>, ErrorReply> {
    let number = parse_canonical_i64(text).ok_or(errors::NOT_AN_INTEGER)?;
    Ok(Slot::new(number))
}

/// Answers about `slot`, unless another core owns it.
fn answer(
    call: &mut CoreCall<'_>,
    slot: Result<Slot, ErrorReply>,
    write: impl FnOnce(&mut CoreCall<'_>, Slot),
) {
    if call.core.shared.core_ports().is_none() {
        return Answer::failed(call.out, &errors::CLUSTER_DISABLED);
    }
    let slot = match slot {
        Ok(slot) => slot,
        Err(error) => return Answer::failed(call.out, &error),
    };
    let owner = call.core.shared.slots.owner(slot);
    if owner != call.core.id {
        return Answer::yes(call.out, |out| {
            out.push(OWNER_IS);
            out.extend_from_slice(&owner.0.to_le_bytes());
        });
    }
    Answer::yes(call.out, |out| out.push(REPLY_IS));
    write(call, slot);
}

/// Visits keys of a slot until about `enough` of them are found.
fn walk(call: &mut CoreCall<'_>, slot: Slot, enough: usize, visit: &mut dyn FnMut(&[u8])) {
    let mut found = 0;
    let mut cursor = ScanCursor(0);
    while found < enough {
        cursor = call
            .core
            .shard
            .scan(call.db, cursor, STEP_ENTRIES, &mut |entry| {
                if Slot::of(entry.key()) == slot {
                    found += 1;
                    visit(entry.key());
                }
            });
        if cursor == ScanCursor(0) {
            return;
        }
    }
}
