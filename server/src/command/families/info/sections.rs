//! The sections of `INFO`, field by field in Redis's order and words, so that exporters read them. What Larder does not
//! have is given as Redis gives it where it is off; Larder's own fields begin with `larder_`.

use std::fmt::Write;

use nix::sys::resource::UsageWho;

use super::machine::CpuTime;
use super::report::{Database, Report};
use super::{hits, machine};
use crate::command::{Command, CommandTable};
use crate::config::REDIS_VERSION;

/// A section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Server,
    Clients,
    Memory,
    Persistence,
    Stats,
    Hits,
    Replication,
    Cpu,
    Modules,
    Commandstats,
    Errorstats,
    Latencystats,
    Hotkeys,
    Cluster,
    Quotas,
    Keyspace,
}

impl Section {
    /// All, in the order they are written in.
    pub(super) const ALL: [Self; 16] = [
        Self::Server,
        Self::Clients,
        Self::Memory,
        Self::Persistence,
        Self::Stats,
        Self::Hits,
        Self::Replication,
        Self::Cpu,
        Self::Modules,
        Self::Commandstats,
        Self::Errorstats,
        Self::Latencystats,
        Self::Hotkeys,
        Self::Cluster,
        Self::Quotas,
        Self::Keyspace,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Clients => "clients",
            Self::Memory => "memory",
            Self::Persistence => "persistence",
            Self::Stats => "stats",
            Self::Hits => "hits",
            Self::Replication => "replication",
            Self::Cpu => "cpu",
            Self::Modules => "modules",
            Self::Commandstats => "commandstats",
            Self::Errorstats => "errorstats",
            Self::Latencystats => "latencystats",
            Self::Hotkeys => "hotkeys",
            Self::Cluster => "cluster",
            Self::Quotas => "quotas",
            Self::Keyspace => "keyspace",
        }
    }

    /// Whether it is written when none is asked for.
    pub(super) fn is_default(self) -> bool {
        !matches!(
            self,
            Self::Commandstats | Self::Latencystats | Self::Hotkeys
        )
    }

    pub(super) fn write(self, report: &Report, text: &mut String) {
        let mut fields = Fields(text);
        match self {
            Self::Server => server(report, &mut fields),
            Self::Clients => clients(report, &mut fields),
            Self::Memory => memory(report, &mut fields),
            Self::Persistence => {
                let (files, changes) = (report.facts.files, report.sums.changes);
                files.show(changes, report.facts.now_ms, &mut fields);
            }
            Self::Stats => stats(report, &mut fields),
            Self::Hits => hits::write(&report.hits, &mut fields),
            Self::Replication => replication(report, &mut fields),
            Self::Cpu => cpu(&mut fields),
            Self::Modules => fields.title("Modules"),
            Self::Commandstats => command_stats(report, &mut fields),
            Self::Errorstats => error_stats(report, &mut fields),
            Self::Latencystats => latency_stats(report, &mut fields),
            Self::Hotkeys => hot_keys(report, &mut fields),
            Self::Cluster => {
                fields.title("Cluster");
                fields.add("cluster_enabled", u8::from(report.facts.is_cluster()));
            }
            Self::Quotas => quotas(report, &mut fields),
            Self::Keyspace => keyspace(report, &mut fields),
        }
    }
}

/// Without quotas there is no such section.
fn quotas(report: &Report, fields: &mut Fields<'_>) {
    if !report.facts.quotas.is_empty() {
        fields.title("Quotas");
        fields.0.push_str(&report.facts.quotas);
    }
}

pub(super) struct Fields<'a>(&'a mut String);

impl Fields<'_> {
    pub(super) fn title(&mut self, title: &str) {
        self.0.push_str("# ");
        self.0.push_str(title);
        self.0.push_str("\r\n");
    }

    pub(super) fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        write!(self.0, "{name}:{value}\r\n").expect("writing to memory");
    }

    /// Fields that all hold `value`.
    pub(super) fn add_all(&mut self, value: impl std::fmt::Display + Copy, names: &[&str]) {
        names.iter().for_each(|name| self.add(name, value));
    }

    /// A number of bytes, once more in a form for people.
    fn add_bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes);
        self.add(&format!("{name}_human"), human(bytes));
    }
}

/// Bytes in the largest unit they fill, two decimals.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    for unit in ["K", "M", "G", "T"] {
        value /= 1024.0;
        if value < 1024.0 {
            return format!("{value:.2}{unit}");
        }
    }
    format!("{:.2}P", value / 1024.0)
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn difference(whole: u64, part: u64) -> i64 {
    whole.cast_signed().wrapping_sub(part.cast_signed())
}

