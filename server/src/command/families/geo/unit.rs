//! Units of length.

use larder_engine::parse_double;

use crate::command::Args;
use crate::resp::{ErrorReply, errors};

/// A unit: so many meters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit(pub(super) f64);

impl Unit {
    pub(super) const METER: Self = Self(1.0);

    /// The unit that argument `at` names.
    ///
    /// # Errors
    /// There is no such unit.
    pub(super) fn parse(args: &Args<'_>, at: usize) -> Result<Self, ErrorReply> {
        match () {
            () if args.is(at, "m") => Ok(Self::METER),
            () if args.is(at, "km") => Ok(Self(1000.0)),
            () if args.is(at, "ft") => Ok(Self(0.3048)),
            () if args.is(at, "mi") => Ok(Self(1609.34)),
            () => Err(errors::BAD_UNIT),
        }
    }
}

/// A length, which may be negative.
pub(super) fn length(arg: &[u8], error: ErrorReply) -> Result<f64, ErrorReply> {
    parse_double(arg).ok_or(error)
}

/// A length as it is shown: with four decimals.
pub(super) fn shown(length: f64) -> String {
    const DECIMALS: f64 = 10_000.0;
    let scaled = (length * DECIMALS).round_ties_even() as i64;
    let (sign, scaled) = (if scaled < 0 { "-" } else { "" }, scaled.unsigned_abs());
    format!("{sign}{}.{:04}", scaled / 10_000, scaled % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_shown_with_four_decimals() {
        for (length, expected) in [
            (0.0, "0.0000"),
            (0.00004, "0.0000"),
            (0.775, "0.7750"),
            (166_274.151_56, "166274.1516"),
            (12_345_678.0, "12345678.0000"),
        ] {
            assert_eq!(shown(length), expected);
        }
    }
}
