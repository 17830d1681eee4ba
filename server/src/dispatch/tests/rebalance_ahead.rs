//! Large collections that go ahead of the slots they are in: what changes meanwhile arrives, whatever it is.

#![cfg(test)]

use crate::dispatch::tests::rebalance::{finish, owner, status};
use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};
use crate::routing::Slot;

const CORES: u16 = 3;
const DIRECTIVES: [(&str, &str); 1] = [("enable-debug-command", "yes")];

fn receive(server: &mut Server, client: Client, command: &str) {
    server.receive(client, format!("{command}\r\n").as_bytes());
}

fn send(server: &mut Server, client: Client, command: &str) -> String {
    server.send(client, format!("{command}\r\n").as_bytes())
}

/// Commands that fill a hash, a list and a sorted set with so many elements.
fn filling([hash, list, sorted]: &[String; 3], elements: usize) -> Vec<String> {
    let commands = (0..elements).step_by(500).flat_map(|first| {
        let numbers = first..first + 500;
        let fields: String = numbers
            .clone()
            .map(|n| format!(" f{n:06} value:{n:014}"))
            .collect();
        let scored: String = numbers
            .map(|n| format!(" {} f{n:06}:{n:014}", n % 97))
            .collect();
        [
            format!("HSET {hash}{fields}"),
            format!("RPUSH {list}{fields}"),
            format!("ZADD {sorted}{scored}"),
        ]
    });
    commands.collect()
}

fn begin_to_move(server: &mut Server, admin: Client, key: &str, core: usize) {
    let slot = Slot::of(key.as_bytes()).number();
    let order = format!("LARDER REBALANCE MOVE {slot} {core}");
    assert_eq!(send_plainly(server, admin, &order), "+OK\r\n");
}

/// Sends a command, without as many turns as the server takes to come to rest.
fn send_plainly(server: &mut Server, client: Client, command: &str) -> String {
    receive(server, client, command);
    server.some_turns(1);
    String::from_utf8_lossy(&server.take_output(client)).into_owned()
}

/// Turns until the rebalance is over; the most of them in a row in which all stood still.
fn longest_standstill(server: &mut Server) -> usize {
    let (mut longest, mut this) = (0, 0);
    for _ in 0..100_000 {
        if !server.is_rebalancing() {
            return longest;
        }
        server.advance(1);
        server.some_turns(1);
        let stands = server.cores[0].state().moving.stands_still();
        this = if stands { this + 1 } else { 0 };
        longest = longest.max(this);
    }
    panic!("the rebalance does not end");
}

