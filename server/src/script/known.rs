//! What is known of scripts: whether they keep to the keys they declare.
//!
//! That one does is shown by its text alone ([`super::declared`]): what it did before says nothing of what it does with other
//! arguments. That one does not is seen when it happens; it begins with locks of all keys from then on.
//!
//! A script is known by the hash of what names it, its text or its SHA-1. Two of one hash are taken for one, which is slower
//! and right.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::limits::KNOWN_SCRIPTS_MAX;

/// What is known of a script's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// It keeps to those it declares, as its text shows.
    Declared = 1,
    /// Its text does not show whether it does.
    Unknown = 2,
    /// It was seen to reach others.
    Undeclared = 3,
}

/// Entries of a bucket: a cache line.
const WAYS: usize = 8;

/// Bits of an entry that hold the habit; the others are those of the hash. An entry that is 0 is free.
const HABIT_BITS: u64 = 0b11;

/// What is known of the scripts of all cores: a table of buckets, which all cores read without writing.
#[derive(Debug)]
pub struct KnownScripts {
    any_undeclared: AtomicBool,
    buckets: Box<[Bucket]>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; WAYS]);

impl Bucket {
    /// What it knows of `hash`. Of two entries, which cores that noted it at once may have made, the one that says more.
    fn habit(&self, hash: u64) -> Option<Habit> {
        let entries = self.0.iter().map(|entry| entry.load(Ordering::Relaxed));
        let known = entries.filter(|entry| entry & HABIT_BITS != 0 && is_of(*entry, hash));
        known.max().map(|entry| match entry & HABIT_BITS {
            1 => Habit::Declared,
            2 => Habit::Unknown,
            _ => Habit::Undeclared,
        })
    }
}

fn is_of(entry: u64, hash: u64) -> bool {
    entry & !HABIT_BITS == hash & !HABIT_BITS
}

impl Default for KnownScripts {
    fn default() -> Self {
        let buckets = (0..KNOWN_SCRIPTS_MAX / WAYS).map(|_| Bucket::default());
        Self {
            any_undeclared: AtomicBool::default(),
            buckets: buckets.collect(),
        }
    }
}

impl KnownScripts {
    /// Whether some script reaches keys it does not declare.
    #[inline]
    pub fn any_undeclared(&self) -> bool {
        self.any_undeclared.load(Ordering::Relaxed)
    }

    fn bucket(&self, hash: u64) -> &Bucket {
        &self.buckets[(hash >> 32) as usize % self.buckets.len()]
    }

    /// What is known of the script whose name has this hash.
    pub fn habit(&self, hash: u64) -> Option<Habit> {
        self.bucket(hash).habit(hash)
    }

    /// This is known of the script whose name has this hash. What was seen once of one that reaches for more stays.
    pub fn note(&self, hash: u64, habit: Habit) {
        let bucket = self.bucket(hash);
        let known = bucket.habit(hash);
        if known.is_some_and(|known| known == habit || known == Habit::Undeclared) {
            return;
        }
        let free = |entry: &&AtomicU64| {
            let entry = entry.load(Ordering::Relaxed);
            entry == 0 || is_of(entry, hash)
        };
        // One in use that has to make room is soon known again.
        let any = &bucket.0[(hash >> 2) as usize % WAYS];
        let entry = bucket.0.iter().find(free).unwrap_or(any);
        entry.store(hash & !HABIT_BITS | habit as u64, Ordering::Relaxed);
        if habit == Habit::Undeclared {
            self.any_undeclared.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        let entries = self.buckets.iter().flat_map(|bucket| &bucket.0);
        entries.for_each(|entry| entry.store(0, Ordering::Relaxed));
        self.any_undeclared.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash as a hasher makes them.
    fn mixed(number: u64) -> u64 {
        (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    #[test]
    fn what_is_known_is_bounded_and_can_be_forgotten() {
        let scripts = KnownScripts::default();
        let count = 2 * KNOWN_SCRIPTS_MAX as u64;
        for number in 0..count {
            scripts.note(mixed(number), Habit::Declared);
            assert_eq!(scripts.habit(mixed(number)), Some(Habit::Declared));
        }
        let known = (0..count).filter(|number| scripts.habit(mixed(*number)).is_some());
        assert!(known.count() <= KNOWN_SCRIPTS_MAX);
        assert!(!scripts.any_undeclared());
        scripts.note(mixed(7), Habit::Undeclared);
        scripts.note(mixed(7), Habit::Declared);
        assert_eq!(scripts.habit(mixed(7)), Some(Habit::Undeclared));
        assert!(scripts.any_undeclared());
        scripts.clear();
        assert!(!scripts.any_undeclared() && scripts.habit(mixed(7)).is_none());
    }

    #[test]
    fn one_that_came_to_reach_for_more_is_not_taken_for_what_it_was() {
        let scripts = KnownScripts::default();
        for number in 0..100 {
            scripts.note(mixed(number), Habit::Declared);
            scripts.note(mixed(number), Habit::Undeclared);
            assert_eq!(scripts.habit(mixed(number)), Some(Habit::Undeclared));
        }
    }
}
