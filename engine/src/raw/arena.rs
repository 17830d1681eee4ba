//! The arena: one reservation of address space per shard, carved into slabs of equal blocks.
//!
//! ```text
//!  base                                                        committed             reserved
//!   | slab 0: 88-byte blocks | slab 1: 24-byte blocks | slab 2: free | not yet carved ... |
//!     block, block, ...          '-- granule number << shift = offset from base
//! ```
//!
//! A slab is 256 KiB of address space; its pages come as its blocks are first touched, from below, so that neither a
//! slab's tail nor a barely used class costs memory. What a slab is stands in a side table of 16 bytes a slab; free
//! blocks are linked through their own bytes. A slab whose last block is freed returns to a pool, and beyond a few of
//! those its pages go back to the kernel. Sparse slabs are emptied into others of their class, or where those have no room
//! packed: see `evacuation`.
//!
//! The arena declines huge pages. With them advised, filling a shard to 30 M keys stalled at each of the 457 first touches
//! of one, for 3 to 15 ms on a loaded virtual machine: no insertion may wait that long.
//!
//! The first byte of a live block must never be [`FREE_MARK`]: that tells free blocks from live ones.

mod evacuation;
mod idle;

pub(crate) use evacuation::EMPTIED_MAX_EIGHTHS;
pub(crate) use idle::IdleBound;

use std::ops::Range;

use super::classes::{Class, Classes, Granule};
use super::system::Reservation;
use super::{LINE_BYTES, PAGE_BYTES, prefetch_read};

/// Bytes of a slab.
pub(crate) const SLAB_BYTES: usize = 256 << 10;
/// Bytes committed at once.
const COMMIT_BYTES: usize = 2 << 20;
/// Share of the reservation that is set aside for what must not fail: a sixty-fourth.
const SET_ASIDE_SHIFT: u32 = 6;
/// The smallest reservation worth having.
const MIN_RESERVATION_BYTES: usize = if cfg!(miri) { 1 << 20 } else { 64 << 20 };
/// Free slabs whose pages are kept for the next that needs one, until the arena is tended.
const KEPT_FREE_SLABS: usize = 8;
/// First byte of a free block.
pub(crate) const FREE_MARK: u8 = 0xFF;

/// No slab, in links and in the heads of lists.
const NO_SLAB: u32 = u32::MAX;
/// No block, in the free list of a slab: blocks have at least two granules, so none starts at the last.
const NO_BLOCK: u16 = u16::MAX;
/// Class of a slab that has none.
const NO_CLASS: u8 = u8::MAX;

/// The address of a block: a granule number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Block(pub(crate) u32);

/// Which list a slab is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlabState {
    /// In no class: free.
    Pool,
    /// In the list of slabs of its class with room.
    Listed,
    /// Full, in no list.
    Full,
    /// Being emptied: blocks are freed, none is handed out.
    Evacuating,
}

/// What is known of a slab.
#[derive(Clone, Copy, Debug)]
struct Slab {
    class: u8,
    place: SlabState,
    /// Blocks in use.
    live: u16,
    /// Blocks ever handed out; those behind were never touched since the slab got its class.
    bump: u16,
    /// Granule within the slab of the first free block below `bump`.
    free: u16,
    /// Neighbours in the list.
    prev: u32,
    next: u32,
    /// Pages ever touched since the slab's pages were given back.
    touched_pages: u16,
}

const POOLED: Slab = Slab {
    class: NO_CLASS,
    place: SlabState::Pool,
    live: 0,
    bump: 0,
    free: NO_BLOCK,
    prev: NO_SLAB,
    next: NO_SLAB,
    touched_pages: 0,
};

/// The lists and sums of one class.
#[derive(Clone, Copy)]
struct ClassState {
    head: u32,
    slabs: u32,
    live: u64,
}

/// A slab that holds few live blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlabId(u32);

