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

    /// Copies these, in the memory of those there were.
    pub(in crate::dispatch) fn fill(&mut self, args: Args<'_>) {
        self.bytes.clear();
        self.ranges.clear();
        self.bytes.reserve(args.iter_from(0).map(<[u8]>::len).sum());
        self.ranges.reserve(args.len());
        args.iter_from(0).for_each(|arg| self.push(arg));
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
        self.bytes.capacity() + self.ranges.capacity() * size_of::<ArgRange>()
    }
}

/// Copies a command's arguments.
pub(in crate::dispatch) fn keep_args(args: Args<'_>) -> KeptArgs {
    let mut kept = KeptArgs::default();
    kept.fill(args);
    kept
}

/// Copies arguments that stand in no one buffer.
pub(in crate::dispatch) fn keep<'a>(args: impl Iterator<Item = &'a [u8]>) -> KeptArgs {
    let mut kept = KeptArgs::default();
    args.for_each(|arg| kept.push(arg));
    kept
}
