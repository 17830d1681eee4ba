//! Which block each node of a collection is in, by ordinal: pages of 512 words, which are nodes themselves.
//!
//! ```text
//!  pages (a list of the root)     page 0                         the last page
//!  [ block | block | block ] ──▶ [ head | block of 0 … of 511 ]  [ head | block of 1024, … | room for a few more ]
//! ```
//! The last page is as long as it needs to be, by an eighth and a few words, so that a collection of ten nodes does not pay
//! for five hundred. Growing by one copies at most a page, and once in 512 times the list, 4 bytes a page.

use super::{Holdings, NODE_HEAD_BYTES, NodeKind, ordinal_of, owner_of, read_u32};
use crate::StoreError;
use crate::raw::{Arena, Block, prefetch_read};

const WORD_BYTES: usize = 4;
/// Nodes to a page, as a power of two.
const PAGE_SHIFT: u32 = 9;
const PAGE_WORDS: usize = 1 << PAGE_SHIFT;
/// Words that a page grows by, besides an eighth.
const ROOM_WORDS: usize = 4;

/// A table of nodes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pages: Vec<Block>,
    len: u32,
    /// The number of the first page.
    first: u32,
}

/// The number of the first page of a collection's second table.
const SECOND: u32 = 1 << 31;

/// Bytes of a page of so many words.
fn page_bytes(words: usize) -> usize {
    NODE_HEAD_BYTES + words * WORD_BYTES
}

fn word_at(ordinal: u32) -> usize {
    page_bytes(ordinal as usize % PAGE_WORDS)
}

impl Table {
    /// The second table of a collection: its pages are numbered apart from those of the first.
    pub(crate) fn second() -> Self {
        Self {
            first: SECOND,
            ..Self::default()
        }
    }

    /// Whether a page of this number is one of a second table.
    pub(crate) fn is_of_second(number: u32) -> bool {
        number >= SECOND
    }

    /// Number of nodes.
    #[inline(always)]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Bytes of the list of pages.
    pub(crate) fn list_bytes(&self) -> u64 {
        (self.pages.capacity() * size_of::<Block>()) as u64
    }

    /// The block of a node.
    #[inline(always)]
    pub(crate) fn get(&self, arena: &Arena, ordinal: u32) -> Block {
        debug_assert!(ordinal < self.len);
        let page = self.pages[(ordinal >> PAGE_SHIFT) as usize];
        Block(read_u32(arena.tail(page), word_at(ordinal)))
    }

    /// Asks for the word of a node.
    #[inline(always)]
    pub(crate) fn prefetch(&self, arena: &Arena, ordinal: u32) {
        let page = self.pages[(ordinal >> PAGE_SHIFT) as usize];
        prefetch_read(&arena.tail(page)[word_at(ordinal)..]);
    }

    /// The page that has the block of a node.
    #[cfg(any(test, feature = "model"))]
    pub(crate) fn page_of(&self, ordinal: u32) -> Block {
        self.pages[(ordinal >> PAGE_SHIFT) as usize]
    }

    /// The node is in `block` now.
    #[inline]
    pub(crate) fn set(&mut self, arena: &mut Arena, ordinal: u32, block: Block) {
        debug_assert!(ordinal < self.len);
        let page = self.pages[(ordinal >> PAGE_SHIFT) as usize];
        let at = word_at(ordinal);
        arena.tail_mut(page)[at..at + WORD_BYTES].copy_from_slice(&block.0.to_le_bytes());
    }

    /// Adds a node; its number.
    pub(crate) fn push(
        &mut self,
        arena: &mut Arena,
        holdings: &mut Holdings,
        block: Block,
    ) -> Result<u32, StoreError> {
        let ordinal = self.len;
        let number = ordinal >> PAGE_SHIFT;
        let words = ordinal as usize % PAGE_WORDS;
        if words == 0 {
            let room = if number == 0 {
                ROOM_WORDS
            } else {
                PAGE_WORDS / 8
            };
            let name = self.first + number;
            let page = holdings.alloc(arena, page_bytes(room), NodeKind::Page, name)?;
            self.pages.push(page);
        } else if arena.block_bytes(self.pages[number as usize]) < page_bytes(words + 1) {
            let room = (words + words / 8 + ROOM_WORDS).min(PAGE_WORDS);
            self.resize_last(arena, holdings, words, room)?;
        }
        self.len += 1;
        self.set(arena, ordinal, block);
        Ok(ordinal)
    }

