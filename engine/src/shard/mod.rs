//! The shard: sixteen logical databases, their deadlines and their journal, owned by one core.
//!
//! A shard is single-threaded and never waits. Its clock stands still within a turn ([`Shard::set_now`]). Every change is
//! told to the journal once, here and nowhere else. What takes long, freeing a flushed database or compacting memory, is
//! done in bounded steps by [`Shard::tend`]; nothing else is long, however large the shard: see [`crate::limits`].

mod as_of;
mod before;
#[cfg(test)]
mod before_tests;
mod check;
mod compaction;
mod curve;
#[cfg(test)]
mod curve_tests;
mod ended;
mod eviction;
#[cfg(test)]
mod eviction_tests;
#[cfg(test)]
mod expiry_tests;
mod fields;
pub(crate) mod hashes;
#[cfg(test)]
mod idle_tests;
mod keys_as_of;
pub(crate) mod lists;
mod loose;
mod members;
mod named;
mod open;
mod parts;
#[cfg(any(test, feature = "model"))]
mod played;
mod quotas;
#[cfg(test)]
mod quotas_tests;
mod rebuild;
mod reclaim;
pub(crate) mod sets;
pub(crate) mod sorted_sets;
pub(crate) mod streams;
#[cfg(test)]
mod tests;
mod undo;
mod usage;
mod uses;
mod walk;
mod write;

pub use as_of::{AsOf, Early, IsWanted, Met};
pub use before::{BeforeChange, Entries, Upcoming};
use compaction::Compactor;
use curve::Sampled;
use eviction::Eviction;
pub use eviction::{Evicted, EvictionOptions};
pub use hashes::{Fate, Field, HashMut, HashRef};
pub use keys_as_of::KeysAsOf;
pub use lists::{ListMut, ListRef};
use loose::LooseCollections;
pub use loose::LooseId;
pub use members::{MembersRef, PartOf};
pub use named::{FieldAhead, Stored};
use open::Open;
pub use parts::{PartFrom, members_of_part, scored_of_part, write_member, write_scored};
use quotas::Quotas;
use reclaim::Graveyard;
pub use sets::{SetMut, SetRef};
pub use sorted_sets::{Member, MemberAhead, Scored, SortedSetMut, SortedSetRef};
pub use streams::StreamMut;
pub use undo::Undo;
use undo::{Sums, UndoLog};
pub use usage::MemoryUsage;
use uses::Uses;
pub use walk::ScanCursor;

use crate::awaited::AwaitedKeys;
use crate::copied::CopiedKeys;
use crate::entry::EntryRef;
use crate::evict::{Ages, Use};
use crate::expiry::{BALANCE_COST, GIVEN_BACK_BYTES, Hand, REMOVAL_COST};
use crate::journal::Journal;
use crate::keyspace::{Ahead, ContentsId, KeyAhead, Keyspace};
use crate::limits::LOOK_MAX_COST;
use crate::memory::{Memory, Times, item_of};
use crate::quota::DyingRosters;
use crate::raw::Block;
use crate::spiral::entries::Entry;
use crate::subscribers::Subscribers;
use crate::watch::{Presence, Watches};
use crate::{AccessClock, DbIndex, Key, KeyHasher, StoreError, Thresholds, UnixMillis};

/// How a shard is made.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// Number of logical databases.
    pub databases: u16,
    /// Bytes of memory this shard may at most grow to; the arena's granule follows it (4 bytes up to 16 GiB).
    pub memory_ceiling_bytes: u64,
    /// The hasher all shards of the process share.
    pub hasher: KeyHasher,
}

/// Whether a lookup counts as a use of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Updates the access clock.
    Touch,
    /// Leaves it (`OBJECT`, `TTL`, `CLIENT NO-TOUCH`).
    Peek,
}

/// What becomes of an entry's deadline when its value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlChange {
    /// Remove it.
    Clear,
    /// Keep it.
    Keep,
    /// Set it.
    At(UnixMillis),
}

