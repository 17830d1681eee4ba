//! One module a family of commands.

pub mod bits;
pub mod client;
pub mod config;
pub mod connection;
pub mod databases;
pub mod dump;
pub mod expire;
mod fetch;
pub mod keys;
pub mod lcs;
pub mod lifecycle;
pub mod lolwut;
pub mod monitor;
pub mod numbers;
pub mod object;
pub mod scan;
pub mod slowlog;
pub mod strings;
#[cfg(test)]
pub(crate) mod testing;
mod transfer;
pub mod wait;
#[cfg(test)]
mod wire;
