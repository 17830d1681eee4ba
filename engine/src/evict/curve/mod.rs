//! The miss-ratio curve: how often a shard would hit with a quarter of its memory, or four times as much, by its policy and others.
//!
//! ```text
//!  what befalls sampled keys ─▶ batches ─▶ for each policy, caches of keys alone with ¼ · ½ · 1 · 2 · 4 × the memory, the sample's share
//! ```
//! The policies themselves run in these ([`super::mini`]), so what is told of one is what it does (Waldspurger et al., USENIX ATC 2017).
//! That the sample has some keys too many or too few is seen in how often those that it has are missed in the shard itself: all misses of the
//! shard are known, and all points are corrected by what these are for each that the sample stands for.
//!
//! A cache may have a key that the shard has evicted, and lack one that it has. So a read is a request to all caches; one that misses where
//! the shard hits takes the key in, as the client would have; one that hits where the shard misses does not hear of the write that
//! follows. Deadlines and removals are the shard's.
//!
//! A key is sampled if its identity is low ([`super::sample`]). Each cache has as many of these as make about the same number of entries: one of
//! a quarter of the memory four times as many as one of the present, which has four times as many as one of four times the memory. So all points are
//! as sure, for the same memory. How many entries that is follows from three bounds: so many are wanted, so much memory they take, and
//! so much time ([`load`]).

mod batches;
mod cache;
mod load;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use super::mini::Value;
use super::rng::mix;
use super::sample::Sample;
use super::{Evictor, Identity, PolicyName, Scope};
use crate::UnixMillis;
use batches::{Batches, Event};
use cache::{Cache, Part};
use load::Load;

/// For which parts of the present memory hits are predicted, in per cent.
pub const PERCENTS: [u64; 5] = [25, 50, 100, 200, 400];

/// Misses of the sample that tell as much of it as that it ought to be right.
const FEW_MISSES: f64 = 16.0;

/// The policies that have a curve, besides the one in force.
const POLICIES: [PolicyName; 7] = [
    PolicyName::Adaptive,
    PolicyName::Lru,
    PolicyName::Lfu,
    PolicyName::Fifo,
    PolicyName::Sieve,
    PolicyName::S3Fifo,
    PolicyName::Gdsf,
];

/// Of a sample, the part of all keys that a cache of the present memory has: at least, and where even the cache of most memory has all keys.
const RATES: RangeInclusive<f64> = 1e-5..=4.0;

/// Entries that have ended are removed from caches after so long, or when they are asked for.
const SWEPT_EVERY_MS: i64 = 1000;

/// By how much capacities change before caches are told, in parts of them.
const CAPACITY_STEP: f64 = 0.01;

/// Bytes that caches of one size hold for each entry, of all policies.
const BYTES_AN_ENTRY: u64 = 220;

/// Bytes that they hold besides for each of the entries by which `adaptive` chooses, 1024 at most.
const BYTES_A_CHOOSING_ENTRY: u64 = 140;
const CHOOSING_MAX: u64 = 1024;

/// Bytes that caches hold however few their entries are: begun queues, times of ghosts.
const BYTES_OF_NONE: u64 = 265_000;

/// Sampled entries that a shard may have whatever memory there is.
const ENTRIES_MIN: u64 = 64;

/// What a curve predicts, and at what cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurveOptions {
    /// The policy in force; `None`: nothing is evicted.
    pub policy: Option<PolicyName>,
    /// Which entries may go.
    pub scope: Scope,
    /// Entries that each cache is to have, which bounds the memory of all: about 1.1 kB each, 0.7 kB more for each of the first 1024, and 265 kB.
    pub entries: u32,
    /// The part of the time that it may take, in per cent; 100: any.
    pub cpu_percent: u32,
}

