//! The cores as nodes of a cluster, through the sans-I/O harness of `testing`.

#![cfg(test)]

use crate::dispatch::tests::testing::{Client, Server, key_on};
use crate::resp::Protocol;
use crate::routing::CoreId;

const HOST: &str = "10.1.2.3";

fn lines(reply: &str) -> Vec<&str> {
    reply.lines().collect()
}

#[test]
fn every_core_is_a_node_at_the_address_the_client_connected_to() {
    let mut server = Server::with_core_endpoints(2);
    let client = server.connect_to_core(1, HOST);
    let ids = [0, 1].map(|core| server.cores[0].state().shared.node_id(CoreId(core)));
    assert!(
        ids.iter()
            .all(|id| id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    );
    let node = |core: usize| {
        format!(
            "*4\r\n$8\r\n{HOST}\r\n:{}\r\n$40\r\n{}\r\n*0\r\n",
            7001 + core,
            ids[core]
        )
    };
    assert_eq!(
        server.send(client, b"CLUSTER SLOTS\r\n"),
        format!(
            "*2\r\n*3\r\n:0\r\n:8191\r\n{}*3\r\n:8192\r\n:16383\r\n{}",
            node(0),
            node(1)
        )
    );
    let nodes = server.send(client, b"CLUSTER NODES\r\n");
    let (zero, one) = (&ids[0], &ids[1]);
    assert_eq!(
        lines(&nodes)[1..3],
        [
            format!("{zero} {HOST}:7001@0 master - 0 0 1 connected 0-8191"),
            format!("{one} {HOST}:7002@0 myself,master - 0 0 2 connected 8192-16383"),
        ]
    );
    let shards = server.send(client, b"CLUSTER SHARDS\r\n");
    assert!(shards.starts_with(
        "*2\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:8191\r\n$5\r\nnodes\r\n*1\r\n*14\r\n$2\r\nid\r\n"
    ));
    assert_eq!(
        server.send(client, b"CLUSTER MYID\r\n"),
        format!("$40\r\n{one}\r\n")
    );
    assert_eq!(
        server.send(client, b"CLUSTER REPLICAS nosuch\r\n"),
        "-ERR Unknown node nosuch\r\n"
    );
    for (command, reply) in [("REPLICAS", "*0\r\n"), ("COUNT-FAILURE-REPORTS", ":0\r\n")] {
        let command = format!("CLUSTER {command} {zero}\r\n");
        assert_eq!(server.send(client, command.as_bytes()), reply);
    }
    assert_eq!(
        server.send(client, b"READONLY\r\nREADWRITE\r\nASKING\r\n"),
        "+OK\r\n+OK\r\n+OK\r\n"
    );
    assert!(
        server
            .send(client, b"CLUSTER INFO\r\n")
            .contains("\r\ncluster_state:ok\r\n")
    );
    assert!(
        server
            .send(client, b"INFO cluster\r\n")
            .contains("\r\ncluster_enabled:1\r\n")
    );
    assert!(
        server
            .send(client, b"INFO server\r\n")
            .contains("\r\nredis_mode:cluster\r\n")
    );
    assert!(
        server
            .send(client, b"HELLO 3\r\n")
            .contains("$4\r\nmode\r\n$7\r\ncluster\r\n")
    );
    // In RESP3 what has names is a map.
    let shards = server.send(client, b"CLUSTER SHARDS\r\n");
    assert!(
        shards.starts_with("*2\r\n%2\r\n$5\r\nslots\r\n"),
        "{shards}"
    );
}

#[test]
fn without_endpoints_of_their_own_cores_are_no_nodes() {
    let mut server = Server::new(2);
    let client = server.connect(0);
    for command in [
        "CLUSTER SLOTS",
        "CLUSTER SHARDS",
        "CLUSTER NODES",
        "CLUSTER INFO",
        "CLUSTER MYID",
        "CLUSTER MYSHARDID",
        "CLUSTER KEYSLOT k",
        "CLUSTER COUNTKEYSINSLOT x",
        "CLUSTER GETKEYSINSLOT -1 x",
        "CLUSTER LINKS",
        "CLUSTER COUNT-FAILURE-REPORTS x",
        "CLUSTER REPLICAS x",
        "CLUSTER SLAVES x",
        "CLUSTER HELP",
        "CLUSTERSCAN x",
        "READONLY",
        "READWRITE",
        "ASKING",
    ] {
        assert_eq!(
            server.send(client, format!("{command}\r\n").as_bytes()),
            "-ERR This instance has cluster support disabled\r\n",
            "{command}"
        );
    }
    assert!(server.send(client, b"HELLO\r\n").contains("standalone"));
}

#[test]
fn replies_are_kept_by_host_and_protocol_and_made_anew_when_slots_move() {
    let mut server = Server::with_core_endpoints(2);
    let clients = [HOST, "[fe80::1]", "127.0.0.1"].map(|host| server.connect_to_core(0, host));
    let told = |server: &mut Server, at: usize| server.send(clients[at], b"CLUSTER SLOTS\r\n");
    for _ in 0..2 {
        assert!(told(&mut server, 0).contains("\r\n10.1.2.3\r\n"));
        assert!(told(&mut server, 1).contains("\r\nfe80::1\r\n"));
        assert!(told(&mut server, 2).contains("\r\n127.0.0.1\r\n"));
    }
    let state = server.cores[0].state();
    let kept = |protocol, state: &mut crate::command::CoreState| {
        let question = crate::command::Question::Slots;
        let reply = state
            .topology
            .reply(&state.shared, state.id, question, protocol, HOST);
        reply.unwrap().as_ptr()
    };
    let first = kept(Protocol::Resp2, state);
    assert_eq!(kept(Protocol::Resp2, state), first, "made once");
    assert_ne!(kept(Protocol::Resp3, state), first);
    // More hosts than are kept.
    for host in 0..100 {
        let host = format!("10.0.0.{host}");
        let client = server.connect_to_core(1, &host);
        assert!(server.send(client, b"CLUSTER SLOTS\r\n").contains(&host));
    }
}

#[test]
fn the_keys_of_a_slot_are_found_from_any_core() {
    let mut server = Server::with_core_endpoints(3);
    let clients: Vec<_> = (0..3)
        .map(|core| server.connect_to_core(core, HOST))
        .collect();
    for key in 0..3000 {
        server.send(
            clients[0],
            format!("SET {{tag{}}}{key} v\r\n", key % 10).as_bytes(),
        );
    }
    for client in clients {
        for tag in 0..10 {
            let slot = server.send(client, format!("CLUSTER KEYSLOT tag{tag}\r\n").as_bytes());
            let slot = slot.trim_end().trim_start_matches(':').to_owned();
            let count = format!("CLUSTER COUNTKEYSINSLOT {slot}\r\n");
            assert_eq!(server.send(client, count.as_bytes()), ":300\r\n");
            for (asked, expected) in [(0, 0), (7, 7), (300, 300), (1000, 300)] {
                let get = format!("CLUSTER GETKEYSINSLOT {slot} {asked}\r\n");
                let reply = server.send(client, get.as_bytes());
                assert!(reply.starts_with(&format!("*{expected}\r\n")));
                assert_eq!(reply.matches(&format!("{{tag{tag}}}")).count(), expected);
            }
        }
        for (command, error) in [
            (
                "COUNTKEYSINSLOT x",
                "value is not an integer or out of range",
            ),
            ("COUNTKEYSINSLOT 16384", "Invalid slot"),
            ("COUNTKEYSINSLOT -1", "Invalid slot"),
            (
                "GETKEYSINSLOT 1 x",
                "value is not an integer or out of range",
            ),
            ("GETKEYSINSLOT 1 -1", "Invalid slot or number of keys"),
            ("GETKEYSINSLOT 16384 1", "Invalid slot or number of keys"),
        ] {
            let reply = server.send(client, format!("CLUSTER {command}\r\n").as_bytes());
            assert_eq!(reply, format!("-ERR {error}\r\n"), "{command}");
        }
    }
}

#[test]
fn a_core_s_own_endpoint_takes_every_command_and_speaks_of_its_own_keys_where_nodes_do() {
    const CORES: u16 = 3;
    let mut server = Server::with_core_endpoints(CORES);
    let nodes: Vec<_> = (0..3)
        .map(|core| server.connect_to_core(core, HOST))
        .collect();
    let plain = server.connect(1);
    let keys: Vec<String> = (0..30)
        .map(|at| key_on(at % CORES, CORES, &format!("k{at}")))
        .collect();
    let pairs: String = keys.iter().map(|key| format!(" {key} v")).collect();
    assert_eq!(
        server.send(nodes[2], format!("MSET{pairs}\r\n").as_bytes()),
        "+OK\r\n"
    );
    let get = format!("MGET {} {}\r\n", keys[0], keys[1]);
    assert_eq!(
        server.send(nodes[2], get.as_bytes()),
        "*2\r\n$1\r\nv\r\n$1\r\nv\r\n"
    );
    assert_eq!(server.send(plain, b"DBSIZE\r\n"), ":30\r\n");
    for (core, node) in nodes.iter().enumerate() {
        assert_eq!(server.send(*node, b"DBSIZE\r\n"), ":10\r\n");
        assert_eq!(
            server.send(*node, b"MULTI\r\nDBSIZE\r\nEXEC\r\n"),
            "+OK\r\n+QUEUED\r\n*1\r\n:10\r\n"
        );
        let all = server.send(*node, b"KEYS *\r\n");
        let mut cursor = "0".to_owned();
        let mut scanned = Vec::new();
        loop {
            let reply = server.send(*node, format!("SCAN {cursor} COUNT 4\r\n").as_bytes());
            let lines = lines(&reply);
            cursor = lines[2].to_owned();
            scanned.extend(
                lines[4..]
                    .iter()
                    .skip(1)
                    .step_by(2)
                    .map(|key| key.to_string()),
            );
            if cursor == "0" {
                break;
            }
        }
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(all.contains(&format!("\r\n{key}\r\n")), at % 3 == core);
            assert_eq!(
                scanned.contains(key),
                at % 3 == core,
                "{key} of core {core}: {scanned:?}"
            );
        }
        for _ in 0..20 {
            let random = server.send(*node, b"RANDOMKEY\r\n");
            let key = lines(&random)[1];
            assert_eq!(
                keys.iter().position(|known| known == key).unwrap() % 3,
                core
            );
        }
    }
    assert_eq!(
        server
            .send(nodes[0], b"SELECT 1\r\nSET a b\r\nDBSIZE\r\nSELECT 0\r\n")
            .matches("+OK")
            .count(),
        3
    );
    assert_eq!(server.send(nodes[0], b"FLUSHALL\r\n"), "+OK\r\n");
    assert_eq!(server.send(plain, b"DBSIZE\r\n"), ":0\r\n");
}

