//! The entry that is used least often goes, by drawing (Redis's `lfu`).
//!
//! ```text
//!  history   | minutes of the last decay, modulo 2^16 | logarithmic count |
//! ```
//! The count is Redis's: each use raises it with a probability that falls with the count, and it falls by one for every
//! `lfu-decay-time` minutes without a use. Each use pays for the decay since the last.

use super::rng::{Coin, below};
use super::sampled::{Draw, SAMPLES};
use super::{Candidate, Choice, Coming, Entries, Foreseen, Identity, Policy, Scope, Use};
use crate::{AccessClock, UnixMillis};

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

impl Default for Lfu {
    /// Redis's.
    fn default() -> Self {
        Self {
            log_factor: 10,
            decay_minutes: 1,
        }
    }
}

impl Lfu {
    /// The history of an entry whose count is `count` at `now`.
    pub fn history(now: UnixMillis, count: u8) -> AccessClock {
        AccessClock(minute(now) << COUNT_BITS | u32::from(count))
    }

    /// The history of an entry that is new at `now`.
    pub(crate) fn new_entry(now: UnixMillis) -> AccessClock {
        AccessClock(minute(now) << COUNT_BITS | NEW_COUNT)
    }

    /// The count of an entry at `now`, the decay since its last use taken off.
    pub fn count(self, history: AccessClock, now: UnixMillis) -> u8 {
        self.count_in(minute(now), history)
    }

    #[inline(always)]
    fn count_in(self, minute: u32, history: AccessClock) -> u8 {
        let count = history.0 & COUNT_MAX;
        match minute.wrapping_sub(history.0 >> COUNT_BITS) & MINUTE_MASK {
            0 => count as u8,
            idle_minutes => self.decayed(count, idle_minutes),
        }
    }

    #[cold]
    fn decayed(self, count: u32, idle_minutes: u32) -> u8 {
        let decay = idle_minutes.checked_div(self.decay_minutes).unwrap_or(0);
        count.saturating_sub(decay) as u8
    }

    /// The history of an entry that is used in this minute; the leading bits of `random` are uniform.
    #[inline(always)]
    fn used(self, history: AccessClock, minute: u32, random: u64) -> AccessClock {
        let count = self.count_in(minute, history);
        // One use in so many counts.
        let above_new = u64::from(count).saturating_sub(NEW_COUNT.into());
        let uses = above_new * u64::from(self.log_factor) + 1;
        let counts = below(random, uses) == 0 && u32::from(count) < COUNT_MAX;
        AccessClock(minute << COUNT_BITS | u32::from(count) + u32::from(counts))
    }

    /// Whole minutes since an entry was used last.
    pub fn unused_minutes(history: AccessClock, now: UnixMillis) -> u32 {
        minute(now).wrapping_sub(history.0 >> COUNT_BITS) & MINUTE_MASK
    }
}

fn minute(now: UnixMillis) -> u32 {
    (now.as_secs() / 60) as u32 & MINUTE_MASK
}

/// What a coin makes of the history of an entry that is used in this minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tossed {
    counting: Lfu,
    minute: u32,
}

impl Tossed {
    /// The history of an entry that is used; none of one for which minutes are to be paid first.
    #[inline(always)]
    pub(crate) fn after(&self, history: AccessClock, coin: &mut Coin) -> Option<AccessClock> {
        let is_of_minute = history.0 >> COUNT_BITS == self.minute;
        is_of_minute.then(|| self.counting.used(history, self.minute, coin.toss()))
    }
}

/// Entries by how often they are used.
pub(crate) struct LfuPolicy {
    counting: Lfu,
    now: UnixMillis,
    coin: Coin,
    draw: Draw,
}

impl LfuPolicy {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            counting: Lfu::default(),
            now: UnixMillis(0),
            coin: Coin::new(seed),
            draw: Draw::new(SAMPLES, seed),
        }
    }

    pub(crate) fn set_samples(&mut self, samples: usize) {
        self.draw.set_samples(samples);
    }

    pub(crate) fn set_counting(&mut self, counting: Lfu) {
        self.counting = counting;
    }
}

impl Policy for LfuPolicy {
    fn set_now(&mut self, now: UnixMillis) {
        self.now = now;
    }

    fn inserted(&mut self, _identity: Identity, _bytes: u64) -> AccessClock {
        Lfu::new_entry(self.now)
    }

    #[inline(always)]
    fn used(&mut self, history: AccessClock, _how: Use) -> AccessClock {
        let minute = minute(self.now);
        self.counting.used(history, minute, self.coin.toss())
    }

    fn foreseen(&self) -> Foreseen {
        let AccessClock(full) = Lfu::history(self.now, u8::MAX);
        Foreseen::settled(u32::MAX, full).tossing(Tossed {
            counting: self.counting,
            minute: minute(self.now),
        })
    }

    #[inline]
    fn looks_ahead(&self, victims: usize, show: impl FnMut(Coming)) {
        self.draw.looks_ahead(victims, show);
    }

    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice {
        let (counting, now) = (self.counting, self.now);
        self.draw.choose(entries, scope, |entry| {
            Some(counting.count(entry.history, now).into())
        })
    }

    fn rank(&self, entry: &Candidate) -> i64 {
        self.counting.count(entry.history, self.now).into()
    }

    fn shown(&mut self, entry: &Candidate) -> AccessClock {
        entry.history
    }

    fn held_bytes(&self) -> u64 {
        self.draw.held_bytes()
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
                let used = LFU.used(Lfu::history(now, count), minute(now), random);
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
        let used = counts_all.used(Lfu::history(now, 254), minute(now), 3);
        assert_eq!(counts_all.count(used, now), 255);
        assert_eq!(counts_all.used(used, minute(now), 3), used);
    }

    #[test]
    fn a_coin_that_is_tossed_elsewhere_counts_as_the_policy_does() {
        let (mut policy, mut coin) = (LfuPolicy::new(7), Coin::new(7));
        policy.set_now(at_minute(9));
        let foreseen = policy.foreseen();
        let full = Lfu::history(at_minute(9), u8::MAX);
        assert_eq!(foreseen.after(full), Some(full));
        for count in (0..=254).cycle().take(10_000) {
            let history = Lfu::history(at_minute(9), count);
            assert_eq!(foreseen.after(history), None);
            let tossed = foreseen.toss(history, &mut coin);
            assert_eq!(tossed, Some(policy.used(history, Use::Read)));
            let earlier = Lfu::history(at_minute(8), count);
            assert_eq!(foreseen.toss(earlier, &mut coin), None);
        }
    }

    /// The figures of `redis.conf`: what a counter is after so many hits.
    #[test]
    fn a_million_uses_fill_the_count_at_a_factor_of_ten() {
        let now = at_minute(1);
        let mut coin = Coin::new(1);
        let mut history = Lfu::new_entry(now);
        let mut counts = Vec::new();
        for uses in 1..=1_000_000u32 {
            history = LFU.used(history, minute(now), coin.toss());
            if [100, 1000, 100_000, 1_000_000].contains(&uses) {
                counts.push(LFU.count(history, now));
            }
        }
        for (count, expected) in counts.iter().zip([10u8, 18, 142, 255]) {
            assert!(count.abs_diff(expected) <= 12, "{counts:?}");
        }
    }
}
