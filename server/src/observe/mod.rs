//! What a core counts about itself: statistics, slow log, latency events. Data only; `INFO` and its kin read it.

mod errors;
mod histogram;
mod hotkeys;
mod latency;
mod parts;
mod slowlog;
mod stats;
mod timing;

pub use errors::ErrorCounts;
pub use histogram::Durations;
pub use hotkeys::{HotKey, HotKeys, KEY_MAX_BYTES, SAMPLE_INTERVAL, Use};
pub use latency::{LatencyMonitor, SAMPLES_MAX, Sample, Series};
pub use parts::{PartReader, PartWriter};
pub use slowlog::{ARG_MAX_BYTES, ARGS_MAX, SlowEntry, Slowlog, shorten};
pub use stats::{CommandId, CommandStats, Rates, Stats};
pub use timing::{Counted, TurnTiming};

/// What a core observes beside its counters.
#[derive(Debug, Default)]
pub struct Observed {
    /// Its slow commands.
    pub slowlog: Slowlog,
    /// Its latency spikes.
    pub latency: LatencyMonitor,
    /// Most bytes of memory it has used, as far as it looked.
    pub peak_bytes: u64,
    /// Bytes of memory it used when it had started.
    pub startup_bytes: u64,
    /// Bytes of batches and requests of other cores and for them, and of what waits for these, as of its last turn.
    pub between_cores_bytes: u64,
    /// The keys it works on most.
    pub hot_keys: HotKeys,
    /// Bytes of its copies of other cores' keys.
    pub copy_bytes: u64,
}
