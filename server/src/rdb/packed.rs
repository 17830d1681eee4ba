//! A collection that Redis keeps, and writes, as one string of bytes.

use std::borrow::Cow;
use std::ops::Range;

use super::fault::Fault;
use super::input::Input;
use super::item::Item;
use super::{intset, listpack, ziplist, zipmap};

/// How the bytes hold the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Listpack,
    Ziplist,
    Zipmap,
    Intset,
}

/// A string of a value that is being read.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// It stands there among the value's bytes.
    There(Range<usize>),
    /// What it was unpacked to.
    Unpacked(Vec<u8>),
}

impl Held {
    /// The next string of `input`, the rest of `body`.
    ///
    /// # Errors
    /// None stands there.
    pub(super) fn read(body: Input<'_>, input: &mut Input<'_>) -> Result<Self, Fault> {
        Ok(match input.string()? {
            Cow::Borrowed(bytes) => {
                let end = body.len() - input.len();
                Self::There(end - bytes.len()..end)
            }
            Cow::Owned(bytes) => Self::Unpacked(bytes),
        })
    }

    /// Its bytes. `body` is what it was read from.
    pub(super) fn bytes<'b>(&'b self, body: Input<'b>) -> &'b [u8] {
        match self {
            Self::There(range) => &body.rest()[range.clone()],
            Self::Unpacked(bytes) => bytes,
        }
    }

    /// Its bytes, as [`Self::bytes`].
    pub(super) fn into_bytes(self, body: Input<'_>) -> Cow<'_, [u8]> {
        match self {
            Self::There(range) => Cow::Borrowed(&body.rest()[range]),
            Self::Unpacked(bytes) => Cow::Owned(bytes),
        }
    }

    /// How many of the first bytes of what it was read from, of which `read` were read, are not needed.
    pub(super) fn unneeded(&self, read: usize) -> usize {
        match self {
            Self::There(range) => range.start.min(read),
            Self::Unpacked(_) => read,
        }
    }

    /// So many of the first bytes of what it was read from are gone: they are not needed.
    pub(super) fn forget(&mut self, bytes: usize) {
        if let Self::There(range) = self {
            *range = range.start - bytes..range.end - bytes;
        }
    }

    /// The memory it takes besides the payload.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::There(_) => 0,
            Self::Unpacked(bytes) => bytes.capacity(),
        }
    }
}

/// Has a reader that has read `read` bytes, the last string of which is `held`, forget those that it needs no longer; how many.
pub(super) fn forget(read: &mut usize, held: Option<&mut Held>) -> usize {
    let unneeded = held.as_ref().map_or(*read, |held| held.unneeded(*read));
    *read -= unneeded;
    if let Some(held) = held {
        held.forget(unneeded);
    }
    unneeded
}

/// The elements of such a string, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    string: Held,
    cursor: Cursor,
}

#[derive(Clone, Debug)]
enum Cursor {
    Listpack(listpack::Cursor),
    Ziplist(ziplist::Cursor),
    Zipmap(zipmap::Cursor),
    Intset(intset::Cursor),
}

impl Cursor {
    fn is_done(&self, bytes: &[u8]) -> Result<bool, Fault> {
        match self {
            Self::Listpack(cursor) => cursor.is_done(bytes),
            Self::Ziplist(cursor) => cursor.is_done(bytes),
            Self::Zipmap(cursor) => cursor.is_done(bytes),
            Self::Intset(cursor) => Ok(cursor.is_done(bytes)),
        }
    }

    fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<Item<'b>, Fault> {
        match self {
            Self::Listpack(cursor) => cursor.next(bytes),
            Self::Ziplist(cursor) => cursor.next(bytes),
            Self::Zipmap(cursor) => cursor.next(bytes),
            Self::Intset(cursor) => cursor.next(bytes),
        }
    }
}

impl Packed {
    /// The next string of `input`, the rest of `body`; checks what stands before and behind its elements.
    pub(super) fn open(
        layout: Layout,
        body: Input<'_>,
        input: &mut Input<'_>,
    ) -> Result<Self, Fault> {
        let string = Held::read(body, input)?;
        let bytes = string.bytes(body);
        let cursor = match layout {
            Layout::Listpack => listpack::Cursor::open(bytes).map(Cursor::Listpack),
            Layout::Ziplist => ziplist::Cursor::open(bytes).map(Cursor::Ziplist),
            Layout::Zipmap => zipmap::Cursor::open(bytes).map(Cursor::Zipmap),
            Layout::Intset => intset::Cursor::open(bytes).map(Cursor::Intset),
        };
        let cursor = cursor.map_err(Fault::inside)?;
        Ok(Self { string, cursor })
    }

    /// Whether all elements have been read, and are as many as the bytes say.
    pub(super) fn is_done(&self, body: Input<'_>) -> Result<bool, Fault> {
        self.cursor.is_done(self.string.bytes(body))
    }

    /// The next `N` elements, `None` at the end.
    ///
    /// # Errors
    /// The bytes are damaged there, or fewer are left, but not none.
    pub(super) fn next<'s, const N: usize>(
        &'s mut self,
        body: Input<'s>,
    ) -> Result<Option<[Item<'s>; N]>, Fault> {
        let Self { string, cursor } = self;
        let bytes = string.bytes(body);
        if cursor.is_done(bytes)? {
            return Ok(None);
        }
        let mut items = [Item::Integer(0); N];
        for (at, item) in items.iter_mut().enumerate() {
            if at > 0 && cursor.is_done(bytes)? {
                return Err(Fault::Damaged("a field has no value"));
            }
            *item = cursor.next(bytes).map_err(Fault::inside)?;
        }
        Ok(Some(items))
    }

    /// The string that holds them.
    pub(super) fn held(&mut self) -> &mut Held {
        &mut self.string
    }

    /// The memory it takes besides the payload.
    pub(super) fn held_bytes(&self) -> usize {
        self.string.held_bytes()
    }
}
