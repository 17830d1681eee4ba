//! The commands of keys, deadlines, scans and databases, on one core and over several.

#![allow(missing_docs, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};

use larder_tests::inprocess::{Client, Cluster, check};

#[test]
fn keys_named_twice_are_removed_once_and_found_twice() {
    check(&[
        ("SET a 1", "+OK"),
        ("SET b 2", "+OK"),
        ("SET c 3", "+OK"),
        ("EXISTS a a b nothing", ":3"),
        ("TOUCH a b c d", ":3"),
        ("DEL a a b nothing", ":2"),
        ("UNLINK c c", ":1"),
        ("EXISTS a b c", ":0"),
        ("DEL", "-ERR wrong number of arguments for 'del' command"),
        ("TYPE a", "+none"),
        ("SET a 1", "+OK"),
        ("TYPE a", "+string"),
    ]);
}

#[test]
fn a_rename_takes_value_and_deadline_along() {
    check(&[
        ("RENAME no no", "-ERR no such key"),
        ("RENAME no other", "-ERR no such key"),
        ("RENAMENX no other", "-ERR no such key"),
        ("SET a value", "+OK"),
        ("PEXPIRE a 5000", ":1"),
        ("RENAME a a", "+OK"),
        ("RENAMENX a a", ":0"),
        ("RENAME a b", "+OK"),
        ("EXISTS a", ":0"),
        ("GET b", "$5 value"),
        ("PTTL b", ":5000"),
        ("SET c other", "+OK"),
        ("RENAMENX b c", ":0"),
        ("GET c", "$5 other"),
        ("RENAME c b", "+OK"),
        ("GET b", "$5 other"),
        ("PTTL b", ":-1"),
        ("RENAMENX b d", ":1"),
        ("GET d", "$5 other"),
        ("DBSIZE", ":1"),
    ]);
}

#[test]
fn a_copy_leaves_its_source_and_keeps_encoding_and_deadline() {
    check(&[
        ("COPY a b", ":0"),
        ("SET a 12345678", "+OK"),
        ("PEXPIRE a 5000", ":1"),
        (
            "COPY a a",
            "-ERR source and destination objects are the same",
        ),
        ("COPY a b", ":1"),
        ("OBJECT ENCODING b", "$3 int"),
        ("PTTL b", ":5000"),
        ("PTTL a", ":5000"),
        ("SET a text", "+OK"),
        ("COPY a b", ":0"),
        ("COPY a b REPLACE", ":1"),
        ("GET b", "$4 text"),
        ("PTTL b", ":-1"),
        ("COPY a b DB 16", "-ERR DB index is out of range"),
        ("COPY a b DB -1", "-ERR DB index is out of range"),
        (
            "COPY a b DB x",
            "-ERR value is not an integer or out of range",
        ),
        (
            "COPY a b DB 99999999999",
            "-ERR value is out of range, value must between -2147483648 and 2147483647",
        ),
        ("COPY a b DB", "-ERR syntax error"),
        ("COPY a b REPLACE foo", "-ERR syntax error"),
        ("COPY a b DB 1 REPLACE", ":1"),
        ("COPY a b DB 1", ":0"),
        ("COPY a a DB 1", ":1"),
        ("SWAPDB 0 1", "+OK"),
        ("GET b", "$4 text"),
        ("DBSIZE", ":2"),
    ]);
}

#[test]
fn a_key_moves_to_another_database_unless_that_has_it() {
    check(&[
        ("MOVE a 1", ":0"),
        ("SET a old", "+OK"),
        ("PEXPIRE a 5000", ":1"),
        (
            "MOVE a 0",
            "-ERR source and destination objects are the same",
        ),
        ("MOVE a 16", "-ERR DB index is out of range"),
        ("MOVE a x", "-ERR value is not an integer or out of range"),
        ("MOVE a 3", ":1"),
        ("EXISTS a", ":0"),
        ("SET a new", "+OK"),
        ("MOVE a 3", ":0"),
        ("SWAPDB 0 3", "+OK"),
        ("GET a", "$3 old"),
        ("PTTL a", ":5000"),
        ("SWAPDB 0 0", "+OK"),
        ("SWAPDB 0 16", "-ERR DB index is out of range"),
        ("SWAPDB x y", "-ERR invalid first DB index"),
        ("SWAPDB 1 9999999999", "-ERR invalid second DB index"),
    ]);
}

