//! Scripts whose keys live on several cores, whatever they declared: each does all of what it does at one moment and once, and
//! none fails for where its keys live.
//!
//! `LARDER_SCRIPT_CALLS` sets how many calls are made on each server (600 without it).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder_tests::Outcome;
use larder_tests::checks::{on_larder, on_redis};
use larder_tests::client::Client;
use larder_tests::placed::key_on;
use larder_tests::random::Random;
use larder_tests::resp::{Reply, encode};
use larder_tests::server::{IoBackend, Options, Server};

fn calls() -> usize {
    std::env::var("LARDER_SCRIPT_CALLS").map_or(600, |count| count.parse().unwrap())
}

// ---- counters in pairs, which are only ever counted up together ------------------------------------------------------

/// What a script that counts declares of its two keys, and where it finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declared {
    Both,
    First,
    Second,
    Neither,
    /// The first; and it takes its arguments off the tables, which are to be whole again if it has to begin again.
    FirstAndTakesThem,
}

/// How it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// With a text that nobody has sent before.
    FirstEval,
    /// With a text that all clients send.
    Eval,
    /// By the hash of a text that was loaded and never run.
    FirstSha,
    Function,
    /// A text that nobody has sent before, behind a command on the second key.
    FirstInMulti,
    InMulti,
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Counts,
    /// It would see errors, and not fail by them.
    CountsGuarded,
    ReadsSecondBefore,
    /// Some writes before it reaches for the second key.
    WritesMuchBefore,
    /// An error of its own when all is done; what it wrote stays.
    FailsAtTheEnd,
}

const DECLARED: [Declared; 5] = [
    Declared::Both,
    Declared::First,
    Declared::Second,
    Declared::Neither,
    Declared::FirstAndTakesThem,
];
const WAYS: [Way; 6] = [
    Way::FirstEval,
    Way::Eval,
    Way::FirstSha,
    Way::Function,
    Way::FirstInMulti,
    Way::InMulti,
];
const DEEDS: [Deed; 5] = [
    Deed::Counts,
    Deed::CountsGuarded,
    Deed::ReadsSecondBefore,
    Deed::WritesMuchBefore,
    Deed::FailsAtTheEnd,
];

#[derive(Debug, Clone, Copy)]
struct Form {
    declared: Declared,
    way: Way,
    deed: Deed,
}

impl Form {
    fn any(random: &mut Random) -> Self {
        Self {
            declared: DECLARED[random.below(DECLARED.len())],
            way: WAYS[random.below(WAYS.len())],
            deed: DEEDS[random.below(DEEDS.len())],
        }
    }

    fn body(self) -> String {
        let keys = match self.declared {
            Declared::Both => "KEYS[1], KEYS[2]",
            Declared::First => "KEYS[1], ARGV[1]",
            Declared::Second => "ARGV[1], KEYS[1]",
            Declared::Neither => "ARGV[1], ARGV[2]",
            Declared::FirstAndTakesThem => "table.remove(KEYS), table.remove(ARGV)",
        };
        let deed = match self.deed {
            Deed::Counts => "return {redis.call('INCR', first), redis.call('INCR', second)}",
            Deed::CountsGuarded => {
                "return {redis.pcall('INCR', first), redis.pcall('INCR', second)}"
            }
            Deed::ReadsSecondBefore => {
                "local was = tonumber(redis.call('GET', second) or '0') \
                 local seen = redis.call('INCR', first) \
                 redis.call('INCR', second) \
                 return {seen, was + 1}"
            }
            Deed::WritesMuchBefore => {
                "local log = '{' .. first .. '}:log' \
                 for _ = 1, 10 do redis.call('INCR', log) end \
                 redis.call('SET', log .. ':2', 'x', 'EX', 100) \
                 redis.call('RENAME', log .. ':2', log .. ':3') \
                 redis.call('DEL', log .. ':3') \
                 return {redis.call('INCR', first), redis.call('INCR', second)}"
            }
            Deed::FailsAtTheEnd => {
                "redis.call('INCR', first) redis.call('INCR', second) \
                 return redis.error_reply('MEANT to fail')"
            }
        };
        format!("local first, second = {keys} {deed}")
    }

    fn function_name(self) -> String {
        format!("f_{:?}_{:?}", self.declared, self.deed)
    }

