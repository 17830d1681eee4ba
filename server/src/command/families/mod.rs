//! One module a family of commands.

mod fetch;
pub mod numbers;
pub mod ping;
pub mod strings;
#[cfg(test)]
pub(crate) mod testing;
