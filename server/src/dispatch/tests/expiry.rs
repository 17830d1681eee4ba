//! When the expiry hand moves, and what holds it up.

#![cfg(test)]

use larder_engine::DbIndex;

use crate::dispatch::limits::PERIOD_MS;
use crate::dispatch::tests::testing::{Client, Server, key_on};

const DB: DbIndex = DbIndex(0);

fn served() -> (Server, Client) {
    let mut server = Server::new(1);
    let client = server.connect(0);
    (server, client)
}

/// Entries of core 0, dead ones included, without looking at any.
fn entries(server: &mut Server) -> u64 {
    server.cores[0].state().shard.len(DB)
}

/// Lets time pass, and the server do what is to be done by then.
fn wait(server: &mut Server, ms: u64) {
    server.advance(ms);
    server.turns();
}

/// Lets the period go by after which sessions that have run are added up.
fn be_quiet(server: &mut Server) {
    wait(server, PERIOD_MS);
}

#[test]
fn a_core_wakes_for_what_expires_and_for_nothing_else() {
    let (mut server, client) = served();
    server.send(client, b"SET k v\r\n");
    be_quiet(&mut server);
    assert_eq!(server.cores[0].next_wake_ms(), None);
    server.send(client, b"SET far v EX 86400\r\nSET near v PX 600\r\n");
    be_quiet(&mut server);
    let wake_ms = server.cores[0].next_wake_ms().unwrap() - server.now_ms;
    assert!((400..600).contains(&wake_ms), "{wake_ms}");
    wait(&mut server, wake_ms);
    wait(&mut server, 100);
    assert_eq!(entries(&mut server), 2);
    // Then for the day's end.
    let wake_ms = server.cores[0].next_wake_ms().unwrap() - server.now_ms;
    assert!(wake_ms > 80_000_000, "{wake_ms}");
    server.send(client, b"PERSIST far\r\n");
    wait(&mut server, 100_000_000);
    be_quiet(&mut server);
    assert_eq!(server.cores[0].next_wake_ms(), None);
}

#[test]
fn nothing_expires_while_clients_are_paused_and_reads_do_not_see_the_dead() {
    for pause in ["WRITE", "ALL"] {
        let (mut server, client) = served();
        server.send(client, b"SET k v PX 10\r\nWATCH k\r\n");
        let reply = server.send(client, format!("CLIENT PAUSE 10000 {pause}\r\n").as_bytes());
        assert_eq!(reply, "+OK\r\n");
        wait(&mut server, 500);
        let seen = server.send(client, b"GET k\r\nEXISTS k\r\nRANDOMKEY\r\n");
        let expected = if pause == "WRITE" {
            "$-1\r\n:0\r\n$-1\r\n"
        } else {
            ""
        };
        assert_eq!(seen, expected);
        assert_eq!(entries(&mut server), 1, "{pause}");
        // The core does not spin, and notices when the pause ends.
        let wake_ms = server.cores[0].next_wake_ms().unwrap();
        assert!(wake_ms > server.now_ms);
        wait(&mut server, 10_000);
        assert_eq!(entries(&mut server), 0, "{pause}");
    }
}

#[test]
fn a_watched_key_that_dies_during_a_pause_has_changed() {
    let (mut server, client) = served();
    let told = server.send(
        client,
        b"SET k v PX 10\r\nWATCH k\r\nCLIENT PAUSE 10000 WRITE\r\n",
    );
    assert_eq!(told, "+OK\r\n+OK\r\n+OK\r\n");
    wait(&mut server, 500);
    let told = server.send(client, b"MULTI\r\nGET k\r\nEXEC\r\n");
    assert!(told.ends_with("+QUEUED\r\n*-1\r\n"), "{told}");
    // One that was dead already has not.
    let told = server.send(client, b"WATCH k\r\nMULTI\r\nGET k\r\nEXEC\r\n");
    assert!(told.ends_with("+QUEUED\r\n*1\r\n$-1\r\n"), "{told}");
    assert_eq!(entries(&mut server), 1);
}

