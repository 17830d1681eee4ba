//! When each node of a spiral is to be looked at: a list of times by number, in pages that know a lower bound of theirs.
//!
//! ```text
//!  page 0  soonest 40   [ 90 | 40 | never | 75 | ... 1024 times ]
//!  page 1  soonest 200  [ 310 | 200 | ...                       ]   passed as a whole until 200
//! ```
//!
//! A page is as long as the highest number in it needs, by and large. A time is set in place; a heap or a wheel of lists would need a
//! place for each number to find it by. The hand walks the pages in turn; at one where something is due it reads all 1024 times, in well under a microsecond, and
//! under load finds many that are. What the numbers stand for does not matter here.

use crate::UnixMillis;

/// No time: later than any.
pub(crate) const NEVER: UnixMillis = UnixMillis(i64::MAX);

/// Times to a page.
const PAGE_TIMES: usize = 1024;
/// Times that a page of so few grows to first.
const PAGE_MIN_TIMES: usize = 16;

#[derive(Clone)]
struct Page {
    /// No time of the page is before this, unless the hand is within it.
    soonest: UnixMillis,
    times: Vec<UnixMillis>,
}

impl Page {
    fn new() -> Self {
        Self {
            soonest: NEVER,
            times: Vec::new(),
        }
    }

    fn bytes(&self) -> usize {
        self.times.capacity() * size_of::<UnixMillis>()
    }

    /// Makes room for a time at this place.
    #[cold]
    fn lengthen(&mut self, place: usize) {
        let times = (place + 1).next_power_of_two().max(PAGE_MIN_TIMES);
        let longer = times - self.times.len();
        self.times.reserve_exact(longer);
        self.times.resize(times, NEVER);
    }
}

/// A time for each number, and a hand that finds those that have come.
#[derive(Clone)]
pub(crate) struct Agenda {
    pages: Vec<Page>,
    /// No time at all is before this.
    soonest: UnixMillis,
    /// The number the hand is at.
    hand: usize,
    /// Bytes of the pages' times.
    times_bytes: usize,
}

impl Agenda {
    pub(crate) fn new() -> Self {
        Self {
            pages: Vec::new(),
            soonest: NEVER,
            hand: 0,
            times_bytes: 0,
        }
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.capacity() * size_of::<Page>() + self.times_bytes
    }

    /// No time is before this.
    #[inline]
    pub(crate) fn soonest(&self) -> UnixMillis {
        self.soonest
    }

    /// Sets the time of `number`. Numbers that never had a time cost nothing.
    pub(crate) fn set(&mut self, number: u32, time: UnixMillis) {
        let (page, place) = (number as usize / PAGE_TIMES, number as usize % PAGE_TIMES);
        if page >= self.pages.len() {
            if time == NEVER {
                return;
            }
            self.pages.resize_with(page + 1, Page::new);
        }
        let page = &mut self.pages[page];
        if place >= page.times.len() {
            if time == NEVER {
                return;
            }
            let bytes = page.bytes();
            page.lengthen(place);
            self.times_bytes += page.bytes() - bytes;
        }
        page.times[place] = time;
        page.soonest = page.soonest.min(time);
        self.soonest = self.soonest.min(time);
    }

    /// The time of `number`.
    pub(crate) fn time(&self, number: u32) -> UnixMillis {
        let page = self.pages.get(number as usize / PAGE_TIMES);
        let time = page.and_then(|page| page.times.get(number as usize % PAGE_TIMES));
        time.copied().unwrap_or(NEVER)
    }

    /// The next number from `from` on, and round, that has a time.
    pub(crate) fn next_with_time(&self, from: u32) -> Option<u32> {
        let (first, place) = (from as usize / PAGE_TIMES, from as usize % PAGE_TIMES);
        // The page that it begins within comes once more, for what is before.
        let round =
            (first..self.pages.len()).chain(0..=first.min(self.pages.len().saturating_sub(1)));
        let mut from_place = place;
        for at in round {
            let from_place = std::mem::take(&mut from_place);
            let page = self.pages.get(at)?;
            if page.soonest == NEVER {
                continue;
            }
            let times = page.times.get(from_place..).unwrap_or_default();
            if let Some(found) = times.iter().position(|&time| time != NEVER) {
                return Some((at * PAGE_TIMES + from_place + found) as u32);
            }
        }
        None
    }

