//! `MEMORY`: where the bytes are.

use std::sync::atomic::Ordering;

use larder_engine::{Access, DbIndex};

use crate::command::{
    Args, CommandSpec, CoreCall, Flags, Group, KeyFlags, KeySpec, Keys, Run, SessionCall, ShardCall,
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
        keys: Keys::of(&[KeySpec::at(2, KeyFlags::RO)]),
        group: Group::Server,
        since: "4.0.0",
        syntax: "key [SAMPLES count]",
        summary: "Returns the memory a key and its value take.",
        complexity: "O(N) where N is the number of samples",
        run: Run::OnShard(usage),
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
    let held = Held::of_core(call);
    let shard = &call.core.shard;
    let mut part = PartWriter(call.out);
    held.write(&mut part);
    part.number(shard.databases().into());
    for db in (0..shard.databases()).map(DbIndex) {
        part.number(shard.len(db));
        part.number(shard.table_bytes(db));
    }
}

macro_rules! held {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Bytes held: by a core, or by all.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(super) struct Held {
            $($(#[$doc])* pub(super) $name: u64,)*
        }

        impl Held {
            pub(super) fn write(&self, part: &mut PartWriter<'_>) {
                $(part.number(self.$name);)*
            }

            /// Adds another core's.
            pub(super) fn add(&mut self, part: &mut PartReader<'_>) {
                $(self.$name += part.number();)*
            }
        }
    };
}

held! {
    /// Entries, headers and rounding included.
    entries,
    tables,
    /// What the arenas hold for entries, and what is free in them.
    arenas,
    /// What lies idle in the arenas.
    idle,
    /// Keys and values alone.
    payload,
    /// Sessions and their buffers, and what is remembered for them.
    sessions,
    /// Machines of scripts.
    lua,
    /// Scripts and libraries.
    scripts,
    /// Copies of keys.
    copies,
    /// What is under way between cores, and what waits for that.
    between_cores,
    /// What was held at start.
    startup,
    /// The most that was held.
    peak,
}

impl Held {
    /// What the core asked holds.
    pub(super) fn of_core(call: &mut CoreCall<'_>) -> Self {
        let core = &mut *call.core;
        let memory = core.shard.memory();
        let sessions = core.sessions.iter().chain(call.asking.as_deref());
        let sessions: usize = sessions.map(|session| session.memory_bytes()).sum();
        let mail = &core.shared.gauges(core.id).mail_bytes;
        let mut held = Self {
            entries: memory.entry_bytes.saturating_sub(core.given_bytes),
            tables: memory.table_bytes,
            arenas: memory.arena_bytes,
            idle: memory.idle_bytes,
            payload: memory.payload_bytes,
            sessions: (sessions + core.readers.memory_bytes()) as u64,
            lua: core.scripts.used_bytes(&core.shared.scripts) as u64,
            copies: core.observed.copy_bytes,
            between_cores: core.observed.between_cores_bytes + mail.load(Ordering::Relaxed),
            startup: core.observed.startup_bytes,
            ..Self::default()
        };
        // What all cores share, one of them tells.
        if core.id == CoreId(0) {
            let libraries = core.shared.libraries.current();
            held.scripts = (core.shared.scripts.used_bytes() + libraries.used_bytes()) as u64;
        }
        held.peak = core.observed.peak_bytes.max(held.used());
        held
    }

    /// What `maxmemory` bounds.
    pub(super) fn used(&self) -> u64 {
        let besides = self.copies + self.between_cores;
        self.entries + self.tables + self.sessions + self.lua + self.scripts + besides
    }

    /// Bytes that are no entries.
    pub(super) fn overhead(&self) -> u64 {
        self.used() - self.entries
    }

    /// Bytes of the dataset: as in Redis, all that is no overhead.
    pub(super) fn dataset(&self) -> u64 {
        self.entries
    }

    /// What has come since the start, of which the dataset's share is told.
    pub(super) fn since_startup(&self) -> u64 {
        self.used().saturating_sub(self.startup)
    }

    /// What is used, and what is idle in the arenas.
    pub(super) fn active(&self) -> u64 {
        self.used() + self.idle
    }
}

/// What all cores hold, and the keys and the tables of each database.
#[derive(Debug, Default)]
struct Report {
    held: Held,
    databases: Vec<Database>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Database {
    keys: u64,
    table_bytes: u64,
}

impl Report {
    fn of(parts: &[&[u8]]) -> Self {
        let mut report = Self::default();
        for part in parts {
            let mut part = PartReader::new(part);
            report.held.add(&mut part);
            let databases = usize::try_from(part.number()).expect("a number of databases");
            report.databases.resize(databases, Database::default());
            for database in &mut report.databases {
                database.keys += part.number();
                database.table_bytes += part.number();
            }
        }
        report
    }

    fn keys(&self) -> u64 {
        self.databases.iter().map(|database| database.keys).sum()
    }
}

fn stats(_: &Args<'_>, parts: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let report = Report::of(parts);
    let held = report.held;
    let (used, active) = (held.used(), held.active());
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
    let (resident, anonymous) = super::info::resident_bytes();
    let first = [
        ("peak.allocated", peak),
        ("total.allocated", used),
        ("startup.allocated", held.startup),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", held.sessions),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", held.scripts),
        ("functions.caches", 0),
    ];
    let numbers = [
        ("overhead.total", held.overhead()),
        ("keys.count", report.keys()),
        (
            "keys.bytes-per-key",
            held.since_startup().checked_div(report.keys()).unwrap_or(0),
        ),
        ("dataset.bytes", held.dataset()),
        ("allocator.allocated", used),
        ("allocator.active", active),
        ("allocator.resident", anonymous),
    ];
    let doubles = [
        (
            "dataset.percentage",
            percent(held.dataset(), held.since_startup()),
        ),
        ("peak.percentage", percent(used, peak)),
        ("allocator-fragmentation.ratio", ratio(active, used)),
        ("allocator-rss.ratio", ratio(anonymous, active)),
        ("rss-overhead.ratio", ratio(resident, anonymous)),
        ("fragmentation", ratio(resident, used)),
    ];
    let differences = [
        ("allocator-fragmentation.bytes", difference(active, used)),
        ("allocator-rss.bytes", difference(anonymous, active)),
        ("rss-overhead.bytes", difference(resident, anonymous)),
        ("fragmentation.bytes", difference(resident, used)),
    ];
    let databases = report.databases.iter().enumerate();
    let filled: Vec<_> = databases
        .filter(|(_, database)| database.keys > 0)
        .collect();
    reply.map(first.len() + filled.len() + numbers.len() + doubles.len() + differences.len());
    for (name, value) in first {
        reply.text(name);
        reply.count(value);
    }
    for (db, database) in filled {
        reply.text(&format!("db.{db}"));
        reply.map(2);
        reply.text("overhead.hashtable.main");
        reply.count(database.table_bytes);
        // Deadlines lie in the entries.
        reply.text("overhead.hashtable.expires");
        reply.count(0);
    }
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
    let held = Report::of(parts).held;
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
        let report_of_core = Report::of(&[part]);
        let keys = report_of_core.keys();
        let Held {
            entries,
            tables,
            arenas,
            payload,
            ..
        } = report_of_core.held;
        report.push_str(&format!(
            "{core}  {arenas}  {entries}  {tables}  {payload}  {keys}\n"
        ));
    }
    reply.verbatim("txt", report.as_bytes());
    Ok(())
}

/// Begins; what is to be moved and given back is, in the background and in bounded steps.
fn purge_each(call: &mut CoreCall<'_>) {
    call.core.shard.purge();
    call.core.is_to_give_back = true;
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
        for number in (1..=12).chain([2, 20, 21, 30, 31]) {
            PartWriter(&mut part).number(number);
        }
        let report = Report::of(&[&part, &part]);
        let held = report.held;
        assert_eq!(
            (
                held.entries,
                held.tables,
                held.arenas,
                held.idle,
                held.payload
            ),
            (2, 4, 6, 8, 10)
        );
        assert_eq!((held.sessions, held.startup, held.peak), (12, 22, 24));
        assert_eq!((held.used(), held.overhead()), (86, 84));
        assert_eq!(held.active(), 94);
        let tables = report.databases.iter().map(|database| database.table_bytes);
        assert_eq!((report.keys(), tables.sum::<u64>()), (100, 104));
    }
}
