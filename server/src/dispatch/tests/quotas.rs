//! Quotas on cores within a test: a prefix keeps to its bytes and its rate over all cores, nobody else's keys go for it, and what is told of
//! it is what a recount finds.

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};
use crate::quota::Quota;

const LIMIT: u64 = 100_000;
/// What a command may use beyond its arguments until the end of the turn, and what is under way on another core.
const SLACK: u64 = 20_000;

fn ask(server: &mut Server, client: Client, line: &str) -> String {
    server.send_alone(client, format!("{line}\r\n").as_bytes())
}

fn under(policy: &str, cores: u16) -> (Server, Client) {
    let mut server = Server::configured(cores, &[("maxmemory-policy", policy)]);
    let client = server.connect(0);
    (server, client)
}

fn set(server: &mut Server, client: Client, key: &str, bytes: usize) -> String {
    let value = "v".repeat(bytes);
    ask(server, client, &format!("SET {key} {value}"))
}

/// Looks at a quota in force.
fn quota<T>(server: &mut Server, prefix: &str, look: impl FnOnce(&Quota) -> T) -> T {
    let config = server.cores[0].state().shared.config();
    let mut quotas = config.quotas().iter().map(|(_, quota)| quota);
    look(quotas.find(|quota| &*quota.prefix == prefix).unwrap())
}

fn used(server: &mut Server, prefix: &str) -> u64 {
    quota(server, prefix, Quota::used_bytes)
}

fn figure(server: &mut Server, prefix: &str, name: &str) -> u64 {
    let now = server.clock().unix;
    quota(server, prefix, |quota| {
        let figures = quota.figures(now);
        figures
            .into_iter()
            .find(|figure| figure.0 == name)
            .unwrap()
            .1
    })
}

fn count(server: &mut Server, client: Client, pattern: &str) -> usize {
    ask(server, client, &format!("KEYS {pattern}"))
        .matches('$')
        .count()
}

/// What is told of each quota is what the shards have, and that is what there is.
fn check(server: &mut Server) {
    server.turns();
    let config = server.cores[0].state().shared.config();
    for (id, quota) in config.quotas().iter() {
        let mut all = 0;
        for core in &mut server.cores {
            all += core.state().shard.quota_usage(id).0;
        }
        assert_eq!(quota.used_bytes(), all, "{}", quota.prefix);
    }
    server
        .cores
        .iter_mut()
        .for_each(|core| core.state().shard.check());
}

fn oom(prefix: &str) -> String {
    format!("-OOM command not allowed when used memory > quota of prefix '{prefix}'.\r\n")
}

#[test]
fn under_a_policy_a_prefix_keeps_to_its_bytes_and_nobody_else_goes_for_it() {
    for policy in [
        "allkeys-lru",
        "allkeys-sieve",
        "allkeys-adaptive",
        "allkeys-random",
    ] {
        for cores in [1, 2, 3] {
            let (mut server, client) = under(policy, cores);
            for number in 0..200 {
                set(&mut server, client, &format!("free:{number}"), 500);
                set(&mut server, client, &format!("b:{number}"), 300);
            }
            assert_eq!(
                ask(&mut server, client, &format!("LARDER QUOTA a: {LIMIT} 0")),
                "+OK\r\n"
            );
            assert_eq!(ask(&mut server, client, "LARDER QUOTA b: 1mb 0"), "+OK\r\n");
            let mut random = Random(3);
            for number in 0..1000 {
                let bytes = random.of(&[10, 100, 1000]);
                let reply = set(&mut server, client, &format!("a:{number}"), bytes);
                assert_eq!(reply, "+OK\r\n", "{policy} on {cores} cores, key {number}");
                server.turns();
                let used = used(&mut server, "a:");
                assert!(used <= LIMIT, "{policy} on {cores} cores: {used}");
            }
            assert!(used(&mut server, "a:") > LIMIT - SLACK);
            for pattern in ["free:*", "b:*"] {
                assert_eq!(
                    count(&mut server, client, pattern),
                    200,
                    "{policy} on {cores} cores"
                );
            }
            let left = count(&mut server, client, "a:*") as u64;
            assert_eq!(figure(&mut server, "a:", "evicted_keys") + left, 1000);
            check(&mut server);
        }
    }
}

