//! Walking a keyspace: incremental scans and samples.
//!
//! A scan's cursor is a place in the order of positions, not in memory ([`crate::spiral`]): nodes that divide or join move nothing across it,
//! and an entry that stays is met exactly once.

use super::Keyspace;
use crate::KeyHasher;
use crate::memory::Memory;
use crate::spiral::address::Position;
use crate::spiral::drawn::{Coming, Identity, Step};
use crate::spiral::entries::Entry;

/// A place in a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor(pub(crate) u64);

impl Cursor {
    /// Whether a scan that goes on here has yet to come to the entries whose keys have this hash.
    pub(crate) fn is_before(self, hash: u64) -> bool {
        Position::of(hash).0 - Position::FIRST.0 >= self.0
    }
}

impl Keyspace {
    /// Emits about `count` entries from `cursor` on, whole nodes; where to go on, `None` at the end.
    pub(crate) fn scan(
        &self,
        (memory, hasher): (&Memory, &KeyHasher),
        cursor: Cursor,
        count: usize,
        emit: &mut dyn FnMut(Entry),
    ) -> Option<Cursor> {
        let hash_of = |name: &[u8]| hasher.hash(name);
        let spiral = self.spiral.as_ref()?;
        let next = spiral.scan_entries(memory.heap(), &hash_of, cursor.0, count, emit);
        next.map(Cursor)
    }

    /// Shows what may be the entry of an identity.
    pub(crate) fn entries_like(
        &self,
        memory: &Memory,
        identity: Identity,
        show: impl FnMut(Entry),
    ) {
        if let Some(spiral) = &self.spiral {
            spiral.entries_like(memory.heap(), identity, show);
        }
    }

    /// Brings near what eviction will probably look for. A hint.
    #[inline]
    pub(crate) fn approach(&self, memory: &Memory, coming: Coming, step: Step) {
        if let Some(spiral) = &self.spiral
            && !self.is_near_anyhow(spiral)
        {
            spiral.approach(memory.heap(), coming, step);
        }
    }

    /// Shows neighbours that a random number draws, until so many were `taken`; only those with a time if the flag says so.
    pub(crate) fn neighbours(
        &self,
        memory: &Memory,
        drawn: (u64, bool),
        wanted: usize,
        taken: impl FnMut(Entry) -> bool,
    ) {
        if let Some(spiral) = &self.spiral {
            spiral.neighbours(memory.heap(), drawn, wanted, taken);
        }
    }

    /// An entry drawn by `random`, close to uniformly among those that are `live`.
    pub(crate) fn random(
        &self,
        memory: &Memory,
        random: u64,
        live: impl Fn(Entry) -> bool,
    ) -> Option<Entry> {
        let spiral = self.spiral.as_ref()?;
        spiral.random_entry(memory.heap(), random, live)
    }
}
