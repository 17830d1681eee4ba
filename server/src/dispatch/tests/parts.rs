//! Collections that go from one core to another: small ones whole, large ones in parts. Elements, deadlines of fields, the key's
//! deadline and what the value answers of itself arrive, or nothing changes; and no memory is lost on the way.

#![cfg(test)]

use larder_engine::{Access, DbIndex, Event, Kind};

use crate::command::Handed;
use crate::dispatch::tests::rebalance::{finish, move_key, owner, status};
use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};
use crate::routing::Slot;

fn send(server: &mut Server, client: Client, commands: &str) -> String {
    server.send(client, format!("{commands}\r\n").as_bytes())
}

/// What a key of core `core` holds: kind, encoding, deadline, and its elements, those of a hash sorted.
pub(super) type Content = (Kind, &'static str, Option<i64>, Vec<String>);

pub(super) fn content(server: &mut Server, core: usize, db: u16, key: &str) -> Option<Content> {
    let shard = &mut server.cores[core].state().shard;
    let key = shard.hasher().key(key.as_bytes());
    let entry = shard.get(DbIndex(db), key, Access::Peek)?;
    let mut elements = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    entry.each_element(&mut |element| elements.push(text(element)));
    entry.each_field(&mut |field| {
        let deadline = field.expires_at.map(|at| at.0);
        elements.push(format!(
            "{} {} {deadline:?}",
            text(field.name),
            text(field.value)
        ));
    });
    entry.each_member(&mut |member| elements.push(text(member)));
    entry.each_scored(&mut |member| {
        elements.push(format!("{} {}", text(member.name), member.score));
    });
    if matches!(entry.kind(), Kind::Set | Kind::Hash) {
        elements.sort();
    }
    let deadline = entry.expires_at().map(|at| at.0);
    Some((entry.kind(), entry.encoding().name(), deadline, elements))
}

/// Shapes of collections: of which type, of how many elements, and of how many bytes each.
pub(super) const SHAPES: [(Kind, usize, usize); 16] = [
    (Kind::List, 1, 10),
    (Kind::List, 100, 10),
    (Kind::List, 3000, 10),
    (Kind::List, 9000, 40),
    (Kind::Set, 1, 10),
    (Kind::Set, 100, 10),
    (Kind::Set, 700, 10),
    (Kind::Set, 6000, 40),
    (Kind::Hash, 1, 10),
    (Kind::Hash, 100, 10),
    (Kind::Hash, 700, 10),
    (Kind::Hash, 6000, 40),
    (Kind::SortedSet, 1, 10),
    (Kind::SortedSet, 100, 10),
    (Kind::SortedSet, 700, 10),
    (Kind::SortedSet, 6000, 40),
];

/// Makes a collection, in a hash of more than one field some of them with deadlines, and a deadline for the key.
pub(super) fn make(
    server: &mut Server,
    client: Client,
    key: &str,
    (kind, count, bytes): (Kind, usize, usize),
) {
    let command = match kind {
        Kind::List => "RPUSH",
        Kind::Set => "SADD",
        Kind::SortedSet => "ZADD",
        _ => "HSET",
    };
    for first in (0..count).step_by(500) {
        let mut line = format!("{command} {key}");
        for number in first..count.min(first + 500) {
            if kind == Kind::Hash {
                line += &format!(" name{number}");
            }
            if kind == Kind::SortedSet {
                line += &format!(" {}", number * 7 % 1000);
            }
            line += &format!(" {number:0bytes$}");
        }
        send(server, client, &line);
    }
    if kind == Kind::Hash && count > 1 {
        let line = format!("HPEXPIRE {key} 1000000 FIELDS 3 name0 name7 name99");
        assert_eq!(send(server, client, &line), "*3\r\n:1\r\n:1\r\n:1\r\n");
    }
    send(server, client, &format!("PEXPIRE {key} 2000000"));
}

/// Verifies every shard, and that nothing is left in them.
fn assert_empty(server: &mut Server) {
    for _ in 0..300 {
        server.turn();
    }
    for core in &mut server.cores {
        let shard = &core.state().shard;
        shard.check();
        assert_eq!(shard.memory().entry_bytes, 0);
    }
}

#[test]
fn slots_move_in_steps_that_are_short_whatever_they_hold() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    for (number, shape) in SHAPES.into_iter().enumerate() {
        make(&mut server, client, &format!("{{tag}}{number}"), shape);
    }
    for number in 0..2000 {
        send(&mut server, client, &format!("SET {{tag}}text{number} v"));
    }
    let (slot, from) = (Slot::of(b"tag").number(), owner(&mut server, "{tag}"));
    let order = format!("LARDER REBALANCE MOVE {slot} {}", 1 - from);
    assert_eq!(send(&mut server, client, &order), "+OK\r\n");
    let (mut steps, mut steps_ahead, mut most_bytes, mut most_entries) = (0, 0, 0, 0);
    while server.is_rebalancing() {
        server.advance(1);
        server.turn();
        server.ship();
        server.each_under_way(|batch| {
            let weights: Vec<usize> = batch.all_handed().map(Handed::weight).collect();
            let entries = weights.len();
            let answers = batch.answers().iter();
            let answered: usize = answers.map(|answer| batch.bytes(answer).len()).sum();
            let requests = batch.requests().iter();
            let asked: usize = requests.map(|asked| batch.args(asked).bytes()).sum();
            let bytes = weights.iter().sum::<usize>() + answered + asked;
            steps += usize::from(entries > 0);
            steps_ahead += usize::from(entries == 0 && bytes > 16 << 10);
            most_bytes = most_bytes.max(bytes);
            most_entries = most_entries.max(entries);
        });
        for from in 0..2 {
            while server.deliver_one(from, 1 - from) {}
        }
    }
    assert_eq!(owner(&mut server, "{tag}"), 1 - from);
    // A part ends with the bucket, and with the element, that exceeds it.
    assert!(most_bytes <= 3 * (64 << 10), "{most_bytes} bytes at a time");
    assert!(most_entries <= 512, "{most_entries} entries at a time");
    assert!(
        steps >= 4 && steps_ahead >= 6,
        "{steps}, {steps_ahead} ahead"
    );
}