/// The bulk strings of a reply to `CLUSTERSCAN`: the cursor, then the keys.
fn cursor_and_keys(reply: &str) -> (String, Vec<String>) {
    let mut words = reply
        .split("\r\n")
        .filter(|word| !word.starts_with(['*', '$']));
    let cursor = words.next().unwrap().to_owned();
    let keys = words.filter(|word| !word.is_empty()).map(str::to_owned);
    (cursor, keys.collect())
}

/// All keys that a scan with these options finds, each as often as it does, from cores in turn.
fn scanned(server: &mut Server, clients: &[Client], options: &str) -> Vec<String> {
    let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
    for turn in 0.. {
        assert!(turn < 1000, "a scan ends");
        let line = format!("CLUSTERSCAN {cursor} {options}\r\n");
        let reply = server.send(clients[turn % clients.len()], line.as_bytes());
        assert!(reply.starts_with("*2\r\n"), "{line}{reply}");
        let (next, found) = cursor_and_keys(&reply);
        keys.extend(found);
        if next == "0" {
            break;
        }
        cursor = next;
    }
    keys.sort();
    keys
}

#[test]
fn a_scan_by_slots_finds_the_keys_of_all_cores_once() {
    let mut server = Server::with_core_endpoints(3);
    let clients = [0, 1, 2].map(|core| server.connect_to_core(core, HOST));
    let mut all: Vec<String> = (0..500)
        .map(|key| format!("{{tag{}}}{key}", key % 9))
        .collect();
    for key in &all {
        server.send(clients[0], format!("SET {key} v\r\n").as_bytes());
    }
    all.sort();
    for options in ["", "COUNT 3", "COUNT 1000", "TYPE string"] {
        assert_eq!(scanned(&mut server, &clients, options), all, "{options}");
    }
    assert!(scanned(&mut server, &clients, "TYPE list").is_empty());
    let of_tag: Vec<String> = all
        .iter()
        .filter(|key| key.contains("tag4}"))
        .cloned()
        .collect();
    let slot = server.send(clients[0], b"CLUSTER KEYSLOT tag4\r\n");
    let slot = slot.trim_end().trim_start_matches(':').to_owned();
    for options in ["MATCH {tag4}*".to_owned(), format!("SLOT {slot} COUNT 5")] {
        assert_eq!(
            scanned(&mut server, &clients, &options),
            of_tag,
            "{options}"
        );
    }
    let elsewhere = format!("SLOT {slot} MATCH {{tag5}}*");
    assert!(scanned(&mut server, &clients, &elsewhere).is_empty());
    // A cursor of another walk begins the slots anew.
    let (cursor, _) =
        cursor_and_keys(&server.send(clients[0], b"CLUSTERSCAN abcdef-{tag4}-99 COUNT 9999\r\n"));
    assert!(cursor.starts_with("0-{"), "{cursor}");
    for (arguments, error) in [
        ("x", "Invalid cursor"),
        (
            "0-{tag4}-0 SLOT 1",
            "Cursor slot mismatch with SLOT argument",
        ),
        ("0 SLOT 16384", "Invalid or out of range slot"),
        ("0 SLOT 1 SLOT 1", "SLOT option can only be specified once"),
        ("0 COUNT 0", "syntax error"),
    ] {
        let reply = server.send(
            clients[1],
            format!("CLUSTERSCAN {arguments}\r\n").as_bytes(),
        );
        assert_eq!(reply, format!("-ERR {error}\r\n"), "{arguments}");
    }
}

