//! `RENAME` and `COPY` between cores: that a large value is handed over and not copied, that it counts once on its way, and that
//! nothing is lost, whatever comes in between.

#![cfg(test)]

use larder_engine::limits::SPAN_MAX_BYTES;
use larder_engine::{Access, DbIndex};

use crate::dispatch::tests::rebalance::move_key;
use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};

const MIB: usize = 1 << 20;
/// Above what is copied.
const LARGE: usize = 3 * MIB;

/// Has a string of `bytes` bytes made at `key`, none of them like its neighbours.
fn make(server: &mut Server, client: Client, key: &str, bytes: usize) {
    let value: Vec<u8> = (0..bytes).map(|n| b'a' + (n % 23) as u8).collect();
    let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${bytes}\r\n", key.len());
    let request = [head.as_bytes(), &value, b"\r\n"].concat();
    for piece in request.chunks(64 * 1024) {
        server.receive(client, piece);
    }
    assert_eq!(server.send(client, b""), "+OK\r\n");
}

fn send(server: &mut Server, client: Client, commands: &str) -> String {
    server.send(client, format!("{commands}\r\n").as_bytes())
}

/// Where the value of a key of core `core` begins, and its length.
fn place(server: &mut Server, core: usize, key: &str) -> Option<(usize, usize)> {
    let shard = &mut server.cores[core].state().shard;
    let key = shard.hasher().key(key.as_bytes());
    let entry = shard.get(DbIndex(0), key, Access::Peek)?;
    let value = entry.string().expect("all are strings");
    Some((value.as_ptr() as usize, value.len()))
}

/// Bytes of entries of all cores, when what is given back in steps is given back.
fn entry_bytes(server: &mut Server) -> u64 {
    for _ in 0..100 {
        server.turn();
    }
    let mut sum = 0;
    for core in &mut server.cores {
        core.state().shard.check();
        assert_eq!(core.state().given_bytes, 0, "all has arrived");
        sum += core.state().shard.memory().entry_bytes;
    }
    sum
}

#[test]
fn a_large_value_that_is_renamed_is_the_same_memory_on_the_other_core() {
    for of in 0..3 {
        let mut server = Server::new(3);
        let client = server.connect(of);
        let (from, to) = (key_on(0, 3, "from"), key_on(1, 3, "to"));
        make(&mut server, client, &from, LARGE);
        let (at, used) = (place(&mut server, 0, &from), entry_bytes(&mut server));
        assert_eq!(
            send(&mut server, client, &format!("RENAME {from} {to}")),
            "+OK\r\n"
        );
        assert_eq!(place(&mut server, 1, &to), at);
        assert_eq!(place(&mut server, 0, &from), None);
        // It is that core's alone at once: what is written there is written in place.
        let appended = send(&mut server, client, &format!("SETRANGE {to} 0 X"));
        assert_eq!(appended, format!(":{LARGE}\r\n"));
        assert_eq!(place(&mut server, 1, &to), at);
        assert!(entry_bytes(&mut server).abs_diff(used) < 64);
        assert_eq!(
            send(&mut server, client, &format!("RENAMENX {to} {from}")),
            ":1\r\n"
        );
        assert_eq!(place(&mut server, 0, &from), at);
        send(&mut server, client, &format!("DEL {from}"));
        assert_eq!(entry_bytes(&mut server), 0);
    }
}

#[test]
fn a_copy_is_the_same_memory_until_either_is_written() {
    for of in 0..3 {
        for to_core in 0..2 {
            let mut server = Server::new(3);
            let client = server.connect(of);
            let (from, to) = (key_on(0, 3, "from"), key_on(to_core, 3, "to"));
            make(&mut server, client, &from, LARGE);
            let at = place(&mut server, 0, &from);
            let used = entry_bytes(&mut server);
            assert_eq!(
                send(&mut server, client, &format!("COPY {from} {to}")),
                ":1\r\n"
            );
            assert_eq!(place(&mut server, to_core.into(), &to), at);
            // What a write to either will take counts already.
            assert!(entry_bytes(&mut server).abs_diff(2 * used) < 128);
            send(&mut server, client, &format!("SETRANGE {to} 1 X"));
            assert_ne!(place(&mut server, to_core.into(), &to), at);
            send(&mut server, client, &format!("SETRANGE {from} 2 Y"));
            assert_eq!(place(&mut server, 0, &from), at);
            let both = format!("GETRANGE {from} 0 3\r\nGETRANGE {to} 0 3");
            assert_eq!(
                send(&mut server, client, &both),
                "$4\r\nabYd\r\n$4\r\naXcd\r\n"
            );
            send(&mut server, client, &format!("DEL {from} {to}"));
            assert_eq!(entry_bytes(&mut server), 0);
        }
    }
}