    /// The next number whose time has come, if any; the hand goes on behind it. Adds the pages read to `pages_read`.
    pub(crate) fn next_due(&mut self, now: UnixMillis, pages_read: &mut u32) -> Option<u32> {
        if self.soonest > now {
            return None;
        }
        // One round, which meets the page that the hand is within twice, and the end of the pages once.
        for _ in 0..self.pages.len() + 2 {
            let (at, place) = (self.hand / PAGE_TIMES, self.hand % PAGE_TIMES);
            let Some(page) = self.pages.get_mut(at) else {
                self.hand = 0;
                continue;
            };
            if place > 0 || page.soonest <= now {
                if place == 0 {
                    page.soonest = NEVER;
                    *pages_read += 1;
                }
                let ahead = page.times.get(place..).unwrap_or_default();
                let found = ahead.iter().position(|&time| time <= now);
                let passed = &ahead[..found.unwrap_or(ahead.len())];
                let soonest = passed.iter().min().map_or(NEVER, |&time| time);
                page.soonest = page.soonest.min(soonest);
                if let Some(found) = found {
                    // Its time stands until another is set: were it not looked at, it would be found again.
                    page.soonest = page.soonest.min(page.times[place + found]);
                    let number = self.hand + found;
                    self.hand = number + 1;
                    return Some(number as u32);
                }
            }
            self.hand = (at + 1) * PAGE_TIMES;
        }
        let soonest = self.pages.iter().map(|page| page.soonest).min();
        self.soonest = soonest.unwrap_or(NEVER);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, i64),
        Wait(i64),
        /// Finds so many numbers that are due, and sets each this much later.
        Find(usize, i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..5000u32, 0..2000i64).prop_map(|(number, after)| Step::Set(number, after)),
            (0..300i64).prop_map(Step::Wait),
            (0..20usize, 0..500i64).prop_map(|(count, later)| Step::Find(count, later)),
        ]
    }

    proptest! {
        #[test]
        fn each_number_is_found_when_its_time_has_come_and_not_before(steps in vec(step(), 1..200)) {
            let mut agenda = Agenda::new();
            let mut times = BTreeMap::new();
            let mut now = 0;
            let mut pages = 0;
            for step in steps {
                match step {
                    Step::Set(number, after) => {
                        agenda.set(number, UnixMillis(now + after));
                        times.insert(number, now + after);
                    }
                    Step::Wait(ms) => now += ms,
                    Step::Find(count, later) => for _ in 0..count {
                        let Some(number) = agenda.next_due(UnixMillis(now), &mut pages) else {
                            prop_assert!(times.values().all(|&time| time > now));
                            break;
                        };
                        prop_assert!(times[&number] <= now);
                        agenda.set(number, UnixMillis(now + 1 + later));
                        times.insert(number, now + 1 + later);
                    }
                }
                let soonest = times.values().min().map_or(i64::MAX, |&time| time);
                prop_assert!(agenda.soonest().0 <= soonest);
            }
            now += 10_000;
            for _ in 0..times.len() {
                let number = agenda.next_due(UnixMillis(now), &mut pages).unwrap();
                agenda.set(number, NEVER);
                prop_assert!(times.remove(&number).is_some());
            }
            prop_assert_eq!(agenda.next_due(UnixMillis(now), &mut pages), None);
            prop_assert_eq!(agenda.soonest(), NEVER);
        }
    }

    #[test]
    fn pages_where_nothing_is_due_are_passed() {
        let mut agenda = Agenda::new();
        for number in 0..10_240 {
            agenda.set(number, UnixMillis(1_000_000));
        }
        agenda.set(7000, UnixMillis(5));
        let mut pages = 0;
        assert_eq!(agenda.next_due(UnixMillis(4), &mut pages), None);
        assert_eq!(pages, 0);
        assert_eq!(agenda.next_due(UnixMillis(5), &mut pages), Some(7000));
        assert_eq!(pages, 1);
    }
}