/// Blocks of memory for one shard.
pub(crate) struct Arena {
    reservation: Reservation,
    granule: Granule,
    committed: usize,
    classes: Classes,
    states: Vec<ClassState>,
    slabs: Vec<Slab>,
    /// Free slabs with pages behind them.
    dirty: Vec<u32>,
    /// Free slabs without.
    clean: Vec<u32>,
    live_bytes: u64,
    touched_bytes: u64,
    /// Bytes of the pages of free slabs.
    pool_bytes: u64,
    /// Bytes of the side tables.
    table_bytes: u64,
    /// Something has changed since a look found that nothing is to be given back or compacted.
    is_unsettled: bool,
    /// How much may lie idle.
    idle_bound: IdleBound,
    evacuating: Option<SlabId>,
    /// Where the slab being emptied is packed: no block is free below.
    packed_to: Option<usize>,
    /// Whether the memory set aside may be taken.
    insists: bool,
    /// How many blocks are handed out before memory is out, as a test has it.
    #[cfg(any(test, feature = "model"))]
    blocks_left: Option<u32>,
}

impl Arena {
    /// An arena for a shard of at most `ceiling_bytes`; `None` if not even 64 MiB of address space can be had.
    pub(crate) fn new(ceiling_bytes: u64) -> Option<Self> {
        let granule = Granule::for_ceiling(ceiling_bytes);
        let mut bytes = granule.reach_bytes();
        let reservation = loop {
            if let Some(reservation) = Reservation::new(bytes) {
                break reservation;
            }
            bytes /= 2;
            if bytes < MIN_RESERVATION_BYTES {
                return None;
            }
        };
        let classes = Classes::new(granule);
        let empty = ClassState {
            head: NO_SLAB,
            slabs: 0,
            live: 0,
        };
        let mut arena = Self {
            reservation,
            granule,
            committed: 0,
            states: vec![empty; classes.len()],
            classes,
            slabs: Vec::new(),
            dirty: Vec::new(),
            clean: Vec::new(),
            live_bytes: 0,
            touched_bytes: 0,
            pool_bytes: 0,
            table_bytes: 0,
            is_unsettled: false,
            idle_bound: IdleBound::Ordinary,
            evacuating: None,
            packed_to: None,
            insists: false,
            #[cfg(any(test, feature = "model"))]
            blocks_left: None,
        };
        arena.table_bytes = arena.count_table_bytes();
        Some(arena)
    }

    /// Whether the last of the reservation may be taken from now on, which is set aside for what must not fail; whether it was so before.
    #[inline(always)]
    pub(crate) fn insist(&mut self, insists: bool) -> bool {
        std::mem::replace(&mut self.insists, insists)
    }

    /// Memory is out once so many blocks have been handed out, until told otherwise, but for who insists.
    #[cfg(any(test, feature = "model"))]
    pub(crate) fn run_out_after(&mut self, blocks: Option<u32>) {
        self.blocks_left = blocks;
    }

    /// Bytes of the largest block.
    pub(crate) const fn max_block_bytes() -> usize {
        Classes::max_block_bytes()
    }

    #[inline(always)]
    fn offset(&self, block: Block) -> usize {
        (block.0 as usize) << self.granule.shift()
    }

    #[inline(always)]
    fn slab_of(&self, block: Block) -> usize {
        self.offset(block) / SLAB_BYTES
    }

    /// The bytes from the start of `block` to the end of its slab, of which the block is the beginning. (Reading the
    /// block's own length here would cost a look into the side table at every lookup; items know theirs.)
    #[inline(always)]
    pub(crate) fn tail(&self, block: Block) -> &[u8] {
        let offset = self.offset(block);
        assert!(offset < self.committed, "a block lies in committed memory");
        let len = SLAB_BYTES - offset % SLAB_BYTES;
        // SAFETY: `committed` is a multiple of a slab, so `offset + len <= committed`: mapped, readable, and initialised
        // by the kernel. Writing takes `&mut self`.
        unsafe { std::slice::from_raw_parts(self.reservation.base().add(offset).as_ptr(), len) }
    }

