//! Commands that block, on servers of one and of several cores.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};
use crate::routing::Slot;

const CORES: [u16; 3] = [1, 2, 3];

fn taken(key: &str, value: &str) -> String {
    format!(
        "*2\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
        key.len(),
        value.len()
    )
}

fn disconnect(mut server: Server, clients: &[Client]) {
    for client in clients {
        server.disconnect(*client);
    }
    server.assert_nothing_is_left();
}

/// A key of each core.
fn keys(cores: u16) -> Vec<String> {
    (0..cores)
        .map(|core| key_on(core, cores, "queue"))
        .collect()
}

#[test]
fn what_is_there_is_taken_at_once_and_the_first_key_that_has_something_counts() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        let keys = keys(cores);
        let last = keys.last().unwrap();
        server.send(client, format!("RPUSH {last} a b\r\n").as_bytes());
        let take = format!("BLPOP none {} 0\r\n", keys.join(" "));
        assert_eq!(server.send(client, take.as_bytes()), taken(last, "a"));
        server.send(client, format!("LPUSH {} x\r\n", keys[0]).as_bytes());
        assert_eq!(server.send(client, take.as_bytes()), taken(&keys[0], "x"));
        disconnect(server, &[client]);
    }
}

#[test]
fn who_waits_is_served_by_a_write_of_any_core_in_the_order_they_came() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let keys = keys(cores);
        let take = format!("BLPOP {} 0\r\nPING\r\n", keys.join(" "));
        let waiting: Vec<Client> = (0..6)
            .map(|at| server.connect(at % usize::from(cores)))
            .collect();
        for client in &waiting {
            assert_eq!(server.send(*client, take.as_bytes()), "");
        }
        let writer = server.connect(usize::from(cores) - 1);
        let served = |key: &str, value: &str| taken(key, value) + "+PONG\r\n";
        // One element serves one, two serve two; nothing else changes.
        for (first, elements, key) in [
            (0, &["a"][..], &keys[0]),
            (1, &["b", "c"], keys.last().unwrap()),
        ] {
            let push = format!("RPUSH {key} {}\r\n", elements.join(" "));
            assert_eq!(
                server.send(writer, push.as_bytes()),
                format!(":{}\r\n", elements.len())
            );
            for (client, element) in waiting[first..].iter().zip(elements) {
                let heard = server.send(*client, b"");
                assert_eq!(heard, served(key, element), "{cores} cores");
            }
            assert_eq!(server.send(waiting[first + elements.len()], b""), "");
        }
        // A write of a whole transaction serves once it is over.
        let key = &keys[0];
        let multi = format!("MULTI\r\nRPUSH {key} x\r\nDEL {key}\r\nRPUSH {key} y z\r\nEXEC\r\n");
        server.send(writer, multi.as_bytes());
        assert_eq!(server.send(waiting[3], b""), served(key, "y"));
        assert_eq!(server.send(waiting[4], b""), served(key, "z"));
        assert_eq!(server.send(waiting[5], b""), "");
        server.send(
            writer,
            format!("RPUSH other v\r\nRENAME other {key}\r\n").as_bytes(),
        );
        assert_eq!(server.send(waiting[5], b""), served(key, "v"));
        disconnect(server, &[waiting, vec![writer]].concat());
    }
}

#[test]
fn a_wait_ends_by_time_by_unblock_and_with_its_client() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let keys = keys(cores).join(" ");
        let clients: Vec<Client> = (0..4)
            .map(|at| server.connect(at % usize::from(cores)))
            .collect();
        let [timed, unblocked, failed, gone] = clients[..] else {
            unreachable!()
        };
        let id = |server: &mut Server, client| {
            let reply = server.send(client, b"CLIENT ID\r\n");
            reply.trim_start_matches(':').trim().to_owned()
        };
        let ids = [id(&mut server, unblocked), id(&mut server, failed)];
        server.send(timed, format!("BLPOP {keys} 0.1\r\n").as_bytes());
        for client in [unblocked, failed, gone] {
            assert_eq!(
                server.send(client, format!("BLPOP {keys} 0\r\n").as_bytes()),
                ""
            );
        }
        let other = server.connect(0);
        let info = server.send(other, b"INFO clients\r\n");
        assert!(info.contains("blocked_clients:4"), "{info}");
        server.advance(99);
        assert_eq!(server.send(timed, b""), "");
        server.advance(2);
        assert_eq!(server.send(timed, b""), "*-1\r\n");
        let unblock = |id: &str, how: &str| format!("CLIENT UNBLOCK {id} {how}\r\n");
        assert_eq!(
            server.send(other, unblock(&ids[0], "TIMEOUT").as_bytes()),
            ":1\r\n"
        );
        assert_eq!(server.send(unblocked, b""), "*-1\r\n");
        assert_eq!(
            server.send(other, unblock(&ids[1], "ERROR").as_bytes()),
            ":1\r\n"
        );
        assert_eq!(
            server.send(failed, b""),
            "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"
        );
        server.disconnect(gone);
        // Nobody is left who would take it.
        let first = keys.split(' ').next().unwrap();
        server.send(other, format!("RPUSH {first} v\r\n").as_bytes());
        assert_eq!(
            server.send(other, format!("LPOP {first}\r\n").as_bytes()),
            "$1\r\nv\r\n"
        );
        disconnect(server, &[timed, unblocked, failed, other]);
    }
}

