//! Key specifications against redis-server's: those that any command of Redis may need, and those that Larder's have.
//!
//! * [`made_up`]: specifications of commands that Larder has yet to learn, made up here, and what they find.
//! * [`redis`]: what redis-server says of its commands, and the specifications that follow from it.
//! * Every key specification that redis-server has finds the keys it finds, on any arguments.
//! * Larder says of each of its commands what redis-server says of it.

#![allow(clippy::unwrap_used, reason = "a test fails by that")]

mod made_up;
mod redis;

use larder_server::command::{Args, CommandTable, Keys};
use larder_server::resp::ArgRange;
use larder_tests::client::Client;
use larder_tests::random::Random;
use larder_tests::resp::Reply;
use larder_tests::server::{IoBackend, Options, Server};
use larder_tests::tools;

/// What is told otherwise than by Redis 7.0: `SINTERSTORE` overwrites its destination since 7.2, ranks come with scores since 7.2, and what
/// `XREADGROUP` reads it changes here, which locks must know.
const TOLD_OTHERWISE: [&str; 4] = ["sinterstore", "zrank", "zrevrank", "xreadgroup"];

/// Keys that Redis does not find though the command uses them: the destination of a `PFMERGE` without sources.
fn is_beyond_redis(words: &[&str]) -> bool {
    let stores = |word: &&&str| {
        let is = |option| word.eq_ignore_ascii_case(option);
        is("store") || is("storedist")
    };
    // Of two destinations it names both, and stores at one.
    let stores_twice = words[0].starts_with("georadius") && words.iter().filter(stores).count() > 1;
    words.len() == 2 && words[0] == "pfmerge" || stores_twice
}

/// The arguments `words`, as a command has them.
fn with_args<R>(words: &[&str], with: impl FnOnce(&Args<'_>) -> R) -> R {
    let mut input = Vec::new();
    let mut ranges = Vec::new();
    for word in words {
        let (start, len) = (input.len(), word.len());
        ranges.push(ArgRange {
            start: u32::try_from(start).unwrap(),
            len: u32::try_from(len).unwrap(),
        });
        input.extend_from_slice(word.as_bytes());
    }
    with(&Args::new(&input, &ranges))
}

/// The keys that specifications find in a command, each with what is done with it.
fn found(keys: Keys, words: &[&str]) -> String {
    with_args(words, |args| {
        let found = keys.in_args(args).map(|key| {
            let flags: Vec<&str> = key.spec.flags_in(args).names().collect();
            format!("{} {}", words[key.at], flags.join(" "))
        });
        found.collect::<Vec<_>>().join(", ")
    })
}

/// What a server answers to `COMMAND GETKEYSANDFLAGS`, in the same form; an error finds no keys.
fn told(client: &mut Client, words: &[&str]) -> String {
    let keys = match ask(client, "GETKEYSANDFLAGS", words) {
        Reply::Array(keys) => keys,
        Reply::Error(_) => return String::new(),
        other => panic!("{words:?}: {other:?}"),
    };
    let keys = keys.iter().map(|key| match key {
        Reply::Array(parts) => match parts.as_slice() {
            [key, Reply::Set(flags)] => {
                let flags: Vec<String> = flags.iter().map(Reply::to_text).collect();
                format!("{} {}", key.to_text(), flags.join(" "))
            }
            other => panic!("{words:?}: {other:?}"),
        },
        other => panic!("{words:?}: {other:?}"),
    });
    keys.collect::<Vec<_>>().join(", ")
}

fn ask(client: &mut Client, subcommand: &str, words: &[&str]) -> Reply {
    let mut line = vec!["COMMAND", subcommand];
    line.extend(words);
    client.call(&line).unwrap()
}

/// A client of a server, speaking RESP3.
fn connected(server: &Server) -> Client {
    let mut client = server.connect().unwrap();
    client.run("HELLO 3").unwrap();
    client
}

/// The redis-server that knows, and a client of it.
fn oracle() -> Option<(Server, Client)> {
    let path = tools::oracle_or_skip().unwrap()?;
    let server = Server::start(&Options::redis(path)).unwrap();
    let client = connected(&server);
    Some((server, client))
}

/// Words that stand for keys, numbers of them and keywords. Redis takes numbers beyond 32 bits for others, so that there
/// are none here.
const WORDS: &[&str] = &[
    "a",
    "b",
    "c",
    "",
    "1",
    "1",
    "2",
    "2",
    "3",
    "0",
    "-1",
    "7",
    "2147483647",
    "x1",
    "STORE",
    "store",
    "STOREDIST",
    "KEYS",
    "STREAMS",
    "streams",
    "BY",
    "GET",
    "get",
    "SET",
    "INCRBY",
    "OVERFLOW",
    "LIMIT",
    "COUNT",
    "GROUP",
    "BLOCK",
    "COPY",
    "REPLACE",
    "AUTH",
    "AUTH2",
    "u8",
];

/// A call of the command `name` with some arguments, behind the name of its container if it has one.
fn any_call<'a>(random: &mut Random, name: &'a str) -> Vec<&'a str> {
    let mut words: Vec<&str> = name.split('|').collect();
    let more = random.below(13);
    words.extend((0..more).map(|_| WORDS[random.below(WORDS.len())]));
    words
}

