//! Which slots move, and from where to where.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use crate::routing::{CoreId, Slot};
use crate::shared::Shared;

/// Slots of a leg: their keys are in memory twice for its time.
const LEG_SLOTS: usize = 1024;
/// A core gives slots if it does more than this many hundredths of its share.
const OVERLOAD_PERCENT: u64 = 110;

/// Slots of one core that go to another: values.
#[derive(Debug)]
pub(in crate::dispatch) struct Leg {
    pub(in crate::dispatch) giver: CoreId,
    pub(in crate::dispatch) taker: CoreId,
    pub(in crate::dispatch) slots: VecDeque<Slot>,
}

/// What each core has done so far, in microseconds.
pub(in crate::dispatch) fn loads(shared: &Shared) -> Vec<u64> {
    let cores = (0..shared.cores()).map(CoreId);
    cores
        .map(|core| shared.gauges(core).busy_us.load(Ordering::Relaxed))
        .collect()
}

/// Moves by which all cores would do as much as they do together, had all slots of a core an equal part in what it did
/// since `before`.
pub(in crate::dispatch) fn by_load(shared: &Shared, before: &[u64]) -> Vec<(Slot, CoreId)> {
    let now = loads(shared);
    let done: Vec<u64> = now
        .iter()
        .zip(before)
        .map(|(now, before)| now.saturating_sub(*before))
        .collect();
    let share = done.iter().sum::<u64>() / done.len() as u64;
    let mut room: Vec<(CoreId, u64)> = (0..shared.cores())
        .map(|core| (CoreId(core), share.saturating_sub(done[usize::from(core)])))
        .collect();
    let mut moves = Vec::new();
    for (core, &done) in done.iter().enumerate() {
        if done * 100 <= share * OVERLOAD_PERCENT {
            continue;
        }
        let own: Vec<Slot> = Slot::all()
            .filter(|slot| shared.slots.owner(*slot).index() == core)
            .collect();
        let all = own.len().max(1) as u64;
        // Each may take less than a microsecond.
        let slots_that_take = |micros: u64| (micros * all / done) as usize;
        // The last ones, so that what stays is in one piece.
        let mut give = own.into_iter().rev().take(slots_that_take(done - share));
        for (taker, room) in &mut room {
            let count = slots_that_take(*room);
            *room -= count as u64 * done / all;
            moves.extend(give.by_ref().take(count).map(|slot| (slot, *taker)));
        }
    }
    moves
}

/// Moves as legs; those to where the slot is already are left out.
pub(in crate::dispatch) fn legs(shared: &Shared, mut moves: Vec<(Slot, CoreId)>) -> VecDeque<Leg> {
    moves.retain(|(slot, taker)| shared.slots.owner(*slot) != *taker);
    moves.sort_unstable_by_key(|(slot, taker)| (shared.slots.owner(*slot), *taker, *slot));
    let mut legs: VecDeque<Leg> = VecDeque::new();
    for (slot, taker) in moves {
        let giver = shared.slots.owner(slot);
        match legs.back_mut() {
            Some(leg)
                if (leg.giver, leg.taker) == (giver, taker) && leg.slots.len() < LEG_SLOTS =>
            {
                leg.slots.push_back(slot);
            }
            _ => legs.push_back(Leg {
                giver,
                taker,
                slots: VecDeque::from([slot]),
            }),
        }
    }
    legs
}
