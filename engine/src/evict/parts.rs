//! A small queue, a main part, and ghosts: the structure of `gdsf` and of all that `adaptive` chooses among.
//!
//! ```text
//!  new ─▶ small queue ──▶ used since? ── yes ─▶ main part: lowest rank of those drawn ─▶ victim
//!                                     └─ no ──▶ victim, leaves a ghost ╌╌ comes back ╌▶ main part
//!
//!  history   | main | uses, 3 bits | stamp, 20 bits |      stamp: in the small queue the place, in the main part the level
//! ```
//! *The small queue* (S3-FIFO, Yang et al., SOSP 2023) has a share of the bytes. Uses soon after an entry came are one use that took
//! several commands, so they count only when half of the queue has come behind it.
//!
//! *The main part* is ranked as GreedyDual-Size-Frequency does (Cherkasova 1998): an entry is worth its level + (uses + 1) / bytes. The
//! level is that of the last victim's worth when the entry was last used, so that what is used no more falls behind. Levels and worth are
//! told in 16ths of 1 / mean bytes, worth to a 256th of these. The victim is the lowest of 16 drawn and of a shortlist.
//!
//! [`Shape`]s differ in the small queue's share, in whether all entries are ranked and none goes by the queue, and in how many uses
//! count. Where few do, the level also rises by 1 / mean bytes while as many entries go as there are, so that what counts most is when an
//! entry was last used. Nothing has to move when one takes the place of another.
//!
//! *Before memory is short* the small queue takes its share, and the main part the rest, where the first to come stay: they have shown
//! as much as what comes later. Not so where keys have been asked for many times by then ([`Parts::set_fills_in_order`]): what is unused
//! after that is of no use, so all stand in the small queue in their order, and the oldest go first.

use super::ghost::{GHOSTS_AHEAD, Ghost};
use super::queue::{Counts, Place, Queue};
use super::sampled::Draw;
use super::{
    Candidate, Choice, Coming, Entries, Foreseen, Identity, LOOKS_MAX, Policy, Scope, Use,
};
use crate::AccessClock;

const STAMP_BITS: u32 = 20;
const STAMP_MASK: u32 = (1 << STAMP_BITS) - 1;
const USE_ONE: u32 = 1 << STAMP_BITS;
const USES: u32 = 7 << STAMP_BITS;
const MAIN: u32 = 1 << 23;

const SMALL: Place = Place {
    stamp_bits: STAMP_BITS,
    mark_mask: MAIN,
    mark: 0,
};

/// Entries drawn for a victim.
const SAMPLES: usize = 16;

/// Ghosts have so many halves of the capacity.
const GHOST_HALVES: u64 = 3;

/// In place of the mean bytes of an entry, until one has gone.
const MEAN_UNKNOWN_BYTES: i64 = 1024;

/// Parts of a level that worth is told in.
const FRACTION: i64 = 256;

/// Parts of 1 / mean bytes that levels are told in.
const UNITS: i64 = 16;

/// Entries of the small queue that go to the main part for each victim while all are ranked.
const DRAINED: u32 = 2;

/// How a small queue and the rest share the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The small queue's share; with none, all entries are ranked.
    pub(crate) small_percent: u64,
    /// Uses that count in the rank.
    pub(crate) uses_max: i64,
}

/// As many uses as are counted.
const ALL_USES: i64 = (USES >> STAMP_BITS) as i64;

impl Shape {
    pub(crate) const D10: Self = Self::by_queue(10);
    pub(crate) const D1: Self = Self::by_queue(1);
    pub(crate) const D30: Self = Self::by_queue(30);
    pub(crate) const GDSF: Self = Self::by_queue(0);
    /// All are ranked, mostly by when they were last used.
    pub(crate) const RECENT: Self = Self {
        small_percent: 0,
        uses_max: 2,
    };

    const fn by_queue(small_percent: u64) -> Self {
        Self {
            small_percent,
            uses_max: ALL_USES,
        }
    }

    fn ranks_all(self) -> bool {
        self.small_percent == 0
    }
}

/// Entries in a small queue and a main part.
pub(crate) struct Parts {
    // What a use reads.
    /// The stamp of what enters the small queue next.
    next_stamp: u32,
    /// An entry of the small queue is used when so many stamps have come behind it.
    window: u32,
    /// The stamp of what is used in the main part.
    level_stamp: u32,

