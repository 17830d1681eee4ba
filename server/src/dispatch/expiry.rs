//! When the expiry hand moves: at the end of each turn in which something is due, and a core that has nothing else to do
//! wakes for it.
//!
//! A step is bounded by its budget and by what the turn's writes have paid ([`Shard::expire_cycle`](larder_engine::Shard::expire_cycle)); if
//! that ends it, the next turn comes at once, and serves whoever has sent something before it goes on.
//!
//! For a script time stands still. While some wait in their midst, only what was dead when the oldest began is removed:
//! one that goes on for long holds expiry up, as in Redis, and any number of short ones do not.

use std::time::Instant;

use larder_engine::UnixMillis;

use super::core::Core;
use super::limits::{EXPIRE_BUDGET_ENTRIES, PERIOD_MS};

impl Core {
    /// Whether entries may be removed by themselves.
    fn may_expire(&self) -> bool {
        // What is given to another core expires there.
        self.state.active_expire && !self.state.moving.stands_still()
    }

    /// The time that decides which entries are removed by themselves.
    fn expiry_time(&self) -> UnixMillis {
        let now = self.state.shard.now();
        self.oldest_script_time().map_or(now, |time| time.min(now))
    }

    /// A step of the expiry hand, if something is due. Whether more is, so that the next turn should not wait.
    pub(super) fn expire(&mut self) -> bool {
        let due_at = self.state.shard.expiry_due_at();
        let now = self.state.shard.now();
        if due_at > now || !self.may_expire() || self.is_paused() {
            return false;
        }
        let as_of = self.expiry_time();
        if due_at > as_of {
            return false;
        }
        let began = Instant::now();
        let shard = &mut self.state.shard;
        shard.set_now(as_of);
        let step = shard.expire_cycle(EXPIRE_BUDGET_ENTRIES);
        shard.set_now(now);
        let time = began.elapsed();
        self.timing.took_apart(time);
        let stats = &mut self.state.stats;
        stats.expiry_nanos += u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        stats.expiry_steps_cut_short += u64::from(step.is_cut_short);
        step.is_cut_short
    }

    fn is_paused(&self) -> bool {
        self.state.pauses().contains(&true)
    }

    /// When the core needs a turn to expire something, in milliseconds of the monotonic clock.
    pub(super) fn expiry_wake_ms(&self) -> Option<u64> {
        let shard = &self.state.shard;
        let due_at = shard.expiry_due_at();
        if due_at.0 == i64::MAX || !self.may_expire() {
            return None;
        }
        if due_at <= shard.now() && due_at > self.expiry_time() {
            // The script that it waits for brings turns about as it goes on.
            return None;
        }
        let wait_ms = u64::try_from(due_at.0.saturating_sub(shard.now().0)).unwrap_or(0);
        // The end of a pause may come with any turn of another core.
        let least_ms = if self.is_paused() { PERIOD_MS } else { 0 };
        let now_ms = self.state.clock.monotonic_ms();
        Some(now_ms.saturating_add(wait_ms.max(least_ms)))
    }
}
