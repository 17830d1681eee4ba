//! Operations on several sorted sets, on servers of one and of several cores: they agree with a naive model, whatever their sizes, and a
//! long one takes many steps, each of which looks at few members.

#![cfg(test)]

use std::collections::BTreeMap;

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};

fn send(server: &mut Server, client: Client, command: &str) -> String {
    server.send(client, format!("{command}\r\n").as_bytes())
}

fn disconnect(mut server: Server, clients: &[Client]) {
    for client in clients {
        server.disconnect(*client);
    }
    server.assert_nothing_is_left();
}

type Members = BTreeMap<String, f64>;

/// The members of a reply with scores, in its order.
fn shown(reply: &str) -> Vec<(String, f64)> {
    let mut lines = reply.lines();
    let header = lines.next().unwrap();
    let count: usize = header.strip_prefix('*').expect(header).parse().unwrap();
    let texts: Vec<&str> = lines.skip(1).step_by(2).collect();
    assert_eq!(texts.len(), count, "{header}");
    let pairs = texts.chunks_exact(2);
    pairs
        .map(|pair| (pair[0].to_owned(), pair[1].parse().unwrap()))
        .collect()
}

/// Members in the order of a sorted set.
fn in_order(members: &Members) -> Vec<(String, f64)> {
    let mut members: Vec<(String, f64)> = members
        .iter()
        .map(|(name, score)| (name.clone(), *score))
        .collect();
    members.sort_by(|one, other| {
        let by_score = one.1.partial_cmp(&other.1).unwrap();
        by_score.then_with(|| one.0.cmp(&other.0))
    });
    members
}

/// Holds a reply with scores against what is expected.
fn check(reply: &str, expected: &Members, line: &str) {
    let (shown, expected) = (shown(reply), in_order(expected));
    for (shown, expected) in shown.iter().zip(&expected) {
        assert_eq!(shown, expected, "{line}");
    }
    assert_eq!(shown.len(), expected.len(), "{line}");
}

fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

fn put_together(aggregate: &str, one: f64, other: f64) -> f64 {
    match aggregate {
        "SUM" => number(one + other),
        "MIN" if other < one => other,
        "MAX" if other > one => other,
        _ => one,
    }
}

/// What Redis makes of operands: by their sizes, the smallest first.
fn of_model(operation: &str, operands: &[(Option<&Members>, f64)], aggregate: &str) -> Members {
    let none = Members::new();
    if operation == "DIFF" {
        let mut left = operands[0].0.unwrap_or(&none).clone();
        for (other, _) in &operands[1..] {
            left.retain(|name, _| !other.is_some_and(|other| other.contains_key(name)));
        }
        return left;
    }
    let mut by_size = operands.to_vec();
    by_size.sort_by_key(|(members, _)| members.map(BTreeMap::len));
    let mut found = Members::new();
    for (members, weight) in &by_size {
        for (name, score) in members.unwrap_or(&none) {
            // A union takes no number for 0 at once, an intersection once it is put together with others.
            let score = match operation {
                "UNION" => number(weight * score),
                _ => weight * score,
            };
            found
                .entry(name.clone())
                .and_modify(|sum| *sum = put_together(aggregate, *sum, score))
                .or_insert(number(score));
        }
    }
    if operation == "INTER" {
        found.retain(|name, _| {
            let has = |members: &Option<&Members>| members.is_some_and(|of| of.contains_key(name));
            by_size.iter().all(|(members, _)| has(members))
        });
    }
    found
}

/// Makes a sorted set, or a set, of about so many members.
fn make(server: &mut Server, client: Client, key: &str, random: &mut Random) -> Members {
    let count = random.of(&[0usize, 1, 20, 400, 3000, 7000]);
    let (first, step) = (random.below(50), 1 + random.below(4));
    let is_set = random.below(4) == 0;
    let mut members = Members::new();
    for number in (first..).step_by(step).take(count) {
        let score = match random.below(40) {
            0 => f64::INFINITY,
            1 => f64::NEG_INFINITY,
            2 => 0.0,
            // So that sums depend on their order.
            _ => random.below(1 << 20) as f64 / 10.0 * random.of(&[1.0, -1.0, 1e9]),
        };
        members.insert(format!("m:{number}"), if is_set { 1.0 } else { score });
    }
    let command = if is_set { "SADD" } else { "ZADD" };
    let all: Vec<(&String, &f64)> = members.iter().collect();
    for some in all.chunks(500) {
        let words = some.iter().map(|(name, score)| match is_set {
            true => (*name).clone(),
            false => format!("{score} {name}"),
        });
        let words: Vec<String> = words.collect();
        send(
            server,
            client,
            &format!("{command} {key} {}", words.join(" ")),
        );
    }
    members
}

