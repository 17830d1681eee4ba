//! Commands that take several turns: others go on meanwhile, but for those who want the same keys, and nothing tells them from
//! commands of one step but that.

#![cfg(test)]

use larder_engine::Kind;

use crate::dispatch::tests::parts::{content, make};
use crate::dispatch::tests::testing::{Client, Random, Server, key_on, replies, seeds};
use crate::rdb::{Input, Version, seal_as, unseal};

/// Collections that take several steps.
const SHAPES: [(Kind, usize, usize); 4] = [
    (Kind::List, 9000, 40),
    (Kind::Set, 14_000, 40),
    (Kind::Hash, 6000, 40),
    (Kind::SortedSet, 9000, 40),
];

fn send(server: &mut Server, client: Client, command: &str) -> String {
    server.send(client, format!("{command}\r\n").as_bytes())
}

/// Sends a command, and nothing more happens.
fn begin(server: &mut Server, client: Client, command: &str) {
    server.receive(client, format!("{command}\r\n").as_bytes());
}

fn bulk(reply: &[u8]) -> Vec<u8> {
    let start = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    reply[start..reply.len() - 2].to_vec()
}

/// All that a client gets as the server comes to rest.
fn all(server: &mut Server, client: Client) -> Vec<Vec<u8>> {
    replies(&server.read_all(client))
}

/// What `DUMP` answers in an `EXEC`, where it is one step.
fn dump_at_once(server: &mut Server, client: Client, key: &str) -> Vec<u8> {
    begin(server, client, &format!("MULTI\r\nDUMP {key}\r\nEXEC"));
    let reply = all(server, client).pop().unwrap();
    let dump = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    bulk(&reply[dump..])
}

fn dump(server: &mut Server, client: Client, key: &str) -> Vec<u8> {
    begin(server, client, &format!("DUMP {key}"));
    bulk(&all(server, client).pop().unwrap())
}

fn restore_of(key: &str, payload: &[u8], options: &[&str]) -> Vec<u8> {
    let words = [&b"RESTORE"[..], key.as_bytes(), b"0", payload];
    let words = words
        .into_iter()
        .chain(options.iter().map(|option| option.as_bytes()));
    let words: Vec<&[u8]> = words.collect();
    crate::resp::encode_command(words.into_iter())
}

/// Turns until a client is sent something: how many, and what.
fn turns_until_answered(server: &mut Server, client: Client) -> (usize, Vec<u8>) {
    for turns in 1..10_000 {
        server.some_turns(1);
        let output = server.take_output(client);
        if !output.is_empty() {
            return (turns, output);
        }
    }
    panic!("there is no answer");
}

fn used(server: &mut Server) -> Vec<u64> {
    for _ in 0..300 {
        server.turn();
    }
    let cores = server.cores.iter_mut();
    let used = cores.map(|core| {
        core.state().shard.check();
        core.state().shard.memory().payload_bytes
    });
    used.collect()
}

/// A server, a client of its first core, and where a key may live.
fn servers() -> impl Iterator<Item = (Server, Client, u16, u16)> {
    [(1, 0), (2, 0), (2, 1)].into_iter().map(|(cores, owner)| {
        let mut server = Server::new(cores);
        let client = server.connect(0);
        (server, client, cores, owner)
    })
}

#[test]
fn others_go_on_while_a_large_value_is_dumped_and_who_wants_the_key_waits() {
    for shape in SHAPES {
        for (mut server, client, cores, owner) in servers() {
            let key = key_on(owner, cores, "large");
            let other = key_on(owner, cores, "other");
            make(&mut server, client, &key, shape);
            send(&mut server, client, &format!("SET {other} value"));
            let expected = dump_at_once(&mut server, client, &key);
            let (reader, writer) = (
                server.connect(usize::from(owner)),
                server.connect(usize::from(owner)),
            );
            begin(&mut server, client, &format!("DUMP {key}"));
            server.some_turns(1);
            begin(&mut server, reader, &format!("GET {other}\r\nTYPE {key}"));
            begin(&mut server, writer, &format!("DEL {key}\r\nGET {other}"));
            let (turns, got) = turns_until_answered(&mut server, reader);
            assert_eq!(turns, 1, "who wants another key, or reads, does not wait");
            assert!(got.starts_with(b"$5\r\nvalue\r\n+"));
            let (turns, dumped) = turns_until_answered(&mut server, client);
            assert!(turns > 3, "{turns} turns");
            let dumped = [dumped, server.read_all(client)].concat();
            assert!(bulk(&dumped) == expected);
            let deleted = String::from_utf8(server.read_all(writer)).unwrap();
            assert_eq!(deleted, ":1\r\n$5\r\nvalue\r\n");
            for client in [client, reader, writer] {
                server.disconnect(client);
            }
            server.turns();
            server.assert_nothing_is_left();
        }
    }
}

