//! A large collection of named elements, or the entries of a database: nodes of one to two kibibytes, or half of that, found by spiral
//! storage.
//!
//! ```text
//!  a name ─ hash ─▶ position ─▶ bucket ─▶ ordinal ─▶ table ─▶ node: tags, then the element whose name it is
//!                   └ address.rs ───────────────┘    nodes/   └ run.rs           └─▶ long.rs: if it is long
//! ```
//! An element is a name, a value and perhaps a deadline: a field of a hash; a member of a set, whose value has no bytes; an
//! entry of a keyspace, of which `entries.rs` knows more. What else it is used for does not show here.
//!
//! When the nodes come to hold more than a mean ([`NodeSizes`]), one is divided; when they hold an eighth less, two
//! become one: a change moves the elements of two nodes at most (`divide.rs`). A node's block follows its content from size class to size
//! class. Elements of a bucket that exceed a node, which only names of equal hashes or chance bring about, lie in further nodes, listed apart.
//!
//! Cost: a lookup reads the page of the table, the node's header and tags, and the element: about three cache misses.

pub(crate) mod address;
mod check;
mod deadlines;
mod divide;
pub(crate) mod drawn;
pub(crate) mod due;
pub(crate) mod entries;
mod long;
#[cfg(any(test, feature = "model"))]
pub(crate) mod model;
mod near;
pub(crate) mod packed;
mod relocate;
mod run;
mod scan;
#[cfg(test)]
mod tests;

pub use near::Intent;

use std::ops::Range;

use address::{Bucket, Position};
use run::{Element, Field, Front, NewElement, Shape};

use crate::agenda::Agenda;
use crate::nodes::{Heap, Holdings, NODE_HEAD_BYTES, NODE_MAX_BYTES, NodeKind, Owner, Table};
use crate::raw::Block;
use crate::{StoreError, UnixMillis};

/// The longest run of a node.
const RUN_MAX_BYTES: usize = NODE_MAX_BYTES - NODE_HEAD_BYTES;
/// Nodes become fewer when they hold so much less than they might, as a shift: an eighth.
const MERGE_SHIFT: u32 = 3;
/// Of a node that has lost an element so much more may lie idle, as a shift: an eighth of what is in use.
const IDLE_SHIFT: u32 = 3;

/// How large and how full the nodes of a collection are.
#[derive(Debug)]
pub(crate) struct NodeSizes {
    /// Bytes in use that runs have on average: beyond, one node more is made.
    run_mean_bytes: u64,
    /// Room that a node's block has for what comes next.
    room_bytes: usize,
    /// A block becomes shorter when more of it lies idle.
    idle_max_bytes: usize,
}

impl NodeSizes {
    /// Of a hash or a set.
    pub(crate) const FIELDS: Self = Self::new(1536, 32, 128);
    /// Of a keyspace, whose elements are longer and more often changed.
    pub(crate) const ENTRIES: Self = Self::new(832, 0, 64);

    const fn new(mean_bytes: usize, room_bytes: usize, idle_max_bytes: usize) -> Self {
        Self {
            run_mean_bytes: (mean_bytes - NODE_HEAD_BYTES) as u64,
            room_bytes,
            idle_max_bytes,
        }
    }
}

/// An element as a reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ElementRef<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) deadline: Option<UnixMillis>,
}

/// What [`Spiral::put`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Added,
    Replaced,
}

/// The root of a collection.
pub(crate) struct Spiral {
    sizes: &'static NodeSizes,
    table: Table,
    holdings: Holdings,
    /// Further nodes of a bucket, by the ordinal of its first, in order.
    overflow: Vec<(u32, Block)>,
    len: u64,
    /// Elements with a deadline.
    volatile: u64,
    /// When to look at which node for elements that have ended; none while no element has a deadline.
    agenda: Option<Box<Agenda>>,
    /// Bytes in use in the runs of all nodes.
    used_bytes: u64,
    /// Bytes of names and values.
    payload_bytes: u64,
}

