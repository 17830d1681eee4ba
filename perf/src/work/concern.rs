//! Changes while clients are concerned with other keys: by prefixes, and by watches.

use larder_engine::Shard;
use larder_server::routing::CoreId;
use larder_server::session::Prefixes;

use crate::data::key;
use crate::shard::{DB, Hashed};

/// The keys from number `first` on are prefixes that a client each wants to hear of.
pub fn prefixes(first: usize, count: usize) -> Prefixes {
    let mut prefixes = Prefixes::default();
    for number in first..first + count {
        prefixes.begin(&key(number), CoreId(0));
    }
    prefixes
}

/// Notes a change of every key. Returns the number of prefixes that hear of some.
pub fn note(prefixes: &mut Prefixes, keys: &[Hashed]) -> usize {
    for key in keys {
        prefixes.note(key.key().bytes(), None);
    }
    prefixes.take_changes().len()
}

/// Has the keys from number `first` on watched, by a client each.
pub fn watch(shard: &mut Shard, first: usize, count: usize) {
    for number in first..first + count {
        shard.watch(number as u64, DB, Hashed::of(number).key());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_noted_for_the_prefixes_they_are_within() {
        let mut prefixes = prefixes(10, 100);
        let keys: Vec<Hashed> = (0..20).map(Hashed::of).collect();
        assert_eq!(note(&mut prefixes, &keys), 10);
    }
}
