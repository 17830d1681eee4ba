//! Room made by evicting, where a policy says so.
//!
//! ```text
//!  a run of commands finds no room ──▶ entries of this core go until there is, then it runs
//!  a command weighed by itself, the pool overdrawn ──▶ the same, then it is refused if nothing could go
//!       └── this core has nothing that may go, others have ──▶ they take a turn, and it runs all the same
//!  the end of a turn, the pool overdrawn ──▶ some go, whoever has drawn so much
//! ```
//! What goes is this core's, in steps that are bounded. Keys that somebody has locked stay, and nothing goes while somebody has the whole
//! shard, or while clients are paused: as with what expires (`core/expiry.rs`).

use std::sync::atomic::Ordering;

use larder_engine::Evicted;

use crate::command::CoreCall;
use crate::dispatch::core::Core;
use crate::dispatch::limits::{EVICTED_AT_END, OVERDRAFT_SHARE, TEND_BUDGET};
use crate::routing::CoreId;

impl Core {
    /// Whether entries may be evicted.
    pub(super) fn may_evict(&self) -> bool {
        let is_paused = self.state.pauses().contains(&true);
        self.state.shard.evicts()
            && !is_paused
            && !self.locks.has_whole()
            && !self.state.moving.stands_still()
    }

    /// Evicts until the pool has so many bytes free, or nothing may go, or so many have gone as may at once. Whether there are so many.
    /// Whoever is to hear of what goes does so behind the next command, or at the turn's end: a session may be in hand.
    #[cold]
    pub(super) fn evict_for(&mut self, need: u64, most: u32) -> bool {
        if !self.may_evict() {
            return false;
        }
        let need = need.cast_signed();
        let before = self.state.shard.journal().set_moment(None);
        let mut has_more = true;
        let mut steps = 0;
        let is_free = loop {
            let used = self.used_bytes();
            let pool = &self.state.shared.memory;
            self.budget.fit(pool, used);
            if pool.free_bytes() >= need {
                break true;
            }
            if !has_more || steps >= most {
                break false;
            }
            steps += 1;
            let locks = &self.locks;
            let evicted = self.state.shard.evict(|hash| locks.has_key(hash));
            if evicted == Evicted::Nothing {
                // What was deleted before may be on its way.
                let held = self.state.shard.memory().used_bytes();
                self.state.shard.tend(TEND_BUDGET);
                has_more = self.state.shard.memory().used_bytes() < held;
            }
        };
        self.state.shard.journal().set_moment(before);
        is_free
    }

    /// At the end of a turn: if the cores use more than there is, some of this core's entries go. Whether more should.
    #[inline]
    pub(in crate::dispatch::core) fn evict_at_end(&mut self) -> bool {
        if !self.budget.is_limited() || !self.state.shard.evicts() {
            return false;
        }
        let gauges = self.state.shared.gauges(self.state.id);
        let evictable = self.state.shard.evictable_bytes();
        gauges.evictable_bytes.store(evictable, Ordering::Relaxed);
        if self.state.shared.memory.free_bytes() >= 0 {
            return false;
        }
        let is_free = self.evict_for(0, EVICTED_AT_END);
        self.act_on_notes(None, None);
        // Some wait for a key to go, and hear of it now: no command comes behind.
        if self.state.shard.awaited().has_written() {
            self.serve_written();
            self.run_granted();
        }
        !is_free && self.may_evict() && self.state.shard.has_evictable()
    }

    /// Whether other cores have entries that may go, as many as there is used too much: they take a turn, and evict at its end.
    pub(super) fn others_make_room(&mut self) -> bool {
        let shared = &self.state.shared;
        let overdrawn = shared.memory.free_bytes().min(0).unsigned_abs();
        let most = self.state.config.maxmemory_bytes / OVERDRAFT_SHARE;
        if overdrawn > most {
            return false;
        }
        let may_make_room = |core: &CoreId| {
            let bytes = &shared.gauges(*core).evictable_bytes;
            *core != self.state.id && bytes.load(Ordering::Relaxed) > overdrawn
        };
        let cores = (0..shared.cores()).map(CoreId);
        let asked: Vec<CoreId> = cores.filter(may_make_room).collect();
        for &core in &asked {
            self.tell(core, take_a_turn, &[]);
        }
        !asked.is_empty()
    }
}

/// At the end of a turn a core evicts by itself.
fn take_a_turn(_: &mut CoreCall<'_>) {}
