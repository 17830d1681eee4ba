//! Scores as they lie in a run: each as its distance from a base, in as few bytes as the farthest needs.
//!
//! ```text
//!  way         what lies there, so many bytes each                    written before them
//!  Whole       the score itself: a whole number, not below zero
//!  WholeFrom   how far the whole number is from the base              the base, 8
//!  Order       how far its place in the order of all doubles is       the base, 8, and the shift, 1
//!              from the base, without the zeros that all end in
//!  Bits        the eight bytes of the double
//! ```
//! Neighbours in a sorted set differ little, so the distances are short: a byte for consecutive numbers, five of a million random
//! ones; none where all are alike. `Bits` are for what is too far apart, and for a negative zero, which equals zero in the order and is
//! yet to be told from it.

/// Whole numbers up to here, either way, are doubles, and so are all between.
const WHOLE_MAX: i64 = 1 << 53;

/// How the scores of a run are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Whole,
    WholeFrom(i64),
    Order { base: u64, shift: u8 },
    Bits,
}

/// A way, and how many bytes a score has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) way: Way,
    pub(super) width: usize,
}

/// The score as a whole number, if it is one.
#[inline(always)]
fn whole(score: f64) -> Option<i64> {
    let number = score as i64;
    let is = number as f64 == score
        && (-WHOLE_MAX..=WHOLE_MAX).contains(&number)
        && (number != 0 || score.is_sign_positive());
    is.then_some(number)
}

/// Where a score stands among all doubles.
#[inline(always)]
fn place(score: f64) -> u64 {
    let bits = score.to_bits();
    match bits >> 63 {
        0 => bits | 1 << 63,
        _ => !bits,
    }
}

/// The score at this place.
#[inline(always)]
fn at_place(place: u64) -> f64 {
    f64::from_bits(match place >> 63 {
        0 => !place,
        _ => place & !(1 << 63),
    })
}

/// Bytes that a number needs.
#[inline(always)]
fn bytes_of(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()).div_ceil(8) as usize
}

/// The smallest number that does not fit so many bytes, less one.
#[inline(always)]
fn most_of(width: usize) -> u64 {
    match width {
        0 => 0,
        _ => u64::MAX >> (64 - 8 * width as u32),
    }
}

impl Scale {
    /// The scale of no scores.
    pub(super) const EMPTY: Self = Self {
        way: Way::Whole,
        width: 0,
    };

    /// The shortest way to write these.
    pub(super) fn of(scores: impl ExactSizeIterator<Item = f64> + Clone) -> Self {
        let count = scores.len();
        if count == 0 {
            return Self::EMPTY;
        }
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for score in scores.clone() {
            let Some(number) = whole(score) else {
                return Self::of_fractions(scores);
            };
            (low, high) = (low.min(number), high.max(number));
        }
        let from_base = Self {
            way: Way::WholeFrom(low),
            width: bytes_of((high - low) as u64),
        };
        let from_zero = Self {
            way: Way::Whole,
            width: bytes_of(high.max(0) as u64),
        };
        match low >= 0 && from_zero.bytes(count) <= from_base.bytes(count) {
            true => from_zero,
            false => from_base,
        }
    }

    fn of_fractions(scores: impl Iterator<Item = f64> + Clone) -> Self {
        let bits = Self {
            way: Way::Bits,
            width: 8,
        };
        let (mut low, mut high) = (u64::MAX, 0);
        for score in scores.clone() {
            if score == 0.0 && score.is_sign_negative() {
                return bits;
            }
            (low, high) = (low.min(place(score)), high.max(place(score)));
        }
        let differing = scores.fold(0, |bits, score| bits | (place(score) - low));
        let shift = match differing {
            0 => 0,
            _ => differing.trailing_zeros() as u8,
        };
        let width = bytes_of((high - low) >> shift);
        match width {
            8 => bits,
            _ => Self {
                way: Way::Order { base: low, shift },
                width,
            },
        }
    }

