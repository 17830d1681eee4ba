//! Tests of `CLIENT PAUSE` over cores: nothing is written behind its `+OK`, wherever the write was when it came.

#![cfg(test)]

use super::testing::{Client, Random, Server, key_on, seeds};

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

/// What `EXEC` says of a pause is no barrier (decision 0017): it is in force for all that comes from then on, and a pause that is
/// sent by itself waits for what came before.
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
