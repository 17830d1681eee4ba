//! Memory at its limit while clients do not read, or others have to wait: who is refused, who waits, and how far what all hold goes beyond.

#![cfg(test)]

use std::sync::atomic::Ordering;

use crate::budget::ResidentBytes;
use crate::budget::lending::WHOLE;
use crate::dispatch::limits::{ROOM_PATIENCE_MS, ROOM_STEPS_PER_TURN};
use crate::dispatch::tests::testing::{Client, Random, Server, key_on};
use crate::routing::CoreId;

const MIB: usize = 1 << 20;
const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

fn under(limit: usize, policy: &str, cores: u16) -> Server {
    let limit = limit.to_string();
    let options = [("maxmemory", limit.as_str()), ("maxmemory-policy", policy)];
    Server::configured(cores, &options)
}

fn set(key: &str, bytes: usize) -> Vec<u8> {
    let (len, value) = (key.len(), "v".repeat(bytes));
    format!("*3\r\n$3\r\nSET\r\n${len}\r\n{key}\r\n${bytes}\r\n{value}\r\n").into_bytes()
}

/// What all cores have leased beyond the limit.
fn overdrawn(server: &mut Server) -> u64 {
    let free = server.cores[0].state().shared.memory.free_bytes();
    free.min(0).unsigned_abs()
}

fn evicted(server: &mut Server) -> u64 {
    let cores = server.cores.iter_mut();
    cores.map(|core| core.state().shard.evicted_total()).sum()
}

/// Bytes of replies that a client has yet to read.
fn owed(server: &mut Server, (core, id): Client) -> usize {
    let session = server.cores[core].state().sessions.get(id);
    session.map_or(0, |session| session.output.pending_bytes())
}

#[test]
fn no_write_is_refused_while_entries_may_go_though_readers_are_owed_much() {
    const LIMIT: usize = 24 * MIB;
    const TURNS_MAX: usize = 200;
    for cores in [1, 2] {
        let mut server = under(LIMIT, "allkeys-adaptive", cores);
        let mut random = Random(u64::from(cores));
        let of = |number: usize| number % usize::from(cores);
        let writers: Vec<Client> = (0..2).map(|number| server.connect(of(number))).collect();
        let readers: Vec<Client> = (0..24).map(|number| server.connect(of(number))).collect();
        let (mut most_owed, mut most_overdrawn) = (0, 0);
        for round in 0..600 {
            // Many small entries in some rounds, few large ones in others.
            let bytes = [60, 4000, 60_000][round / 50 % 3];
            for &writer in &writers {
                let mut commands = Vec::new();
                for _ in 0..8 {
                    let key = random.below(100_000 / bytes.min(100));
                    commands.extend(set(&format!("{bytes}:{key}"), random.below(bytes) + 1));
                }
                server.receive(writer, &commands);
            }
            // It reads what it was owed before.
            let reader = random.of(&readers);
            server.take_output(reader);
            let mut commands = Vec::new();
            for _ in 0..24 {
                let key = random.below(100_000 / bytes.min(100));
                commands.extend(format!("GET {bytes}:{key}\r\n").into_bytes());
            }
            server.receive(reader, &commands);
            let mut replies = [String::new(), String::new()];
            for _ in 0..TURNS_MAX {
                server.some_turns(1);
                most_overdrawn = most_overdrawn.max(overdrawn(&mut server));
                for (reply, &writer) in replies.iter_mut().zip(&writers) {
                    *reply += &String::from_utf8(server.take_output(writer)).unwrap();
                }
                if replies
                    .iter()
                    .all(|reply| reply.len() >= 8 * "+OK\r\n".len())
                {
                    break;
                }
            }
            let owed_now: usize = readers
                .iter()
                .map(|&reader| owed(&mut server, reader))
                .sum();
            for reply in replies {
                let left: u64 = server
                    .cores
                    .iter_mut()
                    .map(|core| core.state().shard.evictable_bytes())
                    .sum();
                let expected = "+OK\r\n".repeat(8);
                assert_eq!(
                    reply, expected,
                    "round {round} on {cores} cores: {owed_now} owed, {left} left"
                );
            }
            most_owed = most_owed.max(owed_now);
        }
        let evicted_clients: u64 = server
            .cores
            .iter_mut()
            .map(|core| core.state().stats.evicted_clients)
            .sum();
        assert_eq!(evicted_clients, 0, "{cores} cores");
        assert!(most_owed > LIMIT / 6, "{most_owed} owed on {cores} cores");
        // As much as may be overdrawn while others make room, and what a command brings before it is weighed.
        assert!(
            most_overdrawn < LIMIT as u64 / 50,
            "{most_overdrawn} on {cores} cores"
        );
    }
}

