//! Quotas: what the keys of a prefix take, and which of them go for one another.
//!
//! ```text
//!  key ─▶ Prefixes: the longest that it begins with ─▶ QuotaId ─┐
//!  contents of a database ─▶ Shares ────────────────────────────┴─▶ Share   | bytes | entries | roster: those that may go |
//! ```
//! The sums are exact: an entry is noted before it changes, and counted anew behind the change ([`crate::shard`]). The roster has the
//! [`Identity`](crate::evict::Identity) of each entry that may be evicted, so that one is found however few of all they are.

mod prefixes;
mod roster;
mod shares;

pub use prefixes::{Prefixes, QuotaId};
pub(crate) use roster::DyingRosters;
pub(crate) use shares::{Counted, Shares};
