//! When the commands of the open loop are due.
//!
//! The schedule knows nothing of replies: it is fixed by the rate alone, and a command that could not be sent in time keeps its
//! due time. That is what makes the latencies free of coordinated omission (Tene, "How NOT to Measure Latency"): a server that
//! stands still for 100 ms delays everything that was due in these 100 ms, and every one of these delays is counted.

use serde::Serialize;

use super::distribution::Share;
use super::rng::Rng;

/// How due times are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// As the arrivals of many independent clients: exponential gaps.
    Poisson,
}

/// The due times of one thread, in nanoseconds of the run.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    start_ns: u64,
    /// Between two of this thread's commands, on average.
    gap_ns: f64,
    /// How far into the first gap this thread begins, so that threads take turns.
    offset_ns: f64,
    taken: u64,
    /// The next due time, counted from the start.
    next_ns: f64,
    rng: Rng,
}

impl Schedule {
    /// The schedule of the thread `share` of a load of `rate` commands a second that begins at `start_ns`.
    ///
    /// # Panics
    /// When the rate is not above 0.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate: f64, share: Share, start_ns: u64, seed: u64) -> Self {
        assert!(rate > 0.0, "a rate is above 0");
        let apart_ns = 1e9 / rate;
        let mut schedule = Self {
            arrivals,
            start_ns,
            gap_ns: apart_ns * share.count as f64,
            offset_ns: apart_ns * share.index as f64,
            taken: 0,
            next_ns: 0.0,
            rng: Rng::new(seed),
        };
        schedule.next_ns = match arrivals {
            Arrivals::Constant => schedule.offset_ns,
            Arrivals::Poisson => schedule.exponential_gap(),
        };
        schedule
    }

    /// When the next command is due.
    #[inline]
    #[must_use]
    pub fn due_ns(&self) -> u64 {
        self.start_ns + self.next_ns as u64
    }

    /// Goes on by this many commands, which are sent together at the due time of the first.
    pub fn take(&mut self, commands: u64) {
        self.taken += commands;
        match self.arrivals {
            // From the count, not by adding up: the rate stays exact however long the run.
            Arrivals::Constant => {
                self.next_ns = self.offset_ns + self.taken as f64 * self.gap_ns;
            }
            Arrivals::Poisson => {
                for _ in 0..commands {
                    self.next_ns += self.exponential_gap();
                }
            }
        }
    }

    /// How many more commands are due before `end_ns`.
    #[must_use]
    pub fn left_before(mut self, end_ns: u64) -> u64 {
        let mut left = 0;
        while self.due_ns() < end_ns {
            self.take(1);
            left += 1;
        }
        left
    }

    fn exponential_gap(&mut self) -> f64 {
        -self.rng.unit().ln() * self.gap_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_times(arrivals: Arrivals, rate: f64, share: Share, count: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(arrivals, rate, share, 1_000, 3);
        (0..count)
            .map(|_| {
                let due = schedule.due_ns();
                schedule.take(1);
                due
            })
            .collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_from_the_start() {
        let due = due_times(Arrivals::Constant, 1000.0, Share::WHOLE, 4);
        assert_eq!(due, [1_000, 1_001_000, 2_001_000, 3_001_000]);
    }

    #[test]
    fn the_rate_stays_exact_over_many_commands() {
        let schedule = Schedule::new(Arrivals::Constant, 333_333.0, Share::WHOLE, 0, 0);
        let minute = schedule.left_before(60_000_000_000);
        assert!(minute.abs_diff(19_999_980) <= 1, "{minute}");
    }

    #[test]
    fn threads_take_turns_and_together_keep_the_rate() {
        let mut all: Vec<u64> = (0..3)
            .flat_map(|index| due_times(Arrivals::Constant, 3000.0, Share { index, count: 3 }, 100))
            .collect();
        all.sort_unstable();
        let gaps: Vec<u64> = all.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            gaps.iter().all(|gap| (333_332..=333_334).contains(gap)),
            "{gaps:?}"
        );
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() {
        let due = due_times(Arrivals::Poisson, 1000.0, Share::WHOLE, 100_001);
        let gaps: Vec<f64> = due
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean / 1e6 - 1.0).abs() < 0.02, "{mean}");
        let long = gaps.iter().filter(|&&gap| gap > 2e6).count() as f64 / gaps.len() as f64;
        assert!((long - (-2.0f64).exp()).abs() < 0.005, "{long}");
    }

    #[test]
    fn a_group_takes_as_many_places_as_it_has_commands() {
        let mut schedule = Schedule::new(Arrivals::Constant, 1000.0, Share::WHOLE, 0, 0);
        schedule.take(3);
        assert_eq!(schedule.due_ns(), 3_000_000);
        assert_eq!(schedule.left_before(10_000_000), 7);
    }
}
