//! One module a family of commands.

pub mod databases;
pub mod expire;
mod fetch;
pub mod keys;
pub mod numbers;
pub mod object;
pub mod ping;
pub mod scan;
pub mod strings;
#[cfg(test)]
pub(crate) mod testing;
mod transfer;
pub mod wait;
