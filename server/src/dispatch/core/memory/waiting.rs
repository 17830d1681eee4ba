//! What waits while room is made, rather than to be refused or to take more.
//!
//! ```text
//!  a command that may use more ── room here and now? ── yes ──▶ it runs
//!        ├── more may go in the next turn, or on other cores ──▶ it waits for that ── for too long ──▶ refused
//!        └── nothing may go anywhere ──▶ refused
//!  a session that is owed much, or whose core's have got much in this turn, all hold too much, and entries may go ──▶ it waits
//!  another core's requests, then ──▶ few bytes of answers a turn
//! ```
//! A turn makes no more room than others can wait for. And what clients are owed grows without asking, by more in a turn than entries go: were that not
//! held back, memory would grow beyond the limit, and writes be refused though there is enough to evict. Nobody waits for ever: who
//! is owed much goes on as soon as his client reads, and a write is refused in the end.

use std::sync::atomic::Ordering;

use super::evicting::take_a_turn;
use crate::dispatch::core::Core;
use crate::dispatch::limits::{
    ANSWERS_SHORT_BYTES, BATCH_HIGH_WATER_BYTES, OWED_MIN_BYTES, PART_MIN_BYTES, TEND_BUDGET,
    TIGHTENED_STEPS,
};
use crate::routing::CoreId;
use crate::session::Session;

/// Whether there is room for what may use more memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch::core) enum Room {
    There,
    /// It is being made: in the next turn, or by other cores.
    Later,
    /// Nothing may go for it.
    Nowhere,
}

/// What a session that runs commands was owed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch::core) enum OwedFrom {
    /// Nobody asks, as memory is not short.
    Anything,
    /// So much: what comes to it is part of what the sessions of a core may be owed in this turn.
    Bytes(usize),
}

impl Core {
    /// Whether there is room for a command that may use more memory; by how much is not known before it has run.
    pub(in crate::dispatch::core) fn room_for_weighed(&mut self) -> Room {
        if !self.budget.is_limited() {
            return Room::There;
        }
        self.look_again_at_memory();
        let mut room = self.find_room();
        match room {
            Room::There => self.making.note_found(),
            Room::Later if !self.making.may_wait(self.state.clock.monotonic_ms()) => {
                room = Room::Nowhere;
            }
            Room::Later | Room::Nowhere => {}
        }
        self.note_exceeded(room == Room::Nowhere);
        room
    }

    fn find_room(&mut self) -> Room {
        if !self.is_overdrawn() || self.is_mended_by_freeing() {
            return Room::There;
        }
        if self.is_eviction_put_off() {
            return match self.overdrawn_bytes() <= self.overdraft_at_most() {
                true => Room::There,
                false => Room::Later,
            };
        }
        match self.make_room(0, self.making.steps_left()) {
            Room::Nowhere => self.others_make_room(),
            room => room,
        }
    }

    /// Whether the cores use more than there is, this one as of now.
    fn is_overdrawn(&mut self) -> bool {
        let most = self.budget.overdraft_max();
        !self.standing().suffices(0, most)
    }

    /// Frees large values that were deleted, and garbage of scripts, as long as there is any, the turn has steps left, and the pool is overdrawn.
    /// Whether it is overdrawn no more.
    #[cold]
    fn is_mended_by_freeing(&mut self) -> bool {
        while self.making.steps_left() > 0 {
            let before = self.state.shard.memory().used_bytes();
            self.state.shard.tend(TEND_BUDGET);
            let gets_on = self.state.shard.memory().used_bytes() < before;
            let left = self.making.steps_left();
            self.making.spend(left, TIGHTENED_STEPS);
            self.making.note(gets_on);
            if !gets_on {
                break;
            }
            if !self.is_overdrawn() {
                return true;
            }
        }
        let held = self.state.scripts.held_bytes();
        if self.budget.is_lua_worth_collecting(held) {
            self.state.scripts.collect();
            let held = self.state.scripts.held_bytes();
            self.budget.note_lua_collected(held);
        }
        !self.is_overdrawn()
    }

    /// Whether entries would go, but for who has the whole shard, slots that move, or a pause.
    fn is_eviction_put_off(&self) -> bool {
        self.state.shard.has_evictable() && !self.may_evict()
    }

