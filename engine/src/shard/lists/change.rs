//! Changing lists: each change of an element makes its record, and [`ListMut::close`] ends the command.

use std::ops::Range;

use crate::journal::{Element, Event};
use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::list::{End, ListView, Sweep};
use crate::memory::{ListPlace, Memory, fits_ill};
use crate::shard::lists::ListRef;
use crate::shard::{Open, Shard};
use crate::{DbIndex, Key, Kind, ListThreshold, StoreError, WrongType};

/// The list of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub struct ListMut<'a> {
    open: Open<'a>,
    /// Where it lies, if it is there.
    at: Option<ListPlace>,
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
        let at = open.item.map(|item| open.shard.memory.list_at(item));
        Ok(ListMut::new(open, at))
    }
}

impl<'a> ListMut<'a> {
    #[inline]
    fn new(open: Open<'a>, at: Option<ListPlace>) -> Self {
        Self {
            open,
            at,
            added: 0,
            has_shrunk: false,
        }
    }
}

impl ListMut<'_> {
    /// Whether there is a list.
    pub fn is_there(&self) -> bool {
        self.at.is_some()
    }

    #[inline]
    fn view(&self) -> Option<ListView<'_>> {
        let at = self.at.as_ref()?;
        Some(self.open.shard.memory.list_view(at))
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
        match &mut self.at {
            None => self.create(value)?,
            Some(at) => {
                self.open.before(&element);
                self.open.shard.memory.push_to_list(at, end, value)?;
                self.open.moved(at.item());
            }
        }
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
        let access = shard.history_of_coming(self.open.key.hash(), key.len() + value.len());
        let at = shard.memory.create_list(key, access, value)?;
        self.open.attach(at.item())?;
        self.at = Some(at);
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
        let element = Element::Pop(end);
        if self.open.shard.is_told_before && !self.is_empty() {
            self.open.before(&element);
        }
        let at = self.at.as_ref()?;
        let popped = self.open.shard.memory.pop_from_list(at, end, read)?;
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
        self.change(element, value, |memory, at| {
            memory.replace_in_list(at, index, value)
        })?;
        self.has_shrunk = true;
        Ok(())
    }

    /// Adds an element before element `index`, or behind the last.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn insert(&mut self, index: u32, value: &[u8]) -> Result<(), StoreError> {
        let element = Element::Insert { index, value };
        self.change(element, value, |memory, at| {
            memory.insert_into_list(at, index, value)
        })
    }

    /// Makes a change of the list that is there, which brings `value`.
    fn change(
        &mut self,
        element: Element<'_>,
        value: &[u8],
        make: impl FnOnce(&mut Memory, &mut ListPlace) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.open.before(&element);
        let at = self.at.as_mut();
        let at = at.expect("elements are of a list that is there");
        make(&mut self.open.shard.memory, at)?;
        self.open.moved(at.item());
        self.added(element);
        Ok(())
    }

    /// Takes the elements `range`, which there are, out.
    pub fn remove(&mut self, range: Range<u32>) {
        let Some(at) = self.at.filter(|_| !range.is_empty()) else {
            return;
        };
        let count = range.end - range.start;
        let element = Element::Cut {
            index: range.start,
            count,
        };
        self.open.before(&element);
        self.open.shard.memory.remove_from_list(&at, range);
        self.has_shrunk = true;
        self.open.record(element);
        self.count_as(1, count.into());
    }

    /// Takes at most `count` elements out that are `element`, from this end on; how many. Each is a change by itself, neighbours
    /// are one record.
    pub fn remove_equal(&mut self, element: &[u8], count: u32, from: End) -> u32 {
        self.remove_equal_of(0..self.len(), element, count, from)
    }

    /// As [`Self::remove_equal`], of the elements `range`, which there are.
    pub fn remove_equal_of(
        &mut self,
        range: Range<u32>,
        element: &[u8],
        count: u32,
        from: End,
    ) -> u32 {
        let Some(at) = self.at else {
            return 0;
        };
        let len = self.len();
        let mut sweep = Sweep::new(range, count, from);
        let mut found = Vec::new();
        while let Some(base) = {
            let list = self.open.shard.memory.list_view(&at);
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
            self.open.shard.memory.remove_found(&at, base, &found);
            cuts().for_each(|cut| self.open.record(cut));
            self.count_as(cuts().count() as u64, found.len() as u64);
            self.has_shrunk = true;
        }
        len - self.len()
    }

    /// So many of the records just made count as so many changes.
    pub fn count_as(&mut self, records: u64, changes: u64) {
        self.open.shard.journal.count_as(records, changes);
    }

    /// The command leaves the list as it is, and yet counts as having changed it for who watches it.
    pub fn touch(&mut self) {
        let (db, key) = (self.open.db, self.open.key.bytes());
        self.open.shard.journal.touch(db, key);
    }

    /// Ends the command: tells that the key came to be, if it did; then these events, in their order; then, if no element is
    /// left, that the key is gone, which it then is. With no events nothing may have changed.
    #[inline]
    pub fn close(mut self, events: &[Event]) {
        let is_empty = self.settle();
        self.open.close(is_empty, events);
    }

    /// Where the elements lie follows their size, and so does what the list answers as its encoding; whether none is left.
    #[inline]
    fn settle(&mut self) -> bool {
        let Some(at) = &mut self.at else {
            return false;
        };
        let shard = &mut self.open.shard;
        let mut list = shard.memory.list_view(at);
        if list.len() == 0 {
            return true;
        }
        if self.added == 0 && !self.has_shrunk {
            return false;
        }
        // One that the undo log may have element by element stays a tree: packed, it would have another number when it is one again.
        let may_pack = !shard.undo.is_open;
        if self.has_shrunk && fits_ill(&list, may_pack) {
            shard.memory.fit_list(at);
            list = shard.memory.list_view(at);
        }
        let (threshold, elements) = (shard.thresholds.list, list.len());
        let bytes = ListThreshold::bytes_of(elements, list.payload_bytes());
        let was = shard.memory.list_variant(at);
        let is_to_change = match was.is_outgrown() {
            true => self.has_shrunk && is_half(threshold, &list),
            // As Redis, which asks before it adds, and then knows the elements to come by their lengths alone.
            false => {
                threshold.is_exceeded(elements, bytes.saturating_sub(2 * u64::from(self.added)))
            }
        };
        if is_to_change {
            let is = match was.is_outgrown() {
                true => was.fitting(),
                false => was.outgrown(),
            };
            shard.memory.set_list_variant(at, is);
        }
        let item = at.item();
        self.open.moved(item);
        false
    }
}

/// Whether a list has become half of what a small one may be. Its elements are looked at only if they are few enough for that.
fn is_half(threshold: ListThreshold, list: &ListView<'_>) -> bool {
    let elements = list.len();
    let is_half = |bytes| threshold.is_half(elements, ListThreshold::bytes_of(elements, bytes));
    is_half(0) && is_half(list.element_bytes())
}
