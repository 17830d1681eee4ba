//! How long each command took, as a distribution: `LATENCY HISTOGRAM` and `INFO latencystats`.
//!
//! As in Redis, nanoseconds from 1 to a second with two significant digits (HdrHistogram). A command's histogram is
//! made when it first runs.

use hdrhistogram::Histogram;

use super::parts::{PartReader, PartWriter};

const MAX_NANOS: u64 = 1_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 2;

/// The distribution of one command's durations.
#[derive(Clone, Debug, Default)]
pub struct Durations(Option<Box<Histogram<u64>>>);

impl Durations {
    /// Takes in `calls` that took `nanos` each; more than a second counts as a second.
    pub fn record(&mut self, calls: u64, nanos: u64) {
        self.made()
            .saturating_record_n(nanos.clamp(1, MAX_NANOS), calls);
    }

    fn made(&mut self) -> &mut Histogram<u64> {
        self.0.get_or_insert_with(|| {
            let made = Histogram::new_with_bounds(1, MAX_NANOS, SIGNIFICANT_DIGITS);
            Box::new(made.expect("the bounds are those of a histogram"))
        })
    }

    /// Number of calls.
    pub fn calls(&self) -> u64 {
        self.0.as_ref().map_or(0, |made| made.len())
    }

    /// The duration, in microseconds, that `percentile` percent of the calls did not exceed.
    pub fn percentile_us(&self, percentile: f64) -> f64 {
        self.0.as_ref().map_or(0.0, |made| {
            made.value_at_quantile(percentile / 100.0) as f64 / 1000.0
        })
    }

    /// Cumulative counts at ever doubled bounds from one microsecond (1024 ns) on, in microseconds; bounds that add
    /// nothing are left out (Redis `fillCommandCDF`).
    pub fn cumulative_us(&self) -> Vec<(u64, u64)> {
        let Some(made) = &self.0 else {
            return Vec::new();
        };
        let mut steps = Vec::new();
        let mut recorded = made.iter_recorded().peekable();
        let (mut bound, mut count) = (1024u64, 0u64);
        while recorded.peek().is_some() {
            let highest = made.highest_equivalent(bound);
            let before = count;
            while let Some(step) = recorded.next_if(|step| step.value_iterated_to() <= highest) {
                count += step.count_at_value();
            }
            if count > before {
                steps.push((highest / 1000, count));
            }
            bound *= 2;
        }
        steps
    }

    /// Appends the distribution to a part.
    pub fn write(&self, part: &mut PartWriter<'_>) {
        let Some(made) = &self.0 else {
            return part.number(0);
        };
        part.number(made.iter_recorded().count() as u64);
        for step in made.iter_recorded() {
            part.number(step.value_iterated_to());
            part.number(step.count_at_value());
        }
    }

    /// Takes in a distribution that [`Self::write`] wrote.
    pub fn merge(&mut self, part: &mut PartReader<'_>) {
        for _ in 0..part.number() {
            let (nanos, calls) = (part.number(), part.number());
            self.record(calls, nanos);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cumulative_distribution_has_a_step_where_calls_were() {
        let mut durations = Durations::default();
        assert!(durations.cumulative_us().is_empty());
        durations.record(3, 500);
        durations.record(2, 1500);
        durations.record(1, 40_000_000_000);
        let steps = durations.cumulative_us();
        assert_eq!(steps[..2], [(1, 3), (2, 5)]);
        assert_eq!(steps.last().unwrap().1, 6);
        assert_eq!(durations.calls(), 6);
    }

    #[test]
    fn distributions_merge_over_cores() {
        let mut left = Durations::default();
        left.record(1, 1000);
        let mut right = Durations::default();
        right.record(99, 2_000_000);
        let mut part = Vec::new();
        right.write(&mut PartWriter(&mut part));
        left.merge(&mut PartReader::new(&part));
        assert_eq!(left.calls(), 100);
        assert!((left.percentile_us(50.0) - 2000.0).abs() < 20.0);
        assert!(left.percentile_us(0.5) < 1.1);
    }
}
