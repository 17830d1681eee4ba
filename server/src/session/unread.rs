//! Bytes a session has received and not yet made commands of: a command cut by the end of a buffer, or everything behind
//! a command that has to wait.

use super::Session;

/// Bytes kept for later.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    /// Bytes of the front that commands were made of.
    taken: usize,
    /// Bytes that are out while commands are made of them.
    out: usize,
}

impl Unread {
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes kept, or out.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.out
    }
}

impl Session {
    /// Whether bytes are kept.
    #[inline]
    pub fn has_unread(&self) -> bool {
        self.unread_bytes() > 0
    }

    /// Number of bytes kept.
    #[inline]
    pub fn unread_bytes(&self) -> usize {
        self.unread.bytes.len() - self.unread.taken
    }

    /// Capacity kept for them beyond their number.
    pub fn unread_free_bytes(&self) -> usize {
        self.unread.bytes.capacity() - self.unread.bytes.len()
    }

    /// Keeps `bytes` behind what is kept already.
    pub fn push_unread(&mut self, bytes: &[u8]) {
        self.unread.bytes.extend_from_slice(bytes);
    }

    /// Takes the kept bytes out to make commands of them: the buffer, and where in it they begin.
    pub fn take_unread(&mut self) -> (Vec<u8>, usize) {
        let Unread { bytes, taken, .. } = std::mem::take(&mut self.unread);
        self.unread.out = bytes.len();
        (bytes, taken)
    }

    /// Puts the buffer back; its first `taken` bytes have been used up.
    pub fn return_unread(&mut self, mut bytes: Vec<u8>, mut taken: usize) {
        if taken == bytes.len() {
            bytes = Vec::new();
            taken = 0;
        } else if taken > bytes.len() / 2 {
            bytes.drain(..taken);
            taken = 0;
        }
        self.unread = Unread {
            bytes,
            taken,
            out: 0,
        };
    }
}
