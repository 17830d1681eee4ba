//! Histories of random clients on whole servers, checked for strict serializability (`larder_tests::history`); and the
//! same on a server whose transactions lock nothing, which must be found out.
//!
//! `LARDER_HISTORY_OPERATIONS` sets how many operations are played on each server (8,000 without it).
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use larder_tests::history::forms::Forms;
use larder_tests::history::workload::{self, Cuts, Mix, Plan, Reach};
use larder_tests::history::{self, Fate};
use larder_tests::server::{IoBackend, Options, Server};
use larder_tests::tools;

const CLIENTS: usize = 10;
/// Keys in use at a time, by their groups.
const KEYS: [u32; 8] = [0, 1, 2, 3, 0, 1, 2, 3];
/// Operations that a client has in flight when it sends more.
const IN_FLIGHT: usize = 24;

fn operations() -> i64 {
    std::env::var("LARDER_HISTORY_OPERATIONS").map_or(8_000, |count| count.parse().unwrap())
}

fn is_strictly_serializable(options: &Options, reach: Reach) {
    let mut server = Server::start(options).unwrap();
    let plan = Plan {
        clients: CLIENTS,
        keys: KEYS.to_vec(),
        forms: Forms::All,
        operations: operations(),
        // A very slow machine plays fewer.
        time_max: Duration::from_millis(5 * operations() as u64),
        cuts: Cuts::Some,
        in_flight: IN_FLIGHT,
        reach,
        mix: Mix::Usual,
        seed: std::process::id().into(),
    };
    let started = Instant::now();
    let history = workload::play(server.address(), plan)
        .unwrap_or_else(|why| panic!("{}: {why}\n{}", server.label(), server.log_tail()));
    let played = started.elapsed();
    assert!(server.is_running(), "{}", server.log_tail());
    let checked = history::check(&history)
        .unwrap_or_else(|violation| panic!("{}: {violation}", server.label()));
    let count = |form: &str, fate: Fate| {
        let of_form = |operation: &&history::Operation| {
            operation.form.starts_with(form) && operation.fate == fate
        };
        history.iter().filter(of_form).count()
    };
    println!(
        "{}: {checked:?}; {} committed and {} aborted transactions, {} scripts, {} operations cut; \
         played for {played:?}, checked in {:?}",
        server.label(),
        count("MULTI", Fate::Happened),
        count("MULTI and EXEC", Fate::DidNot),
        count("EVAL", Fate::Happened),
        count("", Fate::Unknown),
        started.elapsed() - played
    );
    // The clients did meet, and had their way.
    for form in [
        "GET", "LRANGE", "HKEYS", "MGET", "APPEND", "RPUSH", "HSET", "COPY", "DEL", "RENAME",
        "MULTI",
    ] {
        assert!(count(form, Fate::Happened) > 0, "no {form}");
    }
    let has_scripts = server.connect().unwrap().knows_command("EVAL").unwrap();
    for form in [
        "EVAL",
        "EVAL, first run",
        "EVAL, undeclared keys",
        "EVAL, undeclared keys, first run",
    ] {
        let of_form = |operation: &history::Operation| {
            operation.form == form && operation.fate == Fate::Happened
        };
        assert_eq!(has_scripts, history.iter().any(of_form), "{form}");
    }
    assert!(count("MULTI and EXEC, with", Fate::DidNot) > 0);
    assert!(checked.dependencies > checked.operations);
}

#[test]
fn clients_of_two_cores_see_a_strictly_serializable_history() {
    for backend in IoBackend::under_test() {
        is_strictly_serializable(&Options::larder(2, backend), Reach::AsDeclared);
    }
}

#[test]
fn clients_of_four_cores_see_a_strictly_serializable_history() {
    for backend in IoBackend::under_test() {
        is_strictly_serializable(&Options::larder(4, backend), Reach::AsDeclared);
    }
}

#[test]
fn clients_whose_scripts_reach_further_see_a_strictly_serializable_history() {
    for backend in IoBackend::under_test() {
        for cores in [2, 4] {
            is_strictly_serializable(&Options::larder(cores, backend), Reach::Further);
        }
    }
}

/// What one thread does one after the other is strictly serializable: a violation here is the checker's.
#[test]
fn clients_of_redis_server_see_a_strictly_serializable_history() {
    if let Some(redis) = tools::find_or_skip("redis-server") {
        is_strictly_serializable(&Options::redis(redis), Reach::Further);
    }
}

/// Only debug builds can be made to lock nothing.
#[cfg(debug_assertions)]
mod planted {
    use std::net::{Ipv4Addr, SocketAddr};

    use larder_server::config::Config;
    use larder_server::runtime::{Server, Tuning};
    use larder_tests::history::Violation;

    use super::*;

    /// Plays this many operations at a time, at most so often, until a broken promise is found.
    const OPERATIONS: i64 = 2_000;
    const ROUNDS: u64 = 10;

    fn start(cores: usize, backend: IoBackend) -> Server {
        let args = format!(
            "--bind 127.0.0.1 --cores {cores} --io-backend {}",
            backend.directive()
        );
        let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        let config = Config::load(None, &args).unwrap();
        Server::start_with(config, Tuning::default().on_free_port().without_locks()).unwrap()
    }

    /// The first broken promise, and after how many rounds.
    fn violation(cores: usize, backend: IoBackend) -> (Box<Violation>, u64) {
        for round in 1..=ROUNDS {
            let server = start(cores, backend);
            let plan = Plan {
                clients: CLIENTS,
                keys: KEYS.to_vec(),
                forms: Forms::All,
                operations: OPERATIONS,
                time_max: Duration::from_secs(60),
                cuts: Cuts::None,
                in_flight: IN_FLIGHT,
                reach: Reach::AsDeclared,
                mix: Mix::Usual,
                seed: round,
            };
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
            let history = workload::play(address, plan).unwrap();
            server.stop().unwrap();
            if let Err(violation) = history::check(&history) {
                return (violation, round);
            }
        }
        panic!("{cores} cores lock nothing, and no broken promise is found");
    }

    #[test]
    fn a_server_that_locks_nothing_is_found_out() {
        for backend in IoBackend::under_test() {
            for cores in [2, 4] {
                let (violation, round) = violation(cores, backend);
                println!("{cores} cores, {backend:?}, round {round}: {violation}\n");
                assert!(!violation.operations.is_empty(), "{violation}");
            }
        }
    }
}
