//! What Larder makes of each directive of `redis.conf`: three lists, and every directive is in one of them.
//!
//! * [`OBEYED`]: it does what it says.
//! * [`WARNED`]: it is not obeyed, and that is harmless: nobody is let in, nothing is lost, no promise is broken silently. A
//!   value that asks for something gets a line at start.
//! * [`REFUSED`]: it protects the server or its data, and is not obeyed. A value that asks for that stops the start: a server
//!   that runs without its lock is worse than one that does not run. `CONFIG SET` refuses such a value too.
//!
//! A feature that comes moves its directives up. Why each stands where it does: `docs/decisions/0016-configuration.md`.

/// When a value asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// When it is this.
    If(&'static str),
    /// When it is not the default.
    Set,
}

use Asks::{If, Set};

impl Asks {
    /// Whether `value` asks for something, of a directive with this default.
    pub(super) fn is_asked_by(self, value: &str, default: &str) -> bool {
        match self {
            If(trigger) => value == trigger,
            Set => value != default,
        }
    }
}

/// Directives that do what they say.
#[cfg(test)]
pub(super) const OBEYED: &[&str] = &[
    // Larder's own.
    "cores",
    "core-pinning",
    "core-endpoints",
    "io-backend",
    "hot-key-copies",
    "miss-ratio-curve",
    "miss-ratio-curve-entries",
    "miss-ratio-curve-cpu-percent",
    "hit-ratio-prefixes",
    "larder-quota",
    // Network.
    "bind",
    "port",
    "protected-mode",
    "unixsocket",
    "unixsocketperm",
    "socket-mark-id",
    "tcp-backlog",
    "tcp-keepalive",
    "timeout",
    "maxclients",
    "proto-max-bulk-len",
    "client-query-buffer-limit",
    "client-output-buffer-limit",
    "client-output-buffer-high-water",
    "cluster-announce-ip",
    // Process.
    "dir",
    "pidfile",
    "logfile",
    "loglevel",
    "hz",
    // Access.
    "requirepass",
    "rename-command",
    "enable-debug-command",
    "enable-module-command",
    "enable-protected-configs",
    // Keys and memory.
    "databases",
    "maxmemory",
    "maxmemory-policy",
    "maxmemory-samples",
    "maxmemory-clients",
    "lfu-log-factor",
    "lfu-decay-time",
    "hash-max-listpack-entries",
    "hash-max-listpack-value",
    "zset-max-listpack-entries",
    "zset-max-listpack-value",
    "list-max-listpack-size",
    "hll-sparse-max-bytes",
    "set-max-intset-entries",
    "set-max-listpack-entries",
    "set-max-listpack-value",
    "stream-node-max-bytes",
    "stream-node-max-entries",
    "stream-idmp-duration",
    "stream-idmp-maxsize",
    // Telling.
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "commandlog-large-request-max-len",
    "commandlog-request-larger-than",
    "commandlog-large-reply-max-len",
    "commandlog-reply-larger-than",
    "cluster-slot-stats-enabled",
    "latency-monitor-threshold",
    "latency-tracking",
    "latency-tracking-info-percentiles",
    "notify-keyspace-events",
    "tracking-table-max-keys",
    "busy-reply-threshold",
    // Snapshots.
    "save",
    "dbfilename",
    "rdbcompression",
    "rdbchecksum",
    "stop-writes-on-bgsave-error",
    // Loading.
    "include",
];

/// What is said of a directive that is not obeyed.
type Remark = &'static str;

const NO_APPEND_LOG: Remark = "has no effect: there is no append log yet";
const NO_REPLICATION: Remark = "has no effect: there is no replication yet";
const NO_CLUSTER: Remark = "has no effect: there is no cluster of servers yet";
const NO_USERS: Remark = "has no effect: there are no ACL users yet but the default one";
const NO_DEFRAGMENTATION: Remark = "has no effect: memory is compacted without it";
const NO_SYSLOG: Remark = "nothing is written to syslog";
const BY_THE_CORES: Remark = "has no effect: see cores and core-pinning";
const FREED_GENTLY: Remark =
    "has no effect: whatever is large is freed in slices, behind the command that removed it";
const NO_EFFECT: Remark = "has no effect";

