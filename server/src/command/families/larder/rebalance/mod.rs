//! `LARDER REBALANCE`: moves slots from core to core while the server serves.
//!
//! The command begins the work and answers at once; [`moving`] is what each core does of it, and `dispatch::rebalance`
//! drives it. One rebalance is under way at a time.

pub mod ahead;
pub mod moving;

use std::sync::atomic::Ordering;

use larder_engine::parse_canonical_i64;

use crate::command::{Args, CommandSpec, Flags, Group, Run, SessionCall};
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};
use crate::routing::{CoreId, Slot};
use crate::shared::Shared;
use moving::Goal;

pub(super) const SPEC: CommandSpec = CommandSpec {
    name: "larder|rebalance",
    arity: -2,
    flags: Flags::ADMIN.with(Flags::NOSCRIPT),
    group: Group::Server,
    since: super::LARDER_ITSELF,
    syntax: "[EVEN | STATUS | MOVE <slot | first-last> [<slot | first-last> ...] core]",
    summary: "Begins to move slots from busy cores to others, to where they were at start, or to a core; or tells how far \
        that is.",
    complexity: "O(1); in the background O(N), where N is the number of keys of the cores that give slots.",
    run: Run::OnSession(rebalance),
    ..CommandSpec::BASE
};

fn rebalance(call: &mut SessionCall<'_>) -> CommandResult {
    let args = call.args;
    let order = match args.len() {
        2 => Goal::ByLoad,
        3 if args.is(2, "status") => return status(call),
        3 if args.is(2, "even") => Goal::Even,
        5.. if args.is(2, "move") => parse_move(&args, &call.core.shared)?,
        _ => return Err(errors::SYNTAX),
    };
    let shared = &call.core.shared;
    if shared.cores() == 1 {
        return Err(errors::ONE_CORE);
    }
    if shared.rebalance.busy.swap(true, Ordering::AcqRel) {
        return Err(errors::REBALANCING);
    }
    call.core.moving.order(order);
    call.reply(|reply| reply.ok());
    Ok(())
}

fn parse_move(args: &Args<'_>, shared: &Shared) -> Result<Goal, ErrorReply> {
    let last = args.len() - 1;
    let core = parse_canonical_i64(args.at(last))
        .and_then(|core| u16::try_from(core).ok())
        .filter(|core| *core < shared.cores())
        .ok_or(errors::INVALID_CORE)?;
    let mut slots = Vec::new();
    for at in 3..last {
        let (first, end) = parse_range(args.at(at)).ok_or(errors::INVALID_SLOT)?;
        slots.extend((first.number()..=end.number()).filter_map(|slot| Slot::new(slot.into())));
    }
    slots.sort_unstable();
    slots.dedup();
    Ok(Goal::To(slots, CoreId(core)))
}

/// `5` or `5-9`.
fn parse_range(text: &[u8]) -> Option<(Slot, Slot)> {
    let slot = |text: &[u8]| parse_canonical_i64(text).and_then(Slot::new);
    match text.iter().position(|byte| *byte == b'-') {
        Some(at) => {
            let (first, last) = (slot(&text[..at])?, slot(&text[at + 1..])?);
            (first <= last).then_some((first, last))
        }
        None => Some((slot(text)?, slot(text)?)),
    }
}

fn status(call: &mut SessionCall<'_>) -> CommandResult {
    let shared = std::sync::Arc::clone(&call.core.shared);
    let rebalance = &shared.rebalance;
    let read = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
    let state = match (
        rebalance.busy.load(Ordering::Acquire),
        rebalance.failure.load().as_str(),
    ) {
        (true, _) => "moving".to_owned(),
        (false, "") => "idle".to_owned(),
        (false, failure) => format!("failed: {failure}"),
    };
    let numbers = [
        ("slots_left", read(&rebalance.slots_left)),
        ("slots_moved", read(&rebalance.slots_moved)),
        ("keys_moved", read(&rebalance.keys_moved)),
        ("retries", read(&rebalance.retries)),
        ("longest_pause_us", read(&rebalance.longest_pause_us)),
        ("map_version", shared.slots.version()),
    ];
    let ranges = shared.slots.ranges();
    call.reply(|reply| {
        reply.map(2 + numbers.len());
        reply.text("state");
        reply.text(&state);
        for (name, number) in numbers {
            reply.text(name);
            reply.count(number);
        }
        reply.text("slots_by_core");
        reply.array(usize::from(shared.cores()));
        for core in (0..shared.cores()).map(CoreId) {
            let own = ranges.iter().filter(|range| range.owner == core);
            let count = own.map(|range| u64::from(range.last.number() - range.first.number()) + 1);
            reply.count(count.sum());
        }
    });
    Ok(())
}
