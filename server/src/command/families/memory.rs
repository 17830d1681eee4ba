//! `MEMORY`: where the bytes are.

use larder_engine::{Access, DbIndex, MemoryUsage};

use crate::command::{
    Args, CommandSpec, CoreCall, Flags, Group, Keys, Run, SessionCall, ShardCall,
};
use crate::observe::{PartReader, PartWriter};
use crate::resp::Reply;
use crate::resp::errors::{self, CommandResult};
use crate::routing::CoreId;

/// The family's table.
pub(crate) static COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "memory",
    arity: -2,
    group: Group::Server,
    since: "4.0.0",
    summary: "A container for commands about memory.",
    complexity: "Depends on subcommand",
    subcommands: SUBCOMMANDS,
    ..CommandSpec::BASE
}];

static SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "memory|doctor",
        arity: 2,
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        group: Group::Server,
        since: "4.0.0",
        summary: "Reports on memory in words.",
        run: Run::EveryCore {
            each,
            merge: doctor,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "memory|help",
        arity: 2,
        flags: Flags::ANYTIME,
        group: Group::Server,
        since: "4.0.0",
        summary: "Describes the subcommands.",
        run: Run::OnSession(help),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "memory|malloc-stats",
        arity: 2,
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        group: Group::Server,
        since: "4.0.0",
        summary: "Returns the arenas' figures.",
        complexity: "Depends on how much memory is allocated, could be slow",
        run: Run::EveryCore {
            each,
            merge: malloc_stats,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "memory|purge",
        arity: 2,
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        group: Group::Server,
        since: "4.0.0",
        summary: "Gives free memory back to the operating system.",
        complexity: "Depends on how much memory is allocated, could be slow",
        run: Run::EveryCore {
            each: purge_each,
            merge: purge_merge,
        },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "memory|stats",
        arity: 2,
        tips: &[
            "nondeterministic_output",
            "request_policy:all_shards",
            "response_policy:special",
        ],
        group: Group::Server,
        since: "4.0.0",
        summary: "Returns where the memory is.",
        run: Run::EveryCore { each, merge: stats },
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "memory|usage",
        arity: -3,
        flags: Flags::READONLY,
        keys: Keys::Range {
            first: 2,
            last: 2,
            step: 1,
        },
        group: Group::Server,
        since: "4.0.0",
        syntax: "key [SAMPLES count]",
        summary: "Returns the memory a key and its value take.",
        complexity: "O(N) where N is the number of samples",
        run: Run::OnShard(usage),
        key_flags: &["RO"],
        ..CommandSpec::BASE
    },
];

const HELP: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Return memory problems reports.",
    "MALLOC-STATS",
    "    Return internal statistics report from the memory allocator.",
    "PURGE",
    "    Attempt to purge dirty pages for reclamation by the allocator.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    sampled up to <count> times (default: 5, 0 means sample all).",
    "HELP",
    "    Prints this help.",
];

fn help(call: &mut SessionCall<'_>) -> CommandResult {
    call.reply(|reply| reply.help(HELP));
    Ok(())
}

fn usage(call: &mut ShardCall<'_>) -> CommandResult {
    let args = call.args;
    for at in (3..args.len()).step_by(2) {
        if !args.is(at, "samples") || at + 1 >= args.len() {
            return Err(errors::SYNTAX);
        }
        // Every element is counted in any case: the accounting is exact.
        if args.integer(at + 1)? < 0 {
            return Err(errors::SYNTAX);
        }
    }
    let key = call.key(2);
    match call.shard.get(call.db, key, Access::Peek) {
        Some(entry) => call.reply.count(entry.memory_bytes()),
        None => call.reply.null(),
    }
    Ok(())
}

/// What a core holds.
fn each(call: &mut CoreCall<'_>) {
    let core = &mut *call.core;
    let MemoryUsage {
        entry_bytes,
        table_bytes,
        arena_bytes,
        payload_bytes,
        ..
    } = core.shard.memory();
    let keys: u64 = (0..core.shard.databases())
        .map(|db| core.shard.len(DbIndex(db)))
        .sum();
    let sessions: usize = core
        .sessions
        .iter()
        .map(|session| session.memory_bytes())
        .sum();
    let asking = call
        .asking
        .as_deref()
        .map_or(0, |session| session.memory_bytes());
    let mut part = PartWriter(call.out);
    for number in [
        entry_bytes,
        table_bytes,
        arena_bytes,
        payload_bytes,
        keys,
        (sessions + asking) as u64,
        core.scripts.used_bytes(&core.shared.scripts) as u64,
        // What all cores share, one of them tells.
        if core.id == CoreId(0) {
            let libraries = core.shared.libraries.current();
            (core.shared.scripts.used_bytes() + libraries.used_bytes()) as u64
        } else {
            0
        },
    ] {
        part.number(number);
    }
    part.number(core.observed.peak_bytes);
}

/// What all cores hold.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    entries: u64,
    tables: u64,
    arenas: u64,
    payload: u64,
    keys: u64,
    sessions: u64,
    lua: u64,
    scripts: u64,
    peak: u64,
}

impl Held {
    fn of(parts: &[&[u8]]) -> Self {
        let mut held = Self::default();
        for part in parts {
            let mut part = PartReader::new(part);
            held.entries += part.number();
            held.tables += part.number();
            held.arenas += part.number();
            held.payload += part.number();
            held.keys += part.number();
            held.sessions += part.number();
            held.lua += part.number();
            held.scripts += part.number();
            held.peak += part.number();
        }
        held
    }

