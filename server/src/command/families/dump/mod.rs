//! `DUMP` and `RESTORE`: a value in a form that any Redis restores.

mod payload;
mod restoring;
mod steps;

use larder_engine::{Access, Event, UnixMillis, parse_canonical_i64};

pub(super) use payload::{payload_of, serialized_bytes};
pub(super) use restoring::value_of;

use crate::command::{
    Args, Category, CommandSpec, Flags, Group, KeyFlags, KeySpec, Keys, Run, ShardCall,
    kept_history, run_all_steps,
};
use crate::persist::values::Gathered;
use crate::rdb::file::History;
use crate::resp::ErrorReply;
use crate::resp::errors::{self, CommandResult};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "dump",
        arity: 2,
        flags: Flags::READONLY,
        categories: &[Category::Keyspace],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::RO.access())]),
        tips: &["nondeterministic_output"],
        since: "2.6.0",
        syntax: "key",
        summary: "Answers the value of a key in the form RESTORE takes.",
        complexity: "O(N) where N is the size of the value.",
        run: Run::OnShard(dump),
        steps: Some(steps::begin_dump),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "restore",
        arity: -4,
        flags: Flags::WRITE.with(Flags::DENYOOM).with(Flags::GROWS),
        categories: &[Category::Keyspace, Category::Dangerous],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::OW.update())]),
        since: "2.6.0",
        syntax: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
        summary: "Creates a key from what DUMP answered.",
        complexity: "O(N) where N is the size of the value.",
        run: Run::OnShard(restore),
        steps: Some(steps::begin_restore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "restore-asking",
        arity: -4,
        flags: Flags::WRITE
            .with(Flags::DENYOOM)
            .with(Flags::ASKING)
            .with(Flags::GROWS),
        categories: &[Category::Keyspace, Category::Dangerous],
        keys: Keys::of(&[KeySpec::at(1, KeyFlags::OW.update())]),
        group: Group::Server,
        since: "3.0.0",
        syntax: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
        summary: "Creates a key from what DUMP answered, as a server sends it whose slot moves.",
        complexity: "O(N) where N is the size of the value.",
        run: Run::OnShard(restore),
        steps: Some(steps::begin_restore),
        ..CommandSpec::BASE
    },
];

fn dump(call: &mut ShardCall<'_>) -> CommandResult {
    run_all_steps(call, steps::begin_dump)
}

/// The options of `RESTORE`.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    replace: bool,
    /// When the key is to end: milliseconds from now, or of Unix time. Zero: never.
    ttl_ms: i64,
    /// The time to live is a deadline.
    absolute: bool,
    /// What is known of its uses.
    history: Option<History>,
}

