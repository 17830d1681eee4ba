//! Histories of random clients, with pipelines in flight, on cores within the process that are stirred at random, checked for
//! strict serializability (`larder_tests::history`). A seed gives the same history again.
//!
//! `LARDER_HISTORY_SEEDS` says how many seeds each test tries, 30 without it; `LARDER_HISTORY_SEED`, which one alone.
#![allow(clippy::unwrap_used)]

use std::ops::Range;

use larder_tests::history::workload::Reach;
use larder_tests::history::{self, simulated};

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

/// The history of a seed, or what is wrong with it.
fn outcome_of(cores: u16, reach: Reach, seed: u64) -> Result<(), String> {
    let history = simulated::play(cores, simulated::plan(reach, seed))?;
    history::check(&history).map_err(|violation| violation.to_string())?;
    Ok(())
}

fn are_strictly_serializable(cores: u16, reach: Reach) {
    for seed in seeds() {
        outcome_of(cores, reach, seed)
            .unwrap_or_else(|why| panic!("{cores} cores, {reach:?}, seed {seed}: {why}"));
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

/// Only debug builds can be made to lock nothing.
#[cfg(debug_assertions)]
#[test]
fn cores_that_lock_nothing_are_found_out_at_once() {
    larder_server::dispatch::plant_no_locks();
    for cores in [2, 3, 4] {
        for reach in [Reach::AsDeclared, Reach::Further] {
            let is_broken = |seed| {
                let history = simulated::play(cores, simulated::plan(reach, seed));
                history.is_ok_and(|history| history::check(&history).is_err())
            };
            assert!((0..5).any(is_broken), "{cores} cores, {reach:?}");
        }
    }
}
