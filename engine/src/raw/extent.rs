//! Extents: mappings of their own for what does not fit a block of the arena.
//!
//! An extent is page-rounded and grows by `mremap`, which moves page tables and not bytes; the slack it grows by is
//! address space only. Counted are the pages ever touched.

use super::PAGE_BYTES;
use super::system::Mapping;

/// Handle of an extent, as it stands in an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExtentId(pub(crate) u32);

/// Most bytes given back at once: unmapping costs the kernel time for every page.
const TRIM_BYTES: usize = 4 << 20;

struct Extent {
    mapping: Mapping,
    /// Bytes from the start that were ever in use; behind them the mapping is zero.
    touched: usize,
}

fn pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE_BYTES).max(PAGE_BYTES)
}

/// All extents of a shard.
#[derive(Default)]
pub(crate) struct Extents {
    slots: Vec<Option<Extent>>,
    vacant: Vec<u32>,
    /// Large extents destroyed, to be given back in pieces.
    dying: Vec<Extent>,
    used_bytes: u64,
}

impl Extents {
    /// An extent whose first `bytes` are zero and usable; `None` if the kernel refuses.
    pub(crate) fn create(&mut self, bytes: usize) -> Option<ExtentId> {
        let extent = Extent {
            mapping: Mapping::new(pages(bytes))?,
            touched: bytes,
        };
        self.used_bytes += pages(bytes) as u64;
        let slot = if let Some(slot) = self.vacant.pop() {
            self.slots[slot as usize] = Some(extent);
            slot
        } else {
            self.slots.push(Some(extent));
            u32::try_from(self.slots.len() - 1).expect("the kernel bounds mappings far below 2^32")
        };
        Some(ExtentId(slot))
    }

    /// Gives an extent back to the kernel: at once if it is small, else piece by piece in [`Self::trim_some`].
    pub(crate) fn destroy(&mut self, id: ExtentId) {
        let extent = self.slots[id.0 as usize]
            .take()
            .expect("an item owns its extent until it is destroyed");
        self.vacant.push(id.0);
        self.bury(extent);
    }

    fn bury(&mut self, extent: Extent) {
        if extent.touched > TRIM_BYTES {
            self.dying.push(extent);
        } else {
            self.used_bytes -= pages(extent.touched) as u64;
        }
    }

    /// Gives a piece of a destroyed extent back; whether there was one.
    #[inline]
    pub(crate) fn trim_some(&mut self) -> bool {
        let Some(mut extent) = self.dying.pop() else {
            return false;
        };
        let was = pages(extent.touched);
        let left = was.saturating_sub(TRIM_BYTES);
        if left > 0 && extent.mapping.resize(left) {
            extent.touched = left;
            self.dying.push(extent);
            self.used_bytes -= (was - left) as u64;
        } else {
            self.used_bytes -= was as u64;
        }
        true
    }

    /// Bytes of extents destroyed and not yet given back.
    pub(crate) fn dying_bytes(&self) -> u64 {
        self.dying
            .iter()
            .map(|extent| pages(extent.touched) as u64)
            .sum()
    }

    fn slot(&self, id: ExtentId) -> &Extent {
        self.slots[id.0 as usize]
            .as_ref()
            .expect("an item's extent lives as long as the item")
    }

    fn slot_mut(&mut self, id: ExtentId) -> &mut Extent {
        self.slots[id.0 as usize]
            .as_mut()
            .expect("an item's extent lives as long as the item")
    }

