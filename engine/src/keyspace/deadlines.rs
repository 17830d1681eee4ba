//! What a segment knows of its entries' deadlines without looking at an entry: a byte a bucket.
//!
//! ```text
//!  buckets     | item | item |  --  | item | item | ...        base: when the ticks were reckoned
//!  ticks       |  17  | none | none |  64  |  17  | ...        tick 17: due 18 to 20 ms after base
//! ```
//!
//! A tick is a span of time after a base, an eighth of its distance wide: exact to the millisecond at first, half an hour
//! wide at four hours. So entries that cannot be due are passed by their byte, and those whose tick has come
//! are read, most of which are due. Those read in vain are counted, and when they are as many as there are deadlines, all
//! ticks are reckoned anew from a new base, where they are narrow again. An entry is so read some three times in its
//! life; reading all entries of a segment when a twentieth of them is due, as a plain histogram of deadlines would have
//! it, reads each twenty times (decision 0012).
//!
//! The bytes also say when enough will be due for a look to be worth its cost: see [`Deadlines::plan`]. A segment none of whose
//! deadlines is within a minute, or was of late, sleeps: it has no bytes, and is looked at for its first deadline.

use crate::UnixMillis;
use crate::agenda::NEVER;
use crate::limits::{AWAKE_MS, DEAD_SHARE, GRACE_MAX_MS};

/// Ticks to an octave, as a power of two.
const OCTAVE_SHIFT: u32 = 3;
const OCTAVE: u64 = 1 << OCTAVE_SHIFT;

/// A span of time after a base. Ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u8);

impl Tick {
    /// No deadline.
    const NONE: Self = Self(u8::MAX);
    /// From 99 days on, without end.
    const LAST: Self = Self(u8::MAX - 1);
    /// At the base or before.
    const PAST: Self = Self(0);

    /// The tick of `at`.
    #[inline]
    fn of(base: UnixMillis, at: UnixMillis) -> Self {
        let after = u64::try_from(at.0.saturating_sub(base.0)).unwrap_or(0);
        if after < OCTAVE {
            return Self(after as u8);
        }
        let octave = after.ilog2() - OCTAVE_SHIFT;
        let tick = u64::from(octave) * OCTAVE + (after >> octave);
        Self(tick.min(u64::from(Self::LAST.0)) as u8)
    }

    /// Milliseconds after the base at which it begins.
    #[inline]
    fn start_ms(self) -> u64 {
        let tick = u64::from(self.0);
        match (tick / OCTAVE).checked_sub(1) {
            None => tick,
            Some(octave) => (OCTAVE + tick % OCTAVE) << octave,
        }
    }

    /// Milliseconds from its begin to its end.
    #[inline]
    fn width_ms(self) -> u64 {
        1 << (u64::from(self.0) / OCTAVE).saturating_sub(1)
    }
}

/// The present, and how long one dead entry may wait for others to be removed with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) now: UnixMillis,
    pub(crate) grace_ms: u32,
}

/// The deadlines of a segment's entries.
pub(crate) struct Deadlines {
    /// One a bucket, or none at all: then no deadline is before `look_at`.
    ticks: Box<[Tick]>,
    base: UnixMillis,
    /// When the segment should be looked at.
    look_at: UnixMillis,
    /// Entries with a deadline.
    volatile: u32,
    /// Deadlines before `look_at` that were set since it was planned.
    early: u32,
    /// Entries read in vain since the base was set.
    in_vain: u32,
    /// Whether a deadline was near when it was set: others probably follow.
    is_busy: bool,
}

impl Deadlines {
    pub(crate) fn new() -> Self {
        Self {
            ticks: Box::default(),
            base: UnixMillis(0),
            look_at: NEVER,
            volatile: 0,
            early: 0,
            in_vain: 0,
            is_busy: false,
        }
    }

    pub(crate) fn volatile(&self) -> u32 {
        self.volatile
    }

    pub(crate) fn look_at(&self) -> UnixMillis {
        self.look_at
    }

    pub(crate) fn bytes(&self) -> usize {
        self.ticks.len()
    }

    /// Whether there are deadlines and no ticks.
    pub(crate) fn sleeps(&self) -> bool {
        self.volatile > 0 && self.ticks.is_empty()
    }

