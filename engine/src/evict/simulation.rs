//! Policies run over a trace of requests, each on a plain map in place of a shard: test support.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::curve::What;
use super::mini::{Mini, Value};
use super::rng::mix;
use super::table::Table;
use super::{
    Choice, Curve, CurveOptions, Entries, Evictor, Identity, PERCENTS, Policy, PolicyName, Scope,
    Use,
};
use crate::{AccessClock, UnixMillis};

/// A key that is read, and written if it is not there.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The key's number.
    pub key: u64,
    /// What it takes.
    pub bytes: u64,
}

/// How a policy did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// All requests.
    pub requests: u64,
    /// Those whose key was not there.
    pub misses: u64,
    /// Their bytes.
    pub missed_bytes: u64,
    /// What the policy held in the end.
    pub held_bytes: u64,
    /// Entries in the end.
    pub entries: u64,
}

impl Outcome {
    pub(super) fn count(&mut self, request: &Request, hit: bool) {
        self.requests += 1;
        self.misses += u64::from(!hit);
        self.missed_bytes += if hit { 0 } else { request.bytes };
    }

    /// Misses of all requests.
    pub fn miss_ratio(&self) -> f64 {
        self.misses as f64 / self.requests as f64
    }
}

/// The identity of a key of a trace.
pub fn identity(key: u64) -> Identity {
    Identity(mix(key ^ 0x1A2D_E200_0000_0000) as u32)
}

/// Runs a policy over a trace, a request a second.
pub fn run(name: PolicyName, seed: u64, capacity: u64, trace: &[Request]) -> Outcome {
    run_with(Evictor::new(name, seed), capacity, trace)
}

fn run_with<P: Policy>(policy: P, capacity: u64, trace: &[Request]) -> Outcome {
    let mut cache = Mini::new(policy);
    cache.set_capacity(capacity);
    let mut outcome = Outcome::default();
    for (second, request) in trace.iter().enumerate() {
        cache.set_now(UnixMillis(1000 * second as i64));
        let hit = cache.request(identity(request.key), request.bytes, Use::Read);
        outcome.count(request, hit);
    }
    outcome.held_bytes = cache.policy().held_bytes();
    outcome.entries = cache.len();
    outcome
}

/// Least recently used, exactly: what others are measured by.
pub fn run_exact_lru(capacity: u64, trace: &[Request]) -> Outcome {
    let mut last_uses: HashMap<u64, (usize, u64)> = HashMap::new();
    let mut order = BTreeSet::new();
    let (mut used, mut outcome) = (0, Outcome::default());
    for (at, request) in trace.iter().enumerate() {
        let before = last_uses.remove(&request.key);
        outcome.count(request, before.is_some());
        if let Some((at, bytes)) = before {
            order.remove(&(at, request.key));
            used -= bytes;
        }
        if request.bytes > capacity {
            continue;
        }
        while used + request.bytes > capacity {
            let (_, key) = order.pop_first().expect("what is used is somebody's");
            used -= last_uses.remove(&key).map_or(0, |(_, bytes)| bytes);
        }
        used += request.bytes;
        last_uses.insert(request.key, (at, request.bytes));
        order.insert((at, request.key));
    }
    outcome
}

/// First in, first out, with another round for what was used (CLOCK), exactly.
pub fn run_exact_clock(capacity: u64, trace: &[Request]) -> Outcome {
    let mut entries: HashMap<u64, (bool, u64)> = HashMap::new();
    let mut order = VecDeque::new();
    let (mut used, mut outcome) = (0, Outcome::default());
    for request in trace {
        let found = entries.get_mut(&request.key);
        outcome.count(request, found.is_some());
        if let Some(entry) = found {
            entry.0 = true;
            continue;
        }
        while used + request.bytes > capacity {
            let Some(key) = order.pop_front() else { break };
            let entry = entries
                .get_mut(&key)
                .expect("what is in the order is there");
            if std::mem::take(&mut entry.0) {
                order.push_back(key);
                continue;
            }
            used -= entry.1;
            entries.remove(&key);
        }
        if request.bytes <= capacity {
            used += request.bytes;
            entries.insert(request.key, (false, request.bytes));
            order.push_back(request.key);
        }
    }
    outcome
}

/// What a curve predicts, of a trace run with this capacity.
pub fn run_curve(options: &CurveOptions, seed: u64, capacity: u64, trace: &[Request]) -> Curve {
    /// Requests after which the curve is told how many entries there are.
    const FIT_EVERY: usize = 64;
    let mut curve = Curve::new(options, seed);
    let capacities = PERCENTS.map(|percent| (capacity * percent + 50) / 100);
    let policy = options.policy.unwrap_or(PolicyName::Lru);
    let mut cache = Mini::new(Evictor::new(policy, seed));
    cache.set_capacity(capacity);
    for (second, request) in trace.iter().enumerate() {
        let now = UnixMillis(1000 * second as i64);
        let identity = identity(request.key);
        cache.set_now(now);
        curve.set_now(now);
        let hit = cache.request(identity, request.bytes, Use::Read);
        curve.count(1, hit.into());
        if second % FIT_EVERY == 0 {
            let bytes = cache.entries().bytes().max(1);
            let entries = cache.len() as f64 * capacity as f64 / bytes as f64;
            curve.fit(entries, capacities);
        }
        if !curve.samples(identity) {
            continue;
        }
        let value = Value::of(request.bytes);
        match hit {
            true => curve.told(What::Read, identity, value),
            false => {
                curve.told(What::Missed, identity, value);
                curve.told(What::Comes, identity, value);
            }
        }
    }
    curve.settle();
    curve
}

/// A cache that is full, of which uses and choices are measured one by one.
pub struct Full {
    policy: Evictor,
    entries: Table,
    next: u64,
}

impl Full {
    /// A cache with so many entries of a byte, and as many more asked for since.
    pub fn new(name: PolicyName, entries: u64) -> Self {
        let mut full = Self {
            policy: Evictor::new(name, 1),
            entries: Table::new(),
            next: 0,
        };
        full.policy.set_capacity(entries);
        for _ in 0..entries {
            full.insert();
        }
        for _ in 0..entries {
            full.evict();
            full.insert();
        }
        full
    }

    /// A history that its entries have.
    pub fn any_history(&self) -> AccessClock {
        let mut any = AccessClock(0);
        self.entries
            .sample(1, Scope::AllKeys, self.next, |entry| any = entry.history);
        any
    }

    /// What a use makes of a history.
    #[inline(never)]
    pub fn used(&mut self, history: AccessClock) -> AccessClock {
        self.policy.used(history, Use::Read)
    }

    /// Adds an entry.
    pub fn insert(&mut self) {
        self.next += 1;
        let identity = identity(self.next);
        let history = self.policy.inserted(identity, 1);
        self.entries.insert(identity, 1, history);
    }

    /// Chooses a victim and removes it.
    pub fn evict(&mut self) {
        loop {
            match self.policy.victim(&mut self.entries, Scope::AllKeys) {
                Choice::Victim(identity) => {
                    self.entries.remove(identity);
                    return;
                }
                Choice::Later => {}
                Choice::Nothing => return,
            }
        }
    }

    /// Bytes that the policy holds for each entry.
    pub fn held_bytes_an_entry(&self) -> f64 {
        self.policy.held_bytes() as f64 / self.entries.len().max(1) as f64
    }
}
