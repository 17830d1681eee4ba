//! Drives the moving of slots ([`crate::dispatch::rebalance`]). See `docs/decisions/0009-moving-slots.md`.
//!
//! The core that was asked drives the work, a leg after the other: slots of one core that go to another. A leg begins with
//! the giver's collecting the keys, beside its work; then a few slots move at a time, so that nobody waits long, each time in
//! a standstill of all cores ([`crate::dispatch::rebalance::rounds`]).

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::command::moving::{self, Goal};
use crate::command::{CommandTable, CoreFn};
use crate::dispatch::core::Core;
use crate::dispatch::gather::Gather;
use crate::dispatch::mail::batch::{Batch, Request};
use crate::dispatch::mail::requests::Work;
use crate::dispatch::rebalance::legs::{by_load, legs, loads};
use crate::dispatch::rebalance::rounds::{AheadRounds, MoveRounds, Outcome};
use crate::dispatch::rebalance::{Job, Stage};
use crate::dispatch::run::kept_args::KeptArgs;
use crate::dispatch::run::recipient::Recipient;
use crate::routing::{CoreId, Slot};

/// For how long the load of cores is looked at.
const MEASURE_MS: u64 = 1000;

impl Core {
    /// Whether there is anything to do about moving slots at the end of this turn.
    #[inline]
    pub(super) fn has_slots_to_move(&self) -> bool {
        self.job.is_some() | self.state.moving.is_concerned()
    }

    /// What is to be done about moving slots at the end of a turn.
    #[cold]
    pub(super) fn tend_moving(&mut self, now_ms: u64) {
        if self.state.moving.stands_still() {
            self.become_quiet();
        }
        if let Some(order) = self.state.moving.take_order() {
            self.begin_rebalance(order, now_ms);
        }
        if let Some(job) = self.job.take() {
            self.job = self.go_on_rebalancing(job, now_ms);
        }
    }

    /// Tells the others that nothing by the old table comes any more, and runs what has come from them and waits.
    fn become_quiet(&mut self) {
        let others = self.state.shared.cores() - 1;
        if !self.has_work_under_way() && self.state.moving.takes_leave() {
            let own = self.state.id;
            for core in (0..=others).map(CoreId).filter(|core| *core != own) {
                self.tell(core, moving::take_mark, &[]);
            }
        }
        // What came before the last mark is here. It has run, or is set aside, or waits yet: for a script, or for the attempt of
        // a client that was woken.
        let has_all = self.state.moving.has_left()
            && self.state.moving.has_marks_of(others)
            && !self.scripts.has_any()
            && self.locks.is_empty();
        if has_all {
            let slots = self.state.moving.slots();
            let is_held_up = self
                .debts
                .any_aside(|batch, request| touches(batch, request, slots));
            self.state.moving.note_quiet(is_held_up);
        }
    }

    fn begin_rebalance(&mut self, order: Goal, now_ms: u64) {
        let shared = &self.state.shared;
        let progress = &shared.rebalance;
        for number in [
            &progress.slots_moved,
            &progress.keys_moved,
            &progress.retries,
            &progress.longest_pause_us,
        ] {
            number.store(0, Ordering::Relaxed);
        }
        progress.failure.store(Arc::default());
        let stage = match order {
            Goal::ByLoad => Stage::Measuring {
                until_ms: now_ms + MEASURE_MS,
                before: loads(shared),
            },
            Goal::To(..) | Goal::Even => Stage::Beginning,
        };
        let even = crate::routing::SlotMap::even(shared.cores());
        let moves: Vec<(Slot, CoreId)> = match order {
            Goal::To(slots, core) => slots.into_iter().map(|slot| (slot, core)).collect(),
            Goal::Even => Slot::all().map(|slot| (slot, even.owner(slot))).collect(),
            Goal::ByLoad => Vec::new(),
        };
        self.job = Some(Job::new(legs(shared, moves), stage));
    }

    /// The next step of a rebalance; none when it is over.
    fn go_on_rebalancing(&mut self, mut job: Job, now_ms: u64) -> Option<Job> {
        let shared = Arc::clone(&self.state.shared);
        let left = job.slots_left() as u64;
        let progress = &shared.rebalance;
        progress.slots_left.store(left, Ordering::Relaxed);
        match *job.stage() {
            Stage::Measuring { until_ms, .. } if now_ms < until_ms => {}
            Stage::Measuring { ref before, .. } => {
                let moves = by_load(&shared, before);
                job.begin_legs(legs(&shared, moves));
            }
            Stage::Beginning => {
                let Some(leg) = job.leg() else {
                    progress.busy.store(false, Ordering::Release);
                    return None;
                };
                progress.collecting.store(1, Ordering::Release);
                let slots: Vec<Slot> = leg.slots.iter().copied().collect();
                self.have_done(leg.giver, moving::collect, &moving::slots_argument(&slots));
                job.come_to(Stage::Collecting);
            }
            Stage::Collecting if progress.collecting.load(Ordering::Acquire) > 0 => {}
            Stage::Collecting => job.come_to(Stage::Resting { until_ms: now_ms }),
            Stage::Resting { until_ms } if now_ms < until_ms => {}
            Stage::Resting { .. } => self.begin_batch(&mut job),
            Stage::GoingAhead { ref is_over, .. } if !is_over.get() => {}
            Stage::GoingAhead { ref slots, .. } => {
                let slots = slots.clone();
                self.begin_standstill(&mut job, slots);
            }
            Stage::Moving {
                ref outcome,
                began_us,
            } => {
                let Some(outcome) = outcome.take() else {
                    return Some(job);
                };
                let took_us = self.state.clock.monotonic_us.saturating_sub(began_us);
                return self.end_batch(job, outcome, took_us, now_ms);
            }
        }
        Some(job)
    }

