//! A `COPY` of a large collection within a core takes several turns: others run in between, and nobody sees it half done.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};

/// Elements of what is copied, some ten steps.
const ELEMENTS: usize = 4000;

fn send(server: &mut Server, client: Client, commands: &str) -> String {
    server.send(client, format!("{commands}\r\n").as_bytes())
}

fn receive(server: &mut Server, client: Client, commands: &str) {
    server.receive(client, format!("{commands}\r\n").as_bytes());
}

fn read(server: &mut Server, client: Client) -> String {
    String::from_utf8_lossy(&server.take_output(client)).into_owned()
}

/// A key beside another, on its core, for a list.
fn list_of(key: &str) -> String {
    format!("{key}:list")
}

/// A large hash at `key`, and a large list beside it.
fn fill(server: &mut Server, client: Client, key: &str) {
    let list = list_of(key);
    for first in (0..ELEMENTS).step_by(500) {
        let numbers = first..first + 500;
        let fields: String = numbers.map(|n| format!(" f{n:08} value{n:010}")).collect();
        let commands = format!("HSET {key}{fields}\r\nRPUSH {list}{fields}");
        let replies = send(server, client, &commands);
        assert_eq!(replies, format!(":500\r\n:{}\r\n", 2 * (first + 500)));
    }
}

/// Where a test's keys and its client are: one core, the client's own of two, and the other.
const PLACES: [(u16, u16); 3] = [(1, 0), (2, 0), (2, 1)];

fn keys(cores: u16, owner: u16) -> [String; 4] {
    ["from", "to", "third", "fourth"].map(|name| key_on(owner, cores, name))
}

/// `DEBUG DIGEST-VALUE` of keys, which are equal if their values are.
fn digests(server: &mut Server, client: Client, keys: &[&str]) -> Vec<String> {
    let digest = |key: &&str| send(server, client, &format!("DEBUG DIGEST-VALUE {key}"));
    keys.iter().map(digest).collect()
}

fn with_debug(cores: u16) -> Server {
    Server::configured(cores, &[("enable-debug-command", "yes")])
}

/// Takes turns until a client has a reply, and a few at least; how many these were.
fn turns_until_answered(server: &mut Server, client: Client) -> (usize, String) {
    for turn in 1..1000 {
        server.some_turns(1);
        let replies = read(server, client);
        if !replies.is_empty() {
            return (turn, replies);
        }
    }
    panic!("no reply comes");
}

#[test]
fn a_large_collection_is_copied_in_steps_and_others_run_in_between() {
    for (cores, owner) in PLACES {
        for is_list in [false, true] {
            let mut server = with_debug(cores);
            let clients = [0; 4].map(|_| server.connect(0));
            let [client, reader, writer, other] = clients;
            let [from, to, third, _] = keys(cores, owner);
            fill(&mut server, client, &from);
            send(&mut server, client, &format!("SET {to} old"));
            let from = if is_list { list_of(&from) } else { from };
            // A small value is copied at once, in the same turn as ever.
            send(&mut server, client, &format!("HSET {third} a 1"));
            receive(&mut server, client, &format!("COPY {third} {third}:fourth"));
            let (small_turns, _) = turns_until_answered(&mut server, client);
            receive(
                &mut server,
                client,
                &format!("COPY {from} {to} REPLACE\r\nECHO behind"),
            );
            server.some_turns(2);
            assert_eq!(read(&mut server, client), "");
            // What it reads may be read, what it writes may not, and nothing else is concerned.
            let len = if is_list { "LLEN" } else { "HLEN" };
            receive(&mut server, reader, &format!("{len} {from}\r\nTYPE {to}"));
            receive(
                &mut server,
                writer,
                &format!("SET {from} new\r\nSET {third} x"),
            );
            let reply = send_soon(&mut server, other, &format!("SET {third}:free x"));
            assert_eq!(reply, "+OK\r\n");
            let number = ELEMENTS * (1 + usize::from(is_list));
            assert_eq!(read(&mut server, reader), format!(":{number}\r\n"));
            assert_eq!(read(&mut server, writer), "");
            let (turns, replies) = turns_until_answered(&mut server, client);
            assert!(turns > small_turns + 1, "{turns} {small_turns}");
            assert_eq!(replies, ":1\r\n$6\r\nbehind\r\n");
            server.turns();
            let kind = if is_list { "list" } else { "hash" };
            assert_eq!(read(&mut server, reader), format!("+{kind}\r\n"));
            assert_eq!(read(&mut server, writer), "+OK\r\n+OK\r\n");
            let reply = send(&mut server, client, &format!("{len} {to}\r\nGET {from}"));
            assert_eq!(reply, format!(":{number}\r\n$3\r\nnew\r\n"));
            clients
                .into_iter()
                .for_each(|client| server.disconnect(client));
            server.assert_nothing_is_left();
        }
    }
}

