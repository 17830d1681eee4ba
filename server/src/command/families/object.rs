//! `OBJECT`: how a value is kept, and when it was used.

use larder_engine::evict::Lfu;
use larder_engine::{
    Access, AccessClock, Encoding, EntryRef, EvictionOptions, ListThreshold, StreamNodeLimits,
    StreamProduction, Thresholds, UnixMillis, parse_canonical_i64,
};

use crate::command::{Category, CommandSpec, Flags, KeyFlags, KeySpec, Keys, Run, ShardCall};
use crate::config::{Config, MaxmemoryPolicy};
use crate::rdb::file::History;
use crate::resp::errors::{self, CommandResult};

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "object",
    arity: -2,
    since: "2.2.3",
    summary: "A container of commands that look into entries.",
    complexity: "Depends on the subcommand.",
    subcommands: &[
        CommandSpec {
            name: "object|encoding",
            summary: "Answers how the value of a key is represented.",
            run: Run::OnShard(encoding),
            ..LOOKING
        },
        CommandSpec {
            name: "object|freq",
            since: "4.0.0",
            summary: "Answers the logarithmic frequency counter of a key, under an LFU policy.",
            run: Run::OnShard(frequency),
            ..LOOKING
        },
        CommandSpec {
            name: "object|help",
            arity: 2,
            flags: Flags::LOADING.with(Flags::STALE),
            categories: &[Category::Keyspace],
            since: "6.2.0",
            summary: "Answers a description of the subcommands.",
            run: Run::OnShard(help),
            ..CommandSpec::BASE
        },
        CommandSpec {
            name: "object|idletime",
            summary: "Answers the seconds since a key was last used.",
            run: Run::OnShard(idle_time),
            ..LOOKING
        },
        CommandSpec {
            name: "object|refcount",
            summary: "Answers the number of references to the value of a key.",
            run: Run::OnShard(reference_count),
            ..LOOKING
        },
    ],
    ..CommandSpec::BASE
}];

const LOOKING: CommandSpec = CommandSpec {
    arity: 3,
    flags: Flags::READONLY,
    categories: &[Category::Keyspace],
    keys: Keys::of(&[KeySpec::at(2, KeyFlags::RO)]),
    tips: &["nondeterministic_output"],
    since: "2.2.3",
    syntax: "key",
    ..CommandSpec::BASE
};

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Prints this help.",
];

/// Integers below this are shared objects in Redis, which says so by [`SHARED_REFERENCES`].
const SHARED_INTEGERS: i64 = 10_000;

/// The reference count of what is shared.
const SHARED_REFERENCES: i64 = i32::MAX as i64;

fn help(call: &mut ShardCall<'_>) -> CommandResult {
    call.reply.help(HELP);
    Ok(())
}

fn encoding(call: &mut ShardCall<'_>) -> CommandResult {
    match look(call, |entry| entry.encoding()) {
        Some(encoding) => call.reply.text(encoding.name()),
        None => call.reply.null(),
    }
    Ok(())
}

/// Nothing is shared here; what Redis shares is answered as Redis does, since clients compare.
fn reference_count(call: &mut ShardCall<'_>) -> CommandResult {
    let may_share = shares_integers(call.config);
    let shared = look(call, |entry| {
        may_share
            && entry.encoding() == Encoding::Int
            && entry
                .string()
                .and_then(parse_canonical_i64)
                .is_some_and(|number| (0..SHARED_INTEGERS).contains(&number))
    });
    match shared {
        Some(true) => call.reply.integer(SHARED_REFERENCES),
        Some(false) => call.reply.integer(1),
        None => call.reply.null(),
    }
    Ok(())
}

/// Redis shares small integers unless it needs the access history of each by itself.
fn shares_integers(config: &Config) -> bool {
    config.maxmemory_bytes == 0 || !config.maxmemory_policy.is_lru_or_lfu()
}

