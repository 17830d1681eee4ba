//! Emptying sparse slabs, so that their memory returns to the system.
//!
//! ```text
//!  emptied   | live | free | live | free |  ──▶  free blocks of other slabs of the class; the slab goes to the pool
//!  packed    | live | free | free | live |  ──▶  | live | live | never handed out | whose pages are given back
//! ```
//! A slab is emptied into others where these have room. Where they have too little, as in a class that has one slab, its upper blocks
//! fill what room they have, and then move to free ones below. Who moves a block tells whoever names it: see `shard::compaction`.

use super::{
    Arena, Block, Class, FREE_MARK, IdleBound, NO_BLOCK, NO_SLAB, NthBlock, PAGE_BYTES, SlabId,
    SlabState,
};

/// Eighths of a slab that are live at most if it is to be emptied into others.
pub(crate) const EMPTIED_MAX_EIGHTHS: u64 = 7;
/// Pages that packing a slab must give back, where memory is not short.
const PACK_MIN_PAGES: usize = 4;

impl Arena {
    /// Slab number `index`, if emptying it pays: at most so many eighths live, and room for those in other slabs of its
    /// class, or in those and its own lower part. Takes it out of use: blocks are only freed in it, and moved by
    /// [`Self::move_block`], until it is empty, or [`Self::end_evacuation`].
    pub(crate) fn sparse_slab(&mut self, index: usize, eighths: u64) -> Option<SlabId> {
        let slab = *self.slabs.get(index)?;
        if slab.place != SlabState::Listed || self.evacuating.is_some() {
            return None;
        }
        let class = Class(slab.class);
        let per_slab = self.classes.blocks_per_slab(class) as u64;
        let state = self.states[usize::from(class.0)];
        let live = u64::from(slab.live);
        let room_elsewhere = (u64::from(state.slabs) - 1) * per_slab - (state.live - live);
        let left = live.saturating_sub(room_elsewhere) as usize;
        let packed_pages = (left * self.classes.block_bytes(class)).div_ceil(PAGE_BYTES);
        let is_sparse = live * 8 <= per_slab * eighths;
        let fits_elsewhere = room_elsewhere >= live;
        let (least, eighths_left) = match self.idle_bound {
            IdleBound::Ordinary => (PACK_MIN_PAGES, 6),
            IdleBound::Least => (1, 7),
        };
        let can_be_packed = usize::from(slab.touched_pages) >= packed_pages + least
            && packed_pages * 8 <= usize::from(slab.touched_pages) * eighths_left;
        if !is_sparse || !(fits_elsewhere || can_be_packed) {
            return None;
        }
        self.packed_to = (!fits_elsewhere).then_some(0);
        self.unlist(index as u32, SlabState::Evacuating);
        self.evacuating = Some(SlabId(index as u32));
        self.is_unsettled = true;
        self.evacuating
    }

    /// The slab being emptied.
    #[inline]
    pub(crate) fn evacuating(&self) -> Option<SlabId> {
        self.evacuating
    }

    /// Puts a slab that did not become empty back into use; if it was packed, without what is free at its end.
    pub(crate) fn end_evacuation(&mut self) {
        let Some(SlabId(id)) = self.evacuating.take() else {
            return;
        };
        if self.packed_to.take().is_some() {
            self.close(id);
        }
        self.list(id);
    }

    /// Makes the part of a slab behind its last live block one that was never handed out, and links the free blocks before
    /// anew.
    fn close(&mut self, id: u32) {
        let block_bytes = self
            .classes
            .block_bytes(Class(self.slabs[id as usize].class));
        let mut bump = usize::from(self.slabs[id as usize].bump);
        while bump > 0 && matches!(self.nth_block(SlabId(id), bump - 1), NthBlock::Free) {
            bump -= 1;
        }
        self.slabs[id as usize].bump = bump as u16;
        let mut free = NO_BLOCK;
        for index in (0..bump).rev() {
            if matches!(self.nth_block(SlabId(id), index), NthBlock::Free) {
                let block = self.block_at(id, index);
                let link = free.to_le_bytes();
                self.tail_mut(block)[..4].copy_from_slice(&[FREE_MARK, 0, link[0], link[1]]);
                free = ((index * block_bytes) >> self.granule.shift()) as u16;
            }
        }
        self.slabs[id as usize].free = free;
        self.discard_behind(id, (bump * block_bytes).div_ceil(PAGE_BYTES));
    }

    /// Number of blocks of a slab that were ever handed out.
    pub(crate) fn used_blocks(&self, slab: SlabId) -> usize {
        usize::from(self.slabs[slab.0 as usize].bump)
    }

    /// Moves the content of `block` to another block of its class and frees it: within its slab, if that is being packed and no other has
    /// room. `None` if memory is out, or if no block is free below in such a slab.
    pub(crate) fn move_block(&mut self, block: Block) -> Option<Block> {
        let slab = self.slab_of(block);
        let class = usize::from(self.slabs[slab].class);
        if self.packed_to.is_some()
            && self.evacuating == Some(SlabId(slab as u32))
            && self.states[class].head == NO_SLAB
        {
            return self.move_down(block);
        }
        let bytes = self.block_bytes(block);
        let moved = self.alloc(bytes)?;
        self.copy_between(block, 0..bytes, moved, 0);
        self.free(block);
        Some(moved)
    }

