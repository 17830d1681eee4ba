//! What a thread counts: replies, hits, errors, and how long they took.
//!
//! Replies that came together and were due together are recorded as one entry with a count, so a histogram is touched once a
//! command and receive, not once a reply. Histograms hold nanoseconds with three significant digits; one is kept for the second
//! that runs and folded into the sum when it is over.

use hdrhistogram::Histogram;

/// The longest latency that is told apart from longer ones.
const MAX_LATENCY_NS: u64 = 3_600_000_000_000;

/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// A second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// An empty histogram of nanoseconds, alike for all.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_LATENCY_NS, DIGITS)
        .expect("the bounds are constants that fit")
}

/// The count of a command, by its label.
#[derive(Clone, Debug)]
pub struct CommandCount {
    /// Replies, errors among them.
    pub operations: u64,
    /// Replies that were errors.
    pub errors: u64,
    /// Values read.
    pub hits: u64,
    /// Nils read.
    pub misses: u64,
    /// Latencies in nanoseconds.
    pub latency_ns: Histogram<u64>,
}

impl CommandCount {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            operations: 0,
            errors: 0,
            hits: 0,
            misses: 0,
            latency_ns: histogram(),
        }
    }

    /// Adds another thread's.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.errors += other.errors;
        self.hits += other.hits;
        self.misses += other.misses;
        add(&mut self.latency_ns, &other.latency_ns);
    }
}

impl Default for CommandCount {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds up histograms.
pub fn add(sum: &mut Histogram<u64>, other: &Histogram<u64>) {
    sum.add(other).expect("all histograms have the same bounds");
}

/// What one thread saw in one second.
#[derive(Clone, Debug)]
pub struct Second {
    /// From 0, since the phase began.
    pub index: u64,
    /// Errors in it.
    pub errors: u64,
    /// Hits.
    pub hits: u64,
    /// Misses.
    pub misses: u64,
    /// The latencies of all commands that count; their number is the operations.
    pub latency_ns: Histogram<u64>,
}

/// A command's count and what is not yet in it.
#[derive(Clone, Debug)]
struct Tally {
    count: CommandCount,
    /// The latencies of the second that runs.
    second: Histogram<u64>,
    /// Replies of the batch in hand.
    batch: u64,
    /// The counters when the second began.
    before: (u64, u64, u64),
}

/// Counts for one thread and one phase.
#[derive(Debug)]
pub struct Recorder {
    tallies: Vec<Tally>,
    /// Only this label goes into the seconds, where one is the headline.
    headline: Option<usize>,
    /// When the replies of the batch in hand were due.
    batch_due_ns: u64,
    start_ns: u64,
    second: u64,
}

impl Recorder {
    /// A recorder of a phase that begins at `start_ns`.
    #[must_use]
    pub fn new(labels: usize, headline: Option<usize>, start_ns: u64) -> Self {
        let tally = Tally {
            count: CommandCount::new(),
            second: histogram(),
            batch: 0,
            before: (0, 0, 0),
        };
        Self {
            tallies: vec![tally; labels],
            headline,
            batch_due_ns: 0,
            start_ns,
            second: 0,
        }
    }

    /// A reply has come, `now_ns`, to a command that was due at `due_ns`. [`Recorder::flush`] must follow before the clock is
    /// read again.
    #[inline]
    pub fn answered(&mut self, label: usize, due_ns: u64, now_ns: u64) {
        if due_ns != self.batch_due_ns {
            self.flush(now_ns);
            self.batch_due_ns = due_ns;
        }
        self.tallies[label].batch += 1;
    }

    /// Records the batch in hand.
    #[inline]
    pub fn flush(&mut self, now_ns: u64) {
        let latency_ns = now_ns.saturating_sub(self.batch_due_ns).max(1);
        for tally in &mut self.tallies {
            if tally.batch > 0 {
                tally.count.operations += tally.batch;
                tally.second.saturating_record_n(latency_ns, tally.batch);
                tally.batch = 0;
            }
        }
    }

