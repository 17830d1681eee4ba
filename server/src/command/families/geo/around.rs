//! A shape around a center: which positions are within, and how far from the center they are.
//!
//! A circle's border is compared in squares of half the chord, which grow with the distance: h = sin²(Δφ/2) + cos φ cos φ' sin²(Δλ/2). Of most
//! positions bounds of h tell, without a sine: x − x³/6 ≤ sin x ≤ x, and cosines differ by Δφ at most. What is left is reckoned as Redis
//! does it, to the last bit.

use std::f64::consts::FRAC_PI_2;

use super::earth::{Position, RADIUS_METERS, radians};
use super::grid::{Frame, Window, position_of};
use super::shape::{Shape, is_inside};

/// By which part bounds may be wrong that doubles were rounded for.
const ROUNDING: f64 = 1e-9;

/// What a search reckons once for all positions that it looks at.
#[derive(Debug)]
pub(super) struct Around<'a> {
    shape: &'a Shape,
    center: Position,
    cosine: f64,
    /// Of a circle: the greatest h that is certainly within, and the least that is certainly not.
    border: [f64; 2],
    /// What no position within is outside of.
    window: Window,
}

impl<'a> Around<'a> {
    pub(super) fn new(shape: &'a Shape, center: Position) -> Self {
        let radius = match shape {
            Shape::Circle { radius } => *radius,
            Shape::Box { .. } | Shape::Polygon { .. } => 0.0,
        };
        let half_angle = radius / (2.0 * RADIUS_METERS);
        let border = match half_angle < FRAC_PI_2 {
            true => half_angle.sin().powi(2),
            false => f64::INFINITY,
        };
        Self {
            shape,
            center,
            cosine: radians(center.latitude).cos(),
            border: [border * (1.0 - ROUNDING), border * (1.0 + ROUNDING)],
            window: Window::over(&window_frame(shape, center)),
        }
    }

    /// The position of a score, if it is within.
    #[inline]
    pub(super) fn position_within(&self, score: f64) -> Option<Position> {
        if !self.window.has(score) {
            return None;
        }
        let position = position_of(score);
        self.contains(position).then_some(position)
    }

    pub(super) fn shape(&self) -> &Shape {
        self.shape
    }

    pub(super) fn center(&self) -> Position {
        self.center
    }

    /// Meters from the center to a position.
    pub(super) fn distance(&self, position: Position) -> f64 {
        self.center.meters_to(position)
    }

    /// Whether a position is within.
    pub(super) fn contains(&self, position: Position) -> bool {
        match self.shape {
            Shape::Circle { radius } => {
                let [least, most] = self.bounds(position);
                match () {
                    () if most <= self.border[0] => true,
                    () if least > self.border[1] => false,
                    () => self.distance(position) <= *radius,
                }
            }
            Shape::Box { width, height } => {
                let beside = Position {
                    longitude: self.center.longitude,
                    latitude: position.latitude,
                };
                position.meters_north_to(self.center) <= height / 2.0
                    && position.meters_to(beside) <= width / 2.0
            }
            Shape::Polygon { vertices } => is_inside(vertices, position),
        }
    }

    /// Bounds of a position's h.
    fn bounds(&self, position: Position) -> [f64; 2] {
        let half = |one: f64, other: f64| (radians(other) - radians(one)).abs() / 2.0;
        let north = half(self.center.latitude, position.latitude);
        let east = half(self.center.longitude, position.longitude);
        let sine = |x: f64| (x - x * x * x / 6.0).max(0.0);
        let cosines = [self.cosine - 2.0 * north, self.cosine + 2.0 * north];
        let [narrow, wide] = cosines.map(|cosine| self.cosine * cosine.max(0.0));
        let squares = |x: f64, y: f64, scale: f64| y * y + scale * x * x;
        [
            squares(sine(east), sine(north), narrow),
            squares(east, north, wide),
        ]
    }
}