    shape: Shape,
    capacity: u64,
    small: Queue,
    ghost: Ghost,
    draw: Draw,
    /// What the last victim was worth.
    level: i64,
    /// Mean bytes of an entry, by which levels are told.
    mean_bytes: u64,
    /// What of the last rise of the level was less than it tells.
    unrisen: i64,
    has_evicted: bool,
    fills_in_order: bool,
    /// The last victim was one by rank.
    ranks_now: bool,
}

impl Parts {
    pub(crate) fn new(shape: Shape, seed: u64) -> Self {
        Self {
            next_stamp: 0,
            window: 0,
            level_stamp: 0,
            shape,
            capacity: 0,
            small: Queue::new(Counts::Bytes, SMALL),
            ghost: Ghost::new(),
            draw: Draw::new(SAMPLES, seed),
            level: 0,
            mean_bytes: 0,
            unrisen: 0,
            has_evicted: false,
            fills_in_order: false,
            ranks_now: false,
        }
    }

    /// Goes on in another shape.
    pub(crate) fn reshape(&mut self, shape: Shape) {
        self.shape = shape;
        self.draw.forget();
        self.set_window();
    }

    /// Whether memory has been short.
    pub(crate) fn has_evicted(&self) -> bool {
        self.has_evicted
    }

    /// Whether what comes before memory is short stands in the small queue whatever its share is.
    pub(crate) fn set_fills_in_order(&mut self, fills_in_order: bool) {
        self.fills_in_order = fills_in_order;
    }

    fn small_target(&self, capacity: u64) -> u64 {
        capacity * self.shape.small_percent / 100
    }

    fn set_window(&mut self) {
        self.next_stamp = self.small.next_stamp();
        let (slots, bytes) = (self.small.len(), self.small.bytes());
        let half = self.small_target(self.capacity).div_ceil(2);
        let window = match bytes {
            0 => 0,
            _ => (u128::from(half) * u128::from(slots)).div_ceil(u128::from(bytes)) as u64,
        };
        // That many behind it, and itself.
        self.window = self.small.stamps_of(window + 1).min(STAMP_MASK);
    }

    fn in_main(&self, uses: u32) -> AccessClock {
        AccessClock(MAIN | uses & USES | self.level_stamp)
    }

    fn enter_small(&mut self, identity: Identity, bytes: u64) -> AccessClock {
        let stamp = self.small.push(identity, bytes);
        self.set_window();
        AccessClock(stamp)
    }

    fn is_in_small(&self, entry: &Candidate) -> bool {
        entry.history.0 & MAIN == 0 && self.small.may_hold(entry.history)
    }

    /// What an entry is worth; `None` in the small queue, unless all are ranked.
    fn worth(&self, entry: &Candidate) -> Option<i64> {
        let is_ranked = self.shape.ranks_all() || !self.is_in_small(entry);
        is_ranked.then(|| self.worth_anywhere(entry))
    }

    /// What an entry is worth, wherever it is.
    fn worth_anywhere(&self, entry: &Candidate) -> i64 {
        let history = entry.history.0;
        let level = self.level / FRACTION;
        let age = match self.is_in_small(entry) {
            // It has not been there for long.
            true => 0,
            false => level.wrapping_sub(history.into()) & i64::from(STAMP_MASK),
        };
        let uses = i64::from((history & USES) >> STAMP_BITS);
        let uses = uses.min(self.shape.uses_max) + 1;
        let mean_bytes = match self.mean_bytes {
            0 => MEAN_UNKNOWN_BYTES,
            mean => mean as i64,
        };
        let gain = UNITS * FRACTION * uses * mean_bytes / entry.bytes.max(1) as i64;
        // What would be worth more than stamps can tell apart is not.
        let gain = gain.min(i64::from(STAMP_MASK / 2) * FRACTION);
        (level - age) * FRACTION + gain
    }

    fn victim_by_rank(&mut self, entries: &impl Entries, scope: Scope) -> Option<Choice> {
        let mut draw = std::mem::replace(&mut self.draw, Draw::new(0, 0));
        let lowest = draw.lowest(entries, scope, |entry| self.worth(entry));
        self.draw = draw;
        let (worth, entry) = lowest?;
        self.level = self.level.max(worth);
        if self.shape.uses_max < ALL_USES {
            let len = entries.len().max(1) as i64;
            self.unrisen += UNITS * FRACTION;
            self.level += self.unrisen / len;
            self.unrisen %= len;
        }
        self.level_stamp = (self.level / FRACTION) as u32 & STAMP_MASK;
        Some(Choice::Victim(entry.identity))
    }

