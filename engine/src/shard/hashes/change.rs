//! Hashes, to change: each change is told before, takes the memory it needs, is made and makes its record. How elements are found and
//! written is in `named.rs`.

use super::Field;
use crate::Intent;
use crate::item::Variant;
use crate::journal::{Effect, Element, Event};
use crate::limits::MAX_VALUE_BYTES;
use crate::shard::named::{Found, NamedMut, Stored};
use crate::shard::{Shard, TtlChange};
use crate::spiral::ElementRef;
use crate::{DbIndex, Key, Kind, StoreError, Thresholds, UnixMillis, WrongType};

/// The hash of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub struct HashMut<'a> {
    pub(super) named: NamedMut<'a>,
}

/// What becomes of a field that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Stays,
    /// It has this deadline from now on, one to come, or none.
    Ends(Option<UnixMillis>),
    /// It is removed.
    Goes,
}

impl Shard {
    /// The hash at a key, to change, which is a use of it. One that is not there is made by the first field.
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn hash_mut<'a>(&'a mut self, db: DbIndex, key: Key<'a>) -> Result<HashMut<'a>, WrongType> {
        let named = self.named_mut(db, key, Kind::Hash)?;
        Ok(HashMut { named })
    }
}

pub(in crate::shard) fn check_deadline(deadline: Option<UnixMillis>) {
    /// What a deadline has room for, less the mark of none.
    const LATEST: i64 = (1 << 48) - 2;
    let is_kept = deadline.is_none_or(|at| (0..=LATEST).contains(&at.0));
    assert!(is_kept, "commands bound the deadlines of fields");
}

