//! Client-side caching on servers of one and of several cores.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on, replies};

const CORES: [u16; 3] = [1, 2, 3];

/// What a client that speaks RESP3 is told when `keys` change.
fn invalid(keys: &[&str]) -> String {
    let keys: String = keys
        .iter()
        .map(|key| format!("${}\r\n{key}\r\n", key.len()))
        .collect();
    format!(
        ">2\r\n$10\r\ninvalidate\r\n*{}\r\n{keys}",
        keys.matches('$').count()
    )
}

const EVERYTHING: &str = ">2\r\n$10\r\ninvalidate\r\n_\r\n";

/// A client of `core` that speaks RESP3 and said `tracking`.
fn tracking(server: &mut Server, core: usize, tracking: &str) -> Client {
    let client = server.connect(core);
    server.send(client, b"HELLO 3\r\n");
    let reply = server.send(client, format!("CLIENT TRACKING {tracking}\r\n").as_bytes());
    assert_eq!(reply, "+OK\r\n", "{tracking}");
    client
}

fn client_id(server: &mut Server, client: Client) -> String {
    let reply = server.send(client, b"CLIENT ID\r\n");
    reply.trim_matches([':', '\r', '\n']).to_owned()
}

/// A key of every core.
fn keys(cores: u16) -> Vec<String> {
    (0..cores).map(|core| key_on(core, cores, "key")).collect()
}

#[test]
fn a_client_is_told_once_of_a_change_to_what_it_has_read() {
    for cores in CORES {
        for home in 0..cores {
            let mut server = Server::new(cores);
            let reader = tracking(&mut server, home.into(), "ON");
            let writer = server.connect(0);
            for key in keys(cores) {
                let mut write = |command: &str| {
                    let command = command.replace('K', &key) + "\r\n";
                    server.send(writer, command.as_bytes());
                    server.send(reader, b"")
                };
                assert_eq!(write("SET K 1"), "", "it has not been read");
                for change in [
                    "SET K 2",
                    "INCR K",
                    "APPEND K x",
                    "EXPIRE K 100",
                    "DEL K",
                    "MSET K 1 other 2",
                    "SETRANGE K 0 y",
                    "RENAME K {K}2",
                ] {
                    let get = format!("GET {key}\r\nMGET {key} {key}\r\n");
                    server.send(reader, get.as_bytes());
                    let mut write = |command: &str| {
                        let command = command.replace('K', &key) + "\r\n";
                        server.send(writer, command.as_bytes());
                        server.send(reader, b"")
                    };
                    assert_eq!(write(change), invalid(&[&key]), "{change}");
                    assert_eq!(write("SET K 1"), "", "after {change}");
                }
            }
            // What was read while tracking was on is not told of when it is off.
            let key = &keys(cores)[0];
            server.send(
                reader,
                format!("GET {key}\r\nCLIENT TRACKING OFF\r\n").as_bytes(),
            );
            server.send(writer, format!("SET {key} 1\r\n").as_bytes());
            assert_eq!(server.send(reader, b""), "");
            for client in [reader, writer] {
                server.disconnect(client);
            }
            server.assert_nothing_is_left();
            for core in &mut server.cores {
                assert_eq!(
                    core.state().gates,
                    0,
                    "nobody tracks, nothing leaves the fast path"
                );
            }
        }
    }
}

#[test]
fn keys_that_expire_are_told_of_whether_or_not_somebody_reads_them() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let reader = tracking(&mut server, 0, "ON NOLOOP");
        let key = key_on(cores - 1, cores, "key");
        for read in [true, false] {
            let set = format!("SET {key} v PX 10\r\nGET {key}\r\n");
            server.send(reader, set.as_bytes());
            server.advance(if read { 20 } else { 200 });
            if read {
                let other = server.connect(0);
                server.send(other, format!("GET {key}\r\n").as_bytes());
            }
            server.turns();
            assert_eq!(server.send(reader, b""), invalid(&[&key]));
        }
    }
}

