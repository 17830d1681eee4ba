//! Tests of `CLIENT PAUSE` over cores: nothing is written behind its `+OK`, wherever the write was when it came.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};

/// What writes, each in its own way from core to core, given a key of each core.
const WRITES: &[fn(&[String; 2]) -> String] = &[
    |keys| format!("INCR {}\r\n", keys[0]),
    |keys| format!("INCR {}\r\n", keys[1]),
    |keys| format!("CLIENT REPLY SKIP\r\nINCR {}\r\n", keys[1]),
    |keys| format!("MSET {} {1} {} {1}\r\n", keys[0], keys[1]).replace("{1}", "7"),
    |keys| format!("DEL {} {}\r\n", keys[0], keys[1]),
    |keys| format!("MULTI\r\nINCR {}\r\nINCR {}\r\nEXEC\r\n", keys[0], keys[1]),
    |keys| {
        format!(
            "MULTI\r\nINCR {}\r\nCOPY {} {} REPLACE\r\nEXEC\r\n",
            keys[1], keys[0], keys[1]
        )
    },
    |keys| format!("COPY {} {} REPLACE\r\n", keys[0], keys[1]),
    |keys| format!("EVAL \"redis.call('incr', KEYS[1])\" 1 {}\r\n", keys[1]),
    |keys| {
        let script = "redis.call('incr', KEYS[1]) redis.call('incr', KEYS[2])";
        format!("EVAL \"{script}\" 2 {} {}\r\n", keys[0], keys[1])
    },
    |keys| {
        format!(
            "EVAL \"redis.call('incr', ARGV[1])\" 1 {} {}\r\n",
            keys[1], keys[0]
        )
    },
    |keys| format!("MGET {} {}\r\n", keys[0], keys[1]),
    |_| "FLUSHALL\r\n".into(),
];

/// The shards' journals count what was written.
fn written(server: &mut Server) -> Vec<u64> {
    let cores = server.cores.iter_mut();
    cores
        .map(|core| core.state().shard.journal().changes())
        .collect()
}

fn stir_until(server: &mut Server, random: &mut Random, client: Client, end: &str) -> String {
    const STEPS_MAX: usize = 100_000;
    let mut out = Vec::new();
    for _ in 0..STEPS_MAX {
        server.stir(random);
        out.extend(server.take_output(client));
        let text = String::from_utf8_lossy(&out);
        if text.ends_with(end) {
            return text.into_owned();
        }
    }
    panic!("{:?} instead of {end:?}", String::from_utf8_lossy(&out));
}

#[test]
fn nothing_is_written_behind_the_reply_of_an_exec_that_pauses() {
    for seed in 0..seeds(300) {
        let mut random = Random(seed);
        let cores = 2 + (seed % 2) as u16;
        let mut server = Server::new(cores);
        let keys = [0, 1].map(|core| key_on(core, cores, "k"));
        let connect =
            |server: &mut Server, random: &mut Random| server.connect(random.below(cores.into()));
        let clients: Vec<Client> = (0..4).map(|_| connect(&mut server, &mut random)).collect();
        let pausing = connect(&mut server, &mut random);
        for _ in 0..random.below(20) {
            let write = random.of(WRITES)(&keys);
            let client = clients[random.below(clients.len())];
            server.receive(client, write.as_bytes());
            if random.one_in(3) {
                server.stir(&mut random);
            }
        }
        let (first, reply) = random.of(&[("PING", "PONG"), ("SET other v", "OK")]);
        let exec = format!("MULTI\r\n{first}\r\nCLIENT PAUSE 1000000 WRITE\r\nEXEC\r\n");
        server.receive(pausing, exec.as_bytes());
        stir_until(
            &mut server,
            &mut random,
            pausing,
            &format!("*2\r\n+{reply}\r\n+OK\r\n"),
        );
        let before = written(&mut server);
        server.turns();
        assert_eq!(written(&mut server), before, "seed {seed}");
        // What comes behind it is answered.
        assert_eq!(server.send(pausing, b"PING\r\n"), "+PONG\r\n");
        server.send(pausing, b"CLIENT UNPAUSE\r\n");
        for client in clients {
            server.send(client, b"ECHO end\r\n");
            server.disconnect(client);
        }
        server.disconnect(pausing);
        server.assert_nothing_is_left();
    }
}

