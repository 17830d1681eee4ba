//! `SORT` on servers of one and of several cores: patterns name keys of any core.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};

fn disconnect(mut server: Server, clients: &[Client]) {
    for client in clients {
        server.disconnect(*client);
    }
    server.assert_nothing_is_left();
}

/// Commands that make a list, and strings and hashes that patterns name.
fn data(random: &mut Random) -> String {
    let mut commands = "RPUSH list".to_owned();
    let elements: Vec<String> = (0..1 + random.below(12))
        .map(|_| random.below(20).to_string())
        .collect();
    commands += &format!(" {}\r\n", elements.join(" "));
    for element in elements {
        if !random.one_in(4) {
            commands += &format!("SET weight_{element} {}\r\n", random.below(10));
        }
        if !random.one_in(4) {
            let fields = format!("by {} name n{element}", random.below(10));
            commands += &format!("HSET hash_{element}_x {fields}\r\n");
        }
    }
    commands
}

/// A command that sorts it.
fn sorting(random: &mut Random) -> String {
    let mut words = vec!["SORT list".to_owned()];
    let by = ["weight_*", "hash_*_x->by", "nosort", "hash_*_x->none", "#"];
    if random.one_in(2) {
        words.push(format!("BY {}", random.of(&by)));
    }
    let gets = ["#", "weight_*", "hash_*_x->name", "none", "hash_*_x"];
    for _ in 0..random.below(3) {
        words.push(format!("GET {}", random.of(&gets)));
    }
    if random.one_in(2) {
        let (offset, count) = (random.below(6), random.below(6));
        words.push(format!("LIMIT {offset} {}", count as i64 - 1));
    }
    for word in ["DESC", "ALPHA", "STORE stored"] {
        if random.one_in(3) {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

/// What a client is answered who sorts alone, in a transaction and in a script.
fn answers(cores: u16, data: &str, sorting: &str) -> Vec<String> {
    let mut server = Server::new(cores);
    let client = server.connect(usize::from(cores) - 1);
    server.send(client, data.as_bytes());
    let words = sorting.replace(' ', "','");
    let ways = [
        format!("{sorting}\r\n"),
        format!("MULTI\r\nSET other v\r\n{sorting}\r\nEXEC\r\n"),
        format!("EVAL \"return redis.call('{words}')\" 0\r\n"),
        format!("EVAL \"redis.call('SET', 'other', 1) return redis.call('{words}')\" 1 list\r\n"),
    ];
    let mut answers = Vec::new();
    for way in ways {
        answers.push(server.send(client, way.as_bytes()));
        let stored = "TYPE stored\r\nLRANGE stored 0 -1\r\nDEL stored\r\n";
        answers.push(server.send(client, stored.as_bytes()));
    }
    disconnect(server, &[client]);
    answers
}

#[test]
fn what_is_sorted_does_not_depend_on_where_keys_live() {
    for seed in 0..seeds(150) {
        let mut random = Random(seed);
        let (data, sorting) = (data(&mut random), sorting(&mut random));
        let alone = answers(1, &data, &sorting);
        for cores in [2, 4] {
            let spread = answers(cores, &data, &sorting);
            assert_eq!(spread, alone, "seed {seed}, {cores} cores: {sorting}");
        }
    }
}

/// Somebody gives two elements their weights anew, both at once: whoever sorts by them sees both or neither.
fn reweigh(seed: u64) {
    let mut random = Random(seed);
    let mut server = Server::new(3);
    let clients: Vec<Client> = (0..3).map(|_| server.connect(random.below(3))).collect();
    let [setup, writer, reader] = clients[..] else {
        unreachable!()
    };
    let (one, other) = (key_on(0, 3, "w"), key_on(1, 3, "w"));
    let list = key_on(2, 3, "list");
    server.send(
        setup,
        format!("RPUSH {list} {one} {other}\r\nMSET {one} 1 {other} 2\r\n").as_bytes(),
    );
    let (sort, rest) = random.of(&[("SORT", ""), ("SORT_RO", " LIMIT 0 9")]);
    let sort = format!("{sort} {list} BY * GET *{rest}");
    for round in 0..6 {
        let (first, second) = if round % 2 == 0 { (2, 1) } else { (1, 2) };
        let write = format!("MSET {one} {first} {other} {second}\r\n");
        server.receive(writer, write.as_bytes());
        server.receive(reader, format!("{sort}\r\n").as_bytes());
        for _ in 0..random.below(40) {
            server.stir(&mut random);
        }
    }
    let heard = server.send(reader, b"");
    assert_eq!(
        heard,
        "*2\r\n$1\r\n1\r\n$1\r\n2\r\n".repeat(6),
        "seed {seed}"
    );
    disconnect(server, &clients);
}

#[test]
fn whoever_sorts_by_keys_of_several_cores_sees_one_moment() {
    for seed in 0..seeds(100) {
        reweigh(seed);
    }
}

#[test]
fn without_patterns_a_list_is_sorted_where_it_lives() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let list = key_on(1, 2, "list");
    server.send(client, format!("RPUSH {list} 2 1\r\n").as_bytes());
    let stats = |server: &mut Server| {
        let stats = &server.cores[0].state().stats;
        (stats.hops, stats.transactions)
    };
    let before = stats(&mut server);
    let heard = server.send(
        client,
        format!("SORT {list} GET # BY nosort DESC\r\n").as_bytes(),
    );
    assert_eq!(heard, "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    assert_eq!(stats(&mut server), (before.0 + 1, before.1));
    disconnect(server, &[client]);
}
