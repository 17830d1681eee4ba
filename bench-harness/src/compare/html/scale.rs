//! Mappings from values to pixels, and the values worth a tick.

/// A mapping of a logarithmic range to pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Log {
    /// Maps `low..high` (both above zero) to `from..to`; an empty range is widened by a tenth on both sides.
    pub(super) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let low = low.max(f64::MIN_POSITIVE);
        let (low, high) = if high > low {
            (low, high)
        } else {
            (low / 1.1, low * 1.1)
        };
        Self {
            low,
            high,
            from,
            to,
        }
    }

    /// Where `value` lies.
    pub(super) fn at(&self, value: f64) -> f64 {
        let part = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        self.from + part.min(1.0) * (self.to - self.from)
    }

    /// From about three to eight values in the range: of each factor of ten 1, 2 and 5, or 1 alone where those were too many.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = match decades {
            decades if decades > 2.6 => &[1.0],
            decades if decades > 0.75 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0],
        };
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let all = (first..=last)
            .flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
        all.filter(|tick| (self.low * 0.9999..=self.high * 1.0001).contains(tick))
            .collect()
    }
}

/// A mapping of quantiles to pixels in which every factor of ten of what is left above is as wide: 90%, 99%, 99.9%, …
#[derive(Clone, Copy, Debug)]
pub(super) struct Percentiles {
    decades: f64,
    from: f64,
    to: f64,
}

impl Percentiles {
    /// Maps 0% up to `last` (in per cent, below 100) to `from..to`.
    pub(super) fn new(last: f64, (from, to): (f64, f64)) -> Self {
        Self {
            decades: Self::decades(last).max(1.0),
            from,
            to,
        }
    }

    /// How many factors of ten `percentile` leaves.
    fn decades(percentile: f64) -> f64 {
        -(1.0 - percentile / 100.0).max(1e-9).log10()
    }

    /// Where `percentile` lies.
    pub(super) fn at(&self, percentile: f64) -> f64 {
        let part = (Self::decades(percentile) / self.decades).min(1.0);
        self.from + part * (self.to - self.from)
    }

    /// The percentiles with a tick, and what stands beneath.
    pub(super) fn ticks(&self) -> Vec<(f64, &'static str)> {
        const ALL: [(f64, &str); 7] = [
            (50.0, "50"),
            (90.0, "90"),
            (99.0, "99"),
            (99.9, "99.9"),
            (99.99, "99.99"),
            (99.999, "99.999"),
            (99.9999, "99.9999"),
        ];
        let within =
            |(percentile, _): &(f64, &str)| Self::decades(*percentile) <= self.decades * 1.001;
        ALL.into_iter().filter(within).collect()
    }
}

/// Moves labels apart that would overlap: each keeps its order and as near its wish as a distance of `gap` and the bounds
/// `low..high` allow.
pub(super) fn spread(wishes: &[f64], gap: f64, (low, high): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wishes.len()).collect();
    order.sort_by(|a, b| wishes[*a].total_cmp(&wishes[*b]));
    let mut places = wishes.to_vec();
    let mut least = low;
    for index in &order {
        places[*index] = places[*index].max(least);
        least = places[*index] + gap;
    }
    let mut most = high;
    for index in order.iter().rev() {
        places[*index] = places[*index].min(most);
        most = places[*index] - gap;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_scale_gives_equal_factors_equal_room() {
        let scale = Log::new((1.0, 100.0), (0.0, 200.0));
        assert_eq!(
            [1.0, 10.0, 100.0, 0.5, 1e9].map(|value| scale.at(value).round()),
            [0.0, 100.0, 200.0, 0.0, 200.0]
        );
        assert_eq!(scale.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert_eq!(
            Log::new((50.0, 200_000.0), (0.0, 1.0)).ticks(),
            [100.0, 1_000.0, 10_000.0, 100_000.0]
        );
        let flat = Log::new((5.0, 5.0), (0.0, 10.0));
        assert!((flat.at(5.0) - 5.0).abs() < 0.1 && !flat.ticks().is_empty());
    }

    #[test]
    fn percentiles_get_room_by_what_is_left_above() {
        let scale = Percentiles::new(99.99, (0.0, 400.0));
        assert_eq!(
            [0.0, 90.0, 99.0, 99.99].map(|percentile| scale.at(percentile).round()),
            [0.0, 100.0, 200.0, 400.0]
        );
        assert_eq!(scale.ticks().len(), 5);
        assert_eq!(Percentiles::new(10.0, (0.0, 1.0)).ticks().len(), 2);
    }

    #[test]
    fn labels_are_moved_apart() {
        assert_eq!(
            spread(&[10.0, 11.0, 50.0], 10.0, (0.0, 100.0)),
            [10.0, 20.0, 50.0]
        );
        assert_eq!(spread(&[99.0, 98.0], 10.0, (0.0, 100.0)), [100.0, 90.0]);
        assert!(spread(&[], 1.0, (0.0, 1.0)).is_empty());
    }
}