#[test]
fn a_client_is_told_of_its_own_changes_behind_the_reply_unless_it_does_not_want_to() {
    for cores in CORES {
        for key in keys(cores) {
            let mut server = Server::new(cores);
            let (loops, does_not) = (
                tracking(&mut server, 0, "ON"),
                tracking(&mut server, 0, "ON NOLOOP"),
            );
            let get = format!("GET {key}\r\n");
            server.send(loops, get.as_bytes());
            server.send(does_not, get.as_bytes());
            let set = format!("SET {key} v\r\n");
            assert_eq!(
                server.send(loops, set.as_bytes()),
                "+OK\r\n".to_owned() + &invalid(&[&key])
            );
            assert_eq!(server.send(does_not, b""), invalid(&[&key]));
            server.send(does_not, get.as_bytes());
            assert_eq!(server.send(does_not, set.as_bytes()), "+OK\r\n");
            // A change on several cores is its own on each of them.
            let two = format!("MGET {key} z1 z2 z3\r\n");
            server.send(does_not, two.as_bytes());
            let set = format!("MSET {key} v z1 v z2 v z3 v\r\nRENAME z1 z2\r\n");
            assert_eq!(server.send(does_not, set.as_bytes()), "+OK\r\n+OK\r\n");
        }
    }
}

#[test]
fn what_a_client_s_script_changes_on_any_core_is_its_own_change() {
    for cores in [2, 3] {
        for how in ["ON NOLOOP", "ON BCAST NOLOOP"] {
            let mut server = Server::new(cores);
            let keys = [0, 1].map(|core| key_on(core, cores, "key"));
            let other = tracking(&mut server, 1, "ON");
            let own = tracking(&mut server, 0, how);
            let scripts = [
                "redis.call('set',KEYS[1],1)redis.call('set',KEYS[2],1)",
                "redis.call('mset',KEYS[1],2,KEYS[2],2)",
                "redis.call('copy',KEYS[1],KEYS[2],'replace')redis.call('del',KEYS[1],KEYS[2])",
            ];
            let declared =
                scripts.map(|script| format!("EVAL \"{script}\" 2 {} {}\r\n", keys[0], keys[1]));
            let undeclared = scripts.map(|script| {
                let script = script.replace("KEYS", "ARGV");
                format!("EVAL \"{script}\" 0 {} {}\r\n", keys[0], keys[1])
            });
            for script in declared.iter().chain(&undeclared) {
                let reads = format!("MGET {} {}\r\n", keys[0], keys[1]);
                server.send(own, reads.as_bytes());
                server.send(other, reads.as_bytes());
                assert_eq!(
                    server.send(own, script.as_bytes()),
                    "_\r\n",
                    "{how}: {script}"
                );
                let told = server.send(other, b"");
                assert!(told.contains("invalidate"), "{how}: {script}");
            }
        }
    }
}

#[test]
fn what_is_remembered_can_be_chosen_for_each_command() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let writer = server.connect(0);
        let key = key_on(cores - 1, cores, "key");
        for (mode, commands, told) in [
            ("OPTIN", "GET K", false),
            ("OPTIN", "CLIENT CACHING YES\r\nGET K", true),
            ("OPTIN", "CLIENT CACHING YES\r\nCLIENT ID\r\nGET K", true),
            ("OPTIN", "CLIENT CACHING YES\r\nPING\r\nGET K", false),
            ("OPTIN", "CLIENT CACHING YES\r\nNOSUCH\r\nGET K", false),
            ("OPTOUT", "GET K", true),
            ("OPTOUT", "CLIENT CACHING NO\r\nGET K", false),
            ("OPTOUT", "CLIENT CACHING NO\r\nGET other\r\nGET K", true),
            ("", "GETEX K PERSIST", false),
            ("", "EXISTS K", true),
            ("", "STRLEN K", true),
            ("", "LCS K other", true),
            ("", "LCS other K", true),
        ] {
            let reader = tracking(&mut server, 0, &format!("ON {mode}"));
            server.send(reader, (commands.replace('K', &key) + "\r\n").as_bytes());
            server.send(writer, format!("SET {key} v\r\n").as_bytes());
            let expected = if told {
                invalid(&[&key])
            } else {
                String::new()
            };
            assert_eq!(server.send(reader, b""), expected, "{mode} {commands}");
        }
    }
}

