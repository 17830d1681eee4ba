//! Expiry under simulated time: the dead stay few, none is forgotten, no live entry goes, and steps are bounded.

use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::tests::{alike, cases, shard_with};
use super::*;
use crate::StringForm;
use crate::journal::Event;
use crate::limits::{LOOK_MAX_COST, STAYS_MS};

const DB: DbIndex = DbIndex(0);
/// What a step may cost besides what deadlines pay.
const BUDGET: u32 = 4096;
/// Removals that a step's budget and a look behind it allow.
const STEP_MAX_REMOVED: u32 = BUDGET / 8 + LOOK_MAX_COST / 8;
/// Most entries that a turn writes where any mix is tried.
const TURN_MAX_WRITTEN: u64 = 200;
/// Dead entries that do not count, since a small keyspace has few others: what one turn wrote dies at one moment, and a step may
/// yet have to come by.
const FEW: u64 = 64 + TURN_MAX_WRITTEN;

/// A shard whose entries' deadlines are known.
struct Simulation {
    shard: Shard,
    now: i64,
    random: u64,
    /// The deadline of every entry written and not known to be dead, by number of its key.
    deadlines: HashMap<u64, Option<i64>>,
    order: BinaryHeap<Reverse<(i64, u64)>>,
    next_key: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let shard = Shard::new(&ShardOptions {
            databases: 3,
            memory_ceiling_bytes: 1 << 30,
            hasher: KeyHasher::with_seeds([1, 2, 3, seed]),
        });
        let mut simulation = Self {
            shard: shard.expect("address space"),
            now: 1_700_000_000_000,
            random: seed,
            deadlines: HashMap::new(),
            order: BinaryHeap::new(),
            next_key: 0,
        };
        simulation.wait(0);
        simulation
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1);
        (self.random >> 33) % below.max(1)
    }

    fn wait(&mut self, ms: i64) {
        self.now += ms;
        self.shard.set_now(UnixMillis(self.now));
    }

    /// Writes key number `key`.
    fn set(&mut self, key: u64, ttl_ms: Option<i64>) {
        let at = ttl_ms.map(|ms| self.now + ms);
        let ttl = at.map_or(TtlChange::Clear, |at| TtlChange::At(UnixMillis(at)));
        let name = key.to_le_bytes();
        let hashed = self.shard.hasher().key(&name);
        let hashed = Key::new(&name, hashed.hash());
        self.shard
            .set(DB, hashed, b"value", StringForm::Detect, ttl, Event::Set)
            .expect("memory");
        self.keep(key, at);
    }

    /// Sets the deadline of a key.
    fn expire(&mut self, key: u64, ttl_ms: Option<i64>) {
        let at = ttl_ms.map(|ms| self.now + ms);
        let name = key.to_le_bytes();
        let hash = self.shard.hasher().key(&name).hash();
        let deadline = at.map(UnixMillis);
        let is_there = self
            .shard
            .set_deadline(DB, Key::new(&name, hash), deadline, Event::Expire)
            .expect("memory");
        let is_live = self
            .deadlines
            .get(&key)
            .is_some_and(|at| at.is_none_or(|at| at > self.now));
        assert_eq!(is_there, is_live);
        if is_there {
            self.keep(key, at);
        }
    }

    fn keep(&mut self, key: u64, at: Option<i64>) {
        self.deadlines.insert(key, at);
        if let Some(at) = at {
            self.order.push(Reverse((at, key)));
        }
    }

    fn set_new(&mut self, ttl_ms: Option<i64>) -> u64 {
        self.next_key += 1;
        self.set(self.next_key, ttl_ms);
        self.step_if_paid();
        self.next_key
    }

    /// Entries that are there and past their deadline.
    fn dead(&mut self) -> u64 {
        while let Some(&Reverse((at, key))) = self.order.peek()
            && at <= self.now
        {
            self.order.pop();
            if self.deadlines.get(&key) == Some(&Some(at)) {
                self.deadlines.remove(&key);
            }
        }
        let live = self.deadlines.len() as u64;
        let len = self.shard.len(DB);
        assert!(len >= live, "a live entry was removed");
        len - live
    }

    /// One step of the hand, behind which the dead must be few.
    fn step(&mut self) -> ExpireStats {
        let stats = self.shard.expire_cycle(BUDGET);
        assert!(stats.expired <= STEP_MAX_REMOVED, "{stats:?}");
        let (dead, len) = (self.dead(), self.shard.len(DB));
        assert!(dead <= len / 10 + FEW, "{dead} dead of {len}");
        stats
    }

    /// The end of a turn, and those that follow at once if something is left to do: four take well under a millisecond.
    fn end_turn(&mut self) {
        let most = BUDGET / 8 * 4;
        let mut removed = 0;
        loop {
            let stats = self.shard.expire_cycle(BUDGET);
            removed += stats.expired;
            if !stats.is_cut_short || removed >= most {
                break;
            }
        }
        self.step();
    }

    /// A step in the midst of a turn, as soon as its deadlines have paid for it.
    fn step_if_paid(&mut self) {
        if !self.shard.expiry_is_paid() {
            return;
        }
        if self.shard.expiry_due_at().0 > self.now {
            self.shard.forgo_expiry();
            return;
        }
        let stats = self.shard.expire_cycle(0);
        assert!(stats.expired <= STEP_MAX_REMOVED, "{stats:?}");
    }

    /// Waits without writing until what had to stay is looked at again: no entry is left that was dead before.
    fn rest(&mut self) {
        self.dead();
        let were_live = self.deadlines.len() as u64;
        self.wait(1 + STAYS_MS);
        let mut steps = 0;
        while self.shard.expiry_due_at().0 <= self.now {
            self.shard.expire_cycle(BUDGET);
            steps += 1;
            assert!(steps < 10_000, "the hand comes to an end");
        }
        assert!(self.entries() <= were_live, "a dead entry was forgotten");
        self.dead();
        self.shard.check();
        let keys: Vec<u64> = self.deadlines.keys().copied().collect();
        for key in keys {
            let name = key.to_le_bytes();
            let hash = self.shard.hasher().key(&name).hash();
            assert!(
                self.shard
                    .get(DB, Key::new(&name, hash), Access::Peek)
                    .is_some()
            );
        }
    }

    fn entries(&self) -> u64 {
        self.shard.len(DB)
    }
}

