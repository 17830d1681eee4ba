//! A stream: entries in the order of their ids, and groups of consumers to whom they are given.
//!
//! ```text
//!  Stream ─┬─ marks           last id, greatest deleted, how many were added: change.rs
//!          ├─ forest          trees of leaves with delta-coded records: forest.rs, edit.rs, link.rs, leaf.rs, inner.rs, entries.rs
//!          │    tree 0: entries, their fields: fields.rs     trees of groups and consumers: what is pending: groups.rs
//!          ├─ groups          by name, each with its consumers by name: names.rs
//!          └─ producers       identifiers of messages that are not to come twice: producers.rs
//! ```
//! All that is done to a stream is one of a few changes ([`StreamChange`]), each of which says what is so from then on: commands make
//! them, records tell of them, the undo log keeps those that lead back, and a stream that is sent to another shard is a row of them.
//!
//! An entry of up to about a kilobyte lies in its leaf, a longer one in a block or an extent of its own. A leaf has at most as many entries and
//! bytes as Redis's nodes have (`stream-node-max-entries`, `-bytes`), and 4 KiB: what `~` trims are whole leaves. A deleted entry leaves nothing behind.
//!
//! Cost: adding behind the last touches one leaf. All else is a descent, of two inner nodes at a million entries, and a leaf. A trim takes
//! out leaf by leaf.

mod apply;
mod change;
mod check;
mod edit;
mod entries;
mod fields;
mod forest;
mod given;
mod groups;
mod id;
mod inner;
mod inverse;
mod leaf;
mod link;
mod long_names;
mod names;
mod parts;
mod producers;
mod relocate;
mod times;
mod together;
mod varint;
mod view;

#[cfg(any(test, feature = "model"))]
pub(crate) mod model;
#[cfg(test)]
mod tests;

pub use change::{StreamChange, StreamChangeOf, StreamMarks};
pub use fields::{Fields, FieldsIter};
use forest::{Bounds, Forest, Holds, TreeId};
pub use given::GivenEntries;
use groups::{Consumer, Group};
pub use id::StreamId;
use names::Names;
pub(crate) use parts::PartPlace;
use producers::Producers;
pub use together::Together;
pub use view::{
    ConsumerRef, GroupProgress, GroupRef, PendingRef, ProducerRef, StreamEntry, StreamRef, TrimBy,
    TrimPlan, TrimTo,
};

use crate::StreamNodeLimits;
use crate::nodes::{Heap, NODE_MAX_BYTES, Owner};

/// The tree of entries.
const ENTRIES: TreeId = TreeId(0);
/// However few bytes a leaf is to have, it may have so many.
const LEAF_MIN_BYTES: u64 = 64;

/// The bounds of the tree of entries under these limits.
fn bounds_of(limits: StreamNodeLimits) -> Bounds {
    let leaf_bytes = limits.bytes.clamp(LEAF_MIN_BYTES, NODE_MAX_BYTES as u64);
    Bounds {
        leaf_bytes: leaf_bytes as usize,
        leaf_records: limits.entries.min(NODE_MAX_BYTES as u64) as usize,
        children: Bounds::SHORT.children,
        inline_bytes: NODE_MAX_BYTES / 4,
    }
}

/// The root of a stream.
pub(crate) struct Stream {
    forest: Forest,
    marks: StreamMarks,
    groups: Names<Group>,
    /// Consumers of groups that are no more, and wait to be freed.
    gone: Vec<Names<Consumer>>,
    producers: Producers,
    /// Bytes of groups, consumers and producers, which are not in the arena.
    state_bytes: u64,
    /// Bounds of the trees of groups.
    short: Bounds,
}

impl Stream {
    /// An empty stream.
    pub(crate) fn new(owner: Owner) -> Self {
        Self::with_bounds(owner, bounds_of(StreamNodeLimits::default()), Bounds::SHORT)
    }

    fn with_bounds(owner: Owner, entries: Bounds, short: Bounds) -> Self {
        let mut forest = Forest::new(owner);
        let tree = forest.plant(entries, Holds::Entries);
        assert_eq!(tree, ENTRIES, "it is the first");
        Self {
            forest,
            marks: StreamMarks::default(),
            groups: Names::default(),
            gone: Vec::new(),
            producers: Producers::default(),
            state_bytes: 0,
            short,
        }
    }

    /// How large leaves of entries become from now on.
    #[inline]
    pub(crate) fn set_limits(&mut self, limits: StreamNodeLimits) {
        self.forest.tree_mut(ENTRIES).bounds = bounds_of(limits);
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> u64 {
        self.forest.tree(ENTRIES).len
    }

    /// Bytes of all its blocks and extents.
    pub(crate) fn block_bytes(&self) -> u64 {
        self.forest.holdings.bytes
    }

    /// Bytes of the records of entries and of what is pending.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.forest.payload_bytes
    }

    /// Bytes of its lists, which are not in the arena, and of the root.
    pub(crate) fn list_bytes(&self) -> u64 {
        let lists = self.gone.capacity() * size_of::<Names<Consumer>>();
        size_of::<Self>() as u64 + self.forest.list_bytes() + self.state_bytes + lists as u64
    }

    /// A stream to read.
    pub(crate) fn view<'a>(&'a self, heap: &'a Heap) -> StreamRef<'a> {
        StreamRef::new(self, heap)
    }
}
