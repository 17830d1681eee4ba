//! Larder on one and on two cores beside a real redis-server: random commands, the same replies.
//!
//! | variable | |
//! |---|---|
//! | `LARDER_DIFFERENTIAL_COMMANDS` | how many commands; a million takes some minutes |
//! | `LARDER_DIFFERENTIAL_SEED`, `…_EPISODE` | the seed, and the episode to begin with, as a failing run tells them |
//! | `LARDER_DIFFERENTIAL_REFERENCE` | the redis-server to compare with, else the one of `PATH` |
//! | `LARDER_DIFFERENTIAL_SUBJECT` | another redis-server to take in Larder's place |

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use larder_tests::differential::generate::Cores;
use larder_tests::differential::{self, Contender, Fault, Plan, Report};
use larder_tests::server::{IoBackend, Options};
use larder_tests::{clock, tools};

/// Commands of a short run.
const COMMANDS: u64 = 12_000;

/// Faults, one of a kind, that a run reports before it ends.
const MAX_FAULTS: usize = 12;

fn variable(name: &str) -> Option<String> {
    std::env::var(format!("LARDER_DIFFERENTIAL_{name}")).ok()
}

fn number(name: &str) -> Option<u64> {
    variable(name).map(|text| text.parse().unwrap_or_else(|why| panic!("{name}: {why}")))
}

fn reference() -> Option<PathBuf> {
    variable("REFERENCE").map_or_else(
        || tools::find_or_skip("redis-server"),
        |path| Some(path.into()),
    )
}

fn redis(path: &Path, label: &str) -> Contender {
    let version = tools::redis_version(path).unwrap();
    Contender {
        options: Options::redis(path.to_owned()),
        label: format!("{label} {version}"),
        fault: None,
    }
}

fn plan() -> Plan {
    let plan = Plan {
        seed: number("SEED").unwrap_or_else(|| clock::unix_us() % 1_000_000),
        first: number("EPISODE").unwrap_or(0),
        commands: number("COMMANDS").unwrap_or(COMMANDS),
        cores: Cores::One,
        faults: MAX_FAULTS,
    };
    eprintln!("LARDER_DIFFERENTIAL_SEED={}", plan.seed);
    plan
}

fn assert_no_fault(report: &Report) {
    eprintln!("{}", report.summary());
    let faults = report.faults.join("\n\n");
    assert!(
        report.faults.is_empty(),
        "\n\n{faults}\n\n{}",
        report.summary()
    );
}

/// Compares Larder on so many cores, or the subject given, with the reference.
fn larder_agrees(cores: usize) {
    let Some(path) = reference() else {
        return;
    };
    let mut plan = plan();
    let subject = if let Some(subject) = variable("SUBJECT") {
        redis(Path::new(&subject), "the subject, redis-server")
    } else {
        if cores > 1 {
            plan.cores = Cores::Several;
        }
        Contender {
            options: Options::larder(cores, IoBackend::under_test()[0]),
            label: format!("larder on {cores} cores"),
            fault: None,
        }
    };
    let report = differential::run(redis(&path, "redis-server"), vec![subject], plan);
    assert_no_fault(&report.unwrap_or_else(|why| panic!("{why}")));
}

#[test]
fn larder_on_one_core_answers_as_redis_server_does() {
    larder_agrees(1);
}

#[test]
fn larder_on_two_cores_answers_as_redis_server_does() {
    larder_agrees(2);
}

#[test]
fn redis_server_answers_as_itself() {
    let Some(path) = reference() else {
        return;
    };
    let plan = Plan {
        commands: COMMANDS / 2,
        ..plan()
    };
    let subjects = vec![redis(&path, "another")];
    let report = differential::run(redis(&path, "redis-server"), subjects, plan).unwrap();
    assert_no_fault(&report);
}

/// Plays against a redis-server with a planted fault; gives the shortest episodes found.
fn with_fault(fault: Fault) -> Vec<Vec<String>> {
    let Some(path) = reference() else {
        return vec![];
    };
    let mut subject = redis(&path, "with a fault");
    subject.fault = Some(fault);
    // The same episodes every time: what is asked here is whether a fault is found, not which.
    let plan = Plan {
        seed: 1,
        first: 0,
        commands: COMMANDS,
        cores: Cores::One,
        faults: 1,
    };
    let report = differential::run(redis(&path, "redis-server"), vec![subject], plan).unwrap();
    assert!(!report.faults.is_empty(), "{}", report.summary());
    report.shortest
}

/// That of the faults found the shortest episode has so many commands at most.
fn assert_short(shortest: &[Vec<String>], most: usize) {
    let least = shortest.iter().map(Vec::len).min();
    assert!(least.is_none_or(|least| least <= most), "{shortest:#?}");
}

#[test]
fn a_list_that_takes_elements_at_the_other_end_is_found() {
    let shortest = with_fault(|words| {
        if words.len() == 4 && words[0].eq_ignore_ascii_case(b"RPUSH") {
            words[0] = b"LPUSH".to_vec();
        }
    });
    assert_short(&shortest, 1);
}

#[test]
fn a_field_that_is_not_removed_is_found() {
    let shortest = with_fault(|words| {
        if words.len() == 4 && words[0].eq_ignore_ascii_case(b"HDEL") {
            words.pop();
        }
    });
    assert_short(&shortest, 2);
}

#[test]
fn a_deadline_that_is_a_millisecond_late_is_found() {
    let shortest = with_fault(|words| {
        for place in 2..words.len() {
            let is_given = words[place - 1] == b"PXAT" || words[0] == b"PEXPIREAT" && place == 2;
            if is_given && words[place].len() > 10 {
                *words[place].last_mut().unwrap() ^= 1;
            }
        }
    });
    // A scan with writes in between is one step, of several lines.
    assert_short(&shortest, 3);
}

#[test]
fn an_encoding_that_changes_too_late_is_found() {
    let shortest = with_fault(|words| {
        if words[0] == b"CONFIG"
            && words
                .iter()
                .any(|word| word == b"hash-max-listpack-entries")
        {
            let last = words.len() - 1;
            if words[last].len() < 3 {
                words[last] = b"128".to_vec();
            }
        }
    });
    // Perhaps both thresholds, and two fields.
    assert_short(&shortest, 4);
}