#[test]
fn inside_multi_nothing_waits() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        let keys = keys(cores);
        let (first, last) = (&keys[0], keys.last().unwrap());
        let multi = format!(
            "MULTI\r\nBLPOP {} 0\r\nBRPOPLPUSH {first} {last} 0\r\nPING\r\nEXEC\r\n",
            keys.join(" ")
        );
        let reply = server.send(client, multi.as_bytes());
        // As in Redis, what carries an element answers otherwise than when time is over.
        assert!(reply.ends_with("*3\r\n*-1\r\n$-1\r\n+PONG\r\n"), "{reply}");
        disconnect(server, &[client]);
    }
}

#[test]
fn what_is_carried_on_serves_who_waits_there() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let hops: Vec<String> = (0..5)
            .map(|at| key_on(at % cores, cores, &format!("hop{at}")))
            .collect();
        let carriers: Vec<Client> = (0..4)
            .map(|at| server.connect(at % usize::from(cores)))
            .collect();
        for (client, pair) in carriers.iter().zip(hops.windows(2)) {
            let carry = format!("BLMOVE {} {} LEFT RIGHT 0\r\n", pair[0], pair[1]);
            assert_eq!(server.send(*client, carry.as_bytes()), "");
        }
        let writer = server.connect(0);
        server.send(writer, format!("RPUSH {} v\r\n", hops[0]).as_bytes());
        for client in &carriers {
            assert_eq!(server.send(*client, b""), "$1\r\nv\r\n");
        }
        let last = format!("LPOP {}\r\n", hops[4]);
        assert_eq!(server.send(writer, last.as_bytes()), "$1\r\nv\r\n");
        disconnect(server, &[carriers, vec![writer]].concat());
    }
}

#[test]
fn who_reads_without_taking_is_served_by_the_same_write_and_goes_on_from_what_it_resolved() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let keys = keys(cores);
        let last = keys.last().unwrap();
        let writer = server.connect(0);
        server.send(writer, format!("RPUSH {last} a b\r\n").as_bytes());
        let clients: Vec<Client> = (0..6)
            .map(|at| server.connect(at % usize::from(cores)))
            .collect();
        for (at, client) in clients.iter().enumerate() {
            // Half of them on the one key, half on a key of each core.
            let keys = if at % 2 == 0 { last } else { &keys.join(" ") };
            let read = format!("TEST.READ {keys} $ 0\r\n");
            assert_eq!(server.send(*client, read.as_bytes()), "");
        }
        // An attempt that finds nothing, with the length another than the one resolved: `$` is not resolved again.
        server.send(
            writer,
            format!("DEL {last}\r\nRPUSH {last} x\r\nRPUSH {last} y\r\n").as_bytes(),
        );
        for client in &clients {
            assert_eq!(server.send(*client, b""), "");
        }
        server.send(writer, format!("RPUSH {last} c d\r\n").as_bytes());
        for (at, client) in clients.iter().enumerate() {
            let heard = server.send(*client, b"");
            assert_eq!(heard, taken(last, "cd"), "client {at}, {cores} cores");
        }
        disconnect(server, &[clients, vec![writer]].concat());
    }
}

