//! The mutations of single entries.
//!
//! Each takes the memory it needs first, then changes table and items, then makes the journal's record and tells its events.

use std::sync::Arc;

use super::{Shard, TtlChange};
use crate::item::Form;
use crate::journal::{Counts, Effect, Element, Event, Removal};
use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::memory::{Content, Times};
use crate::raw::Block;
use crate::{
    AccessClock, Buffer, DbIndex, Encoding, Key, Kind, StoreError, StringForm, UnixMillis,
    ValueBytes, ValueImage,
};

impl Shard {
    /// Lends the buffer in which the arguments of the next commands lie, until [`Self::end_lending`]: a large value that
    /// fills most of it becomes an entry's without being copied.
    pub fn lend(&mut self, buffer: &Arc<Buffer>) {
        self.memory.lend(Arc::clone(buffer));
    }

    /// Ends what [`Self::lend`] began.
    pub fn end_lending(&mut self) {
        self.memory.end_lending();
    }

    /// Lets go of a buffer. If nobody else holds it, no entry and no other core, [`Self::tend`] gives it back in bounded steps,
    /// and it counts as used until then.
    pub fn bury(&mut self, buffer: Arc<Buffer>) {
        self.memory.bury(buffer);
    }

    /// Writes a whole string, replacing whatever `key` held.
    ///
    /// # Errors
    /// The key or value is too large, or memory is out; then nothing changed.
    #[inline]
    pub fn set(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        value: &[u8],
        form: StringForm,
        ttl: TtlChange,
        event: Event,
    ) -> Result<(), StoreError> {
        let encoding = form.encoding_of(value);
        let existing = self.find(db, key);
        let deadline = match (ttl, existing) {
            (TtlChange::At(at), _) => Some(at),
            (TtlChange::Keep, Some(item)) => self.memory.deadline(item),
            (TtlChange::Keep, None) | (TtlChange::Clear, _) => None,
        };
        let content = Content {
            form: Form::string(encoding),
            access: self.history_over(existing, event),
            deadline,
            value,
        };
        self.store(db, key, existing, &content)?;
        let effect = Effect::Put {
            kind: Kind::String,
            encoding,
            value,
            expires_at: deadline,
        };
        self.journal.record(db, key.bytes(), &effect);
        self.journal.tell_each(db, key.bytes(), || {
            // As in Redis, which restores to a key it has removed, and restores the deadline with the rest.
            let is_restored = event == Event::Restore;
            let is_new = existing.is_none() || is_restored;
            let has_own_deadline = matches!(ttl, TtlChange::At(_)) && !is_restored;
            [
                is_new.then_some(Event::New),
                Some(event),
                has_own_deadline.then_some(Event::Expire),
            ]
        });
        Ok(())
    }

