//! Quotas over all cores: what each has used, and how fast.
//!
//! ```text
//!  used bytes       = Σ what each core's shard has of the quota, as it last told; it tells before it weighs, and with each turn
//!  commands         one bucket for all cores: the time at which all that was taken would be due at the rate allowed
//! ```
//! The bucket (the generic cell rate algorithm) is one word: a command takes its share of a second from it, if what was taken reaches no
//! more than a second ahead. So bursts of up to a second's commands pass, and over all cores no more than a second's worth and what
//! comes in later.
//!
//! Quotas change with the configuration. Those of a prefix that stays keep their counts; their bytes too, if all prefixes stay, since
//! otherwise keys change their quotas and every shard counts anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use larder_engine::{PrefixSet, QuotaId, UnixMillis};

use crate::config::QuotaSetting;

const SECOND_NS: u64 = 1_000_000_000;

/// A quota, and what is known of it.
#[derive(Debug)]
pub struct Quota {
    /// What keys begin with.
    pub prefix: Box<str>,
    /// Bytes that their entries may take; 0 is no limit.
    pub bytes: u64,
    /// Commands on them a second; 0 is no limit.
    pub ops: u64,
    gauges: Arc<Gauges>,
}

/// What is known of a quota.
#[derive(Debug, Default)]
struct Gauges {
    used_bytes: AtomicU64,
    evicted: AtomicU64,
    refused_for_bytes: AtomicU64,
    refused_for_ops: AtomicU64,
    commands: AtomicU64,
    /// Up to when commands are taken from the bucket, in nanoseconds since the Unix epoch.
    taken_until_ns: AtomicU64,
    second: AtomicU64,
    in_second: AtomicU64,
    in_second_before: AtomicU64,
}

/// What quotas refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// What would take too many bytes.
    Bytes,
    /// What comes too fast.
    Ops,
}

impl Quota {
    /// Bytes of its entries on all cores, as they last told.
    pub fn used_bytes(&self) -> u64 {
        self.gauges.used_bytes.load(Relaxed)
    }

    /// A core that had so many bytes has others.
    pub fn tell_bytes(&self, had: u64, has: u64) {
        let change = has.wrapping_sub(had);
        self.gauges.used_bytes.fetch_add(change, Relaxed);
    }

    /// Takes a command from the bucket; whether it may run.
    pub fn take(&self, now: UnixMillis) -> bool {
        let gauges = &self.gauges;
        if self.ops > 0 {
            let now_ns = u64::try_from(now.0).unwrap_or(0).saturating_mul(1_000_000);
            let share_ns = (SECOND_NS / self.ops).max(1);
            let taken = gauges
                .taken_until_ns
                .fetch_update(Relaxed, Relaxed, |until| {
                    // What reaches further ahead than may be taken was taken before the clock was set back.
                    let is_ahead = until > now_ns.saturating_add(SECOND_NS);
                    let from = if is_ahead { now_ns } else { until.max(now_ns) };
                    let until = from.saturating_add(share_ns);
                    (until <= now_ns.saturating_add(SECOND_NS)).then_some(until)
                });
            if taken.is_err() {
                return false;
            }
        }
        gauges.commands.fetch_add(1, Relaxed);
        let second = now.as_secs().unsigned_abs();
        let before = gauges.second.swap(second, Relaxed);
        if before != second {
            let count = gauges.in_second.swap(0, Relaxed);
            let of_before = if before + 1 == second { count } else { 0 };
            gauges.in_second_before.store(of_before, Relaxed);
        }
        gauges.in_second.fetch_add(1, Relaxed);
        true
    }

    /// An entry was evicted for others of its prefix.
    pub fn note_evicted(&self) {
        self.gauges.evicted.fetch_add(1, Relaxed);
    }

    /// A command was refused.
    pub fn note_refused(&self, why: Refused) {
        let count = match why {
            Refused::Bytes => &self.gauges.refused_for_bytes,
            Refused::Ops => &self.gauges.refused_for_ops,
        };
        count.fetch_add(1, Relaxed);
    }

