//! Clients that write a whole pipeline before they read, and clients that never read.

#![cfg(test)]

use std::sync::atomic::Ordering;

use crate::dispatch::Intent;
use crate::dispatch::tests::testing::{Client, Server, key_on};

/// More than was once kept for a client that does not read.
const MUCH: usize = 18 << 20;

const MIB: usize = 1 << 20;

/// A command of these words.
fn encode(words: &[&str]) -> Vec<u8> {
    crate::resp::encode_command(words.iter().map(|word| word.as_bytes()))
}

/// Writes `pipeline` in pieces, as long as the server reads it, and reads nothing meanwhile.
fn write_whole(server: &mut Server, client: Client, pipeline: &[u8]) {
    for piece in pipeline.chunks(48 << 10) {
        if server.intent(client) != Intent::Read {
            server.turns();
        }
        assert_eq!(
            server.intent(client),
            Intent::Read,
            "the server reads on though the client does not"
        );
        server.receive(client, piece);
        server.turn();
        server.ship();
    }
    server.turns();
}

/// What the commands are answered one at a time, by a single core.
fn answers_one_by_one(setup: &[Vec<u8>], commands: &[Vec<u8>]) -> Vec<u8> {
    let mut server = Server::new(1);
    let client = server.connect(0);
    for command in setup {
        server.send(client, command);
    }
    let mut replies = Vec::new();
    for command in commands {
        server.receive(client, command);
        server.turns();
        replies.extend(server.take_output(client));
    }
    replies
}

/// Compares what a client that writes all before it reads is answered with what one that reads is.
fn assert_whole_pipeline_is_answered(cores: u16, setup: &[Vec<u8>], commands: &[Vec<u8>]) {
    let expected = answers_one_by_one(setup, commands);
    assert!(
        expected.len() > MUCH,
        "{} bytes are no test",
        expected.len()
    );
    let mut server = Server::new(cores);
    let client = server.connect(0);
    for command in setup {
        server.send(client, command);
    }
    write_whole(&mut server, client, &commands.concat());
    let replies = server.read_all(client);
    assert_eq!(replies.len(), expected.len(), "on {cores} cores");
    assert!(replies == expected, "on {cores} cores: replies differ");
    server.disconnect(client);
    server.assert_nothing_is_left();
    // Small sessions are added up from time to time.
    server.advance(200);
    server.turns();
    assert_eq!(held_by_all(&mut server), 0);
}

/// A key of every core, with a value of so many bytes, and the commands that set them.
fn keys(cores: u16, value_bytes: usize) -> (Vec<String>, Vec<Vec<u8>>) {
    let keys: Vec<String> = (0..cores).map(|core| key_on(core, cores, "k")).collect();
    let value = "v".repeat(value_bytes);
    let sets = keys.iter().map(|key| encode(&["SET", key, &value]));
    let sets = sets.collect();
    (keys, sets)
}

#[test]
fn gets_of_small_values_written_whole_are_answered_whole() {
    for cores in 1..=4 {
        let (keys, setup) = keys(cores, 500);
        let of = |at: usize| encode(&["GET", &keys[at % keys.len()]]);
        let commands: Vec<_> = (0..MUCH / 500).map(of).collect();
        assert_whole_pipeline_is_answered(cores, &setup, &commands);
    }
}

#[test]
fn gets_of_large_values_written_whole_are_answered_whole() {
    for cores in 1..=4 {
        let (keys, setup) = keys(cores, 150_000);
        let of = |at: usize| encode(&["GET", &keys[at % keys.len()]]);
        let commands: Vec<_> = (0..400).map(of).collect();
        assert_whole_pipeline_is_answered(cores, &setup, &commands);
    }
}

#[test]
fn gathered_replies_of_a_pipeline_written_whole_come_in_order() {
    for cores in 1..=4 {
        let (keys, setup) = keys(cores, 30_000);
        let mget: Vec<&str> = std::iter::once("MGET")
            .chain(keys.iter().map(String::as_str))
            .collect();
        let commands: Vec<_> = (0..2 * MUCH / 30_000 / usize::from(cores))
            .flat_map(|_| [encode(&mget), encode(&["INCR", "n"])])
            .collect();
        assert_whole_pipeline_is_answered(cores, &setup, &commands);
    }
}

