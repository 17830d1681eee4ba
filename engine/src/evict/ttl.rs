//! The entry that expires soonest goes, by drawing (Redis's `volatile-ttl`). Without a deadline an entry stays.

use super::lru::Lru;
use super::sampled::{Draw, SAMPLES};
use super::{Candidate, Choice, Coming, Entries, Foreseen, Identity, Policy, Scope, Use};
use crate::{AccessClock, UnixMillis};

/// Entries by their deadlines.
pub(crate) struct Ttl {
    uses: Lru,
    draw: Draw,
}

impl Ttl {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            uses: Lru::new(seed),
            draw: Draw::new(SAMPLES, seed),
        }
    }

    pub(crate) fn set_samples(&mut self, samples: usize) {
        self.draw.set_samples(samples);
    }
}

impl Policy for Ttl {
    fn set_now(&mut self, now: UnixMillis) {
        self.uses.set_now(now);
    }

    fn inserted(&mut self, identity: Identity, bytes: u64) -> AccessClock {
        self.uses.inserted(identity, bytes)
    }

    #[inline(always)]
    fn used(&mut self, history: AccessClock, how: Use) -> AccessClock {
        self.uses.used(history, how)
    }

    fn foreseen(&self) -> Foreseen {
        self.uses.foreseen()
    }

    #[inline]
    fn looks_ahead(&self, victims: usize, show: impl FnMut(Coming)) {
        self.draw.looks_ahead(victims, show);
    }

    fn victim(&mut self, entries: &mut impl Entries, _scope: Scope) -> Choice {
        self.draw.choose(entries, Scope::Volatile, |entry| {
            entry.deadline.map(|deadline| deadline.0)
        })
    }

    fn rank(&self, entry: &Candidate) -> i64 {
        entry.deadline.map_or(i64::MAX, |deadline| deadline.0)
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        entry.history
    }

    fn held_bytes(&self) -> u64 {
        self.draw.held_bytes()
    }
}