/// How long entries live.
#[derive(Clone, Copy, Debug)]
enum Lives {
    /// All the same.
    Equal(i64),
    /// Equally often any time from one to the other.
    Between(i64, i64),
    /// Equally often any order of magnitude, from 10 ms to an hour.
    AnyMagnitude,
    /// Mostly short, some very long.
    Mostly(i64),
    /// One of a hundred has a deadline.
    Sparse(i64),
}

impl Lives {
    fn ttl(self, simulation: &mut Simulation) -> Option<i64> {
        match self {
            Self::Equal(ms) => Some(ms),
            Self::Between(from, to) => Some(from + simulation.random((to - from) as u64) as i64),
            Self::AnyMagnitude => {
                let magnitude = 10i64 << simulation.random(18);
                Some(magnitude + simulation.random(magnitude as u64) as i64)
            }
            Self::Mostly(ms) => match simulation.random(10) {
                0 => Some(86_400_000),
                _ => Some(ms),
            },
            Self::Sparse(ms) => (simulation.random(100) == 0).then_some(ms),
        }
    }
}

fn lives() -> impl Strategy<Value = Lives> {
    prop_oneof![
        (1..5000i64).prop_map(Lives::Equal),
        (1..100i64, 200..5000i64).prop_map(|(from, to)| Lives::Between(from, to)),
        Just(Lives::AnyMagnitude),
        (1..500i64).prop_map(Lives::Mostly),
        (1..500i64).prop_map(Lives::Sparse),
    ]
}

proptest! {
    #![proptest_config(cases(16, 1))]

    #[test]
    fn the_dead_are_at_most_a_tenth_at_any_rate_and_any_mix(
        seed in any::<u64>(),
        phases in prop::collection::vec((lives(), 1..TURN_MAX_WRITTEN, 1..8i64), 1..4),
    ) {
        let mut simulation = Simulation::new(seed);
        for (lives, per_turn, turn_ms) in phases {
            for _ in 0..(if cfg!(miri) { 200 } else { 8000 } / per_turn) {
                simulation.wait(turn_ms);
                for _ in 0..per_turn {
                    let ttl = lives.ttl(&mut simulation);
                    simulation.set_new(ttl);
                }
                simulation.end_turn();
            }
            simulation.shard.check();
        }
        simulation.rest();
    }

    #[test]
    fn deadlines_that_change_are_kept_up_with(
        seed in any::<u64>(),
        keys in 1..3000u64,
        lives in lives(),
    ) {
        let mut simulation = Simulation::new(seed);
        for _ in 0..if cfg!(miri) { 3 } else { 300 } {
            let pause = simulation.random(20) as i64;
            simulation.wait(pause);
            for _ in 0..50 {
                let key = simulation.random(keys);
                let ttl = lives.ttl(&mut simulation);
                match simulation.random(4) {
                    0 => simulation.set(key, ttl),
                    1 => simulation.expire(key, None),
                    _ => simulation.expire(key, ttl),
                }
            }
            simulation.step();
        }
        simulation.shard.check();
        simulation.rest();
    }
}