#[test]
fn transactions_and_scripts_of_a_pipeline_written_whole_come_in_order() {
    for cores in 1..=4 {
        let (keys, setup) = keys(cores, 60_000);
        let script = "redis.call('INCR', ARGV[1]) return redis.call('GET', KEYS[1])";
        let of = |at: usize| {
            let (one, other) = (&keys[at % keys.len()], &keys[(at + 1) % keys.len()]);
            [
                encode(&["MULTI"]),
                encode(&["GET", one]),
                encode(&["APPEND", "log", "x"]),
                encode(&["GET", other]),
                encode(&["EXEC"]),
                encode(&["EVAL", script, "1", one, "runs"]),
                encode(&["EVAL", "return redis.call('GET', KEYS[2])", "2", one, other]),
                encode(&["STRLEN", "log"]),
            ]
        };
        let commands: Vec<_> = (0..100).flat_map(of).collect();
        assert_whole_pipeline_is_answered(cores, &setup, &commands);
    }
}

#[test]
fn a_pipeline_whose_replies_are_not_wanted_is_run_whole() {
    for cores in 1..=4 {
        let (keys, setup) = keys(cores, 100_000);
        let mut server = Server::new(cores);
        let client = server.connect(0);
        for command in &setup {
            server.send(client, command);
        }
        let get = |at: usize| encode(&["GET", &keys[at % keys.len()]]);
        let mut commands = vec![encode(&["CLIENT", "REPLY", "OFF"])];
        commands.extend((0..300).flat_map(|at| [get(at), encode(&["INCR", "n"])]));
        commands.push(encode(&["CLIENT", "REPLY", "ON"]));
        commands.extend((0..300).flat_map(|at| {
            [
                encode(&["CLIENT", "REPLY", "SKIP"]),
                get(at),
                get(at),
                encode(&["INCR", "n"]),
            ]
        }));
        write_whole(&mut server, client, &commands.concat());
        let replies = server.read_all(client);
        let value = format!("$100000\r\n{}\r\n", "v".repeat(100_000));
        let expected: String = (301..=600).map(|n| format!("{value}:{n}\r\n")).collect();
        assert!(
            replies == format!("+OK\r\n{expected}").into_bytes(),
            "on {cores} cores"
        );
    }
}

/// What all clients make the server hold, as it counts them.
fn held_by_all(server: &mut Server) -> usize {
    let shared = &server.cores[0].state().shared;
    shared.client_bytes.load(Ordering::Relaxed) as usize
}

fn held_by(server: &mut Server, (core, id): Client) -> usize {
    let session = server.cores[core].state().sessions.get(id);
    session.map_or(0, |session| session.output.pending_bytes())
}

/// A server whose clients may hold so much, with values of 100,000 bytes.
fn bounded(cores: u16, directives: &[(&str, &str)]) -> (Server, Vec<String>) {
    let mut server = Server::configured(cores, directives);
    let (keys, setup) = keys(cores, 100_000);
    let client = server.connect(0);
    for command in setup {
        server.send(client, &command);
    }
    (server, keys)
}

#[test]
fn a_client_that_never_reads_holds_its_bound_and_goes_on_when_it_reads() {
    let high_water = ("client-output-buffer-high-water", "2mb");
    for cores in [1, 3] {
        let (mut server, keys) = bounded(cores, &[high_water]);
        let client = server.connect(0);
        let of = |at: usize| encode(&["GET", &keys[at % keys.len()]]);
        let commands: Vec<_> = (0..1000).map(of).collect();
        for piece in commands.concat().chunks(10_000) {
            server.receive(client, piece);
            server.turns();
        }
        let from_others = usize::from(cores - 1) * (4 * MIB + 100_000);
        let held = held_by(&mut server, client);
        assert!(held > 2 * MIB, "{held}");
        assert!(held < 2 * (2 * MIB + 100_000) + from_others, "{held}");
        let stats = &server.cores[0].state().stats;
        assert_eq!((stats.held_back_clients, stats.evicted_clients), (1, 0));
        let mut taken = 0;
        loop {
            let more = server.take_output(client).len();
            if more == 0 {
                break;
            }
            taken += more;
            server.turns();
        }
        assert_eq!(taken, 1000 * (100_000 + "$100000\r\n\r\n".len()));
    }
}

