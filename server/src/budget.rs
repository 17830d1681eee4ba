//! Memory under `maxmemory`: one pool for the server, and what each core has leased from it.
//!
//! ```text
//!  maxmemory = free + leased by core 0 + leased by core 1 + … + leased for batches under way between them + uncounted
//!                     [ used | idle | room ]
//! ```
//! A core leases what it holds, used or idle, and some room ahead so that it asks the pool rarely. What it has come to use without asking
//! (a client's bytes, a reply) it leases all the same: then `free` falls below zero, and whatever may be refused is refused,
//! on every core, until somebody gives back. A lease is given back as soon as its memory is free, so `free` below zero says
//! that the cores use more than `maxmemory`, but for the room they hold.
//!
//! Without `maxmemory` the pool is as good as endless and all else is the same, so that a limit may come and change at any
//! time: each core moves its part of the pool when it has leased by the new limit, for what one has leased under the old one is nothing that
//! another is to evict for. See `docs/decisions/0013-memory-budgets.md`.

mod exceeded;
pub mod lending;
mod resident;

pub use exceeded::Exceeded;
pub use resident::{Resident, ResidentBytes};

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What there is to lease where `maxmemory` is 0 or beyond this: more than any machine's memory, and far from overflow.
const ENDLESS_BYTES: u64 = 1 << 60;

/// Most room a core holds ahead.
pub const ROOM_MAX_BYTES: u64 = 1 << 20;
/// All cores together hold at most this part of `maxmemory` ahead.
pub const ROOM_SHARE: u64 = 64;
/// Less room is not worth holding: under so small a limit it would keep what is used from ever coming near it.
const ROOM_MIN_BYTES: u64 = 64 << 10;
/// What the cores hold may exceed the limit by this part of it, while as much is idle among what they hold.
const OVERDRAFT_SHARE: u64 = 256;
/// Of what is leased for what no core counts, the part by which it falls at most from one measurement to the next: half in a second.
const UNCOUNTED_FALLS_BY: u64 = 64;
/// Idle bytes of all cores that do not count under a small limit.
const IDLE_UNCOUNTED_BYTES: u64 = 2 << 20;
/// Of what does not count, the part of the limit that is taken off.
const IDLE_COUNTED_SHARE: u64 = 64;

/// The memory that nobody has leased.
#[derive(Debug)]
pub struct Pool {
    free: AtomicI64,
    /// `maxmemory` when it was made.
    limit_at_start: u64,
    /// Leased for what is resident and counted by no core.
    uncounted: AtomicU64,
    /// Leased for what is deleted and on its way back to the system, on all cores.
    dying: AtomicU64,
}

/// What one core has leased.
#[derive(Debug, Default)]
pub struct Lease {
    bytes: u64,
}

impl Pool {
    /// All of `maxmemory`, where 0 is no limit.
    pub fn new(maxmemory_bytes: u64) -> Self {
        Self {
            free: AtomicI64::new(limit(maxmemory_bytes)),
            limit_at_start: maxmemory_bytes,
            uncounted: AtomicU64::new(0),
            dying: AtomicU64::new(0),
        }
    }

    /// `maxmemory` when the server started: what each core takes it to be until it follows a change.
    pub fn limit_at_start(&self) -> u64 {
        self.limit_at_start
    }

    /// `maxmemory` has changed, and core number `core` of `cores` has leased by the new one: the pool has its part of the change.
    pub fn change(&self, from_bytes: u64, to_bytes: u64, core: u16, cores: u16) {
        let part_of = |limit: i64| {
            let part = limit / i64::from(cores);
            let rest = if core == 0 {
                limit % i64::from(cores)
            } else {
                0
            };
            part + rest
        };
        let by = part_of(limit(to_bytes)) - part_of(limit(from_bytes));
        self.free.fetch_add(by, Ordering::Relaxed);
    }

    /// Bytes that are free; negative if the cores use more than there is.
    #[inline]
    pub fn free_bytes(&self) -> i64 {
        self.free.load(Ordering::Relaxed)
    }

