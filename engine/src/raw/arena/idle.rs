//! Memory of the arena in which nothing lies: how much of it is kept, and when it goes back to the system.
//!
//! Free slabs are kept for the next class that needs one, and free blocks lie between live ones. As a rule either may be a few per cent
//! of what is live, so that memory is not taken from the system and given back again and again. Where resident memory is short,
//! as little is kept as can be.

use super::{Arena, SLAB_BYTES};

/// Share of the live bytes that free slabs may keep for good, as a shift, beside one slab: a thirty-second.
const KEPT_SHIFT: u32 = 5;
/// Free bytes among live ones that are not worth compaction.
pub(super) const SPARSE_MIN_BYTES: u64 = 512 << 10;
/// Share of what is in use that may be free: a twenty-fourth.
const SPARSE_SHARE: u64 = 24;

/// How much memory may lie idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdleBound {
    /// What spares the system's calls.
    Ordinary,
    /// No free slab, a ninety-sixth free between live blocks.
    Least,
}

impl Arena {
    /// How much may lie idle.
    pub(crate) fn idle_bound(&self) -> IdleBound {
        self.idle_bound
    }

    /// Says how much may lie idle from now on.
    pub(crate) fn set_idle_bound(&mut self, bound: IdleBound) {
        self.is_unsettled |= bound != self.idle_bound;
        self.idle_bound = bound;
    }

    /// Whether there may be pages to give back, or slabs to compact.
    #[inline(always)]
    pub(crate) fn has_to_tend(&mut self) -> bool {
        debug_assert!(self.is_unsettled || !self.finds_work());
        self.is_unsettled && self.look()
    }

    #[cold]
    fn look(&mut self) -> bool {
        self.is_unsettled = self.finds_work();
        self.is_unsettled
    }

    pub(super) fn finds_work(&self) -> bool {
        self.keeps_too_much() || self.evacuating.is_some() || self.is_sparse()
    }

    /// Whether free slabs keep more pages than they may for good.
    #[inline]
    fn keeps_too_much(&self) -> bool {
        let most = match self.idle_bound {
            IdleBound::Ordinary => SLAB_BYTES as u64 + (self.live_bytes >> KEPT_SHIFT),
            IdleBound::Least => 0,
        };
        self.pool_bytes > most
    }

    /// Whether enough of the memory of slabs in use is free for compaction to be worth a look.
    #[inline]
    pub(crate) fn is_sparse(&self) -> bool {
        let in_use = self.touched_bytes - self.pool_bytes;
        let free = in_use.saturating_sub(self.live_bytes);
        let (least, share) = match self.idle_bound {
            IdleBound::Ordinary => (SPARSE_MIN_BYTES, SPARSE_SHARE),
            IdleBound::Least => (SPARSE_MIN_BYTES / 8, SPARSE_SHARE * 4),
        };
        free > least && free > in_use / share
    }

    /// Gives the pages of a free slab back if they keep too much; whether they did.
    pub(crate) fn trim_some(&mut self) -> bool {
        let keeps_too_much = self.keeps_too_much();
        if keeps_too_much {
            self.trim_pool();
        }
        keeps_too_much
    }

    /// Gives the pages of a free slab back to the kernel.
    pub(super) fn trim_pool(&mut self) {
        let Some(id) = self.dirty.pop() else { return };
        self.discard_behind(id, 0);
        self.clean.push(id);
        self.table_bytes = self.count_table_bytes();
    }
}