#[test]
fn others_go_on_while_a_large_value_is_restored_and_who_wants_the_key_sees_all_of_it() {
    for (shape, count) in SHAPES.into_iter().zip(["LLEN", "SCARD", "HLEN"]) {
        for (mut server, client, cores, owner) in servers() {
            let from = key_on(owner, cores, "large");
            let [to, other] = ["copy", "other"].map(|name| key_on(owner, cores, name));
            make(&mut server, client, &from, shape);
            send(&mut server, client, &format!("SET {other} value"));
            let payload = dump(&mut server, client, &from);
            let (reader, counter) = (
                server.connect(usize::from(owner)),
                server.connect(usize::from(owner)),
            );
            server.receive(client, &restore_of(&to, &payload, &[]));
            server.some_turns(2);
            begin(&mut server, reader, &format!("GET {other}"));
            begin(&mut server, counter, &format!("{count} {to}"));
            let (turns, got) = turns_until_answered(&mut server, reader);
            assert_eq!((turns, &got[..]), (1, &b"$5\r\nvalue\r\n"[..]));
            let (turns, counted) = turns_until_answered(&mut server, counter);
            assert!(turns > 8, "{turns} turns");
            assert_eq!(counted, format!(":{}\r\n", shape.1).into_bytes());
            assert_eq!(server.read_all(client), b"+OK\r\n");
            let owner = usize::from(owner);
            send(&mut server, client, &format!("PEXPIRE {to} 2000000"));
            let [kept, put] = [&from, &to].map(|key| content(&mut server, owner, 0, key));
            assert!(kept == put);
            assert!(dump(&mut server, client, &to).len() == payload.len());
            send(&mut server, client, "FLUSHALL");
            assert!(used(&mut server).iter().all(|used| *used == 0));
        }
    }
}

#[test]
fn a_session_s_commands_on_the_key_run_in_their_order() {
    for (mut server, client, cores, owner) in servers() {
        let key = key_on(owner, cores, "large");
        make(&mut server, client, &key, (Kind::Hash, 6000, 40));
        let before = dump_at_once(&mut server, client, &key);
        let pipeline = format!("DUMP {key}\r\nHDEL {key} name5\r\nDUMP {key}\r\nHLEN {key}\r\n");
        // In the order of transactions, if there are several cores.
        let others = [key_on(0, cores, "a"), key_on(cores - 1, cores, "b")];
        let pipeline = format!("MSET {} 1 {} 2\r\n{pipeline}", others[0], others[1]);
        server.receive(client, pipeline.as_bytes());
        let replies = all(&mut server, client);
        assert!(bulk(&replies[1]) == before);
        assert_eq!(replies[2], b":1\r\n");
        let after = dump_at_once(&mut server, client, &key);
        assert!(bulk(&replies[3]) == after);
        assert_eq!(replies[4], b":5999\r\n");
        server.receive(client, &restore_of(&key, &before, &["REPLACE"]));
        begin(&mut server, client, &format!("HLEN {key}\r\nTTL {key}"));
        assert_eq!(server.read_all(client), b"+OK\r\n:6000\r\n:-1\r\n");
    }
}

#[test]
fn whoever_goes_away_leaves_nothing_and_what_it_has_sent_to_be_written_is() {
    for (mut server, client, cores, owner) in servers() {
        let [key, to] = ["large", "copy"].map(|name| key_on(owner, cores, name));
        make(&mut server, client, &key, (Kind::Hash, 6000, 40));
        let payload = dump(&mut server, client, &key);
        let before = used(&mut server);
        for turns in 0..8 {
            let leaver = server.connect(0);
            begin(&mut server, leaver, &format!("DUMP {key}"));
            server.some_turns(turns);
            server.disconnect(leaver);
            assert_eq!(
                send(&mut server, client, &format!("HLEN {key}")),
                ":6000\r\n"
            );
            assert_eq!(used(&mut server), before);
        }
        for turns in 0..8 {
            let leaver = server.connect(0);
            server.receive(leaver, &restore_of(&to, &payload, &[]));
            server.some_turns(turns);
            server.disconnect(leaver);
            let del = format!("HLEN {to}\r\nDEL {to}\r\n");
            server.receive(client, del.as_bytes());
            assert_eq!(server.read_all(client), b":6000\r\n:1\r\n");
            assert_eq!(used(&mut server), before);
        }
        server.disconnect(client);
        server.turns();
        server.assert_nothing_is_left();
    }
}

