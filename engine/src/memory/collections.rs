//! The large collections of a shard: their roots, by number.
//!
//! ```text
//!  item: ... | key | number (4) ──▶ slot: the root ──▶ table ──▶ nodes, which name the number
//! ```
//! An item has the number of its collection as its value, and so moves, is renamed, or changes its database without the
//! collection noticing, as with an extent. A root lies in a slot that never moves; slots are allocated by the chunk, so that none is copied as they become
//! more.
//!
//! While an undo log is open, two items may have one collection: that which the log keeps, under the key that it had, and that of the key it has
//! come to. So a root counts its items.
//!
//! A collection that is destroyed is taken out of use at once, and freed in slices ([`Collections::free_some`]); until then its
//! bytes count as used. So are nodes that were cut off a collection which stays.

mod structure;

pub(crate) use structure::Structure;

use crate::item::Variant;
use crate::limits::{FREED_AT_ONCE_BLOCKS, FREED_LAZILY_ELEMENTS, GIVEN_BACK_AT_ONCE_BYTES};
use crate::list::List;
use crate::nodes::{Heap, NodeKind, Owner, owner_of};
use crate::raw::Block;
use crate::sorted::SortedSet;
use crate::spiral::Spiral;
use crate::stream::Stream;
use crate::{Kind, StoreError};

/// Slots to an allocation.
const CHUNK_SLOTS: usize = 32;
/// Blocks freed between looks at what was given back to the system.
const FREE_STEP_BLOCKS: u32 = 8;

/// The root of a collection.
pub(crate) struct Root {
    pub(crate) variant: Variant,
    /// How many items have it. What is loose, and is to have one, counts as such.
    items: u32,
    /// Whether it is out of use, and had so many elements that its end is told of.
    is_told: bool,
    pub(crate) structure: Structure,
}

/// Objects that are freed behind the command that removed them: collections, and entries of flushed databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LazyObjects {
    /// Those that are yet to be freed.
    pub pending: u64,
    /// Those that have been.
    pub freed: u64,
}

/// All large collections of a shard.
#[derive(Default)]
pub(crate) struct Collections {
    chunks: Vec<Vec<Option<Root>>>,
    vacant: Vec<Owner>,
    /// Those to be freed.
    dying: Vec<Owner>,
    dying_bytes: u64,
    lazy: LazyObjects,
    /// Those that have something to reclaim, and perhaps some that had.
    trimmed: Vec<Owner>,
    /// Bytes of the lists that roots have outside of the arena.
    list_bytes: u64,
    /// Bytes of slots and of lists of numbers.
    slot_bytes: u64,
    /// Bytes of names and values of those not dying.
    payload_bytes: u64,
}

impl Collections {
    fn slot(&self, owner: Owner) -> &Option<Root> {
        let number = owner.0 as usize;
        &self.chunks[number / CHUNK_SLOTS][number % CHUNK_SLOTS]
    }

    fn slot_mut(&mut self, owner: Owner) -> &mut Option<Root> {
        let number = owner.0 as usize;
        &mut self.chunks[number / CHUNK_SLOTS][number % CHUNK_SLOTS]
    }

    /// The root of a collection.
    ///
    /// # Panics
    /// There is none of this number.
    #[inline]
    pub(crate) fn root(&self, owner: Owner) -> &Root {
        let slot = self.slot(owner).as_ref();
        slot.expect("an item's collection lives as long as the item")
    }

    /// The root of a collection, to change what it says of itself.
    ///
    /// # Panics
    /// As [`Self::root`].
    #[inline]
    pub(crate) fn root_mut(&mut self, owner: Owner) -> &mut Root {
        let slot = self.slot_mut(owner).as_mut();
        slot.expect("an item's collection lives as long as the item")
    }

    /// A collection of named elements.
    ///
    /// # Panics
    /// As [`Self::root`], or it is of another structure.
    #[inline]
    pub(crate) fn spiral(&self, owner: Owner) -> &Spiral {
        self.root(owner).structure.spiral()
    }

    /// A list.
    ///
    /// # Panics
    /// As [`Self::root`], or it is of another structure.
    #[inline]
    pub(crate) fn list(&self, owner: Owner) -> &List {
        self.root(owner).structure.list()
    }

    /// A sorted set.
    ///
    /// # Panics
    /// As [`Self::root`], or it is of another structure.
    #[inline]
    pub(crate) fn sorted(&self, owner: Owner) -> &SortedSet {
        self.root(owner).structure.sorted()
    }

