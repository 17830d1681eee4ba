//! A spiral whose elements are the entries of a database.
//!
//! ```text
//!                    name                   value
//!  a short string    the key                head, 4 bytes | the string     lies in the node
//!  any other entry   the block of its item  none                           the item has its key and all else
//! ```
//! The deadline of an element is the time at which its entry wakes: of a short string its deadline, of an item the soonest of
//! its own and its fields', as near as the node can tell it ([`place_of`]). What a head says is for others to know.
//!
//! What counts as payload of such a spiral is the references to items; the bytes of keys and strings are for others to count.
//! Who changes entries balances the spiral afterwards, since that moves others. An entry is told by where it is as long as nothing of its
//! spiral changes; an item also by its block.

use std::ops::Range;

use super::address::{Bucket, Position};
use super::run::{
    self, ELEMENT_MAX_BYTES, Element, Field, Front, IN_ITEM, ITEM_BYTES, REFERENCE_BYTES, Shape,
};
use super::{RUN_MAX_BYTES, Spiral, Spot, long, run_mut_of, run_of, tag_of};
use crate::agenda::NEVER;
use crate::item::HEAD_BYTES;
use crate::nodes::{Heap, NODE_HEAD_BYTES, Owner, read_u32};
use crate::raw::Block;
use crate::{StoreError, UnixMillis};

/// The longest key of a short string.
pub(crate) const SHORT_KEY_MAX_BYTES: usize = ELEMENT_MAX_BYTES;
/// The longest short string.
pub(crate) const SHORT_MAX_BYTES: usize = ELEMENT_MAX_BYTES - HEAD_BYTES;
/// The last time that the place of a deadline can tell.
const LAST_TIME: UnixMillis = UnixMillis((1 << (8 * run::DEADLINE_BYTES)) - 2);

/// Whether the place of a deadline tells this time exactly.
#[inline(always)]
pub(crate) fn is_exact(at: UnixMillis) -> bool {
    at.0 >= 0 && at <= LAST_TIME
}

/// The nearest time that the place of a deadline can tell.
#[inline(always)]
pub(super) fn place_of(at: UnixMillis) -> UnixMillis {
    at.max(UnixMillis(0)).min(LAST_TIME)
}

/// Where an entry is, until its spiral changes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Short(Short),
    Item(Block),
}

/// What bringing near has found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    /// Nothing that would spare the look-up.
    Unknown,
    /// There is no such key.
    Absent,
    /// The entry, if it is of the key.
    Short(Short),
    /// This item, if it is of the key.
    Item(Block),
    /// The item that this reference in a node names, likewise.
    Reference { node: Block, at: u16 },
}

impl Seen {
    /// With the item in the place of a reference.
    #[inline(always)]
    pub(crate) fn resolved(self, heap: &Heap) -> Self {
        match self {
            Self::Reference { node, at } => {
                Self::Item(Block(read_u32(heap.arena.tail(node), at.into())))
            }
            seen => seen,
        }
    }
}

/// Where a short string is, in few bytes, since it goes from hand to hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short {
    /// If it has one.
    deadline: UnixMillis,
    block: Block,
    ordinal: u32,
    at: u16,
    /// Where in its node its key begins.
    start: u16,
    key_len: u8,
    value_code: u8,
    has_deadline: bool,
}

const _: () = assert!(
    size_of::<Option<Option<Entry>>>() == 24,
    "it goes from hand to hand"
);

/// A short string to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewShort<'a> {
    pub(crate) head: [u8; HEAD_BYTES],
    pub(crate) string: &'a [u8],
    pub(crate) deadline: Option<UnixMillis>,
}

/// What a short string is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortRef<'a> {
    pub(crate) head: [u8; HEAD_BYTES],
    pub(crate) key: &'a [u8],
    pub(crate) string: &'a [u8],
}

impl Short {
    #[inline(always)]
    fn new((ordinal, block): (u32, Block), at: usize, element: &Element<'_>) -> Self {
        Self {
            deadline: element.deadline.unwrap_or(NEVER),
            block,
            ordinal,
            at: at as u16,
            start: (NODE_HEAD_BYTES + element.start) as u16,
            key_len: element.name_code,
            value_code: element.value_code,
            has_deadline: element.deadline.is_some(),
        }
    }

