//! Commands and scripts on several cores while slots move, or while keys are read from copies: whatever is under way between the
//! cores takes its time, and yet what clients see is what one core would have shown them.

#![cfg(test)]

use std::sync::atomic::Ordering;

use larder_engine::DbIndex;

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};
use crate::routing::Slot;

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
    /// What it has heard of the answer.
    heard: String,
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

/// How it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// By a command.
    Command,
    /// By a script that declares all keys.
    Script,
    /// By one that declares none.
    Keyless,
    /// By one that declares the first, and reaches it before the others.
    Partly,
    /// By one that declares all, inside an `EXEC`.
    Exec,
    /// By one that declares the first, inside an `EXEC` that names no other either.
    ExecPartly,
}

impl How {
    const ALL: [Self; 6] = [
        Self::Command,
        Self::Script,
        Self::Keyless,
        Self::Partly,
        Self::Exec,
        Self::ExecPartly,
    ];

    fn is_in_exec(self) -> bool {
        matches!(self, Self::Exec | Self::ExecPartly)
    }
}

fn encode(words: &[&str]) -> Vec<u8> {
    crate::resp::encode_command(words.iter().map(|word| word.as_bytes()))
}

/// A script on `keys`, of which it declares as many as `how` says. Its text is a new one each time, if `nonce` is: what was
/// learnt of one is not known of the other.
fn script(how: How, body: &str, keys: &[String], more: &[&str], nonce: u64) -> Vec<u8> {
    let declared = match how {
        How::Keyless => 0,
        How::Partly | How::ExecPartly => 1,
        _ => keys.len(),
    };
    let text = format!(
        "local keys = {{}} for i = 1, #KEYS do keys[i] = KEYS[i] end \
         while #keys < {} do keys[#keys + 1] = ARGV[#keys + 1 - #KEYS] end {body} -- {nonce}",
        keys.len()
    );
    let number = declared.to_string();
    let mut words = vec!["EVAL", &text, &number];
    words.extend(keys.iter().map(String::as_str));
    words.extend(more);
    let eval = encode(&words);
    if how.is_in_exec() {
        return [encode(&["MULTI"]), eval, encode(&["EXEC"])].concat();
    }
    eval
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

fn write_all(how: How, keys: &[String], number: u64, nonce: u64) -> Vec<u8> {
    if how == How::Command {
        let pairs: String = keys.iter().map(|key| format!(" {key} {number}")).collect();
        return format!("MSET{pairs}\r\n").into_bytes();
    }
    let body = "for i = 1, #keys do redis.call('SET', keys[i], ARGV[#ARGV]) end return redis.status_reply('OK')";
    script(how, body, keys, &[&number.to_string()], nonce)
}

fn read_all(how: How, keys: &[String], nonce: u64) -> Vec<u8> {
    if how == How::Command {
        return format!("MGET {}\r\n", keys.join(" ")).into_bytes();
    }
    let body = "local found = {} for i = 1, #keys do found[i] = redis.call('GET', keys[i]) end return found";
    script(how, body, keys, &[], nonce)
}

/// Lines of the answer.
fn lines_of_answer(asked: Asked, how: How) -> usize {
    let own = match asked {
        Asked::WriteAll(_) | Asked::Copy => 1,
        Asked::ReadAll { .. } => 1 + 2 * KEYS,
        Asked::ReadOne { .. } => 2,
    };
    own + if how.is_in_exec() { 3 } else { 0 }
}

/// Lets one writer, several readers and copiers work on the same keys, and panics at the first reply that no order of the
/// commands explains.
fn work(seed: u64, commands: usize, writing: &[How], reading: &[How], slots: Slots) {
    work_and_read(seed, commands, (writing, reading), slots, Reads::Hop);
}

/// As [`work`]; `reads` says how single keys are read.
fn work_and_read(
    seed: u64,
    commands: usize,
    (writing, reading): (&[How], &[How]),
    slots: Slots,
    reads: Reads,
) {
    let mut random = Random(seed);
    let mut server = Server::new(CORES);
    let keys: Vec<String> = (0..KEYS)
        .map(|at| key_on(at as u16 % CORES, CORES, &format!("key{at}")))
        .collect();
    let count = match reads {
        Reads::Hop => 6,
        Reads::FromCopies => 14,
    };
    let mut workers: Vec<Worker> = (0..count)
        .map(|at| Worker {
            client: server.connect(at % usize::from(CORES)),
            asked: None,
            heard: String::new(),
        })
        .collect();
    let first = write_all(How::Command, &keys, 1, 0);
    server.send(workers[0].client, &first);
    if reads == Reads::FromCopies {
        server.send(workers[0].client, b"CONFIG SET hot-key-copies yes\r\n");
        for (at, key) in keys.iter().enumerate() {
            let owner = &mut server.cores[at % usize::from(CORES)];
            owner.offer(DbIndex(0), key.as_bytes());
        }
    }
    let mut ways = vec![How::Command; workers.len()];
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
            let mut how = random.of(if at == 0 { writing } else { reading });
            let nonce = random.below(8) as u64 * random.below(1000) as u64;
            let (asked, command) = match at {
                0 => {
                    written += 1;
                    let command = write_all(how, &keys, written, nonce);
                    (Asked::WriteAll(written), command)
                }
                1 | 2 => {
                    // The second reader begins on another core.
                    let mut keys = keys.clone();
                    keys.rotate_left(at - 1);
                    let command = read_all(how, &keys, nonce);
                    (Asked::ReadAll { at_least: seen }, command)
                }
                3 if how == How::Script => {
                    let key = &keys[random.below(KEYS)];
                    let command = encode(&["EVAL", "return redis.call('GET', KEYS[1])", "1", key]);
                    (Asked::ReadOne { at_least: seen }, command)
                }
                3 | 6.. => {
                    how = How::Command;
                    let key = random.below(KEYS);
                    let command = format!("GET {}\r\n", keys[key]).into_bytes();
                    (Asked::ReadOne { at_least: seen }, command)
                }
                _ => {
                    how = How::Command;
                    let (from, to) = (&keys[at - 4], &keys[KEYS - 1]);
                    let command = format!("COPY {from} {to}:copy REPLACE\r\n").into_bytes();
                    (Asked::Copy, command)
                }
            };
            worker.asked = Some(asked);
            ways[at] = how;
            server.receive(worker.client, &command);
            continue;
        };
        let more = server.take_output(worker.client);
        worker.heard.push_str(&String::from_utf8(more).unwrap());
        let how = ways[at];
        let mut reply = worker.heard.as_str();
        if reply.matches("\r\n").count() < lines_of_answer(asked, how) {
            continue;
        }
        worker.asked = None;
        answered += 1;
        if how.is_in_exec() {
            reply = reply
                .strip_prefix("+OK\r\n+QUEUED\r\n*1\r\n")
                .expect("the reply of an EXEC");
        }
        let reply = reply.to_owned();
        worker.heard.clear();
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
    let cores = server.cores.iter_mut();
    let from_copies: u64 = cores.map(|core| core.state().stats.copy_reads).sum();
    assert_eq!(from_copies > 0, reads == Reads::FromCopies);
}

