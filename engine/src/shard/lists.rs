//! Lists: what commands read of them, and the changes they make, each of which makes its record.

use std::ops::Range;

use super::{Access, Open, Shard};
use crate::journal::Event;
use crate::list::End;
use crate::{DbIndex, Key, Kind, StoreError, WrongType};

/// A list to read.
#[derive(Clone, Copy)]
pub struct ListRef<'a> {
    shard: &'a Shard,
}

/// The list of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub struct ListMut<'a> {
    open: Open<'a>,
}

impl Shard {
    /// The list at a key, to read.
    ///
    /// # Errors
    /// What is there is of another type.
    pub fn list(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        access: Access,
    ) -> Result<Option<ListRef<'_>>, WrongType> {
        let _ = (db, key, access);
        todo!()
    }

    /// The list at a key, to change. One that is not there is made by the first push.
    ///
    /// # Errors
    /// What is there is of another type.
    pub fn list_mut<'a>(&'a mut self, db: DbIndex, key: Key<'a>) -> Result<ListMut<'a>, WrongType> {
        let open = self.open(db, key, Kind::List)?;
        Ok(ListMut { open })
    }

    /// A list to be made at a key, in the place of whatever is there, which is gone.
    pub fn list_anew<'a>(&'a mut self, db: DbIndex, key: Key<'a>) -> ListMut<'a> {
        let was_there = self.remove(db, key, Event::Silent);
        let open = Open::anew(self, db, key, was_there);
        ListMut { open }
    }
}

impl<'a> ListRef<'a> {
    /// Number of elements, at least one.
    pub fn len(&self) -> u32 {
        let _ = self.shard;
        todo!()
    }

    /// Element `index`.
    pub fn get(&self, index: u32) -> Option<&'a [u8]> {
        let _ = index;
        todo!()
    }

    /// Shows the elements `range`, which there are, in order.
    pub fn range(&self, range: Range<u32>, show: &mut dyn FnMut(&'a [u8])) {
        let _ = (range, show);
        todo!()
    }

    /// Shows elements with their indexes, from `index` on away from `end`, until `show` answers false.
    pub fn walk(&self, index: u32, from: End, show: &mut dyn FnMut(u32, &'a [u8]) -> bool) {
        let _ = (index, from, show);
        todo!()
    }
}

impl ListMut<'_> {
    /// Whether there is a list.
    pub fn is_there(&self) -> bool {
        self.open.item.is_some()
    }

    /// Number of elements.
    pub fn len(&self) -> u32 {
        todo!()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `index`.
    pub fn get(&self, index: u32) -> Option<&[u8]> {
        let _ = index;
        todo!()
    }

    /// The index of the first element that is `element`, seen from this end.
    pub fn find(&self, element: &[u8], from: End) -> Option<u32> {
        let _ = (element, from);
        todo!()
    }

    /// Adds an element at an end.
    ///
    /// # Errors
    /// Memory is out, or the list has as many elements as it may; then nothing changed.
    pub fn push(&mut self, end: End, value: &[u8]) -> Result<(), StoreError> {
        let _ = (end, value);
        todo!()
    }

    /// Takes the element at an end out; what `read` makes of it, `None` if there is none.
    pub fn pop<T>(&mut self, end: End, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let _ = (end, read);
        todo!()
    }

    /// Makes element `index`, which there is, another one.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub fn replace(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError> {
        let _ = (index, value);
        todo!()
    }

    /// Adds an element before element `index`, or behind the last.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn insert(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError> {
        let _ = (index, value);
        todo!()
    }

    /// Takes the elements `range`, which there are, out.
    pub fn remove(&mut self, range: Range<u32>) {
        let _ = range;
        todo!()
    }

    /// Takes at most `count` elements out that are `element`, from this end on; how many.
    pub fn remove_equal(&mut self, element: &[u8], count: u32, from: End) -> u32 {
        let _ = (element, count, from);
        todo!()
    }

    /// Ends the command: tells that the key came to be, if it did; then these events, in their order; then, if no element is
    /// left, that the key is gone, which it then is. With no events nothing may have changed.
    pub fn close(self, events: &[Event]) {
        let is_empty = self.is_there() && self.is_empty();
        self.open.close(is_empty, events);
    }
}