impl CurveOptions {
    /// Entries that take no more than a 200th of so many bytes, 2048 at most: with these, points are mostly within one hit in a hundred.
    pub fn entries_for(memory_bytes: u64) -> u32 {
        let bytes = (memory_bytes / 200).saturating_sub(BYTES_OF_NONE) / PERCENTS.len() as u64;
        let few = bytes / (BYTES_AN_ENTRY + BYTES_A_CHOOSING_ENTRY);
        let many = bytes.saturating_sub(CHOOSING_MAX * BYTES_A_CHOOSING_ENTRY) / BYTES_AN_ENTRY;
        few.max(many).clamp(ENTRIES_MIN, 2048) as u32
    }

    /// Bytes that the caches come to hold, about, if each is to have so many entries, and there are so many in the shard.
    pub fn bytes_for(wanted: u32, entries: u64) -> u64 {
        let of_cache = |percent: u64| {
            let held = (entries * percent / 100).min(wanted.into());
            held * BYTES_AN_ENTRY + held.min(CHOOSING_MAX) * BYTES_A_CHOOSING_ENTRY
        };
        BYTES_OF_NONE + PERCENTS.into_iter().map(of_cache).sum::<u64>()
    }
}

/// What befalls a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It is read.
    Read,
    /// It is read, and not there.
    Missed,
    /// It comes to be.
    Comes,
    /// It is changed, or written anew.
    Written,
    /// It has another deadline, or size.
    Becomes,
    /// It is removed, or has ended.
    Gone,
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

/// What a curve has counted, and of how many keys.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CurveStats {
    /// Requests of all keys, as far as they count.
    pub requests: f64,
    /// Those that hit.
    pub hits: f64,
    /// Requests of the sample since it began.
    pub sampled: u64,
    /// The part of all keys that caches of the present memory have.
    pub rate: f64,
}

/// Sampled caches of several policies and sizes.
pub struct Curve {
    sample: Sample,
    /// What caches of each size have of it.
    parts: [Part; PERCENTS.len()],
    /// What an event costs with these, in the mean.
    event_ns: u64,
    /// Of each policy those of all sizes, one policy behind the other.
    caches: Vec<Cache>,
    /// The line of the policy in force.
    reference: usize,
    batches: Batches,
    load: Load,
    options: CurveOptions,
    now: UnixMillis,
    /// What entries of the shard may take with each part of the memory.
    capacities: [u64; PERCENTS.len()],
    /// The next cache that is to have its share of them.
    to_fit: usize,
    swept_at: UnixMillis,
    requests: f64,
    hits: f64,
    /// Misses in the shard of the keys that caches of each size have, each by the keys for which it stands.
    missed: [f64; PERCENTS.len()],
    sampled: u64,
    held_bytes: u64,
}

impl Curve {
    /// The curve of all policies, with random numbers after `seed`.
    pub fn new(options: &CurveOptions, seed: u64) -> Self {
        let others = POLICIES.into_iter();
        let own = options.policy.filter(|own| !POLICIES.contains(own));
        let mut caches = Vec::new();
        for policy in others.chain(own) {
            for percent in PERCENTS {
                let evictor = Evictor::new(policy, mix(seed ^ percent));
                caches.push(Cache::new(evictor, options.scope, percent));
            }
        }
        let sample = Sample::of_lowest(options.entries.into(), RATES);
        let mut curve = Self {
            parts: PERCENTS.map(|percent| Part::of(sample.rate(), percent)),
            sample,
            event_ns: 0,
            reference: 0,
            batches: Batches::new(),
            load: Load::new(options.cpu_percent, *RATES.end()),
            options: *options,
            now: UnixMillis(0),
            capacities: [0; PERCENTS.len()],
            to_fit: 0,
            swept_at: UnixMillis(0),
            requests: 0.0,
            hits: 0.0,
            missed: [0.0; PERCENTS.len()],
            sampled: 0,
            held_bytes: 0,
            caches,
        };
        curve.reference = curve.line_of(options.policy).unwrap_or(0);
        curve.resample();
        let caches = curve.caches.iter().map(Cache::held_bytes);
        let lists = curve.caches.capacity() * size_of::<Cache>();
        curve.held_bytes = caches.sum::<u64>() + lists as u64 + curve.batches.held_bytes();
        curve
    }