/// Directives that are not obeyed and harmless, the values that ask for something, and what is said of it at start.
pub(super) const WARNED: &[(&str, Asks, Remark)] = &[
    // Persistence.
    ("rdb-del-sync-files", Set, NO_REPLICATION),
    ("rdb-save-incremental-fsync", Set, NO_EFFECT),
    ("rdb-key-save-delay", Set, NO_EFFECT),
    ("key-load-delay", Set, NO_EFFECT),
    ("loading-process-events-interval-bytes", Set, NO_EFFECT),
    (
        "sanitize-dump-payload",
        Set,
        "has no effect: every payload is checked whole",
    ),
    ("appendfilename", Set, NO_APPEND_LOG),
    ("appenddirname", Set, NO_APPEND_LOG),
    ("appendfsync", Set, NO_APPEND_LOG),
    ("no-appendfsync-on-rewrite", Set, NO_APPEND_LOG),
    ("auto-aof-rewrite-percentage", Set, NO_APPEND_LOG),
    ("auto-aof-rewrite-min-size", Set, NO_APPEND_LOG),
    ("aof-rewrite-incremental-fsync", Set, NO_APPEND_LOG),
    ("aof-load-truncated", Set, NO_APPEND_LOG),
    ("aof-use-rdb-preamble", Set, NO_APPEND_LOG),
    ("aof-timestamp-enabled", Set, NO_APPEND_LOG),
    ("aof-disable-auto-gc", Set, NO_APPEND_LOG),
    // Replication; `replicaof` itself is refused.
    ("repl-disable-tcp-nodelay", Set, NO_REPLICATION),
    ("repl-diskless-sync", Set, NO_REPLICATION),
    ("repl-diskless-load", Set, NO_REPLICATION),
    ("repl-diskless-sync-delay", Set, NO_REPLICATION),
    ("repl-diskless-sync-max-replicas", Set, NO_REPLICATION),
    ("repl-timeout", Set, NO_REPLICATION),
    ("repl-ping-replica-period", Set, NO_REPLICATION),
    ("repl-backlog-size", Set, NO_REPLICATION),
    ("repl-backlog-ttl", Set, NO_REPLICATION),
    ("replica-lazy-flush", Set, NO_REPLICATION),
    ("replica-serve-stale-data", Set, NO_REPLICATION),
    ("replica-read-only", Set, NO_REPLICATION),
    ("replica-ignore-maxmemory", Set, NO_REPLICATION),
    ("replica-announced", Set, NO_REPLICATION),
    ("replica-ignore-disk-write-errors", Set, NO_REPLICATION),
    ("replica-announce-ip", Set, NO_REPLICATION),
    ("replica-announce-port", Set, NO_REPLICATION),
    ("replica-priority", Set, NO_REPLICATION),
    ("replica-full-sync-buffer-limit", Set, NO_REPLICATION),
    ("min-replicas-max-lag", Set, NO_REPLICATION),
    ("propagation-error-behavior", Set, NO_REPLICATION),
    ("shutdown-timeout", Set, NO_REPLICATION),
    // Cluster; `cluster-enabled` itself is refused.
    ("cluster-require-full-coverage", Set, NO_CLUSTER),
    ("cluster-replica-no-failover", Set, NO_CLUSTER),
    ("cluster-allow-reads-when-down", Set, NO_CLUSTER),
    ("cluster-allow-pubsubshard-when-down", Set, NO_CLUSTER),
    ("cluster-allow-replica-migration", Set, NO_CLUSTER),
    ("cluster-config-file", Set, NO_CLUSTER),
    (
        "cluster-announce-hostname",
        Set,
        "has no effect: cluster clients are told cluster-announce-ip, or the address they connected to",
    ),
    ("cluster-announce-human-nodename", Set, NO_CLUSTER),
    (
        "cluster-announce-port",
        Set,
        "has no effect: cluster clients are told the ports that the cores listen on",
    ),
    ("cluster-announce-bus-port", Set, NO_CLUSTER),
    ("cluster-announce-tls-port", Set, NO_CLUSTER),
    (
        "cluster-preferred-endpoint-type",
        Set,
        "has no effect: cluster clients are told IP addresses",
    ),
    ("cluster-replica-validity-factor", Set, NO_CLUSTER),
    ("cluster-migration-barrier", Set, NO_CLUSTER),
    ("cluster-port", Set, NO_CLUSTER),
    ("cluster-node-timeout", Set, NO_CLUSTER),
    ("cluster-link-sendbuf-limit", Set, NO_CLUSTER),
    ("cluster-compatibility-sample-ratio", Set, NO_CLUSTER),
    // Memory.
    ("maxmemory-eviction-tenacity", Set, NO_EFFECT),
    ("lazyfree-lazy-eviction", Set, FREED_GENTLY),
    ("lazyfree-lazy-expire", Set, FREED_GENTLY),
    ("lazyfree-lazy-server-del", Set, FREED_GENTLY),
    ("lazyfree-lazy-user-del", Set, FREED_GENTLY),
    ("lazyfree-lazy-user-flush", Set, FREED_GENTLY),
    ("activedefrag", If("yes"), NO_DEFRAGMENTATION),
    ("active-defrag-cycle-min", Set, NO_DEFRAGMENTATION),
    ("active-defrag-cycle-max", Set, NO_DEFRAGMENTATION),
    ("active-defrag-threshold-lower", Set, NO_DEFRAGMENTATION),
    ("active-defrag-threshold-upper", Set, NO_DEFRAGMENTATION),
    ("active-defrag-max-scan-fields", Set, NO_DEFRAGMENTATION),
    ("active-defrag-ignore-bytes", Set, NO_DEFRAGMENTATION),
    (
        "activerehashing",
        Set,
        "has no effect: a keyspace grows a node at a time",
    ),
    ("active-expire-effort", Set, NO_EFFECT),
    ("jemalloc-bg-thread", Set, NO_EFFECT),
    ("disable-thp", Set, NO_EFFECT),
    // Types to come.
    (
        "list-compress-depth",
        Set,
        "has no effect: lists are not compressed",
    ),
    // Network.
    (
        "io-threads",
        Set,
        "has no effect: every core does its own I/O, see cores",
    ),
    (
        "io-threads-do-reads",
        Set,
        "has no effect: every core does its own I/O, see cores",
    ),
    (
        "bind-source-addr",
        Set,
        "has no effect: the server connects to no other",
    ),
    ("max-new-connections-per-cycle", Set, NO_EFFECT),
    ("max-new-tls-connections-per-cycle", Set, NO_EFFECT),
    // Process and logs.
    (
        "daemonize",
        If("yes"),
        "the server stays in the foreground; let a service manager start it",
    ),
    ("supervised", Set, "the service manager is not notified"),
    ("syslog-enabled", If("yes"), NO_SYSLOG),
    ("syslog-ident", Set, NO_SYSLOG),
    ("syslog-facility", Set, NO_SYSLOG),
    (
        "shutdown-on-sigint",
        Set,
        "has no effect: there is nothing to save",
    ),
    (
        "shutdown-on-sigterm",
        Set,
        "has no effect: there is nothing to save",
    ),
    ("server_cpulist", Set, BY_THE_CORES),
    ("bio_cpulist", Set, BY_THE_CORES),
    ("aof_rewrite_cpulist", Set, BY_THE_CORES),
    ("bgsave_cpulist", Set, BY_THE_CORES),
    ("oom-score-adj", Set, NO_EFFECT),
    ("oom-score-adj-values", Set, NO_EFFECT),
    ("dynamic-hz", Set, NO_EFFECT),
    ("always-show-logo", Set, NO_EFFECT),
    ("set-proc-title", Set, NO_EFFECT),
    ("proc-title-template", Set, NO_EFFECT),
    ("crash-log-enabled", Set, NO_EFFECT),
    ("crash-memcheck-enabled", Set, NO_EFFECT),
    ("use-exit-on-panic", Set, NO_EFFECT),
    ("watchdog-period", Set, NO_EFFECT),
    ("ignore-warnings", Set, NO_EFFECT),
    ("locale-collate", Set, NO_EFFECT),
    (
        "hide-user-data-from-log",
        Set,
        "has no effect: keys and values are not logged",
    ),
    // Access.
    ("acl-pubsub-default", Set, NO_USERS),
    ("acllog-max-len", Set, NO_USERS),
];