    /// As [`Self::tail`], to write. Only the block itself may be written.
    #[inline(always)]
    pub(crate) fn tail_mut(&mut self, block: Block) -> &mut [u8] {
        let offset = self.offset(block);
        assert!(offset < self.committed, "a block lies in committed memory");
        let len = SLAB_BYTES - offset % SLAB_BYTES;
        // SAFETY: as in `tail`, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.reservation.base().add(offset).as_ptr(), len) }
    }

    /// Asks for the first `lines` cache lines from the start of `block`.
    #[inline(always)]
    pub(crate) fn prefetch(&self, block: Block, lines: usize) {
        let tail = self.tail(block);
        for line in 0..lines {
            prefetch_read(&tail[(line * LINE_BYTES).min(tail.len() - 1)..]);
        }
    }

    /// Asks for all cache lines of `block`.
    #[inline]
    pub(crate) fn prefetch_whole(&self, block: Block) {
        let bytes = &self.tail(block)[..self.block_bytes(block)];
        bytes.chunks(LINE_BYTES).for_each(prefetch_read);
    }

    /// Bytes of `block`.
    #[inline]
    pub(crate) fn block_bytes(&self, block: Block) -> usize {
        self.classes
            .block_bytes(Class(self.slabs[self.slab_of(block)].class))
    }

    /// A block of at least `bytes`, of unspecified content; `None` above the largest block or when memory is out.
    #[inline]
    pub(crate) fn alloc(&mut self, bytes: usize) -> Option<Block> {
        let class = self.classes.of(bytes)?;
        #[cfg(any(test, feature = "model"))]
        if let Some(left) = &mut self.blocks_left
            && !self.insists
        {
            *left = left.checked_sub(1)?;
        }
        let head = self.states[usize::from(class.0)].head;
        let id = if head == NO_SLAB {
            self.open_slab(class)?
        } else {
            head
        };
        let block_bytes = self.classes.block_bytes(class);
        let start = id as usize * SLAB_BYTES;
        let slab = &mut self.slabs[id as usize];
        let offset = if slab.free == NO_BLOCK {
            let offset = usize::from(slab.bump) * block_bytes;
            slab.bump += 1;
            let touched_pages = (offset + block_bytes).div_ceil(PAGE_BYTES) as u16;
            if touched_pages > slab.touched_pages {
                let pages = u64::from(touched_pages - slab.touched_pages);
                self.touched_bytes += pages * PAGE_BYTES as u64;
                self.is_unsettled = true;
                slab.touched_pages = touched_pages;
            }
            offset
        } else {
            usize::from(slab.free) << self.granule.shift()
        };
        let block = Block(((start + offset) >> self.granule.shift()) as u32);
        if self.slabs[id as usize].free != NO_BLOCK {
            self.slabs[id as usize].free = self.next_free(block);
        }
        let slab = &mut self.slabs[id as usize];
        slab.live += 1;
        let full =
            slab.free == NO_BLOCK && usize::from(slab.bump) == self.classes.blocks_per_slab(class);
        if full {
            self.unlist(id, SlabState::Full);
        }
        self.states[usize::from(class.0)].live += 1;
        self.live_bytes += block_bytes as u64;
        Some(block)
    }

    /// Takes `block` back.
    #[inline]
    pub(crate) fn free(&mut self, block: Block) {
        let id = self.slab_of(block);
        let slab = self.slabs[id];
        assert!(
            slab.class != NO_CLASS && slab.live > 0,
            "a block is freed once"
        );
        let in_slab = (self.offset(block) % SLAB_BYTES) >> self.granule.shift();
        let link = slab.free.to_le_bytes();
        self.tail_mut(block)[..4].copy_from_slice(&[FREE_MARK, 0, link[0], link[1]]);
        let slab = &mut self.slabs[id];
        slab.free = in_slab as u16;
        slab.live -= 1;
        let (class, live, place) = (Class(slab.class), slab.live, slab.place);
        self.states[usize::from(class.0)].live -= 1;
        self.live_bytes -= self.classes.block_bytes(class) as u64;
        self.is_unsettled = true;
        if live == 0 {
            self.retire_slab(id as u32);
        } else if place == SlabState::Full {
            self.list(id as u32);
        }
    }

