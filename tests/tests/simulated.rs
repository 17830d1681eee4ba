//! Histories of random clients, with pipelines in flight, on cores within the process that are stirred at random, checked for
//! strict serializability (`larder_tests::history`). A seed gives the same history again.
//!
//! `LARDER_HISTORY_SEEDS` says how many seeds each test tries, 30 without it; `LARDER_HISTORY_SEED`, which one alone.
#![allow(clippy::unwrap_used)]

use std::ops::Range;
use std::time::Duration;

use larder_tests::history::workload::{Cuts, Plan, Reach};
use larder_tests::history::{self, simulated};

/// Operations of one seed, some more or less.
const OPERATIONS: i64 = 300;
/// Keys in use at a time.
const KEYS: u32 = 4;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap())
}

fn seeds() -> Range<u64> {
    match number("LARDER_HISTORY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LARDER_HISTORY_SEEDS").unwrap_or(30),
    }
}

fn are_strictly_serializable(cores: u16, reach: Reach) {
    for seed in seeds() {
        let plan = Plan {
            clients: 4 + seed as usize % 8,
            keys: KEYS,
            operations: OPERATIONS,
            time_max: Duration::MAX,
            cuts: if seed % 4 == 0 {
                Cuts::None
            } else {
                Cuts::Some
            },
            in_flight: 24,
            reach,
            seed,
        };
        let history = simulated::play(cores, plan)
            .unwrap_or_else(|why| panic!("{cores} cores, {reach:?}, seed {seed}: {why}"));
        history::check(&history).unwrap_or_else(|violation| {
            panic!("{cores} cores, {reach:?}, seed {seed}: {violation}")
        });
    }
}

#[test]
fn stirred_cores_show_strictly_serializable_histories() {
    for cores in [2, 3, 4] {
        are_strictly_serializable(cores, Reach::AsDeclared);
    }
}

#[test]
fn stirred_cores_whose_scripts_reach_further_show_strictly_serializable_histories() {
    for cores in [2, 3, 4] {
        are_strictly_serializable(cores, Reach::Further);
    }
}