fn idle_time(call: &mut ShardCall<'_>) -> CommandResult {
    let now = call.shard.now();
    match look(call, |entry| entry.access().idle_secs(now)) {
        Some(_) if call.config.maxmemory_policy.is_lfu() => {
            return Err(errors::IDLE_TIME_NOT_TRACKED);
        }
        Some(_) if !keeps_time(call.config) => return Err(errors::IDLE_TIME_NOT_KEPT),
        Some(seconds) => call.reply.integer(seconds.into()),
        None => call.reply.null(),
    }
    Ok(())
}

fn frequency(call: &mut ShardCall<'_>) -> CommandResult {
    let (now, config) = (call.shard.now(), call.config);
    let lfu = config.maxmemory_policy.is_lfu().then(|| lfu_of(config));
    match (look(call, |entry| entry.access()), lfu) {
        (Some(_), None) => return Err(errors::FREQUENCY_NOT_TRACKED),
        (Some(history), Some(lfu)) => call.reply.integer(lfu.count(history, now).into()),
        (None, _) => call.reply.null(),
    }
    Ok(())
}

/// How `LFU` policies count uses.
pub(super) fn lfu_of(config: &Config) -> Lfu {
    Lfu {
        log_factor: config.lfu_log_factor,
        decay_minutes: config.lfu_decay_time_min,
    }
}

/// The access history that an entry is to have of which this is known, if the configuration has entries keep that.
pub fn kept_history(history: History, now: UnixMillis, config: &Config) -> Option<AccessClock> {
    const MASK: u64 = (1 << AccessClock::BITS) - 1;
    match history {
        History::Frequency(frequency) => {
            let is_kept = config.maxmemory_policy.is_lfu();
            is_kept.then(|| Lfu::history(now, frequency))
        }
        History::Idle(secs) => {
            let is_kept = !config.maxmemory_policy.is_lfu() && keeps_time(config);
            let used_at = now.as_secs() - secs.min(MASK).cast_signed();
            is_kept.then_some(AccessClock((used_at & MASK.cast_signed()) as u32))
        }
    }
}

/// How a core of `cores` evicts, if it does. Without a limit of memory, for all or for a prefix, nothing does; but entries are kept account of as the policy has
/// it, if it is one of Redis's, as there.
pub fn eviction_of(config: &Config, cores: u16) -> Option<EvictionOptions> {
    let MaxmemoryPolicy::Evicts(scope, policy) = config.maxmemory_policy else {
        return None;
    };
    let bytes = match config.maxmemory_bytes {
        0 => config.quotas().promised_bytes(),
        bytes => bytes,
    };
    if bytes == 0 && !policy.is_redis() {
        return None;
    }
    Some(EvictionOptions {
        policy,
        scope,
        samples: config.maxmemory_samples as usize,
        lfu: lfu_of(config),
        capacity_bytes: bytes / u64::from(cores.max(1)),
    })
}

/// Whether entries keep the time of their last use, or change.
pub(super) fn keeps_time(config: &Config) -> bool {
    eviction_of(config, 1).is_none_or(|eviction| eviction.policy.keeps_time())
}

/// Up to which sizes collections answer the encodings of small ones.
pub fn thresholds_of(config: &Config) -> Thresholds {
    /// Redis's bounds of bytes, by which negative numbers go.
    const BYTES: [u32; 5] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];
    let list_size = config.list_max_listpack_size;
    let list = if list_size < 0 {
        let bound = list_size.unsigned_abs() as usize - 1;
        ListThreshold::Bytes(BYTES[bound.min(BYTES.len() - 1)])
    } else {
        ListThreshold::Elements(list_size.unsigned_abs().max(1))
    };
    Thresholds {
        hash_fields: config.hash_max_listpack_entries,
        hash_value_bytes: config.hash_max_listpack_value_bytes,
        sorted_set_members: config.zset_max_listpack_entries,
        sorted_set_name_bytes: config.zset_max_listpack_value_bytes,
        set_integers: config.set_max_intset_entries,
        set_members: config.set_max_listpack_entries,
        set_member_bytes: config.set_max_listpack_value_bytes,
        list,
        stream_nodes: StreamNodeLimits {
            bytes: unless_zero(config.stream_node_max_bytes),
            entries: unless_zero(config.stream_node_max_entries),
        },
        stream_production: StreamProduction {
            duration_secs: config.stream_idmp_duration_secs,
            most: config.stream_idmp_maxsize,
        },
    }
}