#[test]
fn a_large_collection_moves_in_a_standstill_as_short_as_a_small_one() {
    let mut longest = Vec::new();
    for elements in [500, 20_000] {
        let mut server = Server::configured(CORES, &DIRECTIVES);
        let (client, admin) = (server.connect(0), server.connect(1));
        let tag = key_on(1, CORES, "tag");
        let keys = ["hash", "list", "sorted"].map(|name| format!("{tag}:{name}"));
        let [hash, list, sorted] = &keys;
        for command in filling(&keys, elements) {
            send(&mut server, client, &command);
        }
        send(&mut server, client, &format!("PEXPIRE {hash} 100000000"));
        let asked = format!(
            "DEBUG DIGEST-VALUE {hash} {list} {sorted}\r\nOBJECT ENCODING {hash}\r\nOBJECT ENCODING {list}\r\nOBJECT ENCODING {sorted}"
        );
        let before = send(&mut server, client, &asked);
        for core in [2, 0] {
            begin_to_move(&mut server, admin, &tag, core);
            longest.push(longest_standstill(&mut server));
            assert_eq!(owner(&mut server, &tag), core);
            assert_eq!(status(&mut server, admin, "keys_moved"), "3");
            assert_eq!(send(&mut server, client, &asked), before);
        }
        let ttl = send(&mut server, client, &format!("TTL {hash}"));
        assert!(ttl.starts_with(":99") || ttl == ":100000\r\n", "{ttl}");
        for client in [client, admin] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
    assert_eq!(longest[..2], longest[2..]);
}

/// A command that changes a hash, a list or a sorted set, or their keys.
fn change(random: &mut Random, [hash, list, sorted]: &[String; 3]) -> String {
    let n = random.below(7000);
    let value = "v".repeat(random.below(60));
    let score = random.below(97);
    match random.below(39) {
        0..4 => format!("HSET {hash} f{n:06} {value}x"),
        4..7 => format!("HDEL {hash} f{n:06}"),
        7 => format!("HINCRBY {hash} counter {n}"),
        8 => format!("HPEXPIRE {hash} 100000000 FIELDS 1 f{n:06}"),
        9..11 => format!("LPUSH {list} {value}a {value}b"),
        11..13 => format!("RPUSH {list} {value}c {value}d"),
        13..15 => format!("LPOP {list} {}", 1 + random.below(20)),
        15..17 => format!("RPOP {list} {}", 1 + random.below(20)),
        17 => format!("LSET {list} {} {value}set", random.below(9000)),
        18 => format!("LINSERT {list} BEFORE f{n:06} {value}before"),
        19 => format!("LREM {list} {} f{n:06}", random.below(3)),
        20 if random.one_in(4) => format!(
            "LTRIM {list} {} -{}",
            random.below(300),
            1 + random.below(300)
        ),
        21 => format!("MULTI\r\nHSET {hash} f{n:06} multi\r\nRPUSH {list} multi\r\nEXEC"),
        22 => format!(
            "EVAL \"redis.call('HSET', KEYS[1], ARGV[1], 'script') return redis.call('LPOP', KEYS[2])\" 2 {hash} {list} f{n:06}"
        ),
        23 => format!("LMOVE {list} {list} LEFT RIGHT"),
        24 if random.one_in(20) => {
            format!("RENAME {hash} {hash}other\r\nRENAME {hash}other {hash}")
        }
        25 if random.one_in(20) => {
            format!("COPY {list} {list}other REPLACE\r\nRENAME {list}other {list}")
        }
        26 if random.one_in(30) => format!("DEL {hash}\r\nHSET {hash} a 1 b 2"),
        27 => format!("PEXPIRE {list} 100000000"),
        // As far as the list has gone, and further.
        30 if random.one_in(5) => format!("RPOP {list} {}", 1000 + random.below(3000)),
        // It comes to a key that it has not declared, and begins again: what it did before is taken back.
        31 | 32 => format!(
            "EVAL \"redis.call('LPUSH', KEYS[1], 'undone') redis.call('HSET', KEYS[2], ARGV[1], 'undone') \
             redis.call('INCR', KEYS[3]) redis.call('RPUSH', KEYS[1], 'undone') return redis.call('GET', 'another' .. #ARGV) -- {}\" \
             3 {list} {hash} far f{n:06}",
            random.next()
        ),
        33..35 => format!("ZADD {sorted} {score} f{n:06}:{n:014} {n} {value}"),
        35 => format!("ZREM {sorted} f{n:06}:{n:014} {value}"),
        36 => format!("ZPOPMIN {sorted} {}\r\nZPOPMAX {sorted}", random.below(9)),
        37 => format!("ZINCRBY {sorted} -{score} f{n:06}:{n:014}"),
        38 => format!("ZREMRANGEBYRANK {sorted} {n} {}", n + 9),
        28 => format!("HLEN {hash}\r\nLLEN {list}\r\nZCARD {sorted}"),
        _ => format!(
            "LRANGE {list} {} {}",
            random.below(7000),
            random.below(7000)
        ),
    }
}

#[test]
fn what_changes_while_a_large_collection_goes_ahead_arrives() {
    for seed in 0..seeds(12) {
        let mut random = Random(seed + 1);
        let mut server = Server::configured(CORES, &DIRECTIVES);
        let mut model = Server::configured(1, &DIRECTIVES);
        let (client, admin) = (server.connect(0), server.connect(1));
        let of_model = model.connect(0);
        let tag = key_on(1, CORES, "tag");
        let keys = ["hash", "list", "sorted"].map(|name| format!("{tag}:{name}"));
        let [hash, list, sorted] = &keys;
        for command in filling(&keys, 6000) {
            let expected = send(&mut model, of_model, &command);
            assert_eq!(send(&mut server, client, &command), expected);
        }
        let (mut replies, mut expected) = (String::new(), String::new());
        let mut take = |server: &mut Server| {
            replies += &String::from_utf8_lossy(&server.take_output(client));
        };
        for core in [2, 0, 1, 0, 2] {
            begin_to_move(&mut server, admin, &tag, core);
            while server.is_rebalancing() {
                for _ in 0..random.below(4) {
                    let command = change(&mut random, &keys);
                    expected += &send(&mut model, of_model, &command);
                    receive(&mut server, client, &command);
                }
                server.advance(1);
                model.advance(1);
                server.some_turns(1);
                take(&mut server);
            }
            server.turns();
            take(&mut server);
            assert_eq!(owner(&mut server, &tag), core, "{seed}");
        }
        finish(&mut server);
        server.turns();
        take(&mut server);
        assert!(replies == expected, "{seed}");
        for command in [
            format!("DEBUG DIGEST-VALUE {hash} {list} {sorted}"),
            format!("ZRANGE {sorted} 0 -1 WITHSCORES"),
            format!("LRANGE {list} 0 -1"),
            format!("HLEN {hash}\r\nHEXISTS {hash} counter"),
        ] {
            let expected = send(&mut model, of_model, &command);
            assert!(
                send(&mut server, client, &command) == expected,
                "{seed} {command}"
            );
        }
        for client in [client, admin] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

#[test]
fn what_goes_ahead_is_dropped_if_it_is_gone_meanwhile() {
    for what in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 3", "DEL"] {
        let mut server = Server::configured(CORES, &DIRECTIVES);
        let (client, admin) = (server.connect(0), server.connect(1));
        let tag = key_on(1, CORES, "tag");
        let keys = ["hash", "list", "sorted"].map(|name| format!("{tag}:{name}"));
        let [hash, list, sorted] = &keys;
        for command in filling(&keys, 20_000) {
            send(&mut server, client, &command);
        }
        begin_to_move(&mut server, admin, &tag, 2);
        // Amid the parts.
        for _ in 0..1000 {
            server.advance(1);
            server.some_turns(1);
            if !server.cores[2].state().moving.came_is_empty() {
                break;
            }
        }
        assert!(!server.cores[2].state().moving.came_is_empty());
        let command = if what == "DEL" {
            format!("DEL {hash} {list} {sorted}")
        } else {
            what.to_owned()
        };
        receive(&mut server, client, &command);
        longest_standstill(&mut server);
        assert_eq!(owner(&mut server, &tag), 2);
        let replies = send(
            &mut server,
            client,
            &format!("EXISTS {hash} {list}\r\nSELECT 3\r\nEXISTS {hash} {list}"),
        );
        let there = if what.starts_with("SWAPDB") { 2 } else { 0 };
        assert!(
            replies.ends_with(&format!(":0\r\n+OK\r\n:{there}\r\n")),
            "{what}: {replies}"
        );
        for client in [client, admin] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}
