//! The settings in the form the server uses: typed, read once from the values of [`super::table`].

use std::path::PathBuf;
use std::sync::Arc;

use larder_engine::PrefixSet;
use larder_engine::evict::{PolicyName, Scope};

use super::quotas::{self, QuotaSetting};
use super::value;

/// What the hot path and the commands read of the configuration.
///
/// Each field carries the name of its directive, with its unit where it has one.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// On which cores to run.
    pub cores: Cores,
    /// Whether each core keeps to its CPU.
    pub core_pinning: CorePinning,
    /// Whether each core listens on a port of its own, as a cluster node.
    pub core_endpoints: bool,
    /// The address at which cluster clients are told to find the cores; `None`: the one they connected to.
    pub cluster_announce_ip: Option<String>,
    /// Whether cores keep copies of the most read keys of others, and answer from these.
    pub hot_key_copies: bool,
    /// Whether a miss-ratio curve is kept.
    pub miss_ratio_curve: MissRatioCurve,
    /// Entries of its sample; 0: as many as there is memory for.
    pub miss_ratio_curve_entries: u32,
    /// The part of a core's time that it may take.
    pub miss_ratio_curve_cpu_percent: u32,
    /// Prefixes of keys by which lookups are counted.
    pub hit_ratio_prefixes: Arc<PrefixSet>,
    /// How sockets are served.
    pub io_backend: IoBackend,
    /// Addresses to listen on; one with a `-` before it may be missing on the host.
    pub bind: Vec<BindAddress>,
    /// The TCP port; 0 is none.
    pub port: u16,
    /// The unix socket.
    pub unixsocket: Option<PathBuf>,
    /// Permissions of the unix socket; `None` leaves the process's own.
    pub unixsocketperm: Option<u32>,
    /// Connections waiting to be accepted.
    pub tcp_backlog: u32,
    /// Seconds between keep-alive probes; 0 is none.
    pub tcp_keepalive_secs: u32,
    /// Seconds after which an idle client is dropped; 0 is never.
    pub timeout_secs: u64,
    /// Whether clients from elsewhere are refused while there is neither password nor `bind`.
    pub protected_mode: bool,
    /// Most clients.
    pub maxclients: u64,
    /// Number of logical databases.
    pub databases: u16,
    /// The default user's password.
    pub requirepass: Option<String>,
    /// Longest argument and longest string.
    pub proto_max_bulk_bytes: usize,
    /// The mark of the sockets that are listened on; 0 is none.
    pub socket_mark_id: u32,
    /// Most bytes of commands not run yet, for a client.
    pub client_query_buffer_limit_bytes: u64,
    /// Most bytes of replies not sent yet, by class of client.
    pub client_output_buffer_limit: OutputLimits,
    /// A client with more bytes of replies than this waiting to be sent runs no command until it has read some.
    pub client_output_buffer_high_water_bytes: usize,
    /// Most memory of all clients together, if it is configured.
    pub maxmemory_clients: Option<ClientMemory>,
    /// Bound of memory; 0 is none.
    pub maxmemory_bytes: u64,
    /// What makes room when the bound is reached.
    pub maxmemory_policy: MaxmemoryPolicy,
    /// Keys looked at to evict one.
    pub maxmemory_samples: u32,
    /// How hard to evict, 0 to 100.
    pub maxmemory_eviction_tenacity: u32,
    /// Weight of a hit on a key already hot.
    pub lfu_log_factor: u32,
    /// Minutes after which a key's hits count less.
    pub lfu_decay_time_min: u32,
    /// How hard to look for expired keys, 1 to 10.
    pub active_expire_effort: u32,
    /// Rounds of background work a second.
    pub hz: u32,
    /// What keys of some prefixes may take.
    pub larder_quota: Vec<QuotaSetting>,
    /// Free evicted values off the hot path.
    pub lazyfree_lazy_eviction: bool,
    /// Free expired values off the hot path.
    pub lazyfree_lazy_expire: bool,
    /// Free overwritten values off the hot path.
    pub lazyfree_lazy_server_del: bool,
    /// `DEL` is `UNLINK`.
    pub lazyfree_lazy_user_del: bool,
    /// `FLUSHALL` is `FLUSHALL ASYNC`.
    pub lazyfree_lazy_user_flush: bool,
    /// Which commands are logged as slow, by their microseconds.
    pub slowlog: CommandLogLimits,
    /// Which are logged as large, by their bytes.
    pub large_request_log: CommandLogLimits,
    /// Which are logged for a large reply, by its bytes.
    pub large_reply_log: CommandLogLimits,
    /// What is told of slots besides their keys.
    pub cluster_slot_stats: SlotStats,
    /// Milliseconds above which an event is recorded; 0 records none.
    pub latency_monitor_threshold_ms: u64,
    /// Whether the latency of each command is recorded.
    pub latency_tracking: bool,
    /// Percentiles `INFO latencystats` gives.
    pub latency_tracking_info_percentiles: Vec<f64>,
    /// Classes of keyspace notifications sent.
    pub notify_keyspace_events: KeyspaceEvents,
    /// Keys remembered for clients that keep caches; 0 is any number.
    pub tracking_table_max_keys: u64,
    /// Who may use `DEBUG`.
    pub enable_debug_command: ProtectedAction,
    /// Who may set protected directives.
    pub enable_protected_configs: ProtectedAction,
    /// Who may use `MODULE`.
    pub enable_module_command: ProtectedAction,
    /// When to take a snapshot.
    pub save: Vec<SavePoint>,
    /// The working directory.
    pub dir: PathBuf,
    /// The snapshot's file.
    pub dbfilename: String,
    /// Whether strings in it are packed.
    pub rdbcompression: bool,
    /// Whether it has a checksum.
    pub rdbchecksum: bool,
    /// Whether writes are refused while none can be saved.
    pub stop_writes_on_bgsave_error: bool,
    /// How much is logged.
    pub loglevel: LogLevel,
    /// The log's file; `None` is standard output.
    pub logfile: Option<PathBuf>,
    /// The file with the process id.
    pub pidfile: Option<PathBuf>,
    /// Most fields of a small hash.
    pub hash_max_listpack_entries: u64,
    /// Longest name or value of a field of a small hash.
    pub hash_max_listpack_value_bytes: u64,
    /// Most members of a small sorted set.
    pub zset_max_listpack_entries: u64,
    /// Longest member of a small sorted set.
    pub zset_max_listpack_value_bytes: u64,
    /// Most elements of a small list; if negative, most bytes: 4 KiB for -1, and twice as many for each below, down to -5.
    pub list_max_listpack_size: i32,
    /// Bytes of a sparse HyperLogLog beyond which it becomes dense.
    pub hll_sparse_max_bytes: u64,
    /// Most members of a small set of integers.
    pub set_max_intset_entries: u64,
    /// Most members of another small set.
    pub set_max_listpack_entries: u64,
    /// Longest member of a small set.
    pub set_max_listpack_value_bytes: u64,
    /// Bytes of a node of a stream; 0: no bound.
    pub stream_node_max_bytes: u64,
    /// Entries of a node of a stream; 0: no bound.
    pub stream_node_max_entries: u64,
    /// `stream-idmp-duration`
    pub stream_idmp_duration_secs: u64,
    /// `stream-idmp-maxsize`
    pub stream_idmp_maxsize: u64,
    /// Milliseconds after which a script lets others be answered, that the server is busy; 0 is never.
    pub busy_reply_threshold_ms: u64,
    /// Seconds a shutdown waits at most.
    pub shutdown_timeout_secs: u32,
}