    /// So many bytes were found that no core counts. What is leased for them falls slowly: what the allocator gives back comes again, sooner than it
    /// could be found.
    pub fn note_uncounted(&self, bytes: u64) {
        let before = self.uncounted.load(Ordering::Relaxed);
        self.set_uncounted(bytes.max(before - before / UNCOUNTED_FALLS_BY));
    }

    /// So many bytes are leased for what no core counts.
    pub fn set_uncounted(&self, bytes: u64) {
        let before = self.uncounted.swap(bytes, Ordering::Relaxed);
        let by = before.cast_signed() - bytes.cast_signed();
        self.free.fetch_add(by, Ordering::Relaxed);
    }

    /// Bytes leased for what is on its way back to the system.
    #[inline]
    pub fn dying_bytes(&self) -> u64 {
        self.dying.load(Ordering::Relaxed)
    }

    /// Of what a core has leased so many bytes are on their way back to the system, and were so many before.
    pub fn change_dying(&self, from_bytes: u64, to_bytes: u64) {
        self.dying
            .fetch_add(to_bytes.wrapping_sub(from_bytes), Ordering::Relaxed);
    }

    fn take(&self, bytes: u64) {
        self.free.fetch_sub(bytes.cast_signed(), Ordering::Relaxed);
    }

    fn give(&self, bytes: u64) {
        self.free.fetch_add(bytes.cast_signed(), Ordering::Relaxed);
    }

    /// Takes `bytes` if so many are free. Whether they were.
    fn take_free(&self, bytes: u64) -> bool {
        let bytes = bytes.cast_signed();
        let enough = |free| (free >= bytes).then_some(free - bytes);
        let taken = self
            .free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough);
        taken.is_ok()
    }
}

impl Lease {
    /// Bytes leased.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Leases what is used, no more and no less.
    pub fn fit(&mut self, pool: &Pool, used_bytes: u64) {
        if used_bytes > self.bytes {
            pool.take(used_bytes - self.bytes);
        } else {
            pool.give(self.bytes - used_bytes);
        }
        self.bytes = used_bytes;
    }

    /// Leases what is used and room for `need_bytes` more, and ahead of that as much as half of `room_bytes`. The room there
    /// is now; zero if the pool has not so much, or if that is more room than a core may have: then it holds none.
    pub fn make_room(
        &mut self,
        pool: &Pool,
        used_bytes: u64,
        need_bytes: u64,
        room_bytes: u64,
    ) -> u64 {
        if used_bytes > self.bytes {
            self.fit(pool, used_bytes);
        }
        let held = self.bytes - used_bytes;
        if need_bytes <= room_bytes && pool.free_bytes() >= 0 {
            for wanted in [need_bytes.max(room_bytes / 2), need_bytes] {
                let more = wanted.saturating_sub(held);
                if more == 0 || pool.take_free(more) {
                    self.bytes += more;
                    return held + more;
                }
            }
        }
        self.fit(pool, used_bytes);
        0
    }

    /// Leases what is used; of room beyond `room_bytes`, half of these is kept and the rest given back. The room there is.
    #[inline]
    pub fn trim(&mut self, pool: &Pool, used_bytes: u64, room_bytes: u64) -> u64 {
        let Some(room) = self.bytes.checked_sub(used_bytes) else {
            self.fit(pool, used_bytes);
            return 0;
        };
        if room <= room_bytes {
            return room;
        }
        self.fit(pool, used_bytes + room_bytes / 2);
        room_bytes / 2
    }

