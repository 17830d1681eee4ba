//! A key with its hash, computed once per command and used by prefetch, lookup and insertion alike.

use std::hash::{BuildHasher, Hasher};

/// A borrowed key and its 64-bit hash.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    bytes: &'a [u8],
    hash: u64,
}

impl<'a> Key<'a> {
    /// Pairs `bytes` with `hash`, which must come from the shard's own [`KeyHasher`].
    pub fn new(bytes: &'a [u8], hash: u64) -> Self {
        Self { bytes, hash }
    }

    /// The key itself.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Its hash.
    pub fn hash(self) -> u64 {
        self.hash
    }
}

/// The keyed hash of all shards of a process (aHash, seeded at random against hash flooding).
#[derive(Clone, Debug)]
pub struct KeyHasher(ahash::RandomState);

impl KeyHasher {
    /// A hasher from four seed words.
    pub fn with_seeds(seeds: [u64; 4]) -> Self {
        Self(ahash::RandomState::with_seeds(
            seeds[0], seeds[1], seeds[2], seeds[3],
        ))
    }

    /// The hash of `bytes`.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    /// `bytes` with their hash.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key::new(bytes, self.hash(bytes))
    }
}
