//! What the server tells of commands, side by side with redis-server: the lines of `MONITOR` and the counts of `INFO`, for a dialogue
//! of commands of every kind, right ones and wrong ones.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use larder_tests::client::Client;
use larder_tests::server::{IoBackend, Options, Server};
use larder_tests::tools;

/// Commands on one connection. They end with one that monitors are shown, by which the lines are known to be complete.
const DIALOGUE: &[&str] = &[
    "SET k v",
    "get  k",
    "SELECT 3",
    "SELECT 99",
    "SELECT x",
    "SELECT 0",
    "GET",
    "NOSUCH a b",
    "MULTI",
    "SET x 1",
    "SELECT 2",
    "INCR x",
    "eXeC",
    "exec",
    "MULTI",
    "GET x",
    "DISCARD",
    "DISCARD",
    "MULTI",
    "NOSUCH",
    "GET",
    "EXEC",
    "MULTI",
    "DEBUG SLEEP 0",
    "CONFIG NOSUCH",
    "EXEC",
    "MULTI",
    "MULTI",
    "WATCH a",
    "PING",
    "EXEC",
    "WATCH k",
    "UNWATCH",
    "CONFIG GET port-nothing",
    "CONFIG SET timeout 0",
    "CONFIG NOSUCH",
    "CONFIG GET",
    "CONFIG",
    "CLIENT NOSUCH",
    "CLIENT ID x",
    "CLIENT SETNAME me",
    "CLIENT",
    "OBJECT NOSUCH k",
    "OBJECT ENCODING",
    "OBJECT HELP",
    "COMMAND NOSUCH",
    "COMMAND COUNT x",
    "SLOWLOG NOSUCH",
    "LATENCY NOSUCH",
    "MEMORY NOSUCH",
    "SCRIPT NOSUCH",
    "FUNCTION NOSUCH",
    "PUBSUB NOSUCH",
    "MODULE NOSUCH",
    "MODULE LIST",
    "MODULE LIST x",
    "MODULE LOAD x",
    "MODULE UNLOAD x",
    "DEBUG",
    "DEBUG JMAP",
    "DEBUG SLEEP 0",
    "AUTH wrong",
    "HELLO 9",
    "ECHO",
    "ECHO a",
    "PING a b",
    "MSET a 1 b 2",
    "MSET a",
    "MGET a b k",
    "DEL a b",
    "RENAME k l",
    "RENAME k l",
    "COPY l m",
    "EXPIRE l 100",
    "EXPIRE l x",
    "GETEX l EX",
    "SETRANGE l -1 x",
    "INCR l",
    "APPEND l x",
    "BITCOUNT l x",
    "SETBIT l 0 2",
    "PUBLISH ch m",
    "SUBSCRIBE ch",
    "GET k",
    "PING",
    "UNSUBSCRIBE ch",
    "DBSIZE",
    "KEYS *",
    "SCAN 0",
    "SCAN x",
    "RANDOMKEY",
    "TYPE l",
    "FLUSHDB",
    "SWAPDB 0 1",
    "SWAPDB 0 99",
    "WAIT 0 0",
    "TIME x",
    "LASTSAVE x",
    "ROLE x",
    "REPLICAOF NO ONE x",
    "EVAL \"return redis.call('GET','k')\" 0",
    "EVAL \"return redis.call('SELECT','1')\" 0",
    "EVAL \"return redis.call('nosuch')\" 0",
    "EVAL \"return redis.call('GET')\" 0",
    "EVAL \"return redis.call('CONFIG','NOSUCH')\" 0",
    "EVAL \"return redis.pcall('INCR','s')\" 0",
    "EVAL \"return redis.call('DEBUG','SLEEP','0')\" 0",
    "EVAL \"return {err='x'}\" 0",
    "EVAL \"return {err='My x'}\" 0",
    "EVAL \"return redis.error_reply('x')\" 0",
    "EVAL nonsense 0",
    "EVAL \"return 1\" x",
    "EVALSHA abc 0",
    "EVAL",
    "SCRIPT EXISTS abc",
    "FCALL none 0",
    "SHUTDOWN NOSUCH",
    "RESET",
    "SELECT 5",
    "SET s t",
    "ECHO end",
];

