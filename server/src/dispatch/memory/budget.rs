//! What a core has leased of the memory under `maxmemory`, and the sums of what it holds beside its shard: what is kept for
//! later, and how many bytes of requests are under way to each core.

use crate::budget::{self, Lease, Pool};
use crate::dispatch::limits::{
    ACKNOWLEDGED_BYTES, LUA_GARBAGE_BYTES, REQUESTS_UNDER_WAY_MAX_BYTES, TIGHT_OVERDRAFTS,
    TOLD_AFTER_ENTRIES,
};
use crate::routing::CoreId;

/// What a core has leased, and the sums of what it holds beside its shard.
#[derive(Debug)]
pub(in crate::dispatch) struct Budget {
    lease: Lease,
    /// Leased bytes that runs of commands may still use up. Zero while the gate is up.
    room: u64,
    /// Most room to hold.
    room_max: u64,
    /// With fewer bytes free memory is tight.
    tight_below: i64,
    /// Sessions have run since the last period.
    sessions_changed: bool,
    /// Batches in hand, requests that wait, and what transactions and gathered replies keep.
    kept: u64,
    /// By core: bytes of requests sent there that have yet to run or to be set aside.
    under_way: Vec<i64>,
    /// By core: bytes of its requests that have run here, of which it has yet to be told.
    ran: Vec<i64>,
    /// Bytes of Lua's heaps when garbage was last collected for want of memory.
    lua_collected: usize,
    /// Some core has so much to run that it is asked nothing more for now.
    is_congested: bool,
    /// The limit by which it leases.
    limit_bytes: u64,
    /// `maxmemory` is set.
    is_limited: bool,
    /// By how much what all hold may exceed it, while as much is idle.
    overdraft_max: u64,
    /// Idle bytes that do not count.
    idle_uncounted: u64,
    /// Of what is leased, bytes on their way back to the system, as the pool was last told.
    dying: u64,
    /// Entries that had come when others were last told of them.
    told_came: u64,
    /// The budget that the shard's policy reckons with, as a part of `maxmemory`; zero for none.
    followed: u64,
    /// A batch is held back: the receiver has yet to take much.
    mail_waits: bool,
}

impl Budget {
    /// Of one of so many cores, in a server that started with this limit.
    pub(in crate::dispatch) fn new(cores: usize, limit_bytes: u64) -> Self {
        Self {
            lease: Lease::default(),
            room: 0,
            room_max: 0,
            tight_below: 0,
            sessions_changed: false,
            kept: 0,
            under_way: vec![0; cores],
            ran: vec![0; cores],
            lua_collected: 0,
            is_congested: false,
            limit_bytes,
            is_limited: false,
            overdraft_max: 0,
            idle_uncounted: 0,
            dying: 0,
            told_came: 0,
            followed: 0,
            mail_waits: false,
        }
    }

    /// Something is kept for later.
    #[inline]
    pub(in crate::dispatch) fn keep(&mut self, bytes: usize) {
        self.kept += bytes as u64;
    }

    /// It is kept no more.
    #[inline]
    pub(in crate::dispatch) fn let_go(&mut self, bytes: usize) {
        self.kept -= bytes as u64;
    }

    /// Bytes kept for later.
    #[cfg(test)]
    pub(in crate::dispatch) fn kept_bytes(&self) -> usize {
        self.kept as usize
    }

    /// Whether nothing is kept, and nothing under way that has yet to run.
    #[cfg(test)]
    pub(in crate::dispatch) fn is_at_rest(&self) -> bool {
        let stale = self.under_way.iter().chain(&self.ran);
        self.kept == 0 && stale.sum::<i64>() < 2 * ACKNOWLEDGED_BYTES
    }

    /// Bytes leased.
    pub(in crate::dispatch) fn leased(&self) -> u64 {
        self.lease.bytes()
    }

    /// Whether the sessions are to be looked at once more though nothing comes.
    #[inline]
    pub(in crate::dispatch) fn awaits_period(&self) -> bool {
        self.sessions_changed
    }

