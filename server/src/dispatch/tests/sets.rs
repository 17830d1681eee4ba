//! Sets on servers of one and of several cores: operations on several of them agree with a naive model and are one moment, whatever
//! happens meanwhile.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

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

/// The members of a reply.
fn members(reply: &str) -> BTreeSet<String> {
    let mut lines = reply.lines();
    let header = lines.next().unwrap();
    let count: usize = header.strip_prefix('*').expect(header).parse().unwrap();
    let texts: Vec<&str> = lines.skip(1).step_by(2).collect();
    assert_eq!(texts.len(), count, "{header}");
    let members: BTreeSet<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(members.len(), count, "no member is shown twice");
    members
}

type Sets = BTreeMap<String, BTreeSet<String>>;

fn of_model(model: &Sets, operation: &str, keys: &[&String]) -> BTreeSet<String> {
    let none = BTreeSet::new();
    let mut sets = keys.iter().map(|key| model.get(*key).unwrap_or(&none));
    let first = sets.next().unwrap().clone();
    sets.fold(first, |found, set| match operation {
        "INTER" => &found & set,
        "UNION" => &found | set,
        _ => &found - set,
    })
}

/// Operations on sets of many sizes, some of which take several steps, or parts.
fn agrees(seed: u64) {
    let mut random = Random(seed);
    let cores = random.of(&[1u16, 2, 3]);
    let mut server = Server::new(cores);
    let client = server.connect(random.below(cores.into()));
    let keys: Vec<String> = (0..6)
        .map(|at| key_on(at % cores, cores, &format!("set{at}")))
        .collect();
    let mut model = Sets::new();
    for key in &keys {
        let count = random.of(&[0usize, 1, 20, 400, 3000, 9000]);
        let (first, step) = (random.below(50), 1 + random.below(4));
        let is_integers = random.below(3) == 0;
        let members = (first..).step_by(step).take(count);
        let members: Vec<String> = members
            .map(|number| match is_integers {
                true => number.to_string(),
                false if number % 3 == 0 => number.to_string(),
                false => format!("member:{number}"),
            })
            .collect();
        for some in members.chunks(500) {
            send(
                &mut server,
                client,
                &format!("SADD {key} {}", some.join(" ")),
            );
        }
        if count > 0 {
            model.insert(key.clone(), members.into_iter().collect());
        }
    }
    for _ in 0..20 {
        let count = 1 + random.below(4);
        let operands: Vec<&String> = (0..count).map(|_| &keys[random.below(6)]).collect();
        let operation = random.of(&["INTER", "UNION", "DIFF"]);
        let found = of_model(&model, operation, &operands);
        let named: Vec<&str> = operands.iter().map(|key| key.as_str()).collect();
        let named = named.join(" ");
        match random.below(3) {
            0 => {
                let reply = send(&mut server, client, &format!("S{operation} {named}"));
                assert_eq!(members(&reply), found, "seed {seed}: {operation} {named}");
            }
            1 if operation == "INTER" => {
                let limit = random.of(&[0usize, 1, 100, 5000]);
                let line = format!("SINTERCARD {count} {named} LIMIT {limit}");
                let most = if limit == 0 { usize::MAX } else { limit };
                let expected = format!(":{}\r\n", found.len().min(most));
                assert_eq!(
                    send(&mut server, client, &line),
                    expected,
                    "seed {seed}: {line}"
                );
            }
            _ => {
                let to = &keys[random.below(6)];
                let line = format!("S{operation}STORE {to} {named}");
                let expected = format!(":{}\r\n", found.len());
                assert_eq!(
                    send(&mut server, client, &line),
                    expected,
                    "seed {seed}: {line}"
                );
                match found.is_empty() {
                    true => drop(model.remove(to)),
                    false => drop(model.insert(to.clone(), found)),
                }
                let none = BTreeSet::new();
                let reply = send(&mut server, client, &format!("SMEMBERS {to}"));
                assert_eq!(
                    &members(&reply),
                    model.get(to).unwrap_or(&none),
                    "seed {seed}"
                );
            }
        }
    }
    disconnect(server, &[client]);
}

#[test]
fn operations_on_several_sets_agree_with_a_naive_model() {
    for seed in 0..seeds(30) {
        agrees(seed);
    }
}

