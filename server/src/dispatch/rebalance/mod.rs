//! Moving slots between cores while the server serves: the work of the core that drives it ([`Job`]), the moves that make it up
//! ([`legs`]), and the steps of one standstill ([`rounds`]).
//!
//! A few slots at a time move in a standstill of all cores of some milliseconds, when nothing begun before it is under way:
//! decision 0009 says why that is needed and what it keeps. Whoever keeps a core's number for a key across turns has to ask itself
//! what happens when the slot moves: what is queued for `EXEC`, and who waits for keys, compare `SlotMap::version`.

pub(super) mod legs;
pub(super) mod rounds;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use self::legs::Leg;
use self::rounds::Outcome;
use crate::routing::Slot;

/// Slots that move at a time: at first, and at most.
const BATCH_SLOTS: (usize, usize) = (4, 64);
/// How long a standstill should take: fewer slots move at a time beyond it, more below half of it.
const STANDSTILL_US: u64 = 4000;
/// Between two standstills.
const REST_MS: u64 = 5;
/// Before slots are tried again whose commands waited for a client to read.
const RETRY_MS: u64 = 50;
/// Times that they are tried.
const RETRIES_MAX: u32 = 200;

/// A rebalance under way, on the core that drives it.
pub(in crate::dispatch) struct Job {
    /// The first is under way.
    legs: VecDeque<Leg>,
    stage: Stage,
    /// Slots that move in the next standstill.
    batch_slots: usize,
    retries: u32,
}

impl Job {
    /// One of these legs, the first of which begins, or which are yet to be found (`stage`).
    pub(in crate::dispatch) fn new(legs: VecDeque<Leg>, stage: Stage) -> Self {
        Self {
            legs,
            stage,
            batch_slots: BATCH_SLOTS.0,
            retries: 0,
        }
    }

    /// How far the leg is that is under way.
    pub(in crate::dispatch) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The leg that is under way has come so far.
    pub(in crate::dispatch) fn come_to(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Its legs have been found.
    pub(in crate::dispatch) fn begin_legs(&mut self, legs: VecDeque<Leg>) {
        self.legs = legs;
        self.stage = Stage::Beginning;
    }

    /// The leg that is under way, if all are not over.
    pub(in crate::dispatch) fn leg(&self) -> Option<&Leg> {
        self.legs.front()
    }

    /// It is over, and the next one begins.
    pub(in crate::dispatch) fn end_leg(&mut self) {
        self.legs.pop_front();
        self.stage = Stage::Beginning;
    }

    /// Slots of all legs that have yet to move.
    pub(in crate::dispatch) fn slots_left(&self) -> usize {
        self.legs.iter().map(|leg| leg.slots.len()).sum()
    }

    /// The slots of a leg that move in the next standstill.
    pub(in crate::dispatch) fn next_slots(&self, leg: &Leg) -> Vec<Slot> {
        leg.slots.iter().take(self.batch_slots).copied().collect()
    }

    /// They have moved, in a standstill of `took_us`. How many they were. If it was long, fewer move in the next.
    pub(in crate::dispatch) fn note_moved(&mut self, took_us: u64, now_ms: u64) -> usize {
        let leg = self.legs.front_mut().expect("a leg is under way");
        let moved = leg.slots.len().min(self.batch_slots);
        leg.slots.drain(..moved);
        if took_us > STANDSTILL_US {
            self.batch_slots = (self.batch_slots / 2).max(1);
        } else if took_us < STANDSTILL_US / 2 {
            self.batch_slots = (self.batch_slots * 2).min(BATCH_SLOTS.1);
        }
        self.retries = 0;
        self.stage = Stage::Resting {
            until_ms: now_ms + REST_MS,
        };
        moved
    }

    /// They could not move, since a client has to read first. Whether they are tried again.
    pub(in crate::dispatch) fn tries_again(&mut self, now_ms: u64) -> bool {
        if self.retries == RETRIES_MAX {
            return false;
        }
        self.retries += 1;
        self.stage = Stage::Resting {
            until_ms: now_ms + RETRY_MS,
        };
        true
    }
}

/// How far a leg is.
pub(in crate::dispatch) enum Stage {
    /// The load of each core was this when the measuring began.
    Measuring { until_ms: u64, before: Vec<u64> },
    /// The next leg is to begin.
    Beginning,
    /// Its giver collects the keys.
    Collecting,
    /// The next slots move then.
    Resting { until_ms: u64 },
    /// Large collections of these slots go ahead.
    GoingAhead {
        slots: Vec<Slot>,
        is_over: Rc<Cell<bool>>,
    },
    /// These slots move.
    Moving {
        outcome: Rc<RefCell<Option<Outcome>>>,
        began_us: u64,
    },
}
