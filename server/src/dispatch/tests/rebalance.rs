//! Slots that move, through the sans-I/O harness of `testing`. What is seen of it under load `serial` tests too.

#![cfg(test)]

use std::collections::{BTreeSet, HashMap};

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};
use crate::routing::{CoreId, Slot};

const CORES: u16 = 3;

/// Lets time pass until no slot is to move.
pub(super) fn finish(server: &mut Server) {
    for _ in 0..1_000_000 {
        if !server.is_rebalancing() {
            return;
        }
        server.advance(1);
        server.turns();
    }
    panic!("the rebalance does not end");
}

pub(super) fn owner(server: &mut Server, key: &str) -> usize {
    server.cores[0]
        .state()
        .shared
        .slots
        .core_of(key.as_bytes())
        .index()
}

/// Moves the slot of `key` to `core`.
pub(super) fn move_key(server: &mut Server, client: Client, key: &str, core: usize) {
    let slot = Slot::of(key.as_bytes()).number();
    let order = format!("LARDER REBALANCE MOVE {slot} {core}\r\n");
    assert_eq!(server.send(client, order.as_bytes()), "+OK\r\n");
    finish(server);
    assert_eq!(owner(server, key), core);
}

/// A field of `LARDER REBALANCE STATUS`.
pub(super) fn status(server: &mut Server, client: Client, field: &str) -> String {
    let reply = server.send(client, b"LARDER REBALANCE STATUS\r\n");
    let mut lines = reply.lines().skip_while(|line| *line != field).skip(1);
    let value = lines.next().unwrap();
    match value.strip_prefix(':') {
        Some(number) => number.to_owned(),
        None => lines.next().unwrap().to_owned(),
    }
}

fn entries_on(server: &mut Server, core: usize) -> u64 {
    let shard = &server.cores[core].state().shard;
    (0..16)
        .map(|db| shard.len(larder_engine::DbIndex(db)))
        .sum()
}

#[test]
fn entries_of_all_databases_arrive_with_their_deadlines_and_encodings() {
    let mut server = Server::new(CORES);
    let client = server.connect(1);
    let mut script = String::new();
    for db in [0, 3, 15] {
        script += &format!("SELECT {db}\r\n");
        for key in 0..200 {
            script += &format!("SET {{a}}{key} {db}:{key} EX {}\r\n", 1000 + key);
            script += &format!("SET {{b}}{key} {key}\r\nSET other{key} v\r\n");
        }
    }
    server.send(client, script.as_bytes());
    let before = server.cores[0].state().shared.slots.version();
    for (tag, core) in [("{a}", 2), ("{b}", 0), ("{a}", 1), ("{b}", 1), ("{b}", 2)] {
        move_key(&mut server, client, tag, core);
    }
    assert!(server.cores[0].state().shared.slots.version() > before);
    for db in [0, 3, 15] {
        server.send(client, format!("SELECT {db}\r\n").as_bytes());
        assert_eq!(server.send(client, b"DBSIZE\r\n"), ":600\r\n");
        for key in 0..200 {
            let asked = format!(
                "GET {{a}}{key}\r\nTTL {{a}}{key}\r\nGET {{b}}{key}\r\nOBJECT ENCODING {{b}}{key}\r\n"
            );
            let (a, b) = (format!("{db}:{key}"), key.to_string());
            let expected = format!(
                "${}\r\n{a}\r\n:{}\r\n${}\r\n{b}\r\n$3\r\nint\r\n",
                a.len(),
                1000 + key,
                b.len()
            );
            let reply = server.send(client, asked.as_bytes());
            // Some milliseconds have passed.
            let earlier = expected.replace(
                &format!(":{}\r\n", 1000 + key),
                &format!(":{}\r\n", 999 + key),
            );
            assert!(reply == expected || reply == earlier, "{reply}");
        }
    }
    let entries: u64 = (0..3).map(|core| entries_on(&mut server, core)).sum();
    assert_eq!(entries, 1800, "no copy is left behind");
    assert_eq!(status(&mut server, client, "state"), "idle");
    assert_eq!(status(&mut server, client, "keys_moved"), "600");
    server.disconnect(client);
    server.assert_nothing_is_left();
}

