//! A naive shard: the oracle of property tests and fuzzers. One ordered map a database, everything copied, nothing fast.
//!
//! Its mutations have the signatures and the meaning of [`crate::Shard`]'s, and leave the same records and events in the
//! same order in [`Model::log`] and [`Model::events`].

mod collections;
mod steps;

use std::collections::BTreeMap;

pub use crate::keyspace::model::play as play_keyspace;
pub use crate::list::model::play as play_list;
pub use crate::list::packed_model::play_packed;
pub use crate::shard::hashes::model::play as play_hashes;
pub use crate::shard::lists::model::play as play_lists;
pub use crate::shard::sets::model::play as play_sets;
pub use crate::shard::sorted_sets::model::play as play_sorted_sets;
pub use crate::sorted::model::{play as play_sorted, play_run};
pub use crate::spiral::model::play as play_spiral;
pub use collections::{Entry, OpenEntry, Value};
pub(crate) use steps::Steps;

use crate::journal::{Effect, Element, Event, Removal};
use crate::limits::MAX_VALUE_BYTES;
use crate::{
    AccessClock, DbIndex, Encoding, Kind, StoreError, StringForm, TtlChange, UnixMillis, ValueImage,
};

/// The naive shard.
#[derive(Debug, Default)]
pub struct Model {
    databases: Vec<BTreeMap<Vec<u8>, Entry>>,
    now: UnixMillis,
    /// Every record so far, as text.
    pub log: Vec<String>,
    /// Every event so far.
    pub events: Vec<(DbIndex, Vec<u8>, Event)>,
}

/// A change as text, comparable across implementations; long contents by length and checksum.
pub fn describe(db: DbIndex, key: &[u8], effect: &Effect<'_>) -> String {
    let sum = |bytes: &[u8]| {
        let step = |sum: u64, &byte: &u8| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
        (bytes.len(), bytes.iter().fold(7, step))
    };
    let what = match *effect {
        Effect::Put {
            kind,
            encoding,
            value,
            expires_at,
        } => format!("put {kind:?} {encoding:?} {:?} {expires_at:?}", sum(value)),
        Effect::Elements([element]) => match *element {
            Element::Range { offset, bytes } => format!("write {offset} {:?}", sum(bytes)),
            Element::Field {
                field,
                value,
                expires_at,
            } => format!("field {:?} {:?} {expires_at:?}", sum(field), sum(value)),
            Element::Member(name) => format!("member {:?}", sum(name)),
            Element::Score { member, score } => format!("score {:?} {score}", sum(member)),
            Element::Gone(name) => format!("gone {:?}", sum(name)),
            Element::Push { end, value } => format!("push {end:?} {:?}", sum(value)),
            Element::Insert { index, value } => format!("insert {index} {:?}", sum(value)),
            Element::Replace { index, value } => format!("replace {index} {:?}", sum(value)),
            other => format!("{other:?}"),
        },
        Effect::MoveTo { db, key } => format!("move to {db:?} {:?}", sum(key)),
        other => format!("{other:?}"),
    };
    format!("{db:?} {:?} {what}", sum(key))
}

impl Model {
    /// An empty model of so many databases.
    pub fn new(databases: u16) -> Self {
        Self {
            databases: vec![BTreeMap::new(); usize::from(databases)],
            ..Self::default()
        }
    }

    /// Advances the clock.
    pub fn set_now(&mut self, now: UnixMillis) {
        self.now = now;
    }

    /// The live entries of `db`.
    pub fn live(&self, db: DbIndex) -> BTreeMap<Vec<u8>, Entry> {
        let entries = self.databases[usize::from(db.0)].iter();
        let live = entries.filter(|(_, entry)| !self.is_due(entry));
        live.map(|(key, entry)| (key.clone(), entry.clone()))
            .collect()
    }

    /// Entries of `db`, dead ones not yet removed included.
    pub fn len(&self, db: DbIndex) -> u64 {
        self.entries(db).len() as u64
    }

    /// Whether `db` has no entry, not even a dead one.
    pub fn is_empty(&self, db: DbIndex) -> bool {
        self.len(db) == 0
    }

    /// Entries of `db` with a deadline.
    pub fn volatile_len(&self, db: DbIndex) -> u64 {
        self.entries(db)
            .values()
            .filter(|entry| entry.expires_at.is_some())
            .count() as u64
    }

    /// Looks `key` up, removing it if its deadline has come.
    pub fn get(&mut self, db: DbIndex, key: &[u8]) -> Option<Entry> {
        self.expire_if_due(db, key);
        self.entries(db).get(key).cloned()
    }

    /// See [`crate::Shard::set`].
    ///
    /// # Errors
    /// The value is too large.
    pub fn set(
        &mut self,
        db: DbIndex,
        key: &[u8],
        value: &[u8],
        form: StringForm,
        ttl: TtlChange,
        event: Event,
    ) -> Result<(), StoreError> {
        let old = self.get(db, key);
        let is_new = old.is_none();
        let image = ValueImage {
            kind: Kind::String,
            encoding: form.encoding_of(value),
            bytes: value.to_vec().into(),
            expires_at: match ttl {
                TtlChange::Clear => None,
                TtlChange::Keep => old.and_then(|entry| entry.expires_at),
                TtlChange::At(at) => Some(at),
            },
            access: AccessClock::at(self.now),
        };
        self.store(db, key, &image)?;
        let has_own_deadline = matches!(ttl, TtlChange::At(_));
        self.tell(db, key, is_new.then_some(Event::New));
        self.tell(db, key, Some(event));
        self.tell(db, key, has_own_deadline.then_some(Event::Expire));
        Ok(())
    }

