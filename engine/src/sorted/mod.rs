//! A large sorted set: a tree of leaves with its members in order, and an index of them by name.
//!
//! ```text
//!   by score, by rank                                        by name
//!         │                                                     │
//!      ┌─ inner ─┐     counts, first members: inner.rs       index: index.rs
//!      │         │                                              │ in which leaf
//!   inner      inner                                            │
//!   │  │  │    │  │                                             ▼
//! leaf leaf … leaf leaf     members packed: run.rs ◀────────────┘
//! ```
//! A member lies in its leaf alone; its score is compressed against its neighbours'. Leaves divide when they are full, join a neighbour
//! when both have become small, and lie in blocks of the size that they need. A leaf that divides has the words of half its members
//! pointed to another leaf. Up to four leaves there is no index: their tags are looked at one after the other.
//!
//! A change takes its memory before anything changes: the block of the leaf, or of two, inner nodes, room for a word of the index. What
//! only makes things smaller or faster, joining, shorter blocks, one node of the index more, is left out if there is no memory.
//!
//! Cost: by name a node of the index and a leaf; by rank, score or place a descent, of two inner nodes at ten million members, and a
//! leaf. Of a member whose score changes, both, and another descent.

mod change;
mod check;
mod index;
mod inner;
mod leaf;
mod long;
#[cfg(any(test, feature = "model"))]
pub(crate) mod model;
mod near;
mod order;
mod relocate;
pub(crate) mod run;
mod score;
#[cfg(test)]
mod tests;
mod tree;
mod view;
mod walk;

use index::Index;
pub(crate) use order::compare_members;
pub use order::{Bound, Side};
pub(crate) use view::{SortedSetView, check_run, find_in, less_than};

use crate::nodes::{Heap, Holdings, NODE_MAX_BYTES, Owner, Path, Table};
use crate::raw::Block;

/// How large the nodes of a sorted set become. Tests have smaller ones, so that few members make a high tree.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Bytes of a leaf; more only where a change of the scale makes a half of one longer.
    leaf_bytes: usize,
    /// Members of a leaf: a step may concern as many words of the index.
    leaf_members: usize,
    /// Children of an inner node.
    children: usize,
    /// Bytes of a name that lies in a leaf.
    inline_bytes: usize,
    /// Leaves without an index.
    unindexed_leaves: u32,
    /// Words that a node of the index has on average.
    words: usize,
}

/// The bounds of every sorted set but those of tests.
pub(crate) static BOUNDS: Bounds = Bounds {
    leaf_bytes: 2048,
    leaf_members: 256,
    children: inner::room_of(NODE_MAX_BYTES),
    inline_bytes: 128,
    unindexed_leaves: 4,
    words: 160,
};

/// Most members: what an inner node counts, less one, since one whose score changes may be there twice meanwhile.
pub(crate) const MAX_MEMBERS: u64 = u32::MAX as u64 - 1;

/// No node.
const NONE: u32 = u32::MAX;
/// The block of an ordinal that no node has.
const VACANT: Block = Block(u32::MAX);

/// The root of a sorted set.
pub(crate) struct SortedSet {
    bounds: &'static Bounds,
    /// Leaves and inner nodes.
    table: Table,
    /// Ordinals that no node had when they came here; those that one has had since are passed over.
    vacant: Vec<u32>,
    /// Ordinals that no node has.
    holes: u32,
    holdings: Holdings,
    index: Option<Box<Index>>,
    /// The tree's first node: a leaf, or an inner node.
    root: u32,
    /// Inner nodes between the root and a leaf, both included.
    height: usize,
    leaves: u32,
    len: u64,
    /// Bytes of names.
    payload_bytes: u64,
}

/// Where a member is, or would be.
#[derive(Clone, Copy, Debug)]
struct Spot {
    /// What is above the leaf.
    path: Path,
    ordinal: u32,
    block: Block,
    at: usize,
}

/// The tag of a name's hash.
#[inline(always)]
pub(crate) fn tag_of(hash: u64) -> u8 {
    hash as u8
}

impl SortedSet {
    /// An empty one.
    pub(crate) fn new(owner: Owner) -> Self {
        Self::with_bounds(owner, &BOUNDS)
    }

    fn with_bounds(owner: Owner, bounds: &'static Bounds) -> Self {
        Self {
            bounds,
            table: Table::default(),
            vacant: Vec::new(),
            holes: 0,
            holdings: Holdings::new(owner),
            index: None,
            root: NONE,
            height: 0,
            leaves: 0,
            len: 0,
            payload_bytes: 0,
        }
    }

    /// Number of members.
    #[inline(always)]
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of all its blocks and extents.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.holdings.bytes
    }

    /// Bytes of the names.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Bytes of its lists, which are not in the arena.
    pub(crate) fn list_bytes(&self) -> u64 {
        let index = self.index.as_ref();
        let index = index.map_or(0, |index| index.list_bytes() + size_of::<Index>() as u64);
        self.table.list_bytes() + (self.vacant.capacity() * size_of::<u32>()) as u64 + index
    }

    /// Whether a name so long has a place of its own.
    #[inline(always)]
    fn is_long(&self, bytes: usize) -> bool {
        bytes > self.bounds.inline_bytes
    }

    /// The score of a member, whose name has this hash.
    #[inline]
    pub(crate) fn score(&self, heap: &Heap, hash: u64, name: &[u8]) -> Option<f64> {
        let (block, at) = self.find(heap, hash, name)?;
        Some(leaf::run(heap, block).score(at))
    }

    /// The leaf of a member, and which of its members that is.
    #[inline]
    fn find(&self, heap: &Heap, hash: u64, name: &[u8]) -> Option<(Block, usize)> {
        let mut found = None;
        let mut look = |ordinal| {
            let block = self.table.get(&heap.arena, ordinal);
            let run = leaf::run(heap, block);
            let at = run.find(tag_of(hash), |body| long::name(heap, body) == name);
            found = at.map(|at| (block, at));
            at.is_some()
        };
        match &self.index {
            Some(index) => index.each_leaf(heap, hash, look),
            None => {
                self.each_leaf_below(heap, self.root, self.height, &mut look);
            }
        }
        found
    }

    /// Shows the leaves below a node, in order, until `look` answers that this was it.
    fn each_leaf_below(
        &self,
        heap: &Heap,
        ordinal: u32,
        height: usize,
        look: &mut impl FnMut(u32) -> bool,
    ) -> bool {
        if ordinal == NONE {
            return false;
        }
        if height == 0 {
            return look(ordinal);
        }
        let node = self.inner(heap, ordinal);
        (0..node.len()).any(|slot| self.each_leaf_below(heap, node.ordinal(slot), height - 1, look))
    }

    /// The rank of a member, from the lowest on, and its score.
    #[inline]
    pub(crate) fn rank(&self, heap: &Heap, hash: u64, name: &[u8]) -> Option<(u64, f64)> {
        let score = self.score(heap, hash, name)?;
        let spot = self.descend(heap, &order::Target::Member(score, name));
        Some((self.rank_of(heap, &spot), score))
    }

    /// Members before a place.
    pub(crate) fn rank_of_bound(&self, heap: &Heap, bound: &Bound<'_>) -> u64 {
        match bound {
            Bound::Rank(rank) => (*rank).min(self.len),
            Bound::Start => 0,
            Bound::End => self.len,
            _ if self.root == NONE => 0,
            _ => {
                let spot = self.spot_of(heap, bound);
                self.rank_of(heap, &spot)
            }
        }
    }
}
