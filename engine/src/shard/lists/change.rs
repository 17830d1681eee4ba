//! Changing lists: each change of an element makes its record, and [`ListMut::close`] ends the command.

use std::ops::Range;

use crate::item::Variant;
use crate::journal::{Element, Event};
use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::list::{End, ListView, Sweep};
use crate::raw::Block;
use crate::shard::lists::ListRef;
use crate::shard::{Open, Shard};
use crate::{DbIndex, Key, Kind, ListThreshold, StoreError, WrongType};

/// The list of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub struct ListMut<'a> {
    open: Open<'a>,
    /// Elements added.
    added: u32,
    /// Whether elements have gone, or become others.
    has_shrunk: bool,
}

impl Shard {
    /// The list at a key, to change. One that is not there is made by the first push.
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn list_mut<'a>(&'a mut self, db: DbIndex, key: Key<'a>) -> Result<ListMut<'a>, WrongType> {
        let open = self.open(db, key, Kind::List)?;
        Ok(ListMut::new(open))
    }

    /// A list to be made at a key, in the place of whatever is there, which is gone.
    pub fn list_anew<'a>(&'a mut self, db: DbIndex, key: Key<'a>) -> ListMut<'a> {
        let was_there = self.remove(db, key, Event::Silent);
        ListMut::new(Open::anew(self, db, key, was_there))
    }
}

impl<'a> ListMut<'a> {
    #[inline]
    fn new(open: Open<'a>) -> Self {
        Self {
            open,
            added: 0,
            has_shrunk: false,
        }
    }
}

