//! Hashes, to read.
//!
//! ```text
//!  a field ─▶ its hash ──▶ packed in the item: tags, sixteen at a time        memory/packed.rs, spiral/packed.rs
//!                     └──▶ large: its bucket's node                           memory/elements.rs, spiral/
//! ```
//! Fields past their deadline are there until somebody removes them, and show to nobody.

mod change;
#[cfg(any(test, feature = "model"))]
pub(crate) mod model;
#[cfg(test)]
mod tests;

pub(super) use change::check_deadline;
pub use change::{Fate, HashMut};

use super::named::prefetch_to_read;
use super::{Access, Shard};
use crate::memory::Named;
use crate::raw::Block;
use crate::spiral::ElementRef;
use crate::{DbIndex, Encoding, Key, Kind, UnixMillis, WrongType};

/// A field of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// When it ends, if it does.
    pub expires_at: Option<UnixMillis>,
}

impl<'a> From<ElementRef<'a>> for Field<'a> {
    #[inline(always)]
    fn from(element: ElementRef<'a>) -> Self {
        Self {
            name: element.name,
            value: element.value,
            expires_at: element.deadline,
        }
    }
}

/// A hash to read. Fields past their deadline do not show, but may still be counted.
#[derive(Clone, Copy)]
pub struct HashRef<'a> {
    fields: Named<'a>,
    shard: &'a Shard,
    item: Block,
}

impl Shard {
    /// The hash at a key, for a command that reads: that there is none is worth a note (`keymiss`).
    ///
    /// # Errors
    /// What is there is of another type.
    #[inline]
    pub fn hash(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        access: Access,
    ) -> Result<Option<HashRef<'_>>, WrongType> {
        let Some(item) = self.collection_to_read(db, key, Kind::Hash, access)? else {
            return Ok(None);
        };
        let layout = self.memory.layout(item);
        Ok(Some(HashRef {
            fields: self.memory.named_of(item, &layout),
            shard: self,
            item,
        }))
    }
}

impl<'a> HashRef<'a> {
    /// Number of fields.
    #[inline]
    pub fn len(&self) -> u64 {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the hash answers as its encoding.
    pub fn encoding(&self) -> Encoding {
        self.shard.memory.variant(self.item).encoding(Kind::Hash)
    }

    /// Whether fields have, or have had, deadlines.
    pub fn has_deadlines(&self) -> bool {
        self.shard.memory.variant(self.item).has_deadlines()
    }

    #[inline(always)]
    fn shows(&self, element: &ElementRef<'_>) -> bool {
        element.deadline.is_none_or(|at| at > self.shard.now)
    }

    /// A field.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Field<'a>> {
        let element = self.fields.get(self.shard.hasher.hash(name), name)?;
        self.shows(&element).then(|| element.into())
    }

    /// Brings fields near that a command is about to read: the first [`crate::limits::NEAR_AT_ONCE`] of these. A hint.
    #[inline]
    pub fn prefetch<'n>(&self, names: impl Iterator<Item = &'n [u8]>) {
        prefetch_to_read(&self.fields, &self.shard.hasher, names);
    }

    /// Shows each field once; a small hash's in the order in which they came.
    pub fn each(&self, show: &mut dyn FnMut(Field<'a>)) {
        self.fields.for_each(|element| {
            if self.shows(&element) {
                show(element.into());
            }
        });
    }

    /// Shows about `count` fields from `cursor`, zero at first, on; where to go on, `None` at the end. A field that is there all
    /// the while is shown, however the hash grows or shrinks. A small hash is shown at once.
    pub fn scan(&self, cursor: u64, count: usize, show: &mut dyn FnMut(Field<'a>)) -> Option<u64> {
        let Named::Large(spiral, heap) = self.fields else {
            self.each(show);
            return None;
        };
        let hash_of = |name: &[u8]| self.shard.hasher.hash(name);
        spiral.scan(heap, &hash_of, cursor, count, &mut |element| {
            if self.shows(&element) {
                show(element.into());
            }
        })
    }

    /// A field chosen by `random`, close to uniformly; `None` if there is none, or the one chosen is past its deadline.
    pub fn random(&self, random: u64) -> Option<Field<'a>> {
        let element = self.fields.random(random);
        let element = element.filter(|element| self.shows(element))?;
        Some(element.into())
    }
}
