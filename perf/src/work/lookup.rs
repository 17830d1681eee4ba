//! The keyspace: keys found and not found, one by one and prefetched in batches, hashes known.

use larder_engine::{Access, KeyAhead, Shard};

use crate::data::scattered;
use crate::shard::{DB, Hashed};

/// Looks every key up. Returns the bytes of the values found.
pub fn each(shard: &mut Shard, keys: &[Hashed]) -> usize {
    keys.iter().map(|key| value_bytes(shard, key)).sum()
}

/// As [`each`], bringing the entries of `N` keys near before the first of them is looked up.
pub fn batches<const N: usize>(shard: &mut Shard, keys: &[Hashed]) -> usize {
    let mut found = 0;
    for batch in keys.as_chunks::<N>().0 {
        let ahead = batch.each_ref().map(|key| KeyAhead {
            hash: key.key().hash(),
            writes: false,
        });
        shard.prefetch(DB, &ahead);
        for key in batch {
            found += value_bytes(shard, key);
        }
    }
    found
}

#[inline(always)]
fn value_bytes(shard: &mut Shard, key: &Hashed) -> usize {
    let entry = shard.get(DB, key.key(), Access::Touch);
    entry
        .and_then(|entry| entry.string())
        .map_or(0, <[u8]>::len)
}

/// `count` keys of the first `keys` of a filled shard, in a scattered order.
pub fn present(count: usize, keys: usize) -> Vec<Hashed> {
    scattered(count, keys).map(Hashed::of).collect()
}

/// `count` keys that a shard of `keys` keys does not have.
pub fn absent(count: usize, keys: usize) -> Vec<Hashed> {
    (keys..keys + count).map(Hashed::of).collect()
}

#[cfg(test)]
mod tests {
    use larder_engine::TtlChange;

    use super::*;
    use crate::shard::filled;

    #[test]
    fn present_keys_are_found_and_absent_ones_are_not() {
        let mut shard = filled(64, TtlChange::Clear);
        assert_eq!(each(&mut shard, &present(64, 64)), 64 * 64);
        assert_eq!(batches::<16>(&mut shard, &present(64, 64)), 64 * 64);
        assert_eq!(each(&mut shard, &absent(64, 64)), 0);
    }
}
