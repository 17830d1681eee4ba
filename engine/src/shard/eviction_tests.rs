//! Eviction by every policy: memory keeps to its bound, what may not go stays, what is left is what was written, and a policy may be
//! chosen at any time.

use std::collections::HashMap;

use proptest::prelude::*;

use super::tests::{alike, cases, shard_with};
use super::*;
use crate::StringForm;
use crate::evict::{Lfu, PolicyName, Scope};
use crate::journal::Event;
use crate::key::Alike;
use crate::limits::NEW_ENTRY_BYTES;

/// Entries that a test's budget holds, about.
const HELD: u64 = 300;
const BUDGET_BYTES: u64 = HELD * 100;
/// A bound on the steps that find one victim.
const STEPS_MAX: u32 = 10_000;

fn options(policy: PolicyName, scope: Scope) -> EvictionOptions {
    EvictionOptions {
        policy,
        scope,
        samples: 5,
        lfu: Lfu::default(),
        capacity_bytes: BUDGET_BYTES,
    }
}

/// A shard under a bound of memory, and what it should hold.
struct Cache {
    shard: Shard,
    held: HashMap<(u16, Vec<u8>), Vec<u8>>,
    scope: Scope,
    now: i64,
    /// Keys with a deadline: all others are never evicted under [`Scope::Volatile`].
    volatile: HashMap<(u16, Vec<u8>), i64>,
}

impl Cache {
    fn new(alike: Alike) -> Self {
        let mut shard = shard_with(alike);
        shard.set_now(UnixMillis(1_700_000_000_000));
        Self {
            shard,
            held: HashMap::new(),
            scope: Scope::AllKeys,
            now: 1_700_000_000_000,
            volatile: HashMap::new(),
        }
    }

    /// `ttl` goes by deadlines: it is for those that have some.
    fn choose(&mut self, policy: PolicyName, scope: Scope) {
        self.scope = match policy {
            PolicyName::Ttl => Scope::Volatile,
            _ => scope,
        };
        let scope = self.scope;
        self.shard.set_eviction(Some(&options(policy, scope)));
    }

    fn bytes(&self) -> u64 {
        self.shard.memory().entry_bytes
    }

    fn wait(&mut self, millis: i64) {
        self.now += millis;
        self.shard.set_now(UnixMillis(self.now));
        self.shard.tend(64);
    }

    fn set(&mut self, db: u16, number: u32, len: usize, deadline: Option<i64>) {
        let key = format!("key:{number}").into_bytes();
        let value = vec![b'a' + (number % 26) as u8; len];
        let ttl = deadline.map_or(TtlChange::Clear, |after| {
            TtlChange::At(UnixMillis(self.now + after))
        });
        let hashed = self.shard.hasher().key(&key);
        let form = StringForm::Detect;
        let stored = self
            .shard
            .set(DbIndex(db), hashed, &value, form, ttl, Event::Set);
        stored.expect("there is memory");
        let at = (db, key);
        match deadline {
            Some(after) => self.volatile.insert(at.clone(), self.now + after),
            None => self.volatile.remove(&at),
        };
        self.held.insert(at, value);
        self.make_room(|_| false);
    }

    fn add_field(&mut self, db: u16, number: u32, field: u32) {
        let key = format!("hash:{number}").into_bytes();
        let hashed = self.shard.hasher().key(&key);
        let name = field.to_string();
        let mut hash = self.shard.hash_mut(DbIndex(db), hashed).expect("a hash");
        hash.set(name.as_bytes(), &[b'v'; 40], TtlChange::Clear)
            .expect("there is memory");
        hash.close(&[Event::HSet]);
        self.held.insert((db, key), b"hash".to_vec());
        self.make_room(|_| false);
    }

    fn get(&mut self, db: u16, number: u32) {
        let key = format!("key:{number}").into_bytes();
        let hashed = self.shard.hasher().key(&key);
        self.shard.get(DbIndex(db), hashed, Access::Touch);
    }

    /// Evicts down to the budget, or until nothing may go.
    fn make_room(&mut self, stays: impl Fn(u64) -> bool) {
        let mut steps = 0;
        while self.bytes() > BUDGET_BYTES {
            match self.shard.evict(&stays) {
                Evicted::Entry => steps = 0,
                Evicted::Later => steps += 1,
                Evicted::Nothing => break,
            }
            assert!(steps < STEPS_MAX, "a victim is found in time");
        }
    }

