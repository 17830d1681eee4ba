//! Time is one for a command, a script and a transaction, whatever cores they are on, and does not run backwards for whoever
//! has been told of an expiry.
//!
//! `LARDER_TIME_READINGS` sets how many readings and calls are made on each server (1,000 without it). The long form:
//!
//! ```text
//! LARDER_TIME_READINGS=20000 cargo test -p larder-tests --test time -- --include-ignored --nocapture --test-threads 1
//! ```
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use larder_tests::Outcome;
use larder_tests::checks::{on_larder, on_redis};
use larder_tests::client::Client;
use larder_tests::clock::{sleep_until, unix_ms};
use larder_tests::placed::{key_on, keys_round};
use larder_tests::random::Random;
use larder_tests::resp::{Reply, encode};
use larder_tests::server::Server;

/// What a key lives in the scripts of [`spinning`].
const LIFE_MS: i64 = 8;

/// What such a script takes at least, by what it took when it was measured.
const SPIN_MS: u64 = 3 * LIFE_MS as u64;

fn readings() -> usize {
    std::env::var("LARDER_TIME_READINGS").map_or(1000, |count| count.parse().unwrap())
}

fn is_redis(server: &Server) -> bool {
    server.label() == "redis-server"
}

/// Prints the finding, and fails for it if it is one.
fn none_of(server: &Server, faults: usize, what: &str) -> Outcome<()> {
    let finding = format!("{faults} {what}");
    println!("{}: {finding}", server.label());
    if faults == 0 { Ok(()) } else { Err(finding) }
}

/// Loads a library with one function, named as the library.
fn load(client: &mut Client, name: &str, body: &str) {
    let library = format!(
        "#!lua name={name}\nredis.register_function('{name}', function(KEYS, ARGV) {body} end)"
    );
    let reply = client.call(&["FUNCTION", "LOAD", "REPLACE", &library]);
    assert_eq!(reply.unwrap(), Reply::Bulk(name.into()));
}

// ---- one time for a script -------------------------------------------------------------------------------------------

/// Sets keys that live for [`LIFE_MS`], spins for longer, and looks what has become of them.
fn spinning(keys: &str) -> String {
    format!(
        "local keys = {keys} \
         for _, key in ipairs(keys) do redis.call('SET', key, '1', 'PX', {LIFE_MS}) end \
         for _ = 1, tonumber(ARGV[1]) do end \
         local found = {{}} \
         for i, key in ipairs(keys) do \
           found[3 * i - 2] = redis.call('GET', key) \
           found[3 * i - 1] = redis.call('INCR', key) \
           found[3 * i] = redis.call('PTTL', key) \
         end \
         return found"
    )
}

/// How many rounds of an empty loop take [`SPIN_MS`].
fn rounds_of_spinning(client: &mut Client) -> u64 {
    let mut rounds = 100_000;
    loop {
        let started = Instant::now();
        let loop_only = "for _ = 1, tonumber(ARGV[1]) do end";
        let reply = client.call(&["EVAL", loop_only, "0", &rounds.to_string()]);
        assert_eq!(reply.unwrap(), Reply::NullBulk);
        if started.elapsed() >= Duration::from_millis(SPIN_MS) {
            return rounds;
        }
        rounds *= 2;
    }
}

/// How a script is told of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    ByKeys,
    ByArguments,
}

/// In which way it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Eval,
    EvalInMulti,
    Function,
    FunctionInMulti,
}

const WAYS: [Way; 4] = [
    Way::Eval,
    Way::EvalInMulti,
    Way::Function,
    Way::FunctionInMulti,
];

/// A script that nobody has run yet, to be called twice: its first run and one of which all is known.
struct Spinner {
    told: Told,
    way: Way,
    call: [String; 2],
}

impl Spinner {
    fn new(client: &mut Client, told: Told, way: Way, number: usize) -> Self {
        let keys = match told {
            Told::ByKeys => "KEYS",
            Told::ByArguments => "{unpack(ARGV, 2)}",
        };
        let body = spinning(keys);
        let call = match way {
            Way::Eval | Way::EvalInMulti => ["EVAL".into(), format!("{body} -- {number}")],
            Way::Function | Way::FunctionInMulti => {
                let name = format!("spinner{number}");
                load(client, &name, &body);
                ["FCALL".into(), name]
            }
        };
        Self { told, way, call }
    }