    /// A session's next command waits until there is room: for what this core does in the next turn, or for others.
    pub(in crate::dispatch::core) fn wait_for_room(&mut self, session: &mut Session) {
        if self.may_evict() && self.state.shard.has_evictable() {
            session.stalled_for_turn = true;
            self.run_queue.put_off(session.id);
        } else {
            session.stalled_for_room = true;
            self.run_queue.push(session.id);
        }
    }

    /// A session is about to run commands: bounds what it may be owed for them in this turn, if memory is tight. `None`: it has to wait.
    #[inline]
    pub(in crate::dispatch::core) fn may_be_owed(
        &mut self,
        session: &mut Session,
    ) -> Option<OwedFrom> {
        match self.is_tight() {
            true => self.may_be_owed_where_tight(session),
            false => Some(OwedFrom::Anything),
        }
    }

    /// Bytes of a batch for another core beyond which requests of that core wait.
    #[inline]
    pub(in crate::dispatch::core) fn answers_at_most(&mut self) -> usize {
        match self.is_tight() {
            true => self.answers_where_tight(),
            false => BATCH_HIGH_WATER_BYTES,
        }
    }

    #[inline]
    fn is_tight(&self) -> bool {
        let free = || self.state.shared.memory.free_bytes();
        self.budget.is_limited() && free() < self.budget.tight_below()
    }

    #[cold]
    fn may_be_owed_where_tight(&mut self, session: &mut Session) -> Option<OwedFrom> {
        if !self.is_short() {
            session.gets_at_most(self.turn, self.part_bytes());
            return Some(OwedFrom::Anything);
        }
        let pending = session.output.pending_bytes();
        let is_too_much = pending >= OWED_MIN_BYTES || self.making.owed() >= ANSWERS_SHORT_BYTES;
        if is_too_much && session.granted_lock.is_none() {
            self.wait_for_room(session);
            return None;
        }
        session.gets_little(self.turn);
        Some(OwedFrom::Bytes(pending))
    }

    #[cold]
    fn answers_where_tight(&mut self) -> usize {
        match self.is_short() {
            true => ANSWERS_SHORT_BYTES,
            false => self.part_bytes().min(BATCH_HIGH_WATER_BYTES),
        }
    }

    /// What a session may add to what it is owed before all memory is looked at again.
    fn part_bytes(&self) -> usize {
        let part = usize::try_from(self.budget.overdraft_max()).unwrap_or(usize::MAX);
        part.max(PART_MIN_BYTES)
    }

    /// Whether all hold too much, and entries may go for it. These are seen to.
    fn is_short(&mut self) -> bool {
        let overdrawn = self.overdrawn_bytes();
        if overdrawn <= self.budget.overdraft_max() {
            return false;
        }
        let own = match self.may_evict() {
            true => self.evictable_bytes(),
            false => 0,
        };
        let elsewhere: u64 = self
            .state
            .other_cores()
            .map(|core| self.evictable_on(core))
            .sum();
        if own + elsewhere <= overdrawn {
            return false;
        }
        if own == 0 && self.making.is_to_ask() {
            self.have_others_make_room(|core, other| core.evictable_on(other) > 0);
        }
        true
    }

    /// Bytes of entries of this core that may go and are guarded for nobody.
    pub(super) fn evictable_bytes(&self) -> u64 {
        let guarded = self.state.shard.guarded_bytes();
        self.state.shard.evictable_bytes().saturating_sub(guarded)
    }

    /// The same of any core, as of its last turn.
    pub(super) fn evictable_on(&self, core: CoreId) -> u64 {
        let gauges = self.state.shared.gauges(core);
        gauges.evictable_bytes.load(Ordering::Relaxed)
    }

    /// Idle bytes of another core that count, as of its last turn.
    pub(super) fn idle_on(&self, core: CoreId) -> u64 {
        let gauges = self.state.shared.gauges(core);
        gauges.idle_bytes.load(Ordering::Relaxed)
    }

    /// Has those other cores take a turn, at the end of which they make room.
    pub(super) fn have_others_make_room(&mut self, which: impl Fn(&Self, CoreId) -> bool) {
        for core in self.state.other_cores() {
            if which(self, core) {
                self.tell(core, take_a_turn, &[]);
            }
        }
    }
}