    /// See [`crate::Shard::put`].
    ///
    /// # Errors
    /// The value is too large.
    pub fn put(
        &mut self,
        db: DbIndex,
        key: &[u8],
        image: &ValueImage,
        event: Event,
    ) -> Result<(), StoreError> {
        self.store(db, key, image)?;
        self.tell(db, key, Some(Event::New));
        self.tell(db, key, Some(event));
        Ok(())
    }

    fn store(&mut self, db: DbIndex, key: &[u8], image: &ValueImage) -> Result<(), StoreError> {
        if image.bytes.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.expire_if_due(db, key);
        self.entries_mut(db)
            .insert(key.to_vec(), Entry::of_image(image));
        let effect = Effect::Put {
            kind: image.kind,
            encoding: image.encoding,
            value: &image.bytes,
            expires_at: image.expires_at,
        };
        self.record(db, key, effect);
        Ok(())
    }

    /// See [`crate::Shard::write_range`].
    ///
    /// # Errors
    /// The value would be too large.
    pub fn write_range(
        &mut self,
        db: DbIndex,
        key: &[u8],
        offset: usize,
        bytes: &[u8],
        event: Event,
    ) -> Result<usize, StoreError> {
        let end = offset.saturating_add(bytes.len());
        if end > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let access = AccessClock::at(self.now);
        let old = self.get(db, key);
        let is_new = old.is_none();
        let mut entry = old.unwrap_or(Entry {
            value: Value::String(Vec::new()),
            encoding: Encoding::Raw,
            expires_at: None,
            access,
        });
        (entry.encoding, entry.access) = (Encoding::Raw, access);
        let Value::String(value) = &mut entry.value else {
            panic!("the entry must be a string if it exists");
        };
        if value.len() < end {
            value.resize(end, 0);
        }
        value[offset..end].copy_from_slice(bytes);
        let len = value.len();
        self.entries_mut(db).insert(key.to_vec(), entry);
        let range = Element::Range {
            offset: offset as u64,
            bytes,
        };
        self.record(db, key, Effect::Elements(&[range]));
        self.tell(db, key, is_new.then_some(Event::New));
        self.tell(db, key, Some(event));
        Ok(len)
    }

    /// See [`crate::Shard::remove`].
    pub fn remove(&mut self, db: DbIndex, key: &[u8], event: Event) -> bool {
        self.expire_if_due(db, key);
        let found = self.entries_mut(db).remove(key).is_some();
        if found {
            self.record(db, key, Effect::Remove(Removal::Deleted));
            self.tell(db, key, Some(event));
        }
        found
    }

    /// See [`crate::Shard::set_deadline`].
    pub fn set_deadline(
        &mut self,
        db: DbIndex,
        key: &[u8],
        deadline: Option<UnixMillis>,
        event: Event,
    ) -> bool {
        self.expire_if_due(db, key);
        let Some(entry) = self.entries_mut(db).get_mut(key) else {
            return false;
        };
        entry.expires_at = deadline;
        self.record(db, key, Effect::Deadline(deadline));
        self.tell(db, key, Some(event));
        true
    }

    /// See [`crate::Shard::relocate`].
    pub fn relocate(
        &mut self,
        from: (DbIndex, &[u8]),
        to: (DbIndex, &[u8]),
        events: (Event, Event),
    ) -> bool {
        let Some(entry) = self.get(from.0, from.1) else {
            return false;
        };
        let kind = entry.kind();
        self.expire_if_due(to.0, to.1);
        self.entries_mut(from.0).remove(from.1);
        self.entries_mut(to.0).insert(to.1.to_vec(), entry);
        let effect = Effect::MoveTo {
            db: to.0,
            key: to.1,
        };
        self.tell(to.0, to.1, Some(Event::New));
        self.record(from.0, from.1, effect);
        self.tell(from.0, from.1, Some(events.0));
        self.record(to.0, to.1, Effect::Arrive { kind });
        self.tell(to.0, to.1, Some(events.1));
        true
    }

    /// See [`crate::Shard::flush`].
    pub fn flush(&mut self, db: DbIndex) -> u64 {
        let removed = self.len(db);
        self.entries_mut(db).clear();
        self.record(db, b"", Effect::FlushDb);
        removed
    }

    /// See [`crate::Shard::swap`].
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.databases.swap(usize::from(a.0), usize::from(b.0));
        self.record(a, b"", Effect::SwapDb { with: b });
    }

    /// Removes `key` if its deadline has come; what the expiry hand does to one entry.
    pub fn expire_if_due(&mut self, db: DbIndex, key: &[u8]) -> bool {
        let due = self
            .entries(db)
            .get(key)
            .is_some_and(|entry| self.is_due(entry));
        if due {
            self.entries_mut(db).remove(key);
            self.record(db, key, Effect::Remove(Removal::Expired));
            self.tell(db, key, Some(Event::Expired));
        }
        due
    }

    fn is_due(&self, entry: &Entry) -> bool {
        entry.expires_at.is_some_and(|at| at <= self.now)
    }

    fn entries(&self, db: DbIndex) -> &BTreeMap<Vec<u8>, Entry> {
        &self.databases[usize::from(db.0)]
    }

    fn entries_mut(&mut self, db: DbIndex) -> &mut BTreeMap<Vec<u8>, Entry> {
        &mut self.databases[usize::from(db.0)]
    }

    fn record(&mut self, db: DbIndex, key: &[u8], effect: Effect<'_>) {
        self.log.push(describe(db, key, &effect));
    }

    fn tell(&mut self, db: DbIndex, key: &[u8], event: Option<Event>) {
        self.events
            .extend(event.map(|event| (db, key.to_vec(), event)));
    }
}
