//! What a session has yet to take of large answers is bounded.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};
use crate::routing::CoreId;
use crate::session::{LARGE_ANSWERS_MAX_BYTES, LargeAnswer};

const VALUE_BYTES: usize = 1 << 20;

const HIGH_WATER_BYTES: usize = 2 << 20;

/// A server of three cores that keeps few replies, a client of the first, and a key of each other core, with a large
/// value.
fn with_large_values() -> (Server, Client, [String; 2]) {
    let mut server = Server::configured(3, &[("client-output-buffer-high-water", "2mb")]);
    let client = server.connect(0);
    let keys = [1, 2].map(|core| key_on(core, 3, "large"));
    for key in &keys {
        let set = format!("SETRANGE {key} {} x\r\n", VALUE_BYTES - 1);
        assert_eq!(server.send(client, set.as_bytes()), ":1048576\r\n");
    }
    (server, client, keys)
}

fn held_bytes(server: &mut Server, (core, id): Client) -> usize {
    let session = server.cores[core].state().sessions.get(id).unwrap();
    session.output.pending_bytes()
}

/// Takes replies until no more come. Bytes taken, and the most that were held at a time.
fn take_all(server: &mut Server, client: Client) -> (Vec<u8>, usize) {
    let (mut taken, mut most) = (Vec::new(), 0);
    loop {
        server.turns();
        most = most.max(held_bytes(server, client));
        let more = server.take_output(client);
        if more.is_empty() {
            return (taken, most);
        }
        taken.extend(more);
    }
}

#[test]
fn what_other_cores_answer_a_client_that_does_not_read_is_bounded_and_comes_when_it_reads() {
    let (mut server, client, keys) = with_large_values();
    let commands: String = (0..400)
        .map(|turn| format!("GET {}\r\nPING\r\n", keys[turn % 2]))
        .collect();
    server.receive(client, commands.as_bytes());
    let (taken, most) = take_all(&mut server, client);
    let one = VALUE_BYTES + "$1048576\r\n\r\n".len();
    assert_eq!(taken.len(), 400 * (one + "+PONG\r\n".len()));
    let bound = 2 * (LARGE_ANSWERS_MAX_BYTES as usize + one) + HIGH_WATER_BYTES + one;
    assert!(most <= bound, "{most} bytes held, {bound} allowed");
    server.disconnect(client);
    server.assert_nothing_is_left();
}

#[test]
fn gathered_replies_are_bounded_too() {
    let (mut server, client, keys) = with_large_values();
    let command = format!("MGET {} {}\r\n", keys[0], keys[1]);
    server.receive(client, command.repeat(100).as_bytes());
    let (taken, most) = take_all(&mut server, client);
    assert!(taken.len() > 200 * VALUE_BYTES);
    assert!(most < 16 * VALUE_BYTES, "{most} bytes held");
    server.disconnect(client);
    server.assert_nothing_is_left();
}

#[test]
fn credit_comes_back_for_large_answers_that_made_a_small_reply() {
    let mut server = Server::new(2);
    let (core, id) = server.connect(0);
    let bytes = 2 * LARGE_ANSWERS_MAX_BYTES;
    // As after many `INFO`s: each core's part is long, and the reply made of them short.
    let session = server.cores[core].state().sessions.get_mut(id).unwrap();
    let seq = session.output.expect();
    session
        .output
        .fill(seq, |out| out.extend_from_slice(b"+OK\r\n"));
    let from = CoreId(1);
    session.large_answers.push(LargeAnswer { from, seq, bytes });
    server.cores[1].note_large_answers(CoreId(0), id, bytes as usize);
    let get = format!("GET {}\r\n", key_on(1, 2, "k"));
    assert!(server.send((core, id), get.as_bytes()).ends_with("$-1\r\n"));
    server.disconnect((core, id));
    server.assert_nothing_is_left();
}

#[test]
fn commands_set_aside_keep_their_order_those_without_a_reply_too() {
    let (mut server, client, keys) = with_large_values();
    let key = &keys[0];
    let mut commands = format!("GET {key}\r\n").repeat(10);
    commands += &format!("SET {key} a\r\nAPPEND {key} b\r\nCLIENT REPLY SKIP\r\n");
    commands += &format!("APPEND {key} c\r\nAPPEND {key} d\r\nGET {key}\r\n");
    server.receive(client, commands.as_bytes());
    let (taken, _) = take_all(&mut server, client);
    assert!(taken.ends_with(b"\r\n+OK\r\n:2\r\n:4\r\n$4\r\nabcd\r\n"));
}

#[test]
fn a_client_that_goes_without_reading_leaves_nothing_behind() {
    for reads in [0, 1, 3] {
        let (mut server, client, keys) = with_large_values();
        let commands = format!("GET {}\r\nMGET {} {}\r\n", keys[0], keys[1], keys[0]);
        server.receive(client, commands.repeat(50).as_bytes());
        for _ in 0..reads {
            server.turns();
            server.take_output(client);
        }
        server.disconnect(client);
        server.assert_nothing_is_left();
    }
}
