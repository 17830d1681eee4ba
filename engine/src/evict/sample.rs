//! Which keys are sampled: those whose hash is low (SHARDS, Waldspurger et al., FAST 2015), so that a key is in the sample or is not,
//! with all of its requests.
//!
//! A cache of the sampled keys that has the sample's share of the bytes misses as often as the whole. The sample is made as large as so
//! many entries of it want, and fitted when the number of entries changes.
//!
//! Keys that are themselves a sample are told apart by their identity times a number of the seed. Of a shard's keys those with the highest
//! hashes are taken: who has the hash in a register needs no more than a comparison.

use std::ops::RangeInclusive;

use super::Identity;
use super::rng::mix;

/// Insertions after which the sample is fitted at the latest.
const FIT_EVERY: u64 = 1024;

/// A sample of keys.
pub(crate) struct Sample {
    /// A key is in the sample if its identity times `salt` is among so many numbers, less one, from `first` on.
    span: u32,
    first: u32,
    salt: u32,
    /// Of a shard's keys, whose identities are not spread evenly, those with the highest hashes are taken: so many.
    highest: Option<u64>,

    capacity: u64,
    rate: f64,
    rates: RangeInclusive<f64>,
    /// Entries that a cache of the sample is to have.
    wanted: f64,
    inserted: u64,
    inserted_bytes: u64,
    fit_at: u64,
}

impl Sample {
    /// A sample of `wanted` entries of a shard, as far as `rates` have one for that.
    pub(crate) fn new(wanted: f64, rates: RangeInclusive<f64>, seed: u64) -> Self {
        Self {
            span: below(*rates.end()),
            first: 0,
            highest: None,
            salt: mix(!seed) as u32 | 1,
            capacity: 0,
            rate: *rates.end(),
            rates,
            wanted,
            inserted: 0,
            inserted_bytes: 0,
            fit_at: 1,
        }
    }

    /// A sample of the lowest identities, so that whoever knows these leading bits of a hash needs no more than a comparison.
    pub(crate) fn of_lowest(wanted: f64, rates: RangeInclusive<f64>) -> Self {
        Self {
            salt: 1,
            ..Self::new(wanted, rates, 0)
        }
    }

    /// Takes keys of a shard from now on, those with the highest hashes.
    pub(crate) fn take_highest(&mut self) {
        self.salt = 1;
        self.highest = Some(0);
        self.set_rate(self.rate);
    }

    /// All of it is among so many of the highest hashes, if it takes those.
    pub(crate) fn hashes(&self) -> u64 {
        self.highest.unwrap_or(0)
    }

    /// Whether a key is in it.
    #[inline(always)]
    pub(crate) fn has(&self, identity: Identity) -> bool {
        let number = identity.0.wrapping_mul(self.salt);
        number.wrapping_sub(self.first) <= self.span
    }

    fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
        self.span = below(rate);
        if let Some(highest) = &mut self.highest {
            *highest = (rate * 2f64.powi(64)) as u64;
            self.first = Identity::of(highest.wrapping_neg()).next_place().0;
            self.span = u32::MAX - self.first;
        }
    }

    /// The part of all keys that it has.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    pub(crate) fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
    }

    /// The sample's share of the shard's bytes.
    pub(crate) fn capacity(&self) -> u64 {
        (self.capacity as f64 * self.rate).round() as u64
    }

    /// An entry comes to be in the shard; whether the sample is another now.
    pub(crate) fn fit_after_insertion(&mut self, bytes: u64) -> bool {
        self.inserted += 1;
        self.inserted_bytes += bytes;
        if self.inserted < self.fit_at {
            return false;
        }
        self.fit_at = self.inserted + self.inserted.min(FIT_EVERY);
        let mean = self.inserted_bytes as f64 / self.inserted as f64;
        let entries = self.capacity as f64 / mean.max(1.0);
        // What comes lately counts as much as all before.
        if self.inserted >= 64 * FIT_EVERY {
            self.inserted /= 2;
            self.inserted_bytes /= 2;
            self.fit_at = self.inserted + FIT_EVERY;
        }
        self.fit_to(entries)
    }

    /// A shard whose memory is full has about so many entries; whether the sample is another now.
    pub(crate) fn fit_to(&mut self, entries: f64) -> bool {
        let rate = (self.wanted / entries.max(1.0)).clamp(*self.rates.start(), *self.rates.end());
        if (rate / self.rate - 1.0).abs() < 0.2 {
            return false;
        }
        self.set_rate(rate);
        true
    }

    /// It is to have so many entries, and is no more than a part of all keys.
    pub(crate) fn set_bounds(&mut self, wanted: f64, rate_max: f64) {
        self.wanted = wanted;
        self.rates = *self.rates.start()..=rate_max.max(*self.rates.start());
    }
}

/// The highest identity of a sample of the lowest that has this part of all keys.
pub(crate) fn below(rate: f64) -> u32 {
    (rate * f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::super::rng::Rng;
    use super::*;

    #[test]
    fn a_sample_of_a_shard_has_its_part_of_the_highest_hashes() {
        let mut sample = Sample::new(512.0, 1.0 / 64.0..=1.0, 7);
        sample.take_highest();
        for entries in [512.0, 1000.0, 5000.0, 100_000.0] {
            sample.fit_to(entries);
            let mut rng = Rng::new(1);
            let mut sampled = 0;
            for _ in 0..100_000 {
                let hash = rng.next();
                if sample.has(Identity::of(hash)) {
                    sampled += 1;
                    assert!(u64::MAX - hash < sample.hashes());
                }
            }
            let part = f64::from(sampled) / 100_000.0;
            assert!((part / sample.rate() - 1.0).abs() < 0.1, "{entries} {part}");
        }
        assert_eq!(Sample::new(512.0, 0.5..=1.0, 7).hashes(), 0);
    }
}
