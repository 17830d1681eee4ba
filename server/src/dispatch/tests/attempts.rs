//! Attempts at commands that block, where the keys live: what they cost, and what ends a wait while one is
//! under way elsewhere.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};
use crate::routing::Slot;

fn taken(key: &str, value: &str) -> String {
    format!(
        "*2\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
        key.len(),
        value.len()
    )
}

fn bulk(value: &str) -> String {
    format!("${}\r\n{value}\r\n", value.len())
}

fn disconnect(mut server: Server, clients: &[Client]) {
    for client in clients {
        server.disconnect(*client);
    }
    server.assert_nothing_is_left();
}

/// The ways in which a client of core 0 waits for a key of core 1: alone, and with one of its own core.
fn ways() -> [(String, String); 2] {
    let (key, here) = (key_on(1, 2, "queue"), key_on(0, 2, "here"));
    [
        (key.clone(), key.clone()),
        (key.clone(), format!("{here} {key}")),
    ]
}

fn id_of(server: &mut Server, client: Client) -> String {
    let reply = server.send(client, b"CLIENT ID\r\n");
    reply.trim_start_matches(':').trim().to_owned()
}

/// Hops and transactions that a command takes from a client of core 0, and its reply.
fn cost(server: &mut Server, client: Client, command: &str) -> (u64, u64, String) {
    let count = |server: &mut Server| {
        let cores = server.cores.iter_mut();
        cores
            .map(|core| {
                let stats = &core.state().stats;
                (stats.hops, stats.transactions)
            })
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    let before = count(server);
    let reply = server.send(client, command.as_bytes());
    let after = count(server);
    (after.0 - before.0, after.1 - before.1, reply)
}

#[test]
fn whom_his_own_core_serves_is_answered_behind_the_command_that_wrote() {
    let mut server = Server::new(1);
    let clients = [(); 2].map(|()| server.connect(0));
    let [waiting, writer] = clients;
    assert_eq!(server.send(waiting, b"BLPOP q 0\r\nPING\r\n"), "");
    server.receive(writer, b"RPUSH q x\r\n");
    assert_eq!(server.take_output(waiting), taken("q", "x").as_bytes());
    assert_eq!(server.send(waiting, b""), "+PONG\r\n");
    disconnect(server, &clients);
}

/// One is served in the midst of those that go on, by one of them: the next turn comes at once.
#[test]
fn whom_one_serves_who_goes_on_himself_goes_on_without_a_sleep() {
    let mut server = Server::new(1);
    let clients = [(); 3].map(|()| server.connect(0));
    let [first, second, writer] = clients;
    server.send(first, b"BLPOP a 0\r\nRPUSH b y\r\n");
    server.send(second, b"BLPOP b 0\r\nPING\r\n");
    server.receive(writer, b"RPUSH a x\r\n");
    server.turn_of(0);
    let heard = taken("b", "y") + "+PONG\r\n";
    assert_eq!(server.take_output(second), heard.as_bytes());
    disconnect(server, &clients);
}

#[test]
fn what_is_ready_on_another_core_costs_what_a_plain_command_costs() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let key = key_on(1, 2, "queue");
    server.send(client, format!("RPUSH {key} a b\r\n").as_bytes());
    let (hops, transactions, _) = cost(&mut server, client, &format!("LLEN {key}\r\n"));
    assert_eq!((hops, transactions), (1, 0));
    let take = format!("BLPOP {key} 0\r\n");
    let (hops, transactions, reply) = cost(&mut server, client, &take);
    assert_eq!((hops, transactions, reply), (1, 0, taken(&key, "a")));
    // One that waits, too; and to serve it takes no question.
    let writer = server.connect(1);
    let other = key_on(1, 2, "other");
    let (hops, transactions, reply) = cost(&mut server, client, &format!("BLPOP {other} 0\r\n"));
    assert_eq!((hops, transactions, &reply[..]), (1, 0, ""));
    let push = format!("RPUSH {other} x\r\n");
    let (hops, transactions, _) = cost(&mut server, writer, &push);
    assert_eq!((hops, transactions), (0, 0));
    assert_eq!(server.send(client, b""), taken(&other, "x"));
    disconnect(server, &[client, writer]);
}

