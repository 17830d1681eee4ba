//! What befalls sampled keys, in batches: a cache takes a whole batch in at a time, for which it is brought near once.
//!
//! ```text
//!  told ─▶ coming ──when full──▶ batch ─▶ cache 0, cache 1, …, one in a step ─▶ empty
//! ```
//! Caches do not depend on each other, so what they make of it is the same as if each heard of it at once.

use super::What;
use crate::UnixMillis;
use crate::evict::mini::Value;
use crate::evict::{Identity, rng::mix};

/// Events of a batch: with some 60 ns for each, a step takes 8 µs, and of the policy that runs caches of its own five times as much.
const BATCH: usize = 128;

/// Events for which there is room at once: a batch, and some that come before it is closed.
const ROOM: usize = BATCH + BATCH / 8;

/// Keys of which it is remembered that they were missed: whether what is written then fills the gap.
const MISSED: usize = 1024;

/// Something befalls a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) what: What,
    pub(super) identity: Identity,
    pub(super) value: Value,
    pub(super) now: UnixMillis,
    /// How large the sample was: for how many keys the sampled one stands.
    pub(super) rate: f32,
}

/// Events that are to be taken in.
pub(super) struct Batches {
    coming: Vec<Event>,
    batch: Vec<Event>,
    /// The cache that takes the batch in next.
    next: usize,
    /// Missed keys, each where its hash says; zero: none.
    missed: Box<[u32; MISSED]>,
}

impl Batches {
    pub(super) fn new() -> Self {
        Self {
            coming: Vec::with_capacity(ROOM),
            batch: Vec::with_capacity(ROOM),
            next: 0,
            missed: Box::new([0; MISSED]),
        }
    }

    /// One more event. A key that comes to be after it was missed fills the gap; else it is written, and nobody asked for it before.
    pub(super) fn add(&mut self, mut event: Event) {
        let missed = &mut self.missed[mix(event.identity.0.into()) as usize % MISSED];
        let identity = event.identity.0.max(1);
        match event.what {
            What::Missed => *missed = identity,
            What::Comes if *missed == identity => *missed = 0,
            What::Comes => event.what = What::Written,
            _ => {}
        }
        self.coming.push(event);
    }

    /// Whether there is a batch to take in.
    #[inline]
    pub(super) fn are_full(&self) -> bool {
        !self.batch.is_empty() || self.coming.len() >= BATCH
    }

    /// What has come is a batch, full or not.
    pub(super) fn close(&mut self) {
        if self.batch.is_empty() {
            std::mem::swap(&mut self.batch, &mut self.coming);
        }
    }

    /// The next cache of so many, and what it is to take in.
    pub(super) fn next(&mut self, caches: usize) -> Option<(usize, &[Event])> {
        if self.next == caches {
            self.next = 0;
            self.batch.clear();
        }
        if self.batch.is_empty() && self.coming.len() >= BATCH {
            self.close();
        }
        if self.batch.is_empty() {
            return None;
        }
        self.next += 1;
        Some((self.next - 1, &self.batch))
    }

    pub(super) fn held_bytes(&self) -> u64 {
        let events = self.coming.capacity() + self.batch.capacity();
        (events * size_of::<Event>() + size_of_val(&*self.missed)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_fills_a_gap_only_if_it_was_missed() {
        let mut batches = Batches::new();
        let mut add = |what, key: u32| {
            batches.add(Event {
                what,
                identity: Identity(key),
                value: Value::of(1),
                now: UnixMillis(0),
                rate: 1.0,
            });
            batches.coming.last().expect("one was added").what
        };
        assert_eq!(add(What::Comes, 7), What::Written);
        assert_eq!(add(What::Missed, 7), What::Missed);
        assert_eq!(add(What::Comes, 7), What::Comes);
        assert_eq!(add(What::Comes, 7), What::Written);
    }

    #[test]
    fn each_cache_takes_each_batch_in_once() {
        let mut batches = Batches::new();
        let mut taken = [0; 3];
        for key in 0..10 * BATCH as u32 {
            batches.add(Event {
                what: What::Read,
                identity: Identity(key),
                value: Value::of(1),
                now: UnixMillis(0),
                rate: 1.0,
            });
            if batches.are_full()
                && let Some((cache, batch)) = batches.next(3)
            {
                taken[cache] += batch.len();
            }
            assert!(batches.coming.len() <= BATCH + 4);
        }
        while let Some((cache, batch)) = batches.next(3) {
            taken[cache] += batch.len();
        }
        batches.close();
        while let Some((cache, batch)) = batches.next(3) {
            taken[cache] += batch.len();
        }
        assert_eq!(taken, [10 * BATCH; 3]);
    }
}