    /// The entry at the tail of the small queue: to the main part, or gone.
    fn victim_of_small(&mut self, entries: &mut impl Entries, scope: Scope) -> Option<Choice> {
        if let Some(identity) = self.small.behind_tail(GHOSTS_AHEAD) {
            self.ghost.prefetch(identity);
        }
        let slot = self.small.pop()?;
        let entry = self.small.entry(slot, entries)?;
        if entry.history.0 & USES == 0 && !self.shape.ranks_all() && scope.allows(&entry) {
            self.ghost.add(entry.identity, entry.bytes, self.mean_bytes);
            return Some(Choice::Victim(entry.identity));
        }
        entries.set_history(entry.identity, self.in_main(entry.history.0));
        None
    }

    /// Levels are told by the mean, which counts anew when it has changed by a quarter.
    fn set_mean(&mut self, entries: &impl Entries) {
        let mean = (entries.bytes() / entries.len().max(1)).max(1);
        if mean.abs_diff(self.mean_bytes) > self.mean_bytes / 4 {
            self.mean_bytes = mean;
            self.draw.forget();
        }
    }
}

impl Policy for Parts {
    fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
        self.ghost.set_window(bytes * GHOST_HALVES / 2);
        self.set_window();
    }

    fn inserted(&mut self, identity: Identity, bytes: u64) -> AccessClock {
        // Until memory is short for the first time, the main part takes what the small queue has no room for.
        let is_full = self.small.bytes() >= self.small_target(self.capacity);
        let passes_full = is_full && !self.has_evicted && !self.fills_in_order;
        let passes = self.shape.ranks_all() || passes_full;
        if passes || self.ghost.take(identity, bytes) {
            return self.in_main(0);
        }
        self.enter_small(identity, bytes)
    }

    #[inline(always)]
    fn used(&mut self, history: AccessClock, _how: Use) -> AccessClock {
        let history = history.0;
        let counted = history + (u32::from(history & USES != USES) << STAMP_BITS);
        if history & MAIN != 0 {
            return AccessClock(counted & !STAMP_MASK | self.level_stamp);
        }
        let behind = self.next_stamp.wrapping_sub(history) & STAMP_MASK;
        AccessClock(if behind < self.window {
            history
        } else {
            counted
        })
    }

    fn foreseen(&self) -> Foreseen {
        let counted = (!STAMP_MASK, USE_ONE + self.level_stamp);
        // The latest of the stamps that are too near, without those before they began anew.
        let near = self.window.min(self.next_stamp + 1);
        Foreseen::settled(u32::MAX, MAIN | USES | self.level_stamp)
            .counting(MAIN..MAIN | USES, counted)
            .sparing(self.next_stamp + 1 - near, near)
    }

    #[inline]
    fn awaits(&self, identity: Identity) {
        self.ghost.prefetch(identity);
    }

    #[inline]
    fn looks_ahead(&self, victims: usize, mut show: impl FnMut(Coming)) {
        if let Some(identity) = self.small.behind_tail(victims) {
            show(Coming::Entry(identity));
        }
        if self.ranks_now {
            self.draw.looks_ahead(victims, show);
        }
    }

    fn victim(&mut self, entries: &mut impl Entries, scope: Scope) -> Choice {
        self.has_evicted = true;
        self.set_mean(entries);
        if self.shape.ranks_all() {
            for _ in 0..DRAINED {
                self.victim_of_small(entries, scope);
            }
        }
        let capacity = self.capacity.min(entries.bytes());
        let main_bytes = entries.bytes().saturating_sub(self.small.bytes());
        let from_main = main_bytes > capacity - self.small_target(capacity);
        self.ranks_now = from_main || self.shape.ranks_all();
        for _ in 0..LOOKS_MAX {
            if self.ranks_now || self.small.len() == 0 {
                if let Some(choice) = self.victim_by_rank(entries, scope) {
                    return choice;
                }
                if self.small.len() == 0 {
                    break;
                }
            }
            if let Some(choice) = self.victim_of_small(entries, scope) {
                self.set_window();
                return choice;
            }
        }
        match scope {
            Scope::AllKeys if !entries.is_empty() => Choice::Later,
            _ => self.draw.any(entries, scope),
        }
    }

    /// What the small queue would not keep first, the oldest of it in front.
    fn rank(&self, entry: &Candidate) -> i64 {
        let goes = entry.history.0 & USES == 0 && !self.shape.ranks_all();
        match goes && self.is_in_small(entry) {
            true => i64::MIN / 2 - self.small.age(entry.history),
            false => self.worth_anywhere(entry),
        }
    }

    fn spared(&mut self, entry: &Candidate) -> AccessClock {
        let history = entry.history.0;
        let has_uses = history & USES != 0;
        AccessClock(history - (u32::from(has_uses) << STAMP_BITS))
    }

    fn shown(&mut self, _entry: &Candidate) -> AccessClock {
        self.in_main(0)
    }

    fn tend(&mut self, entries: &mut impl Entries) {
        self.small.tend(entries);
    }

    fn held_bytes(&self) -> u64 {
        self.small.held_bytes() + self.ghost.held_bytes() + self.draw.held_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::mini::Mini;
    use super::super::simulation::{Request, identity};
    use super::super::traces;
    use super::*;

    const CAPACITY: u64 = 1000;

    fn cache(shape: Shape) -> Mini<Parts> {
        let mut cache = Mini::new(Parts::new(shape, 1));
        cache.set_capacity(CAPACITY);
        cache
    }

    /// Half of a cache is asked for eight times; then so many others come, once each. How many of the former stay, and of the latest.
    fn stay(shape: Shape, others: u64) -> (usize, usize) {
        let mut cache = cache(shape);
        let popular = 0..CAPACITY / 2;
        let others = CAPACITY..CAPACITY + others;
        for key in popular.clone() {
            for _ in 0..8 {
                cache.request(identity(key), 1, Use::Read);
            }
        }
        for key in others.clone() {
            cache.request(identity(key), 1, Use::Read);
        }
        let is_there = |&key: &u64| cache.entries().kept(identity(key)).is_some();
        let latest = others.end - CAPACITY..others.end;
        (
            popular.filter(is_there).count(),
            latest.filter(is_there).count(),
        )
    }

    #[test]
    fn what_was_popular_goes_by_recency_while_others_come_twice_and_stays_by_rank_or_queue() {
        let others = 5 * CAPACITY / 2;
        let (popular, latest) = stay(Shape::RECENT, others);
        assert_eq!(popular, 0);
        // As least recently used would, but that victims are drawn.
        assert!(latest > 950, "{latest}");
        assert_eq!(stay(Shape::GDSF, others).0, 500);
        // The main part took a hundred of what came first, and the queue has the latest.
        assert_eq!(stay(Shape::D10, others), (400, 100));
    }

    fn misses(shape: Shape, trace: &[Request]) -> usize {
        let mut cache = cache(shape);
        let missed = |request: &&Request| !cache.request(identity(request.key), 1, Use::Read);
        trace.iter().filter(missed).count()
    }

    #[test]
    fn recency_misses_least_where_popularity_moves_on_and_most_where_it_does_not() {
        let shapes = [Shape::D10, Shape::GDSF, Shape::RECENT];
        let [queue, rank, recent] =
            shapes.map(|shape| misses(shape, &traces::shifts(30_000, 4000, 4)));
        assert!(recent < rank && rank < queue, "{recent} {rank} {queue}");
        let [queue, rank, recent] =
            shapes.map(|shape| misses(shape, &traces::zipf(30_000, 4000, 1)));
        assert!(recent > rank && rank > queue, "{recent} {rank} {queue}");
    }

    #[test]
    fn by_recency_uses_count_a_little_still() {
        let mut cache = cache(Shape::RECENT);
        for key in 0..CAPACITY {
            cache.request(identity(key), 1, Use::Read);
        }
        for key in 0..100 {
            cache.request(identity(key), 1, Use::Read);
            cache.request(identity(key), 1, Use::Read);
        }
        // As many others as there are: those used twice stay, those used once go.
        for key in CAPACITY..2 * CAPACITY {
            cache.request(identity(key), 1, Use::Read);
        }
        let stay = |keys: std::ops::Range<u64>| {
            let is_there = |key: &u64| cache.entries().kept(identity(*key)).is_some();
            keys.filter(is_there).count()
        };
        assert_eq!(stay(0..100), 100);
        assert!(stay(100..CAPACITY) < 150, "{}", stay(100..CAPACITY));
    }
}
