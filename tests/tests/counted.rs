//! What commands count as: changes (`rdb_changes_since_last_save`), hits and misses of keys, and which keys they touch, so that a
//! `WATCH` breaks though nothing changed.
//!
//! `tests/counts/` has a line for each case, as redis-server 8.6.3 counts:
//!
//! ```text
//! SET S x; EXPIRE S 9 => GETEX S PERSIST | changes 1, hits 0, misses 0, touches S
//! └─ what is there       └─ the command    └─ what it counts as; a watch of each key begins before it
//! ```
//! Words of one capital letter are keys, which on several cores live on different ones. `SLEEP` lets deadlines of a millisecond pass. Behind
//! another bar stands what Larder counts where that is something else, and why.
//!
//! Larder is held to these lines, and so is the redis-server of `PATH`, or of `LARDER_COUNTS_REFERENCE`, for commands that it has.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use larder_tests::client::Client;
use larder_tests::placed::key_on;
use larder_tests::quoting;
use larder_tests::resp::{Reply, encode};
use larder_tests::server::{IoBackend, Options, Server};
use larder_tests::tools;

const FILES: [&str; 8] = [
    "strings.txt",
    "hyperloglogs.txt",
    "hashes.txt",
    "lists.txt",
    "sets.txt",
    "sorted_sets.txt",
    "streams.txt",
    "keys.txt",
];

const INFO: &str = "INFO stats persistence";

/// How long deadlines of a millisecond are given to pass.
const PASSING: Duration = Duration::from_millis(4);

/// A line of a file.
struct Case {
    text: String,
    setup: Vec<String>,
    commands: Vec<String>,
    /// What it counts as.
    redis: String,
    larder: String,
}

impl Case {
    fn parse(line: &str) -> Self {
        let mut parts = line.split(" | ");
        let text = parts.next().unwrap();
        let redis = parts.next().unwrap_or_else(|| panic!("{line}"));
        let larder = parts.next().map_or(redis, |differs| {
            let (larder, why) = differs.split_once(": ").unwrap_or_else(|| panic!("{line}"));
            assert!(!why.is_empty(), "{line}");
            larder
                .strip_prefix("here ")
                .unwrap_or_else(|| panic!("{line}"))
        });
        let (setup, commands) = text.split_once("=> ").unwrap_or_else(|| panic!("{line}"));
        let lines = |text: &str| text.split("; ").map(str::trim).map(str::to_owned).collect();
        Self {
            text: text.to_owned(),
            setup: match setup.trim() {
                "" => Vec::new(),
                setup => lines(setup),
            },
            commands: lines(commands),
            redis: redis.to_owned(),
            larder: larder.to_owned(),
        }
    }

    /// The keys it names, by their letters.
    fn keys(&self) -> BTreeSet<String> {
        let lines = self.setup.iter().chain(&self.commands);
        let words = lines.flat_map(|line| words_of(line));
        words.filter(|word| is_key(word)).collect()
    }
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("counts");
    let texts = FILES.map(|file| std::fs::read_to_string(folder.join(file)).unwrap());
    let lines = texts.iter().flat_map(|text| text.lines());
    lines.map(Case::parse).collect()
}

fn words_of(line: &str) -> Vec<String> {
    let words = quoting::split(line).unwrap().into_iter();
    words.map(|word| String::from_utf8(word).unwrap()).collect()
}

fn is_key(word: &str) -> bool {
    word.len() == 1 && word.bytes().all(|letter| letter.is_ascii_uppercase())
}

/// A server, a client that counts, and those who watch.
struct Stage {
    _server: Server,
    client: Client,
    watchers: Vec<Client>,
    /// The keys, by their letters.
    named: HashMap<String, String>,
}

impl Stage {
    fn new(options: &Options, cores: u16) -> Self {
        let server = Server::start(options).unwrap();
        let name = |letter: char| {
            let core = letter as u16 % cores;
            (letter.to_string(), key_on(core, cores, &letter.to_string()))
        };
        let watchers = (0..26).map(|_| server.connect().unwrap()).collect();
        let client = server.connect().unwrap();
        Self {
            _server: server,
            client,
            watchers,
            named: ('A'..='Z').map(name).collect(),
        }
    }