#[test]
fn without_a_policy_writes_beyond_the_bytes_are_refused_wherever_the_key_is() {
    for cores in [1, 2] {
        let (mut server, client) = under("noeviction", cores);
        ask(
            &mut server,
            client,
            &format!("LARDER QUOTA SET a: BYTES {LIMIT}"),
        );
        let mut refused = 0;
        for number in 0..300 {
            match set(&mut server, client, &format!("a:{number}"), 1000).as_str() {
                "+OK\r\n" => {}
                error => {
                    assert_eq!(error, oom("a:"));
                    refused += 1;
                }
            }
            server.turns();
            assert!(used(&mut server, "a:") <= LIMIT);
        }
        assert!((200..220).contains(&refused), "{refused} on {cores} cores");
        assert_eq!(figure(&mut server, "a:", "refused_for_bytes"), refused);
        // Others, reading and deleting are none of its concern.
        assert_eq!(set(&mut server, client, "other", 1000), "+OK\r\n");
        assert!(ask(&mut server, client, "GET a:1").starts_with("$1000"));
        assert_eq!(ask(&mut server, client, "DEL a:1 a:2"), ":2\r\n");
        server.turns();
        assert_eq!(set(&mut server, client, "a:new", 1000), "+OK\r\n");
        // Several keys: one quota that is short refuses the command.
        let value = "v".repeat(3000);
        let both = format!("MSET free {value} a:x {value}");
        assert_eq!(ask(&mut server, client, &both), oom("a:"));
        assert_eq!(ask(&mut server, client, "EXISTS free"), ":0\r\n");
        // A transaction with such a write is spoilt.
        ask(&mut server, client, "MULTI");
        assert_eq!(
            ask(&mut server, client, &format!("SET a:y {value}")),
            oom("a:")
        );
        assert!(ask(&mut server, client, "EXEC").starts_with("-EXECABORT"));
        check(&mut server);
    }
}

#[test]
fn what_a_command_writes_to_does_not_go_for_its_own_growth() {
    let (mut server, client) = under("allkeys-lru", 1);
    ask(&mut server, client, "LARDER QUOTA a: 20000 0");
    let value = "v".repeat(500);
    let mut last = String::new();
    for number in 0..100 {
        last = ask(
            &mut server,
            client,
            &format!("HSET a:hash f{number} {value}"),
        );
        server.turns();
    }
    assert_eq!(last, oom("a:"));
    assert!(ask(&mut server, client, "HLEN a:hash").as_str() > ":2");
    // What alone is more than all bytes is refused without anything going for it.
    set(&mut server, client, "a:large", 30_000);
    assert_eq!(ask(&mut server, client, "EXISTS a:hash"), ":1\r\n");
    assert_eq!(figure(&mut server, "a:", "evicted_keys"), 0);
    // What was not known before makes others go at the end of the turn.
    ask(&mut server, client, "SETRANGE b 15000 x");
    assert_eq!(ask(&mut server, client, "RENAME b a:b"), "+OK\r\n");
    server.turns();
    assert!(used(&mut server, "a:") <= 20_000);
    assert!(figure(&mut server, "a:", "evicted_keys") > 0);
    check(&mut server);
}

#[test]
fn a_core_that_has_none_of_the_prefix_has_the_others_make_room() {
    let (mut server, one) = under("allkeys-lru", 2);
    let other = server.connect(1);
    ask(&mut server, one, &format!("LARDER QUOTA {{ {LIMIT} 0"));
    for number in 0..300 {
        let key = key_on(0, 2, &format!("full{number}"));
        assert_eq!(set(&mut server, one, &key, 1000), "+OK\r\n");
    }
    for number in 0..50 {
        let key = key_on(1, 2, &format!("new{number}"));
        assert_eq!(
            set(&mut server, other, &key, 1000),
            "+OK\r\n",
            "key {number}"
        );
        server.turns();
        assert!(used(&mut server, "{") <= LIMIT);
    }
    assert!(count(&mut server, one, "*new*") > 10);
    check(&mut server);
}

