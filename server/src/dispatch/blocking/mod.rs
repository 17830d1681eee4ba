//! Commands that block on keys.
//!
//! ```text
//!  the session's side    Blocked (of the session), and [`blocked`]: commands with keys on several cores
//!  the keys' side        [`key_queues`]: who waits for keys of a shard, in the order of the waits' numbers
//!  between them          [`mail`](super::mail): WaitRequest, WaitStep ──▶ ◀── [`word`]
//! ```
//! `CLIENT UNBLOCK` is answered by [`unblocks`]. See decision 0010.

pub(super) mod blocked;
pub(super) mod key_queues;
pub(super) mod unblocks;
pub(super) mod word;
