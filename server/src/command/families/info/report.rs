//! What `INFO` needs of each core, its way to the core that was asked, and the sum.

use std::fmt::Write;

use larder_engine::{DbIndex, UnixMillis};

use crate::command::families::larder::{HitsReport, HotKeyReport};
use crate::command::families::memory::Held;
use crate::command::{Clock, CommandTable, CoreCall};
use crate::config::Config;
use crate::observe::{
    CommandStats, Durations, ErrorCounts, PartReader, PartWriter, Removed, Stats,
};
use crate::resp::parser::words;
use crate::routing::CoreId;
use crate::shared::Shared;
use crate::topics::Topic;

use super::files::FileFacts;
use super::sections::Section;

macro_rules! sums {
    ($($name:ident),* $(,)?) => {
        /// Numbers that add up over the cores.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(super) struct Sums {
            $(pub(super) $name: u64,)*
        }

        impl Sums {
            fn write(&self, part: &mut PartWriter<'_>) {
                $(part.number(self.$name);)*
            }

            fn add(&mut self, part: &mut PartReader<'_>) {
                $(self.$name = self.$name.wrapping_add(part.number());)*
            }
        }
    };
}

sums! {
    blocked, timed_waits, awaited_keys, monitors, subscribers, watching, watched_keys, tracking, tracked_keys, tracked_readings,
    connections, rejected_connections, commands, received_bytes, sent_bytes, hits, misses, hops, copy_reads, copied_keys, copy_bytes, transactions,
    error_replies, output_limit_closes, query_limit_closes, evicted_clients, held_back_clients, reads, writes, evicted, expired, expired_fields, lazy_pending, lazy_freed, expiry_nanos, expiry_steps_cut_short, changes,
    commands_per_sec, received_per_sec, sent_per_sec,
}

macro_rules! facts {
    ($($name:ident),* $(,)?) => {
        /// What is the same on all cores; one of them tells it.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(super) struct Facts {
            $(pub(super) $name: String,)*
            /// The time, in milliseconds since the Unix epoch.
            pub(super) now_ms: i64,
            pub(super) started_ms: i64,
            pub(super) clients: u64,
            pub(super) maxmemory: u64,
            /// Bytes leased of `maxmemory`, and resident bytes that no core counts.
            pub(super) counted_bytes: u64,
            pub(super) uncounted_bytes: u64,
            /// For how long all have held more than there is, and do now.
            pub(super) exceeded_ms: [u64; 2],
            /// Names subscribed to, by topic.
            pub(super) topics: [u64; Topic::ALL.len()],
            /// Prefixes that clients want to hear of.
            pub(super) prefixes: u64,
            pub(super) scripts: u64,
            pub(super) script_bytes: u64,
            pub(super) evicted_scripts: u64,
            pub(super) libraries: u64,
            pub(super) functions: u64,
            pub(super) library_bytes: u64,
            pub(super) files: FileFacts,
        }

        impl Facts {
            fn write(&self, part: &mut PartWriter<'_>) {
                $(part.bytes(self.$name.as_bytes());)*
                part.signed(self.now_ms);
                part.signed(self.started_ms);
                part.number(self.clients);
                part.number(self.maxmemory);
                part.number(self.counted_bytes);
                part.number(self.uncounted_bytes);
                self.exceeded_ms.iter().for_each(|ms| part.number(*ms));
                self.topics.iter().for_each(|names| part.number(*names));
                part.number(self.prefixes);
                part.number(self.scripts);
                part.number(self.script_bytes);
                part.number(self.evicted_scripts);
                part.number(self.libraries);
                part.number(self.functions);
                part.number(self.library_bytes);
                self.files.write(part);
            }

            /// Whether the cores are nodes to cluster clients.
            pub(super) fn is_cluster(&self) -> bool {
                !self.core_ports.is_empty()
            }

            fn read(part: &mut PartReader<'_>) -> Self {
                Self {
                    $($name: part.text().to_owned(),)*
                    now_ms: part.signed(),
                    started_ms: part.signed(),
                    clients: part.number(),
                    maxmemory: part.number(),
                    counted_bytes: part.number(),
                    uncounted_bytes: part.number(),
                    exceeded_ms: std::array::from_fn(|_| part.number()),
                    topics: std::array::from_fn(|_| part.number()),
                    prefixes: part.number(),
                    scripts: part.number(),
                    script_bytes: part.number(),
                    evicted_scripts: part.number(),
                    libraries: part.number(),
                    functions: part.number(),
                    library_bytes: part.number(),
                    files: FileFacts::read(part),
                }
            }
        }
    };
}

