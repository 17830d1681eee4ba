//! `DEBUG RELOAD`: all that there is comes back from the form of `DUMP`, and nobody notices. `DEBUG DIGEST` is Redis's.

#![cfg(test)]

use crate::dispatch::tests::parts::{Content, SHAPES, content, make};
use crate::dispatch::tests::testing::{Client, Server, key_on};

fn debugged(cores: u16) -> Server {
    let directives = [
        ("enable-debug-command", "yes"),
        ("notify-keyspace-events", "KEA"),
    ];
    Server::configured(cores, &directives)
}

fn send(server: &mut Server, client: Client, commands: &str) -> String {
    server.send(client, format!("{commands}\r\n").as_bytes())
}

/// Makes a value of every shape on every core, and strings in another database; the keys, each with its core and its database.
fn fill(server: &mut Server, client: Client, cores: u16) -> Vec<(usize, u16, String)> {
    let mut keys = Vec::new();
    for core in 0..cores {
        send(server, client, "SELECT 0");
        for (number, shape) in SHAPES.into_iter().enumerate() {
            let key = key_on(core, cores, &format!("shape{number}"));
            make(server, client, &key, shape);
            keys.push((core.into(), 0, key));
        }
        send(server, client, "SELECT 3");
        for (command, value) in [
            ("SET", "12345"),
            ("APPEND", "text"),
            ("SETRANGE", "1200000 v"),
        ] {
            let key = key_on(core, cores, command);
            send(server, client, &format!("{command} {key} {value}"));
            keys.push((core.into(), 3, key));
        }
    }
    send(server, client, "SELECT 0");
    keys
}

fn contents(server: &mut Server, keys: &[(usize, u16, String)]) -> Vec<(Option<Content>, String)> {
    let look = |(core, db, key): &(usize, u16, String)| {
        let content = content(server, *core, *db, key);
        let shard = &mut server.cores[*core].state().shard;
        let key = shard.hasher().key(key.as_bytes());
        let entry = shard.get(
            larder_engine::DbIndex(*db),
            key,
            larder_engine::Access::Peek,
        );
        let text = entry.and_then(|entry| entry.string().map(<[u8]>::to_vec));
        (
            content,
            String::from_utf8(text.unwrap_or_default()).unwrap(),
        )
    };
    keys.iter().map(look).collect()
}

#[test]
fn everything_comes_back_and_nobody_notices() {
    for cores in [1, 2] {
        let mut server = debugged(cores);
        let client = server.connect(0);
        let keys = fill(&mut server, client, cores);
        let was = contents(&mut server, &keys);
        assert!(was.iter().all(|(content, _)| content.is_some()));
        let digest = send(&mut server, client, "DEBUG DIGEST");
        let listener = server.connect(0);
        send(&mut server, listener, "PSUBSCRIBE *");
        let watcher = server.connect(usize::from(cores) - 1);
        for (_, db, key) in &keys {
            let watch = format!("SELECT {db}\r\nWATCH {key}");
            send(&mut server, watcher, &watch);
        }
        let changes: u64 = (0..usize::from(cores))
            .map(|core| server.cores[core].state().shard.journal().changes())
            .sum();
        for command in [
            "DEBUG RELOAD",
            "DEBUG RELOAD NOFLUSH MERGE",
            "MULTI\r\nDEBUG RELOAD\r\nEXEC",
        ] {
            assert!(send(&mut server, client, command).contains("OK\r\n"));
            for core in &mut server.cores {
                core.state().shard.check();
            }
            assert!(contents(&mut server, &keys) == was, "{command}");
            assert_eq!(send(&mut server, client, "DEBUG DIGEST"), digest);
        }
        let changes_then: u64 = (0..usize::from(cores))
            .map(|core| server.cores[core].state().shard.journal().changes())
            .sum();
        assert_eq!(changes, changes_then);
        assert_eq!(
            send(&mut server, listener, "PING"),
            "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
        );
        let exec = "MULTI\r\nPING\r\nEXEC";
        assert!(send(&mut server, watcher, exec).ends_with("*1\r\n+PONG\r\n"));
        send(&mut server, client, "FLUSHALL");
        for _ in 0..300 {
            server.turn();
        }
        for core in &mut server.cores {
            assert_eq!(core.state().shard.memory().entry_bytes, 0);
        }
    }
}

#[test]
fn others_are_heard_while_cores_reload_and_no_key_is_seen_in_between() {
    let mut server = debugged(2);
    let client = server.connect(0);
    for number in 0..300 {
        send(&mut server, client, &format!("RPUSH list{number} a b"));
    }
    let other = server.connect(1);
    server.receive(client, b"DEBUG RELOAD\r\n");
    server.some_turns(3);
    server.receive(other, b"PING\r\nRPUSH list1 c\r\n");
    server.some_turns(3);
    assert_eq!(server.take_output(other), b"+PONG\r\n");
    assert_eq!(server.take_output(client), b"");
    server.turns();
    assert_eq!(server.take_output(client), b"+OK\r\n");
    assert_eq!(server.take_output(other), b":3\r\n");
}

