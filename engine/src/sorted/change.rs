//! Members that come, go, or get another score.

use std::ops::Range;

use super::index::{Index, MAX_LEAVES};
use super::long::Stored;
use super::order::{self, Target};
use super::run::{self, Body, Draft, Entry, Run, Written};
use super::{MAX_MEMBERS, NONE, SortedSet, Spot, leaf, long, tag_of};
use crate::nodes::Heap;
use crate::raw::Block;
use crate::{Direction, StoreError};

/// Leaves that are joined make one that is at most three quarters full; only one that has half as much looks at its neighbours.
const JOINED_64THS: usize = 48;
/// What may lie idle of a leaf: an eighth of what is used, and some bytes.
const IDLE_SHIFT: u32 = 3;
/// Ordinals that no node has are filled from the last on when they are more than this, and more than a quarter.
const HOLES_MIN: u32 = 8;

impl SortedSet {
    /// Adds a member that is not there, whose name has this hash.
    ///
    /// # Errors
    /// Memory is out, or there are as many as there may be; then nothing changed.
    pub(crate) fn add(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        hash: u64,
        (name, score): (&[u8], f64),
    ) -> Result<(), StoreError> {
        if self.len >= MAX_MEMBERS {
            return Err(StoreError::TooLarge);
        }
        if let Some(index) = &mut self.index {
            index.reserve(heap, &mut self.holdings, hash)?;
        }
        let stored = match self.is_long(name.len()) {
            true => Stored::long(heap, &mut self.holdings, name)?,
            false => Stored::Inline(name),
        };
        let (tag, body) = (tag_of(hash), stored.body());
        let ordinal = match self.place(heap, hash_of, name, &Entry { score, tag, body }) {
            Ok(ordinal) => ordinal,
            Err(error) => {
                if let Some(long) = long::reference(body) {
                    long.free(heap, &mut self.holdings);
                }
                return Err(error);
            }
        };
        self.payload_bytes += name.len() as u64;
        if let Some(index) = &mut self.index {
            index.add(heap, hash, ordinal);
        }
        self.tend_index(heap, hash_of);
        Ok(())
    }

    /// Puts a member where it belongs; in which leaf it is. Its word of the index is for who calls.
    fn place(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        name: &[u8],
        entry: &Entry<'_>,
    ) -> Result<u32, StoreError> {
        if self.root == NONE {
            return self.plant(heap, entry);
        }
        let spot = self.descend(heap, &Target::Member(entry.score, name));
        if leaf::run(heap, spot.block).len() >= self.bounds.leaf_members {
            return self.divide(heap, hash_of, &spot, entry);
        }
        let mut block = spot.block;
        if let Written::Needs(bytes) = run::insert(leaf::bytes_mut(heap, block), spot.at, entry) {
            if bytes > self.run_max_bytes() {
                return self.divide(heap, hash_of, &spot, entry);
            }
            let roomy = leaf::with_room(bytes).min(self.run_max_bytes());
            block = self.resize_leaf(heap, spot.ordinal, roomy)?;
            let written = run::insert(leaf::bytes_mut(heap, block), spot.at, entry);
            assert_eq!(written, Written::Done, "the leaf was given the room");
        }
        long::set_leaf(heap, long::reference(entry.body), spot.ordinal);
        self.count(heap, &spot.path, 1);
        if spot.at == 0 {
            self.note_first(heap, &spot.path, spot.ordinal);
        }
        Ok(spot.ordinal)
    }

    /// Makes the first leaf, of this member.
    fn plant(&mut self, heap: &mut Heap, entry: &Entry<'_>) -> Result<u32, StoreError> {
        let mut draft = Draft::new(true);
        draft.push(*entry);
        let plan = draft.plan(0..1);
        let block = self.leaf_block(heap, NONE, leaf::with_room(plan.bytes))?;
        draft.write(&plan, leaf::bytes_mut(heap, block));
        let ordinal = self.occupy_or_free(heap, block)?;
        long::set_leaf(heap, long::reference(entry.body), ordinal);
        (self.root, self.height, self.leaves, self.len) = (ordinal, 0, 1, 1);
        Ok(ordinal)
    }

