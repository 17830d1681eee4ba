//! Commands that block on keys.
//!
//! ```text
//!  the session's side    Blocked (of the session), and [`blocked`]: commands with keys on several cores
//!  the keys' side        [`key_queues`]: who waits for keys of a shard, in the order of the waits' numbers
//!  between them          `mail`: WaitRequest, WaitStep ──▶ ◀── [`word`]
//! ```
//! A command that may block (`Run::Blocking`) is *attempted*: it finds something, or it waits, with a number that orders those who
//! wait. All keys on one core, as a rule: the attempt is made there, by one message, and so are all further ones, right behind the
//! command that writes a key (`core/blocking/attempts.rs`, `queues.rs`). Keys on several: the attempt is a transaction in rounds,
//! one of which ends with `Round::Wait`; when a key is written, its core reserves what the next attempt needs, and the core of the
//! session makes it (`core/blocking/rounds.rs`). A wait ends where its attempts are made, so that nobody is served and told that
//! his time is over; `CLIENT UNBLOCK` is answered by [`unblocks`]. Nothing of this is paid while nobody waits but one test behind a
//! command. No type that blocks is in yet; a test type (`command/families/take.rs`) drives it. See decision 0010.

pub(super) mod alarms;
pub(super) mod blocked;
pub(super) mod key_queues;
pub(super) mod unblocks;
pub(super) mod word;