    /// The reply was an error.
    pub fn error(&mut self, label: usize) {
        self.tallies[label].count.errors += 1;
    }

    /// The reply read something.
    #[inline]
    pub fn read(&mut self, label: usize, hits: u32, misses: u32) {
        let count = &mut self.tallies[label].count;
        count.hits += u64::from(hits);
        count.misses += u64::from(misses);
    }

    /// When the second that runs is over.
    #[must_use]
    pub fn second_ends_ns(&self) -> u64 {
        self.start_ns + (self.second + 1) * SECOND_NS
    }

    /// Ends the second that runs; the next one is that in which `now_ns` lies.
    pub fn end_second(&mut self, now_ns: u64) -> Second {
        let mut ended = Second {
            index: self.second,
            errors: 0,
            hits: 0,
            misses: 0,
            latency_ns: histogram(),
        };
        for (label, tally) in self.tallies.iter_mut().enumerate() {
            let now = (tally.count.errors, tally.count.hits, tally.count.misses);
            ended.errors += now.0 - tally.before.0;
            ended.hits += now.1 - tally.before.1;
            ended.misses += now.2 - tally.before.2;
            tally.before = now;
            add(&mut tally.count.latency_ns, &tally.second);
            if self.headline.is_none_or(|headline| headline == label) {
                add(&mut ended.latency_ns, &tally.second);
            }
            tally.second.reset();
        }
        self.second = now_ns.saturating_sub(self.start_ns) / SECOND_NS;
        ended
    }

    /// The counts, by label; the last second must have been ended.
    #[must_use]
    pub fn into_counts(self) -> Vec<CommandCount> {
        self.tallies.into_iter().map(|tally| tally.count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_one_batch_are_recorded_with_their_own_due_times() {
        let mut recorder = Recorder::new(2, None, 0);
        for (label, due) in [(0, 100), (1, 100), (0, 100), (0, 600)] {
            recorder.answered(label, due, 1100);
        }
        recorder.flush(1100);
        recorder.read(0, 2, 1);
        recorder.error(1);
        recorder.end_second(2000);
        let counts = recorder.into_counts();
        assert_eq!(
            (counts[0].operations, counts[0].hits, counts[0].misses),
            (3, 2, 1)
        );
        assert_eq!((counts[1].operations, counts[1].errors), (1, 1));
        let latencies = &counts[0].latency_ns;
        assert_eq!((latencies.count_at(1000), latencies.count_at(500)), (2, 1));
    }

    #[test]
    fn seconds_hold_what_came_in_them_and_add_up() {
        let mut recorder = Recorder::new(1, None, 0);
        assert_eq!(recorder.second_ends_ns(), SECOND_NS);
        recorder.answered(0, 5, 10);
        recorder.flush(10);
        recorder.read(0, 1, 0);
        let first = recorder.end_second(3 * SECOND_NS + 1);
        assert_eq!((first.index, first.latency_ns.len(), first.hits), (0, 1, 1));
        recorder.answered(0, 5, 20);
        recorder.flush(20);
        let fourth = recorder.end_second(4 * SECOND_NS);
        assert_eq!(
            (fourth.index, fourth.latency_ns.len(), fourth.hits),
            (3, 1, 0)
        );
        assert_eq!(recorder.into_counts()[0].latency_ns.len(), 2);
    }

    #[test]
    fn only_the_headline_counts_in_the_seconds_where_there_is_one() {
        let mut recorder = Recorder::new(2, Some(1), 0);
        recorder.answered(0, 5, 10);
        recorder.answered(1, 5, 10);
        recorder.flush(10);
        assert_eq!(recorder.end_second(SECOND_NS).latency_ns.len(), 1);
        assert_eq!(recorder.into_counts()[0].latency_ns.len(), 1);
    }
}
