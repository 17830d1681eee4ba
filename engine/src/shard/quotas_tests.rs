//! Quotas of a shard: the sums are those of a recount whatever is done, and taken back; what goes for a quota is of that quota; who is
//! guarded stays.

use std::sync::Arc;

use proptest::prelude::*;

use super::tests::ops::{Op, op};
use super::tests::{alike, cases, shard, tend_to_the_end};
use super::undo::tests::Observed;
use super::*;
use crate::evict::{Lfu, PolicyName, Scope};
use crate::{Event, PrefixSet, QuotaId, StringForm, Undo};

/// Sets of prefixes of the keys of tests: nested ones, long ones, single keys.
const SETS: [&[&[u8]]; 4] = [
    &[],
    &[b"k", b"k\x07", b"k\x0e"],
    &[b"L", b"MM", b"NNN", b"k\x08", b"k\x09", b"k\x0a"],
    &[b"k", b"O", b"P"],
];

fn set_quotas(shard: &mut Shard, prefixes: &[&[u8]], guarded: &[bool]) {
    let prefixes = PrefixSet::new(prefixes.iter().copied());
    shard.set_quotas(&Arc::new(prefixes), guarded);
}

fn eviction(policy: PolicyName, scope: Scope) -> EvictionOptions {
    EvictionOptions {
        policy,
        scope,
        samples: 5,
        lfu: Lfu::default(),
        capacity_bytes: 1 << 20,
    }
}

fn bytes_of(shard: &mut Shard, quota: u16) -> u64 {
    shard.quota_usage(QuotaId(quota)).0
}

#[derive(Clone, Debug)]
enum Step {
    Do(Op),
    Quotas(usize),
    Policy(Option<(PolicyName, Scope)>),
    EvictOf(u16),
    Evict,
    Begin,
    End,
    Undo,
    Aside,
    TakeUp,
}

fn step() -> impl Strategy<Value = Step> {
    let policy = (prop::sample::select(PolicyName::ALL), any::<bool>());
    let policy = policy.prop_map(|(policy, is_volatile)| match is_volatile {
        true => (policy, Scope::Volatile),
        false => (policy, Scope::AllKeys),
    });
    prop_oneof![
        60 => op().prop_map(Step::Do),
        1 => (0..SETS.len()).prop_map(Step::Quotas),
        2 => prop::option::weighted(0.8, policy).prop_map(Step::Policy),
        4 => (0u16..4).prop_map(Step::EvictOf),
        2 => Just(Step::Evict),
        3 => Just(Step::Begin),
        2 => Just(Step::End),
        3 => Just(Step::Undo),
        2 => Just(Step::Aside),
        2 => Just(Step::TakeUp),
    ]
}

/// A shard, and how it is being undone.
struct Undone {
    observed: Observed,
    aside: Option<Box<Undo>>,
    quotas: usize,
}

