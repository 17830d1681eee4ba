//! Memory of a core beside its shard: what it has leased under `maxmemory` and what it keeps ([`budget`]), and buffers between
//! two uses ([`pool`]).

pub(super) mod budget;
pub(super) mod pool;
