//! What uses make of histories, as far as a policy can say so ahead: in a few words, by which a hit is counted without asking it.
//!
//! ```text
//!  history ─▶ settled? ─ yes ─▶ the same               bits under a mask: used in this second, or as often as counts
//!         └─▶ counted? ─ yes ─▶ (history & keep) + add  a range: one more use, of this level; the time
//!         └─▶ spared?  ─ yes ─▶ the same               a range: too soon to count
//!         └─▶ tossed?  ─ yes ─▶ the same or one more   a coin says which: lfu
//!         └─▶ the policy is asked
//! ```

use super::lfu::Tossed;
use super::rng::Coin;
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
    counted: Range,
    keep: u32,
    add: u32,
    spared: Range,
    tossed: Option<Tossed>,
}

impl Foreseen {
    /// Those that have these bits under this mask stay as they are; of others nothing is known.
    pub(crate) const fn settled(mask: u32, bits: u32) -> Self {
        Self {
            mask,
            bits,
            counted: Range::NONE,
            keep: 0,
            add: 0,
            spared: Range::NONE,
            tossed: None,
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

    /// Of others those in `range` keep these bits, and become more by so much.
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

    /// Of others a coin decides.
    pub(crate) fn tossing(self, tossed: Tossed) -> Self {
        Self {
            tossed: Some(tossed),
            ..self
        }
    }

    /// What a use makes of a history of which nothing more certain is foreseen, if a coin decides.
    #[inline(always)]
    pub(crate) fn toss(&self, history: AccessClock, coin: &mut Coin) -> Option<AccessClock> {
        self.tossed.as_ref()?.after(history, coin)
    }

    /// What a use makes of a history; `None`: the policy is to be asked.
    #[inline(always)]
    pub(crate) fn after(&self, history: AccessClock) -> Option<AccessClock> {
        let AccessClock(bits) = history;
        if bits & self.mask == self.bits {
            Some(history)
        } else if self.counted.has(bits) {
            Some(AccessClock((bits & self.keep) + self.add))
        } else if self.spared.has(bits) {
            Some(history)
        } else {
            None
        }
    }
}
