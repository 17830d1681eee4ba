//! Commands that look at all keys take several turns of each core: others go on, whatever they write, and nothing tells such a command
//! from one of one step but that.

#![cfg(test)]

use std::collections::BTreeSet;

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, replies, seeds};
use crate::routing::Slot;

/// Keys that take several steps on each core.
const KEYS: usize = 12_000;

fn send(server: &mut Server, client: Client, command: &str) -> String {
    server.send(client, format!("{command}\r\n").as_bytes())
}

/// Sends a command, and nothing more happens.
fn begin(server: &mut Server, client: Client, command: &str) {
    server.receive(client, format!("{command}\r\n").as_bytes());
}

/// Makes keys of these numbers.
fn make(server: &mut Server, client: Client, numbers: std::ops::Range<usize>) {
    let numbers: Vec<usize> = numbers.collect();
    for some in numbers.chunks(500) {
        let sets: String = some
            .iter()
            .map(|n| format!("SET key:{n} {n}\r\n"))
            .collect();
        server.receive(client, sets.as_bytes());
        server.read_all(client);
    }
}

/// A server of so many cores with keys, and a client of its first core.
fn server_with_keys(cores: u16) -> (Server, Client) {
    let mut server = Server::new(cores);
    let client = server.connect(0);
    make(&mut server, client, 0..KEYS);
    (server, client)
}

