//! One module a family of commands.

pub mod ping;
pub mod strings;
