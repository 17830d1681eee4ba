//! Copies of a command's arguments, for what goes on when the client's bytes are gone.

use crate::command::Args;
use crate::resp::ArgRange;

/// A copy of a command's arguments.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct KeptArgs {
    bytes: Vec<u8>,
    ranges: Vec<ArgRange>,
}

impl KeptArgs {
    /// The arguments.
    pub(in crate::dispatch) fn as_args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.ranges)
    }

    /// Whether there are none.
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Bytes of memory held.
    pub(in crate::dispatch) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.ranges.len() * size_of::<ArgRange>()
    }
}

/// Copies a command's arguments.
pub(in crate::dispatch) fn keep_args(args: Args<'_>) -> KeptArgs {
    keep(args.iter_from(0))
}

/// Copies arguments that stand in no one buffer.
pub(in crate::dispatch) fn keep<'a>(args: impl Iterator<Item = &'a [u8]>) -> KeptArgs {
    let mut kept = KeptArgs::default();
    for arg in args {
        kept.ranges.push(ArgRange {
            start: kept.bytes.len() as u32,
            len: arg.len() as u32,
        });
        kept.bytes.extend_from_slice(arg);
    }
    kept
}
