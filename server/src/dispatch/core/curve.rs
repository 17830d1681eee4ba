//! The miss-ratio curve of the core's shard: what room there is, and how often keys were found.
//!
//! ```text
//!  budget of the core = what it uses + its share of what is free under maxmemory
//!  room for entries with p % of the memory = p % of the budget − what is used besides entries
//! ```
//! What is used besides stays what it is, be the memory more or less. Without `maxmemory` the memory is what is used.

use larder_engine::evict::PERCENTS;

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
        let entries = self.state.shard.memory().entry_bytes;
        let besides = used.saturating_sub(entries);
        let room = PERCENTS.map(|percent| (budget / 100 * percent).saturating_sub(besides));
        self.state.shard.fit_curve(room);
        self.state.observed.curve_budget_bytes = budget;
        self.state.tell_lookups();
    }
}