/// A bound, of which zero says that there is none.
fn unless_zero(bound: u64) -> u64 {
    if bound == 0 { u64::MAX } else { bound }
}

/// What `read` says about the entry, without that counting as a use.
fn look<T>(call: &mut ShardCall<'_>, read: impl FnOnce(EntryRef<'_>) -> T) -> Option<T> {
    let key = call.key(2);
    let found = call.shard.get(call.db, key, Access::Peek).map(read);
    call.stats
        .count_lookup((call.db, key.bytes()), found.is_some());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::testing::Bench;

    #[test]
    fn the_policy_decides_which_access_history_there_is() {
        let mut bench = Bench::new();
        bench.run("SET a 1");
        assert!(
            bench
                .run("OBJECT FREQ a")
                .starts_with("ERR An LFU maxmemory policy is not selected")
        );
        assert_eq!(bench.run("OBJECT IDLETIME a"), "0");
        bench.configure("maxmemory-policy", "allkeys-lfu");
        assert!(
            bench
                .run("OBJECT IDLETIME a")
                .starts_with("ERR An LFU maxmemory policy is selected")
        );
        assert_eq!(bench.run("OBJECT IDLETIME b"), "nil");
        assert!(bench.run("OBJECT FREQ a").parse::<u8>().is_ok());
    }

    #[test]
    fn integers_are_shared_unless_each_has_a_history_of_its_own() {
        let mut bench = Bench::new();
        let check = |bench: &mut Bench, number: &str, expected: &str| {
            bench.run(&format!("SET a {number}"));
            assert_eq!(bench.run("OBJECT REFCOUNT a"), expected, "{number}");
        };
        for (number, expected) in [
            ("0", "2147483647"),
            ("9999", "2147483647"),
            ("10000", "1"),
            ("-1", "1"),
        ] {
            check(&mut bench, number, expected);
        }
        bench.configure("maxmemory-policy", "allkeys-lru");
        check(&mut bench, "5", "2147483647");
        bench.configure("maxmemory", "100mb");
        check(&mut bench, "5", "1");
        bench.configure("maxmemory-policy", "allkeys-random");
        check(&mut bench, "5", "2147483647");
    }

    #[test]
    fn thresholds_are_read_as_redis_reads_them() {
        let mut bench = Bench::new();
        assert_eq!(thresholds_of(&bench.config), Thresholds::default());
        for (size, expected) in [
            ("-1", ListThreshold::Bytes(4096)),
            ("-5", ListThreshold::Bytes(65_536)),
            ("-6", ListThreshold::Bytes(65_536)),
            ("-2147483648", ListThreshold::Bytes(65_536)),
            ("0", ListThreshold::Elements(1)),
            ("128", ListThreshold::Elements(128)),
        ] {
            bench.configure("list-max-listpack-size", size);
            assert_eq!(thresholds_of(&bench.config).list, expected, "{size}");
        }
        bench.configure("hash-max-ziplist-entries", "3");
        bench.configure("hash-max-listpack-value", "1kb");
        let thresholds = thresholds_of(&bench.config);
        assert_eq!(
            (thresholds.hash_fields, thresholds.hash_value_bytes),
            (3, 1024)
        );
    }

    #[test]
    fn a_value_edited_in_place_is_raw() {
        let mut bench = Bench::new();
        bench.check(&[
            ("SET a 12", "OK"),
            ("OBJECT ENCODING a", "\"int\""),
            ("APPEND a 3", "3"),
            ("OBJECT ENCODING a", "\"raw\""),
            ("OBJECT REFCOUNT a", "1"),
        ]);
    }
}
