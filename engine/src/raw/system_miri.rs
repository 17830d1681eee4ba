//! The twin of `system` that miri can run: zeroed allocations instead of mappings of the kernel.

use std::ops::Range;
use std::ptr::NonNull;

/// Largest reservation of the twin: it is allocated whole.
const RESERVATION_BYTES: usize = 4 << 20;

/// An allocation standing for reserved address space.
pub(crate) struct Reservation {
    base: NonNull<u8>,
    bytes: usize,
}

impl Reservation {
    /// Allocates at most `RESERVATION_BYTES`.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        let bytes = bytes.min(RESERVATION_BYTES);
        let boxed = vec![0u8; bytes].into_boxed_slice();
        Some(Self {
            base: NonNull::new(Box::into_raw(boxed).cast())?,
            bytes,
        })
    }

    /// The first byte.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes reserved.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing to do: all of it is usable.
    pub(crate) fn commit(&mut self, range: Range<usize>) -> bool {
        range.end <= self.bytes
    }

    /// Zeroes `range`, as the kernel does with pages given back.
    pub(crate) fn discard(&mut self, range: Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.bytes);
        // SAFETY: just checked to lie inside the allocation, which `&mut self` borrows exclusively.
        unsafe {
            self.base
                .add(range.start)
                .as_ptr()
                .write_bytes(0, range.len())
        };
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let slice = std::ptr::slice_from_raw_parts_mut(self.base.as_ptr(), self.bytes);
        // SAFETY: made by `Box::into_raw` in `new` with this length, and dropped once.
        drop(unsafe { Box::from_raw(slice) });
    }
}

/// A zeroed vector.
pub(crate) struct Mapping(Vec<u8>);

impl Mapping {
    /// `bytes` zeros.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        Some(Self(vec![0; bytes]))
    }

    /// Resizes, keeping the content.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        self.0.resize(bytes, 0);
        true
    }

    /// Takes the part from `at` on out; `None` if there is no such part.
    pub(crate) fn split_off(&mut self, at: usize) -> Option<Self> {
        (at < self.0.len()).then(|| Self(self.0.split_off(at)))
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// All of it, to write.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