/// On which cores to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// On every CPU the process may use.
    Auto,
    /// On this many.
    Count(u16),
    /// On these CPUs.
    List(Vec<u16>),
}

/// Whether each core keeps to its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorePinning {
    /// When there are CPUs enough.
    Auto,
    /// Always; too few CPUs are an error.
    Yes,
    /// Never.
    No,
}

/// How sockets are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoBackend {
    /// By io_uring where the kernel allows it, else by epoll.
    Auto,
    /// By io_uring, or not at all.
    IoUring,
    /// By epoll.
    Epoll,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// A host name, an IP address, or `*` for all of IPv4 (`::*` for all of IPv6).
    pub host: String,
    /// Whether it is an error when the host does not have it.
    pub required: bool,
}

/// What a log of commands takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandLogLimits {
    /// The least that makes a command stand out; negative: nothing does.
    pub least: i64,
    /// Entries the log keeps.
    pub max_len: usize,
}

/// What is told of slots besides their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotStats {
    /// The time of commands.
    pub time: bool,
    /// Their bytes.
    pub bytes: bool,
    /// The memory of their keys.
    pub memory: bool,
}

impl SlotStats {
    /// Whether what commands cost is of interest.
    pub fn are_of_commands(self) -> bool {
        self.time || self.bytes
    }
}