#[test]
fn readers_of_keys_on_several_cores_do_not_wait_for_one_another() {
    let mut server = Server::new(2);
    let keys = keys(2).join(" ");
    let clients: Vec<Client> = (0..3).map(|_| server.connect(0)).collect();
    for client in &clients {
        server.send(*client, format!("TEST.READ {keys} 0 0\r\n").as_bytes());
    }
    let writer = server.connect(1);
    let key = key_on(1, 2, "queue");
    server.receive(writer, format!("RPUSH {key} x\r\n").as_bytes());
    server.turn();
    server.ship();
    while server.deliver_one(1, 0) {}
    // All have been woken, and have asked for their places.
    let transactions = server.cores[0].state().stats.transactions;
    assert_eq!(transactions, 6);
    for client in &clients {
        assert_eq!(server.send(*client, b""), taken(&key, "x"));
    }
    disconnect(server, &[clients, vec![writer]].concat());
}

/// Has three clients play, once around one key and once around a key of each core. They are given all these keys, and the last.
fn play_with_one_key_and_with_several(play: impl Fn(&mut Server, (&str, &str), [Client; 3])) {
    for cores in CORES {
        let mut server = Server::new(cores);
        let keys = keys(cores);
        let last = keys.last().unwrap();
        for keys in [last, &keys.join(" ")] {
            let clients = [(); 3].map(|()| server.connect(0));
            play(&mut server, (keys, last), clients);
            clients.iter().for_each(|client| server.disconnect(*client));
        }
        server.assert_nothing_is_left();
    }
}

#[test]
fn a_value_of_another_type_is_waited_past_and_who_waits_is_served_in_the_order_they_came() {
    play_with_one_key_and_with_several(|server, (keys, last), [taker, other, writer]| {
        server.send(taker, format!("BLPOP {keys} 0\r\n").as_bytes());
        server.send(other, format!("BRPOP {last} 0\r\n").as_bytes());
        server.send(writer, format!("SET {last} x\r\n").as_bytes());
        assert_eq!(server.send(taker, b""), "", "{keys}");
        assert_eq!(server.send(other, b""), "", "{keys}");
        let pushed = format!("DEL {last}\r\nRPUSH {last} a b\r\n");
        server.send(writer, pushed.as_bytes());
        assert_eq!(server.send(taker, b""), taken(last, "a"), "{keys}");
        assert_eq!(server.send(other, b""), taken(last, "b"), "{keys}");
    });
}

#[test]
fn who_finds_nothing_goes_on_waiting_and_the_next_has_his_turn() {
    play_with_one_key_and_with_several(|server, (keys, last), [claimant, taker, writer]| {
        server.send(claimant, format!("TEST.CLAIM {keys} 1 0\r\n").as_bytes());
        server.send(taker, format!("BLPOP {last} 0\r\n").as_bytes());
        server.send(writer, format!("RPUSH {last} x\r\n").as_bytes());
        assert_eq!(server.send(taker, b""), taken(last, "x"), "{keys}");
        assert_eq!(server.send(claimant, b""), "");
        server.send(writer, format!("RPUSH {last} y z\r\n").as_bytes());
        assert_eq!(server.send(claimant, b""), taken(last, "z"), "{keys}");
        server.send(writer, format!("DEL {last}\r\n").as_bytes());
    });
}

/// Two clients wait for keys of two cores, by this command. While attempts may be under way behind a first write, the key is
/// made a list of `a` and `b`. The key, and what the clients hear.
fn written_again(seed: u64, command: (&str, &str), first_write: &str) -> (String, [String; 2]) {
    let mut random = Random(seed);
    let mut server = Server::new(2);
    let keys = keys(2);
    let clients: Vec<Client> = (0..4).map(|_| server.connect(random.below(2))).collect();
    let [first, second, writer, other] = clients[..] else {
        unreachable!()
    };
    let (name, rest) = command;
    for client in [first, second] {
        let wait = format!("{name} {} {rest}\r\n", keys.join(" "));
        server.send(client, wait.as_bytes());
    }
    let key = &keys[random.below(2)];
    server.receive(writer, format!("{first_write} {key} x\r\n").as_bytes());
    for _ in 0..random.below(20) {
        server.stir(&mut random);
    }
    // A transaction over cores does not wait for who is served.
    let multi = format!(
        "MULTI\r\nDEL {}\r\nRPUSH {key} a b\r\nEXEC\r\n",
        keys.join(" ")
    );
    server.receive(other, multi.as_bytes());
    let heard = [first, second].map(|client| server.send(client, b""));
    disconnect(server, &clients);
    (key.clone(), heard)
}

