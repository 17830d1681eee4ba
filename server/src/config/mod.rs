//! The configuration: a snapshot, replaced whole by `CONFIG SET`.

/// When a client is closed for what it does not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which it is closed at once; 0: never.
    pub hard_bytes: u64,
    /// Bytes at which it is closed after a while; 0: never.
    pub soft_bytes: u64,
    /// The while.
    pub soft_seconds: u64,
}

/// `client-output-buffer-limit`, by class of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
}

/// Everything that can be configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of logical databases.
    pub databases: u16,
    /// The password.
    pub requirepass: Option<String>,
    /// Most connections.
    pub maxclients: u64,
    /// Seconds after which a silent client is closed; 0: never.
    pub timeout_secs: u64,
    /// Most bytes of memory; 0: no limit.
    pub maxmemory_bytes: u64,
    /// Longest argument and string.
    pub proto_max_bulk_bytes: usize,
    /// Most bytes received and not yet run.
    pub client_query_buffer_limit_bytes: u64,
    /// Most bytes not yet sent.
    pub client_output_buffer_limit: OutputLimits,
    /// Microseconds from which a command is logged as slow; negative: none.
    pub slowlog_log_slower_than_us: i64,
    /// Milliseconds from which the latency monitor records; 0: off.
    pub latency_monitor_threshold_ms: u64,
}

impl Config {
    /// Bytes of memory one of `cores` shards may at most grow to.
    pub fn memory_ceiling_bytes(&self, _cores: u16) -> u64 {
        16 << 30
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            databases: 16,
            requirepass: None,
            maxclients: 10000,
            timeout_secs: 0,
            maxmemory_bytes: 0,
            proto_max_bulk_bytes: 512 << 20,
            client_query_buffer_limit_bytes: 1 << 30,
            client_output_buffer_limit: OutputLimits::default(),
            slowlog_log_slower_than_us: 10_000,
            latency_monitor_threshold_ms: 0,
        }
    }
}
