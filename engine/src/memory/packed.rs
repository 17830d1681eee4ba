//! Items whose value is a packed collection: a variant, and elements in the item's own block.
//!
//! ```text
//!  item: ... | key | variant (1) | run of elements, and all the room that the block has |
//! ```
//! Such a value reaches to the end of its block, so that what comes next finds room without the item being written anew. How the
//! run uses its bytes is for its kind to know.

use super::Memory;
use crate::item::{Form, Layout, Variant};
use crate::nodes::Owner;
use crate::raw::Block;
use crate::{AccessClock, Kind, StoreError};

/// Bytes before the run.
pub(super) const VARIANT_BYTES: usize = 1;

/// Where in its item a packed collection is, until that moves or is written anew: what a command looks up once.
#[derive(Clone, Copy)]
pub(crate) struct PackedAt {
    pub(crate) item: Block,
    value_at: u16,
    end: u16,
}

impl Memory {
    /// Writes a new item whose value is a packed collection with a run of at least `run_bytes`, in a block that fits; `write` writes
    /// all of the run.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn create_packed(
        &mut self,
        key: &[u8],
        kind: Kind,
        access: AccessClock,
        run_bytes: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Block, StoreError> {
        let value_len = VARIANT_BYTES + run_bytes;
        let fitting = Layout::plan(Form::packed(kind), access, key.len(), value_len, None);
        debug_assert!(!fitting.head.value_in_extent());
        let item = self
            .heap
            .arena
            .alloc(fitting.total)
            .ok_or(StoreError::OutOfMemory)?;
        let layout = Self::filling(&fitting, self.heap.arena.block_bytes(item));
        layout.write_prefix(self.heap.arena.tail_mut(item), None);
        let key_extent = match self.store_field(layout.head.key_in_extent(), key) {
            Ok(extent) => extent,
            Err(error) => {
                self.heap.arena.free(item);
                return Err(error);
            }
        };
        self.write_field(item, layout.key_at, key_extent, key);
        let value = &mut self.heap.arena.tail_mut(item)[layout.value_at..layout.total];
        value[0] = Variant::default().0;
        write(&mut value[VARIANT_BYTES..]);
        self.payload_bytes += (key.len() + layout.value_len) as u64;
        Ok(item)
    }

    /// The bytes of a value in its item or its extent.
    pub(super) fn value(&self, item: Block) -> &[u8] {
        self.entry(item).value()
    }

    /// The run of a packed collection; `None` if the value is none.
    #[inline]
    pub(crate) fn packed(&self, item: Block) -> Option<&[u8]> {
        let bytes = self.heap.arena.tail(item);
        let layout = Layout::read(bytes);
        let is = layout.head.form().is_packed();
        is.then(|| Self::run_of(bytes, &layout))
    }

