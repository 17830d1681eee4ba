//! Copies of other cores' keys under test: whatever is under way between the cores takes its time, and yet every read is
//! what a server of one core would have answered. `serial` tests them under clients that do not wait for each other.

#![cfg(test)]

use larder_engine::DbIndex;

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};

const CORES: u16 = 3;
const KEYS: usize = 6;

/// Reads that copies answer. `K` is a key, `N` a small number.
const READS: &[&str] = &[
    "GET K",
    "GET K",
    "GET K",
    "STRLEN K",
    "EXISTS K",
    "GETRANGE K 1 N",
    "SUBSTR K 0 -2",
    "GETBIT K N",
];

/// Changes of every kind, and what looks at keys in other ways.
const OTHERS: &[&str] = &[
    "SET K N",
    "SET K text",
    "SET K N PX 30",
    "SET K N XX KEEPTTL",
    "APPEND K N",
    "SETRANGE K N x",
    "SETBIT K N 1",
    "INCR K",
    "DEL K",
    "GETDEL K",
    "GETEX K PX 20",
    "PEXPIRE K 25",
    "EXPIRE K -1",
    "PERSIST K",
    "MOVE K 1",
    "RENAME K K",
    "COPY K K REPLACE",
    "COPY K K DB 1 REPLACE",
    "MSET K N K N K N",
    "MSETNX K N K N",
    "BITOP NOT K K",
    "MGET K K K",
    "EXISTS K K",
    "MULTI|SET K N|GET K|APPEND K N|EXEC",
    "MULTI|GET K|GET K|EXEC",
    "WATCH K|MULTI|SET K N|EXEC",
    "SET K N|GET K|SET K N|GET K",
    "GET K|GET K|SET K N|GET K",
    "CLIENT REPLY SKIP|SET K N|GET K",
    "CLIENT REPLY SKIP|MSET K N K N|GET K",
    "CLIENT REPLY SKIP|INCR K|CLIENT REPLY SKIP|APPEND K N|GET K|GET K",
    "CLIENT NO-TOUCH ON",
    "HELLO 3",
    "SELECT 1",
    "SELECT 0",
    "FLUSHDB",
    "FLUSHALL",
    "SWAPDB 0 1",
    "TTL K",
];

fn copy_reads(server: &mut Server) -> u64 {
    let cores = server.cores.iter_mut();
    cores.map(|core| core.state().stats.copy_reads).sum()
}

/// Has the owner of a key offer it.
fn offer(server: &mut Server, db: u16, key: &str) {
    let owner = server.cores[0].state().shared.slots.core_of(key.as_bytes());
    server.cores[owner.index()].offer(DbIndex(db), key.as_bytes());
}

/// Sends a request, and waits for so many bytes of reply, but not for anything else to come to rest.
fn ask(
    server: &mut Server,
    random: &mut Random,
    client: Client,
    request: &str,
    len: usize,
) -> String {
    server.receive(client, request.as_bytes());
    let mut heard = Vec::new();
    for _ in 0..10_000 {
        heard.extend(server.take_output(client));
        if heard.len() >= len && len > 0 {
            break;
        }
        if len == 0 && random.one_in(20) {
            break;
        }
        server.stir(random);
    }
    heard.escape_ascii().to_string()
}

fn request(random: &mut Random, keys: &[String]) -> String {
    let table = if random.one_in(4) { OTHERS } else { READS };
    let mut out = String::new();
    for line in random.of(table).split('|') {
        let words = line.split(' ').map(|word| match word {
            "K" => keys[random.below(keys.len())].clone(),
            "N" => random.below(30).to_string(),
            word => word.to_owned(),
        });
        let words: Vec<String> = words.collect();
        out += &words.join(" ");
        out += "\r\n";
    }
    out
}