/// Most bytes of replies not sent yet, by class of client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimits {
    /// For plain clients.
    pub normal: OutputLimit,
    /// For replicas.
    pub replica: OutputLimit,
    /// For subscribers.
    pub pubsub: OutputLimit,
}

/// A bound of replies not sent yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// A client above it is closed at once; 0 is no bound.
    pub hard_bytes: u64,
    /// A client above it for `soft_seconds` is closed; 0 is no bound.
    pub soft_bytes: u64,
    /// How long `soft_bytes` may be exceeded.
    pub soft_seconds: u64,
}

/// How much memory all clients together may make the server hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMemory {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of `maxmemory`.
    Percent(u64),
}

/// What makes room when `maxmemory` is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxmemoryPolicy {
    /// Nothing: writes are refused.
    NoEviction,
    /// A policy, among all keys or those with a deadline.
    Evicts(Scope, PolicyName),
}

impl MaxmemoryPolicy {
    /// Its name in `CONFIG GET` and `INFO`.
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, policy)| *policy == self);
        named.map_or("noeviction", |(name, _)| name)
    }

    /// Whether entries keep how often they are used, not when.
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::Evicts(_, PolicyName::Lfu))
    }

    /// Whether it goes by each entry's uses as Redis keeps them.
    pub fn is_lru_or_lfu(self) -> bool {
        matches!(self, Self::Evicts(_, PolicyName::Lru | PolicyName::Lfu))
    }

    /// All, by their names: Redis's in its order, then those that it has not.
    const NAMES: &[(&str, Self)] = {
        use PolicyName::{Adaptive, Fifo, Gdsf, Lfu, Lrm, Lru, Random, S3Fifo, Sieve, Ttl};
        use Scope::{AllKeys, Volatile};
        &[
            ("volatile-lru", Self::Evicts(Volatile, Lru)),
            ("volatile-lfu", Self::Evicts(Volatile, Lfu)),
            ("volatile-random", Self::Evicts(Volatile, Random)),
            ("volatile-ttl", Self::Evicts(Volatile, Ttl)),
            ("volatile-lrm", Self::Evicts(Volatile, Lrm)),
            ("allkeys-lru", Self::Evicts(AllKeys, Lru)),
            ("allkeys-lfu", Self::Evicts(AllKeys, Lfu)),
            ("allkeys-random", Self::Evicts(AllKeys, Random)),
            ("allkeys-lrm", Self::Evicts(AllKeys, Lrm)),
            ("noeviction", Self::NoEviction),
            ("allkeys-fifo", Self::Evicts(AllKeys, Fifo)),
            ("volatile-fifo", Self::Evicts(Volatile, Fifo)),
            ("allkeys-sieve", Self::Evicts(AllKeys, Sieve)),
            ("volatile-sieve", Self::Evicts(Volatile, Sieve)),
            ("allkeys-s3fifo", Self::Evicts(AllKeys, S3Fifo)),
            ("volatile-s3fifo", Self::Evicts(Volatile, S3Fifo)),
            ("allkeys-gdsf", Self::Evicts(AllKeys, Gdsf)),
            ("volatile-gdsf", Self::Evicts(Volatile, Gdsf)),
            ("allkeys-adaptive", Self::Evicts(AllKeys, Adaptive)),
            ("volatile-adaptive", Self::Evicts(Volatile, Adaptive)),
        ]
    };

    /// The values of `maxmemory-policy`.
    pub(crate) const VALUES: &[&str] = &{
        let mut values = [""; Self::NAMES.len()];
        let mut at = 0;
        while at < values.len() {
            values[at] = Self::NAMES[at].0;
            at += 1;
        }
        values
    };
}

