//! Room made by evicting, where a policy says so.
//!
//! ```text
//!  a run of commands finds no room ──▶ what is idle is given back, entries of this core go until there is, then it runs
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
use crate::dispatch::limits::{
    EVICTED_AT_END, EVICTED_AT_ONCE, EVICTED_BETWEEN_BYTES, GUARDED_BESIDES, IDLE_ELSEWHERE_BYTES,
    TEND_BUDGET, TIGHTENED_AT_MOST, TIGHTENED_AT_ONCE,
};
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

    /// Makes room for so many bytes: gives back what is idle, and evicts, until there is, or nothing may go, or so many have gone as may at
    /// once. Whether there is. Whoever is to hear of what goes does so behind the next command, or at the turn's end: a session may be
    /// in hand.
    #[cold]
    pub(super) fn make_room(&mut self, need: u64, most: u32) -> bool {
        let mut evicts = self.may_evict() && !self.leaves_it_to_others();
        let before = self.state.shard.journal().set_moment(None);
        let (at_once, at_least) = (self.budget.overdraft_max(), self.overdraft_at_most());
        let (mut steps, mut tightened, mut leased) = (0, 0, u64::MAX);
        let has_room = loop {
            let standing = self.standing();
            let has_less =
                self.budget.leased() < std::mem::replace(&mut leased, self.budget.leased());
            if standing.suffices(need, at_once) {
                break true;
            }
            // More of it is idle than is missing, or nothing waits for more: it only has to be given back.
            let gives_back = standing.is_idle_enough(need) || need == 0 && standing.idle > 0;
            let gets_on = has_less && tightened < TIGHTENED_AT_MOST;
            if gives_back && (gets_on || tightened < TIGHTENED_AT_ONCE) {
                if self.tighten() {
                    tightened += 1;
                    continue;
                }
                if !evicts {
                    break standing.suffices(need, at_least);
                }
            }
            let is_tight = tightened >= TIGHTENED_AT_ONCE;
            if is_tight && standing.suffices(need, at_least) {
                break true;
            }
            if !evicts || steps >= most {
                break standing.suffices(need, at_least);
            }
            // Where giving back does not get on, what goes makes it easier: nothing is refused while anything may go.
            let least = if is_tight { EVICTED_BETWEEN_BYTES } else { 0 };
            let (taken, last) = self.evict_some(standing.short_of(need).max(least), most - steps);
            steps += taken;
            // One more slice behind each.
            tightened = tightened.min(TIGHTENED_AT_ONCE - 1);
            if last == Evicted::Nothing {
                // What was deleted before may be on its way.
                let used = self.state.shard.memory().used_bytes();
                self.state.shard.tend(TEND_BUDGET);
                evicts = self.state.shard.memory().used_bytes() < used;
            }
        };
        self.state.shard.journal().set_moment(before);
        has_room
    }

    /// Evicts entries of so many bytes, in so many steps at most. How many it took, and what came of the last.
    pub(super) fn evict_some(&mut self, bytes: u64, most: u32) -> (u32, Evicted) {
        let locks = &self.locks;
        let shard = &mut self.state.shard;
        shard.evict_some(bytes, most, |hash| locks.has_key(hash))
    }

    /// At the end of a turn: if the cores hold more than there is, what is idle here is given back, or some of this core's entries go.
    /// Whether more should.
    #[inline]
    pub(in crate::dispatch::core) fn evict_at_end(&mut self) -> bool {
        if !self.budget.is_limited() {
            return false;
        }
        let gauges = self.state.shared.gauges(self.state.id);
        let guarded = self.state.shard.guarded_bytes();
        let evictable = self.state.shard.evictable_bytes().saturating_sub(guarded);
        gauges.evictable_bytes.store(evictable, Ordering::Relaxed);
        let is_overdrawn = self.state.shared.memory.free_bytes() < 0;
        if !is_overdrawn && !self.state.shard.evicts() {
            return false;
        }
        let sequence = self.state.shard.journal().sequence();
        let leased = self.budget.leased();
        let goes_on = is_overdrawn && !self.make_room_at_end()
            || self.state.shard.evicts() && self.keep_to_budget();
        let has_evicted = self.state.shard.journal().sequence() != sequence;
        if has_evicted {
            self.act_on_notes(None, None);
            self.serve_written_at_end();
        }
        if is_overdrawn {
            self.look_at_owed();
        }
        // What this turn could not mend another would not either.
        let is_of_use = has_evicted || self.budget.leased() != leased;
        goes_on && is_of_use && self.may_evict() && self.state.shard.has_evictable()
    }

    /// The pool is overdrawn: gives back, and evicts, unless what is idle here makes up for that. Whether it does then.
    #[cold]
    fn make_room_at_end(&mut self) -> bool {
        let standing = self.standing();
        if standing.suffices(0, self.budget.overdraft_max()) {
            return true;
        }
        let most = match standing.overdrawn() > self.overdraft_at_most() {
            true => EVICTED_AT_ONCE,
            false => EVICTED_AT_END,
        };
        self.make_room(0, most)
    }

    /// Whether other cores have as much idle, or entries that may go, as there is held too much: they take a turn, and give back and evict at its end.
    pub(super) fn others_make_room(&mut self) -> bool {
        let own_idle = self.standing().idle;
        let shared = &self.state.shared;
        let overdrawn = shared.memory.free_bytes().min(0).unsigned_abs();
        let at_most = self.overdraft_at_most();
        let others = (0..shared.cores())
            .map(CoreId)
            .filter(|core| *core != self.state.id);
        let idle_of = |core: &CoreId| shared.gauges(*core).idle_bytes.load(Ordering::Relaxed);
        let is_idle_enough = own_idle + others.clone().map(|core| idle_of(&core)).sum::<u64>()
            >= overdrawn
            && overdrawn <= at_most.max(IDLE_ELSEWHERE_BYTES);
        // They are asked even where this write is refused: another finds room then.
        let makes_room = |core: &CoreId| {
            let evictable = &shared.gauges(*core).evictable_bytes;
            is_idle_enough && idle_of(core) > 0 || evictable.load(Ordering::Relaxed) > overdrawn
        };
        let asked: Vec<CoreId> = others.filter(makes_room).collect();
        for &core in &asked {
            self.tell(core, take_a_turn, &[]);
        }
        !asked.is_empty() && (overdrawn <= at_most || is_idle_enough)
    }

    /// Whether nearly all that may go here is guarded by quotas, while others have what is not: they make room.
    fn leaves_it_to_others(&self) -> bool {
        let guarded = self.state.shard.guarded_bytes();
        let own = self.state.shard.evictable_bytes();
        if guarded == 0 || own > guarded + guarded / GUARDED_BESIDES {
            return false;
        }
        let shared = &self.state.shared;
        let evictable = |core| {
            shared
                .gauges(CoreId(core))
                .evictable_bytes
                .load(Ordering::Relaxed)
        };
        let others = (0..shared.cores()).filter(|&core| CoreId(core) != self.state.id);
        others.map(evictable).sum::<u64>() > IDLE_ELSEWHERE_BYTES / 8
    }
}

/// At the end of a turn a core evicts by itself.
pub(super) fn take_a_turn(_: &mut CoreCall<'_>) {}
