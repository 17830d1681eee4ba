//! Several shards under one budget, over a trace of requests: what it costs that keys crowd one of them, and what lending wins back. Test
//! support.

use super::lending::{Borrower, lend, misses_between};
use super::mini::Mini;
use super::rng::mix;
use super::simulation::{Outcome, Request, identity};
use super::{Evictor, Policy, PolicyName, Use};
use crate::UnixMillis;

/// How keys are spread over shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// All shards have about as many.
    Even,
    /// The first has half of them, the others share the rest.
    Skewed,
}

impl Spread {
    fn shard_of(self, key: u64, shards: usize) -> usize {
        let hash = mix(key ^ 0x5EED_0F5A_A2D5);
        let (half, rest) = (hash & 1 == 0, (hash >> 1) as usize);
        match self {
            Self::Even => rest % shards,
            Self::Skewed if half || shards == 1 => 0,
            Self::Skewed => 1 + rest % (shards - 1),
        }
    }
}

/// How shards share the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each has the same.
    Equal,
    /// Each keeps what it had taken when memory was short for the first time: who comes to write evicts its own.
    AsFilled,
    /// As filled, then lent.
    Lent,
}

/// Runs a policy on so many shards over a trace, a request a second.
pub fn run_shards(
    (name, seed): (PolicyName, u64),
    (shards, spread): (usize, Spread),
    sharing: Sharing,
    capacity: u64,
    trace: &[Request],
) -> Outcome {
    let mut group = Group::new((name, seed), shards, sharing, capacity);
    let mut outcome = Outcome::default();
    for (second, request) in trace.iter().enumerate() {
        let shard = spread.shard_of(request.key, shards);
        let hit = group.request(shard, UnixMillis(1000 * second as i64), request);
        outcome.count(request, hit);
    }
    outcome
}

struct Group {
    caches: Vec<Mini<Evictor>>,
    borrowers: Vec<Borrower>,
    sharing: Sharing,
    capacity: u64,
    is_full: bool,
    /// Misses of all since the last time budgets moved.
    misses: u64,
}

impl Group {
    fn new(
        (name, seed): (PolicyName, u64),
        shards: usize,
        sharing: Sharing,
        capacity: u64,
    ) -> Self {
        let base_bytes = capacity / shards as u64;
        let cache = |nth: usize| {
            let mut cache = Mini::new(Evictor::new(name, seed + 1000 * nth as u64));
            cache.set_capacity(base_bytes);
            if sharing != Sharing::Equal {
                cache.set_bound(capacity);
            }
            cache
        };
        let borrower = Borrower {
            base_bytes,
            budget_bytes: base_bytes,
            missed_bytes: 0,
            entries: 0,
            pressure: 0.0,
        };
        Self {
            caches: (0..shards).map(cache).collect(),
            borrowers: vec![borrower; shards],
            sharing,
            capacity,
            is_full: sharing == Sharing::Equal,
            misses: 0,
        }
    }

    fn request(&mut self, shard: usize, now: UnixMillis, request: &Request) -> bool {
        self.fill(request.bytes);
        let cache = &mut self.caches[shard];
        cache.policy_mut().set_now(now);
        let hit = cache.request(identity(request.key), request.bytes, Use::Read);
        if !hit {
            self.borrowers[shard].missed_bytes += request.bytes;
            self.misses += 1;
        }
        if self.is_full && self.sharing == Sharing::Lent {
            self.lend();
        }
        hit
    }

    /// When another entry would be too much for the first time, each shard has what it has taken.
    fn fill(&mut self, bytes: u64) {
        let used: u64 = self.caches.iter().map(Mini::bytes).sum();
        if self.is_full || used + bytes <= self.capacity {
            return;
        }
        self.is_full = true;
        for (cache, borrower) in self.caches.iter_mut().zip(&mut self.borrowers) {
            cache.set_bound(cache.bytes());
            borrower.budget_bytes = cache.bytes();
        }
    }

    fn lend(&mut self) {
        let entries: u64 = self.caches.iter().map(Mini::len).sum();
        if self.misses < misses_between(entries) {
            return;
        }
        self.misses = 0;
        for (cache, borrower) in self.caches.iter().zip(&mut self.borrowers) {
            borrower.entries = cache.len();
        }
        lend(&mut self.borrowers);
        for (cache, borrower) in self.caches.iter_mut().zip(&mut self.borrowers) {
            cache.set_capacity(borrower.budget_bytes);
            borrower.missed_bytes = 0;
        }
    }
}