#[test]
fn emptying_one_database_leaves_the_others() {
    check(&[
        ("SET a 1", "+OK"),
        ("SET b 1", "+OK"),
        ("SET c 1", "+OK"),
        ("MOVE c 1", ":1"),
        ("DBSIZE", ":2"),
        ("FLUSHDB foo", "-ERR syntax error"),
        ("FLUSHDB ASYNC SYNC", "-ERR syntax error"),
        ("DBSIZE", ":2"),
        ("FLUSHDB async", "+OK"),
        ("DBSIZE", ":0"),
        ("SWAPDB 0 1", "+OK"),
        ("DBSIZE", ":1"),
        ("FLUSHALL SYNC", "+OK"),
        ("DBSIZE", ":0"),
        ("RANDOMKEY", "$-1"),
        ("KEYS *", "*0"),
    ]);
}

#[test]
fn deadlines_are_set_under_their_conditions() {
    check(&[
        ("EXPIRE a 10", ":0"),
        ("TTL a", ":-2"),
        ("PEXPIRETIME a", ":-2"),
        ("SET a 1", "+OK"),
        ("TTL a", ":-1"),
        ("EXPIRETIME a", ":-1"),
        ("EXPIRE a 10 XX", ":0"),
        ("EXPIRE a 10 GT", ":0"),
        ("EXPIRE a 10 XX LT", ":0"),
        ("EXPIRE a 10 LT", ":1"),
        ("EXPIRE a 20 NX", ":0"),
        ("EXPIRE a 20 LT", ":0"),
        ("EXPIRE a 10 GT", ":0"),
        ("EXPIRE a 20 xx gt", ":1"),
        ("TTL a", ":20"),
        ("PERSIST a", ":1"),
        ("PERSIST a", ":0"),
        ("EXPIRE a 20 NX", ":1"),
        ("PEXPIRE a 1499", ":1"),
        ("TTL a", ":1"),
        ("PTTL a", ":1499"),
        ("PEXPIRETIME a", ":1700000001499"),
        ("EXPIRETIME a", ":1700000001"),
        ("PEXPIREAT a 1700000001500", ":1"),
        ("EXPIRETIME a", ":1700000002"),
        ("EXPIREAT a 1700000009", ":1"),
        ("TTL a", ":9"),
    ]);
}

#[test]
fn a_deadline_that_has_passed_removes_the_key_at_once() {
    for command in [
        "EXPIRE a 0",
        "EXPIRE a -1",
        "PEXPIRE a -9223372036854775808",
        "EXPIREAT a 1700000000",
        "PEXPIREAT a 5",
        "EXPIRE a -9223372036854775",
    ] {
        check(&[
            ("SET a 1", "+OK"),
            (command, ":1"),
            ("EXISTS a", ":0"),
            (command, ":0"),
        ]);
    }
}

#[test]
fn an_impossible_deadline_is_an_error_whether_or_not_there_is_a_key() {
    check(&[
        ("EXPIRE a x", "-ERR value is not an integer or out of range"),
        ("EXPIRE a 1 foo", "-ERR Unsupported option foo"),
        ("EXPIRE a x foo", "-ERR Unsupported option foo"),
        (
            "EXPIRE a 1 NX XX",
            "-ERR NX and XX, GT or LT options at the same time are not compatible",
        ),
        (
            "EXPIRE a 1 NX LT",
            "-ERR NX and XX, GT or LT options at the same time are not compatible",
        ),
        (
            "EXPIRE a 1 GT LT",
            "-ERR GT and LT options at the same time are not compatible",
        ),
        (
            "EXPIRE a 9223372036854775807",
            "-ERR invalid expire time in 'expire' command",
        ),
        (
            "EXPIRE a 9223372036854775",
            "-ERR invalid expire time in 'expire' command",
        ),
        (
            "PEXPIRE a 9223372036854775807",
            "-ERR invalid expire time in 'pexpire' command",
        ),
        (
            "EXPIREAT a 9223372036854776",
            "-ERR invalid expire time in 'expireat' command",
        ),
        ("SET a 1", "+OK"),
        ("PEXPIREAT a 9223372036854775807", ":1"),
        ("PEXPIRETIME a", ":9223372036854775807"),
        ("EXPIRETIME a", ":9223372036854775"),
    ]);
}

