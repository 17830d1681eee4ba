//! The words for the ends of a list.

use larder_engine::End;

use crate::command::Args;
use crate::resp::{ErrorReply, errors};

/// Those of the head and of the tail.
pub(super) const ENDS: [&str; 2] = ["left", "right"];

/// The end that argument `at` names.
pub(super) fn end(args: &Args<'_>, at: usize) -> Result<End, ErrorReply> {
    let [head, tail] = ENDS;
    match () {
        () if args.is(at, head) => Ok(End::Head),
        () if args.is(at, tail) => Ok(End::Tail),
        () => Err(errors::SYNTAX),
    }
}

/// The word for an end.
pub(super) fn of_end(end: End) -> &'static [u8] {
    let [head, tail] = ENDS;
    match end {
        End::Head => head.as_bytes(),
        End::Tail => tail.as_bytes(),
    }
}
