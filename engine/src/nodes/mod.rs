//! Nodes: the blocks of the arena that large collections and keyspaces are made of.
//!
//! ```text
//!  0        1         5          9
//! +--------+---------+----------+-------------------------+
//! | mark   | owner   | ordinal  | what the kind has there |
//! +--------+---------+----------+-------------------------+
//!  mark: the kind in the upper four bits, 15 in the lower ones, which no item has there (its form), nor a free block in the upper
//! ```
//! The nodes of a collection name each other by ordinal, and its table ([`Table`]) says in which block each is. So a node that
//! moves changes one word there, and the walk that compacts the arena finds that word by what the node says of itself: the
//! number of its collection or keyspace (the owner) and its ordinal. Kinds that nothing has by ordinal keep in that place, and behind,
//! what finds them.

mod long;
mod path;
mod table;

pub(crate) use long::Long;
pub(crate) use path::{Path, Step};
pub(crate) use table::Table;

use crate::StoreError;
pub(crate) use crate::limits::NODE_MAX_BYTES;
use crate::raw::{Arena, Block, Extents};

/// Bytes before what a kind has of its own.
pub(crate) const NODE_HEAD_BYTES: usize = 9;
/// The lower four bits of a node's first byte.
const NODE_MARK: u8 = 0xF;

const OWNER_AT: usize = 1;
const ORDINAL_AT: usize = 5;

/// What a block is that belongs to a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// A page of a table.
    Page = 0,
    /// Elements of a spiral.
    Elements = 1,
    /// A long name or value of an element.
    Long = 2,
    /// Elements of a list.
    Leaf = 3,
    /// What is below in a tree.
    Inner = 4,
    /// Members of a sorted set, in order.
    Members = 5,
    /// What is below in the tree of a sorted set.
    Branches = 6,
    /// Where the members of a sorted set are, by the hashes of their names.
    Words = 7,
}

impl NodeKind {
    const ALL: [Self; 8] = [
        Self::Page,
        Self::Elements,
        Self::Long,
        Self::Leaf,
        Self::Inner,
        Self::Members,
        Self::Branches,
        Self::Words,
    ];

    /// The first byte of such a block.
    pub(crate) fn mark(self) -> u8 {
        (self as u8) << 4 | NODE_MARK
    }

    /// The kind of a block with this first byte; `None` for an item.
    pub(crate) fn of(mark: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.mark() == mark)
    }
}

/// The number of a collection, by which its nodes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) u32);

/// Writes the head of a node.
pub(crate) fn write_head(node: &mut [u8], kind: NodeKind, owner: Owner, ordinal: u32) {
    node[0] = kind.mark();
    node[OWNER_AT..ORDINAL_AT].copy_from_slice(&owner.0.to_le_bytes());
    node[ORDINAL_AT..NODE_HEAD_BYTES].copy_from_slice(&ordinal.to_le_bytes());
}

/// Whose node it is.
pub(crate) fn owner_of(node: &[u8]) -> Owner {
    Owner(read_u32(node, OWNER_AT))
}

/// Its number.
pub(crate) fn ordinal_of(node: &[u8]) -> u32 {
    read_u32(node, ORDINAL_AT)
}

#[inline(always)]
pub(crate) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let word = bytes[at..at + 4].first_chunk();
    u32::from_le_bytes(*word.expect("the range is so long"))
}

#[inline(always)]
pub(crate) fn read_u16(bytes: &[u8], at: usize) -> usize {
    let word = bytes[at..at + 2].first_chunk();
    usize::from(u16::from_le_bytes(*word.expect("the range is so long")))
}

/// Blocks, and extents for what does not fit one.
pub(crate) struct Heap {
    pub(crate) arena: Arena,
    pub(crate) extents: Extents,
    pub(crate) drafts: Drafts,
}

/// What is put together before it is written to a node, for one collection after the other.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    /// An entry of a stream as it is to lie in a leaf.
    pub(crate) entry: Vec<u8>,
    /// A record with its head.
    pub(crate) record: Vec<u8>,
}

impl Drafts {
    /// A longer buffer is not kept.
    const KEPT_BYTES: usize = 64 << 10;

    /// Keeps the buffer of an entry for the next one.
    pub(crate) fn keep_entry(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= Self::KEPT_BYTES {
            self.entry = buffer;
        }
    }

    /// Bytes kept.
    pub(crate) fn bytes(&self) -> u64 {
        (self.entry.capacity() + self.record.capacity()) as u64
    }
}

impl Heap {
    /// Memory for a shard of at most `ceiling_bytes`.
    pub(crate) fn new(ceiling_bytes: u64) -> Result<Self, StoreError> {
        Ok(Self {
            arena: Arena::new(ceiling_bytes).ok_or(StoreError::OutOfMemory)?,
            extents: Extents::new(ceiling_bytes),
            drafts: Drafts::default(),
        })
    }
}

/// Who a collection is, and the bytes of all its blocks and extents: exact, since all are taken and freed here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holdings {
    pub(crate) owner: Owner,
    pub(crate) bytes: u64,
}

impl Holdings {
    pub(crate) fn new(owner: Owner) -> Self {
        Self { owner, bytes: 0 }
    }

    /// A block of at least `bytes` with the head of a node, all else of unspecified content.
    #[inline]
    pub(crate) fn alloc(
        &mut self,
        arena: &mut Arena,
        bytes: usize,
        kind: NodeKind,
        ordinal: u32,
    ) -> Result<Block, StoreError> {
        let block = arena.alloc(bytes).ok_or(StoreError::OutOfMemory)?;
        self.bytes += arena.block_bytes(block) as u64;
        write_head(arena.tail_mut(block), kind, self.owner, ordinal);
        Ok(block)
    }

    /// Takes a block back.
    #[inline]
    pub(crate) fn free(&mut self, arena: &mut Arena, block: Block) {
        self.bytes -= arena.block_bytes(block) as u64;
        arena.free(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::FREE_MARK;

    #[test]
    fn a_node_is_told_from_an_item_and_from_a_free_block_by_its_first_byte() {
        for mark in 0..=u8::MAX {
            if let Some(kind) = NodeKind::of(mark) {
                assert_eq!((mark & 0xF, kind.mark()), (0xF, mark));
                assert_ne!(mark, FREE_MARK);
            }
        }
        assert_eq!(NodeKind::of(FREE_MARK), None);
        assert_eq!(NodeKind::of(0xFE), None);
        let mut node = [0; 16];
        write_head(&mut node, NodeKind::Long, Owner(7), 0xABCD_EF01);
        assert_eq!(
            (owner_of(&node), ordinal_of(&node)),
            (Owner(7), 0xABCD_EF01)
        );
    }
}