/// What one expiry cycle did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireStats {
    /// Entries read.
    pub examined: u32,
    /// Entries removed.
    pub expired: u32,
    /// Whether the budget ended it, and there is more to do at once.
    pub is_cut_short: bool,
}

/// The deadlines of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadlineStats {
    /// Entries that have one.
    pub volatile: u64,
    /// About how many of them have reached it and are not yet removed.
    pub due: u64,
    /// Milliseconds they all have left together, at least zero; one that is due takes away what it has been due for.
    pub ttl_sum_ms: u64,
    /// Hashes that have fields with deadlines.
    pub volatile_fields: u64,
}

/// One core's part of the keyspace.
pub struct Shard {
    databases: Vec<Keyspace>,
    /// The next contents that come to be have this number.
    next_contents: u64,
    /// Bytes of the lists of `databases`.
    list_bytes: u64,
    /// Bytes of the nodes that empty ones of `databases` keep.
    kept_bytes: u64,
    /// What is known of the keys that are looked up next.
    ahead: Ahead,
    memory: Memory,
    memory_ceiling_bytes: u64,
    hasher: KeyHasher,
    now: UnixMillis,
    /// The history of an entry made at `now`.
    clock: AccessClock,
    /// What uses of entries go by.
    uses: Uses,
    eviction: Option<Box<Eviction>>,
    sampled: Option<Box<Sampled>>,
    /// The policy or the curve may have something to do by itself.
    has_upkeep: bool,
    evicted_total: u64,
    evicted_bytes_total: u64,
    ages: Ages,
    /// Entries that came while there was a policy, and their bytes.
    came_total: (u64, u64),
    quotas: Option<Box<Quotas>>,
    dying_rosters: DyingRosters,
    journal: Journal,
    hand: Hand,
    expired_total: u64,
    expired_bytes_total: u64,
    expired_fields_total: u64,
    /// Whether nothing that only reads may remove an entry.
    expiry_is_held: bool,
    graveyard: Option<Box<Graveyard>>,
    /// Objects freed with flushed databases, and collections freed in memory that is gone.
    freed_objects: u64,
    compactor: Compactor,
    /// All memory that can be given back is to be.
    is_purging: bool,
    thresholds: Thresholds,
    /// Whether anybody is told before a change: the undo log is open, or there are subscribers.
    is_told_before: bool,
    before_changes: Subscribers<BeforeChange>,
    undo: UndoLog,
    undo_sums: Sums,
    /// How many logs lie aside, and their bytes.
    undos_aside: u32,
    undos_aside_bytes: u64,
    loose: LooseCollections,
}

impl Shard {
    /// An empty shard.
    ///
    /// # Errors
    /// The address space of the arena could not be reserved.
    ///
    /// # Panics
    /// There is to be no database.
    pub fn new(options: &ShardOptions) -> Result<Self, StoreError> {
        assert!(options.databases > 0, "a shard has at least one database");
        let ids = (0..options.databases.into()).map(ContentsId);
        let databases: Vec<Keyspace> = ids.map(Keyspace::new).collect();
        Ok(Self {
            next_contents: options.databases.into(),
            list_bytes: 0,
            kept_bytes: 0,
            databases,
            ahead: Ahead::new(),
            memory: Memory::new(options.memory_ceiling_bytes)?,
            memory_ceiling_bytes: options.memory_ceiling_bytes,
            hasher: options.hasher.clone(),
            now: UnixMillis(0),
            clock: AccessClock(0),
            uses: Uses::new(),
            eviction: None,
            sampled: None,
            has_upkeep: false,
            came_total: (0, 0),
            evicted_total: 0,
            evicted_bytes_total: 0,
            ages: Ages::default(),
            quotas: None,
            dying_rosters: DyingRosters::default(),
            journal: Journal::default(),
            hand: Hand::new(),
            expired_total: 0,
            expired_bytes_total: 0,
            expired_fields_total: 0,
            expiry_is_held: false,
            graveyard: None,
            freed_objects: 0,
            compactor: Compactor::default(),
            is_purging: false,
            thresholds: Thresholds::default(),
            is_told_before: false,
            before_changes: Subscribers::default(),
            undo: UndoLog::default(),
            undo_sums: Sums::default(),
            undos_aside: 0,
            undos_aside_bytes: 0,
            loose: LooseCollections::default(),
        })
    }