#[test]
fn what_is_written_while_an_attempt_finds_nothing_serves() {
    for seed in 1..=seeds(2000) {
        let (key, heard) = written_again(seed, ("TEST.CLAIM", "1 0"), "RPUSH");
        assert_eq!(heard, ["b", "b"].map(|it| taken(&key, it)), "seed {seed}");
    }
}

#[test]
fn a_value_of_another_type_gives_nobody_a_turn_and_the_order_stays() {
    for seed in 1..=seeds(2000) {
        let (key, heard) = written_again(seed, ("BLPOP", "0"), "SET");
        assert_eq!(heard, ["a", "b"].map(|it| taken(&key, it)), "seed {seed}");
    }
}

/// Who waits for two keys of a core, and came later than who waits for the first of them, has his turn before him when the second is
/// written first: a value of another type at the first is no write of it.
#[test]
fn what_was_of_another_type_when_it_was_written_comes_in_its_order_when_it_is_a_list() {
    for cores in CORES {
        for write in ["SET {a} x", "HSET {a} f v", "SWAPDB 0 1"] {
            let mut server = Server::new(cores);
            let clients: Vec<Client> = (0..3).map(|_| server.connect(0)).collect();
            let [one, both, writer] = clients[..] else {
                unreachable!()
            };
            server.send(writer, b"SELECT 1\r\nSET {a} x\r\nSELECT 0\r\n");
            server.send(one, b"BLPOP {a} 0\r\n");
            server.send(both, b"BLPOP {a} {a}2 0\r\n");
            let multi = format!(
                "MULTI\r\n{write}\r\nRPUSH {{a}}2 1\r\nDEL {{a}}\r\nRPUSH {{a}} 2\r\nEXEC\r\n"
            );
            server.send(writer, multi.as_bytes());
            assert_eq!(
                server.send(both, b""),
                taken("{a}", "2"),
                "{write} on {cores}"
            );
            assert_eq!(server.send(one, b""), "", "{write}");
            server.send(writer, b"RPUSH {a} 3\r\nFLUSHALL\r\n");
            assert_eq!(server.send(one, b""), taken("{a}", "3"), "{write}");
            disconnect(server, &clients);
        }
    }
}

#[test]
fn who_waits_for_a_loss_too_is_told_of_it_however_it_comes() {
    let losses = [
        "DEL {key}",
        "SET {key} x",
        "RENAME {key} {other}",
        "RENAME {string} {key}",
        "COPY {string} {key} REPLACE",
        "MOVE {key} 1",
        "PEXPIREAT {key} 1",
        "RPOP {key}",
        "FLUSHDB",
        "SWAPDB 0 1",
        "EVAL \"redis.call('UNLINK', KEYS[1])\" 1 {key}",
        "MULTI\r\nUNLINK {key}\r\nEXEC",
    ];
    for cores in CORES {
        let keys = keys(cores);
        let last = keys.last().unwrap();
        for (waited, loss) in [last, &keys.join(" ")]
            .into_iter()
            .flat_map(|waited| losses.iter().map(move |loss| (waited, loss)))
        {
            let mut server = Server::new(cores);
            let clients: Vec<Client> = (0..3).map(|_| server.connect(0)).collect();
            let [follower, taker, writer] = clients[..] else {
                unreachable!()
            };
            let string = format!("s{{{last}}}");
            server.send(
                writer,
                format!("RPUSH {last} a\r\nSET {string} x\r\n").as_bytes(),
            );
            server.send(follower, format!("TEST.FOLLOW {waited} 1 0\r\n").as_bytes());
            server.send(taker, format!("BLPOP {last}2 0\r\n").as_bytes());
            let loss = loss.replace("{key}", last).replace("{string}", &string);
            let loss = loss.replace("{other}", &format!("o{{{last}}}"));
            server.send(writer, format!("{loss}\r\n").as_bytes());
            let heard = server.send(follower, b"");
            assert_eq!(heard, "-ERR no such key\r\n", "{waited}: {loss}");
            assert_eq!(server.send(taker, b""), "", "{loss}");
            disconnect(server, &clients);
        }
    }
}

