//! Output buffers between two uses: a session takes one when it has something to say and gives it back when that is sent,
//! so that idle sessions hold none.

use crate::dispatch::limits::{
    POOLED_BUFFER_MAX_BYTES, POOLED_BUFFERS, POOLED_BYTES, POOLED_MIN_BYTES, POOLED_SHARE,
};

/// Buffers kept for reuse.
#[derive(Debug)]
pub(in crate::dispatch) struct BufferPool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    max_bytes: usize,
}

impl Default for BufferPool {
    fn default() -> Self {
        Self {
            buffers: Vec::new(),
            bytes: 0,
            max_bytes: POOLED_BYTES,
        }
    }
}

impl BufferPool {
    /// A buffer, if there is one: the one given last, which is still near.
    #[inline]
    pub(in crate::dispatch) fn take(&mut self) -> Option<Vec<u8>> {
        let buffer = self.buffers.pop()?;
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Bytes kept.
    #[inline(always)]
    pub(in crate::dispatch) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps none any more.
    pub(in crate::dispatch) fn clear(&mut self) {
        self.buffers = Vec::new();
        self.bytes = 0;
    }

    /// Keeps as much as one of `cores` cores may under a limit, zero for none: what is kept counts, and entries would go for it.
    pub(in crate::dispatch) fn set_limit(&mut self, maxmemory_bytes: u64, cores: u16) {
        let share = maxmemory_bytes / POOLED_SHARE / u64::from(cores);
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        self.max_bytes = match maxmemory_bytes {
            0 => POOLED_BYTES,
            _ => share.clamp(POOLED_MIN_BYTES, POOLED_BYTES),
        };
        if self.bytes > self.max_bytes {
            self.clear();
        }
    }

    /// Keeps an emptied buffer, unless there are enough.
    #[inline]
    pub(in crate::dispatch) fn give(&mut self, buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if self.buffers.len() < POOLED_BUFFERS
            && bytes <= POOLED_BUFFER_MAX_BYTES
            && self.bytes + bytes <= self.max_bytes
        {
            self.bytes += bytes;
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_the_bounds_allow() {
        let mut pool = BufferPool::default();
        pool.give(Vec::with_capacity(POOLED_BUFFER_MAX_BYTES + 1));
        assert!(pool.take().is_none());
        for _ in 0..=POOLED_BUFFERS {
            pool.give(Vec::with_capacity(POOLED_BUFFER_MAX_BYTES));
        }
        assert!(pool.bytes <= POOLED_BYTES);
        let kept = std::iter::from_fn(|| pool.take()).count();
        assert_eq!(kept, POOLED_BYTES / POOLED_BUFFER_MAX_BYTES);
        assert_eq!(pool.bytes, 0);
    }

    #[test]
    fn under_a_small_limit_little_is_kept() {
        let mut pool = BufferPool::default();
        pool.give(Vec::with_capacity(1 << 20));
        pool.set_limit(16 << 20, 2);
        assert_eq!(pool.bytes(), 0);
        pool.give(Vec::with_capacity(1 << 20));
        pool.give(Vec::with_capacity(1 << 18));
        assert_eq!(pool.bytes(), 1 << 18);
        pool.set_limit(0, 2);
        pool.give(Vec::with_capacity(1 << 20));
        assert_eq!(pool.bytes(), (1 << 18) + (1 << 20));
    }
}