    /// Takes over a lease that came along with the memory it is for.
    pub fn take_over(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Hands over a part of the lease with the memory it is for; more is leased first if it falls short.
    pub fn hand_over(&mut self, pool: &Pool, bytes: u64) {
        if bytes > self.bytes {
            self.fit(pool, bytes);
        }
        self.bytes -= bytes;
    }
}

/// Room that one of `cores` cores may hold ahead under a limit.
pub fn room_bytes(maxmemory_bytes: u64, cores: u16) -> u64 {
    let share = limit(maxmemory_bytes).cast_unsigned() / ROOM_SHARE / u64::from(cores.max(1));
    match share.min(ROOM_MAX_BYTES) {
        room if room < ROOM_MIN_BYTES => 0,
        room => room,
    }
}

/// By how much what the cores hold may exceed a limit, while as much is idle among it.
pub fn overdraft_bytes(maxmemory_bytes: u64) -> u64 {
    limit(maxmemory_bytes).cast_unsigned() / OVERDRAFT_SHARE
}

/// Idle bytes of one of `cores` cores that do not count: what the pages of some dozen size classes round up to is much under a limit of a
/// few megabytes, and nothing under one of 128.
pub fn idle_uncounted_bytes(maxmemory_bytes: u64, cores: u16) -> u64 {
    let counted = limit(maxmemory_bytes).cast_unsigned() / IDLE_COUNTED_SHARE;
    IDLE_UNCOUNTED_BYTES.saturating_sub(counted) / u64::from(cores.max(1))
}

fn limit(maxmemory_bytes: u64) -> i64 {
    let limit = match maxmemory_bytes {
        0 => ENDLESS_BYTES,
        limit => limit.min(ENDLESS_BYTES),
    };
    limit.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_and_what_is_free_make_up_the_limit() {
        let pool = Pool::new(1000);
        let (mut one, mut other) = (Lease::default(), Lease::default());
        assert_eq!(one.make_room(&pool, 100, 10, 100), 50);
        assert_eq!(other.make_room(&pool, 800, 10, 100), 50);
        assert_eq!(pool.free_bytes(), 0);
        // There is no more: what it holds and does not suffice it gives back.
        assert_eq!(other.make_room(&pool, 840, 20, 100), 0);
        assert_eq!((other.bytes(), pool.free_bytes()), (840, 10));
        one.hand_over(&pool, 120);
        other.take_over(120);
        assert_eq!((one.bytes(), other.bytes()), (30, 960));
        assert_eq!(one.trim(&pool, 30, 100), 0);
        assert_eq!(other.trim(&pool, 10, 100), 50);
        assert_eq!(pool.free_bytes(), 910);
        for core in 0..3 {
            pool.change(1000, 0, core, 3);
        }
        let leased = (one.bytes() + other.bytes()).cast_signed();
        assert_eq!(pool.free_bytes(), ENDLESS_BYTES.cast_signed() - leased);
    }

    #[test]
    fn what_is_used_is_leased_though_nothing_is_free() {
        let pool = Pool::new(1000);
        let mut lease = Lease::default();
        assert_eq!(lease.trim(&pool, 5000, 100), 0);
        assert_eq!((lease.bytes(), pool.free_bytes()), (5000, -4000));
        assert_eq!(lease.make_room(&pool, 5000, 1, 100), 0);
        assert_eq!(lease.trim(&pool, 0, 100), 50);
        assert_eq!(pool.free_bytes(), 950);
    }

    #[test]
    fn what_is_leased_for_what_nobody_counts_rises_at_once_and_falls_slowly() {
        let pool = Pool::new(1000);
        pool.note_uncounted(640);
        assert_eq!(pool.free_bytes(), 360);
        pool.note_uncounted(100);
        assert_eq!(pool.free_bytes(), 370);
        for _ in 0..500 {
            pool.note_uncounted(100);
        }
        assert_eq!(pool.free_bytes(), 900);
        pool.set_uncounted(0);
        assert_eq!(pool.free_bytes(), 1000);
    }

    #[test]
    fn the_room_of_all_cores_is_a_small_part_of_the_limit() {
        assert_eq!(room_bytes(64 << 20, 4), 256 << 10);
        assert_eq!(room_bytes(0, 4), ROOM_MAX_BYTES);
        assert_eq!(room_bytes(u64::MAX, 1), ROOM_MAX_BYTES);
        assert_eq!(room_bytes(1, 2), 0);
    }
}
