//! The table of one database: extendible hashing (Fagin, Nievergelt, Pippenger, Strong, TODS 1979) over small segments.
//!
//! ```text
//!  directory, indexed by the first `bits` bits of a position         segments (bits they stand for)
//!  [ 000 001 010 011 100 101 110 111 ]                               0: 0..   1: 10..   2: 110   3: 111
//!     0   0   0   0   1   1   2   3
//! ```
//!
//! A segment that is full splits alone: at most 448 entries are rehashed, and once in a while the directory, four bytes
//! a segment or so, is copied to twice its size. Nothing ever rehashes the whole table. Segments that empty shrink, merge
//! with their other half, and let the directory shrink.
//!
//! Measured with `examples/measure.rs` on a busy machine of two virtual processors: at 3 M keys of 16 + 64 bytes a lookup
//! took 1.1 µs, prefetched in batches of 16 0.4 µs and of 4 likewise; alone, prefetching costs a tenth more, so it is
//! left out. Of 30 M insertions the longest took 0.76 ms, the doubling of the directory (least of three passes each).

mod deadlines;
mod expiry;
mod scan;
mod segment;

pub(crate) use expiry::Look;
pub(crate) use scan::Cursor;
pub(crate) use segment::{Items, Position, Segment};

use crate::Key;
use crate::agenda::{Agenda, NEVER};
use crate::limits::{DIRECTORY_MAX_BITS, SEGMENT_MAX_ENTRIES, SEGMENT_MERGE_ENTRIES};
use crate::memory::{Memory, Times};
use crate::raw::Block;

/// Segments to an allocation, so that their list grows without copying all of them.
const CHUNK_SEGMENTS: usize = 1024;
/// Entries from which a segment that has no room splits, and is not merely freed of the traces of removals.
const SPLIT_FROM_ENTRIES: usize = SEGMENT_MAX_ENTRIES / 8 * 7;
/// Directory entries for each segment beyond which a directory that would double is held to be degenerate.
const DIRECTORY_MAX_SPREAD: usize = 256;
/// Removals from a segment between looks at whether it should shrink or merge: a power of two.
const SHRINK_INTERVAL: usize = 8;
/// Buckets that are not worth shrinking.
const MIN_SHRINK_BUCKETS: usize = 16;

/// The contents of a database, as long as it is not emptied: they keep this when databases are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentsId(pub(crate) u64);

/// The entries of a database.
pub(crate) struct Keyspace {
    directory: Vec<u32>,
    bits: u32,
    chunks: Vec<Vec<Segment>>,
    vacant: Vec<u32>,
    /// Segments by their number of bits.
    by_bits: [u32; DIRECTORY_MAX_BITS as usize + 1],
    len: u64,
    volatile: u64,
    /// Entries that have fields with deadlines.
    volatile_fields: u64,
    /// Sum of all deadlines, in milliseconds since the Unix epoch.
    deadline_sum: i128,
    /// When to look for entries that are due in which segment.
    agenda: Agenda,
    segment_bytes: usize,
    /// Bytes of the directory and of the lists of segments, vacant ones included.
    list_bytes: usize,
    id: ContentsId,
}

impl Keyspace {
    pub(crate) fn new(id: ContentsId) -> Self {
        let mut by_bits = [0; DIRECTORY_MAX_BITS as usize + 1];
        by_bits[0] = 1;
        let mut keyspace = Self {
            directory: vec![0],
            bits: 0,
            chunks: vec![vec![Segment::new(0, 0)]],
            vacant: Vec::new(),
            by_bits,
            len: 0,
            volatile: 0,
            volatile_fields: 0,
            deadline_sum: 0,
            agenda: Agenda::new(),
            segment_bytes: 0,
            list_bytes: 0,
            id,
        };
        keyspace.list_bytes = keyspace.count_list_bytes();
        keyspace
    }