#[test]
fn what_dies_together_is_removed_in_turns_that_go_on_serving() {
    let (mut server, client) = served();
    const COUNT: u64 = 30_000;
    let sets: String = (0..COUNT)
        .map(|n| format!("SET {n} v PX 1000\r\n"))
        .collect();
    server.send(client, sets.as_bytes());
    server.advance(3000);
    let mut turns = 0;
    while entries(&mut server) > 0 {
        let before = entries(&mut server);
        server.receive(client, b"PING\r\n");
        server.turn();
        assert_eq!(server.take_output(client), b"+PONG\r\n");
        assert!(before - entries(&mut server) <= 1024);
        turns += 1;
        assert!(turns < 500, "each turn goes on");
    }
    let info = server.send(client, b"INFO stats\r\n");
    assert!(info.contains(&format!("\r\nexpired_keys:{COUNT}\r\n")));
    assert!(!info.contains("expired_time_cap_reached_count:0\r\n"));
}

#[test]
fn a_turn_that_writes_much_expires_amid_its_writes() {
    let mut server = Server::configured(1, &[("notify-keyspace-events", "Ex")]);
    let client = server.connect(0);
    let subscriber = server.connect(0);
    server.send(subscriber, b"SUBSCRIBE __keyevent@0__:expired\r\n");
    const COUNT: usize = 5000;
    let sets = |name: &str| -> String {
        (0..COUNT)
            .map(|n| format!("SET {name}{n} v PX 1000\r\n"))
            .collect()
    };
    server.send(client, sets("old").as_bytes());
    server.cores[0].state().active_expire = false;
    server.advance(3000);
    assert_eq!(entries(&mut server), COUNT as u64);
    server.cores[0].state().active_expire = true;
    server.receive(client, sets("new").as_bytes());
    // Not one turn has ended.
    let expired = 2 * COUNT as u64 - entries(&mut server);
    assert!(expired > COUNT as u64 * 9 / 10, "{expired}");
    let told = server.take_output(subscriber);
    let told = String::from_utf8_lossy(&told).matches("old").count();
    assert_eq!(told as u64, expired);
    server.turns();
    wait(&mut server, 3000);
    assert_eq!(entries(&mut server), 0);
}

#[test]
fn the_oldest_script_in_its_midst_says_what_is_dead() {
    let mut server = Server::configured(1, &[("busy-reply-threshold", "1")]);
    let client = server.connect(0);
    server.cores[0].state().active_expire = false;
    server.send(client, b"SET before v PX 10\r\nSET after v PX 10000\r\n");
    server.advance(5000);
    let script = "EVAL 'while true do end' 0\r\n".replace('\'', "\"");
    assert_eq!(server.send(client, script.as_bytes()), "");
    server.cores[0].state().active_expire = true;
    server.advance(10_000);
    server.some_turns(10);
    assert_eq!(entries(&mut server), 1);
    let other = server.connect(0);
    server.receive(other, b"SCRIPT KILL\r\n");
    server.some_turns(10);
    assert_eq!(entries(&mut server), 0);
}

#[test]
fn keys_expire_that_a_script_in_its_midst_on_several_cores_does_not_have() {
    for writes in [
        "",
        "redis.call('set',KEYS[2],1) redis.call('append',KEYS[4],1)",
    ] {
        let mut server = Server::configured(2, &[("busy-reply-threshold", "1")]);
        let client = server.connect(0);
        for core in 0..2 {
            server.cores[core].state().active_expire = false;
        }
        let on = |core, name| key_on(core, 2, name);
        let own = [on(0, "dies"), on(0, "a"), on(1, "dies"), on(1, "b")];
        for key in [&own[0], &own[2], &on(0, "other"), &on(1, "other")] {
            server.send(client, format!("SET {key} v PX 1000\r\n").as_bytes());
        }
        let keys = own.join(" ");
        let script = format!("EVAL \"{writes} while true do end\" 4 {keys}\r\n");
        server.receive(client, script.as_bytes());
        server.some_turns(10);
        for core in 0..2 {
            server.cores[core].state().active_expire = true;
        }
        server.advance(10_000);
        server.some_turns(10);
        for core in &mut server.cores {
            let written = u64::from(!writes.is_empty());
            assert_eq!(core.state().shard.len(DB), 1 + written, "{writes}");
        }
        // What it has is dead when it is over.
        if writes.is_empty() {
            let other = server.connect(0);
            server.receive(other, b"SCRIPT KILL\r\n");
            server.some_turns(10);
            // Each core waits until what was asked for before has come.
            for _ in 0..3 {
                server.advance(1000);
                server.turns();
            }
            for core in &mut server.cores {
                assert_eq!(core.state().shard.len(DB), 0);
            }
        }
    }
}