/// Sends commands, and takes as few turns as answering a plain command takes.
fn send_soon(server: &mut Server, client: Client, commands: &str) -> String {
    receive(server, client, commands);
    server.some_turns(3);
    read(server, client)
}

#[test]
fn copies_under_way_at_once_end_and_are_equal_to_what_they_are_of() {
    for (cores, owner) in PLACES {
        let mut server = with_debug(cores);
        let client = server.connect(0);
        let [from, to, third, fourth] = keys(cores, owner);
        fill(&mut server, client, &from);
        let lists = [&from, &to, &third, &fourth].map(|key| list_of(key));
        // The third waits for the first, and a fourth for the third.
        let commands = format!(
            "COPY {from} {to}\r\nCOPY {0} {1}\r\nCOPY {to} {third}\r\nCOPY {1} {2}\r\nCOPY {third} {fourth}\r\n\
             COPY {from} {fourth}\r\nCOPY {from} {fourth} REPLACE\r\nPING",
            lists[0], lists[1], lists[2]
        );
        let replies = send(&mut server, client, &commands);
        assert_eq!(
            replies,
            ":1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:0\r\n:1\r\n+PONG\r\n"
        );
        for keys in [
            [from.as_str(), &to, &third, &fourth],
            [&lists[0], &lists[1], &lists[2], &lists[0]],
        ] {
            let digests = digests(&mut server, client, &keys);
            assert!(digests.iter().all(|digest| *digest == digests[0]));
        }
        server.disconnect(client);
        server.assert_nothing_is_left();
    }
}

#[test]
fn what_concerns_all_keys_waits_for_copies_under_way() {
    let script = "EVAL \"return redis.call('FLUSHALL')\" 0";
    let reaching = "EVAL \"return redis.call('TYPE', ARGV[1])\" 0";
    for (cores, owner) in PLACES {
        for what in [
            "FLUSHALL",
            "SWAPDB 0 1",
            script,
            "MULTI\r\nSWAPDB 0 1\r\nEXEC",
            reaching,
        ] {
            let mut server = with_debug(cores);
            let clients = [0; 2].map(|_| server.connect(0));
            let [client, other] = clients;
            let [from, to, ..] = keys(cores, owner);
            fill(&mut server, client, &from);
            receive(&mut server, client, &format!("COPY {from} {to}"));
            server.some_turns(2);
            let is_read = what == reaching;
            let what = if is_read {
                format!("{what} {to}")
            } else {
                what.to_owned()
            };
            receive(&mut server, other, &what);
            server.turns();
            assert_eq!(read(&mut server, client), ":1\r\n", "{what}");
            let expected = if is_read { "+hash\r\n" } else { "+OK\r\n" };
            let reply = read(&mut server, other);
            assert!(reply.ends_with(expected), "{cores} {owner} {what}: {reply}");
            let exists = send(&mut server, client, &format!("EXISTS {from} {to}"));
            assert_eq!(exists, if is_read { ":2\r\n" } else { ":0\r\n" }, "{what}");
            clients
                .into_iter()
                .for_each(|client| server.disconnect(client));
            server.assert_nothing_is_left();
        }
    }
}

#[test]
fn a_pause_of_writes_waits_for_a_copy_under_way() {
    for (cores, owner) in PLACES {
        let mut server = with_debug(cores);
        let clients = [0; 2].map(|_| server.connect(0));
        let [client, other] = clients;
        let [from, to, ..] = keys(cores, owner);
        fill(&mut server, client, &from);
        receive(&mut server, client, &format!("COPY {from} {to}"));
        server.some_turns(2);
        receive(&mut server, other, "CLIENT PAUSE 1000 WRITE");
        for _ in 0..1000 {
            server.some_turns(1);
            let (copied, paused) = (read(&mut server, client), read(&mut server, other));
            if !copied.is_empty() {
                break;
            }
            assert_eq!(paused, "", "{cores} {owner}");
        }
        server.turns();
        server.advance(2000);
        server.turns();
        clients
            .into_iter()
            .for_each(|client| server.disconnect(client));
        server.turns();
    }
}

