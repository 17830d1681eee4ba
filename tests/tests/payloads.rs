//! Values of other servers are read and restored, and those servers read what Larder writes (`larder_tests::payloads`).
//!
//! Payloads of servers that are seldom installed lie under `tests/payloads`. A program that `LARDER_TEST_PEERS` names (paths,
//! with `:` between) is asked as redis-server is, and with `LARDER_WRITE_PAYLOADS=1` its payloads are written there:
//!
//! ```text
//! LARDER_TEST_PEERS=/usr/local/bin/redis-server LARDER_WRITE_PAYLOADS=1 cargo test -p larder-tests --test payloads of_servers
//! ```
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use larder_server::rdb::{Fault, Packing, Version, seal_as, unseal};
use larder_tests::Outcome;
use larder_tests::client::Client;
use larder_tests::payloads::golden::{self, Golden};
use larder_tests::payloads::live::{name_of, peers};
use larder_tests::payloads::{MANNERS, Plain, as_kept, damage, live, read, read_payload, write};
use larder_tests::random::Random;
use larder_tests::rdb_files::{self, OLD_FILES};
use larder_tests::resp::Reply;
use larder_tests::server::{IoBackend, Options, Server};
use proptest::prelude::*;

/// All payloads in files.
fn goldens() -> Vec<Golden> {
    let files = std::fs::read_dir(golden::directory()).unwrap();
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(paths.len() >= 3, "{paths:?}");
    let all = paths.iter().flat_map(|path| golden::load(path).unwrap());
    all.collect()
}

#[test]
fn payloads_of_real_servers_are_read() {
    let mut kinds = Vec::new();
    for golden in goldens() {
        let plain =
            read_payload(&golden.payload).unwrap_or_else(|why| panic!("{}: {why}", golden.name));
        assert_eq!(plain.sorted(), golden.plain.sorted(), "{}", golden.name);
        kinds.push(golden.payload[0]);
    }
    kinds.sort();
    kinds.dedup();
    // 22 is Valkey's.
    assert_eq!(kinds, [0, 2, 4, 5, 11, 16, 17, 18, 20, 22, 24, 25]);
}

fn on_each_peer(mut check: impl FnMut(&Path, &mut Client) -> Outcome<()>) {
    for peer in peers() {
        let options = Options::redis(peer.clone()).directive("sanitize-dump-payload", "yes");
        let server = Server::start(&options).unwrap();
        let mut client = server.connect().unwrap();
        check(&peer, &mut client).unwrap_or_else(|why| panic!("{}: {why}", peer.display()));
    }
}

#[test]
fn payloads_of_servers_are_read_and_theirs_are_written_alike() {
    on_each_peer(|peer, client| {
        let name = name_of(client)?;
        let mut made = Vec::new();
        for recipe in live::LARGE_RECIPES.iter().chain(live::RECIPES) {
            let Some(golden) = live::make(client, *recipe)? else {
                continue;
            };
            let plain = read_payload(&golden.payload)
                .map_err(|why| format!("{}: {}: {why}", peer.display(), recipe.0))?;
            let is_same = plain.clone().sorted() == golden.plain.clone().sorted();
            if !is_same {
                return Err(format!("{}: {plain:?}, not {:?}", recipe.0, golden.plain));
            }
            if recipe.0.ends_with("that is not packed") {
                let (_, theirs) = unseal(&golden.payload).unwrap();
                let ours = write(&plain, MANNERS[0]).unwrap();
                let (_, ours) = unseal(&ours).unwrap();
                assert_eq!(MANNERS[0].packing, Packing::None);
                assert_eq!(ours.rest(), theirs.rest(), "{}: {}", recipe.0, name);
            }
            if live::RECIPES.contains(recipe) {
                made.push(golden);
            }
        }
        if std::env::var_os("LARDER_WRITE_PAYLOADS").is_some() {
            let about =
                format!("What {name} answers to DUMP. Written by `tests/tests/payloads.rs`.");
            let path = golden::directory().join(format!("{name}.txt"));
            std::fs::write(path, golden::format(&about, &made)).unwrap();
        }
        Ok(())
    });
}

