//! Moving slots between cores while the server serves: the work of the core that drives it ([`Job`]), the moves that make it up
//! ([`legs`]), and the steps of one standstill ([`rounds`]).
//!
//! A few slots at a time move in a standstill of all cores of some milliseconds, when nothing begun before it is under way:
//! decision 0009 says why that is needed and what it keeps. Whoever keeps a core's number for a key across turns has to ask itself
//! what happens when the slot moves: what is queued for `EXEC`, and who waits for keys, compare `SlotMap::version`.

pub(super) mod legs;
pub(super) mod rounds;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use self::legs::Leg;
use self::rounds::Outcome;

/// A rebalance under way, on the core that drives it.
pub(in crate::dispatch) struct Job {
    pub(in crate::dispatch) legs: VecDeque<Leg>,
    pub(in crate::dispatch) stage: Stage,
    pub(in crate::dispatch) batch_slots: usize,
    pub(in crate::dispatch) retries: u32,
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
    /// These slots move.
    Moving {
        outcome: Rc<RefCell<Option<Outcome>>>,
        began_us: u64,
    },
}
