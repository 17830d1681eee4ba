//! The shape of a search around a center.

use larder_engine::parse_canonical_i64;

use super::earth::{LATITUDES, LONGITUDES, Position, RADIUS_METERS, degrees, radians};
use super::grid::Frame;
use super::unit::{self, Unit};
use crate::command::Args;
use crate::resp::{ErrorReply, errors};

/// What positions are searched in. Lengths are in meters.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Circle {
        radius: f64,
    },
    Box {
        width: f64,
        height: f64,
    },
    /// Valkey's. Its center is that of its vertices.
    Polygon {
        vertices: Vec<Position>,
    },
}

impl Shape {
    /// `radius unit` from argument `at` on.
    pub(super) fn circle(args: &Args<'_>, at: usize) -> Result<(Self, Unit), ErrorReply> {
        let radius = unit::length(args.at(at), errors::RADIUS_NOT_A_FLOAT)?;
        if radius < 0.0 {
            return Err(errors::RADIUS_NEGATIVE);
        }
        let unit = Unit::parse(args, at + 1)?;
        let radius = radius * unit.0;
        Ok((Self::Circle { radius }, unit))
    }

    /// `width height unit` from argument `at` on.
    pub(super) fn square(args: &Args<'_>, at: usize) -> Result<(Self, Unit), ErrorReply> {
        let width = unit::length(args.at(at), errors::WIDTH_NOT_A_FLOAT)?;
        let height = unit::length(args.at(at + 1), errors::HEIGHT_NOT_A_FLOAT)?;
        if width < 0.0 || height < 0.0 {
            return Err(errors::BOX_NEGATIVE);
        }
        let unit = Unit::parse(args, at + 2)?;
        let (width, height) = (width * unit.0, height * unit.0);
        Ok((Self::Box { width, height }, unit))
    }

    /// `num-vertices longitude latitude ...` from argument `at` on.
    pub(super) fn polygon(args: &Args<'_>, at: usize) -> Result<(Self, Unit), ErrorReply> {
        let count = parse_canonical_i64(args.at(at)).ok_or(errors::BAD_VERTICES)?;
        let possible = (args.len() - at - 1) / 2;
        let count = usize::try_from(count).ok();
        let count = count.filter(|&count| (3..=possible).contains(&count));
        let count = count.ok_or(errors::TOO_FEW_VERTICES)?;
        let vertices = (0..count).map(|vertex| Position::parse(args, at + 1 + 2 * vertex));
        let vertices = vertices.collect::<Result<_, _>>()?;
        Ok((Self::Polygon { vertices }, Unit::METER))
    }

    /// The degrees that it lies in. Where meridians converge, those of its wider side.
    pub(super) fn frame(&self, center: Position) -> Frame {
        let (half_width, half_height) = match self {
            Self::Circle { radius } => (*radius, *radius),
            Self::Box { width, height } => (width / 2.0, height / 2.0),
            Self::Polygon { vertices } => return frame_of(vertices),
        };
        let north = degrees(half_height / RADIUS_METERS);
        let latitudes = [center.latitude - north, center.latitude + north];
        let nearer_pole = match center.latitude < 0.0 {
            true => latitudes[0],
            false => latitudes[1],
        };
        let east = degrees(half_width / RADIUS_METERS / radians(nearer_pole).cos());
        Frame {
            longitudes: [center.longitude - east, center.longitude + east],
            latitudes,
        }
    }

    /// Meters from the center to its farthest point.
    pub(super) fn reach(&self, center: Position) -> f64 {
        match self {
            Self::Circle { radius } => *radius,
            Self::Box { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
            Self::Polygon { vertices } => {
                let frame = frame_of(vertices);
                let corners = frame.longitudes.iter().flat_map(|&longitude| {
                    frame.latitudes.map(|latitude| Position {
                        longitude,
                        latitude,
                    })
                });
                let reaches = corners.map(|corner| center.meters_to(corner));
                reaches.fold(0.0, f64::max)
            }
        }
    }

    /// The center that it has by itself, if it has one.
    pub(super) fn center(&self) -> Option<Position> {
        let Self::Polygon { vertices } = self else {
            return None;
        };
        // The direction of the sum of their directions.
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for vertex in vertices {
            let (longitude, latitude) = (radians(vertex.longitude), radians(vertex.latitude));
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        let clamped = |value: f64, [least, most]: [f64; 2]| value.clamp(least, most);
        Some(Position {
            longitude: clamped(degrees(f64::atan2(y, x)), LONGITUDES),
            latitude: clamped(degrees(f64::atan2(z, (x * x + y * y).sqrt())), LATITUDES),
        })
    }
}

/// The degrees that these positions lie in.
fn frame_of(vertices: &[Position]) -> Frame {
    let range = |value: fn(&Position) -> f64| {
        let values = vertices.iter().map(value);
        values.fold(
            [f64::INFINITY, f64::NEG_INFINITY],
            |[least, most], value| [least.min(value), most.max(value)],
        )
    };
    Frame {
        longitudes: range(|vertex| vertex.longitude),
        latitudes: range(|vertex| vertex.latitude),
    }
}

/// Whether a position is inside a polygon: a line from it to the east crosses an odd number of sides (Franklin's PNPOLY).
pub(super) fn is_inside(vertices: &[Position], position: Position) -> bool {
    let mut is_inside = false;
    let mut before = vertices.last();
    for vertex in vertices {
        let other = before.expect("there is a last, if there is one");
        before = Some(vertex);
        let is_between =
            (vertex.latitude > position.latitude) != (other.latitude > position.latitude);
        is_inside ^= is_between && position.longitude < crossing(vertex, other, position.latitude);
    }
    is_inside
}

/// The longitude at which the side between two vertices crosses a latitude.
fn crossing(one: &Position, other: &Position, latitude: f64) -> f64 {
    (other.longitude - one.longitude) * (latitude - one.latitude) / (other.latitude - one.latitude)
        + one.longitude
}

#[cfg(test)]
mod tests {
    use super::super::around::Around;
    use super::*;

    fn position(longitude: f64, latitude: f64) -> Position {
        Position {
            longitude,
            latitude,
        }
    }

    #[test]
    fn a_polygon_may_be_of_any_form() {
        let vertices = vec![
            position(0.0, 0.0),
            position(4.0, 0.0),
            position(4.0, 4.0),
            position(2.0, 1.0),
            position(0.0, 4.0),
        ];
        let shape = Shape::Polygon { vertices };
        let center = shape.center().unwrap();
        assert!((1.9..2.1).contains(&center.longitude));
        let around = Around::new(&shape, center);
        assert!(around.contains(position(1.0, 1.5)));
        assert!(!around.contains(position(2.0, 2.0)));
        assert!(!around.contains(position(-1.0, 1.0)));
        assert_eq!(shape.frame(center).latitudes, [0.0, 4.0]);
        assert!(shape.reach(center) >= center.meters_to(position(0.0, 4.0)));
    }
}