    /// A stream.
    ///
    /// # Panics
    /// As [`Self::root`], or it is of another structure.
    #[inline]
    pub(crate) fn stream(&self, owner: Owner) -> &Stream {
        self.root(owner).structure.stream()
    }

    /// Has `change` change a collection.
    ///
    /// # Panics
    /// As [`Self::root`].
    #[inline]
    pub(crate) fn change<T>(
        &mut self,
        owner: Owner,
        change: impl FnOnce(&mut Structure) -> T,
    ) -> T {
        let structure = &mut self.root_mut(owner).structure;
        let (lists, payload) = (structure.list_bytes(), structure.payload_bytes());
        let was_trimmed = structure.has_some_to_reclaim();
        let result = change(structure);
        let (are_lists, is_payload) = (structure.list_bytes(), structure.payload_bytes());
        if structure.has_some_to_reclaim() && !was_trimmed {
            self.trimmed.push(owner);
            self.slot_bytes = self.count_slot_bytes();
        }
        self.list_bytes = self.list_bytes - lists + are_lists;
        self.payload_bytes = self.payload_bytes - payload + is_payload;
        result
    }

    /// Has `change` change a list.
    ///
    /// # Panics
    /// As [`Self::list`].
    #[inline]
    pub(crate) fn change_list<T>(
        &mut self,
        owner: Owner,
        change: impl FnOnce(&mut List) -> T,
    ) -> T {
        self.change(owner, |structure| change(structure.list_mut()))
    }