#[test]
fn info_tells_how_long_entries_have_and_how_many_are_dead() {
    let (mut server, client) = served();
    server.cores[0].state().active_expire = false;
    let sets: String = (0..1000)
        .map(|n| format!("SET {n} v PX {}\r\n", if n % 4 == 0 { 10 } else { 60_000 }))
        .collect();
    server.send(client, sets.as_bytes());
    let keyspace = server.send(client, b"INFO keyspace\r\n");
    assert!(
        keyspace.contains("expires=1000,avg_ttl=45002,subexpiry=0\r\n"),
        "{keyspace}"
    );
    server.advance(1000);
    let stats = server.send(client, b"INFO stats\r\n");
    assert!(
        stats.contains("\r\nexpired_stale_perc:25.00\r\n"),
        "{stats}"
    );
    server.cores[0].state().active_expire = true;
    wait(&mut server, 1000);
    let stats = server.send(client, b"INFO stats\r\n");
    assert!(stats.contains("\r\nexpired_stale_perc:0.00\r\n"), "{stats}");
    let keyspace = server.send(client, b"INFO keyspace\r\n");
    assert!(
        keyspace.contains("keys=750,expires=750,avg_ttl=58000,subexpiry=0\r\n"),
        "{keyspace}"
    );
}

#[test]
fn fields_end_by_themselves_and_a_hash_with_the_last_of_them() {
    let mut server = Server::configured(1, &[("notify-keyspace-events", "Ehgx")]);
    let client = server.connect(0);
    let subscriber = server.connect(0);
    server.send(subscriber, b"PSUBSCRIBE *\r\n");
    const COUNT: usize = 3000;
    let sets = |key: &str, fields: usize, millis: u64| -> String {
        let set = |n| format!("HSETEX {key} PX {millis} FIELDS 1 f{n} v\r\n");
        (0..fields).map(set).collect()
    };
    server.send(client, sets("large", COUNT, 1000).as_bytes());
    server.send(client, sets("small", 3, 1000).as_bytes());
    server.send(client, b"HSET small stays v\r\n");
    let keyspace = server.send(client, b"INFO keyspace\r\n");
    assert!(keyspace.contains("db0:keys=2,expires=0,avg_ttl=0,subexpiry=2\r\n"));
    server.take_output(subscriber);
    wait(&mut server, 3000);
    assert_eq!(
        server.send(client, b"HLEN large\r\nHLEN small\r\nEXISTS large\r\n"),
        ":0\r\n:1\r\n:0\r\n"
    );
    let told = server.take_output(subscriber);
    let told = String::from_utf8_lossy(&told).into_owned();
    let ends = |event: &str, key: &str| {
        let lines = format!("__keyevent@0__:{event}\r\n${}\r\n{key}\r\n", key.len());
        told.matches(&lines).count()
    };
    assert!(
        ends("hexpired", "large") >= 1 && ends("hexpired", "small") == 1,
        "{told}"
    );
    assert_eq!((ends("del", "large"), ends("del", "small")), (1, 0));
    let info = server.send(client, b"INFO\r\n");
    assert!(info.contains(&format!("\r\nexpired_subkeys:{}\r\n", COUNT + 3)));
    assert!(
        info.contains("db0:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n"),
        "{info}"
    );
}