    /// Stores an owned value at `key`, replacing what is there. A buffer that the image shares becomes the entry's without being
    /// copied, unless the value is little of it.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn put(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        image: &ValueImage,
        event: Event,
    ) -> Result<(), StoreError> {
        let existing = self.find(db, key);
        let content = Content {
            form: Form::of_image(image),
            access: image.access,
            deadline: image.expires_at,
            value: &image.bytes,
        };
        match &image.bytes {
            ValueBytes::Copied(_) => self.store(db, key, existing, &content)?,
            ValueBytes::Shared(buffer, _) => {
                let lent_before = self.memory.replace_lent(Some(Arc::clone(buffer)));
                let stored = self.store(db, key, existing, &content);
                self.memory.replace_lent(lent_before);
                stored?;
            }
        }
        if image.kind == Kind::String {
            let effect = Effect::Put {
                kind: image.kind,
                encoding: image.encoding,
                value: &image.bytes,
                expires_at: image.expires_at,
            };
            self.journal.record(db, key.bytes(), &effect);
        } else {
            self.record_put(db, key);
        }
        // As in Redis, where such a key is removed first.
        let events = [Some(Event::New), Some(event)];
        self.journal.tell_each(db, key.bytes(), || events);
        Ok(())
    }

    /// Gives `key` this content: in place where it fits, which leaves the table alone.
    #[inline]
    pub(super) fn store(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        existing: Option<Block>,
        content: &Content<'_>,
    ) -> Result<(), StoreError> {
        if key.bytes().len() > MAX_KEY_BYTES || content.value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        if self.is_told_before {
            return self.store_told(db, key, existing, content);
        }
        let Some(item) = existing else {
            return self.store_new(db, key, content);
        };
        let wakes = content.deadline.is_some()
            || content.form.has_fields()
            || self.memory.head(item).may_wake();
        let was = if wakes { self.memory.times(item) } else { None };
        let mut is_at = item;
        if !self.memory.overwrite(item, content) {
            is_at = self.memory.create(key.bytes(), content)?;
            self.repoint(db, key.hash(), item, is_at);
            self.memory.destroy(item);
        }
        if wakes {
            self.written_over(db, key.hash(), is_at, was, content);
        }
        Ok(())
    }

    /// An item that had these times has this content now.
    #[inline(never)]
    fn written_over(
        &mut self,
        db: DbIndex,
        hash: u64,
        item: Block,
        was: Option<Times>,
        content: &Content<'_>,
    ) {
        let is = match content.form.has_fields() {
            false => Times::ending(content.deadline),
            true => self.memory.times(item),
        };
        self.times_changed(db, hash, item, (was, is));
    }

    #[inline(always)]
    fn store_new(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        content: &Content<'_>,
    ) -> Result<(), StoreError> {
        let item = self.memory.create(key.bytes(), content)?;
        self.attach(db, key.hash(), item);
        Ok(())
    }

    /// As [`Self::store`], while somebody is told before.
    #[cold]
    #[inline(never)]
    fn store_told(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        existing: Option<Block>,
        content: &Content<'_>,
    ) -> Result<(), StoreError> {
        let Some(item) = existing else {
            self.before_new(db, key);
            return self.store_new(db, key, content);
        };
        let was = self.memory.times(item);
        let mut is_at = item;
        let is_kept = self.before_whole(db, key.hash(), item);
        if is_kept || !self.memory.overwrite(item, content) {
            is_at = self.memory.create(key.bytes(), content)?;
            self.repoint(db, key.hash(), item, is_at);
            if is_kept {
                self.keep(db, key.hash(), item);
            } else {
                self.memory.destroy(item);
            }
        }
        self.written_over(db, key.hash(), is_at, was, content);
        Ok(())
    }

    /// Points the table's entry of `old` to `new`.
    pub(super) fn repoint(&mut self, db: DbIndex, hash: u64, old: Block, new: Block) {
        let replaced = self.databases[usize::from(db.0)].replace(hash, old, new);
        assert!(replaced, "the item was found by this hash");
    }

    /// Writes `bytes` at `offset` of the string at `key`, creating it empty if missing and filling a gap with zeros.
    /// The deadline is kept; the encoding becomes `raw`. Returns the new length. The entry must be a string if it exists.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn write_range(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        offset: usize,
        bytes: &[u8],
        event: Event,
    ) -> Result<usize, StoreError> {
        if offset.saturating_add(bytes.len()) > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let form = Form::string(Encoding::Raw);
        let existing = self.find(db, key);
        let len = match existing {
            Some(item) => {
                if self.is_told_before {
                    self.before_range(db, key.hash(), item, (offset, bytes.len()))?;
                }
                let access = self.history_over(existing, event);
                let (new, len) = self.memory.write_range(item, offset, bytes, form, access)?;
                if new != item {
                    self.repoint(db, key.hash(), item, new);
                }
                len
            }
            None => self.create_range(db, key, offset, bytes, form)?,
        };
        // What is written without an event is a part of what is told another time, or, of a string that was there, only makes it
        // raw.
        let counts = match (event, existing) {
            (Event::Silent, Some(_)) => Counts::Nothing,
            (Event::Silent, None) => Counts::Part,
            _ => Counts::Change,
        };
        let range = Element::Range {
            offset: offset as u64,
            bytes,
        };
        self.journal
            .record_as(counts, db, key.bytes(), &Effect::Elements(&[range]));
        self.journal.tell_each(db, key.bytes(), || {
            [existing.is_none().then_some(Event::New), Some(event)]
        });
        Ok(len)
    }

    /// A new string of zeros with `bytes` at `offset`.
    fn create_range(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        offset: usize,
        bytes: &[u8],
        form: Form,
    ) -> Result<usize, StoreError> {
        if key.bytes().len() > MAX_KEY_BYTES {
            return Err(StoreError::TooLarge);
        }
        if self.is_told_before {
            self.before_new(db, key);
        }
        let content = Content {
            form,
            access: self.clock,
            deadline: None,
            value: if offset == 0 { bytes } else { b"" },
        };
        let mut item = self.memory.create(key.bytes(), &content)?;
        if offset > 0 {
            match self
                .memory
                .write_range(item, offset, bytes, form, self.clock)
            {
                Ok((written, _)) => item = written,
                Err(error) => {
                    self.memory.destroy(item);
                    return Err(error);
                }
            }
        }
        self.attach(db, key.hash(), item);
        Ok(offset + bytes.len())
    }

    /// Removes `key`; whether it was there (and not past its deadline).
    pub fn remove(&mut self, db: DbIndex, key: Key<'_>, event: Event) -> bool {
        let Some(item) = self.find(db, key) else {
            return false;
        };
        self.delete(db, key.hash(), item);
        self.journal
            .record(db, key.bytes(), &Effect::Remove(Removal::Deleted));
        self.journal.tell(db, key.bytes(), event);
        true
    }

    /// Removes `key` because another shard has it now, even past its deadline, which is for that shard to see; whether it
    /// was there.
    pub fn hand_over(&mut self, db: DbIndex, key: Key<'_>) -> bool {
        let Some(item) = self.keyspace(db).find(key, &self.memory) else {
            return false;
        };
        self.delete(db, key.hash(), item);
        self.journal
            .record(db, key.bytes(), &Effect::Remove(Removal::HandedOver));
        true
    }

    /// Sets or removes the deadline of `key`; whether the entry exists. A deadline that has passed is the caller's to
    /// turn into a removal.
    ///
    /// # Errors
    /// Memory is out (an entry grows by 6 bytes with its first deadline).
    pub fn set_deadline(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        deadline: Option<UnixMillis>,
        event: Event,
    ) -> Result<bool, StoreError> {
        let Some(item) = self.find(db, key) else {
            return Ok(false);
        };
        if self.is_told_before {
            self.before_deadline(db, key.hash(), item);
        }
        let was = self.memory.times(item);
        let new = self.memory.set_deadline(item, deadline)?;
        if new != item {
            self.repoint(db, key.hash(), item, new);
        }
        let is = self.memory.times(new);
        self.times_changed(db, key.hash(), new, (was, is));
        self.journal
            .record(db, key.bytes(), &Effect::Deadline(deadline));
        self.journal.tell(db, key.bytes(), event);
        Ok(true)
    }

    /// Sets the access history of `key`, if it exists (`RESTORE ... IDLETIME`, `FREQ`).
    pub fn set_access(&mut self, db: DbIndex, key: Key<'_>, access: AccessClock) {
        if let Some(item) = self.find(db, key) {
            if self.is_told_before {
                self.before_use(db, item);
            }
            self.memory.set_access(item, access);
        }
    }

    /// Takes an item out of its table for the undo log to keep; another one of its content, under `key`. A large collection is both's.
    #[cold]
    fn leave_kept(
        &mut self,
        db: DbIndex,
        hash: u64,
        item: Block,
        key: &[u8],
    ) -> Result<Block, StoreError> {
        let sharing = self.memory.sharing();
        let duplicate = self.memory.duplicate(item, key, sharing)?;
        self.detach(db, hash, item);
        self.keep(db, hash, item);
        Ok(duplicate)
    }

    /// Moves the entry at `from` to `to`, of the same or another database of this shard, replacing what is there and
    /// keeping value, deadline and access history; whether `from` existed. `events` are those of source and destination.
    ///
    /// The journal gets [`Effect::MoveTo`] for the source, which is the whole change, and [`Effect::Arrive`] for the
    /// destination, which carries its event.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub fn relocate(
        &mut self,
        from: (DbIndex, Key<'_>),
        to: (DbIndex, Key<'_>),
        events: (Event, Event),
    ) -> Result<bool, StoreError> {
        let ((from_db, from_key), (to_db, to_key)) = (from, to);
        let Some(item) = self.find(from_db, from_key) else {
            return Ok(false);
        };
        let kind = self.memory.entry(item).kind();
        let same_key = from_key.bytes() == to_key.bytes();
        if to_key.bytes().len() > MAX_KEY_BYTES {
            return Err(StoreError::TooLarge);
        }
        if !(same_key && from_db == to_db) {
            let replaced = self.find(to_db, to_key);
            let is_kept = self.is_told_before && self.before_whole(from_db, from_key.hash(), item);
            if self.is_told_before && replaced.is_none() {
                self.before_new(to_db, to_key);
            }
            let moved = if is_kept {
                self.leave_kept(from_db, from_key.hash(), item, to_key.bytes())?
            } else {
                self.detach(from_db, from_key.hash(), item);
                let renamed = if same_key {
                    Ok(item)
                } else {
                    self.memory.rename(item, to_key.bytes())
                };
                match renamed {
                    Ok(moved) => moved,
                    Err(error) => {
                        self.attach(from_db, from_key.hash(), item);
                        return Err(error);
                    }
                }
            };
            if let Some(replaced) = replaced {
                self.delete(to_db, to_key.hash(), replaced);
            }
            self.attach(to_db, to_key.hash(), moved);
        }
        // As in Redis, where this is said before the move.
        self.journal.tell(to_db, to_key.bytes(), Event::New);
        let move_to = Effect::MoveTo {
            db: to_db,
            key: to_key.bytes(),
        };
        self.journal.record(from_db, from_key.bytes(), &move_to);
        self.journal.tell(from_db, from_key.bytes(), events.0);
        self.journal.record_as(
            Counts::Part,
            to_db,
            to_key.bytes(),
            &Effect::Arrive { kind },
        );
        self.journal.tell(to_db, to_key.bytes(), events.1);
        Ok(true)
    }
}
