//! What is kept of entries before they change, so that all of it can be taken back.
//!
//! ```text
//!  saved:   table | hash | key ─┐ | before ──────────────┬─ absent
//!                               │                        ├─ copied:  as a small item, its bytes ─┐
//!                               │                        ├─ kept:    the item itself, with its extents
//!                               ▼                        └─ in place: attributes, and ranges ────┤
//!  bytes:   [ … key … item … range … ]  ◀────────────────────────────────────────────────────────┘
//! ```
//! A key is saved with its first change and once: what changes it after that costs a look-up. A short string, and an item without parts
//! elsewhere, is copied, 32 KiB at most. One in extents, or a large collection, is not: when it would be destroyed or overwritten as a whole, the log has it
//! instead, and when a range of it is written, the log has the range. When the ranges of a value come to more bytes than it
//! has, a copy takes their place.
//!
//! Of a large collection that changes element by element the log has the changes, as what takes them back (`changes.rs`), and what
//! it said of itself. When it comes to another key, two items have it: the one that the log keeps, and the one of that key, whose changes go on
//! to be the log's. A packed one whose key is in an extent is copied without its key, which stays where it is.
//!
//! Tables have numbers here that stay with them when databases are exchanged. A database that is flushed gets a new table,
//! of which nothing need be saved: all of it goes. The old one lies here as it is.

use hashbrown::HashTable;

use super::changes::Changes;
use crate::journal::Element;
use crate::keyspace::Keyspace;
use crate::limits::UNDO_KEPT_BYTES;
use crate::memory::{Attributes, Memory};
use crate::nodes::Owner;
use crate::raw::Block;
use crate::spiral::ElementRef;
use crate::spiral::entries::{Entry, Short};
use crate::{AccessClock, DbIndex};

/// Which table: the first are numbered as their databases were when the log was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableId(pub(super) u32);

/// A part of the log's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    pub(super) at: usize,
    pub(super) len: usize,
}

/// A copy of an item, in a block of so many bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    bytes: Bytes,
    pub(super) block_bytes: usize,
}

/// What there was of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Before {
    /// Nothing.
    Absent,
    /// An item of which this is a copy.
    Copied(Image),
    /// This item, which belongs to the log.
    Kept(Block),
    /// The item that is there still, but for its [`Part`].
    InPlace,
}

/// A key whose entry has changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved {
    pub(super) table: TableId,
    pub(super) hash: u64,
    key: Bytes,
    pub(super) before: Before,
    /// What changed of the item in place, before it was kept or copied too.
    part: Option<u32>,
}

/// What changed of an item in place.
#[derive(Clone, Copy, Debug)]
struct Part {
    was: Attributes,
    /// The item as it was before its packed elements changed, if its key is in an extent.
    packed: Option<Image>,
    /// The range saved last.
    last_range: Option<u32>,
    /// What the ranges have taken.
    range_bytes: usize,
}

/// What an item was before it changed in place.
pub(super) struct PartBefore<'a> {
    pub(super) was: Attributes,
    /// A copy of the item, but for its key.
    pub(super) packed: Option<Image>,
    /// What was at these offsets, in the order in which they are to be written.
    pub(super) ranges: Vec<(usize, &'a [u8])>,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    offset: usize,
    was: Bytes,
    /// The one saved before, of the same item.
    previous: Option<u32>,
}

/// The log. Closed, it is empty.
#[derive(Default)]
pub(crate) struct UndoLog {
    pub(crate) is_open: bool,
    /// The table of each database.
    tables: Vec<TableId>,
    next_table: u32,
    /// Tables that were there when the log was opened, and are flushed.
    pub(super) flushed: Vec<(TableId, Keyspace)>,
    saved: Vec<Saved>,
    by_key: HashTable<u32>,
    bytes: Vec<u8>,
    parts: Vec<Part>,
    ranges: Vec<Range>,
    /// What changed of large collections.
    pub(super) changes: Changes,
    /// Whether it has ranges, or the length, of a value in an extent.
    has_written_extents: bool,
}

/// What has to become of an item that is about to be destroyed or overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may be.
    Saved,
    /// It must not be: it is the log's ([`UndoLog::keep`]).
    Keep,
}

