//! Memory lent from core to core: who is beyond its budget evicts before others have to.
//!
//! ```text
//!  little is free, and so many entries have come ──▶ told ──▶ budgets anew, if enough has ──▶ who is beyond its own takes a turn
//!  the end of a turn, beyond the budget, little is free ──▶ some go, so that others find room
//! ```
//! Who is beyond its budget may have no commands of its own, and what it gives at once is used up long before budgets are found anew: so whoever
//! tells what came has it take a turn each time. How budgets come about is in [`crate::budget::lending`]. Without them whoever comes to write would evict its own entries, and each
//! core would keep for ever what it had taken when memory was short for the first time.

use std::sync::atomic::Ordering;

use super::evicting::take_a_turn;
use crate::budget::lending::{Told, WHOLE};
use crate::dispatch::core::Core;
use crate::dispatch::limits::{
    EVICTED_AT_END, GUARDED_BESIDES, LENT_AT_ONCE_BYTES, TIGHTENED_AT_ONCE,
};
use crate::routing::CoreId;

impl Core {
    /// Whether the core keeps to a budget of its own: it evicts, and there are others.
    #[inline(always)]
    pub(super) fn keeps_budget(&self) -> bool {
        self.state.shard.evicts() && self.state.shared.cores() > 1
    }

    /// At the end of a turn: if little is free and this core is beyond its budget, some of its entries go. Whether more should.
    #[inline]
    pub(super) fn keep_to_budget(&mut self) -> bool {
        let wanted = self.lent_at_once();
        let is_short = self.state.shared.memory.free_bytes() < wanted.cast_signed();
        let (came, _) = self.state.shard.came_total();
        if self.budget.is_time_to_tell(came) {
            self.tell_what_came();
            if is_short {
                self.lend();
            }
        }
        let budget = self.follow_budget();
        if !is_short {
            return false;
        }
        // As much more is no reason to act as a core may hold ahead.
        let beyond = self.budget.leased().saturating_sub(wanted);
        let beyond = beyond.saturating_sub(budget);
        if beyond == 0 || !self.holds_more_than_guarded() {
            return false;
        }
        let is_short = self.give_way(beyond, wanted);
        // Others ask for more as long as it is beyond.
        self.tell_what_came();
        is_short
    }

    /// Bytes that are to be free for others as long as a core is beyond its budget.
    fn lent_at_once(&self) -> u64 {
        self.budget.room_max().max(LENT_AT_ONCE_BYTES)
    }

    /// Whether it holds much besides what quotas guard, which is nobody else's.
    fn holds_more_than_guarded(&self) -> bool {
        let guarded = self.state.shard.guarded_bytes();
        guarded == 0 || self.used_bytes() > guarded + guarded / GUARDED_BESIDES
    }

    /// Beyond its budget by so much, gives idle memory back, and has entries go where that would not do, so that others find what is
    /// wanted. Whether more should.
    #[cold]
    fn give_way(&mut self, beyond: u64, wanted: u64) -> bool {
        let is_free = |core: &Self| core.state.shared.memory.free_bytes() >= wanted.cast_signed();
        let has_less = (0..TIGHTENED_AT_ONCE).all(|_| is_free(self) || self.tighten_leased());
        if !has_less && self.standing().idle < beyond && self.may_evict() {
            let before = self.state.shard.journal().set_moment(None);
            self.evict_some(wanted, EVICTED_AT_END);
            self.state.shard.journal().set_moment(before);
            self.tighten_leased();
        }
        !is_free(self)
    }

    /// Gives some of what is idle back, and its lease; whether that was any.
    fn tighten_leased(&mut self) -> bool {
        let leased = self.budget.leased();
        self.tighten();
        self.standing();
        self.budget.leased() < leased
    }

    /// The core's budget, which its policy reckons with; without one it may hold anything.
    fn follow_budget(&mut self) -> u64 {
        let gauges = self.state.shared.gauges(self.state.id);
        let budget = gauges.budget.load(Ordering::Relaxed);
        if budget == 0 {
            return u64::MAX;
        }
        let bytes = bytes_of(budget, self.state.config.maxmemory_bytes);
        if self.budget.follow(budget) {
            self.follow_room();
        }
        bytes
    }

    /// Tells the other cores what has come, and what there is.
    #[cold]
    fn tell_what_came(&mut self) {
        let (came, came_bytes) = self.state.shard.came_total();
        let told = Told {
            came,
            came_bytes,
            entries: self.state.shard.entries_total(),
            leased_bytes: self.budget.leased(),
        };
        self.state.shared.gauges(self.state.id).tell(&told);
    }

    /// Finds the budgets of all cores anew, if that is due. Others that are beyond their own take a turn.
    #[cold]
    fn lend(&mut self) {
        let shared = &self.state.shared;
        let cores = || (0..shared.cores()).map(CoreId);
        let told: Vec<Told> = cores().map(|core| shared.gauges(core).told()).collect();
        let maxmemory_bytes = self.state.config.maxmemory_bytes;
        if let Some(budgets) = shared.lending.settle(&told, maxmemory_bytes) {
            for (core, budget) in cores().zip(budgets) {
                shared.gauges(core).budget.store(budget, Ordering::Relaxed);
            }
        }
        let wanted = self.lent_at_once();
        let is_beyond = |core: CoreId, told: &Told| {
            let budget = shared.gauges(core).budget.load(Ordering::Relaxed);
            budget > 0 && told.leased_bytes > bytes_of(budget, maxmemory_bytes) + wanted
        };
        let beyond: Vec<CoreId> = cores()
            .zip(&told)
            .filter(|&(core, told)| core != self.state.id && is_beyond(core, told))
            .map(|(core, _)| core)
            .collect();
        for core in beyond {
            self.tell(core, take_a_turn, &[]);
        }
    }
}

/// Bytes of a budget.
pub(in crate::dispatch::core) fn bytes_of(budget: u64, maxmemory_bytes: u64) -> u64 {
    let bytes = u128::from(maxmemory_bytes) * u128::from(budget) / u128::from(WHOLE);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