    /// Whether mail is held back.
    #[inline]
    pub(in crate::dispatch) fn holds_mail(&self) -> bool {
        self.mail_waits
    }

    /// A session has run.
    #[inline]
    pub(in crate::dispatch) fn note_session_ran(&mut self) {
        self.sessions_changed = true;
    }

    /// All sessions have been added up.
    pub(in crate::dispatch) fn note_period(&mut self) {
        self.sessions_changed = false;
    }

    /// Some request of core `from` has run, or is bounded otherwise; a negative number: it waits after all.
    #[inline]
    pub(in crate::dispatch) fn note_ran(&mut self, from: CoreId, bytes: i64) {
        self.ran[from.index()] += bytes;
    }

    /// Bytes kept for later: batches in hand, requests that wait, what transactions and gathered replies keep.
    #[inline(always)]
    pub(in crate::dispatch) fn kept(&self) -> u64 {
        self.kept
    }

    /// Whether `maxmemory` is set.
    #[inline]
    pub(in crate::dispatch) fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// `maxmemory` is this much now, zero for no limit. What it was.
    pub(in crate::dispatch) fn set_limit(&mut self, maxmemory_bytes: u64, cores: u16) -> u64 {
        self.room_max = budget::room_bytes(maxmemory_bytes, cores);
        self.is_limited = maxmemory_bytes > 0;
        self.overdraft_max = budget::overdraft_bytes(maxmemory_bytes);
        self.tight_below = (self.overdraft_max * TIGHT_OVERDRAFTS).cast_signed();
        self.idle_uncounted = budget::idle_uncounted_bytes(maxmemory_bytes, cores);
        self.followed = 0;
        std::mem::replace(&mut self.limit_bytes, maxmemory_bytes)
    }

    /// Of what is leased so many bytes are on their way back to the system.
    #[inline(always)]
    pub(in crate::dispatch) fn tell_dying(&mut self, pool: &Pool, dying: u64) {
        if dying != self.dying {
            pool.change_dying(self.dying, dying);
            self.dying = dying;
        }
    }

    /// What counts of so many idle bytes.
    #[inline(always)]
    pub(in crate::dispatch) fn counted_idle(&self, idle: u64) -> u64 {
        idle.saturating_sub(self.idle_uncounted)
    }

    /// By how much what all hold may exceed `maxmemory`, while as much is idle.
    #[inline]
    pub(in crate::dispatch) fn overdraft_max(&self) -> u64 {
        self.overdraft_max
    }

    /// With fewer bytes free than these, what clients are owed in a turn is bounded.
    #[inline]
    pub(in crate::dispatch) fn tight_below(&self) -> i64 {
        self.tight_below
    }

    /// Most room to hold ahead.
    pub(in crate::dispatch) fn room_max(&self) -> u64 {
        self.room_max
    }

    /// So many entries have come so far. Whether it is time to tell others.
    #[inline]
    pub(in crate::dispatch) fn is_time_to_tell(&mut self, came: u64) -> bool {
        let is_time = came.wrapping_sub(self.told_came) >= TOLD_AFTER_ENTRIES;
        if is_time {
            self.told_came = came;
        }
        is_time
    }

    /// The core's budget is this part of `maxmemory`. Whether it was another.
    #[inline]
    pub(in crate::dispatch) fn follow(&mut self, budget: u64) -> bool {
        std::mem::replace(&mut self.followed, budget) != budget
    }

    /// The next run of commands leases anew.
    pub(in crate::dispatch) fn forget_room(&mut self) {
        self.room = 0;
    }

    /// Uses up room leased ahead. `false`: there is not so much of it.
    #[inline(always)]
    pub(in crate::dispatch) fn take_room(&mut self, need: u64) -> bool {
        match self.room.checked_sub(need) {
            Some(room) => {
                self.room = room;
                true
            }
            None => false,
        }
    }

