//! `maxmemory` and what `INFO` and `MEMORY` say, on whole servers: what is refused, what is let go, and whether the
//! figures agree with one another.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use larder_tests::client::Client;
use larder_tests::resp::Reply;
use larder_tests::server::{IoBackend, Options, Server};

const OOM: &[u8] = b"OOM command not allowed when used memory > 'maxmemory'.";

/// Runs `with` on a server of every shape, with so much memory, often enough that what is wrong on one core of two is seen.
fn on_every_shape(maxmemory: &str, with: impl Fn(&Server)) {
    for backend in IoBackend::under_test() {
        for cores in [1, 2] {
            let options = Options::larder(cores, backend).directive("maxmemory", maxmemory);
            let server = Server::start(&options).unwrap();
            with(&server);
        }
    }
}

fn is_oom(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text == OOM)
}

fn ok() -> Reply {
    Reply::Status(b"OK".to_vec())
}

fn set(client: &mut Client, key: &str, bytes: usize) -> Reply {
    let value = vec![b'v'; bytes];
    client.call(&[b"SET", key.as_bytes(), &value]).unwrap()
}

#[test]
fn other_clients_write_again_as_soon_as_a_command_too_large_is_refused() {
    on_every_shape("10mb", |server| {
        for attempt in 0..6 {
            // Connections and keys fall to cores by chance.
            let (mut large, mut small) = (server.connect().unwrap(), server.connect().unwrap());
            let reply = set(&mut large, &format!("large{attempt}"), 40_000_000);
            assert!(is_oom(&reply), "{}: {reply:?}", server.label());
            for key in 0..8 {
                let reply = set(&mut small, &format!("small{attempt}:{key}"), 1);
                assert_eq!(reply, ok(), "{}, attempt {attempt}", server.label());
            }
        }
    });
}

#[test]
fn what_does_not_fit_is_refused_every_time() {
    on_every_shape("10mb", |server| {
        for attempt in 0..6 {
            let mut client = server.connect().unwrap();
            let key = format!("large{attempt}");
            let reply = set(&mut client, &key, 30_000_000);
            assert!(is_oom(&reply), "{}: {reply:?}", server.label());
            let mut mset = vec![b"MSET".to_vec()];
            for at in 0..30 {
                mset.push(format!("{key}:{at}").into_bytes());
                mset.push(vec![b'v'; 1_000_000]);
            }
            let reply = client.call(&mset).unwrap();
            assert!(is_oom(&reply), "{}: {reply:?}", server.label());
            assert_eq!(client.run("DBSIZE").unwrap(), Reply::Integer(0));
            assert_eq!(set(&mut client, &key, 5_000_000), ok());
            assert!(is_oom(&set(&mut client, &key, 6_000_000)));
            assert_eq!(
                client.run(&format!("DEL {key}")).unwrap(),
                Reply::Integer(1)
            );
        }
    });
}

