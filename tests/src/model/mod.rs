//! A naive model of the keyspace, to compare servers with: a sorted map a database, and each command in a few lines.
//!
//! [`Steps`] makes a dialogue out of any bytes, so that property tests shrink it and fuzzers mutate it;
//! [`Keyspace`] says what each reply has to be; [`check`] plays a dialogue on Larder's cores within the process.

mod keyspace;
mod play;
mod steps;

pub use keyspace::{Expectation, Keyspace};
pub use play::check;
pub use steps::{SESSIONS, Step, Steps};