#[test]
fn whom_the_core_of_the_key_serves_it_answers_in_one_message() {
    let mut server = Server::new(2);
    let (client, writer) = (server.connect(0), server.connect(1));
    let key = key_on(1, 2, "queue");
    server.receive(client, format!("BLPOP {key} 0\r\n").as_bytes());
    server.turns();
    server.receive(
        writer,
        format!("RPUSH {key} x\r\nLPOP {key}\r\n").as_bytes(),
    );
    // Before anything is under way it has been taken.
    assert_eq!(server.take_output(writer), b":1\r\n$-1\r\n");
    server.turn();
    server.ship();
    assert_eq!(server.batches_under_way(1, 0), 1);
    while server.deliver_one(1, 0) {}
    server.turn();
    assert_eq!(server.take_output(client), taken(&key, "x").into_bytes());
    server.ship();
    assert_eq!(server.batches_under_way(0, 1), 0);
    disconnect(server, &[client, writer]);
}

#[test]
fn a_transaction_serves_at_its_end_whether_it_stays_on_a_core_or_not() {
    let mut server = Server::new(2);
    let (waiting, writer) = (server.connect(0), server.connect(0));
    let (key, other) = (key_on(1, 2, "queue"), key_on(0, 2, "other"));
    for multi in [
        format!("MULTI\r\nRPUSH {key} x\r\nDEL {key}\r\nRPUSH {key} y\r\nEXEC\r\n"),
        format!(
            "MULTI\r\nRPUSH {key} x\r\nSET {other} v\r\nDEL {key}\r\nRPUSH {key} y\r\nEXEC\r\n"
        ),
        format!(
            "MULTI\r\nRPUSH {key} x\r\nDEL {key} {other}\r\nRPUSH {other} y\r\nRENAME {other} {key}\r\nEXEC\r\n"
        ),
    ] {
        server.send(waiting, format!("BLPOP {key} 0\r\n").as_bytes());
        server.send(writer, multi.as_bytes());
        assert_eq!(server.send(waiting, b""), taken(&key, "y"), "{multi}");
    }
    disconnect(server, &[waiting, writer]);
}

#[test]
fn a_pause_of_writes_holds_back_who_takes_until_it_ends() {
    for (key, keys) in ways() {
        let mut server = Server::new(2);
        let (taker, timed, admin) = (server.connect(0), server.connect(0), server.connect(0));
        server.send(timed, format!("BLPOP {keys} 0.05\r\n").as_bytes());
        server.send(taker, format!("BLPOP {keys} 0\r\n").as_bytes());
        let pause = format!("MULTI\r\nRPUSH {key} a b\r\nCLIENT PAUSE 1000 WRITE\r\nEXEC\r\n");
        server.send(admin, pause.as_bytes());
        assert_eq!(server.send(taker, b""), "");
        // Time passes for those held back.
        server.advance(60);
        assert_eq!(server.send(timed, b""), "*-1\r\n");
        server.advance(900);
        assert_eq!(server.send(taker, b""), "");
        let held = server.send(admin, format!("LLEN {key}\r\n").as_bytes());
        assert_eq!(held, ":2\r\n", "{keys}");
        server.advance(100);
        assert_eq!(server.send(taker, b""), taken(&key, "a"), "{keys}");
        disconnect(server, &[taker, timed, admin]);
    }
}

