//! Larder's cores against the naive model of the keyspace: random dialogues of several clients, pipelines and passing
//! time, on 1, 2 and 4 cores. And the model itself against redis-server.
#![allow(clippy::unwrap_used)]

use larder_tests::model::{self, Keyspace, SESSIONS, Step, Steps};
use larder_tests::server::{Options, Server};
use larder_tests::{resp, tools};
use proptest::prelude::*;

/// Bytes for about a hundred steps.
const DIALOGUE_BYTES: usize = 600;

fn agrees(cores: u16) {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        max_shrink_iters: 3000,
        ..ProptestConfig::default()
    });
    let dialogues = proptest::collection::vec(any::<u8>(), 0..DIALOGUE_BYTES);
    let outcome = runner.run(&dialogues, |bytes| {
        model::check(&bytes, cores).map_err(TestCaseError::fail)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn one_core_agrees_with_the_model() {
    agrees(1);
}

#[test]
fn two_cores_agree_with_the_model() {
    agrees(2);
}

#[test]
fn four_cores_agree_with_the_model() {
    agrees(4);
}

#[test]
fn redis_server_agrees_with_the_model() {
    let Some(redis) = tools::find_or_skip("redis-server") else {
        return;
    };
    let server = Server::start(&Options::redis(redis)).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::new();
    for _ in 0..60_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.push(state as u8);
    }
    let mut clients: Vec<_> = (0..SESSIONS).map(|_| server.connect().unwrap()).collect();
    let mut keyspace = Keyspace::new(1_700_000_000_000);
    for step in Steps::of(&bytes) {
        // Time passes by itself here, so dialogues with deadlines close by are left out, and the rest of a deadline
        // is not looked at.
        let Step::Command { session, args, .. } = step else {
            continue;
        };
        if args.iter().any(|arg| {
            ["PX", "PEXPIRE"]
                .iter()
                .any(|name| name.as_bytes() == &arg[..])
        }) && !is_far(&args)
        {
            continue;
        }
        let expected = keyspace.apply(session, &args);
        let reply = clients[session].call(&args).unwrap();
        let is_rest = args[0] == b"PTTL" && reply.integer().is_some_and(|rest| rest > 0);
        assert!(
            is_rest || expected.allows(&reply),
            "{args:?}: expected {expected:?}, got {:?}",
            reply.lines()
        );
    }
    assert_eq!(
        clients[0].run("PING").unwrap(),
        resp::Reply::Status(b"PONG".to_vec())
    );
}

/// Whether the deadline that the command sets is far away, or past.
fn is_far(args: &[Vec<u8>]) -> bool {
    !args
        .iter()
        .any(|arg| [&b"1"[..], b"5", b"20", b"1000"].contains(&&arg[..]))
}