    /// The hasher of this shard's keys.
    #[inline]
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// The time all deadlines are held against.
    #[inline]
    pub fn now(&self) -> UnixMillis {
        self.now
    }

    /// Sets the clock.
    pub fn set_now(&mut self, now: UnixMillis) {
        if now != self.now {
            self.now = now;
            self.set_clock();
        }
    }

    /// Up to which sizes collections answer the encodings of small ones from now on, as they change.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// The journal.
    pub fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Number of changes since the shard began.
    pub fn changes(&self) -> u64 {
        self.journal.changes()
    }

    /// Number of databases.
    pub fn databases(&self) -> u16 {
        self.databases.len() as u16
    }

    /// Entries of `db`, dead ones not yet removed included.
    pub fn len(&self, db: DbIndex) -> u64 {
        self.keyspace(db).len()
    }

    /// Whether `db` is empty.
    pub fn is_empty(&self, db: DbIndex) -> bool {
        self.len(db) == 0
    }

    /// Entries of `db` that have a deadline.
    pub fn volatile_len(&self, db: DbIndex) -> u64 {
        self.keyspace(db).volatile_len()
    }

    /// Bytes of the nodes and lists of `db`, the short strings in them included.
    pub fn table_bytes(&self, db: DbIndex) -> u64 {
        self.keyspace(db).table_bytes()
    }

    /// Brings near what a batch of commands will touch for keys of `db`. A hint: no effect but speed.
    #[inline]
    pub fn prefetch(&mut self, db: DbIndex, keys: &[KeyAhead]) {
        let keyspace = &self.databases[usize::from(db.0)];
        let any_writes = keyspace.prefetch((db, keys), &self.memory, &mut self.ahead);
        if let Some(eviction) = self.eviction.as_ref().filter(|_| any_writes) {
            eviction.await_writes(keys);
        }
    }

