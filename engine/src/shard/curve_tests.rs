//! A shard's curve held against shards with less memory and more, and what it hears of beside reads.

use super::tests::{shard, tend_to_the_end};
use super::*;
use crate::StringForm;
use crate::evict::traces;
use crate::evict::{CurveOptions, Lfu, PERCENTS, PolicyName, Scope};
use crate::journal::Event;

const DB: DbIndex = DbIndex(0);
const START_MS: i64 = 1_700_000_000_000;

fn curve_options(policy: Option<PolicyName>, entries: u32) -> CurveOptions {
    CurveOptions {
        policy,
        scope: Scope::AllKeys,
        entries,
        cpu_percent: 100,
    }
}

/// A shard with so many bytes of entries, to which a trace is replayed.
struct Cache {
    shard: Shard,
    budget: u64,
    now: i64,
    hits: u64,
}

impl Cache {
    fn new(policy: PolicyName, budget: u64) -> Self {
        let mut shard = shard();
        shard.set_now(UnixMillis(START_MS));
        shard.set_eviction(Some(&EvictionOptions {
            policy,
            scope: Scope::AllKeys,
            samples: 5,
            lfu: Lfu::default(),
            capacity_bytes: budget,
        }));
        Self {
            shard,
            budget,
            now: START_MS,
            hits: 0,
        }
    }

    /// Reads each key of the trace, and writes it if it is not there; the hit ratio.
    fn replay(&mut self, trace: &[u64]) -> f64 {
        let hasher = self.shard.hasher().clone();
        for (nth, key) in trace.iter().enumerate() {
            self.now += 100;
            self.shard.set_now(UnixMillis(self.now));
            let name = format!("key:{key}");
            let hashed = hasher.key(name.as_bytes());
            let found = self.shard.read(DB, hashed, Access::Touch).is_some();
            self.hits += u64::from(found);
            self.shard.count_lookups(1, found.into());
            if !found {
                let value = vec![b'x'; 100 + (key % 7 * 30) as usize];
                let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
                let stored = self.shard.set(DB, hashed, &value, form, ttl, Event::Set);
                stored.expect("memory");
                while self.shard.memory().entry_bytes > self.budget {
                    self.shard.evict(|_| false);
                }
            }
            self.shard.tend(16);
            if nth % 100 == 0 {
                let room = PERCENTS.map(|percent| self.budget * percent / 100);
                self.shard.fit_curve(room);
            }
        }
        self.hits as f64 / trace.len() as f64
    }
}

#[test]
fn a_shard_predicts_what_others_measure() {
    let trace = traces::zipf(30_000, 8000, 11);
    let trace: Vec<u64> = trace.iter().map(|request| request.key).collect();
    let budget = 300_000;
    for (policy, entries) in [
        (PolicyName::Adaptive, 4096),
        (PolicyName::S3Fifo, 4096),
        (PolicyName::Lru, 900),
    ] {
        let mut cache = Cache::new(policy, budget);
        let options = curve_options(Some(policy), entries);
        cache.shard.set_curve(Some(&options));
        let present = cache.replay(&trace);
        let curve = cache.shard.curve().expect("it is kept");
        let own = curve.points().filter(|point| point.policy == policy);
        for point in own.collect::<Vec<_>>() {
            let measured = match point.percent {
                100 => present,
                percent => Cache::new(policy, budget * percent / 100).replay(&trace),
            };
            let off = point.hit_ratio() - measured;
            assert!(off.abs() < 0.02, "{point:?}: {measured}, off by {off}");
        }
    }
}

/// A shard whose curve samples all keys.
fn sampling_all() -> Shard {
    let mut shard = shard();
    shard.set_now(UnixMillis(START_MS));
    shard.set_curve(Some(&curve_options(None, 1 << 16)));
    shard.fit_curve([1 << 20; PERCENTS.len()]);
    shard
}

fn put(shard: &mut Shard, key: &str, ttl: TtlChange) {
    let key = shard.hasher().key(key.as_bytes());
    let stored = shard.set(DB, key, b"value", StringForm::Detect, ttl, Event::Set);
    stored.expect("memory");
}

/// Whether the curve's caches have a key.
fn knows(shard: &mut Shard, key: &str) -> bool {
    shard.curve().expect("it is kept");
    let hash = shard.hasher().key(key.as_bytes()).hash();
    shard.unused_secs(hash).is_some()
}