#[test]
fn a_list_behind_a_value_of_another_type_is_an_error_for_who_comes_and_who_has_waited() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let (client, writer) = (server.connect(0), server.connect(0));
        let keys = keys(cores);
        let (wrong, list) = (format!("{}x", keys[0]), keys.last().unwrap());
        let pop = format!("BLPOP {wrong} {list} 0\r\n");
        assert_eq!(server.send(client, pop.as_bytes()), "");
        let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
        server.send(writer, format!("SET {wrong} x\r\n").as_bytes());
        assert_eq!(server.send(client, b""), "");
        server.send(writer, format!("RPUSH {list} v\r\n").as_bytes());
        assert_eq!(server.send(client, b""), wrong_type);
        assert_eq!(server.send(client, pop.as_bytes()), wrong_type);
        // An element that cannot be carried on stays.
        let carry = format!("BLMOVE {list} {wrong} LEFT LEFT 0\r\n");
        assert_eq!(server.send(client, carry.as_bytes()), wrong_type);
        server.send(writer, format!("LPOP {list}\r\n").as_bytes());
        assert_eq!(server.send(client, carry.as_bytes()), "");
        server.send(writer, format!("RPUSH {list} v\r\n").as_bytes());
        assert_eq!(server.send(client, b""), wrong_type);
        let left = server.send(writer, format!("LRANGE {list} 0 -1\r\n").as_bytes());
        assert_eq!(left, "*1\r\n$1\r\nv\r\n");
        disconnect(server, &[client, writer]);
    }
}

/// Producers push numbered elements, consumers pop and carry them, impatient ones give up, clients break off: every element is
/// taken once.
fn work(seed: u64) {
    const CORES: u16 = 3;
    const PRODUCED: u8 = 60;
    let mut random = Random(seed);
    let mut server = Server::new(CORES);
    let keys = keys(CORES);
    let mut consumers: Vec<(Client, bool)> = Vec::new();
    let mut produced = 0;
    let mut taken: Vec<u8> = Vec::new();
    let producer = server.connect(0);
    let admin = server.connect(1);
    let mut steps = 0;
    while taken.len() < usize::from(PRODUCED) {
        steps += 1;
        assert!(steps < 200_000, "seed {seed}: only {taken:?} were taken");
        server.stir(&mut random);
        match random.below(12) {
            0 if produced < PRODUCED => {
                let key = random.below(keys.len());
                let push = random.of(&["LPUSH", "RPUSH"]);
                let push = format!("{push} {} {produced:02}\r\n", keys[key]);
                server.receive(producer, push.as_bytes());
                produced += 1;
            }
            1 if consumers.len() < 6 => {
                let client = server.connect(random.below(CORES.into()));
                consumers.push((client, false));
            }
            2 => server.advance(random.below(30) as u64),
            // Half of the runs move the keys about meanwhile.
            4 if seed.is_multiple_of(2) && random.one_in(40) => {
                let slot = Slot::of(keys[random.below(keys.len())].as_bytes()).number();
                let core = random.below(CORES.into());
                let order = format!("LARDER REBALANCE MOVE {slot} {core}\r\n");
                server.receive(admin, order.as_bytes());
            }
            3 if !consumers.is_empty() => {
                // Who breaks off may take something along: only one who waits for nothing does.
                let at = random.below(consumers.len());
                if !consumers[at].1 && server.take_output(consumers[at].0).is_empty() {
                    let (client, _) = consumers.swap_remove(at);
                    server.disconnect(client);
                }
            }
            _ if !consumers.is_empty() => {
                let at = random.below(consumers.len());
                let (client, waits) = consumers[at];
                if !waits {
                    let limit = random.of(&["0", "0.01", "0.05"]);
                    // Were all to wait for ever for one key, the others would keep what they have.
                    let short = if limit == "0" { "0.01" } else { limit };
                    let one = &keys[random.below(3)];
                    let command = match random.below(5) {
                        0 => {
                            let (from, to) = (random.below(3), random.below(3));
                            let ends = random.of(&["LEFT RIGHT", "RIGHT RIGHT", "RIGHT LEFT"]);
                            format!("BLMOVE {} {} {ends} {short}\r\n", keys[from], keys[to])
                        }
                        1 => format!("BRPOP {one} {short}\r\n"),
                        2 => format!("BLMPOP {short} 2 {one} {} LEFT\r\n", keys[0]),
                        _ => format!("BLPOP {} {limit}\r\n", keys.join(" ")),
                    };
                    server.receive(client, command.as_bytes());
                    consumers[at].1 = true;
                    continue;
                }
                let reply = server.take_output(client);
                if reply.is_empty() {
                    continue;
                }
                consumers[at].1 = false;
                if reply.starts_with(b"*2\r\n") {
                    let element = &reply[reply.len() - 4..reply.len() - 2];
                    let element = std::str::from_utf8(element).unwrap();
                    taken.push(element.parse().unwrap());
                }
            }
            _ => {}
        }
        drop(server.take_output(producer));
        drop(server.take_output(admin));
    }
    taken.sort_unstable();
    let expected: Vec<u8> = (0..PRODUCED).collect();
    assert_eq!(taken, expected, "seed {seed}");
    for (client, _) in consumers {
        server.disconnect(client);
    }
    server.disconnect(producer);
    server.disconnect(admin);
    while server.is_rebalancing() {
        server.advance(1);
        server.turns();
    }
    server.assert_nothing_is_left();
}

