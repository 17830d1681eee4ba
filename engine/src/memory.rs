//! The memory of a shard: items in blocks of the arena, their long keys and values in extents, large collections in nodes, and
//! the exact sums.
//!
//! A mutation that needs memory takes it first and changes nothing if there is none. An item is rewritten in its own
//! block when the new content fits and would not leave much of it idle; otherwise it moves, and the caller is told.

mod collections;
mod elements;
mod entries;
mod held;
mod lists;
mod loose;
mod packed;
mod sorted_sets;
mod times;

use std::ops::Range;
use std::sync::Arc;

use collections::Collections;
pub use collections::LazyObjects;
pub(crate) use elements::Named;
pub(crate) use entries::item_of;
pub(crate) use lists::{ListPlace, fits_ill};
pub(crate) use loose::Loose;
pub(crate) use packed::PackedAt;
pub(crate) use sorted_sets::{Known, SortedAt};
pub(crate) use times::Times;

use crate::entry::EntryRef;
use crate::item::{self, Form, Head, Layout, Variant};
use crate::nodes::Heap;
use crate::raw::{Arena, Block, Buffer, ExtentId};
use crate::{AccessClock, StoreError, UnixMillis};

/// Bytes of a block that may lie idle after a rewrite in place.
const IDLE_ALLOWED_BYTES: usize = 16;
/// Share of a block that may lie idle after a rewrite in place: a quarter.
const IDLE_ALLOWED_SHIFT: u32 = 2;

/// Content and attributes of an entry to be written.
#[derive(Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) form: Form,
    pub(crate) access: AccessClock,
    pub(crate) deadline: Option<UnixMillis>,
    pub(crate) value: &'a [u8],
}

/// What an item says of its value beside the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) form: Form,
    pub(crate) access: AccessClock,
    pub(crate) deadline: Option<UnixMillis>,
    pub(crate) value_len: usize,
    /// Of a large collection.
    pub(crate) variant: Option<Variant>,
}

/// Whether two items, or an item and an image, may have one buffer for their value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// They may, until either is written in part.
    Shared,
    /// Each has its own.
    Own,
}

/// Items and their memory.
pub(crate) struct Memory {
    heap: Heap,
    collections: Collections,
    /// Bytes of keys, and of values that are no collections.
    payload_bytes: u64,
    /// How images, and what is kept for an undo, have the buffers of items.
    sharing: Sharing,
    /// A packed value that is being written anew.
    scratch: Vec<u8>,
}

impl Memory {
    /// Memory for a shard of at most `ceiling_bytes`.
    pub(crate) fn new(ceiling_bytes: u64) -> Result<Self, StoreError> {
        Ok(Self {
            heap: Heap::new(ceiling_bytes)?,
            collections: Collections::default(),
            payload_bytes: 0,
            sharing: Sharing::Shared,
            scratch: Vec::new(),
        })
    }

    /// The layout of an item.
    #[inline(always)]
    pub(crate) fn layout(&self, item: Block) -> Layout {
        Layout::read(self.heap.arena.tail(item))
    }

    /// What the layout of an item begins with.
    #[inline(always)]
    pub(crate) fn head(&self, item: Block) -> Head {
        Head::read(self.heap.arena.tail(item))
    }

    /// The key of an item.
    #[inline(always)]
    pub(crate) fn key(&self, item: Block) -> &[u8] {
        item::key_of(&self.heap, item)
    }

    /// The deadline of an item.
    #[inline(always)]
    pub(crate) fn deadline(&self, item: Block) -> Option<UnixMillis> {
        let bytes = self.heap.arena.tail(item);
        if !Head::read(bytes).has_deadline() {
            return None;
        }
        Layout::read(bytes).deadline(bytes)
    }

    /// Whether the item's deadline has come.
    #[inline(always)]
    pub(crate) fn is_due(&self, item: Block, now: UnixMillis) -> bool {
        self.deadline(item).is_some_and(|at| at <= now)
    }