#[test]
fn a_damaged_payload_is_refused_wherever_the_damage_is_and_leaves_nothing() {
    for shape in SHAPES {
        for (mut server, client, cores, owner) in servers() {
            let [key, to] = ["large", "copy"].map(|name| key_on(owner, cores, name));
            make(&mut server, client, &key, shape);
            let payload = dump(&mut server, client, &key);
            send(&mut server, client, &format!("SET {to} before"));
            let before = used(&mut server);
            let (version, value) = unseal(&payload).unwrap();
            let value = Input::rest(value).to_vec();
            for at in (0..value.len()).step_by(value.len() / 6) {
                let mut wrong = payload.clone();
                wrong[at] ^= 1;
                server.receive(client, &restore_of(&to, &wrong, &["REPLACE"]));
                let refused = b"-ERR DUMP payload version or checksum are wrong\r\n";
                assert_eq!(server.read_all(client), refused);
                let cut = seal_as(value[..at].to_vec(), version);
                server.receive(client, &restore_of(&to, &cut, &["REPLACE"]));
                assert_eq!(server.read_all(client), b"-ERR Bad data format\r\n");
                assert_eq!(used(&mut server), before);
            }
            let get = send(&mut server, client, &format!("GET {to}"));
            assert_eq!(get, "$6\r\nbefore\r\n");
        }
    }
}

/// Commands that concern the key, though they do not name it, or all keys.
#[test]
fn what_concerns_the_whole_keyspace_waits_on_one_core_too() {
    let mut server = Server::configured(1, &[("enable-debug-command", "yes")]);
    let client = server.connect(0);
    make(&mut server, client, "large", (Kind::Hash, 6000, 40));
    let payload = dump_at_once(&mut server, client, "large");
    send(
        &mut server,
        client,
        "MSET text 1 weight_a 1\r\nRPUSH sorted a",
    );
    for (command, reply) in [
        ("DEBUG RELOAD", "+OK\r\n"),
        ("DBSIZE", ":4\r\n"),
        (
            "EVAL \"return redis.call('EXISTS', 'lar' .. 'ge')\" 0",
            ":1\r\n",
        ),
        (
            "EVAL \"return redis.call('HDEL', KEYS[1], 'none')\" 1 large",
            ":0\r\n",
        ),
        (
            "SORT sorted BY weight_* GET l*rge->name0",
            "*1\r\n$40\r\n0000000000000000000000000000000000000000\r\n",
        ),
        (
            "MULTI\r\nEVAL \"return redis.call('HDEL', 'large', 'none')\" 0\r\nEXEC",
            "+OK\r\n+QUEUED\r\n*1\r\n:0\r\n",
        ),
        (
            "MULTI\r\nHDEL large none\r\nEXEC",
            "+OK\r\n+QUEUED\r\n*1\r\n:0\r\n",
        ),
        ("CONFIG SET hash-max-listpack-entries 100", "+OK\r\n"),
        ("SWAPDB 0 1\r\nSWAPDB 1 0", "+OK\r\n+OK\r\n"),
        (
            "EVAL \"return redis.call('HDEL', 'lar' .. 'ge', 'name1')\" 0",
            ":1\r\n",
        ),
        (
            "HSET large name1 0000000000000000000000000000000000000001",
            ":1\r\n",
        ),
        ("FLUSHALL", "+OK\r\n"),
    ] {
        let other = server.connect(0);
        begin(&mut server, client, "DUMP large");
        server.some_turns(1);
        begin(&mut server, other, command);
        server.some_turns(1);
        let dumped = bulk(&all(&mut server, client).pop().unwrap());
        assert!(dumped.len() + 100 > payload.len(), "{command}");
        let got = String::from_utf8(server.read_all(other)).unwrap();
        assert_eq!(got, reply, "{command}");
        server.disconnect(other);
    }
    // Of a value that is being restored nobody sees anything before it is there.
    for (command, reply) in [
        ("DBSIZE", ":1\r\n"),
        (
            "EVAL \"return redis.call('HLEN', 'lar' .. 'ge')\" 0",
            ":6000\r\n",
        ),
        ("CLIENT PAUSE 1 WRITE\r\nHLEN large", "+OK\r\n:6000\r\n"),
        ("FLUSHALL\r\nEXISTS large", "+OK\r\n:0\r\n"),
    ] {
        let other = server.connect(0);
        server.receive(client, &restore_of("large", &payload, &["REPLACE"]));
        server.some_turns(1);
        begin(&mut server, other, command);
        server.some_turns(1);
        assert_eq!(server.take_output(other), b"", "{command}");
        assert_eq!(server.read_all(client), b"+OK\r\n", "{command}");
        let got = String::from_utf8(server.read_all(other)).unwrap();
        assert_eq!(got, reply, "{command}");
        server.disconnect(other);
        server.advance(10);
    }
}

