//! Larder's server: from bytes on a socket to commands on a shard and back.
//!
//! Layers, each importing only those to its right (held by the `tidy` test):
//! `main -> runtime -> dispatch -> command -> session -> {resp, observe, config, shared, budget, quota, order, topics, routing, glob, log, rdb, script, persist} -> larder-engine`.
//! Everything above `runtime` is sans-I/O: bytes in, bytes and messages out.

pub mod budget;
pub mod check;
pub mod cli;
pub mod command;
pub mod config;
pub mod dispatch;
pub mod glob;
pub mod log;
pub mod observe;
pub mod order;
pub mod persist;
pub mod quota;
pub mod rdb;
pub mod resp;
pub mod routing;
pub mod runtime;
pub mod script;
pub mod session;
pub mod shared;
pub mod topics;