    fn line_of(&self, policy: Option<PolicyName>) -> Option<usize> {
        let mut firsts = self.caches.iter().step_by(PERCENTS.len());
        firsts.position(|cache| Some(cache.policy()) == policy)
    }

    /// Follows other options, which begins the counts anew if another policy is in force; whether it can.
    pub fn follow(&mut self, options: &CurveOptions) -> bool {
        let line = match options.policy {
            None => Some(0),
            policy => self.line_of(policy),
        };
        let Some(line) = line.filter(|_| options.scope == self.options.scope) else {
            return false;
        };
        if line != self.reference {
            self.reference = line;
            self.count_anew();
        }
        if options.cpu_percent != self.options.cpu_percent {
            self.load.set_percent(options.cpu_percent);
        }
        self.options = *options;
        let rate_max = self.load.rate_max();
        self.sample.set_bounds(options.entries.into(), rate_max);
        true
    }

    /// What time it is.
    pub fn set_now(&mut self, now: UnixMillis) {
        self.now = now;
    }

    /// The highest identity that it samples.
    #[inline]
    pub fn below(&self) -> Identity {
        Identity(self.parts[0].below())
    }

    /// The sample is another: caches have other parts of it.
    fn resample(&mut self) {
        self.parts = PERCENTS.map(|percent| Part::of(self.sample.rate(), percent));
        let sizes = self.parts.iter().cycle();
        let costs = self.caches.iter().zip(sizes);
        let ns: f64 = costs
            .map(|(cache, part)| cache.request_ns() as f64 * part.rate())
            .sum();
        self.event_ns = (ns / self.parts[0].rate()) as u64;
        self.to_fit = 0;
    }

    /// Whether [`Self::told`] wants to be told of this key.
    #[inline]
    pub fn samples(&self, identity: Identity) -> bool {
        self.parts[0].has(identity)
    }

    /// Something befalls a key of the sample.
    pub(crate) fn told(&mut self, what: What, identity: Identity, value: Value) {
        self.sampled += u64::from(matches!(what, What::Read | What::Missed));
        if what == What::Missed {
            for (missed, part) in self.missed.iter_mut().zip(&self.parts) {
                if part.has(identity) {
                    *missed += 1.0 / part.rate();
                }
            }
        }
        self.batches.add(Event {
            what,
            identity,
            value,
            now: self.now,
            rate: self.sample.rate() as f32,
        });
        if self.batches.are_full() {
            self.step();
        }
        let rate = self.sample.rate();
        if self.load.spend(self.now, self.event_ns, rate) {
            let rate_max = self.load.rate_max();
            self.sample
                .set_bounds(self.options.entries.into(), rate_max);
            self.bound_rate(rate_max);
        }
    }

    fn bound_rate(&mut self, rate_max: f64) {
        if self.sample.rate() > rate_max && self.sample.fit_to(0.0) {
            self.resample();
        }
    }

    /// A shard whose memory is full has about so many entries, and its entries may take so many bytes with each part of the memory.
    pub fn fit(&mut self, entries: f64, capacities: [u64; PERCENTS.len()]) {
        let is_another = |(was, is): (&u64, &u64)| {
            let (was, is) = (*was as f64, *is as f64);
            (is - was).abs() > CAPACITY_STEP * was.max(1.0)
        };
        if self.capacities.iter().zip(&capacities).any(is_another) {
            self.capacities = capacities;
            self.to_fit = 0;
        }
        if self.sample.fit_to(entries) {
            self.resample();
        }
        let is_due = self.now.0 - self.swept_at.0 >= SWEPT_EVERY_MS;
        if is_due && self.to_fit == self.caches.len() && self.caches.iter().any(Cache::may_end) {
            self.swept_at = self.now;
            self.to_fit = 0;
        }
    }