    /// Which contents these are.
    pub(crate) fn id(&self) -> ContentsId {
        self.id
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn volatile_len(&self) -> u64 {
        self.volatile
    }

    /// Entries that have fields with deadlines.
    pub(crate) fn volatile_fields_len(&self) -> u64 {
        self.volatile_fields
    }

    /// Bytes of directory and segments.
    #[inline]
    pub(crate) fn table_bytes(&self) -> u64 {
        (self.list_bytes + self.segment_bytes) as u64
    }

    /// Bytes of the lists, counted anew.
    fn count_list_bytes(&self) -> usize {
        let segments: usize = self.chunks.iter().map(chunk_bytes).sum();
        segments + self.number_bytes() + self.agenda.bytes()
    }

    /// Bytes of the lists of segment numbers.
    fn number_bytes(&self) -> usize {
        (self.directory.capacity() + self.vacant.capacity()) * size_of::<u32>()
    }

    #[inline(always)]
    fn segment_id(&self, position: Position) -> u32 {
        self.directory[position.prefix(self.bits)]
    }

    #[inline(always)]
    fn segment(&self, id: u32) -> &Segment {
        &self.chunks[id as usize / CHUNK_SEGMENTS][id as usize % CHUNK_SEGMENTS]
    }

    #[inline(always)]
    fn segment_mut(&mut self, id: u32) -> &mut Segment {
        &mut self.chunks[id as usize / CHUNK_SEGMENTS][id as usize % CHUNK_SEGMENTS]
    }

    #[inline(always)]
    fn of_hash(&self, hash: u64) -> &Segment {
        self.segment(self.segment_id(Position::of(hash)))
    }

    #[inline(always)]
    fn of_hash_mut(&mut self, hash: u64) -> &mut Segment {
        self.segment_mut(self.segment_id(Position::of(hash)))
    }

    /// The segment that holds `position`, the first position it stands for, and that of the next segment if there is one.
    pub(crate) fn segment_at(&self, position: Position) -> (&Segment, Position, Option<Position>) {
        let segment = self.segment(self.segment_id(position));
        let (start, next) = bounds(position, segment.bits());
        (segment, start, next)
    }

    /// All segments, in no order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.chunks.iter().flatten()
    }

    /// Finds the item of `key`.
    #[inline(always)]
    pub(crate) fn find(&self, key: Key<'_>, memory: &Memory) -> Option<Block> {
        self.of_hash(key.hash())
            .find(key.hash(), |item| memory.key(item) == key.bytes())
    }

    /// Brings the items that `hashes` probably stand for near. The lookups of a batch depend on nothing but their hash, so
    /// their misses overlap; the items are asked for and not read.
    #[inline]
    pub(crate) fn prefetch(&self, hashes: &[u64], memory: &Memory) {
        if hashes.len() < 2 {
            return;
        }
        for &hash in hashes {
            if let Some(item) = self.probable(hash) {
                memory.prefetch(item);
            }
        }
    }

    /// The item that a hash probably stands for.
    #[inline(always)]
    pub(crate) fn probable(&self, hash: u64) -> Option<Block> {
        self.of_hash(hash).find(hash, |_| true)
    }

