//! How the cores hand their parts of an answer to the core that merges them: numbers and byte strings, in an order that
//! writer and reader agree on. Both ends are the same process, so a part that does not read back is a bug.

/// Appends a part.
#[derive(Debug)]
pub struct PartWriter<'a>(pub &'a mut Vec<u8>);

impl PartWriter<'_> {
    /// A number.
    pub fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A number that may be negative.
    pub fn signed(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Bytes, behind their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

/// Reads a part from its beginning.
#[derive(Clone, Debug)]
pub struct PartReader<'a>(&'a [u8]);

impl<'a> PartReader<'a> {
    /// A reader of `part`.
    pub fn new(part: &'a [u8]) -> Self {
        Self(part)
    }

    /// Whether everything is read.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// The next number.
    ///
    /// # Panics
    /// If the part ends here: writer and reader disagree.
    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.word())
    }

    /// The next number that may be negative.
    ///
    /// # Panics
    /// As [`Self::number`].
    pub fn signed(&mut self) -> i64 {
        i64::from_le_bytes(self.word())
    }

    /// The next bytes.
    ///
    /// # Panics
    /// As [`Self::number`].
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::try_from(self.number()).expect("a length that was a usize when written");
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }

    /// The next bytes as text; they were written from a `str`.
    ///
    /// # Panics
    /// As [`Self::number`].
    pub fn text(&mut self) -> &'a str {
        std::str::from_utf8(self.bytes()).expect("the writer wrote text")
    }

    fn word(&mut self) -> [u8; 8] {
        let (word, rest) = self
            .0
            .split_first_chunk()
            .expect("the part holds what its writer wrote");
        self.0 = rest;
        *word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_in_order() {
        let mut part = Vec::new();
        let mut writer = PartWriter(&mut part);
        writer.number(7);
        writer.bytes(b"");
        writer.signed(-7);
        writer.bytes(b"name");
        let mut reader = PartReader::new(&part);
        assert_eq!(
            (
                reader.number(),
                reader.bytes(),
                reader.signed(),
                reader.text()
            ),
            (7, &b""[..], -7, "name")
        );
        assert!(reader.is_at_end());
    }
}
