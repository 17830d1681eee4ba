//! Money moved between accounts on all cores of whole servers, with connections cut at random (`larder_tests::transfer`).
//!
//! `LARDER_TRANSFER_SECONDS` sets for how long on each server (2 without it). Five minutes under load, on one backend:
//!
//! ```text
//! LARDER_TRANSFER_SECONDS=300 LARDER_TEST_BACKENDS=io_uring cargo test -p larder-tests --test transfer on_two_cores -- --nocapture
//! ```
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use larder_tests::history::workload::Reach;
use larder_tests::server::{IoBackend, Options, Server};
use larder_tests::tools;
use larder_tests::transfer::{self, Plan};

fn plan(cores: u16, reach: Reach) -> Plan {
    let seconds = std::env::var("LARDER_TRANSFER_SECONDS");
    Plan {
        writers: 12,
        readers: 3,
        time: Duration::from_secs(seconds.map_or(2, |seconds| seconds.parse().unwrap())),
        cores,
        reach,
        seed: std::process::id().into(),
    }
}

fn keeps_the_sum(options: &Options, cores: u16, reach: Reach) {
    let mut server = Server::start(options).unwrap();
    let report = transfer::run(server.address(), plan(cores, reach))
        .unwrap_or_else(|why| panic!("{}: {why}\n{}", server.label(), server.log_tail()));
    println!("{}: {report}", server.label());
    assert!(server.is_running(), "{}", server.log_tail());
    // They did work, meet, and get cut.
    for count in [
        report.watched,
        report.blind,
        report.conflicts,
        report.cuts,
        report.kills,
        report.sums,
    ] {
        assert!(count > 0, "{report}");
    }
    let has_scripts = server.connect().unwrap().knows_command("EVAL").unwrap();
    assert_eq!(has_scripts, report.scripts > 0);
}

#[test]
fn no_money_is_lost_or_made_on_two_cores() {
    for backend in IoBackend::under_test() {
        keeps_the_sum(&Options::larder(2, backend), 2, Reach::AsDeclared);
    }
}

#[test]
fn no_money_is_lost_or_made_on_four_cores() {
    for backend in IoBackend::under_test() {
        keeps_the_sum(&Options::larder(4, backend), 4, Reach::AsDeclared);
    }
}

#[test]
fn no_money_is_lost_or_made_by_scripts_that_reach_further() {
    for backend in IoBackend::under_test() {
        for cores in [2, 4] {
            let options = Options::larder(cores.into(), backend);
            keeps_the_sum(&options, cores, Reach::Further);
        }
    }
}

/// A failure here is the test's own.
#[test]
fn no_money_is_lost_or_made_in_redis_server() {
    if let Some(redis) = tools::find_or_skip("redis-server") {
        keeps_the_sum(&Options::redis(redis), 1, Reach::Further);
    }
}

/// Only debug builds can be made to lock nothing.
#[cfg(debug_assertions)]
#[test]
fn on_a_server_that_locks_nothing_a_wrong_sum_is_found() {
    use larder_server::config::Config;
    use larder_server::runtime::{Server, Tuning};

    let args = ["--bind", "127.0.0.1", "--cores", "2"].map(str::to_owned);
    let config = Config::load(None, &args).unwrap();
    let tuning = Tuning::from_env().on_free_port().without_locks();
    let server = Server::start_with(config, tuning).unwrap();
    let address = (std::net::Ipv4Addr::LOCALHOST, server.port()).into();
    let plan = Plan {
        // It ends at the first wrong sum.
        time: Duration::from_secs(60),
        ..plan(2, Reach::AsDeclared)
    };
    let why = transfer::run(address, plan).unwrap_err();
    assert!(why.contains("instead of"), "{why}");
    server.stop().unwrap();
}
