//! Scripts that reach beyond the keys they declared after they have written: what they did the first time nobody sees or hears
//! of, and what they do in the end happens once.

#![cfg(test)]

use std::collections::BTreeMap;

use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};

fn run(server: &mut Server, client: Client, words: &[&str]) -> String {
    server.send(client, &encode(words))
}

fn encode(words: &[&str]) -> Vec<u8> {
    crate::resp::encode_command(words.iter().map(|word| word.as_bytes()))
}

/// Where the keys that a script declares are: on one core, or on two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declares {
    One,
    Two,
}

/// Three cores: two declared keys, and one that is reached.
struct Keys {
    declares: Declares,
    a: String,
    b: String,
    reached: String,
}

impl Keys {
    /// All ways to lie, seen from a client of core 0.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for first in 0..3u16 {
            for declares in [Declares::One, Declares::Two] {
                let second = match declares {
                    Declares::One => first,
                    Declares::Two => (first + 1) % 3,
                };
                all.push(Self {
                    declares,
                    a: key_on(first, 3, "a"),
                    b: key_on(second, 3, "b"),
                    reached: key_on((first + 2) % 3, 3, "c"),
                });
            }
        }
        all
    }

    /// Runs a script that declares the first two keys and does `body`.
    fn eval(&self, server: &mut Server, client: Client, body: &str) -> String {
        run(
            server,
            client,
            &["EVAL", body, "2", &self.a, &self.b, &self.reached],
        )
    }
}

/// What reaches beyond.
const REACH: &str = "redis.call('GET', ARGV[1])";

/// What the keys hold, their deadlines too.
fn all_of(server: &mut Server, client: Client, keys: &Keys) -> String {
    let mut all = String::new();
    for key in [&keys.a, &keys.b, &keys.reached] {
        for look in ["GET", "PEXPIRETIME"] {
            all += &run(server, client, &[look, key]);
        }
    }
    all + &run(server, client, &["DBSIZE"])
}

#[test]
fn values_deadlines_and_deletions_are_what_they_are_when_it_runs_once() {
    for keys in Keys::all() {
        for body in [
            "c('APPEND', KEYS[1], 'x'), c('APPEND', KEYS[2], 'x')",
            "c('SET', KEYS[1], 'x', 'NX'), c('INCR', KEYS[2])",
            "c('DEL', KEYS[1], KEYS[2]), c('APPEND', KEYS[1], 'x')",
            "c('PERSIST', KEYS[1]), c('PEXPIREAT', KEYS[2], '33333333333333')",
            "c('RENAMENX', KEYS[1], KEYS[2]), c('APPEND', KEYS[2], 'x')",
            "c('RENAME', KEYS[1], KEYS[2]), c('EXISTS', KEYS[1])",
            "c('RENAME', KEYS[2], KEYS[1]), c('COPY', KEYS[1], KEYS[2])",
            "c('UNLINK', KEYS[2]), c('RENAMENX', KEYS[1], KEYS[2]), c('INCR', KEYS[1])",
            "c('MSET', KEYS[1], 'x', KEYS[2], 'y'), c('GETDEL', KEYS[1])",
            "c('SETRANGE', KEYS[1], 99999, 'x'), c('SETBIT', KEYS[2], 7, 1)",
            "c('DEL', KEYS[1]), c('DEL', KEYS[2]), c('MSETNX', KEYS[1], 'x', KEYS[2], 'y')",
            "c('PEXPIRE', KEYS[1], -1), c('GETEX', KEYS[2], 'EXAT', '33333333333')",
        ] {
            let (mut server, mut single) = (Server::new(3), Server::new(1));
            let mut seen = Vec::new();
            for server in [&mut server, &mut single] {
                let client = server.connect(0);
                run(
                    server,
                    client,
                    &["SET", &keys.a, "1", "PXAT", "33333333330000"],
                );
                run(server, client, &["SET", &keys.b, &"2".repeat(5)]);
                run(server, client, &["SET", &keys.reached, "3"]);
                let text = format!(
                    "local c = redis.pcall local done = {{{body}}} \
                     return {{done, redis.call('INCR', ARGV[1])}}"
                );
                let reply = keys.eval(server, client, &text);
                seen.push((reply, all_of(server, client, &keys)));
                server.disconnect(client);
                server.assert_nothing_is_left();
            }
            assert_eq!(seen[0], seen[1], "{:?}: {body}", keys.declares);
        }
    }
}

