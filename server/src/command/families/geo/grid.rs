//! The grid: a square map that is halved in both directions again and again (Morton, 1966; "geohash").
//!
//! ```text
//!  north  01 11     a cell of one step has two bits, the first of which says east, the second north;
//!  south  00 10     each further step halves it and adds two
//!         west east
//!
//!  score  | cell of 26 steps, 52 bits |      so that all positions within a cell of fewer steps have scores in a range
//! ```
//! A position's score is exact to 0.6 meters. One at the eastern or northern edge of the map is in a cell beyond it, as in Redis.

use super::earth::{LATITUDES, LONGITUDES, Position};

/// Steps of the cells that scores are.
pub(super) const STEPS_MAX: u32 = 26;

/// A range of degrees in each direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) longitudes: [f64; 2],
    pub(super) latitudes: [f64; 2],
}

impl Frame {
    /// The map that scores are of.
    pub(super) const MAP: Self = Self {
        longitudes: LONGITUDES,
        latitudes: LATITUDES,
    };
    /// The whole earth, of which a geohash is.
    const EARTH: Self = Self {
        longitudes: [-180.0, 180.0],
        latitudes: [-90.0, 90.0],
    };
}

/// A cell: its column from the west and its row from the south, among as many as its steps make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    column: u32,
    row: u32,
    steps: u32,
}

impl Cell {
    /// The cell of so many steps that a position is in.
    pub(super) fn at(position: Position, steps: u32) -> Self {
        Self::in_frame(&Frame::MAP, position, steps)
    }

    fn in_frame(frame: &Frame, position: Position, steps: u32) -> Self {
        let place = |value, [least, most]: [f64; 2]| {
            let part = (value - least) / (most - least);
            (part * (1_u64 << steps) as f64) as u32
        };
        Self {
            column: place(position.longitude, frame.longitudes),
            row: place(position.latitude, frame.latitudes),
            steps,
        }
    }

    /// The cell that a score is.
    pub(super) fn of_score(score: f64) -> Self {
        let bits = bits_of(score);
        Self {
            column: gathered(bits >> 1),
            row: gathered(bits),
            steps: STEPS_MAX,
        }
    }

    /// The cell's bits.
    fn bits(self) -> u64 {
        spread(self.column) << 1 | spread(self.row)
    }

    /// The scores of all positions in it: the least, and the first behind them.
    pub(super) fn scores(self) -> [f64; 2] {
        let shift = 2 * (STEPS_MAX - self.steps);
        [self.bits(), self.bits() + 1].map(|bits| (bits << shift) as f64)
    }

    /// The score of a position in it, if it is of as many steps as scores are.
    pub(super) fn score(self) -> f64 {
        self.scores()[0]
    }

    /// Its degrees.
    pub(super) fn frame(self) -> Frame {
        let cells = (1_u64 << self.steps) as f64;
        let range = |place: u32, [least, most]: [f64; 2]| {
            let scale = most - least;
            [place, place.wrapping_add(1)].map(|place| least + f64::from(place) / cells * scale)
        };
        Frame {
            longitudes: range(self.column, LONGITUDES),
            latitudes: range(self.row, LATITUDES),
        }
    }

    /// The position in its middle.
    pub(super) fn middle(self) -> Position {
        let frame = self.frame();
        let middle = |[least, most]: [f64; 2], [first, last]: [f64; 2]| {
            ((least + most) / 2.0).min(last).max(first)
        };
        Position {
            longitude: middle(frame.longitudes, LONGITUDES),
            latitude: middle(frame.latitudes, LATITUDES),
        }
    }

    /// The cell so many columns to the east and rows to the north, -1, 0 or 1 each; behind an edge of the map comes the other.
    pub(super) fn neighbour(self, east: i32, north: i32) -> Self {
        let mask = (1_u64 << self.steps) as u32 - 1;
        let moved = |place: u32, by: i32| match by {
            0 => place,
            _ => place.wrapping_add_signed(by) & mask,
        };
        Self {
            column: moved(self.column, east),
            row: moved(self.row, north),
            steps: self.steps,
        }
    }
}

/// Columns and rows between which cells of the most steps lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Their bits where a score has them: spread bits are in the order of what they are of.
    columns: [u64; 2],
    rows: [u64; 2],
}

impl Window {
    /// What covers a range of degrees; all columns, if its edges are beyond the map.
    pub(super) fn over(frame: &Frame) -> Self {
        let [west, east] = frame.longitudes;
        let is_on_map = LONGITUDES[0] <= west && west <= east && east <= LONGITUDES[1];
        let longitudes = if is_on_map { [west, east] } else { LONGITUDES };
        let [south, north] = frame.latitudes;
        let clamp = |latitude: f64| latitude.max(LATITUDES[0]).min(LATITUDES[1]);
        let cell = |longitude, latitude| {
            let position = Position {
                longitude,
                latitude: clamp(latitude),
            };
            Cell::at(position, STEPS_MAX)
        };
        let (least, most) = (cell(longitudes[0], south), cell(longitudes[1], north));
        // One more to each side: degrees were rounded.
        let below = |place: u32| spread(place.saturating_sub(1));
        let above = |place: u32| match place + 1 < 1 << STEPS_MAX {
            true => spread(place + 1),
            false => u64::MAX,
        };
        Self {
            columns: [
                below(least.column) << 1,
                above(most.column).saturating_mul(2),
            ],
            rows: [below(least.row), above(most.row)],
        }
    }

