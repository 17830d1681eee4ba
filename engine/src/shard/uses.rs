//! Uses of entries: what a hit writes, and who hears of it.
//!
//! ```text
//!  GET hit ─▶ is its history settled? ─ no ──▶ Policy::used ─▶ the entry's 24 bits, where they change
//!         └─▶ is its hash told of?    ─ yes ─▶ the curve, the policy
//!
//!  hashes   | 0 … sampled by the curve |          told to nobody          | sampled by the policy … 2^64 |
//! ```
//! Most hits change nothing, whatever the policy, and nobody hears of them: the entry was used in this second, or as often as counts, and
//! its key is in no sample. Both are seen from words that lie beside each other in the shard.

use super::Shard;
use crate::evict::{Identity, Policy, Settled, Use};
use crate::spiral::entries::Entry;
use crate::{AccessClock, DbIndex};

/// What a use goes by.
pub(super) struct Uses {
    /// Histories that a use leaves as they are.
    pub(super) settled: Settled,
    /// The first hash that the policy samples; of none it is that behind the last, 0.
    told_from: u64,
    /// So many from there on are told of: the policy's, and behind the last the curve's.
    told: u64,
    /// Keys with a lower hash are the curve's sample.
    sampled_below: u64,
}

impl Uses {
    /// Those of a shard without policy or curve, at the beginning of time.
    pub(super) fn new() -> Self {
        Self {
            settled: Settled::only(AccessClock(0)),
            told_from: 0,
            told: 0,
            sampled_below: 0,
        }
    }

    /// Somebody is told of so many of the highest hashes, and of those below this one.
    fn tell_of(&mut self, highest: u64, below: u64) {
        self.told_from = highest.wrapping_neg();
        self.told = highest.saturating_add(below);
        self.sampled_below = below;
    }

    /// Whether somebody is to be told of a use of this key.
    #[inline(always)]
    fn are_told_of(&self, hash: u64) -> bool {
        hash.wrapping_sub(self.told_from) < self.told
    }
}

impl Shard {
    /// What the clock says to histories.
    pub(super) fn set_clock(&mut self) {
        self.clock = AccessClock::at(self.now);
        if let Some(eviction) = &mut self.eviction {
            eviction.evictor_of_uses().set_now(self.now);
        }
        self.follow_policy();
    }

    /// The policy, its sample or what is settled for it may be another.
    pub(super) fn follow_policy(&mut self) {
        let (settled, highest) = match &self.eviction {
            None => (Settled::only(self.clock), 0),
            Some(eviction) => (
                eviction.evictor().settled(),
                eviction.evictor().sampled_hashes(),
            ),
        };
        self.uses.settled = settled;
        self.uses.tell_of(highest, self.uses.sampled_below);
    }

    /// The curve samples keys with a lower hash than this.
    pub(super) fn set_sampled_below(&mut self, below: u64) {
        let highest = self.uses.told_from.wrapping_neg();
        self.uses.tell_of(highest, below);
    }

    /// Whether the curve is to hear of what befalls a key.
    #[inline(always)]
    pub(super) fn samples(&self, hash: u64) -> bool {
        hash < self.uses.sampled_below
    }

    /// An entry with this history, of a key with this hash, is used.
    #[inline(always)]
    pub(super) fn touch(
        &mut self,
        db: DbIndex,
        (hash, entry): (u64, Entry),
        before: AccessClock,
        how: Use,
    ) {
        if self.uses.are_told_of(hash) {
            self.tell_use((hash, entry), how);
        }
        if self.uses.settled.has(before) {
            return;
        }
        let used = self.history_of_used(before, how);
        if used != before {
            if self.is_told_before {
                self.before_use(db, entry);
            }
            self.memory.set_access_of(entry, used);
        }
    }

    /// As [`Self::touch`], for collections, whose commands are many.
    #[inline(never)]
    pub(super) fn touch_collection(
        &mut self,
        db: DbIndex,
        found: (u64, Entry),
        before: AccessClock,
        how: Use,
    ) {
        self.touch(db, found, before, how);
    }

    /// The history of an entry with the history `before` that is used now. Not inlined: whoever calls has seen that it is not settled.
    #[inline(never)]
    pub(super) fn history_of_used(&mut self, before: AccessClock, how: Use) -> AccessClock {
        match &mut self.eviction {
            None => self.clock,
            Some(eviction) => eviction.evictor_of_uses().used(before, how),
        }
    }

    /// Tells the curve and the policy of a use of an entry that they may sample.
    #[cold]
    #[inline(never)]
    fn tell_use(&mut self, found: (u64, Entry), how: Use) {
        if self.samples(found.0) {
            self.tell_curve_of_use(found, how);
        }
        self.tell_policy(found, how);
    }

    /// Tells the policy of a use of an entry, if it samples it.
    #[inline(always)]
    pub(super) fn tell_policy(&mut self, (hash, entry): (u64, Entry), how: Use) {
        if self.uses.are_told_of(hash) {
            self.tell_sampled((hash, entry), how);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_sampled(&mut self, (hash, entry): (u64, Entry), how: Use) {
        let identity = Identity::of(hash);
        if let Some(eviction) = &mut self.eviction
            && eviction.evictor().samples(identity)
        {
            let bytes = self.memory.view(entry).memory_bytes();
            eviction.evictor_mut().sampled(identity, bytes, how);
        }
    }
}
