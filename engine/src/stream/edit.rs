//! Changing records anywhere in a tree: they come among others, get another body, and go.

use super::forest::{Forest, NONE, Path, ROOM_MIN_BYTES, TreeId};
use super::leaf::{Build, Draft, Edited, LONG, Leaf, LeafMut, Prelude, RESTART_BYTES};
use super::{ENTRIES, StreamId, inner};
use crate::StoreError;
use crate::nodes::{Heap, Long, NodeKind, write_head};

/// A leaf that is kept without a record has no more bytes.
const KEPT_LEAF_BYTES: usize = 256;

/// What a leaf that is written anew gets.
#[derive(Clone, Copy)]
enum Change {
    Insert,
    Replace,
}

impl Forest {
    /// Adds a record, of which there is none of this id, or gives it another body. Bodies that are references are put in and taken
    /// out elsewhere; the ordinal of the leaf where it is.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(super) fn put(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        draft: &Draft<'_>,
    ) -> Result<u32, StoreError> {
        let home = self.put_record(heap, id, draft)?;
        self.note_time(heap, id, draft);
        Ok(home)
    }

    fn put_record(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        draft: &Draft<'_>,
    ) -> Result<u32, StoreError> {
        let tree = *self.tree(id);
        if tree.root == NONE || draft.id > tree.last {
            if !self.append(heap, id, draft)? {
                self.append_leaf(heap, id, Prelude::NONE, draft)?;
            }
            return Ok(self.tree(id).tail);
        }
        let (path, ordinal) = self.descend(heap, id, draft.id);
        let leaf = self.leaf(heap, ordinal);
        let before = leaf.record_bytes();
        let found = leaf.find(draft.id);
        let Some(place) = &found.place else {
            return self.put_at_end(heap, id, (&path, ordinal), draft);
        };
        let change = match place.id == draft.id {
            true => Change::Replace,
            false => Change::Insert,
        };
        let is_full = leaf.len() >= tree.bounds.leaf_records;
        let mut record = std::mem::take(&mut heap.drafts.record);
        let mut leaf = LeafMut(self.node_mut(heap, ordinal));
        let edited = match change {
            Change::Replace => leaf.replace(&found, draft, &mut record),
            Change::Insert if is_full => Edited::Rewrite,
            Change::Insert => leaf.insert(&found, draft, &mut record),
        };
        heap.drafts.record = record;
        if edited == Edited::Done {
            let after = self.leaf(heap, ordinal).record_bytes();
            self.payload_bytes = self.payload_bytes - before as u64 + after as u64;
            self.tree_mut(id).len += u64::from(matches!(change, Change::Insert));
            return Ok(ordinal);
        }
        self.rewrite(heap, id, (&path, ordinal), draft, change)
    }

    /// Adds a record behind the last of a leaf that is not the last one.
    fn put_at_end(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        at: (&Path, u32),
        draft: &Draft<'_>,
    ) -> Result<u32, StoreError> {
        let ordinal = at.1;
        let leaf = self.leaf(heap, ordinal);
        let before = leaf.record_bytes();
        let last = leaf.last().map(|place| place.id);
        let has_room = leaf.len() < self.tree(id).bounds.leaf_records;
        let mut record = std::mem::take(&mut heap.drafts.record);
        let edited = match has_room {
            true => LeafMut(self.node_mut(heap, ordinal)).append(last, draft, &mut record),
            false => Edited::NoRoom,
        };
        let record_bytes = record.len();
        heap.drafts.record = record;
        let bounds = self.tree(id).bounds;
        let leaf = self.leaf(heap, ordinal);
        let needed = leaf.used_bytes() + record_bytes + RESTART_BYTES;
        let is_full = leaf.len() >= bounds.leaf_records || needed > bounds.leaf_bytes;
        if edited != Edited::Done && is_full {
            let prelude = leaf.prelude().to_owned();
            return self.put_leaf(heap, id, at, (prelude.borrow(), draft));
        }
        if edited != Edited::Done {
            return self.rewrite(heap, id, at, draft, Change::Insert);
        }
        let after = self.leaf(heap, ordinal).record_bytes();
        self.payload_bytes += (after - before) as u64;
        self.tree_mut(id).len += 1;
        Ok(ordinal)
    }

    /// Puts a record into a leaf of its own, behind the one that a way leads to. What comes to stand between the two is to go there, too.
    pub(super) fn put_leaf(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        (path, ordinal): (&Path, u32),
        (prelude, draft): (Prelude<'_>, &Draft<'_>),
    ) -> Result<u32, StoreError> {
        let last = self.leaf(heap, ordinal).last();
        let last = last.expect("a leaf has records").id;
        let base = last.next().expect("there is one behind it");
        let mut build = Build::new(base, prelude, self.tree(id).holds.has_bodies());
        build.push(draft);
        let bytes = self.room_of(id, &build);
        let said = (base, self.time_of(id, draft));
        let new = self.link_leaf(heap, id, Some(path), (&build, bytes, said))?;
        self.note_new_leaf(heap, id, new);
        Ok(new)
    }

    /// Puts a record into a leaf of its own before another: it becomes the node that the way leads to, and what was there goes behind it.
    pub(super) fn put_leaf_before(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        (path, ordinal): (&Path, u32),
        (prelude, draft): (Prelude<'_>, &Draft<'_>),
    ) -> Result<u32, StoreError> {
        let least = self.rebase(heap, id, ordinal)?;
        let mut build = Build::new(draft.id, prelude, self.tree(id).holds.has_bodies());
        build.push(draft);
        let bytes = self.room_of(id, &build);
        let said = (least, self.oldest_at(heap, path));
        let behind = self.link_leaf(heap, id, Some(path), (&build, bytes, said))?;
        let [new, old] = [behind, ordinal].map(|ordinal| self.block(heap, ordinal));
        let owner = self.holdings.owner;
        for (ordinal, block) in [(ordinal, new), (behind, old)] {
            self.table.set(&mut heap.arena, ordinal, block);
            write_head(heap.arena.tail_mut(block), NodeKind::Leaf, owner, ordinal);
        }
        self.claim_long(heap, behind);
        if self.tree(id).tail == ordinal {
            self.tree_mut(id).tail = behind;
        }
        self.note_new_leaf(heap, id, ordinal);
        Ok(ordinal)
    }

    /// Makes the base of a leaf its first id, and returns that.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(super) fn rebase(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        ordinal: u32,
    ) -> Result<StreamId, StoreError> {
        let leaf = self.leaf(heap, ordinal);
        let first = leaf.after(None).expect("a leaf has records").id;
        if leaf.base() != first {
            let (image, before) = (leaf.0.to_vec(), leaf.record_bytes());
            let leaf = Leaf(&image);
            let rebased = build(first, leaf, self.tree(id).holds.has_bodies(), &drafts(leaf));
            self.make_room(heap, ordinal, &rebased)?;
            rebased.write(self.node_mut(heap, ordinal), id.0);
            self.note_change(heap, id, (before, &[ordinal]), Change::Replace);
        }
        Ok(first)
    }

    /// Sees to it that content fits a leaf's block: one that is written anew may have more restarts than it had.
    fn make_room(
        &mut self,
        heap: &mut Heap,
        ordinal: u32,
        build: &Build,
    ) -> Result<(), StoreError> {
        let used = build.used_bytes();
        match used > self.node(heap, ordinal).len() {
            true => self.resize(heap, ordinal, used),
            false => Ok(()),
        }
    }

    /// Divides a leaf: the records from an id on, which are some and not all, go to one of their own.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(super) fn divide_leaf(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        (path, ordinal): (&Path, u32),
        at: StreamId,
    ) -> Result<(), StoreError> {
        let tree = *self.tree(id);
        let image = self.node(heap, ordinal).to_vec();
        let leaf = Leaf(&image);
        let records = drafts(leaf);
        let (low, high) = records.split_at(records.partition_point(|record| record.id < at));
        let low = build(leaf.base(), leaf, tree.holds.has_bodies(), low);
        let high = build(high[0].id, leaf, tree.holds.has_bodies(), high);
        self.make_room(heap, ordinal, &low)?;
        let bytes = self.room_of(id, &high);
        let said = (high.base(), self.oldest_at(heap, path));
        let right = self.link_leaf(heap, id, Some(path), (&high, bytes, said))?;
        low.write(self.node_mut(heap, ordinal), id.0);
        self.shorten(heap, ordinal, 8);
        self.claim_long(heap, right);
        if tree.tail == ordinal {
            self.tree_mut(id).tail = right;
        }
        let before = leaf.record_bytes();
        self.note_change(heap, id, (before, &[ordinal, right]), Change::Replace);
        Ok(())
    }

    /// Bytes for the block of a leaf that others are to follow into.
    pub(super) fn room_of(&self, id: TreeId, build: &Build) -> usize {
        let (used, most) = (build.used_bytes(), self.tree(id).bounds.leaf_bytes);
        (used + used / 8 + 16).min(most.max(used))
    }

    /// A leaf of one record, which is not the last, has come.
    pub(super) fn note_new_leaf(&mut self, heap: &Heap, id: TreeId, ordinal: u32) {
        self.payload_bytes += self.leaf(heap, ordinal).record_bytes() as u64;
        self.tree_mut(id).len += 1;
    }

    /// Writes a leaf anew with a change, as one or as two.
    fn rewrite(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        (path, ordinal): (&Path, u32),
        draft: &Draft<'_>,
        change: Change,
    ) -> Result<u32, StoreError> {
        let tree = *self.tree(id);
        let image = self.node(heap, ordinal).to_vec();
        let leaf = Leaf(&image);
        let records = drafts_with(leaf, draft, change);
        let base = leaf.base().min(draft.id);
        let whole = build(base, leaf, tree.holds.has_bodies(), &records);
        let before = leaf.record_bytes();
        let fits = |build: &Build, len: usize| {
            build.used_bytes() <= tree.bounds.leaf_bytes && len <= tree.bounds.leaf_records
        };
        if fits(&whole, records.len()) || records.len() < 2 {
            self.write_anew(heap, id, ordinal, &whole)?;
            self.note_change(heap, id, (before, &[ordinal]), change);
            return Ok(ordinal);
        }
        if matches!(change, Change::Insert) && records[0].id == draft.id {
            // What is put back comes from the front on: it leaves full leaves behind.
            let prelude = leaf.prelude();
            return self.put_leaf_before(heap, id, (path, ordinal), (prelude, draft));
        }
        let half = half_of(&records);
        let low = build(base, leaf, tree.holds.has_bodies(), &records[..half]);
        let high = build(
            records[half].id,
            leaf,
            tree.holds.has_bodies(),
            &records[half..],
        );
        let room = |build: &Build| {
            let used = build.used_bytes();
            (used + used / 8).min(tree.bounds.leaf_bytes.max(used))
        };
        // The low half is written into a block before the high one is linked: it may be too long for its own.
        let spare = match low.used_bytes() <= image.len() {
            true => None,
            false => {
                let arena = &mut heap.arena;
                let bytes = room(&low);
                Some(self.holdings.alloc(arena, bytes, NodeKind::Leaf, ordinal)?)
            }
        };
        let said = (high.base(), self.oldest_at(heap, path));
        let linked = self.link_leaf(heap, id, Some(path), (&high, room(&high), said));
        let right = match linked {
            Ok(right) => right,
            Err(error) => {
                if let Some(block) = spare {
                    self.holdings.free(&mut heap.arena, block);
                }
                return Err(error);
            }
        };
        if let Some(block) = spare {
            let old = self.block(heap, ordinal);
            self.holdings.free(&mut heap.arena, old);
            self.table.set(&mut heap.arena, ordinal, block);
        }
        low.write(self.node_mut(heap, ordinal), id.0);
        self.shorten(heap, ordinal, 8);
        self.claim_long(heap, right);
        if tree.tail == ordinal {
            self.tree_mut(id).tail = right;
        }
        self.note_change(heap, id, (before, &[ordinal, right]), change);
        let home = match draft.id < records[half].id {
            true => ordinal,
            false => right,
        };
        Ok(home)
    }

    /// A leaf that had so many bytes of records has been written as these, with a change.
    fn note_change(
        &mut self,
        heap: &Heap,
        id: TreeId,
        (before, leaves): (usize, &[u32]),
        change: Change,
    ) {
        let bytes = leaves
            .iter()
            .map(|&leaf| self.leaf(heap, leaf).record_bytes());
        let after: usize = bytes.sum();
        self.payload_bytes = self.payload_bytes - before as u64 + after as u64;
        self.tree_mut(id).len += u64::from(matches!(change, Change::Insert));
    }

    /// Writes a leaf's content, into its own block or another.
    fn write_anew(
        &mut self,
        heap: &mut Heap,
        id: TreeId,
        ordinal: u32,
        build: &Build,
    ) -> Result<(), StoreError> {
        let used = build.used_bytes();
        let old = self.block(heap, ordinal);
        if used > heap.arena.block_bytes(old) {
            let most = self.tree(id).bounds.leaf_bytes;
            let bytes = (used + used / 8 + 16).min(most.max(used));
            let arena = &mut heap.arena;
            let new = self.holdings.alloc(arena, bytes, NodeKind::Leaf, ordinal)?;
            self.holdings.free(arena, old);
            self.table.set(arena, ordinal, new);
        }
        build.write(self.node_mut(heap, ordinal), id.0);
        Ok(())
    }

    /// Takes the record of an id out; whether there was one. What is pending comes and goes: its tree keeps its leaf when the last record goes.
    pub(super) fn remove(&mut self, heap: &mut Heap, id: TreeId, at: StreamId) -> bool {
        let tree = *self.tree(id);
        if tree.root == NONE || at > tree.last {
            return false;
        }
        let (path, ordinal) = self.descend(heap, id, at);
        let leaf = self.leaf(heap, ordinal);
        let found = leaf.find(at);
        let Some(place) = found.place.as_ref().filter(|place| place.id == at) else {
            return false;
        };
        if place.flags & LONG != 0 {
            let body = leaf.body(place).to_vec();
            self.free_long(heap, &body);
        }
        let leaf = self.leaf(heap, ordinal);
        let before = leaf.record_bytes();
        if leaf.len() == 1 && (tree.leaves > 1 || id == ENTRIES) {
            self.payload_bytes -= before as u64;
            self.unlink(heap, id, &path, ordinal);
        } else {
            let mut record = std::mem::take(&mut heap.drafts.record);
            LeafMut(self.node_mut(heap, ordinal)).remove(&found, &mut record);
            heap.drafts.record = record;
            let after = self.leaf(heap, ordinal).record_bytes();
            self.payload_bytes = self.payload_bytes - before as u64 + after as u64;
            self.shrink(heap, id, &path, ordinal);
        }
        let tree = self.tree_mut(id);
        tree.len -= 1;
        if at == tree.last {
            self.find_last(heap, id);
        }
        true
    }

    /// Takes the first leaf out, with all its records; how many they were.
    pub(super) fn remove_first_leaf(&mut self, heap: &mut Heap, id: TreeId) -> u64 {
        let (path, ordinal) = self.descend(heap, id, StreamId::MIN);
        let leaf = self.leaf(heap, ordinal);
        let (len, bytes) = (leaf.len() as u64, leaf.record_bytes());
        if leaf.has_long() {
            let bodies = leaf.records().filter(|place| place.flags & LONG != 0);
            let bodies: Vec<Vec<u8>> = bodies.map(|place| leaf.body(&place).to_vec()).collect();
            bodies.iter().for_each(|body| self.free_long(heap, body));
        }
        self.payload_bytes -= bytes as u64;
        self.unlink(heap, id, &path, ordinal);
        self.tree_mut(id).len -= len;
        if self.tree(id).len == 0 {
            self.find_last(heap, id);
        }
        len
    }

    /// The last leaf has changed: finds it, and its last id.
    fn find_last(&mut self, heap: &Heap, id: TreeId) {
        let tree = self.tree(id);
        let (tail, last) = match tree.root {
            NONE => (NONE, StreamId::MIN),
            _ => {
                let (_, tail) = self.descend(heap, id, StreamId::MAX);
                let last = self.leaf(heap, tail).last();
                (tail, last.map_or(StreamId::MIN, |place| place.id))
            }
        };
        let tree = self.tree_mut(id);
        (tree.tail, tree.last) = (tail, last);
    }

    /// A leaf has fewer records: it joins a neighbour, or becomes shorter.
    fn shrink(&mut self, heap: &mut Heap, id: TreeId, path: &Path, ordinal: u32) {
        let most = self.tree(id).bounds.leaf_bytes;
        let used = self.leaf(heap, ordinal).used_bytes();
        if used < most / 4
            && let Some(&(above, slot)) = path.steps().last()
        {
            let slot = usize::from(slot);
            let node = self.node(heap, above);
            let right = (slot + 1 < inner::len(node)).then_some((slot, slot + 1));
            let left = slot.checked_sub(1).map(|left| (left, slot));
            for (low, high) in [right, left].into_iter().flatten() {
                let node = self.node(heap, above);
                let [low, high] = [low, high].map(|slot| inner::child(node, slot).ordinal);
                if self.join(heap, id, (low, high)) {
                    return;
                }
            }
        }
        let tree = self.tree(id);
        if tree.len == 1 && self.node(heap, ordinal).len() > KEPT_LEAF_BYTES {
            let _ = self.resize(heap, ordinal, used + ROOM_MIN_BYTES);
        } else if ordinal != tree.tail {
            self.shorten(heap, ordinal, 8);
        } else if self.node(heap, ordinal).len() > 2 * used + most / 4 {
            let _ = self.resize(heap, ordinal, used + used / 2);
        }
    }

    /// Makes two neighbouring leaves one, if that leaves room; whether it has.
    fn join(&mut self, heap: &mut Heap, id: TreeId, (low, high): (u32, u32)) -> bool {
        let tree = *self.tree(id);
        let [left, right] = [low, high].map(|ordinal| self.leaf(heap, ordinal));
        if left.prelude() != right.prelude()
            || left.used_bytes() + right.used_bytes() > tree.bounds.leaf_bytes * 3 / 4
            || left.len() + right.len() > tree.bounds.leaf_records
        {
            return false;
        }
        let before = left.record_bytes() + right.record_bytes();
        let (bytes, more) = (left.0.to_vec(), right.0.to_vec());
        let (left, right) = (Leaf(&bytes), Leaf(&more));
        let mut records = drafts(left);
        records.extend(drafts(right));
        let joined = build(left.base(), left, tree.holds.has_bodies(), &records);
        if self.write_anew(heap, id, low, &joined).is_err() {
            return false;
        }
        let after = self.leaf(heap, low).record_bytes();
        self.payload_bytes = self.payload_bytes - before as u64 + after as u64;
        self.claim_long(heap, low);
        // The way to the right one is by its base: it has records still.
        let (path, found) = self.descend(heap, id, records[records.len() - 1].id);
        assert_eq!(found, high, "the last record is in the right leaf");
        if tree.holds.has_times() {
            let oldest = self.oldest_at(heap, &path);
            self.lower_oldest(heap, id, records[0].id, oldest);
        }
        if tree.tail == high {
            self.tree_mut(id).tail = low;
        }
        self.unlink(heap, id, &path, high);
        true
    }

    /// The references of a leaf's records name a leaf of this ordinal.
    pub(super) fn claim_long(&mut self, heap: &mut Heap, ordinal: u32) {
        let leaf = self.leaf(heap, ordinal);
        if !leaf.has_long() {
            return;
        }
        let places = leaf.records().filter(|place| place.flags & LONG != 0);
        let bodies: Vec<Vec<u8>> = places.map(|place| leaf.body(&place).to_vec()).collect();
        for body in bodies {
            self.claim(heap, &body, ordinal);
        }
    }

    /// What a body refers to is of a record in the leaf of this ordinal.
    pub(super) fn claim(&mut self, heap: &mut Heap, body: &[u8], ordinal: u32) {
        if let Long::Block(block) = super::forest::long_of(body) {
            Long::set_place(heap, block, ordinal.into());
        }
    }
}