    fn run(&self, client: &mut Client, keys: &[String], rounds: u64) -> Reply {
        let mut args = self.call.to_vec();
        match self.told {
            Told::ByKeys => {
                args.push(keys.len().to_string());
                args.extend(keys.iter().cloned());
                args.push(rounds.to_string());
            }
            Told::ByArguments => {
                args.extend(["0".to_owned(), rounds.to_string()]);
                args.extend(keys.iter().cloned());
            }
        }
        if [Way::Eval, Way::Function].contains(&self.way) {
            return client.call(&args).unwrap();
        }
        client.send(&["MULTI"]).unwrap();
        client.send(&args).unwrap();
        client.send(&["EXEC"]).unwrap();
        client.read().unwrap();
        client.read().unwrap();
        match client.read().unwrap() {
            Reply::Array(mut results) if results.len() == 1 => results.remove(0),
            other => other,
        }
    }
}

/// What the scripts must find: all keys alive, and as long to live as at the beginning.
fn is_one_time(reply: &Reply, keys: usize, is_redis: bool) -> bool {
    let Reply::Array(found) = reply else {
        return false;
    };
    found.len() == 3 * keys
        && found.chunks(3).all(|of_key| {
            // In redis-server 7.0 a PTTL within a script asks the clock.
            let is_right_ttl = match of_key[2] {
                Reply::Integer(ttl) if is_redis => (0..=LIFE_MS).contains(&ttl),
                Reply::Integer(ttl) => ttl == LIFE_MS,
                _ => false,
            };
            of_key[0] == Reply::Bulk("1".into()) && of_key[1] == Reply::Integer(2) && is_right_ttl
        })
}

fn scripts_have_one_time(server: &Server, cores: u16) -> Outcome<()> {
    let mut client = server.connect().unwrap();
    let rounds = rounds_of_spinning(&mut client);
    let mut placements: Vec<Vec<String>> = (0..cores)
        .map(|core| vec![key_on(core, cores, "one")])
        .collect();
    placements.push(keys_round(cores, cores.into(), "all"));
    let mut wrong = Vec::new();
    let mut calls = 0;
    for way in WAYS {
        for told in [Told::ByKeys, Told::ByArguments] {
            for keys in &placements {
                let spinner = Spinner::new(&mut client, told, way, calls);
                for run in ["first", "second"] {
                    let reply = spinner.run(&mut client, keys, rounds);
                    calls += 1;
                    if !is_one_time(&reply, keys.len(), is_redis(server)) {
                        let found = reply.lines().join(" ");
                        wrong.push(format!("{way:?}, {told:?}, {keys:?}, {run} run: {found}"));
                    }
                }
            }
        }
    }
    let (count, wrong) = (wrong.len(), wrong.join("\n"));
    none_of(server, count, &format!("of {calls} calls saw time go on"))
        .map_err(|finding| format!("{finding}\n{wrong}"))
}

#[test]
fn time_stands_still_for_a_script_wherever_its_keys_are() {
    on_larder(scripts_have_one_time);
}

#[test]
fn time_stands_still_for_a_script_of_redis_server() {
    on_redis(scripts_have_one_time);
}

// ---- one time for a transaction --------------------------------------------------------------------------------------

