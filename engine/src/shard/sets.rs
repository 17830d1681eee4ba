//! Sets, to read. A set's members are the names of elements whose values have no bytes (`spiral/`): found, packed and large as the
//! fields of a hash are.

mod change;
#[cfg(any(test, feature = "model"))]
pub(crate) mod model;
#[cfg(test)]
mod tests;

pub use change::SetMut;

use std::ops::ControlFlow;

use super::named::prefetch_to_read;
use super::{Access, Shard};
use crate::item::Variant;
use crate::limits::{NEAR_ANYHOW_BYTES, NEAR_AT_ONCE, SORTED_MAX_MEMBERS};
use crate::memory::Named;
use crate::raw::Block;
use crate::{DbIndex, Encoding, Intent, Key, Kind, WrongType};

/// A set to read.
#[derive(Clone, Copy)]
pub struct SetRef<'a> {
    members: Named<'a>,
    shard: &'a Shard,
    pub(super) item: Block,
}

impl Shard {
    /// The set at a key, for a command that reads: that there is none is worth a note (`keymiss`).
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn set_at(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        access: Access,
    ) -> Result<Option<SetRef<'_>>, WrongType> {
        let item = self.collection_to_read(db, key, Kind::Set, access)?;
        Ok(item.map(|item| self.set_of(item)))
    }

    #[inline(always)]
    pub(super) fn set_of(&self, item: Block) -> SetRef<'_> {
        SetRef {
            members: self.memory.named_of(item, &self.memory.layout(item)),
            shard: self,
            item,
        }
    }
}

#[expect(
    clippy::len_without_is_empty,
    reason = "a set that is there has members"
)]
impl<'a> SetRef<'a> {
    /// Number of members, at least one.
    #[inline]
    pub fn len(&self) -> u64 {
        self.members.len()
    }

    /// Bytes that all members have at most.
    pub fn payload_bytes(&self) -> u64 {
        self.members.payload_bytes()
    }

    fn variant(&self) -> Variant {
        self.shard.memory.variant(self.item)
    }

    /// What the set answers as its encoding.
    pub fn encoding(&self) -> Encoding {
        self.variant().encoding(Kind::Set)
    }

    /// Whether it lies in its item, where a member is found by a look at all tags.
    pub fn is_packed(&self) -> bool {
        matches!(self.members, Named::Packed(_))
    }

    /// Whether there is such a member.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        let hash = self.shard.hasher.hash(member);
        self.members.get(hash, member).is_some()
    }

    /// Brings members near that a command is about to look for: the first [`crate::limits::NEAR_AT_ONCE`] of these. A hint.
    #[inline]
    pub fn prefetch<'n>(&self, members: impl Iterator<Item = &'n [u8]>) {
        prefetch_to_read(&self.members, &self.shard.hasher, members);
    }

    /// Shows each member once: few integers in their order, others of a small set in the order in which they came.
    pub fn each(&self, show: &mut dyn FnMut(&'a [u8])) {
        self.members.each_member(self.variant(), show);
    }

    /// Shows members, in the order in which [`Self::each`] does, until `show` breaks.
    pub fn walk(&self, show: &mut dyn FnMut(&'a [u8]) -> ControlFlow<()>) {
        if let Named::Large(..) = self.members
            && (self.len() > SORTED_MAX_MEMBERS || !self.variant().has_integers())
        {
            self.members.walk(0, |element| show(element.name));
            return;
        }
        let mut is_over = false;
        self.each(&mut |member| is_over = is_over || show(member).is_break());
    }

    /// Which of these members there are, at most [`NEAR_AT_ONCE`], a bit each: they are looked for together.
    #[inline]
    pub fn which(&self, members: &[&[u8]]) -> u32 {
        assert!(members.len() <= NEAR_AT_ONCE, "a bit each");
        let mut hashes = [0; NEAR_AT_ONCE];
        for (hash, member) in hashes.iter_mut().zip(members) {
            *hash = self.shard.hasher.hash(member);
        }
        let hashed = hashes.iter().zip(members).enumerate();
        let mut found = 0;
        match self.members {
            Named::Packed(packed) => hashed.for_each(|(at, (&hash, member))| {
                found |= u32::from(packed.find(hash, member).is_some()) << at;
            }),
            Named::Large(spiral, heap) => {
                if spiral.block_bytes() > NEAR_ANYHOW_BYTES {
                    spiral.prefetch(heap, &hashes[..members.len()], Intent::Read);
                }
                hashed.for_each(|(at, (&hash, member))| {
                    found |= u32::from(spiral.get(heap, hash, member).is_some()) << at;
                });
            }
        }
        found
    }

    /// Shows about `count` members from `cursor`, zero at first, on; where to go on, `None` at the end. A member that is there all
    /// the while is shown, however the set grows or shrinks. A small set is shown at once.
    pub fn scan(&self, cursor: u64, count: usize, show: &mut dyn FnMut(&'a [u8])) -> Option<u64> {
        let Named::Large(spiral, heap) = self.members else {
            self.each(show);
            return None;
        };
        let hash_of = |name: &[u8]| self.shard.hasher.hash(name);
        spiral.scan(heap, &hash_of, cursor, count, &mut |element| {
            show(element.name);
        })
    }

    /// A member chosen by `random`, close to uniformly.
    pub fn random(&self, random: u64) -> &'a [u8] {
        let element = self.members.random(random);
        element.expect("a set has members").name
    }
}