    /// Bytes of what is written before the scores.
    #[inline(always)]
    pub(super) fn head_bytes(&self) -> usize {
        match self.way {
            Way::Whole | Way::Bits => 0,
            Way::WholeFrom(_) => 8,
            Way::Order { .. } => 9,
        }
    }

    /// Bytes of so many scores and what is before them.
    #[inline(always)]
    pub(super) fn bytes(&self, count: usize) -> usize {
        self.head_bytes() + count * self.width
    }

    /// The way and the width as five bits.
    pub(super) fn code(&self) -> u8 {
        let way = match self.way {
            Way::Whole => 0,
            Way::WholeFrom(_) => 1,
            Way::Order { .. } => 2,
            Way::Bits => 3,
        };
        way | (self.width as u8) << 2
    }

    pub(super) fn write_head(&self, to: &mut [u8]) {
        match self.way {
            Way::Whole | Way::Bits => {}
            Way::WholeFrom(base) => to[..8].copy_from_slice(&base.to_le_bytes()),
            Way::Order { base, shift } => {
                to[..8].copy_from_slice(&base.to_le_bytes());
                to[8] = shift;
            }
        }
    }

    /// The scale with this code and this head.
    #[inline(always)]
    pub(super) fn read(code: u8, head: &[u8]) -> Self {
        let base = || u64::from_le_bytes(*head.first_chunk().expect("a base"));
        let way = match code & 3 {
            0 => Way::Whole,
            1 => Way::WholeFrom(base() as i64),
            2 => Way::Order {
                base: base(),
                shift: head[8],
            },
            _ => Way::Bits,
        };
        let width = usize::from(code >> 2 & 0xF);
        Self { way, width }
    }

    /// What lies there for a score; `None` if this is no scale for it.
    #[inline(always)]
    pub(super) fn encode(&self, score: f64) -> Option<u64> {
        let distance = match self.way {
            Way::Whole => whole(score).and_then(|number| u64::try_from(number).ok())?,
            Way::WholeFrom(base) => {
                let number = whole(score)?;
                (number >= base).then(|| (number - base) as u64)?
            }
            Way::Order { base, shift } => {
                let is_negative_zero = score == 0.0 && score.is_sign_negative();
                let distance = place(score).checked_sub(base)?;
                let is = !is_negative_zero && distance & ((1 << shift) - 1) == 0;
                is.then_some(distance >> shift)?
            }
            Way::Bits => score.to_bits(),
        };
        (distance <= most_of(self.width)).then_some(distance)
    }

    /// Where a score stands among what lies there: what is below the first number is of a lower score, what is at the second or
    /// above of a higher one, and what is between of this one. `None` if that is no matter of what lies there.
    #[inline(always)]
    pub(super) fn bounds(&self, score: f64) -> Option<(u64, u64)> {
        let of_whole = |base: i64| {
            // What is beyond the numbers that lie there is beyond them all.
            let low = (score.ceil() as i64).saturating_sub(base).max(0) as u64;
            let high = (score.floor() as i64)
                .saturating_sub(base)
                .saturating_add(1);
            (low, high.max(0) as u64)
        };
        match self.way {
            Way::Whole => Some(of_whole(0)),
            Way::WholeFrom(base) => Some(of_whole(base)),
            Way::Order { base, shift } => {
                // Zeros of both signs are one.
                let place = place(score + 0.0);
                let Some(distance) = place.checked_sub(base) else {
                    return Some((0, 0));
                };
                let floor = distance >> shift;
                let is_there = floor << shift == distance;
                match is_there {
                    true => Some((floor, floor + 1)),
                    false => Some((floor + 1, floor + 1)),
                }
            }
            Way::Bits => None,
        }
    }

