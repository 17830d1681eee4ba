//! One order for the transactions of all cores, and what a core does by it.
//!
//! ```text
//!   coordinator             the order                    the cores concerned
//!   gathers a turn's    ┌──────────────────┐        catch up: pass every entry, run their
//!   transactions, ships │ … 17 18 19 20 …  │◀────── own parts of it, which came by mail,
//!   the parts by mail,  └──────────────────┘        answer by mail
//!   then appends ────────────────▲
//! ```
//! The transactions of an entry take effect at its position, on all cores: nothing has to be locked for it, and nobody waits
//! for anybody. After Calvin (Thomson et al., SIGMOD 2012), where nodes agree on the order; here the memory that cores share
//! carries it. Decision 0017 has the rules, why they suffice, and what each costs.
//!
//! - [`ring`]: append, catch up, reuse of slots, time
//! - [`word`]: an entry, bit by bit
//! - [`Coordinator`]: ships parts and appends
//! - [`Follower`]: mail, parts in hand, catching up
//! - [`Sleepers`]: who must be woken
//! - [`rules`]: the rules by name, for the models that leave one out
//!
//! Sans-I/O: outboxes, inboxes and wake-ups are traits ([`Post`], [`Station`]), which `dispatch::core::transactions::entries` implements. What
//! the parts are, commands or requests for locks, the order does not know.

mod coordinator;
mod follower;
pub mod ring;
pub mod rules;
mod sleepers;
mod sync;
pub mod word;

#[cfg(test)]
mod tests;

pub use coordinator::{Coordinator, Post, Publication, Ticket};
pub use follower::{EntryAt, Follower, Parcel, Station};
pub use ring::{Cursor, Full, Ring};
pub use rules::Rule;
pub use sleepers::Sleepers;
pub use word::{Entry, Named, Position};