#[test]
fn what_is_written_while_keys_are_collected_moves_too() {
    for seed in 0..seeds(4) {
        let mut random = Random(seed);
        let mut server = Server::new(CORES);
        let client = server.connect(0);
        let admin = server.connect(2);
        let mut model: HashMap<String, String> = HashMap::new();
        for key in 0..3000 {
            let (key, value) = (format!("k{key}"), format!("v{key}"));
            server.receive(client, format!("SET {key} {value}\r\n").as_bytes());
            model.insert(key, value);
        }
        server.turns();
        server.take_output(client);
        server.send(admin, b"LARDER REBALANCE MOVE 0-3000 1\r\n");
        let mut written = 0;
        while server.is_rebalancing() {
            server.now_ms += 1;
            for _ in 0..random.below(20) {
                let (one, other) = (random.below(4000), random.below(4000));
                let (one, other) = (format!("k{one}"), format!("k{other}"));
                written += 1;
                match random.below(5) {
                    0 => {
                        server.receive(client, format!("DEL {one}\r\n").as_bytes());
                        model.remove(&one);
                    }
                    1 if model.contains_key(&one) && one != other => {
                        server.receive(client, format!("RENAME {one} {other}\r\n").as_bytes());
                        let value = model.remove(&one).unwrap();
                        model.insert(other, value);
                    }
                    2 => {
                        server.receive(
                            client,
                            format!("MSET {one} {written} {other} {written}\r\n").as_bytes(),
                        );
                        model.insert(one, written.to_string());
                        model.insert(other, written.to_string());
                    }
                    _ => {
                        server.receive(client, format!("SET {one} {written}\r\n").as_bytes());
                        model.insert(one, written.to_string());
                    }
                }
            }
            server.turns();
            let replies = String::from_utf8(server.take_output(client)).unwrap();
            assert!(!replies.contains('-'), "seed {seed}: {replies}");
        }
        assert_eq!(
            server.send(client, b"DBSIZE\r\n"),
            format!(":{}\r\n", model.len()),
            "seed {seed}"
        );
        for (key, value) in &model {
            let reply = server.send(client, format!("GET {key}\r\n").as_bytes());
            assert_eq!(
                reply,
                format!("${}\r\n{value}\r\n", value.len()),
                "seed {seed}: {key}"
            );
        }
    }
}

#[test]
fn a_session_s_commands_on_a_key_keep_their_order_though_its_slot_moves() {
    const CLIENTS: usize = 4;
    for seed in 0..seeds(15) {
        let mut random = Random(seed);
        let mut server = Server::new(CORES);
        let clients: Vec<Client> = (0..CLIENTS).map(|at| server.connect(at % 3)).collect();
        let admin = server.connect(1);
        let key = |client: usize| format!("list{client}");
        let mut appended = vec![String::new(); CLIENTS];
        let mut next = 0;
        // The last one wants no replies.
        server.send(clients[CLIENTS - 1], b"CLIENT REPLY OFF\r\n");
        for _ in 0..400 {
            let at = random.below(CLIENTS);
            let mut commands = String::new();
            for _ in 0..random.below(6) {
                next += 1;
                commands += &format!("APPEND {} {next},\r\n", key(at));
                appended[at] += &format!("{next},");
                if random.one_in(8) {
                    commands += &format!("MSETNX {} x {} x\r\n", key(at), key((at + 1) % CLIENTS));
                }
            }
            server.receive(clients[at], commands.as_bytes());
            if random.one_in(10) {
                let slot = Slot::of(key(random.below(CLIENTS)).as_bytes()).number();
                let order = format!("LARDER REBALANCE MOVE {slot} {}\r\n", random.below(3));
                server.receive(admin, order.as_bytes());
            }
            for _ in 0..random.below(5) {
                match random.below(3) {
                    0 => {
                        server.now_ms += 2;
                        server.turn();
                    }
                    1 => server.ship_from(random.below(3)),
                    _ => {
                        server.deliver_one(random.below(3), random.below(3));
                    }
                }
            }
        }
        finish(&mut server);
        server.turns();
        assert!(server.cores[0].state().shared.slots.version() > 0);
        for (at, expected) in appended.iter().enumerate() {
            let reply = server.send(admin, format!("GET {}\r\n", key(at)).as_bytes());
            let value = reply.lines().last().unwrap();
            assert_eq!(value, expected, "seed {seed}, client {at}");
        }
    }
}

