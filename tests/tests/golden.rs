//! The golden dialogues, replayed on Larder with 1, 2 and 4 cores on both I/O backends, and on their oracle.
//!
//! `LARDER_GOLDEN=string/set` plays only the dialogues whose path contains that text.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use larder_tests::client::Client;
use larder_tests::dialogue::{self, Mode, Script};
use larder_tests::server::{IoBackend, Options, Server};
use larder_tests::{Outcome, tools};

/// How long the server may take to notice that a client has gone.
const GONE_PATIENCE: Duration = Duration::from_secs(10);

/// Plays every dialogue on servers started by `options`, giving the failures.
///
/// Dialogues share a server, emptied in between, unless they ask for one of their own or the one before went wrong.
fn replay_all(options: &Options) -> Outcome<Vec<String>> {
    let mut shared: Option<Server> = None;
    let mut failures = Vec::new();
    for script in dialogue::all()? {
        let outcome = if script.server_directives().is_empty() {
            shared_server(&mut shared, options)
                .and_then(|(server, client)| replay(&script, server, Some(client)))
        } else {
            let own = script
                .server_directives()
                .iter()
                .fold(options.clone(), |options, (name, value)| {
                    options.directive(name, value)
                });
            Server::start(&own).and_then(|mut server| replay(&script, &mut server, None))
        };
        let failed = outcome.unwrap_or_else(|why| vec![format!("{}: {why}\n", script.name())]);
        if !failed.is_empty() {
            shared = None;
        }
        failures.extend(failed);
    }
    Ok(failures)
}

fn replay(script: &Script, server: &mut Server, first: Option<Client>) -> Outcome<Vec<String>> {
    let report = dialogue::play(script, server.address(), Mode::Replay, first);
    if !server.is_running() {
        return Err(format!("the server died\n{}", server.log_tail()));
    }
    Ok(report?.failures)
}

/// The server that dialogues share, emptied, and its only client.
fn shared_server<'a>(
    shared: &'a mut Option<Server>,
    options: &Options,
) -> Outcome<(&'a mut Server, Client)> {
    let server = match shared.take() {
        Some(server) => server,
        None => Server::start(options)?,
    };
    let mut client = server.connect()?;
    wait_until_alone(&mut client)?;
    for line in [
        "FLUSHALL",
        "FUNCTION FLUSH",
        "CONFIG RESETSTAT",
        "SLOWLOG RESET",
    ] {
        client.run(line)?;
    }
    Ok((shared.insert(server), client))
}

/// Waits until the server has noticed that the clients of the dialogue before are gone: one may count or close all there are.
fn wait_until_alone(client: &mut Client) -> Outcome<()> {
    let deadline = Instant::now() + GONE_PATIENCE;
    loop {
        let clients = client.run("CLIENT LIST")?.to_text();
        if clients.lines().count() == 1 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "clients that have gone are still there:\n{clients}"
            ));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn dialogues_hold(cores: usize, backend: IoBackend) {
    if !IoBackend::under_test().contains(&backend) {
        tools::skip(&format!(
            "LARDER_TEST_BACKENDS leaves {} out",
            backend.directive()
        ));
        return;
    }
    let failures = replay_all(&Options::larder(cores, backend)).unwrap();
    assert!(
        failures.is_empty(),
        "{} replies differ:\n\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn dialogues_hold_on_one_core_with_io_uring() {
    dialogues_hold(1, IoBackend::IoUring);
}

#[test]
fn dialogues_hold_on_two_cores_with_io_uring() {
    dialogues_hold(2, IoBackend::IoUring);
}

#[test]
fn dialogues_hold_on_four_cores_with_io_uring() {
    dialogues_hold(4, IoBackend::IoUring);
}

#[test]
fn dialogues_hold_on_one_core_with_epoll() {
    dialogues_hold(1, IoBackend::Epoll);
}

#[test]
fn dialogues_hold_on_two_cores_with_epoll() {
    dialogues_hold(2, IoBackend::Epoll);
}

#[test]
fn dialogues_hold_on_four_cores_with_epoll() {
    dialogues_hold(4, IoBackend::Epoll);
}

#[test]
fn every_command_of_a_dialogue_has_its_reply() {
    for script in dialogue::all().unwrap() {
        assert_eq!(
            script.unanswered(),
            [0usize; 0],
            "{}: lines without a reply, to be blessed",
            script.name()
        );
    }
}

#[test]
fn dialogues_hold_on_the_redis_server_they_were_blessed_with() {
    let Some(redis) = tools::oracle_or_skip().unwrap() else {
        return;
    };
    for script in dialogue::all().unwrap() {
        let options = script
            .server_directives()
            .iter()
            .fold(Options::redis(redis.clone()), |options, (name, value)| {
                options.directive(name, value)
            });
        let server = Server::start(&options).unwrap();
        // Blessing leaves out what is marked as not blessed; nothing else may change.
        let report = dialogue::play(&script, server.address(), Mode::Bless, None).unwrap();
        assert!(report.failures.is_empty(), "{}", report.failures.join("\n"));
        assert_eq!(
            report.script.to_text(),
            script.to_text(),
            "{} is not as redis-server answers",
            script.name()
        );
    }
}
