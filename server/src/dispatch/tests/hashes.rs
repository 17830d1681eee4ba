//! Hashes on cores of their own: by hop, inside transactions and scripts, and under thresholds that change.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};

fn send(server: &mut Server, client: Client, commands: &str) -> String {
    server.send(client, format!("{commands}\r\n").as_bytes())
}

#[test]
fn thresholds_hold_on_every_core_from_the_start_and_when_they_change() {
    let mut server = Server::configured(2, &[("hash-max-listpack-entries", "1")]);
    let client = server.connect(0);
    let keys = [0, 1].map(|core| key_on(core, 2, "h"));
    let encodings = |server: &mut Server| {
        keys.clone().map(|key| {
            let reply = send(server, client, &format!("OBJECT ENCODING {key}"));
            reply.split("\r\n").nth(1).unwrap_or_default().to_owned()
        })
    };
    for key in &keys {
        send(&mut server, client, &format!("HSET {key} a 1"));
    }
    assert_eq!(encodings(&mut server), ["listpack", "listpack"]);
    send(&mut server, client, "CONFIG SET hash-max-ziplist-value 4");
    for key in &keys {
        send(&mut server, client, &format!("HSET {key} a 12345"));
    }
    assert_eq!(encodings(&mut server), ["hashtable", "hashtable"]);
    for key in &keys {
        send(
            &mut server,
            client,
            &format!("DEL {key}\r\nHSET {key} a 1 b 2"),
        );
    }
    assert_eq!(encodings(&mut server), ["hashtable", "hashtable"]);
}

#[test]
fn a_hash_of_another_core_is_answered_in_the_protocol_of_who_asks() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let key = key_on(1, 2, "h");
    assert_eq!(
        send(&mut server, client, &format!("HSET {key} a 1")),
        ":1\r\n"
    );
    let flat = send(&mut server, client, &format!("HGETALL {key}"));
    assert_eq!(flat, "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    send(&mut server, client, "HELLO 3");
    let map = send(&mut server, client, &format!("HGETALL {key}"));
    assert_eq!(map, "%1\r\n$1\r\na\r\n$1\r\n1\r\n");
    let pair = send(
        &mut server,
        client,
        &format!("HRANDFIELD {key} 5 WITHVALUES"),
    );
    assert_eq!(pair, "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n");
}

#[test]
fn transactions_and_scripts_over_cores_change_hashes() {
    for core in 0..2 {
        let mut server = Server::new(2);
        let client = server.connect(0);
        let (key, other) = (key_on(core, 2, "h"), key_on(1 - core, 2, "s"));
        send(&mut server, client, &format!("HSET {key} a 1 b 2"));
        send(&mut server, client, &format!("SET {other} x"));
        // A wrong type inside MULTI leaves the rest done.
        let replies = send(
            &mut server,
            client,
            &format!("MULTI\r\nHINCRBY {key} a 5\r\nHSET {other} a 1\r\nHDEL {key} b\r\nEXEC"),
        );
        let expected = "*3\r\n:6\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n:1\r\n";
        assert!(replies.ends_with(expected), "{replies}");
        let script = format!(
            "EVAL \"redis.call('HSET', KEYS[1], 'c', 3); redis.call('HDEL', KEYS[1], 'a'); return redis.call('HGETALL', KEYS[1])\" 2 {key} {other}"
        );
        let reply = send(&mut server, client, &script);
        assert_eq!(reply, "*2\r\n$1\r\nc\r\n$1\r\n3\r\n");
    }
}

#[test]
fn a_run_that_names_fields_of_a_large_hash_is_answered_as_one_by_one() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let keys = [0, 1].map(|core| key_on(core, 2, "h"));
    for key in &keys {
        let fields: String = (0..600)
            .map(|n| format!(" field:{n:010} value:{n:010}"))
            .collect();
        let added = send(&mut server, client, &format!("HSET {key}{fields}"));
        assert_eq!(added, ":600\r\n");
    }
    send(&mut server, client, "SET string x\r\nHSET small a 1");
    let [here, there] = &keys;
    let commands = [
        format!("HGET {here} field:0000000007"),
        format!("HSET {here} field:0000000007 x new y"),
        format!("HDEL {here} field:0000000008"),
        format!("HGET {there} field:0000000009"),
        format!("HGET {here}"),
        "HGET string a".to_owned(),
        "HGET none a".to_owned(),
        "HINCRBY small a 1".to_owned(),
        format!("HMGET {here} field:0000000007 field:0000000008 new"),
        format!("HSTRLEN {here} field:0000000010"),
    ];
    let replies = "$16\r\nvalue:0000000007\r\n:1\r\n:1\r\n$16\r\nvalue:0000000009\r\n\
        -ERR wrong number of arguments for 'hget' command\r\n\
        -WRONGTYPE Operation against a key holding the wrong kind of value\r\n$-1\r\n:2\r\n\
        *3\r\n$1\r\nx\r\n$-1\r\n$1\r\ny\r\n:16\r\n";
    assert_eq!(send(&mut server, client, &commands.join("\r\n")), replies);
}
