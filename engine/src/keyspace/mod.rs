//! The entries of one database: a spiral ([`crate::spiral`]) whose elements they are.
//!
//! ```text
//!  hash ─▶ node ─┬─▶ short string: key, head and bytes, in the node
//!                └─▶ item: a block of its own, for what is longer, and for collections
//! ```
//! An insertion divides one node at most, and a removal joins two: nothing ever rehashes the whole. What an entry of 16 + 64 bytes takes,
//! and what operations cost beside a table of items, is in decision 0023.
//!
//! An empty keyspace takes no memory until something comes, and then keeps a node when all has gone, so that a key that comes and goes
//! costs the same each time.

mod expiry;
#[cfg(any(test, feature = "model"))]
pub(crate) mod model;
mod near;
mod scan;
#[cfg(test)]
mod tests;

pub(crate) use expiry::Look;
pub(crate) use near::Ahead;
pub use near::KeyAhead;
pub(crate) use scan::Cursor;

use crate::agenda::NEVER;
use crate::limits::STAYS_MS;
use crate::memory::{Memory, Times};
use crate::nodes::{NodeKind, Owner};
use crate::raw::Block;
use crate::spiral::entries::{Entry, NewShort, Short};
use crate::spiral::{NodeSizes, Spiral};
use crate::{Key, KeyHasher, StoreError, UnixMillis};

/// In the number of an owner of nodes: it is a keyspace.
const KEYSPACE_MARK: u32 = 1 << 31;

/// The contents of a database, as long as it is not emptied: they keep this when databases are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentsId(pub(crate) u64);

impl ContentsId {
    /// As whom nodes of these contents name their owner.
    pub(crate) fn owner(self) -> Owner {
        Owner(KEYSPACE_MARK | self.0 as u32)
    }
}

/// Whether the owner of a node is a keyspace, and no collection.
pub(crate) fn is_keyspace(owner: Owner) -> bool {
    owner.0 & KEYSPACE_MARK != 0
}

/// The entries of a database.
pub(crate) struct Keyspace {
    spiral: Option<Spiral>,
    volatile: u64,
    /// Entries that have fields with deadlines.
    volatile_fields: u64,
    /// Sum of all deadlines, in milliseconds since the Unix epoch.
    deadline_sum: i128,
    id: ContentsId,
}

impl Keyspace {
    pub(crate) fn new(id: ContentsId) -> Self {
        Self {
            spiral: None,
            volatile: 0,
            volatile_fields: 0,
            deadline_sum: 0,
            id,
        }
    }

