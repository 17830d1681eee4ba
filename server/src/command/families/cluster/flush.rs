//! `CLUSTER FLUSHSLOT`, of Valkey, and `SFLUSH` and `TRIMSLOTS`, of Redis: the keys of slots removed.
//!
//! There is no index by slot (see [`super::keys`]): the core that owns a slot walks its keys and removes those of the slot, in one step.
//! `SFLUSH` empties the cores all of whose slots are named, each a node to Redis, and leaves the others as they are.

use larder_engine::{DbIndex, Event, ScanCursor, Shard};

use super::ranges::{parse_ranges, parse_slot};
use crate::command::families::fetch;
use crate::command::{Args, CoreCall, SessionCall};
use crate::observe::{PartReader, PartWriter};
use crate::resp::errors::{self, CommandResult};
use crate::resp::{ErrorReply, Reply};
use crate::routing::Slot;
use crate::session::Endpoint;

/// Entries visited between two removals.
const STEP_ENTRIES: usize = 1000;

fn check_enabled(call: &CoreCall<'_>) -> CommandResult {
    match call.core.shared.core_ports() {
        Some(_) => Ok(()),
        None => Err(errors::CLUSTER_DISABLED),
    }
}

/// A core's part of `CLUSTER FLUSHSLOT`.
pub(super) fn slot_part(call: &mut CoreCall<'_>) {
    match flush_slot(call) {
        Ok(()) => fetch::succeed(call.out),
        Err(error) => fetch::fail(call.out, &error),
    }
}

fn flush_slot(call: &mut CoreCall<'_>) -> CommandResult {
    check_enabled(call)?;
    let slot = parse_slot(call.args.at(2))?;
    let is_known = match call.args.len() {
        3 => true,
        4 => call.args.is(3, "async") || call.args.is(3, "sync"),
        _ => false,
    };
    if !is_known {
        return Err(errors::SYNTAX);
    }
    let core = &mut *call.core;
    if core.shared.slots.owner(slot) == core.id {
        for db in (0..core.shard.databases()).map(DbIndex) {
            remove_keys_of(&mut core.shard, db, slot);
        }
    }
    Ok(())
}

/// Removes the keys of a slot, those that are visited in a step together.
fn remove_keys_of(shard: &mut Shard, db: DbIndex, slot: Slot) {
    let mut cursor = ScanCursor(0);
    let mut keys: Vec<Box<[u8]>> = Vec::new();
    loop {
        cursor = shard.scan(db, cursor, STEP_ENTRIES, &mut |entry| {
            if Slot::of(entry.key()) == slot {
                keys.push(entry.key().into());
            }
        });
        for key in keys.drain(..) {
            let key = shard.hasher().key(&key);
            shard.remove(db, key, Event::Del);
        }
        if cursor == ScanCursor(0) {
            return;
        }
    }
}

/// Makes the reply of `CLUSTER FLUSHSLOT`.
pub(super) fn slot_reply(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    for part in parts {
        fetch::outcome(part)?;
    }
    reply.ok();
    Ok(())
}

/// A core's part of `SFLUSH`: the ranges of its slots, if it was emptied.
pub(super) fn slots_part(call: &mut CoreCall<'_>) {
    match flush_slots(call) {
        Ok(ranges) => {
            fetch::succeed(call.out);
            let mut part = PartWriter(call.out);
            for (first, last) in ranges {
                part.number(first.into());
                part.number(last.into());
            }
        }
        Err(error) => fetch::fail(call.out, &error),
    }
}

fn flush_slots(call: &mut CoreCall<'_>) -> Result<Vec<(u16, u16)>, ErrorReply> {
    check_enabled(call)?;
    let args = call.args;
    let last = args.len() - 1;
    let has_mode = args.is(last, "sync") || args.is(last, "async");
    let end = if has_mode { last } else { args.len() };
    let named = parse_ranges(&args, (1, end), "sflush")?;
    let core = &mut *call.core;
    let ranges = core.shared.slots.ranges().into_iter();
    let own = ranges.filter(|range| range.owner == core.id);
    let own = own.map(|range| (range.first.number(), range.last.number()));
    let own: Vec<(u16, u16)> = own.collect();
    let mut slots = own.iter().flat_map(|&(first, last)| first..=last);
    if own.is_empty() || !slots.all(|slot| named[usize::from(slot)]) {
        return Ok(Vec::new());
    }
    for db in (0..core.shard.databases()).map(DbIndex) {
        if !core.shard.is_empty(db) {
            core.shard.flush(db);
        }
    }
    core.forget_everything_read(call.asking.as_deref_mut());
    Ok(own)
}

/// Makes the reply of `SFLUSH`: the ranges that were emptied, neighbours as one.
pub(super) fn slots_reply(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut ranges = Vec::new();
    for part in parts {
        let mut part = PartReader::new(fetch::outcome(part)?);
        while !part.is_at_end() {
            ranges.push((part.number(), part.number()));
        }
    }
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let is_next = before.1 + 1 == next.0;
        if is_next {
            before.1 = next.1;
        }
        is_next
    });
    reply.array(ranges.len());
    for (first, last) in ranges {
        reply.array(2);
        reply.count(first);
        reply.count(last);
    }
    Ok(())
}

/// `TRIMSLOTS`: refused for slots that are served where it is asked, and of others there is nothing to trim.
pub(super) fn trim(call: &mut SessionCall<'_>) -> CommandResult {
    let (args, core) = (call.args, &*call.core);
    if core.shared.core_ports().is_none() {
        return Err(errors::CLUSTER_DISABLED);
    }
    if !args.is(1, "ranges") {
        return Err(errors::TRIM_NO_RANGES);
    }
    let count = args.integer(2)?;
    let is_right = usize::try_from(count).is_ok_and(|count| {
        (1..=usize::from(crate::routing::SLOTS)).contains(&count) && args.len() == 3 + 2 * count
    });
    if !is_right {
        return Err(errors::TRIM_RANGES);
    }
    let named = parse_ranges(&args, (3, args.len()), "trimslots")?;
    let serves = |slot: &Slot| {
        call.session.peer.endpoint == Endpoint::Server || core.shared.slots.owner(*slot) == core.id
    };
    let mut slots = Slot::all().filter(|slot| named[usize::from(slot.number())]);
    if let Some(slot) = slots.find(serves) {
        return Err(errors::slot_is_served(slot.number()));
    }
    call.reply(|reply| reply.ok());
    Ok(())
}
