//! A large collection of named elements: nodes of one to two kibibytes, found by spiral storage.
//!
//! ```text
//!  a name ─ hash ─▶ position ─▶ bucket ─▶ ordinal ─▶ table ─▶ node: tags, then the element whose name it is
//!                   └ address.rs ───────────────┘    nodes/   └ run.rs           └─▶ long.rs: if it is long
//! ```
//! An element is a name, a value and perhaps a deadline: a field of a hash; a member of a set, whose value has no bytes; an
//! entry of a keyspace, whose value begins with what else is known of it. What it is used for does not show here.
//!
//! When the nodes come to hold more than [`NODE_MEAN_BYTES`] on average, one is divided; when they hold an eighth less, two
//! become one: a change moves the elements of two nodes at most (`divide.rs`). A node's block follows its content from size class to size
//! class. Elements of a bucket that exceed a node, which only names of equal hashes or chance bring about, lie in further nodes, listed apart.
//!
//! Cost: a lookup reads the page of the table, the node's header and tags, and the element: about three cache misses.

mod address;
mod check;
mod deadlines;
mod divide;
mod long;
#[cfg(any(test, feature = "model"))]
pub(crate) mod model;
pub(crate) mod packed;
mod relocate;
mod run;
mod scan;
#[cfg(test)]
mod tests;

use address::{Bucket, Position};
use run::{Element, Field, NewElement, Shape};

use crate::agenda::Agenda;
use crate::nodes::{Heap, Holdings, NODE_HEAD_BYTES, NODE_MAX_BYTES, NodeKind, Owner, Table};
use crate::raw::Block;
use crate::{StoreError, UnixMillis};

