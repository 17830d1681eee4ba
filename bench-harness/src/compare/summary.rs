//! Medians and spread of the rounds, ratios to the baseline, latencies of all rounds together.
//!
//! A ratio is taken within each round and then the median of those: what slows the whole machine for a while slows both
//! sides of a round. Latencies come from the sum of the rounds' histograms, so that a percentile is that of all requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde::{Deserialize, Serialize};

use super::results::{HitRatioRound, MemoryRound, Round};
use crate::report::Latency;

/// Median and range of some rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of `values`; `None` of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, low, high })
    }

    /// Whether `value` lies within the range.
    pub(crate) fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// What a server made of a throughput case.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) ops_per_second: Spread,
    pub(crate) cpu_us_per_op: Spread,
    /// Throughput by the baseline's; none where the baseline took no part.
    pub(crate) throughput_ratio: Option<Spread>,
    /// CPU per operation by the baseline's.
    pub(crate) cpu_ratio: Option<Spread>,
    /// Median latency and 99th percentile of each round.
    pub(crate) p50_us: Spread,
    pub(crate) p99_us: Spread,
    /// 99th percentile by the baseline's.
    pub(crate) p99_ratio: Option<Spread>,
    /// Of all rounds together.
    pub(crate) latency_us: Latency,
    /// Percentile and microseconds, of all rounds together.
    pub(crate) latency_curve: Vec<(f64, f64)>,
    pub(crate) server_cores: Spread,
    pub(crate) load_cores: Spread,
    pub(crate) resident_bytes: Spread,
    /// None without reads.
    pub(crate) hit_ratio: Option<f64>,
}

/// What a server made of a memory case.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MemorySummary {
    pub(crate) empty_bytes: Spread,
    pub(crate) full_bytes: Spread,
    pub(crate) bytes_per_key: Spread,
    pub(crate) overhead_per_key: Spread,
}

/// What a server made of a hit-ratio case.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HitRatioSummary {
    pub(crate) hit_ratio: Spread,
    pub(crate) resident_bytes: Spread,
    pub(crate) keys: Spread,
}

/// Why rounds cannot be summed up: a histogram that cannot be read.
#[derive(Debug)]
pub(crate) struct BadHistogram(pub(crate) String);

impl Summary {
    /// Of `rounds`, at least one, against the baseline's where it took part.
    ///
    /// # Errors
    /// A histogram that cannot be read.
    pub(crate) fn of(rounds: &[Round], baseline: Option<&[Round]>) -> Result<Self, BadHistogram> {
        let spread = |value: fn(&Round) -> f64| {
            Spread::of(rounds.iter().map(value)).expect("a case has at least one round")
        };
        let ratio = |value: fn(&Round) -> f64| ratio(rounds, baseline?, value);
        let latencies = sum_histograms(rounds)?;
        let (hits, misses) = rounds.iter().fold((0, 0), |(hits, misses), round| {
            (
                hits + round.load.totals.hits,
                misses + round.load.totals.misses,
            )
        });
        Ok(Self {
            ops_per_second: spread(|round| round.load.totals.ops_per_second),
            cpu_us_per_op: spread(|round| round.cpu_us_per_op),
            throughput_ratio: ratio(|round| round.load.totals.ops_per_second),
            cpu_ratio: ratio(|round| round.cpu_us_per_op),
            p50_us: spread(|round| round.load.latency_us.p50),
            p99_us: spread(|round| round.load.latency_us.p99),
            p99_ratio: ratio(|round| round.load.latency_us.p99),
            latency_us: latency(&latencies),
            latency_curve: curve(&latencies),
            server_cores: spread(|round| round.server_cores),
            load_cores: spread(|round| round.load_cores),
            resident_bytes: spread(|round| round.resident_bytes as f64),
            hit_ratio: (hits + misses > 0).then(|| hits as f64 / (hits + misses) as f64),
        })
    }
}

impl MemorySummary {
    /// Of `rounds`, at least one.
    pub(crate) fn of(rounds: &[MemoryRound]) -> Self {
        let spread = |value: fn(&MemoryRound) -> f64| {
            Spread::of(rounds.iter().map(value)).expect("a case has at least one round")
        };
        Self {
            empty_bytes: spread(|round| round.empty_bytes as f64),
            full_bytes: spread(|round| round.full_bytes as f64),
            bytes_per_key: spread(|round| round.bytes_per_key),
            overhead_per_key: spread(|round| round.overhead_per_key),
        }
    }
}

impl HitRatioSummary {
    /// Of `rounds`, at least one.
    pub(crate) fn of(rounds: &[HitRatioRound]) -> Self {
        let spread = |value: fn(&HitRatioRound) -> f64| {
            Spread::of(rounds.iter().map(value)).expect("a case has at least one round")
        };
        Self {
            hit_ratio: spread(|round| round.hit_ratio),
            resident_bytes: spread(|round| round.resident_bytes as f64),
            keys: spread(|round| round.keys as f64),
        }
    }
}

