//! The open loop: due times that do not wait for replies.
#![allow(clippy::unwrap_used)]

mod fake;

use std::time::Duration;

use fake::run::{report, report_of};
use fake::{Fake, Faults, State};

/// How long the server of these tests stands still.
const STALL: Duration = Duration::from_millis(100);

fn stalling() -> Fake {
    Fake::resp(State {
        faults: Faults {
            stall: Some((1000, STALL)),
            ..Faults::default()
        },
        ..State::default()
    })
}

#[test]
fn a_stall_shows_in_the_open_loop_and_hides_in_the_closed_loop() {
    let stall_us = STALL.as_micros() as f64;
    // 200 of these 4000 commands are due while the server stands still; half of them wait half of the stall or longer.
    let open = report(
        &stalling().address(),
        &["--rate", "2000", "--operations", "4000", "--clients", "4"],
    );
    assert_eq!(open.totals.operations, 4000);
    assert!(
        open.latency_us.p99 > stall_us * 0.5,
        "{:?}",
        open.latency_us
    );
    assert!(
        open.latency_us.p99_9 > stall_us * 0.9,
        "{:?}",
        open.latency_us
    );
    // In the closed loop the one client waits once, and asks nothing meanwhile: 1 of 10,000 has seen it. Where this machine itself
    // stands still ten times in a run, another run may be luckier.
    let hidden = (0..5).any(|_| {
        let closed = report(
            &stalling().address(),
            &["--operations", "10000", "--clients", "1"],
        );
        assert!(
            closed.latency_us.max > stall_us * 0.9,
            "{:?}",
            closed.latency_us
        );
        closed.latency_us.p99_9 < stall_us * 0.5
    });
    assert!(hidden, "the closed loop shows the stall too");
}

#[test]
fn the_rate_is_kept_and_not_exceeded() {
    for arrivals in ["constant", "poisson"] {
        let fake = Fake::resp(State::default());
        let report = report(
            &fake.address(),
            &[
                "--rate",
                "500",
                "--operations",
                "500",
                "--arrivals",
                arrivals,
                "--threads",
                "2",
                "--clients",
                "8",
            ],
        );
        assert_eq!(report.totals.operations, 500, "{arrivals}");
        // The last of 500 is due 0.998 s after the first; Poisson arrivals spread around that.
        assert!(
            report.totals.seconds > 0.75,
            "{arrivals}: {}",
            report.totals.seconds
        );
        assert_eq!(report.totals.unsent, 0, "{arrivals}");
    }
}

#[test]
fn what_a_slow_target_leaves_unsent_is_counted() {
    // One client, and a server that answers nothing for most of the second.
    let fake = Fake::resp(State {
        faults: Faults {
            stall: Some((10, Duration::from_millis(900))),
            ..Faults::default()
        },
        ..State::default()
    });
    let (ran, report) = report_of(
        &fake.address(),
        &["--rate", "1000", "--duration", "0.5", "--clients", "1"],
    );
    assert_eq!(ran.code, 0);
    assert_eq!(report.totals.operations + report.totals.unsent, 500);
    assert!(report.totals.unsent > 400, "{}", report.totals.unsent);
    assert!(report.latency_us.max > 800_000.0, "{:?}", report.latency_us);
}

#[test]
fn a_deep_pipeline_lets_more_be_owed_at_once() {
    // All commands that are due while the server stands still go out, as the connections may owe that many.
    let fake = Fake::resp(State {
        faults: Faults {
            stall: Some((10, Duration::from_millis(500))),
            ..Faults::default()
        },
        ..State::default()
    });
    let report = report(
        &fake.address(),
        &[
            "--rate",
            "1000",
            "--duration",
            "0.4",
            "--clients",
            "2",
            "--pipeline",
            "1000",
        ],
    );
    assert_eq!((report.totals.operations, report.totals.unsent), (400, 0));
}

#[test]
fn a_replay_at_a_rate_fills_its_misses() {
    let text: String = (0..300).map(|line| format!("{}\n", line % 100)).collect();
    let trace = fake::Scratch::new("replay-open", &text);
    let fake = Fake::resp(State::default());
    let report = report(
        &fake.address(),
        &[
            "--replay",
            trace.path().to_str().unwrap(),
            "--rate",
            "1000",
            "--clients",
            "2",
        ],
    );
    assert_eq!(report.commands["GET"].operations, 300);
    assert_eq!(report.commands["SET"].operations, report.totals.misses);
    assert!(
        (100..150).contains(&report.totals.misses),
        "{}",
        report.totals.misses
    );
}