    /// Looks `key` up for a command that reads, whose finding nothing is worth a note (`keymiss`). Otherwise as
    /// [`Self::get`].
    #[inline]
    pub fn read(&mut self, db: DbIndex, key: Key<'_>, access: Access) -> Option<EntryRef<'_>> {
        let entry = self.find_to_read(db, key);
        if entry.is_none() {
            self.note_miss(db, key, access);
        }
        Some(self.look_at(db, (key.hash(), entry?), access))
    }

    /// Looks `key` up. An entry past its deadline is removed first (journalled as `expired`) and not found; while expiry is
    /// held it is not found and stays.
    #[inline]
    pub fn get(&mut self, db: DbIndex, key: Key<'_>, access: Access) -> Option<EntryRef<'_>> {
        let entry = self.find_to_read(db, key)?;
        Some(self.look_at(db, (key.hash(), entry), access))
    }

    #[inline(always)]
    fn look_at(&mut self, db: DbIndex, found: (u64, Entry), access: Access) -> EntryRef<'_> {
        let (_, entry) = found;
        if access == Access::Touch {
            let before = self.touch(db, found, Use::Read);
            return self.memory.view(entry).with_access(before);
        }
        self.memory.view(entry)
    }

    /// `watcher` watches one more key.
    pub fn watch(&mut self, watcher: u64, db: DbIndex, key: Key<'_>) {
        let presence = match self.find_to_read(db, key) {
            Some(_) => Presence::Present,
            None => Presence::Absent,
        };
        self.journal.watches.add(watcher, db, key.bytes(), presence);
    }

    /// Whether the keys that `watcher` watches are as they were. One that has reached its deadline is not.
    pub fn watch_holds(&mut self, watcher: u64) -> bool {
        let keys: Vec<(DbIndex, Box<[u8]>)> =
            self.journal.watches.keys_of(watcher).cloned().collect();
        for (db, key) in keys {
            let key = self.hasher.key(&key);
            let is_missing = self.find_to_read(db, key).is_none();
            let watches = &mut self.journal.watches;
            // One that expiry leaves in place while it is held makes no record.
            if is_missing && watches.presence(watcher, db, key.bytes()) == Some(Presence::Present) {
                watches.spoil(watcher);
            }
        }
        !self.journal.watches.is_broken(watcher)
    }

    /// Who watches which keys.
    pub fn watches(&mut self) -> &mut Watches {
        &mut self.journal.watches
    }

    /// Which keys are waited for.
    #[inline]
    pub fn awaited(&mut self) -> &mut AwaitedKeys {
        &mut self.journal.awaited
    }

    /// Which keys others may hold copies of.
    #[inline]
    pub fn copied(&mut self) -> &mut CopiedKeys {
        &mut self.journal.copied
    }

    /// One step of the expiry hand: removes entries past their deadline until none is worth it or the step has cost
    /// `budget` and what the deadlines set since the last step have paid, in entries read. A removal costs 8 of them; the
    /// step may exceed its budget by one look at a node.
    pub fn expire_cycle(&mut self, budget: u32) -> ExpireStats {
        if self.undos_aside > 0 {
            // What is due may be what is to be put back.
            self.hand.begin_step(self.databases.len());
            return ExpireStats::default();
        }
        self.expire_cycle_except(budget, |_| false)
    }

    /// As [`Self::expire_cycle`], but the entries stay of whose keys' hashes `stays` says so: among them must be all that
    /// undo logs are about that lie aside.
    pub fn expire_cycle_except(&mut self, budget: u32, stays: impl Fn(u64) -> bool) -> ExpireStats {
        let paid = self.hand.begin_step(self.databases.len());
        match self.expiry_due_at() <= self.now {
            true => self.expire_due(budget.saturating_add(paid), stays),
            false => ExpireStats::default(),
        }
    }

    fn expire_due(&mut self, budget: u32, stays: impl Fn(u64) -> bool) -> ExpireStats {
        let mut stats = ExpireStats::default();
        let mut spent = 0;
        while spent < budget {
            let Self {
                hand,
                databases,
                memory,
                now,
                ..
            } = self;
            let Some((database, mut look)) = hand.find(databases, (memory, *now), &mut spent)
            else {
                return stats;
            };
            let db = DbIndex(database as u16);
            let (mut removed, mut is_through) = (false, true);
            while let Some(entry) = self
                .keyspace(db)
                .next_due(&self.memory, &mut look, self.now)
            {
                if spent > budget.saturating_add(LOOK_MAX_COST) {
                    is_through = false;
                    break;
                }
                (spent, stats.examined) = (spent + 1, stats.examined + 1);
                let held = self.memory.held_bytes();
                let hash = self.hasher.hash(self.memory.key_of(entry));
                if stays(hash) {
                    look.pass();
                    continue;
                }
                match entry {
                    Entry::Item(item) if !self.memory.is_due(item, self.now) => {
                        let (cost, is_left) = self.expire_fields(db, hash, item);
                        spent += cost;
                        if is_left {
                            look.pass();
                            is_through = false;
                        }
                    }
                    _ => {
                        self.expire_unbalanced(db, hash, entry);
                        removed = true;
                    }
                }
                stats.expired += 1;
                spent += REMOVAL_COST + self.cost_of_giving_back(held);
            }
            let (now, held) = (self.now, self.memory.held_bytes());
            self.change_keyspace(db, |keyspace, (memory, hasher)| {
                keyspace.end_look(memory, look, now, is_through);
                if removed {
                    keyspace.balance((memory, hasher));
                }
            });
            spent += BALANCE_COST + self.cost_of_giving_back(held);
        }
        stats.is_cut_short = self.expiry_due_at() <= self.now;
        stats
    }

    /// What it cost to give back what has gone of so many bytes that were held, in entries read.
    #[inline]
    fn cost_of_giving_back(&self, held: u64) -> u32 {
        let given_back = held.saturating_sub(self.memory.held_bytes());
        (given_back / GIVEN_BACK_BYTES) as u32
    }

    /// Whether the deadlines set since the last step of the hand have paid for another, so that it should not wait for the
    /// turn's end, when it would be a long one.
    #[inline]
    pub fn expiry_is_paid(&self) -> bool {
        self.hand.is_paid()
    }

    /// Instead of a step of the hand: what deadlines have paid for it is lost.
    #[inline]
    pub fn forgo_expiry(&mut self) {
        self.hand.forgo();
    }

    /// Holds expiry, or lets it go on: meanwhile reading removes nothing, and the caller takes no steps of the hand. What
    /// writes a key removes a dead entry there all the same.
    pub fn hold_expiry(&mut self, is_held: bool) {
        self.expiry_is_held = is_held;
    }

    /// When a step of the expiry hand is next worth it; later than any time if there is no deadline.
    #[inline]
    pub fn expiry_due_at(&self) -> UnixMillis {
        self.hand.due_at()
    }

    /// Of the deadlines of `db`: how many, how many have come, and how far they are. In constant time.
    pub fn deadlines(&self, db: DbIndex) -> DeadlineStats {
        let keyspace = self.keyspace(db);
        DeadlineStats {
            volatile: keyspace.volatile_len(),
            due: keyspace.due_about(&self.memory, self.now),
            ttl_sum_ms: u64::try_from(keyspace.ttl_sum_ms(self.now).max(0)).unwrap_or(u64::MAX),
            volatile_fields: keyspace.volatile_fields_len(),
        }
    }

    #[inline(always)]
    fn keyspace(&self, db: DbIndex) -> &Keyspace {
        &self.databases[usize::from(db.0)]
    }

    /// Bytes of entries without the nodes of the keyspaces.
    #[cfg(any(test, feature = "model"))]
    fn bytes_beside_nodes(&self) -> u64 {
        let nodes: u64 = self.databases.iter().map(Keyspace::node_bytes).sum();
        self.memory().entry_bytes + self.kept_bytes - nodes
    }

    /// The item at a key, if there is one.
    #[cfg(any(test, feature = "model"))]
    fn item_at(&self, db: DbIndex, key: Key<'_>) -> Option<Block> {
        item_of(self.keyspace(db).find(key, &self.memory)?)
    }

    /// Has `change` change a keyspace: its sums stay right, and the hand knows when to look.
    #[inline(always)]
    fn change_keyspace<T>(
        &mut self,
        db: DbIndex,
        change: impl FnOnce(&mut Keyspace, (&mut Memory, &KeyHasher)) -> T,
    ) -> T {
        self.ahead.forget();
        let keyspace = &mut self.databases[usize::from(db.0)];
        let (lists, kept) = (keyspace.list_bytes(), keyspace.kept_bytes());
        let result = change(keyspace, (&mut self.memory, &self.hasher));
        self.list_bytes = self.list_bytes - lists + keyspace.list_bytes();
        self.kept_bytes = self.kept_bytes - kept + keyspace.kept_bytes();
        result
    }

    /// Entries of a database have come to have deadlines, or others.
    #[inline]
    fn deadlines_set(&mut self, db: DbIndex) {
        let look_at = self.keyspace(db).look_at();
        self.hand.deadline_set(look_at);
    }

    /// The entry of `key`, though it may have ended.
    #[inline(always)]
    fn look_up(&mut self, db: DbIndex, key: Key<'_>) -> Option<Entry> {
        match self.ahead.take(db, key, &self.memory) {
            Some(found) => found,
            None => self.keyspace(db).find(key, &self.memory),
        }
    }

    /// The live entry of `key` for what changes nothing: one past its deadline is removed unless expiry is held.
    #[inline(always)]
    fn find_to_read(&mut self, db: DbIndex, key: Key<'_>) -> Option<Entry> {
        let entry = self.look_up(db, key)?;
        if self.memory.has_ended(entry, self.now) {
            if !self.expiry_is_held && self.undos_aside == 0 {
                self.expire(db, key.hash(), entry);
            }
            return None;
        }
        Some(entry)
    }

    /// The live entry of `key`; one past its deadline is removed.
    #[inline(always)]
    fn find(&mut self, db: DbIndex, key: Key<'_>) -> Option<Entry> {
        let entry = self.look_up(db, key)?;
        if self.memory.has_ended(entry, self.now) {
            self.expire(db, key.hash(), entry);
            return None;
        }
        Some(entry)
    }

    /// Takes an entry out of its keyspace and frees it, for another reason than that memory is short.
    #[inline]
    fn delete(&mut self, db: DbIndex, hash: u64, entry: Entry) {
        if self.samples(hash) {
            self.tell_removal(hash);
        }
        self.take_away(db, hash, entry, Keyspace::remove);
    }

    /// As [`Self::delete`]; the keyspace is yet to be balanced.
    fn delete_unbalanced(&mut self, db: DbIndex, hash: u64, entry: Entry) {
        if self.samples(hash) {
            self.tell_removal(hash);
        }
        self.take_away(db, hash, entry, |keyspace, (memory, _), hash, entry| {
            keyspace.remove_unbalanced(memory, hash, entry);
        });
    }

    #[inline(always)]
    fn take_away(
        &mut self,
        db: DbIndex,
        hash: u64,
        entry: Entry,
        remove: impl FnOnce(&mut Keyspace, (&mut Memory, &KeyHasher), u64, Entry),
    ) {
        let is_kept = self.is_told_before && self.before_whole(db, hash, entry);
        self.change_keyspace(db, |keyspace, within| remove(keyspace, within, hash, entry));
        let Some(item) = item_of(entry) else {
            return;
        };
        if is_kept {
            self.keep(db, hash, item);
        } else {
            self.memory.destroy(item);
        }
    }

    /// Takes an item out of its keyspace.
    fn detach(&mut self, db: DbIndex, hash: u64, item: Block) {
        self.change_keyspace(db, |keyspace, within| {
            keyspace.remove(within, hash, Entry::Item(item));
        });
    }

    /// Puts an item into a keyspace that does not have its key.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    fn attach(&mut self, db: DbIndex, hash: u64, item: Block) -> Result<(), StoreError> {
        let times = self.memory.times(item);
        self.change_keyspace(db, |keyspace, within| {
            keyspace.insert_item(within, hash, item, &times)
        })?;
        if times.is_some() {
            self.deadlines_set(db);
        }
        Ok(())
    }

