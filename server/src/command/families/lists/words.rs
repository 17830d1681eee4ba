//! The words and numbers that several list commands take.

use larder_engine::{End, parse_canonical_i64};

use crate::command::Args;
use crate::resp::{ErrorReply, errors};

/// The end that argument `at` names, `LEFT` or `RIGHT`.
pub(super) fn end(args: &Args<'_>, at: usize) -> Result<End, ErrorReply> {
    match () {
        () if args.is(at, "left") => Ok(End::Head),
        () if args.is(at, "right") => Ok(End::Tail),
        () => Err(errors::SYNTAX),
    }
}

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

/// The word for an end.
pub(super) fn of_end(end: End) -> &'static [u8] {
    match end {
        End::Head => b"left",
        End::Tail => b"right",
    }
}
