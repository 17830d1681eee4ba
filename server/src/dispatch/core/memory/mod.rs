//! Memory under `maxmemory`, and what clients hold of it.

pub(in crate::dispatch::core) mod clients;
pub(in crate::dispatch::core) mod leasing;