#[test]
fn a_scan_meets_every_key_that_stays_though_slots_move() {
    for seed in 0..seeds(6) {
        let mut random = Random(seed);
        let mut server = Server::new(CORES);
        let client = server.connect(0);
        let admin = server.connect(2);
        let keys: BTreeSet<String> = (0..400).map(|key| format!("k{key}")).collect();
        let pairs: String = keys.iter().map(|key| format!(" {key} v")).collect();
        server.send(client, format!("MSET{pairs}\r\n").as_bytes());
        for _ in 0..5 {
            let mut met = BTreeSet::new();
            let mut cursor = "0".to_owned();
            let mut calls = 0;
            loop {
                let (first, core) = (random.below(16_000), random.below(3));
                if calls < 40 && random.one_in(3) {
                    let order = format!("LARDER REBALANCE MOVE {first}-{} {core}\r\n", first + 300);
                    server.receive(admin, order.as_bytes());
                    server.take_output(admin);
                }
                server.now_ms += 3;
                let count = random.of(&[1, 20, 100, 1000]);
                let reply = server.send(
                    client,
                    format!("SCAN {cursor} COUNT {count}\r\n").as_bytes(),
                );
                let lines: Vec<&str> = reply.lines().collect();
                cursor = lines[2].to_owned();
                met.extend(
                    lines[4..]
                        .iter()
                        .filter(|line| line.starts_with('k'))
                        .map(|key| key.to_string()),
                );
                calls += 1;
                if cursor == "0" {
                    break;
                }
            }
            assert_eq!(met, keys, "seed {seed}");
        }
        finish(&mut server);
    }
}

