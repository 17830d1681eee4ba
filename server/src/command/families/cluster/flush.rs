//! `CLUSTER FLUSHSLOT`, of Valkey, and `TRIMSLOTS`, of Redis: the keys of slots removed.
//!
//! There is no index by slot (see [`super::keys`]): the core that owns a slot walks its keys and removes those of the slot, in one step.

use larder_engine::{DbIndex, Event, ScanCursor, Shard};

use super::ranges::{parse_ranges, parse_slot};
use crate::command::families::fetch;
use crate::command::{Args, CoreCall, SessionCall};
use crate::resp::Reply;
use crate::resp::errors::{self, CommandResult};
use crate::routing::Slot;
use crate::session::Endpoint;

/// Entries visited between two removals.
const STEP_ENTRIES: usize = 1000;

/// A core's part of `CLUSTER FLUSHSLOT`.
pub(super) fn slot_part(call: &mut CoreCall<'_>) {
    match flush_slot(call) {
        Ok(()) => fetch::succeed(call.out),
        Err(error) => fetch::fail(call.out, &error),
    }
}

fn flush_slot(call: &mut CoreCall<'_>) -> CommandResult {
    if call.core.shared.core_ports().is_none() {
        return Err(errors::CLUSTER_DISABLED);
    }
    let args = call.args;
    if args.len() > 4 {
        return Err(errors::subcommand_syntax(args.at(0), args.at(1)));
    }
    let slot = parse_slot(args.at(2))?;
    if args.len() == 4 && !args.is(3, "async") && !args.is(3, "sync") {
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
