//! Size classes: exact multiples of the granule up to 512 bytes, then sixteen steps to each doubling up to 32 KiB.
//!
//! Waste inside a block is below one granule for small blocks and at most 1/16 (6.25%) for large ones.

use super::SLAB_BYTES;

/// Blocks up to this size come in steps of a granule.
const EXACT_MAX_BYTES: usize = 512;
/// Binary logarithm of `EXACT_MAX_BYTES`.
const EXACT_MAX_LOG2: u32 = 9;
/// The largest block.
const MAX_BLOCK_BYTES: usize = 32 << 10;
/// Binary logarithm of the number of steps to a doubling.
const STEPS_LOG2: u32 = 4;
/// The smallest block: a free one holds its mark and its link.
const MIN_BLOCK_BYTES: usize = 8;

/// Unit of a block's address: a granule number is 32 bits, so the granule bounds the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granule {
    shift: u32,
}

impl Granule {
    /// The smallest granule with which `ceiling_bytes` can be addressed: 4 bytes up to 16 GiB, doubling from there to 32.
    pub(crate) fn for_ceiling(ceiling_bytes: u64) -> Self {
        let shift = (2..5)
            .find(|shift| ceiling_bytes >> shift <= u64::from(u32::MAX) + 1)
            .unwrap_or(5);
        Self { shift }
    }

    /// Binary logarithm of its bytes.
    #[inline(always)]
    pub(crate) fn shift(self) -> u32 {
        self.shift
    }

    /// Bytes that granule numbers can address.
    pub(crate) fn reach_bytes(self) -> usize {
        1 << (32 + self.shift)
    }
}

/// Number of a size class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(pub(super) u8);

/// The table of size classes.
pub(crate) struct Classes {
    shift: u32,
    exact: usize,
    bytes: Vec<u32>,
}

impl Classes {
    pub(crate) fn new(granule: Granule) -> Self {
        let exact = (EXACT_MAX_BYTES >> granule.shift) + 1;
        let mut bytes: Vec<u32> = (0..exact as u32).map(|n| n << granule.shift).collect();
        let mut base = EXACT_MAX_BYTES;
        while base < MAX_BLOCK_BYTES {
            let step = base >> STEPS_LOG2;
            bytes.extend((1..=1 << STEPS_LOG2).map(|n| (base + n * step) as u32));
            base *= 2;
        }
        assert!(bytes.len() < usize::from(u8::MAX), "a class is a byte");
        Self {
            shift: granule.shift,
            exact,
            bytes,
        }
    }

    /// Number of classes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The smallest class with room for `bytes`; `None` above the largest block.
    #[inline]
    pub(crate) fn of(&self, bytes: usize) -> Option<Class> {
        if bytes <= EXACT_MAX_BYTES {
            let bytes = bytes.max(MIN_BLOCK_BYTES);
            return Some(Class(((bytes + (1 << self.shift) - 1) >> self.shift) as u8));
        }
        if bytes > MAX_BLOCK_BYTES {
            return None;
        }
        let last = bytes - 1;
        let log2 = last.ilog2();
        let step = (last >> (log2 - STEPS_LOG2)) - (1 << STEPS_LOG2);
        let doubling = (log2 - EXACT_MAX_LOG2) as usize;
        Some(Class((self.exact + (doubling << STEPS_LOG2) + step) as u8))
    }

    /// Bytes of a block of `class`.
    #[inline(always)]
    pub(crate) fn block_bytes(&self, class: Class) -> usize {
        self.bytes[usize::from(class.0)] as usize
    }

    /// Blocks in a slab of `class`.
    #[inline]
    pub(crate) fn blocks_per_slab(&self, class: Class) -> usize {
        SLAB_BYTES / self.block_bytes(class)
    }

    /// Bytes of the largest block.
    pub(crate) const fn max_block_bytes() -> usize {
        MAX_BLOCK_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for ceiling in [1 << 30, 20 << 30, 40 << 30, 1 << 40] {
            let granule = Granule::for_ceiling(ceiling);
            let classes = Classes::new(granule);
            for bytes in 1..=MAX_BLOCK_BYTES {
                let class = classes.of(bytes).expect("below the largest block");
                let block = classes.block_bytes(class);
                assert!(block >= bytes && block.is_multiple_of(1 << granule.shift()));
                let below = classes.bytes[usize::from(class.0) - 1] as usize;
                assert!(below < bytes.max(MIN_BLOCK_BYTES), "{bytes} fits {below}");
                if bytes > EXACT_MAX_BYTES {
                    assert!((block - bytes) * 16 <= block);
                }
            }
            assert_eq!(classes.of(MAX_BLOCK_BYTES + 1), None);
        }
    }

    #[test]
    fn the_granule_follows_the_ceiling() {
        assert_eq!(Granule::for_ceiling(0).shift(), 2);
        assert_eq!(Granule::for_ceiling(16 << 30).shift(), 2);
        assert_eq!(Granule::for_ceiling((16 << 30) + 4).shift(), 3);
        assert_eq!(Granule::for_ceiling(64 << 30).shift(), 4);
        assert_eq!(Granule::for_ceiling(u64::MAX).shift(), 5);
    }
}
