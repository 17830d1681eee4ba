//! The events of clients at once, on servers of several cores whose batches take any time: each subscriber hears them as if the
//! commands had run one after the other, each as a whole, and what follows from what in that order.

#![cfg(test)]

use std::collections::HashSet;

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, replies, seeds};

const NOTIFY: &[(&str, &str)] = &[("notify-keyspace-events", "EA")];

/// Commands of a client on keys of its own, `A` to `F`. Every line is one request; `|` parts commands that are sent together.
const COMMANDS: &[&str] = &[
    "SET A v",
    "APPEND B v",
    "MSET F 1 A 1 D 1 B 1",
    "MSET C 1 E 1 C 2",
    "MSETNX E 1 B 1",
    "DEL F C A",
    "UNLINK B E D",
    "RENAME A B",
    "RENAME C F",
    "RENAMENX D A",
    "COPY B E REPLACE",
    "BITOP OR C A F",
    "MULTI|SET F 1|SET A 1|APPEND F x|DEL A E|EXEC",
    "MULTI|SET B 1|APPEND B x|EXEC",
    "MULTI|RENAME A F|MSET D 1 C 1|DEL B E|SET A 1|EXEC",
    "WATCH A D|MULTI|SET E 1|SET B 1|EXEC",
    "EVAL \"for i = 1, #KEYS do redis.call('set', KEYS[i], i) end\" 3 F B A",
    "EVAL \"redis.call('mset', KEYS[1], 1, KEYS[2], 1) redis.call('del', KEYS[2], KEYS[1])\" 2 C D",
    "EVAL \"redis.call('append', ARGV[1], 1) redis.call('set', ARGV[2], 1) redis.call('del', ARGV[1])\" 0 E B",
    "EVAL \"redis.call('append', KEYS[1], 1) return redis.call('mset', ARGV[1], 1, ARGV[2], 1)\" 1 A D F",
    "PUBLISH A v",
    "MULTI|SET F 1|PUBLISH A v|SET A 1|EXEC",
    "MULTI|SET B 1|PUBLISH B v|APPEND B x|EXEC",
    "EVAL \"redis.call('set', KEYS[1], 1) redis.call('set', KEYS[2], 1) redis.call('publish', KEYS[2], 1)\" 2 F A",
    "EVAL \"redis.call('set', KEYS[1], 1) redis.call('publish', KEYS[1], 1)\" 1 B",
    "MULTI|EVAL \"for i = 1, #KEYS do redis.call('set', KEYS[i], i) end\" 2 D A|SET A 1|SET B 1|EXEC",
];

/// The bytes of a request of client `number`, whose keys go round the cores.
fn request(line: &str, number: usize, cores: u16) -> Vec<u8> {
    let name = |word: &str| {
        let letter = match *word.as_bytes() {
            [letter @ b'A'..=b'F'] => letter,
            _ => return word.to_owned(),
        };
        let core = u16::from(letter - b'A') % cores;
        key_on(core, cores, &format!("{number}{}", char::from(letter)))
    };
    let mut bytes = String::new();
    for command in line.split('|') {
        let mut in_quotes = false;
        let words = command.split(' ').map(|word| {
            let is_plain = !in_quotes;
            in_quotes ^= word.matches('"').count() % 2 == 1;
            if is_plain {
                name(word)
            } else {
                word.to_owned()
            }
        });
        bytes += &words.collect::<Vec<_>>().join(" ");
        bytes += "\r\n";
    }
    bytes.into_bytes()
}

/// The number of replies to a request.
fn replies_to(line: &str) -> usize {
    line.split('|').count()
}

/// A message as `event key`, if it is one.
fn event(message: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(message).unwrap();
    let words: Vec<&str> = text.split("\r\n").collect();
    let at = words.iter().position(|word| *word == "pmessage")?;
    let event = match words[at + 4].split_once(':') {
        Some((_, event)) => event,
        None => words[at + 4],
    };
    Some(format!("{event} {}", words[at + 6]))
}

/// Lets the server come to rest, those that look again in a moment too.
fn settle(server: &mut Server) {
    for _ in 0..10 {
        server.turns();
        server.advance(1);
    }
}

fn subscribe(server: &mut Server, core: usize, hello: &str) -> Client {
    let client = server.connect(core);
    server.send(client, format!("{hello}PSUBSCRIBE *\r\n").as_bytes());
    client
}

