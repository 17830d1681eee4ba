//! What has gone of a shard by itself: evicted, and past its deadline.

use larder_engine::Shard;
use larder_engine::evict::Ages;

use super::{PartReader, PartWriter};

/// Entries that have gone, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Entries evicted.
    pub evicted: u64,
    /// Their bytes.
    pub evicted_bytes: u64,
    /// How long they had not been used: those of which that is known.
    pub ages: Ages,
    /// Entries that reached their deadline.
    pub expired: u64,
    /// Their bytes.
    pub expired_bytes: u64,
    /// Fields of hashes that did.
    pub expired_fields: u64,
    /// Objects freed lazily.
    pub lazy_freed: u64,
}

impl Removed {
    /// All that has gone since the shard began.
    pub fn of(shard: &Shard) -> Self {
        Self {
            evicted: shard.evicted_total(),
            evicted_bytes: shard.evicted_bytes_total(),
            ages: *shard.ages_at_eviction(),
            expired: shard.expired_total(),
            expired_bytes: shard.expired_bytes_total(),
            expired_fields: shard.expired_fields_total(),
            lazy_freed: shard.lazy_objects().freed,
        }
    }

    /// What has gone since it was `before`. What a script had expire may be there again.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            evicted: self.evicted.saturating_sub(before.evicted),
            evicted_bytes: self.evicted_bytes.saturating_sub(before.evicted_bytes),
            ages: self.ages.since(&before.ages),
            expired: self.expired.saturating_sub(before.expired),
            expired_bytes: self.expired_bytes.saturating_sub(before.expired_bytes),
            expired_fields: self.expired_fields.saturating_sub(before.expired_fields),
            lazy_freed: self.lazy_freed.saturating_sub(before.lazy_freed),
        }
    }

    /// Writes it for another core.
    pub fn write(&self, part: &mut PartWriter<'_>) {
        for number in [
            self.evicted,
            self.evicted_bytes,
            self.expired,
            self.expired_bytes,
            self.expired_fields,
            self.lazy_freed,
            self.ages.sum_secs,
        ] {
            part.number(number);
        }
        self.ages
            .counts
            .iter()
            .for_each(|&count| part.number(count));
    }

    /// Adds what [`Self::write`] has written.
    pub fn add(&mut self, part: &mut PartReader<'_>) {
        for sum in [
            &mut self.evicted,
            &mut self.evicted_bytes,
            &mut self.expired,
            &mut self.expired_bytes,
            &mut self.expired_fields,
            &mut self.lazy_freed,
            &mut self.ages.sum_secs,
        ] {
            *sum += part.number();
        }
        for count in &mut self.ages.counts {
            *count += part.number();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_cores_write_adds_up() {
        let mut one = Removed {
            evicted: 1,
            evicted_bytes: 2,
            expired: 3,
            expired_bytes: 4,
            expired_fields: 5,
            lazy_freed: 6,
            ages: Ages::default(),
        };
        one.ages.add(9);
        let mut bytes = Vec::new();
        one.write(&mut PartWriter(&mut bytes));
        let mut sum = one;
        let mut part = PartReader::new(&bytes);
        sum.add(&mut part);
        assert!(part.is_at_end());
        assert_eq!(
            (sum.evicted, sum.expired_fields, sum.ages.len()),
            (2, 10, 2)
        );
        assert_eq!(sum.since(&one), one);
    }
}
