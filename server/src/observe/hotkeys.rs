//! The keys a core works on most, from one command in a hundred or so.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams",
//! ICDT 2005): a fixed number of counters; a key without one takes that of the least counted, and what was counted there is
//! its possible error. Departures: the error is kept apart, so that reads and writes are what was surely seen of the key,
//! and all counts are halved every second, so that they tell of the last seconds.
//!
//! Which command is sampled is a matter of counting: every [`SAMPLE_INTERVAL`]-th, a prime, so that pipelines that repeat
//! themselves are sampled at all their places in turn. Cost: a comparison and a subtraction a run of commands; a sample is
//! a walk over the counters. Memory: the counters and their keys, of which longer ones than [`KEY_MAX_BYTES`] are left out.

use larder_engine::DbIndex;

/// One command in so many is sampled.
pub const SAMPLE_INTERVAL: usize = 127;
/// Keys that are counted.
const COUNTERS: usize = 32;
/// Longer keys are not counted.
pub const KEY_MAX_BYTES: usize = 512;

/// Counts are halved so often.
const HALVING_MS: u64 = 1000;

/// What was seen of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotKey {
    /// Its database.
    pub db: DbIndex,
    /// The key.
    pub key: Vec<u8>,
    /// Its hash.
    pub hash: u64,
    /// Samples of commands that read it.
    pub reads: u64,
    /// Samples of commands that write.
    pub writes: u64,
    /// Samples before it had a counter, at most.
    error: u64,
}

impl HotKey {
    /// Samples surely seen.
    pub fn samples(&self) -> u64 {
        self.reads + self.writes
    }

    fn upper_bound(&self) -> u64 {
        self.samples() + self.error
    }
}

/// What a command does with the key it is sampled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It leaves it as it is.
    Read,
    /// It may change it.
    Write,
}

/// The most used keys of a core.
#[derive(Debug, Default)]
pub struct HotKeys {
    /// Commands to pass before the next that is sampled.
    to_pass: usize,
    counters: Vec<HotKey>,
    halved_ms: u64,
}

impl HotKeys {
    /// So many commands come, at most [`SAMPLE_INTERVAL`]: which of them is sampled, if one is.
    #[inline(always)]
    pub fn pass(&mut self, commands: usize) -> Option<usize> {
        if commands <= self.to_pass {
            self.to_pass -= commands;
            return None;
        }
        let at = self.to_pass;
        self.to_pass = SAMPLE_INTERVAL - (commands - at);
        Some(at)
    }

    /// A command on this key was sampled.
    #[cold]
    pub fn sample(&mut self, db: DbIndex, key: &[u8], hash: u64, what: Use) {
        if key.len() > KEY_MAX_BYTES {
            return;
        }
        let is_it = |own: &HotKey| own.hash == hash && own.db == db && own.key == key;
        let at = match self.counters.iter().position(is_it) {
            Some(at) => at,
            None => self.take_counter(db, key, hash),
        };
        let counter = &mut self.counters[at];
        match what {
            Use::Read => counter.reads += 1,
            Use::Write => counter.writes += 1,
        }
    }

    /// A counter for a key that has none; where it is.
    fn take_counter(&mut self, db: DbIndex, key: &[u8], hash: u64) -> usize {
        let at = if self.counters.len() < COUNTERS {
            self.counters.push(HotKey {
                db,
                // The last allocation for it: a GET makes none.
                key: Vec::with_capacity(KEY_MAX_BYTES),
                hash,
                reads: 0,
                writes: 0,
                error: 0,
            });
            self.counters.len() - 1
        } else {
            let by_count = |at: &usize| self.counters[*at].upper_bound();
            let least = (0..COUNTERS).min_by_key(by_count);
            least.expect("there are counters")
        };
        let counter = &mut self.counters[at];
        counter.error = counter.upper_bound();
        (counter.db, counter.hash) = (db, hash);
        (counter.reads, counter.writes) = (0, 0);
        counter.key.clear();
        counter.key.extend_from_slice(key);
        at
    }