facts! { run_id, port, core_ports, backend, cores, config_file, hz, maxclients, policy, percentiles, quotas }

/// Keys of one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) keys: u64,
    pub(super) volatile: u64,
    /// Of these, about how many have reached their deadline.
    pub(super) due: u64,
    /// Milliseconds the volatile ones have left together.
    pub(super) ttl_sum_ms: u64,
    /// Hashes that have fields with deadlines.
    pub(super) volatile_fields: u64,
}

impl Database {
    /// Milliseconds a volatile entry has left on average.
    pub(super) fn ttl_mean_ms(&self) -> u64 {
        self.ttl_sum_ms.checked_div(self.volatile).unwrap_or(0)
    }
}

/// The sum over all cores.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) facts: Facts,
    pub(super) sums: Sums,
    pub(super) held: Held,
    pub(super) databases: Vec<Database>,
    pub(super) errors: ErrorCounts,
    /// By the command's number.
    pub(super) commands: Vec<(CommandStats, Durations)>,
    /// If `HOTKEYS` has something to tell: whether it measures, and the nanoseconds that measuring has cost.
    pub(super) measuring: Option<(bool, u64)>,
    /// The most used keys, the most used first.
    pub(super) hot_keys: Vec<HotKeyReport>,
    pub(super) hits: HitsReport,
}

/// What of a report costs more the more commands have been used, and is told only to those sections that show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    /// The counters of commands.
    pub(super) commands: bool,
    /// How long they took.
    pub(super) durations: bool,
    pub(super) hot_keys: bool,
    /// Lookups, and what goes by itself.
    pub(super) hits: bool,
}

impl Details {
    /// What these sections show.
    pub(super) fn of(sections: &[Section]) -> Self {
        Self {
            commands: sections.contains(&Section::Commandstats),
            durations: sections.contains(&Section::Latencystats),
            hot_keys: sections.contains(&Section::Hotkeys),
            hits: sections.contains(&Section::Hits),
        }
    }

    /// Writes what is known of commands: each that has something to tell behind its number plus one, then a zero.
    fn write_commands(self, stats: &Stats, part: &mut PartWriter<'_>) {
        let known = stats.by_command.iter().zip(&stats.durations).enumerate();
        for (number, (command, durations)) in known {
            let is_told = self.commands && *command != CommandStats::default()
                || self.durations && !durations.is_empty();
            if !is_told {
                continue;
            }
            part.number(1 + number as u64);
            for number in [
                command.calls,
                command.nanos,
                command.rejected,
                command.failed,
            ] {
                part.number(number);
            }
            if self.durations {
                durations.write(part);
            }
        }
        part.number(0);
    }

    /// Adds what [`Self::write_commands`] has written.
    fn add_commands(self, part: &mut PartReader<'_>, all: &mut [(CommandStats, Durations)]) {
        while let Some(number) = part.number().checked_sub(1) {
            let (command, durations) = &mut all[number as usize];
            command.calls += part.number();
            command.nanos += part.number();
            command.rejected += part.number();
            command.failed += part.number();
            if self.durations {
                durations.merge(part);
            }
        }
    }
}

