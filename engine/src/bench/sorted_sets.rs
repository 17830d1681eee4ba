//! Sorted sets in a shard of their own, without commands.

use super::HashBytes;
use crate::{
    Access, DbIndex, Event, Member, MemberAhead, Scored, Shard, ShardOptions, SortedSetMut,
    SortedSetRef, StoreError,
};

/// Sorted sets in a shard of their own.
pub struct BareSortedSets {
    shard: Shard,
}

impl BareSortedSets {
    const DB: DbIndex = DbIndex(0);

    /// None yet.
    ///
    /// # Errors
    /// The address space could not be reserved.
    pub fn new(options: &ShardOptions) -> Result<Self, StoreError> {
        Shard::new(options).map(|shard| Self { shard })
    }

    #[inline]
    fn change<T>(&mut self, key: &[u8], change: impl FnOnce(&mut SortedSetMut<'_>) -> T) -> T {
        let key = self.shard.hasher().key(key);
        let opened = self.shard.sorted_set_mut(Self::DB, key);
        let mut set = opened.expect("all are sorted sets");
        let result = change(&mut set);
        set.close(&[Event::Silent]);
        result
    }

    /// The sorted set at a key.
    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Option<SortedSetRef<'_>> {
        let key = self.shard.hasher().key(key);
        let set = self.shard.sorted_set(Self::DB, key, Access::Touch);
        set.expect("all are sorted sets")
    }

    /// Brings members of the sorted set at a key near, of a batch of operations.
    #[inline]
    pub fn prefetch<'a>(&self, key: &[u8], names: impl Iterator<Item = &'a [u8]>) {
        let key_hash = self.shard.hasher().hash(key);
        let members = names.map(|name| MemberAhead { key_hash, name });
        self.shard.prefetch_members(Self::DB, members);
    }

    /// Gives a member a score.
    ///
    /// # Errors
    /// Memory is out.
    #[inline]
    pub fn set(&mut self, key: &[u8], member: Member<'_>) -> Result<Scored, StoreError> {
        self.change(key, |set| set.set(member.name, member.score))
    }

    /// Adds to the score of a member.
    ///
    /// # Errors
    /// Memory is out.
    #[inline]
    pub fn add_to(&mut self, key: &[u8], name: &[u8], by: f64) -> Result<(), StoreError> {
        self.change(key, |set| {
            let make = |score: Option<f64>| Ok(Some(score.unwrap_or(0.0) + by));
            set.update::<StoreError>(name, make).map(|_| ())
        })
    }

    /// Removes a member; whether it was there.
    #[inline]
    pub fn remove(&mut self, key: &[u8], name: &[u8]) -> bool {
        self.change(key, |set| set.remove(name)).is_some()
    }

    /// Removes the members of these ranks; how many there were.
    pub fn remove_range(&mut self, key: &[u8], ranks: std::ops::Range<u64>) -> u64 {
        self.change(key, |set| set.remove_range(ranks))
    }

    /// A step of house-keeping; whether more is left to do.
    pub fn tend(&mut self, budget: u32) -> bool {
        self.shard.tend(budget)
    }

    /// Deletes a sorted set: [`Self::tend`] frees it.
    pub fn delete(&mut self, key: &[u8]) {
        let key = self.shard.hasher().key(key);
        self.shard.remove(Self::DB, key, Event::Del);
    }

    /// Where the bytes are.
    pub fn bytes(&self) -> HashBytes {
        let memory = self.shard.memory();
        HashBytes {
            used: memory.used_bytes(),
            touched: memory.arena_bytes + memory.table_bytes,
        }
    }
}
