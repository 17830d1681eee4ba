//! Keyspace events, side by side with redis-server: what a subscriber on each core hears of a client's commands is what Redis's
//! subscriber hears, in the same order, whichever cores the keys live on.
#![allow(clippy::unwrap_used)]

use larder_tests::client::Client;
use larder_tests::placed::key_on;
use larder_tests::resp::{Reply, encode};
use larder_tests::server::{IoBackend, Options, Server};
use larder_tests::tools;

/// Keys in the commands below: `0a` is one of core 0, `1b` another of core 1; numbers go round the cores.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Commands, each sent when the one before is answered.
const DIALOGUE: &[&str] = &[
    "SET 1a v",
    "SET 0a v",
    "RENAME 1a 0b",
    "RENAME 0b 1a",
    "RENAME 1a 0a",
    "RENAME none 0a",
    "RENAMENX 0a 1b",
    "SET 0a w",
    "RENAMENX 0a 1b",
    "COPY 1b 0c",
    "COPY 1b 0c REPLACE",
    "MSET 1a 1 0a 1 1c 1 0c 1 2a 1 3a 1",
    "MSET 1a 2 0a 2 1a 3",
    "MSETNX 1a 1 0b 1",
    "DEL 1a 0a 1c none 0c",
    "UNLINK 3a 2a 1b",
    "MSETNX 1a 1 0b 1 3c 1",
    "MSETNX 3b 1 2b 1 1b 1 0c 1",
    "DEL 3c 1b 0b 1a 2b 0c",
    "MGET 1a 3b 0a",
    "EXISTS 1a 0a",
    "MULTI",
    "SET 1a 5",
    "SET 0a 5",
    "INCR 1a",
    "EXPIRE 0a 100",
    "DEL 1a 0a",
    "EXEC",
    "MULTI",
    "SET 1a 5",
    "SET 0a 5",
    "INCR 1a",
    "APPEND 0a x",
    "EXEC",
    "MULTI",
    "RENAME 1a 0b",
    "MSET 3a 1 2a 1 1a 1",
    "DEL 0a 1a",
    "SET 1a 1",
    "SET 0a 1",
    "EXEC",
    "WATCH 1a 0a",
    "MULTI",
    "SET 1a 2",
    "SET 0a 2",
    "SET 3a 2",
    "EXEC",
    "WATCH 1a",
    "SET 1a 3",
    "MULTI",
    "SET 0a 2",
    "EXEC",
    "MULTI",
    "SET 1a 2",
    "APPEND 1a x",
    "EXEC",
    "BITOP AND 0c 1a 0a",
    "SETRANGE 2a 3 x",
    "MSET 0a 1 1a 1",
    "EXPIRE 0a -1",
    "MSETEX 2 1a v 0a v",
    "MOVE 1a 1",
    "MOVE 0a 1",
    "SELECT 1",
    "MSET 1b 1 0b 1",
    "RENAME 1a 0a",
    "SELECT 0",
    "EVAL \"for i = 1, #KEYS do redis.call('SET', KEYS[i], i) end\" 4 1a 0a 3a 2a",
    "EVAL \"redis.call('MSET', KEYS[1], 1, KEYS[2], 1) redis.call('DEL', KEYS[2], KEYS[1])\" 2 1a 0a",
    "EVAL \"redis.call('SET', ARGV[1], 1) redis.call('SET', ARGV[2], 1) redis.call('DEL', ARGV[1])\" 0 1a 0a",
    "EVAL \"redis.call('SET', ARGV[1], 1) redis.call('SET', ARGV[2], 1) redis.call('DEL', ARGV[1])\" 0 1a 0a",
    "MULTI",
    "EVAL \"for i = 1, #KEYS do redis.call('SET', KEYS[i], i) end\" 2 1a 0a",
    "SET 1a 1",
    "SET 0a 1",
    "EVAL \"for i = 1, #KEYS do redis.call('SET', KEYS[i], i) end\" 2 0a 1a",
    "EXEC",
    "PUBLISH news 1",
    "MULTI",
    "SET 1a 1",
    "PUBLISH news 2",
    "SET 0a 1",
    "EXEC",
    "MULTI",
    "SET 1a 1",
    "PUBLISH news 3",
    "APPEND 1a 1",
    "EXEC",
    "EVAL \"redis.call('SET', KEYS[1], 1) redis.call('PUBLISH', 'news', 4)\" 1 1a",
    "EVAL \"redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1) redis.call('PUBLISH', 'news', 5)\" 2 1a 0a",
    "FLUSHALL",
    "SET 0a 1",
    "RENAME 0a 1a",
];

/// The key of a name on a server of so many cores, if it is one.
fn key(name: &str, cores: u16) -> Option<String> {
    let (core, which) = name.split_at_checked(1)?;
    let core: u16 = core.parse().ok()?;
    NAMES
        .contains(&which)
        .then(|| key_on(core % cores, cores, name))
}

/// A command with its keys.
fn words(line: &str, cores: u16) -> Vec<String> {
    let words = larder_tests::quoting::split(line).unwrap().into_iter();
    let words = words.map(|word| String::from_utf8(word.to_vec()).unwrap());
    words
        .map(|word| key(&word, cores).unwrap_or(word))
        .collect()
}

