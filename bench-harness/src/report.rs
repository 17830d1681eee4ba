//! The JSON document that `larder-bench run --json` writes and `larder-bench compare` reads.
//!
//! Warm-up and preload are in none of its figures. Latencies are microseconds. In the open loop (`--rate`) they count from the
//! moment a request was due, not from when it was sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// The version of this document; it changes when a field changes its meaning or goes.
pub const FORMAT: u32 = 1;

/// One run: what was asked, of whom, on which machine, and what came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the harness.
    pub larder_bench: String,
    /// The arguments as given.
    pub command_line: Vec<String>,
    /// Every option as it was resolved, so that the run can be repeated.
    pub settings: serde_json::Value,
    /// Where the load ran.
    pub machine: Machine,
    /// What it ran against.
    pub target: Target,
    /// When the measurement began.
    pub started_unix_ms: u64,
    /// Load before the measurement, in none of the figures.
    pub warmup_seconds: f64,
    /// Sums over the measurement.
    pub totals: Totals,
    /// Latency of all commands together.
    pub latency_us: Latency,
    /// Percentile and latency in microseconds, by percentile: the curve of the whole distribution.
    pub latency_curve: Vec<(f64, f64)>,
    /// The whole histogram (HdrHistogram V2 deflate, base64; its values are nanoseconds), so that runs can be added up exactly.
    pub histogram_v2_base64: String,
    /// The same by command.
    pub commands: BTreeMap<String, CommandReport>,
    /// Second by second.
    pub intervals: Vec<Interval>,
}

/// The server under load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `HOST:PORT`, or the path of a Unix socket.
    pub address: String,
    /// `resp2`, `resp3`, `memcached-text` or `memcached-meta`.
    pub protocol: String,
    /// Name and version as the server tells them.
    pub server: Option<String>,
}

/// Sums over the measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// How long it lasted.
    pub seconds: f64,
    /// Commands answered.
    pub operations: u64,
    /// `operations` by `seconds`.
    pub ops_per_second: f64,
    /// Replies that were errors.
    pub errors: u64,
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// `hits` of `hits + misses`; none without reads.
    pub hit_ratio: Option<f64>,
    /// Bytes given to the sockets.
    pub sent_bytes: u64,
    /// Bytes read from them.
    pub received_bytes: u64,
    /// CPU the load itself used, user and system.
    pub client_cpu_seconds: f64,
    /// Values that were not what their key says (`--verify`).
    pub verify_failures: u64,
    /// Commands that were due by the end and never sent, as the target fell behind (`--rate`).
    #[serde(default)]
    pub unsent: u64,
    /// Commands sent again after `MOVED` or `ASK` (`--cluster`).
    #[serde(default)]
    pub redirects: u64,
    /// The first error in its words.
    #[serde(default)]
    pub first_error: Option<String>,
}

/// Percentiles of a latency distribution, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// 90 of 100 were no slower.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p99_9: f64,
    /// 9999 of 10000.
    pub p99_99: f64,
    /// The slowest.
    pub max: f64,
}

/// One command's share of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandReport {
    /// Commands answered.
    pub operations: u64,
    /// Replies that were errors.
    pub errors: u64,
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Its latency.
    pub latency_us: Latency,
}

/// One second of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// From 1.
    pub second: u64,
    /// Commands answered in it.
    pub operations: u64,
    /// Median latency.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// The slowest.
    pub max_us: f64,
}
