//! What an entry's 24 bits of history tell: when it was last used, or under an LFU policy how often.
//!
//! ```text
//!  LRU, and by default   | seconds of the last use, modulo 2^24                       |
//!  LFU                   | minutes of the last decay, modulo 2^16 | logarithmic count |
//! ```
//! The count is Redis's: each use raises it with a probability that falls with the count, and it falls by one for every
//! `lfu-decay-time` minutes without a use. Each use pays for the decay since the last.

use super::{Shard, UnixMillis};
use crate::AccessClock;
use crate::journal::Event;
use crate::spiral::entries::Entry;

/// The count of an entry that is new, so that it is not the first to be evicted.
const NEW_COUNT: u32 = 5;
const COUNT_BITS: u32 = 8;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;
const MINUTE_MASK: u32 = 0xFFFF;

/// How uses are counted under an LFU policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lfu {
    /// How much less each use counts, the higher the count is (`lfu-log-factor`).
    pub log_factor: u32,
    /// Minutes without a use after which the count falls by one; 0 is never (`lfu-decay-time`).
    pub decay_minutes: u32,
}

impl Lfu {
    /// The history of an entry whose count is `count` at `now`.
    pub fn history(now: UnixMillis, count: u8) -> AccessClock {
        AccessClock(minute(now) << COUNT_BITS | u32::from(count))
    }

    /// The history of an entry that is new at `now`.
    fn new_entry(now: UnixMillis) -> AccessClock {
        AccessClock(minute(now) << COUNT_BITS | NEW_COUNT)
    }

    /// The count of an entry at `now`, the decay since its last use taken off.
    pub fn count(self, history: AccessClock, now: UnixMillis) -> u8 {
        let idle_minutes = minute(now).wrapping_sub(history.0 >> COUNT_BITS) & MINUTE_MASK;
        let decay = idle_minutes.checked_div(self.decay_minutes).unwrap_or(0);
        (history.0 & COUNT_MAX).saturating_sub(decay) as u8
    }

    /// The history of an entry that is used at `now`; `random` is uniform over all its bits.
    fn used(self, history: AccessClock, now: UnixMillis, random: u64) -> AccessClock {
        let count = self.count(history, now);
        let above_new = u64::from(count).saturating_sub(NEW_COUNT.into());
        // One use in so many counts.
        let uses = above_new * u64::from(self.log_factor) + 1;
        let counts = random.is_multiple_of(uses);
        Self::history(now, count.saturating_add(counts.into()))
    }
}

fn minute(now: UnixMillis) -> u32 {
    (now.as_secs() / 60) as u32 & MINUTE_MASK
}

impl Shard {
    /// Has uses counted by `lfu`; none: has the time of the last kept. Histories of before are not translated, as in Redis.
    pub fn count_uses(&mut self, lfu: Option<Lfu>) {
        self.lfu = lfu;
        self.set_clock();
    }

    /// What the clock says to histories.
    #[inline]
    pub(super) fn set_clock(&mut self) {
        self.clock = self.history_of_new();
        self.history_of_just_used = match self.lfu {
            None => self.clock.0,
            Some(_) => u32::MAX,
        };
    }

    /// The access history of an entry made now.
    pub fn access_of_new(&self) -> AccessClock {
        self.clock
    }

    /// The history of an entry that is made now.
    pub(super) fn history_of_new(&self) -> AccessClock {
        match self.lfu {
            None => AccessClock::at(self.now),
            Some(_) => Lfu::new_entry(self.now),
        }
    }

    /// The history of an entry with the history `before` that is used now.
    #[inline(always)]
    pub(super) fn history_of_used(&mut self, before: AccessClock) -> AccessClock {
        match self.lfu {
            None => self.clock,
            Some(lfu) => self.count_use(lfu, before),
        }
    }

    /// The history of what is written over `existing`. A command that computes its value from the old one has counted its use
    /// when it looked that up; one that sets a value counts here; a key that is restored is a new one.
    #[inline(always)]
    pub(super) fn history_over(&mut self, existing: Option<Entry>, event: Event) -> AccessClock {
        match self.lfu {
            None => self.clock,
            Some(lfu) => self.count_over(lfu, existing, event),
        }
    }

    #[cold]
    fn count_over(&mut self, lfu: Lfu, existing: Option<Entry>, event: Event) -> AccessClock {
        let Some(entry) = existing.filter(|_| event != Event::Restore) else {
            return self.clock;
        };
        let before = self.memory.head_of(entry).access();
        match event {
            Event::Set => self.count_use(lfu, before),
            _ => before,
        }
    }

    #[cold]
    fn count_use(&mut self, lfu: Lfu, before: AccessClock) -> AccessClock {
        // A multiplicative congruential generator, of which the upper bits are used.
        self.lfu_random = self.lfu_random.wrapping_mul(0xD134_2543_DE82_EF95) | 1;
        lfu.used(before, self.now, self.lfu_random >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LFU: Lfu = Lfu {
        log_factor: 10,
        decay_minutes: 1,
    };

    fn at_minute(minute: i64) -> UnixMillis {
        UnixMillis(minute * 60_000 + 7)
    }

    #[test]
    fn a_count_falls_with_the_minutes_without_a_use() {
        let history = Lfu::history(at_minute(100), 200);
        for (minute, expected) in [
            (100, 200),
            (101, 199),
            (150, 150),
            (300, 0),
            (100 + 65_536, 200),
        ] {
            assert_eq!(LFU.count(history, at_minute(minute)), expected, "{minute}");
        }
        let slow = Lfu {
            decay_minutes: 10,
            ..LFU
        };
        assert_eq!(slow.count(history, at_minute(119)), 199);
        let never = Lfu {
            decay_minutes: 0,
            ..LFU
        };
        assert_eq!(never.count(history, at_minute(9999)), 200);
    }

    #[test]
    fn a_use_keeps_the_count_or_raises_it_by_one() {
        let now = at_minute(7);
        for count in 0..=255u8 {
            for random in [0, 1, 12_345, u64::MAX] {
                let used = LFU.used(Lfu::history(now, count), now, random);
                let after = LFU.count(used, now);
                assert!(after == count || after == count + 1, "{count} {after}");
                if count <= 5 {
                    assert_eq!(after, count + 1);
                }
            }
        }
        let counts_all = Lfu {
            log_factor: 0,
            ..LFU
        };
        let used = counts_all.used(Lfu::history(now, 254), now, 3);
        assert_eq!(counts_all.count(used, now), 255);
        assert_eq!(counts_all.used(used, now, 3), used);
    }

    /// The figures of `redis.conf`: what a counter is after so many hits.
    #[test]
    fn a_million_uses_fill_the_count_at_a_factor_of_ten() {
        let now = at_minute(1);
        let mut random = 1u64;
        let mut history = Lfu::new_entry(now);
        let mut counts = Vec::new();
        for uses in 1..=1_000_000u32 {
            random = random.wrapping_mul(0xD134_2543_DE82_EF95) | 1;
            history = LFU.used(history, now, random >> 32);
            if [100, 1000, 100_000, 1_000_000].contains(&uses) {
                counts.push(LFU.count(history, now));
            }
        }
        for (count, expected) in counts.iter().zip([10u8, 18, 142, 255]) {
            assert!(count.abs_diff(expected) <= 12, "{counts:?}");
        }
    }
}
