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

    fn push(&mut self, arg: &[u8]) {
        self.ranges.push(ArgRange {
            start: self.bytes.len() as u32,
            len: arg.len() as u32,
        });
        self.bytes.extend_from_slice(arg);
    }

    /// Bytes of memory held.
    pub(in crate::dispatch) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.ranges.len() * size_of::<ArgRange>()
    }
}

/// Copies a command's arguments.
pub(in crate::dispatch) fn keep_args(args: Args<'_>) -> KeptArgs {
    let bytes = args.iter_from(0).map(<[u8]>::len).sum();
    let mut kept = KeptArgs {
        bytes: Vec::with_capacity(bytes),
        ranges: Vec::with_capacity(args.len()),
    };
    args.iter_from(0).for_each(|arg| kept.push(arg));
    kept
}

/// Copies arguments that stand in no one buffer.
pub(in crate::dispatch) fn keep<'a>(args: impl Iterator<Item = &'a [u8]>) -> KeptArgs {
    let mut kept = KeptArgs::default();
    args.for_each(|arg| kept.push(arg));
    kept
}
