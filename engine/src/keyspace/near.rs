//! Bringing near: the misses of a batch's look-ups overlap, since they depend on nothing but hashes. What that finds on the way it leaves
//! to the look-ups ([`Ahead`]).

use super::Keyspace;
use crate::limits::{NEAR_ANYHOW_BYTES, NEAR_AT_ONCE};
use crate::memory::Memory;
use crate::raw::Block;
use crate::spiral::entries::{Entry, Seen};
use crate::spiral::{Intent, Spiral};
use crate::{DbIndex, Key};

/// A key that a command is about to look up.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyAhead {
    /// Its hash.
    pub hash: u64,
    /// Whether the command writes what the key holds as a whole, or removes it: then the node may be copied.
    pub writes: bool,
}

impl KeyAhead {
    /// Whether bringing these near is worth it: one to be read is not, since it would be waited for as long.
    #[inline(always)]
    pub fn are_worth_it(keys: &[Self]) -> bool {
        match keys {
            [] => false,
            [key] => key.writes,
            _ => true,
        }
    }

    #[inline(always)]
    fn intent(self) -> Intent {
        match self.writes {
            true => Intent::Write(None),
            false => Intent::Read,
        }
    }
}

/// What bringing near has found of the keys that are looked up next, in their order. It is right until a keyspace changes.
pub(crate) struct Ahead {
    db: DbIndex,
    /// The next that is looked up, and how many there are.
    next: usize,
    count: usize,
    found: [Found; NEAR_AT_ONCE],
}

/// What is known of a key.
#[derive(Clone, Copy)]
struct Found {
    hash: u64,
    is: Seen,
}

impl Ahead {
    pub(crate) fn new() -> Self {
        let none = Found {
            hash: 0,
            is: Seen::Unknown,
        };
        Self {
            db: DbIndex(0),
            next: 0,
            count: 0,
            found: [none; NEAR_AT_ONCE],
        }
    }

    /// A keyspace has changed.
    #[inline(always)]
    pub(crate) fn forget(&mut self) {
        self.count = 0;
    }

    /// What is known of the entry of this key, if it is the next.
    #[inline(always)]
    pub(crate) fn take(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        memory: &Memory,
    ) -> Option<Option<Entry>> {
        if self.next >= self.count {
            return None;
        }
        let Found { hash, is } = self.found[self.next];
        if hash != key.hash() || self.db != db {
            return None;
        }
        self.next += 1;
        match is {
            Seen::Short(short) if short.key(memory.heap()) == key.bytes() => {
                Some(Some(Entry::Short(short)))
            }
            Seen::Item(item) if memory.key(item) == key.bytes() => Some(Some(Entry::Item(item))),
            Seen::Absent => Some(None),
            _ => None,
        }
    }

    /// The item that the hash of a key probably stands for, searched from number `from` on, which then is the one behind; none also if that
    /// is not known.
    #[inline]
    pub(crate) fn item_of(&self, db: DbIndex, hash: u64, from: &mut usize) -> Option<Block> {
        let known = self.found[..self.count].get(*from..)?;
        let at = known.iter().position(|found| found.hash == hash)?;
        *from += at + 1;
        match known[at].is {
            Seen::Item(item) if self.db == db => Some(item),
            _ => None,
        }
    }

    /// Whether anything is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Keyspace {
    /// Whether all of it is probably near anyhow.
    #[inline(always)]
    pub(super) fn is_near_anyhow(&self, spiral: &Spiral) -> bool {
        spiral.block_bytes() <= NEAR_ANYHOW_BYTES
    }

    /// Brings near what commands on these keys of a database will read and copy, the first [`NEAR_AT_ONCE`] of them. Whether any of these writes.
    #[inline]
    pub(crate) fn prefetch(
        &self,
        (db, keys): (DbIndex, &[KeyAhead]),
        memory: &Memory,
        ahead: &mut Ahead,
    ) -> bool {
        ahead.forget();
        let keys = &keys[..keys.len().min(NEAR_AT_ONCE)];
        let any_writes = || keys.iter().any(|key| key.writes);
        let Some(spiral) = &self.spiral else {
            return any_writes();
        };
        let has_items = spiral.has_items();
        if self.is_near_anyhow(spiral) && !has_items {
            return any_writes();
        }
        let heap = memory.heap();
        let mut at = [(0, Block(0)); NEAR_AT_ONCE];
        for (key, (ordinal, _)) in keys.iter().zip(&mut at) {
            *ordinal = spiral.ask_for_word(heap, key.hash);
        }
        let mut writes = 0;
        for (key, (ordinal, block)) in keys.iter().zip(&mut at) {
            *block = spiral.ask_for_node(heap, *ordinal, key.intent());
            writes += usize::from(key.writes);
        }
        if writes > 0 {
            spiral.ask_for_balance(heap, writes);
            if !has_items {
                return true;
            }
        }
        let found = &mut ahead.found[..keys.len()];
        for ((key, bucket), found) in keys.iter().zip(at).zip(&mut *found) {
            found.hash = key.hash;
            found.is = Spiral::ask_for_entry(heap, bucket, key.hash);
        }
        if has_items {
            for found in found {
                found.is = found.is.resolved(heap);
                if let Seen::Item(item) = found.is {
                    memory.prefetch(item);
                }
            }
        }
        (ahead.db, ahead.next, ahead.count) = (db, 0, keys.len());
        writes > 0
    }
}
