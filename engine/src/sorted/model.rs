//! A large sorted set, and a run, against naive models of them, maps by name: any bytes are steps, so that property tests shrink them
//! and fuzzers mutate them.
//!
//! ```text
//!  [ bounds, hashes ] [ step | operands ] [ step | operands ] ...      what is missing at the end reads as zero
//! ```

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use super::order::{Bound, Side};
use super::run::{self, Body, Entry, NAME_MAX_BYTES, Run, Written};
use super::{BOUNDS, Bounds, SortedSet, compare_members, less_than, tag_of};
use crate::Direction;
use crate::KeyHasher;
use crate::StoreError;
use crate::key::Alike;
use crate::model::Steps;
use crate::nodes::{Heap, Long, NodeKind, Owner};
use crate::raw::Block;

/// Steps played of any input.
const STEPS_MAX: usize = 300;
/// Steps between looks at everything.
const CHECK_INTERVAL: usize = 8;
/// Members at which steps that add many stop.
const MANY: usize = 5000;
/// The same where hashes are alike, and each is found by looking at all.
const MANY_ALIKE: usize = 300;

/// Nodes so small that the tree is soon high, and the index of many nodes.
pub(super) static SMALL: Bounds = Bounds {
    leaf_bytes: 256,
    leaf_members: 12,
    children: 6,
    inline_bytes: 32,
    unindexed_leaves: 4,
    words: 12,
};
static TINY: Bounds = Bounds {
    leaf_bytes: 160,
    leaf_members: 4,
    children: 4,
    inline_bytes: 12,
    unindexed_leaves: 1,
    words: 3,
};

