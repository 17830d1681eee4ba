//! The prefetch instruction: asks for a cache line without waiting for it.

/// Bytes of a cache line.
pub(crate) const LINE_BYTES: usize = 64;

/// Brings the cache line near in which `items` begin. A hint.
#[inline(always)]
pub(crate) fn prefetch_read<T>(items: &[T]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching never faults, whatever the address; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(items.as_ptr().cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = items;
}