#[test]
fn a_pause_of_writes_holds_back_nobody_who_reads_and_one_of_all_does() {
    for (key, keys) in ways() {
        let mut server = Server::new(2);
        let (reader, admin) = (server.connect(0), server.connect(0));
        for (mode, is_held) in [("WRITE", false), ("ALL", true)] {
            server.send(reader, format!("TEST.READ {keys} 0 0\r\n").as_bytes());
            let pause = format!("MULTI\r\nRPUSH {key} a b\r\nCLIENT PAUSE 100 {mode}\r\nEXEC\r\n");
            server.send(admin, pause.as_bytes());
            let served = taken(&key, "ab");
            let heard = server.send(reader, b"");
            assert_eq!(heard, if is_held { "" } else { &served }, "{mode} {keys}");
            server.advance(200);
            let heard = server.send(reader, b"");
            assert_eq!(heard, if is_held { &served } else { "" }, "{mode} {keys}");
            server.send(admin, format!("DEL {key}\r\n").as_bytes());
        }
        disconnect(server, &[reader, admin]);
    }
}

#[test]
fn a_script_serves_at_its_end_wherever_it_runs_and_not_by_what_it_takes_back() {
    let mut server = Server::new(2);
    let (waiting, writer) = (server.connect(0), server.connect(0));
    let (key, other) = (key_on(1, 2, "queue"), key_on(0, 2, "other"));
    let body =
        "redis.call('RPUSH',KEYS[1],'x') redis.call('DEL',KEYS[1]) redis.call('RPUSH',KEYS[1],'y')";
    let scripts = [
        format!("EVAL \"{body}\" 1 {key}\r\n"),
        format!("EVAL \"{body} redis.call('SET',KEYS[2],'z')\" 2 {key} {other}\r\n"),
        // It has written before it reaches further, and begins again.
        format!("EVAL \"{body} redis.call('SET','{other}','z')\" 1 {key}\r\n"),
        // So that what it wrote the first time is not there the second.
        format!(
            "EVAL \"if redis.call('EXISTS','{other}') == 0 then redis.call('RPUSH',KEYS[1],'y') end\" 1 {key}\r\n"
        ),
    ];
    for script in scripts {
        server.send(writer, format!("DEL {other}\r\n").as_bytes());
        assert_eq!(
            server.send(waiting, format!("BLPOP {key} 0\r\n").as_bytes()),
            ""
        );
        server.send(writer, script.as_bytes());
        assert_eq!(server.send(waiting, b""), taken(&key, "y"), "{script}");
    }
    // What a script took back serves nobody.
    server.send(waiting, format!("BLPOP {key} 0\r\n").as_bytes());
    server.send(writer, format!("SET {other} 1\r\n").as_bytes());
    let script = format!(
        "EVAL \"if ARGV[1] == '1' then redis.call('RPUSH',KEYS[1],'x') redis.call('GET','{other}') redis.call('DEL',KEYS[1]) end\" 1 {key} 1\r\n"
    );
    server.send(writer, script.as_bytes());
    assert_eq!(server.send(waiting, b""), "");
    disconnect(server, &[waiting, writer]);
}

#[test]
fn inside_a_script_nothing_waits() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    for (key, keys) in ways() {
        let count = keys.split(' ').count();
        let words: Vec<String> = (1..=count).map(|at| format!("KEYS[{at}]")).collect();
        let script = format!(
            "EVAL \"return redis.call('BLPOP',{},'0')\" {count} {keys}\r\n",
            words.join(",")
        );
        let heard = server.send(client, script.as_bytes());
        assert!(heard == "*-1\r\n" || heard == "$-1\r\n", "{heard}");
        server.send(client, format!("RPUSH {key} a b\r\n").as_bytes());
        assert_eq!(server.send(client, script.as_bytes()), taken(&key, "a"));
        server.send(client, format!("DEL {key}\r\n").as_bytes());
    }
    disconnect(server, &[client]);
}

