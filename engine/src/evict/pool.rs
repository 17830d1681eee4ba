//! The best candidates of earlier draws, so that a victim is the worst of many and not of the few drawn for it.
//!
//! After Redis's eviction pool. There, what an entry was worth when it was drawn counts; here the lowest is looked at again before it
//! goes, and if it has come to be worth more, takes its place among the others. No entry comes to be worth less, so the one taken is
//! the lowest of all in the pool as they are now.

use super::Identity;

/// Candidates that are kept.
pub(crate) const POOL_LEN: usize = 15;

/// What an entry is worth: the lowest goes first.
pub(crate) type Worth = i64;

/// At most [`POOL_LEN`] candidates, the lowest last.
#[derive(Default)]
pub(crate) struct Pool {
    candidates: Vec<(Worth, Identity)>,
}

impl Pool {
    /// Adds a candidate, unless it is there or there are better ones enough. Of two that are worth the same the first stays ahead.
    pub(crate) fn offer(&mut self, worth: Worth, identity: Identity) {
        let is_full = self.candidates.len() > POOL_LEN;
        if is_full && self.candidates[0].0 <= worth {
            return;
        }
        if self.candidates.iter().any(|&(_, known)| known == identity) {
            return;
        }
        let at = self.candidates.partition_point(|&(other, _)| other > worth);
        self.candidates.insert(at, (worth, identity));
        if self.candidates.len() > POOL_LEN + 1 {
            self.candidates.remove(0);
        }
    }

    /// Takes the lowest, as it was worth when it was offered.
    pub(crate) fn take(&mut self) -> Option<(Worth, Identity)> {
        self.candidates.pop()
    }

    /// What the lowest is worth.
    pub(crate) fn lowest(&self) -> Option<Worth> {
        self.candidates.last().map(|&(worth, _)| worth)
    }

    pub(crate) fn clear(&mut self) {
        self.candidates.clear();
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        (self.candidates.capacity() * size_of::<(Worth, Identity)>()) as u64
    }
}
