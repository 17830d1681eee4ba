//! A segment: the part of a table whose keys' hashes share a prefix, as one small hash table of granule numbers.
//!
//! `hashbrown` compares the top 7 bits of a hash as tags and takes a bucket from the low bits; the directory uses the bits
//! below the tag ([`Position`]), so that neither is starved. All rehashing happens in [`Segment::rebuild`] and in splits,
//! which first ask for the cache lines of all items: their misses then overlap.

use hashbrown::HashTable;

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

/// What a table needs to know its items' keys, hashes and deadlines.
#[derive(Clone, Copy)]
pub(crate) struct Items<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) hasher: &'a KeyHasher,
}

impl Items<'_> {
    #[inline]
    pub(crate) fn hash(&self, item: Block) -> u64 {
        self.hasher.hash(self.memory.key(item))
    }
}

/// No deadline: later than any.
pub(crate) const NEVER: UnixMillis = UnixMillis(i64::MAX);

/// A part of a table.
pub(crate) struct Segment {
    table: HashTable<u32>,
    /// No entry's deadline is before this.
    soonest: UnixMillis,
    /// What `soonest` will be when the examination is through: the earliest deadline it met or that was set since.
    renewed: UnixMillis,
    /// Bucket at which the expiry hand goes on; zero if it has not begun.
    examined_to: u32,
    /// Entries with a deadline.
    volatile: u32,
    /// Bits of the position that all entries share.
    bits: u32,
}

impl Segment {
    pub(crate) fn new(bits: u32, capacity: usize) -> Self {
        Self {
            table: HashTable::with_capacity(capacity),
            soonest: NEVER,
            renewed: NEVER,
            examined_to: 0,
            volatile: 0,
            bits,
        }
    }

    pub(crate) fn bits(&self) -> u32 {
        self.bits
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn volatile(&self) -> u32 {
        self.volatile
    }

    pub(crate) fn soonest(&self) -> UnixMillis {
        self.soonest
    }

    pub(crate) fn table_bytes(&self) -> usize {
        self.table.allocation_size()
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

    /// Adds an item that is not there; there must be room.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u64, item: Block, deadline: Option<UnixMillis>) {
        assert!(self.has_room(), "the table makes room before it inserts");
        self.table
            .insert_unique(hash, item.0, |_| unreachable!("there is room"));
        if let Some(at) = deadline {
            self.volatile += 1;
            self.lower_bound(at);
        }
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

    /// Takes an item out; whether it was there.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u64, item: Block, volatile: bool) -> bool {
        match self.table.find_entry(hash, |&granule| granule == item.0) {
            Ok(entry) => {
                entry.remove();
                self.volatile -= u32::from(volatile);
                true
            }
            Err(_) => false,
        }
    }

    /// Keeps count of a deadline that changed.
    #[inline]
    pub(crate) fn deadline_changed(&mut self, was: Option<UnixMillis>, is: Option<UnixMillis>) {
        self.volatile += u32::from(is.is_some());
        self.volatile -= u32::from(was.is_some());
        if let Some(at) = is {
            self.lower_bound(at);
        }
    }

    fn lower_bound(&mut self, deadline: UnixMillis) {
        self.soonest = self.soonest.min(deadline);
        self.renewed = self.renewed.min(deadline);
    }

    /// Whether an entry may be due at `now`.
    pub(crate) fn may_be_due(&self, now: UnixMillis) -> bool {
        self.volatile > 0 && self.soonest <= now
    }

    /// Examines up to `budget` more entries and hands those due at `now` to `due`. How many that were, and whether the
    /// segment is through.
    pub(crate) fn examine(
        &mut self,
        memory: &Memory,
        now: UnixMillis,
        budget: u32,
        due: &mut dyn FnMut(Block),
    ) -> (u32, bool) {
        if self.examined_to == 0 {
            self.renewed = NEVER;
            self.prefetch(memory);
        }
        let mut examined = 0;
        while (self.examined_to as usize) < self.buckets() {
            if examined == budget {
                return (examined, false);
            }
            let item = self.bucket(self.examined_to as usize);
            self.examined_to += 1;
            let Some(item) = item else { continue };
            examined += 1;
            match memory.deadline(item) {
                Some(at) if at <= now => due(item),
                Some(at) => self.renewed = self.renewed.min(at),
                None => {}
            }
        }
        self.examined_to = 0;
        self.soonest = self.renewed;
        (examined, true)
    }

    /// Moves all entries to a table with room for `capacity`.
    pub(crate) fn rebuild(&mut self, capacity: usize, items: Items<'_>) {
        let mut rebuilt = Self::new(self.bits, capacity.max(self.len()));
        self.move_all(&mut rebuilt, items);
        *self = rebuilt;
    }

    /// Adds all entries to `target`, which has room for them.
    pub(crate) fn move_all(&self, target: &mut Self, items: Items<'_>) {
        self.prefetch(items.memory);
        for item in self.items() {
            target.insert(items.hash(item), item, items.memory.deadline(item));
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
            halves[usize::from(upper(hash))].insert(hash, item, items.memory.deadline(item));
        }
        let [low, high] = halves;
        (low, high)
    }
}
