//! Memory under `maxmemory` ([`leasing`], which drives [`crate::dispatch::memory`]), and what clients may make the server hold
//! ([`clients`]), and keys of a prefix ([`quotas`]).

pub(in crate::dispatch::core) mod clients;
mod evicting;
pub(in crate::dispatch::core) mod leasing;
mod quotas;