impl Undone {
    fn take(&mut self, step: &Step) {
        let shard = &mut self.observed.shard;
        let (is_open, is_aside) = (shard.is_undoable(), self.aside.is_some());
        match *step {
            // Keys that a log that lies aside is about are locked.
            Step::Do(_) | Step::EvictOf(_) | Step::Evict if is_aside => {}
            Step::Do(ref op) => self.observed.run(std::slice::from_ref(op)),
            Step::Quotas(nth) => {
                let guarded = vec![nth == 1; SETS[nth].len()];
                set_quotas(shard, SETS[nth], &guarded);
                self.quotas = SETS[nth].len();
            }
            Step::Policy(policy) => {
                let options = policy.map(|(policy, scope)| eviction(policy, scope));
                shard.set_eviction(options.as_ref());
            }
            Step::EvictOf(nth) if self.quotas > 0 => {
                let quota = QuotaId(nth % self.quotas as u16);
                let before = shard.quota_usage(quota);
                let evicted = shard.evict_of_quota(quota, |_| false);
                let after = shard.quota_usage(quota);
                let gone = u64::from(evicted == Evicted::Entry);
                assert_eq!(before.1 - after.1, gone);
                assert!(after.0 + gone <= before.0);
            }
            Step::EvictOf(_) => {}
            Step::Evict => {
                shard.evict(|_| false);
            }
            Step::Begin if !is_open && !is_aside => shard.begin_undo(),
            Step::End if is_open => shard.end_undo(),
            Step::Undo if is_open => shard.undo(),
            Step::Aside if is_open => self.aside = Some(shard.lay_undo_aside()),
            Step::TakeUp => {
                if let Some(undo) = self.aside.take() {
                    shard.take_up_undo(undo);
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(cases(150, 1))]

    #[test]
    fn whatever_is_done_the_sums_of_quotas_are_those_of_a_recount(
        alike in alike(), steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut undone = Undone {
            observed: Observed::new(false, alike),
            aside: None,
            quotas: 0,
        };
        undone.take(&Step::Quotas(1));
        for (nth, step) in steps.iter().enumerate() {
            undone.take(step);
            let shard = &mut undone.observed.shard;
            shard.check_quotas();
            if nth % 3 == 0 {
                shard.settle_quotas();
                shard.check_quotas();
            }
        }
        let shard = &mut undone.observed.shard;
        if let Some(undo) = undone.aside {
            shard.take_up_undo(undo);
        }
        if shard.is_undoable() {
            shard.undo();
        }
        tend_to_the_end(shard);
        shard.check();
        // All is counted now. A count begun anew comes to the same.
        let usage = |shard: &mut Shard| -> Vec<(u64, u64)> {
            (0..undone.quotas as u16).map(|nth| shard.quota_usage(QuotaId(nth))).collect()
        };
        let kept = usage(shard);
        let set = SETS.iter().position(|set| set.len() == undone.quotas);
        let set = set.expect("one of the sets");
        if undone.quotas != SETS[1].len() {
            set_quotas(shard, SETS[set], &vec![false; undone.quotas]);
            tend_to_the_end(shard);
            prop_assert_eq!(usage(shard), kept);
        }
        set_quotas(shard, &[], &[]);
        tend_to_the_end(shard);
        prop_assert_eq!(shard.quota_bytes(), 0);
        prop_assert!(!shard.is_told_before);
    }
}

fn set(shard: &mut Shard, db: u16, name: &str, len: usize) {
    let key = shard.hasher().clone().key(name.as_bytes());
    let value = vec![b'v'; len];
    let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
    let stored = shard.set(DbIndex(db), key, &value, form, ttl, Event::Set);
    stored.expect("memory");
}

fn has(shard: &mut Shard, db: u16, name: &str) -> bool {
    let key = shard.hasher().clone().key(name.as_bytes());
    shard.get(DbIndex(db), key, Access::Peek).is_some()
}

#[test]
fn what_goes_for_a_quota_is_of_that_quota_however_few_they_are() {
    for &policy in PolicyName::ALL {
        let mut shard = shard();
        shard.set_now(UnixMillis(1_700_000_000_000));
        let scope = match policy {
            PolicyName::Ttl => Scope::Volatile,
            _ => Scope::AllKeys,
        };
        shard.set_eviction(Some(&eviction(policy, scope)));
        set_quotas(&mut shard, &[b"few:", b"few:inner:"], &[false, false]);
        (0..20_000).for_each(|n| set(&mut shard, n % 3, &format!("many:{n}"), 20));
        let deadline = Some(UnixMillis(1_800_000_000_000));
        for n in 0..10 {
            for name in [format!("few:{n}"), format!("few:inner:{n}")] {
                set(&mut shard, n % 3, &name, 20);
                let key = shard.hasher().clone().key(name.as_bytes());
                let set = shard.set_deadline(DbIndex(n % 3), key, deadline, Event::Expire);
                assert_eq!(set, Ok(true));
            }
        }
        let before = [bytes_of(&mut shard, 0), bytes_of(&mut shard, 1)];
        assert!(before.iter().all(|&bytes| bytes > 10 * 30), "{before:?}");
        let mut gone = 0;
        while gone < 10 {
            let evicted = shard.evict_of_quota(QuotaId(0), |_| false);
            assert_eq!(evicted, Evicted::Entry, "{policy:?}, {gone} gone");
            gone += 1;
        }
        let evicted = shard.evict_of_quota(QuotaId(0), |_| false);
        assert_eq!(evicted, Evicted::Nothing);
        assert_eq!(
            (bytes_of(&mut shard, 0), bytes_of(&mut shard, 1)),
            (0, before[1])
        );
        let left: u64 = (0..3).map(|db| shard.len(DbIndex(db))).sum();
        assert_eq!((left, shard.evicted_total()), (20_010, 10));
        shard.check();
    }
}

#[test]
fn what_is_used_stays_longer_than_what_is_not_within_a_quota_too() {
    let takes_uses = |policy: &&PolicyName| {
        !matches!(
            policy,
            PolicyName::Random | PolicyName::Ttl | PolicyName::Fifo | PolicyName::Lrm
        )
    };
    for &policy in PolicyName::ALL.iter().filter(takes_uses) {
        let mut shard = shard();
        let mut now = 1_700_000_000_000;
        shard.set_now(UnixMillis(now));
        // Less than there is: a queue of new entries has a part of it.
        shard.set_eviction(Some(&EvictionOptions {
            capacity_bytes: 30_000,
            ..eviction(policy, Scope::AllKeys)
        }));
        set_quotas(&mut shard, &[b"t:"], &[false]);
        (0..1000).for_each(|n| set(&mut shard, 0, &format!("t:{n}"), 20));
        for _ in 0..30 {
            now += 2000;
            shard.set_now(UnixMillis(now));
            for n in 0..200 {
                let name = format!("t:{n}");
                let key = shard.hasher().clone().key(name.as_bytes());
                shard.get(DB, key, Access::Touch).expect("it is there");
            }
        }
        for _ in 0..300 {
            assert_eq!(shard.evict_of_quota(QuotaId(0), |_| false), Evicted::Entry);
        }
        let used = (0..200)
            .filter(|n| has(&mut shard, 0, &format!("t:{n}")))
            .count();
        assert!(used > 180, "{policy:?}: {used} of 200 used ones are left");
    }
}

const DB: DbIndex = DbIndex(0);

#[test]
fn the_guarded_stay_until_the_others_are_few() {
    for &policy in PolicyName::ALL
        .iter()
        .filter(|&&policy| policy != PolicyName::Ttl)
    {
        let mut shard = shard();
        shard.set_eviction(Some(&eviction(policy, Scope::AllKeys)));
        set_quotas(&mut shard, &[b"guarded:", b"other:"], &[true, false]);
        (0..1000).for_each(|n| set(&mut shard, 0, &format!("guarded:{n}"), 20));
        (0..600).for_each(|n| set(&mut shard, 0, &format!("other:{n}"), 20));
        (0..600).for_each(|n| set(&mut shard, 0, &format!("free:{n}"), 20));
        let guarded = bytes_of(&mut shard, 0);
        let (mut gone, mut steps) = (0, 0);
        while gone < 900 {
            gone += u32::from(shard.evict(|_| false) == Evicted::Entry);
            steps += 1;
            assert!(steps < 100_000, "{policy:?} finds none");
        }
        assert_eq!(bytes_of(&mut shard, 0), guarded, "{policy:?}");
        // All go in the end: the others could make no room.
        let mut later = 0;
        while shard.len(DB) > 0 {
            match shard.evict(|_| false) {
                Evicted::Entry => later = 0,
                Evicted::Later => later += 1,
                Evicted::Nothing => panic!("{policy:?}: {} are left", shard.len(DB)),
            }
            assert!(later < 100_000, "{policy:?} finds none");
        }
        shard.check();
    }
}

#[test]
fn what_is_there_already_is_counted_in_slices_while_it_changes() {
    let mut shard = shard();
    (0..20_000).for_each(|n| set(&mut shard, 0, &format!("t:{n}"), 20));
    set_quotas(&mut shard, &[b"t:"], &[false]);
    let (mut steps, mut before) = (0, 0);
    while shard.tend(1) {
        steps += 1;
        let counted = shard.quota_usage(QuotaId(0)).1;
        assert!(counted - before < 1000, "{counted} after {before}");
        // Some come, change or go meanwhile, before the walk and behind it.
        let n = steps * 7919 % 20_000;
        set(&mut shard, 0, &format!("t:{n}"), 30);
        let name = format!("t:{}", steps * 104_729 % 20_000);
        let key = shard.hasher().clone().key(name.as_bytes());
        shard.remove(DB, key, Event::Del);
        set(&mut shard, 0, &format!("t:new:{n}"), 30);
        before = shard.quota_usage(QuotaId(0)).1;
        shard.check_quotas();
    }
    assert!(steps > 20_000 / 1000);
    assert_eq!(shard.quota_usage(QuotaId(0)).1, shard.len(DB));
    let told = |shard: &mut Shard| {
        let mut told = Vec::new();
        shard.changed_quotas(|quota, bytes| told.push((quota, bytes)));
        told
    };
    let bytes = bytes_of(&mut shard, 0);
    assert_eq!(told(&mut shard), [(QuotaId(0), bytes)]);
    assert_eq!(told(&mut shard), []);
    shard.flush(DB);
    assert_eq!(told(&mut shard), [(QuotaId(0), 0)]);
}