fn server(report: &Report, fields: &mut Fields<'_>) {
    let facts = &report.facts;
    let uptime_secs = (facts.now_ms - facts.started_ms).max(0) / 1000;
    let executable = std::env::current_exe()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    fields.title("Server");
    fields.add("redis_version", REDIS_VERSION);
    fields.add("larder_version", env!("CARGO_PKG_VERSION"));
    fields.add("redis_git_sha1", "00000000");
    fields.add("redis_git_dirty", 0);
    fields.add("redis_build_id", 0);
    let mode = if report.facts.is_cluster() {
        "cluster"
    } else {
        "standalone"
    };
    fields.add("redis_mode", mode);
    fields.add("os", machine::system());
    fields.add("arch_bits", usize::BITS);
    fields.add("monotonic_clock", "POSIX clock_gettime");
    fields.add("multiplexing_api", &facts.backend);
    fields.add("process_id", std::process::id());
    fields.add("process_supervised", "no");
    fields.add("run_id", &facts.run_id);
    fields.add("tcp_port", &facts.port);
    fields.add("server_time_usec", facts.now_ms * 1000);
    fields.add("uptime_in_seconds", uptime_secs);
    fields.add("uptime_in_days", uptime_secs / 86400);
    fields.add("hz", &facts.hz);
    fields.add("configured_hz", &facts.hz);
    fields.add("lru_clock", (facts.now_ms / 1000) & 0xff_ffff);
    fields.add("executable", executable);
    fields.add("config_file", &facts.config_file);
    fields.add("io_threads_active", 0);
    fields.add("larder_cores", &facts.cores);
}

fn clients(report: &Report, fields: &mut Fields<'_>) {
    fields.title("Clients");
    fields.add("connected_clients", report.facts.clients);
    fields.add("cluster_connections", 0);
    fields.add("maxclients", &report.facts.maxclients);
    fields.add_all(
        0,
        &[
            "client_recent_max_input_buffer",
            "client_recent_max_output_buffer",
        ],
    );
    fields.add("blocked_clients", report.sums.blocked);
    fields.add("tracking_clients", report.sums.tracking);
    fields.add("pubsub_clients", report.sums.subscribers);
    fields.add("watching_clients", report.sums.watching);
    fields.add("clients_in_timeout_table", report.sums.timed_waits);
    fields.add("total_watched_keys", report.sums.watched_keys);
    fields.add("total_blocking_keys", report.sums.awaited_keys);
    fields.add("total_blocking_keys_on_nokey", 0);
    fields.add("larder_monitors", report.sums.monitors);
}

fn memory(report: &Report, fields: &mut Fields<'_>) {
    let held = &report.held;
    let (used, active) = (held.used(), held.active());
    let peak = held.peak.max(used);
    let (resident, anonymous) = machine::resident_bytes();
    fields.title("Memory");
    fields.add_bytes("used_memory", used);
    fields.add_bytes("used_memory_rss", resident);
    fields.add_bytes("used_memory_peak", peak);
    fields.add(
        "used_memory_peak_perc",
        format_args!("{:.2}%", ratio(used, peak) * 100.0),
    );
    fields.add("used_memory_overhead", held.overhead());
    fields.add("used_memory_startup", held.startup);
    fields.add("used_memory_dataset", held.dataset());
    fields.add(
        "used_memory_dataset_perc",
        format_args!(
            "{:.2}%",
            ratio(held.dataset(), held.since_startup()) * 100.0
        ),
    );
    fields.add("allocator_allocated", used);
    fields.add("allocator_active", active);
    fields.add("allocator_resident", anonymous);
    fields.add_bytes("total_system_memory", machine::total_bytes());
    // Scripts and functions share a core's machine.
    fields.add_bytes("used_memory_lua", held.lua);
    fields.add("used_memory_vm_eval", held.lua);
    fields.add("used_memory_scripts_eval", report.facts.script_bytes);
    fields.add("number_of_cached_scripts", report.facts.scripts);
    fields.add("number_of_functions", report.facts.functions);
    fields.add("number_of_libraries", report.facts.libraries);
    fields.add("used_memory_vm_functions", 0);
    fields.add_bytes("used_memory_vm_total", held.lua);
    fields.add("used_memory_functions", report.facts.library_bytes);
    let script_bytes = report.facts.script_bytes + report.facts.library_bytes;
    fields.add_bytes("used_memory_scripts", script_bytes);
    fields.add_bytes("maxmemory", report.facts.maxmemory);
    fields.add("maxmemory_policy", &report.facts.policy);
    fields.add("larder_maxmemory_counted", report.facts.counted_bytes);
    fields.add("larder_resident_uncounted", report.facts.uncounted_bytes);
    fields.add(
        "allocator_frag_ratio",
        format_args!("{:.2}", ratio(active, used)),
    );
    fields.add("allocator_frag_bytes", difference(active, used));
    fields.add(
        "allocator_rss_ratio",
        format_args!("{:.2}", ratio(anonymous, active)),
    );
    fields.add("allocator_rss_bytes", difference(anonymous, active));
    fields.add(
        "rss_overhead_ratio",
        format_args!("{:.2}", ratio(resident, anonymous)),
    );
    fields.add("rss_overhead_bytes", difference(resident, anonymous));
    fields.add(
        "mem_fragmentation_ratio",
        format_args!("{:.2}", ratio(resident, used)),
    );
    fields.add("mem_fragmentation_bytes", difference(resident, used));
    fields.add_all(
        0,
        &[
            "mem_not_counted_for_evict",
            "mem_replication_backlog",
            "mem_total_replication_buffers",
            "mem_clients_slaves",
        ],
    );
    fields.add("mem_clients_normal", held.sessions);
    fields.add_all(0, &["mem_cluster_links", "mem_aof_buffer"]);
    fields.add("mem_allocator", "larder-arena");
    fields.add("active_defrag_running", 0);
    fields.add("lazyfree_pending_objects", report.sums.lazy_pending);
    fields.add("lazyfreed_objects", report.sums.lazy_freed);
    fields.add("larder_payload_bytes", held.payload);
    fields.add("larder_table_bytes", held.tables);
    fields.add("larder_between_cores_bytes", held.between_cores);
}