    /// Whether a score's cell is within.
    #[inline]
    pub(super) fn has(&self, score: f64) -> bool {
        const ROWS: u64 = STAGES[4].1;
        let bits = bits_of(score);
        let is_within = |bits: u64, [least, most]: [u64; 2]| least <= bits && bits <= most;
        is_within(bits & ROWS, self.rows) && is_within(bits & !ROWS, self.columns)
    }
}

/// The position that a score stands for.
pub(super) fn position_of(score: f64) -> Position {
    Cell::of_score(score).middle()
}

/// The eleven characters of a position's geohash. The last of them is always a zero: a score has two bits too few.
pub(super) fn geohash_of(score: f64) -> [u8; 11] {
    const CHARACTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
    const BITS: u32 = 2 * STEPS_MAX;
    let cell = Cell::in_frame(&Frame::EARTH, position_of(score), STEPS_MAX);
    let mut hash = [b'0'; 11];
    for (at, character) in hash.iter_mut().enumerate().take(10) {
        let shift = BITS - 5 * (at as u32 + 1);
        *character = CHARACTERS[(cell.bits() >> shift & 31) as usize];
    }
    hash
}

/// A score as 64 bits, as C casts it on x86-64.
fn bits_of(score: f64) -> u64 {
    const HALF: f64 = (1_u64 << 63) as f64;
    if score < HALF {
        return score as i64 as u64;
    }
    match score - HALF < HALF {
        true => (score - HALF) as u64 | 1 << 63,
        false => 0,
    }
}

/// Bits with as many zeros in between.
fn spread(bits: u32) -> u64 {
    let mut bits = u64::from(bits);
    for (shift, mask) in STAGES {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Every second of these bits.
fn gathered(bits: u64) -> u32 {
    let mut bits = bits & STAGES[4].1;
    for at in (0..STAGES.len()).rev() {
        let mask = at
            .checked_sub(1)
            .map_or(u64::from(u32::MAX), |at| STAGES[at].1);
        bits = (bits | bits >> STAGES[at].0) & mask;
    }
    bits as u32
}

/// By how much bits are moved, and which of them stay, so that they come to be spread.
const STAGES: [(u32, u64); 5] = [
    (16, 0x0000_FFFF_0000_FFFF),
    (8, 0x00FF_00FF_00FF_00FF),
    (4, 0x0F0F_0F0F_0F0F_0F0F),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scores_and_geohashes_are_those_of_redis() {
        let palermo = Position {
            longitude: 13.361389,
            latitude: 38.115556,
        };
        let score = Cell::at(palermo, STEPS_MAX).score();
        assert_eq!(score, 3_479_099_956_230_698.0);
        assert_eq!(&geohash_of(score), b"sqc8b49rny0");
        let found = position_of(score);
        assert_eq!(found.longitude, 13.361_389_338_970_184);
        assert_eq!(found.latitude, 38.115_556_395_496_3);
    }

    #[test]
    fn cells_have_neighbours_across_the_edges_of_the_map() {
        let cell = Cell {
            column: 0,
            row: 3,
            steps: 2,
        };
        let place = |east, north| {
            let Cell { column, row, .. } = cell.neighbour(east, north);
            (column, row)
        };
        assert_eq!(place(-1, 0), (3, 3));
        assert_eq!(place(1, 1), (1, 0));
        assert_eq!(place(0, -1), (0, 2));
    }

    #[test]
    fn any_score_is_a_cell() {
        for (score, bits) in [
            (-5.0, (-5_i64) as u64),
            (f64::NEG_INFINITY, 1 << 63),
            (f64::INFINITY, 0),
            (9_223_372_036_854_775_808.0, 1 << 63),
            (1.9, 1),
        ] {
            assert_eq!(bits_of(score), bits, "{score}");
            position_of(score);
        }
    }

    proptest! {
        #[test]
        fn bits_that_are_spread_are_gathered_again(column: u32, row: u32) {
            let bits = spread(column) << 1 | spread(row);
            prop_assert_eq!((gathered(bits >> 1), gathered(bits)), (column, row));
        }

        #[test]
        fn a_position_is_in_its_cell(longitude in -180.0..180.0_f64, latitude in -85.0..85.0_f64, steps in 1..=STEPS_MAX) {
            let position = Position { longitude, latitude };
            let cell = Cell::at(position, steps);
            let Frame { longitudes: [west, east], latitudes: [south, north] } = cell.frame();
            prop_assert!(west <= longitude && longitude < east);
            prop_assert!(south <= latitude && latitude < north);
            let [least, behind] = cell.scores();
            let score = Cell::at(position, STEPS_MAX).score();
            prop_assert!(least <= score && score < behind);
        }
    }
}