#[test]
fn reads_from_copies_are_those_of_one_core_whatever_changes_and_however_long_messages_take() {
    let mut from_copies = 0;
    for seed in 0..seeds(30) {
        let random = &mut Random(seed ^ 0xC0_FFEE);
        let mut server = Server::configured(CORES, &[("hot-key-copies", "yes")]);
        let mut oracle = Server::new(1);
        let keys: Vec<String> = (0..KEYS)
            .map(|at| key_on(at as u16 % CORES, CORES, &format!("key{at}")))
            .collect();
        let clients: Vec<(Client, Client)> = (0..6)
            .map(|at| (server.connect(at % usize::from(CORES)), oracle.connect(0)))
            .collect();
        for step in 0..600 {
            if random.one_in(8) {
                let key = &keys[random.below(KEYS)];
                offer(&mut server, random.below(2) as u16, key);
            }
            if random.one_in(40) {
                let core = random.below(CORES.into());
                server.cores[core].withdraw_all();
            }
            if random.one_in(10) {
                let millis = 1 + random.below(15) as u64;
                server.advance(millis);
                oracle.advance(millis);
            }
            let (client, its_oracle) = clients[random.below(clients.len())];
            let request = request(random, &keys);
            oracle.receive(its_oracle, request.as_bytes());
            oracle.turns();
            let expected = oracle.take_output(its_oracle);
            let heard = ask(&mut server, random, client, &request, expected.len());
            let expected = expected.escape_ascii().to_string();
            if request.contains("SKIP") {
                // What nobody hears of may still be under way.
                server.turns();
            }
            assert_eq!(heard, expected, "seed {seed}, step {step}: {request}");
        }
        from_copies += copy_reads(&mut server);
        for (client, _) in clients {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
    assert!(
        from_copies > 300,
        "only {from_copies} reads were from copies"
    );
}

/// A server of two cores with copies on, a client on each core, and a key of core 1 of which core 0 has a copy.
fn with_copy(value: &str) -> (Server, Client, Client, String) {
    let mut server = Server::configured(2, &[("hot-key-copies", "yes")]);
    let (near, far) = (server.connect(0), server.connect(1));
    let key = key_on(1, 2, "hot");
    server.send(far, format!("SET {key} {value}\r\n").as_bytes());
    offer(&mut server, 0, &key);
    server.turns();
    server.send(near, format!("GET {key}\r\n").as_bytes());
    assert_eq!(copy_reads(&mut server), 0);
    (server, near, far, key)
}

/// Sends a command, without a message between the cores.
fn here(server: &mut Server, client: Client, command: &str) -> String {
    server.receive(client, command.as_bytes());
    String::from_utf8(server.take_output(client)).unwrap()
}

#[test]
fn a_copy_answers_without_a_message_until_its_key_changes() {
    let (mut server, near, far, key) = with_copy("first");
    for _ in 0..3 {
        assert_eq!(
            here(&mut server, near, &format!("GET {key}\r\n")),
            "$5\r\nfirst\r\n"
        );
    }
    assert_eq!(
        here(&mut server, near, &format!("GETRANGE {key} 1 2\r\n")),
        "$2\r\nir\r\n"
    );
    assert_eq!(
        here(&mut server, near, &format!("EXISTS {key}\r\n")),
        ":1\r\n"
    );
    assert_eq!(copy_reads(&mut server), 5);
    assert_eq!(
        here(&mut server, far, &format!("SET {key} second\r\n")),
        "+OK\r\n"
    );
    assert_eq!(here(&mut server, near, &format!("GET {key}\r\n")), "");
    assert_eq!(copy_reads(&mut server), 5);
    server.turns();
    assert_eq!(server.take_output(near), b"$6\r\nsecond\r\n");
    assert_eq!(
        here(&mut server, near, &format!("GET {key}\r\n")),
        "$6\r\nsecond\r\n"
    );
    assert_eq!(copy_reads(&mut server), 6);
}

#[test]
fn that_a_key_is_missing_is_copied_too() {
    let (mut server, near, far, key) = with_copy("value");
    server.send(far, format!("DEL {key}\r\n").as_bytes());
    assert_eq!(
        server.send(near, format!("GET {key}\r\n").as_bytes()),
        "$-1\r\n"
    );
    assert_eq!(
        here(&mut server, near, &format!("GET {key}\r\n")),
        "$-1\r\n"
    );
    assert_eq!(copy_reads(&mut server), 1);
    server.send(far, format!("SETBIT {key} 1 1\r\n").as_bytes());
    assert_eq!(here(&mut server, near, &format!("GET {key}\r\n")), "");
}

#[test]
fn a_session_that_awaits_a_reply_or_wants_none_is_not_answered_from_a_copy() {
    let (mut server, near, _, key) = with_copy("value");
    let other = key_on(1, 2, "other");
    let both = format!("GET {other}\r\nGET {key}\r\n");
    assert_eq!(here(&mut server, near, &both), "");
    server.turns();
    assert_eq!(server.take_output(near), b"$-1\r\n$5\r\nvalue\r\n");
    assert_eq!(copy_reads(&mut server), 0);
    here(
        &mut server,
        near,
        &format!("CLIENT REPLY SKIP\r\nSET {other} 1\r\n"),
    );
    assert_eq!(here(&mut server, near, &format!("GET {key}\r\n")), "");
}

#[test]
fn a_copy_is_not_used_from_its_deadline_on() {
    let (mut server, near, far, key) = with_copy("value");
    server.send(far, format!("PEXPIRE {key} 100\r\n").as_bytes());
    server.send(near, format!("GET {key}\r\n").as_bytes());
    server.advance(99);
    assert_eq!(
        here(&mut server, near, &format!("GET {key}\r\n")),
        "$5\r\nvalue\r\n"
    );
    // Time goes on here, and the key's core has not looked.
    let clock = crate::command::Clock {
        unix: larder_engine::UnixMillis(server.now_ms as i64 + 1),
        monotonic_us: (server.now_ms + 1) * 1000,
        read_at: std::time::Instant::now(),
    };
    server.cores[0].begin_turn(clock);
    assert_eq!(here(&mut server, near, &format!("GET {key}\r\n")), "");
}

#[test]
fn values_that_grow_too_long_are_copied_no_more() {
    let (mut server, near, far, key) = with_copy("value");
    let get = format!("STRLEN {key}\r\n");
    server.send(far, format!("SETRANGE {key} 20000 x\r\n").as_bytes());
    assert_eq!(server.send(near, get.as_bytes()), ":20001\r\n");
    assert_eq!(here(&mut server, near, &get), "");
    server.turns();
    assert_eq!(server.cores[1].state().shard.copied().len(), 0);
    offer(&mut server, 0, &key);
    assert_eq!(server.cores[1].state().shard.copied().len(), 0);
}

#[test]
fn reads_from_copies_keep_the_entry_from_looking_idle_unless_they_are_not_to() {
    for (first, idle_secs) in [("PING", 0..=2), ("CLIENT NO-TOUCH ON", 9..=10)] {
        let (mut server, near, far, key) = with_copy("value");
        server.send(near, format!("{first}\r\n").as_bytes());
        let get = format!("GET {key}\r\n").repeat(60);
        for _ in 0..100 {
            server.advance(100);
            let heard = here(&mut server, near, &get);
            assert_eq!(heard, "$5\r\nvalue\r\n".repeat(60));
            server.turns();
        }
        assert_eq!(copy_reads(&mut server), 6000);
        let idle = server.send(far, format!("OBJECT IDLETIME {key}\r\n").as_bytes());
        let idle: u64 = idle[1..].trim_end().parse().unwrap();
        assert!(idle_secs.contains(&idle), "{first}: {idle}");
    }
}

#[test]
fn what_is_much_read_is_copied_and_what_changes_as_often_is_not() {
    let mut server = Server::configured(2, &[("hot-key-copies", "yes")]);
    let clients = [server.connect(0), server.connect(1)];
    let key = key_on(1, 2, "hot");
    let get = format!("GET {key}\r\n").repeat(32);
    let set = format!("SET {key} 1\r\n").repeat(32);
    let use_for = |server: &mut Server, seconds: u64, pieces: &[&str]| {
        let before = copy_reads(server);
        for _ in 0..seconds * 100 {
            server.advance(10);
            for piece in pieces {
                for client in clients {
                    server.send(client, piece.as_bytes());
                }
            }
        }
        copy_reads(server) - before
    };
    assert!(use_for(&mut server, 5, &[&get]) > 3000);
    let told = server.send(clients[0], b"LARDER HOTKEYS COUNT 1\r\n");
    assert!(
        told.contains(&key) && told.ends_with("$6\r\ncopied\r\n:1\r\n"),
        "{told}"
    );
    // 100 times a second 2 * 32 reads.
    let info = server.send(clients[0], b"INFO hotkeys\r\n");
    let rate = info.split("reads_per_sec=").nth(1).unwrap();
    let rate: u64 = rate[..rate.find(',').unwrap()].parse().unwrap();
    assert!((5000..8000).contains(&rate), "{info}");
    use_for(&mut server, 3, &[&get, &set]);
    assert_eq!(use_for(&mut server, 2, &[&get, &set]), 0);
    assert!(use_for(&mut server, 10, &[&get]) > 1000);
    server.send(clients[0], b"CONFIG SET hot-key-copies no\r\n");
    assert_eq!(use_for(&mut server, 2, &[&get]), 0);
    server.send(clients[0], b"CONFIG SET hot-key-copies yes\r\n");
    assert!(use_for(&mut server, 5, &[&get]) > 1000);
    // Nobody reads it any more.
    let other = "PING\r\n";
    use_for(&mut server, 12, &[other]);
    assert_eq!(server.cores[1].state().shard.copied().len(), 0);
}

#[test]
fn without_being_asked_for_there_are_no_copies() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let key = key_on(1, 2, "hot");
    let get = format!("GET {key}\r\n").repeat(32);
    for _ in 0..500 {
        server.advance(10);
        server.send(client, get.as_bytes());
    }
    assert_eq!(copy_reads(&mut server), 0);
    assert_eq!(server.cores[1].state().shard.copied().len(), 0);
}
