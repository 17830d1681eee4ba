//! The policy that chooses by trying: of four shapes of [`super::parts`], the one that would have missed least lately.
//!
//! ```text
//!  every use ─▶ parts, in the shape chosen
//!  uses of keys whose hash is in the sample ─▶ parts D10, D1, D30, RECENT: caches of keys alone, as small as the sample
//! ```
//! *The sample* (SHARDS, Waldspurger et al., FAST 2015): 1 key in 256, or as many as make caches of 1024 entries. A cache of the sample's
//! share of the bytes misses as the whole one would.
//!
//! *The choice*. Misses are counted as they fade, over some 16 times the entries of a sampled cache; so are requests on which two shapes
//! disagree. Another shape is chosen when it misses less by more than chance and more than the change costs. Chance is three times the
//! root of what the two disagree on. The cost grows with how much of what they keep differs, since that has to come anew, and a shape that
//! does better for a while may fall behind the next: a seventh of what they disagree on, or of half of the entries if these are fewer. So a
//! shape that hits what the other hits and more is changed to soon, one that hits other keys only when it is far ahead. It is looked for
//! after every quarter of a sampled cache's entries.
//!
//! *Before memory is short* the sample tells how often keys are asked for, by which the parts fill in one way or another.
//!
//! What the choice costs is caches that are a 256th of the whole, four times: half a byte an entry.

use super::mini::Mini;
use super::parts::{Parts, Shape};
use super::rng::mix;
use super::sample::Sample;
use super::{Candidate, Choice, Coming, Entries, Foreseen, Identity, Policy, Scope, Use};
use crate::AccessClock;

/// What is chosen among; the first is chosen until another has shown that it misses less.
const SHAPES: [Shape; 4] = [Shape::D10, Shape::D1, Shape::D30, Shape::RECENT];

/// Entries that a sampled cache has at least, if there are as many.
const SAMPLED_MIN: f64 = 1024.0;

/// The smallest sample.
const RATE_MIN: f64 = 1.0 / 256.0;

/// Misses fade by e in so many requests of the sample for each entry of a sampled cache.
const MEMORY: f64 = 16.0;

/// How many roots of what two shapes disagree on are beyond chance.
const BEYOND_CHANCE: f64 = 3.0;

/// Misses that a change from one shape to another costs for each request on which they disagree,
const COST_OF_CHANGE: f64 = 1.0 / 7.0;

/// or for each of this part of the entries, if these are fewer.
const CHANGED_MAX: f64 = 0.5;

/// Requests for each key of the sample from which on keys have been asked for often before memory is short.
const ASKED_OFTEN: u64 = 4;

/// Requests of the sample between two choices.
const BETWEEN_CHOICES_MIN: u64 = 16;

/// Parts of the one shape that does best.
pub struct Adaptive {
    parts: Parts,
    sample: Sample,
    chosen: usize,
    candidates: [Mini<Parts>; SHAPES.len()],
    misses: [f64; SHAPES.len()],
    disagreements: [[f64; SHAPES.len()]; SHAPES.len()],
    requests_to_choice: u64,
    changes: u64,
    /// Requests of the sample, and those of keys that came.
    asked: u64,
    came: u64,
}

