//! Moving slots between cores: the work of the core that drives it ([`Job`]), the moves that make it up ([`legs`]), and the
//! steps of one standstill ([`rounds`]). See decision 0009.

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
