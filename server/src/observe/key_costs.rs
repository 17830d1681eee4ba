//! What commands cost by key, while somebody wants to know: `HOTKEYS`; and by slot: `CLUSTER SLOT-STATS`.
//!
//! Every command that runs on a core is then timed by itself and weighed. Its time, and its bytes with those of its reply, are shared
//! equally among its keys.

use super::commandlog::Cost;
use super::parts::{PartReader, PartWriter};
use super::top_keys::TopKeys;

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Time.
    pub time: bool,
    /// Bytes from clients and to them.
    pub bytes: bool,
}

/// What `HOTKEYS START` asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCostsAsked {
    /// What is measured.
    pub metrics: Metrics,
    /// Keys told of.
    pub count: usize,
    /// When it ends, in milliseconds from its beginning; zero: when somebody ends it.
    pub duration_ms: i64,
    /// One command in so many counts.
    pub sample_ratio: u64,
    /// Only keys of these slots count, ranges in order; empty: of all.
    pub slots: Vec<(u16, u16)>,
}

/// Counters kept for each key that is to be told of: those that come and go need some.
const COUNTERS_FOR_EACH: usize = 10;

/// Sums of time and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Nanoseconds.
    pub nanos: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Sums {
    fn add(&mut self, nanos: u64, bytes: u64) {
        self.nanos += nanos;
        self.bytes += bytes;
    }
}

/// What commands on a core have cost by key.
#[derive(Debug)]
pub struct KeyCosts {
    /// What was asked for.
    pub asked: KeyCostsAsked,
    /// The processor time of the process when it began: the program's own and the system's for it, in milliseconds.
    pub cpu_before_ms: (u64, u64),
    /// What measuring has cost, in nanoseconds.
    pub own_nanos: u64,
    began_ms: i64,
    ended_ms: Option<i64>,
    by_time: TopKeys,
    by_bytes: TopKeys,
    /// Of all commands with keys, of those on the slots asked for, and of those of them that were sampled.
    sums: [Sums; 3],
}

impl KeyCosts {
    /// Begins to measure at `now_ms`.
    pub fn new(asked: KeyCostsAsked, now_ms: i64, cpu_before_ms: (u64, u64)) -> Self {
        let counters = asked.count * COUNTERS_FOR_EACH;
        Self {
            asked,
            cpu_before_ms,
            own_nanos: 0,
            began_ms: now_ms,
            ended_ms: None,
            by_time: TopKeys::new(counters),
            by_bytes: TopKeys::new(counters),
            sums: [Sums::default(); 3],
        }
    }

    /// Whether it goes on at `now_ms`; it may end by itself.
    pub fn goes_on(&mut self, now_ms: i64) -> bool {
        let end_ms = self.began_ms + self.asked.duration_ms;
        if self.ended_ms.is_none() && self.asked.duration_ms > 0 && now_ms >= end_ms {
            self.ended_ms = Some(end_ms);
        }
        self.ended_ms.is_none()
    }

    /// Ends it, if it goes on; whether it did.
    pub fn end(&mut self, now_ms: i64) -> bool {
        let went_on = self.goes_on(now_ms);
        if went_on {
            self.ended_ms = Some(now_ms);
        }
        went_on
    }

    /// When it began, and how many milliseconds it has lasted at `now_ms`.
    pub fn period_ms(&self, now_ms: i64) -> (i64, i64) {
        (
            self.began_ms,
            self.ended_ms.unwrap_or(now_ms) - self.began_ms,
        )
    }

    /// A command on `keys`, the first of them of `slot`, cost this much, with `request_bytes` of its own. `draw`: a random number.
    pub fn add<'a>(
        &mut self,
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
        slot: u16,
        (cost, request_bytes): (Cost, u64),
        draw: u64,
    ) {
        let count = keys.len() as u64;
        let (nanos, bytes) = (cost.nanos, cost.reply_bytes + request_bytes);
        self.sums[0].add(nanos, bytes);
        if !self.has_slot(slot) {
            return;
        }
        self.sums[1].add(nanos, bytes);
        if !draw.is_multiple_of(self.asked.sample_ratio) {
            return;
        }
        self.sums[2].add(nanos, bytes);
        for key in keys {
            if self.asked.metrics.time {
                self.by_time.add(key, nanos / count);
            }
            if self.asked.metrics.bytes {
                self.by_bytes.add(key, bytes / count);
            }
        }
    }

    fn has_slot(&self, slot: u16) -> bool {
        let ranges = &self.asked.slots;
        ranges.is_empty()
            || ranges
                .iter()
                .any(|&(first, last)| (first..=last).contains(&slot))
    }

    /// Appends what is known to a part.
    pub fn write(&self, part: &mut PartWriter<'_>) {
        for sums in self.sums {
            part.number(sums.nanos);
            part.number(sums.bytes);
        }
        for top in [&self.by_time, &self.by_bytes] {
            part.number(top.total());
            let told = top.top();
            let told = &told[..told.len().min(self.asked.count)];
            part.number(told.len() as u64);
            for (key, sum) in told {
                part.bytes(key);
                part.number(*sum);
            }
        }
    }
}

/// What is known of all cores together.
#[derive(Debug, Default)]
pub struct KeyCostsReport {
    /// Of all commands with keys, of those on the slots asked for, and of those of them that were sampled.
    pub sums: [Sums; 3],
    /// Nanoseconds by key.
    pub by_time: Ranking,
    /// Bytes by key.
    pub by_bytes: Ranking,
}