    #[inline(always)]
    fn spot(&self) -> Spot {
        Spot {
            ordinal: self.ordinal,
            block: self.block,
            at: self.at.into(),
            value_code: self.value_code,
            deadline: self.deadline(),
        }
    }

    /// Its deadline.
    #[inline(always)]
    pub(crate) fn deadline(&self) -> Option<UnixMillis> {
        self.has_deadline.then_some(self.deadline)
    }

    /// Whether its deadline has come.
    #[inline(always)]
    pub(crate) fn has_ended(&self, now: UnixMillis) -> bool {
        self.has_deadline && self.deadline <= now
    }

    /// Bytes of its string.
    #[inline(always)]
    pub(crate) fn string_len(&self) -> usize {
        usize::from(self.value_code) - HEAD_BYTES
    }

    /// Bytes of its key.
    #[inline(always)]
    pub(crate) fn key_len(&self) -> usize {
        self.key_len.into()
    }

    /// Where in its node its key and its value lie.
    #[inline(always)]
    fn body(&self) -> Range<usize> {
        let start = usize::from(self.start);
        start..start + usize::from(self.key_len) + usize::from(self.value_code)
    }

    /// What it is.
    #[inline(always)]
    pub(crate) fn read<'a>(&self, heap: &'a Heap) -> ShortRef<'a> {
        let body = &heap.arena.tail(self.block)[self.body()];
        let (key, value) = body.split_at(self.key_len.into());
        let (head, string) = value.split_first_chunk().expect("a value has a head");
        ShortRef {
            head: *head,
            key,
            string,
        }
    }

    /// Its key.
    #[inline(always)]
    pub(crate) fn key<'a>(&self, heap: &'a Heap) -> &'a [u8] {
        let start = usize::from(self.start);
        &heap.arena.tail(self.block)[start..start + usize::from(self.key_len)]
    }

    /// Its head, to change.
    #[inline(always)]
    pub(crate) fn head_mut<'a>(&self, heap: &'a mut Heap) -> &'a mut [u8; HEAD_BYTES] {
        let head = self.value_mut(heap).first_chunk_mut();
        head.expect("a short string begins with its head")
    }

    /// Its value, to be written over in place.
    #[inline(always)]
    fn value_mut<'a>(&self, heap: &'a mut Heap) -> &'a mut [u8] {
        let Range { start, end } = self.body();
        &mut heap.arena.tail_mut(self.block)[start + usize::from(self.key_len)..end]
    }

    /// The node that it lies in.
    pub(crate) fn node(&self) -> Block {
        self.block
    }
}

/// Bytes that a short string takes in its node, its key and itself of so many.
pub(crate) fn short_bytes(heap: &Heap, node: Block, (key, string): (usize, usize)) -> u64 {
    let shape = Shape::read(run_of(heap, node));
    (key + HEAD_BYTES + string + shape.front_bytes_each()) as u64
}

impl NewShort<'_> {
    #[inline(always)]
    fn code(&self) -> u8 {
        (HEAD_BYTES + self.string.len()) as u8
    }

    #[inline(always)]
    fn write(&self, value: &mut [u8]) {
        let (head, string) = value.split_at_mut(HEAD_BYTES);
        head.copy_from_slice(&self.head);
        string.copy_from_slice(self.string);
    }

    #[inline(always)]
    fn front(&self, hash: u64, key: &[u8]) -> Front {
        debug_assert!(key.len() <= SHORT_KEY_MAX_BYTES && self.string.len() <= SHORT_MAX_BYTES);
        Front {
            tag: tag_of(hash),
            name_code: key.len() as u8,
            value_code: self.code(),
            deadline: self.deadline,
        }
    }

    fn write_with_key(&self, key: &[u8], body: &mut [u8]) {
        let (name, value) = body.split_at_mut(key.len());
        name.copy_from_slice(key);
        self.write(value);
    }
}

/// What an element has of an item: its block, and eight bits of the hash besides the tag, since a node has many, and to look at the wrong
/// one is a miss.
#[inline(always)]
fn reference(hash: u64, item: Block) -> [u8; ITEM_BYTES] {
    let [a, b, c, d] = item.0.to_le_bytes();
    [a, b, c, d, check_of(hash)]
}

