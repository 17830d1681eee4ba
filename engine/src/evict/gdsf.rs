//! GreedyDual-Size-Frequency (Cherkasova 1998), by drawing: small entries that are used often stay.
//!
//! It is [`super::parts`] without a small queue: all entries are ranked.

use super::parts::{Parts, Shape};
use super::{Candidate, Choice, Coming, Entries, Foreseen, Identity, Policy, Scope, Use};
use crate::AccessClock;

/// Entries ranked by level + (uses + 1) / bytes.
pub(crate) struct Gdsf(Parts);

impl Gdsf {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Parts::new(Shape::GDSF, seed))
    }
}

impl Policy for Gdsf {
    fn set_capacity(&mut self, bytes: u64) {
        self.0.set_capacity(bytes);
    }

    fn inserted(&mut self, identity: Identity, bytes: u64) -> AccessClock {
        self.0.inserted(identity, bytes)
    }

    #[inline(always)]
    fn used(&mut self, history: AccessClock, how: Use) -> AccessClock {
        self.0.used(history, how)
    }

    fn foreseen(&self) -> Foreseen {
        self.0.foreseen()
    }

    #[inline]
    fn awaits(&self, identity: Identity) {
        self.0.awaits(identity);
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

    fn spared(&mut self, entry: &Candidate) -> AccessClock {
        self.0.spared(entry)
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        self.0.shown(entry)
    }

    fn tend(&mut self, entries: &mut impl Entries) {
        self.0.tend(entries);
    }

    fn held_bytes(&self) -> u64 {
        self.0.held_bytes()
    }
}
