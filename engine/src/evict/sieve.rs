//! SIEVE (Zhang et al., NSDI 2024): a queue, and a hand that goes from its tail to its head, spares what was used and takes the rest.
//!
//! ```text
//!  tail ─▶ [ behind: spared by the hand ] hand ─▶ [ ahead: yet to be looked at ] ◀─ head: new entries
//!
//!  history   | used | of which queue | stamp, 22 bits |
//! ```
//! What the hand spares stays where it is. So the queue is two: the hand takes the tail of the one ahead and adds what it spares to the
//! one behind; when nothing is ahead any more, it is at the head, and what is behind lies ahead of it again. Four bytes an entry.

use std::mem::swap;

use super::queue::{Counts, Place, Queue};
use super::rng::Rng;
use super::sampled::{any, strays};
use super::{
    Candidate, Choice, Coming, Entries, Foreseen, Identity, LOOKS_MAX, Policy, Scope, Use,
};
use crate::AccessClock;

const STAMP_BITS: u32 = AccessClock::BITS - 2;
const MARK: u32 = 1 << STAMP_BITS;
const USED: u32 = MARK << 1;

const fn place(mark: u32) -> Place {
    Place {
        stamp_bits: STAMP_BITS,
        mark_mask: MARK,
        mark,
    }
}

/// Entries in their order, with a hand.
pub(crate) struct Sieve {
    ahead: Queue,
    behind: Queue,
    rng: Rng,
}

impl Sieve {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            ahead: Queue::new(Counts::Slots, place(0)),
            behind: Queue::new(Counts::Slots, place(MARK)),
            rng: Rng::new(seed),
        }
    }

    fn add(&mut self, identity: Identity, history: AccessClock) -> AccessClock {
        let stamp = self.ahead.push(identity, 0);
        self.ahead.history(history, stamp)
    }

    fn spare(&mut self, entry: &Candidate, entries: &mut impl Entries) {
        let history = self.history_behind(entry);
        entries.set_history(entry.identity, history);
    }

    /// The history of an entry that comes to stand behind the hand.
    fn history_behind(&mut self, entry: &Candidate) -> AccessClock {
        let stamp = self.behind.push(entry.identity, 0);
        let unused = AccessClock(entry.history.0 & !USED);
        self.behind.history(unused, stamp)
    }
}

impl Policy for Sieve {
    fn inserted(&mut self, identity: Identity, _bytes: u64) -> AccessClock {
        self.add(identity, AccessClock(0))
    }

    #[inline(always)]
    fn used(&mut self, history: AccessClock, _how: Use) -> AccessClock {
        AccessClock(history.0 | USED)
    }

    fn foreseen(&self) -> Foreseen {
        Foreseen::settled(USED, USED).adding(USED)
    }

    #[inline]
    fn looks_ahead(&self, victims: usize, show: impl FnMut(Coming)) {
        let identity = self.ahead.behind_tail(victims);
        identity.map(Coming::Entry).into_iter().for_each(show);
    }

    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice {
        let queues = [&self.ahead, &self.behind];
        let may_stand = |history| queues.iter().any(|queue| queue.may_hold(history));
        for stray in strays(entries, &mut self.rng, may_stand) {
            let history = self.add(stray.identity, AccessClock(0));
            entries.set_history(stray.identity, history);
        }
        for _ in 0..LOOKS_MAX {
            let slot = self.ahead.pop();
            let entry = slot.and_then(|slot| self.ahead.entry(slot, entries));
            let victim = match entry {
                Some(entry) if entry.history.0 & USED == 0 && scope.allows(&entry) => Some(entry),
                Some(entry) => {
                    self.spare(&entry, entries);
                    None
                }
                None => None,
            };
            if self.ahead.len() == 0 {
                swap(&mut self.ahead, &mut self.behind);
            }
            if let Some(entry) = victim {
                return Choice::Victim(entry.identity);
            }
            if slot.is_none() && self.ahead.len() == 0 {
                return any(entries, scope, &mut self.rng);
            }
        }
        match scope {
            Scope::AllKeys => Choice::Later,
            Scope::Volatile => any(entries, scope, &mut self.rng),
        }
    }

    /// Unused ones first; of these, those ahead of the hand.
    fn rank(&self, entry: &Candidate) -> i64 {
        let is_used = i64::from(entry.history.0 & USED != 0);
        let (queue, behind) = match self.behind.may_hold(entry.history) {
            true => (&self.behind, 1),
            false => (&self.ahead, 0),
        };
        ((is_used << 1 | behind) << AccessClock::BITS) - queue.age(entry.history)
    }

    fn spared(&mut self, entry: &Candidate) -> AccessClock {
        match entry.history.0 & USED {
            0 => entry.history,
            _ => self.history_behind(entry),
        }
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        self.add(entry.identity, AccessClock(0))
    }

    fn tend(&mut self, entries: &mut impl Entries) {
        self.ahead.tend(entries);
        self.behind.tend(entries);
    }

    fn held_bytes(&self) -> u64 {
        self.ahead.held_bytes() + self.behind.held_bytes()
    }
}