    /// The score for which this lies there.
    #[inline(always)]
    pub(super) fn decode(&self, lies: u64) -> f64 {
        match self.way {
            Way::Whole => lies as f64,
            Way::WholeFrom(base) => base.wrapping_add(lies as i64) as f64,
            Way::Order { base, shift } => at_place(base.wrapping_add(lies << shift)),
            Way::Bits => f64::from_bits(lies),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back(scores: &[f64]) -> Scale {
        let scale = Scale::of(scores.iter().copied());
        let mut head = [0; 9];
        scale.write_head(&mut head);
        assert_eq!(Scale::read(scale.code(), &head), scale);
        for &score in scores {
            let lies = scale.encode(score).expect("it is a scale for it");
            assert!(lies <= most_of(scale.width));
            assert_eq!(scale.decode(lies).to_bits(), score.to_bits());
        }
        scale
    }

    #[test]
    fn scores_come_back_bit_by_bit_in_as_few_bytes_as_they_need() {
        let width = |scores: &[f64]| comes_back(scores).width;
        assert_eq!(width(&[]), 0);
        assert_eq!(width(&[0.0, 0.0]), 0);
        assert_eq!(width(&[1.5, 1.5]), 0);
        assert_eq!(width(&[0.0, 255.0]), 1);
        assert_eq!(width(&[0.0, 256.0]), 2);
        assert_eq!(width(&[-3.0, 5.0]), 1);
        assert_eq!(width(&[1.7e12]), 6);
        assert_eq!(width(&[1.7e12, 1.7e12 + 200.0, 1.7e12 + 7.0]), 1);
        let near: Vec<f64> = (0..50).map(|at| 1.7e12 + f64::from(at)).collect();
        assert_eq!(width(&near), 1);
        assert_eq!(width(&[0.5, 0.75, 1.0]), 1);
        assert_eq!(width(&[f64::NEG_INFINITY, f64::INFINITY, 0.1]), 8);
        assert_eq!(width(&[-0.0, 0.0]), 8);
        assert_eq!(width(&[9007199254740992.0, -9007199254740992.0]), 7);
        assert_eq!(width(&[1e300, 9007199254740994.0]), 8);
        comes_back(&[f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::MIN, -5e-324]);
        comes_back(&[-0.1, 0.1, -2.5]);
    }

    #[test]
    fn a_score_stands_among_what_lies_there_as_among_the_scores() {
        let some = [
            f64::NEG_INFINITY,
            -1e300,
            -300.5,
            -7.0,
            -0.25,
            -0.0,
            0.0,
            5e-324,
            0.25,
            0.3,
            1.0,
            6.5,
            7.0,
            255.0,
            256.5,
            1e10,
            9007199254740993.0,
            1e19,
            1e300,
            f64::INFINITY,
        ];
        for scores in [
            &[0.0, 7.0, 255.0][..],
            &[-7.0, 7.0, 256.0],
            &[1e10, 1e10 + 5.0],
            &[0.25, 6.5, 7.0],
            &[0.0, 0.25],
            &[-300.5, -0.25],
            &[0.3, 0.30000000000000004],
        ] {
            let scale = Scale::of(scores.iter().copied());
            for score in some.into_iter().chain(scores.iter().copied()) {
                let (low, high) = scale.bounds(score).expect("no bits");
                for &is in scores {
                    let lies = scale.encode(is).expect("it is a scale for it");
                    assert_eq!(lies < low, is < score, "{scale:?} {is} {score}");
                    assert_eq!(lies >= high, is > score, "{scale:?} {is} {score}");
                }
            }
        }
    }

    #[test]
    fn a_scale_refuses_what_it_does_not_tell_exactly() {
        let small = Scale::of([3.0, 9.0].into_iter());
        assert_eq!(small.encode(256.0), None);
        assert_eq!(small.encode(-1.0), None);
        assert_eq!(small.encode(3.5), None);
        assert_eq!(small.encode(-0.0), None);
        let halves = Scale::of([1.5, 2.5].into_iter());
        assert_eq!(halves.encode(1.25), None);
        assert_eq!(halves.encode(1.4999), None);
        assert_eq!(halves.decode(halves.encode(2.0).expect("between")), 2.0);
        let zeros = Scale::of([0.0, 1.5].into_iter());
        assert_eq!(zeros.encode(-0.0), None);
    }
}
