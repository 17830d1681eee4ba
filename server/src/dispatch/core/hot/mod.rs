//! Copies of keys that are much read.

pub(in crate::dispatch::core) mod copies;
pub(in crate::dispatch::core) mod offers;