/// Sets keys in a transaction, spins in it, and reads them.
fn transactions_have_one_time(server: &Server, cores: u16) -> Outcome<()> {
    let mut client = server.connect().unwrap();
    let rounds = rounds_of_spinning(&mut client).to_string();
    let keys = keys_round(cores, usize::from(cores) * 2, "exec");
    let spin = "for _ = 1, tonumber(ARGV[1]) do end";
    let life = LIFE_MS.to_string();
    let mut wrong = Vec::new();
    // The spinning script has a key of each core in turn, none, or all.
    let mut places: Vec<&[String]> = keys.chunks(1).collect();
    places.extend([&keys[..0], &keys[..]]);
    for place in places {
        let mut bytes = encode(&["MULTI"]);
        for key in &keys {
            bytes.extend(encode(&["SET", key, "1", "PX", &life]));
        }
        let mut eval = vec!["EVAL".to_owned(), spin.into(), place.len().to_string()];
        eval.extend(place.iter().cloned());
        eval.push(rounds.clone());
        bytes.extend(encode(&eval));
        for key in &keys {
            bytes.extend(encode(&["INCR", key]));
            bytes.extend(encode(&["PTTL", key]));
        }
        bytes.extend(encode(&["EXEC"]));
        client.send_raw(&bytes).unwrap();
        for _ in 0..3 * keys.len() + 2 {
            client.read().unwrap();
        }
        let reply = client.read().unwrap();
        let Reply::Array(results) = &reply else {
            panic!("EXEC: {:?}", reply.lines());
        };
        let of_keys = results[keys.len() + 1..].chunks(2);
        for (key, of_key) in keys.iter().zip(of_keys) {
            let ttl = of_key[1].integer().unwrap();
            let is_right_ttl = is_redis(server) && (0..=LIFE_MS).contains(&ttl) || ttl == LIFE_MS;
            if of_key[0] != Reply::Integer(2) || !is_right_ttl {
                wrong.push(format!("{key}: {of_key:?}, spun with {place:?}"));
            }
        }
    }
    let (count, wrong) = (wrong.len(), wrong.join("\n"));
    none_of(server, count, "keys of transactions saw time go on")
        .map_err(|finding| format!("{finding}\n{wrong}"))
}

#[test]
fn time_stands_still_for_a_transaction_wherever_its_keys_are() {
    on_larder(transactions_have_one_time);
}

#[test]
fn time_stands_still_for_a_transaction_of_redis_server() {
    on_redis(transactions_have_one_time);
}

// ---- what comes of it: a rate limiter --------------------------------------------------------------------------------

/// A limiter as people write them: a window is begun where none is, and counted in. A counter without a TTL counts for ever.
const LIMITER: &str = "local immortal = 0 \
    for _, key in ipairs(keys) do \
      if redis.call('EXISTS', key) == 0 then redis.call('SET', key, 0, 'PX', 2) end \
      redis.call('INCR', key) \
      if redis.call('PTTL', key) == -1 then \
        immortal = immortal + 1 \
        redis.call('DEL', key) \
      end \
    end \
    return immortal";

