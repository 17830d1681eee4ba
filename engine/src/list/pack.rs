//! Small lists become large, and large ones small: between a packed run and a tree.

use super::field::Field;
use super::layout::Layout;
use super::packed::{End, HEADER_BYTES, PACKED_MAX_BYTES, Packed, PackedMut};
use super::{List, leaf};
use crate::StoreError;
use crate::nodes::Heap;

impl List {
    /// Adds the elements of a small list, there being none.
    ///
    /// # Errors
    /// Memory is out; some may have been added then.
    pub(crate) fn unpack(&mut self, heap: &mut Heap, run: Packed<'_>) -> Result<(), StoreError> {
        let len = run.len();
        let fits = run.used_bytes() <= self.run_max_bytes() && len <= self.bounds.leaf_elements;
        // In a block that had room, a run may be a little longer than a leaf's. One of a single element has no halves.
        let head_len = if fits || len < 2 { 0 } else { run.half() };
        let parts = [[(run, 0..head_len)], [(run, head_len..len)]];
        let layouts = parts.each_ref().map(|part| Layout::new(part));
        let is_too_long = |layout: &Layout<'_, '_>| {
            layout.used_bytes() > self.run_max_bytes() || layout.len() > self.bounds.leaf_elements
        };
        let mut elements = run.elements(0..len);
        if layouts.iter().any(is_too_long)
            || elements.any(|field| self.is_long(field.bytes().len()))
        {
            let mut elements = run.elements(0..len);
            return elements.try_for_each(|field| self.push(heap, End::Tail, field.bytes()));
        }
        for (end, layout) in [End::Head, End::Tail].into_iter().zip(&layouts) {
            if layout.len() == 0 {
                continue;
            }
            let bytes = layout.used_bytes() + Self::room_for(layout.used_bytes());
            let mut leaf = self.new_leaf(heap, bytes)?;
            self.write_run(heap, leaf.block, layout, end);
            leaf.elements = layout.len() as u32;
            self.payload_bytes += leaf::run(heap, leaf.block).payload_bytes() as u64;
            self.ends[end as usize] = Some(leaf);
        }
        Ok(())
    }

    /// All elements in one run without room; `None` if it were longer than `most` bytes.
    pub(crate) fn pack(&self, heap: &Heap, most: usize) -> Option<Vec<u8>> {
        let most = most.min(PACKED_MAX_BYTES);
        // What was cut off counts, too.
        let cannot_fit = HEADER_BYTES as u64 + self.payload_bytes() > most as u64;
        if most < HEADER_BYTES || !self.has_some_to_reclaim() && cannot_fit {
            return None;
        }
        // Codes have two bytes at most.
        let room = most + 2 * (self.len() as usize).min(PACKED_MAX_BYTES);
        let mut bytes = vec![0; room.min(PACKED_MAX_BYTES)];
        let mut packed = PackedMut::empty(&mut bytes);
        let mut fits = true;
        self.range(heap, 0..self.len(), |element| {
            fits = fits && element.len() <= most && packed.push(End::Tail, Field::inline(element));
        });
        let packed = Packed::new(&bytes);
        let parts = [(packed, 0..packed.len())];
        let layout = Layout::new(&parts);
        if !fits || layout.used_bytes() > most {
            return None;
        }
        let mut run = vec![0; layout.used_bytes()];
        layout.write(&mut run, End::Tail);
        Some(run)
    }
}