/// Where an element is, and what a change asks first, until the collection changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    ordinal: u32,
    block: Block,
    at: usize,
    value_code: u8,
    deadline: Option<UnixMillis>,
}

/// Where an element is, or where it is to be: the ordinal of its bucket, and the first block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Taken(Spot),
    Free(u32, Block),
}

/// The run of a node, and what lies behind its block.
#[inline(always)]
fn run_of(heap: &Heap, block: Block) -> &[u8] {
    &heap.arena.tail(block)[NODE_HEAD_BYTES..]
}

/// The run of a node, to change.
#[inline(always)]
fn run_mut_of(heap: &mut Heap, block: Block) -> &mut [u8] {
    &mut heap.arena.tail_mut(block)[NODE_HEAD_BYTES..]
}

/// The runs of two nodes, the second to change.
#[inline(always)]
fn runs_of_pair(heap: &mut Heap, from: Block, to: Block) -> (&[u8], &mut [u8]) {
    let (from, to) = heap.arena.pair(from, to);
    (&from[NODE_HEAD_BYTES..], &mut to[NODE_HEAD_BYTES..])
}

impl Spot {
    #[inline(always)]
    fn new((ordinal, block): (u32, Block), at: usize, element: &Element<'_>) -> Self {
        Self {
            ordinal,
            block,
            at,
            value_code: element.value_code,
            deadline: element.deadline,
        }
    }
}

#[inline(always)]
fn tag_of(hash: u64) -> u8 {
    hash as u8
}

impl Spiral {
    /// An empty one, of one node.
    pub(crate) fn new(
        heap: &mut Heap,
        owner: Owner,
        sizes: &'static NodeSizes,
    ) -> Result<Self, StoreError> {
        let mut spiral = Self {
            sizes,
            table: Table::default(),
            holdings: Holdings::new(owner),
            overflow: Vec::new(),
            len: 0,
            volatile: 0,
            agenda: None,
            used_bytes: 0,
            payload_bytes: 0,
        };
        let block = spiral.new_node(heap, 0, &Shape::empty(0))?;
        let pushed = spiral
            .table
            .push(&mut heap.arena, &mut spiral.holdings, block);
        if let Err(error) = pushed {
            spiral.holdings.free(&mut heap.arena, block);
            return Err(error);
        }
        spiral.used_bytes = Shape::empty(0).used() as u64;
        Ok(spiral)
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Elements that have a deadline.
    #[cfg(any(test, feature = "model"))]
    pub(crate) fn volatile_len(&self) -> u64 {
        self.volatile
    }

    /// Bytes of all its blocks and extents.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.holdings.bytes
    }

    /// Bytes of its lists, which are not in the arena.
    pub(crate) fn list_bytes(&self) -> u64 {
        let overflow = self.overflow.capacity() * size_of::<(u32, Block)>();
        self.table.list_bytes() + overflow as u64 + self.agenda_bytes()
    }

    /// Bytes of names and values.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// A block for a node of this shape, with room, and the shape written: an empty node where `shape` plans elements.
    fn new_node(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        plan: &Shape,
    ) -> Result<Block, StoreError> {
        let block = self.block_for(heap, ordinal, plan.needed() + self.sizes.room_bytes)?;
        let capacity = heap.arena.block_bytes(block) - NODE_HEAD_BYTES;
        Shape::empty(capacity).write(run_mut_of(heap, block));
        Ok(block)
    }

    /// A block for a node whose run needs so many bytes, which may be bounded.
    #[inline(always)]
    fn block_for(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        run_bytes: usize,
    ) -> Result<Block, StoreError> {
        let bytes = NODE_HEAD_BYTES + run_bytes.min(RUN_MAX_BYTES);
        let (kind, arena) = (NodeKind::Elements, &mut heap.arena);
        self.holdings.alloc(arena, bytes, kind, ordinal)
    }