#[test]
fn a_value_that_is_handed_over_counts_once_wherever_it_is() {
    const LIMIT: i64 = 16 << 20;
    const BYTES: usize = 10 * MIB;
    const SLACK: i64 = 1 << 20;
    for seed in 0..seeds(60) {
        let mut random = Random(seed);
        let mut server = Server::configured(3, &[("maxmemory", "16mb")]);
        let [client, other] = [0; 2].map(|_| server.connect(random.below(3)));
        // Long enough to be weighed by itself.
        let small = format!("SET {} {}\r\n", key_on(1, 3, "small"), "v".repeat(20_000));
        let (from, to) = (key_on(0, 3, "from"), key_on(1, 3, "to"));
        make(&mut server, client, &from, BYTES);
        let is_taken = random.one_in(2);
        if is_taken {
            send(&mut server, client, &format!("SET {to} taken"));
        }
        for _ in 0..20 {
            server.turns();
            let command = random.of(&["RENAMENX", "RENAME"]);
            server.receive(client, format!("{command} {from} {to}\r\n").as_bytes());
            let mut replies = Vec::new();
            for _ in 0..120 {
                server.stir(&mut random);
                let free = server.cores[0].state().shared.memory.free_bytes();
                let most = LIMIT - BYTES as i64;
                assert!(free <= most, "{free} free: it counts nowhere, seed {seed}");
                assert!(
                    free >= most - SLACK,
                    "{free} free: it counts twice, seed {seed}"
                );
                if random.one_in(6) {
                    server.receive(other, small.as_bytes());
                }
                replies.extend(server.take_output(other));
            }
            replies.extend(server.read_all(other));
            let replies = String::from_utf8(replies).expect("text");
            assert!(!replies.contains("OOM"), "{replies}, seed {seed}");
            let back = format!("RENAME {to} {from}\r\nSET {to} taken");
            if place(&mut server, 0, &from).is_none() {
                server.take_output(client);
                send(&mut server, client, &back);
            }
        }
        server.read_all(client);
        send(
            &mut server,
            client,
            &format!("DEL {from} {to} {}", key_on(1, 3, "small")),
        );
        assert_eq!(entry_bytes(&mut server), 0);
        server.disconnect(client);
        server.disconnect(other);
        server.assert_nothing_is_left();
    }
}

#[test]
fn a_client_that_leaves_leaves_a_value_in_one_place() {
    for seed in 0..seeds(60) {
        let mut random = Random(seed);
        let mut server = Server::new(2);
        let (client, other) = (server.connect(random.below(2)), server.connect(0));
        let (from, to) = (key_on(0, 2, "from"), key_on(1, 2, "to"));
        make(&mut server, other, &from, LARGE);
        let (at, used) = (place(&mut server, 0, &from), entry_bytes(&mut server));
        server.receive(client, format!("RENAME {from} {to}\r\n").as_bytes());
        let lines = [(0, 1), (1, 0)];
        for _ in 0..random.below(12) {
            // A line may be full for a while.
            if random.one_in(3) {
                let (a, b) = random.of(&lines);
                server.fill_line(a, b);
            } else if random.one_in(2) {
                server.clear_lines();
            }
            server.stir(&mut random);
        }
        server.clear_lines();
        server.disconnect(client);
        server.turns();
        let places = [place(&mut server, 0, &from), place(&mut server, 1, &to)];
        assert!(
            places == [at, None] || places == [None, at],
            "{places:?}, seed {seed}"
        );
        assert!(entry_bytes(&mut server).abs_diff(used) < 64);
        server.disconnect(other);
        server.assert_nothing_is_left();
    }
}

