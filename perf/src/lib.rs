//! Shared pieces of the benchmarks: fixed data, a shard, a server without sockets, and what is measured.
//!
//! Everything is the same on every run: seeds, keys, values, the clock, and the memory a shard may grow to, on which the
//! arena's granule depends. A bench differs from another by what it does, never by chance.

pub mod data;
pub mod server;
pub mod shard;
pub mod work;
