//! Memory under `maxmemory` ([`leasing`], which drives [`crate::dispatch::memory`]), and what clients may make the server hold
//! ([`clients`]).

pub(in crate::dispatch::core) mod clients;
mod evicting;
pub(in crate::dispatch::core) mod leasing;
mod lending;