    fn next_free(&self, block: Block) -> u16 {
        let tail = self.tail(block);
        debug_assert_eq!(tail[0], FREE_MARK);
        u16::from_le_bytes([tail[2], tail[3]])
    }

    /// Puts a slab of a class at the head of its list.
    fn list(&mut self, id: u32) {
        let class = usize::from(self.slabs[id as usize].class);
        let next = self.states[class].head;
        if next != NO_SLAB {
            self.slabs[next as usize].prev = id;
        }
        let slab = &mut self.slabs[id as usize];
        (slab.place, slab.prev, slab.next) = (SlabState::Listed, NO_SLAB, next);
        self.states[class].head = id;
    }

    /// Takes a listed slab out of its list.
    fn unlist(&mut self, id: u32, place: SlabState) {
        let slab = &mut self.slabs[id as usize];
        debug_assert_eq!(slab.place, SlabState::Listed);
        slab.place = place;
        let (class, prev, next) = (usize::from(slab.class), slab.prev, slab.next);
        match prev {
            NO_SLAB => self.states[class].head = next,
            _ => self.slabs[prev as usize].next = next,
        }
        if next != NO_SLAB {
            self.slabs[next as usize].prev = prev;
        }
    }

    /// Gives a free slab to `class` and lists it.
    #[cold]
    fn open_slab(&mut self, class: Class) -> Option<u32> {
        let id = match self.dirty.pop().or_else(|| self.clean.pop()) {
            Some(id) => id,
            None => self.carve_slab()?,
        };
        let slab = &mut self.slabs[id as usize];
        self.pool_bytes -= u64::from(slab.touched_pages) * PAGE_BYTES as u64;
        self.is_unsettled = true;
        *slab = Slab {
            class: class.0,
            touched_pages: slab.touched_pages,
            ..POOLED
        };
        self.states[usize::from(class.0)].slabs += 1;
        self.list(id);
        Some(id)
    }

    /// A slab from the part not yet carved, committing more where needed.
    fn carve_slab(&mut self) -> Option<u32> {
        let end = (self.slabs.len() + 1) * SLAB_BYTES;
        let set_aside = match self.insists {
            true => 0,
            false => self.reservation.bytes() >> SET_ASIDE_SHIFT,
        };
        if end + set_aside > self.reservation.bytes() {
            return None;
        }
        if end > self.committed {
            let committed = (self.committed + COMMIT_BYTES).min(self.reservation.bytes());
            let range = self.committed..committed;
            if end > committed || !self.reservation.commit(range) {
                return None;
            }
            self.committed = committed;
        }
        self.slabs.push(POOLED);
        self.table_bytes = self.count_table_bytes();
        Some(self.slabs.len() as u32 - 1)
    }

    /// Returns a slab without live blocks to the pool, and its pages to the kernel if the pool has enough.
    #[cold]
    fn retire_slab(&mut self, id: u32) {
        if self.slabs[id as usize].place == SlabState::Listed {
            self.unlist(id, SlabState::Pool);
        }
        if self.evacuating == Some(SlabId(id)) {
            (self.evacuating, self.packed_to) = (None, None);
        }
        let slab = &mut self.slabs[id as usize];
        let touched_pages = slab.touched_pages;
        self.states[usize::from(slab.class)].slabs -= 1;
        *slab = Slab {
            touched_pages,
            ..POOLED
        };
        self.pool_bytes += u64::from(touched_pages) * PAGE_BYTES as u64;
        self.dirty.push(id);
        self.table_bytes = self.count_table_bytes();
        if self.dirty.len() > KEPT_FREE_SLABS {
            self.trim_pool();
        }
    }