#[test]
fn a_pause_within_a_transaction_holds_back_what_comes_behind_it() {
    let keys = [key_on(0, 2, "a"), key_on(1, 2, "b")];
    for core in 0..2 {
        let mut server = Server::new(2);
        let (client, other) = (server.connect(core), server.connect(1 - core));
        let commands = format!(
            "MULTI\r\nINCR {0}\r\nCLIENT PAUSE 100000 WRITE\r\nINCR {1}\r\nEXEC\r\n",
            keys[0], keys[1]
        );
        let heard = server.send(client, commands.as_bytes());
        assert!(heard.ends_with("*3\r\n:1\r\n+OK\r\n:1\r\n"), "{heard}");
        let before = written(&mut server);
        for key in &keys {
            let client = server.connect(core);
            assert_eq!(
                server.send(client, format!("INCR {key}\r\n").as_bytes()),
                ""
            );
        }
        assert_eq!(
            server.send(other, format!("INCR {}\r\n", keys[0]).as_bytes()),
            ""
        );
        assert_eq!(written(&mut server), before);
        let third = server.connect(core);
        assert_eq!(
            server.send(third, b"CLIENT PAUSE 100000 WRITE\r\n"),
            "+OK\r\n"
        );
        assert_eq!(server.send(third, b"CLIENT UNPAUSE\r\n"), "+OK\r\n");
        let heard = server.send(other, b"");
        assert!([":2\r\n", ":3\r\n"].contains(&heard.as_str()), "{heard}");
    }
}

#[test]
fn nothing_is_written_behind_the_ok_of_a_pause_wherever_the_write_was_by_then() {
    for seed in 0..seeds(300) {
        let mut random = Random(seed);
        let mut server = Server::new(2 + (seed % 2) as u16);
        let cores = server.cores.len();
        let keys = [0, 1].map(|core| key_on(core, cores as u16, "k"));
        let clients: Vec<Client> = (0..6).map(|at| server.connect(at % cores)).collect();
        let pausing = server.connect(random.below(cores));
        for _ in 0..random.below(30) {
            let write = random.of(WRITES)(&keys);
            let client = clients[random.below(clients.len())];
            server.receive(client, write.as_bytes());
            if random.one_in(3) {
                server.stir(&mut random);
            }
        }
        server.receive(pausing, b"CLIENT PAUSE 1000000 WRITE\r\n");
        for _ in 0..random.below(30) {
            let write = random.of(WRITES)(&keys);
            let client = clients[random.below(clients.len())];
            server.receive(client, write.as_bytes());
            if random.one_in(3) {
                server.stir(&mut random);
            }
        }
        stir_until(&mut server, &mut random, pausing, "+OK\r\n");
        let before = written(&mut server);
        server.turns();
        assert_eq!(written(&mut server), before, "seed {seed}");
        // Reads are answered all the same, the keys of those held back among them.
        let reader = server.connect(random.below(cores));
        let read = format!("MGET {} {}\r\nGET {}\r\n", keys[0], keys[1], keys[1]);
        let replies = server.send(reader, read.as_bytes());
        assert!(replies.starts_with("*2\r\n"), "seed {seed}: {replies}");
        assert_eq!(written(&mut server), before, "seed {seed}");
        server.send(pausing, b"CLIENT UNPAUSE\r\n");
        for client in clients {
            server.send(client, b"ECHO end\r\n");
            server.disconnect(client);
        }
        server.disconnect(pausing);
        server.disconnect(reader);
        server.assert_nothing_is_left();
    }
}

/// Cores take their turns in this order, round by round, until the pause has its `+OK`: all is written by then.
fn nothing_follows_the_ok(server: &mut Server, pausing: Client, order: &[usize], name: &str) {
    const ROUNDS_MAX: usize = 100;
    let mut turns = order.iter().cycle().take(order.len() * ROUNDS_MAX);
    let is_over = turns.any(|&core| {
        server.turn_of(core);
        server.take_output(pausing) == b"+OK\r\n"
    });
    assert!(is_over, "{name}");
    let written_by_then = written(server);
    server.turns();
    assert_eq!(written(server), written_by_then, "{name}: {order:?}");
}

/// All orders of three cores.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// Of core 1's session, when the pause comes; no place can be had until the pause has begun everywhere.
#[test]
fn a_pause_begins_behind_what_has_yet_to_get_its_place() {
    let [first, second] = [1, 2].map(|core| key_on(core, 3, "k"));
    // Without locks when the pause comes, since it has yet to reach beyond its key; and what is queued behind such a one.
    let body = "redis.call('PUBLISH', 'news', 1) redis.call('INCR', ARGV[1])";
    let script = format!("EVAL \"{body}\" 1 {first} {second}\r\n");
    let reads = format!("EVAL_RO \"redis.call('GET', ARGV[1])\" 1 {first} {second}\r\n");
    for write in [
        format!("MSET {first} 1 {second} 1\r\n"),
        format!("COPY {first} {second}\r\n"),
        format!("MULTI\r\nINCR {first}\r\nINCR {second}\r\nEXEC\r\n"),
        format!("MULTI\r\n{reads}INCR {first}\r\nEXEC\r\n"),
        script,
    ] {
        for order in ORDERS {
            let mut server = Server::new(3);
            let (pausing, writer) = (server.connect(0), server.connect(1));
            let listener = server.connect(2);
            server.send(listener, b"SUBSCRIBE news\r\n");
            server.send(pausing, format!("SET {first} 1\r\n").as_bytes());
            server.receive(writer, write.as_bytes());
            server.fill_line(1, 2);
            let before = written(&mut server);
            server.receive(pausing, b"CLIENT PAUSE 1000000 WRITE\r\n");
            server.some_turns(20);
            assert_eq!(server.take_output(pausing), b"", "{write}: {order:?}");
            server.clear_lines();
            nothing_follows_the_ok(&mut server, pausing, &order, &write);
            assert_ne!(written(&mut server), before, "{write}");
        }
    }
}

