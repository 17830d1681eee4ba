//! Tests of the policies: against models that are exact, on traces that are made, and where entries go, come back and change.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::mini::Mini;
use super::rng::Rng;
use super::simulation::{Outcome, Request, identity, run, run_exact_lru};
use super::table::Table;
use super::*;

const REQUESTS: usize = 30_000;
const KEYS: u64 = 4000;

fn traces() -> [(&'static str, Vec<Request>); 4] {
    [
        ("zipf", traces::zipf(REQUESTS, KEYS, 1)),
        ("scans", traces::scans(REQUESTS, KEYS, 2)),
        ("loops", traces::loops(REQUESTS, KEYS, 3)),
        ("shifts", traces::shifts(REQUESTS, KEYS, 4)),
    ]
}

/// Misses of a cache whose entries stand in a list, oldest first; `victim` says which goes.
fn run_model(
    capacity: usize,
    trace: &[Request],
    mut victim: impl FnMut(&mut Vec<(u64, bool)>) -> usize,
) -> u64 {
    let mut entries: Vec<(u64, bool)> = Vec::new();
    let mut misses = 0;
    for request in trace {
        match entries.iter_mut().find(|entry| entry.0 == request.key) {
            Some(entry) => entry.1 = true,
            None => {
                misses += 1;
                if entries.len() == capacity {
                    let at = victim(&mut entries);
                    entries.remove(at);
                }
                entries.push((request.key, false));
            }
        }
    }
    misses
}

#[test]
fn fifo_does_as_a_list_does() {
    for (name, trace) in traces() {
        let trace = &trace[..8000];
        let model = run_model(150, trace, |_| 0);
        assert_eq!(run(PolicyName::Fifo, 1, 150, trace).misses, model, "{name}");
    }
}

#[test]
fn sieve_does_as_a_list_with_a_hand_does() {
    for (name, trace) in traces() {
        let trace = &trace[..8000];
        let mut hand = 0;
        let model = run_model(150, trace, |entries| {
            while std::mem::take(&mut entries[hand].1) {
                hand = (hand + 1) % entries.len();
            }
            let at = hand;
            // Behind the head comes the tail, not what is new by then.
            hand = if at + 1 == entries.len() { 0 } else { at };
            at
        });
        assert_eq!(
            run(PolicyName::Sieve, 1, 150, trace).misses,
            model,
            "{name}"
        );
    }
}

/// S3-FIFO with exact ghosts.
fn run_s3fifo_model(capacity: usize, trace: &[Request]) -> u64 {
    let (small_share, ghosts_max) = (capacity / 10, capacity * 9 / 10);
    let (mut small, mut main): (VecDeque<u64>, VecDeque<u64>) = Default::default();
    let mut ghosts: VecDeque<u64> = VecDeque::new();
    let mut uses: HashMap<u64, u32> = HashMap::new();
    let (mut misses, mut has_evicted) = (0, false);
    for &Request { key, .. } in trace {
        if let Some(count) = uses.get_mut(&key) {
            *count += 1;
            continue;
        }
        misses += 1;
        let ghost = ghosts.iter().position(|&ghost| ghost == key);
        ghost.map(|at| ghosts.remove(at));
        while uses.len() == capacity {
            has_evicted = true;
            if main.len() > capacity - small_share || small.is_empty() {
                let tail = main.pop_front().expect("the small queue is not all");
                let count = uses[&tail].min(3);
                if count > 0 {
                    uses.insert(tail, count - 1);
                    main.push_back(tail);
                } else {
                    uses.remove(&tail);
                }
                continue;
            }
            while let Some(tail) = small.pop_front() {
                if uses[&tail] < 2 {
                    uses.remove(&tail);
                    ghosts.push_back(tail);
                    break;
                }
                uses.insert(tail, 0);
                main.push_back(tail);
            }
            if ghosts.len() > ghosts_max {
                ghosts.pop_front();
            }
        }
        let is_full = !has_evicted && small.len() >= small_share;
        uses.insert(key, 0);
        match ghost.is_some() || is_full {
            true => main.push_back(key),
            false => small.push_back(key),
        }
    }
    misses
}

#[test]
fn s3fifo_does_within_a_hundredth_as_queues_do() {
    for (name, trace) in traces() {
        for capacity in [90, 400] {
            let model = run_s3fifo_model(capacity, &trace[..15_000]) as f64;
            let outcome = run(PolicyName::S3Fifo, 1, capacity as u64, &trace[..15_000]);
            let off = outcome.misses as f64 / model - 1.0;
            assert!(off.abs() < 0.01, "{name} {capacity}: {off}");
        }
    }
}

#[test]
fn the_oldest_of_those_drawn_are_nearly_the_oldest_of_all() {
    for (name, trace) in traces() {
        let exact = run_exact_lru(400, &trace).miss_ratio();
        let drawn = run(PolicyName::Lru, 1, 400, &trace).miss_ratio();
        assert!(
            (drawn / exact - 1.0).abs() < 0.02,
            "{name}: {drawn} {exact}"
        );
    }
}

#[test]
fn adaptive_misses_less_than_lru_and_no_more_than_the_best_queue() {
    let mut sums = BTreeMap::new();
    for (name, trace) in traces() {
        let lru = run_exact_lru(300, &trace).miss_ratio();
        let of = |policy| run(policy, 1, 300, &trace).miss_ratio() / lru;
        let (adaptive, s3fifo, sieve) = (
            of(PolicyName::Adaptive),
            of(PolicyName::S3Fifo),
            of(PolicyName::Sieve),
        );
        let best = s3fifo.min(sieve);
        // Where popularity moves on, nothing beats recency by much.
        let most = if name == "shifts" { 1.02 } else { 0.93 };
        assert!(adaptive < most, "{name}: {adaptive} of lru's");

        assert!(adaptive < 1.04 * best, "{name}: {adaptive}, {best}");
        for (policy, ratio) in [("adaptive", adaptive), ("s3fifo", s3fifo), ("sieve", sieve)] {
            *sums.entry(policy).or_insert(0.0) += ratio / 4.0;
        }
    }
    assert!(sums["adaptive"] < sums["s3fifo"] + 0.005, "{sums:?}");
    assert!(sums["adaptive"] < sums["sieve"], "{sums:?}");
}

/// Keys are asked for so many times each until memory is full; then others come, and come back.
fn misses_of_what_comes_after(asked: usize) -> u64 {
    let one = |key| Request { key, bytes: 1 };
    let before = (0..1000).flat_map(|key| std::iter::repeat_n(one(key), asked));
    let after = (1000..1500).chain(1000..1500).map(one);
    let trace: Vec<Request> = before.chain(after).collect();
    run(PolicyName::Adaptive, 1, 1000, &trace).misses - 1000
}

#[test]
fn what_comes_stays_if_keys_were_asked_for_often_before_memory_was_short() {
    assert_eq!(misses_of_what_comes_after(5), 500);
    // What was asked for twice has shown no more than what comes once.
    let misses = misses_of_what_comes_after(2);
    assert!((800..=1000).contains(&misses), "{misses}");
}

#[test]
fn adaptive_misses_fewer_where_sizes_differ() {
    let zipf = traces::zipf(REQUESTS, KEYS, 9);
    for trace in [
        traces::two_sizes(REQUESTS, KEYS, 5),
        traces::with_sizes(&zipf, 7),
    ] {
        let lru = run_exact_lru(400_000, &trace).misses as f64;
        for policy in [PolicyName::Adaptive, PolicyName::Gdsf] {
            let of_lru = run(policy, 1, 400_000, &trace).misses as f64 / lru;
            assert!(of_lru < 0.80, "{}: {of_lru}", policy.as_str());
        }
    }
}

#[test]
fn every_policy_is_the_same_on_every_run_and_keeps_within_its_memory() {
    let trace = traces::two_sizes(10_000, KEYS, 6);
    for &policy in PolicyName::ALL {
        let outcome = || run(policy, 3, 200_000, &trace);
        let (one, other) = (outcome(), outcome());
        assert_eq!(one.misses, other.misses, "{}", policy.as_str());
        let Outcome {
            held_bytes,
            entries,
            ..
        } = one;
        // Most of it are chunks begun, and what is the same for any number of entries.
        assert!(
            held_bytes < 40 * entries + 80_000,
            "{} {held_bytes}",
            policy.as_str()
        );
    }
}

/// Entries of which those with an even identity have a deadline.
struct HalfVolatile(Table);

impl HalfVolatile {
    fn with_deadline(entry: &Candidate) -> Candidate {
        let ends = entry.identity.0.is_multiple_of(2);
        Candidate {
            deadline: ends.then_some(UnixMillis(entry.identity.0.into())),
            ..*entry
        }
    }
}

impl Entries for HalfVolatile {
    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn len(&self) -> u64 {
        self.0.len()
    }

    fn sample(&self, wanted: usize, scope: Scope, random: u64, mut show: impl FnMut(&Candidate)) {
        self.0.sample(4 * wanted, Scope::AllKeys, random, |entry| {
            let entry = Self::with_deadline(entry);
            if scope.allows(&entry) {
                show(&entry);
            }
        });
    }

    fn find(&self, identity: Identity) -> Option<Candidate> {
        self.0
            .find(identity)
            .map(|entry| Self::with_deadline(&entry))
    }

    fn set_history(&mut self, identity: Identity, history: AccessClock) {
        self.0.set_history(identity, history);
    }
}

/// The next to go; asked so often at most that each entry is looked at a few times.
fn next_victim(
    policy: &mut impl Policy,
    entries: &mut impl Entries,
    scope: Scope,
) -> Option<Identity> {
    for _ in 0..entries.len() + 100 {
        match policy.victim(entries, scope) {
            Choice::Victim(identity) => return Some(identity),
            Choice::Later => {}
            Choice::Nothing => return None,
        }
    }
    panic!("no victim, and no end");
}

#[test]
fn only_entries_with_a_deadline_go_under_volatile_policies() {
    for &name in PolicyName::ALL {
        let (mut policy, mut entries) = (Evictor::new(name, 1), HalfVolatile(Table::new()));
        policy.set_capacity(500);
        for key in 0..500 {
            let identity = identity(key);
            let history = policy.inserted(identity, 1);
            entries.0.insert(identity, 1, history);
        }
        let volatile = (0..500)
            .filter(|&key| identity(key).0.is_multiple_of(2))
            .count();
        for nth in 0..volatile {
            // Few are left at last, and a draw may miss them: the shard asks again.
            let mut asked =
                (0..1000).map(|_| next_victim(&mut policy, &mut entries, Scope::Volatile));
            let victim = asked.find_map(|victim| victim);
            let victim = victim.unwrap_or_else(|| panic!("{} {nth}", name.as_str()));
            assert!(victim.0.is_multiple_of(2), "{}", name.as_str());
            assert!(entries.0.remove(victim), "{}", name.as_str());
        }
        assert_eq!(
            next_victim(&mut policy, &mut entries, Scope::Volatile),
            None
        );
        assert_eq!(entries.len(), 500 - volatile as u64);
    }
}

#[test]
fn ttl_takes_those_that_expire_soonest() {
    let (mut policy, mut entries) = (Evictor::new(PolicyName::Ttl, 1), HalfVolatile(Table::new()));
    policy.set_samples(10);
    for key in 0..1000 {
        entries.0.insert(identity(key), 1, AccessClock(0));
    }
    for _ in 0..100 {
        let victim = next_victim(&mut policy, &mut entries, Scope::AllKeys);
        let victim = victim.expect("half of them have a deadline");
        // Of the first quarter at worst, all being drawn evenly.
        assert!(victim.0 < u32::MAX / 4, "{victim:?}");
        entries.0.remove(victim);
    }
}

#[test]
fn lrm_keeps_what_is_written_and_lru_what_is_read() {
    for (name, kept) in [(PolicyName::Lrm, Use::Write), (PolicyName::Lru, Use::Read)] {
        let mut cache = Mini::new(Evictor::new(name, 1));
        cache.policy_mut().set_samples(10);
        cache.set_capacity(100);
        for second in 0..3000u64 {
            cache.set_now(UnixMillis(second as i64 * 1000));
            let key = second % 20;
            if second % 3 == 0 {
                let how = if key < 10 { Use::Read } else { Use::Write };
                cache.request(identity(key), 1, how);
            } else {
                cache.request(identity(1000 + second), 1, Use::Write);
            }
        }
        let held = |keys: std::ops::Range<u64>| {
            keys.filter(|&key| cache.entries().find(identity(key)).is_some())
                .count()
        };
        assert_eq!(held(10..20), 10, "{kept:?}");
        if kept == Use::Read {
            assert_eq!(held(0..10), 10);
        }
    }
}

#[test]
fn what_becomes_of_histories_is_as_foreseen() {
    for &name in PolicyName::ALL {
        let (mut policy, mut entries) = (Evictor::new(name, 1), Table::new());
        policy.set_lfu(Lfu {
            log_factor: 0,
            decay_minutes: 1,
        });
        policy.set_now(UnixMillis(1_700_000_000_000));
        policy.set_capacity(300);
        let mut rng = Rng::new(3);
        let mut foreseen = 0;
        let mut check = |policy: &mut Evictor, history: AccessClock, how: Use| {
            let is_known = how == Use::Read || !policy.foresees_reads_alone();
            let after = policy.foreseen().after(history, &mut Trials::none(1));
            if let Some(after) = after.filter(|_| is_known) {
                foreseen += u64::from(how == Use::Read);
                assert_eq!(
                    policy.used(history, how),
                    after,
                    "{} {history:?}",
                    name.as_str()
                );
            }
        };
        for key in 0..1000 {
            // Of ttl no victim is asked for: there are no deadlines.
            if entries.len() > 300 && name != PolicyName::Ttl {
                let victim = next_victim(&mut policy, &mut entries, Scope::AllKeys);
                entries.remove(victim.expect("any may go"));
            }
            let history = policy.inserted(identity(key), 1);
            entries.insert(identity(key), 1, history);
            check(&mut policy, history, Use::Read);
            check(&mut policy, history, Use::Write);
            for nth in 0..100 {
                let random = rng.next();
                let other = identity(key.saturating_sub(random % 300));
                let history = match entries.find(other).filter(|_| nth < 50) {
                    Some(entry) => entry.history,
                    None => AccessClock((random >> 40) as u32),
                };
                check(&mut policy, history, Use::Read);
                check(&mut policy, history, Use::Write);
                if entries.find(other).is_some() {
                    entries.set_history(other, policy.used(history, Use::Read));
                }
            }
        }
        // Of lfu some are of other minutes, to be paid for first.
        assert!(foreseen >= 20_000, "{} {foreseen}", name.as_str());
    }
}

#[test]
fn what_is_used_often_stays_as_it_is() {
    for &name in PolicyName::ALL {
        let mut policy = Evictor::new(name, 1);
        policy.set_lfu(Lfu {
            log_factor: 0,
            decay_minutes: 1,
        });
        let mut entry = Candidate {
            identity: identity(7),
            bytes: 1,
            history: AccessClock(0),
            deadline: None,
        };
        entry.history = policy.shown(&entry);
        for _ in 0..300 {
            entry.history = policy.used(entry.history, Use::Read);
        }
        let after = policy.foreseen().after(entry.history, &mut Trials::none(1));
        assert_eq!(after, Some(entry.history), "{}", name.as_str());
    }
}

/// A shard in which entries are deleted and come again, which its policy is not told.
fn churn(policy: &mut Evictor, entries: &mut Table, rng: &mut Rng, steps: u64, keys: u64) {
    for step in 0..steps {
        let random = rng.next();
        let identity = identity((random >> 32) % keys);
        let bytes = 1 + random % 3;
        match (entries.find(identity), random >> 8 & 3) {
            (Some(_), 0) => {
                entries.remove(identity);
            }
            (Some(entry), 1) => entries.set_bytes(identity, entry.bytes + 1),
            (Some(entry), _) => {
                let history = policy.used(entry.history, Use::Read);
                entries.set_history(identity, history);
            }
            (None, _) => {
                while entries.bytes() + bytes > 300 {
                    let victim = next_victim(policy, entries, Scope::AllKeys);
                    let victim = victim.expect("there is something to evict");
                    entries.remove(victim);
                }
                let history = policy.inserted(identity, bytes);
                entries.insert(identity, bytes, history);
            }
        }
        if step % 16 == 0 {
            policy.tend(entries);
        }
    }
}

#[test]
fn entries_that_go_and_come_again_leave_little_behind() {
    for &name in PolicyName::ALL
        .iter()
        .filter(|&&name| name != PolicyName::Ttl)
    {
        for keys in [150, 2000] {
            let (mut policy, mut entries) = (Evictor::new(name, 1), Table::new());
            policy.set_capacity(300);
            churn(&mut policy, &mut entries, &mut Rng::new(keys), 40_000, keys);
            let held = policy.held_bytes();
            assert!(held < 130_000, "{} {keys}: {held}", name.as_str());
        }
    }
}

#[test]
fn a_policy_takes_over_the_entries_of_another() {
    let names = || {
        PolicyName::ALL
            .iter()
            .filter(|&&name| name != PolicyName::Ttl)
    };
    for &before in names() {
        for &after in names() {
            for is_shown in [false, true] {
                let (mut policy, mut entries) = (Evictor::new(before, 1), Table::new());
                let mut rng = Rng::new(5);
                policy.set_capacity(300);
                churn(&mut policy, &mut entries, &mut rng, 1000, 600);
                policy = Evictor::new(after, 2);
                policy.set_capacity(300);
                if is_shown {
                    let mut histories = Vec::new();
                    entries.for_each(|entry| histories.push(*entry));
                    for (nth, entry) in histories.iter().enumerate() {
                        // While it is shown the old, the shard goes on.
                        if nth % 100 == 0 {
                            churn(&mut policy, &mut entries, &mut rng, 20, 600);
                        }
                        if let Some(entry) = entries.find(entry.identity) {
                            let history = policy.shown(&entry);
                            entries.set_history(entry.identity, history);
                        }
                    }
                }
                churn(&mut policy, &mut entries, &mut rng, 1000, 600);
                // All of them can go.
                while entries.len() > 0 {
                    let victim = next_victim(&mut policy, &mut entries, Scope::AllKeys);
                    let victim = victim.expect("there are entries left");
                    assert!(
                        entries.remove(victim),
                        "{} {}",
                        before.as_str(),
                        after.as_str()
                    );
                }
            }
        }
    }
}

#[test]
fn entries_of_another_policy_go_although_they_are_not_shown() {
    for name in [PolicyName::Fifo, PolicyName::Sieve, PolicyName::Gdsf] {
        let (mut policy, mut entries) = (Evictor::new(name, 1), Table::new());
        policy.set_capacity(400);
        for key in 0..400u32 {
            let history = AccessClock(key.wrapping_mul(0x9E37_79B9) >> 8);
            entries.insert(identity(key.into()), 1, history);
        }
        for key in 400..8000 {
            let victim = next_victim(&mut policy, &mut entries, Scope::AllKeys);
            entries.remove(victim.expect("it is full"));
            let history = policy.inserted(identity(key), 1);
            entries.insert(identity(key), 1, history);
        }
        let left = (0..400)
            .filter(|&key| entries.find(identity(key)).is_some())
            .count();
        assert!(left < 60, "{} {left}", name.as_str());
    }
}

#[test]
fn an_entry_that_is_deleted_and_set_again_is_new() {
    for name in [PolicyName::Fifo, PolicyName::Sieve] {
        let (mut policy, mut entries) = (Evictor::new(name, 1), Table::new());
        policy.set_capacity(100);
        let insert = |policy: &mut Evictor, entries: &mut Table, key| {
            let history = policy.inserted(identity(key), 1);
            entries.insert(identity(key), 1, history);
        };
        for key in 0..10 {
            insert(&mut policy, &mut entries, key);
        }
        entries.remove(identity(0));
        insert(&mut policy, &mut entries, 0);
        let order: Vec<_> = (0..10)
            .map(|_| {
                let victim = next_victim(&mut policy, &mut entries, Scope::AllKeys);
                let victim = victim.expect("ten are there");
                entries.remove(victim);
                victim
            })
            .collect();
        let expected: Vec<_> = (1..10).chain([0]).map(identity).collect();
        assert_eq!(order, expected, "{}", name.as_str());
    }
}

#[test]
fn uses_soon_after_an_entry_came_do_not_keep_it() {
    let (mut policy, mut entries) = (Evictor::new(PolicyName::Adaptive, 1), Table::new());
    policy.set_capacity(1000);
    let insert = |policy: &mut Evictor, entries: &mut Table, key| {
        while entries.len() >= 1000 {
            let victim = next_victim(policy, entries, Scope::AllKeys);
            entries.remove(victim.expect("it is full"));
        }
        let history = policy.inserted(identity(key), 1);
        entries.insert(identity(key), 1, history);
    };
    let used = |policy: &mut Evictor, entries: &mut Table, key| {
        let entry = entries.find(identity(key)).expect("it has just come");
        let history = policy.used(entry.history, Use::Read);
        entries.set_history(identity(key), history);
    };
    for key in 0..2000 {
        insert(&mut policy, &mut entries, key);
    }
    // The small queue has a hundred.
    insert(&mut policy, &mut entries, 5000);
    used(&mut policy, &mut entries, 5000);
    insert(&mut policy, &mut entries, 5001);
    for key in 6000..6070 {
        insert(&mut policy, &mut entries, key);
    }
    used(&mut policy, &mut entries, 5001);
    for key in 7000..7200 {
        insert(&mut policy, &mut entries, key);
    }
    assert!(entries.find(identity(5000)).is_none());
    assert!(entries.find(identity(5001)).is_some());
}