#[test]
fn a_key_past_its_deadline_is_not_there() {
    for cores in [1, 3] {
        let mut server = Cluster::at_rest(cores);
        let client = server.connect(0);
        for key in ["a", "b", "c", "d"] {
            server.run(client, &format!("SET {key} 1"));
            server.run(client, &format!("PEXPIRE {key} 100"));
        }
        server.advance(99);
        assert_eq!(server.run(client, "EXISTS a b c d"), ":4\r\n");
        server.advance(1);
        assert_eq!(server.run(client, "EXISTS a"), ":0\r\n");
        assert_eq!(server.run(client, "DEL b"), ":0\r\n");
        assert_eq!(server.run(client, "RENAME c x"), "-ERR no such key\r\n");
        assert_eq!(server.run(client, "COPY d x"), ":0\r\n");
        assert_eq!(server.run(client, "RANDOMKEY"), "$-1\r\n");
    }
}

#[test]
fn objects_tell_how_they_are_kept() {
    check(&[
        ("SET a 5", "+OK"),
        ("OBJECT ENCODING a", "$3 int"),
        ("OBJECT REFCOUNT a", ":2147483647"),
        ("OBJECT IDLETIME a", ":0"),
        ("SET a 10000", "+OK"),
        ("OBJECT REFCOUNT a", ":1"),
        ("SET a text", "+OK"),
        ("OBJECT encoding a", "$6 embstr"),
        ("OBJECT ENCODING b", "$-1"),
        ("OBJECT FREQ b", "$-1"),
        (
            "OBJECT FREQ a",
            "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ),
        (
            "OBJECT",
            "-ERR wrong number of arguments for 'object' command",
        ),
        (
            "OBJECT ENCODING",
            "-ERR wrong number of arguments for 'object|encoding' command",
        ),
        (
            "OBJECT foo a",
            "-ERR unknown subcommand 'foo'. Try OBJECT HELP.",
        ),
    ]);
}

#[test]
fn idle_time_counts_from_the_last_use_and_looking_is_no_use() {
    let mut server = Cluster::at_rest(2);
    let client = server.connect(0);
    server.run(client, "SET a 1");
    server.advance(5000);
    for look in ["TTL a", "EXISTS a", "TYPE a", "OBJECT IDLETIME a"] {
        server.run(client, look);
    }
    assert_eq!(server.run(client, "OBJECT IDLETIME a"), ":5\r\n");
}

#[test]
fn a_wait_for_no_replica_ends_at_once_and_any_other_when_its_time_is_over() {
    for cores in [1, 2] {
        let mut server = Cluster::at_rest(cores);
        let client = server.connect(0);
        for (command, expected) in [
            ("WAIT 0 0", ":0"),
            ("WAIT -1 0", ":0"),
            ("WAIT x 0", "-ERR value is not an integer or out of range"),
            ("WAIT 0 x", "-ERR timeout is not an integer or out of range"),
            ("WAIT 0 -1", "-ERR timeout is negative"),
            ("WAIT 1 9223372036854775807", "-ERR timeout is out of range"),
            ("WAITAOF 0 0 0", "*2 :0 :0"),
            (
                "WAITAOF 1 0 0",
                "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
            ),
            (
                "WAITAOF 2 0 0",
                "-ERR value is out of range, value must between 0 and 1",
            ),
            (
                "WAITAOF 0 -1 0",
                "-ERR value is out of range, must be positive",
            ),
        ] {
            let reply = server.run(client, command).replace("\r\n", " ");
            assert_eq!(reply.trim_end(), expected, "{command}");
        }
        assert_eq!(server.run(client, "WAIT 1 100"), "");
        assert_eq!(server.run(client, "PING"), "");
        server.advance(99);
        assert_eq!(server.take_output(client), b"");
        server.advance(1);
        assert_eq!(server.take_output(client), b":0\r\n+PONG\r\n");
        assert_eq!(server.run(client, "WAITAOF 0 1 100"), "");
        server.advance(100);
        assert_eq!(server.take_output(client), b"*2\r\n:0\r\n:0\r\n");
    }
}

#[test]
fn keys_answers_those_that_match() {
    for cores in [1, 2, 7] {
        let mut server = Cluster::at_rest(cores);
        let client = server.connect(0);
        for key in ["one", "two", "three", "four"] {
            server.run(client, &format!("SET {key} 1"));
        }
        for (pattern, expected) in [
            ("*", &["four", "one", "three", "two"][..]),
            ("t*", &["three", "two"]),
            ("?o*", &["four"]),
            ("[ot]*e", &["one", "three"]),
            ("none", &[]),
        ] {
            let reply = server.run(client, &format!("KEYS {pattern}"));
            let mut keys: Vec<_> = bulks(&reply).collect();
            keys.sort_unstable();
            assert_eq!(keys, expected, "KEYS {pattern} on {cores} cores");
        }
    }
}

#[test]
fn every_key_is_random_sometimes() {
    for cores in [1, 4] {
        let mut server = Cluster::at_rest(cores);
        let client = server.connect(0);
        for key in 0..8 {
            server.run(client, &format!("SET key:{key} 1"));
        }
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..800 {
            let reply = server.run(client, "RANDOMKEY");
            let key = bulks(&reply).next().unwrap().to_owned();
            *times.entry(key).or_default() += 1;
        }
        assert_eq!(times.len(), 8, "{cores} cores: {times:?}");
        assert!(
            times.values().all(|&times| times >= 40),
            "{cores} cores: {times:?}"
        );
    }
}

#[test]
fn a_scan_visits_every_key_that_stays_while_others_come_and_go() {
    for cores in [1, 2, 7] {
        for count in [1, 10, 1000] {
            let mut server = Cluster::at_rest(cores);
            let client = server.connect(0);
            for key in 0..300 {
                server.run(client, &format!("SET stays:{key} 1"));
            }
            let mut seen = BTreeSet::new();
            let mut churn = 0;
            let calls = scan(
                &mut server,
                client,
                &format!("COUNT {count}"),
                |server, keys| {
                    seen.extend(keys.iter().filter(|key| key.starts_with("stays")).cloned());
                    for _ in 0..5 {
                        server.run(client, &format!("SET comes:{churn} 1"));
                        server.run(client, &format!("DEL comes:{}", churn - 7));
                        churn += 1;
                    }
                },
            );
            assert_eq!(seen.len(), 300, "COUNT {count} on {cores} cores");
            assert!(calls <= 300 + churn as usize + 1, "{calls} calls");
        }
    }
}

#[test]
fn a_small_keyspace_is_scanned_in_one_call_over_all_cores() {
    let mut server = Cluster::at_rest(7);
    let client = server.connect(3);
    for key in 0..9 {
        server.run(client, &format!("SET key:{key} 1"));
    }
    let mut seen = BTreeSet::new();
    let calls = scan(&mut server, client, "", |_, keys| {
        seen.extend(keys.to_vec())
    });
    assert_eq!((calls, seen.len()), (1, 9));
    let calls = scan(
        &mut server,
        client,
        "MATCH *:[12] TYPE STRING",
        |_, keys| {
            let mut keys = keys.to_vec();
            keys.sort_unstable();
            assert_eq!(keys, ["key:1", "key:2"]);
        },
    );
    assert_eq!(calls, 1);
    check(&[
        ("SET a 1", "+OK"),
        ("SCAN 0 TYPE hash", "*2 $1 0 *0"),
        ("SCAN 0 TYPE none", "*2 $1 0 *0"),
        ("SCAN 0 MATCH b", "*2 $1 0 *0"),
        ("SCAN +0 MATCH a COUNT 1000", "*2 $1 0 *1 $1 a"),
        ("SCAN \"\" MATCH a COUNT 1000", "*2 $1 0 *1 $1 a"),
        ("SCAN 18446744073709551615", "*2 $1 0 *0"),
        ("SCAN 18446744073709551616", "-ERR invalid cursor"),
        ("SCAN x", "-ERR invalid cursor"),
        ("SCAN 1x", "-ERR invalid cursor"),
        ("SCAN -", "-ERR invalid cursor"),
        ("SCAN 0 COUNT 0", "-ERR syntax error"),
        (
            "SCAN 0 COUNT x",
            "-ERR value is not an integer or out of range",
        ),
        ("SCAN 0 COUNT", "-ERR syntax error"),
        ("SCAN 0 FOO bar", "-ERR syntax error"),
    ]);
}

/// Scans to the end, passing the keys of each call to `visit`; the number of calls.
fn scan(
    server: &mut Cluster,
    client: Client,
    options: &str,
    mut visit: impl FnMut(&mut Cluster, &[String]),
) -> usize {
    let mut cursor = "0".to_owned();
    for calls in 1.. {
        let reply = server.run(client, &format!("SCAN {cursor} {options}"));
        let mut bulks = bulks(&reply).map(str::to_owned);
        cursor = bulks.next().expect("a scan answers its cursor");
        let keys: Vec<_> = bulks.collect();
        visit(server, &keys);
        if cursor == "0" {
            return calls;
        }
    }
    unreachable!("a scan ends")
}

/// The bulk strings in a reply, none of which begins with a sigil.
fn bulks(reply: &str) -> impl Iterator<Item = &str> {
    reply
        .split_terminator("\r\n")
        .filter(|line| !line.starts_with(['*', '$', ':', '+', '-']))
}