#[test]
fn a_slot_is_emptied_wherever_its_keys_are_and_no_other() {
    for cores in [1, 3] {
        let mut server = Server::with_core_endpoints(cores);
        let client = server.connect(0);
        let mut send = |line: &str| server.send(client, format!("{line}\r\n").as_bytes());
        let slot = send("CLUSTER KEYSLOT foo").trim()[1..].to_owned();
        for key in ["foo", "{foo}a", "{foo}b", "bar", "a", "b", "c"] {
            send(&format!("SET {key} 1"));
        }
        send("SELECT 1");
        send("SET foo 1");
        assert_eq!(send(&format!("CLUSTER FLUSHSLOT {slot} async")), "+OK\r\n");
        assert_eq!(send("DBSIZE"), ":0\r\n");
        send("SELECT 0");
        assert_eq!(send("DBSIZE"), ":4\r\n");
        assert_eq!(send("EXISTS foo {foo}a {foo}b bar a b c"), ":4\r\n");
        for (asked, error) in [
            ("FLUSHSLOT 16384", "Invalid or out of range slot"),
            ("FLUSHSLOT 1 now", "syntax error"),
            (
                "FLUSHSLOT 1 sync x",
                "unknown subcommand or wrong number of arguments for 'FLUSHSLOT'. Try CLUSTER HELP.",
            ),
        ] {
            assert_eq!(
                send(&format!("CLUSTER {asked}")),
                format!("-ERR {error}\r\n")
            );
        }
        server.disconnect(client);
        server.assert_nothing_is_left();
    }
}