#[test]
fn what_a_restore_brings_serves_who_waits_and_is_told_of_once() {
    for (mut server, client, cores, owner) in servers() {
        let [key, to] = ["large", "copy"].map(|name| key_on(owner, cores, name));
        make(&mut server, client, &key, (Kind::List, 9000, 40));
        send(&mut server, client, "CONFIG SET notify-keyspace-events KA");
        let payload = dump(&mut server, client, &key);
        let (waiter, hearer) = (server.connect(0), server.connect(usize::from(cores - 1)));
        begin(&mut server, waiter, &format!("BLPOP {to} 0"));
        let subscribe = format!("SUBSCRIBE __keyspace@0__:{to}");
        send(&mut server, hearer, &subscribe);
        server.receive(client, &restore_of(&to, &payload, &[]));
        begin(&mut server, client, &format!("LLEN {to}"));
        assert_eq!(server.read_all(client), b"+OK\r\n:8999\r\n");
        let popped = String::from_utf8(server.read_all(waiter)).unwrap();
        assert!(popped.contains(&format!("\r\n{}\r\n", "0".repeat(40))));
        let heard = String::from_utf8(server.read_all(hearer)).unwrap();
        let events: Vec<&str> = heard
            .lines()
            .filter(|line| ["restore", "lpop"].contains(line))
            .collect();
        assert_eq!(events, ["restore", "lpop"]);
    }
}

#[test]
fn a_client_that_wants_no_reply_gets_none_and_its_value_is_restored() {
    for (mut server, client, cores, owner) in servers() {
        let [key, to] = ["large", "copy"].map(|name| key_on(owner, cores, name));
        make(&mut server, client, &key, (Kind::Hash, 6000, 40));
        let payload = dump(&mut server, client, &key);
        begin(&mut server, client, "CLIENT REPLY OFF");
        server.receive(client, &restore_of(&to, &payload, &[]));
        begin(
            &mut server,
            client,
            &format!("DUMP {to}\r\nCLIENT REPLY ON"),
        );
        begin(&mut server, client, &format!("HLEN {to}"));
        assert_eq!(server.read_all(client), b"+OK\r\n:6000\r\n");
    }
}

#[test]
fn a_dump_whose_key_ends_meanwhile_answers_all_of_it_or_nothing() {
    for shape in SHAPES {
        for (mut server, client, cores, owner) in servers() {
            let key = key_on(owner, cores, "large");
            make(&mut server, client, &key, shape);
            let expected = dump_at_once(&mut server, client, &key);
            send(&mut server, client, &format!("PEXPIRE {key} 1000"));
            let other = server.connect(usize::from(owner));
            for is_read in [false, true] {
                begin(&mut server, client, &format!("DUMP {key}"));
                server.some_turns(2);
                server.advance(2000);
                if is_read {
                    assert_eq!(send(&mut server, other, &format!("EXISTS {key}")), ":0\r\n");
                }
                let dumped = server.read_all(client);
                match is_read {
                    true => assert_eq!(dumped, b"$-1\r\n"),
                    false => assert!(bulk(&dumped) == expected),
                }
                server.now_ms -= 2000;
                server.advance(0);
            }
        }
    }
}

