//! Small lists become large, and large ones small: between a packed run and a tree.

use super::List;
use super::field::Field;
use super::layout::Layout;
use super::packed::{End, HEADER_BYTES, PACKED_MAX_BYTES, Packed, PackedMut};
use crate::StoreError;
use crate::nodes::{Heap, Owner};

impl List {
    /// A large list of the elements of a small one.
    ///
    /// # Errors
    /// Memory is out.
    pub(crate) fn unpack(
        heap: &mut Heap,
        owner: Owner,
        run: Packed<'_>,
    ) -> Result<Self, StoreError> {
        let mut list = Self::new(owner);
        for field in run.elements(0..run.len()) {
            if let Err(error) = list.push(heap, End::Tail, field.bytes()) {
                while list.dismantle(heap, u32::MAX).is_some() {}
                return Err(error);
            }
        }
        Ok(list)
    }

    /// All elements in one run without room; `None` if it were longer than `most` bytes, or some that were cut off are yet to be
    /// reclaimed.
    pub(crate) fn pack(&self, heap: &Heap, most: usize) -> Option<Vec<u8>> {
        let most = most.min(PACKED_MAX_BYTES);
        let (payload, elements) = (self.payload_bytes(), self.len() as usize);
        if self.has_some_to_reclaim() || HEADER_BYTES as u64 + payload > most as u64 {
            return None;
        }
        // Codes have two bytes at most.
        let bytes = HEADER_BYTES + payload as usize + 2 * elements.min(PACKED_MAX_BYTES);
        let mut bytes = vec![0; bytes.min(PACKED_MAX_BYTES)];
        let mut packed = PackedMut::empty(&mut bytes);
        let mut fits = true;
        self.range(heap, 0..self.len(), |element| {
            fits = fits && packed.push(End::Tail, Field::inline(element));
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