    /// What was counted counts half as much from now on.
    pub fn halve(&mut self) {
        self.requests /= 2.0;
        self.hits /= 2.0;
        self.missed.iter_mut().for_each(|missed| *missed /= 2.0);
        self.caches.iter_mut().for_each(Cache::halve);
    }

    /// Whether [`Self::step`] has something to do.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.to_fit < self.caches.len() || self.batches.are_full()
    }

    /// A slice of the work: one cache is fitted, or takes in a batch. Whether there was any.
    pub fn step(&mut self) -> bool {
        if let Some(cache) = self.caches.get_mut(self.to_fit) {
            let size = self.to_fit % PERCENTS.len();
            let held = cache.held_bytes();
            cache.fit(self.parts[size], self.capacities[size], self.now);
            self.held_bytes = self.held_bytes - held + cache.held_bytes();
            self.to_fit += 1;
            return true;
        }
        let Some((nth, batch)) = self.batches.next(self.caches.len()) else {
            return false;
        };
        let cache = &mut self.caches[nth];
        let held = cache.held_bytes();
        cache.take(self.parts[nth % PERCENTS.len()], batch);
        self.held_bytes = self.held_bytes - held + cache.held_bytes();
        true
    }

    /// Takes in all that was told: some 70 steps.
    pub fn settle(&mut self) {
        while self.step() {}
        self.batches.close();
        while self.step() {}
    }

    /// There were so many requests of all keys since it was last told, of which so many hit.
    pub fn count(&mut self, requests: u64, hits: u64) {
        self.requests += requests as f64;
        self.hits += hits as f64;
    }

    /// Forgets what was counted; the caches stay.
    pub fn count_anew(&mut self) {
        self.settle();
        (self.requests, self.hits) = (0.0, 0.0);
        (self.missed, self.sampled) = ([0.0; PERCENTS.len()], 0);
        self.caches.iter_mut().for_each(Cache::count_anew);
    }

    /// All keys are gone.
    pub fn clear(&mut self) {
        self.settle();
        self.caches.iter_mut().for_each(Cache::clear);
        let caches = self.caches.iter().map(Cache::held_bytes);
        let lists = self.caches.capacity() * size_of::<Cache>();
        self.held_bytes = caches.sum::<u64>() + lists as u64 + self.batches.held_bytes();
    }

    /// The second in which a key was used last, if that is known.
    pub fn used_secs(&self, identity: Identity) -> Option<u32> {
        let first = self.reference * PERCENTS.len();
        let sizes = &self.caches[first..first + PERCENTS.len()];
        // The larger the cache, the longer it has what the shard lets go, and the fewer keys.
        sizes
            .iter()
            .rev()
            .find_map(|cache| cache.used_secs(identity))
    }

    /// What is counted; [`Self::settle`] comes before.
    pub fn stats(&self) -> CurveStats {
        CurveStats {
            requests: self.requests,
            hits: self.hits,
            sampled: self.sampled,
            rate: self.sample.rate().min(1.0),
        }
    }

    /// Points, by policy and size; [`Self::settle`] comes before. The one of the policy in force with the present memory is no prediction:
    /// it is what was counted.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        // By how much the keys of a size have missed too much or too little where it is known: in the shard. A few misses tell little.
        let sizes = self.parts.iter().zip(&self.missed);
        let corrections: Vec<f64> = sizes
            .map(|(part, missed)| {
                let few = FEW_MISSES / part.rate();
                (self.requests - self.hits + few) / (missed + few)
            })
            .collect();
        let points = self.caches.iter().enumerate();
        points.map(move |(nth, cache)| {
            let (percent, correction) = (cache.percent(), corrections[nth % PERCENTS.len()]);
            let predicted = self.requests - (cache.missed() * correction).min(self.requests);
            let is_present = percent == 100 && Some(cache.policy()) == self.options.policy;
            Point {
                policy: cache.policy(),
                percent,
                requests: self.requests,
                hits: if is_present { self.hits } else { predicted },
            }
        })
    }

    /// Bytes that it holds.
    #[inline]
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }
}