fn stats(report: &Report, fields: &mut Fields<'_>) {
    let sums = &report.sums;
    let kib = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    fields.title("Stats");
    fields.add("total_connections_received", sums.connections);
    fields.add("total_commands_processed", sums.commands);
    fields.add("instantaneous_ops_per_sec", sums.commands_per_sec);
    fields.add("total_net_input_bytes", sums.received_bytes);
    fields.add("total_net_output_bytes", sums.sent_bytes);
    fields.add_all(
        0,
        &["total_net_repl_input_bytes", "total_net_repl_output_bytes"],
    );
    fields.add("instantaneous_input_kbps", kib(sums.received_per_sec));
    fields.add("instantaneous_output_kbps", kib(sums.sent_per_sec));
    fields.add_all(
        "0.00",
        &[
            "instantaneous_input_repl_kbps",
            "instantaneous_output_repl_kbps",
        ],
    );
    fields.add("rejected_connections", sums.rejected_connections);
    fields.add_all(0, &["sync_full", "sync_partial_ok", "sync_partial_err"]);
    fields.add("expired_keys", sums.expired);
    fields.add("expired_subkeys", sums.expired_fields);
    fields.add("expired_subkeys_active", sums.expired_fields);
    fields.add(
        "expired_stale_perc",
        format!("{:.2}", stale_percent(report)),
    );
    fields.add(
        "expired_time_cap_reached_count",
        sums.expiry_steps_cut_short,
    );
    fields.add(
        "expire_cycle_cpu_milliseconds",
        sums.expiry_nanos / 1_000_000,
    );
    fields.add("evicted_keys", sums.evicted);
    fields.add("evicted_clients", sums.evicted_clients);
    fields.add("evicted_scripts", report.facts.evicted_scripts);
    let [total_ms, current_ms] = report.facts.exceeded_ms;
    fields.add("total_eviction_exceeded_time", total_ms);
    fields.add("current_eviction_exceeded_time", current_ms);
    fields.add("keyspace_hits", sums.hits);
    fields.add("keyspace_misses", sums.misses);
    let names = ["pubsub_channels", "pubsub_patterns", "pubsubshard_channels"];
    for (name, count) in names.iter().zip(report.facts.topics) {
        fields.add(name, count);
    }
    fields.add_all(0, &["latest_fork_usec", "total_forks"]);
    fields.add_all(0, &["migrate_cached_sockets", "slave_expires_tracked_keys"]);
    fields.add_all(
        0,
        &[
            "active_defrag_hits",
            "active_defrag_misses",
            "active_defrag_key_hits",
            "active_defrag_key_misses",
        ],
    );
    fields.add_all(
        0,
        &["total_active_defrag_time", "current_active_defrag_time"],
    );
    fields.add("tracking_total_keys", sums.tracked_keys);
    fields.add("tracking_total_items", sums.tracked_readings);
    fields.add("tracking_total_prefixes", report.facts.prefixes);
    fields.add("unexpected_error_replies", 0);
    fields.add("total_error_replies", sums.error_replies);
    fields.add("dump_payload_sanitizations", 0);
    fields.add("total_reads_processed", sums.reads);
    fields.add("total_writes_processed", sums.writes);
    fields.add_all(
        0,
        &[
            "io_threaded_reads_processed",
            "io_threaded_writes_processed",
        ],
    );
    fields.add(
        "client_query_buffer_limit_disconnections",
        sums.query_limit_closes,
    );
    fields.add(
        "client_output_buffer_limit_disconnections",
        sums.output_limit_closes,
    );
    fields.add_all(0, &["reply_buffer_shrinks", "reply_buffer_expands"]);
    fields.add("larder_clients_held_back", sums.held_back_clients);
    fields.add("larder_hops", sums.hops);
    fields.add("larder_copy_reads", sums.copy_reads);
    fields.add("larder_copied_keys", sums.copied_keys);
    fields.add("larder_transactions", sums.transactions);
}

