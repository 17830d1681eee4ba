//! `CLUSTER COUNTKEYSINSLOT` and `GETKEYSINSLOT`: the keys of one slot.
//!
//! There is no index by slot: it would cost every key some bytes for two commands of operators. The core that owns the slot looks at
//! every key that it has in the selected database, in steps ([`matching::find`]); `GETKEYSINSLOT` ends when it has found as many as
//! were asked for. All cores are asked at one place in the order, where they agree on whose the slot is.

use larder_engine::parse_canonical_i64;

use crate::command::families::fetch;
use crate::command::families::matching::{self, Wanted};
use crate::command::{Args, CoreCall, Walk, Walking, merge_joined};
use crate::resp::{ErrorReply, errors};
use crate::routing::Slot;

/// `CLUSTER COUNTKEYSINSLOT`, in steps.
pub(super) const COUNT: Walk = Walk {
    begin: count,
    merge: |args, parts, protocol| merge_joined(args, &parts, protocol, matching::add),
};

/// `CLUSTER GETKEYSINSLOT`, in steps.
pub(super) const GET: Walk = Walk {
    begin: get,
    merge: matching::concatenate_pieces,
};

/// Begins a core's part of `CLUSTER COUNTKEYSINSLOT`.
pub(super) fn count(call: &mut CoreCall<'_>) -> Option<Box<dyn Walking>> {
    let slot = parse(&call.args).and_then(|slot| slot.ok_or(errors::INVALID_SLOT));
    begin(call, slot.map(|slot| (slot, Wanted::Number)))
}

/// Begins a core's part of `CLUSTER GETKEYSINSLOT`.
pub(super) fn get(call: &mut CoreCall<'_>) -> Option<Box<dyn Walking>> {
    let count = parse_canonical_i64(call.args.at(3)).ok_or(errors::NOT_AN_INTEGER);
    let wanted = parse(&call.args).and_then(|slot| match (slot, count?) {
        (Some(slot), count @ 0..) => Ok((
            slot,
            Wanted::Names {
                most: count.unsigned_abs(),
            },
        )),
        _ => Err(errors::INVALID_SLOT_OR_COUNT),
    });
    begin(call, wanted)
}

/// The slot of the number that is named; none if there is none.
fn parse(args: &Args<'_>) -> Result<Option<Slot>, ErrorReply> {
    let number = parse_canonical_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    Ok(Slot::new(number))
}

/// Begins to find the keys of a slot, if this core owns it.
fn begin(
    call: &mut CoreCall<'_>,
    wanted: Result<(Slot, Wanted), ErrorReply>,
) -> Option<Box<dyn Walking>> {
    let wanted = match call.core.shared.core_ports() {
        Some(_) => wanted,
        None => Err(errors::CLUSTER_DISABLED),
    };
    match wanted {
        Err(error) => fetch::fail(call.out, &error),
        Ok((slot, wanted)) if call.core.shared.slots.owner(slot) == call.core.id => {
            let is_wanted = Box::new(move |key: &[u8]| Slot::of(key) == slot);
            return Some(matching::find(call, is_wanted, wanted));
        }
        Ok(_) => matching::begin_part(0, call.out),
    }
    None
}
