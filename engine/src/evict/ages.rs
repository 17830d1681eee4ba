//! How long ago entries had been used when they were evicted: a histogram by powers of two.

/// Classes: below a second, below two, four, … seconds; the last has all beyond, from half a year on.
pub const AGE_CLASSES: usize = 26;

/// Ages of evicted entries, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages {
    /// By class: the first is below a second, each next one reaches twice as far.
    pub counts: [u64; AGE_CLASSES],
    /// Of all together.
    pub sum_secs: u64,
}

impl Ages {
    /// One more.
    pub fn add(&mut self, secs: u64) {
        let class = (u64::BITS - secs.leading_zeros()) as usize;
        self.counts[class.min(AGE_CLASSES - 1)] += 1;
        self.sum_secs += secs;
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those that have come since the ages were `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut since = *self;
        for (count, before) in since.counts.iter_mut().zip(before.counts) {
            *count = count.saturating_sub(before);
        }
        since.sum_secs = since.sum_secs.saturating_sub(before.sum_secs);
        since
    }

    /// The mean, in seconds; zero if there are none.
    pub fn mean_secs(&self) -> u64 {
        self.sum_secs.checked_div(self.len()).unwrap_or(0)
    }

    /// Seconds below which so many of a thousand are, to a power of two; zero if there are none.
    pub fn below_secs(&self, permille: u64) -> u64 {
        let wanted = (self.len() * permille).div_ceil(1000);
        let mut counted = 0;
        let class = self.counts.iter().position(|count| {
            counted += count;
            counted >= wanted.max(1)
        });
        class.map_or(0, |class| 1 << class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_by_powers_of_two() {
        let mut ages = Ages::default();
        assert_eq!((ages.mean_secs(), ages.below_secs(500)), (0, 0));
        for secs in [0, 1, 3, 100] {
            ages.add(secs);
        }
        assert_eq!((ages.len(), ages.mean_secs()), (4, 26));
        assert_eq!(ages.below_secs(250), 1);
        assert_eq!(ages.below_secs(500), 2);
        assert_eq!(ages.below_secs(750), 4);
        assert_eq!(ages.below_secs(1000), 128);
        let before = ages;
        ages.add(u64::MAX >> 1);
        assert_eq!(ages.since(&before).len(), 1);
    }
}
