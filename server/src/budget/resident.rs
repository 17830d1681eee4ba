//! What of the process is resident and counted by no core: code, stacks, rings, and what the allocator keeps.
//!
//! ```text
//!  resident = counted by the cores + [ pages of files | there at start | has come since ]
//!                                      count under a large limit         counts, with a large limit whole
//! ```
//! It is measured a few times a second, and leased from the pool by nobody in particular. Pages of files are code and constants, which the
//! system drops where memory is short and reads again: like what was there at start they are not what a small `maxmemory` is to be used
//! up by, however much of the code has run by then. Of what a limit is beyond [`SMALL_LIMIT_BYTES`] both together may take a quarter.

use std::sync::atomic::{AtomicU64, Ordering};

/// A limit up to this is for what the cores count alone.
const FREE_OF_CHARGE_BYTES: u64 = 16 << 20;
/// What has come since the start counts up to this part of what the limit is beyond that: a half.
const SINCE_SHIFT: u32 = 1;
/// Under a limit up to this neither pages of files nor what was there at start count.
const SMALL_LIMIT_BYTES: u64 = 64 << 20;
/// They count up to this part of what it is beyond that: a quarter, so that under 128 MB all do.
const STANDING_SHIFT: u32 = 2;
/// What is anonymous and touched soon after the start by whoever works counts as if it had been there: stacks, buffers, tables of the runtime.
const TOUCHED_FIRST_BYTES: u64 = 1 << 20;
/// Of a limit from 128 MB on this part is for what grows before anybody can look: replies and batches of a turn, and what a core allocates while another is
/// in a long step. A 64th, so that such growth ends below 102%. Of what the limit is beyond [`SMALL_LIMIT_BYTES`] it takes up to a 32nd.
const HEADROOM_SHIFT: u32 = 6;
/// Milliseconds between two measurements.
const PERIOD_MS: u64 = 20;

/// Bytes of the process that are resident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResidentBytes {
    /// Those that lie in no file.
    pub anonymous: u64,
    /// Those of files.
    pub in_files: u64,
}

/// What is known of the process's resident memory.
#[derive(Debug, Default)]
pub struct Resident {
    /// Anonymous bytes that were there at start, or count as if they had been.
    at_start: AtomicU64,
    /// Anonymous bytes that no core counts, as last measured.
    anonymous: AtomicU64,
    /// Bytes of files, as last measured.
    in_files: AtomicU64,
    /// When it is to be measured again, in milliseconds of the monotonic clock.
    next_ms: AtomicU64,
}

impl Resident {
    /// The server has started, and so much is resident.
    pub fn begin(&self, resident: ResidentBytes) {
        let at_start = resident.anonymous + TOUCHED_FIRST_BYTES;
        self.at_start.store(at_start, Ordering::Relaxed);
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

    /// So much is resident, of which the cores count so many bytes. What is leased under a limit ([`Self::counted_bytes`]).
    pub fn note(&self, resident: ResidentBytes, by_cores_bytes: u64, maxmemory_bytes: u64) -> u64 {
        let anonymous = resident.anonymous.saturating_sub(by_cores_bytes);
        self.anonymous.store(anonymous, Ordering::Relaxed);
        self.in_files.store(resident.in_files, Ordering::Relaxed);
        self.counted_bytes(maxmemory_bytes)
    }

    /// What counts under a limit of what is resident and counted by no core, as last measured, and the room that is left for what comes unasked.
    pub fn counted_bytes(&self, maxmemory_bytes: u64) -> u64 {
        let since = self.since_start_bytes();
        let standing = self.uncounted_bytes() - since;
        let for_standing = maxmemory_bytes.saturating_sub(SMALL_LIMIT_BYTES) >> STANDING_SHIFT;
        let for_since = maxmemory_bytes.saturating_sub(FREE_OF_CHARGE_BYTES) >> SINCE_SHIFT;
        standing.min(for_standing) + since.min(for_since) + headroom_bytes(maxmemory_bytes)
    }

    /// Bytes resident and counted by no core that were not there at start, and lie in no file.
    fn since_start_bytes(&self) -> u64 {
        let at_start = self.at_start.load(Ordering::Relaxed);
        self.anonymous
            .load(Ordering::Relaxed)
            .saturating_sub(at_start)
    }

    /// Bytes resident and counted by no core.
    pub fn uncounted_bytes(&self) -> u64 {
        self.anonymous.load(Ordering::Relaxed) + self.in_files.load(Ordering::Relaxed)
    }
}

/// Bytes of a limit that are left for what grows before anybody can look.
fn headroom_bytes(maxmemory_bytes: u64) -> u64 {
    let beyond_small = maxmemory_bytes.saturating_sub(SMALL_LIMIT_BYTES);
    (maxmemory_bytes >> HEADROOM_SHIFT).min(beyond_small >> (HEADROOM_SHIFT - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn mib(anonymous: u64, in_files: u64) -> ResidentBytes {
        ResidentBytes {
            anonymous: anonymous * MIB,
            in_files: in_files * MIB,
        }
    }

    #[test]
    fn a_small_limit_is_not_used_up_by_what_is_there_at_start_and_a_large_one_is_for_all() {
        let resident = Resident::default();
        resident.begin(mib(1, 3));
        assert_eq!(resident.note(mib(42, 3), 40 * MIB, 0), 0);
        assert_eq!(resident.note(mib(42, 3), 40 * MIB, 64 * MIB), 0);
        assert_eq!(resident.counted_bytes(256 * MIB), (5 + 4) * MIB);
        // Code that has run by now is none that has come since.
        assert_eq!(resident.note(mib(42, 8), 40 * MIB, 64 * MIB), 0);
        assert_eq!(resident.counted_bytes(72 * MIB), 2 * MIB + MIB / 4);
        assert_eq!(resident.counted_bytes(128 * MIB), (10 + 2) * MIB);
        assert_eq!(resident.since_start_bytes(), 0);
        // What the allocator keeps is.
        assert_eq!(resident.note(mib(45, 8), 40 * MIB, 64 * MIB), 3 * MIB);
        assert_eq!(resident.counted_bytes(16 * MIB), 0);
        assert_eq!(resident.counted_bytes(18 * MIB), MIB);
        assert_eq!(resident.counted_bytes(128 * MIB), (13 + 2) * MIB);
        assert_eq!(resident.uncounted_bytes(), 13 * MIB);
        // What has gone since the start is not made up for by what has come.
        assert_eq!(
            resident.note(mib(41, 8), 40 * MIB, 128 * MIB),
            (9 + 2) * MIB
        );
        assert_eq!(resident.since_start_bytes(), 0);
    }

    #[test]
    fn one_of_all_measures_once_a_period() {
        let resident = Resident::default();
        assert!(resident.is_to_measure(1000) && !resident.is_to_measure(1000));
        assert!(!resident.is_to_measure(1000 + PERIOD_MS - 1));
        assert!(resident.is_to_measure(1000 + PERIOD_MS));
    }
}