#[inline(always)]
fn check_of(hash: u64) -> u8 {
    (hash >> 8) as u8
}

/// Whether the element of this name may be of this hash, its tag being the same.
#[inline(always)]
fn may_be(name: Field<'_>, hash: u64) -> bool {
    name.code != IN_ITEM || name.bytes[REFERENCE_BYTES] == check_of(hash)
}

/// What the front of a run says of an item that wakes then.
fn front_of_item(hash: u64, wakes_at: Option<UnixMillis>) -> Front {
    Front {
        tag: tag_of(hash),
        name_code: IN_ITEM,
        value_code: 0,
        deadline: wakes_at.map(place_of),
    }
}

#[inline(always)]
pub(super) fn entry_of(bucket: (u32, Block), at: usize, element: &Element<'_>) -> Entry {
    match element.name().item() {
        Some(item) => Entry::Item(item),
        None => Entry::Short(Short::new(bucket, at, element)),
    }
}

impl Spiral {
    /// Whose nodes these are.
    pub(crate) fn owner(&self) -> Owner {
        self.holdings.owner
    }

    /// The entry of this key.
    #[inline(always)]
    pub(crate) fn entry(&self, heap: &Heap, hash: u64, key: &[u8]) -> Option<Entry> {
        let (ordinal, block) = self.first_block(heap, hash);
        let run = run_of(heap, block);
        let shape = Shape::read(run);
        let is = |name: Field<'_>| may_be(name, hash) && long::bytes(heap, name) == key;
        match shape.find(run, tag_of(hash), is) {
            Some((at, element)) => Some(entry_of((ordinal, block), at, &element)),
            None if shape.overflows() => self.entry_beyond(heap, ordinal, hash, key),
            None => None,
        }
    }

    #[cold]
    fn entry_beyond(&self, heap: &Heap, ordinal: u32, hash: u64, key: &[u8]) -> Option<Entry> {
        self.overflow_of(ordinal).iter().find_map(|&(_, block)| {
            let run = run_of(heap, block);
            let is = |name: Field<'_>| may_be(name, hash) && long::bytes(heap, name) == key;
            let (at, element) = Shape::read(run).find(run, tag_of(hash), is)?;
            Some(entry_of((ordinal, block), at, &element))
        })
    }

    /// Where this item's element is, and where in the run of its node it begins.
    #[inline]
    fn spot_of(&self, heap: &Heap, hash: u64, item: Block) -> Option<(Spot, usize)> {
        let ordinal = Bucket::of(Position::of(hash), self.table.len()).ordinal();
        self.blocks_of(heap, ordinal).find_map(|block| {
            let run = run_of(heap, block);
            let is = |name: Field<'_>| name.item() == Some(item);
            let (at, element) = Shape::read(run).find(run, tag_of(hash), is)?;
            Some((Spot::new((ordinal, block), at, &element), element.start))
        })
    }

    /// The spot of an item that is there.
    ///
    /// # Panics
    /// It is not.
    fn spot_of_item(&self, heap: &Heap, hash: u64, item: Block) -> Spot {
        let found = self.spot_of(heap, hash, item);
        found.expect("the item was found by this hash").0
    }

    /// Adds a short string whose key is not there.
    ///
    /// # Errors
    /// Memory is out; then nothing changed. Likewise below.
    #[inline(always)]
    pub(crate) fn add_short(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        key: &[u8],
        short: &NewShort<'_>,
    ) -> Result<(), StoreError> {
        let bucket = self.first_block(heap, hash);
        let (block, body) = self.open_element(heap, bucket, &short.front(hash, key))?;
        short.write_with_key(key, &mut run_mut_of(heap, block)[body]);
        self.len += 1;
        self.deadline_changed(bucket.0, None, short.deadline);
        Ok(())
    }

    /// Adds an item whose key is not there, and which wakes then.
    pub(crate) fn add_item(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        item: Block,
        wakes_at: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        let bucket = self.first_block(heap, hash);
        let front = front_of_item(hash, wakes_at);
        let (block, body) = self.open_element(heap, bucket, &front)?;
        run_mut_of(heap, block)[body].copy_from_slice(&reference(hash, item));
        self.len += 1;
        self.payload_bytes += ITEM_BYTES as u64;
        self.deadline_changed(bucket.0, None, front.deadline);
        Ok(())
    }