    /// Gives the pages of a slab behind the first `pages` back to the kernel.
    fn discard_behind(&mut self, id: u32, pages: usize) {
        let slab = &mut self.slabs[id as usize];
        let touched = usize::from(slab.touched_pages);
        if touched <= pages {
            return;
        }
        slab.touched_pages = pages as u16;
        let bytes = ((touched - pages) * PAGE_BYTES) as u64;
        self.touched_bytes -= bytes;
        if slab.place == SlabState::Pool {
            self.pool_bytes -= bytes;
        }
        let start = id as usize * SLAB_BYTES;
        self.reservation
            .discard(start + pages * PAGE_BYTES..start + touched * PAGE_BYTES);
    }

    /// Gives the pages of one slab back, whatever is in it; whether it had any. Only for an arena nobody reads any more.
    pub(crate) fn discard_some(&mut self) -> bool {
        let Some(slab) = self.slabs.pop() else {
            return false;
        };
        let start = self.slabs.len() * SLAB_BYTES;
        let bytes = usize::from(slab.touched_pages) * PAGE_BYTES;
        self.reservation.discard(start..start + bytes);
        self.touched_bytes -= bytes as u64;
        true
    }

    /// Number of slabs carved so far.
    pub(crate) fn slab_count(&self) -> usize {
        self.slabs.len()
    }

    /// Block number `index` of a slab that has a class.
    fn block_at(&self, id: u32, index: usize) -> Block {
        let class = Class(self.slabs[id as usize].class);
        let offset = id as usize * SLAB_BYTES + index * self.classes.block_bytes(class);
        Block((offset >> self.granule.shift()) as u32)
    }

    /// Block number `index` of `slab` if it is live, or where the slab's used part ends.
    pub(crate) fn nth_block(&self, slab: SlabId, index: usize) -> NthBlock {
        let meta = self.slabs[slab.0 as usize];
        if index >= usize::from(meta.bump) {
            return NthBlock::End;
        }
        let block = self.block_at(slab.0, index);
        match self.tail(block)[0] {
            FREE_MARK => NthBlock::Free,
            _ => NthBlock::Live(block),
        }
    }

    /// The bytes of two blocks, of the first to read, of the second to write.
    ///
    /// # Panics
    /// They are the same.
    #[inline]
    pub(crate) fn pair(&mut self, from: Block, to: Block) -> (&[u8], &mut [u8]) {
        let (source, target) = (self.offset(from), self.offset(to));
        let (len, room) = (self.block_bytes(from), self.block_bytes(to));
        let (end, target_end) = (source + len, target + room);
        assert!(end <= target || target_end <= source, "two blocks");
        assert!(
            end.max(target_end) <= self.committed,
            "blocks lie in committed memory"
        );
        let base = self.reservation.base();
        // SAFETY: both ranges lie in committed memory, which is mapped, readable, writable and initialised by the kernel, and
        // do not overlap, as just checked; `&mut self` excludes other references into either.
        unsafe {
            (
                std::slice::from_raw_parts(base.add(source).as_ptr(), len),
                std::slice::from_raw_parts_mut(base.add(target).as_ptr(), room),
            )
        }
    }

    /// Copies `range` of block `from` to offset `at` of block `to`, another one.
    #[inline]
    pub(crate) fn copy_between(&mut self, from: Block, range: Range<usize>, to: Block, at: usize) {
        let len = range.len();
        let (source, target) = self.pair(from, to);
        target[at..at + len].copy_from_slice(&source[range]);
    }

    /// Bytes of live blocks.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Bytes of pages touched and not given back.
    pub(crate) fn touched_bytes(&self) -> u64 {
        self.touched_bytes
    }

    /// Bytes of the side tables.
    pub(crate) fn table_bytes(&self) -> u64 {
        self.table_bytes
    }

    fn count_table_bytes(&self) -> u64 {
        let slabs = self.slabs.capacity() * size_of::<Slab>();
        let pools = (self.dirty.capacity() + self.clean.capacity()) * size_of::<u32>();
        let states = self.states.len() * (size_of::<ClassState>() + size_of::<u32>());
        (slabs + pools + states) as u64
    }

