//! Buffers: a mapping that fills from the front. What a large value lies in, and what a large argument is received into,
//! so that the bytes received become the value without being copied.

use super::PAGE_BYTES;
use super::system::Mapping;

/// Pages for `bytes`, in bytes; at least one.
fn pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE_BYTES).max(PAGE_BYTES)
}

/// Bytes in a mapping of their own, which grows by moving page tables. Room that was never used costs address space only.
pub struct Buffer {
    mapping: Mapping,
    /// Bytes from the start that were ever in use; behind them all are zero.
    len: usize,
}

impl Buffer {
    /// An empty buffer with room for `bytes`; `None` if the kernel refuses.
    pub fn with_capacity(bytes: usize) -> Option<Self> {
        Some(Self {
            mapping: Mapping::new(pages(bytes))?,
            len: 0,
        })
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Room for bytes, used or not.
    pub fn capacity(&self) -> usize {
        self.mapping.bytes().len()
    }

    /// Bytes of the pages in use.
    pub fn held_bytes(&self) -> usize {
        pages(self.len)
    }

    /// The bytes.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        &self.mapping.bytes()[..self.len]
    }

    /// The bytes, to write.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.mapping.bytes_mut()[..self.len]
    }

    /// Appends `bytes`; whether there was memory for them. If not, nothing changed.
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let (start, end) = (self.len, self.len + bytes.len());
        if !self.reserve(end) {
            return false;
        }
        self.len = end;
        self.bytes_mut()[start..].copy_from_slice(bytes);
        true
    }

    /// Makes room for `bytes` in all: what is asked for and an eighth, if the room there is does not do.
    pub(super) fn reserve(&mut self, bytes: usize) -> bool {
        let has = self.capacity();
        bytes <= has
            || self.mapping.resize(pages(bytes.saturating_add(bytes / 8)))
            || self.mapping.resize(pages(bytes))
    }

    /// Makes the buffer at least `len` bytes long; the new ones are zero. Whether there was memory for them.
    pub(super) fn lengthen(&mut self, len: usize) -> bool {
        let has_room = self.reserve(len);
        if has_room {
            self.len = self.len.max(len);
        }
        has_room
    }

    /// Takes the pages behind those of the first `len` bytes out, as a buffer of their own.
    pub(super) fn split_off(&mut self, len: usize) -> Option<Self> {
        let (at, used) = (pages(len), self.len);
        let mapping = self.mapping.split_off(at)?;
        self.len = used.min(at);
        Some(Self {
            mapping,
            len: used.saturating_sub(at),
        })
    }

    /// Where in the buffer `part` lies, if it does.
    pub fn position_of(&self, part: &[u8]) -> Option<usize> {
        let at = (part.as_ptr() as usize).checked_sub(self.bytes().as_ptr() as usize)?;
        (at + part.len() <= self.len).then_some(at)
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = out.debug_struct("Buffer");
        out.field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_as_it_is_appended_to_and_keeps_what_it_has() {
        let mut buffer = Buffer::with_capacity(10).expect("memory");
        assert!(buffer.is_empty() && buffer.capacity() == PAGE_BYTES);
        for n in 0..9 {
            assert!(buffer.append(&[n; 1000]));
        }
        assert_eq!(buffer.len(), 9000);
        let expected = (0..9).flat_map(|n| [n; 1000]);
        assert!(buffer.bytes().iter().copied().eq(expected));
        assert!(buffer.lengthen(20_000));
        assert!(buffer.bytes()[9000..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_split_buffer_has_its_pages_in_either_half() {
        let mut buffer = Buffer::with_capacity(3 * PAGE_BYTES).expect("memory");
        assert!(buffer.append(&[1; PAGE_BYTES]) && buffer.append(&[2; 10]));
        let tail = buffer.split_off(5).expect("pages behind");
        assert_eq!((buffer.len(), buffer.capacity()), (PAGE_BYTES, PAGE_BYTES));
        assert_eq!(tail.bytes(), [2; 10]);
        assert_eq!(tail.capacity(), 2 * PAGE_BYTES);
        assert!(buffer.split_off(5).is_none());
    }

    #[test]
    fn only_what_lies_in_a_buffer_has_a_position_in_it() {
        let mut buffer = Buffer::with_capacity(100).expect("memory");
        assert!(buffer.append(&[1; 100]));
        assert_eq!(buffer.position_of(&buffer.bytes()[7..90]), Some(7));
        assert_eq!(buffer.position_of(&[1; 10]), None);
    }
}
