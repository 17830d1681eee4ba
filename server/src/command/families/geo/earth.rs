//! Positions, and how far they are from each other.

use crate::command::Args;
use crate::resp::ErrorReply;
use crate::resp::errors;
use larder_engine::parse_double;

/// The quadratic mean of the earth's radii, in meters.
pub(super) const RADIUS_METERS: f64 = 6_372_797.560_856;

/// The latitudes that a square map has (EPSG:3857): none of the poles.
pub(super) const LATITUDES: [f64; 2] = [-85.051_128_78, 85.051_128_78];
pub(super) const LONGITUDES: [f64; 2] = [-180.0, 180.0];

/// Degrees in radians, and back: by multiplication and by division with the same number, as Redis does.
const RADIANS_A_DEGREE: f64 = std::f64::consts::PI / 180.0;

pub(super) fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_A_DEGREE
}

pub(super) fn degrees(radians: f64) -> f64 {
    radians / RADIANS_A_DEGREE
}

/// A position, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Position {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

impl Position {
    /// The position that arguments `at` and `at + 1` say.
    ///
    /// # Errors
    /// They are no numbers, or there is no such place, or none on the map.
    pub(super) fn parse(args: &Args<'_>, at: usize) -> Result<Self, ErrorReply> {
        let number = |at| parse_double(args.at(at)).ok_or(errors::NOT_A_FLOAT);
        let (longitude, latitude) = (number(at)?, number(at + 1)?);
        let is_within = |value, [least, most]: [f64; 2]| (least..=most).contains(&value);
        if !is_within(longitude, LONGITUDES) || !is_within(latitude, LATITUDES) {
            return Err(errors::no_position(longitude, latitude));
        }
        Ok(Self {
            longitude,
            latitude,
        })
    }

    /// Meters to another position, along the great circle (haversine).
    pub(super) fn meters_to(self, other: Self) -> f64 {
        let half_width = ((radians(other.longitude) - radians(self.longitude)) / 2.0).sin();
        if half_width == 0.0 {
            return self.meters_north_to(other);
        }
        let (one, two) = (radians(self.latitude), radians(other.latitude));
        let half_height = ((two - one) / 2.0).sin();
        let square = half_height * half_height + one.cos() * two.cos() * half_width * half_width;
        2.0 * RADIUS_METERS * square.sqrt().asin()
    }

    /// Meters between the latitudes of the two.
    pub(super) fn meters_north_to(self, other: Self) -> f64 {
        RADIUS_METERS * (radians(other.latitude) - radians(self.latitude)).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_redis() {
        let position = |longitude, latitude| Position {
            longitude,
            latitude,
        };
        let palermo = position(13.361_389_338_970_184, 38.115_556_395_496_3);
        let catania = position(15.087_267_458_438_873, 37.502_668_423_331_62);
        let meters = palermo.meters_to(catania);
        assert_eq!(format!("{meters:.4}"), "166274.1516");
        let north = position(palermo.longitude, 40.0);
        assert_eq!(palermo.meters_to(north), palermo.meters_north_to(north));
    }
}
