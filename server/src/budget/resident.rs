//! What of the process is resident and counted by no core: code, stacks, rings, and what the allocator keeps.
//!
//! ```text
//!  resident = counted by the cores + [ there at start | has come since ]
//!                                      counts in part   counts, with a large limit whole
//! ```
//! It is measured a few times a second, and leased from the pool by nobody in particular. What was there at start is not what a small
//! `maxmemory` is to be used up by: of what is beyond [`FREE_OF_CHARGE_BYTES`] a sixteenth counts at most, so that from 160 MB on all does.

use std::sync::atomic::{AtomicU64, Ordering};

/// A limit up to this is for what the cores count alone.
const FREE_OF_CHARGE_BYTES: u64 = 16 << 20;
/// What was there at start counts up to this part of what the limit is beyond that: a sixteenth.
const AT_START_SHIFT: u32 = 4;
/// What has come since, up to this: a half.
const SINCE_SHIFT: u32 = 1;
/// Milliseconds between two measurements.
const PERIOD_MS: u64 = 20;

/// What is known of the process's resident memory.
#[derive(Debug, Default)]
pub struct Resident {
    at_start: AtomicU64,
    /// Bytes resident that no core counts, as last measured.
    uncounted: AtomicU64,
    /// When it is to be measured again, in milliseconds of the monotonic clock.
    next_ms: AtomicU64,
}

impl Resident {
    /// The server has started, and so many bytes are resident.
    pub fn begin(&self, bytes: u64) {
        self.at_start.store(bytes, Ordering::Relaxed);
    }

    /// Whether who asks is to measure now: one of all cores is, and not again for a while.
    pub fn is_to_measure(&self, now_ms: u64) -> bool {
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        now_ms >= next_ms
            && self
                .next_ms
                .compare_exchange(
                    next_ms,
                    now_ms + PERIOD_MS,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// So many bytes are resident and counted by no core. What of these counts under a limit.
    pub fn note(&self, uncounted_bytes: u64, maxmemory_bytes: u64) -> u64 {
        self.uncounted.store(uncounted_bytes, Ordering::Relaxed);
        self.counted_bytes(maxmemory_bytes)
    }

    /// What counts under a limit of what is resident and counted by no core, as last measured.
    pub fn counted_bytes(&self, maxmemory_bytes: u64) -> u64 {
        let uncounted_bytes = self.uncounted_bytes();
        let beyond = maxmemory_bytes.saturating_sub(FREE_OF_CHARGE_BYTES);
        let at_start = self.at_start.load(Ordering::Relaxed).min(uncounted_bytes);
        let since = uncounted_bytes - at_start;
        at_start.min(beyond >> AT_START_SHIFT) + since.min(beyond >> SINCE_SHIFT)
    }

    /// Bytes resident and counted by no core.
    pub fn uncounted_bytes(&self) -> u64 {
        self.uncounted.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_small_limit_is_not_used_up_by_what_is_there_at_start_and_a_large_one_is_for_all() {
        let resident = Resident::default();
        resident.begin(9 * MIB);
        assert_eq!(resident.note(9 * MIB, 0), 0);
        assert_eq!(resident.note(12 * MIB, 16 * MIB), 0);
        assert_eq!(resident.counted_bytes(160 * MIB), 12 * MIB);
        assert_eq!(resident.note(9 * MIB, 64 * MIB), 3 * MIB);
        assert_eq!(resident.note(12 * MIB, 64 * MIB), 6 * MIB);
        assert_eq!(resident.note(12 * MIB, 160 * MIB), 12 * MIB);
        // What has gone since the start is not made up for by what has come.
        assert_eq!(resident.note(5 * MIB, 160 * MIB), 5 * MIB);
    }

    #[test]
    fn one_of_all_measures_once_a_period() {
        let resident = Resident::default();
        assert!(resident.is_to_measure(1000) && !resident.is_to_measure(1000));
        assert!(!resident.is_to_measure(1000 + PERIOD_MS - 1));
        assert!(resident.is_to_measure(1000 + PERIOD_MS));
    }
}