impl Adaptive {
    /// With random numbers, and a sample of keys, after `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mini = |nth: usize| Mini::new(Parts::new(SHAPES[nth], mix(seed + 1 + nth as u64)));
        Self {
            parts: Parts::new(SHAPES[0], seed),
            sample: Sample::new(SAMPLED_MIN, RATE_MIN..=1.0, seed),
            chosen: 0,
            candidates: std::array::from_fn(mini),
            misses: [0.0; SHAPES.len()],
            disagreements: [[0.0; SHAPES.len()]; SHAPES.len()],
            requests_to_choice: BETWEEN_CHOICES_MIN,
            changes: 0,
            asked: 0,
            came: 0,
        }
    }

    /// Samples keys of a shard from now on.
    pub(crate) fn sample_shard(&mut self) {
        self.sample.take_highest();
        self.scale();
    }

    /// How often another shape was chosen.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    fn scale(&mut self) {
        let capacity = self.sample.capacity();
        for candidate in &mut self.candidates {
            candidate.set_capacity(capacity);
        }
    }

    /// A key of the sample comes: before memory is short, it and what comes next stand where that depends on how often keys were asked for.
    #[cold]
    fn count_coming(&mut self) {
        self.came += 1;
        if self.parts.has_evicted() {
            return;
        }
        let is_asked_often = self.asked >= ASKED_OFTEN * self.came;
        self.parts.set_fills_in_order(is_asked_often);
        for candidate in &mut self.candidates {
            candidate.policy_mut().set_fills_in_order(is_asked_often);
        }
    }

    /// Has the candidates take a request of the sample.
    #[cold]
    fn try_candidates(&mut self, identity: Identity, bytes: u64, how: Use) {
        self.asked += 1;
        let misses = self.candidates.each_mut();
        let misses = misses.map(|candidate| !candidate.request(identity, bytes, how));
        let entries = self.candidates[self.chosen].len().max(1);
        let fade = (-1.0 / (MEMORY * entries as f64)).exp();
        for one in 0..SHAPES.len() {
            self.misses[one] = self.misses[one] * fade + f64::from(misses[one]);
            for other in 0..one {
                let differ = f64::from(misses[one] != misses[other]);
                let sum = &mut self.disagreements[one][other];
                *sum = *sum * fade + differ;
            }
        }
        self.requests_to_choice -= 1;
        if self.requests_to_choice == 0 {
            self.requests_to_choice = (entries / 4).max(BETWEEN_CHOICES_MIN);
            self.choose();
        }
    }

    fn choose(&mut self) {
        let fewest = (0..SHAPES.len()).min_by(|&a, &b| self.misses[a].total_cmp(&self.misses[b]));
        let best = fewest.unwrap_or(self.chosen);
        if best == self.chosen {
            return;
        }
        let (one, other) = (best.max(self.chosen), best.min(self.chosen));
        let differ = self.disagreements[one][other];
        let entries = self.candidates[self.chosen].len() as f64;
        let cost = COST_OF_CHANGE * differ.min(CHANGED_MAX * entries);
        let enough = BEYOND_CHANCE * differ.sqrt() + cost;
        if self.misses[self.chosen] - self.misses[best] > enough {
            self.chosen = best;
            self.changes += 1;
            self.parts.reshape(SHAPES[best]);
        }
    }
}

impl Policy for Adaptive {
    fn set_capacity(&mut self, bytes: u64) {
        self.sample.set_capacity(bytes);
        self.parts.set_capacity(bytes);
        self.scale();
    }

    fn inserted(&mut self, identity: Identity, bytes: u64) -> AccessClock {
        if self.sample.fit_after_insertion(bytes) {
            self.scale();
        }
        if self.samples(identity) {
            self.count_coming();
            self.try_candidates(identity, bytes, Use::Write);
        }
        self.parts.inserted(identity, bytes)
    }

    #[inline(always)]
    fn used(&mut self, history: AccessClock, how: Use) -> AccessClock {
        self.parts.used(history, how)
    }

    fn foreseen(&self) -> Foreseen {
        self.parts.foreseen()
    }

    #[inline(always)]
    fn samples(&self, identity: Identity) -> bool {
        self.sample.has(identity)
    }

    fn sampled_hashes(&self) -> u64 {
        self.sample.hashes()
    }

    fn sampled(&mut self, identity: Identity, bytes: u64, how: Use) {
        self.try_candidates(identity, bytes, how);
    }

    #[inline]
    fn awaits(&self, identity: Identity) {
        self.parts.awaits(identity);
    }

    #[inline]
    fn looks_ahead(&self, victims: usize, show: impl FnMut(Coming)) {
        self.parts.looks_ahead(victims, show);
    }

    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice {
        self.parts.victim(entries, scope)
    }

    fn rank(&self, entry: &Candidate) -> i64 {
        self.parts.rank(entry)
    }

    fn spared(&mut self, entry: &Candidate) -> AccessClock {
        self.parts.spared(entry)
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        self.parts.shown(entry)
    }

    fn tend(&mut self, entries: &mut impl Entries) {
        self.parts.tend(entries);
    }

    fn held_bytes(&self) -> u64 {
        let candidates = self.candidates.iter().map(Mini::held_bytes);
        self.parts.held_bytes() + candidates.sum::<u64>()
    }
}