#[test]
fn prefixes_are_told_of_once_a_turn_and_leave_nothing_behind() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let last = usize::from(cores) - 1;
        let all = tracking(&mut server, last, "ON BCAST");
        let some = tracking(&mut server, 0, "ON BCAST PREFIX a: PREFIX b:");
        let own = tracking(&mut server, 0, "ON BCAST PREFIX a: NOLOOP");
        let writer = server.connect(0);
        server.send(writer, b"MSET a:{t}1 1 a:{t}2 2 b:{t}1 1 c:{t}1 1\r\n");
        let a = invalid(&["a:{t}1", "a:{t}2"]);
        assert_eq!(
            server.send(all, b""),
            invalid(&["a:{t}1", "a:{t}2", "b:{t}1", "c:{t}1"])
        );
        assert_eq!(server.send(some, b""), a.clone() + &invalid(&["b:{t}1"]));
        assert_eq!(server.send(own, b""), a);
        server.send(own, b"SET a:{t}1 2\r\n");
        assert_eq!(server.send(own, b""), "");
        assert_eq!(server.send(some, b""), invalid(&["a:{t}1"]));
        // One more prefix; a prefix that is told of already is refused.
        assert_eq!(
            server.send(some, b"CLIENT TRACKING ON BCAST PREFIX c:\r\n"),
            "+OK\r\n"
        );
        assert_eq!(
            server.send(some, b"CLIENT TRACKING ON BCAST PREFIX a:1\r\n"),
            "-ERR Prefix 'a:1' overlaps with an existing prefix 'a:'. Prefixes for a single client must not overlap.\r\n"
        );
        server.send(writer, b"SET c:{t}1 2\r\n");
        assert_eq!(server.send(some, b""), invalid(&["c:{t}1"]));
        let info = server.send(writer, b"INFO stats clients\r\n");
        assert!(info.contains("tracking_total_prefixes:4\r\n"), "{info}");
        assert!(info.contains("tracking_clients:3\r\n"), "{info}");
        server.send(all, b"CLIENT TRACKING OFF\r\n");
        server.send(some, b"RESET\r\n");
        server.send(writer, b"SET a:{t}1 2\r\n");
        assert_eq!(server.send(all, b"") + &server.send(some, b""), "");
        for client in [all, some, own, writer] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

#[test]
fn another_connection_is_told_in_place_of_the_one_that_reads() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let last = usize::from(cores) - 1;
        let (target, pushed) = (server.connect(last), server.connect(0));
        let (id, pushed_id) = (
            client_id(&mut server, target),
            client_id(&mut server, pushed),
        );
        server.send(target, b"SUBSCRIBE __redis__:invalidate\r\n");
        server.send(pushed, b"HELLO 3\r\n");
        let reader = server.connect(0);
        let writer = server.connect(0);
        let message =
            |keys: &str| format!("*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n{keys}");
        for key in keys(cores) {
            for (id, client, told) in [
                (
                    &id,
                    target,
                    message(&format!("*1\r\n${}\r\n{key}\r\n", key.len())),
                ),
                (&pushed_id, pushed, invalid(&[&key])),
            ] {
                let on = format!("CLIENT TRACKING ON REDIRECT {id}\r\nGET {key}\r\n");
                server.send(reader, on.as_bytes());
                assert_eq!(
                    server.send(reader, b"CLIENT GETREDIR\r\n"),
                    format!(":{id}\r\n")
                );
                server.send(writer, format!("SET {key} v\r\n").as_bytes());
                assert_eq!(server.send(client, b""), told);
                assert_eq!(server.send(reader, b""), "");
            }
        }
        server.send(
            reader,
            format!("CLIENT TRACKING ON REDIRECT {id}\r\n").as_bytes(),
        );
        server.send(writer, b"FLUSHALL\r\n");
        assert_eq!(server.send(target, b""), message("$-1\r\n"));
        // One that is not subscribed to anything has no way to be told.
        server.send(target, b"UNSUBSCRIBE\r\n");
        server.send(reader, b"GET k\r\n");
        server.send(writer, b"SET k v\r\n");
        assert_eq!(server.send(target, b""), "");
        assert!(
            !server
                .send(reader, b"CLIENT TRACKINGINFO\r\n")
                .contains("broken")
        );
        // One that is gone breaks it.
        server.send(reader, b"HELLO 3\r\nGET k\r\n");
        server.disconnect(target);
        server.send(writer, b"SET k v\r\n");
        assert_eq!(
            server.send(reader, b""),
            format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n")
        );
        assert!(
            server
                .send(reader, b"CLIENT TRACKINGINFO\r\n")
                .contains("broken_redirect")
        );
        let list = server.send(reader, b"CLIENT INFO\r\n");
        assert!(
            list.contains(" flags=tR ") && list.contains(&format!(" redir={id} ")),
            "{list}"
        );
        assert_eq!(
            server.send(
                reader,
                format!("CLIENT TRACKING ON REDIRECT {id}\r\n").as_bytes()
            ),
            "-ERR The client ID you want redirect to does not exist\r\n"
        );
    }
}

