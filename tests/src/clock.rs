//! The time of day, which a server on the same machine has too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970.
#[must_use]
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    unix_us() / 1000
}

/// Sleeps until this moment, in microseconds since 1970, or a little longer.
pub fn sleep_until(moment_us: u64) {
    let wait_us = moment_us.saturating_sub(unix_us());
    if wait_us > 0 {
        std::thread::sleep(Duration::from_micros(wait_us));
    }
}