impl UndoLog {
    /// Opens the log for so many databases.
    pub(super) fn open(&mut self, databases: usize) {
        assert!(!self.is_open, "one log at a time");
        self.is_open = true;
        self.next_table = databases as u32;
        self.tables.extend((0..self.next_table).map(TableId));
    }

    /// Closes and empties it. Some memory is kept for the next time.
    pub(super) fn close(&mut self) {
        if self.used_bytes() > UNDO_KEPT_BYTES {
            *self = Self::default();
            return;
        }
        self.is_open = false;
        self.tables.clear();
        self.flushed.clear();
        self.saved.clear();
        self.by_key.clear();
        self.bytes.clear();
        self.parts.clear();
        self.ranges.clear();
        self.changes.clear();
        self.has_written_extents = false;
    }

    /// Whether it has what was written in place of a value in an extent.
    pub(crate) fn has_written_extents(&self) -> bool {
        self.has_written_extents
    }

    /// Bytes of the log, without those of the items that it keeps.
    pub(crate) fn used_bytes(&self) -> u64 {
        let lists = self.tables.capacity() * size_of::<TableId>()
            + self.flushed.capacity() * size_of::<(TableId, Keyspace)>()
            + self.saved.capacity() * size_of::<Saved>()
            + self.by_key.capacity() * (size_of::<u32>() + 1)
            + self.bytes.capacity()
            + self.parts.capacity() * size_of::<Part>()
            + self.ranges.capacity() * size_of::<Range>()
            + self.changes.used_bytes();
        let tables = self.flushed.iter().map(|(_, table)| table.list_bytes());
        lists as u64 + tables.sum::<u64>()
    }

    /// The table of a database.
    pub(super) fn table_of(&self, db: usize) -> TableId {
        self.tables[db]
    }

    /// Whether a table was there when the log was opened.
    pub(super) fn is_original(&self, table: TableId) -> bool {
        (table.0 as usize) < self.tables.len()
    }

    /// Two databases are exchanged.
    pub(crate) fn exchange(&mut self, a: DbIndex, b: DbIndex) {
        self.tables.swap(usize::from(a.0), usize::from(b.0));
    }

    /// A database gets a new table; the old one is given back if nothing of it has to be kept.
    pub(crate) fn flush(&mut self, db: DbIndex, table: Keyspace) -> Option<Keyspace> {
        let new = TableId(self.next_table);
        self.next_table += 1;
        let old = std::mem::replace(&mut self.tables[usize::from(db.0)], new);
        if !self.is_original(old) {
            return Some(table);
        }
        self.flushed.push((old, table));
        None
    }

    /// The keys that changed.
    pub(super) fn saved(&self) -> &[Saved] {
        &self.saved
    }

    /// The flushed tables that it keeps.
    pub(crate) fn flushed(&self) -> impl Iterator<Item = &Keyspace> {
        self.flushed.iter().map(|(_, table)| table)
    }

