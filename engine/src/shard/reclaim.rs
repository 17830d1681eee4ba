//! Flushing and swapping databases, and giving the memory of flushed ones back in bounded steps.
//!
//! A flush exchanges the keyspace for an empty one. If no other database has entries, the whole memory goes with it: a new
//! arena takes its place, and of the old one only pages are given back, without a look at the entries. Otherwise the
//! entries are freed one by one. Both happen in [`Shard::tend`], and until then count as used.

use super::Shard;
use crate::DbIndex;
use crate::journal::Effect;
use crate::keyspace::{ContentsId, Keyspace};
use crate::memory::{LazyObjects, Memory};
use crate::raw::IdleBound;

/// A database of up to this many entries is freed at once when it is flushed.
const FREE_AT_ONCE_ENTRIES: u64 = 256;
/// Entries to free that cost as much as giving a slab, or four mebibytes of an extent, back to the kernel.
const ENTRIES_PER_RELEASE: u32 = 256;

/// Keyspaces and memory of flushed databases. A shard has one while there are any.
#[derive(Default)]
pub(super) struct Graveyard {
    /// Those whose entries are still to be freed.
    tables: Vec<Keyspace>,
    /// Those whose entries went with a retired arena.
    hollow_tables: Vec<Keyspace>,
    retired: Vec<Retired>,
}

/// Memory replaced as a whole.
struct Retired {
    memory: Memory,
    /// What went with it.
    objects: u64,
}

impl Graveyard {
    /// Bytes of memory replaced as a whole and not yet given back.
    pub(super) fn retired_bytes(&self) -> u64 {
        self.retired
            .iter()
            .map(|retired| retired.memory.held_bytes() + retired.memory.table_bytes())
            .sum()
    }

    /// [`Self::retired_bytes`] and [`Self::list_bytes`].
    #[cold]
    pub(super) fn retired_and_list_bytes(&self) -> (u64, u64) {
        (self.retired_bytes(), self.list_bytes())
    }

    /// Entries not yet freed, and collections in memory replaced as a whole.
    fn objects(&self) -> u64 {
        let entries: u64 = self.tables.iter().map(Keyspace::len).sum();
        let retired: u64 = self.retired.iter().map(|retired| retired.objects).sum();
        entries + retired
    }

    /// Bytes of the lists of keyspaces not yet freed.
    pub(super) fn list_bytes(&self) -> u64 {
        let tables = self.tables.iter().chain(&self.hollow_tables);
        tables.map(Keyspace::list_bytes).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.hollow_tables.is_empty() && self.retired.is_empty()
    }
}

impl Shard {
    /// Empties `db`; returns the number of entries removed. The memory is given back in bounded steps by [`Self::tend`].
    pub fn flush(&mut self, db: DbIndex) -> u64 {
        if self.is_told_before {
            self.before_flush(db);
        }
        self.forget_quotas_of(db);
        self.ahead.forget();
        let empty = Keyspace::new(self.new_contents());
        let flushed = std::mem::replace(&mut self.databases[usize::from(db.0)], empty);
        self.begin_shares_of(db);
        self.list_bytes -= flushed.list_bytes();
        self.kept_bytes -= flushed.kept_bytes();
        let removed = flushed.len();
        let is_undoable = self.undo.is_open;
        let unneeded = match is_undoable {
            true => self.undo.flush(db, flushed),
            false => Some(flushed),
        };
        if let Some(table) = unneeded {
            self.bury_table(table);
        }
        if !is_undoable {
            self.retire_memory_if_unused();
        }
        self.tell_flush();
        self.journal.record(db, b"", &Effect::FlushDb);
        self.journal.count_as(1, removed);
        removed
    }