#[test]
fn an_emptied_server_is_told_of_once() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let modes = ["ON", "ON BCAST PREFIX a", "ON OPTIN", "ON NOLOOP"];
        let readers: Vec<Client> = modes
            .iter()
            .enumerate()
            .map(|(at, mode)| tracking(&mut server, at % usize::from(cores), mode))
            .collect();
        let writer = server.connect(0);
        for flush in ["FLUSHALL", "FLUSHDB ASYNC"] {
            server.send(readers[0], b"GET a\r\nGET b\r\n");
            assert_eq!(
                server.send(writer, format!("{flush}\r\n").as_bytes()),
                "+OK\r\n"
            );
            for reader in &readers {
                assert_eq!(server.send(*reader, b""), EVERYTHING);
            }
            let info = server.send(writer, b"INFO stats\r\n");
            assert!(info.contains("tracking_total_keys:0\r\n"));
        }
        let expected = "+OK\r\n".to_owned() + EVERYTHING + "+PONG\r\n";
        let replies = server.send(readers[0], b"FLUSHALL\r\nPING\r\n");
        assert_eq!(replies, expected);
        assert_eq!(
            server.send(writer, b"FLUSHALL WHAT\r\n"),
            "-ERR syntax error\r\n"
        );
    }
}

#[test]
fn who_empties_the_server_is_told_behind_the_reply_and_before_the_next() {
    let wrong = "-ERR syntax error\r\n";
    let ok = "+OK\r\n";
    for cores in CORES {
        let mut server = Server::new(cores);
        let key = key_on(cores - 1, cores, "key");
        for (commands, expected) in [
            (
                "FLUSHALL\r\nFLUSHALL WHAT\r\nFLUSHDB\r\nGET K\r\nPING\r\n",
                [ok, EVERYTHING, wrong, ok, EVERYTHING, "_\r\n", "+PONG\r\n"].concat(),
            ),
            // Nothing but the message comes of what nobody wants to hear of, and in its place.
            (
                "CLIENT REPLY OFF\r\nFLUSHALL\r\nCLIENT REPLY ON\r\nPING\r\n",
                [EVERYTHING, ok, "+PONG\r\n"].concat(),
            ),
            (
                "SWAPDB 0 0\r\nSWAPDB 0 1\r\nMGET K other\r\n",
                [ok, ok, EVERYTHING, "*2\r\n_\r\n_\r\n"].concat(),
            ),
        ] {
            let reader = tracking(&mut server, usize::from(cores) - 1, "ON NOLOOP");
            let commands = commands.replace(" K", &format!(" {key}"));
            assert_eq!(
                server.send(reader, commands.as_bytes()),
                expected,
                "{cores} cores"
            );
            server.disconnect(reader);
        }
        // One that goes while it empties the server.
        for steps in 0..8 {
            let reader = tracking(&mut server, 0, "ON");
            server.receive(
                reader,
                b"FLUSHALL\r\nFLUSHALL WHAT\r\nCLIENT TRACKING OFF\r\n",
            );
            for _ in 0..steps {
                server.turn();
                server.ship();
                for other in 1..usize::from(cores) {
                    server.deliver_one(0, other);
                    server.deliver_one(other, 0);
                }
            }
            server.disconnect(reader);
            server.assert_nothing_is_left();
        }
    }
}