    /// Writes over a short string; its key stays.
    #[inline(always)]
    pub(crate) fn replace_short(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        old: &Short,
        short: &NewShort<'_>,
    ) -> Result<(), StoreError> {
        let spot = old.spot();
        if spot.value_code == short.code() && spot.deadline == short.deadline {
            short.write(old.value_mut(heap));
            return Ok(());
        }
        match self.reopen_value(heap, spot, (short.code(), short.deadline))? {
            Some((block, place)) => {
                short.write(&mut run_mut_of(heap, block)[place]);
                self.shorten(heap, spot.ordinal, block);
                self.deadline_changed(spot.ordinal, spot.deadline, short.deadline);
            }
            None => {
                let key = old.read(heap).key.to_vec();
                let front = short.front(hash, &key);
                self.exchange(heap, hash, spot, &front, |body| {
                    short.write_with_key(&key, body);
                })?;
            }
        }
        Ok(())
    }

    /// Puts an item, which wakes then, in the place of a short string of its key.
    pub(crate) fn put_item(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        old: &Short,
        (item, wakes_at): (Block, Option<UnixMillis>),
    ) -> Result<(), StoreError> {
        let front = front_of_item(hash, wakes_at);
        self.exchange(heap, hash, old.spot(), &front, |body| {
            body.copy_from_slice(&reference(hash, item));
        })?;
        self.payload_bytes += ITEM_BYTES as u64;
        Ok(())
    }

    /// Puts a short string in the place of an item, which is no entry then.
    pub(crate) fn put_short(
        &mut self,
        heap: &mut Heap,
        (hash, key): (u64, &[u8]),
        item: Block,
        short: &NewShort<'_>,
    ) -> Result<(), StoreError> {
        let spot = self.spot_of_item(heap, hash, item);
        self.exchange(heap, hash, spot, &short.front(hash, key), |body| {
            short.write_with_key(key, body);
        })?;
        self.payload_bytes -= ITEM_BYTES as u64;
        Ok(())
    }

    /// Has another element take the place of the one at `spot`, of the same bucket.
    fn exchange(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        spot: Spot,
        front: &Front,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), StoreError> {
        let (ordinal, mut block) = (spot.ordinal, spot.block);
        let run = run_of(heap, block);
        let mut shape = Shape::read(run);
        let body_bytes = shape.element(run, spot.at).body_bytes();
        let with = |left: &Shape| left.with(front.name_code, front.value_code, front.deadline);
        let needed = with(&shape.without(body_bytes)).needed();
        if needed > RUN_MAX_BYTES {
            return self.exchange_elsewhere(heap, hash, spot, front, fill);
        }
        if needed > shape.capacity {
            let bytes = needed + self.sizes.room_bytes;
            (block, shape) = self.resize(heap, ordinal, block, bytes)?;
        }
        let left = shape.without(body_bytes);
        let new = with(&left);
        let run = run_mut_of(heap, block);
        run::swap_remove(run, spot.at, &left);
        let body = run::open(run, &left, &new, front);
        fill(&mut run[body]);
        self.used_bytes = self.used_bytes - shape.used() as u64 + new.used() as u64;
        self.shorten(heap, ordinal, block);
        self.deadline_changed(ordinal, spot.deadline, front.deadline);
        Ok(())
    }

    /// As [`Self::exchange`], where the node has no room for the new element.
    #[cold]
    fn exchange_elsewhere(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        spot: Spot,
        front: &Front,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), StoreError> {
        let bucket = self.first_block(heap, hash);
        let (block, body) = self.open_element(heap, bucket, front)?;
        fill(&mut run_mut_of(heap, block)[body]);
        self.deadline_changed(bucket.0, None, front.deadline);
        self.len += 1;
        // What was added lies behind, or in another block; the node of the spot is full, so that it has kept its own.
        self.take_entry(heap, spot);
        Ok(())
    }

    /// Takes a short string out.
    #[inline(always)]
    pub(crate) fn remove_short(&mut self, heap: &mut Heap, short: &Short) {
        self.take_entry(heap, short.spot());
    }