fn limiters_leave_no_immortal_counter(server: &Server, cores: u16) -> Outcome<()> {
    let calls = readings();
    let declared = format!("local keys = KEYS {LIMITER}");
    let undeclared = format!("local keys = ARGV {LIMITER}");
    load(
        &mut server.connect().unwrap(),
        "limiter",
        &format!("local keys = KEYS {LIMITER}"),
    );
    let left = AtomicUsize::new(calls);
    let immortal = AtomicUsize::new(0);
    let work = |number: usize| {
        let mut client = server.connect().unwrap();
        // A user and an address, say: each client has its own user.
        let keys = keys_round(cores, 1 + usize::from(cores), "limit");
        let keys = [&keys[number], keys.last().unwrap()];
        let mut forms = [
            vec!["EVAL", &declared, "2"],
            vec!["EVAL", &undeclared, "0"],
            vec!["FCALL", "limiter", "2"],
        ];
        for args in &mut forms {
            args.extend(keys.iter().map(|key| key.as_str()));
        }
        for args in forms.iter().cycle() {
            if left.fetch_sub(1, Ordering::Relaxed) as isize <= 0 {
                break;
            }
            let reply = client.call(args).unwrap();
            let count = reply.integer().unwrap_or_else(|| panic!("{reply:?}"));
            immortal.fetch_add(count as usize, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for number in 0..2.min(usize::from(cores)) {
            scope.spawn(move || work(number));
        }
    });
    let what = format!("counters without a TTL in {calls} calls");
    none_of(server, immortal.into_inner(), &what)
}

#[test]
fn a_rate_limiter_over_cores_leaves_no_counter_without_a_ttl() {
    on_larder(limiters_leave_no_immortal_counter);
}

#[test]
fn a_rate_limiter_of_redis_server_leaves_no_counter_without_a_ttl() {
    on_redis(limiters_leave_no_immortal_counter);
}

// ---- one deadline, many keys -----------------------------------------------------------------------------------------

/// Keys of one deadline.
const DEADLINE_KEYS: usize = 8;
/// Deadlines that are set ahead at a time, a few milliseconds apart.
const DEADLINES_AHEAD: u64 = 100;
/// Between one and the next.
const INTERVAL_MS: u64 = 3;

/// A moment at which some keys are to be gone.
struct Deadline {
    at_ms: u64,
    keys: Vec<String>,
}

/// Has keys expire at many moments, and calls `read` shortly before each until it says that it has seen enough.
fn at_deadlines(
    server: &Server,
    cores: u16,
    thread: usize,
    mut goes_on: impl FnMut() -> bool,
    mut read: impl FnMut(&Deadline) -> bool,
) {
    let mut setter = server.connect().unwrap();
    if is_redis(server) {
        // Since 7.2 its hand removes keys in the millisecond of their deadline, in which commands still find them: of eight keys it may
        // have removed some.
        let reply = setter.call(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
        assert_eq!(reply.unwrap(), Reply::Status(b"OK".to_vec()));
    }
    let names = keys_round(cores, DEADLINE_KEYS, &format!("deadline:{thread}"));
    for round in 0_usize.. {
        if !goes_on() {
            return;
        }
        // A tag of its own keeps a key where it is: its owner depends on what is between the braces.
        let deadlines = |from_ms: u64| {
            let names = &names;
            (0..DEADLINES_AHEAD).map(move |number| Deadline {
                at_ms: from_ms + number * INTERVAL_MS,
                keys: names
                    .iter()
                    .map(|name| format!("{{{name}}}:{round}:{number}"))
                    .collect(),
            })
        };
        let begin_ms = unix_ms() + 150;
        let mut bytes = Vec::new();
        for deadline in deadlines(begin_ms) {
            let at = deadline.at_ms.to_string();
            for key in &deadline.keys {
                bytes.extend(encode(&["SET", key, "v", "PXAT", &at]));
            }
        }
        setter.send_raw(&bytes).unwrap();
        for _ in 0..DEADLINES_AHEAD as usize * DEADLINE_KEYS {
            setter.read().unwrap();
        }
        for deadline in deadlines(begin_ms) {
            // One that has passed already says nothing, and on a slow machine many have.
            let is_late = unix_ms() >= deadline.at_ms;
            if is_late {
                continue;
            }
            sleep_until(deadline.at_ms * 1000 - 700);
            while goes_on() && read(&deadline) {}
        }
    }
}

/// In which way the keys of a deadline are looked at at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Mget,
    Exists,
    Touch,
    MultiOfGets,
    MultiOfExists,
    Declared,
    FirstDeclared,
    Undeclared,
    FirstUndeclared,
    Function,
}

const LOOKS: [Look; 10] = [
    Look::Mget,
    Look::Exists,
    Look::Touch,
    Look::MultiOfGets,
    Look::MultiOfExists,
    Look::Declared,
    Look::FirstDeclared,
    Look::Undeclared,
    Look::FirstUndeclared,
    Look::Function,
];

const LOOK: &str = "local found = {} \
    for i, key in ipairs(keys) do found[i] = redis.call('GET', key) end \
    return found";

impl Look {
    /// What is sent, as one or several commands; the last one's reply tells. `number` is used once.
    fn encode(self, keys: &[String], number: &str) -> (Vec<u8>, usize) {
        let plain = |first: &[&str]| {
            let first = first.iter().map(|arg| (*arg).to_owned());
            let args: Vec<String> = first.chain(keys.iter().cloned()).collect();
            (encode(&args), 1)
        };
        let multi = |commands: Vec<Vec<&str>>| {
            let mut bytes = encode(&["MULTI"]);
            commands
                .iter()
                .for_each(|command| bytes.extend(encode(command)));
            bytes.extend(encode(&["EXEC"]));
            (bytes, commands.len() + 2)
        };
        let count = keys.len().to_string();
        match self {
            Self::Mget => plain(&["MGET"]),
            Self::Exists => plain(&["EXISTS"]),
            Self::Touch => plain(&["TOUCH"]),
            Self::MultiOfGets => multi(keys.iter().map(|key| vec!["GET", key]).collect()),
            Self::MultiOfExists => multi(
                keys.chunks(2)
                    .map(|two| vec!["EXISTS", &two[0], &two[1]])
                    .collect(),
            ),
            Self::Declared => plain(&["EVAL", &format!("local keys = KEYS {LOOK}"), &count]),
            Self::FirstDeclared => plain(&[
                "EVAL",
                &format!("local keys = KEYS {LOOK} -- {number}"),
                &count,
            ]),
            Self::Undeclared => plain(&["EVAL", &format!("local keys = ARGV {LOOK}"), "0"]),
            Self::FirstUndeclared => plain(&[
                "EVAL",
                &format!("local keys = ARGV {LOOK} -- {number}"),
                "0",
            ]),
            Self::Function => plain(&["FCALL", "look", &count]),
        }
    }

    /// How many keys were there, by the reply.
    fn alive(self, reply: &Reply) -> usize {
        match reply {
            Reply::Integer(count) => *count as usize,
            Reply::Array(values) => values.iter().map(|value| self.alive(value)).sum(),
            Reply::Bulk(_) => 1,
            Reply::NullBulk => 0,
            other => panic!("{self:?}: {:?}", other.lines()),
        }
    }
}

/// What many readings saw.
#[derive(Debug, Default)]
struct Seen {
    readings: AtomicUsize,
    alive: AtomicUsize,
    gone: AtomicUsize,
    /// Some keys were there and others were gone.
    torn: AtomicUsize,
}

impl Seen {
    fn goes_on(&self, readings: usize) -> bool {
        let is_one_sided =
            self.alive.load(Ordering::Relaxed) == 0 || self.gone.load(Ordering::Relaxed) == 0;
        self.readings.load(Ordering::Relaxed) < readings || is_one_sided
    }

    fn note(&self, alive: usize, of: usize, is_torn: bool) {
        self.readings.fetch_add(1, Ordering::Relaxed);
        let count = match alive {
            _ if is_torn => &self.torn,
            0 => &self.gone,
            _ if alive == of => &self.alive,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

const READERS: usize = 3;

/// One way of looking each round: who fails at it is named.
fn readings_are_whole(server: &Server, cores: u16) -> Outcome<()> {
    load(
        &mut server.connect().unwrap(),
        "look",
        &format!("local keys = KEYS {LOOK}"),
    );
    let seen = LOOKS.map(|look| (look, Seen::default()));
    let share = readings().div_ceil(LOOKS.len());
    std::thread::scope(|scope| {
        for thread in 0..READERS {
            let seen = &seen;
            scope.spawn(move || {
                let mut client = server.connect().unwrap();
                let mut number = 0;
                let mut turn = thread;
                let goes_on = || seen.iter().any(|(_, seen)| seen.goes_on(share));
                at_deadlines(server, cores, thread, goes_on, |deadline| {
                    number += 1;
                    turn += 1;
                    let open = seen.iter().filter(|(_, seen)| seen.goes_on(share));
                    let Some((look, seen)) = open.clone().nth(turn % open.count().max(1)) else {
                        return false;
                    };
                    let used_once = format!("{thread}.{number}");
                    let (bytes, replies) = look.encode(&deadline.keys, &used_once);
                    client.send_raw(&bytes).unwrap();
                    for _ in 1..replies {
                        client.read().unwrap();
                    }
                    let alive = look.alive(&client.read().unwrap());
                    seen.note(alive, DEADLINE_KEYS, !matches!(alive, 0 | DEADLINE_KEYS));
                    alive > 0
                });
            });
        }
    });
    let torn: usize = seen
        .iter()
        .map(|(_, seen)| seen.torn.load(Ordering::Relaxed))
        .sum();
    for (look, seen) in &seen {
        println!("{}, {look:?}: {seen:?}", server.label());
    }
    let what = format!("readings of {} torn", share * LOOKS.len());
    none_of(server, torn, &what)
}

#[test]
fn keys_of_one_deadline_are_seen_to_go_together() {
    on_larder(readings_are_whole);
}

#[test]
fn keys_of_one_deadline_are_seen_to_go_together_in_redis_server() {
    on_redis(readings_are_whole);
}

/// A client's pipeline of `GET`s, in any order of cores: behind one that found nothing, none finds something.
fn pipelines_see_time_go_forward(server: &Server, cores: u16) -> Outcome<()> {
    let seen = Seen::default();
    std::thread::scope(|scope| {
        for thread in 0..READERS {
            let seen = &seen;
            scope.spawn(move || {
                let mut client = server.connect().unwrap();
                let mut random = Random::new(thread as u64);
                let goes_on = || seen.goes_on(readings());
                at_deadlines(server, cores, thread, goes_on, |deadline| {
                    let keys = random.choose(&deadline.keys, DEADLINE_KEYS);
                    let gets = keys.iter().flat_map(|key| encode(&["GET", key]));
                    client.send_raw(&gets.collect::<Vec<u8>>()).unwrap();
                    let alive: Vec<bool> = keys
                        .iter()
                        .map(|_| client.read().unwrap() != Reply::NullBulk)
                        .collect();
                    let is_torn = alive.windows(2).any(|two| two == [false, true]);
                    let count = alive.iter().filter(|alive| **alive).count();
                    seen.note(count, DEADLINE_KEYS, is_torn);
                    count > 0
                });
            });
        }
    });
    println!("{}: pipelines of GETs: {seen:?}", server.label());
    let what = format!(
        "of {} pipelines saw a key alive behind one gone",
        readings()
    );
    none_of(server, seen.torn.into_inner(), &what)
}

#[test]
fn behind_a_key_seen_gone_a_pipeline_sees_none_of_its_deadline_alive() {
    on_larder(pipelines_see_time_go_forward);
}

#[test]
fn behind_a_key_seen_gone_a_pipeline_of_redis_server_sees_none_of_its_deadline_alive() {
    on_redis(pipelines_see_time_go_forward);
}

/// Once one client has been told that a key is gone, others that ask afterwards find no key of its deadline.
fn others_see_time_go_forward(server: &Server, cores: u16) -> Outcome<()> {
    const ASKERS: usize = 4;
    let mut clients: Vec<Client> = (0..ASKERS).map(|_| server.connect().unwrap()).collect();
    let (asked, backwards) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let goes_on = || asked.load(Ordering::Relaxed) < readings();
    at_deadlines(server, cores, 0, goes_on, |deadline| {
        let is_gone = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (number, client) in clients.iter_mut().enumerate() {
                let (is_gone, asked, backwards) = (&is_gone, &asked, &backwards);
                scope.spawn(move || {
                    // Some ask for one key, some for two on different cores.
                    let (key, other) = (&deadline.keys[number], &deadline.keys[number + 1]);
                    let args = match number % 3 {
                        2 => vec!["MGET", key, other],
                        _ => vec!["GET", key],
                    };
                    loop {
                        let was_gone = is_gone.load(Ordering::SeqCst);
                        let alive = match client.call(&args).unwrap() {
                            Reply::Array(values) => values.iter().any(|v| *v != Reply::NullBulk),
                            value => value != Reply::NullBulk,
                        };
                        asked.fetch_add(1, Ordering::Relaxed);
                        if !alive {
                            is_gone.store(true, Ordering::SeqCst);
                            return;
                        }
                        backwards.fetch_add(was_gone.into(), Ordering::Relaxed);
                    }
                });
            }
        });
        false
    });
    let what = format!(
        "of {} readings found a key that was gone for others",
        asked.into_inner()
    );
    none_of(server, backwards.into_inner(), &what)
}

#[test]
fn behind_a_key_seen_gone_nobody_who_was_told_sees_one_of_its_deadline() {
    on_larder(others_see_time_go_forward);
}

#[test]
fn behind_a_key_seen_gone_nobody_sees_one_of_its_deadline_in_redis_server() {
    on_redis(others_see_time_go_forward);
}