#[test]
fn the_client_that_holds_most_is_closed_when_all_hold_too_much() {
    for cores in [1, 2, 4] {
        let (mut server, keys) = bounded(cores, &[("maxmemory-clients", "20mb")]);
        let get = |count: usize| encode(&["GET", &keys[0]]).repeat(count);
        let last = usize::from(cores) - 1;
        let (large, small, grows) = (server.connect(last), server.connect(0), server.connect(0));
        for (client, count) in [(large, 140), (small, 50)] {
            server.receive(client, &get(count));
            server.turns();
            assert_eq!(server.intent(client), Intent::Read);
        }
        server.receive(grows, &get(30));
        server.turns();
        assert_eq!(server.intent(large), Intent::CloseNow, "on {cores} cores");
        assert_eq!(server.intent(small), Intent::Read);
        assert_eq!(server.intent(grows), Intent::Read);
        assert_eq!(held_by(&mut server, grows), 30 * 100_011);
        assert!(held_by_all(&mut server) < 20 * MIB);
    }
}

#[test]
fn of_clients_that_hold_about_as_much_the_oldest_is_closed() {
    let (mut server, keys) = bounded(2, &[("maxmemory-clients", "20mb")]);
    let get = |count: usize| encode(&["GET", &keys[0]]).repeat(count);
    let clients = [0, 0, 0].map(|core| server.connect(core));
    // The oldest holds a little less than the next.
    for (client, count) in clients.into_iter().zip([60, 70, 90]) {
        server.receive(client, &get(count));
        server.turns();
    }
    let intents = clients.map(|client| server.intent(client));
    let large = clients.map(|client| held_by(&mut server, client));
    assert_eq!(
        intents,
        [Intent::Read, Intent::Read, Intent::CloseNow],
        "{large:?}"
    );

    let clients = [0, 0].map(|core| server.connect(core));
    for client in clients {
        server.receive(client, &get(50));
        server.turns();
    }
    let stats = &server.cores[0].state().stats;
    assert_eq!(
        stats.evicted_clients, 2,
        "of 60, 70, 50 and 50 the oldest of the largest class"
    );
}

#[test]
fn however_many_clients_never_read_they_hold_no_more_than_all_may() {
    for cores in [1, 2, 4] {
        let (mut server, keys) = bounded(cores, &[("maxmemory-clients", "20mb")]);
        let mut most = 0;
        for number in 0..100 {
            let client = server.connect(number % usize::from(cores));
            let key = &keys[number % keys.len()];
            server.receive(client, &encode(&["GET", key]).repeat(1 + number * 7 % 90));
            server.turns();
            most = most.max(held_by_all(&mut server));
            // What the runtime would do.
            if server.intent(client) == Intent::CloseNow {
                server.disconnect(client);
            }
        }
        assert!(most <= 20 * MIB, "{most} on {cores} cores");
        let evicted: u64 = (0..usize::from(cores))
            .map(|core| server.cores[core].state().stats.evicted_clients)
            .sum();
        assert!(evicted > 50, "{evicted}");
    }
}

#[test]
fn a_client_that_may_not_be_evicted_is_not() {
    let (mut server, keys) = bounded(1, &[("maxmemory-clients", "20mb")]);
    let get = |count: usize| encode(&["GET", &keys[0]]).repeat(count);
    let (spared, other) = (server.connect(0), server.connect(0));
    server.send(spared, b"CLIENT NO-EVICT ON\r\n");
    server.receive(spared, &get(150));
    server.receive(other, &get(60));
    server.turns();
    assert_eq!(server.intent(spared), Intent::Read);
    assert_eq!(server.intent(other), Intent::CloseNow);
}

