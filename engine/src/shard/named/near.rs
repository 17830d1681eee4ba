//! Bringing elements near: of a run of commands on any hashes and sets, or of one command that names several.
//!
//! Only those of large ones, whose keys have been brought near before (`Shard::prefetch`): a packed one lies in its item.

use super::{At, NamedMut};
use crate::item::Form;
use crate::limits::NEAR_AT_ONCE;
use crate::memory::Named;
use crate::nodes::Owner;
use crate::raw::Block;
use crate::shard::Shard;
use crate::spiral::{Intent, Spiral};
use crate::{DbIndex, KeyHasher};

/// A field, or a member of a set, that a command is about to read or change.
#[derive(Clone, Copy, Debug)]
pub struct FieldAhead<'a> {
    /// The hash of its key.
    pub key_hash: u64,
    /// Its name.
    pub name: &'a [u8],
    /// What the command does with it.
    pub intent: Intent,
}

/// A field or member of a large collection on the way.
#[derive(Clone, Copy)]
struct OnTheWay {
    owner: Owner,
    hash: u64,
    /// The ordinal of its node, later the node's block.
    at: u32,
    intent: Intent,
}

impl Shard {
    /// Brings fields and members of large hashes and sets of `db` near, at most [`NEAR_AT_ONCE`]. A hint: no effect but speed.
    pub fn prefetch_fields<'a>(&self, db: DbIndex, fields: impl Iterator<Item = FieldAhead<'a>>) {
        let mut ahead = [None; NEAR_AT_ONCE];
        let (mut count, mut writes) = (0, 0);
        // Many commands of a run name the same key.
        let mut last: Option<(u64, Option<Owner>)> = None;
        let mut from = 0;
        for field in fields.take(NEAR_AT_ONCE) {
            let owner = match last {
                Some((key_hash, owner)) if key_hash == field.key_hash => owner,
                _ => self.large_of(db, field.key_hash, Form::is_named, &mut from),
            };
            last = Some((field.key_hash, owner));
            let Some(owner) = owner else { continue };
            let (spiral, heap) = self.memory.spiral(owner);
            let hash = self.hasher.hash(field.name);
            ahead[count] = Some(OnTheWay {
                owner,
                hash,
                at: spiral.ask_for_word(heap, hash),
                intent: field.intent,
            });
            count += 1;
            writes += usize::from(field.intent != Intent::Read);
        }
        if count < 2 && writes == 0 {
            return;
        }
        for field in ahead.iter_mut().flatten() {
            let (spiral, heap) = self.memory.spiral(field.owner);
            field.at = spiral.ask_for_node(heap, field.at, field.intent).0;
        }
        if let Some((_, Some(owner))) = last
            && writes > 0
        {
            let (spiral, heap) = self.memory.spiral(owner);
            spiral.ask_for_balance(heap, writes);
        }
        for field in ahead.iter().flatten() {
            let (_, heap) = self.memory.spiral(field.owner);
            Spiral::ask_for_element(heap, Block(field.at), field.hash, field.intent);
        }
    }

    /// The large collection of such a form that a hash of a key probably stands for.
    #[inline]
    pub(in crate::shard) fn large_of(
        &self,
        db: DbIndex,
        key_hash: u64,
        is_it: impl FnOnce(Form) -> bool,
        from: &mut usize,
    ) -> Option<Owner> {
        let item = match self.ahead.is_empty() {
            true => self.keyspace(db).probable_item(key_hash, &self.memory)?,
            false => self.ahead.item_of(db, key_hash, from)?,
        };
        let is_it = is_it(self.memory.layout(item).head.form());
        self.memory.collection_of(item).filter(|_| is_it)
    }
}

/// Hashes of the first of these names.
#[inline(always)]
fn hashes_of<'a>(
    hasher: &KeyHasher,
    names: impl Iterator<Item = &'a [u8]>,
) -> ([u64; NEAR_AT_ONCE], usize) {
    let (mut hashes, mut count) = ([0; NEAR_AT_ONCE], 0);
    for (hash, name) in hashes.iter_mut().zip(names) {
        *hash = hasher.hash(name);
        count += 1;
    }
    (hashes, count)
}

/// Brings elements near that a command is about to read: the first [`NEAR_AT_ONCE`] of these. A hint.
#[inline]
pub(in crate::shard) fn prefetch_to_read<'a>(
    named: &Named<'_>,
    hasher: &KeyHasher,
    names: impl Iterator<Item = &'a [u8]>,
) {
    if let Named::Large(spiral, heap) = named {
        let (hashes, count) = hashes_of(hasher, names);
        spiral.prefetch(heap, &hashes[..count], Intent::Read);
    }
}

impl NamedMut<'_> {
    /// Brings elements near that a command is about to change, likewise.
    #[inline]
    pub(in crate::shard) fn prefetch<'a>(
        &self,
        names: impl Iterator<Item = &'a [u8]>,
        intent: Intent,
    ) {
        if let At::Large(owner) = self.at {
            let shard = &*self.open.shard;
            let (spiral, heap) = shard.memory.spiral(owner);
            let (hashes, count) = hashes_of(&shard.hasher, names);
            spiral.prefetch(heap, &hashes[..count], intent);
        }
    }
}
