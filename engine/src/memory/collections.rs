//! The large collections of a shard: their roots, by number.
//!
//! ```text
//!  item: ... | key | number (4) ──▶ slot: the root ──▶ table ──▶ nodes, which name the number
//! ```
//! An item has the number of its collection as its value, and so moves, is renamed, or changes its database without the
//! collection noticing, as with an extent. A root lies in a slot that never moves; slots are allocated by the chunk, so that none is copied as they become
//! more.
//!
//! A collection that is destroyed is taken out of use at once, and freed in slices ([`Collections::free_some`]); until then its
//! bytes count as used.

use crate::StoreError;
use crate::limits::{FREED_AT_ONCE_BLOCKS, GIVEN_BACK_AT_ONCE_BYTES};
use crate::nodes::{Heap, NodeKind, Owner, owner_of};
use crate::raw::Block;
use crate::spiral::Spiral;

/// Slots to an allocation.
const CHUNK_SLOTS: usize = 128;
/// Blocks freed between looks at what was given back to the system.
const FREE_STEP_BLOCKS: u32 = 8;

/// All large collections of a shard.
#[derive(Default)]
pub(crate) struct Collections {
    chunks: Vec<Vec<Option<Spiral>>>,
    vacant: Vec<Owner>,
    /// Those to be freed.
    dying: Vec<Owner>,
    dying_bytes: u64,
    /// Bytes of the lists that roots have outside of the arena.
    list_bytes: u64,
    /// Bytes of slots and of lists of numbers.
    slot_bytes: u64,
    /// Bytes of names and values of those not dying.
    payload_bytes: u64,
}

impl Collections {
    fn slot(&self, owner: Owner) -> &Option<Spiral> {
        let number = owner.0 as usize;
        &self.chunks[number / CHUNK_SLOTS][number % CHUNK_SLOTS]
    }

    fn slot_mut(&mut self, owner: Owner) -> &mut Option<Spiral> {
        let number = owner.0 as usize;
        &mut self.chunks[number / CHUNK_SLOTS][number % CHUNK_SLOTS]
    }

    /// A collection.
    ///
    /// # Panics
    /// There is none of this number.
    #[inline]
    pub(crate) fn get(&self, owner: Owner) -> &Spiral {
        let slot = self.slot(owner).as_ref();
        slot.expect("an item's collection lives as long as the item")
    }

    /// Has `change` change a collection, and keeps the sums.
    ///
    /// # Panics
    /// As [`Self::get`].
    #[inline]
    pub(crate) fn change<T>(&mut self, owner: Owner, change: impl FnOnce(&mut Spiral) -> T) -> T {
        let spiral = self.slot_mut(owner).as_mut();
        let spiral = spiral.expect("an item's collection lives as long as the item");
        let (lists, payload) = (spiral.list_bytes(), spiral.payload_bytes());
        let result = change(spiral);
        let (are_lists, is_payload) = (spiral.list_bytes(), spiral.payload_bytes());
        self.list_bytes = self.list_bytes - lists + are_lists;
        self.payload_bytes = self.payload_bytes - payload + is_payload;
        result
    }