    /// Takes the last node out; its block.
    pub(crate) fn pop(&mut self, arena: &mut Arena, holdings: &mut Holdings) -> Option<Block> {
        let ordinal = self.len.checked_sub(1)?;
        let block = self.get(arena, ordinal);
        self.len = ordinal;
        let words = ordinal as usize % PAGE_WORDS;
        let page = self.pages[(ordinal >> PAGE_SHIFT) as usize];
        if words == 0 {
            holdings.free(arena, page);
            self.pages.pop();
        } else if arena.block_bytes(page) > page_bytes(2 * words + 2 * ROOM_WORDS) {
            // Without memory for a shorter page, the long one does.
            let _ = self.resize_last(arena, holdings, words, words + ROOM_WORDS);
        }
        Some(block)
    }

    /// Gives the last page, of which `words` are in use, room for `room`.
    fn resize_last(
        &mut self,
        arena: &mut Arena,
        holdings: &mut Holdings,
        words: usize,
        room: usize,
    ) -> Result<(), StoreError> {
        let last = self.pages.len() - 1;
        let page = self.pages[last];
        let name = self.first + last as u32;
        let resized = holdings.alloc(arena, page_bytes(room), NodeKind::Page, name)?;
        let used = NODE_HEAD_BYTES..page_bytes(words);
        arena.copy_between(page, used, resized, NODE_HEAD_BYTES);
        holdings.free(arena, page);
        self.pages[last] = resized;
        Ok(())
    }

    /// Page number `number` is in `block` now.
    pub(crate) fn set_page(&mut self, number: u32, block: Block) {
        self.pages[(number - self.first) as usize] = block;
    }

    /// Verifies the pages; adds their bytes to `bytes`.
    pub(crate) fn check(&self, arena: &Arena, holdings: &Holdings, bytes: &mut u64) {
        assert_eq!(self.pages.len(), (self.len as usize).div_ceil(PAGE_WORDS));
        for (number, &page) in self.pages.iter().enumerate() {
            let node = arena.tail(page);
            assert_eq!(NodeKind::of(node[0]), Some(NodeKind::Page));
            assert_eq!(
                (owner_of(node), ordinal_of(node)),
                (holdings.owner, self.first + number as u32)
            );
            let words = (self.len as usize - number * PAGE_WORDS).min(PAGE_WORDS);
            assert!(arena.block_bytes(page) >= page_bytes(words));
            *bytes += arena.block_bytes(page) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Owner;
    use super::*;

    #[test]
    fn a_table_grows_and_shrinks_by_one_and_pays_for_what_it_has() {
        let mut arena = Arena::new(1 << 30).expect("address space");
        let (mut table, mut holdings) = (Table::default(), Holdings::new(Owner(3)));
        let count = if cfg!(miri) { 700 } else { 3000 };
        for ordinal in 0..count {
            let pushed = table.push(&mut arena, &mut holdings, Block(ordinal * 7));
            assert_eq!(pushed, Ok(ordinal));
            let mut bytes = 0;
            table.check(&arena, &holdings, &mut bytes);
            assert_eq!(bytes, holdings.bytes);
            assert!(bytes < 64 + u64::from(ordinal) * 6, "{bytes} for {ordinal}");
        }
        table.set(&mut arena, 600, Block(1));
        for ordinal in (0..count).rev() {
            let expected = if ordinal == 600 { 1 } else { ordinal * 7 };
            assert_eq!(table.get(&arena, ordinal), Block(expected));
            assert_eq!(table.pop(&mut arena, &mut holdings), Some(Block(expected)));
            let mut bytes = 0;
            table.check(&arena, &holdings, &mut bytes);
            assert_eq!(bytes, holdings.bytes);
            assert!(
                bytes <= 100 + u64::from(ordinal) * 13,
                "{bytes} for {ordinal}"
            );
        }
        assert_eq!(table.pop(&mut arena, &mut holdings), None);
        assert_eq!((holdings.bytes, arena.live_bytes()), (0, 0));
    }
}
