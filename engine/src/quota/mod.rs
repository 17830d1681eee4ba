//! Quotas: what the keys of a prefix take, and which of them go for one another.
//!
//! ```text
//!  key ─▶ PrefixSet: the longest that it begins with ─▶ QuotaId ─┐
//!  contents of a database ─▶ Shares ────────────────────────────┴─▶ Share   | bytes | entries | roster: those that may go |
//! ```
//! The sums are exact: an entry is noted before it changes, and counted anew behind the change ([`crate::shard`]). The roster has the
//! [`Identity`](crate::evict::Identity) of each entry that may be evicted, so that one is found however few of all they are.

mod roster;
mod shares;

pub(crate) use roster::DyingRosters;
pub(crate) use shares::{Counted, Shares};

use crate::PrefixSet;

/// Which quota: the place of its prefix among all, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaId(pub u16);

impl QuotaId {
    /// The quota of a key, if it has one: that of the longest prefix it begins with.
    #[inline]
    pub fn of(prefixes: &PrefixSet, key: &[u8]) -> Option<Self> {
        prefixes.place_of(key).map(|place| Self(place as u16))
    }

    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0.into()
    }
}