    /// A number for contents that come to be, whose nodes have an owner of their own.
    fn new_contents(&mut self) -> ContentsId {
        loop {
            let id = ContentsId(self.next_contents);
            self.next_contents += 1;
            let flushed = self
                .graveyard
                .iter()
                .flat_map(|graveyard| &graveyard.tables);
            let keyspaces = self
                .databases
                .iter()
                .chain(flushed)
                .chain(self.undo.flushed());
            if keyspaces
                .map(Keyspace::id)
                .all(|other| other.owner() != id.owner())
            {
                return id;
            }
        }
    }

    /// Frees the entries of a keyspace that is in use no more, at once if they are few. Others that are being freed go on waiting.
    pub(super) fn bury_table(&mut self, table: Keyspace) {
        self.bury_shares(table.id());
        let entries = table.len();
        let tables = &mut self.graveyard.get_or_insert_default().tables;
        let waiting = tables.len();
        tables.push(table);
        let is_there = |graveyard: &Graveyard| graveyard.tables.len() > waiting;
        if entries <= FREE_AT_ONCE_ENTRIES {
            let freed = self.freed_objects;
            // The last that came is freed first.
            while self.graveyard.as_deref().is_some_and(is_there) {
                self.free_node();
            }
            self.freed_objects = freed;
        }
    }

    /// Collections of many elements that were removed, and entries of flushed databases, which are freed behind the command that
    /// removed them: how many have yet to be, and how many have been. An entry that is such a collection is one object.
    pub fn lazy_objects(&self) -> LazyObjects {
        let LazyObjects { pending, freed } = self.memory.lazy_objects();
        let buried = self.graveyard.as_deref().map_or(0, Graveyard::objects);
        LazyObjects {
            pending: pending + buried,
            freed: freed + self.freed_objects,
        }
    }

    /// Gives the whole memory back if all entries in it are those of flushed keyspaces.
    pub(super) fn retire_memory_if_unused(&mut self) {
        if self.undos_aside > 0 || !self.loose.is_empty() {
            return;
        }
        let flushed = self
            .graveyard
            .iter()
            .flat_map(|graveyard| &graveyard.tables);
        let entries_left = flushed.map(Keyspace::len).sum::<u64>();
        if entries_left > 0 && self.databases.iter().all(|keyspace| keyspace.len() == 0) {
            self.retire_memory();
        }
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        for (db, other) in [(a, b), (b, a)] {
            let other = &self.databases[usize::from(other.0)];
            let (hasher, memory, now) = (&self.hasher, &self.memory, self.now);
            let find = |key: &[u8]| {
                let found = other.find(hasher.key(key), memory);
                found.filter(|entry| !memory.has_ended(*entry, now))
            };
            let has = |key: &[u8]| find(key).is_some();
            self.journal.watches.note_exchange(db, has);
            let kind = |key: &[u8]| find(key).map(|entry| memory.view(entry).kind());
            self.journal.awaited.note_exchange(db, kind);
        }
        self.ahead.forget();
        self.databases.swap(usize::from(a.0), usize::from(b.0));
        if self.undo.is_open {
            self.undo.exchange(a, b);
        }
        self.journal.record(a, b"", &Effect::SwapDb { with: b });
    }

    /// One bounded step of house-keeping: frees flushed keyspaces, compacts, returns memory. Whether more is left to do.
    ///
    /// `budget` counts entries freed or moved; what a step costs beyond them is at most one node or slab.
    #[inline(always)]
    pub fn tend(&mut self, budget: u32) -> bool {
        (self.is_purging || self.has_to_tend()) && self.tend_or_purge(budget)
    }

    #[inline(never)]
    fn tend_or_purge(&mut self, budget: u32) -> bool {
        match self.is_purging {
            true => self.purge_some(budget),
            false => self.tend_some(budget),
        }
    }

    /// Has all memory that can be given back be given back by [`Self::tend`], by and by, as if it were short.
    pub fn purge(&mut self) {
        self.is_purging = true;
        // What was looked at in vain is looked at again.
        self.compactor = super::Compactor::default();
    }

    #[cold]
    fn purge_some(&mut self, budget: u32) -> bool {
        self.is_purging = self.tend_short(budget);
        self.is_purging
    }