#[test]
fn under_maxmemory_the_guarded_stay_and_the_others_go() {
    for policy in ["allkeys-lru", "allkeys-s3fifo", "allkeys-adaptive"] {
        for cores in [1, 2] {
            let (mut server, client) = under(policy, cores);
            ask(&mut server, client, "CONFIG SET maxmemory 2mb");
            ask(&mut server, client, "LARDER QUOTA a: 500kb 0");
            for number in 0..400 {
                set(&mut server, client, &format!("a:{number}"), 1000);
            }
            for number in 0..6000 {
                let reply = set(&mut server, client, &format!("free:{number}"), 1000);
                assert_eq!(reply, "+OK\r\n", "{policy} on {cores} cores, key {number}");
            }
            assert_eq!(
                count(&mut server, client, "a:*"),
                400,
                "{policy} on {cores} cores"
            );
            assert!(count(&mut server, client, "free:*") < 2000);
            // What is promised is more than there is: nobody is guarded, and the longest idle go. The others keep what has been there for
            // long.
            ask(&mut server, client, "LARDER QUOTA b: 2mb 0");
            for number in 0..6000 {
                set(&mut server, client, &format!("free:{number}"), 1000);
            }
            assert!(
                policy != "allkeys-lru" || count(&mut server, client, "a:*") < 400,
                "{policy} on {cores} cores"
            );
            check(&mut server);
        }
    }
}

#[test]
fn commands_come_no_faster_than_they_may_from_all_cores_together() {
    let (mut server, one) = under("noeviction", 2);
    let other = server.connect(1);
    ask(&mut server, one, "LARDER QUOTA SET a: OPS 100");
    server.advance(5000);
    let mut passed = 0;
    for number in 0..200 {
        let client = if number % 3 == 0 { one } else { other };
        let line = match number % 2 {
            0 => format!("SET a:{number} 1"),
            _ => format!("GET a:{number}"),
        };
        let reply = ask(&mut server, client, &line);
        match reply.starts_with("-QUOTA ") {
            true => assert!(reply.contains("100") && reply.contains("'a:'"), "{reply}"),
            false => passed += 1,
        }
    }
    assert_eq!(passed, 100);
    assert_eq!(figure(&mut server, "a:", "refused_for_ops"), 100);
    assert_eq!(ask(&mut server, one, "SET other 1"), "+OK\r\n");
    server.advance(50);
    let passed = (0..20)
        .filter(|_| ask(&mut server, one, "GET a:0") == "$1\r\n1\r\n")
        .count();
    assert_eq!(passed, 5);
    // A script counts by its keys, once; a queued command when it is queued; MGET of one prefix once.
    server.advance(10_000);
    let script = "EVAL \"for i=1,500 do redis.call('GET',KEYS[1]) end return 1\" 1 a:0";
    assert_eq!(ask(&mut server, one, script), ":1\r\n");
    ask(&mut server, one, "MGET a:1 a:2 a:3");
    ask(&mut server, one, "MULTI");
    for _ in 0..98 {
        assert_eq!(ask(&mut server, one, "GET a:0"), "+QUEUED\r\n");
    }
    assert!(ask(&mut server, one, "GET a:0").starts_with("-QUOTA "));
    assert!(ask(&mut server, one, "EXEC").starts_with("-EXECABORT"));
}