#[test]
fn a_rate_of_writes_beyond_what_a_step_may_do_alone_leaves_few_dead() {
    // Live are 150,000: of 1.5 million a second in turns of 2 ms, where a step alone may remove a sixth of what comes, and
    // of five million a second.
    for (per_turn, turn_ms, ttl_ms, turns) in [(3000, 2, 100, 200), (10_000, 2, 30, 80)] {
        let mut simulation = Simulation::new(7);
        let mut most = 0;
        for turn in 0..turns {
            simulation.wait(turn_ms);
            for _ in 0..per_turn {
                simulation.set_new(Some(ttl_ms));
            }
            simulation.step();
            if turn * turn_ms > ttl_ms {
                most = most.max(simulation.entries());
            }
        }
        assert!((150_000..166_000).contains(&most), "{most}");
        simulation.wait(ttl_ms);
        simulation.rest();
        assert_eq!(simulation.entries(), 0);
    }
}

#[test]
fn what_dies_together_goes_in_bounded_steps_for_a_bounded_cost() {
    let mut simulation = Simulation::new(7);
    let count = 200_000;
    for _ in 0..count {
        simulation.set_new(Some(30_000));
    }
    let mut examined = u64::from(simulation.step().examined);
    // Meanwhile the hand reads few of those that live.
    for _ in 0..29 {
        simulation.wait(999);
        loop {
            let stats = simulation.step();
            examined += u64::from(stats.examined);
            if !stats.is_cut_short {
                break;
            }
        }
    }
    assert!(examined < count * 3, "{examined}");
    assert_eq!(simulation.dead(), 0);
    simulation.wait(2000);
    let mut steps = 0;
    while simulation.shard.expiry_due_at().0 <= simulation.now {
        let stats = simulation.shard.expire_cycle(BUDGET);
        assert!(stats.expired <= STEP_MAX_REMOVED, "{stats:?}");
        examined += u64::from(stats.examined);
        steps += 1;
    }
    assert!(steps < 1000, "{steps}");
    assert!(examined < count * 6, "{examined}");
    assert_eq!(simulation.entries(), 0);
}

#[test]
fn an_entry_alone_is_removed_soon_after_its_deadline_for_a_few_readings() {
    for ttl_ms in [1, 10, 999, 60_000, 3_600_000, 30 * 86_400_000] {
        let mut simulation = Simulation::new(1);
        simulation.set_new(Some(ttl_ms));
        let died_at = simulation.now + ttl_ms;
        let mut readings = 0;
        while simulation.entries() > 0 {
            let due_at = simulation.shard.expiry_due_at().0;
            simulation.wait((due_at - simulation.now).max(0));
            readings += simulation.shard.expire_cycle(BUDGET).examined;
        }
        let late_ms = simulation.now - died_at;
        assert!((0..100).contains(&late_ms), "{ttl_ms}: {late_ms}");
        assert!(readings < 30, "{ttl_ms}: {readings}");
        assert_eq!(simulation.shard.expiry_due_at().0, i64::MAX);
    }
}

#[test]
fn the_hand_reads_only_what_has_a_deadline() {
    let mut simulation = Simulation::new(3);
    for n in 0..100_000 {
        let ttl = (n % 100 == 0).then_some(1000 + n / 100);
        simulation.set_new(ttl);
    }
    let (mut examined, mut expired) = (0, 0);
    for _ in 0..4000 {
        simulation.wait(1);
        let stats = simulation.step();
        (examined, expired) = (examined + stats.examined, expired + stats.expired);
    }
    assert_eq!(expired, 1000);
    assert!(examined < 6000, "{examined}");
}

