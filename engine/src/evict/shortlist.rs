//! The best candidates of earlier draws, so that a victim is the worst of many and not of the few drawn for it.
//!
//! After Redis's eviction pool. There, what an entry was worth when it was drawn counts; here the lowest is looked at again before it
//! goes, and if it has come to be worth more, takes its place among the others. An entry does not come to be worth less, but for counts that
//! fall and values that grow, so the one taken is the lowest of all in the shortlist as they are now.

use super::Identity;

/// Candidates that are kept.
pub(crate) const SHORTLIST_LEN: usize = 15;

/// What an entry is worth: the lowest goes first.
pub(crate) type Worth = i64;

/// At most [`SHORTLIST_LEN`] candidates, the lowest last.
#[derive(Default)]
pub(crate) struct Shortlist {
    candidates: Vec<(Worth, Identity)>,
}

impl Shortlist {
    /// Adds a candidate, unless it is there or there are better ones enough. Of two that are worth the same the first stays ahead.
    pub(crate) fn offer(&mut self, worth: Worth, identity: Identity) {
        let is_full = self.candidates.len() > SHORTLIST_LEN;
        if is_full && self.candidates[0].0 <= worth {
            return;
        }
        if self.candidates.iter().any(|&(_, known)| known == identity) {
            return;
        }
        let at = self.candidates.partition_point(|&(other, _)| other > worth);
        self.candidates.insert(at, (worth, identity));
        if self.candidates.len() > SHORTLIST_LEN + 1 {
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

    /// The one that is the lowest when so many lower ones have been taken.
    pub(crate) fn behind(&self, lower: usize) -> Option<Identity> {
        let at = self.candidates.len().checked_sub(1 + lower)?;
        Some(self.candidates[at].1)
    }

    pub(crate) fn clear(&mut self) {
        self.candidates.clear();
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        (self.candidates.capacity() * size_of::<(Worth, Identity)>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_stay_and_come_lowest_first() {
        let mut shortlist = Shortlist::default();
        for nth in 0..100u32 {
            let worth = Worth::from(nth * 37 % 100);
            shortlist.offer(worth, Identity(nth));
            shortlist.offer(worth, Identity(nth));
        }
        let taken: Vec<Worth> =
            std::iter::from_fn(|| shortlist.take().map(|(worth, _)| worth)).collect();
        let lowest: Vec<Worth> = (0..=SHORTLIST_LEN as Worth).collect();
        assert_eq!(taken, lowest);
    }

    #[test]
    fn of_two_that_are_worth_the_same_the_first_goes_first() {
        let mut shortlist = Shortlist::default();
        for identity in [3, 1, 2] {
            shortlist.offer(5, Identity(identity));
        }
        assert_eq!(shortlist.take(), Some((5, Identity(3))));
        assert_eq!(shortlist.lowest(), Some(5));
    }
}