    /// Holds what is left against what was written.
    fn check(&mut self) {
        self.shard.check();
        let mut left = HashMap::new();
        for db in 0..3 {
            self.shard.for_each(DbIndex(db), &mut |entry| {
                let value = entry.string().map_or(b"hash".to_vec(), <[u8]>::to_vec);
                left.insert((db, entry.key().to_vec()), value);
            });
        }
        for (at, value) in &left {
            assert_eq!(self.held.get(at), Some(value));
        }
        if self.scope == Scope::Volatile {
            for at in self.held.keys() {
                let may_go = self.volatile.contains_key(at);
                assert!(may_go || left.contains_key(at), "{at:?} has no deadline");
            }
        }
        self.held.retain(|at, _| left.contains_key(at));
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Set(u16, u32, usize, Option<i64>),
    AddField(u16, u32, u32),
    Get(u16, u32),
    Remove(u16, u32),
    Wait(i64),
    Choose(PolicyName, Scope),
}

fn step() -> impl Strategy<Value = Step> {
    let db = || 0..3u16;
    let len = prop_oneof![0..40usize, 0..300usize, 300..2000usize];
    let deadline = prop::option::of(prop_oneof![1..1000i64, 10_000..1_000_000i64]);
    let policy = prop::sample::select(PolicyName::ALL);
    let scope = prop_oneof![Just(Scope::AllKeys), Just(Scope::Volatile)];
    prop_oneof![
        20 => (db(), 0..1000u32, len, deadline).prop_map(|(db, n, len, at)| Step::Set(db, n, len, at)),
        4 => (db(), 0..20u32, 0..100u32).prop_map(|(db, n, field)| Step::AddField(db, n, field)),
        20 => (db(), 0..1000u32).prop_map(|(db, n)| Step::Get(db, n)),
        2 => (db(), 0..1000u32).prop_map(|(db, n)| Step::Remove(db, n)),
        2 => (1..2000i64).prop_map(Step::Wait),
        1 => (policy, scope).prop_map(|(policy, scope)| Step::Choose(policy, scope)),
    ]
}

proptest! {
    #![proptest_config(cases(24, 1))]

    #[test]
    fn whatever_the_policy_memory_keeps_to_its_bound_and_what_is_left_is_what_was_written(
        alike in alike(),
        policy in prop::sample::select(PolicyName::ALL),
        scope in prop_oneof![Just(Scope::AllKeys), Just(Scope::Volatile)],
        steps in prop::collection::vec(step(), 1..1500),
    ) {
        let mut cache = Cache::new(alike);
        cache.choose(policy, scope);
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Set(db, number, len, deadline) => cache.set(db, number, len, deadline),
                Step::AddField(db, number, field) => cache.add_field(db, number, field),
                Step::Get(db, number) => cache.get(db, number),
                Step::Remove(db, number) => {
                    let key = format!("key:{number}").into_bytes();
                    let hashed = cache.shard.hasher().key(&key);
                    cache.shard.remove(DbIndex(db), hashed, Event::Del);
                    cache.held.remove(&(db, key));
                }
                Step::Wait(millis) => cache.wait(millis),
                Step::Choose(policy, scope) => {
                    cache.check();
                    cache.choose(policy, scope);
                    cache.make_room(|_| false);
                }
            }
            if number % 200 == 0 {
                cache.check();
            }
            if cache.scope == Scope::AllKeys {
                prop_assert!(cache.bytes() <= BUDGET_BYTES);
            }
        }
        cache.check();
    }
}

#[test]
fn each_policy_evicts_all_that_may_go_and_nothing_else() {
    for &policy in PolicyName::ALL {
        for scope in [Scope::AllKeys, Scope::Volatile] {
            let mut cache = Cache::new(Alike::Nothing);
            cache.choose(policy, scope);
            for number in 0..100 {
                let deadline = (number % 10 == 3).then_some(100_000);
                cache.set((number % 3) as u16, number, 20, deadline);
            }
            let mut evicted = 0;
            let mut later = 0;
            loop {
                match cache.shard.evict(|_| false) {
                    Evicted::Entry => evicted += 1,
                    Evicted::Later => later += 1,
                    Evicted::Nothing => break,
                }
                assert!(later < STEPS_MAX, "{policy:?} {scope:?}");
            }
            let all = match cache.scope {
                Scope::AllKeys => 100,
                Scope::Volatile => 10,
            };
            assert_eq!(evicted, all, "{policy:?} {scope:?}");
            assert_eq!(cache.shard.evicted_total(), all);
            assert!(!cache.shard.has_evictable());
            cache.check();
        }
    }
}

#[test]
fn what_stays_is_not_evicted_and_may_be_later() {
    for &policy in PolicyName::ALL {
        let mut cache = Cache::new(Alike::Nothing);
        cache.choose(policy, Scope::AllKeys);
        for number in 0..50 {
            cache.set(0, number, 20, Some(100_000));
        }
        let locked = cache.shard.hasher().hash(b"key:7");
        let mut steps = 0;
        while cache.shard.len(DbIndex(0)) > 1 && steps < STEPS_MAX {
            if cache.shard.evict(|hash| hash == locked) == Evicted::Nothing {
                break;
            }
            steps += 1;
        }
        assert_eq!(cache.shard.len(DbIndex(0)), 1, "{policy:?}");
        let key = cache.shard.hasher().key(b"key:7");
        assert!(cache.shard.get(DbIndex(0), key, Access::Peek).is_some());
        steps = 0;
        while cache.shard.len(DbIndex(0)) > 0 {
            cache.shard.evict(|_| false);
            steps += 1;
            assert!(steps < STEPS_MAX, "{policy:?}");
        }
    }
}