    /// The run of an item with this layout, whose value is packed.
    #[inline(always)]
    pub(super) fn run_of<'a>(bytes: &'a [u8], layout: &Layout) -> &'a [u8] {
        &layout.inline_value(bytes)[VARIANT_BYTES..]
    }

    /// Where the packed collection of an item is; `None` if its value is none.
    #[inline(always)]
    pub(crate) fn packed_at(&self, item: Block) -> Option<PackedAt> {
        let layout = self.layout(item);
        layout.head.form().is_packed().then_some(PackedAt {
            item,
            value_at: layout.value_at as u16,
            end: layout.total as u16,
        })
    }

    /// The run of a packed collection.
    #[inline(always)]
    pub(crate) fn run_at(&self, at: PackedAt) -> &[u8] {
        let value = &self.heap.arena.tail(at.item)[at.value_at.into()..at.end.into()];
        &value[VARIANT_BYTES..]
    }

    /// A packed collection, to change within its bytes: its variant and its run.
    #[inline(always)]
    pub(crate) fn packed_mut_at(&mut self, at: PackedAt) -> (&mut u8, &mut [u8]) {
        let value = &mut self.heap.arena.tail_mut(at.item)[at.value_at.into()..at.end.into()];
        value.split_first_mut().expect("a variant")
    }

    /// The run of a packed collection, to change within its bytes.
    ///
    /// # Panics
    /// The value is none.
    #[inline]
    pub(crate) fn packed_mut(&mut self, item: Block) -> &mut [u8] {
        let bytes = self.heap.arena.tail_mut(item);
        let layout = Layout::read(bytes);
        assert!(layout.head.form().is_packed(), "the value is packed");
        &mut bytes[layout.value_at + VARIANT_BYTES..layout.total]
    }

    /// A packed collection says something else of itself.
    pub(crate) fn set_packed_variant(&mut self, item: Block, variant: Variant) {
        let bytes = self.heap.arena.tail_mut(item);
        let layout = Layout::read(bytes);
        bytes[layout.value_at] = variant.0;
    }

    /// Gives a packed collection a run of at least `run_bytes`, in a block that fits; answers where the item is now. `write` gets
    /// the old run, and writes all of the new.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn resize_packed(
        &mut self,
        item: Block,
        run_bytes: usize,
        write: impl FnOnce(&[u8], &mut [u8]),
    ) -> Result<Block, StoreError> {
        let old = self.layout(item);
        let deadline = self.deadline(item);
        let fitting = old.with_value_len(VARIANT_BYTES + run_bytes);
        let target = self
            .heap
            .arena
            .alloc(fitting.total)
            .ok_or(StoreError::OutOfMemory)?;
        let new = Self::filling(&fitting, self.heap.arena.block_bytes(target));
        let arena = &mut self.heap.arena;
        self.scratch.clear();
        self.scratch
            .extend_from_slice(&arena.tail(item)[old.value_at..old.total]);
        arena.copy_between(item, old.key_at..old.value_at, target, new.key_at);
        let bytes = arena.tail_mut(target);
        new.write_prefix(bytes, deadline);
        bytes[new.value_at] = self.scratch[0];
        let run = new.value_at + VARIANT_BYTES..new.total;
        write(&self.scratch[VARIANT_BYTES..], &mut bytes[run]);
        arena.free(item);
        self.payload_bytes = self.payload_bytes - old.value_len as u64 + new.value_len as u64;
        Ok(target)
    }

    /// The layout with so much more of a value that it fills a block.
    fn filling(fitting: &Layout, block_bytes: usize) -> Layout {
        let more = block_bytes - fitting.total;
        let filling = fitting.with_value_len(fitting.value_len + more);
        match filling.total <= block_bytes {
            true => filling,
            // Its length takes a byte more.
            false => fitting.with_value_len(fitting.value_len + more - 1),
        }
    }

    /// Makes the value of a packed item the large collection `owner`; answers where the item is now. What was packed is gone.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn enlarge(&mut self, item: Block, owner: Owner) -> Result<Block, StoreError> {
        let old = self.layout(item);
        let deadline = self.deadline(item);
        let kind = old.head.form().kind();
        let number = owner.0.to_le_bytes();
        let new = old
            .with_form(Form::large(kind))
            .with_value_len(number.len());
        let arena = &mut self.heap.arena;
        let target = arena.alloc(new.total).ok_or(StoreError::OutOfMemory)?;
        arena.copy_between(item, old.key_at..old.value_at, target, new.key_at);
        let bytes = arena.tail_mut(target);
        new.write_prefix(bytes, deadline);
        bytes[new.value_at..new.total].copy_from_slice(&number);
        arena.free(item);
        self.payload_bytes = self.payload_bytes - old.value_len as u64 + new.value_len as u64;
        Ok(target)
    }

    /// Makes the value of the item of a large collection a packed one, with a run of at least `run_bytes`, and takes the collection
    /// out of use; answers where the item is now. `write` writes all of the run.
    ///
    /// # Errors
    /// Memory is out; then nothing changed.
    pub(crate) fn pack(
        &mut self,
        item: Block,
        run_bytes: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<Block, StoreError> {
        let old = self.layout(item);
        let deadline = self.deadline(item);
        let owner = self.collection_of(item).expect("it is a large collection");
        let variant = self.variant(item);
        let fitting = old
            .with_form(Form::packed(old.head.form().kind()))
            .with_value_len(VARIANT_BYTES + run_bytes);
        let arena = &mut self.heap.arena;
        let target = arena.alloc(fitting.total).ok_or(StoreError::OutOfMemory)?;
        let new = Self::filling(&fitting, arena.block_bytes(target));
        arena.copy_between(item, old.key_at..old.value_at, target, new.key_at);
        let bytes = arena.tail_mut(target);
        new.write_prefix(bytes, deadline);
        bytes[new.value_at] = variant.0;
        write(&mut bytes[new.value_at + VARIANT_BYTES..new.total]);
        arena.free(item);
        self.collections.bury(owner);
        self.payload_bytes = self.payload_bytes - old.value_len as u64 + new.value_len as u64;
        Ok(target)
    }

    /// Makes a collection the packed one that [`Self::image`] has told of, under the key that it has in an extent; answers where
    /// the item is now. What the collection was is gone.
    pub(crate) fn restore_packed(
        &mut self,
        item: Block,
        image: &[u8],
        block_bytes: usize,
    ) -> Option<Block> {
        let (is, was) = (self.layout(item), Layout::read(image));
        let target = self.heap.arena.alloc(block_bytes)?;
        self.heap.arena.tail_mut(target)[..image.len()].copy_from_slice(image);
        if let Some(collection) = self.collection_of(item) {
            self.collections.bury(collection);
        }
        self.heap.arena.free(item);
        self.payload_bytes = self.payload_bytes - is.value_len as u64 + was.value_len as u64;
        Some(target)
    }

    /// A large collection that no item has yet.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn create_loose(
        &mut self,
        kind: Kind,
        variant: Variant,
    ) -> Result<Owner, StoreError> {
        self.collections.create(&mut self.heap, kind, variant)
    }

    /// Takes a collection that no item has out of use.
    pub(crate) fn bury_loose(&mut self, owner: Owner) {
        self.collections.bury(owner);
    }
}