    /// Whether a path leads to the last leaf.
    fn is_last(&self, heap: &Heap, spot: &Spot) -> bool {
        let mut steps = spot.path.steps().iter();
        steps.all(|step| step.slot() + 1 == self.inner(heap, step.ordinal).len())
    }

    /// Divides a full leaf and puts a member into one of the halves; in which leaf it is. One that comes behind all others gets a leaf of
    /// its own.
    #[inline(never)]
    fn divide(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        spot: &Spot,
        entry: &Entry<'_>,
    ) -> Result<u32, StoreError> {
        if self.table.len() >= MAX_LEAVES {
            return Err(StoreError::TooLarge);
        }
        let image = leaf::bytes(heap, spot.block).to_vec();
        let mut draft = Draft::of(&Run::new(&image));
        draft.insert(spot.at, *entry);
        let all = draft.len();
        let (half, is_behind) = match spot.at + 1 == all && self.is_last(heap, spot) {
            true => (all - 1, true),
            false => (draft.half(), false),
        };
        let plans = [draft.plan(0..half), draft.plan(half..all)];
        let low_bytes = match is_behind {
            true => plans[0].bytes,
            false => leaf::with_room(plans[0].bytes),
        };
        let low = self.leaf_block(heap, spot.ordinal, low_bytes)?;
        let high_bytes = leaf::with_room(plans[1].bytes);
        let reserved = self.leaf_block(heap, NONE, high_bytes).and_then(|high| {
            let ordinal = self.occupy_or_free(heap, high)?;
            let spares = self.reserve(heap, &spot.path);
            let spares = spares.inspect_err(|_| {
                self.holdings.free(&mut heap.arena, high);
                self.vacate(heap, ordinal);
            });
            spares.map(|spares| (high, ordinal, spares))
        });
        let (high, new, spares) = match reserved {
            Ok(reserved) => reserved,
            Err(error) => {
                self.holdings.free(&mut heap.arena, low);
                return Err(error);
            }
        };
        for (plan, block) in plans.iter().zip([low, high]) {
            draft.write(plan, leaf::bytes_mut(heap, block));
        }
        self.put_in(heap, spot.ordinal, spot.block, low);
        self.leaves += 1;
        self.len += 1;
        let came = spot.at.checked_sub(half);
        let is_moved = |at| Some(at) != came;
        self.claim(heap, hash_of, high, (spot.ordinal, new), is_moved);
        let home = match came {
            Some(_) => new,
            None => spot.ordinal,
        };
        long::set_leaf(heap, long::reference(entry.body), home);
        let children = [spot.ordinal, new].map(|ordinal| self.leaf_child(heap, ordinal));
        let [child, behind] = children;
        self.link(heap, &spot.path, child, behind, spares);
        Ok(home)
    }

