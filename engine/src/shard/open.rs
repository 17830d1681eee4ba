//! A value with elements while a command changes it: found once, changed element by element, closed at the end.
//!
//! ```text
//!  open ──▶ change, change, … ──▶ close     events in their order; a collection that has become empty is gone
//!           └─ each makes its record
//! ```

use super::{Access, Shard};
use crate::evict::Use;
use crate::journal::{Counts, Effect, Element, Event, Removal};
use crate::memory::{Times, item_of};
use crate::raw::Block;
use crate::spiral::entries::Entry;
use crate::{DbIndex, Key, Kind, StoreError, WrongType};

/// What a command changes: the collection of a key, if there is one.
#[must_use = "what is opened is closed, however it went"]
pub(super) struct Open<'a> {
    pub(super) shard: &'a mut Shard,
    pub(super) db: DbIndex,
    pub(super) key: Key<'a>,
    /// Where it is; none: there is none, yet.
    pub(super) item: Option<Block>,
    /// Whether it was there before.
    was_there: bool,
    /// When it ends and wakes, as the keyspace knows it, once a change may change that.
    times: Option<Option<Times>>,
    /// Whether it may come to wake.
    has_place: bool,
}

impl Shard {
    /// Opens the collection of a key, which is a use of it.
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline(always)]
    pub(super) fn open<'a>(
        &'a mut self,
        db: DbIndex,
        key: Key<'a>,
        kind: Kind,
    ) -> Result<Open<'a>, WrongType> {
        let entry = self.find(db, key);
        if let Some(entry) = entry {
            let head = self.memory.head_of(entry);
            self.touch_collection(db, (key.hash(), entry), Use::Write);
            if head.form().kind() != kind {
                return Err(WrongType);
            }
        }
        let item = entry.and_then(item_of);
        Ok(Open {
            shard: self,
            db,
            key,
            item,
            was_there: item.is_some(),
            times: None,
            has_place: false,
        })
    }
}

impl Shard {
    /// The item of the collection at a key, for a command that reads: that there is none is worth a note (`keymiss`).
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline(always)]
    pub(super) fn collection_to_read(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        kind: Kind,
        access: Access,
    ) -> Result<Option<Block>, WrongType> {
        self.any_collection_to_read(db, key, |found| found == kind, access)
    }

    /// As [`Self::collection_to_read`], of one of several types.
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline(always)]
    pub(super) fn any_collection_to_read(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        is_wanted: impl Fn(Kind) -> bool,
        access: Access,
    ) -> Result<Option<Block>, WrongType> {
        let Some(entry) = self.find_to_read(db, key) else {
            self.note_miss(db, key, access);
            return Ok(None);
        };
        let head = self.memory.head_of(entry);
        if access == Access::Touch {
            self.touch_collection(db, (key.hash(), entry), Use::Read);
        }
        let item = item_of(entry).filter(|_| is_wanted(head.form().kind()));
        item.map(Some).ok_or(WrongType)
    }

    /// Removes a collection that has lost its last element: a part of the change that took it.
    pub(super) fn remove_emptied(&mut self, db: DbIndex, key: Key<'_>, item: Block) {
        self.delete(db, key.hash(), Entry::Item(item));
        let gone = Effect::Remove(Removal::Deleted);
        self.journal.record_as(Counts::Part, db, key.bytes(), &gone);
        self.journal.tell(db, key.bytes(), Event::Del);
    }
}

impl Open<'_> {
    /// Is called before each change of the collection that is there, with what its record will say: who is told before something
    /// changes is told now, and the undo log keeps what it needs to take the change back.
    #[inline]
    pub(super) fn before(&mut self, element: &Element<'_>) {
        if self.shard.is_told_before
            && let Some(item) = self.item
        {
            self.shard
                .before_element(self.db, self.key.hash(), item, element);
        }
    }

    /// Is called before a change that may change when the item wakes.
    #[inline]
    pub(super) fn note_times(&mut self) {
        if self.times.is_none()
            && let Some(item) = self.item
        {
            self.times = Some(self.shard.memory.times(item));
        }
    }

    /// Is called, besides, before a change that may have the item wake that did not.
    ///
    /// # Errors
    /// There is no memory for telling when.
    pub(super) fn make_place(&mut self) -> Result<(), StoreError> {
        if let Some(item) = self.item.filter(|_| !self.has_place) {
            self.shard.make_place(self.db, self.key.hash(), item)?;
            self.has_place = true;
        }
        Ok(())
    }

    /// Makes the record of a change.
    #[inline]
    pub(super) fn record(&mut self, element: Element<'_>) {
        self.record_as(Counts::Change, element);
    }

    /// As [`Self::record`], for what may count as less than a change.
    #[inline]
    pub(super) fn record_as(&mut self, counts: Counts, element: Element<'_>) {
        let effect = Effect::Elements(std::slice::from_ref(&element));
        let (db, key) = (self.db, self.key.bytes());
        self.shard.journal.record_as(counts, db, key, &effect);
    }

    /// Is called before the collection is made.
    #[inline]
    pub(super) fn before_new(&mut self) {
        if self.shard.is_told_before {
            self.shard.before_new(self.db, self.key);
        }
    }

    /// The item has gone from one block to another.
    pub(super) fn moved(&mut self, to: Block) {
        let from = self.item.expect("it was somewhere");
        if from != to {
            self.shard.repoint(self.db, self.key.hash(), from, to);
            self.item = Some(to);
        }
    }

    /// Puts a new item into the keyspace, or frees it; [`Self::before_new`] has been called.
    ///
    /// # Errors
    /// Memory is out.
    pub(super) fn attach(&mut self, item: Block) -> Result<(), StoreError> {
        self.shard.attach_new(self.db, self.key.hash(), item)?;
        self.item = Some(item);
        let has_fields = self.shard.memory.layout(item).head.form().has_fields();
        self.times = has_fields.then(|| self.shard.memory.times(item));
        Ok(())
    }

    /// The end of a command that had these effects: tells events, and removes what has become empty.
    pub(super) fn close(self, is_empty: bool, events: &[Event]) {
        let Self {
            shard,
            db,
            key,
            item,
            was_there,
            times,
            has_place: _,
        } = self;
        if let (Some(item), Some(was)) = (item, times) {
            let is = shard.memory.times(item);
            shard.times_changed(db, key.hash(), item, (was, is));
        }
        if item.is_some() && !was_there {
            shard.journal.tell(db, key.bytes(), Event::New);
        }
        for &event in events {
            shard.journal.tell(db, key.bytes(), event);
        }
        if let Some(item) = item
            && is_empty
        {
            shard.remove_emptied(db, key, item);
        }
    }
}