    /// Leases what is used and room for a run that needs so much, or as much of it as there is. Whether all was to be had;
    /// without a limit a run may be as long as it likes.
    pub(in crate::dispatch) fn lease_more(&mut self, pool: &Pool, used: u64, need: u64) -> bool {
        let room = self.lease.make_room(pool, used, need, self.room_max);
        self.room = room.saturating_sub(need);
        !self.is_limited || room >= need
    }

    /// A turn ends: leases what is used, and gives back what is not needed. Room is left unless commands are weighed one by
    /// one. Batches are about to be shipped, those too that were held back in the last turn.
    #[inline(always)]
    pub(in crate::dispatch) fn settle(&mut self, pool: &Pool, used: u64, are_weighed: bool) {
        self.mail_waits = false;
        self.room = if are_weighed {
            self.lease.fit(pool, used);
            0
        } else {
            self.lease.trim(pool, used, self.room_max)
        };
    }

    /// Leases what is used, beside the room that is left.
    pub(in crate::dispatch) fn lease_used(&mut self, pool: &Pool, used: u64) {
        self.lease.fit(pool, used + self.room);
    }

    /// Leases exactly what is used.
    pub(in crate::dispatch) fn fit(&mut self, pool: &Pool, used: u64) {
        self.lease.fit(pool, used);
    }

    /// Whether Lua's heaps, which hold so many bytes, have grown enough to be worth collecting.
    pub(in crate::dispatch) fn is_lua_worth_collecting(&self, held: usize) -> bool {
        held > self.lua_collected + LUA_GARBAGE_BYTES
    }

    /// Lua's garbage has been collected; its heaps hold so many bytes.
    pub(in crate::dispatch) fn note_lua_collected(&mut self, held: usize) {
        self.lua_collected = held;
    }

    /// Whether core `to` has yet to run so much that it is asked nothing more for now.
    #[inline]
    pub(in crate::dispatch) fn is_congested(&self, to: CoreId) -> bool {
        self.is_congested && self.under_way[to.index()] > REQUESTS_UNDER_WAY_MAX_BYTES
    }

    /// Whether so much that core `to` asked for has run that it is told though there is nothing else for it.
    #[inline]
    pub(in crate::dispatch) fn has_much_to_acknowledge(&self, to: CoreId) -> bool {
        self.ran[to.index()] >= ACKNOWLEDGED_BYTES
    }

    /// So many bytes of requests leave for core `to`. Bytes of its own that have run, which it is told with them.
    pub(in crate::dispatch) fn note_sent(&mut self, to: CoreId, request_bytes: i64) -> i64 {
        let ran = self.ran[to.index()].max(0);
        self.ran[to.index()] -= ran;
        let under_way = &mut self.under_way[to.index()];
        *under_way += request_bytes;
        self.is_congested |= *under_way > REQUESTS_UNDER_WAY_MAX_BYTES;
        ran
    }

    /// They do not leave after all.
    pub(in crate::dispatch) fn note_not_sent(&mut self, to: CoreId, request_bytes: i64, ran: i64) {
        self.ran[to.index()] += ran;
        self.under_way[to.index()] -= request_bytes;
    }

    /// Core `from` has run so many bytes of what it was asked.
    #[inline]
    pub(in crate::dispatch) fn note_acknowledged(&mut self, from: CoreId, ran: i64) {
        self.under_way[from.index()] -= ran;
        if self.is_congested {
            let is_much = |bytes: &i64| *bytes > REQUESTS_UNDER_WAY_MAX_BYTES;
            self.is_congested = self.under_way.iter().any(is_much);
        }
    }

    /// A batch is held back until its receiver has taken what it was sent before.
    pub(in crate::dispatch) fn hold_mail(&mut self) {
        self.mail_waits = true;
    }

    /// So many bytes of the lease go with a batch.
    pub(in crate::dispatch) fn hand_over(&mut self, pool: &Pool, bytes: usize) {
        self.lease.hand_over(pool, bytes as u64);
    }

    /// So many bytes of a lease come with a batch, or come back.
    pub(in crate::dispatch) fn take_over(&mut self, bytes: usize) {
        self.lease.take_over(bytes as u64);
    }
}