    /// Takes an item out, which stays as it is.
    pub(crate) fn remove_item(&mut self, heap: &mut Heap, hash: u64, item: Block) {
        let spot = self.spot_of_item(heap, hash, item);
        self.take_entry(heap, spot);
        self.payload_bytes -= ITEM_BYTES as u64;
    }

    /// Takes an element out of its node.
    #[inline(always)]
    fn take_entry(&mut self, heap: &mut Heap, spot: Spot) {
        let Spot {
            ordinal, block, at, ..
        } = spot;
        let run = run_of(heap, block);
        let shape = Shape::read(run);
        let left = shape.without(shape.element(run, at).body_bytes());
        self.len -= 1;
        self.deadline_changed(ordinal, spot.deadline, None);
        self.used_bytes -= (shape.used() - left.used()) as u64;
        self.take_out(heap, (ordinal, block), at, &left);
        if left.count == 0 && self.table.get(&heap.arena, ordinal) != block {
            self.unlist_overflow(heap, ordinal, block);
        }
    }

    /// Gives a short string another deadline, or none.
    pub(crate) fn set_deadline_of_short(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        short: &Short,
        deadline: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        self.set_time(heap, hash, short.spot(), deadline).map(drop)
    }

    /// An item wakes then, or not at all. Cannot fail where the item has woken at some time, or behind [`Self::make_place`], while
    /// nothing else has changed.
    pub(crate) fn set_waking_of_item(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        item: Block,
        wakes_at: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        let spot = self.spot_of_item(heap, hash, item);
        let wakes_at = wakes_at.map(place_of);
        self.set_time(heap, hash, spot, wakes_at).map(drop)
    }

    /// Makes sure that the node of an item has places for deadlines.
    pub(crate) fn make_place(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        item: Block,
    ) -> Result<(), StoreError> {
        let spot = self.spot_of_item(heap, hash, item);
        if Shape::read(run_of(heap, spot.block)).has_deadlines() {
            return Ok(());
        }
        // With any deadline and then without one, the place stays.
        let spot = self.set_time(heap, hash, spot, Some(LAST_TIME))?;
        self.set_time(heap, hash, spot, None).map(drop)
    }

    /// Gives an element another deadline, or none; where it is then.
    fn set_time(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        spot: Spot,
        deadline: Option<UnixMillis>,
    ) -> Result<Spot, StoreError> {
        let mut block = spot.block;
        let mut shape = Shape::read(run_of(heap, block));
        let needed = shape.with_deadline(deadline).needed();
        if needed > RUN_MAX_BYTES {
            return self.set_time_elsewhere(heap, hash, spot, deadline);
        }
        if needed > shape.capacity {
            let bytes = needed + self.sizes.room_bytes;
            (block, shape) = self.resize(heap, spot.ordinal, block, bytes)?;
        }
        let used = shape.used();
        run::set_deadline(run_mut_of(heap, block), &mut shape, spot.at, deadline);
        self.used_bytes += (shape.used() - used) as u64;
        self.deadline_changed(spot.ordinal, spot.deadline, deadline);
        Ok(Spot {
            block,
            deadline,
            ..spot
        })
    }

    #[cold]
    fn set_time_elsewhere(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        spot: Spot,
        deadline: Option<UnixMillis>,
    ) -> Result<Spot, StoreError> {
        let run = run_of(heap, spot.block);
        let element = Shape::read(run).element(run, spot.at);
        let (body, name_code) = (element.body().to_vec(), element.name_code);
        let front = Front {
            tag: tag_of(hash),
            name_code,
            value_code: element.value_code,
            deadline,
        };
        self.exchange_elsewhere(heap, hash, spot, &front, |to| to.copy_from_slice(&body))?;
        let name = body[..run::bytes_of_code(name_code)].to_vec();
        let same = |block: &Block| {
            let run = run_of(heap, *block);
            let is = |field: Field<'_>| field.code == name_code && field.bytes == name;
            let (at, element) = Shape::read(run).find(run, tag_of(hash), is)?;
            Some(Spot::new((spot.ordinal, *block), at, &element))
        };
        let found = self
            .blocks_of(heap, spot.ordinal)
            .find_map(|block| same(&block));
        Ok(found.expect("it has just been added"))
    }