#[test]
fn what_is_known_of_slots_is_of_all_cores_or_of_the_one_that_is_asked() {
    let mut server = Server::with_core_endpoints(2);
    let client = server.connect(0);
    let one =
        |slot: u16, keys: u64| format!("*2\r\n:{slot}\r\n*2\r\n$9\r\nkey-count\r\n:{keys}\r\n");
    let mut send = |line: &str| server.send(client, format!("{line}\r\n").as_bytes());
    for key in ["foo", "{foo}a", "bar", "a"] {
        send(&format!("SET {key} 1"));
    }
    let [foo, bar, a] =
        ["foo", "bar", "a"].map(|key| crate::routing::Slot::of(key.as_bytes()).number());
    assert!(bar < 8192 && foo > 8192 && foo < a, "{foo} {bar} {a}");
    assert_eq!(
        send(&format!("CLUSTER SLOT-STATS SLOTSRANGE {foo} {}", foo + 1)),
        format!("*2\r\n{}{}", one(foo, 2), one(foo + 1, 0))
    );
    assert_eq!(
        send("CLUSTER SLOT-STATS ORDERBY key-count LIMIT 3"),
        format!("*3\r\n{}{}{}", one(foo, 2), one(bar, 1), one(a, 1))
    );
    assert_eq!(
        send("CLUSTER SLOT-STATS ORDERBY KEY-COUNT ASC LIMIT 1"),
        format!("*1\r\n{}", one(0, 0))
    );
    for (asked, error) in [
        (
            "SLOTSRANGE 2 1",
            "Start slot number 2 is greater than end slot number 1",
        ),
        ("SLOTSRANGE 2 16384", "Invalid or out of range slot"),
        ("ORDERBY cpu-usec", "Unrecognized sort metric for ORDERBY."),
        (
            "ORDERBY key-count LIMIT 0",
            "Limit has to lie in between 1 and 16384 (maximum number of slots).",
        ),
        (
            "ORDERBY key-count ASC DESC",
            "Multiple filters of the same type are disallowed.",
        ),
        ("ORDERBY key-count LIMIT", "syntax error"),
        (
            "SLOTSRANGE 2 3 4",
            "unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP.",
        ),
    ] {
        let reply = send(&format!("CLUSTER SLOT-STATS {asked}"));
        assert_eq!(reply, format!("-ERR {error}\r\n"), "{asked}");
    }
    let of_one = server.connect_to_core(0, HOST);
    assert_eq!(
        server.send(of_one, b"CLUSTER SLOT-STATS ORDERBY key-count LIMIT 1\r\n"),
        format!("*1\r\n{}", one(bar, 1))
    );
}