impl Options {
    /// What a call says, which may be obeyed.
    fn of(call: &mut ShardCall<'_>) -> Result<Self, ErrorReply> {
        let options = Self::parse(&call.args)?;
        let key = call.key(1);
        let there = call.shard.get(call.db, key, Access::Peek).is_some();
        if there && !options.replace {
            return Err(errors::BUSY_KEY);
        }
        let ttl_ms = parse_canonical_i64(call.args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
        if ttl_ms < 0 {
            return Err(errors::INVALID_TTL);
        }
        Ok(Self { ttl_ms, ..options })
    }

    fn parse(args: &Args<'_>) -> Result<Self, ErrorReply> {
        let mut options = Self::default();
        let mut at = 4;
        while at < args.len() {
            let value = args.get(at + 1);
            if args.is(at, "replace") {
                options.replace = true;
            } else if args.is(at, "absttl") {
                options.absolute = true;
            } else if let (true, Some(value), None | Some(History::Idle(_))) =
                (args.is(at, "idletime"), value, options.history)
            {
                let idle = parse_canonical_i64(value).ok_or(errors::NOT_AN_INTEGER)?;
                let idle = u64::try_from(idle).map_err(|_| errors::INVALID_IDLE_TIME)?;
                options.history = Some(History::Idle(idle));
                at += 1;
            } else if let (true, Some(value), None | Some(History::Frequency(_))) =
                (args.is(at, "freq"), value, options.history)
            {
                let frequency = parse_canonical_i64(value).ok_or(errors::NOT_AN_INTEGER)?;
                let frequency = u8::try_from(frequency).map_err(|_| errors::INVALID_FREQUENCY)?;
                options.history = Some(History::Frequency(frequency));
                at += 1;
            } else {
                return Err(errors::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }
}

fn restore(call: &mut ShardCall<'_>) -> CommandResult {
    run_all_steps(call, steps::begin_restore)
}

/// Puts what a payload holds at the key, unless it has ended already.
fn put(call: &mut ShardCall<'_>, value: Gathered<'_>, options: Options) -> CommandResult {
    let (key, now) = (call.key(1), call.shard.now());
    let deadline = match options.ttl_ms {
        0 => None,
        at if options.absolute => Some(UnixMillis(at)),
        ttl => Some(UnixMillis(ttl.saturating_add(now.0))),
    };
    if deadline.is_some_and(|deadline| deadline <= now) {
        value.discard(call.shard);
        call.shard.remove(call.db, key, Event::Del);
        call.reply.ok();
        return Ok(());
    }
    let config = call.config;
    let history = options.history;
    let access = history.and_then(|history| kept_history(history, now, config));
    value.put(call.shard, call.db, key, (deadline, access))?;
    call.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::families::testing::Bench;
    use crate::rdb::{Version, seal_as};

    const PAYLOAD: &[u8] = b"\x00\x05hello\n\x00cr\xdfve4 \n";

    fn restore(bench: &mut Bench, key: &str, ttl: &str, payload: &[u8], options: &str) -> String {
        let mut words = vec![b"RESTORE", key.as_bytes(), ttl.as_bytes(), payload];
        words.extend(options.split_whitespace().map(str::as_bytes));
        let reply = bench.run_words(&words);
        String::from_utf8(reply).unwrap().trim_end().to_owned()
    }

    #[test]
    fn what_was_dumped_is_restored_with_deadline_and_history() {
        let mut bench = Bench::new();
        assert_eq!(restore(&mut bench, "a", "0", PAYLOAD, ""), "+OK");
        assert_eq!(bench.run("GET a"), "\"hello\"");
        assert_eq!(
            bench.run_words(&[b"DUMP", b"a"]),
            [b"$17\r\n", PAYLOAD, b"\r\n"].concat()
        );
        assert_eq!(
            restore(&mut bench, "a", "0", PAYLOAD, ""),
            "-BUSYKEY Target key name already exists."
        );
        assert_eq!(
            restore(&mut bench, "a", "5000", PAYLOAD, "replace IDLETIME 100"),
            "+OK"
        );
        bench.check(&[("PTTL a", "5000"), ("OBJECT IDLETIME a", "100")]);
        let deadline = (bench.now() + 1234).to_string();
        assert_eq!(
            restore(&mut bench, "b", &deadline, PAYLOAD, "ABSTTL"),
            "+OK"
        );
        bench.check(&[("PTTL b", "1234"), ("DUMP nothing", "nil")]);
        assert_eq!(bench.events(), ["restore a", "restore a", "restore b"]);
    }

    #[test]
    fn a_restored_frequency_outlives_uses() {
        let mut bench = Bench::new();
        bench.configure("maxmemory-policy", "allkeys-lfu");
        // So that no use raises a count this high.
        bench.configure("lfu-log-factor", "2000000000");
        assert_eq!(restore(&mut bench, "a", "0", PAYLOAD, "FREQ 200"), "+OK");
        bench.check(&[
            ("OBJECT FREQ a", "200"),
            ("GET a", "\"hello\""),
            ("SET a 1", "OK"),
            ("INCR a", "2"),
            ("APPEND a 3", "2"),
            ("SETRANGE a 4 x", "5"),
            ("SETRANGE a 0 y", "5"),
            ("EXPIRE a 100", "1"),
            ("RENAME a b", "OK"),
            ("OBJECT FREQ b", "200"),
            // A new key has a count of its own.
            ("SET c 1", "OK"),
            ("OBJECT FREQ c", "5"),
        ]);
        bench.configure("lfu-log-factor", "0");
        bench.check(&[("GET b", "\"y3\\x00\\x00x\""), ("OBJECT FREQ b", "201")]);
        assert_eq!(restore(&mut bench, "b", "0", PAYLOAD, "REPLACE"), "+OK");
        bench.check(&[("OBJECT FREQ b", "5")]);
    }

    #[test]
    fn a_deadline_that_has_passed_leaves_no_key() {
        let mut bench = Bench::new();
        assert_eq!(restore(&mut bench, "a", "1", PAYLOAD, "ABSTTL"), "+OK");
        bench.check(&[("EXISTS a", "0"), ("SET a 1", "OK")]);
        assert_eq!(
            restore(&mut bench, "a", "1", PAYLOAD, "ABSTTL REPLACE"),
            "+OK"
        );
        bench.check(&[("EXISTS a", "0")]);
        assert_eq!(bench.events(), ["set a", "del a"]);
    }

    /// Collections of several shapes, by key, and the encoding that each answers.
    fn make_collections(bench: &mut Bench) -> Vec<(&'static str, &'static str)> {
        let line = |words: Vec<String>| words.join(" ");
        let long = "x".repeat(70_000);
        for command in [
            "RPUSH list:one a".to_owned(),
            format!("RPUSH list:long a {long} b"),
            line(
                (0..3000).fold(vec!["RPUSH list:large".into()], |mut words, at| {
                    words.push(format!("{at}"));
                    words
                }),
            ),
            "ZADD zset:small 1.5 a -inf b 7 c -7.25e300 12345".to_owned(),
            format!("ZADD zset:name 1 {}", "n".repeat(65)),
            line(
                (0..3000).fold(vec!["ZADD zset:large".into()], |mut words, at| {
                    words.push(format!("{} m{at}", at % 97));
                    words
                }),
            ),
            "HSET hash:small b 1 a two 12345 {}".to_owned(),
            format!("HSET hash:value a {}", "v".repeat(65)),
            format!("HSET hash:long a {long} {long} b"),
            line(
                (0..600).fold(vec!["HSET hash:large".into()], |mut words, at| {
                    words.push(format!("f{at} v{at}"));
                    words
                }),
            ),
        ] {
            let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            assert!(bench.run_words(&words).starts_with(b":"));
        }
        for (of, with) in [("hash:small", "hash:ends"), ("hash:large", "hash:many")] {
            bench.check(&[(&format!("COPY {of} {with}"), "1")]);
        }
        bench.check(&[
            ("HPEXPIRE hash:ends 5000 FIELDS 2 a 12345", "[1, 1]"),
            ("HPEXPIRE hash:many 5000 FIELDS 2 f7 f500", "[1, 1]"),
        ]);
        vec![
            ("list:one", "listpack"),
            ("list:long", "quicklist"),
            ("list:large", "quicklist"),
            ("zset:small", "listpack"),
            ("zset:name", "skiplist"),
            ("zset:large", "skiplist"),
            ("hash:small", "listpack"),
            ("hash:value", "hashtable"),
            ("hash:long", "hashtable"),
            ("hash:large", "hashtable"),
            ("hash:ends", "listpackex"),
            ("hash:many", "hashtable"),
        ]
    }

    /// The elements of a collection, those of a hash sorted, with what its fields' deadlines are.
    fn elements(bench: &mut Bench, key: &str) -> Vec<String> {
        if key.starts_with("list") {
            return vec![bench.run(&format!("LRANGE {key} 0 -1"))];
        }
        if key.starts_with("zset") {
            return vec![bench.run(&format!("ZRANGE {key} 0 -1 WITHSCORES"))];
        }
        let shard = &mut bench.shard;
        let key = shard.hasher().key(key.as_bytes());
        let entry = shard.get(bench.db, key, larder_engine::Access::Peek);
        let mut fields = Vec::new();
        entry
            .unwrap()
            .each_field(&mut |field| fields.push(format!("{field:?}")));
        fields.sort();
        fields
    }

    fn dump(bench: &mut Bench, key: &str) -> Vec<u8> {
        let reply = bench.run_words(&[b"DUMP", key.as_bytes()]);
        let start = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        reply[start..reply.len() - 2].to_vec()
    }

    #[test]
    fn collections_are_dumped_and_restored_with_all_that_they_say() {
        let mut bench = Bench::new();
        for (key, encoding) in make_collections(&mut bench) {
            assert_eq!(bench.encoding(key), encoding, "{key}");
            let payload = dump(&mut bench, key);
            bench.check(&[("SET other 1", "OK")]);
            let reply = restore(
                &mut bench,
                "other",
                "5000",
                &payload,
                "REPLACE IDLETIME 100",
            );
            assert_eq!(reply, "+OK", "{key}");
            bench.shard.check();
            bench.check(&[("PTTL other", "5000"), ("OBJECT IDLETIME other", "100")]);
            assert_eq!(bench.encoding("other"), encoding, "{key}");
            let copy = format!("{}:other", &key[..4]);
            bench.check(&[(&format!("RENAME other {copy}"), "OK")]);
            assert_eq!(elements(&mut bench, key), elements(&mut bench, &copy));
            let again = dump(&mut bench, &copy);
            let (_, value) = crate::rdb::unseal(&payload).unwrap();
            let (_, value_again) = crate::rdb::unseal(&again).unwrap();
            assert_eq!(value.rest().len(), value_again.rest().len(), "{key}");
            let reply = restore(&mut bench, &copy, "0", &payload, "");
            assert_eq!(reply, "-BUSYKEY Target key name already exists.");
        }
    }

    #[test]
    fn fields_that_have_ended_are_dumped_and_restored_as_by_redis() {
        let mut bench = Bench::new();
        make_collections(&mut bench);
        for key in ["hash:ends", "hash:many"] {
            bench.advance(6000);
            let payload = dump(&mut bench, key);
            assert_eq!(
                restore(&mut bench, "other", "0", &payload, "REPLACE"),
                "+OK"
            );
            bench.shard.check();
            assert_eq!(elements(&mut bench, key), elements(&mut bench, "other"));
            bench.check(&[("HEXISTS other f7", "0"), ("HEXISTS other a", "0")]);
        }
    }

    #[test]
    fn a_damaged_collection_changes_nothing_and_leaves_nothing() {
        let mut bench = Bench::new();
        let keys = make_collections(&mut bench);
        bench.check(&[("SET other 1", "OK")]);
        for _ in 0..2 {
            bench.shard.tend(1_000_000);
        }
        // The bytes of all blocks are checked too; a node may keep room.
        let used = bench.shard.memory().payload_bytes;
        for (key, _) in keys {
            let payload = dump(&mut bench, key);
            let (version, value) = crate::rdb::unseal(&payload).unwrap();
            let value = value.rest();
            let step = (value.len() / 40).max(1);
            for len in (0..value.len()).step_by(step) {
                let cut = seal_as(value[..len].to_vec(), version);
                let reply = restore(&mut bench, "other", "0", &cut, "REPLACE");
                assert_eq!(reply, "-ERR Bad data format", "{key} {len}");
            }
            while bench.shard.tend(1_000_000) {}
            bench.shard.check();
            assert_eq!(bench.shard.memory().payload_bytes, used, "{key}");
            // A deadline that has passed: nothing is put, and nothing is left of it.
            bench.check(&[("SET gone 1", "OK")]);
            let reply = restore(&mut bench, "gone", "1", &payload, "REPLACE ABSTTL");
            assert_eq!(reply, "+OK");
            while bench.shard.tend(1_000_000) {}
            bench.shard.check();
            assert_eq!(bench.shard.memory().payload_bytes, used, "{key}");
        }
        bench.check(&[("GET other", "\"1\"")]);
        // A field that comes twice: packed, and large.
        let mut many = b"\x04\x42\x58".to_vec();
        for at in 0..599 {
            many.extend_from_slice(format!("\x04{at:04}\x01v").as_bytes());
        }
        many.extend_from_slice(b"\x040007\x01w");
        for value in [&b"\x04\x02\x01a\x01b\x01a\x01c"[..], &many] {
            let payload = seal_as(value.to_vec(), Version::WRITTEN);
            let reply = restore(&mut bench, "other", "0", &payload, "REPLACE");
            assert_eq!(reply, "-ERR Bad data format");
        }
        while bench.shard.tend(1_000_000) {}
        bench.shard.check();
        assert_eq!(bench.shard.memory().payload_bytes, used);
    }

    #[test]
    fn what_is_none_of_the_types_there_are_is_refused_and_changes_nothing() {
        let mut bench = Bench::new();
        bench.check(&[("SET a 1", "OK")]);
        for (value, expected) in [
            (&b"\x00\xc0\x05"[..], "+OK"),
            // What stands behind a value is ignored, as by Redis.
            (b"\x00\x015more", "+OK"),
            (b"", "-ERR Bad data format"),
            (b"\x00", "-ERR Bad data format"),
            (b"\x00\x05abc", "-ERR Bad data format"),
            (b"\x01\x00", "-ERR Bad data format"),
            (b"\x03\x01\x01a\xfd", "-ERR Bad data format"),
            (b"\x0f", "-ERR Bad data format"),
            (b"\xff", "-ERR Bad data format"),
        ] {
            let payload = seal_as(value.to_vec(), Version::WRITTEN);
            let reply = restore(&mut bench, "a", "0", &payload, "REPLACE");
            assert_eq!(reply, expected, "{value:x?}");
        }
        bench.check(&[("GET a", "\"5\"")]);
        assert_eq!(bench.events(), ["set a", "restore a", "restore a"]);
    }

    #[test]
    fn what_cannot_be_restored_is_refused_in_the_order_of_redis() {
        let mut bench = Bench::new();
        for (ttl, payload, options, expected) in [
            ("x", "y", "", "-ERR value is not an integer or out of range"),
            ("-1", "y", "", "-ERR Invalid TTL value, must be >= 0"),
            (
                "0",
                "y",
                "",
                "-ERR DUMP payload version or checksum are wrong",
            ),
            ("x", "y", "foo", "-ERR syntax error"),
            ("0", "y", "idletime", "-ERR syntax error"),
            (
                "0",
                "y",
                "idletime -1",
                "-ERR Invalid IDLETIME value, must be >= 0",
            ),
            (
                "0",
                "y",
                "freq 256",
                "-ERR Invalid FREQ value, must be >= 0 and <= 255",
            ),
            (
                "0",
                "y",
                "freq x",
                "-ERR value is not an integer or out of range",
            ),
            ("0", "y", "freq 1 idletime 1", "-ERR syntax error"),
        ] {
            let reply = restore(&mut bench, "a", ttl, payload.as_bytes(), options);
            assert_eq!(reply, expected, "{ttl} {options}");
        }
        assert_eq!(bench.changes(), 0);
    }
}