    /// Moves the content of `block` to the first free block of its slab, which is being packed.
    fn move_down(&mut self, block: Block) -> Option<Block> {
        let slab = SlabId(self.slab_of(block) as u32);
        let bytes = self.block_bytes(block);
        let mut index = self.packed_to?;
        let target = loop {
            let target = self.block_at(slab.0, index);
            if target.0 >= block.0 {
                return None;
            }
            index += 1;
            if self.tail(target)[0] == FREE_MARK {
                break target;
            }
        };
        self.packed_to = Some(index);
        self.copy_between(block, 0..bytes, target, 0);
        // What is linked is linked anew in the end.
        self.tail_mut(block)[0] = FREE_MARK;
        Some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::super::idle::SPARSE_MIN_BYTES;
    use super::super::tests::{arena, fill};
    use super::*;

    #[test]
    fn a_sparse_slab_can_be_emptied_into_the_others_of_its_class() {
        let mut arena = arena();
        let blocks = fill(&mut arena, 4096, 64 * 4);
        for (n, &block) in blocks.iter().enumerate() {
            if n % 4 != 0 {
                arena.free(block);
            }
        }
        let slab = arena
            .sparse_slab(0, EMPTIED_MAX_EIGHTHS)
            .expect("a quarter is live");
        let mut index = 0;
        loop {
            match arena.nth_block(slab, index) {
                NthBlock::End => break,
                NthBlock::Free => {}
                NthBlock::Live(block) => {
                    let content = arena.tail(block)[..4096].to_vec();
                    let moved = arena.move_block(block).expect("memory");
                    assert_eq!(arena.tail(moved)[..4096], content);
                }
            }
            index += 1;
        }
        assert_eq!(arena.evacuating(), None);
        arena.check();
    }

    #[test]
    fn slabs_of_a_class_that_are_a_fifth_free_fill_each_other_and_one_is_packed() {
        let mut arena = arena();
        let mut blocks = fill(&mut arena, 4096, 64 * 3);
        let mut number = 0;
        blocks.retain(|&block| {
            number += 1;
            let goes = number % 5 == 0;
            if goes {
                arena.free(block);
            }
            !goes
        });
        let slab = arena
            .sparse_slab(0, EMPTIED_MAX_EIGHTHS)
            .expect("the others have room for half");
        for index in (0..arena.used_blocks(slab)).rev() {
            if let NthBlock::Live(block) = arena.nth_block(slab, index) {
                let content = arena.tail(block)[..4096].to_vec();
                let Some(moved) = arena.move_block(block) else {
                    break;
                };
                assert_eq!(arena.tail(moved)[..4096], content);
            }
        }
        arena.end_evacuation();
        arena.check();
        assert_eq!(arena.touched_bytes(), arena.live_bytes());
        assert_eq!(arena.live_bytes(), 4096 * blocks.len() as u64);
    }

    #[test]
    #[cfg_attr(miri, ignore = "slow: half a mebibyte of small blocks")]
    fn a_block_that_touches_a_page_can_be_what_makes_the_arena_sparse() {
        let mut arena = arena();
        // Up to the end of a page.
        fill(&mut arena, 512, PAGE_BYTES / 512);
        let blocks = fill(&mut arena, 24, 60_000);
        let free = |arena: &Arena| arena.touched_bytes - arena.live_bytes;
        let mut others = blocks.into_iter().step_by(2);
        while free(&arena) < SPARSE_MIN_BYTES - 100 {
            arena.free(others.next().expect("half of them are more"));
        }
        assert!(!arena.has_to_tend());
        fill(&mut arena, 512, 1);
        assert!(free(&arena) > SPARSE_MIN_BYTES);
        assert!(arena.has_to_tend());
    }

    #[test]
    fn a_sparse_slab_alone_in_its_class_is_packed_and_its_end_given_back() {
        let mut arena = arena();
        let blocks = fill(&mut arena, 1024, 256);
        let mut content = std::collections::BTreeMap::new();
        for (n, &block) in blocks.iter().enumerate() {
            if n % 5 == 4 {
                content.insert(n as u8 & 0x7F, block);
            }
        }
        for (n, &block) in blocks.iter().enumerate() {
            if content.get(&(n as u8 & 0x7F)) != Some(&block) {
                arena.free(block);
            }
        }
        let live = arena.live_bytes();
        let slab = arena
            .sparse_slab(0, EMPTIED_MAX_EIGHTHS)
            .expect("a fifth is live");
        for index in (0..arena.used_blocks(slab)).rev() {
            let NthBlock::Live(block) = arena.nth_block(slab, index) else {
                continue;
            };
            let number = arena.tail(block)[0];
            let Some(moved) = arena.move_block(block) else {
                break;
            };
            assert!(moved.0 < block.0);
            content.insert(number, moved);
            if number == 3 {
                // Others go meanwhile.
                let gone = content.remove(&8).unwrap();
                arena.free(gone);
            }
        }
        arena.end_evacuation();
        arena.check();
        assert!(arena.touched_bytes() <= live + PAGE_BYTES as u64);
        let more = fill(&mut arena, 1024, 300);
        arena.check();
        for (&number, &block) in &content {
            assert!(!more.contains(&block));
            assert!(arena.tail(block)[..1024].iter().all(|&byte| byte == number));
        }
    }
}
