//! What uses make of histories, as far as a policy can say so ahead: in a few words, by which a hit is counted without asking it.
//!
//! ```text
//!  history ─▶ settled? ─ yes ─▶ the same               bits under a mask: used in this second, or as often as counts
//!         └─▶ spared?  ─ yes ─▶ the same               a range: too soon to count, or left to chance, by which it rarely does
//!         └─▶ counted? ─ yes ─▶ (history & keep) + add  a range: one more use, of this level; the time
//!         └─▶ the policy is asked
//! ```
//! Where chance decides (`lfu`), dice are not thrown for each use: it is drawn once how many uses count for nothing before the next that may
//! ([`Trials`]), so that these cost a decrement.

use super::Lfu;
use super::rng::Trials;
use crate::AccessClock;

/// All histories.
const ALL: std::ops::Range<u32> = 0..1 << AccessClock::BITS;

/// Histories from one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    len: u32,
}

impl Range {
    const NONE: Self = Self { first: 0, len: 0 };

    #[inline(always)]
    fn has(self, history: u32) -> bool {
        history.wrapping_sub(self.first) < self.len
    }
}

/// What uses make of histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreseen {
    mask: u32,
    bits: u32,
    spared: Range,
    counted: Range,
    keep: u32,
    add: u32,
    /// How those of `spared` are counted that a trial has chosen.
    by_chance: Option<Lfu>,
}

impl Foreseen {
    /// Those that have these bits under this mask stay as they are; of others nothing is known.
    pub(crate) const fn settled(mask: u32, bits: u32) -> Self {
        Self {
            mask,
            bits,
            spared: Range::NONE,
            counted: Range::NONE,
            keep: 0,
            add: 0,
            by_chance: None,
        }
    }

    /// All stay as they are.
    pub(crate) const NOTHING: Self = Self::settled(0, 0);

    /// This one comes of all.
    #[inline]
    pub(crate) fn becomes(history: AccessClock) -> Self {
        Self::settled(u32::MAX, history.0).counting(ALL, (0, history.0))
    }

    /// All others become more by so much.
    pub(crate) fn adding(self, add: u32) -> Self {
        self.counting(ALL, (u32::MAX, add))
    }

    /// Of others that are not spared those in `range` keep these bits, and become more by so much.
    pub(crate) fn counting(self, range: std::ops::Range<u32>, (keep, add): (u32, u32)) -> Self {
        Self {
            counted: Range {
                first: range.start,
                len: range.end - range.start,
            },
            keep,
            add,
            ..self
        }
    }

    /// Of others so many from `first` on stay as they are.
    pub(crate) fn sparing(self, first: u32, len: u32) -> Self {
        Self {
            spared: Range { first, len },
            ..self
        }
    }

    /// Of others those in `range` stay as they are, but for one in [so many](Lfu::one_in), which may count.
    pub(crate) fn chancing(self, range: std::ops::Range<u32>, counting: Lfu) -> Self {
        Self {
            by_chance: Some(counting),
            ..self.sparing(range.start, range.end - range.start)
        }
    }

    /// How uses are counted that are left to chance, if any are.
    pub(crate) fn by_chance(&self) -> Option<Lfu> {
        self.by_chance
    }

    /// What a use makes of a history; `None`: the policy is to be asked.
    #[inline(always)]
    pub(crate) fn after(&self, history: AccessClock, trials: &mut Trials) -> Option<AccessClock> {
        let AccessClock(bits) = history;
        if bits & self.mask == self.bits {
            Some(history)
        } else if self.spared.has(bits) {
            match trials.next_fails() {
                true => Some(history),
                false => Some(self.after_chance(history, trials)),
            }
        } else if self.counted.has(bits) {
            Some(AccessClock((bits & self.keep) + self.add))
        } else {
            None
        }
    }

    /// What a use makes of a history that a trial has chosen.
    #[cold]
    #[inline(never)]
    fn after_chance(&self, history: AccessClock, trials: &mut Trials) -> AccessClock {
        let random = trials.begin_next();
        match self.by_chance {
            Some(counting) => counting.used_by_chance(history, random),
            None => history,
        }
    }
}