/// The fields of a section of `INFO`.
fn info(client: &mut Client, section: &str) -> HashMap<String, String> {
    let text = client.run(&format!("INFO {section}")).unwrap().to_text();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[test]
fn the_figures_of_memory_agree() {
    on_every_shape("1gb", |server| {
        let mut client = server.connect().unwrap();
        let startup = info(&mut client, "memory")["used_memory_startup"].clone();
        for step in 0..4 {
            let commands: Vec<u8> = (0..5000)
                .flat_map(|key| format!("SET key:{}:{key} {key}\r\n", step).into_bytes())
                .collect();
            client.send_raw(&commands).unwrap();
            for _ in 0..5000 {
                assert_eq!(client.read().unwrap(), ok());
            }
            let info = info(&mut client, "memory");
            let number = |name: &str| -> i64 {
                let value = info.get(name).unwrap_or_else(|| panic!("no {name}"));
                value.parse().unwrap_or_else(|_| panic!("{name}: {value}"))
            };
            let [used, overhead, dataset] =
                ["used_memory", "used_memory_overhead", "used_memory_dataset"].map(number);
            assert_eq!(dataset, used - overhead, "{}", server.label());
            assert!(dataset > 5000 * 16 && overhead > 0);
            assert!(number("used_memory_startup") > 0);
            assert!(number("used_memory_startup") <= overhead);
            assert_eq!(info["used_memory_startup"], startup, "it is of the start");
            assert!(number("allocator_frag_bytes") >= 0);
            let [allocated, active, resident] = [
                "allocator_allocated",
                "allocator_active",
                "allocator_resident",
            ]
            .map(number);
            assert!(allocated <= active && active <= resident);
            assert_eq!(number("allocator_frag_bytes"), active - allocated);
            let since_startup = (used - number("used_memory_startup")) as f64;
            let share = format!("{:.2}%", dataset as f64 * 100.0 / since_startup);
            assert_eq!(info["used_memory_dataset_perc"], share);
        }
    });
}

#[test]
fn memory_stats_tell_of_each_database_with_keys() {
    on_every_shape("0", |server| {
        let mut client = server.connect().unwrap();
        for line in ["SET a 1", "SET b 1 EX 1000", "SELECT 3", "SET c 1"] {
            assert_eq!(client.run(line).unwrap(), ok());
        }
        let Reply::Array(stats) = client.run("MEMORY STATS").unwrap() else {
            panic!("no array of statistics");
        };
        let fields: HashMap<String, &Reply> = stats
            .chunks(2)
            .map(|pair| (pair[0].to_text(), &pair[1]))
            .collect();
        let named = fields.keys().filter(|name| name.starts_with("db."));
        let mut named: Vec<&String> = named.collect();
        named.sort();
        assert_eq!(named, ["db.0", "db.3"]);
        for name in named {
            let Reply::Array(database) = fields[name] else {
                panic!("{name}: {:?}", fields[name]);
            };
            let names: Vec<String> = database.iter().step_by(2).map(Reply::to_text).collect();
            assert_eq!(
                names,
                ["overhead.hashtable.main", "overhead.hashtable.expires"]
            );
            assert!(database[1].integer().unwrap() > 0);
        }
        let number = |name: &str| fields[name].integer().unwrap();
        assert!(number("startup.allocated") > 0);
        assert_eq!(
            number("dataset.bytes"),
            number("total.allocated") - number("overhead.total")
        );
        assert!(number("allocator-fragmentation.bytes") >= 0);
        assert_eq!(number("keys.count"), 3);
    });
}

/// What may be resident in no file under so small a limit: what was there at start, a MiB that is touched first, what may be idle free of charge, and
/// the limit with two per cent.
fn most_anonymous(at_start: u64, limit: u64) -> u64 {
    at_start + (1 << 20) + ((2 << 20) - limit / 64) + limit / 100 * 102
}

/// Writes strings and hashes of such lengths, so many bytes of them, and answers the most that was resident in no file meanwhile.
fn write_much(server: &Server, lens: std::ops::Range<usize>, bytes: usize) -> u64 {
    let mut client = server.connect().unwrap();
    let (mut written, mut most, mut number) = (0, 0, 0);
    while written < bytes {
        for _ in 0..64 {
            number += 1;
            let len = lens.start + number * 7919 % lens.len();
            let (key, value) = (format!("{}:{number}", lens.end), vec![b'v'; len]);
            let hash = format!("h{}", number / 8);
            let command: [&[u8]; 4] = [b"HSET", hash.as_bytes(), key.as_bytes(), &value];
            match number % 4 {
                0 => client.send(&command).unwrap(),
                _ => client.send(&[b"SET", key.as_bytes(), &value]).unwrap(),
            }
            written += len + 32;
        }
        for _ in 0..64 {
            let reply = client.read().unwrap();
            assert!(!is_oom(&reply), "{}: {reply:?}", server.label());
        }
        most = most.max(server.anonymous_bytes().unwrap());
    }
    most
}

/// A server that keeps to `limit` by a policy, and what of it is resident in no file at start.
fn limited(cores: usize, limit: u64, policy: &str) -> (Server, u64) {
    let options = Options::larder(cores, IoBackend::under_test()[0])
        .directive("maxmemory", &limit.to_string())
        .directive("maxmemory-policy", policy);
    let server = Server::start(&options).unwrap();
    let at_start = server.anonymous_bytes().unwrap();
    (server, at_start)
}

#[test]
fn resident_memory_keeps_to_the_limit_while_sizes_shift_and_purge_gives_it_back() {
    const LIMIT: u64 = 48 << 20;
    for cores in [1, 2] {
        let (server, at_start) = limited(cores, LIMIT, "allkeys-lru");
        for lens in [10..200, 16_000..60_000, 200..4000] {
            let resident = write_much(&server, lens.clone(), LIMIT as usize);
            let (most, label) = (most_anonymous(at_start, LIMIT), server.label());
            assert!(
                resident <= most,
                "{label}: {resident} bytes of {most}, values of {lens:?}"
            );
        }
        let mut client = server.connect().unwrap();
        let memory = info(&mut client, "memory");
        let used: u64 = memory["used_memory"].parse().unwrap();
        assert!(used > LIMIT / 2, "{}: {used} used", server.label());
        assert_eq!(client.run("FLUSHALL").unwrap(), ok());
        assert_eq!(client.run("MEMORY PURGE").unwrap(), ok());
        let is_given_back = || server.anonymous_bytes().unwrap() <= at_start + LIMIT / 4;
        let mut looks = 0;
        while !is_given_back() {
            looks += 1;
            assert!(looks < 1000, "{} keeps what is free", server.label());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Clients that ask for what [`write_much`] has written, over and over, and read none of it, until told to end.
fn ask_and_read_nothing(server: &Server, clients: usize, asks: usize) -> Vec<Client> {
    let mut connected = Vec::new();
    for number in 0..clients {
        let mut client = server.connect().unwrap();
        let mut commands = Vec::new();
        for at in 0..asks {
            let key = (number * asks + at) % 2000 + 1;
            commands.extend(format!("GET 60000:{key}\r\nHGETALL h{}\r\n", key / 8).bytes());
        }
        client.send_raw(&commands).unwrap();
        connected.push(client);
    }
    connected
}

#[test]
fn no_write_is_refused_and_resident_memory_keeps_to_the_limit_while_clients_read_nothing() {
    const LIMIT: u64 = 64 << 20;
    for cores in [1, 2] {
        let (server, at_start) = limited(cores, LIMIT, "allkeys-adaptive");
        let (mut most, mut readers) = (0, Vec::new());
        for lens in [16_000..60_000, 10..200, 16_000..60_000, 200..4000] {
            // No write is refused here.
            most = most.max(write_much(&server, lens, LIMIT as usize / 2));
            readers.extend(ask_and_read_nothing(&server, 20, 40));
        }
        let label = server.label();
        let mut client = server.connect().unwrap();
        let owed = info(&mut client, "memory")["mem_clients_normal"].clone();
        let owed: u64 = owed.parse().unwrap();
        assert!(owed > LIMIT / 64, "{label}: {owed} bytes owed");
        // And replies that were begun, of half a MiB each, which is much of so small a limit.
        let bound = most_anonymous(at_start, LIMIT) + 4 * (512 << 10);
        assert!(most <= bound, "{label}: {most} bytes of {bound}");
    }
}