#[test]
fn a_key_past_its_deadline_that_an_exchange_brings_breaks_no_watch() {
    for cores in [1, 2] {
        for was_there in [false, true] {
            let mut server = debugged(cores);
            let client = server.connect(0);
            send(&mut server, client, "DEBUG SET-ACTIVE-EXPIRE 0");
            if was_there {
                send(&mut server, client, "SELECT 1\r\nSET x foo PX 1");
            }
            send(&mut server, client, "SELECT 0\r\nSET x foo PX 1");
            server.advance(5);
            send(&mut server, client, "SELECT 1\r\nWATCH x\r\nSWAPDB 0 1");
            let exec = send(&mut server, client, "MULTI\r\nPING\r\nEXEC");
            assert!(exec.ends_with("*1\r\n+PONG\r\n"), "{exec:?}");
        }
    }
}

#[test]
fn digests_are_those_of_redis_whatever_the_cores() {
    for cores in [1, 2, 4] {
        let mut server = debugged(cores);
        let client = server.connect(0);
        let digest = |server: &mut Server| send(server, client, "DEBUG DIGEST");
        assert_eq!(
            digest(&mut server),
            "+0000000000000000000000000000000000000000\r\n"
        );
        for command in [
            "SET string value",
            "SET number 12345",
            "SET ends 1 EX 10000",
            "RPUSH list a b 3",
            "HSET hash f 1 g 2",
        ] {
            send(&mut server, client, command);
        }
        assert_eq!(
            send(
                &mut server,
                client,
                "DEBUG DIGEST-VALUE string number ends list hash none"
            ),
            "*6\r\n+d59ec93db87f4cd915db3cdf44bb63755bc4a635\r\n\
             +e1cf90774e995ae03de66e8109dc5cb9d9c2dc83\r\n\
             +5279988c5d1911f474bcbbf2f0a87012d40f8459\r\n\
             +09eb1fc9381ee92790d59930ab462945f8cd948b\r\n\
             +d9779aa9c616692decaba51e4c41766464124c52\r\n\
             +0000000000000000000000000000000000000000\r\n"
        );
        assert_eq!(
            digest(&mut server),
            "+a35f61c5f49c76a92d331f1ade3d2d478028522c\r\n"
        );
        send(&mut server, client, "SELECT 3\r\nSET string value");
        assert_eq!(
            digest(&mut server),
            "+48eaebdd3f5d9de986c7081ae180b37eb6e3f024\r\n"
        );
        assert_eq!(send(&mut server, client, "DEBUG DIGEST-VALUE"), "*0\r\n");
    }
}

#[test]
fn payloads_with_a_wrong_checksum_are_restored_once_nobody_looks_at_it() {
    let mut server = debugged(2);
    let client = server.connect(0);
    let wrong =
        b"*4\r\n$7\r\nRESTORE\r\n$1\r\nK\r\n$1\r\n0\r\n$17\r\n\x00\x05hello\n\x00cr\xdfve4 X\r\n";
    for core in 0..2 {
        let key = key_on(core, 2, "k");
        let command: Vec<u8> = [
            &wrong[..17],
            format!("${}\r\n{key}\r\n", key.len()).as_bytes(),
            &wrong[24..],
        ]
        .concat();
        let refused = "-ERR DUMP payload version or checksum are wrong\r\n";
        assert_eq!(server.send(client, &command), refused);
        for (skipped, answer) in [("1", "+OK\r\n"), ("0", refused)] {
            let set = format!("DEBUG SET-SKIP-CHECKSUM-VALIDATION {skipped}");
            assert_eq!(send(&mut server, client, &set), "+OK\r\n");
            // A directive that changes leaves it as it is.
            send(&mut server, client, "CONFIG SET timeout 100");
            send(&mut server, client, &format!("DEL {key}"));
            assert_eq!(server.send(client, &command), answer);
        }
    }
}

#[test]
fn what_is_no_listpack_or_quicklist_is_refused() {
    let mut server = debugged(2);
    let client = server.connect(0);
    send(&mut server, client, "RPUSH small a");
    let long = format!("RPUSH long {}", "x ".repeat(9000));
    send(&mut server, client, &long);
    for (command, answer) in [
        ("LISTPACK small", "+Listpack structure printed on stdout"),
        ("LISTPACK long", "-ERR Not a listpack encoded object."),
        ("LISTPACK none", "-ERR no such key"),
        ("QUICKLIST long", "+Quicklist structure printed on stdout"),
        ("QUICKLIST long 1", "+Quicklist structure printed on stdout"),
        ("QUICKLIST small", "-ERR Not a quicklist encoded object."),
    ] {
        let reply = send(&mut server, client, &format!("DEBUG {command}"));
        assert_eq!(reply, format!("{answer}\r\n"));
    }
}
