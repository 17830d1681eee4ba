//! S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023), as libCacheSim has it.
//!
//! ```text
//!  new ─▶ small, 10% ──▶ used twice or more ─▶ main ◀─ used ┐    its uses, three at most, less one, are those with which it goes on
//!                    └─▶ victim ╌▶ ghost, 90% ╌▶ main    └──┴─▶ victim, if unused
//!
//!  history   | main | uses, 3 bits | stamp, 20 bits |
//! ```
//! The small queue has six bytes an entry, the main one four, ghosts some four.

use super::ghost::{GHOSTS_AHEAD, Ghost};
use super::queue::{Counts, Place, Queue};
use super::rng::Rng;
use super::sampled::{any, strays};
use super::{
    Candidate, Choice, Coming, Entries, Foreseen, Identity, LOOKS_MAX, Policy, Scope, Use,
};
use crate::AccessClock;

const STAMP_BITS: u32 = 20;
const USE_ONE: u32 = 1 << STAMP_BITS;
const USES: u32 = 7 << STAMP_BITS;
const MAIN: u32 = 1 << 23;

/// Uses with which an entry leaves the small queue for the main one.
const USES_TO_STAY: u32 = 2;
/// Uses of an entry of the main queue that count.
const USES_MAX: u32 = 3;
/// The bits that say so. What another policy has counted beyond goes on until they do.
const COUNTED: u32 = USES_MAX * USE_ONE;

const SMALL_PERCENT: u64 = 10;
const GHOST_PERCENT: u64 = 90;

const fn place(mark: u32) -> Place {
    Place {
        stamp_bits: STAMP_BITS,
        mark_mask: MAIN,
        mark,
    }
}

fn uses(history: AccessClock) -> u32 {
    (history.0 & USES) >> STAMP_BITS
}

/// Entries in a small queue and a main one.
pub(crate) struct S3Fifo {
    capacity: u64,
    small: Queue,
    main: Queue,
    ghost: Ghost,
    has_evicted: bool,
    rng: Rng,
}

impl S3Fifo {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            capacity: 0,
            small: Queue::new(Counts::Bytes, place(0)),
            main: Queue::new(Counts::Slots, place(MAIN)),
            ghost: Ghost::new(),
            has_evicted: false,
            rng: Rng::new(seed),
        }
    }

    fn enter_main(&mut self, identity: Identity, uses: u32) -> AccessClock {
        let stamp = self.main.push(identity, 0);
        self.main.history(AccessClock(uses * USE_ONE), stamp)
    }

    fn victim_of_main(&mut self, entries: &mut impl Entries, scope: Scope) -> Option<Choice> {
        let slot = self.main.pop()?;
        let entry = self.main.entry(slot, entries)?;
        let uses = uses(entry.history);
        if uses == 0 && scope.allows(&entry) {
            return Some(Choice::Victim(entry.identity));
        }
        let history = self.enter_main(entry.identity, uses.min(USES_MAX).saturating_sub(1));
        entries.set_history(entry.identity, history);
        None
    }

    fn victim_of_small(&mut self, entries: &mut impl Entries, scope: Scope) -> Option<Choice> {
        if let Some(identity) = self.small.behind_tail(GHOSTS_AHEAD) {
            self.ghost.prefetch(identity);
        }
        let slot = self.small.pop()?;
        let entry = self.small.entry(slot, entries)?;
        if uses(entry.history) < USES_TO_STAY && scope.allows(&entry) {
            let mean_bytes = entries.bytes() / entries.len().max(1);
            self.ghost.add(entry.identity, entry.bytes, mean_bytes);
            return Some(Choice::Victim(entry.identity));
        }
        let history = self.enter_main(entry.identity, 0);
        entries.set_history(entry.identity, history);
        None
    }
}

impl Policy for S3Fifo {
    fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
        self.ghost.set_window(bytes * GHOST_PERCENT / 100);
    }

    fn inserted(&mut self, identity: Identity, bytes: u64) -> AccessClock {
        let is_full = self.small.bytes() >= self.capacity * SMALL_PERCENT / 100;
        if !self.has_evicted && is_full || self.ghost.take(identity, bytes) {
            return self.enter_main(identity, 0);
        }
        let stamp = self.small.push(identity, bytes);
        AccessClock(stamp)
    }

    #[inline(always)]
    fn used(&mut self, history: AccessClock, _how: Use) -> AccessClock {
        let counts = history.0 & COUNTED != COUNTED;
        AccessClock(history.0 + (u32::from(counts) << STAMP_BITS))
    }

    fn foreseen(&self) -> Foreseen {
        Foreseen::settled(COUNTED, COUNTED).adding(USE_ONE)
    }

    #[inline]
    fn awaits(&self, identity: Identity) {
        self.ghost.prefetch(identity);
    }

    #[inline]
    fn looks_ahead(&self, victims: usize, mut show: impl FnMut(Coming)) {
        if let Some(identity) = self.small.behind_tail(victims) {
            show(Coming::Entry(identity));
        }
        if let Some(identity) = self.main.behind_tail(victims) {
            show(Coming::Entry(identity));
        }
    }

    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice {
        self.has_evicted = true;
        let queues = [&self.small, &self.main];
        let may_stand = |history| queues.iter().any(|queue| queue.may_hold(history));
        for stray in strays(entries, &mut self.rng, may_stand) {
            let history = self.enter_main(stray.identity, 0);
            entries.set_history(stray.identity, history);
        }
        let capacity = self.capacity.min(entries.bytes());
        let main_bytes = entries.bytes().saturating_sub(self.small.bytes());
        let from_main = main_bytes > capacity - capacity * SMALL_PERCENT / 100;
        for _ in 0..LOOKS_MAX {
            // One that leaves the small queue for the main one makes that no larger than is decided for this victim.
            let choice = match (self.small.len(), self.main.len()) {
                (0, 0) => return any(entries, scope, &mut self.rng),
                (_, 1..) if from_main => self.victim_of_main(entries, scope),
                (1.., _) => self.victim_of_small(entries, scope),
                (0, _) => self.victim_of_main(entries, scope),
            };
            if let Some(choice) = choice {
                return choice;
            }
        }
        match scope {
            Scope::AllKeys => Choice::Later,
            Scope::Volatile => any(entries, scope, &mut self.rng),
        }
    }

    /// What the small queue would not keep first; then by uses.
    fn rank(&self, entry: &Candidate) -> i64 {
        let uses = uses(entry.history);
        let is_main = entry.history.0 & MAIN != 0;
        let queue = if is_main { &self.main } else { &self.small };
        let stays = is_main || uses >= USES_TO_STAY;
        let rank = i64::from(stays) << 3 | i64::from(uses);
        (rank << AccessClock::BITS) - queue.age(entry.history)
    }

    fn spared(&mut self, entry: &Candidate) -> AccessClock {
        let uses = uses(entry.history);
        match entry.history.0 & MAIN != 0 {
            true if uses > 0 => self.enter_main(entry.identity, uses.min(USES_MAX) - 1),
            false if uses >= USES_TO_STAY => self.enter_main(entry.identity, 0),
            _ => entry.history,
        }
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        self.enter_main(entry.identity, 0)
    }

    fn tend(&mut self, entries: &mut impl Entries) {
        self.small.tend(entries);
        self.main.tend(entries);
    }

    fn held_bytes(&self) -> u64 {
        self.small.held_bytes() + self.main.held_bytes() + self.ghost.held_bytes()
    }
}