#[test]
fn no_more_keys_are_remembered_than_allowed_and_those_forgotten_are_told_of() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let reader = tracking(&mut server, 0, "ON");
        let gets: String = (0..250).map(|key| format!("GET key:{key}\r\n")).collect();
        server.send(reader, gets.as_bytes());
        let writer = server.connect(0);
        let keys = |server: &mut Server| {
            let info = server.send(writer, b"INFO stats\r\n");
            let (_, rest) = info.split_once("tracking_total_keys:").unwrap();
            rest.split_once("\r\n").unwrap().0.to_owned()
        };
        assert_eq!(keys(&mut server), "250");
        for (most, told) in [(200, 50), (199, 1), (7, 192), (1, 6), (0, 0)] {
            let set = format!("CONFIG SET tracking-table-max-keys {most}\r\n");
            server.send(writer, set.as_bytes());
            let heard = server.send(reader, b"");
            assert_eq!(
                heard.matches("invalidate").count(),
                told,
                "{cores} cores, {most}"
            );
            assert_eq!(keys(&mut server), most.max(1).to_string());
        }
        server.send(writer, b"CONFIG SET tracking-table-max-keys 10\r\n");
        let heard = server.send(reader, gets.as_bytes());
        assert!(heard.matches("invalidate").count() >= 240);
        assert_eq!(keys(&mut server), "10");
    }
}

#[test]
fn a_turn_forgets_a_few_keys_only_where_the_limit_was_lowered_by_many() {
    const KEYS: usize = 5000;
    let mut server = Server::new(1);
    let reader = tracking(&mut server, 0, "ON");
    let gets: String = (0..KEYS).map(|key| format!("GET key:{key}\r\n")).collect();
    server.send(reader, gets.as_bytes());
    let admin = server.connect(0);
    server.receive(admin, b"CONFIG SET tracking-table-max-keys 1\r\n");
    let mut told = 0;
    while told < KEYS - 1 {
        let follows_at_once = server.turn();
        let heard = server.take_output(reader);
        let count = String::from_utf8_lossy(&heard).matches("inval").count();
        assert!((1..=256).contains(&count), "{count} in a turn");
        told += count;
        assert_eq!(follows_at_once, told < KEYS - 1);
    }
    assert_eq!(server.cores[0].state().readers.keys(), 1);
}

#[test]
fn a_client_that_goes_while_it_turns_tracking_on_leaves_nothing_behind() {
    for cores in CORES {
        for steps in 0..6 {
            let mut server = Server::new(cores);
            let client = server.connect(0);
            server.receive(client, b"CLIENT TRACKING ON BCAST PREFIX a PREFIX b\r\n");
            for _ in 0..steps {
                server.turn();
                server.ship();
                for other in 1..usize::from(cores) {
                    server.deliver_one(0, other);
                    server.deliver_one(other, 0);
                }
            }
            server.disconnect(client);
            server.assert_nothing_is_left();
        }
    }
}

#[test]
fn with_resp2_and_nobody_else_to_tell_nothing_is_said() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let reader = server.connect(0);
        server.send(reader, b"CLIENT TRACKING ON\r\nGET k\r\n");
        let writer = server.connect(0);
        server.send(writer, b"SET k v\r\nFLUSHALL\r\n");
        assert_eq!(server.send(reader, b"PING\r\n"), "+PONG\r\n");
        // A client that wants no replies wants to know all the same.
        server.send(reader, b"HELLO 3\r\nGET k\r\nCLIENT REPLY OFF\r\n");
        server.send(writer, b"SET k v\r\n");
        assert_eq!(server.send(reader, b"PING\r\n"), invalid(&["k"]));
    }
}

