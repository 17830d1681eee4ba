//! For how long the server has been beyond `maxmemory` with nothing to be done about it.

use std::sync::atomic::{AtomicU64, Ordering};

/// The time so far, and since when it is so again.
#[derive(Debug, Default)]
pub struct Exceeded {
    total_ms: AtomicU64,
    /// In milliseconds of the monotonic clock, and one more; zero: it is not so.
    since_ms: AtomicU64,
}

impl Exceeded {
    /// It is so now, or is not.
    #[inline]
    pub fn note(&self, is_exceeded: bool, now_ms: u64) {
        let was_exceeded = self.since_ms.load(Ordering::Relaxed) > 0;
        if was_exceeded != is_exceeded {
            self.change(is_exceeded, now_ms);
        }
    }

    #[cold]
    fn change(&self, is_exceeded: bool, now_ms: u64) {
        let since_ms = if is_exceeded { now_ms + 1 } else { 0 };
        let before_ms = self.since_ms.swap(since_ms, Ordering::Relaxed);
        if before_ms > 0 && !is_exceeded {
            let lasted_ms = (now_ms + 1).saturating_sub(before_ms);
            self.total_ms.fetch_add(lasted_ms, Ordering::Relaxed);
        }
    }

    /// Milliseconds in all, and for which it has been so now.
    pub fn times_ms(&self, now_ms: u64) -> (u64, u64) {
        let current_ms = match self.since_ms.load(Ordering::Relaxed) {
            0 => 0,
            since_ms => (now_ms + 1).saturating_sub(since_ms),
        };
        (
            self.total_ms.load(Ordering::Relaxed) + current_ms,
            current_ms,
        )
    }

    /// Begins anew (`CONFIG RESETSTAT`).
    pub fn reset(&self) {
        self.total_ms.store(0, Ordering::Relaxed);
        self.since_ms.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_and_the_present_one_is_among_them() {
        let exceeded = Exceeded::default();
        exceeded.note(true, 0);
        exceeded.note(true, 7);
        assert_eq!(exceeded.times_ms(10), (10, 10));
        exceeded.note(false, 15);
        assert_eq!(exceeded.times_ms(40), (15, 0));
        exceeded.note(true, 50);
        assert_eq!(exceeded.times_ms(55), (20, 5));
        exceeded.reset();
        assert_eq!(exceeded.times_ms(60), (0, 0));
    }
}
