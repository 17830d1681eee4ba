//! From received bytes to commands, to the core that owns their keys, and back in order. Sans-I/O: a [`Core`] is driven
//! by a runtime, by tests and by fuzzers alike.
//!
//! ```text
//!  core/           Core: a turn, input, gates, execution; and what drives each module, in files of its name
//!    │   the modules: each owns its state, imports what stands below it, and knows nothing of Core
//!    ├─ transactions/   the order, transactions that await locks ─▶ scripts, blocking, locks
//!    ├─ scripts/        scripts at work, and those that wait      ─▶ notify, locks
//!    ├─ gather/         replies in parts, commands in rounds      ─▶ blocking, notify
//!    ├─ blocking/       commands blocked on keys                  ─▶ run, locks
//!    ├─ notify/  rebalance/  hot/  exec/  memory/  run/  turn/  steps/  saving/   ─▶ mail
//!    ├─ mail/           what cores send each other                ─▶ locks
//!    └─ locks/          locks of a shard's keys
//!  tests/          tests through a harness of cores without sockets
//! ```
//! The test `tidy` holds who imports whom. Every bound is in [`limits`].

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
mod saving;
mod scripts;
mod steps;
#[cfg(test)]
mod tests;
mod transactions;
mod turn;

pub use core::{Core, Intent, Shipped};
pub use mail::batch::Batch;
pub use mail::lines::Lines;
#[cfg(test)]
pub(crate) use tests::testing;

/// Plants a bug: the cores of this thread lock nothing from now on, so that tests see that they would notice.
#[cfg(debug_assertions)]
#[doc(hidden)]
pub fn plant_no_locks() {
    locks::LOCKS_ARE_OFF.set(true);
}
