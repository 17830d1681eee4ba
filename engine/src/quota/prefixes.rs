//! Which prefix a key begins with, of some: the longest.
//!
//! Prefixes stand in their order. All that a key begins with stand before it, and what lies between the longest of them and the key
//! begins with that one too. So the last that is not behind the key is the one, or leads to it by the prefixes that it begins with
//! itself. A look-up is a binary search and, where prefixes are nested, some steps outwards.

/// Which quota: the place of its prefix among all, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaId(pub u16);

impl QuotaId {
    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// Prefixes of keys, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    sorted: Box<[Box<[u8]>]>,
    /// The longest other that each begins with.
    outer: Box<[Option<QuotaId>]>,
    /// The bytes that they begin with, a bit each.
    first_bytes: [u64; 4],
}

impl Prefixes {
    /// These.
    ///
    /// # Panics
    /// One is empty, or there are more than 65,536.
    pub fn new(prefixes: impl IntoIterator<Item = Box<[u8]>>) -> Self {
        let mut sorted: Vec<Box<[u8]>> = prefixes.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        assert!(sorted.len() <= 1 << 16, "a quota's id has 16 bits");
        let mut first_bytes = [0; 4];
        let mut outer: Vec<Option<QuotaId>> = Vec::with_capacity(sorted.len());
        for (at, prefix) in sorted.iter().enumerate() {
            let first = prefix.first().expect("a prefix is not empty");
            first_bytes[usize::from(first >> 6)] |= 1 << (first & 63);
            let mut around = at.checked_sub(1).map(|before| QuotaId(before as u16));
            while let Some(id) = around
                && !prefix.starts_with(&sorted[id.index()])
            {
                around = outer[id.index()];
            }
            outer.push(around);
        }
        Self {
            sorted: sorted.into(),
            outer: outer.into(),
            first_bytes,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The prefix of a quota.
    pub fn get(&self, id: QuotaId) -> &[u8] {
        &self.sorted[id.index()]
    }

    /// The quota of a key: that of the longest prefix it begins with.
    #[inline]
    pub fn quota_of(&self, key: &[u8]) -> Option<QuotaId> {
        let first = *key.first()?;
        if self.first_bytes[usize::from(first >> 6)] & 1 << (first & 63) == 0 {
            return None;
        }
        let behind = self.sorted.partition_point(|prefix| **prefix <= *key);
        let mut found = behind.checked_sub(1).map(|at| QuotaId(at as u16));
        while let Some(id) = found
            && !key.starts_with(&self.sorted[id.index()])
        {
            found = self.outer[id.index()];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(&[0u8, b'a', b'b', 255][..]), 1..6)
    }

    proptest! {
        #[test]
        fn a_key_has_the_longest_prefix_it_begins_with(
            prefixes in prop::collection::vec(word(), 0..20),
            keys in prop::collection::vec(word(), 1..50),
        ) {
            let known = Prefixes::new(prefixes.iter().map(|prefix| prefix.clone().into()));
            for key in &keys {
                let naive = prefixes
                    .iter()
                    .filter(|prefix| key.starts_with(prefix))
                    .max_by_key(|prefix| prefix.len());
                let found = known.quota_of(key).map(|id| known.get(id));
                prop_assert_eq!(found, naive.map(Vec::as_slice));
            }
        }
    }

    #[test]
    fn the_empty_key_has_no_prefix() {
        let known = Prefixes::new([Box::from(&b"a"[..])]);
        assert_eq!(known.quota_of(b""), None);
        assert!(Prefixes::default().quota_of(b"a").is_none());
    }
}