    /// An empty collection for a value of this kind.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn create(
        &mut self,
        heap: &mut Heap,
        kind: Kind,
        variant: Variant,
    ) -> Result<Owner, StoreError> {
        let owner = self.vacant_number();
        let structure = Structure::new(heap, kind, owner)?;
        let root = Root {
            variant,
            items: 1,
            is_told: false,
            structure,
        };
        Ok(self.occupy(owner, root))
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

    fn occupy(&mut self, owner: Owner, root: Root) -> Owner {
        self.vacant.pop();
        self.list_bytes += root.structure.list_bytes();
        self.payload_bytes += root.structure.payload_bytes();
        *self.slot_mut(owner) = Some(root);
        owner
    }

    /// One more item has a collection.
    pub(crate) fn share(&mut self, owner: Owner) {
        self.root_mut(owner).items += 1;
    }

    /// Whether more than one item has a collection.
    pub(crate) fn is_shared(&self, owner: Owner) -> bool {
        self.root(owner).items > 1
    }

    /// An item has a collection no more. Without any it is out of use.
    pub(crate) fn bury(&mut self, owner: Owner) {
        let root = self.root_mut(owner);
        root.items -= 1;
        if root.items > 0 {
            return;
        }
        let structure = &root.structure;
        let (payload, bytes) = (structure.payload_bytes(), structure.block_bytes());
        root.is_told = structure.len() > FREED_LAZILY_ELEMENTS;
        self.lazy.pending += u64::from(root.is_told);
        self.payload_bytes -= payload;
        self.dying_bytes += bytes;
        self.dying.push(owner);
        self.slot_bytes = self.count_slot_bytes();
    }

    /// Whether there is something to free.
    #[inline(always)]
    pub(crate) fn has_some_to_free(&self) -> bool {
        !self.dying.is_empty() || !self.trimmed.is_empty()
    }

    /// Frees some blocks of a collection that is out of use, or was trimmed; whether there was one.
    pub(crate) fn free_some(&mut self, heap: &mut Heap) -> bool {
        if let Some(&owner) = self.dying.last() {
            let bytes = self.root(owner).structure.block_bytes();
            let is_gone = self.free_of(heap, owner, Structure::dismantle);
            self.dying_bytes -= bytes - self.root(owner).structure.block_bytes();
            if is_gone {
                let root = self.root(owner);
                let is_told = u64::from(root.is_told);
                self.list_bytes -= root.structure.list_bytes();
                self.lazy.pending -= is_told;
                self.lazy.freed += is_told;
                *self.slot_mut(owner) = None;
                self.dying.pop();
                self.vacant.push(owner);
                self.slot_bytes = self.count_slot_bytes();
            }
            return true;
        }
        let Some(&owner) = self.trimmed.last() else {
            return false;
        };
        if self.slot(owner).is_none() {
            self.trimmed.pop();
            return true;
        }
        let payload = self.root(owner).structure.payload_bytes();
        let is_done = self.free_of(heap, owner, Structure::reclaim);
        self.payload_bytes -= payload - self.root(owner).structure.payload_bytes();
        if is_done {
            self.trimmed.pop();
        }
        true
    }

    /// Has `free` free about as many blocks of a collection as a slice may; whether none was left.
    fn free_of(
        &mut self,
        heap: &mut Heap,
        owner: Owner,
        free: impl Fn(&mut Structure, &mut Heap, u32) -> Option<u32>,
    ) -> bool {
        let structure = &mut self.root_mut(owner).structure;
        let lists = structure.list_bytes();
        let touched = heap.arena.touched_bytes();
        let (mut freed, mut is_done) = (0, false);
        while !is_done
            && freed < FREED_AT_ONCE_BLOCKS
            && heap.arena.touched_bytes() + GIVEN_BACK_AT_ONCE_BYTES > touched
        {
            match free(structure, heap, FREE_STEP_BLOCKS) {
                Some(blocks) => freed += blocks,
                None => is_done = true,
            }
        }
        let are_lists = structure.list_bytes();
        self.list_bytes = self.list_bytes - lists + are_lists;
        is_done
    }

    /// Whether something was cut off a collection that has yet to be freed.
    pub(crate) fn has_some_to_reclaim(&self, owner: Owner) -> bool {
        self.root(owner).structure.has_some_to_reclaim()
    }

    /// Lets go of some roots, of memory nobody reads any more; whether there were any.
    pub(crate) fn drop_some(&mut self) -> bool {
        self.dying.clear();
        self.trimmed.clear();
        let dropped = self.chunks.pop().is_some();
        self.slot_bytes = self.count_slot_bytes();
        dropped
    }

    /// The content of `from`, a node of this kind, is in `to` now.
    pub(crate) fn block_moved(&mut self, heap: &mut Heap, kind: NodeKind, from: Block, to: Block) {
        let owner = owner_of(heap.arena.tail(to));
        let structure = &mut self.root_mut(owner).structure;
        structure.block_moved(heap, kind, from, to);
    }

    /// Bytes that a collection takes outside of its blocks and extents: its slot and its lists.
    pub(crate) fn root_bytes_of(&self, owner: Owner) -> u64 {
        size_of::<Option<Root>>() as u64 + self.root(owner).structure.list_bytes()
    }

    /// Bytes of blocks and extents of a collection.
    pub(crate) fn block_bytes_of(&self, owner: Owner) -> u64 {
        self.root(owner).structure.block_bytes()
    }

    /// Bytes of blocks and extents that are yet to be freed.
    pub(crate) fn dying_bytes(&self) -> u64 {
        self.dying_bytes
    }

    /// Those that were removed with many elements.
    pub(crate) fn lazy_objects(&self) -> LazyObjects {
        self.lazy
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
        let slots = self.chunks.len() * CHUNK_SLOTS * size_of::<Option<Root>>();
        let chunks = self.chunks.capacity() * size_of::<Vec<Option<Root>>>();
        let numbers = self.vacant.capacity() + self.dying.capacity() + self.trimmed.capacity();
        (slots + chunks + numbers * size_of::<Owner>()) as u64
    }

    /// Verifies the sums, and each collection in use.
    pub(crate) fn check(&self, check: impl Fn(&Structure)) {
        let (mut lists, mut payload, mut dying, mut taken, mut told) = (0, 0, 0, 0, 0);
        let slots = self.chunks.iter().flatten().enumerate();
        for (number, slot) in slots {
            let Some(Root {
                structure, is_told, ..
            }) = slot
            else {
                continue;
            };
            taken += 1;
            told += u64::from(*is_told);
            lists += structure.list_bytes();
            if self.dying.contains(&Owner(number as u32)) {
                dying += structure.block_bytes();
            } else {
                payload += structure.payload_bytes();
                check(structure);
            }
        }
        assert_eq!(
            (lists, payload, dying, told),
            (
                self.list_bytes,
                self.payload_bytes,
                self.dying_bytes,
                self.lazy.pending
            )
        );
        assert_eq!(self.slot_bytes, self.count_slot_bytes());
        assert_eq!(taken + self.vacant.len(), self.chunks.len() * CHUNK_SLOTS);
    }
}