    /// Runs it and gives its reply. `used_once` stands in the text of this call only.
    fn run(self, client: &mut Client, pair: &Pair, used_once: &str) -> Outcome<Reply> {
        let (first, second) = (pair.first.as_str(), pair.second.as_str());
        let operands: &[&str] = match self.declared {
            Declared::Both => &["2", first, second],
            Declared::First | Declared::FirstAndTakesThem => &["1", first, second],
            Declared::Second => &["1", second, first],
            Declared::Neither => &["0", first, second],
        };
        let body = self.body();
        let (name, what) = match self.way {
            Way::Eval | Way::InMulti => ("EVAL", body),
            Way::FirstEval | Way::FirstInMulti => ("EVAL", format!("{body} -- {used_once}")),
            Way::Function => ("FCALL", self.function_name()),
            Way::FirstSha => {
                let text = format!("{body} -- {used_once}");
                let sha = client.call(&["SCRIPT", "LOAD", &text])?;
                ("EVALSHA", sha.to_text())
            }
        };
        let mut args = vec![name, &what];
        args.extend(operands);
        if ![Way::FirstInMulti, Way::InMulti].contains(&self.way) {
            return client.call(&args);
        }
        let commands = [encode(&["MULTI"]), encode(&["GET", second]), encode(&args)];
        client.send_raw(&commands.concat())?;
        client.send(&["EXEC"])?;
        for _ in 0..3 {
            client.read()?;
        }
        match client.read()? {
            Reply::Array(mut results) if results.len() == 2 => Ok(results.remove(1)),
            other => Err(format!("EXEC: {:?}", other.lines())),
        }
    }
}

/// Loads every form as a function of one library.
fn load_functions(client: &mut Client) {
    let mut library = "#!lua name=forms\n".to_owned();
    for declared in DECLARED {
        for deed in DEEDS {
            let way = Way::Function;
            let form = Form {
                declared,
                way,
                deed,
            };
            let (name, body) = (form.function_name(), form.body());
            library +=
                &format!("redis.register_function('{name}', function(KEYS, ARGV) {body} end)\n");
        }
    }
    let reply = client.call(&["FUNCTION", "LOAD", &library]);
    assert_eq!(reply.unwrap(), Reply::Bulk("forms".into()));
}

/// Two counters on two cores that are only ever counted up together, and what is known of them.
#[derive(Debug)]
struct Pair {
    first: String,
    second: String,
    counted: AtomicUsize,
    /// By scripts that write before they reach for the second key.
    logged: AtomicUsize,
    /// What replies said that they have become.
    seen: Mutex<Vec<i64>>,
}

impl Pair {
    fn new(first: &str, second: &str) -> Self {
        Self {
            first: first.into(),
            second: second.into(),
            counted: AtomicUsize::new(0),
            logged: AtomicUsize::new(0),
            seen: Mutex::new(Vec::new()),
        }
    }

    fn log(&self) -> String {
        format!("{{{}}}:log", self.first)
    }
}

/// Pairs of neighbouring cores, each in both directions with the same keys.
fn pairs(cores: u16) -> Vec<[Pair; 2]> {
    (0..cores)
        .map(|core| {
            let here = key_on(core, cores, &format!("counter:{core}:a"));
            let there = key_on((core + 1) % cores, cores, &format!("counter:{core}:b"));
            [Pair::new(&here, &there), Pair::new(&there, &here)]
        })
        .collect()
}

const CLIENTS: usize = 6;

/// What went wrong.
#[derive(Default)]
struct Faults(Mutex<Vec<String>>);

impl Faults {
    fn note(&self, fault: String) {
        self.0.lock().unwrap().push(fault);
    }

    /// Prints how many, and fails for them with some of them. Where a script was refused half-way, others may come of it.
    fn end(self, server: &Server, of: &str) -> Outcome<()> {
        let faults = self.0.into_inner().unwrap();
        let refused = faults.iter().filter(|fault| fault.contains("-ERR")).count();
        let count = faults.len();
        let finding = format!("{count} faults in {of}, {refused} of them errors");
        println!("{}: {finding}", server.label());
        if faults.is_empty() {
            return Ok(());
        }
        let some = faults[..count.min(8)].join("\n  ");
        Err(format!("{finding}:\n  {some}"))
    }
}

