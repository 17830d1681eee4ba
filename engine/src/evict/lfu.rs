//! The entry that is used least often goes, by drawing (Redis's `lfu`).
//!
//! ```text
//!  history   | minutes of the last decay, modulo 2^16 | logarithmic count |
//! ```
//! The count is Redis's: each use raises it with a probability that falls with the count, and it falls by one for every
//! `lfu-decay-time` minutes without a use. Each use pays for the decay since the last.
//!
//! Beyond a new entry's count no use is likelier to raise it than the first, one in `lfu-log-factor` + 1. So it is drawn ahead which
//! uses would raise that one, and only these are weighed by the count that they find: of two independent chances both have to hold.

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
        let count = u32::from(self.count_in(minute, history));
        let raises = below(random, self.uses_at(count)) == 0 && count < COUNT_MAX;
        AccessClock(minute << COUNT_BITS | count + u32::from(raises))
    }

    /// At this count one use in so many raises it.
    #[inline(always)]
    fn uses_at(self, count: u32) -> u64 {
        let above_new = u64::from(count.saturating_sub(NEW_COUNT));
        above_new * u64::from(self.log_factor) + 1
    }

    /// One use in so many may raise a count beyond [`NEW_COUNT`]: as at the lowest of these.
    pub(crate) fn one_in(self) -> u64 {
        self.uses_at(NEW_COUNT + 1)
    }

    /// The history of an entry with such a count that is used in its minute, by one use [in so many](Self::one_in).
    pub(crate) fn used_by_chance(self, history: AccessClock, random: u64) -> AccessClock {
        let count = history.0 & COUNT_MAX;
        let raises = below(random, self.uses_at(count)) < self.one_in() && count < COUNT_MAX;
        AccessClock(history.0 + u32::from(raises))
    }

    /// What uses in this minute make of the histories of this minute.
    fn foreseen(self, minute: u32) -> Foreseen {
        let first = minute << COUNT_BITS;
        let full = first | COUNT_MAX;
        let by_chance = match self.one_in() {
            1 => full,
            _ => first + NEW_COUNT + 1,
        };
        Foreseen::settled(u32::MAX, full)
            .counting(first..by_chance, (u32::MAX, 1))
            .chancing(by_chance..full, self)
    }

    /// Whole minutes since an entry was used last.
    pub fn unused_minutes(history: AccessClock, now: UnixMillis) -> u32 {
        minute(now).wrapping_sub(history.0 >> COUNT_BITS) & MINUTE_MASK
    }
}

fn minute(now: UnixMillis) -> u32 {
    (now.as_secs() / 60) as u32 & MINUTE_MASK
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
        self.counting.foreseen(minute(self.now))
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
    use crate::evict::rng::Trials;

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

    /// The counts that as many new entries have come to after so many uses each, one after the other.
    fn counts_after(
        uses: usize,
        lfu: Lfu,
        mut used: impl FnMut(AccessClock) -> AccessClock,
    ) -> Vec<f64> {
        const ENTRIES: usize = 4000;
        let now = at_minute(1);
        let mut histories = vec![Lfu::new_entry(now); ENTRIES];
        for _ in 0..uses {
            for history in &mut histories {
                *history = used(*history);
            }
        }
        let mut parts = vec![0.0; 256];
        for history in histories {
            parts[usize::from(lfu.count(history, now))] += 1.0 / ENTRIES as f64;
        }
        parts
    }

    #[test]
    fn counts_are_distributed_alike_whether_dice_are_thrown_or_chance_is_drawn_ahead() {
        for (log_factor, uses) in [(0, 30), (1, 50), (1, 400), (10, 20), (10, 100), (100, 300)] {
            let lfu = Lfu { log_factor, ..LFU };
            let minute = minute(at_minute(1));
            let (mut coin, mut trials) = (Coin::new(3), Trials::none(4));
            trials.set_one_in(Some(lfu.one_in()));
            let foreseen = lfu.foreseen(minute);
            let thrown = counts_after(uses, lfu, |history| lfu.used(history, minute, coin.toss()));
            let drawn = counts_after(uses, lfu, |history| {
                let after = foreseen.after(history, &mut trials);
                after.expect("all of this minute is foreseen")
            });
            // Kolmogorov and Smirnov's distance: beyond 1.95 * sqrt(2 / 4000) once in a thousand runs.
            let (mut apart, mut furthest) = (0.0, 0.0f64);
            for (thrown, drawn) in thrown.iter().zip(&drawn) {
                apart += thrown - drawn;
                furthest = furthest.max(apart.abs());
            }
            assert!(furthest < 0.0436, "{log_factor} {uses} {furthest}");
        }
    }

    #[test]
    fn uses_of_an_earlier_minute_are_not_foreseen() {
        let foreseen = LFU.foreseen(minute(at_minute(9)));
        for count in 0..=255 {
            for minute in [8, 10] {
                let history = Lfu::history(at_minute(minute), count);
                assert_eq!(foreseen.after(history, &mut Trials::none(1)), None);
            }
        }
    }

    /// The figures of `redis.conf`: what a counter is after so many hits.
    #[test]
    fn a_million_uses_fill_the_count_at_a_factor_of_ten() {
        let minute = minute(at_minute(1));
        let (mut coin, mut trials) = (Coin::new(1), Trials::none(1));
        trials.set_one_in(Some(LFU.one_in()));
        let foreseen = LFU.foreseen(minute);
        counts_of_redis_conf(|history| LFU.used(history, minute, coin.toss()));
        counts_of_redis_conf(|history| {
            let after = foreseen.after(history, &mut trials);
            after.expect("all of this minute is foreseen")
        });
    }

    fn counts_of_redis_conf(mut used: impl FnMut(AccessClock) -> AccessClock) {
        let now = at_minute(1);
        let mut history = Lfu::new_entry(now);
        let mut counts = Vec::new();
        for uses in 1..=1_000_000u32 {
            history = used(history);
            if [100, 1000, 100_000, 1_000_000].contains(&uses) {
                counts.push(LFU.count(history, now));
            }
        }
        for (count, expected) in counts.iter().zip([10u8, 18, 142, 255]) {
            assert!(count.abs_diff(expected) <= 12, "{counts:?}");
        }
    }
}
