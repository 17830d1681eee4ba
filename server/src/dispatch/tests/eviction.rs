//! Eviction on cores within a test: who writes has room made, whatever the policy and wherever the keys are, and is refused only where
//! nothing may go.

use std::sync::atomic::Ordering;

use crate::budget::lending::WHOLE;
use crate::budget::{ResidentBytes, room_bytes};
use crate::config::MaxmemoryPolicy;
use crate::dispatch::limits::OVERDRAFT_SHARE;
use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};
use crate::routing::CoreId;

const LIMIT: u64 = 2_000_000;
const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

fn set(key: &str, bytes: usize) -> Vec<u8> {
    let value = "v".repeat(bytes);
    format!("SET {key} {value}\r\n").into_bytes()
}

fn used_bytes(server: &Server) -> u64 {
    server.cores.iter().map(|core| core.used_bytes()).sum()
}

/// What all cores may use together: a part is held ahead, and somewhat more is used while others make room.
fn bound(cores: u16) -> u64 {
    LIMIT + u64::from(cores) * (room_bytes(LIMIT, cores) + 16_384) + LIMIT / OVERDRAFT_SHARE
}

fn under(policy: &str, cores: u16) -> Server {
    let limit = LIMIT.to_string();
    let options = [("maxmemory", limit.as_str()), ("maxmemory-policy", policy)];
    Server::configured(cores, &options)
}

fn ask(server: &mut Server, client: Client, line: &str) -> String {
    server.send_alone(client, format!("{line}\r\n").as_bytes())
}

/// A figure of `INFO`.
fn info(server: &mut Server, client: Client, section: &str, name: &str) -> u64 {
    let text = ask(server, client, &format!("INFO {section}"));
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{name}:")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line[name.len() + 1..].trim().parse().unwrap()
}

fn policies(scope: &str) -> impl Iterator<Item = &'static str> {
    let all = MaxmemoryPolicy::VALUES.iter().copied();
    all.filter(move |policy| policy.starts_with(scope))
}

#[test]
fn with_a_policy_for_all_keys_nobody_is_refused_and_memory_keeps_to_the_limit() {
    for policy in policies("allkeys") {
        for cores in [1, 2, 3] {
            let mut server = under(policy, cores);
            let client = server.connect(0);
            let mut random = Random(7);
            for number in 0..1500 {
                let bytes = random.of(&[10, 100, 1000, 5000]);
                let reply = server.send_alone(client, &set(&format!("k{number}"), bytes));
                assert_eq!(reply, "+OK\r\n", "{policy} on {cores} cores, key {number}");
                let (used, most) = (used_bytes(&server), bound(cores));
                assert!(used <= most, "{policy} on {cores} cores: {used} of {most}");
            }
            // A core that is beyond its budget evicts in between too.
            let before = info(&mut server, client, "stats", "evicted_keys");
            let keys = ask(&mut server, client, "DBSIZE");
            let keys: u64 = keys.trim_start_matches(':').trim().parse().unwrap();
            let after = info(&mut server, client, "stats", "evicted_keys");
            let evicted = 1500 - keys;
            assert!(
                (before..=after).contains(&evicted),
                "{policy} on {cores} cores"
            );
            assert!(keys > 200, "{policy} on {cores} cores: {keys}");
        }
    }
}

#[test]
fn what_has_no_deadline_stays_under_a_policy_for_those_that_have() {
    for policy in policies("volatile") {
        for cores in [1, 2] {
            let mut server = under(policy, cores);
            let client = server.connect(0);
            for number in 0..300 {
                let key = format!("stays{number}");
                assert_eq!(server.send_alone(client, &set(&key, 1000)), "+OK\r\n");
            }
            for number in 0..2000 {
                let value = "v".repeat(1000);
                let line = format!("SET v{number} {value} EX {}", 1000 + number);
                let reply = ask(&mut server, client, &line);
                assert_eq!(reply, "+OK\r\n", "{policy} on {cores} cores, key {number}");
            }
            assert!(info(&mut server, client, "stats", "evicted_keys") > 200);
            for number in 0..300 {
                let there = ask(&mut server, client, &format!("EXISTS stays{number}"));
                assert_eq!(there, ":1\r\n", "{policy} on {cores} cores");
            }
            // With nothing left that may go, writes are refused.
            let mut refused = 0;
            for number in 0..3000 {
                let reply = server.send_alone(client, &set(&format!("more{number}"), 1000));
                match reply.as_str() {
                    OOM => refused += 1,
                    reply => assert_eq!(reply, "+OK\r\n"),
                }
            }
            assert!(refused > 500, "{policy} on {cores} cores: {refused}");
        }
    }
}

