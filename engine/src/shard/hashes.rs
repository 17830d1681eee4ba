//! Hashes: what commands read of them, and the changes they make, each of which makes its record.

use super::{Access, Open, Shard, TtlChange};
use crate::journal::Event;
use crate::{DbIndex, Key, Kind, StoreError, UnixMillis, WrongType};

/// A field of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// When it ends, if it does.
    pub expires_at: Option<UnixMillis>,
}

/// Whether something was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was not.
    Added,
    /// It was.
    Replaced,
}

/// A hash to read. Fields past their deadline do not show, but may still be counted.
#[derive(Clone, Copy)]
pub struct HashRef<'a> {
    shard: &'a Shard,
}

/// The hash of a key, which may not be there yet, to change. [`Self::close`] ends it.
#[must_use = "what is opened is closed, however it went"]
pub struct HashMut<'a> {
    open: Open<'a>,
}

impl Shard {
    /// The hash at a key, to read.
    ///
    /// # Errors
    /// What is there is of another type.
    pub fn hash(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        access: Access,
    ) -> Result<Option<HashRef<'_>>, WrongType> {
        let _ = (db, key, access);
        todo!()
    }

    /// The hash at a key, to change. One that is not there is made by the first field.
    ///
    /// # Errors
    /// What is there is of another type.
    pub fn hash_mut<'a>(&'a mut self, db: DbIndex, key: Key<'a>) -> Result<HashMut<'a>, WrongType> {
        let open = self.open(db, key, Kind::Hash)?;
        Ok(HashMut { open })
    }
}

impl<'a> HashRef<'a> {
    /// Number of fields.
    pub fn len(&self) -> u64 {
        let _ = self.shard;
        todo!()
    }

    /// Whether there is none, which only fields past their deadline can bring about.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A field.
    pub fn get(&self, name: &[u8]) -> Option<Field<'a>> {
        let _ = name;
        todo!()
    }

    /// Shows each field once; a small hash's in the order in which they came.
    pub fn each(&self, show: &mut dyn FnMut(Field<'a>)) {
        let _ = show;
        todo!()
    }

    /// Shows about `count` fields from `cursor`, zero at first, on; where to go on, `None` at the end. A field that is there all
    /// the while is shown, however the hash grows or shrinks.
    pub fn scan(&self, cursor: u64, count: usize, show: &mut dyn FnMut(Field<'a>)) -> Option<u64> {
        let _ = (cursor, count, show);
        todo!()
    }

    /// A field chosen by `random`, close to uniformly; `None` if there is none, or the one chosen is past its deadline.
    pub fn random(&self, random: u64) -> Option<Field<'a>> {
        let _ = random;
        todo!()
    }
}

impl HashMut<'_> {
    /// Whether there is a hash.
    pub fn is_there(&self) -> bool {
        self.open.item.is_some()
    }

    /// Number of fields, those past their deadline and not yet removed included.
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A field.
    pub fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        let _ = name;
        todo!()
    }

    /// Gives a field this value; adds it if it is not there.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub fn set(&mut self, name: &[u8], value: &[u8], ttl: TtlChange) -> Result<Stored, StoreError> {
        let _ = (name, value, ttl);
        todo!()
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
        let _ = (name, deadline);
        todo!()
    }

    /// Removes a field; whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let _ = name;
        todo!()
    }

    /// Ends the command: tells that the key came to be, if it did; then these events, in their order; then, if no field is left,
    /// that the key is gone, which it then is. With no events nothing may have changed.
    pub fn close(self, events: &[Event]) {
        let is_empty = self.is_there() && self.is_empty();
        self.open.close(is_empty, events);
    }
}