#[test]
fn what_is_used_stays_longer_than_what_is_not() {
    use PolicyName::{Adaptive, Gdsf, Lfu, Lru, S3Fifo, Sieve};
    for policy in [Lru, Lfu, Sieve, S3Fifo, Gdsf, Adaptive] {
        let mut cache = Cache::new(Alike::Nothing);
        cache.choose(policy, Scope::AllKeys);
        let mut number = 1000;
        for round in 0..400 {
            cache.wait(1500);
            for hot in 0..50 {
                let key = format!("key:{hot}").into_bytes();
                let hashed = cache.shard.hasher().key(&key);
                let is_there = cache.shard.get(DbIndex(0), hashed, Access::Touch).is_some();
                if !is_there {
                    cache.set(0, hot, 60, None);
                }
            }
            for _ in 0..20 {
                cache.set(0, number, 60, None);
                number += 1;
            }
            if round == 399 {
                let hot = (0..50).filter(|hot| {
                    let key = format!("key:{hot}").into_bytes();
                    let hashed = cache.shard.hasher().key(&key);
                    cache.shard.get(DbIndex(0), hashed, Access::Peek).is_some()
                });
                assert!(hot.count() >= 45, "{policy:?}");
            }
        }
    }
}

#[test]
fn entries_with_deadlines_are_found_among_hashes_of_which_only_fields_have_some() {
    for &policy in PolicyName::ALL {
        let mut cache = Cache::new(Alike::Nothing);
        cache.choose(policy, Scope::Volatile);
        for number in 0..1500u32 {
            let key = format!("hash:{number}").into_bytes();
            let hashed = cache.shard.hasher().key(&key);
            let at = TtlChange::At(UnixMillis(cache.now + 100_000));
            let db = DbIndex((number % 3) as u16);
            let mut hash = cache.shard.hash_mut(db, hashed).expect("a hash");
            hash.set(b"field", b"value", at).expect("there is memory");
            hash.close(&[Event::HSet]);
        }
        for number in 0..6u32 {
            let key = format!("key:{number}").into_bytes();
            let hashed = cache.shard.hasher().key(&key);
            let at = TtlChange::At(UnixMillis(cache.now + 100_000));
            let (db, form) = (DbIndex((number % 3) as u16), StringForm::Detect);
            let stored = cache.shard.set(db, hashed, b"value", form, at, Event::Set);
            stored.expect("there is memory");
        }
        let mut steps = 0;
        while cache.shard.evict(|_| false) != Evicted::Nothing {
            steps += 1;
            assert!(steps < STEPS_MAX, "{policy:?}");
        }
        assert_eq!(cache.shard.evicted_total(), 6, "{policy:?}");
        cache.shard.check();
    }
}

#[test]
fn what_is_drawn_by_chance_is_as_likely_to_be_new_as_old() {
    let mut cache = Cache::new(Alike::Nothing);
    cache.choose(PolicyName::Random, Scope::AllKeys);
    for number in 0..10_000 {
        cache.set(0, number, 40, None);
    }
    let held = cache.shard.len(DbIndex(0)) as u32;
    let (mut kept, rounds) = (0, 10_000);
    for number in 10_000..10_000 + rounds {
        cache.set(0, number, 40, None);
        let lately = format!("key:{}", number - held / 5).into_bytes();
        let hashed = cache.shard.hasher().key(&lately);
        let found = cache.shard.get(DbIndex(0), hashed, Access::Peek);
        kept += u32::from(found.is_some());
    }
    // A fifth of all have gone since it came, each at random: it is there still once in e to the fifth.
    let part = f64::from(kept) / f64::from(rounds);
    assert!((part - 0.819).abs() < 0.03, "{part}");
}

#[test]
fn a_policy_reckons_with_as_many_entries_as_there_is_room_for() {
    let mut cache = Cache::new(Alike::Nothing);
    cache.choose(PolicyName::Adaptive, Scope::AllKeys);
    for number in 0..200 {
        cache.set(0, number, 60, None);
    }
    let counted: usize = (0..200)
        .map(|number| format!("key:{number}").len() + 60)
        .sum();
    let counted = (counted + 200 * NEW_ENTRY_BYTES) as u64;
    let taken = cache.bytes();
    assert_ne!(taken, counted);
    cache.shard.set_eviction_room(3 * taken);
    let capacity = cache.shard.eviction_capacity();
    assert!(capacity.abs_diff(3 * counted) <= 3, "{capacity} {counted}");
    // What changes little is not told.
    cache.shard.set_eviction_room(3 * taken + taken / 100);
    assert_eq!(cache.shard.eviction_capacity(), capacity);
}
