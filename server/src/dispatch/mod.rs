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

mod blocking;
mod core;
mod exec;
mod gather;
mod hot;
pub mod limits;
mod locks;
mod mail;
mod memory;
mod notify;
mod rebalance;
mod run;
mod scripts;
#[cfg(test)]
mod tests;
mod transactions;

pub use core::{Core, Intent, Shipped};
pub use mail::batch::Batch;
pub use mail::lines::Lines;
#[cfg(test)]
pub(crate) use tests::testing;

/// Plants a bug: the cores of this thread lock nothing from now on, so that tests see that they would notice.
#[cfg(debug_assertions)]
pub(crate) fn plant_no_locks() {
    locks::LOCKS_ARE_OFF.set(true);
}
