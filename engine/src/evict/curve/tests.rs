//! Predictions held against what policies do, on traces that are made, and what befalls keys beside requests.

use super::*;
use crate::evict::simulation::{Request, identity, run, run_curve};
use crate::evict::traces;

const CAPACITY: u64 = 1500;

fn options(policy: PolicyName, entries: u32) -> CurveOptions {
    CurveOptions {
        policy: Some(policy),
        scope: Scope::AllKeys,
        entries,
        cpu_percent: 100,
    }
}

/// Holds all points against what policies measure, each with its part of `capacity`.
fn check(name: &str, options: &CurveOptions, capacity: u64, trace: &[Request]) {
    let curve = run_curve(options, 1, capacity, trace);
    let mut points = 0;
    for point in curve.points() {
        let measured = run(
            point.policy,
            1,
            (capacity * point.percent + 50) / 100,
            trace,
        );
        let off = point.hit_ratio() - (1.0 - measured.miss_ratio());
        assert!(off.abs() < 0.02, "{name}: {point:?}: {off}");
        points += 1;
    }
    assert_eq!(points, POLICIES.len() * PERCENTS.len());
    let bound = CurveOptions::bytes_for(options.entries, 1 << 32);
    assert!(curve.held_bytes() < bound, "{}", curve.held_bytes());
}

#[test]
fn predictions_are_within_two_points_by_popularity() {
    let trace = traces::zipf(60_000, 12_000, 8);
    for policy in [PolicyName::Adaptive, PolicyName::Lru, PolicyName::S3Fifo] {
        check("zipf", &options(policy, 700), CAPACITY, &trace);
    }
}

#[test]
fn predictions_are_within_two_points_where_keys_go_round() {
    let trace = traces::loops(60_000, 12_000, 3);
    check("loops", &options(PolicyName::S3Fifo, 700), CAPACITY, &trace);
    check("loops", &options(PolicyName::Lru, 700), CAPACITY, &trace);
}

#[test]
fn predictions_are_within_two_points_where_popularity_moves_on() {
    let trace = traces::shifts(60_000, 12_000, 4);
    check(
        "shifts",
        &options(PolicyName::Adaptive, 700),
        CAPACITY,
        &trace,
    );
    check("shifts", &options(PolicyName::Lru, 700), CAPACITY, &trace);
}

#[test]
fn predictions_are_within_two_points_with_two_sizes() {
    let trace = traces::two_sizes(60_000, 12_000, 5);
    check(
        "two sizes",
        &options(PolicyName::Adaptive, 1800),
        960 * CAPACITY,
        &trace,
    );
}

/// A curve of everything, with room for so many entries of a byte.
fn whole(policy: PolicyName, scope: Scope, room: u64) -> Curve {
    let options = CurveOptions {
        scope,
        ..options(policy, 1 << 16)
    };
    let mut curve = Curve::new(&options, 1);
    curve.set_now(UnixMillis(1_700_000_000_000));
    curve.fit(1.0, PERCENTS.map(|percent| room * percent / 100));
    curve
}

fn ratio(curve: &mut Curve, policy: PolicyName, percent: u64) -> f64 {
    curve.settle();
    let mut points = curve.points();
    let point = points.find(|point| (point.policy, point.percent) == (policy, percent));
    point.expect("there is such a curve").hit_ratio()
}

/// Each key is read, and told to be there or not.
fn read(curve: &mut Curve, keys: impl Iterator<Item = u64>, what: What) {
    for key in keys {
        curve.told(what, identity(key), Value::of(1));
        curve.count(1, u64::from(what == What::Read));
    }
}

#[test]
fn a_read_that_the_shard_misses_hits_where_the_key_still_is() {
    let mut curve = whole(PolicyName::Fifo, Scope::AllKeys, 100);
    for key in 0..200 {
        read(&mut curve, key..=key, What::Missed);
        curve.told(What::Comes, identity(key), Value::of(1));
    }
    curve.count_anew();
    // The shard has the last hundred: with twice the memory there were all of them, with half the last fifty.
    read(&mut curve, 0..100, What::Missed);
    assert_eq!(ratio(&mut curve, PolicyName::Fifo, 200), 1.0);
    assert_eq!(ratio(&mut curve, PolicyName::Fifo, 100), 0.0);
}

