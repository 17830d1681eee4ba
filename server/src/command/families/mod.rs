//! One module a family of commands.

pub(crate) mod bits;
mod choose;
pub(super) mod client;

pub(super) mod cluster;
mod combine;
pub(crate) mod commandlog;
pub(super) mod config;
pub(super) mod connection;
mod counts;
pub(super) mod databases;
pub(super) mod debug;
pub(super) mod dump;
pub(super) mod expire;
mod fetch;
mod first;
pub(super) mod geo;
pub(crate) mod hashes;
pub(super) mod hotkeys;
pub(super) mod hyperloglog;
mod indexes;
pub(super) mod info;
pub(super) mod introspect;
pub(super) mod keys;
pub(super) mod larder;
pub(super) mod latency;
pub(crate) mod lcs;
pub(super) mod lifecycle;
pub(super) mod lists;
pub(super) mod lolwut;
pub(super) mod matching;
pub(super) mod memory;
mod merge;
pub(super) mod module;
pub mod monitor;
mod near;
pub(crate) mod numbers;
pub(super) mod object;
mod pieces;
pub(super) mod pubsub;
pub(super) mod scan;
pub(crate) mod script;
pub(super) mod sets;
pub(super) mod sort;
pub(super) mod sorted_sets;
pub(super) mod streams;
pub(crate) mod strings;
pub(crate) mod testing;
#[cfg(test)]
pub(super) mod testing_reader;
mod timeout;
pub(crate) mod transactions;
mod transfer;
pub(super) mod wait;
mod walk;
#[cfg(test)]
mod wire;