#[test]
fn whatever_is_under_way_every_element_is_taken_once() {
    for seed in 0..seeds(60) {
        work(seed);
    }
}

/// Whether those who wait for one key, or for more, are served in their order by what is written in one way, before a newcomer
/// who would take it all.
fn newcomer(seed: u64) {
    const CORES: u16 = 3;
    let mut random = Random(seed);
    let mut server = Server::new(CORES);
    let keys = keys(CORES);
    let (key, far, from) = (&keys[0], &keys[1], key_on(2, CORES, "from"));
    let waiting: Vec<Client> = (0..5)
        .map(|_| server.connect(random.below(CORES.into())))
        .collect();
    for client in &waiting {
        let keys = keys.join(" ");
        let keys = random.of(&[key, &keys]);
        let take = format!("BLPOP {keys} 0\r\n");
        assert_eq!(server.send(*client, take.as_bytes()), "");
    }
    let writer = server.connect(random.below(CORES.into()));
    let newcomer = server.connect(random.below(CORES.into()));
    let ways = [
        // The writer itself would take what it wrote.
        format!("RPUSH {key} 0 1 2 3 4\r\nLPOP {key} 9\r\n"),
        format!("MULTI\r\nRPUSH {key} 0 1 2 3 4\r\nGET {far}\r\nEXEC\r\n"),
        format!(
            "MULTI\r\nRPUSH {key} 0 1 2 3 4\r\nRENAME {from} {from}\r\nMGET {key} {far}\r\nEXEC\r\n"
        ),
        format!("RENAME {from} {key}\r\n"),
        format!(
            "EVAL \"redis.call('GET',KEYS[2]) redis.call('RPUSH',KEYS[1],0,1,2,3,4) redis.call('GET',KEYS[2])\" 2 {key} {far}\r\n"
        ),
        format!(
            "EVAL \"redis.call('RPUSH',KEYS[1],0,1,2,3,4) redis.call('GET','{far}')\" 1 {key}\r\n"
        ),
    ];
    let way = &ways[random.below(ways.len())];
    server.send(writer, format!("RPUSH {from} 0 1 2 3 4\r\n").as_bytes());
    server.receive(writer, way.as_bytes());
    for _ in 0..4 {
        for _ in 0..random.below(15) {
            server.stir(&mut random);
        }
        // Before it is written there is nothing, and then it is others'.
        server.receive(newcomer, format!("LPOP {key}\r\n").as_bytes());
    }
    let name = format!("seed {seed}, {way:?}");
    for (at, client) in waiting.iter().enumerate() {
        let heard = server.send(*client, b"");
        assert_eq!(heard, taken(key, &at.to_string()), "{name}");
    }
    assert_eq!(server.send(newcomer, b""), "$-1\r\n".repeat(4), "{name}");
    if way.starts_with("RPUSH") {
        assert_eq!(server.send(writer, b""), ":5\r\n*-1\r\n", "{name}");
    }
    disconnect(server, &[waiting, vec![writer, newcomer]].concat());
}

#[test]
fn who_came_first_is_served_first_and_no_newcomer_comes_between() {
    for seed in 0..seeds(300) {
        newcomer(seed);
    }
}

#[test]
fn timers_of_waits_that_were_served_early_do_not_pile_up() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let (waiting, writer) = (server.connect(0), server.connect(0));
        let key = keys(cores).pop().unwrap();
        for _ in 0..1000 {
            // Each wait ends at a time of its own, long after it is served.
            server.advance(1);
            server.receive(waiting, format!("BLPOP {key} 100000\r\n").as_bytes());
            server.send(writer, format!("RPUSH {key} x\r\n").as_bytes());
            assert_eq!(server.send(waiting, b""), taken(&key, "x"));
        }
        assert!(server.cores[0].state().timers.len() < 100);
        disconnect(server, &[waiting, writer]);
    }
}
