//! Long commands over cores: one that asks its own core alone does not hold that core up, and one whose client has gone ends soon, if it
//! only reads.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};

fn send(server: &mut Server, client: Client, command: &str) -> String {
    server.send(client, format!("{command}\r\n").as_bytes())
}

/// Sends a command, and nothing more happens.
fn begin(server: &mut Server, client: Client, command: &str) {
    server.receive(client, format!("{command}\r\n").as_bytes());
}

/// Sets of so many members on each of two cores, and a small one.
fn server_with_sets(members: usize) -> (Server, Client, [String; 3]) {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let keys = [(0, "large"), (1, "other"), (1, "small")];
    let keys = keys.map(|(core, name)| key_on(core, 2, name));
    let numbers: Vec<usize> = (0..members).collect();
    for some in numbers.chunks(1000) {
        for (key, word) in [(&keys[0], "member"), (&keys[1], "number")] {
            let words: String = some.iter().map(|n| format!(" {word}:{n}")).collect();
            begin(&mut server, client, &format!("SADD {key}{words}"));
            server.read_all(client);
        }
    }
    send(
        &mut server,
        client,
        &format!("SADD {} member:1 member:x", keys[2]),
    );
    (server, client, keys)
}

/// Turns until a client is sent something, in each of which a neighbour on its core is served.
fn turns_until_answered(
    server: &mut Server,
    client: Client,
    neighbour: Client,
) -> (usize, Vec<u8>) {
    for turns in 1..10_000 {
        begin(server, neighbour, "PING");
        server.some_turns(1);
        assert_eq!(server.take_output(neighbour), b"+PONG\r\n");
        let output = server.take_output(client);
        if !output.is_empty() {
            return (turns, [output, server.read_all(client)].concat());
        }
    }
    panic!("there is no answer");
}

#[test]
fn rounds_that_ask_their_own_core_alone_are_spread_over_turns() {
    let turns = [10_000, 40_000].map(|members| {
        let (mut server, client, [large, _, small]) = server_with_sets(members);
        let neighbour = server.connect(0);
        let to = key_on(0, 2, "to");
        begin(
            &mut server,
            client,
            &format!("SUNIONSTORE {to} {large} {small}"),
        );
        let (turns, reply) = turns_until_answered(&mut server, client, neighbour);
        assert_eq!(reply, format!(":{}\r\n", members + 1).into_bytes());
        for client in [client, neighbour] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
        turns
    });
    assert!(turns[0] >= 4 && turns[1] >= 2 * turns[0], "{turns:?}");
}

#[test]
fn in_an_exec_and_in_a_script_such_rounds_come_to_their_end() {
    let (mut server, client, [large, _, small]) = server_with_sets(20_000);
    let to = key_on(0, 2, "to");
    let store = format!("SUNIONSTORE {to} {large} {small}");
    let exec = format!("MULTI\r\n{store}\r\nSCARD {to}\r\nDEL {to}\r\nEXEC");
    let reply = send(&mut server, client, &exec);
    assert!(
        reply.ends_with("*3\r\n:20001\r\n:20001\r\n:1\r\n"),
        "{reply}"
    );
    let script = format!(
        "EVAL \"return redis.call('SUNIONSTORE', KEYS[1], KEYS[2], KEYS[3])\" 3 {to} {large} {small}"
    );
    assert_eq!(send(&mut server, client, &script), ":20001\r\n");
    server.disconnect(client);
    server.assert_nothing_is_left();
}

#[test]
fn what_only_reads_gives_its_locks_back_soon_when_its_client_has_gone() {
    let (mut server, client, [large, other, small]) = server_with_sets(40_000);
    for (command, whole_turns) in [
        (format!("DUMP {other}"), 10),
        (format!("SMEMBERS {other}"), 10),
        (format!("SUNION {large} {other}"), 30),
        (format!("SINTER {large} {other}"), 10),
        (format!("SDIFF {large} {other} {small}"), 10),
    ] {
        let turns_locked = [true, false].map(|stays| {
            let leaver = server.connect(0);
            begin(&mut server, leaver, &command);
            let mut turns = 0;
            server.some_turns(4);
            assert!(server.cores[1].has_locks(), "{command}");
            if !stays {
                server.disconnect(leaver);
            }
            while server.cores.iter().any(|core| core.has_locks()) {
                server.some_turns(1);
                turns += 1;
                assert!(turns < 10_000, "{command}");
            }
            if stays {
                server.read_all(leaver);
                server.disconnect(leaver);
            }
            server.turns();
            let loose = server
                .cores
                .iter_mut()
                .map(|core| core.state().shard.loose_count());
            assert_eq!(loose.sum::<usize>(), 0, "{command}");
            turns
        });
        let [whole, left] = turns_locked;
        assert!(whole >= whole_turns, "{command}: {whole}");
        assert!(left <= 6, "{command}: {left} of {whole}");
    }
    server.disconnect(client);
    server.assert_nothing_is_left();
}