/// Whether a miss-ratio curve is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissRatioCurve {
    /// Where there is a `maxmemory` of which it is a small part.
    Auto,
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// Classes of keyspace notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceEvents(u16);

impl KeyspaceEvents {
    /// Whether the class with this letter (`g`, `$`, … `K`, `E`, `m`, `n`) is on; `A` is no class but stands for many.
    pub fn has(self, class: char) -> bool {
        value::EVENT_CLASSES
            .iter()
            .any(|(known, bit)| *known == class && self.0 & bit != 0)
    }

    /// Whether nothing is sent.
    pub fn is_off(self) -> bool {
        !self.has('K') && !self.has('E')
    }
}

/// Who may do something that is off by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectedAction {
    /// No one.
    No,
    /// Everyone.
    Yes,
    /// Clients on this host.
    Local,
}

impl ProtectedAction {
    /// Whether a client may do it.
    pub fn allows(self, client: Origin) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => client == Origin::Local,
        }
    }
}

/// Where a client connects from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From this host: the loopback interface or a unix socket.
    Local,
    /// From elsewhere.
    Remote,
}

/// A snapshot is due when this many changes are this old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Age of the first change.
    pub seconds: u64,
    /// Number of changes.
    pub changes: u32,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Much.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// Trouble only.
    Warning,
}