    /// A view of an item.
    #[inline(always)]
    pub(crate) fn entry(&self, item: Block) -> EntryRef<'_> {
        let bytes = self.heap.arena.tail(item);
        let layout = Layout::read(bytes);
        let key = match layout.key_extent(bytes) {
            None => layout.inline_key(bytes),
            Some(extent) => self.heap.extents.bytes(extent, layout.key_len),
        };
        let value = match layout.value_extent(bytes) {
            None => layout.inline_value(bytes),
            Some(extent) => self.heap.extents.bytes(extent, layout.value_len),
        };
        EntryRef::new(self, item, layout.head, layout.deadline(bytes), key, value)
    }

    /// Asks for the cache lines of an item of ordinary size.
    #[inline(always)]
    pub(crate) fn prefetch(&self, item: Block) {
        self.heap.arena.prefetch(item, 2);
    }

    /// Sets the access clock of an item; writes only where it differs.
    #[inline(always)]
    pub(crate) fn set_access(&mut self, item: Block, access: AccessClock) {
        let head = Head::read(self.heap.arena.tail(item));
        let touched = head.with_access(access);
        if touched != head {
            touched.write(self.heap.arena.tail_mut(item));
        }
    }

    /// Writes a new item.
    pub(crate) fn create(
        &mut self,
        key: &[u8],
        content: &Content<'_>,
    ) -> Result<Block, StoreError> {
        let value = content.value;
        let layout = Layout::plan(
            content.form,
            content.access,
            key.len(),
            value.len(),
            content.deadline,
        );
        let item = self
            .heap
            .arena
            .alloc(layout.total)
            .ok_or(StoreError::OutOfMemory)?;
        let bytes = self.heap.arena.tail_mut(item);
        layout.write_prefix(bytes, content.deadline);
        if !layout.head.key_in_extent() && !layout.head.value_in_extent() {
            bytes[layout.key_at..layout.value_at].copy_from_slice(key);
            bytes[layout.value_at..layout.total].copy_from_slice(value);
        } else if let Err(error) = self.fill_with_extents(item, &layout, key, value) {
            self.heap.arena.free(item);
            return Err(error);
        }
        self.payload_bytes += (key.len() + value.len()) as u64;
        Ok(item)
    }

    #[cold]
    fn fill_with_extents(
        &mut self,
        item: Block,
        layout: &Layout,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), StoreError> {
        let key_extent = self.store_field(layout.head.key_in_extent(), key)?;
        let value_extent = match self.store_field(layout.head.value_in_extent(), value) {
            Ok(extent) => extent,
            Err(error) => {
                if let Some(extent) = key_extent {
                    self.heap.extents.destroy(extent);
                }
                return Err(error);
            }
        };
        self.write_field(item, layout.key_at, key_extent, key);
        self.write_field(item, layout.value_at, value_extent, value);
        Ok(())
    }

    /// Puts `bytes` into an extent of their own, if they are to have one: the buffer they lie in, if that was lent and
    /// will do, otherwise a copy.
    fn store_field(
        &mut self,
        in_extent: bool,
        bytes: &[u8],
    ) -> Result<Option<ExtentId>, StoreError> {
        if !in_extent {
            return Ok(None);
        }
        let stored = self.heap.extents.store(bytes);
        stored.map(Some).ok_or(StoreError::OutOfMemory)
    }

    fn write_field(&mut self, item: Block, at: usize, extent: Option<ExtentId>, inline: &[u8]) {
        let reference = extent.map(|extent| extent.0.to_le_bytes());
        let field = reference.as_ref().map_or(inline, |reference| reference);
        self.heap.arena.tail_mut(item)[at..at + field.len()].copy_from_slice(field);
    }

    /// Frees an item and its extents, and takes its collection out of use.
    pub(crate) fn destroy(&mut self, item: Block) {
        let bytes = self.heap.arena.tail(item);
        if let Some(collection) = Layout::read(bytes).collection(bytes) {
            self.collections.bury(collection);
        }
        self.destroy_alone(item);
    }

    /// Frees an item and its extents. Its collection, if it has one, is somebody else's.
    #[inline(always)]
    pub(crate) fn destroy_alone(&mut self, item: Block) {
        let bytes = self.heap.arena.tail(item);
        let layout = Layout::read(bytes);
        let extents = [layout.key_extent(bytes), layout.value_extent(bytes)];
        self.payload_bytes -= (layout.key_len + layout.value_len) as u64;
        for extent in extents.into_iter().flatten() {
            self.heap.extents.destroy(extent);
        }
        self.heap.arena.free(item);
    }

    /// Whether an item of `total` bytes may stay in a block of `block_bytes`.
    #[inline]
    fn fits_well(total: usize, block_bytes: usize) -> bool {
        let idle_allowed = (block_bytes >> IDLE_ALLOWED_SHIFT).max(IDLE_ALLOWED_BYTES);
        total <= block_bytes && total + idle_allowed >= block_bytes
    }

    /// Replaces all but the key of an item within its block or its extent; whether that could be done.
    #[inline]
    pub(crate) fn overwrite(&mut self, item: Block, content: &Content<'_>) -> bool {
        let bytes = self.heap.arena.tail(item);
        let old = Layout::read(bytes);
        let value = content.value;
        let new = Layout::plan(
            content.form,
            content.access,
            old.key_len,
            value.len(),
            content.deadline,
        );
        if !old.head.value_is_inline() || new.head.value_in_extent() {
            return self.overwrite_extent(item, &old, &new, content);
        }
        if !Self::fits_well(new.total, self.heap.arena.block_bytes(item)) {
            return false;
        }
        let bytes = self.heap.arena.tail_mut(item);
        if old.key_at != new.key_at {
            bytes.copy_within(old.key_at..old.value_at, new.key_at);
        }
        new.write_prefix(bytes, content.deadline);
        bytes[new.value_at..new.total].copy_from_slice(value);
        self.payload_bytes = self.payload_bytes - old.value_len as u64 + value.len() as u64;
        true
    }

    #[cold]
    fn overwrite_extent(
        &mut self,
        item: Block,
        old: &Layout,
        new: &Layout,
        content: &Content<'_>,
    ) -> bool {
        let Some(extent) = old.value_extent(self.heap.arena.tail(item)) else {
            return false;
        };
        let value = content.value;
        if !new.head.value_in_extent()
            || old.key_at != new.key_at
            || self.heap.extents.can_adopt(value)
            || !self.heap.extents.resize(extent, value.len(), 0..0)
        {
            return false;
        }
        self.heap
            .extents
            .bytes_mut(extent, value.len())
            .copy_from_slice(value);
        new.write_prefix(self.heap.arena.tail_mut(item), content.deadline);
        self.payload_bytes = self.payload_bytes - old.value_len as u64 + value.len() as u64;
        true
    }

    /// Gives an item another layout with the same fields, in its block if it fits, otherwise in a new one that is
    /// answered; the caller then points to that. Extents go along.
    fn rearrange(
        &mut self,
        item: Block,
        old: &Layout,
        new: &Layout,
        deadline: Option<UnixMillis>,
    ) -> Result<Block, StoreError> {
        let target = if new.total <= self.heap.arena.block_bytes(item) {
            let fields = old.key_at..old.total;
            self.heap
                .arena
                .tail_mut(item)
                .copy_within(fields, new.key_at);
            item
        } else {
            let target = self
                .heap
                .arena
                .alloc(new.total)
                .ok_or(StoreError::OutOfMemory)?;
            self.heap
                .arena
                .copy_between(item, old.key_at..old.total, target, new.key_at);
            target
        };
        new.write_prefix(self.heap.arena.tail_mut(target), deadline);
        if target != item {
            self.heap.arena.free(item);
        }
        Ok(target)
    }

    /// Sets or removes the deadline; answers where the item is now.
    pub(crate) fn set_deadline(
        &mut self,
        item: Block,
        deadline: Option<UnixMillis>,
    ) -> Result<Block, StoreError> {
        let old = self.layout(item);
        let new = old.with_deadline(deadline);
        if old.key_at == new.key_at {
            new.write_prefix(self.heap.arena.tail_mut(item), deadline);
            return Ok(item);
        }
        if new.total > Arena::max_block_bytes() {
            return self.spill_value(item, old, deadline);
        }
        self.rearrange(item, &old, &new, deadline)
    }

    /// Rewrites an item that with its deadline exceeds the largest block: its value moves to an extent.
    #[cold]
    fn spill_value(
        &mut self,
        item: Block,
        old: Layout,
        deadline: Option<UnixMillis>,
    ) -> Result<Block, StoreError> {
        let entry = self.entry(item);
        let (key, value) = (entry.key().to_vec(), entry.value().to_vec());
        let content = Content {
            form: old.head.form(),
            access: old.head.access(),
            deadline,
            value: &value,
        };
        let moved = self.create(&key, &content)?;
        self.destroy(item);
        Ok(moved)
    }

    /// Writes `bytes` at `offset` of the value, filling a gap with zeros and leaving room to grow where it grew; answers
    /// where the item is now and the value's new length.
    pub(crate) fn write_range(
        &mut self,
        item: Block,
        offset: usize,
        bytes: &[u8],
        form: Form,
        access: AccessClock,
    ) -> Result<(Block, usize), StoreError> {
        let mut old = self.layout(item);
        old.head = old.head.with_form(form).with_access(access);
        let len = old.value_len.max(offset + bytes.len());
        let deadline = self.deadline(item);
        let target = match old.value_extent(self.heap.arena.tail(item)) {
            Some(extent) => {
                let gap = old.value_len..offset.max(old.value_len);
                if !self.heap.extents.resize(extent, len, gap) {
                    return Err(StoreError::OutOfMemory);
                }
                self.heap.extents.bytes_mut(extent, len)[offset..offset + bytes.len()]
                    .copy_from_slice(bytes);
                old.with_value_len(len)
                    .write_prefix(self.heap.arena.tail_mut(item), deadline);
                item
            }
            None => self.write_inline_range(item, &old, (offset, bytes), len, deadline)?,
        };
        self.payload_bytes += (len - old.value_len) as u64;
        Ok((target, len))
    }

    fn write_inline_range(
        &mut self,
        item: Block,
        old: &Layout,
        (offset, bytes): (usize, &[u8]),
        len: usize,
        deadline: Option<UnixMillis>,
    ) -> Result<Block, StoreError> {
        let new = old.with_value_len(len);
        if new.total > Arena::max_block_bytes() {
            return self.grow_into_extent(item, old, (offset, bytes), len, deadline);
        }
        let old_end = new.value_at + old.value_len;
        let target = if new.total <= self.heap.arena.block_bytes(item) {
            if new.key_at != old.key_at {
                self.heap
                    .arena
                    .tail_mut(item)
                    .copy_within(old.key_at..old.total, new.key_at);
            }
            item
        } else {
            let roomy = (new.total + new.total / 4).min(Arena::max_block_bytes());
            let target = self
                .heap
                .arena
                .alloc(roomy)
                .ok_or(StoreError::OutOfMemory)?;
            self.heap
                .arena
                .copy_between(item, old.key_at..old.total, target, new.key_at);
            self.heap.arena.free(item);
            target
        };
        let block = self.heap.arena.tail_mut(target);
        new.write_prefix(block, deadline);
        let start = new.value_at + offset;
        if start > old_end {
            block[old_end..start].fill(0);
        }
        block[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(target)
    }

    /// Moves a value that outgrows the largest block into an extent, with a write at its end.
    #[cold]
    fn grow_into_extent(
        &mut self,
        item: Block,
        old: &Layout,
        (offset, bytes): (usize, &[u8]),
        len: usize,
        deadline: Option<UnixMillis>,
    ) -> Result<Block, StoreError> {
        let (form, access) = (old.head.form(), old.head.access());
        let new = Layout::plan(form, access, old.key_len, len, deadline);
        let target = self
            .heap
            .arena
            .alloc(new.total)
            .ok_or(StoreError::OutOfMemory)?;
        let gap = old.value_len..offset.max(old.value_len);
        let Some(extent) = self.heap.extents.create(len, gap) else {
            new.write_prefix(self.heap.arena.tail_mut(target), deadline);
            self.heap.arena.free(target);
            return Err(StoreError::OutOfMemory);
        };
        let value = self.heap.extents.bytes_mut(extent, len);
        value[..old.value_len].copy_from_slice(old.inline_value(self.heap.arena.tail(item)));
        value[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.heap
            .arena
            .copy_between(item, old.key_at..old.value_at, target, new.key_at);
        new.write_prefix(self.heap.arena.tail_mut(target), deadline);
        self.write_field(target, new.value_at, Some(extent), &[]);
        self.heap.arena.free(item);
        Ok(target)
    }

    /// Writes an item under `key` with everything else of `item`, which then is gone; the value's extent goes along.
    pub(crate) fn rename(&mut self, item: Block, key: &[u8]) -> Result<Block, StoreError> {
        let old = self.layout(item);
        let new = old.with_key_len(key.len());
        if new.total > Arena::max_block_bytes() {
            let value = self.entry(item).value().to_vec();
            let content = Content {
                form: old.head.form(),
                access: old.head.access(),
                deadline: self.deadline(item),
                value: &value,
            };
            let renamed = self.create(key, &content)?;
            self.destroy(item);
            return Ok(renamed);
        }
        let deadline = self.deadline(item);
        let target = self
            .heap
            .arena
            .alloc(new.total)
            .ok_or(StoreError::OutOfMemory)?;
        new.write_prefix(self.heap.arena.tail_mut(target), deadline);
        let key_extent = match self.store_field(new.head.key_in_extent(), key) {
            Ok(extent) => extent,
            Err(error) => {
                self.heap.arena.free(target);
                return Err(error);
            }
        };
        self.write_field(target, new.key_at, key_extent, key);
        self.heap
            .arena
            .copy_between(item, old.value_at..old.total, target, new.value_at);
        if let Some(extent) = old.key_extent(self.heap.arena.tail(item)) {
            self.heap.extents.destroy(extent);
        }
        self.heap.arena.free(item);
        self.payload_bytes = self.payload_bytes - old.key_len as u64 + key.len() as u64;
        Ok(target)
    }

    /// Whether the item has something outside of its block: its key or value in an extent, or a collection.
    pub(crate) fn has_parts_elsewhere(&self, item: Block) -> bool {
        let head = self.layout(item).head;
        head.key_in_extent() || !head.value_is_inline()
    }

    /// What an item says of its value.
    pub(crate) fn attributes(&self, item: Block) -> Attributes {
        let layout = self.layout(item);
        Attributes {
            form: layout.head.form(),
            access: layout.head.access(),
            deadline: self.deadline(item),
            value_len: layout.value_len,
            variant: layout.head.is_collection().then(|| self.variant(item)),
        }
    }

    /// The bytes of an item in its block, and the size of that.
    pub(crate) fn image(&self, item: Block) -> (&[u8], usize) {
        let bytes = self.heap.arena.tail(item);
        let total = Layout::read(bytes).total;
        (&bytes[..total], self.heap.arena.block_bytes(item))
    }

    /// Where in that image the key is, and its length.
    pub(crate) fn key_in_image(&self, item: Block) -> (usize, usize) {
        let layout = self.layout(item);
        (layout.key_at, layout.key_len)
    }

    /// The value of an item, if it is in an extent.
    pub(crate) fn value_in_extent(&self, item: Block) -> Option<&[u8]> {
        let bytes = self.heap.arena.tail(item);
        let layout = Layout::read(bytes);
        let extent = layout.value_extent(bytes)?;
        Some(self.heap.extents.bytes(extent, layout.value_len))
    }

    /// Says how images are to have the buffers of items from now on.
    pub(crate) fn set_sharing(&mut self, sharing: Sharing) {
        self.sharing = sharing;
    }

    /// How images have the buffers of items.
    pub(crate) fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// The buffer in which the value of an item lies, and where, if it is one and may be shared.
    pub(crate) fn shared_value(&self, item: Block) -> Option<(Arc<Buffer>, Range<usize>)> {
        let bytes = self.heap.arena.tail(item);
        let layout = Layout::read(bytes);
        let extent = layout.value_extent(bytes)?;
        if self.sharing == Sharing::Own {
            return None;
        }
        let (buffer, start) = self.heap.extents.buffer_of(extent)?;
        Some((buffer, start..start + layout.value_len))
    }

    /// Exchanges the buffer lent.
    pub(crate) fn replace_lent(&mut self, lent: Option<Arc<Buffer>>) -> Option<Arc<Buffer>> {
        self.heap.extents.replace_lent(lent)
    }

    /// Writes the item that [`Self::image`] has told of once more.
    pub(crate) fn restore(&mut self, image: &[u8], block_bytes: usize) -> Option<Block> {
        let layout = Layout::read(image);
        let item = self.heap.arena.alloc(block_bytes)?;
        self.heap.arena.tail_mut(item)[..image.len()].copy_from_slice(image);
        self.payload_bytes += (layout.key_len + layout.value_len) as u64;
        Some(item)
    }

    /// Writes another item with the value and attributes of `item` under `key`; a large collection is both items' then.
    pub(crate) fn duplicate(
        &mut self,
        item: Block,
        key: &[u8],
        sharing: Sharing,
    ) -> Result<Block, StoreError> {
        let bytes = self.heap.arena.tail(item);
        let layout = Layout::read(bytes);
        let extent = layout.value_extent(bytes);
        let mut content = Content {
            form: layout.head.form(),
            access: layout.head.access(),
            deadline: layout.deadline(bytes),
            value: &[],
        };
        if let Some(collection) = layout.collection(bytes) {
            return self.share_collection(collection, key, &content);
        }
        let Some((buffer, start)) = extent.and_then(|extent| self.heap.extents.buffer_of(extent))
        else {
            let value = self.entry(item).value().to_vec();
            content.value = &value;
            return self.create(key, &content);
        };
        content.value = &buffer.bytes()[start..][..layout.value_len];
        let lent = match sharing {
            Sharing::Shared => Some(Arc::clone(&buffer)),
            Sharing::Own => None,
        };
        let lent_before = self.heap.extents.replace_lent(lent);
        let duplicate = self.create(key, &content);
        self.heap.extents.replace_lent(lent_before);
        duplicate
    }

    /// Takes back what was done to an item in place: gives it the attributes it had, and the bytes `ranges` of its value,
    /// which are in an extent if there are any; answers where the item is now. Takes no memory.
    ///
    /// # Panics
    /// Somebody else holds the buffer that was written.
    pub(crate) fn revert(
        &mut self,
        item: Block,
        was: &Attributes,
        ranges: &[(usize, &[u8])],
    ) -> Block {
        let bytes = self.heap.arena.tail(item);
        let mut layout = Layout::read(bytes);
        let deadline = layout.deadline(bytes);
        layout.head = layout.head.with_form(was.form).with_access(was.access);
        if let Some(extent) = layout.value_extent(bytes) {
            self.heap
                .extents
                .revert(extent, layout.value_len, was.value_len, ranges);
            self.payload_bytes -= (layout.value_len - was.value_len) as u64;
            layout
                .with_value_len(was.value_len)
                .write_prefix(self.heap.arena.tail_mut(item), deadline);
        } else {
            if let Some((collection, variant)) = layout.collection(bytes).zip(was.variant) {
                self.set_variant(collection, variant);
            }
            layout.head.write(self.heap.arena.tail_mut(item));
        }
        if deadline == was.deadline {
            return item;
        }
        self.set_deadline(item, was.deadline)
            .expect("the block has held an item with this deadline")
    }

    /// Bytes of blocks and extents that one item takes.
    pub(crate) fn item_bytes(&self, item: Block) -> u64 {
        let bytes = self.heap.arena.tail(item);
        let layout = Layout::read(bytes);
        let extents = [layout.key_extent(bytes), layout.value_extent(bytes)];
        let extents = extents.into_iter().flatten();
        let collection = layout.collection(bytes);
        self.heap.arena.block_bytes(item) as u64
            + extents
                .map(|extent| self.heap.extents.used_bytes_of(extent))
                .sum::<u64>()
            + collection.map_or(0, |collection| self.collections.block_bytes_of(collection))
    }

    /// Bytes of blocks and extents of all items.
    pub(crate) fn item_bytes_total(&self) -> u64 {
        self.heap.arena.live_bytes() + self.heap.extents.used_bytes()
    }

    /// Bytes of keys and values.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload_bytes + self.collections.payload_bytes()
    }

    /// The arena, for compaction.
    pub(crate) fn arena(&self) -> &Arena {
        &self.heap.arena
    }

    /// The arena, for compaction.
    pub(crate) fn arena_mut(&mut self) -> &mut Arena {
        &mut self.heap.arena
    }

    /// Lends the buffer in which what is written next may lie: a large value there becomes the entry's without a copy.
    pub(crate) fn lend(&mut self, buffer: Arc<Buffer>) {
        self.heap.extents.lend(buffer);
    }

    /// Ends what [`Self::lend`] began.
    pub(crate) fn end_lending(&mut self) {
        self.heap.extents.end_lending();
    }

    /// Gives `buffer` back in pieces, unless somebody else holds it.
    pub(crate) fn bury(&mut self, buffer: Arc<Buffer>) {
        self.heap.extents.bury(buffer);
    }

    /// Verifies arena, extents and collections; `hash_of` tells the hash of the name of an element.
    pub(crate) fn check(&self, hash_of: &impl Fn(&[u8]) -> u64) {
        self.heap.arena.check();
        self.heap.extents.check();
        self.collections
            .check(|structure| structure.check(&self.heap, hash_of));
    }
}