    /// Gives a member that has the score `was` another one.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn change_score(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        hash: u64,
        name: &[u8],
        (was, score): (f64, f64),
    ) -> Result<(), StoreError> {
        let spot = self.descend(heap, &Target::Member(was, name));
        if self.move_within(heap, &spot, name, score)? {
            return Ok(());
        }
        let (run, tag) = (leaf::run(heap, spot.block), tag_of(hash));
        let mut reference = [0; 8];
        let body = run.body(spot.at);
        let body = match long::reference(body) {
            None => Body::inline(name),
            Some(_) => {
                reference[..body.bytes().len()].copy_from_slice(body.bytes());
                Body::reference(body.code(), &reference)
            }
        };
        let leaves = self.leaves;
        let to = self.place(heap, hash_of, name, &Entry { score, tag, body })?;
        let mut spot = match self.leaves == leaves && to != spot.ordinal {
            // Nothing was divided, and its own leaf is as it was.
            true => spot,
            false => self.descend(heap, &Target::Member(was, name)),
        };
        if leaf::run(heap, spot.block).score(spot.at).to_bits() != was.to_bits() {
            // Zeros of both signs are equal: the one that has come stands before the other.
            spot.at += 1;
        }
        run::remove(leaf::bytes_mut(heap, spot.block), spot.at..spot.at + 1);
        long::set_leaf(heap, long::reference(body), to);
        if let Some(index) = &mut self.index {
            index.repoint(heap, hash, spot.ordinal, to);
        }
        self.count(heap, &spot.path, -1);
        self.removed(heap, hash_of, &spot, 1);
        Ok(())
    }

    /// Gives a member another score with which it stays in its leaf; whether it does.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    fn move_within(
        &mut self,
        heap: &mut Heap,
        spot: &Spot,
        name: &[u8],
        score: f64,
    ) -> Result<bool, StoreError> {
        let run = leaf::run(heap, spot.block);
        let target = Target::Member(score, name);
        let to = order::less(&run, &target, |body| long::name(heap, body));
        // Before the first, or behind the last, it may belong to a neighbour.
        let is_first = to == 0 && spot.path.steps().iter().any(|step| step.slot() > 0);
        let is_last = to == run.len() && !self.is_last(heap, spot);
        if is_first || is_last {
            return Ok(false);
        }
        let to = if to > spot.at { to - 1 } else { to };
        let written = run::shift(leaf::bytes_mut(heap, spot.block), spot.at, to, score);
        if let Written::Needs(bytes) = written {
            if bytes > self.run_max_bytes() {
                return Ok(false);
            }
            let block = self.resize_leaf(heap, spot.ordinal, bytes)?;
            let written = run::shift(leaf::bytes_mut(heap, block), spot.at, to, score);
            assert_eq!(written, Written::Done, "the leaf was given the room");
        }
        if spot.at == 0 || to == 0 {
            self.note_first(heap, &spot.path, spot.ordinal);
        }
        Ok(true)
    }

    /// Removes a member that has this score, whose name has this hash.
    pub(crate) fn remove(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        hash: u64,
        (name, score): (&[u8], f64),
    ) {
        let spot = self.descend(heap, &Target::Member(score, name));
        self.remove_at(heap, hash_of, hash, &spot);
    }

    /// Removes the member that a walk in this direction shows first, of some; its name has this hash.
    pub(crate) fn remove_first(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        hash: u64,
        direction: Direction,
    ) {
        let mut spot = self.descend_to_end(heap, direction);
        if direction == Direction::Down {
            spot.at -= 1;
        }
        self.remove_at(heap, hash_of, hash, &spot);
    }

    #[inline(always)]
    fn remove_at(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        hash: u64,
        spot: &Spot,
    ) {
        if let Some(index) = &mut self.index {
            index.remove(heap, &mut self.holdings, hash, spot.ordinal);
        }
        self.take(heap, spot, spot.at..spot.at + 1);
        self.removed(heap, hash_of, spot, 1);
        self.tend_index(heap, hash_of);
    }

    /// Takes members out of a leaf; they have no words of the index any more.
    fn take(&mut self, heap: &mut Heap, spot: &Spot, range: Range<usize>) {
        let run = leaf::run(heap, spot.block);
        self.payload_bytes -= run.inline_bytes(range.clone()) as u64;
        if run.has_references() {
            for at in range.clone() {
                let body = leaf::run(heap, spot.block).body(at);
                if let Some(long) = long::reference(body) {
                    self.payload_bytes -= long.bytes(heap).len() as u64;
                    long.free(heap, &mut self.holdings);
                }
            }
        }
        let count = range.len() as i64;
        run::remove(leaf::bytes_mut(heap, spot.block), range);
        self.count(heap, &spot.path, -count);
    }

    /// How many of the members `range` of ranks, which there are, lie in one leaf with the first.
    pub(crate) fn together(&self, heap: &Heap, range: Range<u64>) -> u64 {
        let spot = self.descend_to_rank(heap, range.start);
        let in_leaf = (leaf::run(heap, spot.block).len() - spot.at) as u64;
        in_leaf.min(range.end - range.start)
    }

    /// Removes the members `range` of ranks, which lie [together](Self::together).
    pub(crate) fn remove_together(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        range: Range<u64>,
    ) {
        let spot = self.descend_to_rank(heap, range.start);
        let members = spot.at..spot.at + (range.end - range.start) as usize;
        if let Some(index) = &mut self.index {
            let run = leaf::run(heap, spot.block);
            let entries = run.entries(members.clone());
            let hashes: Vec<u64> = entries
                .map(|entry| hash_of(long::name(heap, entry.body)))
                .collect();
            index.prefetch(heap, &hashes);
            for hash in hashes {
                index.remove(heap, &mut self.holdings, hash, spot.ordinal);
            }
        }
        self.take(heap, &spot, members.clone());
        self.removed(heap, hash_of, &spot, members.len());
        for _ in members {
            self.tend_index(heap, hash_of);
        }
    }

    /// So many members have gone from the leaf where `spot` is, and are counted no more: it becomes shorter, joins a neighbour or goes.
    fn removed(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        spot: &Spot,
        gone: usize,
    ) {
        let run = leaf::run(heap, spot.block);
        if run.len() == 0 {
            self.unlink_leaf(heap, &spot.path, spot.ordinal);
        } else {
            let used = leaf::HEADER_BYTES + run.used_bytes();
            if spot.at == 0 {
                self.note_first(heap, &spot.path, spot.ordinal);
            }
            if spot.at == 0 && gone == 1 && Self::is_first(&spot.path) {
                // Members go from the front, and soon it is gone.
                self.shorten_leaf(heap, spot.ordinal, 0);
            } else {
                let is_small = used * 64 <= self.bounds.leaf_bytes * JOINED_64THS / 2;
                if !is_small || !self.join_leaf(heap, hash_of, spot) {
                    self.shorten_leaf(heap, spot.ordinal, IDLE_SHIFT);
                }
            }
        }
        self.fill_holes(heap, hash_of);
    }

    /// Joins a leaf and a neighbour below the same node, if both fit one with room to spare; whether they are one.
    fn join_leaf(&mut self, heap: &mut Heap, hash_of: &impl Fn(&[u8]) -> u64, spot: &Spot) -> bool {
        let Some(above) = spot.path.bottom() else {
            return false;
        };
        let most = self.bounds.leaf_bytes * JOINED_64THS / 64;
        let amount = |heap: &Heap, ordinal| {
            let run = leaf::run(heap, self.table.get(&heap.arena, ordinal));
            leaf::HEADER_BYTES + run.used_bytes()
        };
        let Some(slots) = self.neighbours(heap, above, most, amount) else {
            return false;
        };
        let pair = slots.map(|slot| self.inner(heap, above.ordinal).ordinal(slot));
        let blocks = pair.map(|ordinal| self.table.get(&heap.arena, ordinal));
        let images = blocks.map(|block| leaf::bytes(heap, block).to_vec());
        let [low, high] = [Run::new(&images[0]), Run::new(&images[1])];
        let mut draft = Draft::of(&low);
        draft.extend(high.entries(0..high.len()));
        let all = draft.len();
        let plan = draft.plan(0..all);
        if all > self.bounds.leaf_members || plan.bytes > self.run_max_bytes() {
            return false;
        }
        // The words of the smaller one are pointed to the other.
        let (kept, gone, moved) = match low.len() >= high.len() {
            true => (pair[0], pair[1], low.len()..all),
            false => (pair[1], pair[0], 0..low.len()),
        };
        let Ok(joined) = self.leaf_block(heap, kept, leaf::with_room(plan.bytes)) else {
            return false;
        };
        draft.write(&plan, leaf::bytes_mut(heap, joined));
        for block in blocks {
            self.holdings.free(&mut heap.arena, block);
        }
        self.table.set(&mut heap.arena, kept, joined);
        self.claim(heap, hash_of, joined, (gone, kept), |at| {
            moved.contains(&at)
        });
        self.vacate(heap, gone);
        self.leaves -= 1;
        let child = self.leaf_child(heap, kept);
        let node = self.inner_mut(heap, above.ordinal);
        super::inner::set_child(node, slots[0], &child);
        super::inner::remove(node, slots[1]..slots[1] + 1);
        self.settle(heap, &spot.path);
        true
    }

    /// There is an index if there are more leaves than are searched without, and none if they are half as many; and it has as many
    /// nodes as it should.
    fn tend_index(&mut self, heap: &mut Heap, hash_of: &impl Fn(&[u8]) -> u64) {
        match &mut self.index {
            None if self.leaves > self.bounds.unindexed_leaves => {
                // Without memory for it, it is tried again at the next member.
                let _ = self.make_index(heap, hash_of);
            }
            Some(_) if self.leaves <= self.bounds.unindexed_leaves / 2 => self.drop_index(heap),
            None => {}
            Some(_) => self.balance_index(heap, hash_of),
        }
    }

    #[inline]
    fn balance_index(&mut self, heap: &mut Heap, hash_of: &impl Fn(&[u8]) -> u64) {
        let Some(mut index) = self.index.take_if(|index| index.is_unbalanced()) else {
            return;
        };
        let mut holdings = self.holdings;
        index.balance(heap, &mut holdings, &|heap, leaf, tag| {
            self.hashes_in(heap, hash_of, leaf, tag)
        });
        self.holdings = holdings;
        self.index = Some(index);
    }

    fn make_index(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
    ) -> Result<(), StoreError> {
        let mut members = Vec::new();
        self.each_leaf_below(heap, self.root, self.height, &mut |leaf| {
            let run = leaf::run(heap, self.table.get(&heap.arena, leaf));
            let entries = run.entries(0..run.len());
            members.extend(entries.map(|entry| (hash_of(long::name(heap, entry.body)), leaf)));
            false
        });
        let mut holdings = self.holdings;
        let mut index = Index::new(heap, &mut holdings, self.bounds.words)?;
        let mut made = Ok(());
        for (hash, leaf) in members {
            made = index.reserve(heap, &mut holdings, hash);
            if made.is_err() {
                while index.free_one(heap, &mut holdings) {}
                break;
            }
            index.add(heap, hash, leaf);
        }
        self.holdings = holdings;
        made?;
        self.index = Some(Box::new(index));
        for _ in 0..self.len / self.bounds.words as u64 {
            self.balance_index(heap, hash_of);
        }
        Ok(())
    }

    fn drop_index(&mut self, heap: &mut Heap) {
        if let Some(mut index) = self.index.take() {
            while index.free_one(heap, &mut self.holdings) {}
        }
    }

    /// Has the last node take the ordinal of one that is gone, when such are many.
    fn fill_holes(&mut self, heap: &mut Heap, hash_of: &impl Fn(&[u8]) -> u64) {
        if self.holes <= HOLES_MIN || self.holes <= self.table.len() / 4 {
            return;
        }
        let last = self.table.len() - 1;
        let block = self.table.get(&heap.arena, last);
        let to = self.occupy(heap, block).expect("there is a hole");
        assert!(to < last, "the last ordinal has a node");
        self.rename(heap, hash_of, block, (last, to));
        self.vacate(heap, last);
    }

    /// What names the node in a block by the ordinal `from` is to name it `to`.
    fn rename(
        &mut self,
        heap: &mut Heap,
        hash_of: &impl Fn(&[u8]) -> u64,
        block: Block,
        (from, to): (u32, u32),
    ) {
        let first = self.first_of(heap, from);
        let spot = self.descend(heap, &Target::Member(first.0, &first.1));
        let steps = spot.path.steps().iter();
        let above = steps
            .copied()
            .find(|step| self.inner(heap, step.ordinal).ordinal(step.slot()) == from);
        match above {
            Some(step) => {
                let node = self.inner_mut(heap, step.ordinal);
                super::inner::set_ordinal(node, step.slot(), to);
            }
            None => {
                assert_eq!(self.root, from, "a node has one above, or is the root");
                self.root = to;
            }
        }
        self.name(heap, block, to);
        if spot.ordinal == from {
            self.claim(heap, hash_of, block, (from, to), |_| true);
        }
    }

    /// The first member below a node.
    fn first_of(&self, heap: &Heap, ordinal: u32) -> (f64, Vec<u8>) {
        let mut ordinal = ordinal;
        while self.is_inner(heap, ordinal) {
            ordinal = self.inner(heap, ordinal).ordinal(0);
        }
        let run = leaf::run(heap, self.table.get(&heap.arena, ordinal));
        (run.score(0), long::name(heap, run.body(0)).to_vec())
    }
}