    fn used(&self) -> u64 {
        self.entries + self.tables + self.sessions + self.lua + self.scripts
    }

    /// Bytes beside keys and values.
    fn overhead(&self) -> u64 {
        self.used().saturating_sub(self.payload)
    }
}

fn stats(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let held = Held::of(parts);
    let used = held.used();
    let peak = held.peak.max(used);
    let percent = |part: u64, whole: u64| {
        if whole == 0 {
            0.0
        } else {
            part as f64 * 100.0 / whole as f64
        }
    };
    let ratio = |part: u64, whole: u64| {
        if whole == 0 {
            1.0
        } else {
            part as f64 / whole as f64
        }
    };
    let resident = super::info::resident_bytes();
    let numbers = [
        ("peak.allocated", peak),
        ("total.allocated", used),
        ("startup.allocated", 0),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", held.sessions),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", held.scripts),
        ("functions.caches", 0),
        ("overhead.total", held.overhead()),
        ("keys.count", held.keys),
        (
            "keys.bytes-per-key",
            used.checked_div(held.keys).unwrap_or(0),
        ),
        ("dataset.bytes", held.entries + held.tables),
        ("allocator.allocated", held.entries + held.tables),
        ("allocator.active", held.arenas),
        ("allocator.resident", held.arenas),
    ];
    let doubles = [
        (
            "dataset.percentage",
            percent(held.entries + held.tables, used),
        ),
        ("peak.percentage", percent(used, peak)),
        (
            "allocator-fragmentation.ratio",
            ratio(held.arenas, held.entries + held.tables),
        ),
        ("allocator-rss.ratio", 1.0),
        ("rss-overhead.ratio", ratio(resident, held.arenas)),
        ("fragmentation", ratio(resident, used)),
    ];
    let differences = [
        (
            "allocator-fragmentation.bytes",
            difference(held.arenas, held.entries + held.tables),
        ),
        ("allocator-rss.bytes", 0),
        ("rss-overhead.bytes", difference(resident, held.arenas)),
        ("fragmentation.bytes", difference(resident, used)),
    ];
    reply.map(numbers.len() + doubles.len() + differences.len());
    for (name, value) in numbers {
        reply.text(name);
        reply.count(value);
    }
    for (name, value) in doubles {
        reply.text(name);
        reply.double_text(&format!("{value}"));
    }
    for (name, value) in differences {
        reply.text(name);
        reply.integer(value);
    }
    Ok(())
}

fn difference(whole: u64, part: u64) -> i64 {
    whole.cast_signed().wrapping_sub(part.cast_signed())
}

fn doctor(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    /// Below, every ratio is noise.
    const WORTH_LOOKING_AT_BYTES: u64 = 5 << 20;
    let held = Held::of(parts);
    let dataset = held.entries + held.tables;
    let report = if held.used() < WORTH_LOOKING_AT_BYTES {
        "There is so little in memory that nothing can be said about it.\n".to_owned()
    } else {
        let mut remarks = Vec::new();
        if held.peak > held.used() / 2 * 3 {
            remarks.push("the peak was far above what is used now: memory given back to the system may not show at once");
        }
        if held.arenas > dataset / 10 * 14 {
            remarks.push(
                "the arenas hold far more than the entries in them need: MEMORY PURGE may help",
            );
        }
        if held.sessions > dataset {
            remarks.push(
                "clients' buffers take more than the dataset: CLIENT LIST shows whose (tot-mem)",
            );
        }
        match remarks[..] {
            [] => "No memory problem was found.\n".to_owned(),
            _ => remarks
                .iter()
                .map(|remark| format!("- {remark}.\n"))
                .collect(),
        }
    };
    reply.verbatim("txt", report.as_bytes());
    Ok(())
}

fn malloc_stats(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut report =
        "arena  held  entries  tables  keys and values  keys (bytes but for the last)\n".to_owned();
    for (core, part) in parts.iter().enumerate() {
        let held = Held::of(&[part]);
        let Held {
            entries,
            tables,
            arenas,
            payload,
            keys,
            ..
        } = held;
        report.push_str(&format!(
            "{core}  {arenas}  {entries}  {tables}  {payload}  {keys}\n"
        ));
    }
    reply.verbatim("txt", report.as_bytes());
    Ok(())
}

/// One bounded step; the rest goes on in the background, as always.
fn purge_each(call: &mut CoreCall<'_>) {
    const STEPS: u32 = 4096;
    call.core.shard.tend(STEPS);
}

fn purge_merge(_: &Args<'_>, _: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::families::testing::Bench;

    #[test]
    fn an_entry_takes_at_least_its_key_and_value() {
        let mut bench = Bench::new();
        bench.run("SET key 0123456789");
        let reply = bench.run("MEMORY USAGE key");
        let bytes: u64 = reply.trim_start_matches(':').trim_end().parse().unwrap();
        assert!((13..100).contains(&bytes), "{reply}");
    }

    #[test]
    fn parts_of_all_cores_are_added() {
        let mut part = Vec::new();
        for number in 1..=9 {
            PartWriter(&mut part).number(number);
        }
        let held = Held::of(&[&part, &part]);
        assert_eq!(
            (held.entries, held.tables, held.arenas, held.payload),
            (2, 4, 6, 8)
        );
        assert_eq!((held.keys, held.sessions, held.peak), (10, 12, 18));
        assert_eq!((held.lua, held.scripts, held.used()), (14, 16, 48));
    }
}