#[test]
fn collections_are_renamed_and_copied_between_cores_and_databases() {
    for shape in SHAPES {
        for of in 0..3 {
            let mut server = Server::new(3);
            let client = server.connect(of);
            let (from, to) = (key_on(0, 3, "from"), key_on(1, 3, "to"));
            let near = key_on(0, 3, "near");
            make(&mut server, client, &from, shape);
            let made = content(&mut server, 0, 0, &from);
            let made = made.expect("it was made");
            assert_eq!(made.3.len(), shape.1);
            let check = |server: &mut Server, core: usize, db, key: &str| {
                server.cores[core].state().shard.check();
                assert!(
                    content(server, core, db, key).as_ref() == Some(&made),
                    "{shape:?}"
                );
            };
            assert_eq!(
                send(&mut server, client, &format!("COPY {from} {to}")),
                ":1\r\n"
            );
            check(&mut server, 0, 0, &from);
            check(&mut server, 1, 0, &to);
            for taken in [format!("COPY {from} {to}"), format!("RENAMENX {from} {to}")] {
                assert_eq!(send(&mut server, client, &taken), ":0\r\n");
            }
            for to in [&to, &near] {
                let copy = format!("COPY {from} {to} DB 3 REPLACE");
                assert_eq!(send(&mut server, client, &copy), ":1\r\n");
            }
            check(&mut server, 1, 3, &to);
            check(&mut server, 0, 3, &near);
            let rename = format!("RENAME {from} {to}");
            assert_eq!(send(&mut server, client, &rename), "+OK\r\n");
            assert_eq!(content(&mut server, 0, 0, &from), None);
            check(&mut server, 1, 0, &to);
            assert_eq!(send(&mut server, client, &format!("MOVE {to} 5")), ":1\r\n");
            check(&mut server, 1, 5, &to);
            send(&mut server, client, "FLUSHALL");
            assert_empty(&mut server);
        }
    }
}

#[test]
fn events_and_lists_of_who_waits_are_those_of_one_core() {
    for shape in [SHAPES[1], SHAPES[3]] {
        let mut server = Server::configured(3, &[("notify-keyspace-events", "KEA")]);
        let [client, hears, waits] = [0, 0, 2].map(|core| server.connect(core));
        let (from, to) = (key_on(0, 3, "from"), key_on(1, 3, "to"));
        make(&mut server, client, &from, shape);
        send(&mut server, hears, "PSUBSCRIBE __keyevent*");
        assert_eq!(send(&mut server, waits, &format!("BLPOP {to} 0")), "");
        send(&mut server, client, &format!("RENAME {from} {to}"));
        let popped = String::from_utf8(server.take_output(waits)).unwrap();
        assert!(popped.starts_with("*2\r\n"), "{popped}");
        let heard = String::from_utf8(server.read_all(hears)).unwrap();
        let mut events: Vec<_> = heard
            .split("__:")
            .skip(1)
            .map(|rest| rest.split("\r\n").next().unwrap())
            .collect();
        events.sort_unstable();
        assert_eq!(events, ["lpop", "rename_from", "rename_to"]);
    }
}

