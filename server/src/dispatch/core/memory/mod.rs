//! Memory under `maxmemory` ([`leasing`], which drives [`crate::dispatch::memory`]), how what is resident keeps to it ([`ceiling`],
//! [`evicting`]), and what clients may make the server hold ([`clients`]).

mod ceiling;
pub(in crate::dispatch::core) mod clients;
mod evicting;
pub(in crate::dispatch::core) mod leasing;
mod lending;