    /// Makes the extent's content `len` bytes long, of which the first `old_len` are kept and the rest is zero. Growing
    /// beyond the mapping takes an eighth more address space than asked for; content of less than half gives pages back.
    /// Whether the kernel agreed; if not, nothing changed.
    pub(crate) fn resize(&mut self, id: ExtentId, old_len: usize, len: usize) -> bool {
        let extent = self.slot_mut(id);
        let mapped = extent.mapping.bytes().len();
        let was = pages(extent.touched);
        if len > mapped {
            let roomy = pages(len + len / 8);
            if !extent.mapping.resize(roomy) && !extent.mapping.resize(pages(len)) {
                return false;
            }
        } else if pages(len) < mapped / 2 && extent.mapping.resize(pages(len)) {
            extent.touched = extent.touched.min(pages(len));
        }
        let dirty_end = extent.touched.min(len);
        if dirty_end > old_len {
            extent.mapping.bytes_mut()[old_len..dirty_end].fill(0);
        }
        extent.touched = extent.touched.max(len);
        let is = pages(extent.touched);
        self.used_bytes = self.used_bytes - was as u64 + is as u64;
        true
    }

    /// The first `len` bytes.
    pub(crate) fn bytes(&self, id: ExtentId, len: usize) -> &[u8] {
        &self.slot(id).mapping.bytes()[..len]
    }

    /// The first `len` bytes, to write.
    pub(crate) fn bytes_mut(&mut self, id: ExtentId, len: usize) -> &mut [u8] {
        let extent = self.slot_mut(id);
        debug_assert!(len <= extent.touched);
        &mut extent.mapping.bytes_mut()[..len]
    }

    /// Bytes of one extent that count as used.
    pub(crate) fn used_bytes_of(&self, id: ExtentId) -> u64 {
        pages(self.slot(id).touched) as u64
    }

    /// Bytes of all extents that count as used.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// Destroys the last extent, whoever owns it; whether there was one. Only for extents nobody reads any more.
    pub(crate) fn destroy_last(&mut self) -> bool {
        match self.slots.pop() {
            Some(Some(extent)) => self.bury(extent),
            Some(None) => {}
            None => return false,
        }
        true
    }

    /// Verifies the sums.
    pub(crate) fn check(&self) {
        let live = self.slots.iter().flatten().chain(&self.dying);
        let used: usize = live.map(|extent| pages(extent.touched)).sum();
        assert_eq!(used as u64, self.used_bytes);
        let vacant = self.slots.iter().filter(|slot| slot.is_none()).count();
        assert_eq!(vacant, self.vacant.len());
    }

    /// Number of extents.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_keeps_its_content_as_it_grows_and_reads_zero_beyond_it() {
        let mut extents = Extents::default();
        let id = extents.create(10).expect("memory");
        extents.bytes_mut(id, 10).fill(7);
        assert!(extents.resize(id, 10, 5));
        assert!(extents.resize(id, 5, 1 << 20));
        assert_eq!(extents.bytes(id, 12), [7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(extents.used_bytes(), 1 << 20);
        extents.check();
        assert!(extents.resize(id, 1 << 20, 100));
        assert_eq!(extents.used_bytes(), PAGE_BYTES as u64);
        assert!(extents.resize(id, 3, 8000));
        assert_eq!(extents.bytes(id, 6), [7, 7, 7, 0, 0, 0]);
        extents.check();
        extents.destroy(id);
        assert_eq!((extents.used_bytes(), extents.len()), (0, 0));
        extents.check();
    }

    #[test]
    fn a_large_extent_is_given_back_in_pieces_and_counts_until_then() {
        let mut extents = Extents::default();
        let id = extents.create(10 << 20).expect("memory");
        extents.destroy(id);
        assert_eq!((extents.len(), extents.used_bytes()), (0, 10 << 20));
        extents.check();
        let mut steps = 0;
        while extents.trim_some() {
            steps += 1;
            extents.check();
        }
        assert_eq!(
            (steps, extents.used_bytes(), extents.dying_bytes()),
            (3, 0, 0)
        );
    }

    #[test]
    fn handles_are_reused() {
        let mut extents = Extents::default();
        let first = extents.create(1).expect("memory");
        extents.destroy(first);
        assert_eq!(extents.create(1), Some(first));
        assert!(extents.destroy_last() && !extents.destroy_last());
    }
}
