//! The entry that was not changed for longest goes, by drawing (`lrm` of Redis 8.6): reading keeps nothing.
//!
//! ```text
//!  history   | seconds of the last change, modulo 2^24 |
//! ```

use super::lru::Lru;
use super::{Candidate, Choice, Coming, Entries, Foreseen, Identity, Policy, Scope, Use};
use crate::{AccessClock, UnixMillis};

/// Entries by the time of their last change.
pub(crate) struct Lrm(Lru);

impl Lrm {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Lru::new(seed))
    }

    pub(crate) fn set_samples(&mut self, samples: usize) {
        self.0.set_samples(samples);
    }
}

impl Policy for Lrm {
    fn set_now(&mut self, now: UnixMillis) {
        self.0.set_now(now);
    }

    fn inserted(&mut self, _identity: Identity, _bytes: u64) -> AccessClock {
        self.0.clock()
    }

    #[inline(always)]
    fn used(&mut self, history: AccessClock, how: Use) -> AccessClock {
        match how {
            Use::Read => history,
            Use::Write => self.0.clock(),
        }
    }

    fn foreseen(&self) -> Foreseen {
        Foreseen::NOTHING
    }

    fn foresees_reads_alone(&self) -> bool {
        true
    }

    #[inline]
    fn looks_ahead(&self, victims: usize, show: impl FnMut(Coming)) {
        self.0.looks_ahead(victims, show);
    }

    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice {
        self.0.victim(entries, scope)
    }

    fn rank(&self, entry: &Candidate) -> i64 {
        self.0.rank(entry)
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        entry.history
    }

    fn held_bytes(&self) -> u64 {
        self.0.held_bytes()
    }
}