const NO_TLS: Remark = "there is no TLS yet, and traffic would be in the clear: take the line out, and put a TLS proxy in front";
const NO_MASTER: Remark =
    "there is no replication yet, and no master to give it to: take the line out";

/// Directives that protect and are not obeyed, the values that ask for it, and why they are refused.
pub(super) const REFUSED: &[(&str, Asks, Remark)] = &[
    (
        "aclfile",
        Set,
        "there are no ACL users yet, and everyone could do everything: take the line out, and set requirepass",
    ),
    (
        "appendonly",
        If("yes"),
        "there is no append log yet, and acknowledged writes would be lost when the server ends: set it to no",
    ),
    (
        "replicaof",
        Set,
        "there is no replication yet, and the server would start empty and take writes: take the line out",
    ),
    ("masterauth", Set, NO_MASTER),
    ("masteruser", Set, NO_MASTER),
    (
        "min-replicas-to-write",
        Set,
        "there is no replication yet, and writes would be taken without replicas: set it to 0",
    ),
    (
        "cluster-enabled",
        If("yes"),
        "there is no cluster of servers yet, and this server would claim every slot: set it to no (core-endpoints makes \
         its cores nodes)",
    ),
    ("tls-port", Set, NO_TLS),
    ("tls-cluster", Set, NO_TLS),
    ("tls-replication", Set, NO_TLS),
    ("tls-auth-clients", Set, NO_TLS),
    ("tls-prefer-server-ciphers", Set, NO_TLS),
    ("tls-session-caching", Set, NO_TLS),
    ("tls-session-cache-size", Set, NO_TLS),
    ("tls-session-cache-timeout", Set, NO_TLS),
    ("tls-cert-file", Set, NO_TLS),
    ("tls-key-file", Set, NO_TLS),
    ("tls-key-file-pass", Set, NO_TLS),
    ("tls-client-cert-file", Set, NO_TLS),
    ("tls-client-key-file", Set, NO_TLS),
    ("tls-client-key-file-pass", Set, NO_TLS),
    ("tls-dh-params-file", Set, NO_TLS),
    ("tls-ca-cert-file", Set, NO_TLS),
    ("tls-ca-cert-dir", Set, NO_TLS),
    ("tls-protocols", Set, NO_TLS),
    ("tls-ciphers", Set, NO_TLS),
    ("tls-ciphersuites", Set, NO_TLS),
];