fn counters_count_right(server: &Server, cores: u16) -> Outcome<()> {
    load_functions(&mut server.connect()?);
    let pairs = pairs(cores);
    let (left, faults, is_over) = (
        AtomicUsize::new(calls()),
        Faults::default(),
        AtomicBool::new(false),
    );
    let count_up = |number: usize| {
        let mut client = server.connect().unwrap();
        let mut random = Random::new(number as u64);
        for call in 0.. {
            if left.fetch_sub(1, Ordering::Relaxed) as isize <= 0 {
                return;
            }
            let form = Form::any(&mut random);
            let pair = &pairs[random.below(pairs.len())][random.below(2)];
            let reply = form.run(&mut client, pair, &format!("{number}.{call}"));
            match (reply.unwrap(), form.deed) {
                (Reply::Error(text), Deed::FailsAtTheEnd) if text.starts_with(b"MEANT") => {}
                (Reply::Array(two), deed) if deed != Deed::FailsAtTheEnd => {
                    let [Reply::Integer(first), Reply::Integer(second)] = two[..] else {
                        let lines = Reply::Array(two).lines();
                        faults.note(format!("{form:?}: {}", lines.join(" ")));
                        continue;
                    };
                    if first != second {
                        faults.note(format!("{form:?}: {first} and {second}"));
                    }
                    pair.seen.lock().unwrap().push(first);
                }
                (other, _) => {
                    faults.note(format!("{form:?}: {}", other.lines().join(" ")));
                    continue;
                }
            }
            pair.counted.fetch_add(1, Ordering::Relaxed);
            if form.deed == Deed::WritesMuchBefore {
                pair.logged.fetch_add(10, Ordering::Relaxed);
            }
        }
    };
    let observe = || {
        let mut client = server.connect().unwrap();
        let both = "return redis.call('MGET', KEYS[1], ARGV[1])";
        for turn in 0.. {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let Pair { first, second, .. } = &pairs[turn % pairs.len()][turn / 2 % 2];
            let reply = match turn % 3 {
                0 => client.call(&["MGET", first, second]),
                1 => client.call(&["EVAL", both, "1", first, second]),
                _ => {
                    let gets = [first, second].map(|key| encode(&["GET", key])).concat();
                    let multi = [encode(&["MULTI"]), gets, encode(&["EXEC"])].concat();
                    client.send_raw(&multi).unwrap();
                    (0..3).for_each(|_| drop(client.read().unwrap()));
                    client.read()
                }
            };
            match reply.unwrap() {
                Reply::Array(two) if two.len() == 2 && two[0] == two[1] => {}
                other => faults.note(format!("an observer: {}", other.lines().join(" "))),
            }
        }
    };
    std::thread::scope(|scope| {
        let counting: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || count_up(number)))
            .collect();
        scope.spawn(observe);
        let ends: Vec<_> = counting.into_iter().map(|client| client.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        ends.into_iter().for_each(|end| end.unwrap());
    });
    let mut client = server.connect()?;
    for of_keys in &pairs {
        let counted: usize = of_keys
            .iter()
            .map(|pair| pair.counted.load(Ordering::Relaxed))
            .sum();
        let seen: Vec<i64> = of_keys
            .iter()
            .flat_map(|pair| pair.seen.lock().unwrap().clone())
            .collect();
        let different: BTreeSet<i64> = seen.iter().copied().collect();
        if different.len() < seen.len() {
            faults.note(format!(
                "{} replies of {} say the same",
                seen.len() - different.len(),
                seen.len()
            ));
        }
        for pair in of_keys {
            for (key, should) in [
                (pair.first.clone(), counted),
                (pair.log(), pair.logged.load(Ordering::Relaxed)),
            ] {
                let is = client.call(&["GET", &key])?.to_text();
                if is.parse().unwrap_or(0) != should {
                    faults.note(format!("{key} is {is}, not {should}"));
                }
            }
        }
    }
    faults.end(server, &format!("{} calls", calls()))
}

#[test]
fn counters_on_several_cores_count_every_call_once() {
    on_larder(counters_count_right);
}

#[test]
fn counters_of_redis_server_count_every_call_once() {
    on_redis(counters_count_right);
}

// ---- what others are told of a script --------------------------------------------------------------------------------

/// The next publication or keyevent: its channel or its kind, and what it says.
fn hear(subscriber: &mut Client) -> Outcome<String> {
    let Reply::Array(parts) = subscriber.read()? else {
        return Err("a message is an array".into());
    };
    let texts: Vec<String> = parts.iter().map(Reply::to_text).collect();
    let (channel, said) = (&texts[texts.len() - 2], &texts[texts.len() - 1]);
    let channel = channel.trim_start_matches("__keyevent@0__:");
    Ok(format!("{channel} {said}"))
}