/// Operations on sorted sets of many sizes, some of which take several steps, or parts.
fn agrees(seed: u64) {
    let mut random = Random(seed);
    let cores = random.of(&[1u16, 2, 3]);
    let mut server = Server::new(cores);
    let client = server.connect(random.below(cores.into()));
    let keys: Vec<String> = (0..6)
        .map(|at| key_on(at % cores, cores, &format!("set{at}")))
        .collect();
    let mut model = BTreeMap::new();
    for key in &keys {
        let members = make(&mut server, client, key, &mut random);
        if !members.is_empty() {
            model.insert(key.clone(), members);
        }
    }
    for _ in 0..14 {
        let count = 1 + random.below(4);
        let operands: Vec<&String> = (0..count).map(|_| &keys[random.below(6)]).collect();
        let operation = random.of(&["INTER", "UNION", "DIFF"]);
        let aggregate = random.of(&["SUM", "MIN", "MAX"]);
        let weights: Vec<f64> = (0..count)
            .map(|_| random.of(&[1.0, 1.0, 2.0, -0.1, 0.0]))
            .collect();
        let options = match (operation, random.below(3)) {
            ("DIFF", _) => String::new(),
            (_, 0) => format!(" AGGREGATE {aggregate}"),
            _ => {
                let words: Vec<String> = weights.iter().map(f64::to_string).collect();
                format!(" WEIGHTS {} AGGREGATE {aggregate}", words.join(" "))
            }
        };
        let weight_of = |at: usize| match options.contains("WEIGHTS") {
            true => weights[at],
            false => 1.0,
        };
        let of: Vec<(Option<&Members>, f64)> = operands
            .iter()
            .enumerate()
            .map(|(at, key)| (model.get(*key), weight_of(at)))
            .collect();
        let found = of_model(operation, &of, aggregate);
        let named: Vec<&str> = operands.iter().map(|key| key.as_str()).collect();
        let named = format!("{count} {}", named.join(" "));
        match random.below(3) {
            0 => {
                let line = format!("Z{operation} {named}{options} WITHSCORES");
                let reply = send(&mut server, client, &line);
                check(&reply, &found, &format!("seed {seed}: {line}"));
            }
            1 if operation == "INTER" => {
                let limit = random.of(&[0usize, 1, 100, 5000]);
                let line = format!("ZINTERCARD {named} LIMIT {limit}");
                let most = if limit == 0 { usize::MAX } else { limit };
                let expected = format!(":{}\r\n", found.len().min(most));
                let reply = send(&mut server, client, &line);
                assert_eq!(reply, expected, "seed {seed}: {line}");
            }
            _ => {
                let to = &keys[random.below(6)];
                let line = format!("Z{operation}STORE {to} {named}{options}");
                let expected = format!(":{}\r\n", found.len());
                let reply = send(&mut server, client, &line);
                assert_eq!(reply, expected, "seed {seed}: {line}");
                let reply = send(&mut server, client, &format!("ZRANGE {to} 0 -1 WITHSCORES"));
                check(&reply, &found, &format!("seed {seed}: {line}"));
                match found.is_empty() {
                    true => drop(model.remove(to)),
                    false => drop(model.insert(to.clone(), found)),
                }
            }
        }
    }
    disconnect(server, &[client]);
}

#[test]
fn a_range_is_stored_in_parts_wherever_its_keys_are() {
    for cores in [1, 2] {
        for client_at in 0..usize::from(cores) {
            let mut server = Server::new(cores);
            let client = server.connect(client_at);
            let (from, to) = (key_on(0, cores, "from"), key_on(cores - 1, cores, "to"));
            fill(&mut server, client, &from, 0..5000);
            for (range, first, count) in [
                ("0 -1", 0, 5000),
                ("10 4 ", 0, 0),
                ("(100 +inf BYSCORE LIMIT 9 4000", 110, 4000),
                ("4999 100 BYSCORE REV LIMIT 1 -1", 100, 4899),
                ("0 3999 REV", 1000, 4000),
            ] {
                let line = format!("ZRANGESTORE {to} {from} {range}");
                let reply = send(&mut server, client, &line);
                assert_eq!(reply, format!(":{count}\r\n"), "{line}");
                let expected: Members = (first..first + count)
                    .map(|n| (format!("member:{n}"), n as f64))
                    .collect();
                let reply = send(&mut server, client, &format!("ZRANGE {to} 0 -1 WITHSCORES"));
                check(&reply, &expected, &line);
            }
            disconnect(server, &[client]);
        }
    }
}