#[test]
fn a_slot_moves_with_its_collections_or_not_at_all() {
    let mut server = Server::new(3);
    let client = server.connect(0);
    let key = |number: usize| format!("{{tag}}{number}");
    for (number, shape) in SHAPES.into_iter().enumerate() {
        make(&mut server, client, &key(number), shape);
    }
    send(&mut server, client, "SELECT 2");
    make(&mut server, client, &key(0), SHAPES[3]);
    send(&mut server, client, "SELECT 0");
    let from = owner(&mut server, "{tag}");
    let to = (from + 1) % 3;
    let all = |server: &mut Server, core| {
        let mut all = Vec::new();
        for number in 0..SHAPES.len() {
            all.push(content(server, core, 0, &key(number)));
        }
        all.push(content(server, core, 2, &key(0)));
        all
    };
    let made = all(&mut server, from);
    assert!(made.iter().all(Option::is_some));
    for most in 0..SHAPES.len() {
        crate::command::moving::TAKES_AT_MOST.set(Some(most));
        let slot = Slot::of(b"tag").number();
        let order = format!("LARDER REBALANCE MOVE {slot} {to}");
        send(&mut server, client, &order);
        finish(&mut server);
        crate::command::moving::TAKES_AT_MOST.set(None);
        assert!(status(&mut server, client, "state").starts_with("failed: OOM"));
        assert!(all(&mut server, from) == made);
        for _ in 0..300 {
            server.turn();
        }
        let shard = &server.cores[to].state().shard;
        shard.check();
        assert_eq!(shard.memory().entry_bytes, 0);
    }
    move_key(&mut server, client, "{tag}", to);
    assert!(all(&mut server, to) == made);
    assert!(all(&mut server, from).iter().all(Option::is_none));
    send(&mut server, client, "FLUSHALL");
    assert_empty(&mut server);
}

#[test]
fn transactions_and_scripts_rename_and_copy_collections_once() {
    for shape in [SHAPES[1], SHAPES[3], SHAPES[5], SHAPES[7]] {
        for core in 0..3 {
            let mut server = Server::new(3);
            let client = server.connect(core);
            let [from, to, reached] =
                [(0, "from"), (1, "to"), (2, "c")].map(|(core, name)| key_on(core, 3, name));
            make(&mut server, client, &from, shape);
            send(&mut server, client, &format!("SET {to} old"));
            let made = content(&mut server, 0, 0, &from);
            let reply = send(
                &mut server,
                client,
                &format!("MULTI\r\nRENAME {from} {to}\r\nCOPY {to} {from}\r\nEXEC"),
            );
            assert!(reply.ends_with("*2\r\n+OK\r\n:1\r\n"), "{reply}");
            assert!(content(&mut server, 0, 0, &from) == made);
            assert!(content(&mut server, 1, 0, &to) == made);
            send(&mut server, client, &format!("SET {to} old"));
            // It is run again once it has reached beyond the keys that it declared: what it did is undone before.
            let body = "redis.call('RENAME',KEYS[1],KEYS[2]);redis.call('DEL',ARGV[1]);\
                        redis.call('COPY',KEYS[2],ARGV[1]);\
                        return redis.call('RENAME',KEYS[2],KEYS[1])";
            let words = ["EVAL", body, "2", &from, &to, &reached];
            let words = words.iter().map(|word| word.as_bytes());
            let reply = server.send(client, &crate::resp::encode_command(words));
            assert_eq!(reply, "+OK\r\n", "{shape:?}");
            assert!(content(&mut server, 0, 0, &from) == made);
            assert!(content(&mut server, 2, 0, &reached) == made);
            assert_eq!(content(&mut server, 1, 0, &to), None);
            send(&mut server, client, "FLUSHALL");
            assert_empty(&mut server);
        }
    }
}

#[test]
fn a_collection_that_goes_while_it_is_carried_is_as_one_that_was_not_there() {
    let mut ends = [0, 0];
    for seed in 0..seeds(60) {
        let mut random = Random(seed);
        let mut server = Server::new(3);
        let client = server.connect(random.below(3));
        let (from, to) = (key_on(0, 3, "from"), key_on(1, 3, "to"));
        make(
            &mut server,
            client,
            &from,
            random.of(&[SHAPES[3], SHAPES[7]]),
        );
        send(&mut server, client, &format!("SET {to} old"));
        let command = random.of(&["RENAME", "RENAMENX", "COPY"]);
        let (to, option) = match command {
            "COPY" => (to.clone(), " REPLACE"),
            "RENAMENX" => (key_on(1, 3, "free"), ""),
            _ => (to.clone(), ""),
        };
        let was = content(&mut server, 1, 0, &to);
        let line = format!("{command} {from} {to}{option}\r\n");
        server.receive(client, line.as_bytes());
        for _ in 0..random.below(400) {
            server.stir(&mut random);
        }
        // As eviction and the hand that expires take keys, whoever has them locked.
        let shard = &mut server.cores[0].state().shard;
        let key = shard.hasher().key(from.as_bytes());
        let was_there = shard.remove(DbIndex(0), key, Event::Evicted);
        let reply = String::from_utf8(server.read_all(client)).unwrap();
        let is_done = matches!(reply.as_str(), "+OK\r\n" | ":1\r\n");
        ends[usize::from(is_done)] += 1;
        if !is_done {
            assert!(was_there);
            assert!(
                reply == "-ERR no such key\r\n" || reply == ":0\r\n",
                "{reply}"
            );
            assert_eq!(content(&mut server, 1, 0, &to), was);
        }
        send(&mut server, client, "FLUSHALL");
        assert_empty(&mut server);
    }
    assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
}