    /// Sends lines at once and reads the replies.
    fn run(&mut self, lines: &[&str]) -> Vec<Reply> {
        let mut bytes = Vec::new();
        for line in lines {
            let words = words_of(line).into_iter();
            let words = words.map(|word| self.named.get(&word).cloned().unwrap_or(word));
            bytes.extend(encode(&words.collect::<Vec<String>>()));
        }
        self.client.send_raw(&bytes).unwrap();
        lines.iter().map(|_| self.client.read().unwrap()).collect()
    }

    fn counters(&mut self) -> [i64; 3] {
        let info = self.client.run(INFO).unwrap().to_text();
        [
            "rdb_changes_since_last_save",
            "keyspace_hits",
            "keyspace_misses",
        ]
        .map(|name| {
            let mut lines = info.lines();
            let field = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            field.unwrap().trim().parse().unwrap()
        })
    }

    /// What a case counts as; `None`: the server has not got a command of it.
    fn count(&mut self, case: &Case) -> Option<String> {
        self.run(&["FLUSHALL", "SELECT 0"]);
        for lines in case.setup.split(|line| line == "SLEEP") {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let replies = self.run(&lines);
            if replies.iter().any(is_unknown) {
                return None;
            }
            let failed = replies.iter().find(|it| matches!(it, Reply::Error(_)));
            assert_eq!(failed, None, "{}", case.text);
            if lines.len() < case.setup.len() {
                thread::sleep(PASSING);
            }
        }
        let keys: Vec<String> = case.keys().into_iter().collect();
        let named: Vec<String> = keys.iter().map(|it| self.named[it].clone()).collect();
        let watchers = &mut self.watchers[..keys.len()];
        for (watcher, key) in watchers.iter_mut().zip(&named) {
            watcher.send(&["WATCH", key]).unwrap();
        }
        for watcher in watchers {
            watcher.read().unwrap();
        }
        let before = self.counters();
        let lines: Vec<&str> = case.commands.iter().map(String::as_str).collect();
        let replies = self.run(&lines);
        let after = self.counters();
        let watchers = &mut self.watchers[..keys.len()];
        for watcher in watchers.iter_mut() {
            watcher.send(&["MULTI"]).unwrap();
            watcher.send(&["EXEC"]).unwrap();
        }
        let mut touched = String::new();
        for (watcher, letter) in watchers.iter_mut().zip(&keys) {
            watcher.read().unwrap();
            if watcher.read().unwrap() == Reply::NullArray {
                touched.push_str(letter);
            }
        }
        if replies.iter().any(is_unknown) {
            return None;
        }
        let [changes, hits, misses] = std::array::from_fn(|at| after[at] - before[at]);
        let touched = if touched.is_empty() {
            "nothing"
        } else {
            &touched
        };
        Some(format!(
            "changes {changes}, hits {hits}, misses {misses}, touches {touched}"
        ))
    }
}

/// Whether the server has not got the command, or this option of it.
fn is_unknown(reply: &Reply) -> bool {
    match reply {
        Reply::Error(text) => [
            &b"ERR unknown command"[..],
            b"ERR syntax error",
            // An option that comes before an id is taken for one.
            b"ERR Invalid stream ID specified",
        ]
        .iter()
        .any(|start| text.starts_with(start)),
        _ => false,
    }
}

fn assert_counts(options: &Options, cores: u16, expected: impl Fn(&Case) -> &str) {
    let mut stage = Stage::new(options, cores);
    let mut counted = 0;
    let mut faults = Vec::new();
    // On several cores, cases of one key are what they are on one.
    let cases = cases().into_iter();
    let cases = cases.filter(|case| cores == 1 || case.keys().len() != 1);
    for case in cases {
        let Some(counts) = stage.count(&case) else {
            assert!(options.is_redis(), "{}", case.text);
            continue;
        };
        counted += 1;
        if counts != expected(&case) {
            faults.push(format!("{}| {counts}, not {}", case.text, expected(&case)));
        }
    }
    assert!(counted > 100, "{counted} cases are known");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_redis_server_counts_as_the_lines_say() {
    let path = std::env::var("LARDER_COUNTS_REFERENCE").map(PathBuf::from);
    let Some(path) = path.ok().or_else(|| tools::oracle_or_skip().unwrap()) else {
        return;
    };
    assert_counts(&Options::redis(path), 1, |case| &case.redis);
}

#[test]
fn larder_counts_as_redis_does_whatever_the_number_of_cores() {
    for cores in [1, 2] {
        let options = Options::larder(cores.into(), IoBackend::under_test()[0]);
        assert_counts(&options, cores, |case| &case.larder);
    }
}
