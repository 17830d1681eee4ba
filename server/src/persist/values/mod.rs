//! Values of the shard, to and from the bytes that `rdb` has of them, in steps: of `DUMP` and `RESTORE`, and of snapshots.

mod gather;
mod write;

use std::ops::ControlFlow;

pub use gather::{Gathered, Gathering, Ungathered};
pub use write::Writing;

/// What a step may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    bytes: usize,
    elements: usize,
}

impl Budget {
    /// Of a step that writes.
    pub const WRITE: Self = Self {
        bytes: 64 << 10,
        elements: 2048,
    };
    /// Of a step that gathers: an element that is added costs several times as much as one that is read.
    pub const GATHER: Self = Self {
        bytes: 64 << 10,
        elements: 512,
    };
    /// As much as there is.
    pub const ALL: Self = Self {
        bytes: usize::MAX,
        elements: usize::MAX,
    };

    /// An element of so many bytes was dealt with. Breaks if it is to be the last.
    pub fn spend(&mut self, bytes: usize) -> ControlFlow<()> {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.elements -= 1;
        match self.bytes == 0 || self.elements == 0 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Bytes that are left.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.bytes
    }

    /// Whether there is a bound.
    #[must_use]
    pub fn is_limited(self) -> bool {
        self.bytes < usize::MAX
    }
}
