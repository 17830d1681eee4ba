//! The bare table: one hashbrown map from boxed key to boxed value, hashed by ahash.

use ahash::RandomState;
use hashbrown::HashMap;

/// All keys and their values.
#[derive(Default)]
pub(crate) struct Store {
    map: HashMap<Box<[u8]>, Box<[u8]>, RandomState>,
}

impl Store {
    /// The value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.map.get(key).map(AsRef::as_ref)
    }

    /// Sets `key` to `value`, in place when the length stays.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) {
        match self.map.get_mut(key) {
            Some(held) if held.len() == value.len() => held.copy_from_slice(value),
            Some(held) => *held = value.into(),
            None => {
                self.map.insert(key.into(), value.into());
            }
        }
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Forgets every key.
    pub(crate) fn clear(&mut self) {
        self.map.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_replaced_whether_its_length_stays_or_not() {
        let mut store = Store::default();
        for value in [&b"one"[..], b"two", b"three", b""] {
            store.set(b"key", value);
            assert_eq!(store.get(b"key"), Some(value));
        }
        assert_eq!(store.len(), 1);
        assert_eq!(store.get(b"other"), None);
    }
}