#[test]
fn what_ends_or_is_removed_is_in_no_cache_any_more() {
    let mut curve = whole(PolicyName::Adaptive, Scope::AllKeys, 1000);
    let ends = UnixMillis(1_700_000_001_000);
    for key in 0..100 {
        let value = Value {
            bytes: 1,
            deadline: (key < 50).then_some(ends),
        };
        curve.told(What::Comes, identity(key), value);
    }
    for key in 50..75 {
        curve.told(What::Gone, identity(key), Value::of(0));
    }
    curve.settle();
    curve.set_now(ends);
    read(&mut curve, 0..75, What::Missed);
    assert_eq!(ratio(&mut curve, PolicyName::Adaptive, 400), 0.0);
    curve.count_anew();
    read(&mut curve, 75..100, What::Read);
    assert_eq!(ratio(&mut curve, PolicyName::Adaptive, 100), 1.0);
}

#[test]
fn what_has_ended_makes_room_before_it_is_asked_for() {
    let mut curve = whole(PolicyName::Lru, Scope::Volatile, 100);
    let ends = UnixMillis(1_700_000_001_000);
    for key in 0..100 {
        let value = Value {
            bytes: 1,
            deadline: Some(ends),
        };
        curve.told(What::Comes, identity(key), value);
    }
    curve.settle();
    let held = curve.caches[2].bytes();
    assert_eq!(held, 100);
    curve.set_now(UnixMillis(ends.0 + SWEPT_EVERY_MS));
    curve.fit(1.0, curve.capacities);
    curve.settle();
    assert_eq!(curve.caches[2].bytes(), 0);
}

#[test]
fn entries_without_a_deadline_stay_where_only_others_may_go() {
    let mut curve = whole(PolicyName::Lru, Scope::Volatile, 100);
    for key in 0..100 {
        curve.told(What::Comes, identity(key), Value::of(1));
    }
    for key in 100..300 {
        let value = Value {
            bytes: 1,
            deadline: Some(UnixMillis(1_800_000_000_000)),
        };
        curve.told(What::Comes, identity(key), value);
    }
    read(&mut curve, 0..100, What::Read);
    assert_eq!(ratio(&mut curve, PolicyName::Lru, 100), 1.0);
}

#[test]
fn a_smaller_sample_keeps_what_is_in_it() {
    let mut curve = whole(PolicyName::Lru, Scope::AllKeys, 100_000);
    for key in 0..10_000 {
        curve.told(What::Comes, identity(key), Value::of(1));
    }
    curve.follow(&options(PolicyName::Lru, 1000));
    curve.fit(10_000.0, PERCENTS.map(|percent| 1000 * percent));
    curve.settle();
    assert!((curve.stats().rate - 0.1).abs() < 0.01);
    let kept = (0..10_000).filter(|&key| curve.used_secs(identity(key)).is_some());
    let sampled = (0..10_000).filter(|&key| curve.samples(identity(key)));
    let (kept, sampled) = (kept.count(), sampled.count());
    assert_eq!(kept, sampled);
    // Those of the smallest caches, four times as many as of the present memory.
    assert!((3800..4200).contains(&kept), "{kept}");
}

#[test]
fn another_policy_begins_the_counts_anew_and_a_policy_without_a_line_another_curve() {
    let mut curve = whole(PolicyName::Lru, Scope::AllKeys, 100);
    read(&mut curve, 0..10, What::Missed);
    assert!(curve.follow(&options(PolicyName::Lru, 100)));
    assert_eq!(curve.stats().requests, 10.0);
    assert!(curve.follow(&options(PolicyName::Sieve, 100)));
    assert_eq!(curve.stats().requests, 0.0);
    assert!(!curve.follow(&options(PolicyName::Ttl, 100)));
    let of_ttl = Curve::new(&options(PolicyName::Ttl, 100), 1);
    let lines = of_ttl.points().filter(|point| point.percent == 100);
    assert_eq!(lines.count(), POLICIES.len() + 1);
}