#[test]
fn no_database_waits_for_another_that_always_has_something_due() {
    let mut simulation = Simulation::new(5);
    let other = DbIndex(2);
    let key = simulation.shard.hasher().key(b"other").hash();
    let at = UnixMillis(simulation.now + 50);
    let ttl = TtlChange::At(at);
    simulation
        .shard
        .set(
            other,
            Key::new(b"other", key),
            b"",
            StringForm::Detect,
            ttl,
            Event::Set,
        )
        .expect("memory");
    for _ in 0..200_000 {
        simulation.set_new(Some(10));
    }
    simulation.wait(500);
    for _ in 0..4 {
        let stats = simulation.shard.expire_cycle(64);
        assert!(stats.is_cut_short);
    }
    assert!(simulation.shard.is_empty(other));
}

#[test]
fn flushed_and_exchanged_databases_keep_their_deadlines() {
    let mut simulation = Simulation::new(5);
    for _ in 0..2000 {
        simulation.set_new(Some(500));
    }
    simulation.shard.swap(DB, DbIndex(1));
    simulation.deadlines.clear();
    simulation.order.clear();
    simulation.set_new(Some(100));
    simulation.wait(400);
    simulation.step();
    assert_eq!(simulation.entries(), 0);
    assert_eq!(simulation.shard.len(DbIndex(1)), 2000);
    simulation.wait(200);
    simulation.step();
    simulation.step();
    simulation.step();
    simulation.step();
    simulation.step();
    assert!(simulation.shard.is_empty(DbIndex(1)));
    for _ in 0..2000 {
        simulation.set_new(Some(100));
    }
    simulation.shard.flush(DB);
    simulation.deadlines.clear();
    simulation.wait(1000);
    assert_eq!(simulation.step().expired, 0);
    assert_eq!(simulation.shard.expiry_due_at().0, i64::MAX);
    simulation.shard.check();
}

#[test]
fn a_clock_set_back_or_forward_forgets_nothing() {
    let mut simulation = Simulation::new(5);
    for n in 0..2000 {
        simulation.set_new(Some(1 + n));
    }
    simulation.wait(-1_000_000);
    for n in 0..2000 {
        simulation.set_new(Some(1 + n));
    }
    simulation.step();
    simulation.shard.check();
    assert_eq!(simulation.entries(), 4000);
    simulation.wait(500);
    simulation.step();
    simulation.wait(10_000_000_000);
    simulation.rest();
    assert_eq!(simulation.entries(), 0);
}

#[test]
fn how_many_are_due_and_how_long_the_others_have_is_known() {
    let mut simulation = Simulation::new(5);
    assert_eq!(simulation.shard.deadlines(DB), DeadlineStats::default());
    for n in 0..100_000 {
        let ttl = (n % 2 == 0).then_some(10_000 + n);
        simulation.set_new(ttl);
    }
    let known = simulation.shard.deadlines(DB);
    assert_eq!((known.volatile, known.due), (50_000, 0));
    let expected: i64 = (0..50_000).map(|n| 10_000 + 2 * n).sum();
    assert_eq!(known.ttl_sum_ms, expected as u64);
    // Half of them die, and the hand stands still.
    simulation.wait(60_000);
    let due = simulation.shard.deadlines(DB).due;
    assert!((24_000..26_000).contains(&due), "{due}");
    while simulation.shard.expire_cycle(BUDGET).is_cut_short {}
    let due = simulation.shard.deadlines(DB).due;
    assert!(due < 2500, "{due}");
}

#[test]
fn what_has_to_stay_stays_and_holds_up_nothing_else() {
    let mut simulation = Simulation::new(9);
    let keys: Vec<u64> = (0..3000).map(|_| simulation.set_new(Some(500))).collect();
    let hasher = simulation.shard.hasher().clone();
    let hash = |key: &u64| hasher.hash(&key.to_le_bytes());
    let stay: Vec<u64> = keys.iter().step_by(1000).map(hash).collect();
    let pass = |simulation: &mut Simulation| {
        simulation.now += 500 + 2 * STAYS_MS;
        simulation.shard.set_now(UnixMillis(simulation.now));
    };
    for round in 0..10 {
        pass(&mut simulation);
        let mut steps = 0;
        while simulation.shard.expiry_due_at().0 <= simulation.now {
            let stays = |hash| stay.contains(&hash);
            simulation.shard.expire_cycle_except(BUDGET, stays);
            simulation.shard.check();
            steps += 1;
            assert!(steps < 100, "the hand comes to an end");
        }
        assert_eq!(
            simulation.entries(),
            stay.len() as u64,
            "round {round}, {steps} steps"
        );
        // Others come and go meanwhile.
        simulation.set_new(Some(10));
    }
    pass(&mut simulation);
    while simulation.shard.expiry_due_at().0 <= simulation.now {
        simulation.shard.expire_cycle(BUDGET);
    }
    assert_eq!(simulation.entries(), 0);
}

