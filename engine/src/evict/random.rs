//! Any entry goes. Uses are kept as the time of the last, which victims do not depend on.

use super::lru::Lru;
use super::rng::Rng;
use super::sampled::any;
use super::{Candidate, Choice, Coming, Entries, Foreseen, Identity, Policy, Scope, Use};
use crate::{AccessClock, UnixMillis};

/// Entries as they are drawn.
pub(crate) struct Random {
    uses: Lru,
    rng: Rng,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            uses: Lru::new(seed),
            rng: Rng::new(seed),
        }
    }
}

impl Policy for Random {
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
    fn looks_ahead(&self, victims: usize, mut show: impl FnMut(Coming)) {
        show(Coming::Drawn(self.rng.ahead(victims)));
    }

    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice {
        any(entries, scope, &mut self.rng)
    }

    fn rank(&self, _entry: &Candidate) -> i64 {
        0
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        entry.history
    }
}
