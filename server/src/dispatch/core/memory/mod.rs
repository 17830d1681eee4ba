//! Memory under `maxmemory` ([`leasing`], which drives [`crate::dispatch::memory`]), how what is resident keeps to it ([`ceiling`],
//! [`evicting`], [`lending`], [`waiting`]), and what clients ([`clients`]) and keys of a prefix ([`quotas`]) may make the server hold.

mod ceiling;
pub(in crate::dispatch::core) mod clients;
mod evicting;
pub(in crate::dispatch::core) mod leasing;
mod lending;
mod quotas;
pub(in crate::dispatch::core) mod waiting;

pub(in crate::dispatch::core) use lending::bytes_of;