/// Writes a core's part.
pub(super) fn write(call: &mut CoreCall<'_>, details: Details) {
    let held = Held::of_core(call);
    let core = &mut *call.core;
    core.timing.count_so_far(&mut core.stats);
    let stats = &core.stats;
    let awaited_keys = core.shard.awaited().len() as u64;
    let copied_keys = core.shard.copied().len() as u64;
    let lazy = core.shard.lazy_objects();
    let sessions = core.sessions.iter().chain(call.asking.as_deref());
    let (mut blocked, mut timed_waits) = (0, 0);
    let (mut subscribers, mut watching, mut tracking) = (0, 0, 0);
    for session in sessions {
        // As in Redis, a client held back by CLIENT PAUSE is blocked.
        blocked += u64::from(session.is_blocked() || session.paused);
        let until_ms = session.blocked.as_ref().and_then(|wait| wait.until_ms);
        timed_waits += u64::from(until_ms.is_some());
        subscribers += u64::from(session.is_subscriber());
        watching += u64::from(session.watched().is_some());
        tracking += u64::from(session.tracking().is_some());
    }
    let [commands_per_sec, received_per_sec, sent_per_sec, ..] = stats.rates.per_second();
    let removed = Removed::of(&core.shard).since(&stats.removed_before);
    let sums = Sums {
        blocked,
        timed_waits,
        awaited_keys,
        monitors: core.monitors.len() as u64,
        subscribers,
        watching,
        watched_keys: core.shard.watches().keys(),
        tracking,
        tracked_keys: core.readers.keys(),
        tracked_readings: core.readers.readings(),
        connections: stats.connections,
        rejected_connections: stats.rejected_connections,
        commands: stats.commands,
        received_bytes: stats.received_bytes,
        sent_bytes: stats.sent_bytes,
        hits: stats.lookups.all().hits,
        misses: stats.lookups.all().misses,
        hops: stats.hops,
        copy_reads: stats.copy_reads,
        copied_keys,
        copy_bytes: core.observed.copy_bytes,
        transactions: stats.transactions,
        error_replies: stats.error_replies,
        output_limit_closes: stats.output_limit_closes,
        query_limit_closes: stats.query_limit_closes,
        evicted_clients: stats.evicted_clients,
        held_back_clients: stats.held_back_clients,
        reads: stats.reads,
        writes: stats.writes,
        evicted: removed.evicted,
        expired: removed.expired,
        expired_fields: removed.expired_fields,
        lazy_pending: lazy.pending,
        lazy_freed: removed.lazy_freed,
        expiry_nanos: stats.expiry_nanos,
        expiry_steps_cut_short: stats.expiry_steps_cut_short,
        changes: core.shard.journal().changes(),
        commands_per_sec,
        received_per_sec,
        sent_per_sec,
    };
    let mut part = PartWriter(call.out);
    let tells_facts = core.id == CoreId(0);
    part.number(tells_facts.into());
    if tells_facts {
        let facts = Facts {
            prefixes: core.prefixes.len() as u64,
            ..facts(&core.config, &core.shared, core.clock)
        };
        facts.write(&mut part);
    }
    sums.write(&mut part);
    held.write(&mut part);
    part.number(core.shard.databases().into());
    for db in 0..core.shard.databases() {
        part.number(core.shard.len(DbIndex(db)));
        let deadlines = core.shard.deadlines(DbIndex(db));
        for number in [
            deadlines.volatile,
            deadlines.due,
            deadlines.ttl_sum_ms,
            deadlines.volatile_fields,
        ] {
            part.number(number);
        }
    }
    let errors = stats.errors.iter();
    part.number(errors.len() as u64);
    for (code, count) in errors {
        part.bytes(code.as_bytes());
        part.number(count);
    }
    details.write_commands(stats, &mut part);
    if details.hits {
        HitsReport::write(core, &mut part);
    }
    if details.hot_keys {
        let now_ms = core.clock.unix.0;
        let measuring = core.observed.key_costs.as_mut();
        let measuring = measuring.map(|costs| (costs.goes_on(now_ms), costs.own_nanos));
        let (goes_on, own_nanos) = measuring.unwrap_or_default();
        part.number(measuring.is_some().into());
        part.number(goes_on.into());
        part.number(own_nanos);
        HotKeyReport::write(core, &mut part);
    }
}

