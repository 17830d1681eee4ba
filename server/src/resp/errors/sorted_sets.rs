//! The errors of sorted sets and of positions on the earth.

use super::{ErrorReply, shown};

/// `ZADD NX XX`.
pub const NX_WITH_XX: ErrorReply =
    ErrorReply::fixed("ERR XX and NX options at the same time are not compatible");
/// `ZADD` with two of `GT`, `LT` and `NX`.
pub const GT_LT_NX: ErrorReply =
    ErrorReply::fixed("ERR GT, LT, and/or NX options at the same time are not compatible");
/// `ZADD INCR` of several members.
pub const INCR_OF_SEVERAL: ErrorReply =
    ErrorReply::fixed("ERR INCR option supports a single increment-element pair");
/// An infinite score and its opposite were added up.
pub const SCORE_NOT_A_NUMBER: ErrorReply =
    ErrorReply::fixed("ERR resulting score is not a number (NaN)");
/// A bound of a range of scores is none.
pub const BAD_SCORE_RANGE: ErrorReply = ErrorReply::fixed("ERR min or max is not a float");
/// A bound of a range of members is none.
pub const BAD_NAME_RANGE: ErrorReply =
    ErrorReply::fixed("ERR min or max not valid string range item");
/// `ZRANGE` by rank with `LIMIT`.
pub const LIMIT_OF_RANKS: ErrorReply = ErrorReply::fixed(
    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
);
/// `ZRANGE BYLEX WITHSCORES`.
pub const SCORES_OF_NAMES: ErrorReply =
    ErrorReply::fixed("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
/// `ZUNION ... WEIGHTS` with what is no number.
pub const WEIGHT_NOT_A_FLOAT: ErrorReply = ErrorReply::fixed("ERR weight value is not a float");

// Positions on the earth.

/// A unit of length that there is not.
pub const BAD_UNIT: ErrorReply =
    ErrorReply::fixed("ERR unsupported unit provided. please use M, KM, FT, MI");
/// A radius that is no number.
pub const RADIUS_NOT_A_FLOAT: ErrorReply = ErrorReply::fixed("ERR need numeric radius");
/// A radius below zero.
pub const RADIUS_NEGATIVE: ErrorReply = ErrorReply::fixed("ERR radius cannot be negative");
/// The width of a box is no number.
pub const WIDTH_NOT_A_FLOAT: ErrorReply = ErrorReply::fixed("ERR need numeric width");
/// The height of a box is no number.
pub const HEIGHT_NOT_A_FLOAT: ErrorReply = ErrorReply::fixed("ERR need numeric height");
/// A box smaller than nothing.
pub const BOX_NEGATIVE: ErrorReply = ErrorReply::fixed("ERR height or width cannot be negative");
/// A search around a member that there is not.
pub const NO_SUCH_POSITION: ErrorReply =
    ErrorReply::fixed("ERR could not decode requested zset member");
/// `COUNT` of a search that is not positive.
pub const GEO_COUNT: ErrorReply = ErrorReply::fixed("ERR COUNT must be > 0");
/// `ANY` without `COUNT`.
pub const ANY_WITHOUT_COUNT: ErrorReply =
    ErrorReply::fixed("ERR the ANY argument requires COUNT argument");
/// `STORE` of what is to be shown.
pub const STORE_WITH_OTHERS: ErrorReply = ErrorReply::fixed(
    "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
);
/// `GEOSEARCHSTORE` of what is to be shown.
pub const GEOSEARCHSTORE_WITH_OTHERS: ErrorReply = ErrorReply::fixed(
    "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
);
/// `BYPOLYGON` with a number of vertices that is none, as Valkey words it.
pub const BAD_VERTICES: ErrorReply = ErrorReply::fixed("ERR invalid number of vertices");
/// `BYPOLYGON` of a point or a line, as Valkey words it.
pub const TOO_FEW_VERTICES: ErrorReply =
    ErrorReply::fixed("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");

/// A position that there is not, or none near a pole, where there is no square.
pub fn no_position(longitude: f64, latitude: f64) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
    ))
}

/// A search from nowhere, by this command as it was called.
pub fn no_center(command: &[u8]) -> ErrorReply {
    let text = b"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
    ErrorReply::new([text, shown(command, command.len())].concat())
}

/// A search in no shape, by this command as it was called.
pub fn no_shape(command: &[u8]) -> ErrorReply {
    let text = b"ERR exactly one of BYRADIUS and BYBOX can be specified for ";
    ErrorReply::new([text, shown(command, command.len())].concat())
}

/// A command of several sets was given none.
pub fn no_input_key(command: &str) -> ErrorReply {
    ErrorReply::new(format!(
        "ERR at least 1 input key is needed for '{command}' command"
    ))
}