impl ListMut<'_> {
    /// Whether there is a list.
    pub fn is_there(&self) -> bool {
        self.open.item.is_some()
    }

    #[inline]
    fn view(&self) -> Option<ListView<'_>> {
        let item = self.open.item?;
        Some(self.open.shard.memory.list_of(item))
    }

    /// What there is, to read.
    #[inline]
    pub fn as_ref(&self) -> Option<ListRef<'_>> {
        self.view().map(|view| ListRef { view })
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> u32 {
        self.view().map_or(0, |list| list.len())
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `index`.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&[u8]> {
        self.view()?.get(index)
    }

    /// The index of the first element that is `element`, seen from this end.
    pub fn find(&self, element: &[u8], from: End) -> Option<u32> {
        let list = self.view()?;
        list.find(0..list.len(), from, element)
    }

    /// Adds an element at an end.
    ///
    /// # Errors
    /// Memory is out, or the list has as many elements as it may; then nothing changed.
    #[inline]
    pub fn push(&mut self, end: End, value: &[u8]) -> Result<(), StoreError> {
        let element = Element::Push { end, value };
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let Some(item) = self.open.item else {
            self.create(value)?;
            self.added(element);
            return Ok(());
        };
        self.open.before(&element);
        let at = self.open.shard.memory.push_to_list(item, end, value)?;
        self.open.moved(at);
        self.added(element);
        Ok(())
    }

    /// Makes the list, of this element.
    fn create(&mut self, value: &[u8]) -> Result<(), StoreError> {
        let key = self.open.key.bytes();
        if key.len() > MAX_KEY_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.open.before_new();
        let shard = &mut self.open.shard;
        let item = shard.memory.create_list(key, shard.clock, value)?;
        self.open.attach(item);
        Ok(())
    }

    #[inline(always)]
    fn added(&mut self, element: Element<'_>) {
        self.added += 1;
        self.open.record(element);
    }

    /// Takes the element at an end out; what `read` makes of it, `None` if there is none.
    #[inline]
    pub fn pop<T>(&mut self, end: End, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let item = self.open.item?;
        let element = Element::Pop(end);
        if self.open.shard.is_told_before && !self.is_empty() {
            self.open.before(&element);
        }
        let popped = self.open.shard.memory.pop_from_list(item, end, read)?;
        self.has_shrunk = true;
        self.open.record(element);
        Some(popped)
    }

    /// Makes element `index`, which there is, another one.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub fn replace(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError> {
        let element = Element::Replace { index, value };
        let at = self.change(&element, value, |open, item| {
            open.shard.memory.replace_in_list(item, index, value)
        })?;
        self.open.moved(at);
        self.has_shrunk = true;
        self.added(element);
        Ok(())
    }

    /// Adds an element before element `index`, or behind the last.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn insert(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError> {
        let element = Element::Insert { index, value };
        let at = self.change(&element, value, |open, item| {
            open.shard.memory.insert_into_list(item, index, value)
        })?;
        self.open.moved(at);
        self.added(element);
        Ok(())
    }

    /// Makes a change of the list that is there; where its item is now.
    fn change(
        &mut self,
        element: &Element<'_>,
        value: &[u8],
        make: impl FnOnce(&mut Open<'_>, Block) -> Result<Block, StoreError>,
    ) -> Result<Block, StoreError> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let item = self
            .open
            .item
            .expect("elements are of a list that is there");
        self.open.before(element);
        make(&mut self.open, item)
    }

    /// Takes the elements `range`, which there are, out.
    pub fn remove(&mut self, range: Range<u32>) {
        let Some(item) = self.open.item.filter(|_| !range.is_empty()) else {
            return;
        };
        let element = Element::Cut {
            index: range.start,
            count: range.end - range.start,
        };
        self.open.before(&element);
        self.open.shard.memory.remove_from_list(item, range);
        self.has_shrunk = true;
        self.open.record(element);
    }

    /// Takes at most `count` elements out that are `element`, from this end on; how many. Each is a change by itself, neighbours
    /// are one.
    pub fn remove_equal(&mut self, element: &[u8], count: u32, from: End) -> u32 {
        let Some(item) = self.open.item else {
            return 0;
        };
        let len = self.len();
        let mut sweep = Sweep::new(len, count, from);
        let mut found = Vec::new();
        while let Some(base) = {
            let list = self.open.shard.memory.list_of(item);
            sweep.next(&list, element, &mut found)
        } {
            // The last first: so the indexes of the others stay, and each can be told of before any is gone.
            let cuts = || {
                let runs = found.chunk_by(|at, next| at + 1 == *next).rev();
                runs.map(|run| Element::Cut {
                    index: base + run[0] as u32,
                    count: run.len() as u32,
                })
            };
            cuts().for_each(|cut| self.open.before(&cut));
            self.open.shard.memory.remove_found(item, base, &found);
            cuts().for_each(|cut| self.open.record(cut));
            self.has_shrunk = true;
        }
        len - self.len()
    }

    /// Ends the command: tells that the key came to be, if it did; then these events, in their order; then, if no element is
    /// left, that the key is gone, which it then is. With no events nothing may have changed.
    #[inline]
    pub fn close(mut self, events: &[Event]) {
        let is_empty = self.is_there() && self.is_empty();
        if let Some(item) = self.open.item
            && !is_empty
            && (self.added > 0 || self.has_shrunk)
        {
            self.settle(item);
        }
        self.open.close(is_empty, events);
    }

    /// Where the elements lie follows their size, and so does what the list answers as its encoding.
    #[inline]
    fn settle(&mut self, mut item: Block) {
        if self.has_shrunk {
            item = self.open.shard.memory.fit_list(item);
            self.open.moved(item);
        }
        let list = self.open.shard.memory.list_of(item);
        let memory = &self.open.shard.memory;
        let (was, elements) = (memory.variant(item), list.len());
        let bytes = ListThreshold::bytes_of(elements, list.payload_bytes());
        let threshold = self.open.shard.thresholds.list;
        let is = match was.is_outgrown() {
            true if self.has_shrunk && threshold.is_half(elements, bytes) => was.fitting(),
            // As Redis, which asks before it adds, and then knows the elements to come by their lengths alone.
            false if threshold.is_exceeded(elements, bytes - 2 * u64::from(self.added)) => {
                was.outgrown()
            }
            _ => return,
        };
        self.set_variant(item, is);
    }

    #[cold]
    fn set_variant(&mut self, item: Block, variant: Variant) {
        let memory = &mut self.open.shard.memory;
        match memory.collection_of(item) {
            Some(number) => memory.set_variant(number, variant),
            None => memory.set_packed_variant(item, variant),
        }
    }
}