/// Members are moved between sets of several cores while somebody counts them.
fn moved(seed: u64) {
    const MEMBERS: usize = 6;
    let mut random = Random(seed);
    let cores = random.of(&[1u16, 2, 3]);
    let mut server = Server::new(cores);
    let sets: Vec<String> = (0..3)
        .map(|at| key_on(at % cores, cores, &format!("set{at}")))
        .collect();
    let clients: Vec<Client> = (0..4)
        .map(|_| server.connect(random.below(cores.into())))
        .collect();
    let (counter, movers) = clients.split_first().unwrap();
    send(
        &mut server,
        *counter,
        &format!("SADD {} a b c d e f", sets[0]),
    );
    let all = sets.join(" ");
    let count = format!(
        "SUNIONSTORE {{n}}u {all}\r\nSINTERCARD 2 {} {}\r\nSDIFFSTORE {{n}}d {{n}}u {all}\r\n",
        sets[0], sets[1]
    );
    for _ in 0..12 {
        for mover in movers {
            let [from, to] = [0, 0].map(|_| &sets[random.below(3)]);
            let member = random.of(&["a", "b", "c", "d", "e", "f"]);
            server.receive(*mover, format!("SMOVE {from} {to} {member}\r\n").as_bytes());
        }
        server.receive(*counter, count.as_bytes());
        for _ in 0..random.below(30) {
            server.stir(&mut random);
        }
    }
    let heard = send(&mut server, *counter, "PING");
    let counted: Vec<&str> = heard.lines().collect();
    let counted = &counted[..counted.len() - 1];
    assert_eq!(counted.len(), 36, "seed {seed}: {heard}");
    for counted in counted.chunks(3) {
        assert_eq!(counted, [&format!(":{MEMBERS}"), ":0", ":0"], "seed {seed}");
    }
    disconnect(server, &clients);
}

#[test]
fn what_goes_from_one_set_to_another_is_always_in_one_of_them() {
    for seed in 0..seeds(100) {
        moved(seed);
    }
}

/// Makes a set of so many members.
fn make(server: &mut Server, client: Client, key: &str, count: usize) {
    let members: Vec<String> = (0..count).map(|n| format!("member:{n}")).collect();
    for some in members.chunks(500) {
        send(server, client, &format!("SADD {key} {}", some.join(" ")));
    }
}

#[test]
fn a_set_that_ends_meanwhile_was_none() {
    for cores in [1, 2] {
        for (command, left) in [("SUNION", 8000), ("SDIFF", 0), ("SINTER", 0)] {
            for turns in 1..12 {
                let mut server = Server::new(cores);
                let client = server.connect(0);
                let keys = [key_on(0, cores, "a"), key_on(cores - 1, cores, "b")];
                make(&mut server, client, &keys[0], 9000);
                make(&mut server, client, &keys[1], 8000);
                send(&mut server, client, &format!("PEXPIRE {} 100", keys[0]));
                let line = format!("{command} {} {}\r\n", keys[0], keys[1]);
                server.receive(client, line.as_bytes());
                server.some_turns(turns);
                server.advance(100);
                let reply = send(&mut server, client, "");
                let found = members(&reply).len();
                let whole = match command {
                    "SUNION" => 9000,
                    "SDIFF" => 1000,
                    _ => 8000,
                };
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
fn types_are_checked_in_the_order_of_the_keys_wherever_they_are() {
    for cores in [1, 2] {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        let (text, set) = (key_on(0, cores, "text"), key_on(cores - 1, cores, "set"));
        let absent = key_on(cores - 1, cores, "absent");
        send(&mut server, client, &format!("SET {text} v"));
        send(&mut server, client, &format!("SADD {set} a"));
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
        for line in [
            format!("SINTER {absent} {text}"),
            format!("SUNION {set} {text}"),
            format!("SDIFFSTORE {set} {set} {text}"),
            format!("SINTERCARD 2 {text} {set}"),
            format!("SMOVE {text} {set} a"),
            format!("SMOVE {set} {text} none"),
        ] {
            assert_eq!(send(&mut server, client, &line), wrong, "{line}");
        }
        let line = format!("SUNIONSTORE {text} {set} {absent}");
        assert_eq!(send(&mut server, client, &line), ":1\r\n");
        assert_eq!(
            send(&mut server, client, &format!("TYPE {text}")),
            "+set\r\n"
        );
        disconnect(server, &[client]);
    }
}
