//! Numbers that say how many: of elements, keys, results.

use larder_engine::parse_canonical_i64;

use crate::resp::{ErrorReply, errors};

/// A number that is at least 1; else `error`.
pub(super) fn positive(arg: &[u8], error: ErrorReply) -> Result<u64, ErrorReply> {
    let number = parse_canonical_i64(arg).and_then(|number| u64::try_from(number).ok());
    number.filter(|&number| number > 0).ok_or(error)
}

/// A number that is not negative; else `error`.
pub(super) fn not_negative(arg: &[u8], error: ErrorReply) -> Result<u64, ErrorReply> {
    let number = parse_canonical_i64(arg).and_then(|number| u64::try_from(number).ok());
    number.ok_or(error)
}

/// How many a command takes: not negative.
pub(super) fn count(arg: &[u8]) -> Result<u64, ErrorReply> {
    not_negative(arg, errors::NOT_POSITIVE)
}