#[test]
fn requests_count_towards_what_clients_hold() {
    let mut server = Server::configured(1, &[("maxmemory-clients", "20mb")]);
    let (sends, queues) = (server.connect(0), server.connect(0));
    server.receive(queues, b"MULTI\r\n");
    let set = encode(&["SET", "k", &"v".repeat(100_000)]);
    server.receive(queues, &set.repeat(40));
    server.receive(sends, b"*2\r\n$4\r\nECHO\r\n$100000000\r\n");
    for _ in 0..100 {
        server.receive(sends, &vec![b'x'; MIB]);
        server.turns();
    }
    assert_eq!(server.intent(sends), Intent::CloseNow);
    assert_eq!(server.intent(queues), Intent::Read);
}

#[test]
fn the_replies_of_one_exec_are_no_more_than_all_clients_may_hold() {
    for cores in [1, 2] {
        let (mut server, keys) = bounded(cores, &[("maxmemory-clients", "20mb")]);
        for key in &keys {
            let client = server.connect(0);
            server.send(client, b"MULTI\r\n");
            server.send(client, &encode(&["GET", key]).repeat(1000));
            server.receive(client, b"INCR n\r\nEXEC\r\n");
            server.turns();
            assert_eq!(server.intent(client), Intent::CloseNow);
            let held = held_by(&mut server, client);
            assert!(held < 2 * MIB, "{held}");
            server.disconnect(client);
        }
        let other = server.connect(0);
        let ran = format!("$1\r\n{cores}\r\n");
        assert_eq!(server.send(other, b"GET n\r\n"), ran, "it ran to its end");
    }
}

#[test]
fn a_long_pipeline_has_its_part_of_each_turn() {
    let (mut server, keys) = bounded(1, &[]);
    let client = server.connect(0);
    // One piece of input makes 200 MB of replies.
    server.receive(client, &encode(&["GET", &keys[0]]).repeat(2000));
    let after_receive = held_by(&mut server, client);
    assert!(after_receive < 18 * MIB, "{after_receive}");
    server.receive(client, &encode(&["GET", &keys[0]]));
    assert_eq!(
        held_by(&mut server, client),
        after_receive,
        "it has had its part"
    );
    let mut held = after_receive;
    for _ in 0..20 {
        server.turn();
        let now = held_by(&mut server, client);
        assert!(now <= held.max(16 * MIB) + 2 * MIB);
        held = now;
    }
    server.turns();
    assert_eq!(held_by(&mut server, client), 2001 * 100_011);
}

#[test]
fn a_command_that_waited_for_locks_is_not_set_aside_for_what_came_behind_it() {
    let mut server = Server::new(4);
    let (mover, reader) = (server.connect(0), server.connect(3));
    let (locked, large, to) = (key_on(1, 4, "a"), key_on(1, 4, "large"), key_on(2, 4, "b"));
    server.send(mover, format!("SET {locked} v\r\n").as_bytes());
    server.send(mover, format!("SETRANGE {large} 1048575 x\r\n").as_bytes());
    server.receive(mover, format!("RENAME {locked} {to}\r\n").as_bytes());
    server.ship_from(0);
    while server.deliver_one(0, 1) {}
    // The lock is held on core 1. What is asked for behind it is not held up, and its answers are large.
    let gets = format!("GET {large}\r\n").repeat(8);
    server.receive(reader, format!("GET {locked}\r\n{gets}").as_bytes());
    server.ship_from(3);
    while server.deliver_one(3, 1) {}
    server.ship_between(1, 3);
    while server.deliver_one(1, 3) {}
    server.turns();
    let mut replies = Vec::new();
    loop {
        let more = server.take_output(reader);
        if more.is_empty() {
            break;
        }
        replies.extend(more);
        server.turns();
    }
    assert!(
        replies.starts_with(b"$-1\r\n$1048576\r\n"),
        "{}",
        replies.len()
    );
    assert_eq!(
        replies.len(),
        "$-1\r\n".len() + 8 * (MIB + "$1048576\r\n\r\n".len())
    );
}
