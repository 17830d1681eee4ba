//! What is measured, one subject a file, for the clock (`benches/micro`) and for callgrind (`benches/instructions`) alike.
//!
//! A function here does its work once for each element it is given, and returns something that depends on all of it, so
//! that none of it can be left out. Preparation is the caller's, out of the measurement.

pub mod arena;
pub mod commands;
pub mod concern;
pub mod expiry;
pub mod list;
pub mod lookup;
pub mod order;
pub mod parser;
pub mod reply;
pub mod routing;
pub mod set;

/// Operations of one measurement under callgrind, and of one iteration against the clock.
pub const OPERATIONS: usize = 8192;
/// Keys of the table under callgrind, a power of two.
pub const KEYS: usize = 1 << 14;
