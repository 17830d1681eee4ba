//! Uses of entries: what a hit writes, and who hears of it.
//!
//! ```text
//!  GET hit ─▶ what becomes of its history is foreseen? ─ no ──▶ Policy::used
//!         │                       └────────────────────────────────┴─▶ the entry's 24 bits, where they change
//!         └─▶ is its hash told of? ─ yes ─▶ the curve, the policy
//!
//!  hashes   | 0 … sampled by the curve |          told to nobody          | sampled by the policy … 2^64 |
//! ```
//! Most hits change nothing, whatever the policy, and nobody hears of them: the entry was used in this second, or as often as counts, and
//! its key is in no sample. Both are seen from words that lie beside each other in the shard, and so is what most others become.

use super::Shard;
use crate::evict::{Foreseen, Identity, Lfu, Policy, Trials, Use};
use crate::item::Head;
use crate::spiral::entries::Entry;
use crate::{AccessClock, DbIndex};

/// What a use goes by.
pub(super) struct Uses {
    /// What becomes of histories.
    pub(super) foreseen: Foreseen,
    /// Whether that is so of entries that are read, and not of those that are changed.
    of_reads_alone: bool,
    /// Which uses count of those that are left to chance.
    trials: Trials,
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
            foreseen: Foreseen::becomes(AccessClock(0)),
            of_reads_alone: false,
            trials: Trials::none(0),
            told_from: 0,
            told: 0,
            sampled_below: 0,
        }
    }

    /// This becomes of histories from now on.
    fn foresee(&mut self, foreseen: Foreseen) {
        if foreseen.by_chance() != self.foreseen.by_chance() {
            self.trials
                .set_one_in(foreseen.by_chance().map(Lfu::one_in));
        }
        self.foreseen = foreseen;
    }

    /// Somebody is told of so many of the highest hashes, and of those below this one.
    fn tell_of(&mut self, highest: u64, below: u64) {
        self.told_from = highest.wrapping_neg();
        self.told = highest.saturating_add(below);
        self.sampled_below = below;
    }

    /// What a use makes of a history, if that is foreseen.
    #[inline(always)]
    fn foreseen(&mut self, history: AccessClock, how: Use) -> Option<AccessClock> {
        match how {
            Use::Write if self.of_reads_alone => None,
            Use::Read | Use::Write => self.foreseen.after(history, &mut self.trials),
        }
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

    /// The policy, its sample or what it foresees may be another.
    pub(super) fn follow_policy(&mut self) {
        let uses = &mut self.uses;
        let highest = match &self.eviction {
            None => {
                uses.foresee(Foreseen::becomes(self.clock));
                uses.of_reads_alone = false;
                0
            }
            Some(eviction) => {
                let evictor = eviction.evictor();
                uses.foresee(evictor.foreseen());
                uses.of_reads_alone = evictor.foresees_reads_alone();
                evictor.sampled_hashes()
            }
        };
        uses.tell_of(highest, uses.sampled_below);
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

    /// An entry of a key with this hash is used. Its history before that.
    #[inline(always)]
    pub(super) fn touch(
        &mut self,
        db: DbIndex,
        (hash, entry): (u64, Entry),
        how: Use,
    ) -> AccessClock {
        if self.uses.are_told_of(hash) {
            self.tell_use((hash, entry), how);
        }
        let bytes = self.memory.head_mut_of(entry);
        let head = Head::of_bytes(*bytes);
        let before = head.access();
        match self.uses.foreseen(before, how) {
            Some(used) if used == before => {}
            Some(used) if !self.is_told_before => head.with_access(used).write(bytes),
            Some(used) => self.set_used(db, entry, used),
            None => {
                let used = self.history_of_used(before, how);
                if used != before {
                    self.set_used(db, entry, used);
                }
            }
        }
        before
    }

    /// As [`Self::touch`], for collections, whose commands are many.
    #[inline(never)]
    pub(super) fn touch_collection(&mut self, db: DbIndex, found: (u64, Entry), how: Use) {
        self.touch(db, found, how);
    }

    /// An entry has another history, for a use.
    #[inline(never)]
    fn set_used(&mut self, db: DbIndex, entry: Entry, used: AccessClock) {
        if self.is_told_before {
            self.before_use(db, entry);
        }
        self.memory.set_access_of(entry, used);
    }

    /// The history of an entry with the history `before` that is used now. Not inlined: mostly it was foreseen.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_and_the_highest_hashes_are_told_of() {
        let quarter = 1 << 62;
        let hashes = [
            0,
            1,
            7,
            quarter - 1,
            quarter,
            1 << 63,
            3 * quarter,
            u64::MAX - 7,
            u64::MAX,
        ];
        for highest in [0, 1, 8, quarter, 2 * quarter] {
            for below in [0, 1, 7, quarter] {
                let mut uses = Uses::new();
                uses.tell_of(highest, below);
                for hash in hashes {
                    let is_told = hash < below || u64::MAX - hash < highest;
                    assert_eq!(uses.are_told_of(hash), is_told, "{highest} {below} {hash}");
                }
            }
        }
    }

    #[test]
    fn what_policy_and_curve_sample_together_may_be_all() {
        let mut uses = Uses::new();
        uses.tell_of(u64::MAX, u64::MAX);
        assert!([2, 1 << 40, 1 << 63, u64::MAX].map(|hash| uses.are_told_of(hash)) == [true; 4]);
    }
}