fn facts(config: &Config, shared: &Shared, clock: Clock) -> Facts {
    let percentiles = config
        .latency_tracking_info_percentiles
        .iter()
        .map(|percentile| format!("{percentile}"));
    let libraries = shared.libraries.current();
    Facts {
        run_id: shared.run_id.clone(),
        port: shared
            .port
            .load(std::sync::atomic::Ordering::Relaxed)
            .to_string(),
        core_ports: {
            let ports = shared.core_ports().unwrap_or_default().iter();
            ports.map(u16::to_string).collect::<Vec<_>>().join(",")
        },
        backend: String::clone(&shared.backend.load()),
        cores: shared.cores().to_string(),
        config_file: config
            .file()
            .map(|file| file.display().to_string())
            .unwrap_or_default(),
        hz: config.hz.to_string(),
        maxclients: config.maxclients.to_string(),
        policy: config.maxmemory_policy.name().to_owned(),
        quotas: quotas(config, clock.unix),
        percentiles: percentiles.collect::<Vec<_>>().join(" "),
        now_ms: clock.unix.0,
        started_ms: shared.started_unix_ms,
        clients: shared.clients(),
        maxmemory: config.maxmemory_bytes,
        counted_bytes: match config.maxmemory_bytes {
            0 => 0,
            limit => (limit.cast_signed() - shared.memory.free_bytes())
                .max(0)
                .cast_unsigned(),
        },
        uncounted_bytes: shared.resident.uncounted_bytes(),
        exceeded_ms: {
            let (total_ms, current_ms) = shared.exceeded.times_ms(clock.monotonic_ms());
            [total_ms, current_ms]
        },
        topics: Topic::ALL.map(|topic| shared.topics.count(topic)),
        prefixes: 0,
        scripts: shared.scripts.len() as u64,
        script_bytes: shared.scripts.used_bytes() as u64,
        evicted_scripts: shared.scripts.evictions(),
        libraries: libraries.len() as u64,
        functions: libraries.functions() as u64,
        library_bytes: libraries.used_bytes() as u64,
        files: FileFacts::of(shared),
    }
}

/// A line for each quota.
fn quotas(config: &Config, now: UnixMillis) -> String {
    let mut text = String::new();
    for (id, quota) in config.quotas().iter() {
        let shown = words::quote(quota.prefix.as_bytes());
        write!(text, "quota{}:prefix={shown}", id.0).expect("writing to memory");
        for (name, value) in quota.figures(now) {
            write!(text, ",{name}={value}").expect("writing to memory");
        }
        text.push_str("\r\n");
    }
    text
}

impl Report {
    /// The sum of the parts, which tell of these details.
    pub(super) fn of(parts: &[&[u8]], details: Details) -> Self {
        let count = CommandTable::global().count();
        let mut report = Self {
            commands: vec![Default::default(); count],
            ..Self::default()
        };
        for part in parts {
            report.add(&mut PartReader::new(part), details);
        }
        HotKeyReport::sort(&mut report.hot_keys);
        report
    }

