//! Where an element belongs: spiral storage (G. N. N. Martin, "Spiral Storage: Incrementally Augmentable Hash Addressed
//! Storage", University of Warwick, 1979).
//!
//! ```text
//!  a hash ──▶ position g, as likely in [1, 1.1) as in a range a tenth as long everywhere: its density falls as 1/g
//!
//!  n = 5     bucket y holds the positions [y, y + 1) / 2^⌊log2 y⌋             2 and 3 and 4 have been divided
//!            [  5  |  6  |  7  |  8  |  9  ]      ordinals 2, 1, 3, 0, 4
//!  n = 6     [  6  |  7  |  8  |  9  | 10 | 11 ]  5 became 10, which keeps its ordinal 2, and 11, which gets 5
//! ```
//! Of n nodes the buckets are n to 2n − 1, and bucket y holds a share of the elements in proportion to 1/y. So the nodes are
//! of all sizes between one and two, evenly, at any time; under linear hashing all would be of nearly one size, and grow
//! from one size class to the next together. Growing divides the fullest, n, by one more bit of g; shrinking puts it back.
//! An ordinal is the odd part of y, halved: of n to 2n − 1 each odd part below 2n occurs once.
//!
//! 2^x, which would have that density exactly, is taken as 1 + x(a + (1 − a)x): positions are at most 0.4% off, shares 6%.

/// Bits of a position behind its leading one.
pub(crate) const POSITION_BITS: u32 = 48;
/// a, of 64 bits.
const LINEAR: u64 = (0.6565 * (1u128 << 64) as f64) as u64;
/// 1 − a.
const SQUARE: u64 = LINEAR.wrapping_neg();

/// A hash's place in the order of all: from 2^48 to 2^49.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub(crate) u64);

impl Position {
    /// The first of all.
    pub(crate) const FIRST: Self = Self(1 << POSITION_BITS);
    /// Behind the last.
    pub(crate) const END: Self = Self(2 << POSITION_BITS);

    /// The position of a hash.
    #[inline(always)]
    pub(crate) fn of(hash: u64) -> Self {
        let high = |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 64) as u64;
        let fraction = high(hash, LINEAR + high(hash, SQUARE));
        Self(Self::FIRST.0 | fraction >> (64 - POSITION_BITS))
    }
}

/// A bucket of the elements between two positions: its number, y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket(u64);

impl Bucket {
    /// The bucket of a position among those of `nodes` nodes, at least one.
    #[inline(always)]
    pub(crate) fn of(position: Position, nodes: u32) -> Self {
        let level = nodes.ilog2();
        let coarse = position.0 >> (POSITION_BITS - level);
        match coarse < u64::from(nodes) {
            true => Self(position.0 >> (POSITION_BITS - level - 1)),
            false => Self(coarse),
        }
    }

    /// The bucket that is divided when there are `nodes` nodes and one more is to be.
    pub(crate) fn to_divide(nodes: u32) -> Self {
        Self(nodes.into())
    }

    /// The two that it is divided into. The first has its ordinal, the second a new one.
    pub(crate) fn halves(self) -> [Self; 2] {
        [Self(self.0 << 1), Self(self.0 << 1 | 1)]
    }

    /// The number of its node.
    #[inline(always)]
    pub(crate) fn ordinal(self) -> u32 {
        (self.0 >> (1 + self.0.trailing_zeros())) as u32
    }

    /// Bits of its number behind the leading one: all positions in it begin with the same.
    #[inline(always)]
    pub(crate) fn level(self) -> u32 {
        self.0.ilog2()
    }

    /// The last so many bits of its number, at most eight.
    pub(crate) fn last_bits(self, bits: u32) -> u8 {
        (self.0 & ((1 << bits) - 1)) as u8
    }

    /// Whether a position is in it.
    pub(crate) fn contains(self, position: Position) -> bool {
        position >= self.start() && position < self.end()
    }

    /// Its first position.
    pub(crate) fn start(self) -> Position {
        Position(self.0 << (POSITION_BITS - self.0.ilog2()))
    }

    /// The first position behind it.
    pub(crate) fn end(self) -> Position {
        Position((self.0 + 1) << (POSITION_BITS - self.0.ilog2()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(nodes: u32) -> impl Iterator<Item = Bucket> {
        (u64::from(nodes)..2 * u64::from(nodes)).map(Bucket)
    }

    #[test]
    fn the_ordinals_of_n_buckets_are_the_numbers_below_n() {
        for nodes in 1..=300 {
            let mut seen = vec![false; nodes as usize];
            for bucket in buckets(nodes) {
                let ordinal = bucket.ordinal() as usize;
                assert!(!std::mem::replace(&mut seen[ordinal], true));
            }
            let [low, high] = Bucket::to_divide(nodes).halves();
            assert_eq!(low.ordinal(), Bucket::to_divide(nodes).ordinal());
            assert_eq!(high.ordinal(), nodes);
        }
    }

    #[test]
    fn the_buckets_cover_all_positions_in_order() {
        for nodes in (1..=300).chain([u32::MAX >> 1]) {
            if nodes <= 300 {
                let mut at = Position::FIRST;
                while at < Position::END {
                    let bucket = Bucket::of(at, nodes);
                    assert_eq!(bucket.start(), at);
                    assert_eq!(Bucket::of(Position(bucket.end().0 - 1), nodes), bucket);
                    at = bucket.end();
                }
                assert_eq!(at, Position::END);
            }
            for hash in [0, 1, u64::MAX / 3, u64::MAX] {
                let position = Position::of(hash);
                assert!(position >= Position::FIRST && position < Position::END);
                assert!(Bucket::of(position, nodes).ordinal() < nodes);
            }
        }
    }

    #[test]
    fn a_position_keeps_its_node_until_the_bucket_is_divided() {
        for nodes in 1..200 {
            for step in 0..1000u64 {
                let position = Position::of(step.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                let (before, after) =
                    (Bucket::of(position, nodes), Bucket::of(position, nodes + 1));
                if before == Bucket::to_divide(nodes) {
                    assert!(before.halves().contains(&after));
                } else {
                    assert_eq!(before, after);
                }
            }
        }
    }

    /// Of evenly spread hashes, bucket y gets its share: 1 / (y ln 2).
    #[test]
    fn shares_fall_evenly_from_two_to_one() {
        let (nodes, hashes) = (48u32, 1u64 << 20);
        let mut counts = vec![0u32; 2 * nodes as usize];
        for step in 0..hashes {
            let bucket = Bucket::of(Position::of(step << 44), nodes);
            counts[bucket.0 as usize] += 1;
        }
        for bucket in buckets(nodes) {
            let share = f64::from(counts[bucket.0 as usize]) / hashes as f64;
            let expected = 1.0 / (bucket.0 as f64 * std::f64::consts::LN_2);
            assert!(
                (share / expected - 1.0).abs() < 0.06,
                "{bucket:?}: {share} {expected}"
            );
        }
    }
}
