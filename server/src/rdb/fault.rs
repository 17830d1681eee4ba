//! Why bytes are no value.

use std::fmt;

/// What is wrong with the bytes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They end before the value does.
    Truncated,
    /// Their parts contradict each other; the text says which.
    Damaged(&'static str),
    /// A field or a member is there twice.
    Duplicate,
    /// A collection without elements, which no server keeps. The value ends where it should.
    Empty,
    /// A type that this server, or the version of the bytes, does not have.
    UnknownType(u8),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("it ends too early"),
            Self::Damaged(what) => f.write_str(what),
            Self::Duplicate => f.write_str("a field or member is there twice"),
            Self::Empty => f.write_str("it is a collection without elements"),
            Self::UnknownType(kind) => write!(f, "its type {kind} is not known"),
        }
    }
}

impl std::error::Error for Fault {}