    /// Halves the counts for every second gone by at `now_ms` of a clock that never goes back. Whether one had.
    pub fn age(&mut self, now_ms: u64) -> bool {
        let halvings = now_ms.saturating_sub(self.halved_ms) / HALVING_MS;
        if halvings == 0 {
            return false;
        }
        self.halved_ms = now_ms;
        let shift = halvings.min(63);
        for counter in &mut self.counters {
            counter.reads >>= shift;
            counter.writes >>= shift;
            counter.error >>= shift;
        }
        true
    }

    /// Commands a second that so many samples stand for. What is seen at a steady rate adds up to one second's samples
    /// right behind a halving, and to two seconds' right before it.
    pub fn per_second(&self, samples: u64, now_ms: u64) -> u64 {
        let since_ms = now_ms.saturating_sub(self.halved_ms).min(HALVING_MS);
        samples * SAMPLE_INTERVAL as u64 * HALVING_MS / (HALVING_MS + since_ms)
    }

    /// What was seen, the most used key first.
    pub fn top(&self) -> Vec<&HotKey> {
        let counters = self.counters.iter();
        let mut top: Vec<&HotKey> = counters.filter(|counter| counter.samples() > 0).collect();
        top.sort_unstable_by_key(|counter| std::cmp::Reverse(counter.samples()));
        top
    }

    /// Forgets all counts.
    pub fn reset(&mut self) {
        self.counters.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB: DbIndex = DbIndex(0);

    fn see(hot: &mut HotKeys, name: usize, what: Use) {
        let key = format!("key{name}");
        hot.sample(DB, key.as_bytes(), name as u64, what);
    }

    #[test]
    fn one_command_in_so_many_is_sampled_however_they_come_together() {
        for together in [1, 7, 32, SAMPLE_INTERVAL] {
            let mut hot = HotKeys::default();
            let mut sampled = Vec::new();
            for run in 0..1000 {
                if let Some(at) = hot.pass(together) {
                    sampled.push(run * together + at);
                }
            }
            let expected = (0..1000 * together).step_by(SAMPLE_INTERVAL);
            assert_eq!(sampled, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_key_of_more_than_a_share_of_all_is_found_among_any_number_of_others() {
        let mut hot = HotKeys::default();
        for step in 0..100_000 {
            // Every tenth is the hot key; no other comes twice.
            let is_hot = step % 10 == 0;
            let what = if step % 40 == 0 {
                Use::Write
            } else {
                Use::Read
            };
            see(&mut hot, if is_hot { 0 } else { 1 + step }, what);
        }
        let top = hot.top();
        assert_eq!(&*top[0].key, b"key0");
        let seen = top[0].samples() + top[0].error;
        assert!(top[0].samples() <= 10_000 && seen >= 10_000, "{:?}", top[0]);
        assert!(top[0].reads > 2 * top[0].writes, "{:?}", top[0]);
        assert!(top[1].samples() < 10, "what came once is not hot");
        assert_eq!(top.len(), COUNTERS);
    }

    #[test]
    fn counts_tell_of_the_last_seconds() {
        let mut hot = HotKeys::default();
        assert!(hot.age(1_000_000));
        for second in 1..=20 {
            (0..100).for_each(|_| see(&mut hot, 1, Use::Read));
            assert!(!hot.age(1_000_000 + second * 1000 - 1));
            assert!(hot.age(1_000_000 + second * 1000));
        }
        let now_ms = 1_020_000;
        let per_second = hot.per_second(hot.top()[0].reads, now_ms);
        let expected = 100 * SAMPLE_INTERVAL as u64;
        assert!((expected * 95 / 100..=expected).contains(&per_second));
        (0..100).for_each(|_| see(&mut hot, 1, Use::Read));
        let per_second = hot.per_second(hot.top()[0].reads, now_ms + 999);
        assert!((expected * 95 / 100..=expected * 101 / 100).contains(&per_second));
        hot.age(now_ms + 60_000);
        assert!(hot.top().is_empty());
    }

    #[test]
    fn long_keys_and_a_reset_leave_no_counters() {
        let mut hot = HotKeys::default();
        hot.sample(DB, &[b'k'; KEY_MAX_BYTES + 1], 1, Use::Read);
        assert!(hot.top().is_empty());
        see(&mut hot, 1, Use::Write);
        hot.reset();
        assert!(hot.top().is_empty());
    }
}
