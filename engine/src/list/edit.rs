//! Changing what is between the ends: elements that come among others, become others, or go one by one.

use super::field::Field;
use super::inner::{self, Child};
use super::layout::Layout;
use super::long::{self, Stored};
use super::packed::{End, Packed, PackedMut};
use super::tree::Spares;
use super::{EndLeaf, List, Spot, leaf};
use crate::StoreError;
use crate::limits::MAX_LIST_ELEMENTS;
use crate::nodes::Heap;
use crate::raw::Block;

impl List {
    /// Has `put` put an element where it is to be, as it lies in a leaf: itself or a reference.
    ///
    /// # Errors
    /// Those of `put`, or memory is out; then nothing is left of it.
    pub(super) fn put(
        &mut self,
        heap: &mut Heap,
        element: &[u8],
        put: impl FnOnce(&mut Self, &mut Heap, Field<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let stored = match self.is_long(element.len()) {
            true => long::store(heap, &mut self.holdings, element)?,
            false => Stored::Inline(element),
        };
        let done = put(self, heap, stored.field());
        match done {
            Ok(()) => self.payload_bytes += element.len() as u64,
            Err(_) => self.free_field(heap, stored.field()),
        }
        done
    }

    /// Adds an element before element `index`, or behind the last.
    ///
    /// # Errors
    /// Memory is out, or there are [`MAX_LIST_ELEMENTS`]; then nothing changed.
    pub(crate) fn insert(
        &mut self,
        heap: &mut Heap,
        index: u32,
        element: &[u8],
    ) -> Result<(), StoreError> {
        if index == 0 {
            return self.push(heap, End::Head, element);
        }
        if index == self.len() {
            return self.push(heap, End::Tail, element);
        }
        if self.len() == MAX_LIST_ELEMENTS {
            return Err(StoreError::TooLarge);
        }
        self.put(heap, element, |list, heap, field| {
            list.insert_field(heap, index, field)
        })
    }

    fn insert_field(
        &mut self,
        heap: &mut Heap,
        index: u32,
        field: Field<'_>,
    ) -> Result<(), StoreError> {
        let spot = self.locate(heap, index);
        let run = leaf::run(heap, spot.block);
        if self.may_take(run, field) {
            let used = run.used_with(field.code());
            if used > heap.arena.block_bytes(spot.block) - leaf::HEADER_BYTES {
                let bytes = used + Self::room_for(used);
                self.resize_leaf(heap, spot.ordinal, bytes, End::Tail)?;
            }
            let block = self.table.get(&heap.arena, spot.ordinal);
            let is_there = leaf::run_mut(heap, block).insert(spot.at, field);
            assert!(is_there, "a leaf was given the room");
            long::set_leaf(heap, long::reference(field), spot.ordinal);
            self.counted(heap, &spot, 1);
            return Ok(());
        }
        if let Some(end) = spot.end {
            // A full leaf may as well be in the tree.
            let leaf = self.ends[end as usize].expect("it has the element");
            self.attach(heap, end, leaf)?;
            self.ends[end as usize] = None;
            return self.insert_field(heap, index, field);
        }
        self.insert_dividing(heap, &spot, field)
    }

    /// So many elements more, or fewer, are in the leaf where `spot` is.
    fn counted(&mut self, heap: &mut Heap, spot: &Spot, change: i64) {
        match spot.end {
            None => self.count(heap, &spot.path, change),
            Some(end) => {
                let leaf = self.ends[end as usize].as_mut().expect("it has elements");
                leaf.elements = (i64::from(leaf.elements) + change) as u32;
            }
        }
    }

    /// Divides a full leaf of the tree and adds an element to one of the halves.
    fn insert_dividing(
        &mut self,
        heap: &mut Heap,
        spot: &Spot,
        field: Field<'_>,
    ) -> Result<(), StoreError> {
        let image = leaf::image(heap, spot.block);
        let packed = Packed::new(&image);
        let half = packed.half();
        let mut halves = [0..half, half..packed.len()].map(|range| {
            let mut bytes = vec![0; self.run_max_bytes()];
            Layout::new(&[(packed, range)]).write(&mut bytes, End::Tail);
            bytes
        });
        let (number, at) = if spot.at <= half {
            (0, spot.at)
        } else {
            (1, spot.at - half)
        };
        let is_there = PackedMut::new(&mut halves[number]).insert(at, field);
        assert!(is_there, "half a leaf has room for an element");

        let [low, high] = [&halves[0], &halves[1]].map(|half| Packed::new(half));
        let bytes = |half: Packed<'_>| half.used_bytes() + Self::room_for(half.used_bytes());
        let (block, new, spares) = self.reserve_halves(heap, spot, bytes(low), bytes(high))?;
        let parent = inner::parent(heap.arena.tail(spot.block));
        inner::set_parent(heap.arena.tail_mut(block), parent);
        for (half, block) in [(low, block), (high, new.block)] {
            let parts = [(half, 0..half.len())];
            self.write_run(heap, block, &Layout::new(&parts), End::Tail);
        }
        self.put_in(heap, spot.ordinal, spot.block, block);
        Self::claim_long(heap, new.block, 0, new.ordinal);
        let home = [spot.ordinal, new.ordinal][number];
        long::set_leaf(heap, long::reference(field), home);
        if let Some(step) = spot.path.bottom() {
            let (ordinal, elements) = (spot.ordinal, low.len() as u32);
            let node = self.node_mut(heap, step.ordinal);
            inner::set_child(node, step.slot(), Child { ordinal, elements });
        } else {
            self.tree_len = low.len() as u32;
        }
        let child = Child {
            ordinal: new.ordinal,
            elements: high.len() as u32,
        };
        let len = self.tree_len;
        self.link(heap, &spot.path, true, child, spares);
        self.tree_len = match spot.path.bottom() {
            Some(_) => len + 1,
            None => len + child.elements,
        };
        Ok(())
    }

    /// What dividing a leaf needs: a block for its first half, a leaf for the other, of so many bytes, and inner nodes.
    fn reserve_halves(
        &mut self,
        heap: &mut Heap,
        spot: &Spot,
        low_bytes: usize,
        high_bytes: usize,
    ) -> Result<(Block, EndLeaf, Spares), StoreError> {
        let block = self.leaf_block(heap, spot.ordinal, low_bytes)?;
        let new = match self.new_leaf(heap, high_bytes) {
            Ok(new) => new,
            Err(error) => {
                self.holdings.free(&mut heap.arena, block);
                return Err(error);
            }
        };
        match self.reserve(heap, &spot.path) {
            Ok(spares) => Ok((block, new, spares)),
            Err(error) => {
                self.table.pop(&mut heap.arena, &mut self.holdings);
                self.holdings.free(&mut heap.arena, new.block);
                self.holdings.free(&mut heap.arena, block);
                Err(error)
            }
        }
    }

    /// Makes element `index`, which there is, another one.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn replace(
        &mut self,
        heap: &mut Heap,
        index: u32,
        element: &[u8],
    ) -> Result<(), StoreError> {
        self.put(heap, element, |list, heap, field| {
            list.replace_field(heap, index, field)
        })
    }

