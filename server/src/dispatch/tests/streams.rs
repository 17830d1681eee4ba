//! Streams on servers of several cores: what reads several is told of each, in order, and changes all groups or none.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};
use crate::resp::with_replies_of;

fn send(server: &mut Server, client: Client, command: &str) -> String {
    server.send(client, format!("{command}\r\n").as_bytes())
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// Streams on the cores by turns, each with one entry, and a group.
fn streams(server: &mut Server, client: Client, cores: u16, count: u16) -> Vec<String> {
    let keys: Vec<String> = (0..count)
        .map(|at| key_on(at % cores, cores, &format!("stream{at}")))
        .collect();
    for key in &keys {
        assert_eq!(
            send(server, client, &format!("XADD {key} 1 a {key}")),
            bulk("1-0")
        );
        assert_eq!(
            send(server, client, &format!("XGROUP CREATE {key} g 0")),
            "+OK\r\n"
        );
    }
    keys
}

fn shown(keys: &[String]) -> String {
    let of = |key: &String| {
        format!(
            "*2\r\n{}*1\r\n*2\r\n{}*2\r\n{}{}",
            bulk(key),
            bulk("1-0"),
            bulk("a"),
            bulk(key)
        )
    };
    let shown: Vec<String> = keys.iter().map(of).collect();
    format!("*{}\r\n{}", keys.len(), shown.concat())
}

#[test]
fn many_streams_of_several_cores_are_read_in_their_order() {
    for cores in [1, 2, 3] {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        let keys = streams(&mut server, client, cores, 200);
        let (names, zeros, news) = (keys.join(" "), ["0"; 200].join(" "), [">"; 200].join(" "));
        let read = format!("XREAD COUNT 5 STREAMS {names} {zeros}");
        assert_eq!(send(&mut server, client, &read), shown(&keys));
        let read = format!("XREADGROUP GROUP g me STREAMS {names} {news}");
        assert_eq!(send(&mut server, client, &read), shown(&keys));
        assert_eq!(send(&mut server, client, &read), "*-1\r\n");
        let history = format!("XREADGROUP GROUP g me STREAMS {names} {zeros}");
        assert_eq!(send(&mut server, client, &history), shown(&keys));
        server.disconnect(client);
        server.assert_nothing_is_left();
    }
}

#[test]
fn the_first_stream_that_cannot_be_read_says_why_and_no_group_goes_on() {
    let mut server = Server::new(3);
    let client = server.connect(1);
    let keys = streams(&mut server, client, 3, 6);
    let names = keys.join(" ");
    send(
        &mut server,
        client,
        &format!("XGROUP DESTROY {} g", keys[4]),
    );
    send(&mut server, client, &format!("SET {} string", keys[5]));
    let read = format!("XREADGROUP GROUP g me STREAMS {names} > > > > > >");
    let reply = send(&mut server, client, &read);
    assert!(reply.starts_with("-NOGROUP"), "{reply}");
    let pending = format!("XPENDING {} g", keys[0]);
    let none = "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n";
    assert_eq!(send(&mut server, client, &pending), none);
    server.disconnect(client);
    server.assert_nothing_is_left();
}

#[test]
fn streams_that_are_too_large_together_change_no_group() {
    let mut server = Server::new(3);
    let client = server.connect(2);
    let keys = streams(&mut server, client, 3, 6);
    let names = keys.join(" ");
    for read in [
        format!("XREAD STREAMS {names} 0 0 0 0 0 0"),
        format!("XREADGROUP GROUP g me STREAMS {names} > > > > > >"),
    ] {
        // Of each core they are few enough.
        let reply = with_replies_of(150, || send(&mut server, client, &read));
        assert!(reply.contains("exceeds the maximum"), "{reply}");
        let pending = format!("XINFO GROUPS {}", keys[5]);
        let told = send(&mut server, client, &pending);
        assert!(told.contains("consumers\r\n:0"), "{told}");
        assert_eq!(send(&mut server, client, &read), shown(&keys));
    }
    server.disconnect(client);
    server.assert_nothing_is_left();
}

#[test]
fn a_stream_named_twice_among_others_is_read_on() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let keys = streams(&mut server, client, 2, 2);
    let (one, other) = (&keys[0], &keys[1]);
    let read = format!("XREADGROUP GROUP g me STREAMS {one} {other} {one} > > >");
    assert_eq!(send(&mut server, client, &read), shown(&keys));
    let read = format!("XREADGROUP GROUP g me BLOCK 0 STREAMS {one} {other} {one} > > >");
    assert_eq!(send(&mut server, client, &read), "");
    let writer = server.connect(1);
    send(&mut server, writer, &format!("XADD {other} 2 a b"));
    server.turns();
    let heard = String::from_utf8(server.take_output(client)).unwrap();
    assert!(heard.contains("2-0"), "{heard}");
    for client in [client, writer] {
        server.disconnect(client);
    }
    server.assert_nothing_is_left();
}

