//! What a core counts about itself: statistics, logs of commands, latency events. Data only; `INFO` and its kin read it.

mod commandlog;
mod errors;
mod histogram;
mod hotkeys;
mod key_costs;
mod latency;
mod lookups;
mod parts;
mod removed;
mod stats;
mod timing;
mod top_keys;

pub use commandlog::{
    ARG_MAX_BYTES, ARGS_MAX, CommandLog, CommandLogs, Cost, LogEntry, LogKind, shorten,
};
pub use errors::ErrorCounts;
pub use histogram::Durations;
pub use hotkeys::{HotKey, HotKeys, KEY_MAX_BYTES, SAMPLE_INTERVAL, Use};
pub use key_costs::{
    KeyCosts, KeyCostsAsked, KeyCostsReport, Metrics, Ranking, SlotCost, SlotCosts, Sums,
};
pub use latency::{LatencyMonitor, SAMPLES_MAX, Sample, Series};
pub use lookups::{HitCounts, Lookups};
pub use parts::{PartReader, PartWriter};
pub use removed::Removed;
pub use stats::{CommandId, CommandStats, Rates, Stats};
pub use timing::{Counted, TurnTiming};

/// What a core observes beside its counters.
#[derive(Debug, Default)]
pub struct Observed {
    /// Its commands that stood out.
    pub command_logs: CommandLogs,
    /// From so many bytes on a reply is large; none is, if the log is off.
    pub large_reply_bytes: u64,
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
    /// What commands cost by key, if somebody wants to know or wanted to.
    pub key_costs: Option<Box<KeyCosts>>,
    /// What they cost by slot, if that is wanted.
    pub slot_costs: SlotCosts,
    /// The memory that its miss-ratio curve is about.
    pub curve_budget_bytes: u64,
    /// Lookups that the curve has been told of.
    pub told_lookups: HitCounts,
    /// Bytes of its copies of other cores' keys.
    pub copy_bytes: u64,
}