    /// Points an element from one block to another that has its item now; whether it was there.
    #[inline]
    pub(crate) fn repoint(&mut self, heap: &mut Heap, hash: u64, from: Block, to: Block) -> bool {
        let found = self.spot_of(heap, hash, from);
        if let Some((spot, at)) = found {
            let run = run_mut_of(heap, spot.block);
            run[at..at + REFERENCE_BYTES].copy_from_slice(&to.0.to_le_bytes());
        }
        found.is_some()
    }

    /// Whether there are items: their references are what counts as payload here.
    #[inline(always)]
    pub(crate) fn has_items(&self) -> bool {
        self.payload_bytes > 0
    }

    /// Number of nodes that buckets begin with.
    pub(crate) fn nodes(&self) -> u32 {
        self.table.len()
    }

    /// Emits entries as [`Self::scan`] does elements.
    pub(crate) fn scan_entries(
        &self,
        heap: &Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        cursor: u64,
        count: usize,
        emit: &mut dyn FnMut(Entry),
    ) -> Option<u64> {
        self.scan_elements(heap, hash_of, cursor, count, &mut |bucket, at, element| {
            emit(entry_of(bucket, at, element));
        })
    }

    /// Shows each entry once.
    pub(crate) fn each_entry(&self, heap: &Heap, mut show: impl FnMut(Entry)) {
        for ordinal in 0..self.table.len() {
            for block in self.blocks_of(heap, ordinal) {
                let run = run_of(heap, block);
                let mut at = 0;
                Shape::read(run).for_each(run, |element| {
                    show(entry_of((ordinal, block), at, &element));
                    at += 1;
                });
            }
        }
    }

    /// An entry drawn by `random` as [`Self::random`] draws elements, among those that are `live`.
    pub(crate) fn random_entry(
        &self,
        heap: &Heap,
        random: u64,
        live: impl Fn(Entry) -> bool,
    ) -> Option<Entry> {
        self.draw(heap, random, |bucket, at, element| {
            let entry = entry_of(bucket, at, element);
            live(entry).then_some(entry)
        })
    }

    /// Takes a node off a spiral that is in use no more: shows its entries, and frees it; how many entries, `None` if no node was left.
    /// Items stay as they are.
    pub(crate) fn dismantle_node(
        &mut self,
        heap: &mut Heap,
        mut show: impl FnMut(Entry),
    ) -> Option<u32> {
        self.agenda = None;
        let block = match self.overflow.pop() {
            Some((_, block)) => block,
            None => self.table.pop(&mut heap.arena, &mut self.holdings)?,
        };
        let run = run_of(heap, block);
        let shape = Shape::read(run);
        let mut at = 0;
        shape.for_each(run, |element| {
            show(entry_of((0, block), at, &element));
            at += 1;
        });
        self.len -= shape.count as u64;
        self.holdings.free(&mut heap.arena, block);
        Some(shape.count as u32)
    }

    /// Asks for the lines of what is probably the entry of this hash; what it is, as far as its node tells.
    #[inline(always)]
    pub(crate) fn ask_for_entry(heap: &Heap, bucket: (u32, Block), hash: u64) -> Seen {
        let run = run_of(heap, bucket.1);
        let shape = Shape::read(run);
        match shape.find(run, tag_of(hash), |name| may_be(name, hash)) {
            Some((at, element)) => {
                element.prefetch();
                match element.name_code {
                    IN_ITEM => Seen::Reference {
                        node: bucket.1,
                        at: (NODE_HEAD_BYTES + element.start) as u16,
                    },
                    _ => Seen::Short(Short::new(bucket, at, &element)),
                }
            }
            None if shape.overflows() => Seen::Unknown,
            None => Seen::Absent,
        }
    }

    /// An item that a hash probably stands for: its tag is the same.
    #[inline(always)]
    pub(crate) fn probable_item(&self, heap: &Heap, hash: u64) -> Option<Block> {
        let (_, block) = self.first_block(heap, hash);
        let run = run_of(heap, block);
        let is = |name: Field<'_>| name.code == IN_ITEM && may_be(name, hash);
        let (_, element) = Shape::read(run).find(run, tag_of(hash), is)?;
        element.name().item()
    }
}

const _: () = assert!(
    NODE_HEAD_BYTES + ELEMENT_MAX_BYTES * 2 < RUN_MAX_BYTES,
    "any short string fits a node"
);