/// Values that are larger than those in files.
fn large_values() -> Vec<(&'static str, Plain)> {
    let text = |at: usize| match at % 4 {
        0 => at.to_string().into_bytes(),
        1 => vec![b'a' + (at % 26) as u8; at % 300],
        2 => format!("element {at} \0\r\n\u{ff}").into_bytes(),
        _ => (at * 1_000_003).to_string().into_bytes(),
    };
    let mut elements: Vec<Vec<u8>> = (0..5000).map(text).collect();
    elements[100] = vec![b'x'; 8192];
    elements[200] = vec![b'y'; 8193];
    elements[300] = (0..100_000_u32)
        .map(|at| (at.wrapping_mul(at) >> 7) as u8)
        .collect();
    let field = |at: usize, deadline| (format!("field:{at}").into_bytes(), text(at), deadline);
    let deadline = |at: usize| {
        (!at.is_multiple_of(3)).then_some(9_999_999_990_000 + (at * 7919 % 1000) as i64)
    };
    // Entries whose lengths are all ones.
    let long = |len| (vec![b'f'; len % 100], vec![b'v'; len], None);
    vec![
        ("a list", Plain::List(elements)),
        (
            "a hash of long values",
            Plain::Hash(
                [126, 127, 16_377, 16_378, 2_097_145, 2_097_146]
                    .map(long)
                    .to_vec(),
            ),
        ),
        ("a list of one", Plain::List(vec![vec![]])),
        ("a list of 63", Plain::List((0..63).map(text).collect())),
        ("a list of 64", Plain::List((0..64).map(text).collect())),
        (
            "a small hash",
            Plain::Hash((0..20).map(|at| field(at, None)).collect()),
        ),
        (
            "a large hash",
            Plain::Hash((0..3000).map(|at| field(at, None)).collect()),
        ),
        (
            "a small hash with deadlines",
            Plain::Hash((0..20).map(|at| field(at, deadline(at))).collect()),
        ),
        (
            "a large hash with deadlines",
            Plain::Hash((0..3000).map(|at| field(at, deadline(at))).collect()),
        ),
    ]
}

#[test]
fn real_servers_restore_what_is_written() {
    on_each_peer(|_, client| {
        let name = name_of(client)?;
        // Valkey has deadlines of fields, but not in Redis's form.
        let has_deadlines = name.starts_with("redis-") && client.knows_command("HPEXPIREAT")?;
        let of_files = goldens()
            .into_iter()
            .map(|golden| ("of a file", golden.plain));
        let mut restored = 0;
        for (what, plain) in of_files.chain(large_values()) {
            for manner in MANNERS {
                let Some(payload) = write(&plain, manner) else {
                    continue;
                };
                match live::restore(client, &payload)? {
                    Ok(found) if found.clone().sorted() == plain.clone().sorted() => restored += 1,
                    Ok(_) => return Err(format!("{what}, {manner:?}: it holds something else")),
                    Err(why) if plain.has_deadlines() && !has_deadlines => {
                        // Their version is too new for it, which it says.
                        assert!(why.contains("version or checksum"), "{name}: {why}");
                    }
                    Err(why) => return Err(format!("{what}, {manner:?}: {why}")),
                }
            }
        }
        assert!(restored > 100, "{restored}");
        Ok(())
    });
}

/// Types and values to be damaged.
fn values() -> Vec<(Version, Vec<u8>)> {
    let mut values = Vec::new();
    for golden in goldens() {
        let (version, input) = unseal(&golden.payload).unwrap();
        values.push((version, input.rest().to_vec()));
        for payload in MANNERS
            .map(|manner| write(&golden.plain, manner))
            .into_iter()
            .flatten()
        {
            let (version, input) = unseal(&payload).unwrap();
            values.push((version, input.rest().to_vec()));
        }
    }
    for name in OLD_FILES {
        let entries = rdb_files::stored_contents(name).entries;
        values.extend(
            entries
                .into_iter()
                .map(|entry| (entry.version, entry.value)),
        );
    }
    values
}