/// Degrees that certainly cover a shape. Its frame covers a circle: tan Δλ ≤ δ / cos(φ + δ). Of a wide box, whose sides are chords of
/// parallels, the corners may be outside by no more than asin x ≤ x π/2 tells.
fn window_frame(shape: &Shape, center: Position) -> Frame {
    let frame = shape.frame(center);
    let [west, east] = frame.longitudes;
    let longitudes = match shape {
        Shape::Circle { .. } | Shape::Polygon { .. } => [west, east],
        Shape::Box { .. } => {
            [west, east].map(|edge| center.longitude + (edge - center.longitude) * FRAC_PI_2)
        }
    };
    Frame {
        longitudes,
        ..frame
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::command::families::geo::grid::Cell;

    fn position(longitude: f64, latitude: f64) -> Position {
        Position {
            longitude,
            latitude,
        }
    }

    #[test]
    fn what_is_within_a_shape_is_told() {
        let center = position(0.0, 0.0);
        let degree = center.meters_to(position(1.0, 0.0));
        let circle = Shape::Circle {
            radius: 1.01 * degree,
        };
        let circle = Around::new(&circle, center);
        assert!(circle.contains(position(1.0, 0.0)));
        assert_eq!(circle.distance(position(1.0, 0.0)), degree);
        assert!(!circle.contains(position(1.0, 1.0)));
        let flat = Shape::Box {
            width: 4.0 * degree,
            height: 1.0 * degree,
        };
        let flat = Around::new(&flat, center);
        assert!(flat.contains(position(1.9, 0.4)));
        assert!(!flat.contains(position(1.9, 0.6)));
        assert!(!flat.contains(position(2.1, 0.4)));
    }

    proptest! {
        /// With radii at the border itself and to both sides of it, near and far.
        #[test]
        fn bounds_tell_what_the_distance_tells(
            (longitude, latitude) in (-180.0..180.0_f64, -85.05..85.05_f64),
            (east, north) in (-360.0..360.0_f64, -170.0..170.0_f64),
            zoom in 0..40_i32,
            part in prop_oneof![Just(0.0), Just(1.0), Just(1.0 - 1e-15), Just(1.0 + 1e-15), 0.9..1.1_f64, 0.0..4.0_f64],
        ) {
            let center = position(longitude, latitude);
            let scale = 0.5_f64.powi(zoom);
            let other = position(
                (longitude + east * scale).clamp(-180.0, 180.0),
                (latitude + north * scale).clamp(-85.05, 85.05),
            );
            let distance = center.meters_to(other);
            let radius = distance * part;
            let circle = Shape::Circle { radius };
            prop_assert_eq!(Around::new(&circle, center).contains(other), distance <= radius);
        }

        /// Of scores anywhere, those of no position among them.
        #[test]
        fn what_is_outside_of_the_window_is_not_within(
            (longitude, latitude) in (-180.0..180.0_f64, -85.05..85.05_f64),
            (east, north) in (-360.0..360.0_f64, -170.0..170.0_f64),
            zoom in 0..40_i32,
            (part, is_circle) in (0.9..3.0_f64, any::<bool>()),
            odd in prop_oneof![9 => Just(None), 1 => (0.0..2e19_f64).prop_map(Some)],
        ) {
            let center = position(longitude, latitude);
            let scale = 0.5_f64.powi(zoom);
            let other = position(
                (longitude + east * scale).clamp(-180.0, 180.0),
                (latitude + north * scale).clamp(-85.05, 85.05),
            );
            let score = odd.unwrap_or_else(|| Cell::at(other, 26).score());
            let other = position_of(score);
            let radius = center.meters_to(other) * part;
            let shape = match is_circle {
                true => Shape::Circle { radius },
                false => Shape::Box { width: 2.0 * radius, height: 2.0 * radius },
            };
            let around = Around::new(&shape, center);
            prop_assert_eq!(around.position_within(score).is_some(), around.contains(other));
        }
    }
}
