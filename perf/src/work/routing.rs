//! From a key to its slot and its core.

use std::hint::black_box;

use larder_server::routing::{Slot, SlotMap};

use crate::data::key;

/// Adds up the slots of `keys`.
pub fn slots(keys: &[Vec<u8>]) -> usize {
    let number = |key: &Vec<u8>| usize::from(Slot::of(black_box(key)).number());
    keys.iter().map(number).sum()
}

/// Adds up the numbers of the cores of `keys`.
pub fn cores(map: &SlotMap, keys: &[Vec<u8>]) -> usize {
    let number = |key: &Vec<u8>| map.core_of(black_box(key)).index();
    keys.iter().map(number).sum()
}

/// Keys without a hash tag: `key:000000000042`.
pub fn plain_keys(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| key(number).to_vec()).collect()
}

/// Keys with one: `{key:000000000042}:profile`.
pub fn tagged_keys(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| [b"{", key(number).as_slice(), b"}:profile"].concat())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tagged_key_lives_where_its_tag_does() {
        assert_eq!(slots(&plain_keys(100)), slots(&tagged_keys(100)));
        let map = SlotMap::even(4);
        let owner = |slot: usize| slot * 4 / 16384;
        let expected = plain_keys(100)
            .iter()
            .map(|key| owner(slots(std::slice::from_ref(key))))
            .sum::<usize>();
        assert_eq!(cores(&map, &plain_keys(100)), expected);
    }
}