#[test]
fn in_transactions_and_scripts_a_copy_is_made_whole() {
    for (cores, owner) in PLACES {
        let mut server = with_debug(cores);
        let client = server.connect(0);
        let [from, to, third, fourth] = keys(cores, owner);
        fill(&mut server, client, &from);
        let far = key_on(cores - 1, cores, "far");
        let replies = send(
            &mut server,
            client,
            &format!("MULTI\r\nCOPY {from} {to}\r\nHSET {to} new 1\r\nHLEN {to}\r\nEXEC"),
        );
        let len = ELEMENTS + 1;
        assert!(
            replies.ends_with(&format!("*3\r\n:1\r\n:1\r\n:{len}\r\n")),
            "{replies}"
        );
        // With a part on another core.
        let replies = send(
            &mut server,
            client,
            &format!("MULTI\r\nSET {far} x\r\nCOPY {from} {third}\r\nHSET {third} new 1\r\nEXEC"),
        );
        assert!(replies.ends_with("*3\r\n+OK\r\n:1\r\n:1\r\n"), "{replies}");
        for keys in [
            format!("2 {from} {fourth}"),
            format!("3 {from} {fourth} {far}"),
        ] {
            let script = "redis.call('COPY', KEYS[1], KEYS[2], 'REPLACE') return redis.call('HLEN', KEYS[2])";
            let reply = send(&mut server, client, &format!("EVAL \"{script}\" {keys}"));
            assert_eq!(reply, format!(":{ELEMENTS}\r\n"));
        }
        let all = digests(&mut server, client, &[&from, &fourth, &to, &third]);
        assert_eq!((&all[0], &all[2]), (&all[1], &all[3]));
        server.disconnect(client);
        server.assert_nothing_is_left();
    }
}

#[test]
fn a_copy_goes_on_when_its_client_leaves_and_ends_when_its_source_has_reached_its_deadline() {
    for (cores, owner) in PLACES {
        let mut server = with_debug(cores);
        let clients = [0; 2].map(|_| server.connect(0));
        let [client, other] = clients;
        let [from, to, third, _] = keys(cores, owner);
        fill(&mut server, client, &from);
        receive(&mut server, client, &format!("COPY {from} {to}"));
        server.some_turns(2);
        server.disconnect(client);
        server.turns();
        let replies = send(
            &mut server,
            other,
            &format!("HLEN {to}\r\nPEXPIRE {from} 1000"),
        );
        assert_eq!(replies, format!(":{ELEMENTS}\r\n:1\r\n"));
        receive(&mut server, other, &format!("COPY {from} {third}"));
        server.some_turns(2);
        server.advance(2000);
        // Whoever reads finds it gone, and removes it.
        let reader = server.connect(0);
        let missing = send(&mut server, reader, &format!("EXISTS {from}"));
        assert_eq!(missing, ":0\r\n");
        let copied = read(&mut server, other);
        let exists = send(&mut server, other, &format!("EXISTS {third}"));
        let expected = if copied == ":1\r\n" { "" } else { ":0\r\n" };
        assert!(copied == ":1\r\n" || copied == expected, "{copied}");
        assert_eq!(exists, ":0\r\n");
        for client in [other, reader] {
            server.disconnect(client);
        }
        server.assert_nothing_is_left();
    }
}

#[test]
fn who_waits_for_the_destination_is_served_and_who_watches_it_hears_of_it() {
    for (cores, owner) in PLACES {
        let mut server = with_debug(cores);
        let clients = [0; 3].map(|_| server.connect(0));
        let [client, waiter, watcher] = clients;
        let [of, to, ..] = keys(cores, owner);
        fill(&mut server, client, &of);
        let from = list_of(&of);
        receive(&mut server, waiter, &format!("BLPOP {to} 0"));
        send(&mut server, watcher, &format!("WATCH {to}"));
        receive(&mut server, client, &format!("COPY {from} {to}"));
        server.some_turns(2);
        assert_eq!(read(&mut server, waiter), "");
        server.turns();
        let first = "f00000000";
        let served = format!("*2\r\n${}\r\n{to}\r\n$9\r\n{first}\r\n", to.len());
        assert_eq!(read(&mut server, waiter), served);
        assert_eq!(read(&mut server, client), ":1\r\n");
        let replies = send(&mut server, watcher, "MULTI\r\nPING\r\nEXEC");
        assert!(replies.ends_with("*-1\r\n"), "{replies}");
        clients
            .into_iter()
            .for_each(|client| server.disconnect(client));
        server.assert_nothing_is_left();
    }
}