/// Publications and keyspace events of a script that begins again come once.
fn effects_come_once(server: &Server, cores: u16) -> Outcome<()> {
    let mut client = server.connect()?;
    client.call(&["CONFIG", "SET", "notify-keyspace-events", "KEA"])?;
    let mut told = server.connect()?;
    told.call(&["PSUBSCRIBE", "__keyevent@0__:*"])?;
    told.call(&["SUBSCRIBE", "news"])?;
    let faults = Faults::default();
    let mut calls = 0;
    for declared_on in 0..cores {
        for other_on in (0..cores).filter(|other| *other != declared_on || cores == 1) {
            for way in [Way::FirstEval, Way::FirstInMulti] {
                calls += 1;
                let first = key_on(declared_on, cores, &format!("first:{calls}"));
                let second = key_on(other_on, cores, &format!("second:{calls}"));
                let text = format!(
                    "redis.call('SET', KEYS[1], 1) \
                     redis.call('PUBLISH', 'news', KEYS[1]) \
                     redis.call('APPEND', KEYS[1], 2) \
                     redis.call('SET', ARGV[1], 1) \
                     redis.call('PUBLISH', 'news', ARGV[1]) \
                     redis.call('DEL', KEYS[1]) \
                     return 'done' -- {calls}"
                );
                let args = ["EVAL", &text, "1", &first, &second];
                let reply = if way == Way::FirstEval {
                    client.call(&args)?
                } else {
                    client.call(&["MULTI"])?;
                    client.call(&args)?;
                    match client.call(&["EXEC"])? {
                        Reply::Array(mut results) => results.remove(0),
                        other => other,
                    }
                };
                if reply != Reply::Bulk("done".into()) {
                    faults.note(format!("{way:?}: {}", reply.lines().join(" ")));
                }
                client.call(&["PUBLISH", "news", "end"])?;
                let expected = [
                    format!("set {first}"),
                    format!("news {first}"),
                    format!("append {first}"),
                    format!("set {second}"),
                    format!("news {second}"),
                    format!("del {first}"),
                ];
                // From one core or another the end may come early. What comes twice is then heard in the next round.
                let (mut heard, mut has_ended) = (Vec::new(), false);
                while heard.len() < expected.len() || !has_ended {
                    match hear(&mut told)? {
                        message if message == "news end" => has_ended = true,
                        message => heard.push(message),
                    }
                }
                // Between cores the order is a matter of its own.
                let (mut heard, mut expected) = (heard, expected);
                heard.sort();
                expected.sort();
                if heard != expected {
                    faults.note(format!("{way:?}: {heard:?} instead of {expected:?}"));
                }
            }
        }
    }
    client.call(&["PUBLISH", "news", "last"])?;
    let heard = hear(&mut told)?;
    if heard != "news last" {
        faults.note(format!("{heard} once more"));
    }
    faults.end(server, &format!("{calls} calls"))
}

#[test]
fn what_a_script_tells_of_itself_is_told_once() {
    on_larder(effects_come_once);
}

#[test]
fn what_a_script_of_redis_server_tells_of_itself_is_told_once() {
    on_redis(effects_come_once);
}

// ---- what a script wrote before it reached further -------------------------------------------------------------------

/// Writes on keys `A` and `B`, which the script declares and which lie in one slot, or on all keys.
const WRITES: &[&str] = &[
    "SET A x",
    "SET A x KEEPTTL",
    "SET A x EXAT 33333333333",
    "SET A x NX",
    "SET A x XX GET",
    "SETNX A x",
    "GETSET A x",
    "GETDEL A",
    "GETEX A PERSIST",
    "GETEX A EXAT 33333333333",
    "APPEND A x",
    "SETRANGE A 30 x",
    "SETBIT A 7 1",
    "INCR A",
    "INCRBY A 1000",
    "INCRBYFLOAT A 1.5",
    "DEL A",
    "DEL A B",
    "UNLINK A B",
    "EXPIREAT A 33333333333",
    "EXPIREAT A 33333333333 NX",
    "EXPIRE A -1",
    "PERSIST A",
    "RENAME A B",
    "RENAMENX A B",
    "COPY A B",
    "COPY A B REPLACE",
    "COPY A B DB 1",
    "MOVE A 1",
    "MSET A 1 B 2",
    "MSETNX A 1 B 2",
    "FLUSHDB",
    "FLUSHALL",
    "SWAPDB 0 1",
];

/// What is there before the script, as commands on the same keys.
const STATES: &[&[&str]] = &[
    &[],
    &["SET A 7"],
    &["SET A 7 EXAT 33333333330", "SET B b"],
    &["SET A long:0123456789012345678901234567890123456789012345678901234567890123456789"],
];

fn words(line: &str, a: &str, b: &str) -> Vec<String> {
    let word = |word: &str| match word {
        "A" => a.to_owned(),
        "B" => b.to_owned(),
        other => other.to_owned(),
    };
    line.split(' ').map(word).collect()
}