/// Calls for each of so many damaged values, in turn of all.
fn each_damaged(times: usize, seed: u64, mut check: impl FnMut(Version, &[u8])) {
    let values = values();
    let mut random = Random::new(seed);
    for at in 0..times {
        let (version, value) = &values[at % values.len()];
        let mut value = value.clone();
        damage::damage(&mut value, &mut random);
        check(*version, &value);
    }
}

fn seed() -> u64 {
    let seed = std::env::var("LARDER_TEST_SEED");
    let seed = seed.map_or_else(|_| std::process::id().into(), |seed| seed.parse().unwrap());
    println!("LARDER_TEST_SEED={seed}");
    seed
}

/// `LARDER_DAMAGED` says how many damaged payloads are tried.
fn times(default: usize) -> usize {
    let times = std::env::var("LARDER_DAMAGED");
    times.map_or(default, |times| times.parse().unwrap())
}

#[test]
fn damaged_values_are_refused_or_are_values() {
    let (mut accepted, mut refused) = (0, 0);
    each_damaged(
        times(30_000),
        seed(),
        |version, value| match damage::check(version, value) {
            Ok(true) => accepted += 1,
            Ok(false) => refused += 1,
            Err(why) => panic!("{}: {why}", value.escape_ascii()),
        },
    );
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted > 100 && refused > 100);
}

#[test]
fn truncated_values_are_refused() {
    for (version, value) in values() {
        let step = (value.len() / 500).max(1);
        for len in (0..value.len()).step_by(step) {
            assert!(
                read(version, &value[..len]).is_err(),
                "{}: {len}",
                value.escape_ascii()
            );
        }
    }
}

/// Whether a server whose payloads are of version `newest` knows this version, and this type in it.
fn knows(newest: Version, version: Version, value: &[u8]) -> bool {
    let kind = value.first().copied().unwrap_or_default();
    match newest {
        Version(80) => version.is_valkey() || version <= Version(11) && kind < 22,
        Version(10) => version <= newest && kind < 20,
        _ => version <= newest,
    }
}

/// What Redis takes and Larder does not: a text that only begins like a score, lengths of forms that no server writes.
const STRICTER: &[&str] = &[
    "a score is no number",
    "a listpack's entry has two lengths",
    "there is a string instead of a length",
    "a zipmap ends before its end",
];

/// Whether a server is asked of what Larder refuses: not where a count may be large, for which servers set memory aside.
fn is_worth_asking(value: &[u8], why: Fault) -> bool {
    matches!(why, Fault::Damaged(_)) && matches!(value[0], 9..=21 | 23 | 25)
}

#[test]
fn what_is_read_of_damaged_values_is_what_a_real_server_reads() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let soon = now.as_millis() as i64 + 3_600_000;
    on_each_peer(|_, client| {
        let name = name_of(client)?;
        let own = client
            .run("SET k x")
            .and_then(|_| client.call(&["DUMP", "k"]))?;
        let Reply::Bulk(own) = own else {
            return Err("DUMP answers something else".into());
        };
        let (newest, _) = unseal(&own).unwrap();
        let (mut accepted, mut stricter) = (0, BTreeMap::new());
        let mut fault = None;
        each_damaged(times(5000), seed(), |version, value| {
            if fault.is_some() || !knows(newest, version, value) {
                return;
            }
            let ours = read(version, value);
            if ours
                .as_ref()
                .is_err_and(|why| !is_worth_asking(value, *why))
            {
                return;
            }
            let theirs = live::restore(client, &seal_as(value.to_vec(), version));
            match (ours, theirs) {
                (Ok((ours, _)), _) if ours.has_deadline_before(soon) => {}
                (Ok((ours, _)), Ok(Ok(theirs)))
                    if ours.clone().sorted() == theirs.clone().sorted() =>
                {
                    accepted += 1;
                }
                (Err(_), Ok(Err(_))) => {}
                (Err(why), Ok(Ok(_))) => *stricter.entry(why.to_string()).or_insert(0) += 1,
                (ours, theirs) => {
                    fault = Some(format!(
                        "{}: {ours:?}, theirs {theirs:?}",
                        value.escape_ascii()
                    ));
                }
            }
        });
        println!("{name}: {accepted} read alike; refused here alone: {stricter:?}");
        assert!(accepted > 100, "{accepted}");
        stricter.retain(|why, _| !STRICTER.contains(&why.as_str()));
        assert_eq!(stricter, BTreeMap::new(), "{name}");
        fault.map_or(Ok(()), Err)
    });
}

