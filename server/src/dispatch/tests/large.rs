//! Commands with large arguments: received into a buffer of their own, which becomes the value.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};

/// Above what is copied; a multiple of a page, so that a page more tells an adopted buffer from a copy.
const LARGE: usize = 3 << 20;

fn set(key: &str, value: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n",
        key.len(),
        value.len()
    )
    .into_bytes();
    request.extend_from_slice(value);
    request.extend_from_slice(b"\r\n");
    request
}

/// Hands `bytes` in as they might come from a socket.
fn send_in_pieces(server: &mut Server, client: Client, bytes: &[u8], piece: usize) -> String {
    for piece in bytes.chunks(piece) {
        server.receive(client, piece);
    }
    server.send(client, b"")
}

fn used(server: &mut Server, core: usize) -> u64 {
    server.cores[core].state().shard.memory().entry_bytes
}

/// More turns than giving everything back takes.
fn tend_to_the_end(server: &mut Server) {
    for _ in 0..100 {
        server.turn();
    }
}

fn value() -> Vec<u8> {
    (0..LARGE).map(|n| b'a' + (n % 23) as u8).collect()
}

#[test]
fn a_large_value_is_adopted_by_the_core_that_owns_its_key() {
    let value = value();
    for piece in [1000, 16 << 10, 100_000, usize::MAX] {
        let mut server = Server::new(2);
        let client = server.connect(0);
        for owner in 0..2 {
            let key = key_on(owner, 2, "key");
            let mut request = set(&key, &value);
            request
                .extend_from_slice(format!("STRLEN {key}\r\nGETRANGE {key} -3 -1\r\n").as_bytes());
            let replies = send_in_pieces(&mut server, client, &request, piece);
            let end = String::from_utf8_lossy(&value[LARGE - 3..]);
            assert_eq!(replies, format!("+OK\r\n:{LARGE}\r\n$3\r\n{end}\r\n"));
            let got = server.send(client, format!("GET {key}\r\n").as_bytes());
            let (_, got) = got.split_once("\r\n").expect("a header");
            assert!(got.as_bytes()[..LARGE] == value);
            let used = used(&mut server, usize::from(owner));
            // All at once it never was unread: then it is copied.
            let rounding = if piece == usize::MAX { 0 } else { 4096 };
            assert!(
                used >= (LARGE + rounding) as u64,
                "{used} in pieces of {piece}"
            );
            assert!(used < (LARGE + 200_000) as u64);
        }
    }
}

#[test]
fn a_value_that_was_adopted_can_be_changed_in_place() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    for owner in 0..2 {
        let key = key_on(owner, 2, "key");
        send_in_pieces(&mut server, client, &set(&key, &value()), 50_000);
        let request = format!(
            "SETRANGE {key} 0 X\r\nAPPEND {key} end\r\nGETRANGE {key} 0 1\r\nGETRANGE {key} -4 -1\r\n"
        );
        let last = char::from(value()[LARGE - 1]);
        assert_eq!(
            server.send(client, request.as_bytes()),
            format!(
                ":{LARGE}\r\n:{}\r\n$2\r\nXb\r\n$4\r\n{last}end\r\n",
                LARGE + 3
            )
        );
        server.cores[usize::from(owner)].state().shard.check();
    }
}

#[test]
fn a_large_argument_that_becomes_no_value_leaves_nothing_behind() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    for owner in 0..2 {
        let key = key_on(owner, 2, "key");
        let refused = set(&key, &value());
        let refused = [b"*3\r\n$4\r\nDECR".as_slice(), &refused[11..]].concat();
        let reply = send_in_pieces(&mut server, client, &refused, 50_000);
        assert!(reply.starts_with("-ERR wrong number"), "{reply}");
        let not_set = set(&key, &value());
        let not_set = [
            b"*4\r\n$3\r\nSET".as_slice(),
            &not_set[11..],
            b"$2\r\nXX\r\n",
        ]
        .concat();
        assert_eq!(
            send_in_pieces(&mut server, client, &not_set, 50_000),
            "$-1\r\n"
        );
        tend_to_the_end(&mut server);
        assert_eq!(used(&mut server, 0) + used(&mut server, 1), 0);
    }
}

#[test]
fn a_client_that_leaves_within_a_large_argument_leaves_nothing_behind() {
    let mut server = Server::new(1);
    let client = server.connect(0);
    let request = set("key", &value());
    send_in_pieces(&mut server, client, &request[..LARGE - 5], 50_000);
    server.disconnect(client);
    assert!(
        used(&mut server, 0) > 2 << 20,
        "counted until it is given back"
    );
    tend_to_the_end(&mut server);
    assert_eq!(used(&mut server, 0), 0);
}

#[test]
fn a_large_command_that_has_to_wait_runs_with_what_came_behind_it() {
    let mut server = Server::new(2);
    let (other, client) = (server.connect(0), server.connect(0));
    for owner in 0..2 {
        let key = key_on(owner, 2, "key");
        server.send(other, b"CLIENT PAUSE 100 WRITE\r\n");
        let mut request = set(&key, &value());
        request.extend_from_slice(format!("STRLEN {key}\r\n").as_bytes());
        assert_eq!(send_in_pieces(&mut server, client, &request, 50_000), "");
        assert_eq!(send_in_pieces(&mut server, client, b"PING\r\n", 50_000), "");
        server.advance(200);
        server.turns();
        let replies = server.send(client, b"");
        assert_eq!(replies, format!("+OK\r\n:{LARGE}\r\n+PONG\r\n"));
    }
}

#[test]
fn large_values_pass_through_transactions_and_commands_of_several_keys() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let (near, far) = (key_on(0, 2, "key"), key_on(1, 2, "key"));
    let mut request = b"MULTI\r\n".to_vec();
    request.extend(set(&near, &value()));
    request.extend(set(&far, &value()));
    request.extend_from_slice(b"EXEC\r\n");
    assert_eq!(
        send_in_pieces(&mut server, client, &request, 50_000),
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n"
    );
    let request = set(&near, &value());
    let request = [b"*5\r\n$4\r\nMSET".as_slice(), &request[11..]].concat();
    let second = set(&far, &value());
    let request = [&request, &second[13..]].concat();
    assert_eq!(
        send_in_pieces(&mut server, client, &request, 50_000),
        "+OK\r\n"
    );
    for key in [near, far] {
        let length = server.send(client, format!("STRLEN {key}\r\n").as_bytes());
        assert_eq!(length, format!(":{LARGE}\r\n"));
    }
}
