//! Files of other servers are read, and those servers load what Larder writes (`larder_tests::rdb_files`).
//!
//! Files of servers that are seldom installed lie under `tests/payloads`, `SERVER.rdb`: the values of `SERVER.txt` under their names, and
//! what else there is; those of old servers are of Redis 7.0's own tests. They are written by those that `LARDER_TEST_PEERS` names, where `LARDER_WRITE_PAYLOADS=1`, as payloads are
//! (`tests/tests/payloads.rs`); here: `--test rdb_files of_servers`.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use larder_server::rdb::file::{Chunk, Facts, Header, History, Sealed, Trailer, trailer};
use larder_server::rdb::{Checksum, Packing, Summed, Version, unseal};
use larder_tests::client::Client;
use larder_tests::inprocess::Cluster;
use larder_tests::payloads::live::{name_of, peers, run};
use larder_tests::payloads::{Plain, damage, golden, live};
use larder_tests::random::Random;
use larder_tests::rdb_files::{OLD_FILES, agree, read, stored, stored_contents};
use larder_tests::resp::Reply;
use larder_tests::scratch::ScratchDir;
use larder_tests::server::{Options, Server};
use larder_tests::{Outcome, programs};

const SERVERS: [&str; 3] = ["redis-7.0.15", "redis-8.6.3", "valkey-9.1.2"];

const DEADLINE_MS: i64 = 9_999_999_999_999;

const LIBRARY: &str =
    "#!lua name=some\nredis.register_function('f', function() return 'some text' end)";

/// Which database a server's file has the value in that is the `at`th, and whether with a deadline.
fn place(at: usize) -> (u64, Option<i64>) {
    let deadline_ms = at.is_multiple_of(4).then_some(DEADLINE_MS);
    ((at % 3) as u64, deadline_ms)
}

/// A stream, made by these commands: with a group, a consumer, and what it has pending.
const STREAM: [&str; 6] = [
    "XADD stream 1-1 name value other 5",
    "XADD stream 1-2 name value2 other 6",
    "XADD stream 2-1 different names",
    "XDEL stream 1-1",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group consumer COUNT 1 STREAMS stream >",
];

#[test]
fn files_of_real_servers_are_read() {
    let mut kinds = Vec::new();
    for server in SERVERS {
        let contents = stored_contents(&format!("{server}.rdb"));
        assert_eq!(contents.trailer, Some(Trailer::Fits));
        assert_eq!(contents.libraries, [LIBRARY.as_bytes()]);
        let names = [&b"redis-ver"[..], b"valkey-ver"];
        let version = contents
            .notes
            .iter()
            .find(|(name, _)| names.contains(&&name[..]));
        let (_, version) = version.unwrap();
        assert!(server.ends_with(std::str::from_utf8(version).unwrap()));
        let expected = golden::load(&golden::directory().join(format!("{server}.txt"))).unwrap();
        for (at, golden) in expected.iter().enumerate() {
            let entry = contents
                .entries
                .iter()
                .find(|entry| entry.key == golden.name.as_bytes());
            let entry = entry.unwrap_or_else(|| panic!("{server}: {}", golden.name));
            let plain = entry.plain().unwrap();
            assert_eq!(
                plain.sorted(),
                golden.plain.clone().sorted(),
                "{}",
                golden.name
            );
            assert_eq!((entry.db, entry.deadline_ms), place(at), "{}", golden.name);
            assert!(matches!(entry.history, Some(History::Frequency(_))));
        }
        let stream = contents.entries.iter().find(|entry| entry.key == b"stream");
        let Plain::Stream(changes) = stream.unwrap().plain().unwrap() else {
            panic!("it is no stream")
        };
        // Entries, marks, the group, the consumer, what it has pending; Redis 8.6 has something to say of producers, and more marks.
        let has_producers = server.starts_with("redis-8");
        assert_eq!(changes.len(), if has_producers { 7 } else { 5 });
        assert_eq!(contents.entries.len(), expected.len() + 1);
        kinds.extend(contents.entries.iter().map(|entry| entry.value[0]));
    }
    kinds.sort();
    kinds.dedup();
    // 22 is Valkey's.
    assert_eq!(
        kinds,
        [0, 2, 4, 5, 11, 16, 17, 18, 19, 20, 21, 22, 24, 25, 26]
    );
}