#[test]
fn quotas_are_set_told_and_taken_away_by_command_and_by_directive() {
    let (mut server, client) = under("allkeys-lru", 2);
    assert_eq!(ask(&mut server, client, "LARDER QUOTA LIST"), "*0\r\n");
    assert_eq!(ask(&mut server, client, "LARDER QUOTA GET a:"), "$-1\r\n");
    assert!(!ask(&mut server, client, "INFO").contains("Quotas"));
    ask(&mut server, client, "LARDER QUOTA b: 1mb 50");
    ask(&mut server, client, "LARDER QUOTA SET a: OPS 7");
    ask(&mut server, client, "LARDER QUOTA SET a: BYTES 1kb");
    let config = ask(&mut server, client, "CONFIG GET larder-quota");
    assert!(config.contains("a: 1024 7 b: 1048576 50"), "{config}");
    set(&mut server, client, "b:1", 100);
    server.turns();
    let told = ask(&mut server, client, "LARDER QUOTA GET b:");
    assert!(told.contains("used_bytes\r\n:115\r\n"), "{told}");
    let info = ask(&mut server, client, "INFO quotas");
    assert!(
        info.contains("# Quotas\r\nquota0:prefix=\"a:\",bytes=1024,"),
        "{info}"
    );
    assert!(
        info.contains("quota1:prefix=\"b:\",bytes=1048576,used_bytes=115,ops=50,"),
        "{info}"
    );
    assert_eq!(
        ask(&mut server, client, "LARDER QUOTA DEL a: nosuch"),
        ":1\r\n"
    );
    let set = ask(
        &mut server,
        client,
        "CONFIG SET larder-quota \"c: 1kb 0 'd e' 0 9\"",
    );
    assert_eq!(set, "+OK\r\n");
    let list = ask(&mut server, client, "LARDER QUOTA LIST");
    assert!(list.starts_with("*2\r\n") && list.contains("d e"), "{list}");
    for refused in [
        "LARDER QUOTA e: 0 0",
        "LARDER QUOTA \"\" 1 1",
        "CONFIG SET larder-quota \"c: 1\"",
    ] {
        assert!(
            ask(&mut server, client, refused).starts_with("-ERR"),
            "{refused}"
        );
    }
    assert_eq!(
        ask(&mut server, client, "CONFIG SET larder-quota \"\""),
        "+OK\r\n"
    );
    assert_eq!(ask(&mut server, client, "LARDER QUOTA LIST"), "*0\r\n");
    check(&mut server);
}

/// A command of any kind on keys of three prefixes.
fn any(random: &mut Random, number: usize) -> String {
    let key = |random: &mut Random| {
        let prefix = random.of(&["a:", "a:in:", "b:", "free:"]);
        format!("{prefix}{}", random.below(40))
    };
    let (one, other) = (key(random), key(random));
    let value = "v".repeat(random.of(&[1, 30, 300, 3000, 20_000]));
    match random.below(24) {
        0 => format!("HSET h{one} f{number} {value}"),
        1 => format!("RPUSH {one}l {value} {value}"),
        2 => format!("SADD {one}s {number}{value}"),
        3 => format!("ZADD {one}z {number} {number}{value}"),
        4 => format!("XADD {one}x MAXLEN 20 * f {value}"),
        5 => format!("MSET {one} {value} {other} {value}"),
        6 => format!("RENAME {one} {other}"),
        7 => format!("COPY {one}l {other}l REPLACE"),
        8 => format!("COPY {one} {other} DB 1 REPLACE"),
        9 => format!("MOVE {one} 1"),
        10 => format!(
            "EVAL \"redis.call('SET',KEYS[1],ARGV[1]) redis.call('APPEND',KEYS[2],ARGV[1])\" 2 {one} {other} {value}"
        ),
        11 => format!(
            "EVAL \"redis.call('SET',KEYS[1],ARGV[1]) return redis.call('LPUSH',KEYS[1],1)\" 1 {one} {value}"
        ),
        12 => format!("LMOVE {one}l {other}l LEFT RIGHT"),
        13 => format!("LTRIM {one}l 0 3"),
        14 => format!("PEXPIRE {one} {}", random.below(50)),
        15 => format!("DEL {one} {other} {one}l"),
        16 => format!("APPEND {one} {value}"),
        17 => format!("SETRANGE {one} {} x", random.of(&[5, 500, 40_000])),
        18 => format!("SUNIONSTORE {one}s {other}s {one}s"),
        19 if number % 7 == 0 => "FLUSHDB".to_owned(),
        19 => "SWAPDB 0 1".to_owned(),
        20 => format!(
            "LARDER REBALANCE MOVE {} {}",
            random.below(16_384),
            random.below(2)
        ),
        21 => format!("SORT {one}l ALPHA STORE {other}l"),
        22 => format!("SPOP {one}s 3"),
        _ => format!("SET {one} {value}"),
    }
}

