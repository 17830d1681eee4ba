//! Sorted sets to read: what commands see of one, whichever form it has. What changes them is in `sorted_sets/change.rs`.

mod change;
#[cfg(any(test, feature = "model"))]
pub(crate) mod model;
mod near;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

pub use change::{Scored, SortedSetMut};
pub use near::MemberAhead;

use super::{Access, Shard};
use crate::Direction;
use crate::limits::NEAR_AT_ONCE;
use crate::raw::Block;
use crate::sorted::{Bound, SortedSetView};
use crate::{DbIndex, Encoding, Key, KeyHasher, Kind, WrongType};

/// A member of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its score, which is never NaN.
    pub score: f64,
}

/// A sorted set to read.
#[derive(Clone, Copy)]
pub struct SortedSetRef<'a> {
    view: SortedSetView<'a>,
    shard: &'a Shard,
    pub(super) item: Block,
}

impl Shard {
    /// The sorted set at a key, for a command that reads: that there is none is worth a note (`keymiss`).
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn sorted_set(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        access: Access,
    ) -> Result<Option<SortedSetRef<'_>>, WrongType> {
        let item = self.collection_to_read(db, key, Kind::SortedSet, access)?;
        Ok(item.map(|item| self.sorted_ref(item)))
    }

    #[inline(always)]
    pub(super) fn sorted_ref(&self, item: Block) -> SortedSetRef<'_> {
        SortedSetRef {
            view: self.memory.sorted_view(self.memory.sorted_at(item)),
            shard: self,
            item,
        }
    }
}

#[expect(
    clippy::len_without_is_empty,
    reason = "a sorted set that is there has members"
)]
impl<'a> SortedSetRef<'a> {
    /// Number of members, at least one.
    #[inline]
    pub fn len(&self) -> u64 {
        self.view.len()
    }

    /// What the sorted set answers as its encoding.
    pub fn encoding(&self) -> Encoding {
        let variant = self.shard.memory.variant(self.item);
        variant.encoding(Kind::SortedSet)
    }

    fn hash_of(&self) -> impl Fn(&[u8]) -> u64 + use<'a> {
        let hasher: &'a KeyHasher = &self.shard.hasher;
        |name| hasher.hash(name)
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, name: &[u8]) -> Option<f64> {
        self.view.score(self.hash_of(), name)
    }

    /// Bytes that all names have at most.
    pub fn payload_bytes(&self) -> u64 {
        self.view.payload_bytes()
    }

    /// Whether it lies in its item, where a member is found by a look at all names.
    pub fn is_packed(&self) -> bool {
        matches!(self.view, SortedSetView::Packed(_))
    }

    /// The scores of these members, at most [`NEAR_AT_ONCE`], of those that there are: they are looked for together.
    #[inline]
    pub fn scores(&self, names: &[&[u8]]) -> [Option<f64>; NEAR_AT_ONCE] {
        assert!(names.len() <= NEAR_AT_ONCE, "there are no more places");
        let mut hashes = [0; NEAR_AT_ONCE];
        for (hash, name) in hashes.iter_mut().zip(names) {
            *hash = self.shard.hasher.hash(name);
        }
        self.view.prefetch(&hashes[..names.len()]);
        let mut scores = [None; NEAR_AT_ONCE];
        for ((score, hash), name) in scores.iter_mut().zip(hashes).zip(names) {
            *score = self.view.score(|_| hash, name);
        }
        scores
    }

    /// Brings members near that a command is about to look for: the first [`NEAR_AT_ONCE`] of these. A hint.
    #[inline]
    pub fn prefetch<'n>(&self, names: impl Iterator<Item = &'n [u8]>) {
        self.view.prefetch_names(&self.shard.hasher, names);
    }

    /// The rank of a member, from the lowest on, and its score.
    #[inline]
    pub fn rank(&self, name: &[u8]) -> Option<(u64, f64)> {
        self.view.rank(self.hash_of(), name)
    }

    /// Number of members before a place.
    #[inline]
    pub fn rank_of(&self, bound: &Bound<'_>) -> u64 {
        self.view.rank_of(bound)
    }

    /// Shows members from a place on until `show` breaks: upwards those behind it, downwards those before it, the nearest first.
    pub fn walk(
        &self,
        from: &Bound<'_>,
        direction: Direction,
        show: &mut dyn FnMut(Member<'a>) -> ControlFlow<()>,
    ) {
        self.view.walk(from, direction, &mut |name, score| {
            show(Member { name, score })
        });
    }

    /// Shows about `count` members from `cursor`, zero at first, on; where to go on, `None` at the end. A member that is there all
    /// the while is shown, whatever scores it gets. A small sorted set is shown at once.
    pub fn scan(&self, cursor: u64, count: usize, show: &mut dyn FnMut(Member<'a>)) -> Option<u64> {
        self.view
            .scan(&self.hash_of(), cursor, count, &mut |name, score| {
                show(Member { name, score });
            })
    }

    /// A member chosen by `random`, uniformly.
    pub fn random(&self, random: u64) -> Option<Member<'a>> {
        let rank = (u128::from(random) * u128::from(self.len())) >> 64;
        let (name, score) = self.view.at_rank(rank as u64);
        Some(Member { name, score })
    }
}
