//! Commands that block on keys.

pub(in crate::dispatch::core) mod attempts;
pub(in crate::dispatch::core) mod queues;
pub(in crate::dispatch::core) mod rounds;
pub(in crate::dispatch::core) mod unblocks;