/// What has ended already when a `DUMP` begins is in it, and so must not go while it is written.
#[test]
fn fields_that_have_ended_stay_while_they_are_dumped_though_somebody_waits_for_the_whole_keyspace()
{
    for (cores, owner) in [(1, 0), (2, 0), (2, 1)] {
        let mut server = Server::configured(cores, &[("enable-debug-command", "yes")]);
        let [client, other, third] = [(); 3].map(|()| server.connect(0));
        let key = key_on(owner, cores, "large");
        make(&mut server, client, &key, (Kind::Hash, 20_000, 40));
        send(&mut server, client, "DEBUG SET-ACTIVE-EXPIRE 0");
        let names: String = (0..2000)
            .map(|number| format!(" name{}", 3 * number))
            .collect();
        let ends = format!("HPEXPIRE {key} 1000 FIELDS 2000{names}");
        assert!(send(&mut server, client, &ends).starts_with("*2000\r\n:1\r\n"));
        server.advance(600_000);
        let expected = dump_at_once(&mut server, client, &key);
        begin(&mut server, client, &format!("DUMP {key}"));
        server.some_turns(2);
        begin(&mut server, other, "SWAPDB 1 2");
        begin(&mut server, third, "DEBUG SET-ACTIVE-EXPIRE 1");
        let mut dumped = Vec::new();
        while dumped.is_empty() {
            server.advance(1000);
            server.some_turns(1);
            dumped = server.take_output(client);
        }
        dumped.extend(server.read_all(client));
        assert!(bulk(&dumped) == expected);
        assert_eq!(server.read_all(other), b"+OK\r\n");
        assert_eq!(server.read_all(third), b"+OK\r\n");
        for _ in 0..20 {
            server.advance(1000);
            server.turns();
        }
        assert_eq!(
            send(&mut server, client, &format!("HLEN {key}")),
            ":18000\r\n"
        );
    }
}

/// What has begun does not count as under way: else its core would be sent nothing more until it is done.
#[test]
fn others_of_the_client_s_core_go_on_while_a_long_argument_is_restored() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let [key, other] = ["large", "other"].map(|name| key_on(1, 2, name));
    let mut value = b"\x00\x80\x01\x20\x00\x00".to_vec();
    value.resize(6 + (0x120 << 16), b'x');
    let payload = seal_as(value, Version::WRITTEN);
    server.receive(client, &restore_of(&key, &payload, &[]));
    server.some_turns(3);
    let reader = server.connect(0);
    for _ in 0..5 {
        begin(&mut server, reader, &format!("GET {other}"));
        let (turns, got) = turns_until_answered(&mut server, reader);
        assert_eq!(got, b"$-1\r\n");
        assert!(turns <= 3, "{turns} turns");
    }
    assert_eq!(server.take_output(client), b"");
    assert_eq!(server.read_all(client), b"+OK\r\n");
    assert_eq!(
        send(&mut server, client, &format!("STRLEN {key}")),
        ":18874368\r\n"
    );
}

/// A session that owes much has its requests set aside, and a transaction behind them has them run before it.
#[test]
fn what_was_set_aside_waits_for_the_key_as_all_else() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    let [key, blob, here] =
        [(1, "large"), (1, "blob"), (0, "here")].map(|(core, name)| key_on(core, 2, name));
    make(&mut server, client, &key, (Kind::Hash, 6000, 40));
    let expected = dump_at_once(&mut server, client, &key);
    let words = [b"SET", blob.as_bytes(), &vec![b'x'; 6 << 20]];
    server.receive(client, &crate::resp::encode_command(words.into_iter()));
    assert_eq!(server.read_all(client), b"+OK\r\n");
    let debtor = server.connect(0);
    begin(&mut server, client, &format!("DUMP {key}"));
    server.some_turns(2);
    let get = format!("GET {blob}\r\n").repeat(2);
    begin(
        &mut server,
        debtor,
        &format!("{get}HDEL {key} name5999\r\nMSET {here} 1 {blob} 2"),
    );
    server.turns();
    let dumped = server.read_all(client);
    assert!(bulk(&dumped) == expected);
    let replies = all(&mut server, debtor);
    assert_eq!(replies[2..], [b":1\r\n".to_vec(), b"+OK\r\n".to_vec()]);
}