/// The ratios of `value` within each round that both have.
fn ratio(rounds: &[Round], baseline: &[Round], value: fn(&Round) -> f64) -> Option<Spread> {
    let ratios = rounds.iter().filter_map(|mine| {
        let theirs = baseline.iter().find(|theirs| theirs.round == mine.round)?;
        let ratio = value(mine) / value(theirs);
        ratio.is_finite().then_some(ratio)
    });
    Spread::of(ratios)
}

/// The geometric mean, which is that of ratios; `None` of none.
pub(crate) fn geometric_mean(ratios: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = ratios
        .into_iter()
        .fold((0.0, 0_u32), |(sum, count), ratio| {
            (sum + ratio.ln(), count + 1)
        });
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

/// The load's histograms hold nanoseconds; reports speak of microseconds.
const NANOS_PER_MICRO: f64 = 1000.0;
/// Significant digits of the sum.
const DIGITS: u8 = 3;

fn sum_histograms(rounds: &[Round]) -> Result<Histogram<u64>, BadHistogram> {
    let bad =
        |error: &dyn std::fmt::Display| BadHistogram(format!("histogram of the load: {error}"));
    let mut sum = Histogram::<u64>::new(DIGITS).map_err(|error| bad(&error))?;
    for round in rounds {
        let bytes = STANDARD
            .decode(&round.load.histogram_v2_base64)
            .map_err(|error| bad(&error))?;
        let one: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| bad(&error))?;
        sum.add(one).map_err(|error| bad(&error))?;
    }
    Ok(sum)
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / NANOS_PER_MICRO;
    Latency {
        mean: histogram.mean() / NANOS_PER_MICRO,
        min: histogram.min() as f64 / NANOS_PER_MICRO,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        p99_99: at(0.9999),
        max: histogram.max() as f64 / NANOS_PER_MICRO,
    }
}

/// Points of a curve per factor of ten of what is left above the percentile.
const POINTS_PER_DECADE: u32 = 16;

/// Percentile and microseconds, evenly spaced on an axis of `-log10(1 - quantile)`, up to where ten requests are left:
/// beyond that a point is the luck of single requests.
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let decades = ((histogram.len() as f64) / 10.0).log10().max(0.0);
    let points = (decades * f64::from(POINTS_PER_DECADE)).floor() as u32;
    let quantile = |point: u32| 1.0 - 10_f64.powf(-f64::from(point) / f64::from(POINTS_PER_DECADE));
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / NANOS_PER_MICRO;
    (0..=points)
        .map(quantile)
        .map(|quantile| (quantile * 100.0, at(quantile)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::testing::round;

    #[test]
    fn a_spread_is_median_and_range() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.low, spread.high), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
        assert!(spread.contains(1.5) && !spread.contains(3.5));
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // The machine is twice as slow in the second round: the ratio is 2 all the same.
        let fast = [round(0, 100.0, 1.0, &[10]), round(1, 50.0, 2.0, &[10])];
        let slow = [round(0, 50.0, 2.0, &[10]), round(1, 25.0, 4.0, &[10])];
        let summary = Summary::of(&slow, Some(&fast)).unwrap();
        let cpu = summary.cpu_ratio.unwrap();
        assert_eq!((cpu.median, cpu.low, cpu.high), (2.0, 2.0, 2.0));
        assert_eq!(summary.throughput_ratio.unwrap().median, 0.5);
        assert_eq!(Summary::of(&slow, None).unwrap().cpu_ratio, None);
        let only_second = &fast[1..];
        assert_eq!(
            Summary::of(&slow, Some(only_second))
                .unwrap()
                .cpu_ratio
                .unwrap()
                .low,
            2.0
        );
    }

    #[test]
    fn latencies_are_those_of_all_rounds_together() {
        let mut many = vec![100_u64; 9_990];
        many.extend([5_000; 10]);
        let rounds = [
            round(0, 1.0, 1.0, &many),
            round(1, 1.0, 1.0, &[100; 10_000]),
        ];
        let summary = Summary::of(&rounds, None).unwrap();
        let near = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 0.002;
        assert!(near(summary.latency_us.p50, 100.0) && near(summary.latency_us.max, 5000.0));
        // 10 of 20,000 are slow: seen past 99.95%, which no median of the rounds' percentiles would show.
        assert!(near(summary.latency_us.p99_9, 100.0) && near(summary.latency_us.p99_99, 5000.0));
        let (first, last) = (
            summary.latency_curve[0],
            *summary.latency_curve.last().unwrap(),
        );
        assert!(
            first.0.abs() < 1e-9 && (99.9..100.0).contains(&last.0),
            "{first:?} {last:?}"
        );
        assert!(
            summary
                .latency_curve
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1)
        );
    }

    #[test]
    fn a_broken_histogram_is_an_error() {
        let mut broken = round(0, 1.0, 1.0, &[1]);
        broken.load.histogram_v2_base64 = "AAAA".to_owned();
        assert!(Summary::of(&[broken], None).is_err());
    }

    #[test]
    fn the_mean_of_ratios_is_geometric() {
        assert!((geometric_mean([2.0, 0.5]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean([]), None);
    }
}
