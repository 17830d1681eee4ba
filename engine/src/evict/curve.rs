//! The miss-ratio curve: how often a shard would hit with a quarter of its memory, or four times as much, by this policy and others.
//!
//! ```text
//!  requests of sampled keys ─▶ for each policy, caches of keys alone with ¼ · ½ · 1 · 2 · 4 × the sample's share of the memory
//! ```
//! The policies themselves run in these ([`super::mini`]), so what is told of one is what it does (Waldspurger et al., USENIX ATC 2017).
//! That the sample has a few popular keys too many or too few is seen in what it says of the present policy with the present memory:
//! of that the shard knows the misses. All points are corrected as that one has to be.
//!
//! A sampled request takes some 300 ns for each cache, and a cache some 30 bytes for each of its entries; both follow from how many
//! entries the sample has. Deadlines and removals are not seen: `ttl` has no curve, and that of a `volatile` policy is the one for all keys.

use super::mini::Mini;
use super::rng::mix;
use super::sample::Sample;
use super::{Evictor, Identity, Policy, PolicyName, Use};
use crate::UnixMillis;

/// For which parts of the present memory hits are predicted, in per cent.
pub const PERCENTS: [u64; 5] = [25, 50, 100, 200, 400];

/// Where the present memory stands among these.
const PRESENT: usize = 2;

/// The smallest sample.
const RATE_MIN: f64 = 1e-5;

/// How many keys a curve samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Entries that a cache of the present memory is to have: with 2048, points are mostly within one hit in a hundred.
    pub entries: u32,
    /// The part of all keys that is not exceeded for that, which bounds the time that a request takes.
    pub rate_max: f64,
}

impl Default for Sampling {
    /// One that takes less than ten nanoseconds of a request, for seven policies.
    fn default() -> Self {
        Self {
            entries: 2048,
            rate_max: 1.0 / 2048.0,
        }
    }
}

/// What is predicted of a policy with a part of the memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The policy.
    pub policy: PolicyName,
    /// Its memory, in per cent of the present.
    pub percent: u64,
    /// Requests of all keys, as far as they count: what the other shards' are added to.
    pub requests: f64,
    /// Those that would have hit.
    pub hits: f64,
}

impl Point {
    /// The part of all requests that would have hit.
    pub fn hit_ratio(&self) -> f64 {
        (self.hits / self.requests.max(1.0)).clamp(0.0, 1.0)
    }

    /// Adds the same point of another shard.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.hits += other.hits;
    }
}

struct Line {
    policy: PolicyName,
    caches: [Mini<Evictor>; PERCENTS.len()],
    /// Hits, each by the keys for which it stands.
    hits: [f64; PERCENTS.len()],
}

/// Sampled caches of several policies and sizes.
pub struct Curve {
    sample: Sample,
    lines: Vec<Line>,
    /// Requests of the sample, each by the keys for which it stands.
    sampled: f64,
    requests: f64,
    hits: f64,
}

impl Curve {
    /// The curve of these policies, of which the first is the present one, by a sample of random keys after `seed`.
    pub fn new(policies: &[PolicyName], sampling: Sampling, seed: u64) -> Self {
        let policies = policies.iter().filter(|&&policy| policy != PolicyName::Ttl);
        let line = |&policy: &PolicyName| Line {
            policy,
            caches: PERCENTS.map(|percent| Mini::new(Evictor::new(policy, mix(seed ^ percent)))),
            hits: [0.0; PERCENTS.len()],
        };
        Self {
            sample: Sample::new(
                sampling.entries.into(),
                RATE_MIN..=sampling.rate_max,
                mix(seed),
            ),
            lines: policies.map(line).collect(),
            sampled: 0.0,
            requests: 0.0,
            hits: 0.0,
        }
    }

    /// The shard may hold so many bytes of entries.
    pub fn set_capacity(&mut self, bytes: u64) {
        self.sample.set_capacity(bytes);
        self.scale();
    }

    fn scale(&mut self) {
        let capacity = self.sample.capacity();
        for line in &mut self.lines {
            for (cache, percent) in line.caches.iter_mut().zip(PERCENTS) {
                cache.set_capacity((capacity * percent + 50) / 100);
            }
        }
    }

    /// What time it is.
    pub fn set_now(&mut self, now: UnixMillis) {
        for line in &mut self.lines {
            for cache in &mut line.caches {
                cache.policy_mut().set_now(now);
            }
        }
    }

    /// Whether [`Self::requested`] wants to be told of the requests of this key.
    #[inline(always)]
    pub fn samples(&self, identity: Identity) -> bool {
        self.sample.has(identity)
    }

    /// A key of the sample is used, or has come to be.
    #[cold]
    pub fn requested(&mut self, identity: Identity, bytes: u64, how: Use) {
        let stands_for = 1.0 / self.sample.rate();
        self.sampled += stands_for;
        for line in &mut self.lines {
            for (cache, hits) in line.caches.iter_mut().zip(&mut line.hits) {
                if cache.request(identity, bytes, how) {
                    *hits += stands_for;
                }
            }
        }
    }

    /// An entry has come to be, sampled or not: by how many bytes these have, the sample is fitted.
    pub fn inserted(&mut self, bytes: u64) {
        if self.sample.fit_after_insertion(bytes) {
            self.scale();
        }
    }

    /// There were so many requests of all keys since it was last told, of which so many hit.
    pub fn count(&mut self, requests: u64, hits: u64) {
        self.requests += requests as f64;
        self.hits += hits as f64;
    }

    /// Forgets what was counted; the caches stay.
    pub fn count_anew(&mut self) {
        (self.sampled, self.requests, self.hits) = (0.0, 0.0, 0.0);
        for line in &mut self.lines {
            line.hits = [0.0; PERCENTS.len()];
        }
    }

    /// Points, by policy and size.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        let missed = |hits: f64| (self.sampled - hits) / self.sampled.max(1.0) * self.requests;
        let present = self
            .lines
            .first()
            .map_or(0.0, |line| missed(line.hits[PRESENT]));
        let off = match present > 0.0 {
            true => (self.requests - self.hits) / present - 1.0,
            false => 0.0,
        };
        // Where nearly all keys are sampled, what differs is chance in the policy.
        let correction = 1.0 + off * (1.0 - self.sample.rate().powi(4));
        self.lines.iter().flat_map(move |line| {
            PERCENTS
                .iter()
                .zip(line.hits)
                .map(move |(&percent, hits)| Point {
                    policy: line.policy,
                    percent,
                    requests: self.requests,
                    hits: self.requests - (missed(hits) * correction).min(self.requests),
                })
        })
    }

    /// Bytes that it holds.
    pub fn held_bytes(&self) -> u64 {
        let caches = self.lines.iter().flat_map(|line| &line.caches);
        let lines = self.lines.capacity() * size_of::<Line>();
        lines as u64 + caches.map(Mini::held_bytes).sum::<u64>()
    }
}
