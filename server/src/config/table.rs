//! The table of directives, from which loading, `CONFIG GET`, `CONFIG SET` and `CONFIG REWRITE` derive.
//!
//! Names, bounds and defaults are those of Redis 7.0 with the names Redis 8 added, except where Larder cannot keep what
//! a default promises (`save`) or listens on less (`bind`). Larder's own stand first.

use super::directive::{Change, Directive, Kind};
use super::settings::MaxmemoryPolicy;

const INT_MAX: i64 = i32::MAX as i64;
const INT_MIN: i64 = i32::MIN as i64;
const UINT_MAX: i64 = u32::MAX as i64;
const LONG_MAX: u64 = i64::MAX as u64;

/// Values of `enable-debug-command` and its like.
pub(super) const PROTECTED_ACTION: &[&str] = &["no", "yes", "local"];
const ON_SIGNAL: &[&str] = &["default", "save", "nosave", "now", "force"];

/// Directives that have gone and are read over, as Redis does.
pub(super) const RETIRED: &[&str] = &[
    "list-max-ziplist-entries",
    "list-max-ziplist-value",
    "lua-replicate-commands",
];

/// Every directive.
pub static DIRECTIVES: &[Directive] = &[
    // Larder: cores and I/O.
    Directive::new("cores", Kind::Cores, "auto").at_start(),
    Directive::new("core-pinning", Kind::OneOf(&["auto", "yes", "no"]), "auto").at_start(),
    Directive::yes_no("core-endpoints", "no").at_start(),
    Directive::new(
        "io-backend",
        Kind::OneOf(&["auto", "io_uring", "epoll"]),
        "auto",
    )
    .at_start(),
    Directive::yes_no("hot-key-copies", "no"),
    // Larder: hits.
    Directive::new(
        "miss-ratio-curve",
        Kind::OneOf(&["auto", "yes", "no"]),
        "auto",
    ),
    Directive::int("miss-ratio-curve-entries", 0, 65536, "0"),
    Directive::int("miss-ratio-curve-cpu-percent", 1, 100, "1"),
    Directive::new("hit-ratio-prefixes", Kind::Prefixes, ""),
    Directive::new("larder-quota", Kind::Quotas, ""),
    // Network.
    Directive::yes_no("protected-mode", "yes"),
    Directive::text("unixsocket", "").never(),
    Directive::text("bind-source-addr", ""),
    Directive::int("port", 0, 65535, "6379").at_start(),
    Directive::int("tcp-keepalive", 0, INT_MAX, "300"),
    Directive::int("timeout", 0, INT_MAX, "0"),
    Directive::int("tcp-backlog", 0, INT_MAX, "511").never(),
    Directive::int("maxclients", 1, UINT_MAX, "10000"),
    Directive::new("unixsocketperm", Kind::Octal { max: 0o777 }, "0").never(),
    Directive::int("socket-mark-id", 0, UINT_MAX, "0").never(),
    Directive::memory("proto-max-bulk-len", 1048576, LONG_MAX, "536870912"),
    Directive::memory("client-query-buffer-limit", 1048576, LONG_MAX, "1073741824"),
    Directive::new(
        "client-output-buffer-limit",
        Kind::OutputLimits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    ),
    Directive::memory(
        "client-output-buffer-high-water",
        65536,
        LONG_MAX,
        "1073741824",
    ),
    Directive::new("bind", Kind::Bind, "127.0.0.1 -::1").at_start(),
    Directive::int("max-new-connections-per-cycle", 1, 1000, "10"),
    Directive::int("max-new-tls-connections-per-cycle", 1, 1000, "1"),
    // TLS.
    Directive::int("tls-port", 0, 65535, "0").at_start(),
    Directive::int("tls-session-cache-size", 0, INT_MAX, "20480"),
    Directive::int("tls-session-cache-timeout", 0, INT_MAX, "300"),
    Directive::yes_no("tls-cluster", "no"),
    Directive::yes_no("tls-replication", "no"),
    Directive::new(
        "tls-auth-clients",
        Kind::OneOf(&["no", "yes", "optional"]),
        "yes",
    ),
    Directive::yes_no("tls-prefer-server-ciphers", "no"),
    Directive::yes_no("tls-session-caching", "yes"),
    Directive::text("tls-cert-file", ""),
    Directive::text("tls-key-file", ""),
    Directive::text("tls-key-file-pass", ""),
    Directive::text("tls-client-cert-file", ""),
    Directive::text("tls-client-key-file", ""),
    Directive::text("tls-client-key-file-pass", ""),
    Directive::text("tls-dh-params-file", ""),
    Directive::text("tls-ca-cert-file", ""),
    Directive::text("tls-ca-cert-dir", ""),
    Directive::text("tls-protocols", ""),
    Directive::text("tls-ciphers", ""),
    Directive::text("tls-ciphersuites", ""),
    // Process and logs.
    Directive::yes_no("daemonize", "no").never(),
    Directive::yes_no("io-threads-do-reads", "no").never(),
    Directive::yes_no("always-show-logo", "no").never(),
    Directive::yes_no("set-proc-title", "yes").never(),
    Directive::yes_no("jemalloc-bg-thread", "yes"),
    Directive::yes_no("syslog-enabled", "no").never(),
    Directive::yes_no("crash-log-enabled", "yes"),
    Directive::yes_no("crash-memcheck-enabled", "yes"),
    Directive::yes_no("use-exit-on-panic", "no").hidden(),
    Directive::yes_no("disable-thp", "yes").never(),
    Directive::text("pidfile", "").never(),
    Directive::text("syslog-ident", "redis").never(),
    Directive::text("server_cpulist", "")
        .alias("server-cpulist")
        .at_start(),
    Directive::text("bio_cpulist", "")
        .alias("bio-cpulist")
        .at_start(),
    Directive::text("aof_rewrite_cpulist", "")
        .alias("aof-rewrite-cpulist")
        .at_start(),
    Directive::text("bgsave_cpulist", "")
        .alias("bgsave-cpulist")
        .at_start(),
    Directive::text("ignore-warnings", ""),
    Directive::text("proc-title-template", "{title} {listen-addr} {server-mode}"),
    Directive::text("logfile", "").never(),
    Directive::new(
        "supervised",
        Kind::OneOf(&["upstart", "systemd", "auto", "no"]),
        "no",
    )
    .never(),
    Directive::new(
        "syslog-facility",
        Kind::OneOf(&[
            "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
        ]),
        "local0",
    )
    .never(),
    Directive::new(
        "loglevel",
        Kind::OneOf(&["debug", "verbose", "notice", "warning"]),
        "notice",
    ),
    Directive::new(
        "oom-score-adj",
        Kind::OneOf(&["no", "yes", "relative", "absolute"]),
        "no",
    ),
    Directive::new("shutdown-on-sigint", Kind::Flags(ON_SIGNAL), "default"),
    Directive::new("shutdown-on-sigterm", Kind::Flags(ON_SIGNAL), "default"),
    Directive::int("databases", 1, 65_535, "16").never(),
    Directive::int("io-threads", 1, 128, "1").never(),
    Directive::int("watchdog-period", 0, INT_MAX, "0").hidden(),
    Directive::int("shutdown-timeout", 0, INT_MAX, "10"),
    Directive::new("dir", Kind::Directory, "").change(Change::Protected),
    Directive::new("oom-score-adj-values", Kind::OomScores, "0 200 800"),
    Directive::yes_no("hide-user-data-from-log", "no"),
    Directive::text("locale-collate", ""),
    // Access.
    Directive::text("aclfile", "").never(),
    Directive::text("requirepass", "").sensitive(),
    Directive::new(
        "acl-pubsub-default",
        Kind::OneOf(&["allchannels", "resetchannels"]),
        "resetchannels",
    ),
    Directive::new(
        "enable-protected-configs",
        Kind::OneOf(PROTECTED_ACTION),
        "no",
    )
    .never(),
    Directive::new("enable-debug-command", Kind::OneOf(PROTECTED_ACTION), "no").never(),
    Directive::new("enable-module-command", Kind::OneOf(PROTECTED_ACTION), "no").never(),
    Directive::int("acllog-max-len", 0, i64::MAX, "128"),
    // Memory, eviction and expiry.
    Directive::yes_no("activerehashing", "yes"),
    Directive::yes_no("dynamic-hz", "yes"),
    Directive::yes_no("lazyfree-lazy-eviction", "no"),
    Directive::yes_no("lazyfree-lazy-expire", "no"),
    Directive::yes_no("lazyfree-lazy-server-del", "no"),
    Directive::yes_no("lazyfree-lazy-user-del", "no"),
    Directive::yes_no("lazyfree-lazy-user-flush", "no"),
    Directive::yes_no("activedefrag", "no"),
    Directive::new(
        "maxmemory-policy",
        Kind::OneOf(MaxmemoryPolicy::VALUES),
        "noeviction",
    ),
    Directive::int("active-defrag-cycle-min", 1, 99, "1"),
    Directive::int("active-defrag-cycle-max", 1, 99, "25"),
    Directive::int("active-defrag-threshold-lower", 0, 1000, "10"),
    Directive::int("active-defrag-threshold-upper", 0, 1000, "100"),
    Directive::int("lfu-log-factor", 0, INT_MAX, "10"),
    Directive::int("lfu-decay-time", 0, INT_MAX, "1"),
    Directive::int("maxmemory-samples", 1, 64, "5"),
    Directive::int("maxmemory-eviction-tenacity", 0, 100, "10"),
    Directive::int("active-expire-effort", 1, 10, "1"),
    Directive::new("hz", Kind::Hz, "10"),
    Directive::int("active-defrag-max-scan-fields", 1, i64::MAX, "1000"),
    Directive::memory("maxmemory", 0, u64::MAX, "0"),
    Directive::memory("active-defrag-ignore-bytes", 1, LONG_MAX, "104857600"),
    Directive::new("maxmemory-clients", Kind::MemoryOrPercent, "0"),
    // Encodings.
    Directive::int("list-max-listpack-size", INT_MIN, INT_MAX, "-2").alias("list-max-ziplist-size"),
    Directive::int("list-compress-depth", 0, INT_MAX, "0"),
    Directive::int("stream-node-max-entries", 0, i64::MAX, "100"),
    Directive::int("stream-idmp-duration", 1, 86_400, "100"),
    Directive::int("stream-idmp-maxsize", 1, 10_000, "100"),
    Directive::int("hash-max-listpack-entries", 0, i64::MAX, "512")
        .alias("hash-max-ziplist-entries"),
    Directive::int("set-max-intset-entries", 0, i64::MAX, "512"),
    Directive::int("zset-max-listpack-entries", 0, i64::MAX, "128")
        .alias("zset-max-ziplist-entries"),
    Directive::memory("hash-max-listpack-value", 0, LONG_MAX, "64").alias("hash-max-ziplist-value"),
    Directive::memory("stream-node-max-bytes", 0, LONG_MAX, "4096"),
    Directive::memory("zset-max-listpack-value", 0, LONG_MAX, "64").alias("zset-max-ziplist-value"),
    Directive::memory("hll-sparse-max-bytes", 0, LONG_MAX, "3000"),
    Directive::int("set-max-listpack-entries", 0, i64::MAX, "128"),
    Directive::memory("set-max-listpack-value", 0, LONG_MAX, "64"),
    // Observing.
    Directive::yes_no("latency-tracking", "yes"),
    Directive::int("slowlog-max-len", 0, i64::MAX, "128")
        .alias("commandlog-slow-execution-max-len"),
    Directive::int("slowlog-log-slower-than", -1, i64::MAX, "10000")
        .alias("commandlog-execution-slower-than"),
    Directive::int("commandlog-large-request-max-len", 0, i64::MAX, "128"),
    Directive::int("commandlog-request-larger-than", -1, i64::MAX, "1048576"),
    Directive::int("commandlog-large-reply-max-len", 0, i64::MAX, "128"),
    Directive::int("commandlog-reply-larger-than", -1, i64::MAX, "1048576"),
    Directive::new("cluster-slot-stats-enabled", Kind::SlotStats, "no"),
    Directive::int("latency-monitor-threshold", 0, i64::MAX, "0"),
    Directive::int("tracking-table-max-keys", 0, i64::MAX, "1000000"),
    Directive::new("notify-keyspace-events", Kind::KeyspaceEvents, ""),
    Directive::new(
        "latency-tracking-info-percentiles",
        Kind::Percentiles,
        "50 99 99.9",
    ),
    // Persistence.
    Directive::yes_no("rdbchecksum", "yes").never(),
    Directive::yes_no("rdbcompression", "yes"),
    Directive::yes_no("rdb-del-sync-files", "no"),
    Directive::yes_no("stop-writes-on-bgsave-error", "yes"),
    Directive::yes_no("aof-rewrite-incremental-fsync", "yes"),
    Directive::yes_no("no-appendfsync-on-rewrite", "no"),
    Directive::yes_no("rdb-save-incremental-fsync", "yes"),
    Directive::yes_no("aof-load-truncated", "yes"),
    Directive::yes_no("aof-use-rdb-preamble", "yes"),
    Directive::yes_no("aof-timestamp-enabled", "no"),
    Directive::yes_no("appendonly", "no"),
    Directive::yes_no("aof-disable-auto-gc", "no"),
    Directive::new(
        "dbfilename",
        Kind::FileName { may_be_empty: true },
        "dump.rdb",
    )
    .change(Change::Protected),
    Directive::new(
        "appendfilename",
        Kind::FileName {
            may_be_empty: false,
        },
        "appendonly.aof",
    )
    .never(),
    Directive::new(
        "appenddirname",
        Kind::FileName {
            may_be_empty: false,
        },
        "appendonlydir",
    )
    .never(),
    Directive::new(
        "appendfsync",
        Kind::OneOf(&["everysec", "always", "no"]),
        "everysec",
    ),
    Directive::new(
        "sanitize-dump-payload",
        Kind::OneOf(&["no", "yes", "clients"]),
        "no",
    ),
    Directive::int("auto-aof-rewrite-percentage", 0, INT_MAX, "100"),
    Directive::int("rdb-key-save-delay", INT_MIN, INT_MAX, "0").hidden(),
    Directive::int("key-load-delay", INT_MIN, INT_MAX, "0").hidden(),
    Directive::memory("auto-aof-rewrite-min-size", 0, LONG_MAX, "67108864"),
    Directive::int(
        "loading-process-events-interval-bytes",
        1024,
        INT_MAX,
        "2097152",
    )
    .hidden(),
    Directive::new("save", Kind::Save, ""),
    // Replication.
    Directive::yes_no("repl-disable-tcp-nodelay", "no"),
    Directive::yes_no("repl-diskless-sync", "yes"),
    Directive::yes_no("replica-lazy-flush", "no").alias("slave-lazy-flush"),
    Directive::yes_no("replica-serve-stale-data", "yes").alias("slave-serve-stale-data"),
    Directive::yes_no("replica-read-only", "yes").alias("slave-read-only"),
    Directive::yes_no("replica-ignore-maxmemory", "yes").alias("slave-ignore-maxmemory"),
    Directive::yes_no("replica-announced", "yes"),
    Directive::yes_no("replica-ignore-disk-write-errors", "no"),
    Directive::text("replica-announce-ip", "").alias("slave-announce-ip"),
    Directive::text("masteruser", "").sensitive(),
    Directive::text("masterauth", "").sensitive(),
    Directive::new(
        "repl-diskless-load",
        Kind::OneOf(&["disabled", "on-empty-db", "swapdb"]),
        "disabled",
    ),
    Directive::new(
        "propagation-error-behavior",
        Kind::OneOf(&["ignore", "panic", "panic-on-replicas"]),
        "ignore",
    ),
    Directive::int("replica-priority", 0, INT_MAX, "100").alias("slave-priority"),
    Directive::int("repl-diskless-sync-delay", 0, INT_MAX, "5"),
    Directive::int("replica-announce-port", 0, 65535, "0").alias("slave-announce-port"),
    Directive::int("repl-timeout", 1, INT_MAX, "60"),
    Directive::int("repl-ping-replica-period", 1, INT_MAX, "10").alias("repl-ping-slave-period"),
    Directive::int("min-replicas-to-write", 0, INT_MAX, "0").alias("min-slaves-to-write"),
    Directive::int("min-replicas-max-lag", 0, INT_MAX, "10").alias("min-slaves-max-lag"),
    Directive::int("repl-diskless-sync-max-replicas", 0, INT_MAX, "0"),
    Directive::memory("repl-backlog-size", 1, LONG_MAX, "1048576"),
    Directive::int("repl-backlog-ttl", 0, i64::MAX, "3600"),
    Directive::new("replicaof", Kind::ReplicaOf, "")
        .alias("slaveof")
        .never(),
    Directive::memory("replica-full-sync-buffer-limit", 0, LONG_MAX, "0"),
    // Cluster.
    Directive::yes_no("cluster-require-full-coverage", "yes"),
    Directive::yes_no("cluster-replica-no-failover", "no").alias("cluster-slave-no-failover"),
    Directive::yes_no("cluster-enabled", "no").never(),
    Directive::yes_no("cluster-allow-reads-when-down", "no"),
    Directive::yes_no("cluster-allow-pubsubshard-when-down", "yes"),
    Directive::yes_no("cluster-allow-replica-migration", "yes"),
    Directive::text("cluster-announce-ip", ""),
    Directive::text("cluster-config-file", "nodes.conf").never(),
    Directive::text("cluster-announce-hostname", ""),
    Directive::new(
        "cluster-preferred-endpoint-type",
        Kind::OneOf(&["ip", "hostname", "unknown-endpoint"]),
        "ip",
    ),
    Directive::int("cluster-replica-validity-factor", 0, INT_MAX, "10")
        .alias("cluster-slave-validity-factor"),
    Directive::int("cluster-migration-barrier", 0, INT_MAX, "1"),
    Directive::int("cluster-port", 0, 65535, "0").never(),
    Directive::int("cluster-announce-bus-port", 0, 65535, "0"),
    Directive::int("cluster-announce-port", 0, 65535, "0"),
    Directive::int("cluster-announce-tls-port", 0, 65535, "0"),
    Directive::int("cluster-node-timeout", 0, i64::MAX, "15000"),
    Directive::memory("cluster-link-sendbuf-limit", 0, u64::MAX, "0"),
    Directive::text("cluster-announce-human-nodename", ""),
    Directive::int("cluster-compatibility-sample-ratio", 0, 100, "0"),
    // Scripts.
    Directive::int("busy-reply-threshold", 0, i64::MAX, "5000").alias("lua-time-limit"),
];
