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

    /// A collection, which has nothing of the bytes it was opened on; `None`: it is a string.
    #[must_use]
    pub fn into_collection(self) -> Option<Value<'static>> {
        Some(match self {
            Self::String(..) => return None,
            Self::List(list) => Value::List(list),
            Self::Hash(hash) => Value::Hash(hash),
            Self::Set(set) => Value::Set(set),
            Self::SortedSet(set) => Value::SortedSet(set),
            Self::Stream(stream) => Value::Stream(stream),
        })
    }

    /// Reads the next element, field, member or change of a collection, and passes it over. Whether there was one. `body` is what it
    /// was opened on.
    ///
    /// # Errors
    /// The value is damaged there, or has none at all.
    pub fn pass(&mut self, body: Input<'_>) -> Result<bool, Fault> {
        Ok(match self {
            Self::String(..) => false,
            Self::List(list) => list.next_element(body)?.is_some(),
            Self::Hash(hash) => hash.next_field(body)?.is_some(),
            Self::Set(set) => set.next_member(body)?.is_some(),
            Self::SortedSet(set) => set.next_member(body)?.is_some(),
            Self::Stream(stream) => stream.next_change(body)?.is_some(),
        })
    }

    /// Has a collection forget the first bytes of what it was opened on that it needs no longer, and gives how many: it is given the
    /// rest from now on.
    pub fn forget(&mut self) -> usize {
        match self {
            Self::String(..) => 0,
            Self::List(list) => list.forget(),
            Self::Hash(hash) => hash.forget(),
            Self::Set(set) => set.forget(),
            Self::SortedSet(set) => set.forget(),
            Self::Stream(stream) => stream.forget(),
        }
    }

    /// What of `body` stands behind the value, once it was read to its end.
    #[must_use]
    pub fn rest<'b>(&self, body: Input<'b>) -> Input<'b>
    where
        'a: 'b,
    {
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