/// The elements of an array of bulk strings, each of which is there once.
fn elements(reply: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8(reply.to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let count: usize = lines.next().unwrap()[1..].parse().unwrap();
    let found: Vec<String> = lines.skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(found.len(), count);
    let once: BTreeSet<String> = found.into_iter().collect();
    assert_eq!(once.len(), count);
    once
}

/// The keys of these numbers.
fn keys(numbers: impl Iterator<Item = usize>) -> BTreeSet<String> {
    numbers.map(|n| format!("key:{n}")).collect()
}

/// Turns until a client is sent something: how many, and all that it is sent.
fn turns_until_answered(server: &mut Server, client: Client) -> (usize, Vec<u8>) {
    for turns in 1..10_000 {
        server.some_turns(1);
        let output = server.take_output(client);
        if !output.is_empty() {
            return (turns, [output, server.read_all(client)].concat());
        }
    }
    panic!("there is no answer");
}

#[test]
fn others_read_and_write_while_keys_are_looked_for_and_the_reply_is_as_of_its_beginning() {
    for cores in [1, 2, 3] {
        let count = 20_000 * usize::from(cores);
        let mut server = Server::new(cores);
        let client = server.connect(0);
        make(&mut server, client, 0..count);
        let others: Vec<Client> = (0..cores).map(|core| server.connect(core.into())).collect();
        begin(&mut server, client, "KEYS key:*");
        server.some_turns(2);
        let mut random = Random(7);
        for (core, &other) in others.iter().enumerate() {
            let new = key_on(core as u16, cores, "new");
            let sets = (0..40).map(|n| format!("SET key:{} x\r\n", count + 40 * core + n));
            let dels = (0..80).map(|_| format!("DEL key:{}\r\n", random.below(count)));
            let changes: String = sets.chain(dels).collect();
            begin(
                &mut server,
                other,
                &format!("SET {new} 1\r\nGET {new}\r\n{changes}"),
            );
        }
        server.some_turns(1);
        for &other in &others {
            let output = server.take_output(other);
            let is_served = output.starts_with(b"+OK\r\n$1\r\n1\r\n");
            assert!(is_served, "who reads or writes does not wait");
        }
        assert!(server.take_output(client).is_empty(), "it goes on");
        let (_, reply) = turns_until_answered(&mut server, client);
        assert!(elements(&reply) == keys(0..count), "{cores} cores");
        for other in others.into_iter().chain([client]) {
            server.disconnect(other);
        }
        server.turns();
        server.assert_nothing_is_left();
    }
}

#[test]
fn more_keys_take_more_turns() {
    for cores in [1, 2] {
        let turns = [6000, 24_000].map(|count| {
            let mut server = Server::new(cores);
            let client = server.connect(0);
            make(&mut server, client, 0..count);
            begin(&mut server, client, "KEYS none*");
            turns_until_answered(&mut server, client).0
        });
        assert!(turns[1] > 2 * turns[0], "{cores} cores: {turns:?}");
    }
}

#[test]
fn a_session_s_commands_see_each_other_in_their_order() {
    for cores in [1, 2] {
        let (mut server, client) = server_with_keys(cores);
        begin(
            &mut server,
            client,
            "SET key:first 1\r\nKEYS key:*\r\nDEL key:first key:1 key:2\r\nKEYS key:*\r\nDBSIZE\r\nFLUSHALL\r\nKEYS *",
        );
        let got = replies(&server.read_all(client));
        let mut first = keys(0..KEYS);
        first.insert("key:first".to_owned());
        assert!(elements(&got[1]) == first);
        assert_eq!(got[2], b":3\r\n");
        assert!(elements(&got[3]) == keys((0..KEYS).filter(|n| ![1, 2].contains(n))));
        assert_eq!(got[4], format!(":{}\r\n", KEYS - 2).into_bytes());
        assert_eq!(got[5], b"+OK\r\n");
        assert_eq!(got[6], b"*0\r\n");
    }
}

#[test]
fn what_concerns_all_keys_is_not_waited_for_and_does_not_wait() {
    for cores in [1, 2] {
        for (command, reply) in [
            ("FLUSHALL", "+OK\r\n"),
            ("SWAPDB 0 1", "+OK\r\n"),
            (
                "EVAL \"redis.call('FLUSHALL') return #redis.call('KEYS', '*')\" 0",
                ":0\r\n",
            ),
            (
                "MULTI\r\nDEL key:7\r\nFLUSHDB\r\nEXEC",
                "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+OK\r\n",
            ),
            ("RENAME key:7 key:8", "+OK\r\n"),
        ] {
            let (mut server, client) = server_with_keys(cores);
            let other = server.connect(usize::from(cores) - 1);
            begin(&mut server, client, "KEYS key:*");
            server.some_turns(2);
            assert_eq!(send(&mut server, other, command), reply);
            let (_, found) = match server.take_output(client) {
                got if got.is_empty() => turns_until_answered(&mut server, client),
                got => (0, [got, server.read_all(client)].concat()),
            };
            assert!(elements(&found) == keys(0..KEYS), "{command}");
            send(&mut server, client, "FLUSHALL");
            for client in [client, other] {
                server.disconnect(client);
            }
            server.assert_nothing_is_left();
        }
    }
}

#[test]
fn in_an_exec_or_a_script_all_steps_are_one() {
    for cores in [1, 2] {
        let (mut server, client) = server_with_keys(cores);
        begin(
            &mut server,
            client,
            "MULTI\r\nSET key:new 1\r\nKEYS key:*\r\nDEL key:new\r\nEXEC",
        );
        let got = replies(&server.read_all(client)).pop().unwrap();
        let text = String::from_utf8(got).unwrap();
        let rest = text.strip_prefix("*3\r\n+OK\r\n").unwrap();
        let mut expected = keys(0..KEYS);
        expected.insert("key:new".to_owned());
        assert!(elements(rest.strip_suffix(":1\r\n").unwrap().as_bytes()) == expected);
        let script =
            "EVAL \"redis.call('DEL', KEYS[1]) return redis.call('KEYS', 'key:*')\" 1 key:5";
        begin(&mut server, client, script);
        let got = server.read_all(client);
        assert!(elements(&got) == keys((0..KEYS).filter(|n| *n != 5)));
        server.disconnect(client);
        server.assert_nothing_is_left();
    }
}

#[test]
fn whoever_goes_away_leaves_nothing() {
    for cores in [1, 2, 3] {
        let (mut server, client) = server_with_keys(cores);
        for turns in 0..6 {
            let leaver = server.connect(0);
            begin(&mut server, leaver, "KEYS *\r\nKEYS none");
            server.some_turns(turns);
            server.disconnect(leaver);
            server.turns();
            let used = server
                .cores
                .iter_mut()
                .map(|core| core.kept_bytes())
                .sum::<usize>();
            assert_eq!(used, 0);
        }
        server.disconnect(client);
        server.assert_nothing_is_left();
    }
}

#[test]
fn keys_of_a_slot_are_counted_and_found_in_steps() {
    let mut server = Server::with_core_endpoints(2);
    let client = server.connect(0);
    make(&mut server, client, 0..KEYS);
    for owner in 0..2 {
        let tag = key_on(owner, 2, "tag");
        let sets: String = (0..3000).map(|n| format!("SET {tag}:{n} 1\r\n")).collect();
        server.receive(client, sets.as_bytes());
        server.read_all(client);
        let slot = send(&mut server, client, &format!("CLUSTER KEYSLOT {tag}"));
        let slot = slot.trim_end().trim_start_matches(':').to_owned();
        // Some of the others are of this slot, too.
        let number: u16 = slot.parse().unwrap();
        let of_slot = |n: &usize| Slot::of(format!("key:{n}").as_bytes()).number() == number;
        let others = (0..KEYS).filter(of_slot).count();
        let other = server.connect(1);
        begin(
            &mut server,
            client,
            &format!("CLUSTER COUNTKEYSINSLOT {slot}"),
        );
        server.some_turns(2);
        send(&mut server, other, &format!("DEL {tag}:1 {tag}:2"));
        let counted = String::from_utf8(server.read_all(client)).unwrap();
        assert_eq!(counted, format!(":{}\r\n", 3000 + others));
        let counted = send(
            &mut server,
            client,
            &format!("CLUSTER COUNTKEYSINSLOT {slot}"),
        );
        assert_eq!(counted, format!(":{}\r\n", 2998 + others));
        for (count, found) in [(0, 0), (10, 10), (5000, 2998 + others)] {
            let command = format!("CLUSTER GETKEYSINSLOT {slot} {count}");
            let found_keys = elements(send(&mut server, client, &command).as_bytes());
            assert_eq!(found_keys.len(), found);
            let mut slots = found_keys.iter().map(|key| Slot::of(key.as_bytes()));
            assert!(slots.all(|slot| slot.number() == number));
        }
        let stats = send(
            &mut server,
            client,
            &format!("CLUSTER SLOT-STATS SLOTSRANGE {slot} {slot}"),
        );
        let expected = format!("$9\r\nkey-count\r\n:{}\r\n", 2998 + others);
        assert!(stats.contains(&expected), "{stats}");
    }
}

/// Writers on all cores change keys at random while one looks for them again and again: each reply is what was there at a moment between
/// its question and its answer.
#[test]
fn each_reply_is_of_one_moment_whatever_is_written_meanwhile() {
    for seed in 0..seeds(6) {
        let mut random = Random(seed);
        let cores = 1 + (seed % 3) as u16;
        let mut server = Server::new(cores);
        let reader = server.connect(0);
        make(&mut server, reader, 0..7000);
        // Two keys, one of which is there at any time: they are renamed to one another.
        let pairs: Vec<[String; 2]> = (0..20)
            .map(|n| ["a", "b"].map(|name| format!("pair:{n}:{name}")))
            .collect();
        for [one, _] in &pairs {
            send(&mut server, reader, &format!("SET {one} 1"));
        }
        let writer = server.connect(usize::from(cores) - 1);
        let mut is_at = vec![0; pairs.len()];
        for _ in 0..4 {
            begin(&mut server, reader, "KEYS pair:*");
            let mut found = Vec::new();
            while found.is_empty() {
                let at = random.below(pairs.len());
                let (from, to) = (&pairs[at][is_at[at]], &pairs[at][1 - is_at[at]]);
                begin(&mut server, writer, &format!("RENAME {from} {to}"));
                is_at[at] = 1 - is_at[at];
                server.stir(&mut random);
                found = server.take_output(reader);
            }
            found.extend(server.read_all(reader));
            let found = elements(&found);
            assert_eq!(found.len(), pairs.len(), "{found:?}");
            for [one, other] in &pairs {
                assert!(
                    found.contains(one) != found.contains(other),
                    "{one} of {found:?}"
                );
            }
            server.read_all(writer);
        }
    }
}