    #[inline(always)]
    fn first_block(&self, heap: &Heap, hash: u64) -> (u32, Block) {
        let ordinal = Bucket::of(Position::of(hash), self.table.len()).ordinal();
        (ordinal, self.table.get(&heap.arena, ordinal))
    }

    /// The further nodes of a bucket.
    fn overflow_of(&self, ordinal: u32) -> &[(u32, Block)] {
        let start = self.overflow.partition_point(|&(of, _)| of < ordinal);
        let rest = &self.overflow[start..];
        &rest[..rest.partition_point(|&(of, _)| of == ordinal)]
    }

    /// All blocks of a bucket.
    fn blocks_of<'a>(&'a self, heap: &Heap, ordinal: u32) -> impl Iterator<Item = Block> + use<'a> {
        let first = self.table.get(&heap.arena, ordinal);
        let overflow = match Shape::read(run_of(heap, first)).overflows() {
            true => self.overflow_of(ordinal),
            false => &[],
        };
        std::iter::once(first).chain(overflow.iter().map(|&(_, block)| block))
    }

    /// Where the element of this name is, or is to be, and the element.
    #[inline(always)]
    fn locate<'a>(&self, heap: &'a Heap, hash: u64, name: &[u8]) -> (Place, Option<Element<'a>>) {
        let (ordinal, block) = self.first_block(heap, hash);
        let run = run_of(heap, block);
        let shape = Shape::read(run);
        let is = |field: Field<'a>| long::bytes(heap, field) == name;
        let found = match shape.find(run, tag_of(hash), is) {
            Some((at, element)) => Some((Spot::new((ordinal, block), at, &element), element)),
            None if shape.overflows() => self.locate_beyond(heap, ordinal, hash, name),
            None => None,
        };
        match found {
            Some((spot, element)) => (Place::Taken(spot), Some(element)),
            None => (Place::Free(ordinal, block), None),
        }
    }

    #[cold]
    fn locate_beyond<'a>(
        &self,
        heap: &'a Heap,
        ordinal: u32,
        hash: u64,
        name: &[u8],
    ) -> Option<(Spot, Element<'a>)> {
        self.overflow_of(ordinal).iter().find_map(|&(_, block)| {
            let run = run_of(heap, block);
            let is = |field: Field<'a>| long::bytes(heap, field) == name;
            let (at, element) = Shape::read(run).find(run, tag_of(hash), is)?;
            Some((Spot::new((ordinal, block), at, &element), element))
        })
    }

    /// Where the element of this name, whose hash is `hash`, is or is to be; and the element.
    #[inline]
    pub(crate) fn find<'a>(
        &self,
        heap: &'a Heap,
        hash: u64,
        name: &[u8],
    ) -> (Place, Option<ElementRef<'a>>) {
        let (place, element) = self.locate(heap, hash, name);
        (place, element.map(|element| Self::view(heap, &element)))
    }

    /// The element of this name, whose hash is `hash`.
    #[inline]
    pub(crate) fn get<'a>(&self, heap: &'a Heap, hash: u64, name: &[u8]) -> Option<ElementRef<'a>> {
        let (_, element) = self.locate(heap, hash, name);
        Some(Self::view(heap, &element?))
    }

    #[inline(always)]
    fn view<'a>(heap: &'a Heap, element: &Element<'a>) -> ElementRef<'a> {
        ElementRef {
            name: long::bytes(heap, element.name()),
            value: long::bytes(heap, element.value()),
            deadline: element.deadline,
        }
    }

    /// Gives the element of this name this value and deadline, and adds it if it is not there. `hash_of` tells the hash of any
    /// name.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn put(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        element: ElementRef<'_>,
    ) -> Result<Put, StoreError> {
        let hash = hash_of(element.name);
        let (place, _) = self.locate(heap, hash, element.name);
        self.put_at(heap, hash_of, (hash, place), element)
    }

    /// As [`Self::put`], where [`Self::find`] has found the element of this hash, or none.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    #[inline(always)]
    pub(crate) fn put_at(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        (hash, place): (u64, Place),
        element: ElementRef<'_>,
    ) -> Result<Put, StoreError> {
        let put = match place {
            Place::Taken(spot)
                if run::is_length(spot.value_code, element.value.len())
                    && spot.deadline == element.deadline =>
            {
                let run = run_mut_of(heap, spot.block);
                let shape = Shape::read(run);
                run::overwrite_value(run, &shape, spot.at, element.value);
                return Ok(Put::Replaced);
            }
            Place::Taken(spot) => self.replace(heap, hash, spot, element)?,
            Place::Free(ordinal, block) => self.add(heap, hash, (ordinal, block), element)?,
        };
        self.balance(heap, hash_of);
        Ok(put)
    }

    #[inline]
    fn add(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        bucket: (u32, Block),
        element: ElementRef<'_>,
    ) -> Result<Put, StoreError> {
        let ElementRef {
            name,
            value,
            deadline,
        } = element;
        if name.len().max(value.len()) <= long::INLINE_MAX_BYTES {
            let stored = NewElement {
                tag: tag_of(hash),
                name: Field::of_bytes(name),
                value: Field::of_bytes(value),
                deadline,
            };
            self.add_stored(heap, bucket, &stored)?;
        } else {
            self.add_long(heap, hash, bucket, element)?;
        }
        self.len += 1;
        self.deadline_changed(bucket.0, None, deadline);
        self.payload_bytes += (name.len() + value.len()) as u64;
        Ok(Put::Added)
    }

    /// As [`Self::add_stored`], of an element whose name or value may not lie in it.
    #[inline(never)]
    fn add_long(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        bucket: (u32, Block),
        element: ElementRef<'_>,
    ) -> Result<(), StoreError> {
        let position = Position::of(hash);
        let name = long::store(heap, &mut self.holdings, position, element.name)?;
        let value = match long::store(heap, &mut self.holdings, position, element.value) {
            Ok(value) => value,
            Err(error) => {
                long::free(heap, &mut self.holdings, name.field().reference());
                return Err(error);
            }
        };
        let stored = NewElement {
            tag: tag_of(hash),
            name: name.field(),
            value: value.field(),
            deadline: element.deadline,
        };
        if let Err(error) = self.add_stored(heap, bucket, &stored) {
            long::free(heap, &mut self.holdings, stored.name.reference());
            long::free(heap, &mut self.holdings, stored.value.reference());
            return Err(error);
        }
        Ok(())
    }

    /// Writes an element into the node where it belongs.
    #[inline(always)]
    fn add_stored(
        &mut self,
        heap: &mut Heap,
        bucket: (u32, Block),
        element: &NewElement<'_>,
    ) -> Result<(), StoreError> {
        let (block, body) = self.open_element(heap, bucket, &element.front())?;
        element.fill(&mut run_mut_of(heap, block)[body]);
        Ok(())
    }

    /// Adds an element to the node where it belongs, but for its bytes: the node, and where in its run they are to be written.
    #[inline(always)]
    fn open_element(
        &mut self,
        heap: &mut Heap,
        (ordinal, mut block): (u32, Block),
        front: &Front,
    ) -> Result<(Block, Range<usize>), StoreError> {
        let mut shape = Shape::read(run_of(heap, block));
        let mut new = shape.with(front.name_code, front.value_code, front.deadline);
        if new.needed() > RUN_MAX_BYTES {
            block = self.overflow_with_room(heap, ordinal, front)?;
            shape = Shape::read(run_of(heap, block));
            new = shape.with(front.name_code, front.value_code, front.deadline);
        }
        if new.needed() > shape.capacity {
            let bytes = new.needed() + self.sizes.room_bytes;
            (block, shape) = self.resize(heap, ordinal, block, bytes)?;
            new = new.moved_to(shape.capacity);
        }
        let body = run::open(run_mut_of(heap, block), &shape, &new, front);
        self.used_bytes += (new.used() - shape.used()) as u64;
        Ok((block, body))
    }

    /// A further node of a full bucket, with room for the element.
    #[cold]
    fn overflow_with_room(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        front: &Front,
    ) -> Result<Block, StoreError> {
        let fits = |&&(_, block): &&(u32, Block)| {
            let shape = Shape::read(run_of(heap, block));
            let with = shape.with(front.name_code, front.value_code, front.deadline);
            with.needed() <= RUN_MAX_BYTES
        };
        if let Some(&(_, block)) = self.overflow_of(ordinal).iter().find(fits) {
            return Ok(block);
        }
        // With the room at once: for what then finds none, an empty node would be left.
        let plan = Shape::empty(0).with(front.name_code, front.value_code, front.deadline);
        let block = self.new_node(heap, ordinal, &plan)?;
        self.used_bytes += Shape::empty(0).used() as u64;
        self.list_overflow(heap, ordinal, block);
        Ok(block)
    }

    /// Notes a further node of a bucket.
    fn list_overflow(&mut self, heap: &mut Heap, ordinal: u32, block: Block) {
        let place = self.overflow.partition_point(|&(of, _)| of <= ordinal);
        self.overflow.insert(place, (ordinal, block));
        let first = self.table.get(&heap.arena, ordinal);
        let run = run_mut_of(heap, first);
        let mut shape = Shape::read(run);
        shape.set_overflows(true);
        shape.write(run);
    }

    /// Gives a node a block with room for a run of `bytes`; that block, and the run's shape.
    fn resize(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        block: Block,
        bytes: usize,
    ) -> Result<(Block, Shape), StoreError> {
        let resized = self.block_for(heap, ordinal, bytes)?;
        let (from, to) = runs_of_pair(heap, block, resized);
        let shape = run::copy(from, &Shape::read(from), to);
        self.put_in_place(heap, ordinal, block, resized);
        Ok((resized, shape))
    }

    /// Frees the block `old` of a node, whose elements are in `new` now.
    #[inline(always)]
    fn put_in_place(&mut self, heap: &mut Heap, ordinal: u32, old: Block, new: Block) {
        self.holdings.free(&mut heap.arena, old);
        match self.overflow.is_empty() {
            true => self.table.set(&mut heap.arena, ordinal, new),
            false => self.moved(heap, ordinal, old, new),
        }
    }

    /// A node has gone from one block to another.
    fn moved(&mut self, heap: &mut Heap, ordinal: u32, from: Block, to: Block) {
        if self.table.get(&heap.arena, ordinal) == from {
            self.table.set(&mut heap.arena, ordinal, to);
            return;
        }
        let is_it = |&&mut (of, block): &&mut (u32, Block)| of == ordinal && block == from;
        let listed = self.overflow.iter_mut().find(is_it);
        listed.expect("a node is in the table or listed").1 = to;
    }

    #[inline]
    fn replace(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        spot: Spot,
        element: ElementRef<'_>,
    ) -> Result<Put, StoreError> {
        let (value, deadline) = (element.value, element.deadline);
        let inline = value.len() <= long::INLINE_MAX_BYTES;
        if inline && !run::is_reference(spot.value_code) {
            let field = Field::of_bytes(value);
            if !self.replace_stored(heap, spot, field, deadline)? {
                return self.replace_elsewhere(heap, hash, spot, element);
            }
            let old_len = u64::from(spot.value_code);
            self.payload_bytes = self.payload_bytes - old_len + value.len() as u64;
        } else if !self.replace_long(heap, hash, spot, element)? {
            return self.replace_elsewhere(heap, hash, spot, element);
        }
        self.deadline_changed(spot.ordinal, spot.deadline, deadline);
        Ok(Put::Replaced)
    }

    /// As [`Self::replace_stored`], where the old value or the new one may not lie in the element.
    #[inline(never)]
    fn replace_long(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        spot: Spot,
        element: ElementRef<'_>,
    ) -> Result<bool, StoreError> {
        let value = long::store(heap, &mut self.holdings, Position::of(hash), element.value)?;
        let value = value.field();
        let run = run_of(heap, spot.block);
        let old = Shape::read(run).element(run, spot.at).value();
        let (old_len, old_reference) = (long::bytes(heap, old).len(), old.reference());
        let replaced = self.replace_stored(heap, spot, value, element.deadline);
        if replaced != Ok(true) {
            long::free(heap, &mut self.holdings, value.reference());
            return replaced;
        }
        long::free(heap, &mut self.holdings, old_reference);
        self.payload_bytes = self.payload_bytes - old_len as u64 + element.value.len() as u64;
        Ok(true)
    }

    /// Writes a value and a deadline into the element at `spot`; whether the node has room for it.
    #[inline(always)]
    fn replace_stored(
        &mut self,
        heap: &mut Heap,
        spot: Spot,
        value: Field<'_>,
        deadline: Option<UnixMillis>,
    ) -> Result<bool, StoreError> {
        let Some((block, place)) = self.reopen_value(heap, spot, (value.code, deadline))? else {
            return Ok(false);
        };
        run_mut_of(heap, block)[place].copy_from_slice(value.bytes);
        self.shorten(heap, spot.ordinal, block);
        Ok(true)
    }

    /// Makes room for another value of this code, and gives the element this deadline: the node, and where in its run the value is to
    /// be written. `None` if the node cannot have the room.
    #[inline(always)]
    fn reopen_value(
        &mut self,
        heap: &mut Heap,
        spot: Spot,
        (code, deadline): (u8, Option<UnixMillis>),
    ) -> Result<Option<(Block, Range<usize>)>, StoreError> {
        let (ordinal, mut block) = (spot.ordinal, spot.block);
        let run = run_of(heap, block);
        let mut shape = Shape::read(run);
        let mut new = run::shape_with_value(run, &shape, spot.at, code, deadline);
        if new.needed() > RUN_MAX_BYTES {
            return Ok(None);
        }
        if new.needed() > shape.capacity {
            let bytes = new.needed() + self.sizes.room_bytes;
            (block, shape) = self.resize(heap, ordinal, block, bytes)?;
            new = new.moved_to(shape.capacity);
        }
        let run = run_mut_of(heap, block);
        let place = run::reopen_value(run, &shape, &new, spot.at, (code, deadline));
        self.used_bytes = self.used_bytes - shape.used() as u64 + new.used() as u64;
        Ok(Some((block, place)))
    }

    /// Moves a node to a shorter block if too much of its own lies idle.
    #[inline(always)]
    fn shorten(&mut self, heap: &mut Heap, ordinal: u32, block: Block) {
        let shape = Shape::read(run_of(heap, block));
        if shape.idle() > self.sizes.idle_max_bytes {
            // Without memory for a shorter block, the long one does.
            let bytes = shape.used() + self.sizes.room_bytes;
            let _ = self.resize(heap, ordinal, block, bytes);
        }
    }

    /// Gives the element at `spot` another deadline, or none.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn set_deadline_at(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        (hash, spot): (u64, Spot),
        deadline: Option<UnixMillis>,
    ) -> Result<(), StoreError> {
        let mut block = spot.block;
        let mut shape = Shape::read(run_of(heap, block));
        let needed = shape.with_deadline(deadline).needed();
        if needed > RUN_MAX_BYTES {
            let element = shape.element(run_of(heap, block), spot.at);
            let element = Self::view(heap, &element);
            let (name, value) = (element.name.to_vec(), element.value.to_vec());
            let moved = ElementRef {
                name: &name,
                value: &value,
                deadline,
            };
            self.replace_elsewhere(heap, hash, spot, moved)?;
        } else {
            if needed > shape.capacity {
                let bytes = needed + self.sizes.room_bytes;
                (block, shape) = self.resize(heap, spot.ordinal, block, bytes)?;
            }
            let used = shape.used();
            run::set_deadline(run_mut_of(heap, block), &mut shape, spot.at, deadline);
            self.used_bytes += (shape.used() - used) as u64;
            self.deadline_changed(spot.ordinal, spot.deadline, deadline);
        }
        self.balance(heap, hash_of);
        Ok(())
    }

    /// Replaces an element that no longer fits its node.
    #[cold]
    fn replace_elsewhere(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        spot: Spot,
        element: ElementRef<'_>,
    ) -> Result<Put, StoreError> {
        let bucket = self.first_block(heap, hash);
        self.add(heap, hash, bucket, element)?;
        // What was added lies behind, or in another block: the spot is still right.
        self.take(heap, spot);
        Ok(Put::Replaced)
    }

    /// Removes the element of this name; whether it was there.
    pub(crate) fn remove(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        name: &[u8],
    ) -> bool {
        let (Place::Taken(spot), _) = self.locate(heap, hash_of(name), name) else {
            return false;
        };
        self.remove_at(heap, hash_of, spot);
        true
    }

    /// Removes the element at `spot`.
    #[inline(always)]
    pub(crate) fn remove_at(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        spot: Spot,
    ) {
        self.take(heap, spot);
        self.balance(heap, hash_of);
    }

    /// Takes an element out of its node, and frees what it has elsewhere.
    fn take(&mut self, heap: &mut Heap, spot: Spot) {
        let Spot {
            ordinal, block, at, ..
        } = spot;
        let run = run_of(heap, block);
        let shape = Shape::read(run);
        let element = shape.element(run, at);
        let left = shape.without(element.body_bytes());
        self.len -= 1;
        self.deadline_changed(ordinal, spot.deadline, None);
        if run::is_reference(element.name_code) || run::is_reference(element.value_code) {
            let (name, value) = (element.name(), element.value());
            let references = [name.reference(), value.reference()];
            let bytes = long::bytes(heap, name).len() + long::bytes(heap, value).len();
            self.payload_bytes -= bytes as u64;
            for reference in references {
                long::free(heap, &mut self.holdings, reference);
            }
        } else {
            self.payload_bytes -= element.body_bytes() as u64;
        }
        self.used_bytes -= (shape.used() - left.used()) as u64;
        self.take_out(heap, (ordinal, block), at, &left);
        if left.count == 0 && self.table.get(&heap.arena, ordinal) != block {
            self.unlist_overflow(heap, ordinal, block);
        }
    }

    /// Takes element `at` out of a node, whose shape is `left` then. It moves to a shorter block if too much lies idle.
    #[inline(always)]
    fn take_out(
        &mut self,
        heap: &mut Heap,
        (ordinal, block): (u32, Block),
        at: usize,
        left: &Shape,
    ) {
        let used = left.used();
        if left.idle() > self.sizes.idle_max_bytes + (used >> IDLE_SHIFT) && left.count > 0 {
            // Without memory for a shorter block, the long one does.
            if let Ok(shorter) = self.block_for(heap, ordinal, used + self.sizes.room_bytes) {
                let (from, to) = runs_of_pair(heap, block, shorter);
                run::copy_without(from, at, to, left);
                return self.put_in_place(heap, ordinal, block, shorter);
            }
        }
        run::swap_remove(run_mut_of(heap, block), at, left);
    }

    /// Frees a further node that has become empty.
    #[cold]
    fn unlist_overflow(&mut self, heap: &mut Heap, ordinal: u32, block: Block) {
        self.overflow.retain(|&(_, listed)| listed != block);
        self.used_bytes -= Shape::empty(0).used() as u64;
        self.holdings.free(&mut heap.arena, block);
        let is_last = self.overflow_of(ordinal).is_empty();
        let first = self.table.get(&heap.arena, ordinal);
        let run = run_mut_of(heap, first);
        let mut shape = Shape::read(run);
        shape.set_overflows(!is_last);
        shape.write(run);
    }
}
