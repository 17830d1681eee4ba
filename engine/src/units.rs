//! Units as types, so that an index, a count and a time cannot be mixed up.

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds since the Unix epoch, rounded down.
    pub fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// Which way things in order are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest to the highest.
    Up,
    /// From the highest to the lowest.
    Down,
}

/// Number of a logical database, below the configured `databases`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DbIndex(pub u16);

/// The 24 bits of access history an entry carries, as the eviction policy keeps them: under LRU and by default the time of the last
/// access in seconds modulo 2^24, under LFU policies 16 bits of decay time in minutes and 8 bits of logarithmic frequency (Redis
/// `object.lru`), under others what the files of [`crate::evict`] draw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AccessClock(pub u32);

impl AccessClock {
    /// Bits of an access clock.
    pub const BITS: u32 = 24;

    /// The clock of an access at `now`.
    pub fn at(now: UnixMillis) -> Self {
        Self((now.as_secs() as u32) & ((1 << Self::BITS) - 1))
    }

    /// Seconds between this access and `now`, exact up to 194 days.
    pub fn idle_secs(self, now: UnixMillis) -> u32 {
        Self::at(now).0.wrapping_sub(self.0) & ((1 << Self::BITS) - 1)
    }
}
