//! How much time a curve takes: an account into which its share of the time is paid, and of which events are paid.
//!
//! ```text
//!  time × its share ─▶ [ account, two seconds' worth at most ] ─▶ events × what one costs
//! ```
//! If the account is empty the sample is made as much smaller as what was paid in is less than what was spent, at least by half, and half of the
//! account is given back; after a minute without that it may be doubled. So a
//! small shard has a large sample as long as it is asked for little, and a busy one no larger than it can pay for.

use crate::UnixMillis;

/// Time whose share is kept.
const KEPT_MS: i64 = 2000;

/// After so long without want the sample may grow.
const GROWS_AFTER_MS: i64 = 60_000;

/// How much smaller a sample is made at once, at most and at least.
const SHRINKS: std::ops::RangeInclusive<f64> = 0.0625..=0.5;

/// The share that is no bound.
const ANY_PERCENT: u32 = 100;

/// What may be sampled for the time that it takes.
pub(super) struct Load {
    percent: u32,
    /// The largest sample there is.
    rate_most: f64,
    account_ns: i64,
    paid_at: UnixMillis,
    /// What events have cost since `changed_at`.
    spent_ns: i64,
    /// When the account was last empty, or the sample allowed to grow.
    changed_at: UnixMillis,
    rate_max: f64,
}

impl Load {
    pub(super) fn new(percent: u32, rate_most: f64) -> Self {
        Self {
            percent,
            rate_most,
            account_ns: Self::most_ns(percent),
            paid_at: UnixMillis(0),
            spent_ns: 0,
            changed_at: UnixMillis(0),
            rate_max: rate_most,
        }
    }

    fn most_ns(percent: u32) -> i64 {
        KEPT_MS * 10_000 * i64::from(percent)
    }

    pub(super) fn set_percent(&mut self, percent: u32) {
        *self = Self::new(percent, self.rate_most);
    }

    /// The largest sample that there is time for.
    pub(super) fn rate_max(&self) -> f64 {
        self.rate_max
    }

    /// Pays for an event of a sample of this rate. Whether another may be taken now.
    pub(super) fn spend(&mut self, now: UnixMillis, event_ns: u64, rate: f64) -> bool {
        let event_ns = event_ns.cast_signed();
        if self.percent >= ANY_PERCENT {
            return false;
        }
        if self.paid_at == UnixMillis(0) || now < self.paid_at {
            (self.paid_at, self.changed_at) = (now, now);
        }
        let most = Self::most_ns(self.percent);
        let passed_ms = (now.0 - self.paid_at.0).min(KEPT_MS);
        self.paid_at = now;
        let paid = passed_ms * 10_000 * i64::from(self.percent);
        self.account_ns = (self.account_ns + paid).min(most) - event_ns;
        self.spent_ns += event_ns;
        if self.account_ns < 0 {
            let paid = (now.0 - self.changed_at.0) * 10_000 * i64::from(self.percent);
            let sustained = paid as f64 / self.spent_ns as f64;
            self.rate_max = rate * sustained.clamp(*SHRINKS.start(), *SHRINKS.end());
            (self.account_ns, self.spent_ns, self.changed_at) = (most / 2, 0, now);
            return true;
        }
        let is_rested = now.0 - self.changed_at.0 >= GROWS_AFTER_MS;
        if self.rate_max < self.rate_most && is_rested {
            (self.spent_ns, self.changed_at) = (0, now);
            self.rate_max = (2.0 * self.rate_max).min(self.rate_most);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate after so many seconds of so many requests each, of a sample that has as many keys as it may.
    fn rate_after(load: &mut Load, from_ms: &mut i64, seconds: i64, requests: f64) -> f64 {
        let mut owed = 0.0;
        for _ in 0..seconds * 100 {
            *from_ms += 10;
            owed += requests / 100.0 * load.rate_max();
            while owed >= 1.0 {
                load.spend(UnixMillis(*from_ms), 4000, load.rate_max());
                owed -= 1.0;
            }
        }
        load.rate_max()
    }

    #[test]
    fn the_sample_follows_what_there_is_time_for() {
        let (mut load, mut now) = (Load::new(1, 1.0), 1_700_000_000_000);
        // A hundredth of a second pays for 2500 events.
        let busy = rate_after(&mut load, &mut now, 30, 100_000.0);
        assert!((0.01..=0.025).contains(&busy), "{busy}");
        let idle = rate_after(&mut load, &mut now, 600, 1000.0);
        assert_eq!(idle, 1.0);
    }

    #[test]
    fn all_of_the_time_is_no_bound() {
        let (mut load, mut now) = (Load::new(100, 1.0), 1_700_000_000_000);
        assert_eq!(rate_after(&mut load, &mut now, 10, 1_000_000.0), 1.0);
    }
}
