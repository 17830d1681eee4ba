//! What a core counts about itself: statistics, slow log, latency events. Data only; `INFO` and its kin read it.

mod stats;

pub use stats::{CommandId, CommandStats, Stats};
