//! Commands on several cores under test: whatever is under way between the cores takes its time, and yet what clients see
//! is what one core would have shown them.

#![cfg(test)]

use std::sync::atomic::Ordering;

use super::testing::{Client, Random, Server, key_on, seeds};
use crate::routing::Slot;

const CORES: u16 = 3;
const KEYS: usize = 5;

/// A client that sends a command when the last one is answered.
struct Worker {
    client: Client,
    asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// All keys are set to this number.
    WriteAll(u64),
    /// All keys are read; this number had been seen, or its write acknowledged, before.
    ReadAll { at_least: u64 },
    /// One key is read.
    ReadOne { at_least: u64 },
    /// A key is copied to another core.
    Copy,
}

/// Whether slots move meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slots {
    Stay,
    Move,
}

/// What may happen next in the server: a turn of all cores, a little later, or one batch that arrives.
fn stir(server: &mut Server, random: &mut Random) {
    match random.below(3) {
        0 => {
            server.now_ms += random.below(4) as u64;
            server.turn();
        }
        1 => server.ship_from(random.below(CORES.into())),
        _ => {
            let (from, to) = (random.below(CORES.into()), random.below(CORES.into()));
            server.deliver_one(from, to);
        }
    }
}

/// The numbers in an array of bulk strings, or in one bulk string.
fn numbers(reply: &str) -> Vec<u64> {
    let lines = reply.split("\r\n").filter(|line| !line.is_empty());
    lines.filter_map(|line| line.parse().ok()).collect()
}

/// Lets one writer, several readers and copiers work on the same keys, and panics at the first reply that no order of the
/// commands explains.
fn work(seed: u64, commands: usize, slots: Slots) {
    let mut random = Random(seed);
    let mut server = Server::new(CORES);
    let keys: Vec<String> = (0..KEYS)
        .map(|at| key_on(at as u16 % CORES, CORES, &format!("key{at}")))
        .collect();
    let write = |number: u64| {
        let pairs: String = keys.iter().map(|key| format!(" {key} {number}")).collect();
        format!("MSET{pairs}\r\n")
    };
    let mut workers: Vec<Worker> = (0..6)
        .map(|at| Worker {
            client: server.connect(at % usize::from(CORES)),
            asked: None,
        })
        .collect();
    server.send(workers[0].client, write(1).as_bytes());
    let (mut written, mut seen) = (1, 1);
    let mut answered = 0;
    let mover = server.connect(random.below(CORES.into()));
    while answered < commands {
        for _ in 0..random.below(4) {
            stir(&mut server, &mut random);
        }
        if slots == Slots::Move && random.one_in(20) {
            let slot = Slot::of(keys[random.below(KEYS)].as_bytes()).number();
            let order = format!(
                "LARDER REBALANCE MOVE {slot} {}\r\n",
                random.below(CORES.into())
            );
            server.receive(mover, order.as_bytes());
            server.take_output(mover);
        }
        let at = random.below(workers.len());
        let worker = &mut workers[at];
        let Some(asked) = worker.asked else {
            let (asked, command) = match at {
                0 => {
                    written += 1;
                    (Asked::WriteAll(written), write(written))
                }
                1 | 2 => {
                    let command = format!("MGET {}\r\n", keys.join(" "));
                    (Asked::ReadAll { at_least: seen }, command)
                }
                3 => {
                    let key = random.below(KEYS);
                    let command = format!("GET {}\r\n", keys[key]);
                    (Asked::ReadOne { at_least: seen }, command)
                }
                _ => {
                    let (from, to) = (&keys[at - 4], &keys[KEYS - 1]);
                    let command = format!("COPY {from} {to}:copy REPLACE\r\n");
                    (Asked::Copy, command)
                }
            };
            worker.asked = Some(asked);
            server.receive(worker.client, command.as_bytes());
            continue;
        };
        let reply = server.take_output(worker.client);
        if reply.is_empty() {
            continue;
        }
        worker.asked = None;
        answered += 1;
        let reply = String::from_utf8(reply).unwrap();
        match asked {
            Asked::WriteAll(number) => {
                assert_eq!(reply, "+OK\r\n");
                seen = seen.max(number);
            }
            Asked::ReadAll { at_least } => {
                let values: Vec<u64> = reply
                    .lines()
                    .filter(|line| !line.starts_with(['*', '$']))
                    .map(|line| line.parse().unwrap())
                    .collect();
                assert_eq!(values.len(), KEYS);
                let first = values[0];
                assert!(
                    values.iter().all(|value| *value == first),
                    "seed {seed}: a half of a write is seen: {values:?}"
                );
                assert!(
                    first >= at_least,
                    "seed {seed}: {first} is read after {at_least} was"
                );
                seen = seen.max(first);
            }
            Asked::ReadOne { at_least } => {
                let value = *numbers(&reply).last().unwrap();
                assert!(
                    value >= at_least,
                    "seed {seed}: {value} is read after {at_least} was"
                );
                seen = seen.max(value);
            }
            Asked::Copy => assert_eq!(reply, ":1\r\n", "seed {seed}"),
        }
    }
    if slots == Slots::Move {
        let table = server.cores[0].state().shared.slots.version();
        assert!(table > 0, "slots have moved");
    }
    while server.cores[0]
        .state()
        .shared
        .rebalance
        .busy
        .load(Ordering::Relaxed)
    {
        server.advance(1);
        server.turns();
    }
    server.disconnect(mover);
    for worker in workers {
        server.disconnect(worker.client);
    }
    server.assert_nothing_is_left();
}

#[test]
#[should_panic(expected = "seed")]
fn without_locks_this_test_would_fail() {
    super::locks::LOCKS_ARE_OFF.set(true);
    for seed in 0..20 {
        work(seed, 400, Slots::Stay);
    }
}

#[test]
#[should_panic(expected = "seed")]
fn without_a_standstill_this_test_would_fail() {
    crate::command::moving::STANDSTILL_IS_OFF.set(true);
    for seed in 0..100 {
        work(seed, 400, Slots::Move);
    }
}

#[test]
fn slots_that_move_change_nothing_of_what_is_seen() {
    for seed in 0..seeds(10) {
        work(seed, 400, Slots::Move);
    }
}

#[test]
fn nobody_sees_half_of_a_command_on_several_cores_or_an_older_state_than_was_seen_before() {
    for seed in 0..seeds(20) {
        work(seed, 400, Slots::Stay);
    }
}