#[test]
fn files_of_old_servers_are_read_value_by_value() {
    let mut kinds = Vec::new();
    for name in OLD_FILES {
        for entry in stored_contents(name).entries {
            let plain = entry.plain().unwrap();
            kinds.push(entry.value[0]);
            let fields = |count: usize| {
                let field = |at: usize| (format!("f{at}").into(), format!("v{at}").into(), None);
                Plain::Hash((1..=count).map(field).collect())
            };
            match (name, &entry.key[..]) {
                ("hash-zipmap.rdb" | "hash-ziplist.rdb", _) => assert_eq!(plain, fields(2)),
                ("list-quicklist.rdb", b"list") => {
                    assert_eq!(plain, Plain::List(vec![b"7".to_vec()]));
                }
                ("zset-ziplist.rdb", _) => {
                    let member = |name: &str, score| (name.into(), score);
                    let members = vec![member("one", 1.0), member("two", 2.0)];
                    assert_eq!(plain, Plain::SortedSet(members));
                }
                ("encodings.rdb", b"list_zipped") => {
                    let elements = ["1", "2", "3", "a", "b", "c", "100000", "6000000000"];
                    let elements = elements.map(|text| text.as_bytes().to_vec());
                    assert_eq!(plain, Plain::List(elements.to_vec()));
                }
                _ => {}
            }
        }
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, [0, 1, 2, 3, 4, 9, 10, 11, 12, 13, 14]);
}