    /// Verifies lists, marks and sums.
    pub(crate) fn check(&self) {
        let (mut live_bytes, mut touched_pages, mut pooled, mut pool_pages) = (0, 0, 0, 0);
        let mut states = vec![(0u32, 0u64, 0usize); self.classes.len()];
        for (id, slab) in self.slabs.iter().enumerate() {
            touched_pages += u64::from(slab.touched_pages);
            if slab.place == SlabState::Pool {
                assert_eq!((slab.class, slab.live), (NO_CLASS, 0));
                pooled += 1;
                pool_pages += u64::from(slab.touched_pages);
                continue;
            }
            let class = Class(slab.class);
            let state = &mut states[usize::from(class.0)];
            state.0 += 1;
            state.1 += u64::from(slab.live);
            state.2 += usize::from(slab.place == SlabState::Listed);
            live_bytes += u64::from(slab.live) * self.classes.block_bytes(class) as u64;
            let blocks = (0..usize::from(slab.bump))
                .filter(|&n| matches!(self.nth_block(SlabId(id as u32), n), NthBlock::Live(_)));
            assert_eq!(
                blocks.count(),
                usize::from(slab.live),
                "marks tell live blocks"
            );
            let full = slab.live as usize == self.classes.blocks_per_slab(class);
            assert!(
                slab.live > 0
                    && (slab.place == SlabState::Evacuating
                        || full == (slab.place == SlabState::Full))
            );
        }
        assert_eq!(pooled, self.dirty.len() + self.clean.len());
        assert_eq!(pool_pages * PAGE_BYTES as u64, self.pool_bytes);
        assert_eq!(live_bytes, self.live_bytes);
        assert_eq!(self.table_bytes, self.count_table_bytes());
        assert!(self.is_unsettled || !self.finds_work());
        assert_eq!(touched_pages * PAGE_BYTES as u64, self.touched_bytes);
        for (state, (slabs, live, mut listed)) in self.states.iter().zip(states) {
            assert_eq!((state.slabs, state.live), (slabs, live));
            let mut id = state.head;
            while id != NO_SLAB {
                assert_eq!(self.slabs[id as usize].place, SlabState::Listed);
                listed = listed.checked_sub(1).expect("a slab is listed once");
                id = self.slabs[id as usize].next;
            }
            assert_eq!(listed, 0);
        }
    }
}

