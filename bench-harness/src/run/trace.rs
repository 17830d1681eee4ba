//! A trace of accesses to replay: one key a line, and optionally the size of its value.
//!
//! The file is read once and kept as it is; a line costs 16 bytes more. Blank lines and lines that begin with `#` are skipped.

use std::fs;
use std::path::Path;

use super::rng::mix;

/// A longer key is no key of a cache.
const MAX_KEY_BYTES: usize = 64 * 1024;

/// The accesses of a trace file in their order.
#[derive(Debug)]
pub struct Trace {
    text: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    start: u64,
    key_bytes: u32,
    /// `NO_SIZE` where the line has none.
    value_bytes: u32,
}

const NO_SIZE: u32 = u32::MAX;

impl Trace {
    /// Reads the file.
    ///
    /// # Errors
    /// One line that says what is wrong: the file cannot be read, a line is not `KEY` or `KEY SIZE`, there is no line.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read(path)
            .map_err(|error| format!("cannot read the trace {}: {error}", path.display()))?;
        Self::parse(text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: Vec<u8>) -> Result<Self, String> {
        let mut lines = Vec::new();
        let mut start = 0;
        for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let here = start;
            start += line.len() + 1;
            if line.starts_with(b"#") || line.trim_ascii().is_empty() {
                continue;
            }
            let parsed =
                parse_line(line).map_err(|error| format!("line {}: {error}", index + 1))?;
            let (indent, key_bytes, value_bytes) = parsed;
            lines.push(Line {
                start: (here + indent) as u64,
                key_bytes,
                value_bytes,
            });
        }
        if lines.is_empty() {
            return Err("the trace has no line".to_owned());
        }
        Ok(Self { text, lines })
    }

    /// How many accesses there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Whether there is none; a trace that was read has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The key of an access.
    ///
    /// # Panics
    /// When the trace has no access of this number.
    #[must_use]
    pub fn key(&self, access: u64) -> &[u8] {
        let line = self.lines[access as usize];
        &self.text[line.start as usize..][..line.key_bytes as usize]
    }

    /// The size of its value, where the trace tells.
    ///
    /// # Panics
    /// When the trace has no access of this number.
    #[must_use]
    pub fn value_bytes(&self, access: u64) -> Option<usize> {
        let bytes = self.lines[access as usize].value_bytes;
        (bytes != NO_SIZE).then_some(bytes as usize)
    }

    /// The hash of the key's bytes: equal keys have equal ones.
    #[must_use]
    pub fn key_hash(&self, access: u64) -> u64 {
        hash(self.key(access))
    }
}

/// A hash of some bytes.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash ^ u64::from_le_bytes(word));
    }
    hash
}

/// Where in the line the key begins, how long it is, and the size of the value.
fn parse_line(line: &[u8]) -> Result<(usize, u32, u32), String> {
    let separator = |byte: &u8| matches!(byte, b' ' | b'\t' | b',' | b'\r');
    let mut words = line.split(separator).filter(|word| !word.is_empty());
    let key = words.next().ok_or("no key")?;
    if key.len() > MAX_KEY_BYTES {
        return Err(format!("a key of {} bytes", key.len()));
    }
    let indent = line.iter().position(|byte| !separator(byte)).unwrap_or(0);
    let value_bytes = match words.next() {
        None => NO_SIZE,
        Some(word) => std::str::from_utf8(word)
            .ok()
            .and_then(|word| word.parse::<u32>().ok())
            .filter(|&bytes| bytes as usize <= super::size::MAX_BYTES)
            .ok_or_else(|| format!("`{}` is not a size", String::from_utf8_lossy(word)))?,
    };
    if words.next().is_some() {
        return Err("more than a key and a size".to_owned());
    }
    Ok((indent, key.len() as u32, value_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_sizes_are_read_in_their_order() {
        let trace =
            Trace::parse(b"# ids\nfirst\nsecond 100\r\n\n  third,7\nfirst".to_vec()).unwrap();
        let all: Vec<_> = (0..trace.len())
            .map(|access| (trace.key(access), trace.value_bytes(access)))
            .collect();
        let want: [(&[u8], Option<usize>); 4] = [
            (b"first", None),
            (b"second", Some(100)),
            (b"third", Some(7)),
            (b"first", None),
        ];
        assert_eq!(all, want);
        assert_eq!(trace.key_hash(0), trace.key_hash(3));
        assert_ne!(trace.key_hash(0), trace.key_hash(1));
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = |text: &[u8]| Trace::parse(text.to_vec()).unwrap_err();
        assert_eq!(error(b"a 1\nb x\n"), "line 2: `x` is not a size");
        assert_eq!(error(b"a 1 2\n"), "line 1: more than a key and a size");
        assert_eq!(error(b"\n\n"), "the trace has no line");
        let missing = Trace::read(Path::new("no-such-trace.txt")).unwrap_err();
        assert!(missing.starts_with("cannot read the trace no-such-trace.txt"));
    }
}