    fn replace_field(
        &mut self,
        heap: &mut Heap,
        index: u32,
        field: Field<'_>,
    ) -> Result<(), StoreError> {
        let spot = self.locate(heap, index);
        let run = leaf::run(heap, spot.block);
        let used = run.used_with_other(spot.at, field.code());
        if used > self.run_max_bytes() {
            self.insert_field(heap, index, field)?;
            self.remove(heap, index + 1..index + 2);
            return Ok(());
        }
        if used > heap.arena.block_bytes(spot.block) - leaf::HEADER_BYTES {
            let bytes = used + Self::room_for(used);
            self.resize_leaf(heap, spot.ordinal, bytes, End::Tail)?;
        }
        let block = self.table.get(&heap.arena, spot.ordinal);
        self.discard(heap, block, std::iter::once(spot.at));
        let is_there = leaf::run_mut(heap, block).replace(spot.at, field);
        assert!(is_there, "a leaf was given the room");
        long::set_leaf(heap, long::reference(field), spot.ordinal);
        if spot.end.is_none() {
            self.shorten_leaf(heap, spot.ordinal);
        }
        Ok(())
    }

    /// So many elements have gone from the run of a leaf.
    pub(super) fn removed(&mut self, heap: &mut Heap, spot: &Spot, elements: usize) {
        self.counted(heap, spot, -(elements as i64));
        if spot.end.is_none() {
            self.balance(heap, spot);
        }
    }
}
