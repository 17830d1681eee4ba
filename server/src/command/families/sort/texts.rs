//! Byte strings in a row, some of which are none.
//!
//! ```text
//! on the way between cores, each:  | length + 1, or 0 for none: 4 bytes, little-endian | bytes |
//! ```

use crate::resp::errors::{self, CommandResult};

/// Bytes that the texts of a command may have: many elements can name one large value.
const TEXTS_MAX_BYTES: usize = 512 << 20;

/// Whether texts of so many bytes are not too many.
///
/// # Errors
/// They are.
pub(super) fn check_bytes(bytes: usize) -> CommandResult {
    match bytes <= TEXTS_MAX_BYTES {
        true => Ok(()),
        false => Err(errors::REPLY_TOO_LARGE),
    }
}

/// Byte strings in the memory of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// Where each begins and ends.
    spans: Vec<Option<(usize, usize)>>,
}

impl Texts {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Bytes of all.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The memory they take.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Option<(usize, usize)>>()
    }

    /// Whether `others` bytes beside these are not too many.
    ///
    /// # Errors
    /// They are.
    pub(super) fn check_beside(&self, others: usize) -> CommandResult {
        check_bytes(self.bytes().saturating_add(others))
    }

    /// Adds one.
    pub(super) fn push(&mut self, text: Option<&[u8]>) {
        let begin = self.bytes.len();
        self.spans.push(text.map(|text| {
            self.bytes.extend_from_slice(text);
            (begin, self.bytes.len())
        }));
    }

    /// Number `at`.
    pub(super) fn get(&self, at: usize) -> Option<&[u8]> {
        self.spans[at].map(|(begin, end)| &self.bytes[begin..end])
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        (0..self.len()).map(|at| self.get(at))
    }

    /// Writes them for another core.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for text in self.iter() {
            let Some(text) = text else {
                out.extend(0u32.to_le_bytes());
                continue;
            };
            let len = u32::try_from(text.len()).expect("a value fits 32 bits");
            out.extend((len + 1).to_le_bytes());
            out.extend_from_slice(text);
        }
    }

    /// Those that another core has written.
    pub(super) fn read(mut written: &[u8]) -> Self {
        let mut texts = Self::default();
        while let Some((len, rest)) = written.split_first_chunk::<4>() {
            let Some(len) = u32::from_le_bytes(*len).checked_sub(1) else {
                texts.push(None);
                written = rest;
                continue;
            };
            let (text, rest) = rest.split_at(len as usize);
            texts.push(Some(text));
            written = rest;
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_together() {
        let mut texts = Texts::default();
        texts.push(Some(b"ab"));
        assert_eq!(texts.check_beside(TEXTS_MAX_BYTES - 2), Ok(()));
        for others in [TEXTS_MAX_BYTES - 1, usize::MAX] {
            assert_eq!(texts.check_beside(others), Err(errors::REPLY_TOO_LARGE));
        }
    }

    #[test]
    fn texts_are_read_as_they_were_written() {
        let mut texts = Texts::default();
        for text in [Some(&b"ab"[..]), None, Some(b""), Some(b"c"), None] {
            texts.push(text);
        }
        let mut written = Vec::new();
        texts.write(&mut written);
        assert_eq!(
            Texts::read(&written).iter().collect::<Vec<_>>(),
            texts.iter().collect::<Vec<_>>()
        );
        assert_eq!(Texts::read(b"").len(), 0);
    }
}
