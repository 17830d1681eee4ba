//! `maxmemory` bounds what is resident: what the core holds though nothing lies in it, and what no core counts.
//!
//! ```text
//!  resident:  used .................. | idle: free blocks, slabs, pages, buffers for reuse, what dies | uncounted
//!             ▲                         ▲                                                         ▲
//!             evicting makes this idle  giving back makes this free                               measured by the runtime
//! ```
//! A write at the limit is paid for by what is idle, if that would make up for what all hold too much: it mostly fits there, as what goes and what comes
//! are of the same sizes. Where they are not, what is held grows beyond the limit, by [`Budget::overdraft_max`] at most; then what is idle is
//! given back first, in slices, and what is evicted meanwhile makes that cheaper. So used memory never exceeds the limit, nothing is
//! evicted for pages that have only to be given back, and resident memory exceeds the limit by little.
//!
//! [`Budget::overdraft_max`]: crate::dispatch::memory::budget::Budget::overdraft_max

use std::sync::atomic::Ordering;

use crate::budget::ResidentBytes;
use crate::dispatch::core::Core;
use crate::dispatch::core::memory::clients::look_at_clients;
use crate::dispatch::limits::{
    DYING_STEPS, DYING_UNCOUNTED_MAX_BYTES, OVERDRAFT_MIN_BYTES, OVERDRAFT_SHARE, OWED_MIN_BYTES,
    TEND_BUDGET,
};
use crate::routing::CoreId;
use crate::session::{Closing, Session};

/// Bytes that a core holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holdings {
    /// Those in use.
    pub(super) used: u64,
    /// Those in which nothing lies.
    idle: u64,
    /// Of these, what counts.
    counted_idle: u64,
    /// Those of what is deleted and on its way back to the system, which count as idle. Nobody is refused for those of another core: they are
    /// free before as much could be written.
    pub(super) dying: u64,
}

impl Holdings {
    /// What is leased.
    #[inline(always)]
    pub(super) fn leasable(self) -> u64 {
        self.used + self.counted_idle + self.dying
    }
}

/// How the pool stands, and what this core could give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Bytes of the pool; negative if all hold more than there is.
    free: i64,
    /// Bytes idle here.
    pub(super) idle: u64,
}

impl Standing {
    /// By how much all hold more than there is.
    pub(super) fn overdrawn(self) -> u64 {
        self.free.min(0).unsigned_abs()
    }

    /// Whether, were what is idle here given back, there would be room for so much.
    pub(super) fn is_idle_enough(self, need: u64) -> bool {
        self.idle >= self.overdrawn() + need
    }

    /// Bytes that have to become idle, so that there would be room for so much; one at least.
    pub(super) fn short_of(self, need: u64) -> u64 {
        (self.overdrawn() + need).saturating_sub(self.idle).max(1)
    }

    /// Whether there is room for so much, or enough is idle and no more than so much overdrawn.
    pub(super) fn suffices(self, need: u64, most_overdrawn: u64) -> bool {
        self.free >= need.cast_signed()
            || self.overdrawn() <= most_overdrawn && self.is_idle_enough(need)
    }
}

impl Core {
    /// What the core holds, `outbox_bytes` for other cores among it.
    #[inline(always)]
    pub(super) fn holdings(&self, outbox_bytes: u64) -> Holdings {
        let scripts = self.state.scripts.held_bytes() as u64;
        let sessions = self.state.sessions.memory().bytes();
        let besides = sessions + scripts + self.state.observed.copy_bytes + self.budget.kept();
        let shard = &self.state.shard;
        let memory = shard.memory();
        let dying = shard.dying_bytes().min(DYING_UNCOUNTED_MAX_BYTES);
        let live = memory.used_bytes() - dying;
        let in_buffers = self.buffers.bytes() as u64 + self.state.sessions.memory().idle_bytes();
        let idle = memory.idle_bytes + in_buffers;
        Holdings {
            // Only where a test has switched locks off may what is given be gone before it has arrived.
            used: live.saturating_sub(self.state.given_bytes) + besides + outbox_bytes,
            idle,
            counted_idle: self.budget.counted_idle(idle),
            dying,
        }
    }

    /// Leases what the core holds now, and looks how the pool stands.
    pub(super) fn standing(&mut self) -> Standing {
        let holdings = self.holdings(self.outboxes.weighed_bytes());
        let pool = &self.state.shared.memory;
        self.budget.fit(pool, holdings.leasable());
        self.budget.tell_dying(pool, holdings.dying);
        let dying_elsewhere = pool.dying_bytes().saturating_sub(holdings.dying);
        Standing {
            free: pool.free_bytes() + dying_elsewhere.cast_signed(),
            idle: holdings.counted_idle + holdings.dying,
        }
    }

    /// By how much all may hold more than there is before no write is accepted.
    pub(super) fn overdraft_at_most(&self) -> u64 {
        (self.state.config.maxmemory_bytes / OVERDRAFT_SHARE).max(OVERDRAFT_MIN_BYTES)
    }

    /// Gives some of what is idle back. Whether there may be more to give, or something to do for it.
    pub(super) fn tighten(&mut self) -> bool {
        self.buffers.clear();
        self.state.sessions.give_back_idle();
        self.state.shard.tend_short(TEND_BUDGET)
    }