/// The events of each of a client's requests, alone on a server of one core.
fn alone(lines: &[&str], number: usize, cores: u16) -> Vec<Vec<String>> {
    let mut server = Server::configured(1, NOTIFY);
    let listener = subscribe(&mut server, 0, "");
    let client = server.connect(0);
    let each = lines.iter().map(|line| {
        server.send(client, &request(line, number, cores));
        let heard = server.send(listener, b"");
        let heard = replies(heard.as_bytes());
        heard
            .iter()
            .map(|message| event(message).unwrap())
            .collect()
    });
    each.collect()
}

/// Takes what is heard apart into whole requests, each client's in their order.
fn assert_is_serial(heard: &[String], units: &[Vec<Vec<String>>], what: &str) {
    let mut next = vec![0; units.len()];
    let mut at = 0;
    loop {
        for (client, of_client) in units.iter().enumerate() {
            while of_client.get(next[client]).is_some_and(Vec::is_empty) {
                next[client] += 1;
            }
        }
        if at == heard.len() {
            break;
        }
        let fits = |client: &usize| {
            let unit = units[*client].get(next[*client]);
            unit.is_some_and(|unit| heard[at..].starts_with(unit))
        };
        let client = (0..units.len()).find(fits);
        let client = client.unwrap_or_else(|| {
            let due: Vec<_> = (0..units.len())
                .map(|client| units[client].get(next[client]))
                .collect();
            panic!("{what}: behind {at}: {:?}, due {due:?}", &heard[at..])
        });
        at += units[client][next[client]].len();
        next[client] += 1;
    }
    for (client, of_client) in units.iter().enumerate() {
        assert_eq!(next[client], of_client.len(), "{what}: of client {client}");
    }
}

