//! Bytes a session has received and not yet made commands of: a command cut by the end of a buffer, or everything behind
//! a command that has to wait.
//!
//! A command with a large argument is received into a buffer that fits it, and that can become the value it sets: its
//! bytes are copied once, as they come, and not when the command runs.

use std::sync::Arc;

use larder_engine::Buffer;
use larder_engine::limits::SPAN_MAX_BYTES;

use super::Session;

/// Room in such a buffer for what comes behind the argument with its last bytes.
const BEHIND_BYTES: usize = 64 * 1024;
/// An argument of which so much is missing has room made for all of it; room for a shorter one grows as it comes.
const RESERVE_MIN_BYTES: usize = 16 * 1024;

/// Bytes kept for later.
#[derive(Debug, Default)]
pub(super) struct Unread {
    query: Query,
    /// Bytes in `query`.
    len: usize,
    /// Bytes of the front that commands were made of.
    taken: usize,
}

/// What keeps them.
#[derive(Debug)]
pub enum Query {
    /// A vector.
    Bytes(Vec<u8>),
    /// A buffer that begins with a command that has a large argument. Only while that runs does anybody else hold it.
    Buffer(Arc<Buffer>),
}

impl Default for Query {
    fn default() -> Self {
        Self::Bytes(Vec::new())
    }
}

impl Query {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Buffer(buffer) => buffer.len(),
        }
    }
}

impl Unread {
    fn new(query: Query, taken: usize) -> Self {
        let len = query.len();
        Self { query, len, taken }
    }

    /// Bytes kept, those included that commands were made of.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match &self.query {
            Query::Bytes(bytes) => bytes.capacity(),
            Query::Buffer(buffer) => buffer.held_bytes(),
        }
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
        self.unread.len - self.unread.taken
    }

    /// Capacity kept for them beyond their number.
    pub fn unread_free_bytes(&self) -> usize {
        self.unread.memory_bytes().saturating_sub(self.unread.len)
    }

    /// Keeps `bytes` behind what is kept already. Whether there was memory for them.
    #[must_use]
    pub fn push_unread(&mut self, bytes: &[u8]) -> bool {
        let missing = self.parser.missing_hint();
        let unread = &mut self.unread;
        let is_kept = match &mut unread.query {
            Query::Buffer(buffer) => Arc::get_mut(buffer)
                .expect("nobody else holds what has yet to run")
                .append(bytes),
            Query::Bytes(kept) if missing <= SPAN_MAX_BYTES => {
                if missing > RESERVE_MIN_BYTES && kept.capacity() - kept.len() < bytes.len() {
                    // Of what is missing, `bytes` may or may not be a part.
                    kept.reserve_exact(missing + bytes.len());
                }
                kept.extend_from_slice(bytes);
                true
            }
            Query::Bytes(kept) => {
                let kept = &kept[unread.taken..];
                let capacity = kept.len() + bytes.len() + missing + BEHIND_BYTES;
                let Some(mut buffer) = Buffer::with_capacity(capacity) else {
                    return false;
                };
                let has_room = buffer.append(kept) && buffer.append(bytes);
                *unread = Unread::new(Query::Buffer(Arc::new(buffer)), 0);
                has_room
            }
        };
        unread.len = unread.query.len();
        is_kept
    }

    /// Takes the kept bytes out to make commands of them, and where among them they begin.
    pub fn take_unread(&mut self) -> (Query, usize) {
        let Unread { query, taken, .. } = std::mem::take(&mut self.unread);
        (query, taken)
    }

    /// Puts a vector back; its first `taken` bytes have been used up.
    pub fn return_unread(&mut self, mut bytes: Vec<u8>, mut taken: usize) {
        if taken == bytes.len() {
            bytes = Vec::new();
            taken = 0;
        } else if taken > bytes.len() / 2 {
            bytes.drain(..taken);
            taken = 0;
        }
        self.unread = Unread::new(Query::Bytes(bytes), taken);
    }

    /// Puts a buffer back; its first `taken` bytes have been used up. Once its command has run it is of no more use here:
    /// what came behind the command is copied out of it.
    pub fn return_buffer(&mut self, buffer: Arc<Buffer>, taken: usize) -> Option<Arc<Buffer>> {
        if taken == 0 {
            self.unread = Unread::new(Query::Buffer(buffer), 0);
            return None;
        }
        let behind = buffer.bytes()[taken..].to_vec();
        self.unread = Unread::new(Query::Bytes(behind), 0);
        Some(buffer)
    }
}