    fn add(&mut self, part: &mut PartReader<'_>, details: Details) {
        if part.number() == 1 {
            self.facts = Facts::read(part);
        }
        self.sums.add(part);
        self.held.add(part);
        let databases = usize::try_from(part.number()).expect("a number of databases");
        self.databases
            .resize(self.databases.len().max(databases), Database::default());
        for database in &mut self.databases[..databases] {
            database.keys += part.number();
            database.volatile += part.number();
            database.due += part.number();
            let ttl_sum_ms = part.number();
            database.ttl_sum_ms = database.ttl_sum_ms.saturating_add(ttl_sum_ms);
            database.volatile_fields += part.number();
        }
        for _ in 0..part.number() {
            let code = part.text();
            self.errors.add(code, part.number());
        }
        details.add_commands(part, &mut self.commands);
        if details.hits {
            self.hits.add(part);
        }
        if details.hot_keys {
            let is_measured = part.number() == 1;
            let (goes_on, own_nanos) = (part.number() == 1, part.number());
            if is_measured {
                let (is_active, nanos) = self.measuring.unwrap_or_default();
                self.measuring = Some((is_active || goes_on, nanos + own_nanos));
            }
            HotKeyReport::add(part, &mut self.hot_keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::CommandId;

    #[test]
    fn the_parts_of_two_cores_add_up() {
        let details = Details {
            commands: true,
            ..Details::default()
        };
        let mut stats = Stats::new(1);
        stats.by_command[0] = CommandStats {
            calls: 0,
            nanos: 1,
            rejected: 2,
            failed: 3,
        };
        let part = |tells_facts: bool| {
            let mut bytes = Vec::new();
            let mut part = PartWriter(&mut bytes);
            part.number(tells_facts.into());
            if tells_facts {
                Facts {
                    run_id: "abc".to_owned(),
                    maxmemory: 5,
                    scripts: 6,
                    script_bytes: 7,
                    evicted_scripts: 8,
                    functions: 9,
                    ..Facts::default()
                }
                .write(&mut part);
            }
            Sums {
                hits: 3,
                sent_per_sec: 2,
                ..Sums::default()
            }
            .write(&mut part);
            Held {
                entries: 7,
                ..Held::default()
            }
            .write(&mut part);
            part.number(1);
            for number in [10, 4, 1, 4000, 3] {
                part.number(number);
            }
            part.number(1);
            part.bytes(b"ERR");
            part.number(7);
            details.write_commands(&stats, &mut part);
            bytes
        };
        let report = Report::of(&[&part(true), &part(false)], details);
        assert_eq!(
            (report.facts.run_id.as_str(), report.facts.maxmemory),
            ("abc", 5)
        );
        assert_eq!((report.sums.hits, report.sums.sent_per_sec), (6, 4));
        assert_eq!(report.held.used(), 14);
        assert_eq!(
            report.databases,
            [Database {
                keys: 20,
                volatile: 8,
                due: 2,
                ttl_sum_ms: 8000,
                volatile_fields: 6,
            }]
        );
        assert_eq!(report.errors.of("ERR"), 14);
        assert_eq!(
            report.commands[0].0,
            CommandStats {
                calls: 0,
                nanos: 2,
                rejected: 4,
                failed: 6
            }
        );
    }

    #[test]
    fn commands_are_told_of_only_where_a_section_shows_them() {
        let mut stats = Stats::new(3);
        stats.ran_alike(CommandId(1), 2, 1500);
        stats.ran_alike(CommandId(2), 1, 20_000);
        let words = |sections: &[Section]| {
            let details = Details::of(sections);
            let mut bytes = Vec::new();
            details.write_commands(&stats, &mut PartWriter(&mut bytes));
            let mut all = vec![Default::default(); 3];
            let mut part = PartReader::new(&bytes);
            details.add_commands(&mut part, &mut all);
            assert!(part.is_at_end());
            let calls: u64 = all.iter().map(|(_, durations)| durations.calls()).sum();
            (bytes.len() / 8, calls)
        };
        let by_default: Vec<Section> = Section::ALL
            .into_iter()
            .filter(|section| section.is_default())
            .collect();
        assert_eq!(words(&by_default), (1, 0));
        assert_eq!(words(&[Section::Hotkeys]), (1, 0));
        assert_eq!(words(&[Section::Commandstats]), (2 * 5 + 1, 0));
        assert_eq!(words(&[Section::Latencystats]), (2 * (5 + 3) + 1, 3));
        assert_eq!(words(&Section::ALL), (2 * (5 + 3) + 1, 3));
    }
}