#[test]
fn a_core_that_has_nothing_to_evict_has_the_others_make_room() {
    let mut server = under("allkeys-lru", 2);
    let (one, other) = (server.connect(0), server.connect(1));
    for number in 0..3000 {
        let key = key_on(0, 2, &format!("full{number}"));
        assert_eq!(server.send_alone(one, &set(&key, 1000)), "+OK\r\n");
    }
    for number in 0..300 {
        let key = key_on(1, 2, &format!("new{number}"));
        let reply = server.send_alone(other, &set(&key, 1000));
        assert_eq!(reply, "+OK\r\n", "key {number}");
        assert!(used_bytes(&server) <= bound(2));
    }
}

#[test]
fn a_core_that_misses_more_than_another_comes_to_hold_more() {
    // Not by adaptive: with what it holds to choose by, fewer entries are in so little than budgets go by.
    let mut server = under("allkeys-lru", 2);
    let (one, other) = (server.connect(0), server.connect(1));
    let fill = |server: &mut Server, client, core, numbers: std::ops::Range<usize>| {
        for number in numbers {
            let key = key_on(core, 2, &format!("k{number}"));
            assert_eq!(server.send_alone(client, &set(&key, 100)), "+OK\r\n");
        }
    };
    fill(&mut server, one, 0, 0..20_000);
    let shares = |server: &Server| server.cores.iter().map(|core| core.used_bytes()).collect();
    let before: Vec<u64> = shares(&server);
    assert!(before[0] > 4 * before[1], "{before:?}");
    // What the first has is used now and then, and never missed.
    for round in 0..40 {
        fill(&mut server, other, 1, 1000 * round..1000 * (round + 1));
        fill(&mut server, one, 0, 19_990..20_000);
        assert!(used_bytes(&server) <= bound(2));
    }
    let after: Vec<u64> = shares(&server);
    assert!(after[1] > LIMIT / 10, "{before:?} {after:?}");
    assert!(after[0] < before[0], "{before:?} {after:?}");
}

#[test]
fn an_evicted_key_is_told_to_subscribers_and_to_who_has_read_it() {
    let mut server = under("allkeys-random", 2);
    let (writer, reader, listener) = (server.connect(0), server.connect(1), server.connect(1));
    ask(&mut server, writer, "CONFIG SET notify-keyspace-events Ee");
    ask(&mut server, listener, "SUBSCRIBE __keyevent@0__:evicted");
    ask(&mut server, reader, "HELLO 3");
    let tracking = ask(&mut server, reader, "CLIENT TRACKING ON BCAST PREFIX k");
    assert_eq!(tracking, "+OK\r\n");
    let (mut told, mut invalidated) = (String::new(), String::new());
    for number in 0..2500 {
        server.send_alone(writer, &set(&format!("k{number}"), 1000));
        told += &String::from_utf8(server.take_output(listener)).unwrap();
        invalidated += &String::from_utf8(server.take_output(reader)).unwrap();
    }
    let evicted = info(&mut server, writer, "stats", "evicted_keys");
    told += &String::from_utf8(server.take_output(listener)).unwrap();
    invalidated += &String::from_utf8(server.take_output(reader)).unwrap();
    assert!(evicted > 500);
    assert_eq!(
        told.matches("__keyevent@0__:evicted").count() as u64,
        evicted
    );
    // Each key was written, and may have been evicted.
    let invalidations =
        invalidated.matches("$1\r\nk").count() + invalidated.matches("\r\nk").count();
    assert!(invalidations as u64 >= 2500 + evicted, "{invalidations}");
}

/// A command of any kind that may need memory.
fn any_write(random: &mut Random, number: usize, value: &str) -> String {
    let key = random.below(400);
    match random.below(10) {
        0 => format!("HSET h{key} f{number} {value}"),
        1 => format!("RPUSH l{key} {value}"),
        2 => format!("SADD s{key} {value}{number}"),
        3 => format!("ZADD z{key} {number} {value}{number}"),
        4 => format!("XADD x{key} * f {value}"),
        5 => format!("MSET a{number} {value} b{number} {value}"),
        6 => format!("EVAL \"redis.call('SET',KEYS[1],ARGV[1])\" 1 e{number} {value}"),
        7 => format!("APPEND p{key} {value}"),
        8 => format!("GET a{}", random.below(number + 1)),
        _ => format!("SET k{number} {value}"),
    }
}

