//! A collection that Redis keeps, and writes, as one string of bytes.

use std::borrow::Cow;

use super::fault::Fault;
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

/// The elements of such a string, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Packed<'a> {
    bytes: Cow<'a, [u8]>,
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

impl<'a> Packed<'a> {
    /// Checks what stands before and behind the elements.
    pub(super) fn open(layout: Layout, bytes: Cow<'a, [u8]>) -> Result<Self, Fault> {
        let cursor = match layout {
            Layout::Listpack => Cursor::Listpack(listpack::Cursor::open(&bytes)?),
            Layout::Ziplist => Cursor::Ziplist(ziplist::Cursor::open(&bytes)?),
            Layout::Zipmap => Cursor::Zipmap(zipmap::Cursor::open(&bytes)?),
            Layout::Intset => Cursor::Intset(intset::Cursor::open(&bytes)?),
        };
        Ok(Self { bytes, cursor })
    }

    /// Whether all elements have been read, and are as many as the bytes say.
    pub(super) fn is_done(&self) -> Result<bool, Fault> {
        self.cursor.is_done(&self.bytes)
    }

    /// The next `N` elements, `None` at the end.
    ///
    /// # Errors
    /// The bytes are damaged there, or fewer are left, but not none.
    pub(super) fn next<const N: usize>(&mut self) -> Result<Option<[Item<'_>; N]>, Fault> {
        if self.is_done()? {
            return Ok(None);
        }
        let mut items = [Item::Integer(0); N];
        for (at, item) in items.iter_mut().enumerate() {
            if at > 0 && self.cursor.is_done(&self.bytes)? {
                return Err(Fault::Damaged("a field has no value"));
            }
            *item = self.cursor.next(&self.bytes)?;
        }
        Ok(Some(items))
    }

    /// The memory it takes besides the payload.
    pub(super) fn held_bytes(&self) -> usize {
        held_bytes(&self.bytes)
    }
}

/// The memory that bytes take besides the payload.
#[expect(clippy::ptr_arg, reason = "borrowed ones take none")]
pub(super) fn held_bytes(bytes: &Cow<'_, [u8]>) -> usize {
    match bytes {
        Cow::Borrowed(_) => 0,
        Cow::Owned(bytes) => bytes.capacity(),
    }
}