    /// Begins to move the next slots, or ends the leg.
    fn begin_batch(&mut self, job: &mut Job) {
        let leg = job.leg().expect("a leg is under way");
        if leg.slots.is_empty() {
            self.have_done(leg.giver, moving::end_collecting, &[]);
            return job.end_leg();
        }
        let slots = job.next_slots(leg);
        let (way, is_over) = ((leg.giver, leg.taker), Rc::default());
        let rounds = AheadRounds::new(slots.clone(), way, Rc::clone(&is_over));
        job.come_to(Stage::GoingAhead { slots, is_over });
        let recipient = Recipient::nobody(CommandTable::rebalance());
        self.run_rounds(
            None,
            Gather::in_rounds(recipient, Box::new(rounds), KeptArgs::default()),
        );
    }

    /// Moves these slots, while all stand still.
    fn begin_standstill(&mut self, job: &mut Job, slots: Vec<Slot>) {
        let leg = job.leg().expect("a leg is under way");
        let way = (leg.giver, leg.taker);
        let outcome = Rc::default();
        let shared = Arc::clone(&self.state.shared);
        let rounds = MoveRounds::new(shared, slots, way, Rc::clone(&outcome));
        job.come_to(Stage::Moving {
            outcome,
            began_us: self.state.clock.monotonic_us,
        });
        let recipient = Recipient::nobody(CommandTable::rebalance());
        self.run_rounds(
            None,
            Gather::in_rounds(recipient, Box::new(rounds), KeptArgs::default()),
        );
    }

    /// Slots have moved, or have not: what comes next.
    fn end_batch(
        &mut self,
        mut job: Job,
        outcome: Outcome,
        took_us: u64,
        now_ms: u64,
    ) -> Option<Job> {
        let shared = Arc::clone(&self.state.shared);
        let progress = &shared.rebalance;
        progress
            .longest_pause_us
            .fetch_max(took_us, Ordering::Relaxed);
        let failure = match outcome {
            Outcome::Moved(entries) => {
                let moved = job.note_moved(took_us, now_ms);
                progress
                    .slots_moved
                    .fetch_add(moved as u64, Ordering::Relaxed);
                progress.keys_moved.fetch_add(entries, Ordering::Relaxed);
                return Some(job);
            }
            Outcome::HeldUp if job.tries_again(now_ms) => {
                progress.retries.fetch_add(1, Ordering::Relaxed);
                return Some(job);
            }
            Outcome::HeldUp => "a client does not read what it asked for".to_owned(),
            Outcome::Failed(error) => String::from_utf8_lossy(error.text()).into_owned(),
        };
        let leg = job.leg().expect("a leg is under way");
        self.have_done(leg.giver, moving::end_collecting, &[]);
        progress.failure.store(Arc::new(failure));
        progress.slots_left.store(0, Ordering::Relaxed);
        progress.busy.store(false, Ordering::Release);
        None
    }

    /// Has a core, perhaps this one, do something. No answer comes.
    fn have_done(&mut self, core: CoreId, run: CoreFn, argument: &[u8]) {
        if core == self.state.id {
            self.run_part_here(run, argument);
        } else {
            self.tell(core, run, &[argument]);
        }
    }

    /// When the rebalance that this core drives needs a turn.
    #[inline]
    pub(super) fn rebalance_wake_ms(&self) -> Option<u64> {
        self.job.as_ref().and_then(|job| self.wake_for(job))
    }

    #[cold]
    fn wake_for(&self, job: &Job) -> Option<u64> {
        let now_ms = self.state.clock.monotonic_ms();
        match *job.stage() {
            Stage::Measuring { until_ms, .. } | Stage::Resting { until_ms } => {
                Some(until_ms.max(now_ms))
            }
            Stage::Beginning => Some(now_ms),
            Stage::Collecting => Some(now_ms + 1),
            Stage::GoingAhead { ref is_over, .. } => is_over.get().then_some(now_ms),
            Stage::Moving { ref outcome, .. } => outcome.borrow().is_some().then_some(now_ms),
        }
    }
}

/// Whether a request concerns keys of some of these slots.
fn touches(batch: &Batch, request: &Request, slots: &[Slot]) -> bool {
    let Work::Command(command) = request.head.work else {
        return false;
    };
    let args = batch.args(request);
    let mut keys = command.spec.keys.positions(&args).map(|at| args.at(at));
    keys.any(|key| slots.contains(&Slot::of(key)))
}