    /// The entry in `bucket` of `buckets`, which had no deadline, has one; when to look at the segment stays as it is.
    #[inline]
    pub(crate) fn place(
        &mut self,
        bucket: usize,
        buckets: usize,
        deadline: UnixMillis,
        now: UnixMillis,
    ) {
        if self.volatile == 0 {
            self.base = now;
            self.in_vain = 0;
        }
        if self.ticks.is_empty() {
            self.ticks = vec![Tick::NONE; buckets].into_boxed_slice();
        }
        self.is_busy |= Self::is_near(deadline, now);
        debug_assert_eq!(self.ticks[bucket], Tick::NONE);
        self.ticks[bucket] = Tick::of(self.base, deadline);
        self.volatile += 1;
    }

    /// The entry in `bucket`, which had a deadline, has none.
    #[inline]
    pub(crate) fn clear(&mut self, bucket: usize) {
        if let Some(tick) = self.ticks.get_mut(bucket) {
            debug_assert_ne!(*tick, Tick::NONE);
            *tick = Tick::NONE;
        }
        self.volatile -= 1;
    }

    /// The entry in `bucket` of `buckets`, of which `entries` are taken, gets a deadline; it had none.
    #[inline]
    pub(crate) fn set(
        &mut self,
        bucket: usize,
        (buckets, entries): (usize, usize),
        deadline: UnixMillis,
        pace: Pace,
    ) {
        let is_near = Self::is_near(deadline, pace.now);
        if self.ticks.is_empty() && (self.volatile > 0 || !is_near) {
            // The look that comes at once for a near one reckons the ticks.
            let look_at = if is_near { pace.now } else { deadline };
            self.look_at = self.look_at.min(look_at).min(deadline);
            self.is_busy |= is_near;
            self.volatile += 1;
            return;
        }
        self.place(bucket, buckets, deadline, pace.now);
        self.hasten(deadline, entries, pace);
    }

    fn is_near(deadline: UnixMillis, now: UnixMillis) -> bool {
        deadline.0.saturating_sub(now.0) <= AWAKE_MS
    }

    /// Looks earlier for a deadline that was set, where that is needed, in a segment of `entries` entries.
    fn hasten(&mut self, deadline: UnixMillis, entries: usize, pace: Pace) {
        if deadline >= self.look_at {
            return;
        }
        self.early += 1;
        let alone = deadline.0.saturating_add(pace.grace_ms.into());
        self.look_at = self.look_at.min(UnixMillis(alone));
        if self.early as usize * 2 > entries / DEAD_SHARE {
            self.look_at = self.look_at.min(self.planned(entries, pace));
            self.early = 0;
        }
    }

    /// Plans the next look at a segment of `entries` entries, none of which was found due at the present: when a
    /// `DEAD_SHARE`th of them is due, as far as ticks tell, but not long after the first of them.
    pub(crate) fn plan(&mut self, entries: usize, pace: Pace) {
        if self.sleeps() {
            // Its removals made the table smaller, and it was planned then.
            return;
        }
        self.early = 0;
        let first = self.ticks.iter().min().map_or(Tick::NONE, |&tick| tick);
        let first_ms = self.base.0.saturating_add_unsigned(first.start_ms());
        let is_far = first != Tick::NONE && !Self::is_near(UnixMillis(first_ms), pace.now);
        let is_calm = !self.is_busy || !Self::is_near(pace.now, self.base);
        if is_far && is_calm {
            self.ticks = Box::default();
            self.is_busy = false;
            self.look_at = UnixMillis(first_ms);
            return;
        }
        self.look_at = self.planned(entries, pace);
        if is_far {
            // To sleep then, if nothing near comes meanwhile.
            let calm_at = UnixMillis(self.base.0.saturating_add(AWAKE_MS + 1));
            self.look_at = self.look_at.min(calm_at);
        }
    }

    /// Puts the next look off by the grace, though something is due: ticks are reckoned from the present, which what is due is
    /// before.
    pub(crate) fn put_off(
        &mut self,
        buckets: usize,
        pace: Pace,
        deadline: impl Fn(usize) -> Option<UnixMillis>,
    ) {
        self.wake(buckets, pace.now, deadline);
        self.look_at = UnixMillis(pace.now.0.saturating_add(pace.grace_ms.into()));
    }