/// The records of a leaf.
fn drafts<'a>(leaf: Leaf<'a>) -> Vec<Draft<'a>> {
    let records = leaf.records().map(|place| Draft {
        id: place.id,
        flags: place.flags,
        body: leaf.body(&place),
    });
    records.collect()
}

/// The records of a leaf, with a change.
fn drafts_with<'a>(leaf: Leaf<'a>, draft: &Draft<'a>, change: Change) -> Vec<Draft<'a>> {
    let mut records = drafts(leaf);
    let at = records.partition_point(|record| record.id < draft.id);
    match change {
        Change::Insert => records.insert(at, *draft),
        Change::Replace => records[at] = *draft,
    }
    records
}

fn build(base: StreamId, leaf: Leaf<'_>, has_bodies: bool, records: &[Draft<'_>]) -> Build {
    let mut build = Build::new(base, leaf.prelude(), has_bodies);
    records.iter().for_each(|record| build.push(record));
    build
}

/// The first record of the second half, by bytes; neither half is empty.
fn half_of(records: &[Draft<'_>]) -> usize {
    let bytes = |record: &Draft<'_>| record.body.len() + 3;
    let total: usize = records.iter().map(bytes).sum();
    let mut sum = 0;
    let half = records.iter().position(|record| {
        sum += bytes(record);
        sum * 2 >= total
    });
    half.map_or(1, |half| half + 1).clamp(1, records.len() - 1)
}
