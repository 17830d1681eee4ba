//! A shard by itself, without a server around it.

use larder_engine::{
    DbIndex, Event, Key, KeyHasher, Shard, ShardOptions, StringForm, TtlChange, UnixMillis,
};

use crate::data::{KEY_BYTES, MEMORY_CEILING_BYTES, NOW, SEEDS, VALUE, key};

/// The database everything is in.
pub const DB: DbIndex = DbIndex(0);

/// A key's bytes with their hash.
#[derive(Clone, Copy, Debug)]
pub struct Hashed {
    bytes: [u8; KEY_BYTES],
    hash: u64,
}

impl Hashed {
    /// Key number `number`.
    pub fn of(number: usize) -> Self {
        let bytes = key(number);
        let hash = hasher().hash(&bytes);
        Self { bytes, hash }
    }

    /// As the shard takes it.
    #[inline]
    pub fn key(&self) -> Key<'_> {
        Key::new(&self.bytes, self.hash)
    }
}

/// The hasher of every bench.
pub fn hasher() -> KeyHasher {
    KeyHasher::with_seeds(SEEDS)
}

/// An empty shard at [`NOW`].
pub fn empty() -> Shard {
    let mut shard = Shard::new(&ShardOptions {
        databases: 16,
        memory_ceiling_bytes: MEMORY_CEILING_BYTES,
        hasher: hasher(),
    })
    .expect("address space is to be had");
    shard.set_now(NOW);
    shard
}

/// A shard of the first `keys` keys, with [`VALUE`] and this deadline.
pub fn filled(keys: usize, ttl: TtlChange) -> Shard {
    let mut shard = empty();
    for number in 0..keys {
        set(&mut shard, &Hashed::of(number), &VALUE, ttl);
    }
    shard
}

/// A deadline that has passed one millisecond after [`NOW`].
pub fn soon() -> TtlChange {
    TtlChange::At(UnixMillis(NOW.0 + 1))
}

/// Sets `key` to `value`.
///
/// # Panics
/// Memory is out.
#[inline]
pub fn set(shard: &mut Shard, key: &Hashed, value: &[u8], ttl: TtlChange) {
    shard
        .set(DB, key.key(), value, StringForm::Detect, ttl, Event::Set)
        .expect("memory is to be had");
}
