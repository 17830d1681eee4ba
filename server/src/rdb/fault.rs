//! Why bytes are no value.

use std::fmt;

/// What is wrong with the bytes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They end before the value does. The reader is as it was, and goes on where there are more of them.
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

impl Fault {
    /// What it is of bytes that lie in a string which is all there: no more of them will come.
    pub(super) fn inside(self) -> Self {
        match self {
            Self::Truncated => Self::Damaged("what a string holds ends too early"),
            other => other,
        }
    }
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