#[test]
fn files_are_read_alike_in_pieces_of_any_size() {
    let servers = SERVERS.map(|server| format!("{server}.rdb"));
    for name in servers.iter().map(String::as_str).chain(OLD_FILES) {
        let file = stored(name);
        for (cut, piece_bytes) in [(1, 1), (7, 30), (1000, 100), (4096, 1), (33, 100_000)] {
            agree(&file, cut, piece_bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
    }
}

#[test]
fn damaged_files_are_refused_or_read_alike_in_pieces_of_any_size() {
    let seed = std::env::var("LARDER_TEST_SEED");
    let seed = seed.map_or_else(|_| std::process::id().into(), |seed| seed.parse().unwrap());
    println!("LARDER_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    for name in OLD_FILES.iter().cycle().take(400) {
        let mut file = stored(name);
        damage::damage(&mut file, &mut random);
        let (cut, piece_bytes) = (random.between(1, 100), random.between(1, 300));
        agree(&file, cut, piece_bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

/// Has a server make all values, and save them; the file.
fn made_by(server: &Server, client: &mut Client) -> Outcome<Vec<u8>> {
    run(client, "CONFIG SET maxmemory-policy allkeys-lfu")?;
    let mut at = 0;
    for recipe in live::RECIPES {
        let Some(golden) = live::make(client, *recipe)? else {
            continue;
        };
        let (db, deadline_ms) = place(at);
        client.call(&["RENAME", "k", &golden.name])?;
        if db > 0 {
            client.call(&["MOVE", &golden.name, &db.to_string()])?;
        }
        run(client, &format!("SELECT {db}"))?;
        if let Some(deadline_ms) = deadline_ms {
            client.call(&["PEXPIREAT", &golden.name, &deadline_ms.to_string()])?;
        }
        run(client, "SELECT 0")?;
        at += 1;
    }
    for line in STREAM {
        run(client, line)?;
    }
    client.call(&["FUNCTION", "LOAD", LIBRARY])?;
    run(client, "SAVE")?;
    std::fs::read(server.directory().join("dump.rdb")).map_err(|why| why.to_string())
}

#[test]
fn files_of_servers_are_read() {
    for peer in peers() {
        let server = Server::start(&Options::redis(peer)).unwrap();
        let mut client = server.connect().unwrap();
        let name = name_of(&mut client).unwrap();
        let file = made_by(&server, &mut client).unwrap();
        agree(&file, 1000, 100).unwrap_or_else(|why| panic!("{name}: {why}"));
        let contents = read(&file, 100, 100, Checksum::Checked).unwrap();
        for entry in &contents.entries {
            entry.plain().unwrap_or_else(|why| panic!("{name}: {why}"));
        }
        if std::env::var_os("LARDER_WRITE_PAYLOADS").is_some() {
            let path = golden::directory().join(format!("{name}.rdb"));
            std::fs::write(path, &file).unwrap();
        }
    }
}

/// A value as Larder writes it: its key, the oldest version that knows it, type and value, and what it is, unless it is a stream.
struct Written {
    key: String,
    version: Version,
    value: Vec<u8>,
    plain: Option<Plain>,
}

/// The values of all real servers, restored by Larder and dumped again.
fn written_by_larder() -> Vec<Written> {
    let mut cluster = Cluster::new(1, 0).unwrap();
    let client = cluster.connect(0);
    let mut written = Vec::new();
    let mut dump = |cluster: &mut Cluster, from: &str, key: String, plain| {
        let Reply::Bulk(payload) = cluster.call(client, &["DUMP", from]).unwrap() else {
            panic!("{key} is not there")
        };
        let (version, value) = unseal(&payload).unwrap();
        let value = value.rest().to_vec();
        written.push(Written {
            key,
            version,
            value,
            plain,
        });
    };
    for server in SERVERS {
        let path = golden::directory().join(format!("{server}.txt"));
        for golden in golden::load(&path).unwrap() {
            let words: [&[u8]; 5] = [b"RESTORE", b"k", b"0", &golden.payload, b"REPLACE"];
            cluster.call(client, &words).unwrap();
            let key = format!("{server}: {}", golden.name);
            dump(&mut cluster, "k", key, Some(golden.plain));
        }
    }
    for line in STREAM {
        cluster.run(client, line);
    }
    dump(&mut cluster, "stream", "stream".into(), None);
    written
}

/// A file of these, in chunks of ten that are padded to blocks.
fn file_of(written: &[Written]) -> Vec<u8> {
    let facts = Facts {
        redis_version: "7.0.15",
        created_secs: 1_700_000_000,
        used_bytes: Some(1 << 20),
        is_log_base: false,
    };
    let mut header = Header::new(facts, Packing::Lzf);
    header.library(LIBRARY.as_bytes());
    header.sizes(0, written.len() as u64, 10);
    header.sizes(1, 5, 0);
    header.pad_to(4096);
    let mut version = Version::WRITTEN;
    let mut sealed: Vec<Sealed> = Vec::new();
    for (number, some) in written.chunks(10).enumerate() {
        let mut chunk = Chunk::new(Packing::Lzf);
        for (at, written) in some.iter().enumerate() {
            let (db, deadline_ms) = place(number * 10 + at);
            let history = [History::Idle(1000), History::Frequency(7)][at % 2];
            let out = chunk.entry(db, deadline_ms, Some(history));
            out.byte(written.value[0]);
            out.string(written.key.as_bytes());
            out.raw(&written.value[1..]);
            version = version.max(written.version);
        }
        chunk.pad_to(4096);
        sealed.push(chunk.seal());
    }
    sealed.insert(0, header.seal(version));
    let summed = sealed.iter().map(|sealed| sealed.summed);
    let end = trailer(
        summed.fold(Summed::default(), Summed::then),
        Checksum::Checked,
    );
    let mut file: Vec<u8> = sealed
        .into_iter()
        .flat_map(|sealed| sealed.pieces.concat())
        .collect();
    assert!(file.len().is_multiple_of(4096));
    file.extend_from_slice(&end);
    file
}

/// Whether a server reads a version.
fn reads(server: &str, version: Version) -> bool {
    match server {
        "redis-7.0.15" => version <= Version(10),
        _ if server.starts_with("redis-8") => version <= Version(13),
        _ => version <= Version(11),
    }
}

#[test]
fn real_servers_load_what_is_written() {
    for peer in peers() {
        let scratch = ScratchDir::new("rdb").unwrap();
        let directory = scratch.path().to_str().unwrap().to_owned();
        let name = {
            let server = Server::start(&Options::redis(peer.clone())).unwrap();
            name_of(&mut server.connect().unwrap()).unwrap()
        };
        let mut written = written_by_larder();
        written.retain(|written| reads(&name, written.version));
        assert!(written.len() > 60, "{}", written.len());
        let path = scratch.path().join("dump.rdb");
        std::fs::write(&path, file_of(&written)).unwrap();
        let server = Options::redis(peer.clone()).directive("dir", &directory);
        let server = Server::start(&server).unwrap();
        let mut client = server.connect().unwrap();
        for (at, written) in written.iter().enumerate() {
            let (db, deadline_ms) = place(at);
            run(&mut client, &format!("SELECT {db}")).unwrap();
            let expires = client.call(&["PEXPIRETIME", &written.key]).unwrap();
            assert_eq!(
                expires,
                Reply::Integer(deadline_ms.unwrap_or(-1)),
                "{}",
                written.key
            );
            if let Some(plain) = &written.plain {
                client.call(&["RENAME", &written.key, "k"]).unwrap();
                let is = live::ask(&mut client).unwrap();
                assert_eq!(
                    is.sorted(),
                    plain.clone().sorted(),
                    "{name}: {}",
                    written.key
                );
                run(&mut client, "DEL k").unwrap();
            } else {
                let info = run(&mut client, "XINFO STREAM stream FULL").unwrap();
                let info = info.lines().join(" ");
                for part in ["1-2", "value2", "group", "consumer", "different"] {
                    assert!(info.contains(part), "{name}: {info}");
                }
                run(&mut client, "DEL stream").unwrap();
            }
        }
        for db in 0..3 {
            run(&mut client, &format!("SELECT {db}")).unwrap();
            assert_eq!(client.run("DBSIZE").unwrap(), Reply::Integer(0));
        }
        let answer = run(&mut client, "FCALL f 0").unwrap();
        assert_eq!(answer, Reply::Bulk(b"some text".to_vec()));
        is_accepted_by_redis_check_rdb(&peer, &path);
    }
}

/// The checker that lies beside a server, if there is one.
fn is_accepted_by_redis_check_rdb(peer: &Path, file: &Path) {
    let checker = peer.with_file_name("redis-check-rdb");
    if checker.is_file() {
        let output = Command::new(checker).arg(file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

fn check(files: &[&Path]) -> Output {
    let program = programs::larder_server().unwrap();
    Command::new(program)
        .arg("check")
        .args(files)
        .output()
        .unwrap()
}

#[test]
fn files_are_checked_by_the_program_with_a_line_each() {
    let scratch = ScratchDir::new("check").unwrap();
    let good = golden::directory().join("redis-7.0.15.rdb");
    let output = check(&[&good, &golden::directory().join("hash-zipmap.rdb")]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let [first, second] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    let bytes = stored("redis-7.0.15.rdb").len();
    for part in [
        "redis-7.0.15.rdb: RDB version 10, written by redis 7.0.15, ".to_owned(),
        " keys in database 0 (".to_owned(),
        " with deadlines), ".to_owned(),
        format!(", 1 libraries of functions, {bytes} bytes, checksum fits"),
    ] {
        assert!(first.contains(&part), "{first}");
    }
    assert!(
        second.ends_with("RDB version 3, 1 keys in database 0, 35 bytes, no checksum"),
        "{second}"
    );

    let mut file = stored("redis-7.0.15.rdb");
    file.truncate(bytes - 100);
    let damaged = scratch.path().join("cut.rdb");
    std::fs::write(&damaged, file).unwrap();
    let missing = scratch.path().join("missing.rdb");
    let output = check(&[&damaged, &good, &missing]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
    let text = String::from_utf8(output.stderr).unwrap();
    let [first, second] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    let where_and_why = format!(
        "{}: byte {}: the file ends too early",
        damaged.display(),
        bytes - 100
    );
    assert!(first.starts_with(&where_and_why), "{first}");
    assert!(second.contains("No such file"), "{second}");
}
