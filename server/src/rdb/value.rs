//! One value of any type.

use std::borrow::Cow;

use super::fault::Fault;
use super::hash::Hash;
use super::input::Input;
use super::kind;
use super::list::List;
use super::seen::Duplicates;
use super::set::Set;
use super::sorted_set::SortedSet;
use super::stream::Stream;
use super::version::Version;

/// A value, and how to read what it holds.
#[derive(Debug)]
pub enum Value<'a> {
    /// A string, which is all there, and what stands behind it.
    String(Cow<'a, [u8]>, Input<'a>),
    /// A list.
    List(List),
    /// A hash.
    Hash(Hash),
    /// A set.
    Set(Set),
    /// A sorted set.
    SortedSet(SortedSet),
    /// A stream.
    Stream(Stream),
}

impl<'a> Value<'a> {
    /// The type of a string.
    pub const STRING: u8 = kind::STRING;

    /// Begins to read a value of type `kind` from `body`, as this version has it.
    ///
    /// # Errors
    /// The type is not known, or the value's beginning is damaged.
    pub fn open(
        kind: u8,
        version: Version,
        body: Input<'a>,
        duplicates: Duplicates,
    ) -> Result<Self, Fault> {
        if kind == kind::STRING {
            let mut input = body;
            let string = input.string()?;
            return Ok(Self::String(string, input));
        }
        if let Some(list) = List::open(kind, body)? {
            return Ok(Self::List(list));
        }
        if let Some(hash) = Hash::open(kind, version, body, duplicates)? {
            return Ok(Self::Hash(hash));
        }
        if let Some(set) = Set::open(kind, body, duplicates)? {
            return Ok(Self::Set(set));
        }
        if let Some(set) = SortedSet::open(kind, body, duplicates)? {
            return Ok(Self::SortedSet(set));
        }
        if let Some(stream) = Stream::open(kind, body)? {
            return Ok(Self::Stream(stream));
        }
        Err(Fault::UnknownType(kind))
    }

    /// What of `body` stands behind the value, once it was read to its end.
    #[must_use]
    pub fn rest(&self, body: Input<'a>) -> Input<'a> {
        match self {
            Self::String(_, rest) => *rest,
            Self::List(list) => list.rest(body),
            Self::Hash(hash) => hash.rest(body),
            Self::Set(set) => set.rest(body),
            Self::SortedSet(set) => set.rest(body),
            Self::Stream(stream) => stream.rest(body),
        }
    }
}