    /// An empty collection.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn create(&mut self, heap: &mut Heap) -> Result<Owner, StoreError> {
        let owner = self.vacant_number();
        let spiral = Spiral::new(heap, owner)?;
        Ok(self.occupy(owner, spiral))
    }

    /// Another collection of the same elements.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn duplicate(&mut self, heap: &mut Heap, of: Owner) -> Result<Owner, StoreError> {
        let owner = self.vacant_number();
        let duplicate = self.get(of).duplicate(heap, owner)?;
        Ok(self.occupy(owner, duplicate))
    }

    /// The number of a vacant slot, which stays vacant.
    fn vacant_number(&mut self) -> Owner {
        if let Some(&owner) = self.vacant.last() {
            return owner;
        }
        let chunk = self.chunks.len() as u32;
        let mut slots = Vec::with_capacity(CHUNK_SLOTS);
        slots.resize_with(CHUNK_SLOTS, || None);
        self.chunks.push(slots);
        let first = chunk * CHUNK_SLOTS as u32;
        let numbers = first..first + CHUNK_SLOTS as u32;
        self.vacant.extend(numbers.rev().map(Owner));
        self.slot_bytes = self.count_slot_bytes();
        Owner(first)
    }

    fn occupy(&mut self, owner: Owner, spiral: Spiral) -> Owner {
        self.vacant.pop();
        self.list_bytes += spiral.list_bytes();
        self.payload_bytes += spiral.payload_bytes();
        *self.slot_mut(owner) = Some(spiral);
        owner
    }

    /// Takes a collection out of use.
    pub(crate) fn bury(&mut self, owner: Owner) {
        let spiral = self.get(owner);
        let (payload, bytes) = (spiral.payload_bytes(), spiral.block_bytes());
        self.payload_bytes -= payload;
        self.dying_bytes += bytes;
        self.dying.push(owner);
        self.slot_bytes = self.count_slot_bytes();
    }

    /// Whether there is something to free.
    #[inline(always)]
    pub(crate) fn has_some_to_free(&self) -> bool {
        !self.dying.is_empty()
    }

    /// Frees some blocks of collections that are out of use; whether there were any.
    pub(crate) fn free_some(&mut self, heap: &mut Heap) -> bool {
        let Some(&owner) = self.dying.last() else {
            return false;
        };
        let spiral = self.slot_mut(owner).as_mut();
        let spiral = spiral.expect("it is taken out when all is freed");
        let (bytes, lists) = (spiral.block_bytes(), spiral.list_bytes());
        let touched = heap.arena.touched_bytes();
        let (mut freed, mut is_gone) = (0, false);
        while !is_gone
            && freed < FREED_AT_ONCE_BLOCKS
            && heap.arena.touched_bytes() + GIVEN_BACK_AT_ONCE_BYTES > touched
        {
            match spiral.dismantle(heap, FREE_STEP_BLOCKS) {
                Some(blocks) => freed += blocks,
                None => is_gone = true,
            }
        }
        let (are_bytes, are_lists) = (spiral.block_bytes(), spiral.list_bytes());
        self.dying_bytes -= bytes - are_bytes;
        self.list_bytes = self.list_bytes - lists + are_lists;
        if is_gone {
            *self.slot_mut(owner) = None;
            self.list_bytes -= are_lists;
            self.dying.pop();
            self.vacant.push(owner);
            self.slot_bytes = self.count_slot_bytes();
        }
        true
    }

    /// Lets go of some roots, of memory nobody reads any more; whether there were any.
    pub(crate) fn drop_some(&mut self) -> bool {
        self.dying.clear();
        let dropped = self.chunks.pop().is_some();
        self.slot_bytes = self.count_slot_bytes();
        dropped
    }

    /// The content of `from`, a node of this kind, is in `to` now.
    pub(crate) fn block_moved(&mut self, heap: &mut Heap, kind: NodeKind, from: Block, to: Block) {
        let owner = owner_of(heap.arena.tail(to));
        let spiral = self.slot_mut(owner).as_mut();
        let spiral = spiral.expect("a collection lives as long as its nodes");
        spiral.block_moved(heap, kind, from, to);
    }

    /// Bytes that a collection takes outside of its blocks and extents: its slot and its lists.
    pub(crate) fn root_bytes_of(&self, owner: Owner) -> u64 {
        size_of::<Option<Spiral>>() as u64 + self.get(owner).list_bytes()
    }

    /// Bytes of blocks and extents of a collection.
    pub(crate) fn block_bytes_of(&self, owner: Owner) -> u64 {
        self.get(owner).block_bytes()
    }

    /// Bytes of blocks and extents that are yet to be freed.
    pub(crate) fn dying_bytes(&self) -> u64 {
        self.dying_bytes
    }

    /// Bytes of names and values.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Bytes of slots and lists.
    pub(crate) fn table_bytes(&self) -> u64 {
        self.list_bytes + self.slot_bytes
    }

    fn count_slot_bytes(&self) -> u64 {
        let slots = self.chunks.len() * CHUNK_SLOTS * size_of::<Option<Spiral>>();
        let chunks = self.chunks.capacity() * size_of::<Vec<Option<Spiral>>>();
        let numbers = (self.vacant.capacity() + self.dying.capacity()) * size_of::<Owner>();
        (slots + chunks + numbers) as u64
    }

    /// Verifies the sums, and each collection in use.
    pub(crate) fn check(&self, check: impl Fn(&Spiral)) {
        let (mut lists, mut payload, mut dying, mut taken) = (0, 0, 0, 0);
        let slots = self.chunks.iter().flatten().enumerate();
        for (number, slot) in slots {
            let Some(spiral) = slot else { continue };
            taken += 1;
            lists += spiral.list_bytes();
            if self.dying.contains(&Owner(number as u32)) {
                dying += spiral.block_bytes();
            } else {
                payload += spiral.payload_bytes();
                check(spiral);
            }
        }
        assert_eq!(
            (lists, payload, dying),
            (self.list_bytes, self.payload_bytes, self.dying_bytes)
        );
        assert_eq!(self.slot_bytes, self.count_slot_bytes());
        assert_eq!(taken + self.vacant.len(), self.chunks.len() * CHUNK_SLOTS);
    }
}
