//! The cells that a search looks into: the one of its center and the eight around, large enough to cover the shape.

use super::earth::Position;
use super::grid::{Cell, STEPS_MAX};
use super::shape::Shape;

/// Half the width of the map, in meters at the equator.
const MAP_METERS: f64 = 20_037_726.37;

/// Where the eight are: to the east, and to the north, in the order in which they are looked into.
const AROUND: [(i32, i32); 8] = [
    (0, 1),
    (0, -1),
    (1, 0),
    (-1, 0),
    (1, 1),
    (-1, 1),
    (1, -1),
    (-1, -1),
];

/// The cells that cover a shape, in the order in which they are looked into. Each is there once.
pub(super) fn cells(shape: &Shape, center: Position) -> Vec<Cell> {
    let mut steps = steps_for(shape.reach(center), center.latitude);
    let frame = shape.frame(center);
    let mut middle = Cell::at(center, steps);
    let north = middle.neighbour(0, 1).frame().latitudes[1];
    let south = middle.neighbour(0, -1).frame().latitudes[0];
    let east = middle.neighbour(1, 0).frame().longitudes[1];
    let west = middle.neighbour(-1, 0).frame().longitudes[0];
    // At an edge of the map, or near a pole, the eight may be too small.
    let is_covered = north >= frame.latitudes[1]
        && south <= frame.latitudes[0]
        && east >= frame.longitudes[1]
        && west <= frame.longitudes[0];
    if steps > 1 && !is_covered {
        steps -= 1;
        middle = Cell::at(center, steps);
    }
    let of_middle = middle.frame();
    let is_needed = |&(east, north): &(i32, i32)| {
        let [west_edge, east_edge] = of_middle.longitudes;
        let [south_edge, north_edge] = of_middle.latitudes;
        let is_useless = north == -1 && south_edge < frame.latitudes[0]
            || north == 1 && north_edge > frame.latitudes[1]
            || east == -1 && west_edge < frame.longitudes[0]
            || east == 1 && east_edge > frame.longitudes[1];
        steps < 2 || !is_useless
    };
    let around = AROUND.iter().filter(|place| is_needed(place));
    let mut cells = vec![middle];
    for &(east, north) in around {
        let cell = middle.neighbour(east, north);
        // Where there are few cells, one may be on two sides.
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    cells
}

/// How many steps the cells have that are as large as this reach, roughly: towards the poles meters are more degrees.
fn steps_for(reach_meters: f64, latitude: f64) -> u32 {
    if reach_meters == 0.0 {
        return STEPS_MAX;
    }
    let (mut reach, mut steps) = (reach_meters, 1);
    while reach < MAP_METERS {
        reach *= 2.0;
        steps += 1;
    }
    // So that it is within the nine mostly.
    steps -= 2;
    if latitude.abs() > 66.0 {
        steps -= 1;
    }
    if latitude.abs() > 80.0 {
        steps -= 1;
    }
    steps.clamp(1, STEPS_MAX as i32) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::command::families::geo::around::Around;
    use crate::command::families::geo::grid::position_of;

    #[test]
    fn steps_follow_the_reach() {
        assert_eq!(steps_for(0.0, 0.0), 26);
        assert_eq!(steps_for(0.1, 0.0), 26);
        assert_eq!(steps_for(1e9, 0.0), 1);
        assert_eq!(steps_for(10_000.0, 0.0), 10);
        assert_eq!(steps_for(10_000.0, -70.0), 9);
        assert_eq!(steps_for(10_000.0, 81.0), 8);
    }

    #[test]
    fn a_cell_that_is_on_two_sides_is_there_once() {
        let center = Position {
            longitude: 10.0,
            latitude: 10.0,
        };
        let all = cells(&Shape::Circle { radius: 1e9 }, center);
        assert_eq!(all.len(), 4);
    }

    proptest! {
        #[test]
        fn what_is_within_is_in_one_of_the_cells(
            (longitude, latitude) in (-179.0..179.0_f64, -60.0..60.0_f64),
            (east, north) in (-0.5..0.5_f64, -0.5..0.5_f64),
            radius in 1.0..80_000.0_f64,
        ) {
            let center = Position { longitude, latitude };
            let other = Position { longitude: longitude + east, latitude: latitude + north };
            let score = Cell::at(other, STEPS_MAX).score();
            let shape = Shape::Circle { radius };
            if Around::new(&shape, center).contains(position_of(score)) {
                let covers = |cell: &Cell| {
                    let [least, behind] = cell.scores();
                    least <= score && score < behind
                };
                prop_assert!(cells(&shape, center).iter().any(covers));
            }
        }
    }
}
