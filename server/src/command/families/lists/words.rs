//! The words that several list commands take.

use larder_engine::End;

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

/// The word for an end.
pub(super) fn of_end(end: End) -> &'static [u8] {
    match end {
        End::Head => b"left",
        End::Tail => b"right",
    }
}