/// The most used keys; of long ones the beginning.
fn hot_keys(report: &Report, fields: &mut Fields<'_>) {
    const KEYS: usize = 10;
    const KEY_BYTES: usize = 128;
    fields.title("Hotkeys");
    if let Some((is_active, own_nanos)) = report.measuring {
        fields.add("hotkeys-tracking-active", u8::from(is_active));
        fields.add("hotkeys-cmd-cpu-time", own_nanos / 1_000_000);
    }
    for (at, hot) in report.hot_keys.iter().take(KEYS).enumerate() {
        let key = &hot.key[..hot.key.len().min(KEY_BYTES)];
        fields.add(
            &format!("larder_hotkey_{at}"),
            format_args!(
                "key={},db={},core={},reads_per_sec={},writes_per_sec={},copied={}",
                key.escape_ascii(),
                hot.db.0,
                hot.core,
                hot.reads_per_sec,
                hot.writes_per_sec,
                u64::from(hot.is_copied),
            ),
        );
    }
}

fn replication(report: &Report, fields: &mut Fields<'_>) {
    fields.title("Replication");
    fields.add("role", "master");
    fields.add("connected_slaves", 0);
    fields.add("master_failover_state", "no-failover");
    fields.add("master_replid", &report.facts.run_id);
    fields.add("master_replid2", "0".repeat(40));
    fields.add("master_repl_offset", 0);
    fields.add("second_repl_offset", -1);
    fields.add("repl_backlog_active", 0);
    fields.add("repl_backlog_size", 1 << 20);
    fields.add_all(
        0,
        &["repl_backlog_first_byte_offset", "repl_backlog_histlen"],
    );
}

fn cpu(fields: &mut Fields<'_>) {
    let [process, children, thread] = [
        UsageWho::RUSAGE_SELF,
        UsageWho::RUSAGE_CHILDREN,
        UsageWho::RUSAGE_THREAD,
    ]
    .map(CpuTime::of);
    fields.title("CPU");
    for (name, secs) in [
        ("used_cpu_sys", process.system),
        ("used_cpu_user", process.user),
        ("used_cpu_sys_children", children.system),
        ("used_cpu_user_children", children.user),
        ("used_cpu_sys_main_thread", thread.system),
        ("used_cpu_user_main_thread", thread.user),
    ] {
        fields.add(name, format_args!("{secs:.6}"));
    }
}

/// Every command, each before its subcommands.
fn commands() -> impl Iterator<Item = &'static Command> {
    CommandTable::global()
        .iter()
        .flat_map(|command| std::iter::once(command).chain(&command.subcommands))
}

fn command_stats(report: &Report, fields: &mut Fields<'_>) {
    fields.title("Commandstats");
    for command in commands() {
        let (stats, _) = &report.commands[command.id.index()];
        if stats.calls + stats.rejected + stats.failed == 0 {
            continue;
        }
        let micros = stats.nanos / 1000;
        let each = if stats.calls == 0 {
            0.0
        } else {
            stats.nanos as f64 / 1000.0 / stats.calls as f64
        };
        let value = format_args!(
            "calls={},usec={micros},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
            stats.calls, stats.rejected, stats.failed
        )
        .to_string();
        fields.add(&format!("cmdstat_{}", command.spec.name), value);
    }
}