/// Lines that set no value, each with the fewest words behind it, and why they are refused.
pub(super) const REFUSED_LINES: &[(&str, usize, Remark)] = &[
    (
        "user",
        1,
        "there are no ACL users yet, and the rules would bind nobody: take the line out, and set requirepass",
    ),
    ("loadmodule", 1, "there are no modules: take the line out"),
];

/// Whether the words of a `user` line describe the one user there is, who may do everything without a password:
/// `CONFIG REWRITE` of redis-server leaves such a line.
pub(super) fn is_unbound_default_user(words: &[String]) -> bool {
    const NEEDED: [&[&str]; 5] = [
        &["on"],
        &["nopass"],
        &["~*", "allkeys"],
        &["&*", "allchannels"],
        &["+@all", "allcommands"],
    ];
    let Some((name, rules)) = words.split_first() else {
        return false;
    };
    let is_one_of = |rule: &String, set: &[&str]| set.contains(&rule.as_str());
    let means_nothing =
        |rule: &String| is_one_of(rule, &["sanitize-payload", "skip-sanitize-payload"]);
    name == "default"
        && NEEDED
            .iter()
            .all(|set| rules.iter().any(|rule| is_one_of(rule, set)))
        && rules
            .iter()
            .all(|rule| means_nothing(rule) || NEEDED.iter().any(|set| is_one_of(rule, set)))
}

/// Why the directive `name` may not have `value`, if it protects and Larder does not do what it says.
pub(super) fn refusal(name: &str, value: &str, default: &str) -> Option<Remark> {
    let (_, _, why) = REFUSED
        .iter()
        .find(|(refused, asks, _)| *refused == name && asks.is_asked_by(value, default))?;
    Some(why)
}

/// One line for each directive of [`WARNED`] whose value asks for something; `values` gives name, value and default of all.
pub(super) fn warnings<'a>(
    values: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
) -> Vec<String> {
    values
        .filter_map(|(name, value, default)| {
            let (_, _, remark) = WARNED
                .iter()
                .find(|(warned, asks, _)| *warned == name && asks.is_asked_by(value, default))?;
            Some(format!("{name} {value}: {remark}"))
        })
        .collect()
}