#[test]
fn commands_of_any_kind_find_room_and_a_lower_limit_is_kept_to() {
    for seed in 0..seeds(3) {
        let mut server = under("allkeys-adaptive", 2);
        let client = server.connect(0);
        let mut random = Random(seed);
        let value = "v".repeat(300);
        for number in 0..4000 {
            let line = any_write(&mut random, number, &value);
            let reply = ask(&mut server, client, &line);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
            let (used, most) = (used_bytes(&server), bound(2) + 100_000);
            assert!(used <= most, "{used} of {most} after {line}");
        }
        ask(&mut server, client, "CONFIG SET maxmemory 1000000");
        server.advance(100);
        server.turns();
        let used = used_bytes(&server);
        assert!(used <= 1_000_000 + 2 * room_bytes(1_000_000, 2), "{used}");
        ask(
            &mut server,
            client,
            "CONFIG SET maxmemory-policy noeviction",
        );
        let mut refused = 0;
        for number in 0..3000 {
            let reply = ask(&mut server, client, &format!("SET n{number} {value}"));
            refused += u32::from(reply == OOM);
        }
        assert!(refused > 100, "{refused}");
    }
}

#[test]
fn what_was_leased_under_a_large_limit_does_not_fill_a_small_one() {
    let mut server = under("allkeys-lru", 1);
    let client = server.connect(0);
    ask(&mut server, client, "CONFIG SET maxmemory 200mb");
    server.cores[0].note_resident(ResidentBytes {
        anonymous: 100 << 20,
        in_files: 0,
    });
    ask(&mut server, client, "CONFIG SET maxmemory 2mb");
    assert_eq!(server.send_alone(client, &set("k", 100)), "+OK\r\n");
}

#[test]
fn under_a_new_limit_nothing_goes_for_what_another_core_has_leased_without_one() {
    let mut server = Server::configured(2, &[("maxmemory-policy", "allkeys-lru")]);
    let client = server.connect(0);
    for number in 0..2000 {
        let core = number % 2;
        server.send_alone(client, &set(&key_on(core, 2, &format!("k{number}")), 20));
    }
    server.turns();
    let limit = used_bytes(&server) + 64 * 1024;
    server.receive(
        client,
        format!("CONFIG SET maxmemory {limit}\r\n").as_bytes(),
    );
    // The other core sleeps on, and holds what it leased ahead.
    server.turn_of(0);
    server.receive(client, &set(&key_on(0, 2, "new"), 20));
    server.turn_of(0);
    server.turns();
    assert_eq!(server.take_output(client), b"+OK\r\n+OK\r\n");
    assert_eq!(ask(&mut server, client, "DBSIZE"), ":2001\r\n");
    assert_eq!(info(&mut server, client, "stats", "evicted_keys"), 0);
    // And it is in force: what is too much goes.
    let limit = limit - 80 * 1024;
    ask(
        &mut server,
        client,
        &format!("CONFIG SET maxmemory {limit}"),
    );
    server.turns();
    assert!(info(&mut server, client, "stats", "evicted_keys") > 0);
    assert!(used_bytes(&server) <= limit + limit / OVERDRAFT_SHARE);
}

/// What a core has leased, and its budget.
fn leased_and_budget(server: &mut Server, core: usize) -> (u64, u64) {
    let leased = server.cores[core].leased_bytes();
    let shared = &server.cores[core].state().shared;
    let part = shared
        .gauges(CoreId(core as u16))
        .budget
        .load(Ordering::Relaxed);
    (
        leased,
        (u128::from(LIMIT) * u128::from(part) / u128::from(WHOLE)) as u64,
    )
}

#[test]
fn a_core_without_commands_gives_others_what_it_holds_beyond_its_budget() {
    let mut server = under("allkeys-lru", 2);
    let (idle, busy) = (server.connect(0), server.connect(1));
    let fill = |server: &mut Server, client, keys: u32, prefix: &str| {
        for number in 0..keys {
            let reply = server.send_alone(client, &set(&format!("{prefix}{number}"), 400));
            assert_eq!(reply, "+OK\r\n");
        }
    };
    fill(&mut server, idle, 4000, &key_on(0, 2, "idle"));
    fill(&mut server, busy, 16_000, &key_on(1, 2, "busy"));
    let (leased, budget) = leased_and_budget(&mut server, 0);
    assert!(budget < LIMIT / 4 * 3, "much was lent: {budget}");
    assert!(leased <= budget + LIMIT / 20, "{leased} of {budget}");
    let (leased, budget) = leased_and_budget(&mut server, 1);
    assert!(leased + LIMIT / 20 >= budget, "{leased} of {budget}");
}
