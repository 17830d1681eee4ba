//! What the models cannot say by themselves: the order of names alone, how full nodes are, and that all shrinks again.

use std::ops::ControlFlow;

use proptest::prelude::*;

use super::model::{SMALL, play, play_run};
use super::order::{Bound, Direction, Side};
use super::{BOUNDS, Bounds, SortedSet, leaf};
use crate::KeyHasher;
use crate::nodes::{Heap, Owner};

fn cases(count: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { 2 } else { count };
    }
    config
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_run_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1200)) {
        play_run(&steps);
    }

    #[test]
    fn a_sorted_set_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1200)) {
        play(&steps);
    }
}

struct Made {
    heap: Heap,
    set: SortedSet,
    hasher: KeyHasher,
}

impl Made {
    fn of(bounds: &'static Bounds, members: impl Iterator<Item = (Vec<u8>, f64)>) -> Self {
        let mut made = Self {
            heap: Heap::new(1 << 30).expect("address space"),
            set: SortedSet::with_bounds(Owner(1), bounds),
            hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
        };
        for (name, score) in members {
            let hasher = &made.hasher;
            let hash_of = |name: &[u8]| hasher.hash(name);
            let added = made
                .set
                .add(&mut made.heap, &hash_of, hash_of(&name), (&name, score));
            added.expect("memory");
        }
        made.check();
        made
    }

    fn check(&self) {
        let hasher = &self.hasher;
        self.set.check(&self.heap, &|name: &[u8]| hasher.hash(name));
    }

    fn remove(&mut self, name: &[u8], score: f64) {
        let hasher = &self.hasher;
        let hash_of = |name: &[u8]| hasher.hash(name);
        self.set
            .remove(&mut self.heap, &hash_of, hash_of(name), (name, score));
    }

    /// Bytes a member beside the names.
    fn overhead(&self) -> f64 {
        let bytes = self.set.block_bytes() + self.set.list_bytes() - self.set.payload_bytes();
        bytes as f64 / self.set.len() as f64
    }
}

fn name(number: u32) -> Vec<u8> {
    format!("member:{number:09}").into_bytes()
}

fn random(number: u32) -> f64 {
    f64::from(number.wrapping_mul(0x9E37_79B9)) / 4e3
}

#[test]
fn where_scores_are_alike_names_make_the_order() {
    for bounds in [&BOUNDS, &SMALL] {
        // Some share all of a prefix, some are beginnings of others.
        let mut names: Vec<Vec<u8>> = (0..600u32)
            .map(|n| match n % 3 {
                0 => format!("{n}").into_bytes(),
                1 => format!("the same beginning {n}").into_bytes(),
                _ => vec![b'a'; n as usize / 3],
            })
            .collect();
        let made = Made::of(bounds, names.iter().map(|name| (name.clone(), 7.5)));
        names.sort();
        for (rank, name) in names.iter().enumerate() {
            for (side, expected) in [(Side::Before, rank), (Side::After, rank + 1)] {
                let bound = Bound::Name { name, side };
                let is = made.set.rank_of_bound(&made.heap, &bound);
                assert_eq!(is, expected as u64);
            }
        }
        let bound = Bound::Name {
            name: b"the same beginning",
            side: Side::Before,
        };
        let mut expected = names
            .iter()
            .filter(|name| name.as_slice() > &b"the same beginning"[..]);
        made.set
            .walk(&made.heap, &bound, Direction::Up, &mut |name, _| {
                assert_eq!(Some(name), expected.next().map(Vec::as_slice));
                ControlFlow::Continue(())
            });
        assert_eq!(expected.next(), None);
    }
}

#[test]
fn members_take_few_bytes_however_they_come() {
    let count = if cfg!(miri) { 300 } else { 50_000 };
    let in_order = Made::of(&BOUNDS, (0..count).map(|n| (name(n), f64::from(n))));
    assert!(in_order.overhead() < 9.0, "{}", in_order.overhead());
    let backwards = Made::of(&BOUNDS, (0..count).rev().map(|n| (name(n), f64::from(n))));
    assert!(backwards.overhead() < 11.0, "{}", backwards.overhead());
    let scattered = Made::of(&BOUNDS, (0..count).map(|n| (name(n), random(n))));
    assert!(scattered.overhead() < 15.0, "{}", scattered.overhead());
}

#[test]
fn nodes_and_ordinals_become_fewer_as_members_go() {
    let count = if cfg!(miri) { 300 } else { 20_000 };
    let mut made = Made::of(&BOUNDS, (0..count).map(|n| (name(n), random(n))));
    let nodes = made.set.table.len();
    for n in (0..count).filter(|n| n % 10 != 0) {
        made.remove(&name(n), random(n));
    }
    made.check();
    assert!(made.set.table.len() < nodes / 4, "{}", made.set.table.len());
    assert!(made.overhead() < 20.0, "{}", made.overhead());
    for n in (0..count).filter(|n| n % 10 == 0) {
        made.remove(&name(n), random(n));
    }
    made.check();
    assert_eq!((made.set.table.len(), made.set.block_bytes()), (0, 0));
    assert!(made.set.index.is_none());
    assert_eq!(made.heap.arena.live_bytes(), 0);
}

#[test]
fn a_leaf_takes_members_of_which_one_makes_all_scores_long() {
    // Without bytes for scores there are more members in a leaf than two halves would have with eight each.
    let mut members: Vec<(Vec<u8>, f64)> = (0..256u32)
        .map(|n| (format!("{n:03}").into_bytes(), 0.0))
        .collect();
    members.extend([(b"x".to_vec(), 1e-300), (b"y".to_vec(), -1e300)]);
    let made = Made::of(&BOUNDS, members.iter().cloned());
    for (name, score) in &members {
        let hash = made.hasher.hash(name);
        assert_eq!(made.set.score(&made.heap, hash, name), Some(*score));
    }
    let spot = made.set.spot_of(&made.heap, &Bound::Start);
    assert!(leaf::run(&made.heap, spot.block).len() < 256);
}
