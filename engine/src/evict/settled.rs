//! Histories that another use leaves as they are, in two words: so that of most hits nobody need be told but whoever has these.

use crate::AccessClock;

/// Those that have these bits under this mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    mask: u32,
    bits: u32,
}

impl Settled {
    /// No use changes any.
    pub(crate) const ALL: Self = Self { mask: 0, bits: 0 };

    /// This one alone.
    #[inline]
    pub(crate) fn only(history: AccessClock) -> Self {
        Self {
            mask: u32::MAX,
            bits: history.0,
        }
    }

    /// Those in which the bits of `mask` are `bits`.
    pub(crate) const fn with(mask: u32, bits: u32) -> Self {
        Self { mask, bits }
    }

    /// Whether a use leaves this one as it is.
    #[inline(always)]
    pub fn has(self, history: AccessClock) -> bool {
        history.0 & self.mask == self.bits
    }
}