/// A pause that comes behind commands whose parts wait for a transaction that only reads, or which are under way.
#[test]
fn a_pause_begins_behind_what_waits_for_locks_and_what_is_under_way() {
    let [first, second] = [1, 2].map(|core| key_on(core, 3, "k"));
    for order in ORDERS {
        for (reader, write) in [
            (0, format!("MSET {first} 1 {second} 1\r\n")),
            (2, format!("MSET {first} 1 {second} 1\r\n")),
            (0, format!("SET {second} 1\r\n")),
        ] {
            for is_read in [false, true] {
                let mut server = Server::new(3);
                let (pausing, writer) = (server.connect(0), server.connect(1));
                if is_read {
                    let reader = server.connect(reader);
                    server.receive(reader, format!("LCS {first} {second}\r\n").as_bytes());
                    server.ship_from(reader.0);
                }
                server.receive(writer, write.as_bytes());
                if write.starts_with('M') {
                    server.ship_from(1);
                }
                server.receive(pausing, b"CLIENT PAUSE 1000000 WRITE\r\n");
                server.ship_from(0);
                let before = written(&mut server);
                nothing_follows_the_ok(&mut server, pausing, &order, &write);
                assert_ne!(written(&mut server), before, "{write}");
            }
        }
    }
}

/// An `EXEC` that publishes, under locks that only read: these do not keep a pause waiting, so that its core must.
#[test]
fn nothing_is_published_behind_the_ok_of_a_pause_by_what_holds_locks_to_read() {
    let mut waited = 0;
    for seed in 0..seeds(400) {
        let mut random = Random(seed);
        let mut server = Server::new(3);
        let (pausing, writer) = (server.connect(random.below(3)), server.connect(0));
        let listener = server.connect(0);
        server.send(listener, b"SUBSCRIBE news\r\n");
        let [first, second] = random.of(&[[0, 1], [1, 2]]);
        let keys = [first, second].map(|core| key_on(core, 3, "k"));
        let exec = format!(
            "MULTI\r\nLCS {} {}\r\nPUBLISH news 1\r\nEXEC\r\n",
            keys[0], keys[1]
        );
        // What has them to write may be in its way.
        let before = server.connect(random.below(3));
        if random.one_in(2) {
            server.send(before, format!("SET {} 1\r\n", keys[0]).as_bytes());
            let rename = format!("RENAME {} {}\r\n", keys[0], keys[1]);
            server.receive(before, rename.as_bytes());
            for _ in 0..random.below(10) {
                server.stir(&mut random);
            }
        }
        server.receive(writer, exec.as_bytes());
        for _ in 0..random.below(40) {
            server.stir(&mut random);
        }
        server.take_output(listener);
        server.receive(pausing, b"CLIENT PAUSE 1000000 WRITE\r\n");
        stir_until(&mut server, &mut random, pausing, "+OK\r\n");
        waited += usize::from(!server.take_output(listener).is_empty());
        server.turns();
        assert_eq!(server.take_output(listener), b"", "seed {seed}");
        for client in [pausing, writer, listener, before] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
    assert!(waited > 0, "some pauses had to wait for it");
}

#[test]
fn what_a_client_queues_while_writes_are_paused_is_held_back_where_it_writes() {
    let mut server = Server::new(2);
    let (pausing, other) = (server.connect(0), server.connect(1));
    let key = key_on(0, 2, "k");
    assert_eq!(
        server.send(pausing, b"CLIENT PAUSE 100000 WRITE\r\n"),
        "+OK\r\n"
    );
    assert_eq!(server.send(other, b"MULTI\r\n"), "+OK\r\n");
    let get = format!("GET {key}\r\n");
    assert_eq!(server.send(other, get.as_bytes()), "+QUEUED\r\n");
    assert_eq!(server.send(other, b"EXEC\r\n"), "*1\r\n$-1\r\n");
    assert_eq!(server.send(other, b"MULTI\r\n"), "+OK\r\n");
    let set = format!("SET {key} v\r\n");
    assert_eq!(server.send(other, set.as_bytes()), "");
    assert_eq!(server.send(pausing, b"CLIENT UNPAUSE\r\n"), "+OK\r\n");
    assert_eq!(server.send(other, b"EXEC\r\n"), "+QUEUED\r\n*1\r\n+OK\r\n");
}

#[test]
fn an_exec_of_scripts_that_say_they_only_read_is_not_held_back() {
    for cores in [1, 2] {
        let mut server = Server::new(cores);
        let (pausing, other) = (server.connect(0), server.connect(0));
        assert_eq!(
            server.send(pausing, b"CLIENT PAUSE 100000 WRITE\r\n"),
            "+OK\r\n"
        );
        let exec = |script: &str| format!("MULTI\r\nEVAL \"{script}\" 0\r\nEXEC\r\n");
        let reads = exec("#!lua flags=no-writes\\nreturn 12");
        let replies = server.send(other, reads.as_bytes());
        assert_eq!(replies, "+OK\r\n+QUEUED\r\n*1\r\n:12\r\n");
        let writes = exec("#!lua\\nreturn 13");
        assert_eq!(server.send(other, writes.as_bytes()), "+OK\r\n");
    }
}

#[test]
fn a_pause_inside_exec_begins_behind_it_on_all_cores() {
    let mut server = Server::new(3);
    let (pausing, other) = (server.connect(0), server.connect(1));
    let keys = [0, 1, 2].map(|core| key_on(core, 3, "k"));
    let exec = format!(
        "MULTI\r\nSET {} a\r\nCLIENT PAUSE 100000 WRITE\r\nSET {} b\r\nEXEC\r\n",
        keys[0], keys[1]
    );
    let replies = server.send(pausing, exec.as_bytes());
    assert!(
        replies.ends_with("*3\r\n+OK\r\n+OK\r\n+OK\r\n"),
        "{replies}"
    );
    for key in &keys {
        assert!(
            server
                .send(other, format!("GET {key}\r\n").as_bytes())
                .starts_with('$')
        );
    }
    let sets = keys.map(|key| format!("SET {key} c\r\n")).concat();
    assert_eq!(server.send(other, sets.as_bytes()), "");
    assert_eq!(server.send(pausing, b"CLIENT UNPAUSE\r\n"), "+OK\r\n");
    assert_eq!(server.send(other, b""), "+OK\r\n+OK\r\n+OK\r\n");
}

#[test]
fn a_pause_is_over_on_all_cores_when_its_time_is() {
    let mut server = Server::new(2);
    let (pausing, other) = (server.connect(0), server.connect(1));
    let keys = [0, 1].map(|core| key_on(core, 2, "k"));
    assert_eq!(
        server.send(pausing, b"CLIENT PAUSE 100 WRITE\r\n"),
        "+OK\r\n"
    );
    let sets = format!("SET {} v\r\nSET {} v\r\n", keys[0], keys[1]);
    assert_eq!(server.send(other, sets.as_bytes()), "");
    server.advance(99);
    assert_eq!(server.send(other, b""), "");
    server.advance(1);
    assert_eq!(server.send(other, b""), "+OK\r\n+OK\r\n");
}

#[test]
fn a_pause_does_not_wait_for_a_client_that_does_not_read() {
    let mut server = Server::configured(2, &[("client-output-buffer-high-water", "2mb")]);
    let (slow, pausing) = (server.connect(0), server.connect(0));
    let (key, other) = (key_on(1, 2, "large"), key_on(1, 2, "other"));
    server.send(slow, format!("SETRANGE {key} 3000000 x\r\n").as_bytes());
    let get = format!("GET {key}\r\n");
    server.receive(
        slow,
        format!("{}SET {other} v\r\n", get.repeat(9)).as_bytes(),
    );
    server.turns();
    assert_eq!(
        server.send(pausing, b"CLIENT PAUSE 100000 WRITE\r\n"),
        "+OK\r\n"
    );
    let before = written(&mut server);
    assert!(server.read_all(slow).len() > 9 * 3_000_000);
    assert_eq!(written(&mut server), before);
}

#[test]
fn a_core_is_woken_for_an_entry_though_mail_goes_to_it_behind() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    assert!(server.cores[1].fall_asleep());
    server.receive(client, b"CLIENT PAUSE 100000 WRITE\r\n");
    let core = &mut server.cores[0];
    core.end_turn();
    core.ship();
    assert_eq!(core.take_wakes().collect::<Vec<_>>(), [1]);
}
