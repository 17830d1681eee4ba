//! The provided-buffer ring: memory the kernel receives into, chosen when data has arrived.
//!
//! ```text
//!  entries (shared with the kernel, page aligned)         memory
//!  ┌──────────┬──────────┬─── ─┬────────────┐             ┌────────┬────────┬── ─┐
//!  │addr len 0│addr len 1│ ... │ addr len n │ ── bid i ─▶ │ buf 0  │ buf 1  │ …  │
//!  └──────────┴──────────┴─── ─┴────────────┘             └────────┴────────┴── ─┘
//!   the tail lives in the otherwise unused last two bytes of entry 0
//! ```
//!
//! The kernel takes entries from the head, in order; a buffer is given back by writing its entry at the tail. Entries
//! written in one turn become visible together, by one release store of the tail.

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
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
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

/// A registered ring of equal receive buffers.
pub(super) struct BufferRing {
    entries: Mapping,
    memory: Mapping,
    count: u16,
    buffer_bytes: usize,
    /// The tail as this side sees it; the kernel's copy is written by [`publish`](Self::publish).
    tail: u16,
}

impl BufferRing {
    /// Maps `count` buffers of `buffer_bytes` each and registers them as group `group`.
    ///
    /// # Errors
    ///
    /// The kernel's refusal to map or to register (a kernel before 5.19 knows no such ring).
    ///
    /// # Panics
    ///
    /// When `count` is not a power of two.
    pub(super) fn register(
        submitter: &Submitter<'_>,
        group: u16,
        count: u16,
        buffer_bytes: usize,
    ) -> io::Result<Self> {
        assert!(count.is_power_of_two(), "the kernel masks the tail");
        let entries = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = Mapping::new(usize::from(count) * buffer_bytes)?;
        let mut ring = Self {
            entries,
            memory,
            count,
            buffer_bytes,
            tail: 0,
        };
        // SAFETY: the entries are page aligned, `count` long, and live in `Ring` until its io_uring is closed.
        unsafe {
            submitter.register_buf_ring_with_flags(
                ring.entries.base.as_ptr() as u64,
                count,
                group,
                0,
            )?;
        }
        for buffer in 0..count {
            ring.give_back(buffer);
        }
        ring.publish();
        Ok(ring)
    }

    /// The first `len` bytes of a buffer that the kernel has handed over and that is not yet given back.
    ///
    /// # Safety
    ///
    /// `buffer` was named by a completion and has not been given back since.
    ///
    /// # Panics
    ///
    /// When the kernel names a buffer or a length beyond what was registered.
    pub(super) unsafe fn received(&self, buffer: u16, len: usize) -> &[u8] {
        assert!(buffer < self.count && len <= self.buffer_bytes);
        // SAFETY: the range lies inside the mapping by the assertion above; by the caller's promise the kernel does not
        // write to it meanwhile.
        unsafe {
            let start = self
                .memory
                .base
                .as_ptr()
                .add(usize::from(buffer) * self.buffer_bytes);
            std::slice::from_raw_parts(start, len)
        }
    }

    /// Queues `buffer` for the kernel; it is visible there from the next [`publish`](Self::publish) on.
    pub(super) fn give_back(&mut self, buffer: u16) {
        let slot = usize::from(self.tail & (self.count - 1));
        // SAFETY: `slot` is below `count`, the mapping holds `count` entries and zeroes are valid ones. Of entry 0 only
        // address, length and id are written, never the two bytes which hold the tail.
        unsafe {
            let entry = &mut *self.entries.base.cast::<BufRingEntry>().as_ptr().add(slot);
            let address = self
                .memory
                .base
                .as_ptr()
                .add(usize::from(buffer) * self.buffer_bytes);
            entry.set_addr(address as u64);
            entry.set_len(self.buffer_bytes as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel every buffer given back so far.
    pub(super) fn publish(&mut self) {
        // SAFETY: the base is the address of the first entry, page aligned; the tail is an aligned u16 in the mapping,
        // which both sides access atomically.
        let tail = unsafe {
            let tail = BufRingEntry::tail(self.entries.base.cast::<BufRingEntry>().as_ptr());
            AtomicU16::from_ptr(tail.cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }
}
