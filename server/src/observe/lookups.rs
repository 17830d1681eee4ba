//! Lookups by reading commands: how many found their key, in all, by database and by configured prefix of keys.
//!
//! ```text
//!  a lookup ─▶ hits or misses of all
//!           └─ in another database than 0, or with prefixes configured ─▶ those of the database, those of the prefix
//! ```
//! What is not counted apart is database 0's, so that a lookup there costs what one counter does.

use std::sync::Arc;

use larder_engine::{DbIndex, PrefixSet};

use super::{PartReader, PartWriter};

/// Those that found their key, and those that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HitCounts {
    /// They did.
    pub hits: u64,
    /// They did not.
    pub misses: u64,
}

impl HitCounts {
    #[inline(always)]
    fn count(&mut self, found: bool) {
        match found {
            true => self.hits += 1,
            false => self.misses += 1,
        }
    }

    /// All of them.
    pub fn lookups(self) -> u64 {
        self.hits + self.misses
    }

    /// The part that found their key; none if there were none.
    pub fn hit_ratio(self) -> f64 {
        self.hits as f64 / self.lookups().max(1) as f64
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.misses += other.misses;
    }

    /// Those that have come since they were `before`; all, if they were counted anew.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        let is_later = self.hits >= before.hits && self.misses >= before.misses;
        match is_later {
            true => Self {
                hits: self.hits - before.hits,
                misses: self.misses - before.misses,
            },
            false => self,
        }
    }

    /// Writes them for another core.
    pub fn write(self, part: &mut PartWriter<'_>) {
        part.number(self.hits);
        part.number(self.misses);
    }

    /// Reads what [`Self::write`] has written.
    #[must_use]
    pub fn read(part: &mut PartReader<'_>) -> Self {
        Self {
            hits: part.number(),
            misses: part.number(),
        }
    }
}

/// Lookups of one core.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    all: HitCounts,
    /// By database; of the first nothing.
    others: Vec<HitCounts>,
    prefixes: Arc<PrefixSet>,
    has_prefixes: bool,
    /// By prefix.
    by_prefix: Vec<HitCounts>,
}

impl Lookups {
    /// None yet, of keys with these prefixes.
    pub fn new(prefixes: Arc<PrefixSet>) -> Self {
        Self {
            has_prefixes: !prefixes.is_empty(),
            by_prefix: vec![HitCounts::default(); prefixes.len()],
            prefixes,
            ..Self::default()
        }
    }

    /// Forgets all, but the prefixes.
    pub fn reset(&mut self) {
        *self = Self::new(Arc::clone(&self.prefixes));
    }

    /// Counts by other prefixes from now on; those that were there begin anew, too.
    pub fn set_prefixes(&mut self, prefixes: &Arc<PrefixSet>) {
        if *self.prefixes != **prefixes {
            *self = Self {
                all: self.all,
                others: std::mem::take(&mut self.others),
                ..Self::new(Arc::clone(prefixes))
            };
        }
    }

    /// A key was looked up.
    #[inline(always)]
    pub fn count(&mut self, (db, key): (DbIndex, &[u8]), found: bool) {
        self.all.count(found);
        if (db.0 != 0) | self.has_prefixes {
            self.count_apart((db, key), found);
        }
    }

    #[cold]
    fn count_apart(&mut self, (db, key): (DbIndex, &[u8]), found: bool) {
        let db = usize::from(db.0);
        if db > 0 {
            if self.others.len() <= db {
                self.others.resize(db + 1, HitCounts::default());
            }
            self.others[db].count(found);
        }
        if let Some(place) = self.prefixes.place_of(key) {
            self.by_prefix[place].count(found);
        }
    }

    /// All.
    pub fn all(&self) -> HitCounts {
        self.all
    }

    /// Those in a database.
    pub fn of_database(&self, db: DbIndex) -> HitCounts {
        match db.0 {
            0 => self
                .others
                .iter()
                .fold(self.all, |rest, &other| rest.since(other)),
            db => self
                .others
                .get(usize::from(db))
                .copied()
                .unwrap_or_default(),
        }
    }

    /// Those of each prefix.
    pub fn by_prefix(&self) -> impl ExactSizeIterator<Item = (&[u8], HitCounts)> {
        self.prefixes.iter().zip(self.by_prefix.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(hits: u64, misses: u64) -> HitCounts {
        HitCounts { hits, misses }
    }

    #[test]
    fn lookups_are_counted_by_database_and_by_the_longest_prefix() {
        let prefixes = PrefixSet::new([&b"app:"[..], b"app:user:"]);
        let mut lookups = Lookups::new(Arc::new(prefixes));
        lookups.count((DbIndex(0), b"app:1"), true);
        lookups.count((DbIndex(0), b"app:user:1"), false);
        lookups.count((DbIndex(3), b"app:user:1"), true);
        lookups.count((DbIndex(3), b"log"), true);
        assert_eq!(lookups.all(), counts(3, 1));
        let by_database = [0, 1, 3, 9].map(|db| lookups.of_database(DbIndex(db)));
        assert_eq!(
            by_database,
            [counts(1, 1), counts(0, 0), counts(2, 0), counts(0, 0)]
        );
        let by_prefix: Vec<_> = lookups.by_prefix().collect();
        assert_eq!(
            by_prefix,
            [(&b"app:"[..], counts(1, 0)), (b"app:user:", counts(1, 1))]
        );
        lookups.reset();
        assert_eq!(lookups.all(), counts(0, 0));
        assert_eq!(lookups.by_prefix().len(), 2);
    }

    #[test]
    fn other_prefixes_begin_anew_and_the_same_go_on() {
        let set = |prefix: &[u8]| Arc::new(PrefixSet::new([prefix]));
        let mut lookups = Lookups::new(set(b"a"));
        lookups.count((DbIndex(0), b"ab"), true);
        lookups.set_prefixes(&set(b"a"));
        assert_eq!(lookups.by_prefix().next(), Some((&b"a"[..], counts(1, 0))));
        lookups.set_prefixes(&set(b"b"));
        assert_eq!(lookups.by_prefix().next(), Some((&b"b"[..], counts(0, 0))));
        assert_eq!(lookups.all(), counts(1, 0));
    }
}
