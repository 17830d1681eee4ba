//! The entry that was not used for longest goes, by drawing (Redis's `lru`).
//!
//! ```text
//!  history   | seconds of the last use, modulo 2^24 |
//! ```

use super::sampled::{Draw, SAMPLES};
use super::{Candidate, Choice, Coming, Entries, Foreseen, Identity, Policy, Scope, Use};
use crate::{AccessClock, UnixMillis};

/// Entries by the time of their last use.
pub(crate) struct Lru {
    clock: AccessClock,
    now: UnixMillis,
    draw: Draw,
}

impl Lru {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            clock: AccessClock(0),
            now: UnixMillis(0),
            draw: Draw::new(SAMPLES, seed),
        }
    }

    pub(crate) fn set_samples(&mut self, samples: usize) {
        self.draw.set_samples(samples);
    }

    #[inline(always)]
    pub(crate) fn clock(&self) -> AccessClock {
        self.clock
    }
}

/// The second of an entry's last use.
fn used_at(entry: &Candidate, now: UnixMillis) -> i64 {
    now.as_secs() - i64::from(entry.history.idle_secs(now))
}

impl Policy for Lru {
    fn set_now(&mut self, now: UnixMillis) {
        self.now = now;
        self.clock = AccessClock::at(now);
    }

    fn inserted(&mut self, _identity: Identity, _bytes: u64) -> AccessClock {
        self.clock
    }

    #[inline(always)]
    fn used(&mut self, _history: AccessClock, _how: Use) -> AccessClock {
        self.clock
    }

    fn foreseen(&self) -> Foreseen {
        Foreseen::becomes(self.clock)
    }

    #[inline]
    fn looks_ahead(&self, victims: usize, show: impl FnMut(Coming)) {
        self.draw.looks_ahead(victims, show);
    }

    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice {
        let now = self.now;
        self.draw
            .choose(entries, scope, |entry| Some(used_at(entry, now)))
    }

    fn rank(&self, entry: &Candidate) -> i64 {
        used_at(entry, self.now)
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        entry.history
    }

    fn held_bytes(&self) -> u64 {
        self.draw.held_bytes()
    }
}