/// What is at a place of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NthBlock {
    /// A live block.
    Live(Block),
    /// A free one.
    Free,
    /// No block was ever there or behind.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn arena() -> Arena {
        Arena::new(1 << 30).expect("address space")
    }

    pub(super) fn fill(arena: &mut Arena, bytes: usize, count: usize) -> Vec<Block> {
        (0..count)
            .map(|n| {
                let block = arena.alloc(bytes).expect("memory");
                arena.tail_mut(block)[..bytes].fill(n as u8 & 0x7F);
                block
            })
            .collect()
    }

    #[test]
    fn blocks_do_not_overlap_and_keep_their_content() {
        let mut arena = arena();
        let sizes = [8, 9, 88, 512, 513, 4000, 32 << 10];
        let blocks: Vec<_> = sizes
            .iter()
            .flat_map(|&bytes| {
                fill(&mut arena, bytes, 20)
                    .into_iter()
                    .map(move |b| (b, bytes))
            })
            .collect();
        for (n, &(block, bytes)) in blocks.iter().enumerate() {
            let expected = (n % 20) as u8;
            assert!(
                arena.tail(block)[..bytes]
                    .iter()
                    .all(|&byte| byte == expected)
            );
            assert!(arena.block_bytes(block) >= bytes);
        }
        arena.check();
        for (block, _) in blocks {
            arena.free(block);
        }
        arena.check();
        assert_eq!(arena.live_bytes(), 0);
    }

    #[test]
    fn two_blocks_are_read_and_written_at_once() {
        let mut arena = arena();
        let blocks = fill(&mut arena, 100, 3);
        let (from, to) = arena.pair(blocks[1], blocks[0]);
        to[..100].copy_from_slice(&from[..100]);
        arena.copy_between(blocks[2], 0..50, blocks[1], 50);
        let bytes: Vec<&[u8]> = blocks
            .iter()
            .map(|&block| &arena.tail(block)[..100])
            .collect();
        assert_eq!(bytes[0], [1; 100]);
        assert_eq!(bytes[1], [[1; 50], [2; 50]].concat());
        assert_eq!(bytes[2], [2; 100]);
    }

    #[test]
    #[should_panic(expected = "two blocks")]
    fn a_block_is_no_pair_with_itself() {
        let mut arena = arena();
        let block = arena.alloc(100).expect("memory");
        arena.pair(block, block);
    }

    #[test]
    fn freed_memory_goes_back_to_the_system_beyond_a_few_slabs() {
        let mut arena = arena();
        // Whole slabs: a kept one counts as touched whether or not all of it is used again.
        let count = if cfg!(miri) { 64 } else { 2000 };
        let blocks = fill(&mut arena, 30_000, count);
        let touched = arena.touched_bytes();
        assert!(touched >= 30_000 * count as u64);
        for block in blocks {
            arena.free(block);
        }
        arena.check();
        assert!(arena.touched_bytes() <= (KEPT_FREE_SLABS * SLAB_BYTES) as u64);
        let again = fill(&mut arena, 30_000, count);
        assert_eq!(arena.touched_bytes(), touched);
        assert_eq!(again.len(), count);
    }

    #[test]
    fn whatever_makes_work_is_noticed_at_the_next_look() {
        let mut arena = arena();
        let mut blocks: Vec<Block> = Vec::new();
        let mut random = 1u64;
        let mut below = |bound: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) as usize % bound
        };
        let (mut found, mut settled) = (0, 0);
        let mut look = |arena: &mut Arena| {
            let finds_work = arena.finds_work();
            found += u32::from(finds_work);
            settled += u32::from(!finds_work);
            assert_eq!(arena.has_to_tend(), finds_work);
        };
        for _ in 0..if cfg!(miri) { 2 } else { 200 } {
            // Enough for some slabs, then most of it goes: what came last first, so that slabs become free, or in no order, so
            // that they become sparse.
            let bytes = [24, 500, 3000, 30_000][below(4)];
            for _ in 0..below((1 << 20) / bytes) {
                blocks.append(&mut fill(&mut arena, bytes, 1));
                look(&mut arena);
            }
            let last_first = below(2) == 0;
            for _ in 0..blocks.len() * below(8) / 7 {
                let at = if last_first {
                    blocks.len() - 1
                } else {
                    below(blocks.len())
                };
                arena.free(blocks.swap_remove(at));
                look(&mut arena);
            }
            for _ in 0..below(4) {
                arena.trim_some();
                look(&mut arena);
            }
            if let Some(slab) =
                (0..arena.slab_count()).find_map(|at| arena.sparse_slab(at, EMPTIED_MAX_EIGHTHS))
            {
                look(&mut arena);
                let NthBlock::Live(block) = arena.nth_block(slab, arena.used_blocks(slab) - 1)
                else {
                    arena.end_evacuation();
                    continue;
                };
                if let Some(moved) = arena.move_block(block) {
                    let known = blocks.iter_mut().find(|known| **known == block);
                    *known.expect("a live block") = moved;
                }
                look(&mut arena);
                arena.end_evacuation();
                look(&mut arena);
            }
        }
        arena.check();
        assert!(
            cfg!(miri) || found > 1000 && settled > 1000,
            "{found} {settled}"
        );
    }

    #[test]
    fn a_request_above_the_largest_block_is_refused() {
        assert_eq!(arena().alloc(Arena::max_block_bytes() + 1), None);
    }
}