/// Keys and their sums, and the sum of all.
#[derive(Debug, Default)]
pub struct Ranking {
    /// The sum of all keys.
    pub total: u64,
    /// Keys, the highest first once sorted.
    pub keys: Vec<(Vec<u8>, u64)>,
}

impl KeyCostsReport {
    /// Adds what [`KeyCosts::write`] has written.
    pub fn add(&mut self, part: &mut PartReader<'_>) {
        for sums in &mut self.sums {
            sums.add(part.number(), part.number());
        }
        for ranking in [&mut self.by_time, &mut self.by_bytes] {
            ranking.total += part.number();
            for _ in 0..part.number() {
                let (key, sum) = (part.bytes(), part.number());
                match ranking.keys.iter_mut().find(|(known, _)| known == key) {
                    Some((_, known)) => *known += sum,
                    None => ranking.keys.push((key.to_vec(), sum)),
                }
            }
        }
    }

    /// Leaves the `count` highest keys of each, in order.
    pub fn rank(&mut self, count: usize) {
        for ranking in [&mut self.by_time, &mut self.by_bytes] {
            ranking
                .keys
                .sort_by(|(a, left), (b, right)| right.cmp(left).then_with(|| a.cmp(b)));
            ranking.keys.truncate(count);
        }
    }
}

/// What commands on a slot have cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCost {
    /// Nanoseconds.
    pub nanos: u64,
    /// Bytes of commands.
    pub bytes_in: u64,
    /// Bytes of replies.
    pub bytes_out: u64,
}

/// What commands on a core have cost by slot; nothing is allocated before the first.
#[derive(Debug, Default)]
pub struct SlotCosts(Vec<SlotCost>);

impl SlotCosts {
    /// A command on a key of `slot`, of `slots`, cost this much, with `request_bytes` of its own.
    pub fn add(&mut self, slot: u16, slots: u16, (cost, request_bytes): (Cost, u64)) {
        self.0.resize(slots.into(), SlotCost::default());
        let sums = &mut self.0[usize::from(slot)];
        sums.nanos += cost.nanos;
        sums.bytes_in += request_bytes;
        sums.bytes_out += cost.reply_bytes;
    }

    /// What is known of a slot.
    pub fn of(&self, slot: u16) -> SlotCost {
        self.0.get(usize::from(slot)).copied().unwrap_or_default()
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> KeyCostsAsked {
        KeyCostsAsked {
            metrics: Metrics {
                time: true,
                bytes: true,
            },
            count: 2,
            duration_ms: 1000,
            sample_ratio: 3,
            slots: vec![(0, 9), (20, 20)],
        }
    }

    fn add(costs: &mut KeyCosts, keys: &[&str], slot: u16, draw: u64) {
        let cost = Cost {
            nanos: 100,
            reply_bytes: 30,
        };
        let keys = keys.iter().map(|key| key.as_bytes());
        costs.add(keys, slot, (cost, 10), draw);
    }

    #[test]
    fn what_is_told_is_of_the_slots_and_the_sample_asked_for_and_of_all_cores() {
        let mut costs = KeyCosts::new(asked(), 5000, (0, 0));
        add(&mut costs, &["a", "b"], 9, 3);
        add(&mut costs, &["a"], 20, 0);
        add(&mut costs, &["a"], 20, 1);
        add(&mut costs, &["c"], 10, 0);
        let mut part = Vec::new();
        costs.write(&mut PartWriter(&mut part));
        let mut report = KeyCostsReport::default();
        for _ in 0..2 {
            let mut reader = PartReader::new(&part);
            report.add(&mut reader);
            assert!(reader.is_at_end());
        }
        report.rank(2);
        assert_eq!(report.sums.map(|sums| sums.nanos), [800, 600, 400]);
        assert_eq!(report.sums.map(|sums| sums.bytes), [320, 240, 160]);
        let known = |key: &str, sum| (key.as_bytes().to_vec(), sum);
        assert_eq!(report.by_time.keys, [known("a", 300), known("b", 100)]);
        assert_eq!(report.by_bytes.keys, [known("a", 120), known("b", 40)]);
        assert_eq!((report.by_time.total, report.by_bytes.total), (400, 160));
    }

    #[test]
    fn it_ends_by_itself_or_when_it_is_ended_and_keeps_how_long_it_was() {
        let mut costs = KeyCosts::new(asked(), 5000, (0, 0));
        assert!(costs.goes_on(5999));
        assert_eq!(costs.period_ms(5999), (5000, 999));
        assert!(!costs.goes_on(7000));
        assert_eq!(costs.period_ms(7000), (5000, 1000));
        assert!(!costs.end(7000));
        let mut costs = KeyCosts::new(asked(), 5000, (0, 0));
        assert!(costs.end(5500));
        assert_eq!(costs.period_ms(9000), (5000, 500));
    }

    #[test]
    fn costs_of_a_slot_add_up() {
        let mut costs = SlotCosts::default();
        assert_eq!(costs.of(7), SlotCost::default());
        let cost = Cost {
            nanos: 5,
            reply_bytes: 3,
        };
        costs.add(7, 16384, (cost, 2));
        costs.add(7, 16384, (cost, 2));
        let expected = SlotCost {
            nanos: 10,
            bytes_in: 4,
            bytes_out: 6,
        };
        assert_eq!(costs.of(7), expected);
        costs.reset();
        assert_eq!(costs.of(7), SlotCost::default());
    }
}