#[test]
fn a_flush_after_a_write_leaves_nothing_and_happens_once() {
    for keys in Keys::all() {
        let mut server = Server::new(3);
        let client = server.connect(0);
        for flush in ["FLUSHALL", "FLUSHDB"] {
            run(&mut server, client, &["SET", &keys.reached, "x"]);
            let text = format!(
                "local n = redis.call('INCR', KEYS[1]) redis.call('{flush}') \
                 return {{n, redis.call('DBSIZE'), redis.call('INCR', KEYS[1])}}"
            );
            let reply = keys.eval(&mut server, client, &text);
            assert_eq!(reply, "*3\r\n:1\r\n:0\r\n:1\r\n", "{flush}");
            run(&mut server, client, &["DEL", &keys.a]);
        }
    }
}

/// What a subscriber to keyspace events and a channel hears, sorted: between cores there is no order.
fn heard(server: &mut Server, listener: Client) -> Vec<String> {
    let heard = String::from_utf8(server.read_all(listener)).unwrap();
    let mut heard: Vec<String> = heard
        .split("message\r\n")
        .skip(1)
        .map(|message| {
            let lines: Vec<&str> = message.split("\r\n").collect();
            lines.join(" ")
        })
        .map(|message| {
            message
                .split(" *")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .map(|message| message.split(" $8 p").next().unwrap_or_default().to_owned())
        .collect();
    heard.sort();
    heard
}

#[test]
fn events_and_publications_come_once() {
    for keys in Keys::all() {
        let mut expected = Vec::new();
        for cores in [1, 3] {
            let mut server = Server::new(cores);
            let client = server.connect(0);
            run(
                &mut server,
                client,
                &["CONFIG", "SET", "notify-keyspace-events", "KEA"],
            );
            let listeners: Vec<Client> =
                (0..cores).map(|core| server.connect(core.into())).collect();
            for listener in &listeners {
                run(&mut server, *listener, &["PSUBSCRIBE", "__key*", "news"]);
            }
            let text = format!(
                "redis.call('SET', KEYS[1], 1) local n = redis.call('PUBLISH', 'news', KEYS[1]) \
                 redis.call('APPEND', KEYS[2], 2) redis.call('DEL', KEYS[1]) {REACH} \
                 redis.call('SET', ARGV[1], n) redis.call('PUBLISH', 'news', ARGV[1]) return n"
            );
            let reply = keys.eval(&mut server, client, &text);
            assert_eq!(reply, format!(":{cores}\r\n"));
            for listener in listeners {
                let heard = heard(&mut server, listener);
                if cores == 1 {
                    expected = heard;
                    assert!(expected.len() > 8);
                } else {
                    assert_eq!(heard, expected, "{:?}", keys.declares);
                }
            }
        }
    }
}

#[test]
fn a_message_is_counted_and_heard_by_who_publishes_it_to_itself() {
    for keys in Keys::all() {
        let mut server = Server::new(3);
        let client = server.connect(0);
        run(&mut server, client, &["HELLO", "3"]);
        run(&mut server, client, &["SUBSCRIBE", "news"]);
        let text = "redis.call('SET', KEYS[1], 1) return redis.call('PUBLISH', 'news', 'x')";
        let message = ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n";
        for _ in 0..2 {
            let reply = keys.eval(&mut server, client, text);
            assert_eq!(reply, format!(":1\r\n{message}"));
        }
    }
}

/// Runs a script that writes the first key, and that only if the second is not there, which others write when it has been taken
/// back. Whether it found that written in the end: then it has not written the first.
fn is_only_taken_back(
    server: &mut Server,
    client: Client,
    keys: &Keys,
    random: &mut Random,
) -> bool {
    let text = format!(
        "local again = redis.call('GET', KEYS[2]) if not again then redis.call('SET', KEYS[1], 1) end \
         {REACH} return again and 1 or 0"
    );
    let others: Vec<Client> = (0..3).map(|core| server.connect(core)).collect();
    let words = ["EVAL", &text, "2", &keys.a, &keys.b, &keys.reached];
    server.receive(client, &encode(&words));
    while !server.cores[0]
        .state()
        .shared
        .known_scripts
        .any_undeclared()
    {
        server.stir(random);
    }
    for other in others {
        server.receive(other, &encode(&["SET", &keys.b, "1"]));
    }
    match &*server.read_all(client) {
        b":0\r\n" => false,
        b":1\r\n" => true,
        other => panic!("{:?}", String::from_utf8_lossy(other)),
    }
}

/// Clients keep what they read, watch it, or hear of its events.
#[test]
fn nobody_is_told_of_what_was_taken_back_and_no_watch_is_broken_by_it() {
    let mut taken_back = [0; 2];
    for seed in 0..seeds(10) {
        for keys in Keys::all() {
            let mut random = Random(seed);
            let mut server = Server::new(3);
            let client = server.connect(0);
            let events = ["CONFIG", "SET", "notify-keyspace-events", "KA"];
            run(&mut server, client, &events);
            let [reader, watcher, listener] = [0, 1, 2].map(|core| server.connect(core));
            for words in [
                &["HELLO", "3"][..],
                &["CLIENT", "TRACKING", "ON"],
                &["GET", &keys.a],
            ] {
                run(&mut server, reader, words);
            }
            run(&mut server, watcher, &["WATCH", &keys.a]);
            let pattern = format!("__keyspace@0__:{}", keys.a);
            run(&mut server, listener, &["SUBSCRIBE", &pattern]);
            let is_taken_back = is_only_taken_back(&mut server, client, &keys, &mut random);
            taken_back[keys.declares as usize] += usize::from(is_taken_back);
            let told = !server.read_all(reader).is_empty();
            let heard = !server.read_all(listener).is_empty();
            let exec = server.send(watcher, b"MULTI\r\nPING\r\nEXEC\r\n");
            let is_broken = exec.ends_with("*-1\r\n");
            assert_eq!(
                [told, heard, is_broken],
                [!is_taken_back; 3],
                "seed {seed}, {}",
                keys.a
            );
        }
    }
    assert!(taken_back.iter().all(|&times| times > 10), "{taken_back:?}");
}

#[test]
fn what_it_wrote_before_an_error_stays_and_happened_once() {
    for keys in Keys::all() {
        let mut server = Server::new(3);
        let client = server.connect(0);
        let text = format!(
            "redis.call('INCR', KEYS[1]) {REACH} redis.call('INCR', KEYS[2]) error('MEANT')"
        );
        assert!(keys.eval(&mut server, client, &text).contains("MEANT"));
        // And without a reach.
        let text = "redis.call('INCR', KEYS[1]) redis.call('INCR', KEYS[2]) error('MEANT')";
        assert!(keys.eval(&mut server, client, text).contains("MEANT"));
        for key in [&keys.a, &keys.b] {
            assert_eq!(run(&mut server, client, &["GET", key]), "$1\r\n2\r\n");
        }
    }
}

#[test]
fn a_caught_error_does_not_hide_that_it_begins_again() {
    for keys in Keys::all() {
        let mut server = Server::new(3);
        let client = server.connect(0);
        let text = "redis.call('INCR', KEYS[1]) local there = redis.pcall('GET', ARGV[1]) \
                    local ok = pcall(redis.call, 'INCR', ARGV[1]) \
                    return {redis.call('GET', KEYS[1]), redis.call('GET', ARGV[1]), ok}";
        let reply = keys.eval(&mut server, client, text);
        assert_eq!(reply, "*3\r\n$1\r\n1\r\n$1\r\n1\r\n:1\r\n");
    }
}

#[test]
fn functions_and_scripts_inside_exec_begin_again_too() {
    for keys in Keys::all() {
        let mut server = Server::new(3);
        let client = server.connect(0);
        let body = format!(
            "local n = redis.call('INCR', KEYS[1]) {REACH} redis.call('INCR', ARGV[1]) return n"
        );
        let body_of_function = body.replace("KEYS", "keys").replace("ARGV", "args");
        let library = format!(
            "#!lua name=lib\nredis.register_function('f', function(keys, args) {body_of_function} end)"
        );
        run(&mut server, client, &["FUNCTION", "LOAD", &library]);
        let fcall = ["FCALL", "f", "2", &keys.a, &keys.b, &keys.reached];
        assert_eq!(run(&mut server, client, &fcall), ":1\r\n");
        run(&mut server, client, &["MULTI"]);
        run(&mut server, client, &["INCR", &keys.a]);
        keys.eval(&mut server, client, &body);
        assert_eq!(run(&mut server, client, &["EXEC"]), "*2\r\n:2\r\n:3\r\n");
        assert_eq!(
            run(&mut server, client, &["GET", &keys.reached]),
            "$1\r\n2\r\n"
        );
    }
}

#[test]
fn a_client_may_leave_while_its_script_begins_again() {
    for keys in Keys::all() {
        for turns in 0..12 {
            let mut server = Server::new(3);
            let (client, other) = (server.connect(0), server.connect(1));
            let text = format!(
                "redis.call('INCR', KEYS[1]) redis.call('INCR', KEYS[2]) {REACH} redis.call('INCR', ARGV[1])"
            );
            let words = ["EVAL", &text, "2", &keys.a, &keys.b, &keys.reached];
            server.receive(client, &encode(&words));
            server.some_turns(turns);
            server.disconnect(client);
            server.turns();
            let mget = ["MGET", &keys.a, &keys.b, &keys.reached];
            let values = run(&mut server, other, &mget);
            let all = "*3\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n";
            assert!(
                [all, "*3\r\n$-1\r\n$-1\r\n$-1\r\n"].contains(&&*values),
                "{values}"
            );
            server.disconnect(other);
            server.assert_nothing_is_left();
        }
    }
}

/// A script that has written waits in its midst; others go on with keys of the same core, and lose nothing when what it
/// wrote is taken back.
#[test]
fn others_go_on_meanwhile_and_keep_what_they_wrote() {
    for seed in 0..seeds(60) {
        let mut random = Random(seed);
        let all = Keys::all();
        let keys = &all[random.below(all.len())];
        let mut server = Server::new(3);
        let (client, listener) = (server.connect(0), server.connect(1));
        run(&mut server, listener, &["SUBSCRIBE", "news"]);
        let others: Vec<Client> = (0..3).map(|core| server.connect(core)).collect();
        let text = format!(
            "for i = 1, 5 do redis.call('INCR', KEYS[1]) redis.call('PUBLISH', 'news', i) redis.call('INCR', KEYS[2]) end \
             {REACH} redis.call('INCR', ARGV[1])"
        );
        let words = ["EVAL", &text, "2", &keys.a, &keys.b, &keys.reached];
        server.receive(client, &encode(&words));
        let mut written = [0; 3];
        for _ in 0..40 {
            let core = random.below(3);
            let own = key_on(core as u16, 3, "own");
            written[core] += 1;
            server.receive(others[core], &encode(&["INCR", &own]));
            server.stir(&mut random);
        }
        server.turns();
        for key in [&keys.a, &keys.b] {
            assert_eq!(
                run(&mut server, client, &["GET", key]).lines().last(),
                Some("5")
            );
        }
        for (core, written) in written.into_iter().enumerate() {
            server.read_all(others[core]);
            let own = key_on(core as u16, 3, "own");
            let value = run(&mut server, others[core], &["GET", &own]);
            assert_eq!(
                value.lines().last(),
                Some(&*written.to_string()),
                "seed {seed}"
            );
        }
    }
}

/// What it gave a deadline that has passed for others is there to be put back.
#[test]
fn a_key_drawn_by_others_meanwhile_does_not_expire() {
    for seed in 0..seeds(60) {
        let mut random = Random(seed);
        let all = Keys::all();
        let keys = &all[random.below(all.len())];
        let mut server = Server::new(3);
        let client = server.connect(0);
        let others: Vec<Client> = (0..3).map(|core| server.connect(core)).collect();
        let large = "v".repeat(100_000);
        for key in [&keys.a, &keys.b] {
            run(&mut server, client, &["SET", key, &large]);
        }
        let text = format!(
            "redis.call('PEXPIRE', KEYS[1], 2) redis.call('PEXPIRE', KEYS[2], 2) \
             for i = 1, 5 do redis.call('PUBLISH', 'news', i) end {REACH} \
             redis.call('PERSIST', KEYS[1]) redis.call('PERSIST', KEYS[2])"
        );
        let words = ["EVAL", &text, "2", &keys.a, &keys.b, &keys.reached];
        server.receive(client, &encode(&words));
        for _ in 0..60 {
            server.now_ms += 1;
            server.receive(others[random.below(3)], b"RANDOMKEY\r\n");
            server.stir(&mut random);
        }
        server.turns();
        for key in [&keys.a, &keys.b] {
            let ttl = run(&mut server, client, &["PTTL", key]);
            assert_eq!(ttl.lines().last(), Some(":-1"), "seed {seed}");
        }
    }
}

#[test]
fn a_script_that_would_hold_much_back_begins_again_without_a_log() {
    // What it calls by another name its text does not show: it may begin again.
    let name = "KEYS[1] .. string.rep('k', 1000000) .. i";
    for (body, commands) in [
        (format!("redis.call('SET', {name}, i)"), 80),
        (
            "redis.call('SET', KEYS[2], string.rep('v', 1000000) .. i)".into(),
            80,
        ),
        (
            "redis.call('PUBLISH', 'news', string.rep('m', 1000000) .. i)".into(),
            80,
        ),
        ("redis.call('SET', KEYS[2], i)".into(), 1000),
    ] {
        let [a, b] = [0, 1].map(|core| key_on(core, 3, "k"));
        let unlimited = ("client-output-buffer-limit", "pubsub 0 0 0");
        // On a slow machine it must not become busy, which makes it begin again for another reason.
        let patient = ("busy-reply-threshold", "0");
        let mut server = Server::configured(3, &[unlimited, patient]);
        let is_two = body.contains("KEYS[2]");
        let (client, listener) = (server.connect(0), server.connect(1));
        run(&mut server, listener, &["SUBSCRIBE", "news"]);
        let text = format!(
            "local call = redis.call call('INCR', KEYS[1]) for i = 1, {commands} do {body} end return call('GET', KEYS[1])"
        );
        let number = if is_two { "2" } else { "1" };
        let words = ["EVAL", &text, number, &a, &b];
        assert_eq!(run(&mut server, client, &words), "$1\r\n1\r\n", "{body}");
        let has_begun_again = server.cores[0]
            .state()
            .shared
            .known_scripts
            .any_undeclared();
        assert_eq!(has_begun_again, commands == 80, "{body}");
        let heard = server
            .read_all(listener)
            .iter()
            .filter(|byte| **byte == b'>' || **byte == b'*')
            .count();
        assert_eq!(
            heard,
            if body.contains("PUBLISH") {
                commands
            } else {
                0
            },
            "{body}"
        );
    }
}

/// What a server has counted, on all cores together: by command its calls, those refused and those that failed; errors by
/// code; commands; lookups that found and that did not; and entries expired.
#[derive(Debug, Default, PartialEq)]
struct Counted {
    by_command: BTreeMap<&'static str, [u64; 3]>,
    errors: BTreeMap<String, u64>,
    lookups: [u64; 2],
    expired: u64,
    slow: BTreeMap<String, usize>,
    shown: usize,
}

fn counted(server: &mut Server, names: &[&'static str]) -> Counted {
    let mut counted = Counted::default();
    for core in &mut server.cores {
        let state = core.state();
        for name in names {
            let command = state.commands.find(name.as_bytes()).expect("it is one");
            let stats = &state.stats.by_command[command.id.index()];
            let sums = counted.by_command.entry(name).or_default();
            for (sum, add) in sums
                .iter_mut()
                .zip([stats.calls, stats.rejected, stats.failed])
            {
                *sum += add;
            }
        }
        for (code, count) in state.stats.errors.iter() {
            *counted.errors.entry(code.to_string()).or_default() += count;
        }
        counted.lookups[0] += state.stats.lookups.all().hits;
        counted.lookups[1] += state.stats.lookups.all().misses;
        counted.expired += state.shard.expired_total();
    }
    counted
}

#[test]
fn what_was_taken_back_is_counted_once() {
    const NAMES: [&str; 9] = [
        "eval", "set", "get", "incr", "append", "exists", "rename", "mget", "lcs",
    ];
    let body = "local c = redis.pcall c('SET', KEYS[1], 'x') c('GET', KEYS[1]) c('GET', KEYS[2]) \
                c('INCR', KEYS[1]) c('GET') c('NONE') c('EXISTS', KEYS[2]) c('APPEND', KEYS[1], 'x') \
                c('INCR', KEYS[2]) c('GET', KEYS[2]) c('SET', KEYS[2], 'x') c('GETRANGE', KEYS[2], 0) c('INCR', KEYS[2]) \
                c('MGET', KEYS[1], KEYS[2], KEYS[1]) c('LCS', KEYS[1], KEYS[2]) c('DEL', KEYS[2]) c('RENAME', KEYS[2], KEYS[1])";
    for keys in Keys::all() {
        let mut seen = Vec::new();
        for cores in [1, 3] {
            let mut server = Server::configured(cores, &[("slowlog-log-slower-than", "0")]);
            let (client, monitor) = (server.connect(0), server.connect(0));
            run(&mut server, client, &["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
            run(&mut server, client, &["SET", &keys.b, "x", "PX", "5"]);
            server.advance(10);
            server.send(monitor, b"MONITOR\r\n");
            let text = format!("{body} {REACH} return c('GET', KEYS[1])");
            assert_eq!(keys.eval(&mut server, client, &text), "$2\r\nxx\r\n");
            let mut counted = counted(&mut server, &NAMES);
            let shown = String::from_utf8(server.read_all(monitor)).unwrap();
            counted.shown = shown.lines().filter(|line| line.contains(" lua] ")).count();
            let log = run(&mut server, client, &["SLOWLOG", "GET", "100"]);
            for name in ["SET", "GET", "INCR", "APPEND", "EXISTS"] {
                let line = format!("${}\r\n{name}\r\n", name.len());
                counted
                    .slow
                    .insert(name.to_owned(), log.matches(&line).count());
            }
            seen.push(counted);
        }
        assert_eq!(seen[1], seen[0], "{}", keys.a);
    }
}

#[test]
fn a_script_that_has_written_and_runs_long_begins_again_from_its_midst() {
    for keys in Keys::all() {
        let mut server = Server::configured(3, &[("busy-reply-threshold", "1")]);
        let (client, other) = (server.connect(0), server.connect(1));
        let text = format!(
            "redis.call('INCR', KEYS[1]) redis.call('INCR', KEYS[2]) for i = 1, 2e6 do end \
             {REACH} return redis.call('INCR', ARGV[1])"
        );
        let mut reply = keys.eval(&mut server, client, &text);
        while reply.is_empty() {
            reply = server.send(client, b"");
        }
        assert_eq!(reply, ":1\r\n");
        for key in [&keys.a, &keys.b] {
            assert_eq!(run(&mut server, other, &["GET", key]), "$1\r\n1\r\n");
        }
        server.disconnect(client);
        server.disconnect(other);
        server.assert_nothing_is_left();
    }
}
