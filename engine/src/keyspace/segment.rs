//! A segment: the part of a table whose keys' hashes share a prefix, as one small hash table of granule numbers.
//!
//! `hashbrown` compares the top 7 bits of a hash as tags and takes a bucket from the low bits; the directory uses the bits
//! below the tag ([`Position`]), so that neither is starved. All rehashing happens in [`Segment::rebuild`] and in splits,
//! which first ask for the cache lines of all items: their misses then overlap.

use hashbrown::HashTable;

use super::deadlines::{Deadlines, Pace};
use crate::memory::Memory;
use crate::raw::Block;
use crate::{KeyHasher, UnixMillis};

/// Bits of a hash that `hashbrown` uses as a tag.
const TAG_BITS: u32 = 7;

/// Where a hash stands in the order of the directory, and of scans: the hash without its tag bits, left-aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub(crate) u64);

impl Position {
    #[inline(always)]
    pub(crate) fn of(hash: u64) -> Self {
        Self(hash << TAG_BITS)
    }

    /// The first `bits` bits.
    #[inline(always)]
    pub(crate) fn prefix(self, bits: u32) -> usize {
        ((self.0 >> 1) >> (63 - bits)) as usize
    }

    /// Whether bit number `bit`, counted from the first, is set.
    #[inline]
    pub(crate) fn bit(self, bit: u32) -> bool {
        self.0 >> (63 - bit) & 1 == 1
    }
}

/// What a table needs to know its items' keys, hashes and deadlines, and the time.
#[derive(Clone, Copy)]
pub(crate) struct Items<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) hasher: &'a KeyHasher,
    pub(crate) now: UnixMillis,
}

impl Items<'_> {
    #[inline]
    pub(crate) fn hash(&self, item: Block) -> u64 {
        self.hasher.hash(self.memory.key(item))
    }
}

/// A part of a table.
pub(crate) struct Segment {
    table: HashTable<u32>,
    deadlines: Deadlines,
    /// Bits of the position that all entries share.
    bits: u32,
}

impl Segment {
    pub(crate) fn new(bits: u32, capacity: usize) -> Self {
        Self {
            table: HashTable::with_capacity(capacity),
            deadlines: Deadlines::new(),
            bits,
        }
    }

    pub(crate) fn bits(&self) -> u32 {
        self.bits
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    pub(crate) fn table_bytes(&self) -> usize {
        self.table.allocation_size() + self.deadlines.bytes()
    }

    pub(crate) fn buckets(&self) -> usize {
        self.table.num_buckets()
    }

    /// Entries that fit the buckets there are, were none spoilt by removals.
    pub(crate) fn full_capacity(&self) -> usize {
        match self.table.num_buckets() {
            buckets if self.table.capacity() == 0 || buckets < 4 => 0,
            buckets @ 4..8 => buckets - 1,
            buckets => buckets / 8 * 7,
        }
    }

    /// Whether one more entry fits without a rebuild.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.table.len() < self.table.capacity()
    }

