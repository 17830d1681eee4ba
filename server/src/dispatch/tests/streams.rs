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