#[test]
fn a_script_that_begins_again_finds_what_it_renamed_where_it_was() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    for (owner, other) in [(0, 1), (1, 0)] {
        let [from, copy] = ["from", "copy"].map(|name| key_on(owner, 2, name));
        let [to, far] = ["to", "far"].map(|name| key_on(other, 2, name));
        let near = key_on(owner, 2, "near");
        make(&mut server, client, &from, LARGE);
        let used = entry_bytes(&mut server);
        // It writes in place, and hands what it wrote to another core, which has it still when it is written back here: renamed
        // within this core, copied, and renamed to the other. Then it reaches for what it did not name.
        let script = "redis.call('SETRANGE',KEYS[1],1,'Z') redis.call('APPEND',KEYS[1],'x') redis.call('RENAME',KEYS[1],KEYS[2]) \
                      redis.call('COPY',KEYS[2],KEYS[3]) redis.call('RENAME',KEYS[2],KEYS[4]) \
                      redis.call('SET',ARGV[1],'1') \
                      return redis.call('STRLEN',KEYS[4])";
        let eval = format!("EVAL \"{script}\" 4 {from} {near} {copy} {to}");
        let undeclared = send(&mut server, client, &format!("{eval} {far}"));
        assert_eq!(undeclared, format!(":{}\r\n", LARGE + 1));
        let looks = format!(
            "EXISTS {from} {near}\r\nGETRANGE {copy} 0 1\r\nGETRANGE {to} 0 1\r\nGETRANGE {to} -2 -1\r\nDEL {copy} {far}"
        );
        let last = char::from(b'a' + ((LARGE - 1) % 23) as u8);
        assert_eq!(
            send(&mut server, client, &looks),
            format!(":0\r\n$2\r\naZ\r\n$2\r\naZ\r\n$2\r\n{last}x\r\n:2\r\n")
        );
        assert!(entry_bytes(&mut server).abs_diff(used) < 8192);
        // One that fails leaves what it did.
        let fails = script.replace("redis.call('SET'", "redis.call('NONE'");
        send(&mut server, client, &format!("RENAME {to} {from}"));
        let reply = send(
            &mut server,
            client,
            &format!("EVAL \"{fails}\" 4 {from} {near} {copy} {to} {far}"),
        );
        assert!(reply.starts_with("-ERR"), "{reply}");
        let length = send(&mut server, client, &format!("STRLEN {to}"));
        assert_eq!(length, format!(":{}\r\n", LARGE + 2));
        send(
            &mut server,
            client,
            &format!("DEL {from} {near} {copy} {to} {far}"),
        );
        assert_eq!(entry_bytes(&mut server), 0);
    }
}

#[test]
fn transactions_hand_large_values_over_and_watches_see_it() {
    let mut server = Server::new(2);
    let (client, other) = (server.connect(0), server.connect(1));
    let (from, to) = (key_on(0, 2, "from"), key_on(1, 2, "to"));
    make(&mut server, client, &from, LARGE);
    let at = place(&mut server, 0, &from);
    let exec = format!(
        "MULTI\r\nRENAME {from} {to}\r\nSTRLEN {to}\r\nRENAME {to} {from}\r\nRENAMENX {from} {to}\r\nEXEC"
    );
    let replies = send(&mut server, client, &exec);
    assert!(
        replies.ends_with(&format!("*4\r\n+OK\r\n:{LARGE}\r\n+OK\r\n:1\r\n")),
        "{replies}"
    );
    assert_eq!(place(&mut server, 1, &to), at);
    for watched in [&from, &to] {
        send(&mut server, client, &format!("WATCH {watched}"));
        assert_eq!(
            send(&mut server, other, &format!("RENAME {to} {from}")),
            "+OK\r\n"
        );
        let replies = send(&mut server, client, "MULTI\r\nPING\r\nEXEC");
        assert!(replies.ends_with("*-1\r\n"), "{replies}");
        send(&mut server, other, &format!("RENAME {from} {to}"));
    }
    send(&mut server, client, &format!("DEL {to}"));
    assert_eq!(entry_bytes(&mut server), 0);
}