    fn planned(&self, entries: usize, pace: Pace) -> UnixMillis {
        if self.volatile == 0 {
            return NEVER;
        }
        let mut counts = [0u16; 256];
        for tick in &self.ticks {
            counts[usize::from(tick.0)] += 1;
        }
        let present_ms = self.present_ms(pace.now);
        let at = |ms: u64| UnixMillis(self.base.0.saturating_add_unsigned(ms));
        let mut wanted = (entries / DEAD_SHARE).max(1) as u64;
        let mut latest = None;
        for tick in (0..Tick::NONE.0).map(Tick) {
            let count = u64::from(counts[usize::from(tick.0)]);
            if count == 0 {
                continue;
            }
            if tick == Tick::PAST {
                return self.base;
            }
            let end_ms = tick.start_ms() + tick.width_ms();
            let start_ms = tick.start_ms().max(present_ms).min(end_ms);
            let latest = *latest.get_or_insert(start_ms + u64::from(pace.grace_ms));
            if count >= wanted {
                let until_enough_ms = ((end_ms - start_ms) * wanted).div_ceil(count);
                return at(latest.min(start_ms + until_enough_ms));
            }
            wanted -= count;
        }
        latest.map_or(NEVER, at)
    }

    /// Milliseconds from the base to `now`.
    fn present_ms(&self, now: UnixMillis) -> u64 {
        u64::try_from(now.0.saturating_sub(self.base.0)).unwrap_or(0)
    }

    /// The buckets of the entries that may be due at `now`.
    pub(crate) fn perhaps_due(&self, now: UnixMillis) -> impl Iterator<Item = usize> {
        let present = Tick::of(self.base, now);
        let ticks = self.ticks.iter().enumerate();
        ticks
            .filter(move |&(_, &tick)| tick <= present && tick != Tick::NONE)
            .map(|(bucket, _)| bucket)
    }

    /// So many entries were perhaps due and are not. Whether that makes it worth to reckon all ticks anew.
    pub(crate) fn read_in_vain(&mut self, entries: u32) -> bool {
        self.in_vain += entries;
        self.in_vain >= self.volatile && self.in_vain > 0
    }