    /// The items that belong to the log.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Block> {
        self.saved.iter().filter_map(|saved| match saved.before {
            Before::Kept(item) => Some(item),
            _ => None,
        })
    }

    pub(super) fn key(&self, saved: &Saved) -> &[u8] {
        self.slice(saved.key)
    }

    pub(super) fn image(&self, image: Image) -> &[u8] {
        self.slice(image.bytes)
    }

    fn slice(&self, bytes: Bytes) -> &[u8] {
        &self.bytes[bytes.at..][..bytes.len]
    }

    /// What an item was before it changed in place.
    pub(super) fn part(&self, saved: &Saved) -> Option<PartBefore<'_>> {
        let part = self.parts[saved.part? as usize];
        let mut ranges = Vec::new();
        let mut at = part.last_range;
        while let Some(range) = at.map(|at| self.ranges[at as usize]) {
            ranges.push((range.offset, self.slice(range.was)));
            at = range.previous;
        }
        Some(PartBefore {
            was: part.was,
            packed: part.packed,
            ranges,
        })
    }

    /// A key that is not there is about to be.
    pub(super) fn before_new(&mut self, db: DbIndex, hash: u64, key: &[u8]) {
        let table = self.table_of(db.0.into());
        if self.is_original(table) && self.find(table, hash, key).is_none() {
            self.add(table, hash, key, Before::Absent);
        }
    }

    /// An item is about to be destroyed, or overwritten as a whole.
    pub(super) fn before_whole(&mut self, at: At, memory: &Memory) -> Fate {
        match self.state(at, memory) {
            State::Saved => Fate::Saved,
            _ if memory.has_parts_elsewhere(at.item) => Fate::Keep,
            state => {
                self.copy(at, state, memory);
                Fate::Saved
            }
        }
    }

    /// A short string is about to change, or to go: it is copied as the item that it might be.
    pub(super) fn copy_short(&mut self, db: DbIndex, hash: u64, short: &Short, memory: &Memory) {
        let table = self.table_of(db.0.into());
        let key = memory.key_of(Entry::Short(*short));
        if !self.is_original(table) || self.find(table, hash, key).is_some() {
            return;
        }
        let (image, key_at) = memory.image_of_short(short);
        let bytes = self.push(&image);
        let key = Bytes {
            at: bytes.at + key_at,
            len: short.key_len(),
        };
        let block_bytes = image.len();
        let before = Before::Copied(Image { bytes, block_bytes });
        self.add_with_key(table, hash, key, before);
    }

    /// The item is the log's from now on, instead of the table's.
    pub(super) fn keep(&mut self, at: At, item: Block, memory: &Memory) {
        let collection = memory.collection_of(item);
        if collection.is_some_and(|owner| memory.is_shared(owner)) {
            // What it says of itself may change with its elements.
            let state = self.state(at, memory);
            self.part_of(at, state, memory);
        }
        match self.state(at, memory) {
            State::Saved => unreachable!("an item is kept where nothing is saved of it yet"),
            State::New(table) => {
                self.add(table, at.hash, memory.key(at.item), Before::Kept(item));
            }
            State::InPlace(saved) => self.saved[saved].before = Before::Kept(item),
        }
    }

    /// The deadline of an item, or its history, is about to change.
    pub(super) fn before_attributes(&mut self, at: At, what: Attribute, memory: &Memory) {
        match self.state(at, memory) {
            State::Saved => {}
            state if what == Attribute::Deadline && !memory.has_parts_elsewhere(at.item) => {
                self.copy(at, state, memory);
            }
            state => {
                self.part_of(at, state, memory);
            }
        }
    }

    /// An element of a collection is about to change.
    pub(super) fn before_element(
        &mut self,
        at: At,
        element: &Element<'_>,
        memory: &Memory,
        hash_of: impl Fn(&[u8]) -> u64,
    ) {
        if let Some(collection) = self.before_elements(at, memory) {
            self.changes.before(collection, element, memory, hash_of);
        }
    }

    /// Elements of a collection are about to change: the collection of which the log wants each change, unless it has all there is
    /// to save.
    pub(super) fn before_elements(&mut self, at: At, memory: &Memory) -> Option<Owner> {
        let state = self.state(at, memory);
        if state == State::Saved {
            // What came to this key has its collection with an item that is kept.
            let collection = memory.collection_of(at.item);
            return collection.filter(|owner| memory.is_shared(*owner));
        }
        if !memory.has_parts_elsewhere(at.item) {
            self.copy(at, state, memory);
            return None;
        }
        let part = self.part_of(at, state, memory);
        if self.parts[part].packed.is_some() {
            return None;
        }
        let collection = memory.collection_of(at.item);
        if collection.is_none() {
            self.parts[part].packed = Some(self.copy_of(at.item, memory));
        }
        collection
    }

    /// A field of a collection of which [`Self::before_elements`] has told is about to go.
    pub(in crate::shard) fn before_field_ends(&mut self, collection: Owner, field: ElementRef<'_>) {
        self.changes.before_field_goes(collection, field);
    }

    /// `len` bytes at `offset` of a value are about to be written. Whether the log wants a copy of the item instead: it is to be
    /// [kept](Self::keep).
    pub(super) fn before_range(
        &mut self,
        at: At,
        (offset, len): (usize, usize),
        memory: &Memory,
    ) -> Fate {
        let state = self.state(at, memory);
        if state == State::Saved {
            return Fate::Saved;
        }
        if !memory.has_parts_elsewhere(at.item) {
            self.copy(at, state, memory);
            return Fate::Saved;
        }
        let Some(value) = memory.value_in_extent(at.item) else {
            return Fate::Keep;
        };
        let number = self.part_of(at, state, memory);
        self.has_written_extents = true;
        let part = &mut self.parts[number];
        // What lies behind goes when the value becomes as short as it was.
        let end = offset.saturating_add(len).min(part.was.value_len);
        let Some(overwritten) = value.get(offset..end).filter(|bytes| !bytes.is_empty()) else {
            return Fate::Saved;
        };
        part.range_bytes += overwritten.len() + size_of::<Range>();
        if part.range_bytes > part.was.value_len {
            return Fate::Keep;
        }
        let previous = part.last_range;
        part.last_range = Some(number_of(self.ranges.len()));
        let was = self.push(overwritten);
        self.ranges.push(Range {
            offset,
            was,
            previous,
        });
        Fate::Saved
    }

    /// What is saved of an item so far.
    fn state(&self, at: At, memory: &Memory) -> State {
        let table = self.table_of(at.db.0.into());
        if !self.is_original(table) {
            return State::Saved;
        }
        match self.find(table, at.hash, memory.key(at.item)) {
            None => State::New(table),
            Some(saved) => match self.saved[saved].before {
                Before::InPlace => State::InPlace(saved),
                _ => State::Saved,
            },
        }
    }

    fn find(&self, table: TableId, hash: u64, key: &[u8]) -> Option<usize> {
        let is_it = |&saved: &u32| {
            let saved = &self.saved[saved as usize];
            saved.hash == hash && saved.table == table && self.key(saved) == key
        };
        let found = self.by_key.find(hash, is_it);
        found.map(|&saved| saved as usize)
    }

    fn add(&mut self, table: TableId, hash: u64, key: &[u8], before: Before) -> usize {
        let key = self.push(key);
        self.add_with_key(table, hash, key, before)
    }

    fn add_with_key(&mut self, table: TableId, hash: u64, key: Bytes, before: Before) -> usize {
        let at = self.saved.len();
        self.saved.push(Saved {
            table,
            hash,
            key,
            before,
            part: None,
        });
        let Self { saved, by_key, .. } = self;
        by_key.insert_unique(hash, number_of(at), |&at| saved[at as usize].hash);
        at
    }

    fn copy(&mut self, at: At, state: State, memory: &Memory) {
        let image = self.copy_of(at.item, memory);
        let before = Before::Copied(image);
        match state {
            State::Saved => unreachable!("an item is copied once"),
            State::New(table) => {
                let (start, len) = memory.key_in_image(at.item);
                let key = Bytes {
                    at: image.bytes.at + start,
                    len,
                };
                self.add_with_key(table, at.hash, key, before);
            }
            State::InPlace(saved) => self.saved[saved].before = before,
        }
    }

    /// A copy of what is in the item's block.
    fn copy_of(&mut self, item: Block, memory: &Memory) -> Image {
        let (bytes, block_bytes) = memory.image(item);
        let bytes = self.push(bytes);
        Image { bytes, block_bytes }
    }

    /// The number of the part that says what the item was in place.
    fn part_of(&mut self, at: At, state: State, memory: &Memory) -> usize {
        let saved = match state {
            State::Saved => unreachable!("what is saved as a whole needs no part"),
            State::New(table) => self.add(table, at.hash, memory.key(at.item), Before::InPlace),
            State::InPlace(saved) => saved,
        };
        if let Some(part) = self.saved[saved].part {
            return part as usize;
        }
        let part = self.parts.len();
        self.parts.push(Part {
            was: memory.attributes(at.item),
            packed: None,
            last_range: None,
            range_bytes: 0,
        });
        self.saved[saved].part = Some(number_of(part));
        part
    }

    fn push(&mut self, bytes: &[u8]) -> Bytes {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Bytes {
            at,
            len: bytes.len(),
        }
    }

    /// The history that an item had, where it was used before it was copied.
    pub(super) fn first_access(&self, saved: &Saved) -> Option<AccessClock> {
        Some(self.parts[saved.part? as usize].was.access)
    }
}

/// An item that is about to change, in the table of this database and hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) db: DbIndex,
    pub(super) hash: u64,
    pub(super) item: Block,
}

/// What changes of an item beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attribute {
    Deadline,
    Access,
}

/// What is saved of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// All there is to save.
    Saved,
    /// Nothing; it is in this table.
    New(TableId),
    /// What changed in place.
    InPlace(usize),
}

fn number_of(at: usize) -> u32 {
    u32::try_from(at).expect("the log's entries exceed any memory")
}