fn error_stats(report: &Report, fields: &mut Fields<'_>) {
    fields.title("Errorstats");
    for (code, count) in report.errors.iter() {
        // A code may be of a script's making.
        let code: String = code
            .chars()
            .map(|letter| {
                if letter == ':' || letter.is_control() {
                    '_'
                } else {
                    letter
                }
            })
            .collect();
        fields.add(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn latency_stats(report: &Report, fields: &mut Fields<'_>) {
    fields.title("Latencystats");
    for command in commands() {
        let (_, durations) = &report.commands[command.id.index()];
        if durations.calls() == 0 {
            continue;
        }
        let percentiles = report.facts.percentiles.split_whitespace();
        let percentiles = percentiles.filter_map(|text| Some((text, text.parse::<f64>().ok()?)));
        let (texts, percentiles): (Vec<_>, Vec<_>) = percentiles.unzip();
        let durations_us = durations.percentiles_us(&percentiles);
        let percentiles: Vec<String> = texts
            .iter()
            .zip(durations_us)
            .map(|(text, us)| format!("p{text}={us:.3}"))
            .collect();
        fields.add(
            &format!("latency_percentiles_usec_{}", command.spec.name),
            percentiles.join(","),
        );
    }
}

/// Of the entries with a deadline, how many in a hundred have reached it and are not yet removed: as in Redis, which reckons
/// it from the entries its cycle happens to meet.
fn stale_percent(report: &Report) -> f64 {
    let sum = |of: fn(&Database) -> u64| report.databases.iter().map(of).sum::<u64>();
    let (due, volatile) = (
        sum(|database| database.due),
        sum(|database| database.volatile),
    );
    100.0 * due as f64 / volatile.max(1) as f64
}

fn keyspace(report: &Report, fields: &mut Fields<'_>) {
    fields.title("Keyspace");
    for (db, database) in report
        .databases
        .iter()
        .enumerate()
        .filter(|(_, database)| database.keys > 0)
    {
        let value = format!(
            "keys={},expires={},avg_ttl={},subexpiry={}",
            database.keys,
            database.volatile,
            database.ttl_mean_ms(),
            database.volatile_fields
        );
        fields.add(&format!("db{db}"), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(section: Section, report: &Report) -> String {
        let mut text = String::new();
        section.write(report, &mut text);
        text
    }

    fn report() -> Report {
        let count = CommandTable::global().count();
        Report {
            commands: vec![Default::default(); count],
            ..Report::default()
        }
    }

    #[test]
    fn every_section_is_a_title_and_lines_of_a_name_and_a_value() {
        let mut report = report();
        report.facts.quotas = "quota0:prefix=\"a:\",bytes=1\r\n".to_owned();
        for section in Section::ALL {
            let text = written(section, &report);
            let mut lines = text.split_terminator("\r\n");
            assert!(
                lines
                    .next()
                    .unwrap()
                    .to_lowercase()
                    .ends_with(section.name())
            );
            let mut names = std::collections::HashSet::new();
            for line in lines {
                let (name, _) = line.split_once(':').unwrap_or_else(|| panic!("{line}"));
                assert!(names.insert(name), "{name} is there twice");
            }
        }
    }

    #[test]
    fn only_databases_with_keys_and_commands_that_were_called_are_listed() {
        let mut report = report();
        report.databases = vec![
            Database::default(),
            Database {
                keys: 4,
                volatile: 3,
                due: 1,
                ttl_sum_ms: 4000,
                volatile_fields: 2,
            },
        ];
        assert_eq!(
            written(Section::Keyspace, &report),
            "# Keyspace\r\ndb1:keys=4,expires=3,avg_ttl=1333,subexpiry=2\r\n"
        );
        assert!(written(Section::Stats, &report).contains("\r\nexpired_stale_perc:33.33\r\n"));
        let get = CommandTable::global().find(b"get").unwrap().id.index();
        report.commands[get].0.calls = 4;
        report.commands[get].0.nanos = 10_000;
        report.commands[get].1.record(4, 2500);
        report.facts.percentiles = "50 99.9".to_owned();
        assert_eq!(
            written(Section::Commandstats, &report),
            "# Commandstats\r\ncmdstat_get:calls=4,usec=10,usec_per_call=2.50,rejected_calls=0,failed_calls=0\r\n"
        );
        let text = written(Section::Latencystats, &report);
        assert!(
            text.contains("latency_percentiles_usec_get:p50=2.5"),
            "{text}"
        );
        assert!(text.contains(",p99.9=2.5"), "{text}");
    }

    #[test]
    fn bytes_are_told_in_the_largest_unit_they_fill() {
        for (bytes, expected) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (990_344, "967.13K"),
            (25_276_514_304, "23.54G"),
        ] {
            assert_eq!(human(bytes), expected);
        }
    }
}