#[test]
fn large_values_of_a_slot_that_moves_are_the_same_memory_on_its_new_core() {
    let mut server = Server::new(2);
    let client = server.connect(1);
    let key = key_on(0, 2, "key");
    make(&mut server, client, &key, LARGE);
    let (at, used) = (place(&mut server, 0, &key), entry_bytes(&mut server));
    for core in [1, 0] {
        move_key(&mut server, client, &key, core);
        assert_eq!(place(&mut server, core, &key), at);
        assert_eq!(place(&mut server, 1 - core, &key), None);
        assert!(entry_bytes(&mut server).abs_diff(used) < 64);
    }
    send(&mut server, client, &format!("DEL {key}"));
    assert_eq!(entry_bytes(&mut server), 0);
}

/// Lengths on either side of where values lie in another place, and on the other side of what fills most of a buffer.
fn length(random: &mut Random) -> usize {
    let near = random.of(&[
        44,
        32 << 10,
        SPAN_MAX_BYTES,
        SPAN_MAX_BYTES + SPAN_MAX_BYTES / 8,
        2 * MIB,
    ]);
    near - 20 + random.below(40)
}

/// A command on some of eight keys, which lie on all cores.
fn command(random: &mut Random) -> String {
    let (a, b) = (random.below(8), random.below(8));
    match random.below(12) {
        0 | 1 => format!("SETRANGE k{a} {} end", length(random)),
        2 | 3 => format!("RENAME k{a} k{b}"),
        4 => format!("RENAMENX k{a} k{b}"),
        5 => format!("COPY k{a} k{b} REPLACE"),
        6 => format!("COPY k{a} k{b} DB {}", random.below(2)),
        7 => format!("APPEND k{a} {}", "x".repeat(random.below(30))),
        8 => format!("SETRANGE k{a} {} {b}", random.below(30)),
        9 => format!(
            "PEXPIREAT k{a} {}",
            1_700_000_000_000 + random.below(4000) as i64
        ),
        10 => format!("DEL k{a}"),
        _ => format!("MULTI\r\nRENAME k{a} k{b}\r\nCOPY k{b} k{a}\r\nSTRLEN k{a}\r\nEXEC"),
    }
}

#[test]
fn chains_of_renames_and_copies_over_cores_do_what_they_do_on_one() {
    for seed in 0..seeds(25) {
        let mut random = Random(seed);
        let mut servers: Vec<(Server, Vec<Client>)> = [1, 2, 3]
            .map(|cores| {
                let mut server = Server::new(cores);
                let clients = (0..3).map(|n| server.connect(n % usize::from(cores)));
                let clients = clients.collect();
                (server, clients)
            })
            .into();
        for _ in 0..120 {
            let (command, by) = (command(&mut random), random.below(3));
            let wait_ms = random.of(&[0, 0, 0, 30]);
            let looks: String = (0..8)
                .map(|n| {
                    let at = random.below(2 * MIB);
                    format!("\r\nPTTL k{n}\r\nSTRLEN k{n}\r\nGETRANGE k{n} {at} {}\r\nGETRANGE k{n} -40 -1", at + 9)
                })
                .collect();
            let replies: Vec<String> = servers
                .iter_mut()
                .map(|(server, clients)| {
                    server.advance(wait_ms);
                    send(server, clients[by], &format!("{command}{looks}"))
                })
                .collect();
            assert!(
                replies.iter().all(|reply| *reply == replies[0]),
                "{command}, seed {seed}: {replies:?}"
            );
        }
        let whole: Vec<String> = servers
            .iter_mut()
            .map(|(server, clients)| {
                let gets: String = (0..8).map(|n| format!("GET k{n}\r\n")).collect();
                let whole = send(server, clients[0], &gets);
                send(
                    server,
                    clients[0],
                    "DEL k0 k1 k2 k3 k4 k5 k6 k7\r\nSELECT 1\r\nDEL k0 k1 k2 k3 k4 k5 k6 k7",
                );
                assert_eq!(entry_bytes(server), 0, "seed {seed}");
                whole
            })
            .collect();
        assert!(whole.iter().all(|one| *one == whole[0]), "seed {seed}");
    }
}
