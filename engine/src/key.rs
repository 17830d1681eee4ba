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
pub struct KeyHasher {
    state: ahash::RandomState,
    #[cfg(any(test, feature = "model"))]
    alike: Alike,
}

/// What hashes have in common, as a model has it.
#[cfg(any(test, feature = "model"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alike {
    Nothing,
    /// There are three.
    Few,
    /// There is one.
    All,
    /// The lower eight bits are alike.
    Tags,
}

#[cfg(any(test, feature = "model"))]
impl Alike {
    pub(crate) const EACH: [Self; 4] = [Self::Nothing, Self::Few, Self::All, Self::Tags];

    fn of(self, hash: u64) -> u64 {
        match self {
            Self::Nothing => hash,
            Self::Few => (hash % 3).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            Self::All => 0x1234_5678_9ABC_DEF0,
            Self::Tags => hash | 0xFF,
        }
    }
}

impl KeyHasher {
    /// A hasher from four seed words.
    pub fn with_seeds(seeds: [u64; 4]) -> Self {
        Self {
            state: ahash::RandomState::with_seeds(seeds[0], seeds[1], seeds[2], seeds[3]),
            #[cfg(any(test, feature = "model"))]
            alike: Alike::Nothing,
        }
    }

    /// One whose hashes are alike.
    #[cfg(any(test, feature = "model"))]
    pub(crate) fn with_alike(alike: Alike) -> Self {
        Self {
            alike,
            ..Self::with_seeds([1, 2, 3, 4])
        }
    }

    /// The hash of `bytes`.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(bytes);
        let hash = hasher.finish();
        #[cfg(any(test, feature = "model"))]
        let hash = self.alike.of(hash);
        hash
    }

    /// `bytes` with their hash.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key::new(bytes, self.hash(bytes))
    }
}
