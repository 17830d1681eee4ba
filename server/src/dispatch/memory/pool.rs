//! Output buffers between two uses: a session takes one when it has something to say and gives it back when that is sent,
//! so that idle sessions hold none.

use crate::dispatch::limits::{POOLED_BUFFER_MAX_BYTES, POOLED_BUFFERS, POOLED_BYTES};

/// Buffers kept for reuse.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct BufferPool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
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
        *self = Self::default();
    }

    /// Keeps an emptied buffer, unless there are enough.
    #[inline]
    pub(in crate::dispatch) fn give(&mut self, buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if self.buffers.len() < POOLED_BUFFERS
            && bytes <= POOLED_BUFFER_MAX_BYTES
            && self.bytes + bytes <= POOLED_BYTES
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
}