    /// As [`Self::attach`], of an item that was in a keyspace before, or that has just got the memory it needed: takes what is set
    /// aside for that if memory is out.
    fn attach_anyway(&mut self, db: DbIndex, hash: u64, item: Block) {
        let insisted = self.memory.insist(true);
        let attached = self.attach(db, hash, item);
        self.memory.insist(insisted);
        attached.expect("there is memory set aside for what must not fail");
    }

    /// Puts a new item into a keyspace that does not have its key, or frees it.
    ///
    /// # Errors
    /// Memory is out.
    fn attach_new(&mut self, db: DbIndex, hash: u64, item: Block) -> Result<(), StoreError> {
        let attached = self.attach(db, hash, item);
        if attached.is_err() {
            self.memory.destroy(item);
        }
        attached
    }

    /// Makes sure that an item may come to wake, so that [`Self::times_changed`] cannot fail.
    ///
    /// # Errors
    /// Memory is out.
    fn make_place(&mut self, db: DbIndex, hash: u64, item: Block) -> Result<(), StoreError> {
        self.change_keyspace(db, |keyspace, (memory, _)| {
            keyspace.make_place(memory, hash, item)
        })
    }

    /// The times of an item have changed from `was` to `is`. If it did not wake before, there is a [place](Self::make_place).
    fn times_changed(
        &mut self,
        db: DbIndex,
        hash: u64,
        item: Block,
        (was, is): (Option<Times>, Option<Times>),
    ) {
        if was == is {
            return;
        }
        let insisted = self.memory.insist(true);
        let changed = self.change_keyspace(db, |keyspace, (memory, _)| {
            keyspace.times_changed(memory, (hash, item), (&was, &is))
        });
        self.memory.insist(insisted);
        changed.expect("there is a place, or memory set aside");
        if is.is_some() {
            self.deadlines_set(db);
        }
    }
}
