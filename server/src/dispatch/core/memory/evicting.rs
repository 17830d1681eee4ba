//! Room made by evicting, where a policy says so.
//!
//! ```text
//!  a run of commands finds no room ──▶ what is idle is given back, entries of this core go until there is, then it runs
//!  a command weighed by itself, the pool overdrawn ──▶ the same; it waits while more may go, and is refused if nothing may
//!       └── this core has nothing that may go, others have ──▶ they take a turn, and it runs, unless too much is overdrawn
//!  the end of a turn, the pool overdrawn ──▶ some go, whoever has drawn so much
//! ```
//! What goes is this core's, in steps that are bounded. Keys that somebody has locked stay, and nothing goes while somebody has the whole
//! shard, or while clients are paused: as with what expires (`core/expiry.rs`).

use std::sync::atomic::Ordering;

use larder_engine::Evicted;

use super::waiting::Room;
use crate::command::CoreCall;
use crate::dispatch::core::Core;
use crate::dispatch::limits::{
    EVICTED_AT_END, EVICTED_BETWEEN_BYTES, GUARDED_BESIDES, IDLE_ELSEWHERE_BYTES,
    ROOM_STEPS_PER_TURN, TEND_BUDGET, TIGHTENED_AT_ONCE, TIGHTENED_STEPS,
};

impl Core {
    /// Whether entries may be evicted.
    pub(super) fn may_evict(&self) -> bool {
        let is_paused = self.state.pauses().contains(&true);
        self.state.shard.evicts()
            && !is_paused
            && !self.locks.has_whole()
            && !self.state.moving.stands_still()
    }

    /// Makes room for so many bytes in so many steps at most: gives back what is idle, and evicts. Whoever is to hear of what goes does so behind
    /// the next command, or at the turn's end: a session may be in hand.
    #[cold]
    pub(super) fn make_room(&mut self, need: u64, most: u32) -> Room {
        let mut evicts = self.may_evict() && !self.leaves_it_to_others();
        let before = self.state.shard.journal().set_moment(None);
        let (at_once, at_least) = (self.budget.overdraft_max(), self.overdraft_at_most());
        let (mut left, mut in_vain, mut leased) = (most, 0, u64::MAX);
        let mut has_more = None;
        let room = loop {
            let standing = self.standing();
            let leased_before = std::mem::replace(&mut leased, self.budget.leased());
            if let Some(has_more) = has_more.take() {
                let has_less = leased < leased_before;
                in_vain = match (has_less, has_more) {
                    (true, _) => 0,
                    (false, true) => in_vain + 1,
                    (false, false) => TIGHTENED_AT_ONCE,
                };
                self.making.note(has_less);
            }
            if standing.suffices(need, at_once) {
                break Room::There;
            }
            // More of it is idle than is missing, or nothing waits for more: it only has to be given back.
            let gives_back = standing.is_idle_enough(need) || need == 0 && standing.idle > 0;
            let is_tight = in_vain >= TIGHTENED_AT_ONCE;
            if gives_back && !is_tight && left > 0 {
                has_more = Some(self.tighten());
                left = self.making.spend(left, TIGHTENED_STEPS);
                continue;
            }
            let is_last = left == 0 || !evicts;
            if (is_tight || is_last) && standing.suffices(need, at_least) {
                break Room::There;
            }
            if is_last {
                break self.room_in_next_turn(evicts);
            }
            // Where giving back does not get on, what goes makes it easier: nothing is refused while anything may go.
            let least = if is_tight { EVICTED_BETWEEN_BYTES } else { 0 };
            let (taken, last) = self.evict_some(standing.short_of(need).max(least), left);
            left = self.making.spend(left, taken);
            // One more slice behind each.
            in_vain = in_vain.min(TIGHTENED_AT_ONCE - 1);
            if last == Evicted::Nothing {
                // What was deleted before may be on its way.
                let used = self.state.shard.memory().used_bytes();
                self.state.shard.tend(TEND_BUDGET);
                evicts = self.state.shard.memory().used_bytes() < used;
            }
        };
        self.state.shard.journal().set_moment(before);
        room
    }

    /// There is no room in this turn: whether more may go in the next.
    fn room_in_next_turn(&self, evicts: bool) -> Room {
        let may_go = evicts && self.state.shard.has_evictable();
        match may_go || self.making.gets_on() {
            true => Room::Later,
            false => Room::Nowhere,
        }
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
        let evictable = self.evictable_bytes();
        gauges.evictable_bytes.store(evictable, Ordering::Relaxed);
        let is_overdrawn = self.state.shared.memory.free_bytes() < 0;
        if !is_overdrawn {
            self.making.note_mended();
            if !self.keeps_budget() {
                return false;
            }
        }
        let sequence = self.state.shard.journal().sequence();
        let leased = self.budget.leased();
        let goes_on = is_overdrawn && !self.make_room_at_end()
            || self.keeps_budget() && self.keep_to_budget();
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
            true => ROOM_STEPS_PER_TURN,
            false => EVICTED_AT_END,
        };
        self.make_room(0, most) == Room::There
    }

    /// Whether other cores have as much idle, or entries that may go, as there is held too much: they take a turn, and give back and evict at its
    /// end. What would use more runs meanwhile, if not too much is overdrawn.
    pub(super) fn others_make_room(&mut self) -> Room {
        let own_idle = self.standing().idle;
        let overdrawn = self.overdrawn_bytes();
        let at_most = self.overdraft_at_most();
        let idle_elsewhere: u64 = self
            .state
            .other_cores()
            .map(|core| self.idle_on(core))
            .sum();
        let is_idle_enough = own_idle + idle_elsewhere >= overdrawn
            && overdrawn <= at_most.max(IDLE_ELSEWHERE_BYTES);
        let makes_room = |core: &Self, other| {
            is_idle_enough && core.idle_on(other) > 0 || core.evictable_on(other) > overdrawn
        };
        if !self.state.other_cores().any(|core| makes_room(self, core)) {
            return Room::Nowhere;
        }
        if self.making.is_to_ask() {
            self.have_others_make_room(makes_room);
        }
        match overdrawn <= at_most || is_idle_enough {
            true => Room::There,
            false => Room::Later,
        }
    }

    /// By how much all hold more than there is, as last leased.
    pub(super) fn overdrawn_bytes(&self) -> u64 {
        let free = self.state.shared.memory.free_bytes();
        free.min(0).unsigned_abs()
    }

    /// Whether nearly all that may go here is guarded by quotas, while others have what is not: they make room.
    fn leaves_it_to_others(&self) -> bool {
        let guarded = self.state.shard.guarded_bytes();
        let own = self.state.shard.evictable_bytes();
        if guarded == 0 || own > guarded + guarded / GUARDED_BESIDES {
            return false;
        }
        let elsewhere = self.state.other_cores().map(|core| self.evictable_on(core));
        elsewhere.sum::<u64>() > IDLE_ELSEWHERE_BYTES / 8
    }
}

/// At the end of a turn a core evicts by itself.
pub(super) fn take_a_turn(_: &mut CoreCall<'_>) {}