impl HashMut<'_> {
    /// Whether there is a hash.
    pub fn is_there(&self) -> bool {
        self.named.is_there()
    }

    /// Number of fields, those past their deadline and not yet removed included.
    #[inline]
    pub fn len(&self) -> u64 {
        self.named.len()
    }

    /// Whether there is no field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A field.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        let (_, element) = self.named.find(name);
        element.map(Field::from)
    }

    /// Brings fields near that a command is about to change: the first [`crate::limits::NEAR_AT_ONCE`] of these. A hint.
    #[inline]
    pub fn prefetch<'a>(&self, names: impl Iterator<Item = &'a [u8]>, intent: Intent) {
        self.named.prefetch(names, intent);
    }

    /// So many of the records just made count as so many changes.
    pub fn count_as(&mut self, records: u64, changes: u64) {
        self.named.count_as(records, changes);
    }

    /// Gives a field this value; adds it if it is not there.
    ///
    /// # Errors
    /// Name, value or key are too large, or memory is out; then nothing changed.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], ttl: TtlChange) -> Result<Stored, StoreError> {
        let (found, _) = self.named.find(name);
        self.store(&found, name, value, ttl)
    }

    /// Gives a field the value and deadline that `make` makes of what it is, or adds it; `None` of that leaves all as it is. So a
    /// command whose value depends on the old one looks the field up once. Answers whether there was one, if it was changed.
    ///
    /// # Errors
    /// What `make` answers, or as [`Self::set`]; then nothing changed.
    #[inline]
    pub fn update<V: AsRef<[u8]>, E: From<StoreError>>(
        &mut self,
        name: &[u8],
        make: impl FnOnce(Option<Field<'_>>) -> Result<Option<(V, TtlChange)>, E>,
    ) -> Result<Option<Stored>, E> {
        let (found, element) = self.named.find(name);
        let Some((value, ttl)) = make(element.map(Field::from))? else {
            return Ok(None);
        };
        let stored = self.store(&found, name, value.as_ref(), ttl)?;
        Ok(Some(stored))
    }

    #[inline(always)]
    fn store(
        &mut self,
        found: &Found,
        name: &[u8],
        value: &[u8],
        ttl: TtlChange,
    ) -> Result<Stored, StoreError> {
        if name.len() > MAX_VALUE_BYTES || value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        let deadline = match ttl {
            TtlChange::Clear => None,
            TtlChange::Keep => found.live.flatten(),
            TtlChange::At(at) => Some(at),
        };
        check_deadline(deadline);
        let element = ElementRef {
            name,
            value,
            deadline,
        };
        let field = Element::Field {
            field: name,
            value,
            expires_at: deadline,
        };
        if deadline.is_some() {
            self.named.open.make_place()?;
        }
        if found.ends || deadline.is_some() {
            self.named.open.note_times();
        }
        self.named.put(found, &element, &field)?;
        self.note_variant(&element);
        self.named.open.record(field);
        Ok(match found.live {
            None => Stored::Added,
            Some(_) => Stored::Replaced,
        })
    }

    /// Says of the hash what this field, which it has now, makes it.
    #[inline(always)]
    fn note_variant(&mut self, element: &ElementRef<'_>) {
        let Thresholds {
            hash_fields,
            hash_value_bytes,
            ..
        } = self.named.open.shard.thresholds;
        let longest = element.name.len().max(element.value.len()) as u64;
        self.named.note_variant(|was: Variant, len: u64| {
            let is_outgrown = len > hash_fields || longest > hash_value_bytes;
            let is = if is_outgrown { was.outgrown() } else { was };
            match element.deadline {
                Some(_) => is.with_deadlines(),
                None => is,
            }
        });
    }

    /// Shows a field to `decide`, or that there is none, and has become of it what that says; whether it is another now, or gone.
    /// So a command that asks first looks the field up once.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    #[inline]
    pub fn decide(
        &mut self,
        name: &[u8],
        decide: impl FnOnce(Option<Field<'_>>) -> Fate,
    ) -> Result<bool, StoreError> {
        let (found, element) = self.named.find(name);
        let fate = decide(element.map(Field::from));
        let Some(ElementRef { value, .. }) = element else {
            return Ok(false);
        };
        match fate {
            Fate::Stays => return Ok(false),
            Fate::Ends(deadline) => {
                let told = self.named.open.shard.is_told_before.then(|| value.to_vec());
                self.give_deadline(&found, name, deadline, told)?;
            }
            Fate::Goes => self.named.take(&found, name),
        }
        Ok(true)
    }

    /// Sets or removes the deadline of a field; whether the field is there. A deadline that has passed is the caller's to turn
    /// into a removal.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub fn set_deadline(
        &mut self,
        name: &[u8],
        deadline: Option<UnixMillis>,
    ) -> Result<bool, StoreError> {
        self.decide(name, |_| Fate::Ends(deadline))
    }

    /// Gives a field that is there a deadline, or none. `told`: its value, if somebody is told before something changes.
    fn give_deadline(
        &mut self,
        found: &Found,
        name: &[u8],
        deadline: Option<UnixMillis>,
        told: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        check_deadline(deadline);
        if let Some(value) = told {
            self.named.open.before(&Element::Field {
                field: name,
                value: &value,
                expires_at: deadline,
            });
        }
        if deadline.is_some() {
            self.named.open.make_place()?;
        }
        self.named.open.note_times();
        self.named.set_deadline(found, deadline)?;
        self.record_deadline(found.hash, name, deadline);
        Ok(())
    }

    /// Makes the record of a field that has this deadline now, and says so of the hash.
    fn record_deadline(&mut self, hash: u64, name: &[u8], deadline: Option<UnixMillis>) {
        let item = self.named.open.item.expect("it has a field");
        let Shard {
            memory, journal, ..
        } = &mut *self.named.open.shard;
        if deadline.is_some() {
            let variant = memory.variant(item);
            memory.set_variant_of(item, variant.with_deadlines());
        }
        if !journal.is_heard() {
            // Then the field need not be found again for its value.
            return journal.count_unheard();
        }
        let element = memory.named(item).get(hash, name);
        let ElementRef {
            value, deadline, ..
        } = element.expect("the field is there");
        let field = Element::Field {
            field: name,
            value,
            expires_at: deadline,
        };
        let effect = Effect::Elements(std::slice::from_ref(&field));
        journal.record(self.named.open.db, self.named.open.key.bytes(), &effect);
    }

    /// Removes a field; whether it was there.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let (found, _) = self.named.find(name);
        let is_there = found.live.is_some();
        if is_there {
            self.named.take(&found, name);
        }
        is_there
    }

    /// Bytes that all names and values have at most.
    pub fn payload_bytes(&self) -> u64 {
        self.named.payload_bytes()
    }

    /// Ends the command: tells that the key came to be, if it did; then these events, in their order; then, if no field is left,
    /// that the key is gone, which it then is. With no events nothing may have changed.
    #[inline]
    pub fn close(self, events: &[Event]) {
        self.named.close(events);
    }
}
