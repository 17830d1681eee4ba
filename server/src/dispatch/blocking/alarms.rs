//! Who that waits for keys is to look again at a time, though none is written.

use std::collections::{BTreeSet, HashMap};

use crate::session::WaitNumber;

/// Waits, and when each is to look again, in milliseconds of the monotonic clock: at most one time for each.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Alarms {
    times: BTreeSet<(u64, WaitNumber)>,
    of_wait: HashMap<WaitNumber, u64>,
}

impl Alarms {
    /// A wait is to look again then, and at no other time; `None`: at none.
    pub(in crate::dispatch) fn set(&mut self, number: WaitNumber, time_ms: Option<u64>) {
        if self.of_wait.is_empty() && time_ms.is_none() {
            return;
        }
        if let Some(before) = self.of_wait.remove(&number) {
            self.times.remove(&(before, number));
        }
        if let Some(time_ms) = time_ms {
            self.of_wait.insert(number, time_ms);
            self.times.insert((time_ms, number));
        }
    }

    /// The next time.
    #[inline]
    pub(in crate::dispatch) fn next(&self) -> Option<u64> {
        self.times.first().map(|(time_ms, _)| *time_ms)
    }

    /// A wait whose time has come; it has none then.
    pub(in crate::dispatch) fn take_due(&mut self, now_ms: u64) -> Option<WaitNumber> {
        let &(time_ms, number) = self
            .times
            .first()
            .filter(|(time_ms, _)| *time_ms <= now_ms)?;
        self.times.remove(&(time_ms, number));
        self.of_wait.remove(&number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_has_one_time_and_those_due_come_in_order() {
        let mut alarms = Alarms::default();
        for (number, time) in [(1, 50), (2, 30), (1, 20), (3, 40), (3, 90), (2, 25)] {
            alarms.set(WaitNumber(number), Some(time));
        }
        alarms.set(WaitNumber(4), Some(1));
        alarms.set(WaitNumber(4), None);
        assert_eq!(alarms.next(), Some(20));
        let due = std::iter::from_fn(|| alarms.take_due(60));
        assert_eq!(due.collect::<Vec<_>>(), [WaitNumber(1), WaitNumber(2)]);
        assert_eq!((alarms.next(), alarms.take_due(89)), (Some(90), None));
    }
}
