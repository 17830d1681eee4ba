//! Commands on several cores under test: whatever is under way between the cores takes its time, and yet what clients see
//! is what one core would have shown them.

#![cfg(test)]

use larder_engine::DbIndex;

use super::testing::{Client, Random, Server, key_on, seeds};

const CORES: u16 = 3;
const KEYS: usize = 5;

/// Whether cores answer reads from copies of other cores' keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Hop,
    FromCopies,
}

/// A client that sends a command when the last one is answered.
struct Worker {
    client: Client,
    asked: Option<Asked>,
    heard: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// All keys are set to this number.
    WriteAll(u64),
    /// The same, by an `EXEC`.
    WriteEach(u64),
    /// All keys are read; this number had been seen, or its write acknowledged, before.
    ReadAll { at_least: u64 },
    /// One key is read.
    ReadOne { at_least: u64 },
    /// A key is copied to another core.
    Copy,
}

/// What may happen next in the server: a turn of all cores, or one batch that arrives.
fn stir(server: &mut Server, random: &mut Random) {
    match random.below(3) {
        0 => {
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
fn work(seed: u64, commands: usize, reads: Reads) {
    let mut random = Random(seed);
    let mut server = Server::new(CORES);
    let keys: Vec<String> = (0..KEYS)
        .map(|at| key_on(at as u16 % CORES, CORES, &format!("key{at}")))
        .collect();
    let write = |number: u64| {
        let pairs: String = keys.iter().map(|key| format!(" {key} {number}")).collect();
        format!("MSET{pairs}\r\n")
    };
    let each = |number: u64| {
        let sets: String = keys
            .iter()
            .map(|key| format!("SET {key} {number}\r\n"))
            .collect();
        format!("MULTI\r\n{sets}EXEC\r\n")
    };
    let count = match reads {
        Reads::Hop => 6,
        Reads::FromCopies => 14,
    };
    let mut workers: Vec<Worker> = (0..count)
        .map(|at| Worker {
            client: server.connect(at % usize::from(CORES)),
            asked: None,
            heard: Vec::new(),
        })
        .collect();
    server.send(workers[0].client, write(1).as_bytes());
    if reads == Reads::FromCopies {
        let configure = b"CONFIG SET hot-key-copies yes\r\n";
        server.send(workers[0].client, configure);
        for (at, key) in keys.iter().enumerate() {
            let owner = &mut server.cores[at % usize::from(CORES)];
            owner.offer(DbIndex(0), key.as_bytes());
        }
    }
    let exec_reply = format!("*{KEYS}\r\n{}", "+OK\r\n".repeat(KEYS)).into_bytes();
    let (mut written, mut seen) = (1, 1);
    let mut answered = 0;
    while answered < commands {
        for _ in 0..random.below(4) {
            stir(&mut server, &mut random);
        }
        let at = random.below(workers.len());
        let worker = &mut workers[at];
        let Some(asked) = worker.asked else {
            let (asked, command) = match at {
                0 => {
                    written += 1;
                    match random.one_in(2) {
                        true => (Asked::WriteAll(written), write(written)),
                        false => (Asked::WriteEach(written), each(written)),
                    }
                }
                1 | 2 => {
                    let command = format!("MGET {}\r\n", keys.join(" "));
                    (Asked::ReadAll { at_least: seen }, command)
                }
                3 | 6.. => {
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
        worker.heard.extend(server.take_output(worker.client));
        let is_exec = matches!(asked, Asked::WriteEach(_));
        if worker.heard.is_empty() || is_exec && !worker.heard.ends_with(&exec_reply) {
            continue;
        }
        let reply = std::mem::take(&mut worker.heard);
        worker.asked = None;
        answered += 1;
        let reply = String::from_utf8(reply).unwrap();
        match asked {
            Asked::WriteAll(number) => {
                assert_eq!(reply, "+OK\r\n");
                seen = seen.max(number);
            }
            Asked::WriteEach(number) => {
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
            Asked::Copy => assert_eq!(reply, ":1\r\n"),
        }
    }
    for worker in workers {
        server.disconnect(worker.client);
    }
    server.assert_nothing_is_left();
    let cores = server.cores.iter_mut();
    let from_copies: u64 = cores.map(|core| core.state().stats.copy_reads).sum();
    assert_eq!(from_copies > 0, reads == Reads::FromCopies);
}

#[test]
#[should_panic(expected = "seed")]
fn without_locks_this_test_would_fail() {
    super::locks::LOCKS_ARE_OFF.set(true);
    for seed in 0..20 {
        work(seed, 400, Reads::Hop);
    }
}

#[test]
#[should_panic(expected = "seed")]
fn with_copies_that_outlive_locks_this_test_would_fail() {
    super::offers::COPIES_OUTLIVE_LOCKS.set(true);
    for seed in 0..20 {
        work(seed, 1000, Reads::FromCopies);
    }
}

#[test]
fn nobody_does_with_copies_either() {
    for seed in 0..seeds(20) {
        work(seed, 1000, Reads::FromCopies);
    }
}

#[test]
fn nobody_sees_half_of_a_command_on_several_cores_or_an_older_state_than_was_seen_before() {
    for seed in 0..seeds(20) {
        work(seed, 400, Reads::Hop);
    }
}
