//! First in, first out.
//!
//! ```text
//!  history   | stamp, 24 bits: the place in the queue |
//! ```
//! Of use as a measure for others, and where what is old is of no use. Four bytes an entry.

use super::queue::{Counts, Place, Queue};
use super::rng::Rng;
use super::sampled::{any, strays};
use super::{
    Candidate, Choice, Coming, Entries, Foreseen, Identity, LOOKS_MAX, Policy, Scope, Use,
};
use crate::AccessClock;

const PLACE: Place = Place {
    stamp_bits: AccessClock::BITS,
    mark_mask: 0,
    mark: 0,
};

/// Entries in the order in which they came to be.
pub(crate) struct Fifo {
    queue: Queue,
    rng: Rng,
}

impl Fifo {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            queue: Queue::new(Counts::Slots, PLACE),
            rng: Rng::new(seed),
        }
    }
}

impl Policy for Fifo {
    fn inserted(&mut self, identity: Identity, bytes: u64) -> AccessClock {
        AccessClock(self.queue.push(identity, bytes))
    }

    #[inline(always)]
    fn used(&mut self, history: AccessClock, _how: Use) -> AccessClock {
        history
    }

    fn foreseen(&self) -> Foreseen {
        Foreseen::NOTHING
    }

    #[inline]
    fn looks_ahead(&self, victims: usize, show: impl FnMut(Coming)) {
        let identity = self.queue.behind_tail(victims);
        identity.map(Coming::Entry).into_iter().for_each(show);
    }

    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice {
        let queue = &self.queue;
        for stray in strays(entries, &mut self.rng, |history| queue.may_hold(history)) {
            let history = self.inserted(stray.identity, stray.bytes);
            entries.set_history(stray.identity, history);
        }
        for _ in 0..LOOKS_MAX {
            let Some(slot) = self.queue.pop() else {
                return any(entries, scope, &mut self.rng);
            };
            let Some(entry) = self.queue.entry(slot, entries) else {
                continue;
            };
            if scope.allows(&entry) {
                return Choice::Victim(slot.identity);
            }
            let stamp = self.queue.push(slot.identity, entry.bytes);
            entries.set_history(slot.identity, AccessClock(stamp));
        }
        match scope {
            Scope::AllKeys => Choice::Later,
            Scope::Volatile => any(entries, scope, &mut self.rng),
        }
    }

    fn rank(&self, entry: &Candidate) -> i64 {
        -self.queue.age(entry.history)
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        self.inserted(entry.identity, entry.bytes)
    }

    fn tend(&mut self, entries: &mut impl Entries) {
        self.queue.tend(entries);
    }

    fn held_bytes(&self) -> u64 {
        self.queue.held_bytes()
    }
}
