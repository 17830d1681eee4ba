//! Memory from the kernel: one large reservation that is committed upwards, and mappings that grow in place.
//!
//! A reservation is `PROT_NONE` and `NORESERVE`: address space, which costs nothing. Committing makes a part readable and
//! writable, still without a page behind it; pages come as they are touched and go by `MADV_DONTNEED`. Huge pages are
//! declined: the kernel clears two mebibytes at the first touch of one, and the command that touches it waits.

use std::ops::Range;
use std::ptr::{self, NonNull};

use super::PAGE_BYTES;

/// Alignment of a reservation: a huge page, so that page tables are shared with nothing else.
const ALIGN_BYTES: usize = 2 << 20;

/// Address space of which a part is committed.
pub(crate) struct Reservation {
    /// What `mmap` answered, for `munmap`.
    mapping: NonNull<u8>,
    mapping_bytes: usize,
    /// The first aligned byte.
    base: NonNull<u8>,
    bytes: usize,
}

impl Reservation {
    /// Reserves `bytes` of address space; `None` if the kernel refuses.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        let mapping_bytes = bytes.checked_add(ALIGN_BYTES)?;
        // SAFETY: a fresh private anonymous mapping at an address of the kernel's choice touches no existing memory.
        let mapping = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapping_bytes,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return None;
        }
        let mapping = NonNull::new(mapping.cast::<u8>())?;
        let skip = mapping.as_ptr().align_offset(ALIGN_BYTES);
        // SAFETY: `skip < ALIGN_BYTES`, and the mapping is `ALIGN_BYTES` longer than `bytes`.
        let base = unsafe { mapping.add(skip) };
        // SAFETY: the range is the mapping just made; the advice changes no content.
        unsafe {
            libc::madvise(
                mapping.as_ptr().cast(),
                mapping_bytes,
                libc::MADV_NOHUGEPAGE,
            )
        };
        Some(Self {
            mapping,
            mapping_bytes,
            base,
            bytes,
        })
    }

    /// The first byte.
    #[inline(always)]
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes reserved.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn address(&self, range: &Range<usize>) -> *mut libc::c_void {
        assert!(range.start <= range.end && range.end <= self.bytes);
        // SAFETY: just checked to lie inside the mapping.
        unsafe { self.base.add(range.start) }.as_ptr().cast()
    }

    /// Makes `range` (page-aligned) readable and writable; whether the kernel agreed.
    pub(crate) fn commit(&mut self, range: Range<usize>) -> bool {
        let address = self.address(&range);
        // SAFETY: the range lies inside our own mapping, and widening its protection invalidates no reference.
        unsafe { libc::mprotect(address, range.len(), libc::PROT_READ | libc::PROT_WRITE) == 0 }
    }

    /// Gives the pages behind `range` back; it reads as zeros from now on.
    pub(crate) fn discard(&mut self, range: Range<usize>) {
        let address = self.address(&range);
        // SAFETY: the range lies inside our own mapping, `&mut self` excludes references into it, and any bytes are
        // valid content for `u8`.
        unsafe { libc::madvise(address, range.len(), libc::MADV_DONTNEED) };
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone and nothing borrows from it any more.
        unsafe { libc::munmap(self.mapping.as_ptr().cast(), self.mapping_bytes) };
    }
}

/// A zeroed mapping of its own, page-rounded, that can be resized without copying.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    /// Maps `bytes` (a multiple of a page, not zero); `None` if the kernel refuses.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        // SAFETY: a fresh private anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return None;
        }
        Some(Self {
            base: NonNull::new(base.cast())?,
            bytes,
        })
    }

    /// Resizes to `bytes` (a multiple of a page, not zero), keeping the content; whether the kernel agreed.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        // SAFETY: the mapping is ours, `&mut self` excludes references into it, and its address is updated below.
        let base = unsafe {
            libc::mremap(
                self.base.as_ptr().cast(),
                self.bytes,
                bytes,
                libc::MREMAP_MAYMOVE,
            )
        };
        match NonNull::new(base.cast::<u8>()) {
            Some(moved) if base != libc::MAP_FAILED => {
                self.base = moved;
                self.bytes = bytes;
                true
            }
            _ => false,
        }
    }

    /// Takes the part from `at` on (a multiple of a page) out, as a mapping of its own; `None` if there is no such part.
    pub(crate) fn split_off(&mut self, at: usize) -> Option<Self> {
        assert!(at > 0 && at.is_multiple_of(PAGE_BYTES));
        let bytes = self.bytes.checked_sub(at).filter(|&bytes| bytes > 0)?;
        self.bytes = at;
        Some(Self {
            // SAFETY: `at` lies inside the mapping, as just checked.
            base: unsafe { self.base.add(at) },
            bytes,
        })
    }

    /// The whole mapping.
    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped readable, initialised by the kernel, and borrowed from `self`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.bytes) }
    }

    /// The whole mapping, to write.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.bytes) }
    }
}

// SAFETY: a mapping is owned memory without a thread to belong to; through `&self` it is only read.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone and nothing borrows from it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
