//! Places of elements in an order as commands say them: from the first on, or if they are negative from the last.

use std::ops::Range;

/// Which of `len` elements Redis's `start` and `stop` mean, both inclusive, negative ones counted from the end.
pub(super) fn range_of(start: i64, stop: i64, len: u64) -> Range<u64> {
    let count = i64::try_from(len).unwrap_or(i64::MAX);
    let from_head = |index: i64| match index {
        0.. => index,
        _ => index.saturating_add(count),
    };
    let within = |index: i64| (index.max(0) as u64).min(len);
    let (start, end) = (
        within(from_head(start)),
        within(from_head(stop).saturating_add(1)),
    );
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_either_end() {
        for (start, stop, expected) in [
            (0, -1, 0..5),
            (1, 3, 1..4),
            (-2, -1, 3..5),
            (-100, 1, 0..2),
            (3, 100, 3..5),
            (i64::MIN, i64::MAX, 0..5),
        ] {
            assert_eq!(range_of(start, stop, 5), expected, "{start} {stop}");
        }
        for (start, stop) in [(3, 1), (5, 9), (0, -6), (-1, -2), (i64::MAX, i64::MAX)] {
            assert!(range_of(start, stop, 5).is_empty(), "{start} {stop}");
        }
        assert!(range_of(0, -1, 0).is_empty());
    }
}