/// What an entry is that ends, or of which something does.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Short,
    Long,
    /// A hash of so many fields, of which each nth ends.
    Fields(u32, u32),
}

fn ending() -> impl Strategy<Value = Ending> {
    let fields = prop_oneof![8 => 1u32..5, 1 => 600u32..800];
    prop_oneof![
        3 => Just(Ending::Short),
        1 => Just(Ending::Long),
        4 => (fields, 1u32..3).prop_map(|(count, nth)| Ending::Fields(count, nth)),
    ]
}

proptest! {
    #![proptest_config(cases(60, 1))]

    /// Strings, and hashes that go with their fields, of nodes that they share, some of which have to stay for a while.
    #[test]
    fn what_ends_is_removed_whatever_shares_its_node(
        alike in alike(),
        entries in prop::collection::vec((ending(), prop::option::weighted(0.8, 0i64..60)), 1..120),
        steps in prop::collection::vec((0i64..30, 0u32..200, any::<u64>()), 0..20),
    ) {
        let mut shard = shard_with(alike);
        let (hasher, mut now) = (shard.hasher().clone(), 1_000_000);
        shard.set_now(UnixMillis(now));
        for (number, &(ending, ms)) in entries.iter().enumerate() {
            let name = number.to_le_bytes();
            let key = hasher.key(&name);
            let ttl = ms.map_or(TtlChange::Clear, |ms| TtlChange::At(UnixMillis(now + 1 + ms)));
            let value: &[u8] = match ending {
                Ending::Short => &[1; 100],
                Ending::Long => &[2; 400],
                Ending::Fields(count, nth) => {
                    let mut hash = shard.hash_mut(DB, key).expect("none yet");
                    for field in 0..count {
                        let ttl = if field % nth == 0 { ttl } else { TtlChange::Clear };
                        hash.set(&field.to_le_bytes(), b"value", ttl).expect("memory");
                    }
                    hash.close(&[]);
                    continue;
                }
            };
            shard.set(DB, key, value, StringForm::Detect, ttl, Event::Set).expect("memory");
        }
        let dead = |shard: &Shard, stays: &dyn Fn(u64) -> bool| {
            let mut dead = 0;
            let (now, keyspace) = (shard.now, shard.keyspace(DB));
            keyspace.for_each(&shard.memory, |entry| {
                let is_due = shard.memory.times_of(entry).is_some_and(|times| times.wakes_at <= now);
                dead += u32::from(is_due && stays(hasher.hash(shard.memory.key_of(entry))));
            });
            dead
        };
        for (ms, budget, random) in steps {
            now += ms;
            shard.set_now(UnixMillis(now));
            let stays = |hash: u64| (hash ^ random).is_multiple_of(8);
            let before = dead(&shard, &stays);
            shard.expire_cycle_except(budget, stays);
            prop_assert_eq!(dead(&shard, &stays), before, "what has to stay does");
            shard.check();
        }
        // What has stayed is looked at again in a while.
        let (until, mut turns) = (now.max(1_000_100) + STAYS_MS, 0);
        while now <= until || shard.expiry_due_at().0 <= now {
            now += 1;
            shard.set_now(UnixMillis(now));
            shard.expire_cycle(40);
            turns += 1;
            prop_assert!(turns < 50_000, "the hand comes to an end");
        }
        shard.check();
        prop_assert_eq!(dead(&shard, &|_| true), 0);
        let is_left = |&(ending, ms): &(Ending, Option<i64>)| match ending {
            Ending::Short | Ending::Long => ms.is_none(),
            Ending::Fields(count, nth) => ms.is_none() || count > 1 && nth > 1,
        };
        prop_assert_eq!(shard.len(DB), entries.iter().filter(|entry| is_left(entry)).count() as u64);
    }
}