/// Bytes in use that runs have on average: beyond, one node more is made.
const RUN_MEAN_BYTES: u64 = 1536 - NODE_HEAD_BYTES as u64;
/// The longest run of a node.
const RUN_MAX_BYTES: usize = NODE_MAX_BYTES - NODE_HEAD_BYTES;
/// Nodes become fewer when they hold so much less than they might, as a shift: an eighth.
const MERGE_SHIFT: u32 = 3;
/// Room that a node's block has for what comes next.
const ROOM_BYTES: usize = 32;
/// A block becomes shorter when more of it lies idle.
const IDLE_MAX_BYTES: usize = 128;

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
    pub(crate) fn new(heap: &mut Heap, owner: Owner) -> Result<Self, StoreError> {
        let mut spiral = Self {
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
        let block = self.block_for(heap, ordinal, plan.needed() + ROOM_BYTES)?;
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

    fn add(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        bucket: (u32, Block),
        element: ElementRef<'_>,
    ) -> Result<Put, StoreError> {
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
        self.len += 1;
        self.deadline_changed(bucket.0, None, element.deadline);
        self.payload_bytes += (element.name.len() + element.value.len()) as u64;
        Ok(Put::Added)
    }

    /// Writes an element into the node where it belongs.
    fn add_stored(
        &mut self,
        heap: &mut Heap,
        (ordinal, mut block): (u32, Block),
        element: &NewElement<'_>,
    ) -> Result<(), StoreError> {
        let mut shape = Shape::read(run_of(heap, block));
        let codes = (element.name.code, element.value.code);
        let mut needed = shape.with(codes.0, codes.1, element.deadline).needed();
        if needed > RUN_MAX_BYTES {
            block = self.overflow_with_room(heap, ordinal, element)?;
            shape = Shape::read(run_of(heap, block));
            needed = shape.with(codes.0, codes.1, element.deadline).needed();
        }
        if needed > shape.capacity {
            block = self.resize(heap, ordinal, block, needed + ROOM_BYTES)?;
            shape = Shape::read(run_of(heap, block));
        }
        let used = shape.used();
        run::append(run_mut_of(heap, block), &mut shape, element);
        self.used_bytes += (shape.used() - used) as u64;
        Ok(())
    }

    /// A further node of a full bucket, with room for the element.
    #[cold]
    fn overflow_with_room(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        element: &NewElement<'_>,
    ) -> Result<Block, StoreError> {
        let fits = |&&(_, block): &&(u32, Block)| {
            let shape = Shape::read(run_of(heap, block));
            let with = shape.with(element.name.code, element.value.code, element.deadline);
            with.needed() <= RUN_MAX_BYTES
        };
        if let Some(&(_, block)) = self.overflow_of(ordinal).iter().find(fits) {
            return Ok(block);
        }
        let block = self.new_node(heap, ordinal, &Shape::empty(0))?;
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

    /// Gives a node a block with room for a run of `bytes`; that block.
    fn resize(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        block: Block,
        bytes: usize,
    ) -> Result<Block, StoreError> {
        let resized = self.block_for(heap, ordinal, bytes)?;
        let old = Shape::read(run_of(heap, block));
        let arena = &mut heap.arena;
        let new = old.moved_to(arena.block_bytes(resized) - NODE_HEAD_BYTES);
        let from = NODE_HEAD_BYTES + old.bodies().start..NODE_HEAD_BYTES + old.bodies().end;
        let to = NODE_HEAD_BYTES + new.bodies().start;
        arena.copy_between(block, from, resized, to);
        let front = NODE_HEAD_BYTES + run::HEADER_BYTES..NODE_HEAD_BYTES + old.front_end();
        arena.copy_between(block, front.clone(), resized, front.start);
        new.write(run_mut_of(heap, resized));
        self.holdings.free(&mut heap.arena, block);
        self.moved(heap, ordinal, block, resized);
        Ok(resized)
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

    fn replace(
        &mut self,
        heap: &mut Heap,
        hash: u64,
        spot: Spot,
        element: ElementRef<'_>,
    ) -> Result<Put, StoreError> {
        let value = long::store(heap, &mut self.holdings, Position::of(hash), element.value)?;
        let value = value.field();
        let mut block = spot.block;
        let run = run_of(heap, block);
        let mut shape = Shape::read(run);
        let old = shape.element(run, spot.at);
        let old_len = long::bytes(heap, old.value()).len();
        let old_reference = old.value().reference();
        let mut new = run::shape_with_value(run, &shape, spot.at, value.code, element.deadline);
        if new.needed() > RUN_MAX_BYTES {
            // Its bucket has, or gets, another node.
            long::free(heap, &mut self.holdings, value.reference());
            return self.replace_elsewhere(heap, hash, spot, element);
        }
        if new.needed() > shape.capacity {
            let resized = self.resize(heap, spot.ordinal, block, new.needed() + ROOM_BYTES);
            block = match resized {
                Ok(resized) => resized,
                Err(error) => {
                    long::free(heap, &mut self.holdings, value.reference());
                    return Err(error);
                }
            };
            shape = Shape::read(run_of(heap, block));
            new = new.moved_to(shape.capacity);
        }
        let used = shape.used();
        let run = run_mut_of(heap, block);
        run::set_value(run, &mut shape, new, spot.at, value, element.deadline);
        self.used_bytes = self.used_bytes - used as u64 + shape.used() as u64;
        long::free(heap, &mut self.holdings, old_reference);
        self.deadline_changed(spot.ordinal, spot.deadline, element.deadline);
        self.payload_bytes = self.payload_bytes - old_len as u64 + element.value.len() as u64;
        self.shorten(heap, spot.ordinal, block, &shape);
        Ok(Put::Replaced)
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
                block = self.resize(heap, spot.ordinal, block, needed + ROOM_BYTES)?;
                shape = Shape::read(run_of(heap, block));
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

    /// Gives a block that has become much too long a shorter one.
    #[inline]
    fn shorten(&mut self, heap: &mut Heap, ordinal: u32, block: Block, shape: &Shape) {
        if shape.idle() > IDLE_MAX_BYTES {
            // Without memory for that, the long one does.
            let _ = self.resize(heap, ordinal, block, shape.used() + ROOM_BYTES);
        }
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
        let mut shape = Shape::read(run);
        let element = shape.element(run, at);
        let bytes =
            long::bytes(heap, element.name()).len() + long::bytes(heap, element.value()).len();
        let references = [element.name().reference(), element.value().reference()];
        self.len -= 1;
        self.deadline_changed(ordinal, spot.deadline, None);
        self.payload_bytes -= bytes as u64;
        for reference in references {
            long::free(heap, &mut self.holdings, reference);
        }
        let used = shape.used();
        run::remove(run_mut_of(heap, block), &mut shape, at);
        self.used_bytes -= (used - shape.used()) as u64;
        if shape.count == 0 && self.table.get(&heap.arena, ordinal) != block {
            self.unlist_overflow(heap, ordinal, block);
        } else {
            self.shorten(heap, ordinal, block, &shape);
        }
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