#[test]
fn a_client_that_is_blocked_hears_of_changes_meanwhile() {
    for cores in CORES {
        let mut server = Server::new(cores);
        let reader = tracking(&mut server, 0, "ON");
        let writer = server.connect(usize::from(cores) - 1);
        let id = client_id(&mut server, reader);
        let keys = keys(cores);
        let mut reads = String::new();
        for key in &keys {
            reads += &format!("GET {key}\r\n");
        }
        assert_eq!(
            server.send(reader, (reads.clone() + "WAIT 1 0\r\n").as_bytes()),
            "_\r\n".repeat(keys.len())
        );
        for key in &keys {
            server.send(writer, format!("SET {key} v\r\n").as_bytes());
            assert_eq!(server.send(reader, b""), invalid(&[key]));
        }
        let unblock = format!("CLIENT UNBLOCK {id}\r\n");
        assert_eq!(server.send(writer, unblock.as_bytes()), ":1\r\n");
        assert_eq!(server.send(reader, b""), ":0\r\n");
        // Blocked behind replies that are still to come, told of something before these have come.
        let read_first = format!(
            "GET {}\r\nGET {}\r\nWAIT 1 0\r\n",
            keys[0],
            keys[keys.len() - 1]
        );
        server.receive(reader, read_first.as_bytes());
        let own = server.connect(0);
        server.receive(own, format!("SET {} w\r\n", keys[0]).as_bytes());
        let value = "$1\r\nv\r\n";
        assert_eq!(
            server.send(reader, b""),
            value.repeat(2) + &invalid(&[&keys[0]])
        );
        assert_eq!(server.send(writer, unblock.as_bytes()), ":1\r\n");
        assert_eq!(server.send(reader, b"PING\r\n"), ":0\r\n+PONG\r\n");
    }
}

/// A reply, and what was pushed behind it.
type Said = (String, Vec<String>);

/// What comes behind each reply, sorted: which of several keys is told of first depends on the cores.
fn told_behind_replies(bytes: &str) -> Vec<Said> {
    let mut behind: Vec<Said> = Vec::new();
    for reply in replies(bytes.as_bytes()) {
        let reply = String::from_utf8(reply).unwrap();
        match behind.last_mut() {
            Some((_, told)) if reply.starts_with('>') => told.push(reply),
            _ => behind.push((reply, Vec::new())),
        }
    }
    behind.iter_mut().for_each(|(_, told)| told.sort());
    behind
}

#[test]
fn word_of_a_client_s_own_changes_comes_behind_their_reply_and_before_the_next() {
    let commands = [
        "SET A 1",
        "PING",
        "DEL B",
        "SET B 1",
        "GET A",
        "MSET A 2 B 2",
        "PING",
        "MULTI",
        "SET A 3",
        "SET B 3",
        "EXEC",
        "PING",
        "GET B",
        "EVAL \"redis.call('set',KEYS[1],4) return redis.call('set',KEYS[2],4)\" 2 A B",
        "PING",
        "MGET A B",
        "RENAME A B",
        "PING",
        "GET B",
        "SET A 5",
        "DEL A B",
        "PING",
        "MGET A B",
        "MULTI",
        "SET A 6",
        "EVAL \"redis.call('set',KEYS[1],4) return redis.call('set',KEYS[2],4)\" 2 A B",
        "EXEC",
        "PING",
    ];
    let mut expected: [Option<Vec<Said>>; 2] = [None, None];
    for cores in CORES {
        for home in 0..cores {
            for (at, hears) in ["CLIENT TRACKING ON", "PSUBSCRIBE __key*"]
                .iter()
                .enumerate()
            {
                let mut server = Server::configured(cores, &[("notify-keyspace-events", "KEA")]);
                let keys = [key_on(0, cores, "a"), key_on(cores - 1, cores, "b")];
                let client = server.connect(home.into());
                server.send(client, format!("HELLO 3\r\n{hears}\r\n").as_bytes());
                let pipeline = commands
                    .join("\r\n")
                    .replace(" A", &format!(" {}", keys[0]));
                let pipeline = pipeline.replace(" B", &format!(" {}", keys[1])) + "\r\n";
                let said = server.send(client, pipeline.as_bytes());
                let said = said.replace(&keys[0], "{0}a").replace(&keys[1], "{0}b");
                let behind = told_behind_replies(&said);
                match &expected[at] {
                    None => expected[at] = Some(behind),
                    Some(expected) => assert_eq!(&behind, expected, "{hears}, {home} of {cores}"),
                }
                server.disconnect(client);
                server.assert_nothing_is_left();
            }
        }
    }
}