/// Runs a script that writes, reaches for `other`, and writes again; gives its reply and what is there then.
fn write_and_reach(
    client: &mut Client,
    keys: [&str; 3],
    write: &str,
    number: usize,
) -> Outcome<String> {
    let [a, b, other] = keys;
    let quoted = |line: &str| {
        let args: Vec<String> = words(line, a, b)
            .iter()
            .map(|arg| format!("'{arg}'"))
            .collect();
        format!("redis.pcall({})", args.join(", "))
    };
    let text = format!(
        "local first = {} \
         local seen = redis.call('GET', ARGV[1]) \
         redis.call('SET', ARGV[1], seen .. '+') \
         local again = {} \
         return {{first, seen, again, redis.pcall('GET', KEYS[1]), redis.pcall('GET', KEYS[2])}} -- {number}",
        quoted(write),
        quoted("APPEND B y"),
    );
    let mut lines = client.call(&["EVAL", &text, "2", a, b, other])?.lines();
    for db in ["1", "0"] {
        client.call(&["SELECT", db])?;
        for key in keys {
            for look in ["GET", "EXPIRETIME", "TYPE"] {
                lines.extend(client.call(&[look, key])?.lines());
            }
            let encoding = client.call(&["OBJECT", "ENCODING", key])?;
            lines.extend(encoding.lines());
        }
        lines.extend(client.call(&["DBSIZE"])?.lines());
    }
    Ok(lines.join(" "))
}

/// Every write before the reach has the replies and the results that it has on one core, where nothing lies further away.
fn writes_before_the_reach_happen_once(server: &Server, cores: u16) -> Outcome<()> {
    let one_core = Server::start(&Options::larder(1, IoBackend::under_test()[0]))?;
    let (mut client, mut model) = (server.connect()?, one_core.connect()?);
    let faults = Faults::default();
    let mut number = 0;
    for declared_on in 0..cores {
        let name = key_on(declared_on, cores, "declared");
        let (a, b) = (format!("{{{name}}}:a"), format!("{{{name}}}:b"));
        let other = key_on((declared_on + 1) % cores, cores, "reached");
        for state in STATES {
            for write in WRITES {
                number += 1;
                let mut results = Vec::new();
                for client in [&mut client, &mut model] {
                    client.call(&["FLUSHALL"])?;
                    for line in *state {
                        client.call(&words(line, &a, &b))?;
                    }
                    client.call(&["SET", &other, "o"])?;
                    results.push(write_and_reach(client, [&a, &b, &other], write, number)?);
                }
                if results[0] != results[1] {
                    let (is, should) = (&results[0], &results[1]);
                    faults.note(format!(
                        "{write} on {state:?}:\n    {is}\n  instead of\n    {should}"
                    ));
                }
            }
        }
    }
    faults.end(server, &format!("{number} scripts"))
}

#[test]
fn what_a_script_wrote_before_it_reached_further_happens_once() {
    on_larder(writes_before_the_reach_happen_once);
}

/// What concerns the whole keyspace, in a script that has written already.
fn scripts_see_the_whole_keyspace(server: &Server, cores: u16) -> Outcome<()> {
    let mut client = server.connect()?;
    let faults = Faults::default();
    let mut number = 0;
    for core in 0..cores {
        let key = key_on(core, cores, "written");
        for (look, expected) in [
            ("redis.call('DBSIZE')", 11),
            ("#redis.call('KEYS', '*')", 11),
            ("#redis.call('SCAN', '0', 'COUNT', '1000')[2]", 11),
            ("#redis.call('RANDOMKEY') > 0 and 11", 11),
            ("redis.call('FLUSHALL') and redis.call('DBSIZE')", 0),
        ] {
            client.call(&["FLUSHALL"])?;
            for number in 0..10 {
                client.call(&["SET", &format!("other:{number}"), "x"])?;
            }
            number += 1;
            let text = format!(
                "local n = redis.call('INCR', KEYS[1]) local found = {look} \
                 return {{n, found}} -- {number}"
            );
            let reply = client.call(&["EVAL", &text, "1", &key])?;
            let should = Reply::Array(vec![Reply::Integer(1), Reply::Integer(expected)]);
            if reply != should {
                faults.note(format!("{look}: {}", reply.lines().join(" ")));
            }
        }
    }
    faults.end(server, &format!("{number} scripts"))
}

#[test]
fn a_script_that_wrote_sees_the_whole_keyspace() {
    on_larder(scripts_see_the_whole_keyspace);
}

#[test]
fn a_script_of_redis_server_that_wrote_sees_the_whole_keyspace() {
    on_redis(scripts_see_the_whole_keyspace);
}
