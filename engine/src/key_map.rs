//! A table of some keys of any database, found by a borrowed key: a look-up allocates nothing, and costs the same however
//! many keys there are. What somebody does with a few keys of a shard (watch them, wait for them) is kept in one.
//!
//! The hashes are seeded at random, so that no client can choose keys that collide.

use std::hash::{Hash, Hasher};

use ahash::RandomState;
use hashbrown::{Equivalent, HashMap, hash_map};

use crate::DbIndex;

/// A table from keys to `T`.
#[derive(Debug)]
pub(crate) struct KeyMap<T>(HashMap<OwnedKey, T, RandomState>);

/// A key of a database.
#[derive(Debug, PartialEq, Eq)]
struct OwnedKey {
    db: DbIndex,
    key: Box<[u8]>,
}

/// As [`OwnedKey`], borrowed.
struct BorrowedKey<'k> {
    db: DbIndex,
    key: &'k [u8],
}

impl Hash for OwnedKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { db, key } = self;
        BorrowedKey { db: *db, key }.hash(state);
    }
}

impl Hash for BorrowedKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.db.hash(state);
        self.key.hash(state);
    }
}

impl Equivalent<OwnedKey> for BorrowedKey<'_> {
    fn equivalent(&self, owned: &OwnedKey) -> bool {
        self.db == owned.db && *self.key == *owned.key
    }
}

impl<T> Default for KeyMap<T> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<T> KeyMap<T> {
    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the key has.
    pub(crate) fn get(&self, db: DbIndex, key: &[u8]) -> Option<&T> {
        self.0.get(&BorrowedKey { db, key })
    }

    /// What the key has, to change it.
    pub(crate) fn get_mut(&mut self, db: DbIndex, key: &[u8]) -> Option<&mut T> {
        self.0.get_mut(&BorrowedKey { db, key })
    }

    /// Takes the key out; what it had.
    pub(crate) fn remove(&mut self, db: DbIndex, key: &[u8]) -> Option<T> {
        self.0.remove(&BorrowedKey { db, key })
    }

    /// All keys and what they have.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (DbIndex, &[u8], &T)> {
        let keys = self.0.iter();
        keys.map(|(OwnedKey { db, key }, value)| (*db, &**key, value))
    }

    /// The same, to change what they have.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (DbIndex, &[u8], &mut T)> {
        let keys = self.0.iter_mut();
        keys.map(|(OwnedKey { db, key }, value)| (*db, &**key, value))
    }
}

impl<T: Default> KeyMap<T> {
    /// What the key has; a default, if it was not there.
    pub(crate) fn get_or_default(&mut self, db: DbIndex, key: &[u8]) -> &mut T {
        let owned = OwnedKey {
            db,
            key: key.into(),
        };
        match self.0.entry(owned) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(new) => new.insert(T::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_its_database_alone() {
        let (mut keys, first, second) = (KeyMap::default(), DbIndex(0), DbIndex(1));
        *keys.get_or_default(first, b"key") = 1;
        *keys.get_or_default(second, b"key") = 2;
        *keys.get_or_default(first, b"") = 3;
        assert_eq!(*keys.get_or_default(first, b"key"), 1);
        assert_eq!(keys.len(), 3);
        assert_eq!(keys.get_mut(second, b"key"), Some(&mut 2));
        assert_eq!(keys.get_mut(second, b""), None);
        assert_eq!(keys.remove(first, b"key"), Some(1));
        assert_eq!(keys.get_mut(first, b"key"), None);
        assert_eq!(keys.get_mut(second, b"key"), Some(&mut 2));
        assert_eq!(keys.iter().count(), 2);
    }
}