/// What is told: the monitor's lines without their time and the client's port, and the counts.
#[derive(Debug, PartialEq)]
struct Told {
    lines: Vec<String>,
    commands: BTreeMap<String, String>,
    errors: BTreeMap<String, String>,
}

fn info(client: &mut Client, section: &str, prefix: &str) -> BTreeMap<String, String> {
    let text = client.run(&format!("INFO {section}")).unwrap().to_text();
    let fields = text
        .lines()
        .filter_map(|line| line.strip_prefix(prefix)?.split_once(':'));
    fields
        .map(|(name, value)| {
            // Times are not the same.
            let kept = value.split(',').filter(|part| !part.starts_with("usec"));
            (name.to_owned(), kept.collect::<Vec<_>>().join(","))
        })
        .collect()
}

fn told(server: &Server) -> Told {
    let mut monitor = server.connect().unwrap();
    let mut client = server.connect().unwrap();
    client.run("CONFIG RESETSTAT").unwrap();
    monitor.run("MONITOR").unwrap();
    for command in DIALOGUE {
        client.run(command).unwrap();
    }
    let mut lines = Vec::new();
    loop {
        let line = monitor.read().unwrap().to_text();
        let (time, shown) = line.split_once(' ').unwrap();
        let (secs, micros) = time.split_once('.').unwrap();
        assert!(secs.len() >= 10 && micros.len() == 6, "{line}");
        let (source, words) = shown.split_once("] ").unwrap();
        let (place, _) = source.rsplit_once(':').unwrap_or((source, ""));
        lines.push(format!("{place}] {words}"));
        if words == "\"ECHO\" \"end\"" {
            break;
        }
    }
    let mut errors = info(&mut client, "errorstats", "errorstat_");
    let mut commands = info(&mut client, "commandstats", "cmdstat_");
    for of_this_test in ["monitor", "info", "config|resetstat"] {
        commands.remove(of_this_test);
    }
    errors.retain(|_, count| !count.is_empty());
    Told {
        lines,
        commands,
        errors,
    }
}

#[test]
fn commands_are_told_of_as_redis_tells_of_them() {
    // Another version of redis-server counts otherwise.
    let Some(redis) = tools::oracle_or_skip().unwrap() else {
        return;
    };
    for debug in ["yes", "no"] {
        let with = |options: Options| options.directive("enable-debug-command", debug);
        let expected = told(&Server::start(&with(Options::redis(redis.clone()))).unwrap());
        assert!(expected.lines.len() > 70 && expected.commands.len() > 50);
        for backend in IoBackend::under_test() {
            for cores in [1, 2] {
                let server = Server::start(&with(Options::larder(cores, backend))).unwrap();
                let label = server.label().to_owned();
                let found = told(&server);
                assert_eq!(found.lines, expected.lines, "{label}");
                assert_eq!(found.commands, expected.commands, "{label}");
                assert_eq!(found.errors, expected.errors, "{label}");
            }
        }
    }
}

#[test]
fn codes_of_scripts_do_not_crowd_out_the_servers_own() {
    let server = Server::start(&Options::larder(2, IoBackend::under_test()[0])).unwrap();
    let mut client = server.connect().unwrap();
    for code in 0..400 {
        client
            .run(&format!("EVAL \"return {{err='C{code} x'}}\" 0"))
            .unwrap();
    }
    for _ in 0..3 {
        client.run("NOSUCH").unwrap();
        client
            .run("EVALSHA 0000000000000000000000000000000000000000 0")
            .unwrap();
    }
    let errors = info(&mut client, "errorstats", "errorstat_");
    assert_eq!(errors["ERR"], "count=3");
    assert_eq!(errors["NOSCRIPT"], "count=3");
    assert!(errors.contains_key("ERRORSTATS_OVERFLOW"));
    assert!(errors.len() < 140, "{}", errors.len());
}