#[test]
fn who_claims_is_served_when_an_entry_has_been_pending_for_long_enough() {
    for session_core in [0, 1] {
        let mut server = Server::new(2);
        let (client, other) = (server.connect(session_core), server.connect(0));
        // On one core, and on two.
        for count in [1, 2] {
            let keys = streams(&mut server, other, 2, count);
            let (last, news) = (keys.last().unwrap(), vec![">"; keys.len()].join(" "));
            let names = keys.join(" ");
            let read = format!("XREADGROUP GROUP g other STREAMS {names} {news}");
            send(&mut server, other, &read);
            server.advance(30);
            let read = format!("XREADGROUP GROUP g me BLOCK 0 CLAIM 100 STREAMS {names} {news}");
            assert_eq!(send(&mut server, client, &read), "");
            server.advance(60);
            server.turns();
            assert_eq!(server.take_output(client), b"", "it is not old enough");
            // Nothing else comes: the core wakes by itself.
            let now_ms = server.clock().monotonic_ms();
            let wakes = server.cores.iter().filter_map(|core| core.next_wake_ms());
            assert!(wakes.min().is_some_and(|at| at <= now_ms + 20));
            server.advance(20);
            server.turns();
            let heard = String::from_utf8(server.take_output(client)).unwrap();
            assert!(heard.contains("1-0"), "{heard}");
            let pending = send(&mut server, other, &format!("XPENDING {last} g - + 9"));
            assert!(
                pending.contains("me") && pending.contains(":2\r\n"),
                "{pending}"
            );
            send(&mut server, other, &format!("DEL {names}"));
        }
        for client in [client, other] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

#[test]
fn who_claims_is_served_with_what_comes_to_be_pending_while_it_waits() {
    for session_core in [0, 1] {
        let mut server = Server::new(2);
        let (client, other) = (server.connect(session_core), server.connect(0));
        // On one core, and on two.
        for count in [1, 2] {
            let keys = streams(&mut server, other, 2, count);
            let (last, news) = (keys.last().unwrap(), vec![">"; keys.len()].join(" "));
            let names = keys.join(" ");
            for key in &keys {
                send(&mut server, other, &format!("XGROUP SETID {key} g $"));
            }
            let read = format!("XREADGROUP GROUP g me BLOCK 0 CLAIM 100 STREAMS {names} {news}");
            assert_eq!(send(&mut server, client, &read), "");
            server.advance(70);
            server.turns();
            // It is given to another without a word to those who wait.
            send(
                &mut server,
                other,
                &format!("XCLAIM {last} g other 0 1-0 FORCE JUSTID"),
            );
            for _ in 0..2 {
                server.advance(60);
                server.turns();
            }
            let heard = String::from_utf8(server.take_output(client)).unwrap();
            assert!(heard.contains("1-0"), "{heard}");
            send(&mut server, other, &format!("DEL {names}"));
        }
        for client in [client, other] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

#[test]
fn who_reads_for_a_group_hears_that_the_stream_has_gone() {
    for loss in [
        "DEL",
        "PEXPIRE",
        "SET",
        "RENAME",
        "FLUSHALL",
        "XGROUP DESTROY",
        "UNLINK",
    ] {
        let mut server = Server::new(2);
        let (client, other) = (server.connect(0), server.connect(1));
        // On one core, and on two.
        for count in [1, 2] {
            let keys = streams(&mut server, other, 2, count);
            let (last, news) = (keys.last().unwrap(), vec![">"; keys.len()].join(" "));
            let names = keys.join(" ");
            for key in &keys {
                send(&mut server, other, &format!("XGROUP SETID {key} g $"));
            }
            let read = format!("XREADGROUP GROUP g me BLOCK 0 STREAMS {names} {news}");
            assert_eq!(send(&mut server, client, &read), "", "{loss}");
            let command = match loss {
                "PEXPIRE" => format!("PEXPIRE {last} 50"),
                "SET" => format!("SET {last} string"),
                "RENAME" => format!("RENAME {last} other"),
                "FLUSHALL" => "FLUSHALL".to_owned(),
                "XGROUP DESTROY" => format!("XGROUP DESTROY {last} g"),
                _ => format!("{loss} {last}"),
            };
            let reply = send(&mut server, other, &command);
            assert!(!reply.starts_with('-'), "{command}: {reply}");
            server.advance(60);
            server.turns();
            for _ in 0..20 {
                server.advance(20);
                server.turns();
            }
            let heard = String::from_utf8(server.take_output(client)).unwrap();
            let expected = if loss == "SET" {
                "-WRONGTYPE"
            } else {
                "-NOGROUP"
            };
            assert!(heard.starts_with(expected), "{loss}: {heard}");
            send(&mut server, other, "FLUSHALL");
        }
        for client in [client, other] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}