#[test]
fn a_write_that_needs_many_entries_to_go_waits_some_turns_in_which_others_are_served() {
    const LIMIT: usize = 16 * MIB;
    let mut server = under(LIMIT, "allkeys-lru", 1);
    let (writer, other) = (server.connect(0), server.connect(0));
    let mut number = 0;
    while evicted(&mut server) == 0 {
        let commands: Vec<u8> = (0..50)
            .flat_map(|at| set(&format!("k{}", number + at), 20))
            .collect();
        server.send_alone(writer, &commands);
        number += 50;
    }
    let large = set("large", 2 * MIB);
    for piece in large.chunks(64 * 1024) {
        server.receive(writer, piece);
    }
    let (mut turns, mut reply) = (0, Vec::new());
    while reply.is_empty() {
        let before = evicted(&mut server);
        server.receive(other, b"EXISTS large\r\n");
        server.some_turns(1);
        assert!(!server.take_output(other).is_empty(), "turn {turns}");
        let gone = evicted(&mut server) - before;
        // As much for what runs in it as at its end.
        let most = 2 * ROOM_STEPS_PER_TURN;
        assert!(gone <= u64::from(most), "{gone} went in turn {turns}");
        reply = server.take_output(writer);
        turns += 1;
        assert!(turns < 1000, "it waits for ever");
    }
    assert_eq!(reply, b"+OK\r\n");
    assert!(turns > 4, "{turns}");
}

#[test]
fn a_write_waits_no_longer_for_others_than_they_are_given_time() {
    const LIMIT: usize = 16 * MIB;
    let mut server = under(LIMIT, "allkeys-lru", 2);
    let (filler, writer) = (server.connect(0), server.connect(1));
    for number in 0..400 {
        let key = key_on(0, 2, &format!("k{number}"));
        server.send_alone(filler, &set(&key, 50_000));
    }
    // The other core, which has all there is to evict, takes no turn.
    let key = key_on(1, 2, "large");
    for piece in set(&key, MIB).chunks(64 * 1024) {
        server.receive(writer, piece);
    }
    let clock = |server: &mut Server| {
        server.now_ms += ROOM_PATIENCE_MS / 2;
        server.clock()
    };
    for _ in 0..2 {
        server.cores[1].end_turn();
        assert_eq!(server.take_output(writer), b"", "it waits");
        let now = clock(&mut server);
        server.cores[1].begin_turn(now);
    }
    server.cores[1].end_turn();
    assert_eq!(server.take_output(writer), OOM.as_bytes());
    // The other was asked, and has a turn at last.
    server.some_turns(3);
    let reply = server.send_alone(writer, &set(&key, MIB));
    assert_eq!(reply, "+OK\r\n");
}

#[test]
fn a_core_whose_idle_memory_makes_up_for_what_is_overdrawn_lends_all_the_same() {
    const LIMIT: usize = 64 * MIB;
    let mut server = under(LIMIT, "allkeys-lru", 2);
    let client = server.connect(0);
    let key = |number: usize| key_on(0, 2, &format!("k{number}"));
    let mut number = 0;
    while evicted(&mut server) == 0 {
        server.send_alone(client, &set(&key(number), 20_000));
        number += 1;
    }
    // Blocks between others are idle.
    for gone in (number / 2..number / 2 + 200).step_by(5) {
        server.send_alone(client, format!("DEL {}\r\n", key(gone)).as_bytes());
    }
    // Some more is resident than anybody counts, by less than is idle. What was held ahead is given back before.
    let shared = server.cores[0].state().shared.clone();
    for _ in 0..2 {
        server.turn();
        let gauges = (0..2).map(|core| shared.gauges(CoreId(core)));
        let held: u64 = gauges
            .map(|gauges| gauges.held_bytes.load(Ordering::Relaxed))
            .sum();
        let uncounted = shared.resident.uncounted_bytes().cast_signed();
        let beyond = shared.memory.free_bytes() + uncounted + LIMIT as i64 / 1024;
        server.cores[0].note_resident(ResidentBytes {
            anonymous: held + beyond.cast_unsigned(),
            in_files: 0,
        });
    }
    assert!((1..LIMIT as u64 / 256).contains(&overdrawn(&mut server)));
    let budget = &shared.gauges(CoreId(0)).budget;
    budget.store(WHOLE, Ordering::Relaxed);
    let before = evicted(&mut server);
    server.turn();
    assert_eq!(evicted(&mut server), before, "nothing has to go");
    // This core is beyond what it is to keep to.
    budget.store(WHOLE / 8, Ordering::Relaxed);
    server.turn();
    assert!(evicted(&mut server) > before, "it makes room for others");
}
