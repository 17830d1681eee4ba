//! Byte strings one after the other in one buffer: a command's arguments on their way between a script and the core.

use crate::resp::ArgRange;

/// Byte strings that keep their memory when emptied.
#[derive(Debug, Default)]
pub struct Words {
    bytes: Vec<u8>,
    ranges: Vec<ArgRange>,
}

impl Words {
    /// None yet, with memory for so many strings of so many bytes together.
    pub fn with_room(strings: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ranges: Vec::with_capacity(strings),
        }
    }

    /// Empties it; memory for large ones is given back.
    pub fn clear(&mut self) {
        const KEPT_BYTES: usize = 1 << 20;
        self.bytes.clear();
        self.ranges.clear();
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        if self.ranges.capacity() * size_of::<ArgRange>() > KEPT_BYTES {
            self.ranges = Vec::new();
        }
    }

    /// Bytes of the strings.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a string. False: together they would exceed what 32 bits can address.
    pub fn push(&mut self, word: &[u8]) -> bool {
        let start = self.bytes.len();
        if start + word.len() > u32::MAX as usize {
            return false;
        }
        self.ranges.push(ArgRange {
            start: start as u32,
            len: word.len() as u32,
        });
        self.bytes.extend_from_slice(word);
        true
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The strings from `from` up to `end`.
    pub fn range(&self, from: usize, end: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ranges[from..end]
            .iter()
            .map(|range| &self.bytes[range.start as usize..][..range.len as usize])
    }

    /// The buffer, and where each string lies in it.
    pub fn parts(&self) -> (&[u8], &[ArgRange]) {
        (&self.bytes, &self.ranges)
    }
}