    /// Which contents these are.
    pub(crate) fn id(&self) -> ContentsId {
        self.id
    }

    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.spiral.as_ref().map_or(0, Spiral::len)
    }

    pub(crate) fn volatile_len(&self) -> u64 {
        self.volatile
    }

    /// Entries that have fields with deadlines.
    pub(crate) fn volatile_fields_len(&self) -> u64 {
        self.volatile_fields
    }

    /// Bytes of its lists, which are not in the arena.
    #[inline]
    pub(crate) fn list_bytes(&self) -> u64 {
        self.spiral.as_ref().map_or(0, Spiral::list_bytes)
    }

    /// Bytes of its nodes and lists, short strings in them included.
    pub(crate) fn table_bytes(&self) -> u64 {
        self.list_bytes() + self.node_bytes()
    }

    /// Bytes of the nodes that it keeps though it is empty.
    #[inline]
    pub(crate) fn kept_bytes(&self) -> u64 {
        match &self.spiral {
            Some(spiral) if spiral.len() == 0 => spiral.block_bytes(),
            _ => 0,
        }
    }

    /// Bytes of its nodes.
    pub(crate) fn node_bytes(&self) -> u64 {
        self.spiral.as_ref().map_or(0, Spiral::block_bytes)
    }

    /// Finds the entry of `key`.
    #[inline(always)]
    pub(crate) fn find(&self, key: Key<'_>, memory: &Memory) -> Option<Entry> {
        let spiral = self.spiral.as_ref()?;
        spiral.entry(memory.heap(), key.hash(), key.bytes())
    }

    /// An item that a hash probably stands for.
    #[inline(always)]
    pub(crate) fn probable_item(&self, hash: u64, memory: &Memory) -> Option<Block> {
        self.spiral.as_ref()?.probable_item(memory.heap(), hash)
    }

    /// The spiral; the first entry makes it.
    #[inline(always)]
    fn spiral_to_add(&mut self, memory: &mut Memory) -> Result<&mut Spiral, StoreError> {
        if self.spiral.is_none() {
            self.begin(memory)?;
        }
        Ok(self.spiral.as_mut().expect("it has just been made"))
    }

    #[cold]
    fn begin(&mut self, memory: &mut Memory) -> Result<(), StoreError> {
        let (heap, owner) = (memory.heap_mut(), self.id.owner());
        self.spiral = Some(Spiral::new(heap, owner, &NodeSizes::ENTRIES)?);
        Ok(())
    }

    #[inline(always)]
    fn spiral_mut(&mut self) -> &mut Spiral {
        let spiral = self.spiral.as_mut();
        spiral.expect("where an entry was found there is a spiral")
    }

    /// Adds a short string whose key is not there.
    ///
    /// # Errors
    /// Memory is out; then nothing changed. Likewise below.
    #[inline(always)]
    pub(crate) fn insert_short(
        &mut self,
        (memory, hasher): (&mut Memory, &KeyHasher),
        key: Key<'_>,
        short: &NewShort<'_>,
    ) -> Result<(), StoreError> {
        let spiral = self.spiral_to_add(memory)?;
        spiral.add_short(memory.heap_mut(), key.hash(), key.bytes(), short)?;
        self.balance((memory, hasher));
        memory.short_added(key.bytes().len() + short.string.len());
        if let Some(times) = Times::ending(short.deadline) {
            self.count_times(&times);
        }
        Ok(())
    }

    /// Adds an item whose key is not there.
    pub(crate) fn insert_item(
        &mut self,
        (memory, hasher): (&mut Memory, &KeyHasher),
        hash: u64,
        item: Block,
        times: &Option<Times>,
    ) -> Result<(), StoreError> {
        let wakes_at = wakes_at(times);
        let spiral = self.spiral_to_add(memory)?;
        spiral.add_item(memory.heap_mut(), hash, item, wakes_at)?;
        self.balance((memory, hasher));
        if let Some(times) = times {
            self.count_times(times);
        }
        Ok(())
    }

    /// Writes over a short string.
    #[inline(always)]
    pub(crate) fn replace_short(
        &mut self,
        (memory, hasher): (&mut Memory, &KeyHasher),
        key: Key<'_>,
        old: &Short,
        short: &NewShort<'_>,
    ) -> Result<(), StoreError> {
        let spiral = self.spiral_mut();
        spiral.replace_short(memory.heap_mut(), key.hash(), old, short)?;
        if old.string_len() != short.string.len() || old.deadline() != short.deadline {
            self.balance((memory, hasher));
            memory.short_removed(old.string_len());
            memory.short_added(short.string.len());
            let (was, is) = (Times::ending(old.deadline()), Times::ending(short.deadline));
            self.recount_times(&was, &is);
        }
        Ok(())
    }

    /// Puts an item in the place of a short string of its key.
    pub(crate) fn put_item(
        &mut self,
        (memory, hasher): (&mut Memory, &KeyHasher),
        hash: u64,
        old: &Short,
        (item, times): (Block, &Option<Times>),
    ) -> Result<(), StoreError> {
        let wakes_at = wakes_at(times);
        let spiral = self.spiral_mut();
        spiral.put_item(memory.heap_mut(), hash, old, (item, wakes_at))?;
        self.balance((memory, hasher));
        memory.short_removed(old.key_len() + old.string_len());
        self.recount_times(&Times::ending(old.deadline()), times);
        Ok(())
    }

    /// Puts a short string in the place of an item with these times, which is no entry then.
    pub(crate) fn put_short(
        &mut self,
        (memory, hasher): (&mut Memory, &KeyHasher),
        key: Key<'_>,
        (item, times): (Block, &Option<Times>),
        short: &NewShort<'_>,
    ) -> Result<(), StoreError> {
        let spiral = self.spiral_mut();
        let hash_and_key = (key.hash(), key.bytes());
        spiral.put_short(memory.heap_mut(), hash_and_key, item, short)?;
        self.balance((memory, hasher));
        memory.short_added(key.bytes().len() + short.string.len());
        self.recount_times(times, &Times::ending(short.deadline));
        Ok(())
    }

    /// Takes an entry out: a short string is gone, an item stays as it is.
    #[inline]
    pub(crate) fn remove(
        &mut self,
        (memory, hasher): (&mut Memory, &KeyHasher),
        hash: u64,
        entry: Entry,
    ) {
        self.remove_unbalanced(memory, hash, entry);
        self.balance((memory, hasher));
    }

    /// As [`Self::remove`]; other entries do not move beyond their node, and [`Self::balance`] is owed.
    #[inline(always)]
    pub(crate) fn remove_unbalanced(&mut self, memory: &mut Memory, hash: u64, entry: Entry) {
        let times = memory.times_of(entry);
        let spiral = self.spiral_mut();
        match entry {
            Entry::Short(short) => {
                spiral.remove_short(memory.heap_mut(), &short);
                memory.short_removed(short.key_len() + short.string_len());
            }
            Entry::Item(item) => spiral.remove_item(memory.heap_mut(), hash, item),
        }
        if let Some(times) = times {
            self.uncount_times(&times);
        }
    }

    /// Makes one node more, or less, if what is in use wants that.
    #[inline(always)]
    pub(crate) fn balance(&mut self, (memory, hasher): (&mut Memory, &KeyHasher)) {
        let spiral = self.spiral_mut();
        spiral.balance(memory.heap_mut(), &|name: &[u8]| hasher.hash(name));
    }

    /// Gives a short string another deadline that its place can tell exactly, or none.
    pub(crate) fn set_deadline_of_short(
        &mut self,
        (memory, hasher): (&mut Memory, &KeyHasher),
        hash: u64,
        short: &Short,
        deadline: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        let spiral = self.spiral_mut();
        spiral.set_deadline_of_short(memory.heap_mut(), hash, short, deadline)?;
        self.balance((memory, hasher));
        let (was, is) = (Times::ending(short.deadline()), Times::ending(deadline));
        self.recount_times(&was, &is);
        Ok(())
    }

    /// Points the element of the item `old` to `new`; whether it was there.
    #[inline]
    pub(crate) fn replace_item(
        &mut self,
        memory: &mut Memory,
        hash: u64,
        (old, new): (Block, Block),
    ) -> bool {
        let spiral = self.spiral.as_mut();
        spiral.is_some_and(|spiral| spiral.repoint(memory.heap_mut(), hash, old, new))
    }

    /// The content of `from`, a node of this keyspace, is in `to` now.
    pub(crate) fn node_moved(
        &mut self,
        memory: &mut Memory,
        kind: NodeKind,
        (from, to): (Block, Block),
    ) {
        let heap = memory.heap_mut();
        self.spiral_mut().block_moved(heap, kind, from, to);
    }

    /// Frees a node of a keyspace that is in use no more, with its entries; how many those were, `None` if no node was left.
    pub(crate) fn dismantle(&mut self, memory: &mut Memory) -> Option<u32> {
        let spiral = self.spiral.as_mut()?;
        let (mut items, mut short_bytes) = (Vec::new(), 0);
        let freed = spiral.dismantle_node(memory.heap_mut(), |entry| match entry {
            Entry::Item(item) => items.push(item),
            Entry::Short(short) => short_bytes += short.key_len() + short.string_len(),
        });
        memory.short_removed(short_bytes);
        for item in items {
            memory.destroy(item);
        }
        if freed.is_none() {
            self.spiral = None;
        }
        freed
    }

    /// Lets go of all, in memory that nobody reads any more.
    pub(crate) fn forget(&mut self) {
        self.spiral = None;
    }

    /// Shows each entry once.
    pub(crate) fn for_each(&self, memory: &Memory, show: impl FnMut(Entry)) {
        if let Some(spiral) = &self.spiral {
            spiral.each_entry(memory.heap(), show);
        }
    }

    /// Verifies the place of every entry, and the sums.
    pub(crate) fn check(&self, memory: &Memory, hasher: &KeyHasher, now: UnixMillis) {
        let (mut volatile, mut volatile_fields, mut deadline_sum) = (0u64, 0u64, 0i128);
        self.for_each(memory, |entry| {
            if let Some(times) = memory.times_of(entry) {
                volatile += u64::from(times.ends_at.is_some());
                volatile_fields += u64::from(times.fields_end);
                deadline_sum += times.ends_at.map_or(0, |at| at.0.into());
            }
        });
        assert_eq!(
            (volatile, volatile_fields, deadline_sum),
            (self.volatile, self.volatile_fields, self.deadline_sum)
        );
        if let Some(spiral) = &self.spiral {
            assert_eq!(spiral.owner(), self.id.owner());
            let hash_of = |name: &[u8]| hasher.hash(name);
            let wakes_at = |item| wakes_at(&memory.times(item));
            spiral.check_entries(memory.heap(), &hash_of, wakes_at, |deadline| {
                // What is due may stay for a while.
                let stays = UnixMillis(now.0.saturating_add(STAYS_MS));
                if deadline <= now { stays } else { deadline }
            });
        }
    }
}

/// When an entry with these times wakes.
#[inline(always)]
fn wakes_at(times: &Option<Times>) -> Option<UnixMillis> {
    times.as_ref().map(|times| times.wakes_at)
}

/// No entry wakes before this.
fn soonest(spiral: &Option<Spiral>) -> UnixMillis {
    spiral.as_ref().map_or(NEVER, Spiral::wakes_at)
}
