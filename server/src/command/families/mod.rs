//! One module a family of commands.

pub(crate) mod bits;
pub mod client;
pub mod config;
pub mod connection;
pub mod databases;
pub mod debug;
pub mod dump;
pub mod expire;
mod fetch;
pub mod info;
pub mod introspect;
pub mod keys;
pub mod latency;
pub(crate) mod lcs;
pub mod lifecycle;
pub mod lolwut;
pub mod memory;
pub mod monitor;
pub(crate) mod numbers;
pub mod object;
pub mod scan;
pub mod slowlog;
pub(crate) mod strings;
pub(crate) mod testing;
mod transfer;
pub mod wait;
#[cfg(test)]
mod wire;