#[test]
fn a_watched_key_whose_slot_moves_counts_as_changed() {
    let mut server = Server::new(CORES);
    let admin = server.connect(2);
    // Whether it holds something or not, wherever the client is.
    for (at, set) in [(0, true), (1, false), (2, true)] {
        let client = server.connect(at);
        let key = format!("watched{at}");
        if set {
            server.send(client, format!("SET {key} v\r\n").as_bytes());
        }
        server.send(client, format!("WATCH {key}\r\n").as_bytes());
        let core = (owner(&mut server, &key) + 1) % 3;
        move_key(&mut server, admin, &key, core);
        let reply = server.send(
            client,
            format!("MULTI\r\nSET {key} w\r\nEXEC\r\n").as_bytes(),
        );
        assert_eq!(reply, "+OK\r\n+QUEUED\r\n*-1\r\n");
        // The next attempt succeeds.
        let attempt = format!("WATCH {key}\r\nMULTI\r\nSET {key} w\r\nEXEC\r\n");
        let reply = server.send(client, attempt.as_bytes());
        assert_eq!(reply, "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
        server.disconnect(client);
    }
    server.disconnect(admin);
    server.assert_nothing_is_left();
}

#[test]
fn slots_whose_commands_wait_for_a_client_to_read_move_when_it_has() {
    let high_water = ("client-output-buffer-high-water", "1mb");
    let mut server = Server::configured(CORES, &[high_water]);
    let (client, admin) = (server.connect(0), server.connect(2));
    let key = key_on(1, CORES, "large");
    server.send(
        client,
        format!("SETRANGE {key} {} x\r\n", (1 << 20) - 1).as_bytes(),
    );
    server.receive(client, format!("GET {key}\r\n").repeat(60).as_bytes());
    server.turns();
    let slot = Slot::of(key.as_bytes()).number();
    server.send(
        admin,
        format!("LARDER REBALANCE MOVE {slot} 2\r\n").as_bytes(),
    );
    for _ in 0..300 {
        server.advance(1);
        server.turns();
    }
    assert!(server.is_rebalancing());
    assert_ne!(status(&mut server, admin, "retries"), "0");
    assert_eq!(owner(&mut server, &key), 1);
    // Others are served meanwhile.
    assert_eq!(
        server.send(admin, format!("STRLEN {key}\r\n").as_bytes()),
        ":1048576\r\n"
    );
    let mut taken = 0;
    while server.is_rebalancing() || taken < 60 << 20 {
        taken += server.take_output(client).len();
        server.advance(1);
        server.turns();
    }
    assert_eq!(owner(&mut server, &key), 2);
    for client in [client, admin] {
        server.disconnect(client);
    }
    server.assert_nothing_is_left();
}

#[test]
fn a_taker_without_memory_leaves_everything_as_it_was() {
    let mut server = Server::new(CORES);
    let client = server.connect(0);
    let admin = server.connect(2);
    for key in 0..500 {
        server.send(client, format!("SET {{tag}}{key} v{key}\r\n").as_bytes());
    }
    let from = owner(&mut server, "{tag}");
    crate::command::moving::TAKES_AT_MOST.set(Some(200));
    let slot = Slot::of(b"tag").number();
    server.send(
        admin,
        format!("LARDER REBALANCE MOVE {slot} {}\r\n", (from + 1) % 3).as_bytes(),
    );
    finish(&mut server);
    crate::command::moving::TAKES_AT_MOST.set(None);
    assert!(status(&mut server, admin, "state").starts_with("failed: OOM"));
    assert_eq!(owner(&mut server, "{tag}"), from);
    assert_eq!(entries_on(&mut server, from), 500);
    assert_eq!(server.send(client, b"DBSIZE\r\n"), ":500\r\n");
    assert_eq!(server.send(client, b"GET {tag}7\r\n"), "$2\r\nv7\r\n");
    move_key(&mut server, admin, "{tag}", (from + 1) % 3);
    assert_eq!(server.send(client, b"GET {tag}7\r\n"), "$2\r\nv7\r\n");
}

#[test]
fn a_busy_core_sheds_slots_to_the_others_and_even_takes_them_back() {
    let mut server = Server::new(CORES);
    let admin = server.connect(0);
    let client = server.connect(1);
    assert_eq!(server.send(admin, b"LARDER REBALANCE\r\n"), "+OK\r\n");
    assert_eq!(
        server.send(client, b"LARDER REBALANCE EVEN\r\n"),
        "-ERR A rebalance is under way (LARDER REBALANCE STATUS)\r\n"
    );
    let keys: Vec<String> = (0..50)
        .map(|at| key_on(1, CORES, &format!("hot{at}")))
        .collect();
    while server.is_rebalancing() {
        let gets: String = keys.iter().map(|key| format!("SET {key} v\r\n")).collect();
        server.send(client, gets.as_bytes());
        server.advance(50);
        server.turns();
    }
    let shared = std::sync::Arc::clone(&server.cores[0].state().shared);
    let count = |core: u16| {
        Slot::all()
            .filter(|slot| shared.slots.owner(*slot) == CoreId(core))
            .count()
    };
    assert!(
        count(1) < 3000 && count(0) > 6000 && count(2) > 6000,
        "{} {} {}",
        count(0),
        count(1),
        count(2)
    );
    // What cluster clients are told is still short.
    assert!(shared.slots.ranges().len() <= 5);
    server.send(admin, b"LARDER REBALANCE EVEN\r\n");
    finish(&mut server);
    assert_eq!(shared.slots.ranges().len(), 3);
    assert_eq!(server.send(client, b"DBSIZE\r\n"), ":50\r\n");
}

#[test]
fn an_order_that_makes_no_sense_is_refused() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    for (order, error) in [
        ("MOVE 1 2", "Invalid core"),
        ("MOVE 1 -1", "Invalid core"),
        ("MOVE 16384 1", "Invalid slot"),
        ("MOVE 9-5 1", "Invalid slot"),
        ("MOVE x 1", "Invalid slot"),
        ("MOVE 1", "syntax error"),
        ("WHAT", "syntax error"),
        ("EVEN 1", "syntax error"),
    ] {
        let reply = server.send(client, format!("LARDER REBALANCE {order}\r\n").as_bytes());
        assert_eq!(reply, format!("-ERR {error}\r\n"), "{order}");
    }
    let mut alone = Server::new(1);
    let client = alone.connect(0);
    let reply = alone.send(client, b"LARDER REBALANCE\r\n");
    assert_eq!(
        reply,
        "-ERR This server runs on one core, which owns every slot\r\n"
    );
    assert!(alone.send(client, b"LARDER HELP\r\n").starts_with('*'));
}