    /// As [`Self::tend`], where resident memory is short: keeps nothing for reuse, and compacts what otherwise would not be worth it.
    pub fn tend_short(&mut self, budget: u32) -> bool {
        self.memory.set_idle_bound(IdleBound::Least);
        let has_more = self.has_to_tend() && self.tend_some(budget);
        self.memory.set_idle_bound(IdleBound::Ordinary);
        has_more
    }

    /// Whether there may be something to do.
    #[inline(always)]
    fn has_to_tend(&mut self) -> bool {
        self.graveyard.is_some()
            || self.has_upkeep
            || self.has_to_tend_quotas()
            || self.memory.has_to_tend()
    }

    fn tend_some(&mut self, budget: u32) -> bool {
        let mut left = budget;
        while left > 0 {
            let spent = if self.memory.trim_some() {
                ENTRIES_PER_RELEASE
            } else if let Some(freed) = self.free_node() {
                freed
            } else if self.release_some() || self.tend_policies() || self.tend_quotas() {
                ENTRIES_PER_RELEASE
            } else if self.undo.is_open || self.undos_aside > 0 {
                return false;
            } else {
                return self.compact(left);
            };
            left = left.saturating_sub(spent);
        }
        true
    }

    /// A slice of what the policy and the curve have to do by themselves; whether there was any.
    fn tend_policies(&mut self) -> bool {
        self.has_upkeep = self.has_upkeep && (self.tend_eviction() || self.tend_curve());
        self.has_upkeep
    }

    /// Frees a node of a flushed keyspace with its entries, of the last flushed first; what that cost, in entries, if any node was left.
    pub(super) fn free_node(&mut self) -> Option<u32> {
        let graveyard = self.graveyard.as_mut()?;
        while let Some(table) = graveyard.tables.last_mut() {
            let before = self.memory.lazy_objects().pending;
            if let Some(entries) = table.dismantle(&mut self.memory) {
                // Those that are collections of many elements are freed later.
                let later = self.memory.lazy_objects().pending - before;
                self.freed_objects += u64::from(entries) - later;
                return Some(entries + 1);
            }
            graveyard.tables.pop();
        }
        if graveyard.is_empty() {
            self.graveyard = None;
        }
        None
    }

    /// Frees the lists of a keyspace whose nodes went with a retired arena, or a piece of that; whether there was one.
    fn release_some(&mut self) -> bool {
        let Some(graveyard) = &mut self.graveyard else {
            return false;
        };
        if graveyard.hollow_tables.pop().is_some() {
            // Its lists are short: four bytes for 512 nodes, and the agenda's pages.
        } else if let Some(retired) = graveyard.retired.last_mut()
            && !retired.memory.release_some()
        {
            self.freed_objects += retired.objects;
            graveyard.retired.pop();
        }
        if graveyard.is_empty() {
            self.graveyard = None;
        }
        true
    }

    /// Begins with new memory, none of the old being in use any more. Should the kernel refuse another arena, entries are
    /// freed one by one instead.
    fn retire_memory(&mut self) {
        if let Ok(memory) = Memory::new(self.memory_ceiling_bytes) {
            let memory = std::mem::replace(&mut self.memory, memory);
            let LazyObjects { pending, freed } = memory.lazy_objects();
            self.freed_objects += freed;
            let Graveyard {
                tables,
                hollow_tables,
                retired,
            } = &mut **self.graveyard.get_or_insert_default();
            let entries: u64 = tables.iter().map(Keyspace::len).sum();
            retired.push(Retired {
                memory,
                objects: pending + entries,
            });
            hollow_tables.append(tables);
            for keyspace in &mut self.databases {
                self.list_bytes -= keyspace.list_bytes();
                self.kept_bytes -= keyspace.kept_bytes();
                keyspace.forget();
            }
            self.compactor = super::Compactor::default();
        }
    }
}
