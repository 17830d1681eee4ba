//! Tests of dispatch through the sans-I/O harness of [`testing`]: each behaviour, and models and random clients against it.
//!
//! Three tests of the project hold the promise of transactions, and each shows that it would notice were it broken: it finds a
//! server that locks nothing.
//!
//! - `tests/tests/simulated.rs`: random clients on cores within the test, where whatever is under way between them may take any
//!   time and any of them may stand still. Their histories are checked.
//! - `tests/tests/history.rs`: the same clients on whole servers of 2 and 4 cores and both backends.
//!   The checker is Larder's own, after Elle (`tests/src/history/`): clients append tokens used once, so that every value read tells
//!   the writes before it, and a cycle of dependencies and real time is a broken promise, shown with its operations. Elle itself
//!   runs on a JVM, and search-based checkers of linearizability (Knossos, Porcupine) are exponential in the clients that overlap,
//!   where a cycle search is linear.
//! - `tests/tests/transfer.rs`: money between accounts on all cores, with connections cut at random.
//!
//! What moving slots and copies of other cores' keys must not change is held by [`serial`]: cores within a test again, one writer,
//! and readers that look for halves of a write.
//!
//! Debug builds alone can be made to lock nothing, and only by a test that has the server in its own process
//! (`Tuning::without_locks`): a feature of the package would have the tests build the server twice.

mod alone;
mod attempts;
mod basics;
mod blocking;
mod ceiling;
mod cluster;
mod command_logs;
mod copies;
mod copy_steps;
mod credit;
mod eviction;
mod expiry;
mod functions;
mod gathering;
mod handing;
mod hashes;
mod held_back;
mod hostile;
mod kept;
mod large;
mod lists;
mod long_reads;
mod memory;
mod notes;
mod order;
mod order_flow;
mod overtaking;
mod parts;
mod pauses;
mod pipelines;
mod publish;
mod quotas;
mod rebalance;
mod rebalance_ahead;
mod records;
mod reloading;
mod saving;
mod scripts;
mod scripts_every_command;
mod scripts_keys;
mod scripts_undo;
mod serial;
mod sets;
mod sort;
mod sorted_sets;
mod steps;
mod streams;
mod stress;
mod telling;
pub(crate) mod testing;
mod tracking;
mod tracking_model;
mod user;
mod waits;
mod walks;
