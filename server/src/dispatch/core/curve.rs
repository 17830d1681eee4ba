//! What room entries of the core's shard have, by which its policy and its miss-ratio curve reckon, and how often keys were found.
//!
//! ```text
//!  holdable(limit) = limit − what counts of it that no core holds (code, stacks …)
//!  budget of the core = what it holds + its share of what is free         its part = budget ÷ holdable(maxmemory)
//!  room for entries with p % of the memory = its part × holdable(p % of maxmemory) − what it holds besides entries then
//! ```
//! What it holds besides, idle memory among it, stays what it is, be the memory more or less, but for what the policy holds, which is in proportion, and for the curve
//! itself, which has fewer keys to sample where there are fewer. Without `maxmemory` the memory is what is used.

use std::sync::atomic::Ordering;

use larder_engine::DbIndex;
use larder_engine::evict::{CurveOptions, PERCENTS};

use crate::command::entries_sampled;
use crate::dispatch::core::Core;
use crate::dispatch::core::memory::bytes_of;

/// What a core has of the memory.
struct Having {
    /// Bytes that it holds.
    held: u64,
    /// Those that it may hold.
    budget: u64,
    /// What these are of those that all cores may hold.
    part: f64,
}

impl Core {
    /// Tells the shard's policy and its curve, if there are such, what room there is; about ten times a second.
    pub(super) fn follow_room(&mut self) {
        if self.budget.is_limited() && self.state.shard.evicts() {
            let room = self.room_in_budget();
            self.state.shard.set_eviction_room(room);
        }
        if self.state.shard.has_curve() {
            self.follow_curve();
        }
    }

    /// Bytes that entries may take with what the core is to keep to: a policy that tries on a sample what it would miss is to try that with
    /// as many entries as there will be.
    fn room_in_budget(&self) -> u64 {
        let shared = &self.state.shared;
        let limit = self.state.config.maxmemory_bytes;
        let budget = match shared.gauges(self.state.id).budget.load(Ordering::Relaxed) {
            0 => limit / u64::from(shared.cores().max(1)),
            part => bytes_of(part, limit),
        };
        let holdable = self.holdable_bytes(100) as f64 / limit.max(1) as f64;
        let entry_bytes = self.state.shard.memory().entry_bytes;
        let besides = self.budget.leased().saturating_sub(entry_bytes);
        ((budget as f64 * holdable) as u64).saturating_sub(besides)
    }

    fn follow_curve(&mut self) {
        let having = self.having();
        let room = PERCENTS.map(|percent| self.room_with(percent, &having));
        self.state.shard.fit_curve(room);
        self.state.observed.curve_budget_bytes = match self.budget.is_limited() {
            true => (having.part * self.state.config.maxmemory_bytes as f64) as u64,
            false => having.budget,
        };
        self.state.tell_lookups();
    }

    fn having(&self) -> Having {
        if !self.budget.is_limited() {
            let used = self.used_bytes();
            return Having {
                held: used,
                budget: used,
                part: 1.0,
            };
        }
        let shared = &self.state.shared;
        let free = shared.memory.free_bytes().max(0).cast_unsigned();
        let held = self.budget.leased();
        let budget = held + free / u64::from(shared.cores().max(1));
        let holdable = self.holdable_bytes(100).max(1);
        Having {
            held,
            budget,
            part: (budget as f64 / holdable as f64).min(1.0),
        }
    }

    /// What all cores may hold together with a part of `maxmemory`.
    fn holdable_bytes(&self, percent: u64) -> u64 {
        let limit = self.state.config.maxmemory_bytes / 100 * percent;
        limit.saturating_sub(self.state.shared.resident.counted_bytes(limit))
    }

    /// Bytes that entries may take with a part of the memory.
    fn room_with(&self, percent: u64, having: &Having) -> u64 {
        let is_limited = self.budget.is_limited();
        let shard = &self.state.shard;
        let (of_policy, of_curve) = shard.eviction_overhead();
        let entry_bytes = shard.memory().entry_bytes;
        let stays = having
            .held
            .saturating_sub(entry_bytes + of_policy + of_curve);
        let budget = match is_limited {
            true => (having.part * self.holdable_bytes(percent) as f64) as u64,
            false => having.budget / 100 * percent,
        };
        let entries: u64 = (0..shard.databases())
            .map(|db| shard.len(DbIndex(db)))
            .sum();
        let curve_bytes = |percent: u64| {
            let memory_bytes = if is_limited {
                having.budget / 100 * percent
            } else {
                0
            };
            let wanted = entries_sampled(&self.state.config, memory_bytes);
            CurveOptions::bytes_for(wanted, entries * percent / 100).max(1) as f64
        };
        let of_curve = of_curve as f64 * curve_bytes(percent) / curve_bytes(100);
        budget.saturating_sub(stays + of_policy / 100 * percent + of_curve as u64)
    }
}