/// Calls of each command.
const CALLS: usize = 300;

#[test]
fn made_up_specifications_find_the_keys_that_redis_finds() {
    for (keys, calls) in made_up::CASES {
        for (line, expected) in *calls {
            let words = made_up::words(line);
            assert_eq!(found(*keys, &words), *expected, "{line}");
        }
    }
    let Some((_server, mut client)) = oracle() else {
        return;
    };
    for (_, calls) in made_up::CASES {
        for (line, expected) in *calls {
            let words = made_up::words(line);
            assert_eq!(told(&mut client, &words), *expected, "redis-server: {line}");
        }
    }
}

#[test]
fn every_specification_of_redis_finds_the_keys_that_redis_finds_whatever_the_arguments() {
    let Some((_server, mut client)) = oracle() else {
        return;
    };
    let commands = redis::commands(&mut client);
    assert!(commands.len() > 300, "{}", commands.len());
    let mut random = Random::new(8);
    let mut with_keys = 0;
    for (name, command) in &commands {
        let keys = made_up::of(name).unwrap_or_else(|| command.made_of_what_is_told());
        let told_specs = command.key_specs();
        assert_eq!(
            redis::told(keys),
            told_specs,
            "{name}: made up otherwise than redis-server's"
        );
        let (range, are_others) = keys.plain_range();
        assert_eq!(
            [range.first, range.last, range.step],
            command.plain_range(),
            "{name}"
        );
        assert_eq!(are_others, command.has_flag("movablekeys"), "{name}");
        if !keys.are_any() {
            continue;
        }
        with_keys += 1;
        for _ in 0..CALLS {
            let words = any_call(&mut random, name);
            if command.accepts(words.len()) && !is_beyond_redis(&words) {
                assert_eq!(found(keys, &words), told(&mut client, &words), "{words:?}");
            }
        }
    }
    assert!(with_keys > 150, "{with_keys}");
}

#[test]
fn larder_says_of_its_commands_what_redis_says_of_them() {
    let Some((_server, mut oracle)) = oracle() else {
        return;
    };
    let theirs = redis::commands(&mut oracle);
    let their_docs = redis::docs(&mut oracle);
    let larder = Server::start(&Options::larder(2, IoBackend::under_test()[0])).unwrap();
    let mut larder = connected(&larder);
    let ours = redis::commands(&mut larder);
    let our_docs = redis::docs(&mut larder);
    let mut random = Random::new(9);
    let mut compared = 0;
    for (name, our) in &ours {
        let Some(their) = theirs.get(name) else {
            continue;
        };
        compared += 1;
        if TOLD_OTHERWISE.contains(&name.as_str()) {
            continue;
        }
        assert_eq!(our.described(), their.described_later(), "{name}");
        assert_eq!(our_docs[name], their_docs[name], "COMMAND DOCS {name}");
        for _ in 0..CALLS / 10 {
            let words = any_call(&mut random, name);
            if is_beyond_redis(&words) {
                continue;
            }
            for subcommand in ["GETKEYS", "GETKEYSANDFLAGS"] {
                let answers =
                    [&mut larder, &mut oracle].map(|client| ask(client, subcommand, &words));
                assert_eq!(answers[0], answers[1], "{subcommand} {words:?}");
            }
        }
    }
    assert!(compared > 190, "{compared}");
    // All commands in the table are told of.
    let table = CommandTable::global().iter();
    let all = table.map(|command| 1 + command.subcommands.len()).sum();
    assert_eq!(ours.len(), all);
}
