//! One module a family of commands.

pub mod databases;
pub mod expire;
pub mod keys;
pub mod object;
pub mod ping;
pub mod scan;
pub mod strings;
mod transfer;
pub mod wait;
