//! What a mutation of the keyspace can fail with.

use std::fmt;

/// Why a mutation was refused. The keyspace is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The arena has no room for the entry, or the memory map could not grow.
    OutOfMemory,
    /// The value would exceed [`crate::limits::MAX_VALUE_BYTES`].
    TooLarge,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfMemory => "the arena is out of memory",
            Self::TooLarge => "the value exceeds the largest size an entry may have",
        })
    }
}

impl std::error::Error for StoreError {}

/// The entry is of another type than the command works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;
