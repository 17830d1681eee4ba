//! The arena by itself: fresh blocks, and blocks freed and handed out again.

use larder_engine::bench::{BareArena, BareBlock};

use crate::data::{MEMORY_CEILING_BYTES, scattered};

/// Sizes asked for: of the smallest entries, of ordinary ones (the 16 + 64 bytes of most benches), the last of the
/// granule-wide classes, and one of the classes behind.
pub const SIZES_BYTES: [usize; 4] = [24, 88, 512, 4096];

/// An arena with nothing in it.
pub fn empty() -> BareArena {
    BareArena::new(MEMORY_CEILING_BYTES).expect("address space is to be had")
}

/// Takes `count` blocks of `bytes`.
pub fn alloc(arena: &mut BareArena, blocks: &mut Vec<BareBlock>, bytes: usize, count: usize) {
    blocks.extend((0..count).map(|_| arena.alloc(bytes).expect("memory is to be had")));
}

/// Frees each block, in a scattered order, and takes one of `bytes` in its place.
pub fn reuse(arena: &mut BareArena, blocks: &mut [BareBlock], bytes: usize) {
    for at in scattered(blocks.len(), blocks.len()) {
        arena.free(blocks[at]);
        blocks[at] = arena.alloc(bytes).expect("memory is to be had");
    }
}

/// Frees every block.
pub fn free(arena: &mut BareArena, blocks: &mut Vec<BareBlock>) {
    blocks.drain(..).for_each(|block| arena.free(block));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_every_size_come_and_go() {
        let mut arena = empty();
        for bytes in SIZES_BYTES {
            let mut blocks = Vec::new();
            alloc(&mut arena, &mut blocks, bytes, 1000);
            assert_eq!(blocks.len(), 1000);
            reuse(&mut arena, &mut blocks, bytes);
            free(&mut arena, &mut blocks);
            assert!(blocks.is_empty());
        }
    }
}