#[test]
fn subscribers_hear_whole_requests_and_each_clients_in_their_order() {
    for seed in 0..seeds(60) {
        let mut random = Random(seed);
        let (cores, pipelines) = ([2, 3][random.below(2)], random.one_in(2));
        let mut server = Server::configured(cores, NOTIFY);
        let listeners: Vec<Client> = (0..cores.into())
            .map(|core| subscribe(&mut server, core, ""))
            .collect();
        let clients: Vec<Client> = (0..3)
            .map(|at| server.connect(at % usize::from(cores)))
            .collect();
        let lines: Vec<Vec<&str>> = (0..3)
            .map(|_| (0..12).map(|_| random.of(COMMANDS)).collect())
            .collect();
        let mut owed = [0; 3];
        let mut sent = [0; 3];
        let mut output: [Vec<u8>; 3] = Default::default();
        while sent.iter().any(|sent| *sent < 12) {
            for (number, client) in clients.iter().enumerate() {
                output[number].extend(server.take_output(*client));
                let is_answered = pipelines || replies(&output[number]).len() == owed[number];
                if is_answered && sent[number] < 12 && random.one_in(2) {
                    let line = lines[number][sent[number]];
                    server.receive(*client, &request(line, number, cores));
                    sent[number] += 1;
                    owed[number] += replies_to(line);
                }
            }
            server.stir(&mut random);
        }
        let units: Vec<_> = (0..3)
            .map(|number| alone(&lines[number], number, cores))
            .collect();
        for (core, listener) in listeners.iter().enumerate() {
            let heard = server.send(*listener, b"");
            let heard = replies(heard.as_bytes());
            let heard: Vec<String> = heard.iter().map(|one| event(one).unwrap()).collect();
            assert_is_serial(&heard, &units, &format!("seed {seed}, core {core}"));
        }
        for client in clients.into_iter().chain(listeners) {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

/// Commands of all clients on the same keys.
const SHARED: &[&str] = &[
    "SET A v",
    "SET B v",
    "DEL A",
    "DEL B",
    "MSET A 1 B 1 C 1",
    "MSET C 1 A 1",
    "DEL C A B",
    "DEL B C",
    "RENAME A B",
    "RENAME B C",
    "RENAMENX C A",
    "COPY A B",
    "MULTI|SET B 1|SET A 1|DEL A C|EXEC",
    "MULTI|DEL A B|SET C 1|EXEC",
    "EVAL \"redis.call('set', KEYS[1], 1) redis.call('del', KEYS[2])\" 2 A B",
    "EVAL \"redis.call('del', ARGV[1]) redis.call('set', ARGV[2], 1)\" 0 A B",
];

#[test]
fn events_of_a_key_come_in_the_order_of_its_changes_wherever_they_are_told() {
    for seed in 0..seeds(60) {
        let mut random = Random(seed);
        let cores = [2, 3][random.below(2)];
        let mut server = Server::configured(cores, NOTIFY);
        let listeners: Vec<Client> = (0..cores.into())
            .map(|core| subscribe(&mut server, core, ""))
            .collect();
        let clients: Vec<Client> = (0..4)
            .map(|at| server.connect(at % usize::from(cores)))
            .collect();
        let mut sent = Vec::new();
        for _ in 0..60 {
            let (client, line) = (random.of(&clients), random.of(SHARED));
            sent.push((client.0, line));
            server.receive(client, &request(line, 0, cores));
            for _ in 0..random.below(6) {
                server.stir(&mut random);
            }
        }
        settle(&mut server);
        let name = |key: &str| String::from_utf8(request(key, 0, cores)).unwrap();
        let keys = ["A", "B", "C"].map(|key| name(key).trim().to_owned());
        let exists = |key: &String, server: &mut Server| {
            server.take_output(clients[0]);
            server.send(clients[0], format!("EXISTS {key}\r\n").as_bytes()) == ":1\r\n"
        };
        let there: HashSet<String> = keys
            .iter()
            .filter(|key| exists(key, &mut server))
            .cloned()
            .collect();
        for listener in &listeners {
            let heard = server.send(*listener, b"");
            let heard = replies(heard.as_bytes());
            let mut told: HashSet<String> = HashSet::new();
            let mut renamed = false;
            for one in heard.iter().map(|one| event(one).unwrap()) {
                let (event, key) = one.split_once(' ').unwrap();
                let was_there = told.contains(key);
                match event {
                    "set" => drop(told.insert(key.to_owned())),
                    "copy_to" => assert!(told.insert(key.to_owned()), "seed {seed}: {one}"),
                    "rename_to" => {
                        assert!(renamed, "seed {seed}: {one}");
                        told.insert(key.to_owned());
                    }
                    "del" | "rename_from" => assert!(told.remove(key), "seed {seed}: {one}"),
                    other => panic!("seed {seed}: {other}"),
                }
                renamed = event == "rename_from" && was_there;
            }
            let all: Vec<_> = heard.iter().map(|one| event(one).unwrap()).collect();
            assert_eq!(told, there, "seed {seed}: {all:?} {sent:?}");
        }
        for client in clients.into_iter().chain(listeners) {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

/// Of each request there is all.
fn assert_is_whole(heard: &[u8], seed: u64) {
    let events: Vec<String> = replies(heard)
        .iter()
        .filter_map(|one| event(one))
        .map(|one| one[..one.find('{').unwrap()].to_owned() + &one[one.len() - 1..])
        .collect();
    let mut rest = &events[..];
    while let Some(first) = rest.first() {
        let whole: &[&str] = match first.as_str() {
            "set F" => &["set F", "set A", "set B"],
            "set C" => &["set C", "set B"],
            "rename_from F" => &["rename_from F", "rename_to A"],
            "del A" | "del B" | "del C" => &[],
            _ => panic!("seed {seed}: {rest:?}"),
        };
        assert!(
            rest.iter().zip(whole).all(|(one, of)| one == of),
            "seed {seed}: {rest:?}"
        );
        assert!(rest.len() >= whole.len(), "seed {seed}: {rest:?}");
        rest = &rest[whole.len().max(1)..];
    }
}

#[test]
fn who_comes_and_goes_while_commands_are_under_way_hears_all_or_nothing_of_each() {
    for seed in 0..seeds(60) {
        let mut random = Random(seed);
        let cores = 3;
        let mut server = Server::configured(cores, NOTIFY);
        // Who begins while nobody at all listens is told of core by core.
        let stays = random.one_in(2).then(|| subscribe(&mut server, 1, ""));
        let client = server.connect(0);
        let lines = [
            "MSET F 1 A 1 B 1",
            "MULTI|SET C 1|SET B 1|EXEC",
            "DEL A B C",
            "RENAME F A",
        ];
        let (mut listener, mut heard) = (None, Vec::new());
        for _ in 0..20 {
            server.receive(client, &request(random.of(&lines), 0, cores));
            for _ in 0..random.below(12) {
                server.stir(&mut random);
                if random.one_in(4) {
                    match listener.take() {
                        None => {
                            let new = server.connect(random.below(3));
                            server.receive(new, b"PSUBSCRIBE *\r\n");
                            listener = Some(new);
                        }
                        Some(old) => {
                            heard.push(server.take_output(old));
                            server.disconnect(old);
                        }
                    }
                }
            }
        }
        settle(&mut server);
        if let Some(last) = listener {
            heard.push(server.take_output(last));
            server.disconnect(last);
        }
        // Who subscribes hears of what begins from then on, in its order.
        let fresh = subscribe(&mut server, 1, "");
        server.send(client, &request(lines[0], 0, cores));
        let of_fresh = server.send(fresh, b"");
        let told: Vec<_> = replies(of_fresh.as_bytes());
        let told: Vec<String> = told.iter().map(|one| event(one).unwrap()).collect();
        assert_eq!(told, alone(&lines[..1], 0, cores)[0], "seed {seed}");
        for client in stays.into_iter().chain([fresh, client]) {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
        if stays.is_some() {
            heard.iter().for_each(|heard| assert_is_whole(heard, seed));
        }
    }
}

#[test]
fn a_client_that_hears_of_itself_does_so_between_its_replies_whatever_others_do() {
    for seed in 0..seeds(40) {
        let mut random = Random(seed);
        let cores = 3;
        let mut server = Server::configured(cores, NOTIFY);
        let client = subscribe(&mut server, 0, "HELLO 3\r\n");
        let other = server.connect(1);
        let lines: Vec<&str> = (0..8).map(|_| random.of(COMMANDS)).collect();
        let requests: Vec<u8> = lines
            .iter()
            .flat_map(|line| {
                let mut bytes = request(line, 0, cores);
                bytes.extend_from_slice(b"PING end\r\n");
                bytes
            })
            .collect();
        server.receive(client, &requests);
        for _ in 0..40 {
            if random.one_in(3) {
                server.receive(other, &request(random.of(COMMANDS), 1, cores));
            }
            server.stir(&mut random);
        }
        let output = server.send(client, b"");
        let mut of_request = Vec::new();
        let mut found = Vec::new();
        for reply in replies(output.as_bytes()) {
            match event(&reply) {
                Some(one) if one.contains("}0") => of_request.push(one),
                Some(_) => {}
                None if reply == b"$3\r\nend\r\n" => found.push(std::mem::take(&mut of_request)),
                None => {}
            }
        }
        let expected = alone(&lines, 0, cores);
        assert_eq!(found, expected, "seed {seed}: {lines:?}");
        server.disconnect(client);
        server.disconnect(other);
        server.assert_nothing_is_left();
    }
}

#[test]
fn a_script_with_very_many_events_is_told_of_before_it_is_over_and_in_its_order() {
    let mut server = Server::configured(2, NOTIFY);
    let listener = subscribe(&mut server, 1, "");
    let client = server.connect(0);
    let script = "for i = 1, 12 do redis.call('set', string.rep('x', 1000000) .. i, i) end";
    let eval = format!("EVAL \"{script}\" 0\r\n");
    // It begins again; the next time it locks everything from the beginning.
    for is_known in [false, true] {
        server.receive(client, eval.as_bytes());
        let (mut early, mut heard, mut replied) = (false, Vec::new(), Vec::new());
        for _ in 0..200 {
            server.some_turns(1);
            heard.extend(server.take_output(listener));
            replied.extend(server.take_output(client));
            early |= replied.is_empty() && !heard.is_empty();
        }
        assert_eq!(replied, b"$-1\r\n");
        let heard: Vec<String> = replies(&heard)
            .iter()
            .map(|one| event(one).unwrap())
            .map(|one| {
                one.trim_start_matches("set x")
                    .trim_start_matches('x')
                    .to_owned()
            })
            .collect();
        let expected: Vec<String> = (1..=12).map(|number| number.to_string()).collect();
        assert_eq!(heard, expected);
        assert!(early || !is_known, "told of so far");
    }
    server.disconnect(listener);
    server.disconnect(client);
    server.assert_nothing_is_left();
}
