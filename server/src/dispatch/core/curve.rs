//! The miss-ratio curve of the core's shard: what room there is, and how often keys were found.
//!
//! ```text
//!  budget of the core = what it uses + its share of what is free under maxmemory
//!  room for entries with p % of the memory = p % of the budget − what is used besides entries then
//! ```
//! What is used besides stays what it is, be the memory more or less, but for what the policy holds, which is in proportion, and for the curve
//! itself, which has fewer keys to sample where there are fewer. Without `maxmemory` the memory is what is used.

use larder_engine::DbIndex;
use larder_engine::evict::PERCENTS;

use crate::command::entries_sampled;
use crate::dispatch::core::Core;

impl Core {
    /// Tells the shard's curve, if there is one, what room there is; about ten times a second.
    pub(super) fn follow_curve(&mut self) {
        if !self.state.shard.has_curve() {
            return;
        }
        let used = self.used_bytes();
        let free = match self.budget.is_limited() {
            true => self.state.shared.memory.free_bytes().max(0).cast_unsigned(),
            false => 0,
        };
        let budget = used + free / u64::from(self.state.shared.cores().max(1));
        let room = PERCENTS.map(|percent| self.room_with(percent, used, budget));
        self.state.shard.fit_curve(room);
        self.state.observed.curve_budget_bytes = budget;
        self.state.tell_lookups();
    }

    /// Bytes that entries may take with a part of the budget, of which so much is used now.
    fn room_with(&self, percent: u64, used: u64, budget: u64) -> u64 {
        let shard = &self.state.shard;
        let (of_policy, of_curve) = shard.eviction_overhead();
        let entry_bytes = shard.memory().entry_bytes;
        let stays = used.saturating_sub(entry_bytes + of_policy + of_curve);
        let entries: u64 = (0..shard.databases())
            .map(|db| shard.len(DbIndex(db)))
            .sum();
        let sampled = |percent: u64| {
            let memory_bytes = match self.budget.is_limited() {
                true => budget / 100 * percent,
                false => 0,
            };
            let wanted = entries_sampled(&self.state.config, memory_bytes);
            (entries * percent / 100).clamp(1, wanted.into())
        };
        let of_curve = of_curve as f64 / sampled(100) as f64 * sampled(percent) as f64;
        (budget / 100 * percent)
            .saturating_sub(stays + of_policy / 100 * percent)
            .saturating_sub(of_curve as u64)
    }
}
