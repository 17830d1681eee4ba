//! How long each command took, as a distribution: `LATENCY HISTOGRAM` and `INFO latencystats`.
//!
//! As in Redis, nanoseconds from 1 to a second with two significant digits (HdrHistogram). A command's counts are made
//! when it first runs. They lie as that library's do, and are added to here, which every turn does; to be read they are
//! handed to the library.

use hdrhistogram::Histogram;

use super::parts::{PartReader, PartWriter};

const MAX_NANOS: u64 = 1_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 2;
/// Nanoseconds below this have a count each. Above it each power of two has half as many counts: what is counted together
/// differs by less than a hundredth.
const EXACT: u64 = 256;
/// Counts up to that of [`MAX_NANOS`].
const COUNTS: usize = place_of(MAX_NANOS) + 1;

/// The distribution of one command's durations.
#[derive(Clone, Debug, Default)]
pub struct Durations(Option<Box<[u64; COUNTS]>>);

/// Which count is that of `nanos`: the highest eight bits, behind those of the powers of two below.
#[inline]
const fn place_of(nanos: u64) -> usize {
    let dropped_bits = EXACT.leading_zeros() + 1 - (nanos | (EXACT - 1)).leading_zeros();
    (dropped_bits as u64 * (EXACT / 2) + (nanos >> dropped_bits)) as usize
}

/// The least nanoseconds that `place` counts.
fn least_at(place: usize) -> u64 {
    let (place, half) = (place as u64, EXACT / 2);
    let dropped_bits = (place / half).saturating_sub(1);
    (place - dropped_bits * half) << dropped_bits
}

impl Durations {
    /// Takes in `calls` that took `nanos` each; more than a second counts as a second.
    #[inline]
    pub fn record(&mut self, calls: u64, nanos: u64) {
        let counts = self.0.get_or_insert_with(|| Box::new([0; COUNTS]));
        counts[place_of(nanos.clamp(1, MAX_NANOS))] += calls;
    }

    /// The same distribution, to be read.
    fn made(&self) -> Option<Histogram<u64>> {
        let counts = self.0.as_ref()?;
        let mut made = Histogram::new_with_bounds(1, MAX_NANOS, SIGNIFICANT_DIGITS)
            .expect("the bounds are those of a histogram");
        for (place, &calls) in counts.iter().enumerate().filter(|(_, calls)| **calls > 0) {
            made.saturating_record_n(least_at(place), calls);
        }
        Some(made)
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Number of calls.
    pub fn calls(&self) -> u64 {
        self.0.as_ref().map_or(0, |counts| counts.iter().sum())
    }

    /// For each of `percentiles`, the duration, in microseconds, that so many percent of the calls did not exceed.
    pub fn percentiles_us(&self, percentiles: &[f64]) -> Vec<f64> {
        let made = self.made();
        let us = |percentile: &f64| {
            made.as_ref().map_or(0.0, |made| {
                made.value_at_quantile(percentile / 100.0) as f64 / 1000.0
            })
        };
        percentiles.iter().map(us).collect()
    }

    /// Cumulative counts at ever doubled bounds from one microsecond (1024 ns) on, in microseconds; bounds that add
    /// nothing are left out (Redis `fillCommandCDF`).
    pub fn cumulative_us(&self) -> Vec<(u64, u64)> {
        let Some(made) = self.made() else {
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

    /// Appends the distribution to a part: the places of its counts, one higher, with the counts, then a zero.
    pub fn write(&self, part: &mut PartWriter<'_>) {
        let counts = self.0.iter().flat_map(|counts| counts.iter().enumerate());
        for (place, &calls) in counts.filter(|(_, calls)| **calls > 0) {
            part.number(1 + place as u64);
            part.number(calls);
        }
        part.number(0);
    }

    /// Takes in a distribution that [`Self::write`] wrote.
    pub fn merge(&mut self, part: &mut PartReader<'_>) {
        while let Some(place) = part.number().checked_sub(1) {
            let counts = self.0.get_or_insert_with(|| Box::new([0; COUNTS]));
            counts[place as usize] += part.number();
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
    fn what_is_counted_together_is_what_the_library_counts_together() {
        let library = Histogram::<u64>::new_with_bounds(1, MAX_NANOS, SIGNIFICANT_DIGITS).unwrap();
        let near_powers = (0..30).flat_map(|bits| (1 << bits) - 1..=(1 << bits) + 1);
        let spread = (0..30_000).map(|step| (1.0007f64.powi(step)) as u64);
        for nanos in near_powers.chain(spread).chain([MAX_NANOS]) {
            let nanos = nanos.clamp(1, MAX_NANOS);
            let least = least_at(place_of(nanos)).max(1);
            assert_eq!(least, library.lowest_equivalent(nanos).max(1), "{nanos}");
            let beyond = library.next_non_equivalent(nanos).min(MAX_NANOS);
            assert!(
                place_of(beyond) > place_of(nanos) || beyond == MAX_NANOS,
                "{nanos}"
            );
        }
    }

    #[test]
    fn distributions_merge_over_cores() {
        let mut left = Durations::default();
        left.record(1, 1000);
        let mut right = Durations::default();
        right.record(99, 2_000_000);
        let mut part = Vec::new();
        right.write(&mut PartWriter(&mut part));
        let mut reader = PartReader::new(&part);
        left.merge(&mut reader);
        assert!(reader.is_at_end());
        assert_eq!(left.calls(), 100);
        let mut none = Vec::new();
        Durations::default().write(&mut PartWriter(&mut none));
        let mut merged = Durations::default();
        merged.merge(&mut PartReader::new(&none));
        assert!(merged.is_empty());
        let percentiles = left.percentiles_us(&[50.0, 0.5]);
        assert!((percentiles[0] - 2000.0).abs() < 20.0);
        assert!(percentiles[1] < 1.1);
    }
}
