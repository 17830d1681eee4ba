//! Transactions, as one core sees them: commands on several cores, an `EXEC`, a script.
//!
//! ```text
//!  [`pending`]    a core's own: those that await locks, sessions with some in entries that it has yet to pass
//!  [`in_order`]   how far the core has passed the order of all transactions, and what it is about to append
//!  [`scopes`]     what a command locks ──▶ `locks`, whose claimants are in [`claimant`]
//!  [`undos`]      what scripts that may begin again have done, to be taken back
//!  [`clearing`]   pauses that the core has yet to answer
//! ```
//! They are strictly serializable, and the order is the one mechanism: a transaction has one place in it, on all cores the same.
//! Where no data flows between cores nothing is locked and nobody waits. Where data flows, locks hold the keys from the place on;
//! they are asked for in the order of places, so that nobody waits in a circle. While nothing is locked this costs a command
//! nothing: a core's `LOCKS` gate is down. `SCAN`, `RANDOMKEY` and what only observes (`INFO`) have no place. What has begun comes
//! to its end whether its client is still there or not: the session of an `EXEC` stays until then. Decision 0017 has the rules, and
//! the test that holds each of them.
//!
//! **What all cores change at one moment.** `CLIENT PAUSE` begins at one place in the order on all cores, and its `+OK` is a
//! barrier (`core/transactions/pauses.rs`). `FUNCTION LOAD`, `DELETE`, `FLUSH`, `RESTORE` and `CONFIG SET` ask for all locks of
//! all cores at their place and run when these are granted (`Core::begin_alone`), so that no transaction sees two states of what
//! they change.

pub(super) mod claimant;
pub(super) mod clearing;
pub(super) mod in_order;
pub(super) mod pending;
pub(super) mod scopes;
pub(super) mod undos;