/// Waits come to their ends while all stand still, and the word of that shares batches with what is given.
#[test]
fn all_entries_arrive_though_other_answers_come_with_them() {
    const KEYS: usize = 1500;
    for seed in 0..seeds(10) {
        let mut random = Random(seed + 1);
        let mut server = Server::new(CORES);
        let admin = server.connect(0);
        let waiting: Vec<Client> = (0..60).map(|_| server.connect(0)).collect();
        let tag = key_on(1, CORES, "tag");
        for key in 0..KEYS {
            server.send(admin, format!("SET {tag}{key} v\r\n").as_bytes());
        }
        let wait = |server: &mut Server, client: Client, random: &mut Random| {
            let hundredths = 1 + random.below(30);
            let pop = format!("BLPOP {tag}none{hundredths} 0.{hundredths:02}\r\n");
            server.receive(client, pop.as_bytes());
        };
        for &client in &waiting {
            wait(&mut server, client, &mut random);
        }
        server.turns();
        let slot = Slot::of(tag.as_bytes()).number();
        let order = format!("LARDER REBALANCE MOVE {slot} 2\r\n");
        assert_eq!(server.send(admin, order.as_bytes()), "+OK\r\n");
        for step in 0.. {
            if !server.is_rebalancing() {
                break;
            }
            assert!(step < 1_000_000, "the rebalance does not end");
            server.stir(&mut random);
            if random.one_in(3) {
                server.advance(1);
            }
            for &client in &waiting {
                if !server.take_output(client).is_empty() {
                    wait(&mut server, client, &mut random);
                }
            }
        }
        server.turns();
        assert_eq!(owner(&mut server, &tag), 2);
        assert_eq!(entries_on(&mut server, 1), 0, "{seed}");
        assert_eq!(entries_on(&mut server, 2), KEYS as u64, "{seed}");
        server.advance(1000);
        for client in waiting.into_iter().chain([admin]) {
            server.read_all(client);
            server.disconnect(client);
        }
        server.turns();
        server.assert_nothing_is_left();
    }
}

#[test]
fn who_waits_for_a_key_follows_it_to_another_core_and_keeps_its_place() {
    let mut server = Server::new(CORES);
    let admin = server.connect(0);
    let keys: Vec<String> = (0..CORES)
        .map(|core| key_on(core, CORES, "queue"))
        .collect();
    let waiting: Vec<Client> = (0..6)
        .map(|at| server.connect(at % usize::from(CORES)))
        .collect();
    for (at, client) in waiting.iter().enumerate() {
        let take = match at % 2 {
            0 => format!("BLPOP {} 0\r\n", keys[0]),
            _ => format!("BLPOP {} 0\r\n", keys.join(" ")),
        };
        assert_eq!(server.send(*client, take.as_bytes()), "");
    }
    for (value, core) in ["01", "2", "345"].iter().zip([2, 1, 0]) {
        move_key(&mut server, admin, &keys[0], core);
        let digits: Vec<String> = value.chars().map(String::from).collect();
        let push = format!("RPUSH {} {}\r\n", keys[0], digits.join(" "));
        server.send(admin, push.as_bytes());
        for digit in value.chars() {
            let first = waiting[digit.to_digit(10).unwrap() as usize];
            let heard = server.send(first, b"");
            assert!(heard.ends_with(&format!("\r\n{digit}\r\n")), "{heard}");
        }
    }
    assert_eq!(
        server.send(admin, format!("EXISTS {}\r\n", keys[0]).as_bytes()),
        ":0\r\n"
    );
    for client in waiting.into_iter().chain([admin]) {
        server.disconnect(client);
    }
    server.assert_nothing_is_left();
}