/// Commands alone.
const COMMANDS: (&[How], &[How]) = (&[How::Command], &[How::Command]);

#[test]
#[should_panic(expected = "seed")]
fn without_a_standstill_this_test_would_fail() {
    crate::command::moving::STANDSTILL_IS_OFF.set(true);
    for seed in 0..100 {
        work(seed, 400, &[How::Command], &[How::Command], Slots::Move);
    }
}

#[test]
fn slots_that_move_change_nothing_of_what_is_seen() {
    for seed in 0..seeds(10) {
        work(seed, 400, &[How::Command], &[How::Command], Slots::Move);
    }
}

#[test]
fn nor_do_they_of_what_scripts_see() {
    for seed in 0..seeds(8) {
        work(seed, 400, &How::ALL, &How::ALL, Slots::Move);
    }
}

#[test]
#[should_panic(expected = "seed")]
fn with_copies_that_outlive_locks_this_test_would_fail() {
    crate::dispatch::core::COPIES_OUTLIVE_LOCKS.set(true);
    for seed in 0..20 {
        work_and_read(seed, 1000, COMMANDS, Slots::Stay, Reads::FromCopies);
    }
}

#[test]
fn nobody_does_with_copies_either() {
    for seed in 0..seeds(20) {
        work_and_read(seed, 1000, COMMANDS, Slots::Stay, Reads::FromCopies);
    }
}