    /// What is told of it, by name: its limits, what is used of them, and what came of that.
    pub fn figures(&self, now: UnixMillis) -> [(&'static str, u64); 8] {
        let gauges = &self.gauges;
        let (second, is) = (gauges.second.load(Relaxed), now.as_secs().unsigned_abs());
        let ops_per_sec = match is.wrapping_sub(second) {
            0 => gauges.in_second_before.load(Relaxed),
            1 => gauges.in_second.load(Relaxed),
            _ => 0,
        };
        [
            ("bytes", self.bytes),
            ("used_bytes", self.used_bytes()),
            ("ops", self.ops),
            ("ops_per_sec", ops_per_sec),
            ("commands", gauges.commands.load(Relaxed)),
            ("evicted_keys", gauges.evicted.load(Relaxed)),
            ("refused_for_bytes", gauges.refused_for_bytes.load(Relaxed)),
            ("refused_for_ops", gauges.refused_for_ops.load(Relaxed)),
        ]
    }
}

impl Gauges {
    /// The counts of quotas before, whose bytes are counted anew.
    fn go_on(before: &Self) -> Self {
        let copy = |count: &AtomicU64| AtomicU64::new(count.load(Relaxed));
        Self {
            used_bytes: AtomicU64::new(0),
            evicted: copy(&before.evicted),
            refused_for_bytes: copy(&before.refused_for_bytes),
            refused_for_ops: copy(&before.refused_for_ops),
            commands: copy(&before.commands),
            taken_until_ns: copy(&before.taken_until_ns),
            second: copy(&before.second),
            in_second: copy(&before.in_second),
            in_second_before: copy(&before.in_second_before),
        }
    }
}

/// All quotas, in the order of their prefixes.
#[derive(Debug, Default)]
pub struct Quotas {
    prefixes: Arc<PrefixSet>,
    all: Box<[Quota]>,
}

impl Quotas {
    /// Those of a configuration, behind `before`.
    pub fn new(settings: &[QuotaSetting], before: &Self) -> Self {
        let mut settings: Vec<&QuotaSetting> = settings.iter().collect();
        settings.sort_unstable_by(|one, other| one.prefix.cmp(&other.prefix));
        settings.dedup_by(|one, other| one.prefix == other.prefix);
        let prefixes = settings.iter().map(|setting| setting.prefix.as_bytes());
        let prefixes = PrefixSet::new(prefixes);
        let is_same = prefixes == *before.prefixes;
        let gauges = |prefix: &str| {
            let known = before.all.iter().find(|quota| *quota.prefix == *prefix);
            match known {
                Some(known) if is_same => Arc::clone(&known.gauges),
                Some(known) => Arc::new(Gauges::go_on(&known.gauges)),
                None => Arc::default(),
            }
        };
        let quota = |setting: &QuotaSetting| Quota {
            gauges: gauges(&setting.prefix),
            prefix: setting.prefix.as_str().into(),
            bytes: setting.bytes,
            ops: setting.ops,
        };
        Self {
            all: settings.into_iter().map(quota).collect(),
            prefixes: match is_same {
                true => Arc::clone(&before.prefixes),
                false => Arc::new(prefixes),
            },
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Their prefixes.
    pub fn prefixes(&self) -> &Arc<PrefixSet> {
        &self.prefixes
    }

    /// Each, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (QuotaId, &Quota)> {
        let numbered = self.all.iter().enumerate();
        numbered.map(|(at, quota)| (QuotaId(at as u16), quota))
    }

    /// The quota of this number.
    pub fn get(&self, id: QuotaId) -> &Quota {
        &self.all[id.index()]
    }

    /// The quota of a key.
    pub fn of_key(&self, key: &[u8]) -> Option<(QuotaId, &Quota)> {
        let id = QuotaId::of(&self.prefixes, key)?;
        Some((id, self.get(id)))
    }

    /// Bytes that all together may have.
    pub fn promised_bytes(&self) -> u64 {
        let limits = self.all.iter().map(|quota| quota.bytes);
        limits.fold(0, u64::saturating_add)
    }

    /// Of each quota whether its entries stay while others' are evicted, with so much memory for all: those that limit bytes, if
    /// all of these have their bytes together.
    pub fn guarded(&self, maxmemory_bytes: u64) -> Vec<bool> {
        let fit = self.promised_bytes() <= maxmemory_bytes;
        self.all
            .iter()
            .map(|quota| fit && quota.bytes > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(settings: &[(&str, u64, u64)], before: &Quotas) -> Quotas {
        let setting = |&(prefix, bytes, ops)| QuotaSetting::new(prefix, bytes, ops).unwrap();
        let settings: Vec<QuotaSetting> = settings.iter().map(setting).collect();
        Quotas::new(&settings, before)
    }

    fn only(quotas: &Quotas) -> &Quota {
        quotas.get(QuotaId(0))
    }

    fn at(ms: i64) -> UnixMillis {
        UnixMillis(1_700_000_000_000 + ms)
    }

    #[test]
    fn a_second_of_commands_passes_at_once_and_then_as_many_as_time_brings() {
        let quotas = quotas(&[("a:", 0, 100)], &Quotas::default());
        let quota = only(&quotas);
        let passed = |ms: i64| (0..500).filter(|_| quota.take(at(ms))).count();
        assert_eq!(passed(0), 100);
        assert_eq!(passed(0), 0);
        assert_eq!(passed(10), 1);
        assert_eq!(passed(500), 49);
        assert_eq!(passed(60_000), 100);
        // The clock is set back.
        assert_eq!(passed(1000), 100);
        assert_eq!(passed(1000), 0);
        let figures = quota.figures(at(1000));
        assert!(figures.contains(&("commands", 350)), "{figures:?}");
    }

    #[test]
    fn threads_take_no_more_together() {
        let quotas = quotas(&[("a:", 0, 1000)], &Quotas::default());
        let taken: usize = std::thread::scope(|scope| {
            let take = || (0..2000).filter(|_| only(&quotas).take(at(0))).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 1000);
    }

    #[test]
    fn the_rate_told_is_that_of_the_last_whole_second() {
        let quotas = quotas(&[("a:", 1, 0)], &Quotas::default());
        let quota = only(&quotas);
        let rate = |ms: i64| quota.figures(at(ms))[3].1;
        (0..7).for_each(|_| assert!(quota.take(at(0))));
        assert_eq!((rate(0), rate(1000), rate(2000)), (0, 7, 0));
        assert!(quota.take(at(1000)));
        assert_eq!(rate(1500), 7);
        assert!(quota.take(at(9000)));
        assert_eq!(rate(9000), 0);
    }

    #[test]
    fn bytes_stay_with_the_prefixes_and_counts_with_each_prefix() {
        let first = quotas(&[("a:", 100, 0), ("b:", 5, 0)], &Quotas::default());
        only(&first).tell_bytes(0, 70);
        only(&first).note_evicted();
        let higher = quotas(&[("a:", 200, 0), ("b:", 5, 0)], &first);
        assert!(Arc::ptr_eq(first.prefixes(), higher.prefixes()));
        assert_eq!((only(&higher).used_bytes(), only(&higher).bytes), (70, 200));
        only(&first).tell_bytes(70, 50);
        assert_eq!(only(&higher).used_bytes(), 50);
        let fewer = quotas(&[("a:", 200, 0)], &higher);
        assert_eq!(only(&fewer).used_bytes(), 0);
        assert!(only(&fewer).figures(at(0)).contains(&("evicted_keys", 1)));
    }

    #[test]
    fn they_are_guarded_if_all_fit() {
        let quotas = quotas(
            &[("a:", 60, 0), ("b:", 40, 9), ("c:", 0, 9)],
            &Quotas::default(),
        );
        assert_eq!(quotas.guarded(100), [true, true, false]);
        assert_eq!(quotas.guarded(99), [false; 3]);
        assert_eq!(quotas.guarded(0), [false; 3]);
    }
}