    /// A bounded step of the shard's house-keeping: a longer one while what it owes the system is what exceeds the limit. Whether more is left.
    #[inline]
    pub(in crate::dispatch::core) fn tend_shard(&mut self) -> bool {
        let is_limited = self.budget.is_limited();
        if is_limited && (self.overdrawn_bytes() > 0 || self.state.shard.dying_bytes() > 0) {
            return self.tend_short_of_memory();
        }
        self.state.shard.tend(TEND_BUDGET)
    }

    #[cold]
    fn tend_short_of_memory(&mut self) -> bool {
        let free = self.state.shared.memory.free_bytes();
        let dying_exceeds = |shard: &larder_engine::Shard| free < shard.dying_bytes().cast_signed();
        let mut steps = 1;
        while steps < DYING_STEPS
            && dying_exceeds(&self.state.shard)
            && self.state.shard.dying_bytes() > 0
        {
            self.state.shard.tend(TEND_BUDGET);
            steps += 1;
        }
        let overdrawn = free.min(0).unsigned_abs();
        if overdrawn > self.budget.overdraft_max() / 2 {
            return self.state.shard.tend_short(TEND_BUDGET);
        }
        self.state.shard.tend(TEND_BUDGET)
    }

    /// Tells the other cores what this one holds, and the one that measures.
    #[inline]
    pub(super) fn tell_held(&self, holdings: Holdings) {
        let gauges = self.state.shared.gauges(self.state.id);
        let held = holdings.used + holdings.idle + holdings.dying;
        gauges.held_bytes.store(held, Ordering::Relaxed);
        let idle = holdings.counted_idle + holdings.dying;
        gauges.idle_bytes.store(idle, Ordering::Relaxed);
    }

    /// Whether this core is to be told now what is resident ([`Self::note_resident`]).
    #[inline]
    pub fn measures_resident(&self) -> bool {
        let now_ms = self.state.clock.monotonic_ms();
        self.budget.is_limited() && self.state.shared.resident.is_to_measure(now_ms)
    }

    /// So much of the process is resident: what of it no core counts is leased by nobody in particular.
    pub fn note_resident(&mut self, resident: ResidentBytes) {
        let shared = &self.state.shared;
        let held = (0..shared.cores()).map(|core| {
            let gauges = shared.gauges(CoreId(core));
            gauges.held_bytes.load(Ordering::Relaxed) + gauges.mail_bytes.load(Ordering::Relaxed)
        });
        let limit = self.state.config.maxmemory_bytes;
        let counts = shared.resident.note(resident, held.sum(), limit);
        shared.memory.note_uncounted(counts);
        if shared.memory.free_bytes() < 0 {
            let uncounted = shared.resident.uncounted_bytes();
            let (now_ms, growth) = (self.state.clock.monotonic_ms(), self.budget.overdraft_max());
            self.client_memory.note_short(uncounted, growth, now_ms);
        }
    }

    /// Closes clients, those that are owed most first, as long as nothing else mends what all hold too much, or as what they are owed is most of the
    /// limit. What they have sent does not count: who asks for too much is told so.
    pub(super) fn bound_owed(&mut self) {
        if !self.budget.is_limited() || self.state.shared.memory.free_bytes() >= 0 {
            return;
        }
        while self.is_owed_too_much() {
            let owed = |session: &Session| (owed_to(session), session.id);
            let closable = |session: &&Session| !session.no_evict && owed_to(session) > 0;
            let most = self.state.sessions.iter().filter(closable).map(owed).max();
            let Some(mut session) = most.and_then(|(_, id)| self.state.sessions.take_out(id))
            else {
                return self.ask_others_for_owed();
            };
            self.close_for_all(&mut session);
            self.state.sessions.put_back(session);
        }
    }

    /// Whether clients of this core are owed so much that some are closed.
    fn is_owed_too_much(&mut self) -> bool {
        let overdrawn = self.standing().overdrawn();
        let (at_most, now_ms) = (self.overdraft_at_most(), self.state.clock.monotonic_ms());
        let does_not_help = self.making.is_in_vain(overdrawn > 4 * at_most, now_ms);
        if overdrawn == 0 {
            return false;
        }
        let owed = self.state.sessions.iter().map(owed_to);
        // As if the others' clients were owed as much.
        let owed = owed.sum::<u64>() * u64::from(self.state.shared.cores());
        let mut cores = (0..self.state.shared.cores()).map(CoreId);
        let may_go = cores.any(|core| self.evictable_on(core) > 0);
        let is_last_resort = overdrawn > at_most && !may_go || does_not_help;
        is_last_resort && owed >= overdrawn / 2 || owed > self.state.config.maxmemory_bytes / 4 * 3
    }

    /// Other cores look whether their clients are owed too much.
    fn ask_others_for_owed(&mut self) {
        let now_ms = self.state.clock.monotonic_ms();
        if self.client_memory.are_owed_asked(now_ms) {
            self.state.tell_others(look_at_clients, &[]);
        }
    }

    /// What clients are owed is looked at at the end of the turn, if all hold more than there is.
    pub(in crate::dispatch::core) fn look_at_owed(&mut self) {
        if self.budget.is_limited() && self.state.shared.memory.free_bytes() < 0 {
            self.state.sessions.memory_mut().note_change();
        }
    }
}

/// Bytes that a client is owed, for which it may be closed: none if they are few, or it is being closed already.
fn owed_to(session: &Session) -> u64 {
    let bytes = session.output.pending_bytes();
    match session.closing == Closing::Now || bytes < OWED_MIN_BYTES {
        true => 0,
        false => bytes as u64,
    }
}