    /// The item with this hash for which `is` holds.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(Block) -> bool) -> Option<Block> {
        self.table
            .find(hash, |&granule| is(Block(granule)))
            .map(|&granule| Block(granule))
    }

    /// The item in bucket number `index`.
    #[inline]
    pub(crate) fn bucket(&self, index: usize) -> Option<Block> {
        self.table.get_bucket(index).map(|&granule| Block(granule))
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = Block> + '_ {
        self.table.iter().map(|&granule| Block(granule))
    }

    /// Asks for the cache lines of all items.
    pub(crate) fn prefetch(&self, memory: &Memory) {
        for item in self.items() {
            memory.prefetch_head(item);
        }
    }

    /// Adds an item that is not there, and answers its bucket; there must be room. When it wakes is told apart, by
    /// [`Self::wake_at`].
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, item: Block) -> usize {
        assert!(self.has_room(), "the table makes room before it inserts");
        self.table
            .insert_unique(hash, item.0, |_| unreachable!("there is room"))
            .bucket_index()
    }

    /// Points the entry of `old` to `new`; whether `old` was there.
    #[inline]
    pub(crate) fn replace(&mut self, hash: u64, old: Block, new: Block) -> bool {
        match self.table.find_mut(hash, |&granule| granule == old.0) {
            Some(granule) => {
                *granule = new.0;
                true
            }
            None => false,
        }
    }

    /// Takes an item out; whether it was there. `wakes` says whether it wakes.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, item: Block, wakes: bool) -> bool {
        match self.table.find_entry(hash, |&granule| granule == item.0) {
            Ok(entry) => {
                if wakes {
                    self.deadlines.clear(entry.bucket_index());
                }
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }

    /// The bucket of an item.
    #[inline]
    pub(crate) fn bucket_of(&self, hash: u64, item: Block) -> Option<usize> {
        self.table
            .find_bucket_index(hash, |&granule| granule == item.0)
    }

    /// The entry in `bucket`, which did not wake, wakes at `at`.
    #[inline]
    pub(crate) fn wake_at(&mut self, bucket: usize, at: UnixMillis, pace: Pace) {
        let (buckets, entries) = (self.table.num_buckets(), self.table.len());
        self.deadlines.set(bucket, (buckets, entries), at, pace);
    }

    /// The entry in `bucket` wakes no more.
    #[inline]
    pub(crate) fn wake_no_more(&mut self, bucket: usize) {
        self.deadlines.clear(bucket);
    }

    /// Finds entries that are due at `now`, or have fields that may be, all of them or `most`. How many entries were read for that, and whether all were found;
    /// if so, and when those found are removed, the next look is to be planned ([`Self::plan`]).
    pub(crate) fn look(
        &mut self,
        memory: &Memory,
        now: UnixMillis,
        most: usize,
        due: &mut Vec<Block>,
    ) -> (u32, bool) {
        let mut examined = 0;
        if self.deadlines.sleeps() {
            self.prefetch(memory);
            examined += self.table.len() as u32;
            let table = &self.table;
            self.deadlines.wake(table.num_buckets(), now, |bucket| {
                memory.wakes_at(Block(*table.get_bucket(bucket)?))
            });
        }
        let begin = due.len();
        for bucket in self.deadlines.perhaps_due(now).take(most) {
            let item = Self::volatile_item(&self.table, bucket);
            memory.prefetch_head(item);
            due.push(item);
        }
        let read = due.len() - begin;
        let mut at = begin;
        while at < due.len() {
            if memory.is_awake(due[at], now) {
                at += 1;
            } else {
                due.swap_remove(at);
            }
        }
        let in_vain = read - (due.len() - begin);
        examined += read as u32;
        if self.deadlines.read_in_vain(in_vain as u32) {
            examined += self.deadlines.volatile();
            for bucket in self.deadlines.buckets() {
                memory.prefetch_head(Self::volatile_item(&self.table, bucket));
            }
            let table = &self.table;
            self.deadlines.rebase(now, |bucket| {
                let time = memory.wakes_at(Self::volatile_item(table, bucket));
                time.expect("a bucket with a tick has an entry that wakes")
            });
        }
        (examined, read < most)
    }

    /// About how many entries are due at `now`.
    pub(crate) fn due_about(&self, memory: &Memory, now: UnixMillis) -> u32 {
        if !self.deadlines.sleeps() {
            return self.deadlines.due_about(now);
        }
        if self.deadlines.look_at() > now {
            return 0;
        }
        // The hand is held up.
        let due = self.items().filter(|&item| memory.is_awake(item, now));
        due.count() as u32
    }

    fn volatile_item(table: &HashTable<u32>, bucket: usize) -> Block {
        let granule = table.get_bucket(bucket);
        Block(*granule.expect("a bucket with a tick has an entry"))
    }

    /// Plans when to look next, nothing that is due now being left.
    pub(crate) fn plan(&mut self, pace: Pace) {
        self.deadlines.plan(self.table.len(), pace);
    }

    /// Puts the next look off, though entries are due.
    pub(crate) fn put_off(&mut self, memory: &Memory, pace: Pace) {
        let table = &self.table;
        let buckets = table.num_buckets();
        self.deadlines.put_off(buckets, pace, |bucket| {
            memory.wakes_at(Block(*table.get_bucket(bucket)?))
        });
    }

    /// Moves all entries to a table with room for `capacity`. As with all that makes a segment of others, when to look at it
    /// is yet to be planned.
    pub(crate) fn rebuild(&mut self, capacity: usize, items: Items<'_>) {
        let mut rebuilt = Self::new(self.bits, capacity.max(self.len()));
        self.move_all(&mut rebuilt, items);
        *self = rebuilt;
    }

    /// Adds all entries to `target`, which has room for them.
    pub(crate) fn move_all(&self, target: &mut Self, items: Items<'_>) {
        self.prefetch(items.memory);
        for item in self.items() {
            target.take(items.hash(item), item, items);
        }
    }

    /// Adds an item of another segment.
    fn take(&mut self, hash: u64, item: Block, items: Items<'_>) {
        let bucket = self.insert(hash, item);
        if let Some(at) = items.memory.wakes_at(item) {
            let buckets = self.table.num_buckets();
            self.deadlines.place(bucket, buckets, at, items.now);
        }
    }

    /// Divides the entries by the first bit they do not all share.
    pub(crate) fn split(&self, items: Items<'_>) -> (Self, Self) {
        self.prefetch(items.memory);
        let hashes: Vec<(u64, Block)> = self.items().map(|item| (items.hash(item), item)).collect();
        let upper = |hash: u64| Position::of(hash).bit(self.bits);
        let upper_len = hashes.iter().filter(|&&(hash, _)| upper(hash)).count();
        let mut halves = [self.len() - upper_len, upper_len]
            .map(|len| Self::new(self.bits + 1, len + len / 8 + 1));
        for (hash, item) in hashes {
            halves[usize::from(upper(hash))].take(hash, item, items);
        }
        let [low, high] = halves;
        (low, high)
    }
}