#[test]
fn whatever_commands_do_what_is_told_of_quotas_is_what_there_is() {
    for seed in 0..seeds(4) {
        for policy in ["allkeys-lru", "volatile-lfu", "noeviction"] {
            let (mut server, one) = under(policy, 2);
            let clients = [one, server.connect(1), server.connect(0)];
            let mut random = Random(seed);
            for number in 0..1200 {
                match number {
                    100 => {
                        ask(&mut server, one, "LARDER QUOTA a: 300kb 0");
                        ask(&mut server, one, "LARDER QUOTA b: 200kb 0");
                    }
                    500 => {
                        ask(&mut server, one, "LARDER QUOTA a:in: 50kb 0");
                    }
                    800 => {
                        ask(&mut server, one, "LARDER QUOTA SET b: BYTES 20kb");
                    }
                    _ => {}
                }
                let client = random.of(&clients);
                if random.one_in(10) {
                    ask(&mut server, client, "MULTI");
                    for _ in 0..3 {
                        let line = any(&mut random, number);
                        ask(&mut server, client, &line);
                    }
                    ask(&mut server, client, "EXEC");
                }
                let line = any(&mut random, number);
                ask(&mut server, client, &line);
                server.advance(random.below(5) as u64);
                if number % 40 == 0 {
                    check(&mut server);
                }
                if policy == "allkeys-lru" && number > 120 {
                    server.turns();
                    for (prefix, limit) in [("a:", 300 << 10), ("b:", 200 << 10)] {
                        let used = used(&mut server, prefix);
                        assert!(used <= limit, "{prefix} has {used} after {line}");
                    }
                }
            }
            check(&mut server);
        }
    }
}

/// Commands that make much of few bytes, and what is written first for them.
const MAKE_MUCH: [(&str, &str); 4] = [
    ("PING", "SETRANGE {t}b:new 60000 x"),
    ("PING", "SETBIT {t}b:new 480000 1"),
    ("PING", "BITFIELD {t}b:new SET u8 480000 1"),
    (
        "SETRANGE {t}free:large 60000 x",
        "COPY {t}free:large {t}b:new",
    ),
];

#[test]
fn what_a_command_makes_of_less_is_counted_before_it_is_made() {
    for (before, command) in MAKE_MUCH {
        for (policy, is_refused) in [("noeviction", true), ("allkeys-lru", false)] {
            let (mut server, client) = under(policy, 1);
            let set_quota = format!("LARDER QUOTA {{t}}b: {LIMIT} 0");
            assert_eq!(ask(&mut server, client, &set_quota), "+OK\r\n");
            ask(&mut server, client, before);
            for number in 0..60 {
                let reply = set(&mut server, client, &format!("{{t}}b:{number}"), 1000);
                assert_eq!(reply, "+OK\r\n");
            }
            let reply = ask(&mut server, client, command);
            assert_eq!(
                reply == oom("{t}b:"),
                is_refused,
                "{policy}, {command}: {reply}"
            );
            let there = ask(&mut server, client, "EXISTS {t}b:new");
            assert_eq!(there, format!(":{}\r\n", u8::from(!is_refused)));
            assert!(used(&mut server, "{t}b:") <= LIMIT, "{command}");
            // What is there already is not asked for once more.
            if !command.starts_with("COPY") {
                let reply = ask(&mut server, client, command);
                assert_eq!(reply == oom("{t}b:"), is_refused, "{policy}, {command}");
            }
            // What alone is more than the quota is refused, and nothing goes for it.
            let evicted = figure(&mut server, "{t}b:", "evicted_keys");
            let reply = ask(&mut server, client, "SETRANGE {t}b:other 200000 x");
            assert_eq!(reply, oom("{t}b:"));
            assert_eq!(figure(&mut server, "{t}b:", "evicted_keys"), evicted);
            check(&mut server);
        }
    }
}
