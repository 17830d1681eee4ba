//! Drives transactions ([`crate::dispatch::transactions`]): their place in the order, the locks they wait for, their parts,
//! what is taken back.

pub(in crate::dispatch::core) mod begin;
pub(in crate::dispatch::core) mod entries;
pub(in crate::dispatch::core) mod gather;
pub(in crate::dispatch::core) mod locking;
pub(in crate::dispatch::core) mod pauses;
pub(in crate::dispatch::core) mod undos;
