//! Memory of a core beside its shard.

pub(super) mod pool;