/// A server that tells of all events, and subscribers on its cores.
struct Stage {
    server: Server,
    client: Client,
    /// Ends what the others hear.
    other: Client,
    subscribers: Vec<Client>,
}

impl Stage {
    fn new(options: Options, events: &str) -> Self {
        let options = options.directive("notify-keyspace-events", events);
        let server = Server::start(&options).unwrap();
        // Connections are spread over the cores.
        let connect = |_| {
            let mut client = server.connect().unwrap();
            client.run("PSUBSCRIBE *").unwrap();
            client
        };
        Self {
            client: server.connect().unwrap(),
            other: server.connect().unwrap(),
            subscribers: (0..8).map(connect).collect(),
            server,
        }
    }

    /// What each subscriber hears of commands that have been answered.
    fn heard(&mut self) -> Vec<Vec<String>> {
        self.other.run("SET end 1").unwrap();
        let each = self.subscribers.iter_mut().map(|subscriber| {
            let mut heard = Vec::new();
            loop {
                let Reply::Array(words) = subscriber.read().unwrap() else {
                    panic!("a message is an array");
                };
                match (&*words[2].to_text(), &*words[3].to_text()) {
                    ("__keyevent@0__:set", "end") => return heard,
                    ("__keyspace@0__:end", _) | (_, "end") => {}
                    (channel, message) => heard.push(format!("{channel} {message}")),
                }
            }
        });
        each.collect()
    }

    /// What each subscriber hears of each of these commands; those that come together are sent so.
    fn play(&mut self, commands: &[Vec<Vec<String>>]) -> Vec<Vec<Vec<String>>> {
        let each = commands.iter().map(|pipeline| {
            let bytes: Vec<u8> = pipeline.iter().flat_map(|words| encode(words)).collect();
            self.client.send_raw(&bytes).unwrap();
            for _ in pipeline {
                self.client.read().unwrap();
            }
            self.heard()
        });
        each.collect()
    }
}

/// Plays commands on redis-server, and on Larder.
fn compare(events: &str, commands: impl Fn(u16) -> Vec<Vec<Vec<String>>>, enough: usize) {
    let Some(program) = tools::find_or_skip("redis-server") else {
        return;
    };
    let mut faults = Vec::new();
    for cores in [1, 2, 4] {
        let mut redis = Stage::new(Options::redis(program.clone()), events);
        let mut commands = commands(cores);
        commands.retain(|pipeline| {
            let mut names = pipeline.iter().map(|words| &words[0]);
            names.all(|name| redis.other.knows_command(name).unwrap())
        });
        let expected = redis.play(&commands);
        let with_events = expected.iter().filter(|each| !each[0].is_empty());
        assert!(with_events.count() >= enough, "something happens");
        for backend in IoBackend::under_test() {
            let mut larder = Stage::new(Options::larder(cores.into(), backend), events);
            let heard = larder.play(&commands);
            for ((commands, heard), expected) in commands.iter().zip(heard).zip(&expected) {
                if let Some(heard) = heard.iter().find(|heard| **heard != expected[0]) {
                    let label = larder.server.label();
                    faults.push(format!(
                        "{label}: {commands:?}\n  {heard:?}\n  {:?}",
                        expected[0]
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn events_of_a_command_come_in_the_order_in_which_redis_tells_of_them() {
    let commands = |cores| {
        let dialogue = DIALOGUE.iter();
        dialogue.map(|line| vec![words(line, cores)]).collect()
    };
    compare("KEAmn", commands, 35);
}

/// Commands that come together.
const PIPELINES: &[&str] = &[
    "SET 1a v|SET 0a v|SET 1b v|SET 0b v|SET 1a w|SET 3a v|SET 2a v",
    "SET 0a v|SET 1a v|SET 0b v",
    "MSET 1a 1 0a 1|SET 1b 1|SET 0b 1|RENAME 1a 0c|DEL 0b 1b|SET 1a 1",
    "RENAME 0c 1c|SET 0a 1|MULTI|SET 1a 1|SET 0b 1|EXEC|SET 1b 1",
    "MULTI|SET 1a 1|APPEND 1a 1|EXEC|SET 0b 1|MULTI|SET 0a 1|SET 0b 1|EXEC|SET 1b 1",
    "SET 1a 1|PUBLISH news 1|SET 0a 1|PUBLISH news 2|MGET 1a none 0a nor|GET never|SET 1b 1",
    "SET 1a 1|GET none|GET 0a|SET 1b 1|APPEND 0a x|INCR 1b|INCR 2b|INCR 3b",
    "EVAL \"for i = 1, #KEYS do redis.call('SET', KEYS[i], i) end\" 2 1a 0a|SET 1b 1|SET 0b 1",
    "EVAL \"redis.call('SET', KEYS[1], 1)\" 1 1a|SET 0b 1|EVAL \"redis.call('SET', KEYS[1], 1)\" 1 0a|SET 1b 1",
];

#[test]
fn events_of_a_pipeline_come_in_the_order_of_its_commands() {
    let commands = |cores| {
        let again = PIPELINES.iter().cycle().take(4 * PIPELINES.len());
        again
            .map(|pipeline| pipeline.split('|').map(|line| words(line, cores)).collect())
            .collect()
    };
    compare("KEAn", commands, 4 * PIPELINES.len());
}
