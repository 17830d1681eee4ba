//! Writing whole strings: to keys that are not there, and over values of the same and of another size.

use larder_engine::{Shard, TtlChange};

use crate::shard::{Hashed, set};

/// A value that does not fit where the ordinary one was.
pub const LONGER_VALUE: [u8; 200] = [b'y'; 200];

/// Sets every key to `value`. Returns the number of keys.
pub fn all(shard: &mut Shard, keys: &[Hashed], value: &[u8]) -> usize {
    for key in keys {
        set(shard, key, value, TtlChange::Clear);
    }
    keys.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::VALUE;
    use crate::shard::{DB, filled};
    use crate::work::lookup::{absent, each, present};

    #[test]
    fn what_is_set_is_what_is_found() {
        let mut shard = filled(64, TtlChange::Clear);
        let (old, new) = (present(64, 64), absent(64, 64));
        all(&mut shard, &old, &LONGER_VALUE);
        all(&mut shard, &new, &VALUE);
        assert_eq!(shard.len(DB), 128);
        assert_eq!(each(&mut shard, &old), 64 * 200);
        assert_eq!(each(&mut shard, &new), 64 * 64);
    }
}