#[test]
fn a_long_string_is_dumped_and_restored_in_steps_too() {
    for (mut server, client, cores, owner) in servers() {
        let [key, to] = ["large", "copy"].map(|name| key_on(owner, cores, name));
        let value: String = (0..300_000)
            .map(|number| (b'a' + number as u8 % 26) as char)
            .collect();
        let value = value.repeat(5);
        let words = [b"SET", key.as_bytes(), value.as_bytes()];
        server.receive(client, &crate::resp::encode_command(words.into_iter()));
        assert_eq!(server.read_all(client), b"+OK\r\n");
        let expected = dump_at_once(&mut server, client, &key);
        begin(&mut server, client, &format!("DUMP {key}"));
        let (turns, dumped) = turns_until_answered(&mut server, client);
        assert!(turns > 20, "{turns} turns");
        let payload = bulk(&[dumped, server.read_all(client)].concat());
        assert!(payload == expected);
        server.receive(client, &restore_of(&to, &payload, &[]));
        let (turns, _) = turns_until_answered(&mut server, client);
        assert!(turns > 5, "{turns} turns");
        let got = send(&mut server, client, &format!("GET {to}"));
        assert!(got.ends_with(&format!("\r\n{value}\r\n")));
        let wrong = seal_as(payload[..1000].to_vec(), Version::WRITTEN);
        server.receive(client, &restore_of(&to, &wrong, &["REPLACE"]));
        assert_eq!(server.read_all(client), b"-ERR Bad data format\r\n");
        send(&mut server, client, "FLUSHALL");
        assert!(used(&mut server).iter().all(|used| *used == 0));
    }
}

/// Clients on all cores dump, restore and change a few keys at random: each sees values that there have been, whole.
#[test]
fn every_dump_is_of_a_value_that_there_was_whatever_happens_in_between() {
    for seed in 0..seeds(20) {
        let mut random = Random(seed);
        let cores = [1, 2, 3][random.below(3)];
        let mut server = Server::new(cores);
        let first = server.connect(0);
        let keys: Vec<String> = (0..3)
            .map(|number| key_on(number % cores, cores, &format!("key{number}")))
            .collect();
        let mut payloads = Vec::new();
        for (at, count) in [3000, 4000].into_iter().enumerate() {
            make(&mut server, first, &keys[at], (Kind::Hash, count, 40));
            payloads.push(dump(&mut server, first, &keys[at]));
        }
        let clients: Vec<Client> = (0..4)
            .map(|number| server.connect(number % usize::from(cores)))
            .collect();
        let mut outputs = vec![Vec::new(); clients.len()];
        for _ in 0..400 {
            if random.one_in(6) {
                let client = clients[random.below(clients.len())];
                let key = &keys[random.below(keys.len())];
                let payload = &payloads[random.below(2)];
                match random.below(8) {
                    0 | 1 => begin(&mut server, client, &format!("DUMP {key}")),
                    2 => server.receive(client, &restore_of(key, payload, &["REPLACE"])),
                    3 => begin(&mut server, client, &format!("HSET {key} extra 1")),
                    4 => begin(
                        &mut server,
                        client,
                        &format!("MULTI\r\nDUMP {key}\r\nDEL {key}\r\nEXEC"),
                    ),
                    5 => begin(&mut server, client, &format!("RENAME {} {key}", keys[0])),
                    6 => begin(
                        &mut server,
                        client,
                        &format!("MGET {} {}", keys[0], keys[1]),
                    ),
                    _ => begin(
                        &mut server,
                        client,
                        &format!("EVAL \"return redis.call('HDEL', ARGV[1], 'extra')\" 0 {key}"),
                    ),
                }
            }
            server.stir(&mut random);
            for (client, output) in clients.iter().zip(&mut outputs) {
                output.extend(server.take_output(*client));
            }
        }
        for (client, output) in clients.iter().zip(&mut outputs) {
            output.extend(server.read_all(*client));
            for reply in replies(output) {
                let dumps = reply.starts_with(b"$") && reply.len() > 100;
                if dumps {
                    let dumped = bulk(&reply);
                    let (_, value) = unseal(&dumped).expect("its checksum is right");
                    let mut value = value;
                    value.byte().unwrap();
                    // Deadlines of fields have the soonest in front.
                    value.take(8).unwrap();
                    let fields = value.length().unwrap();
                    assert!([3000, 3001, 4000, 4001].contains(&fields), "{fields}");
                    server.receive(first, &restore_of("check", &dumped, &["REPLACE"]));
                    assert_eq!(server.read_all(first), b"+OK\r\n");
                    let counted = send(&mut server, first, "HLEN check");
                    assert_eq!(counted, format!(":{fields}\r\n"));
                }
            }
        }
        send(&mut server, first, "FLUSHALL");
        assert!(used(&mut server).iter().all(|used| *used == 0), "{seed}");
        for client in clients.into_iter().chain([first]) {
            server.disconnect(client);
        }
        server.turns();
        server.assert_nothing_is_left();
    }
}
