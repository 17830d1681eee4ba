//! Transactions of several cores, as one core sees them.
//!
//! ```text
//!  [`pending`]    a core's own: those that await locks, sessions with some in entries that it has yet to pass
//!  [`in_order`]   how far the core has passed the order of all transactions, and what it is about to append
//!  [`scopes`]     what a command locks ──▶ [`locks`](super::locks), whose claimants are in [`claimant`]
//!  [`undos`]      what scripts that may begin again have done, to be taken back
//!  [`clearing`]   pauses that the core has yet to answer
//! ```

pub(super) mod claimant;
pub(super) mod clearing;
pub(super) mod in_order;
pub(super) mod pending;
pub(super) mod scopes;
pub(super) mod undos;
