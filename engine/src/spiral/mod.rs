//! A large collection of named elements: nodes of one to two kibibytes, found by spiral storage.
//!
//! ```text
//!  a name ─ hash ─▶ position ─▶ bucket ─▶ ordinal ─▶ table ─▶ node: tags, then the element whose name it is
//!                   └ address.rs ───────────────┘    nodes/   └ node.rs          └─▶ long.rs: if it is long
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
mod node;
mod relocate;
mod scan;
#[cfg(test)]
mod tests;

use address::{Bucket, Position};
use node::{Element, Field, NewElement, Shape};

use crate::agenda::Agenda;
use crate::nodes::{Heap, Holdings, NODE_MAX_BYTES, NodeKind, Owner, Table};
use crate::raw::Block;
use crate::{StoreError, UnixMillis};

/// Bytes in use that nodes have on average: beyond, one more is made.
const NODE_MEAN_BYTES: u64 = 1536;
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
    /// Bytes in use in all nodes.
    used_bytes: u64,
    /// Bytes of names and values.
    payload_bytes: u64,
}

/// Where an element is.
#[derive(Clone, Copy, Debug)]
struct Spot {
    ordinal: u32,
    block: Block,
    at: usize,
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
        let bytes = (plan.needed() + ROOM_BYTES).min(NODE_MAX_BYTES);
        let kind = NodeKind::Elements;
        let block = self.holdings.alloc(&mut heap.arena, bytes, kind, ordinal)?;
        let capacity = heap.arena.block_bytes(block);
        Shape::empty(capacity).write(heap.arena.tail_mut(block));
        Ok(block)
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
        let overflow = match Shape::read(heap.arena.tail(first)).overflows() {
            true => self.overflow_of(ordinal),
            false => &[],
        };
        std::iter::once(first).chain(overflow.iter().map(|&(_, block)| block))
    }

    /// Where the element of this name is; or, if it is not there, where it is to be: the ordinal of its bucket, and the first
    /// block.
    #[inline(always)]
    fn locate<'a>(
        &self,
        heap: &'a Heap,
        hash: u64,
        name: &[u8],
    ) -> Result<(Spot, Element<'a>), (u32, Block)> {
        let (ordinal, block) = self.first_block(heap, hash);
        let node = heap.arena.tail(block);
        let shape = Shape::read(node);
        let is = |field: Field<'a>| long::bytes(heap, field) == name;
        match shape.find(node, tag_of(hash), is) {
            Some((at, element)) => {
                let spot = Spot { ordinal, block, at };
                Ok((spot, element))
            }
            None if shape.overflows() => self
                .locate_beyond(heap, ordinal, hash, name)
                .ok_or((ordinal, block)),
            None => Err((ordinal, block)),
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
            let node = heap.arena.tail(block);
            let is = |field: Field<'a>| long::bytes(heap, field) == name;
            let (at, element) = Shape::read(node).find(node, tag_of(hash), is)?;
            let spot = Spot { ordinal, block, at };
            Some((spot, element))
        })
    }

    /// The element of this name, whose hash is `hash`.
    #[inline]
    pub(crate) fn get<'a>(&self, heap: &'a Heap, hash: u64, name: &[u8]) -> Option<ElementRef<'a>> {
        let (_, element) = self.locate(heap, hash, name).ok()?;
        Some(Self::view(heap, &element))
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
        let put = match self.locate(heap, hash, element.name) {
            Ok((spot, old))
                if old.has_inline_value_of(element.value.len())
                    && old.deadline == element.deadline =>
            {
                let node = heap.arena.tail_mut(spot.block);
                let shape = Shape::read(node);
                node::overwrite_value(node, &shape, spot.at, element.value);
                return Ok(Put::Replaced);
            }
            Ok((spot, _)) => self.replace(heap, hash, spot, element)?,
            Err(bucket) => self.add(heap, hash, bucket, element)?,
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
        let mut shape = Shape::read(heap.arena.tail(block));
        let codes = (element.name.code, element.value.code);
        let mut needed = shape.with(codes.0, codes.1, element.deadline).needed();
        if needed > NODE_MAX_BYTES {
            block = self.overflow_with_room(heap, ordinal, element)?;
            shape = Shape::read(heap.arena.tail(block));
            needed = shape.with(codes.0, codes.1, element.deadline).needed();
        }
        if needed > shape.capacity {
            block = self.resize(heap, ordinal, block, needed + ROOM_BYTES)?;
            shape = Shape::read(heap.arena.tail(block));
        }
        let used = shape.used();
        node::append(heap.arena.tail_mut(block), &mut shape, element);
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
            let shape = Shape::read(heap.arena.tail(block));
            let with = shape.with(element.name.code, element.value.code, element.deadline);
            with.needed() <= NODE_MAX_BYTES
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
        let node = heap.arena.tail_mut(first);
        let mut shape = Shape::read(node);
        shape.set_overflows(true);
        shape.write(node);
    }

    /// Gives a node a block with room for `bytes`; that block.
    fn resize(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        block: Block,
        bytes: usize,
    ) -> Result<Block, StoreError> {
        let bytes = bytes.min(NODE_MAX_BYTES);
        let (kind, arena) = (NodeKind::Elements, &mut heap.arena);
        let resized = self.holdings.alloc(arena, bytes, kind, ordinal)?;
        let old = Shape::read(arena.tail(block));
        let new = old.moved_to(arena.block_bytes(resized));
        arena.copy_between(
            block,
            node::HEADER_BYTES..old.front_end(),
            resized,
            node::HEADER_BYTES,
        );
        arena.copy_between(block, old.bodies(), resized, new.bodies().start);
        new.write(arena.tail_mut(resized));
        self.holdings.free(arena, block);
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
        let node = heap.arena.tail(block);
        let mut shape = Shape::read(node);
        let old = shape.element(node, spot.at);
        let (old_deadline, old_len) = (old.deadline, long::bytes(heap, old.value()).len());
        let old_reference = old.value().reference();
        let mut new = node::shape_with_value(node, &shape, spot.at, value.code, element.deadline);
        if new.needed() > NODE_MAX_BYTES {
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
            shape = Shape::read(heap.arena.tail(block));
            new = new.moved_to(shape.capacity);
        }
        let used = shape.used();
        let node = heap.arena.tail_mut(block);
        node::set_value(node, &mut shape, new, spot.at, value, element.deadline);
        self.used_bytes = self.used_bytes - used as u64 + shape.used() as u64;
        long::free(heap, &mut self.holdings, old_reference);
        self.deadline_changed(spot.ordinal, old_deadline, element.deadline);
        self.payload_bytes = self.payload_bytes - old_len as u64 + element.value.len() as u64;
        self.shorten(heap, spot.ordinal, block, &shape);
        Ok(Put::Replaced)
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
        let Ok((spot, _)) = self.locate(heap, hash_of(name), name) else {
            return false;
        };
        self.take(heap, spot);
        self.balance(heap, hash_of);
        true
    }

    /// Takes an element out of its node, and frees what it has elsewhere.
    fn take(&mut self, heap: &mut Heap, spot: Spot) {
        let Spot { ordinal, block, at } = spot;
        let node = heap.arena.tail(block);
        let mut shape = Shape::read(node);
        let element = shape.element(node, at);
        let bytes =
            long::bytes(heap, element.name()).len() + long::bytes(heap, element.value()).len();
        let references = [element.name().reference(), element.value().reference()];
        self.len -= 1;
        let deadline = element.deadline;
        self.deadline_changed(ordinal, deadline, None);
        self.payload_bytes -= bytes as u64;
        for reference in references {
            long::free(heap, &mut self.holdings, reference);
        }
        let used = shape.used();
        node::remove(heap.arena.tail_mut(block), &mut shape, at);
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
        let node = heap.arena.tail_mut(first);
        let mut shape = Shape::read(node);
        shape.set_overflows(!is_last);
        shape.write(node);
    }
}