#[test]
fn what_a_search_finds_is_stored_wherever_its_keys_are() {
    for cores in [1, 2] {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        let from = key_on(0, cores, "from");
        let to = [key_on(0, cores, "here"), key_on(cores - 1, cores, "there")];
        let members: Vec<usize> = (0..12_000).collect();
        for some in members.chunks(500) {
            let words = some.iter().map(|n| {
                let (east, north) = (n * 7919 % 10_000, n * 104_729 % 10_007);
                format!(" 15.{east:04} 37.{north:05} member:{n}")
            });
            let line = format!("GEOADD {from}{}", words.collect::<String>());
            assert_eq!(send(&mut server, client, &line), ":500\r\n");
        }
        for (options, stored) in [
            ("", None),
            ("STOREDIST", None),
            ("COUNT 3000", Some(3000)),
            ("COUNT 3000 ANY", Some(3000)),
            ("DESC COUNT 10 STOREDIST", Some(10)),
            ("COUNT 1 ANY", Some(1)),
        ] {
            let around = format!("FROMLONLAT 15.5 37.05 BYRADIUS 60 km {options}");
            let shown = [&to[0], &to[1]].map(|to| {
                let line = format!("GEOSEARCHSTORE {to} {from} {around}");
                let reply = send(&mut server, client, &line);
                let count = reply.trim()[1..].parse::<usize>().unwrap();
                assert!(
                    stored.map_or(count > 5000, |stored| count == stored),
                    "{line}: {count}"
                );
                send(&mut server, client, &format!("ZRANGE {to} 0 -1 WITHSCORES"))
            });
            assert!(shown[0] == shown[1], "{options}");
        }
        disconnect(server, &[client]);
    }
}

#[test]
fn operations_on_several_sorted_sets_agree_with_a_naive_model() {
    for seed in 0..seeds(40) {
        agrees(seed);
    }
}

/// A sorted set of so many members, whose scores are their numbers.
fn fill(server: &mut Server, client: Client, key: &str, numbers: std::ops::Range<usize>) {
    let members: Vec<String> = numbers.map(|n| format!("{n} member:{n}")).collect();
    for some in members.chunks(500) {
        send(server, client, &format!("ZADD {key} {}", some.join(" ")));
    }
}

#[test]
fn a_sorted_set_that_ends_meanwhile_was_none() {
    for cores in [1, 2] {
        for (command, left, whole) in [("UNION", 3000, 4000), ("DIFF", 0, 1000), ("INTER", 0, 3000)]
        {
            for turns in 1..12 {
                let mut server = Server::new(cores);
                let client = server.connect(0);
                let keys = [key_on(0, cores, "a"), key_on(cores - 1, cores, "b")];
                fill(&mut server, client, &keys[0], 0..4000);
                fill(&mut server, client, &keys[1], 1000..4000);
                send(&mut server, client, &format!("PEXPIRE {} 100", keys[0]));
                let line = format!("Z{command}STORE {{d}} 2 {} {}\r\n", keys[0], keys[1]);
                server.receive(client, line.as_bytes());
                server.some_turns(turns);
                server.advance(100);
                let reply = send(&mut server, client, "");
                let found: usize = reply.trim()[1..].parse().unwrap();
                assert!(
                    found == left || found == whole,
                    "{command} {turns}: {found}"
                );
                disconnect(server, &[client]);
            }
        }
    }
}

#[test]
fn types_are_checked_before_what_stands_behind_the_keys() {
    for cores in [1, 2] {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        let (text, set) = (key_on(0, cores, "text"), key_on(cores - 1, cores, "set"));
        send(&mut server, client, &format!("SET {text} v"));
        send(&mut server, client, &format!("ZADD {set} 1 a"));
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
        for line in [
            format!("ZUNION 2 {set} {text} WEIGHTS x y"),
            format!("ZDIFF 2 {set} {text} WEIGHTS 1 2"),
            format!("ZINTERCARD 2 {text} {set} LIMIT -1"),
            format!("ZINTERSTORE {set} 2 {set} {text} AGGREGATE none"),
        ] {
            assert_eq!(send(&mut server, client, &line), wrong, "{line}");
        }
        let line = format!("ZUNIONSTORE {text} 1 {set} WEIGHTS x");
        let fault = "-ERR weight value is not a float\r\n";
        assert_eq!(send(&mut server, client, &line), fault);
        let line = format!("ZUNIONSTORE {text} 1 {set} WEIGHTS -0");
        assert_eq!(send(&mut server, client, &line), ":1\r\n");
        let reply = send(&mut server, client, &format!("ZSCORE {text} a"));
        assert_eq!(reply, "$1\r\n0\r\n", "a small one");
        disconnect(server, &[client]);
    }
}
