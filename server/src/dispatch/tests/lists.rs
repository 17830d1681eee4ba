//! Lists on servers of one and of several cores: elements that go from one to another are never nowhere, and never twice.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};

fn disconnect(mut server: Server, clients: &[Client]) {
    for client in clients {
        server.disconnect(*client);
    }
    server.assert_nothing_is_left();
}

/// Elements are moved between lists of several cores while somebody counts them.
fn moved(seed: u64) {
    const ELEMENTS: usize = 6;
    let mut random = Random(seed);
    let cores = random.of(&[1u16, 2, 3]);
    let mut server = Server::new(cores);
    let lists: Vec<String> = (0..3)
        .map(|at| key_on(at % cores, cores, &format!("list{at}")))
        .collect();
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(server.connect(random.below(cores.into())));
    }
    let (counter, movers) = clients.split_first().unwrap();
    server.send(
        *counter,
        format!("RPUSH {} a b c d e f\r\n", lists[0]).as_bytes(),
    );
    let lens: Vec<String> = lists
        .iter()
        .map(|list| format!("LLEN {list}\r\n"))
        .collect();
    let count = format!("MULTI\r\n{}EXEC\r\n", lens.concat());
    for _ in 0..12 {
        for mover in movers {
            let [from, to] = [0, 0].map(|_| &lists[random.below(3)]);
            let ends = random.of(&["LEFT LEFT", "LEFT RIGHT", "RIGHT LEFT", "RIGHT RIGHT"]);
            let command = match random.below(3) {
                0 => format!("RPOPLPUSH {from} {to}\r\n"),
                1 => format!("BLMOVE {from} {to} {ends} 0.01\r\n"),
                _ => format!("LMOVE {from} {to} {ends}\r\n"),
            };
            server.receive(*mover, command.as_bytes());
        }
        server.receive(*counter, count.as_bytes());
        for _ in 0..random.below(30) {
            server.stir(&mut random);
        }
        server.advance(random.below(5) as u64);
    }
    server.advance(20);
    let heard = server.send(*counter, b"");
    let counted: Vec<&str> = heard.split("*3\r\n").skip(1).collect();
    assert_eq!(counted.len(), 12, "seed {seed}");
    for counted in counted {
        let lens = counted.lines().filter_map(|line| line.strip_prefix(':'));
        let sum: usize = lens.map(|len| len.parse::<usize>().unwrap()).sum();
        assert_eq!(sum, ELEMENTS, "seed {seed}: {counted}");
    }
    disconnect(server, &clients);
}

#[test]
fn what_goes_from_one_list_to_another_is_always_in_one_of_them() {
    for seed in 0..seeds(100) {
        moved(seed);
    }
}

#[test]
fn a_destination_of_another_type_leaves_the_element_where_it_is() {
    for cores in [1, 2] {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        let (from, to) = (key_on(0, cores, "from"), key_on(cores - 1, cores, "to"));
        server.send(
            client,
            format!("RPUSH {from} a b\r\nSET {to} v\r\n").as_bytes(),
        );
        let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
        let heard = server.send(
            client,
            format!("LMOVE {from} {to} LEFT LEFT\r\n").as_bytes(),
        );
        assert_eq!(heard, wrong_type);
        let heard = server.send(
            client,
            format!("LMOVE {to} {from} LEFT LEFT\r\n").as_bytes(),
        );
        assert_eq!(heard, wrong_type);
        let heard = server.send(client, format!("LLEN {from}\r\n").as_bytes());
        assert_eq!(heard, ":2\r\n");
        disconnect(server, &[client]);
    }
}

#[test]
fn the_first_list_that_there_is_counts_wherever_the_keys_live() {
    for cores in [1, 2, 4] {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        let keys: Vec<String> = (0..4)
            .map(|at| key_on(at % cores, cores, &format!("list{at}")))
            .collect();
        let pop = format!("LMPOP 4 {} RIGHT COUNT 2\r\n", keys.join(" "));
        assert_eq!(server.send(client, pop.as_bytes()), "*-1\r\n");
        server.send(
            client,
            format!("RPUSH {} x\r\nRPUSH {} a b c\r\n", keys[3], keys[1]).as_bytes(),
        );
        let popped = |key: &str, elements: &[&str]| {
            let count = elements.len();
            let elements = elements.iter().map(|it| format!("$1\r\n{it}\r\n"));
            let elements: String = elements.collect();
            format!("*2\r\n${}\r\n{key}\r\n*{count}\r\n{elements}", key.len())
        };
        assert_eq!(
            server.send(client, pop.as_bytes()),
            popped(&keys[1], &["c", "b"])
        );
        assert_eq!(
            server.send(client, pop.as_bytes()),
            popped(&keys[1], &["a"])
        );
        assert_eq!(
            server.send(client, pop.as_bytes()),
            popped(&keys[3], &["x"])
        );
        disconnect(server, &[client]);
    }
}