/// Larder, on two cores.
fn larder() -> Server {
    let backend = IoBackend::under_test()[0];
    Server::start(&Options::larder(2, backend)).unwrap()
}

#[test]
fn larder_restores_what_servers_dump_and_they_what_larder_dumps() {
    let server = larder();
    let mut larder = server.connect().unwrap();
    let of_files = goldens().into_iter().map(|golden| golden.plain);
    let large = large_values().into_iter().map(|(_, plain)| plain);
    let mut dumped = Vec::new();
    for plain in of_files.chain(large) {
        for manner in MANNERS {
            let Some(payload) = write(&plain, manner) else {
                continue;
            };
            let restored = live::restore(&mut larder, &payload).unwrap();
            assert_eq!(restored.map(Plain::sorted), Ok(as_kept(plain.clone())));
            let Reply::Bulk(payload) = larder.call(&["DUMP", "k"]).unwrap() else {
                panic!("DUMP answers something else");
            };
            let read = read_payload(&payload).unwrap();
            assert_eq!(read.sorted(), as_kept(plain.clone()));
            // What was dumped is restored as it was.
            let again = live::restore(&mut larder, &payload).unwrap();
            assert_eq!(again.map(Plain::sorted), Ok(as_kept(plain.clone())));
            dumped.push((payload, as_kept(plain.clone())));
        }
    }
    for golden in goldens() {
        let restored = live::restore(&mut larder, &golden.payload).unwrap();
        assert_eq!(restored.map(Plain::sorted), Ok(as_kept(golden.plain)));
    }
    on_each_peer(|_, client| {
        let name = name_of(client)?;
        let has_deadlines = name.starts_with("redis-") && client.knows_command("HPEXPIREAT")?;
        let mut restored = 0;
        for (payload, plain) in &dumped {
            match live::restore(client, payload)? {
                Ok(found) => {
                    assert_eq!(found.sorted(), *plain, "{name}");
                    restored += 1;
                }
                Err(why) if plain.has_deadlines() && !has_deadlines => {
                    assert!(why.contains("version or checksum"), "{name}: {why}");
                }
                Err(why) => return Err(why),
            }
        }
        assert!(restored > 50, "{restored}");
        for recipe in live::LARGE_RECIPES.iter().chain(live::RECIPES) {
            let Some(golden) = live::make(client, *recipe)? else {
                continue;
            };
            let restored = live::restore(&mut larder, &golden.payload)?;
            assert_eq!(
                restored.map(Plain::sorted),
                Ok(as_kept(golden.plain)),
                "{name}"
            );
        }
        Ok(())
    });
}

#[test]
fn larder_refuses_damaged_payloads_and_changes_nothing() {
    let (mut accepted, mut refused) = (0, 0);
    each_damaged(
        times(3000),
        seed(),
        |version, value| match damage::check_restored(version, value) {
            Ok(true) => accepted += 1,
            Ok(false) => refused += 1,
            Err(why) => panic!("{}: {why}", value.escape_ascii()),
        },
    );
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted > 20 && refused > 20);
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        any::<i16>().prop_map(|number| number.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(prop::sample::select(&b"ab"[..]), 0..500),
        (0_usize..20_000).prop_map(|len| vec![b'x'; len]),
    ]
}

fn plain() -> impl Strategy<Value = Plain> {
    let deadline = prop::option::of(1_i64..(1 << 48));
    let fields = prop::collection::btree_map(text(), (text(), deadline), 1..50);
    prop_oneof![
        text().prop_map(Plain::String),
        prop::collection::vec(text(), 1..100).prop_map(Plain::List),
        fields.prop_map(|fields| {
            let field = |(name, (value, deadline))| (name, value, deadline);
            Plain::Hash(fields.into_iter().map(field).collect())
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(plain in plain()) {
        for manner in MANNERS {
            let payload = write(&plain, manner).unwrap();
            prop_assert_eq!(read_payload(&payload).unwrap().sorted(), plain.clone().sorted());
        }
    }
}
