//! The mutations of single entries.
//!
//! Each takes the memory it needs first, then changes keyspace and items, then makes the journal's record and tells its events.

use std::sync::Arc;

use super::{Shard, TtlChange};
use crate::item::Form;
use crate::journal::{Counts, Effect, Element, Event, Removal};
use crate::limits::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::memory::Content;
use crate::raw::Block;
use crate::spiral::entries::{Entry, NewShort, SHORT_MAX_BYTES, Short, is_exact};
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
            (TtlChange::Keep, Some(entry)) => self.memory.deadline_of(entry),
            (TtlChange::Keep, None) | (TtlChange::Clear, _) => None,
        };
        let content = Content {
            form: Form::string(encoding),
            access: self.history_over(
                (key.hash(), key.bytes().len() + value.len()),
                existing,
                event,
            ),
            deadline,
            value,
        };
        self.store(db, key, existing, &content)?;
        if self.samples(key.hash()) {
            let bytes = key.bytes().len() + value.len();
            self.tell_set((key.hash(), bytes), deadline, (existing.is_some(), event));
        }
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
        self.adopt(db, key);
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

    /// Gives `key` this content. A short string lies in a node, any other entry is an item, which is written over in place where the
    /// content fits. Without memory a collection of which the content is the number stays the caller's.
    #[inline]
    pub(super) fn store(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        existing: Option<Entry>,
        content: &Content<'_>,
    ) -> Result<(), StoreError> {
        if let Some(short) = content.short(key.bytes().len())
            && !self.is_told_before
            && !matches!(existing, Some(Entry::Item(_)))
        {
            return self.store_short(db, key, existing, &short);
        }
        self.store_any(db, key, existing, content)
    }

    /// Writes a short string where there is none, or another.
    #[inline(always)]
    pub(super) fn store_short(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        existing: Option<Entry>,
        short: &NewShort<'_>,
    ) -> Result<(), StoreError> {
        self.change_keyspace(db, |keyspace, within| match existing {
            Some(Entry::Short(old)) => keyspace.replace_short(within, key, &old, short),
            _ => keyspace.insert_short(within, key, short),
        })?;
        if short.deadline.is_some() {
            self.deadlines_set(db);
        }
        Ok(())
    }

    /// As [`Self::store`], of what may be long, a collection, or in the place of an item, and perhaps told before.
    #[inline(never)]
    fn store_any(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        existing: Option<Entry>,
        content: &Content<'_>,
    ) -> Result<(), StoreError> {
        if key.bytes().len() > MAX_KEY_BYTES || content.value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let is_kept = match existing {
            _ if !self.is_told_before => false,
            Some(entry) => self.before_whole(db, key.hash(), entry),
            None => {
                self.before_new(db, key);
                false
            }
        };
        match (content.short(key.bytes().len()), existing) {
            (Some(short), Some(Entry::Item(item))) => {
                self.store_short_over_item(db, key, (item, is_kept), &short)
            }
            (Some(short), _) => self.store_short(db, key, existing, &short),
            (None, Some(Entry::Item(item))) => {
                self.store_over_item(db, key, (item, is_kept), content)
            }
            (None, Some(Entry::Short(old))) => {
                let item = self.memory.create(key.bytes(), content)?;
                self.put_item(db, key.hash(), &old, item)
            }
            (None, None) => {
                let item = self.memory.create(key.bytes(), content)?;
                let attached = self.attach(db, key.hash(), item);
                attached.inspect_err(|_| self.memory.destroy_alone(item))
            }
        }
    }

    /// Puts a new item in the place of a short string, or frees it, but for its collection.
    fn put_item(
        &mut self,
        db: DbIndex,
        hash: u64,
        old: &Short,
        item: Block,
    ) -> Result<(), StoreError> {
        let times = self.memory.times(item);
        let put = self.change_keyspace(db, |keyspace, within| {
            keyspace.put_item(within, hash, old, (item, &times))
        });
        if let Err(error) = put {
            self.memory.destroy_alone(item);
            return Err(error);
        }
        if times.is_some() {
            self.deadlines_set(db);
        }
        Ok(())
    }

    /// Has a short string take the place of an item, which the undo log wants, or is freed.
    fn store_short_over_item(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        (item, is_kept): (Block, bool),
        short: &NewShort<'_>,
    ) -> Result<(), StoreError> {
        let times = self.memory.times(item);
        self.change_keyspace(db, |keyspace, within| {
            keyspace.put_short(within, key, (item, &times), short)
        })?;
        match is_kept {
            true => self.keep(db, key.hash(), item),
            false => self.memory.destroy(item),
        }
        if short.deadline.is_some() {
            self.deadlines_set(db);
        }
        Ok(())
    }

    /// Has other content take the place of that of an item, which the undo log may want.
    fn store_over_item(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        (item, is_kept): (Block, bool),
        content: &Content<'_>,
    ) -> Result<(), StoreError> {
        let hash = key.hash();
        if content.deadline.is_some() || content.form.has_fields() {
            self.make_place(db, hash, item)?;
        }
        let was = self.memory.times(item);
        let mut is_at = item;
        if is_kept || !self.memory.overwrite(item, content) {
            is_at = self.memory.create(key.bytes(), content)?;
            self.repoint(db, hash, item, is_at);
            match is_kept {
                true => self.keep(db, hash, item),
                false => self.memory.destroy(item),
            }
        }
        let is = self.memory.times(is_at);
        self.times_changed(db, hash, is_at, (was, is));
        Ok(())
    }

    /// Points the element of the item `old` to `new`.
    pub(super) fn repoint(&mut self, db: DbIndex, hash: u64, old: Block, new: Block) {
        self.ahead.forget();
        let keyspace = &mut self.databases[usize::from(db.0)];
        let replaced = keyspace.replace_item(&mut self.memory, hash, (old, new));
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
            Some(entry) => {
                if self.is_told_before {
                    self.before_range(db, key.hash(), entry, (offset, bytes.len()))?;
                }
                let access = self.history_over((key.hash(), 0), existing, event);
                self.write_range_of(db, key, entry, (offset, bytes), (form, access))?
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

    /// Writes a range of a string that is there; its length then.
    fn write_range_of(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        entry: Entry,
        (offset, bytes): (usize, &[u8]),
        (form, access): (Form, AccessClock),
    ) -> Result<usize, StoreError> {
        let short = match entry {
            Entry::Short(short) => short,
            Entry::Item(item) => {
                let (new, len) = self.memory.write_range(item, offset, bytes, form, access)?;
                if new != item {
                    self.repoint(db, key.hash(), item, new);
                }
                return Ok(len);
            }
        };
        let (_, content) = short.content(self.memory.heap());
        let len = content.value.len().max(offset + bytes.len());
        let mut value = content.value.to_vec();
        let content = Content {
            form,
            access,
            value: &[],
            ..content
        };
        if len <= SHORT_MAX_BYTES {
            value.resize(len, 0);
            value[offset..offset + bytes.len()].copy_from_slice(bytes);
            let content = Content {
                value: &value,
                ..content
            };
            let written = content.short(key.bytes().len());
            let written = written.expect("what is as long as a short string may be is one");
            self.store_short(db, key, Some(entry), &written)?;
            return Ok(len);
        }
        let content = Content {
            value: &value,
            ..content
        };
        let item = self.create_with_range(key, &content, (offset, bytes))?;
        self.put_item(db, key.hash(), &short, item)?;
        Ok(len)
    }

    /// An item of this content in which a range has been written.
    fn create_with_range(
        &mut self,
        key: Key<'_>,
        content: &Content<'_>,
        (offset, bytes): (usize, &[u8]),
    ) -> Result<Block, StoreError> {
        let item = self.memory.create(key.bytes(), content)?;
        let written = self
            .memory
            .write_range(item, offset, bytes, content.form, content.access);
        match written {
            Ok((written, _)) => Ok(written),
            Err(error) => {
                self.memory.destroy(item);
                Err(error)
            }
        }
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
        let mut content = Content {
            form,
            access: self.history_of_coming(key.hash(), key.bytes().len() + offset + bytes.len()),
            deadline: None,
            value: bytes,
        };
        let zeros_and_bytes: Vec<u8>;
        let len = offset + bytes.len();
        if offset == 0 || len <= SHORT_MAX_BYTES {
            if offset > 0 {
                zeros_and_bytes = [&vec![0; offset], bytes].concat();
                content.value = &zeros_and_bytes;
            }
            self.store(db, key, None, &content)?;
            return Ok(len);
        }
        if key.bytes().len() > MAX_KEY_BYTES {
            return Err(StoreError::TooLarge);
        }
        if self.is_told_before {
            self.before_new(db, key);
        }
        content.value = b"";
        let item = self.create_with_range(key, &content, (offset, bytes))?;
        self.attach_new(db, key.hash(), item)?;
        Ok(len)
    }

    /// Removes `key`; whether it was there (and not past its deadline).
    pub fn remove(&mut self, db: DbIndex, key: Key<'_>, event: Event) -> bool {
        self.remove_told(db, key, &[event])
    }

    /// As [`Self::remove`], with these events, in their order.
    pub fn remove_told(&mut self, db: DbIndex, key: Key<'_>, events: &[Event]) -> bool {
        let Some(entry) = self.find(db, key) else {
            return false;
        };
        self.delete(db, key.hash(), entry);
        self.journal
            .record(db, key.bytes(), &Effect::Remove(Removal::Deleted));
        for &event in events {
            self.journal.tell(db, key.bytes(), event);
        }
        true
    }

    /// Removes `key` because another shard has it now, even past its deadline, which is for that shard to see; whether it
    /// was there.
    pub fn hand_over(&mut self, db: DbIndex, key: Key<'_>) -> bool {
        let Some(entry) = self.keyspace(db).find(key, &self.memory) else {
            return false;
        };
        self.delete(db, key.hash(), entry);
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
        let Some(entry) = self.find(db, key) else {
            return Ok(false);
        };
        if self.is_told_before {
            self.before_deadline(db, key.hash(), entry);
        }
        match entry {
            Entry::Short(short) => self.set_deadline_of_short(db, key, &short, deadline)?,
            Entry::Item(item) => self.set_deadline_of_item(db, key.hash(), item, deadline)?,
        }
        if self.samples(key.hash()) {
            self.tell_deadline(db, key);
        }
        self.journal
            .record(db, key.bytes(), &Effect::Deadline(deadline));
        self.journal.tell(db, key.bytes(), event);
        Ok(true)
    }

    fn set_deadline_of_short(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        short: &Short,
        deadline: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        if deadline.is_none_or(is_exact) {
            self.change_keyspace(db, |keyspace, within| {
                keyspace.set_deadline_of_short(within, key.hash(), short, deadline)
            })?;
            if deadline.is_some() {
                self.deadlines_set(db);
            }
            return Ok(());
        }
        let (key_bytes, content) = short.content(self.memory.heap());
        let (key_bytes, value) = (key_bytes.to_vec(), content.value.to_vec());
        let content = Content {
            deadline,
            value: &value,
            ..content
        };
        let item = self.memory.create(&key_bytes, &content)?;
        self.put_item(db, key.hash(), short, item)
    }

    fn set_deadline_of_item(
        &mut self,
        db: DbIndex,
        hash: u64,
        item: Block,
        deadline: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        if deadline.is_some() {
            self.make_place(db, hash, item)?;
        }
        let was = self.memory.times(item);
        let new = self.memory.set_deadline(item, deadline)?;
        if new != item {
            self.repoint(db, hash, item, new);
        }
        let is = self.memory.times(new);
        self.times_changed(db, hash, new, (was, is));
        Ok(())
    }

    /// Sets the access history of `key`, if it exists (`RESTORE ... IDLETIME`, `FREQ`).
    pub fn set_access(&mut self, db: DbIndex, key: Key<'_>, access: AccessClock) {
        if let Some(entry) = self.find(db, key) {
            if self.is_told_before {
                self.before_use(db, entry);
            }
            self.memory.set_access_of(entry, access);
        }
    }

    /// Takes an item out of its keyspace for the undo log to keep; another one of its content, under `key`. A large collection is both's.
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
        let Some(entry) = self.find(from_db, from_key) else {
            return Ok(false);
        };
        let kind = self.memory.head_of(entry).form().kind();
        if to_key.bytes().len() > MAX_KEY_BYTES {
            return Err(StoreError::TooLarge);
        }
        let is_same = from_key.bytes() == to_key.bytes() && from_db == to_db;
        if !is_same && self.samples(from_key.hash()) {
            self.tell_removal(from_key.hash());
        }
        match entry {
            _ if is_same => {}
            Entry::Short(short) => self.relocate_short(from, to, &short)?,
            Entry::Item(item) => self.relocate_item(from, to, item)?,
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

    fn relocate_short(
        &mut self,
        (from_db, from_key): (DbIndex, Key<'_>),
        (to_db, to_key): (DbIndex, Key<'_>),
        short: &Short,
    ) -> Result<(), StoreError> {
        let (_, content) = short.content(self.memory.heap());
        let value = content.value.to_vec();
        let content = Content {
            value: &value,
            ..content
        };
        let replaced = self.find(to_db, to_key);
        self.store(to_db, to_key, replaced, &content)?;
        // It may be elsewhere now.
        let entry = self.keyspace(from_db).find(from_key, &self.memory);
        let entry = entry.expect("it was found, and nothing has removed it");
        self.delete(from_db, from_key.hash(), entry);
        self.adopt(to_db, to_key);
        Ok(())
    }

    fn relocate_item(
        &mut self,
        (from_db, from_key): (DbIndex, Key<'_>),
        (to_db, to_key): (DbIndex, Key<'_>),
        item: Block,
    ) -> Result<(), StoreError> {
        let replaced = self.find(to_db, to_key);
        let is_kept =
            self.is_told_before && self.before_whole(from_db, from_key.hash(), Entry::Item(item));
        if self.is_told_before && replaced.is_none() {
            self.before_new(to_db, to_key);
        }
        let moved = if is_kept {
            self.leave_kept(from_db, from_key.hash(), item, to_key.bytes())?
        } else {
            self.detach(from_db, from_key.hash(), item);
            let renamed = match from_key.bytes() == to_key.bytes() {
                true => Ok(item),
                false => self.memory.rename(item, to_key.bytes()),
            };
            match renamed {
                Ok(moved) => moved,
                Err(error) => {
                    self.attach_anyway(from_db, from_key.hash(), item);
                    return Err(error);
                }
            }
        };
        // Detaching may have moved what is replaced.
        if let Some(replaced) = self.keyspace(to_db).find(to_key, &self.memory) {
            self.delete(to_db, to_key.hash(), replaced);
        }
        self.attach_anyway(to_db, to_key.hash(), moved);
        self.adopt(to_db, to_key);
        Ok(())
    }
}