    /// The buckets of the entries that have a deadline.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = usize> {
        let ticks = self.ticks.iter().enumerate();
        ticks
            .filter(|&(_, &tick)| tick != Tick::NONE)
            .map(|(bucket, _)| bucket)
    }

    /// Reckons all ticks from `now` on. `deadline` tells the deadline of the entry in a bucket.
    pub(crate) fn rebase(&mut self, now: UnixMillis, deadline: impl Fn(usize) -> UnixMillis) {
        self.base = now;
        self.in_vain = 0;
        for (bucket, tick) in self.ticks.iter_mut().enumerate() {
            if *tick != Tick::NONE {
                *tick = Tick::of(now, deadline(bucket));
            }
        }
    }

    /// Reckons the ticks of a segment of `buckets` buckets that sleeps. `deadline` tells the deadline of the entry in a bucket,
    /// if there is one.
    pub(crate) fn wake(
        &mut self,
        buckets: usize,
        now: UnixMillis,
        deadline: impl Fn(usize) -> Option<UnixMillis>,
    ) {
        self.base = now;
        self.in_vain = 0;
        let tick = |bucket| deadline(bucket).map_or(Tick::NONE, |at| Tick::of(now, at));
        self.ticks = (0..buckets).map(tick).collect();
    }

    /// About how many entries are due at `now`: those of ticks that have passed, and of the present tick its share.
    pub(crate) fn due_about(&self, now: UnixMillis) -> u32 {
        let present = Tick::of(self.base, now);
        let count = |is: &dyn Fn(Tick) -> bool| self.ticks.iter().filter(|&&t| is(t)).count();
        let passed = count(&|tick| tick < present) as u64;
        let within = count(&|tick| tick == present) as u64;
        let elapsed_ms = self.present_ms(now) - present.start_ms();
        let width_ms = present.width_ms();
        (passed + within * elapsed_ms.min(width_ms) / width_ms) as u32
    }

    /// Verifies the tick of every bucket, `deadline` telling the deadlines, and that no entry is forgotten.
    pub(crate) fn check(&self, buckets: usize, deadline: impl Fn(usize) -> Option<UnixMillis>) {
        assert!(self.ticks.len() == buckets || self.ticks.is_empty());
        let mut volatile = 0;
        for bucket in 0..buckets {
            let at = deadline(bucket);
            if let Some(&tick) = self.ticks.get(bucket) {
                let expected = at.map_or(Tick::NONE, |at| Tick::of(self.base, at));
                assert_eq!(tick, expected, "bucket {bucket}");
            }
            if let Some(at) = at {
                volatile += 1;
                let latest = at.0.max(self.base.0).saturating_add(GRACE_MAX_MS.into());
                assert!(self.look_at.0 <= latest, "{:?} {at:?}", self.look_at);
                assert!(!self.sleeps() || self.look_at <= at);
            }
        }
        assert_eq!(volatile, self.volatile);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_holds_its_times_and_is_an_eighth_of_its_distance_wide() {
        let base = UnixMillis(1_000_000);
        let at = |ms: u64| UnixMillis(base.0 + ms as i64);
        assert_eq!(Tick::of(base, UnixMillis(i64::MIN)), Tick::PAST);
        assert_eq!(Tick::of(base, UnixMillis(i64::MAX)), Tick::LAST);
        let mut end = 0;
        for tick in (0..=Tick::LAST.0).map(Tick) {
            let (start, width) = (tick.start_ms(), tick.width_ms());
            assert_eq!(start, end, "{tick:?}");
            assert!(width * 8 <= start.max(8), "{tick:?}");
            end = start + width;
            assert_eq!(Tick::of(base, at(start)), tick);
            assert_eq!(Tick::of(base, at(end - 1)), tick);
        }
        assert!(Tick::LAST.start_ms() > 99 * 24 * 3600 * 1000);
    }

    /// Deadlines in buckets, and the time each is looked at.
    fn planned(deadlines: &[i64], entries: usize, grace_ms: u32) -> i64 {
        let now = UnixMillis(0);
        let mut known = Deadlines::new();
        for (bucket, &deadline) in deadlines.iter().enumerate() {
            known.place(bucket, entries, UnixMillis(deadline), now);
        }
        known.plan(entries, Pace { now, grace_ms });
        known.look_at().0
    }

    #[test]
    fn a_look_comes_when_a_share_is_due_or_the_first_has_waited() {
        // Alone: when its tick ends, or its grace.
        assert_eq!(planned(&[2000], 1, 1000), 2048);
        assert_eq!(planned(&[2000], 1000, 64), 1920 + 64);
        assert_eq!(planned(&[5], 1, 64), 6);
        // Of 1000 entries a twentieth is due after that share of the time.
        let spread: Vec<i64> = (1..=1000).map(|n| n * 2).collect();
        let at = planned(&spread, 1000, 1000);
        assert!((95..=110).contains(&at), "{at}");
        assert_eq!(planned(&[], 1000, 64), i64::MAX);
        assert_eq!(planned(&[0], 1000, 64), 0);
    }

    #[test]
    fn a_segment_sleeps_while_no_deadline_is_near() {
        let pace = |now| Pace {
            now: UnixMillis(now),
            grace_ms: 64,
        };
        let hour = UnixMillis(3_600_000);
        let mut known = Deadlines::new();
        known.set(3, (8, 1), hour, pace(0));
        assert!(known.sleeps());
        assert_eq!((known.look_at(), known.bytes()), (hour, 0));
        // A near one has it looked at at once, and has its ticks reckoned.
        known.set(4, (8, 2), UnixMillis(5000), pace(100));
        assert!(known.sleeps());
        assert_eq!(known.look_at().0, 100);
        let deadlines = [
            None,
            None,
            None,
            Some(hour),
            Some(UnixMillis(5000)),
            None,
            None,
            None,
        ];
        known.wake(8, UnixMillis(100), |bucket| deadlines[bucket]);
        known.plan(2, pace(100));
        known.check(8, |bucket| deadlines[bucket]);
        assert_eq!(known.bytes(), 8);
        assert!((4700..5200).contains(&known.look_at().0));
        // Without it, it sleeps again, but not at once: another may follow.
        known.clear(4);
        known.plan(1, pace(5000));
        assert!(!known.sleeps());
        assert_eq!(known.look_at().0, 100 + AWAKE_MS + 1);
        known.plan(1, pace(100 + AWAKE_MS + 1));
        assert!(known.sleeps() && known.look_at() <= hour);
        // Planned again, it goes on sleeping until the same time.
        known.plan(1, pace(100 + AWAKE_MS + 1));
        assert!(known.sleeps() && known.look_at() <= hour);
        known.clear(3);
        known.plan(0, pace(5000));
        assert_eq!((known.look_at(), known.sleeps()), (NEVER, false));
    }
}