    /// Adds an item whose key is not there.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        item: Block,
        times: &Option<Times>,
        items: Items<'_>,
    ) {
        while !self.of_hash(hash).has_room() {
            self.make_room(hash, items);
        }
        let bucket = self.of_hash_mut(hash).insert(hash, item);
        self.len += 1;
        if let Some(times) = times {
            self.count_times(times);
            self.wake_at(hash, bucket, times.wakes_at, items.now);
        }
    }

    /// Points the entry of `old` to `new`; whether `old` was there.
    #[inline]
    pub(crate) fn replace(&mut self, hash: u64, old: Block, new: Block) -> bool {
        self.of_hash_mut(hash).replace(hash, old, new)
    }

    /// Takes an item with these times out of the table.
    ///
    /// # Panics
    /// The item is not there.
    pub(crate) fn remove(
        &mut self,
        hash: u64,
        item: Block,
        times: &Option<Times>,
        items: Items<'_>,
    ) {
        let segment = self.of_hash_mut(hash);
        assert!(
            segment.remove(hash, item, times.is_some()),
            "the item was found by this hash"
        );
        let (len, buckets) = (segment.len(), segment.buckets());
        self.len -= 1;
        if let Some(times) = times {
            self.uncount_times(times);
        }
        if self.len == 0 && self.directory.len() > 1 {
            *self = Self::new(self.id);
        } else if len.is_multiple_of(SHRINK_INTERVAL) && len * 4 < buckets {
            self.shrink(hash, items);
        }
    }

    /// Makes room in the segment of `hash`, which has none: by dividing it, or by giving it more or cleaner buckets.
    #[cold]
    fn make_room(&mut self, hash: u64, items: Items<'_>) {
        let segment = self.of_hash(hash);
        let (len, capacity) = (segment.len(), segment.full_capacity());
        if len >= SPLIT_FROM_ENTRIES && self.split(hash, items) {
            return;
        }
        let spoilt = if capacity == SEGMENT_MAX_ENTRIES {
            len < SPLIT_FROM_ENTRIES
        } else {
            len < capacity / 4 * 3
        };
        let capacity = if spoilt {
            capacity
        } else {
            (capacity * 2).max(3)
        };
        self.rebuild(hash, capacity, items);
    }

    fn rebuild(&mut self, hash: u64, capacity: usize, items: Items<'_>) {
        let segment = self.of_hash_mut(hash);
        let was = segment.table_bytes();
        segment.rebuild(capacity, items);
        let is = segment.table_bytes();
        self.segment_bytes = self.segment_bytes - was + is;
        self.plan(self.segment_id(Position::of(hash)), items.now);
    }

    /// Divides the segment of `hash`; whether that is allowed.
    fn split(&mut self, hash: u64, items: Items<'_>) -> bool {
        let id = self.segment_id(Position::of(hash));
        let bits = self.segment(id).bits();
        if bits == self.bits {
            let segments = self.chunks.len() * CHUNK_SEGMENTS;
            if bits == DIRECTORY_MAX_BITS || self.directory.len() > segments * DIRECTORY_MAX_SPREAD
            {
                return false;
            }
            let mut doubled = vec![0; self.directory.len() * 2];
            for (pair, &id) in doubled.as_chunks_mut().0.iter_mut().zip(&self.directory) {
                *pair = [id, id];
            }
            self.list_bytes += (doubled.capacity() - self.directory.capacity()) * size_of::<u32>();
            self.directory = doubled;
            self.bits += 1;
        }
        let (low, high) = self.segment(id).split(items);
        self.segment_bytes -= self.segment(id).table_bytes();
        self.segment_bytes += low.table_bytes() + high.table_bytes();
        *self.segment_mut(id) = low;
        let new_id = self.add_segment(high);
        let entries = 1 << (self.bits - bits);
        let first = Position::of(hash).prefix(self.bits) & !(entries - 1);
        self.directory[first + entries / 2..first + entries].fill(new_id);
        self.by_bits[bits as usize] -= 1;
        self.by_bits[bits as usize + 1] += 2;
        self.plan(id, items.now);
        self.plan(new_id, items.now);
        true
    }

    fn add_segment(&mut self, segment: Segment) -> u32 {
        if let Some(id) = self.vacant.pop() {
            *self.segment_mut(id) = segment;
            return id;
        }
        if self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.len() == CHUNK_SEGMENTS)
        {
            self.chunks.push(Vec::new());
        }
        let chunk = self.chunks.len() - 1;
        let last = &mut self.chunks[chunk];
        let was = chunk_bytes(last);
        last.push(segment);
        self.list_bytes += chunk_bytes(last) - was;
        u32::try_from(chunk * CHUNK_SEGMENTS + last.len() - 1)
            .expect("far fewer segments than granules")
    }

    /// Gives memory of the segment of `hash` back: by merging it with its other half, else by fewer buckets.
    #[cold]
    fn shrink(&mut self, hash: u64, items: Items<'_>) {
        while self.merge(hash, items) {}
        while self.bits > 0 && self.by_bits[self.bits as usize] == 0 {
            let was = self.number_bytes();
            self.directory = self.directory.iter().copied().step_by(2).collect();
            self.list_bytes = self.list_bytes - was + self.number_bytes();
            self.bits -= 1;
        }
        let segment = self.of_hash(hash);
        let (len, buckets) = (segment.len(), segment.buckets());
        if buckets > MIN_SHRINK_BUCKETS && len * 4 < buckets {
            self.rebuild(hash, len + len / 2, items);
        }
    }

    /// Merges the segment of `hash` with the other half of their common prefix, if both are whole and small.
    fn merge(&mut self, hash: u64, items: Items<'_>) -> bool {
        let position = Position::of(hash);
        let id = self.segment_id(position);
        let bits = self.segment(id).bits();
        if bits == 0 {
            return false;
        }
        let other_id = self.segment_id(Position(position.0 ^ 1 << (64 - bits)));
        let (one, other) = (self.segment(id), self.segment(other_id));
        let len = one.len() + other.len();
        if other.bits() != bits || len > SEGMENT_MERGE_ENTRIES {
            return false;
        }
        let mut merged = Segment::new(bits - 1, len + len / 4);
        one.move_all(&mut merged, items);
        other.move_all(&mut merged, items);
        let freed = one.table_bytes() + other.table_bytes();
        self.segment_bytes = self.segment_bytes - freed + merged.table_bytes();
        *self.segment_mut(id) = merged;
        *self.segment_mut(other_id) = Segment::new(0, 0);
        let was = self.number_bytes();
        self.vacant.push(other_id);
        self.list_bytes += self.number_bytes() - was;
        let entries = 1 << (self.bits - (bits - 1));
        let first = position.prefix(self.bits) & !(entries - 1);
        self.directory[first..first + entries].fill(id);
        self.by_bits[bits as usize] -= 2;
        self.by_bits[bits as usize - 1] += 1;
        self.plan(id, items.now);
        self.plan(other_id, items.now);
        true
    }

    /// Takes one segment off a table that is no longer in use; `None` if none is left.
    pub(crate) fn dismantle(&mut self) -> Option<Segment> {
        self.list_bytes -= self.directory.capacity() * size_of::<u32>();
        self.directory = Vec::new();
        self.list_bytes -= self.agenda.bytes();
        self.agenda = Agenda::new();
        loop {
            let last = self.chunks.last_mut()?;
            match last.pop() {
                Some(segment) => {
                    self.segment_bytes -= segment.table_bytes();
                    self.len -= segment.len() as u64;
                    return Some(segment);
                }
                None => {
                    self.list_bytes -= chunk_bytes(last);
                    self.chunks.pop();
                }
            }
        }
    }

    /// Verifies the directory, the place of every entry, and the sums.
    pub(crate) fn check(&self, items: Items<'_>) {
        assert_eq!(self.directory.len(), 1 << self.bits);
        let (mut len, mut volatile, mut deadline_sum, mut bytes) = (0, 0u64, 0i128, 0);
        let mut volatile_fields = 0;
        let mut by_bits = [0; DIRECTORY_MAX_BITS as usize + 1];
        let mut next = Some(Position(0));
        while let Some(at) = next {
            let (segment, start, after) = self.segment_at(at);
            assert_eq!(start, at);
            let id = self.segment_id(at);
            let entries = 1 << (self.bits - segment.bits());
            let first = at.prefix(self.bits);
            assert!(
                self.directory[first..first + entries]
                    .iter()
                    .all(|&other| other == id)
            );
            for item in segment.items() {
                let hash = items.hash(item);
                assert_eq!(self.segment_id(Position::of(hash)), id);
                assert!(segment.find(hash, |found| found == item).is_some());
                if let Some(times) = items.memory.times(item) {
                    volatile += u64::from(times.ends_at.is_some());
                    volatile_fields += u64::from(times.fields_end);
                    deadline_sum += times.ends_at.map_or(0, |at| at.0.into());
                }
            }
            segment.deadlines().check(segment.buckets(), |bucket| {
                items.memory.wakes_at(segment.bucket(bucket)?)
            });
            assert_eq!(self.agenda.time(id), segment.deadlines().look_at());
            assert!(self.agenda.soonest() <= segment.deadlines().look_at());
            len += segment.len() as u64;
            bytes += segment.table_bytes();
            by_bits[segment.bits() as usize] += 1;
            next = after;
        }
        assert_eq!(
            (len, volatile, deadline_sum, bytes),
            (
                self.len,
                self.volatile,
                self.deadline_sum,
                self.segment_bytes
            )
        );
        assert_eq!(volatile_fields, self.volatile_fields);
        for &id in &self.vacant {
            assert_eq!(self.agenda.time(id), NEVER);
        }
        assert_eq!(self.count_list_bytes(), self.list_bytes);
        assert_eq!(by_bits, self.by_bits);
        let segments = self.segments().count() - self.vacant.len();
        assert_eq!(segments, by_bits.iter().sum::<u32>() as usize);
    }
}

/// Bytes of a list of segments.
fn chunk_bytes(chunk: &Vec<Segment>) -> usize {
    chunk.capacity() * size_of::<Segment>()
}

/// The positions that a segment of `bits` bits around `position` stands for: its first, and the first behind.
fn bounds(position: Position, bits: u32) -> (Position, Option<Position>) {
    if bits == 0 {
        return (Position(0), None);
    }
    let width = 1u64 << (64 - bits);
    let start = position.0 & !(width - 1);
    (Position(start), start.checked_add(width).map(Position))
}
