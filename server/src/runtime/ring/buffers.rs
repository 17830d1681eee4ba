//! The provided-buffer ring: memory the kernel receives into, chosen when data has arrived.
//!
//! ```text
//!  entries (shared with the kernel, page aligned)         memory (mapped, touched when first used)
//!  ┌──────────┬──────────┬─── ─┬────────────┐             ┌────────┬────────┬── ─┬─────────────┐
//!  │addr len 0│addr len 1│ ... │ addr len n │ ── bid i ─▶ │ buf 0  │ buf 1  │ …  │ not lent out │
//!  └──────────┴──────────┴─── ─┴────────────┘             └────────┴────────┴── ─┴─────────────┘
//!   the tail lives in the otherwise unused last two bytes of entry 0
//! ```
//!
//! The kernel takes entries from the head, in order; a buffer is given back by writing its entry at the tail. So every
//! buffer lent out is touched in turn, and few are lent out: the ring begins with a few and lends out more when the
//! kernel has run dry ([`BufferRing::grow`]), up to all. Memory that load never asked for stays untouched.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// Anonymous mapping, released when dropped.
struct Mapping {
    base: NonNull<u8>,
    len_bytes: usize,
}

impl Mapping {
    fn new(len_bytes: usize) -> io::Result<Self> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).expect("mmap never returns null on success");
        Ok(Self { base, len_bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `base` and `len_bytes` describe a mapping this value made and nothing else unmaps.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len_bytes) };
    }
}

/// Number and size of receive buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct BufferSizes {
    /// Buffers lent to the kernel at first.
    pub(in crate::runtime) first: u16,
    /// Buffers lent at most; a power of two.
    pub(in crate::runtime) most: u16,
    /// Bytes of one.
    pub(in crate::runtime) bytes: usize,
}

/// A registered ring of equal receive buffers.
pub(super) struct BufferRing {
    entries: Mapping,
    memory: Mapping,
    sizes: BufferSizes,
    /// Buffers lent out so far; the others have never been used.
    lent: u16,
    /// The tail as this side sees it; the kernel's copy is written by [`publish`](Self::publish).
    tail: u16,
}

impl BufferRing {
    /// Maps the buffers and registers them as group `group`.
    ///
    /// # Errors
    /// The kernel's refusal to map or to register (a kernel before 5.19 knows no such ring).
    ///
    /// # Panics
    /// When the sizes make no sense.
    pub(super) fn register(
        submitter: &Submitter<'_>,
        group: u16,
        sizes: BufferSizes,
    ) -> io::Result<Self> {
        assert!(
            sizes.most.is_power_of_two() && (1..=sizes.most).contains(&sizes.first),
            "the kernel masks the tail"
        );
        let mut ring = Self {
            entries: Mapping::new(usize::from(sizes.most) * size_of::<BufRingEntry>())?,
            memory: Mapping::new(usize::from(sizes.most) * sizes.bytes)?,
            sizes,
            lent: 0,
            tail: 0,
        };
        // SAFETY: the entries are page aligned, `most` long, and `Ring` keeps them until its io_uring is closed.
        unsafe {
            submitter.register_buf_ring_with_flags(
                ring.entries.base.as_ptr() as u64,
                sizes.most,
                group,
                0,
            )?;
        }
        ring.lend(sizes.first);
        ring.publish();
        Ok(ring)
    }

    /// Lends out twice as many buffers, up to all of them; visible to the kernel from the next
    /// [`publish`](Self::publish) on.
    pub(super) fn grow(&mut self) {
        self.lend(self.lent.min(self.sizes.most - self.lent));
    }

    fn lend(&mut self, count: u16) {
        for buffer in self.lent..self.lent + count {
            self.give_back(buffer);
        }
        self.lent += count;
    }

    /// The first `len` bytes of a buffer that the kernel has handed over and that is not yet given back.
    ///
    /// # Safety
    /// `buffer` was named by a completion and has not been given back since.
    ///
    /// # Panics
    /// When the kernel names a buffer or a length beyond what was registered.
    #[inline]
    pub(super) unsafe fn received(&self, buffer: u16, len: usize) -> &[u8] {
        assert!(buffer < self.lent && len <= self.sizes.bytes);
        // SAFETY: the range lies inside the mapping by the assertion above; by the caller's promise the kernel does not
        // write to it meanwhile.
        unsafe {
            let start = self
                .memory
                .base
                .as_ptr()
                .add(usize::from(buffer) * self.sizes.bytes);
            std::slice::from_raw_parts(start, len)
        }
    }

    /// Queues `buffer` for the kernel; it is visible there from the next [`publish`](Self::publish) on.
    #[inline]
    pub(super) fn give_back(&mut self, buffer: u16) {
        let slot = usize::from(self.tail & (self.sizes.most - 1));
        // SAFETY: `slot` is below `most`, the mapping holds `most` entries and zeroes are valid ones; `buffer` is below
        // `most`. Of entry 0 only address, length and id are written, never the two bytes which hold the tail.
        unsafe {
            let entry = &mut *self.entries.base.cast::<BufRingEntry>().as_ptr().add(slot);
            let address = self
                .memory
                .base
                .as_ptr()
                .add(usize::from(buffer) * self.sizes.bytes);
            entry.set_addr(address as u64);
            entry.set_len(self.sizes.bytes as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel every buffer given back so far.
    #[inline]
    pub(super) fn publish(&mut self) {
        // SAFETY: the base is the address of the first entry, page aligned; the tail is an aligned u16 in the mapping,
        // which both sides access atomically.
        let tail = unsafe {
            let tail = BufRingEntry::tail(self.entries.base.cast::<BufRingEntry>().as_ptr());
            AtomicU16::from_ptr(tail.cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }

    /// Buffers lent out so far.
    #[cfg(test)]
    pub(super) fn lent(&self) -> u16 {
        self.lent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::ring::Ring;

    #[test]
    fn more_buffers_are_lent_each_time_until_all_are() {
        let ring = Ring::new().unwrap();
        let sizes = BufferSizes {
            first: 3,
            most: 16,
            bytes: 64,
        };
        let mut buffers = BufferRing::register(&ring.uring.submitter(), 0, sizes).unwrap();
        let lent: Vec<u16> = (0..5)
            .map(|_| {
                buffers.grow();
                buffers.lent()
            })
            .collect();
        assert_eq!(lent, [6, 12, 16, 16, 16]);
        drop(ring);
    }
}
