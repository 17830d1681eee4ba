//! Numbers among arguments: how many keys or elements.

use larder_engine::parse_canonical_i64;

use crate::command::Args;
use crate::resp::ErrorReply;
use crate::resp::errors;

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

/// How many elements are to be chosen at random, as argument `at` says: so many different ones; if negative, so many whether
/// different or not.
pub(super) fn to_choose(args: &Args<'_>, at: usize) -> Result<i64, ErrorReply> {
    match args.integer(at)? {
        i64::MIN => Err(errors::out_of_range(-i64::MAX, i64::MAX)),
        count => Ok(count),
    }
}
