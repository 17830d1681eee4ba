//! Snapshots of whole servers: what is saved is loaded, by Larder on any number of cores and by a redis-server, and is of one moment.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use larder_tests::client::Client;
use larder_tests::programs;
use larder_tests::random::Random;
use larder_tests::resp::Reply;
use larder_tests::scratch::ScratchDir;
use larder_tests::server::{IoBackend, Options, Server};
use larder_tests::tools;

const PATIENCE: Duration = Duration::from_secs(30);

const LIBRARY: &str =
    "#!lua name=kept\nredis.register_function('of_snapshots', function() return 'kept' end)";

fn options(cores: usize, backend: IoBackend, dir: &Path) -> Options {
    Options::larder(cores, backend).directive("dir", dir.to_str().unwrap())
}

/// Fills a server with values of all types and sizes in several databases.
fn fill(client: &mut Client, seed: u64) {
    let mut random = Random::new(seed);
    let mut call = |words: &[String]| {
        let reply = client.call(words).unwrap();
        assert!(!matches!(reply, Reply::Error(_)), "{words:?}: {reply:?}");
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for db in [0, 3, 15] {
        call(&words(&format!("SELECT {db}")));
        for at in 0..300 {
            let size = [1, 10, 100, 3000][random.below(4)];
            call(&words(&format!("SET string:{at} {}", "v".repeat(size))));
            call(&words(&format!(
                "SET number:{at} {}",
                random.below(1 << 40)
            )));
            call(&words(&format!(
                "SET expiring:{at} x EX {}",
                1000 + random.below(100_000)
            )));
        }
        for (at, size) in [1, 5, 200, 4000].into_iter().enumerate() {
            for chunk in (0..size).collect::<Vec<usize>>().chunks(100) {
                let of = |form: &dyn Fn(usize) -> String| {
                    chunk
                        .iter()
                        .map(|at| form(*at))
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                call(&words(&format!(
                    "RPUSH list:{at} {}",
                    of(&|n| format!("element{n}"))
                )));
                call(&words(&format!(
                    "SADD set:{at} {}",
                    of(&|n| format!("member{n}"))
                )));
                call(&words(&format!(
                    "SADD numbers:{at} {}",
                    of(&|n| format!("{}", n * 7))
                )));
                call(&words(&format!(
                    "HSET hash:{at} {}",
                    of(&|n| format!("field{n} value{n}"))
                )));
                call(&words(&format!(
                    "ZADD sorted:{at} {}",
                    of(&|n| format!("{n}.5 member{n}"))
                )));
                for n in chunk {
                    call(&words(&format!(
                        "XADD stream:{at} {}-1 name value{n}",
                        n + 1
                    )));
                }
            }
            call(&words(&format!(
                "HPEXPIREAT hash:{at} 9999999999999 FIELDS 1 field0"
            )));
            call(&words(&format!("XGROUP CREATE stream:{at} group 0")));
            call(&words(&format!(
                "XREADGROUP GROUP group consumer COUNT 3 STREAMS stream:{at} >"
            )));
        }
        call(&words(&format!("SETRANGE large 200000 {}", "z".repeat(50))));
    }
    call(&["FUNCTION", "LOAD", LIBRARY].map(str::to_owned));
    call(&words("SELECT 0"));
}

/// All keys, with what `TYPE`, `OBJECT ENCODING` and `PEXPIRETIME` say of each, sorted. What they hold is in [`digest`].
fn contents(client: &mut Client) -> Vec<(usize, Vec<u8>, [Reply; 3])> {
    let mut all = Vec::new();
    for db in 0..16 {
        client.call(&["SELECT", &db.to_string()]).unwrap();
        let Reply::Array(keys) = client.call(&["KEYS", "*"]).unwrap() else {
            panic!("no keys")
        };
        for key in keys {
            let Reply::Bulk(key) = key else {
                panic!("no key")
            };
            let told = [&["TYPE"][..], &["OBJECT", "ENCODING"], &["PEXPIRETIME"]].map(|words| {
                let mut words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
                words.push(&key);
                client.call(&words).unwrap()
            });
            all.push((db, key, told));
        }
    }
    client.call(&["SELECT", "0"]).unwrap();
    all.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    all
}

fn digest(client: &mut Client) -> Reply {
    client.call(&["DEBUG", "DIGEST"]).unwrap()
}

/// Waits until a server has loaded its file.
fn await_loaded(client: &mut Client) {
    let until = Instant::now() + PATIENCE;
    while matches!(client.call(&["DBSIZE"]).unwrap(), Reply::Error(_)) {
        assert!(Instant::now() < until, "it loads for too long");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_saved_is_loaded_on_any_number_of_cores() {
    for backend in IoBackend::under_test() {
        for (cores, others) in [(1, 3), (3, 2), (2, 1)] {
            let dir = ScratchDir::new("snapshot").unwrap();
            let mut server = Server::start(&options(cores, backend, dir.path())).unwrap();
            let mut client = server.connect().unwrap();
            fill(&mut client, cores as u64);
            assert_eq!(
                client.call(&["SAVE"]).unwrap(),
                Reply::Status(b"OK".to_vec())
            );
            let before = contents(&mut client);
            assert!(before.len() > 2700, "{}", before.len());
            let sum = digest(&mut client);
            assert_eq!(names(dir.path()), ["dump.rdb"]);
            server.signal("KILL").unwrap();
            while server.is_running() {
                thread::sleep(Duration::from_millis(5));
            }
            let server = Server::start(&options(others, backend, dir.path())).unwrap();
            let mut client = server.connect().unwrap();
            await_loaded(&mut client);
            assert_eq!(digest(&mut client), sum);
            assert!(contents(&mut client) == before, "{cores} cores, {others}");
            let kept = client.call(&["FCALL", "of_snapshots", "0"]).unwrap();
            assert_eq!(kept, Reply::Bulk(b"kept".to_vec()));
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_redis_server_and_larder_load_what_the_other_has_saved() {
    let Some(redis) = tools::find_or_skip("redis-server") else {
        return;
    };
    let backend = IoBackend::under_test()[0];
    let dir = ScratchDir::new("snapshot").unwrap();
    let server = Server::start(&options(2, backend, dir.path())).unwrap();
    let mut client = server.connect().unwrap();
    fill(&mut client, 7);
    // Redis 7.0 knows no deadlines of fields.
    for db in [0, 3, 15] {
        client.call(&["SELECT", &db.to_string()]).unwrap();
        for at in 0..4 {
            let hash = format!("hash:{at}");
            client
                .call(&["HPERSIST", &hash, "FIELDS", "1", "field0"])
                .unwrap();
        }
    }
    assert_eq!(
        client.call(&["SAVE"]).unwrap(),
        Reply::Status(b"OK".to_vec())
    );
    let sum = digest(&mut client);
    let there = options_of_redis(&redis, dir.path());
    let other = Server::start(&there).unwrap();
    let mut client = other.connect().unwrap();
    await_loaded(&mut client);
    assert_eq!(
        digest(&mut client),
        sum,
        "redis-server loads what Larder has saved"
    );
    client.call(&["SET", "of redis", "1"]).unwrap();
    let sum = digest(&mut client);
    assert_eq!(
        client.call(&["SAVE"]).unwrap(),
        Reply::Status(b"OK".to_vec())
    );
    let server = Server::start(&options(3, backend, dir.path())).unwrap();
    let mut client = server.connect().unwrap();
    await_loaded(&mut client);
    assert_eq!(
        digest(&mut client),
        sum,
        "Larder loads what redis-server has saved"
    );
}

fn options_of_redis(redis: &Path, dir: &Path) -> Options {
    Options::redis(redis.to_owned()).directive("dir", dir.to_str().unwrap())
}

/// Accounts whose sum stays what it is.
const ACCOUNTS: usize = 200;
const MONEY: i64 = 1000;

#[test]
fn a_snapshot_is_of_one_moment_on_all_cores() {
    for backend in IoBackend::under_test() {
        for cores in [1, 2, 4] {
            let dir = ScratchDir::new("snapshot").unwrap();
            let server = Server::start(&options(cores, backend, dir.path())).unwrap();
            let mut client = server.connect().unwrap();
            for at in 0..ACCOUNTS {
                let (key, money) = (format!("account:{at}"), MONEY.to_string());
                client.call(&["SET", &key, &money]).unwrap();
            }
            for at in 0..20_000 {
                client.call(&["SET", &format!("other:{at}"), "x"]).unwrap();
            }
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                for seed in 0..3 {
                    let (server, over) = (&server, &over);
                    scope.spawn(move || transfer(&mut server.connect().unwrap(), seed, over));
                }
                for _ in 0..3 {
                    let saved = client.call(&["SAVE"]).unwrap();
                    assert_eq!(saved, Reply::Status(b"OK".to_vec()));
                    // A copy, since the next is saved over it.
                    let copy = ScratchDir::new("copy").unwrap();
                    fs::copy(dir.path().join("dump.rdb"), copy.path().join("dump.rdb")).unwrap();
                    assert_whole(&options(3 - cores / 2, backend, copy.path()));
                }
                over.store(true, Ordering::Relaxed);
            });
        }
    }
}

fn transfer(client: &mut Client, seed: u64, over: &AtomicBool) {
    let mut random = Random::new(seed);
    while !over.load(Ordering::Relaxed) {
        let [from, to] = [(); 2].map(|()| format!("account:{}", random.below(ACCOUNTS)));
        let amount = random.below(10).to_string();
        client.call(&["MULTI"]).unwrap();
        client.call(&["DECRBY", &from, &amount]).unwrap();
        client.call(&["INCRBY", &to, &amount]).unwrap();
        assert!(matches!(client.call(&["EXEC"]).unwrap(), Reply::Array(_)));
    }
}

fn assert_whole(options: &Options) {
    let server = Server::start(options).unwrap();
    let mut client = server.connect().unwrap();
    await_loaded(&mut client);
    let mut sum = 0;
    for at in 0..ACCOUNTS {
        let Reply::Bulk(money) = client.call(&["GET", &format!("account:{at}")]).unwrap() else {
            panic!("account {at} is missing")
        };
        sum += std::str::from_utf8(&money).unwrap().parse::<i64>().unwrap();
    }
    assert_eq!(sum, MONEY * ACCOUNTS as i64);
    let keys = client.call(&["DBSIZE"]).unwrap();
    assert_eq!(keys, Reply::Integer(20_000 + ACCOUNTS as i64));
}

fn info(client: &mut Client, field: &str) -> String {
    let Reply::Bulk(text) = client.call(&["INFO", "persistence"]).unwrap() else {
        panic!("no INFO")
    };
    let text = String::from_utf8(text).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field}")).to_owned()
}

fn await_info(client: &mut Client, field: &str, value: &str) {
    let until = Instant::now() + PATIENCE;
    while info(client, field) != value {
        assert!(Instant::now() < until, "{field} is not {value}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_server_saves_when_it_is_due_and_when_it_ends() {
    for backend in IoBackend::under_test() {
        let dir = ScratchDir::new("snapshot").unwrap();
        let due = options(2, backend, dir.path()).directive("save", "1 10");
        let server = Server::start(&due).unwrap();
        let mut client = server.connect().unwrap();
        for at in 0..10 {
            client.call(&["SET", &format!("key:{at}"), "x"]).unwrap();
        }
        await_info(&mut client, "rdb_saves", "1");
        assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "0");
        client.call(&["SET", "more", "1"]).unwrap();
        assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "1");
        server.signal("TERM").unwrap();
        end(server);
        let server = Server::start(&due).unwrap();
        let mut client = server.connect().unwrap();
        await_loaded(&mut client);
        assert_eq!(client.call(&["DBSIZE"]).unwrap(), Reply::Integer(11));
        assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "0");
        client.call(&["DEL", "more"]).unwrap();
        let _ = client.call(&["SHUTDOWN", "SAVE"]);
        server.signal("TERM").unwrap_or_default();
        end(server);
        let server = Server::start(&options(3, backend, dir.path())).unwrap();
        let mut client = server.connect().unwrap();
        await_loaded(&mut client);
        assert_eq!(client.call(&["DBSIZE"]).unwrap(), Reply::Integer(10));
    }
}

fn end(mut server: Server) {
    let until = Instant::now() + PATIENCE;
    while server.is_running() {
        assert!(Instant::now() < until, "it does not end");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_cannot_be_saved_is_said_and_stops_writes_until_it_can() {
    for backend in IoBackend::under_test() {
        let dir = ScratchDir::new("snapshot").unwrap();
        let gone = dir.path().join("gone");
        fs::create_dir(&gone).unwrap();
        let due = options(2, backend, &gone).directive("save", "3600 1");
        let server = Server::start(&due).unwrap();
        let mut client = server.connect().unwrap();
        client.call(&["SET", "key", "1"]).unwrap();
        fs::remove_dir(&gone).unwrap();
        let Reply::Error(text) = client.call(&["SAVE"]).unwrap() else {
            panic!("it cannot be saved")
        };
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("cannot make its file"), "{text}");
        let begun = client.call(&["BGSAVE"]).unwrap();
        assert_eq!(begun, Reply::Status(b"Background saving started".to_vec()));
        await_info(&mut client, "rdb_last_bgsave_status", "err");
        let Reply::Error(text) = client.call(&["SET", "key", "2"]).unwrap() else {
            panic!("writes are stopped")
        };
        assert!(text.starts_with(b"MISCONF"));
        assert_eq!(
            client.call(&["GET", "key"]).unwrap(),
            Reply::Bulk(b"1".to_vec())
        );
        client
            .call(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"])
            .unwrap();
        assert_eq!(
            client.call(&["SET", "key", "3"]).unwrap(),
            Reply::Status(b"OK".to_vec())
        );
    }
}

#[test]
fn a_damaged_file_keeps_the_server_from_starting() {
    let backend = IoBackend::under_test()[0];
    let dir = ScratchDir::new("snapshot").unwrap();
    let server = Server::start(&options(2, backend, dir.path())).unwrap();
    let mut client = server.connect().unwrap();
    fill(&mut client, 1);
    client.call(&["SAVE"]).unwrap();
    drop(server);
    let path = dir.path().join("dump.rdb");
    let whole = fs::read(&path).unwrap();
    for damage in [whole.len() / 2, whole.len() - 4] {
        let mut bytes = whole.clone();
        bytes[damage] ^= 0x40;
        fs::write(&path, bytes).unwrap();
        let mut command = Command::new(programs::larder_server().unwrap());
        command.args([
            "--port",
            "0",
            "--unixsocket",
            "socket",
            "--cores",
            "2",
            "--dir",
        ]);
        let output = command.arg(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let why = String::from_utf8(output.stderr).unwrap();
        assert!(why.contains("cannot load dump.rdb"), "{why}");
    }
}