#[test]
fn the_curve_hears_of_keys_that_come_and_go_by_any_way() {
    let mut shard = sampling_all();
    let hasher = shard.hasher().clone();
    for key in ["a", "b", "c"] {
        put(&mut shard, key, TtlChange::Clear);
        assert!(knows(&mut shard, key));
    }
    shard.remove(DB, hasher.key(b"a"), Event::Del);
    assert!(!knows(&mut shard, "a"));
    let (from, to) = ((DB, hasher.key(b"b")), (DB, hasher.key(b"d")));
    let events = (Event::RenameFrom, Event::RenameTo);
    assert_eq!(shard.relocate(from, to, events), Ok(true));
    assert!(!knows(&mut shard, "b") && knows(&mut shard, "d"));
    put(&mut shard, "e", TtlChange::At(UnixMillis(START_MS + 1000)));
    assert!(knows(&mut shard, "e"));
    let ends = Some(UnixMillis(START_MS + 500));
    let set = shard.set_deadline(DB, hasher.key(b"c"), ends, Event::Expire);
    assert_eq!(set, Ok(true));
    shard.set_now(UnixMillis(START_MS + 2000));
    shard.expire_cycle(1000);
    assert!(!knows(&mut shard, "c") && !knows(&mut shard, "e"));
    let mut hash = shard.hash_mut(DB, hasher.key(b"h")).expect("a hash");
    hash.set(b"f", b"v", TtlChange::Clear).expect("memory");
    hash.close(&[Event::HSet]);
    assert!(knows(&mut shard, "h"));
    assert_eq!(shard.expired_total(), 2);
    assert!(shard.expired_bytes_total() > 20);
    shard.flush(DB);
    assert!(!knows(&mut shard, "d") && !knows(&mut shard, "h"));
}

#[test]
fn a_curve_that_is_chosen_later_is_shown_what_is_there() {
    let mut shard = shard();
    shard.set_now(UnixMillis(START_MS));
    for key in 0..2000 {
        put(&mut shard, &format!("k{key}"), TtlChange::Clear);
    }
    let before = shard.memory().table_bytes;
    shard.set_curve(Some(&curve_options(None, 1 << 16)));
    shard.fit_curve([1 << 20; PERCENTS.len()]);
    tend_to_the_end(&mut shard);
    for key in 0..2000 {
        assert!(knows(&mut shard, &format!("k{key}")));
    }
    // What it holds counts, and goes with it.
    assert!(shard.memory().table_bytes > before + 100_000);
    shard.set_curve(None);
    assert_eq!(shard.memory().table_bytes, before);
}

#[test]
fn the_age_of_what_is_evicted_is_known_by_the_sample_where_the_policy_keeps_no_time() {
    for (policy, has_curve, is_known) in [
        (PolicyName::Lru, false, true),
        (PolicyName::Lfu, false, true),
        (PolicyName::S3Fifo, true, true),
        (PolicyName::S3Fifo, false, false),
    ] {
        let mut cache = Cache::new(policy, 1 << 20);
        if has_curve {
            let options = curve_options(Some(policy), 1 << 16);
            cache.shard.set_curve(Some(&options));
            cache.shard.fit_curve([1 << 20; PERCENTS.len()]);
        }
        for key in 0..100 {
            put(&mut cache.shard, &format!("k{key}"), TtlChange::Clear);
        }
        tend_to_the_end(&mut cache.shard);
        if has_curve {
            cache.shard.curve();
        }
        cache.shard.set_now(UnixMillis(START_MS + 600_000));
        while cache.shard.evicted_total() < 50 {
            cache.shard.evict(|_| false);
        }
        let ages = cache.shard.ages_at_eviction();
        assert_eq!(ages.len(), if is_known { 50 } else { 0 }, "{policy:?}");
        assert_eq!(
            ages.mean_secs(),
            if is_known { 600 } else { 0 },
            "{policy:?}"
        );
        assert!(cache.shard.evicted_bytes_total() > 50 * 10);
    }
}

#[test]
fn what_is_an_hour_old_counts_half() {
    let mut shard = sampling_all();
    shard.count_lookups(1000, 500);
    for hour in 1..=3 {
        shard.set_now(UnixMillis(START_MS + hour * 3_600_000));
        shard.fit_curve([1 << 20; PERCENTS.len()]);
    }
    let stats = shard.curve().expect("it is kept").stats();
    assert_eq!((stats.requests, stats.hits), (125.0, 62.5));
}
