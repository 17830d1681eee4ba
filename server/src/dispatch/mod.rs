//! From received bytes to commands, to the core that owns their keys, and back in order. Sans-I/O: a [`Core`] is driven
//! by a runtime, by tests and by fuzzers alike.
//!
//! ```text
//!  receive -> input: parse a run of commands, hash keys, prefetch
//!          -> execute: gates (admit), then
//!               on this shard | on another (hop, batch) | on several (transaction, multi, script)
//!  take_mail -> pass entries of the order (order), then deliver: requests of other cores run here; answers fill the place
//!          kept in their session's output (gather); what a client has yet to take is bounded (credit)
//!  an entry -> this core's parts of it run (transaction), or wait for locks (locks, waits)
//!  end_turn -> this core's transactions get their place (order); background steps, timers, statistics; then the runtime
//!          sends and ships the outboxes
//! ```

mod admit;
mod alone_tests;
mod attempts;
mod attempts_tests;
mod batch;
mod blocking;
mod blocking_tests;
mod client_memory;
mod cluster_tests;
mod copies;
mod copies_tests;
mod core;
mod credit;
mod deliver;
mod execute;
mod expiry;
mod expiry_tests;
mod gather;
mod handing_tests;
mod held_back_tests;
mod hostile;
mod input;
mod kept_args;
mod large_tests;
pub mod limits;
mod lines;
mod locks;
mod memory;
mod memory_tests;
mod multi;
mod notes;
mod notes_tests;
mod observed;
mod offers;
mod on_shard;
mod order;
mod order_flow_tests;
mod order_tests;
mod owner;
mod parts;
mod pauses;
mod pauses_tests;
mod pipelines_tests;
mod pool;
mod protect;
mod publish;
mod publish_tests;
mod queues;
mod rebalance;
mod rebalance_tests;
mod records_tests;
mod requests;
mod script;
mod serial;
mod stress;
mod telling;
mod telling_tests;
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod timing;
mod tracking_model;
mod tracking_tests;
mod transaction;
mod unblocks;
mod uncounted;
mod undos;
mod user_tests;
mod waits;
mod waits_tests;

pub use batch::Batch;
pub use core::{Core, Intent};
pub use lines::Lines;
pub use order::Shipped;

/// Plants a bug: the cores of this thread lock nothing from now on, so that tests see that they would notice.
#[cfg(debug_assertions)]
pub(crate) fn plant_no_locks() {
    locks::LOCKS_ARE_OFF.set(true);
}
