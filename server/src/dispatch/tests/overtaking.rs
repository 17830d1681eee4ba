//! Whoever waits for locks, or is on the way, is overtaken by nothing that is due behind.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};

fn encode(words: &[&str]) -> Vec<u8> {
    crate::resp::encode_command(words.iter().map(|word| word.as_bytes()))
}

/// Has a client of the first core copy `key`, which lives on the second, to `to` on the first; core 1 has locked it, and word of
/// that is on its way.
fn begin_copy(server: &mut Server, key: &str, to: &str) -> Client {
    let copier = server.connect(0);
    server.receive(copier, &encode(&["COPY", key, to, "REPLACE"]));
    server.ship_from(0);
    server.turn_of(1);
    copier
}

#[test]
fn a_script_that_waited_for_its_key_sees_no_other_key_later() {
    let mut server = Server::new(2);
    let (declared, other) = (key_on(1, 2, "declared"), key_on(1, 2, "other"));
    let (middle, copy) = (key_on(0, 2, "middle"), key_on(0, 2, "copy"));
    let (reader, writer) = (server.connect(1), server.connect(0));
    server.send(
        writer,
        &encode(&["MSET", &declared, "old", &other, "old", &middle, "0"]),
    );
    let copier = begin_copy(&mut server, &declared, &copy);
    let body = "return redis.call('GET', KEYS[1]) .. ' ' .. redis.call('GET', ARGV[1])";
    server.receive(reader, &encode(&["EVAL", body, "1", &declared, &other]));
    server.turn_of(1);
    // In the order of places: what is written second has been so before the script reads, what is written first has not.
    let first = encode(&["MSET", &declared, "new", &middle, "1"]);
    let second = encode(&["MSET", &middle, "2", &other, "new"]);
    server.receive(writer, &[first, second].concat());
    server.ship_from(0);
    server.turn_of(1);
    server.turns();
    let seen = String::from_utf8(server.take_output(reader)).unwrap();
    assert!(!seen.contains("old new"), "{seen}");
    assert!(seen.contains("old old") || seen.contains("new"), "{seen}");
    assert_eq!(server.take_output(writer), b"+OK\r\n+OK\r\n");
    assert_eq!(server.take_output(copier), b":1\r\n");
}

#[test]
fn a_script_that_begins_again_elsewhere_comes_behind_what_its_session_sent_before() {
    let mut server = Server::new(3);
    let (declared, other) = (key_on(1, 3, "declared"), key_on(2, 3, "other"));
    let client = server.connect(0);
    let body = "redis.call('APPEND', KEYS[1], 'x') return redis.call('APPEND', ARGV[1], '2')";
    let pipeline = [
        encode(&["APPEND", &other, "1"]),
        encode(&["EVAL", body, "1", &declared, &other]),
    ];
    server.receive(client, &pipeline.concat());
    server.ship_from(0);
    // What core 1 begins comes to core 2 before what core 0 has sent there.
    server.turn_of(1);
    server.deliver_one(1, 2);
    server.turns();
    assert_eq!(server.take_output(client), b":1\r\n:2\r\n");
    let value = server.send(client, &encode(&["GET", &other]));
    assert_eq!(value, "$2\r\n12\r\n");
}

#[test]
fn an_exec_at_the_core_of_its_keys_waits_for_what_its_session_wrote_to_a_key_it_watches() {
    let mut server = Server::new(2);
    let (watched, used) = (key_on(1, 2, "watched"), key_on(1, 2, "used"));
    let copy = key_on(0, 2, "copy");
    let client = server.connect(0);
    server.send(client, &encode(&["SET", &watched, "x"]));
    server.send(client, &encode(&["WATCH", &watched]));
    let copier = begin_copy(&mut server, &watched, &copy);
    let pipeline = [
        encode(&["APPEND", &watched, "y"]),
        encode(&["MULTI"]),
        encode(&["SET", &used, "1"]),
        encode(&["EXEC"]),
    ];
    server.receive(client, &pipeline.concat());
    server.ship_from(0);
    server.turn_of(1);
    server.turns();
    // Its own write breaks the watch.
    assert_eq!(
        server.take_output(client),
        b":2\r\n+OK\r\n+QUEUED\r\n*-1\r\n"
    );
    assert_eq!(server.take_output(copier), b":1\r\n");
}