/// A score of few or many there are.
pub(crate) fn score(steps: &mut Steps<'_>) -> f64 {
    let (manner, number) = (steps.operand(), steps.below(1 << 16));
    let small = number as f64;
    match manner % 16 {
        0 | 1 => 0.0,
        2..=5 => (number % 8) as f64,
        6 | 7 => small,
        8 => -small,
        9 => small * 1e9,
        10 => small / 8.0 - 100.0,
        11 => small / 10.0,
        12 => f64::from_bits((number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2),
        13 => -f64::from_bits((number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2),
        14 if number % 4 == 0 => f64::INFINITY,
        14 if number % 4 == 1 => f64::NEG_INFINITY,
        14 => -0.0,
        _ => 1.7e12 + small,
    }
}

/// A name, most of them short.
pub(crate) fn name(steps: &mut Steps<'_>, longest: usize) -> Vec<u8> {
    let (manner, number) = (steps.operand(), steps.below(2000));
    let mut name = number.to_string().into_bytes();
    let len = match manner {
        0..=149 => name.len(),
        150..=199 => 16,
        200..=219 => 0,
        220..=239 => manner - 200,
        240..=251 => 4 * (manner - 200),
        252 | 253 => 3000,
        254 => 32_700 + number % 100,
        _ => 70_000,
    };
    let len = len.min(longest);
    // Those of one manner begin alike.
    let common = len.saturating_sub(name.len());
    let mut whole = vec![b'm'; common];
    name.truncate(len);
    whole.append(&mut name);
    whole
}

/// The members of a map, in order.
pub(crate) fn in_order(map: &BTreeMap<Vec<u8>, f64>) -> Vec<(&[u8], f64)> {
    let mut members: Vec<(&[u8], f64)> =
        map.iter().map(|(name, &score)| (&**name, score)).collect();
    members.sort_by(|a, b| compare_members((a.1, a.0), (b.1, b.0)));
    members
}

/// Whether two lists of members are the same, negative zeros told from others.
pub(crate) fn assert_same(are: &[(&[u8], f64)], expected: &[(&[u8], f64)]) {
    assert_eq!(are.len(), expected.len());
    for (is, expected) in are.iter().zip(expected) {
        assert_eq!(
            (is.0, is.1.to_bits()),
            (expected.0, expected.1.to_bits()),
            "{is:?} {expected:?}"
        );
    }
}

struct Play<'a> {
    steps: Steps<'a>,
    heap: Heap,
    set: SortedSet,
    hasher: KeyHasher,
    many: usize,
    model: BTreeMap<Vec<u8>, f64>,
}

/// Plays the steps.
///
/// # Panics
/// The sorted set does something else than the model, or an invariant of it is broken.
pub fn play(bytes: &[u8]) {
    let mut steps = Steps::new(bytes);
    let bounds = match steps.operand() % 4 {
        0 => &BOUNDS,
        1 => &TINY,
        _ => &SMALL,
    };
    let alike = match steps.operand() {
        0..200 => Alike::Nothing,
        other => Alike::EACH[other % 4],
    };
    let mut play = Play {
        steps,
        heap: Heap::new(1 << 30).expect("address space"),
        set: SortedSet::with_bounds(Owner(9), bounds),
        hasher: KeyHasher::with_alike(alike),
        many: match alike {
            Alike::Nothing => MANY,
            _ => MANY_ALIKE,
        },
        model: BTreeMap::new(),
    };
    let mut step = 0;
    while step < STEPS_MAX && play.step() {
        step += 1;
        if step % CHECK_INTERVAL == 0 {
            play.compare();
        }
    }
    play.compare();
    play.end();
}

impl Play<'_> {
    /// Takes a step; whether there was one.
    fn step(&mut self) -> bool {
        let Some(step) = self.steps.next() else {
            return false;
        };
        match step % 16 {
            0 | 1 => {
                let (name, score) = (name(&mut self.steps, usize::MAX), score(&mut self.steps));
                self.put(&name, score);
            }
            2..=4 => self.put_many(),
            5 | 6 => self.remove_one(),
            7 => self.remove_many(),
            8 => self.remove_range(),
            9 => self.nudge(),
            10 => self.read(),
            11 => self.walk(),
            12 => self.scan(),
            13 if step > 128 => self.run_out(),
            _ => self.move_block(),
        }
        true
    }

    fn put(&mut self, name: &[u8], score: f64) {
        assert_eq!(self.attempt(name, score), Ok(()));
        self.model.insert(name.to_vec(), score);
    }

    fn attempt(&mut self, name: &[u8], score: f64) -> Result<(), StoreError> {
        let Self {
            set, heap, hasher, ..
        } = self;
        let hash_of = |name: &[u8]| hasher.hash(name);
        let hash = hash_of(name);
        let was = set.score(heap, hash, name);
        let expected = self.model.get(name);
        assert_eq!(was.map(f64::to_bits), expected.map(|score| score.to_bits()));
        match was {
            None => set.add(heap, &hash_of, hash, (name, score)),
            Some(was) => set.change_score(heap, &hash_of, hash, name, (was, score)),
        }
    }

    fn put_many(&mut self) {
        let (times, manner) = (self.steps.operand() * 2, self.steps.operand());
        let (base, first) = (score(&mut self.steps), self.steps.below(3000));
        let base = if base.is_finite() { base } else { 0.0 };
        for number in 0..times {
            if self.model.len() > self.many {
                break;
            }
            let name = format!("{:0width$}", first + number, width = 1 + manner % 20);
            let score = match manner {
                0..=79 => base + number as f64,
                80..=119 => base - number as f64,
                120..=159 => base,
                _ => ((first + number) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / 1e3,
            };
            self.put(name.as_bytes(), score);
        }
    }

    fn remove(&mut self, name: &[u8]) {
        let Self {
            set, heap, hasher, ..
        } = self;
        let hash_of = |name: &[u8]| hasher.hash(name);
        let hash = hash_of(name);
        let was = self.model.remove(name).expect("it is there");
        let score = set.score(heap, hash, name);
        assert_eq!(score.map(f64::to_bits), Some(was.to_bits()));
        set.remove(heap, &hash_of, hash, (name, was));
        assert_eq!(set.score(heap, hash, name), None);
    }

    /// Some name that is there.
    fn some_name(&mut self) -> Option<Vec<u8>> {
        let at = self.steps.below(self.model.len());
        self.model.keys().nth(at).cloned()
    }

    fn remove_one(&mut self) {
        if let Some(name) = self.some_name() {
            self.remove(&name);
        }
    }

    fn remove_many(&mut self) {
        let (first, step) = (self.steps.below(7), self.steps.below(6) + 1);
        let times = self.steps.operand() * 2;
        let names = self.model.keys().skip(first).step_by(step).take(times);
        let names: Vec<Vec<u8>> = names.cloned().collect();
        names.iter().for_each(|name| self.remove(name));
    }

    fn remove_range(&mut self) {
        let start = self.steps.below(self.model.len() + 1);
        let count = match self.steps.operand() {
            0..=150 => self.steps.below(40),
            _ => self.steps.below(self.model.len() + 1),
        };
        let end = (start + count).min(self.model.len());
        let members = in_order(&self.model);
        let gone = members[start..end].iter();
        let gone: HashSet<Vec<u8>> = gone.map(|member| member.0.to_vec()).collect();
        self.model.retain(|name, _| !gone.contains(name));
        let hasher = &self.hasher;
        let hash_of = |name: &[u8]| hasher.hash(name);
        let (start, mut end, len) = (start as u64, end as u64, self.set.len());
        while start < end {
            let end_of = [(0, Direction::Up), (len - 1, Direction::Down)];
            let first = end_of.iter().find(|(rank, _)| *rank == start);
            if let (1, Some(&(_, direction))) = (end - start, first) {
                let (name, _) = self.set.first(&self.heap, direction);
                let hash = hash_of(name);
                self.set
                    .remove_first(&mut self.heap, &hash_of, hash, direction);
                return;
            }
            let together = self.set.together(&self.heap, start..end);
            let range = start..start + together;
            self.set.remove_together(&mut self.heap, &hash_of, range);
            end -= together;
        }
    }

    /// Gives some members scores near their own.
    fn nudge(&mut self) {
        let (times, by) = (self.steps.operand(), self.steps.below(5) as f64 - 2.0);
        for _ in 0..times {
            let Some(name) = self.some_name() else { return };
            let score = self.model[&name] + by;
            if !score.is_nan() {
                self.put(&name, score);
            }
        }
    }

    fn bound(&mut self) -> (Bound<'static>, f64) {
        let score = match self.some_name() {
            Some(name) if self.steps.operand() < 128 => self.model[&name],
            _ => score(&mut self.steps),
        };
        let side = match self.steps.operand() % 2 {
            0 => Side::Before,
            _ => Side::After,
        };
        let bound = match self.steps.operand() % 8 {
            0 => Bound::Start,
            1 => Bound::End,
            2 | 3 => Bound::Rank(self.steps.below(self.model.len() + 3) as u64),
            _ => Bound::Score { score, side },
        };
        (bound, score)
    }

    /// Members of the model before a bound.
    fn rank_in_model(&self, bound: &Bound<'_>) -> usize {
        let members = in_order(&self.model);
        match *bound {
            Bound::Rank(rank) => members.len().min(rank as usize),
            Bound::Start => 0,
            Bound::End => members.len(),
            Bound::Score {
                score,
                side: Side::Before,
            } => members.iter().filter(|member| member.1 < score).count(),
            Bound::Score {
                score,
                side: Side::After,
            } => members.iter().filter(|member| member.1 <= score).count(),
            Bound::Name { .. } => unreachable!("scores differ"),
        }
    }

    fn read(&mut self) {
        let (bound, _) = self.bound();
        let expected = self.rank_in_model(&bound) as u64;
        assert_eq!(self.set.rank_of_bound(&self.heap, &bound), expected);
        let Some(name) = self.some_name() else { return };
        let members = in_order(&self.model);
        let rank = members.iter().position(|member| member.0 == name);
        let rank = rank.expect("it is there");
        let hash = self.hasher.hash(&name);
        let found = self.set.rank(&self.heap, hash, &name);
        assert_eq!(found, Some((rank as u64, members[rank].1)));
        assert_same(
            &[self.set.at_rank(&self.heap, rank as u64)],
            &members[rank..=rank],
        );
    }

    fn walk(&mut self) {
        let (bound, _) = self.bound();
        let most = self.steps.below(300) + 1;
        let rank = self.rank_in_model(&bound);
        let mut expected = in_order(&self.model);
        let direction = match self.steps.operand() % 2 {
            0 => {
                expected.drain(..rank);
                Direction::Up
            }
            _ => {
                expected.truncate(rank);
                expected.reverse();
                Direction::Down
            }
        };
        expected.truncate(most);
        let mut seen = Vec::new();
        self.set
            .walk(&self.heap, &bound, direction, &mut |name, score| {
                seen.push((name, score));
                match seen.len() < most {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
        assert_same(&seen, &expected);
    }

    /// What is there from the beginning to the end of a scan is seen, whatever scores it gets and whatever comes and goes beside it.
    fn scan(&mut self) {
        let count = self.steps.below(40) + 1;
        let mut staying: HashSet<Vec<u8>> = self.model.keys().cloned().collect();
        let mut seen = HashSet::new();
        let mut next = Some(0);
        while let Some(cursor) = next {
            let hasher = self.hasher.clone();
            let hash_of = |name: &[u8]| hasher.hash(name);
            let show = &mut |name: &[u8], _: f64| {
                seen.insert(name.to_vec());
            };
            next = self.set.scan(&self.heap, &hash_of, cursor, count, show);
            match self.steps.operand() {
                0 => {}
                change @ 1..=99 => {
                    let gone: Vec<Vec<u8>> =
                        self.model.keys().skip(change).step_by(5).cloned().collect();
                    for name in gone {
                        self.remove(&name);
                        staying.remove(&name);
                    }
                }
                100..=199 => self.put_many(),
                _ => self.nudge(),
            }
        }
        assert!(staying.is_subset(&seen));
    }

    /// A change for which there is no memory leaves all as it was.
    fn run_out(&mut self) {
        let blocks = self.steps.operand() as u32 % 6;
        let (name, score) = (name(&mut self.steps, usize::MAX), score(&mut self.steps));
        self.heap.arena.run_out_after(Some(blocks));
        let done = self.attempt(&name, score);
        self.heap.arena.run_out_after(None);
        match done {
            Ok(()) => {
                self.model.insert(name, score);
            }
            Err(error) => assert_eq!(error, StoreError::OutOfMemory),
        }
        self.compare();
    }

    /// Moves some block, as compaction does.
    fn move_block(&mut self) {
        let draw = self.steps.below(1 << 16) as u32;
        let nodes = self.set.table.len();
        if nodes == 0 {
            return;
        }
        let mut block = self.set.table.get(&self.heap.arena, draw % nodes);
        match draw % 5 {
            0 => block = self.set.table.page_of(draw % nodes),
            1 | 2 if let Some(index) = &self.set.index => {
                let ordinal = draw % index.table.len();
                block = match draw % 5 {
                    1 => index.table.get(&self.heap.arena, ordinal),
                    _ => index.table.page_of(ordinal),
                };
            }
            3 => {
                let name = self.model.keys().find(|name| name.len() > 250);
                let Some(name) = name else { return };
                let hash = self.hasher.hash(name);
                let found = self.set.find(&self.heap, hash, name);
                let (leaf, at) = found.expect("it is there");
                let body = super::leaf::run(&self.heap, leaf).body(at);
                if let Some(Long::Block(long)) = super::long::reference(body) {
                    block = long;
                }
            }
            _ => {}
        }
        if block == super::VACANT {
            return;
        }
        self.move_to_another(block);
    }

    fn move_to_another(&mut self, block: Block) {
        let kind = NodeKind::of(self.heap.arena.tail(block)[0]).expect("a node");
        let moved = self.heap.arena.move_block(block).expect("memory");
        self.set.block_moved(&mut self.heap, kind, block, moved);
    }

    fn compare(&mut self) {
        let hasher = &self.hasher;
        self.set.check(&self.heap, &|name: &[u8]| hasher.hash(name));
        let mut seen = Vec::new();
        self.set.walk(
            &self.heap,
            &Bound::Start,
            Direction::Up,
            &mut |name, score| {
                seen.push((name, score));
                ControlFlow::Continue(())
            },
        );
        assert_same(&seen, &in_order(&self.model));
        let names: usize = self.model.keys().map(Vec::len).sum();
        assert_eq!(self.set.payload_bytes(), names as u64);
    }

    /// All memory comes back.
    fn end(mut self) {
        let mut slices = 0;
        while let Some(freed) = self.set.dismantle(&mut self.heap, 7) {
            assert!(freed > 0);
            slices += 1;
        }
        assert!(slices > 0 || self.model.is_empty());
        assert_eq!(self.set.block_bytes(), 0);
        assert_eq!(self.heap.arena.live_bytes(), 0);
    }
}

/// Plays steps with a run.
///
/// # Panics
/// The run does something else than the model, or is damaged.
pub fn play_run(bytes: &[u8]) {
    let mut steps = Steps::new(bytes);
    let is_tagged = steps.operand().is_multiple_of(2);
    let hasher = KeyHasher::with_seeds([1, 2, 3, 4]);
    let mut run = vec![0xA5; 40];
    run::empty(&mut run, is_tagged);
    let mut model: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
    let mut taken = 0;
    while let Some(step) = steps.next() {
        taken += 1;
        if taken > 500 {
            break;
        }
        match step % 8 {
            0..=3 => {
                let name = name(&mut steps, NAME_MAX_BYTES);
                let score = score(&mut steps);
                if model.len() < 300 {
                    put_in_run(&mut run, &hasher, is_tagged, (&name, score));
                    model.insert(name, score);
                }
            }
            4 => {
                let start = steps.below(model.len() + 1);
                let end = (start + steps.below(4)).min(model.len());
                let members = in_order(&model);
                let gone = members[start..end].iter();
                let gone: Vec<Vec<u8>> = gone.map(|member| member.0.to_vec()).collect();
                run::remove(&mut run, start..end);
                gone.iter().for_each(|name| {
                    model.remove(name);
                });
            }
            5 => {
                let used = Run::new(&run).used_bytes();
                let mut other = vec![0x5A; used + steps.below(30)];
                run::copy(&run, &mut other);
                run = other;
            }
            _ => {
                if let Some(name) = model.keys().nth(steps.below(model.len())).cloned() {
                    let score = model[&name] + steps.below(9) as f64 - 4.0;
                    if !score.is_nan() {
                        put_in_run(&mut run, &hasher, is_tagged, (&name, score));
                        model.insert(name, score);
                    }
                }
            }
        }
        compare_run(&run, &hasher, is_tagged, &model);
    }
}

fn put_in_run(run: &mut Vec<u8>, hasher: &KeyHasher, is_tagged: bool, (name, score): (&[u8], f64)) {
    let hash = hasher.hash(name);
    let entry = Entry {
        score,
        tag: if is_tagged { tag_of(hash) } else { 0 },
        body: Body::inline(name),
    };
    let reader = Run::new(run);
    let found = reader.find(entry.tag, |body| body.bytes() == name);
    let to = less_than(&reader, (score, name));
    let put = |run: &mut [u8]| match found {
        None => run::insert(run, to, &entry),
        Some(from) => run::shift(run, from, if to > from { to - 1 } else { to }, score),
    };
    if let Written::Needs(bytes) = put(run) {
        assert!(bytes > run.len());
        let mut longer = vec![0xCC; bytes];
        run::copy(run, &mut longer);
        assert_eq!(put(&mut longer), Written::Done);
        *run = longer;
    }
}

fn compare_run(run: &[u8], hasher: &KeyHasher, is_tagged: bool, model: &BTreeMap<Vec<u8>, f64>) {
    let reader = Run::new(run);
    reader.check();
    let expected = in_order(model);
    let seen: Vec<(&[u8], f64)> = reader
        .entries(0..reader.len())
        .map(|entry| (entry.body.bytes(), entry.score))
        .collect();
    assert_same(&seen, &expected);
    let back: Vec<(&[u8], f64)> = reader
        .entries(0..reader.len())
        .rev()
        .map(|entry| (entry.body.bytes(), entry.score))
        .collect();
    assert!(back.iter().rev().eq(seen.iter()));
    for (at, member) in expected.iter().enumerate().step_by(7) {
        let tag = if is_tagged {
            tag_of(hasher.hash(member.0))
        } else {
            0
        };
        assert_eq!(reader.find(tag, |body| body.bytes() == member.0), Some(at));
        assert_eq!(reader.entry(at).body.bytes(), member.0);
        assert_eq!(less_than(&reader, (member.1, member.0)), at);
    }
}