#[test]
fn who_leaves_while_an_attempt_is_under_way_elsewhere_leaves_nothing_there() {
    let mut server = Server::new(2);
    let key = key_on(1, 2, "queue");
    let (writer, admin) = (server.connect(1), server.connect(0));
    let id = |server: &mut Server, client: Client| id_of(server, client);
    // How far it is when its client leaves: sent; answered, the word under way; waiting; asked to end; served, under way.
    for how_far in 0..5 {
        let client = server.connect(0);
        let client_id = id(&mut server, client);
        server.receive(client, format!("BLPOP {key} 0\r\n").as_bytes());
        server.ship();
        if how_far >= 1 {
            while server.deliver_one(0, 1) {}
            server.turn();
            server.ship();
        }
        if how_far >= 2 {
            server.turns();
        }
        if how_far == 3 {
            server.receive(admin, format!("CLIENT UNBLOCK {client_id}\r\n").as_bytes());
            server.turn();
        }
        if how_far == 4 {
            server.receive(writer, format!("RPUSH {key} x\r\n").as_bytes());
        }
        server.disconnect(client);
        server.turns();
        drop(server.take_output(admin));
        // Nobody takes what comes now.
        server.send(writer, format!("RPUSH {key} v\r\n").as_bytes());
        let left = server.send(writer, format!("LPOP {key}\r\n").as_bytes());
        assert_eq!(left, bulk("v"), "{how_far}");
    }
    disconnect(server, &[writer, admin]);
}

