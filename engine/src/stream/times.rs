//! Records by their times: what a group has pending, and has had for longest, is found without a look at the rest.
//!
//! ```text
//!  inner node    | … | least id | ordinal | oldest | …      no record below that child is older, though none need be so old
//!                           below ▼ a leaf: records by id, each with its time in its body
//! ```
//! A record that comes makes what is above it older, if it is; one that goes, or is delivered again, leaves that as it is. Whoever looks for
//! the oldest goes where it may be, and makes what it finds to be younger than it was said to be say so. So records that come, which mostly
//! are the newest, cost a comparison, and a leaf is looked at in vain once.
//!
//! Not chosen: a tree by time beside the one by id, as Redis has a list. It costs each record five bytes instead of a fiftieth of one, and as
//! much again for each delivery as the other two trees together.

use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::forest::{Forest, NONE, Path, Record, TreeId};
use super::groups::Delivery;
use super::inner::{self, Child};
use super::leaf::Draft;
use super::{ENTRIES, Stream, StreamId};
use crate::UnixMillis;
use crate::nodes::Heap;

/// The oldest records of those looked at.
struct Oldest {
    /// None is newer.
    until: UnixMillis,
    /// They are no more.
    most: usize,
    found: BinaryHeap<(UnixMillis, StreamId)>,
}

impl Oldest {
    /// Whether a record of this time and id is among them.
    fn has_place_for(&self, time: UnixMillis, id: StreamId) -> bool {
        let is_older = |last: &(UnixMillis, StreamId)| (time, id) < *last;
        time <= self.until
            && (self.found.len() < self.most || self.found.peek().is_some_and(is_older))
    }

    fn add(&mut self, time: UnixMillis, id: StreamId) {
        self.found.push((time, id));
        if self.found.len() > self.most {
            self.found.pop();
        }
    }
}

impl Stream {
    /// When those entries were delivered that a group has had pending since a time or longer, and that are there: the oldest first, at most so
    /// many. Nothing changes but what is known of times.
    pub(crate) fn pending_longest(
        &mut self,
        heap: &mut Heap,
        group: &[u8],
        (until, most): (UnixMillis, usize),
    ) -> Vec<(UnixMillis, StreamId)> {
        match self.groups.get(group) {
            Some(of) => self.forest.find_oldest(heap, of.pending, (until, most)),
            None => Vec::new(),
        }
    }
}

impl Forest {
    /// The time of a record of a tree that knows times.
    pub(super) fn time_of(&self, id: TreeId, draft: &Draft<'_>) -> UnixMillis {
        match self.tree(id).holds.has_times() {
            true => Delivery::read(draft.id, draft.body).delivered_at,
            false => inner::UNKNOWN,
        }
    }

    /// What is said of the times below the child that a way leads to.
    pub(super) fn oldest_at(&self, heap: &Heap, path: &Path) -> UnixMillis {
        path.steps()
            .last()
            .map_or(inner::UNKNOWN, |&(above, slot)| {
                inner::child(self.node(heap, above), slot.into()).oldest
            })
    }

    /// Something is said of times below a child.
    pub(super) fn note_oldest(&mut self, id: TreeId, oldest: UnixMillis) {
        let tree = self.tree_mut(id);
        tree.newest_oldest = tree.newest_oldest.max(oldest);
    }

    /// A record has come, or has another body: what is above it is as old.
    #[inline]
    pub(super) fn note_time(&mut self, heap: &mut Heap, id: TreeId, draft: &Draft<'_>) {
        let tree = self.tree(id);
        if tree.height == 0 || !tree.holds.has_times() {
            return;
        }
        let newest = tree.newest_oldest;
        let time = self.time_of(id, draft);
        if time < newest {
            self.lower_oldest(heap, id, draft.id, time);
        }
    }

    /// What is above the leaf of an id is said to be as old as this.
    pub(super) fn lower_oldest(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        at: StreamId,
        time: UnixMillis,
    ) {
        let (path, _) = self.descend(heap, id, at);
        for &(ordinal, slot) in path.steps() {
            let node = self.node_mut(heap, ordinal);
            let child = inner::child(node, slot.into());
            if time < child.oldest {
                let oldest = time;
                inner::set_child(node, slot.into(), Child { oldest, ..child });
            }
        }
    }

    /// The records of a tree that are not newer than `until` and whose entries are there, the oldest first; at most so many.
    pub(super) fn find_oldest(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        (until, most): (UnixMillis, usize),
    ) -> Vec<(UnixMillis, StreamId)> {
        let found = BinaryHeap::new();
        let mut search = Oldest { until, most, found };
        let tree = self.tree(id);
        if tree.root != NONE {
            let root = (tree.root, tree.height);
            self.look_below(heap, id, root, &mut search);
        }
        search.found.into_sorted_vec()
    }

    /// Looks for the oldest below a node; what can be said of all of it then.
    fn look_below(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        (ordinal, height): (u32, usize),
        search: &mut Oldest,
    ) -> UnixMillis {
        if height == 0 {
            return self.look_at_leaf(heap, ordinal, search);
        }
        let children = inner::children(self.node(heap, ordinal));
        let mut children: Vec<_> = (0..)
            .zip(children)
            .map(|(slot, child)| {
                // Below the first there may be less.
                let least = if slot == 0 {
                    StreamId::MIN
                } else {
                    child.least
                };
                (child.oldest, least, slot)
            })
            .collect();
        children.sort_unstable();
        for (oldest, least, slot) in children {
            if !search.has_place_for(oldest, least) {
                break;
            }
            let child = inner::child(self.node(heap, ordinal), slot);
            let oldest = self.look_below(heap, id, (child.ordinal, height - 1), search);
            let child = Child { oldest, ..child };
            inner::set_child(self.node_mut(heap, ordinal), slot, child);
            self.note_oldest(id, oldest);
        }
        inner::oldest(self.node(heap, ordinal))
    }

    fn look_at_leaf(&self, heap: &Heap, ordinal: u32, search: &mut Oldest) -> UnixMillis {
        let leaf = self.leaf(heap, ordinal);
        let mut oldest = UnixMillis(i64::MAX);
        for place in leaf.records() {
            let time = Delivery::read(place.id, leaf.body(&place)).delivered_at;
            oldest = oldest.min(time);
            if search.has_place_for(time, place.id) && self.get(heap, ENTRIES, place.id).is_some() {
                search.add(time, place.id);
            }
        }
        oldest
    }

    /// Shows the records of a tree from `from` on, without some of those that are newer than `until`, until `show` breaks.
    pub(super) fn walk_old<'a>(
        &self,
        heap: &'a Heap,
        id: TreeId,
        (from, until): (StreamId, UnixMillis),
        show: &mut dyn FnMut(Record<'a>) -> ControlFlow<()>,
    ) {
        let tree = self.tree(id);
        if tree.root != NONE {
            let root = (tree.root, tree.height);
            let _ = self.walk_old_below(heap, root, (from, until), show);
        }
    }

    fn walk_old_below<'a>(
        &self,
        heap: &'a Heap,
        (ordinal, height): (u32, usize),
        (from, until): (StreamId, UnixMillis),
        show: &mut dyn FnMut(Record<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let node = self.node(heap, ordinal);
        if height == 0 {
            return self.walk_leaf_up(heap, ordinal, from, show);
        }
        let first = inner::find(node, from);
        for child in inner::children(node).skip(first) {
            if child.oldest <= until {
                let below = (child.ordinal, height - 1);
                self.walk_old_below(heap, below, (from, until), show)?;
            }
        }
        ControlFlow::Continue(())
    }
}