impl Settings {
    /// The settings of the values that `text` gives for each directive; they are of the form the table has them in.
    pub(super) fn read(text: &dyn Fn(&'static str) -> String) -> Self {
        let values = Reader(text);
        let unset_if_empty = |name| Some(text(name)).filter(|value| !value.is_empty());
        Self {
            cores: cores(&text("cores")),
            core_pinning: match text("core-pinning").as_str() {
                "yes" => CorePinning::Yes,
                "no" => CorePinning::No,
                _ => CorePinning::Auto,
            },
            core_endpoints: values.flag("core-endpoints"),
            cluster_announce_ip: unset_if_empty("cluster-announce-ip"),
            hot_key_copies: values.flag("hot-key-copies"),
            miss_ratio_curve: match text("miss-ratio-curve").as_str() {
                "yes" => MissRatioCurve::Yes,
                "no" => MissRatioCurve::No,
                _ => MissRatioCurve::Auto,
            },
            miss_ratio_curve_entries: values.number("miss-ratio-curve-entries"),
            miss_ratio_curve_cpu_percent: values.number("miss-ratio-curve-cpu-percent"),
            hit_ratio_prefixes: Arc::new(PrefixSet::new(
                text("hit-ratio-prefixes")
                    .split_ascii_whitespace()
                    .map(str::as_bytes),
            )),
            io_backend: match text("io-backend").as_str() {
                "io_uring" => IoBackend::IoUring,
                "epoll" => IoBackend::Epoll,
                _ => IoBackend::Auto,
            },
            bind: bind(&text("bind")),
            port: values.number("port"),
            unixsocket: unset_if_empty("unixsocket").map(PathBuf::from),
            unixsocketperm: u32::from_str_radix(&text("unixsocketperm"), 8)
                .ok()
                .filter(|&mode| mode != 0),
            socket_mark_id: values.number("socket-mark-id"),
            tcp_backlog: values.number("tcp-backlog"),
            tcp_keepalive_secs: values.number("tcp-keepalive"),
            timeout_secs: values.number("timeout"),
            protected_mode: values.flag("protected-mode"),
            maxclients: values.number("maxclients"),
            databases: values.number("databases"),
            requirepass: unset_if_empty("requirepass"),
            proto_max_bulk_bytes: values.number("proto-max-bulk-len"),
            client_query_buffer_limit_bytes: values.number("client-query-buffer-limit"),
            client_output_buffer_limit: output_limits(&text("client-output-buffer-limit")),
            client_output_buffer_high_water_bytes: values.number("client-output-buffer-high-water"),
            maxmemory_clients: client_memory(&text("maxmemory-clients")),
            maxmemory_bytes: values.number("maxmemory"),
            maxmemory_policy: maxmemory_policy(&text("maxmemory-policy")),
            maxmemory_samples: values.number("maxmemory-samples"),
            maxmemory_eviction_tenacity: values.number("maxmemory-eviction-tenacity"),
            lfu_log_factor: values.number("lfu-log-factor"),
            lfu_decay_time_min: values.number("lfu-decay-time"),
            active_expire_effort: values.number("active-expire-effort"),
            hz: values.number("hz"),
            larder_quota: quotas::read(&text("larder-quota")),
            lazyfree_lazy_eviction: values.flag("lazyfree-lazy-eviction"),
            lazyfree_lazy_expire: values.flag("lazyfree-lazy-expire"),
            lazyfree_lazy_server_del: values.flag("lazyfree-lazy-server-del"),
            lazyfree_lazy_user_del: values.flag("lazyfree-lazy-user-del"),
            lazyfree_lazy_user_flush: values.flag("lazyfree-lazy-user-flush"),
            slowlog: CommandLogLimits {
                least: values.number("slowlog-log-slower-than"),
                max_len: values.number("slowlog-max-len"),
            },
            large_request_log: CommandLogLimits {
                least: values.number("commandlog-request-larger-than"),
                max_len: values.number("commandlog-large-request-max-len"),
            },
            large_reply_log: CommandLogLimits {
                least: values.number("commandlog-reply-larger-than"),
                max_len: values.number("commandlog-large-reply-max-len"),
            },
            cluster_slot_stats: slot_stats(&text("cluster-slot-stats-enabled")),
            latency_monitor_threshold_ms: values.number("latency-monitor-threshold"),
            latency_tracking: values.flag("latency-tracking"),
            latency_tracking_info_percentiles: numbers(&text("latency-tracking-info-percentiles")),
            notify_keyspace_events: KeyspaceEvents(
                value::event_bits(&text("notify-keyspace-events")).unwrap_or_default(),
            ),
            tracking_table_max_keys: values.number("tracking-table-max-keys"),
            enable_debug_command: values.protected_action("enable-debug-command"),
            enable_protected_configs: values.protected_action("enable-protected-configs"),
            enable_module_command: values.protected_action("enable-module-command"),
            save: save_points(&text("save")),
            dir: PathBuf::from(text("dir")),
            dbfilename: text("dbfilename"),
            rdbcompression: values.flag("rdbcompression"),
            rdbchecksum: values.flag("rdbchecksum"),
            stop_writes_on_bgsave_error: values.flag("stop-writes-on-bgsave-error"),
            loglevel: match text("loglevel").as_str() {
                "debug" => LogLevel::Debug,
                "verbose" => LogLevel::Verbose,
                "warning" => LogLevel::Warning,
                _ => LogLevel::Notice,
            },
            logfile: unset_if_empty("logfile").map(PathBuf::from),
            pidfile: unset_if_empty("pidfile").map(PathBuf::from),
            hash_max_listpack_entries: values.number("hash-max-listpack-entries"),
            hash_max_listpack_value_bytes: values.number("hash-max-listpack-value"),
            zset_max_listpack_entries: values.number("zset-max-listpack-entries"),
            zset_max_listpack_value_bytes: values.number("zset-max-listpack-value"),
            list_max_listpack_size: values.number("list-max-listpack-size"),
            hll_sparse_max_bytes: values.number("hll-sparse-max-bytes"),
            stream_node_max_bytes: values.number("stream-node-max-bytes"),
            stream_node_max_entries: values.number("stream-node-max-entries"),
            stream_idmp_duration_secs: values.number("stream-idmp-duration"),
            stream_idmp_maxsize: values.number("stream-idmp-maxsize"),
            set_max_intset_entries: values.number("set-max-intset-entries"),
            set_max_listpack_entries: values.number("set-max-listpack-entries"),
            set_max_listpack_value_bytes: values.number("set-max-listpack-value"),
            busy_reply_threshold_ms: values.number("busy-reply-threshold"),
            shutdown_timeout_secs: values.number("shutdown-timeout"),
        }
    }
}

/// Reads values by kind.
struct Reader<'a>(&'a dyn Fn(&'static str) -> String);

impl Reader<'_> {
    fn flag(&self, name: &'static str) -> bool {
        (self.0)(name) == "yes"
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str) -> T {
        match (self.0)(name).parse() {
            Ok(value) => value,
            Err(_) => panic!("the table's bounds of {name} exceed the setting's type"),
        }
    }

    fn protected_action(&self, name: &'static str) -> ProtectedAction {
        match (self.0)(name).as_str() {
            "yes" => ProtectedAction::Yes,
            "local" => ProtectedAction::Local,
            _ => ProtectedAction::No,
        }
    }
}

fn cores(text: &str) -> Cores {
    match text.parse() {
        Ok(count) => Cores::Count(count),
        Err(_) => value::cpu_list(text).map_or(Cores::Auto, Cores::List),
    }
}

fn bind(text: &str) -> Vec<BindAddress> {
    text.split_ascii_whitespace()
        .map(|address| match address.strip_prefix('-') {
            Some(host) => BindAddress {
                host: host.to_owned(),
                required: false,
            },
            None => BindAddress {
                host: address.to_owned(),
                required: true,
            },
        })
        .collect()
}

/// The numbers in `text`; what is no number does not get past [`value::canonical`].
fn numbers<T: std::str::FromStr>(text: &str) -> Vec<T> {
    text.split_ascii_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn save_points(text: &str) -> Vec<SavePoint> {
    let numbers: Vec<u64> = numbers(text);
    let point = |pair: &[u64]| SavePoint {
        seconds: pair[0],
        changes: u32::try_from(pair[1]).unwrap_or(u32::MAX),
    };
    numbers.chunks_exact(2).map(point).collect()
}

fn slot_stats(text: &str) -> SlotStats {
    let [time, bytes, memory] =
        value::SLOT_STATS.map(|told| text == "yes" || text.split(' ').any(|word| word == told));
    SlotStats {
        time,
        bytes,
        memory,
    }
}

fn output_limits(text: &str) -> OutputLimits {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let of = |class: &str| {
        let found = words.chunks_exact(4).find(|words| words[0] == class);
        found.map_or_else(OutputLimit::default, |words| OutputLimit {
            hard_bytes: words[1].parse().unwrap_or_default(),
            soft_bytes: words[2].parse().unwrap_or_default(),
            soft_seconds: words[3].parse().unwrap_or_default(),
        })
    };
    let [normal, replica, pubsub] = value::CLIENT_CLASSES.map(of);
    OutputLimits {
        normal,
        replica,
        pubsub,
    }
}

fn client_memory(text: &str) -> Option<ClientMemory> {
    match text.strip_suffix('%') {
        Some(percent) => percent.parse().ok().map(ClientMemory::Percent),
        None => {
            let bytes = text.parse().ok().filter(|&bytes| bytes > 0);
            bytes.map(ClientMemory::Bytes)
        }
    }
}

fn maxmemory_policy(text: &str) -> MaxmemoryPolicy {
    let named = MaxmemoryPolicy::NAMES
        .iter()
        .find(|(name, _)| *name == text);
    named.map_or(MaxmemoryPolicy::NoEviction, |(_, policy)| *policy)
}