#[test]
fn who_was_to_be_unblocked_and_is_served_first_was_not_unblocked() {
    let mut server = Server::new(2);
    let key = key_on(1, 2, "queue");
    let (client, writer, admin) = (server.connect(0), server.connect(1), server.connect(0));
    let id = id_of(&mut server, client);
    let take = format!("BLPOP {key} 0\r\n");
    let unblock = format!("CLIENT UNBLOCK {id} ERROR\r\n");
    for is_served in [true, false] {
        assert_eq!(server.send(client, take.as_bytes()), "");
        if is_served {
            // The reply is on its way when the core of the client is asked.
            server.receive(writer, format!("RPUSH {key} x\r\n").as_bytes());
        }
        assert_eq!(
            server.send(admin, [&unblock[..], &unblock].concat().as_bytes()),
            if is_served {
                ":0\r\n:0\r\n"
            } else {
                ":1\r\n:0\r\n"
            }
        );
        let heard = server.send(client, b"");
        match is_served {
            true => assert_eq!(heard, taken(&key, "x")),
            false => assert_eq!(heard, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"),
        }
    }
    disconnect(server, &[client, writer, admin]);
}

/// A client waits, somebody writes, somebody else ends the wait, or its time does, in any order, and the keys may move: it
/// gets what was written, or that is still there, and whoever ended the wait is told which.
fn race(seed: u64) {
    let mut random = Random(seed);
    let cores = random.of(&[1u16, 2, 3]);
    let mut server = Server::new(cores);
    let key = key_on(random.below(cores.into()) as u16, cores, "queue");
    let other = key_on(random.below(cores.into()) as u16, cores, "other");
    let connect =
        |server: &mut Server, random: &mut Random| server.connect(random.below(cores.into()));
    let client = connect(&mut server, &mut random);
    let writer = connect(&mut server, &mut random);
    let admins = [
        connect(&mut server, &mut random),
        connect(&mut server, &mut random),
    ];
    let mover = connect(&mut server, &mut random);
    let client_id = id_of(&mut server, client);
    let name = format!("seed {seed}, {cores} cores");
    for round in 0..4 {
        let limit = random.of(&["0", "0", "0.02"]);
        let both = format!("{other} {key}");
        let keys = random.of(&[&key, &both]);
        server.receive(client, format!("BLPOP {keys} {limit}\r\n").as_bytes());
        // Most often it waits by then.
        for _ in 0..random.of(&[0, 5, 200]) {
            server.stir(&mut random);
        }
        let mut steps = vec!["write", "unblock", "unblock again"];
        if random.one_in(3) {
            steps.push("move");
        }
        if limit != "0" {
            steps.push("time");
        }
        // A write of the other key wakes it for nothing, if it waits for both.
        if random.one_in(2) {
            steps.push("nothing");
        }
        while !steps.is_empty() {
            let step = steps.swap_remove(random.below(steps.len()));
            match step {
                "write" => server.receive(writer, format!("RPUSH {key} v\r\n").as_bytes()),
                "nothing" => {
                    let nothing = format!("RPUSH {other} x\r\nLSET {other} 0 y\r\nDEL {other}\r\n");
                    let multi = format!("MULTI\r\n{nothing}EXEC\r\n");
                    server.receive(writer, multi.as_bytes());
                }
                "unblock" | "unblock again" => {
                    let how = random.of(&["TIMEOUT", "ERROR"]);
                    let unblock = format!("CLIENT UNBLOCK {client_id} {how}\r\n");
                    server.receive(admins[usize::from(step == "unblock")], unblock.as_bytes());
                }
                "move" => {
                    let slot = Slot::of(key.as_bytes()).number();
                    let core = random.below(cores.into());
                    server.receive(
                        mover,
                        format!("LARDER REBALANCE MOVE {slot} {core}\r\n").as_bytes(),
                    );
                }
                _ => server.advance(25),
            }
            for _ in 0..random.of(&[0, 1, 3, 30]) {
                server.stir(&mut random);
            }
        }
        while server.is_rebalancing() {
            server.advance(1);
            server.turns();
        }
        server.turns();
        let heard = String::from_utf8(server.read_all(client)).unwrap();
        let unblocked = admins.map(|admin| {
            let reply = String::from_utf8(server.read_all(admin)).unwrap();
            assert!(
                reply == ":0\r\n" || reply == ":1\r\n",
                "{name}, {round}: {reply}"
            );
            reply == ":1\r\n"
        });
        let left = server.send(writer, format!("LPOP {key}\r\n").as_bytes());
        let is_left = left.ends_with(&bulk("v"));
        let count = unblocked.into_iter().filter(|is| *is).count();
        let what = format!("{name}, {round}, {keys}: {heard:?}, {unblocked:?}, {left:?}");
        match &heard[..] {
            "*-1\r\n" if limit != "0" => assert!(is_left && count <= 1, "{what}"),
            "*-1\r\n" => assert!(is_left && count == 1, "{what}"),
            "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n" => {
                assert!(is_left && count == 1, "{what}");
            }
            heard => assert!(
                heard == taken(&key, "v") && !is_left && count == 0,
                "{what}"
            ),
        }
    }
    disconnect(server, &[&[client, writer, mover][..], &admins].concat());
}

#[test]
fn a_wait_is_served_or_ends_and_whoever_ended_it_knows() {
    for seed in 0..seeds(300) {
        race(seed);
    }
}

#[test]
fn an_attempt_whose_other_key_is_locked_waits_for_it_and_those_behind_wait_too() {
    let mut server = Server::new(2);
    let (key, to) = (key_on(1, 2, "queue"), key_on(1, 2, "to"));
    let far = key_on(0, 2, "far");
    let clients: Vec<Client> = (0..3).map(|_| server.connect(1)).collect();
    let [carrier, taker, writer] = clients[..] else {
        unreachable!()
    };
    let renamer = server.connect(0);
    server.send(writer, format!("SET {to} old\r\n").as_bytes());
    let carry = format!("BLMOVE {key} {to} LEFT RIGHT 0\r\n");
    server.send(carrier, carry.as_bytes());
    server.send(taker, format!("BLPOP {key} 0\r\n").as_bytes());
    // It has locked the key, and has yet to fetch it.
    server.receive(renamer, format!("RENAME {to} {far}\r\n").as_bytes());
    server.turn();
    server.ship();
    while server.deliver_one(0, 1) {}
    assert!(server.cores[1].has_locks());
    server.receive(writer, format!("RPUSH {key} v\r\n").as_bytes());
    assert_eq!(server.take_output(carrier), b"");
    assert_eq!(server.take_output(taker), b"");
    server.turns();
    assert_eq!(server.take_output(carrier), bulk("v").into_bytes());
    assert_eq!(server.take_output(taker), b"");
    assert_eq!(server.take_output(renamer), b"+OK\r\n");
    let both = format!("GET {far}\r\nLPOP {to}\r\n");
    assert_eq!(
        server.send(writer, both.as_bytes()),
        ":1\r\n".to_owned() + &bulk("old") + &bulk("v")
    );
    disconnect(server, &[clients, vec![renamer]].concat());
}

#[test]
fn the_arguments_of_who_waits_count_as_memory() {
    const BYTES: usize = 50_000;
    let kept = |server: &Server| -> usize {
        let cores = server.cores.iter();
        cores.map(|core| core.kept_bytes()).sum()
    };
    for (key, keys) in ways() {
        let mut server = Server::new(2);
        let (client, writer) = (server.connect(0), server.connect(0));
        let keys = keys.replace(&key, &format!("{key}{}", "y".repeat(BYTES)));
        for is_served in [false, true] {
            server.send(client, format!("TEST.READ {keys} $ 0.02\r\n").as_bytes());
            assert!(kept(&server) >= BYTES);
            if is_served {
                let key = keys.split(' ').next_back().unwrap();
                server.send(writer, format!("RPUSH {key} v\r\n").as_bytes());
            }
            server.advance(30);
            server.send(client, b"");
            assert_eq!(kept(&server), 0);
        }
        disconnect(server, &[client, writer]);
    }
}

#[test]
fn the_end_of_a_pause_is_not_slept_over_by_those_it_holds_back() {
    for waits in [true, false] {
        let mut server = Server::new(2);
        let key = key_on(1, 2, "queue");
        let (taker, admin) = (server.connect(0), server.connect(0));
        if waits {
            server.send(taker, format!("BLPOP {key} 0\r\n").as_bytes());
        }
        let pause = format!("MULTI\r\nRPUSH {key} a b\r\nCLIENT PAUSE 10000 WRITE\r\nEXEC\r\n");
        server.send(admin, pause.as_bytes());
        // Long enough for all else to come to rest.
        for _ in 0..50 {
            server.advance(100);
            server.turns();
        }
        let wake_ms = server.cores[1].next_wake_ms();
        let is_soon = wake_ms.is_some_and(|wake_ms| wake_ms <= server.now_ms + 100);
        assert_eq!(is_soon, waits);
        disconnect(server, &[taker, admin]);
    }
}

/// What a pause has put off is not taken from a key in the midst of its moving.
fn pause_that_ends_while_slots_move(seed: u64) {
    let mut random = Random(seed);
    let mut server = Server::new(2);
    let (key, other) = (key_on(0, 2, "queue"), key_on(1, 2, "other"));
    let clients: Vec<Client> = (0..3).map(|_| server.connect(random.below(2))).collect();
    let [taker, admin, mover] = clients[..] else {
        unreachable!()
    };
    let both = format!("{key} {other}");
    let keys = random.of(&[&key, &both]);
    server.send(taker, format!("BLPOP {keys} 0\r\n").as_bytes());
    let pause_ms = 1 + random.below(20);
    let pause = format!("MULTI\r\nRPUSH {key} a b\r\nCLIENT PAUSE {pause_ms} WRITE\r\nEXEC\r\n");
    server.send(admin, pause.as_bytes());
    let slot = Slot::of(key.as_bytes()).number();
    server.receive(
        mover,
        format!("LARDER REBALANCE MOVE {slot} 1\r\n").as_bytes(),
    );
    for _ in 0..200 {
        server.stir(&mut random);
        if random.one_in(5) {
            server.advance(1);
        }
    }
    while server.is_rebalancing() {
        server.advance(1);
        server.turns();
    }
    server.advance(100);
    assert_eq!(
        server.send(taker, b""),
        taken(&key, "a"),
        "seed {seed}, {keys}"
    );
    let left = server.send(admin, format!("LPOP {key}\r\n").as_bytes());
    assert_eq!(left, bulk("b"), "seed {seed}, {keys}");
    disconnect(server, &clients);
}

#[test]
fn nobody_is_served_while_slots_stand_still() {
    for seed in 0..seeds(200) {
        pause_that_ends_while_slots_move(seed);
    }
}