#[test]
fn what_commands_cost_is_counted_by_slot_if_that_is_wanted() {
    let mut server = Server::with_core_endpoints(2);
    let client = server.connect(0);
    let mut send = |line: &str| server.send(client, format!("{line}\r\n").as_bytes());
    send("CONFIG SET cluster-slot-stats-enabled 'net mem'");
    let slot = crate::routing::Slot::of(b"foo").number();
    // 3 words of an array, "*3$3SET$3foo$1x" and their ends; the reply "+OK".
    send("SET foo x");
    let ask = format!("CLUSTER SLOT-STATS SLOTSRANGE {slot} {slot}");
    let told = send(&ask);
    assert!(told.contains("memory-bytes\r\n:"), "{told}");
    assert!(
        told.ends_with("network-bytes-in\r\n:29\r\n$17\r\nnetwork-bytes-out\r\n:5\r\n"),
        "{told}"
    );
    assert!(!told.contains("cpu-usec"), "{told}");
    send("CONFIG RESETSTAT");
    assert!(send(&ask).ends_with("network-bytes-in\r\n:0\r\n$17\r\nnetwork-bytes-out\r\n:0\r\n"));
    send("CONFIG SET cluster-slot-stats-enabled no");
    send("SET foo x");
    send("CONFIG SET cluster-slot-stats-enabled yes");
    let told = send(&ask);
    assert!(told.contains("cpu-usec\r\n:0\r\n"), "{told}");
    assert!(told.ends_with("network-bytes-out\r\n:0\r\n"), "{told}");
}

#[test]
fn slots_that_are_served_are_not_trimmed() {
    let mut server = Server::with_core_endpoints(2);
    let (client, of_one) = (server.connect(0), server.connect_to_core(1, HOST));
    let served = |slot: u16| format!("-ERR the slot {slot} is served by this node\r\n");
    for (client, asked, reply) in [
        (client, "RANGES 1 5 9", served(5)),
        (of_one, "RANGES 1 5 9", "+OK\r\n".to_owned()),
        (of_one, "RANGES 2 9000 9001 0 1", served(9000)),
        (
            of_one,
            "RANGE 1 5 9",
            "-ERR missing ranges argument\r\n".to_owned(),
        ),
        (
            of_one,
            "RANGES 2 5 9",
            "-ERR invalid number of ranges\r\n".to_owned(),
        ),
        (
            of_one,
            "RANGES x 5 9",
            "-ERR value is not an integer or out of range\r\n".to_owned(),
        ),
    ] {
        let command = format!("TRIMSLOTS {asked}\r\n");
        assert_eq!(server.send(client, command.as_bytes()), reply, "{asked}");
    }
}
