//! Writing a file as chunks, which may lie in it in any order, but for the first and the last.
//!
//! ```text
//!  Header::seal    header, notes, libraries, about how much is in each database     at 0; written last, when it is known
//!  Chunk           [ database | entry ... ] ... | padding                            which version all needs
//!  Chunk           ...
//!  trailer         end, checksum                                                    behind all others
//! ```
//! Several cores write chunks side by side, each at an offset of its own. So each says which databases its entries are of, and is summed
//! up where it is; the checksum of the file follows from theirs, in the order of their offsets ([`Summed::then`]). Padding, by which
//! chunks begin and end where a disk's blocks do, is a note that readers pass over.

use super::opcodes::{self, HEADER_BYTES, History};
use crate::rdb::{Checksum, Output, Packing, Summed, Version};

/// The name of a note that says nothing.
const PADDING: &[u8] = b"pad";

/// Bytes of a note of no text that has this name: the opcode, two lengths, the name.
const PADDING_MIN_BYTES: usize = 3 + PADDING.len();

/// The longest text of a length of one byte, and of two.
const SHORT_MAX: usize = 0x3f;
const MEDIUM_MAX: usize = 0x3fff;

/// Entries of a file that are being written.
#[derive(Debug)]
pub struct Chunk {
    out: Output,
    db: Option<u64>,
}

impl Chunk {
    /// One without entries.
    #[must_use]
    pub fn new(packing: Packing) -> Self {
        Self {
            out: Output::new(packing),
            db: None,
        }
    }

    /// Begins an entry of this database, up to its type: where type, key and value are to be written, in this order.
    pub fn entry(
        &mut self,
        db: u64,
        deadline_ms: Option<i64>,
        history: Option<History>,
    ) -> &mut Output {
        let Self { out, db: last } = self;
        if *last != Some(db) {
            out.byte(opcodes::DATABASE);
            out.length(db);
            *last = Some(db);
        }
        if let Some(at_ms) = deadline_ms {
            out.byte(opcodes::DEADLINE_MS);
            out.millis(at_ms);
        }
        match history {
            None => {}
            Some(History::Idle(secs)) => {
                out.byte(opcodes::IDLE);
                out.length(secs);
            }
            Some(History::Frequency(frequency)) => {
                out.byte(opcodes::FREQUENCY);
                out.byte(frequency);
            }
        }
        out
    }

    /// A library of functions, by its source.
    pub fn library(&mut self, source: &[u8]) {
        self.out.byte(opcodes::LIBRARY);
        self.out.string(source);
    }

    /// Where the entry that was begun last is written on.
    pub fn out(&mut self) -> &mut Output {
        &mut self.out
    }

    /// Its length, so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes its length a multiple of `block_bytes`.
    ///
    /// # Panics
    /// Blocks are shorter than what it takes to say nothing, or longer than a text of a length of two bytes.
    pub fn pad_to(&mut self, block_bytes: usize) {
        assert!((PADDING_MIN_BYTES..=MEDIUM_MAX).contains(&block_bytes));
        let mut left = self.len().next_multiple_of(block_bytes) - self.len();
        if left == 0 {
            return;
        }
        if left < PADDING_MIN_BYTES {
            left += block_bytes;
        }
        self.out.byte(opcodes::NOTE);
        self.out.blob(PADDING);
        // One byte more for the length where one does not suffice.
        let text_bytes = left - PADDING_MIN_BYTES;
        if text_bytes <= SHORT_MAX {
            self.out.byte(text_bytes as u8);
            self.out.zeros(text_bytes);
        } else {
            let text_bytes = text_bytes - 1;
            self.out.raw(&(0x4000 | text_bytes as u16).to_be_bytes());
            self.out.zeros(text_bytes);
        }
    }

    /// What was written, summed up.
    #[must_use]
    pub fn seal(self) -> Sealed {
        Sealed::of(self.out)
    }
}

/// Bytes of a file, to be written as they are.
#[derive(Debug)]
pub struct Sealed {
    /// They, one piece behind the other.
    pub pieces: Vec<Vec<u8>>,
    /// Their length and checksum.
    pub summed: Summed,
    /// The oldest version whose readers know all of them.
    pub version: Version,
}

impl Sealed {
    fn of(out: Output) -> Self {
        let version = out.version();
        let pieces = out.into_pieces();
        let summed = Summed::of(pieces.iter().map(Vec::as_slice));
        Self {
            pieces,
            summed,
            version,
        }
    }
}

/// What a file says of itself and of the server that writes it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// As which version of Redis the server presents itself.
    pub redis_version: &'f str,
    /// When the file is of, in seconds of Unix time.
    pub created_secs: u64,
    /// Memory that the server uses, if that is known.
    pub used_bytes: Option<u64>,
    /// The file is the base of an append log.
    pub is_log_base: bool,
}

/// The beginning of a file.
#[derive(Debug)]
pub struct Header(Chunk);

impl Header {
    /// Says what there is to say of the server.
    #[must_use]
    pub fn new(facts: Facts<'_>, packing: Packing) -> Self {
        let mut header = Self(Chunk::new(packing));
        header.0.out.zeros(HEADER_BYTES);
        header.note("redis-ver", facts.redis_version);
        header.note("redis-bits", "64");
        header.note("ctime", &facts.created_secs.to_string());
        if let Some(bytes) = facts.used_bytes {
            header.note("used-mem", &bytes.to_string());
        }
        header.note("aof-base", if facts.is_log_base { "1" } else { "0" });
        header
    }

    /// A note.
    pub fn note(&mut self, name: &str, text: &str) {
        let out = &mut self.0.out;
        out.byte(opcodes::NOTE);
        out.string(name.as_bytes());
        out.string(text.as_bytes());
    }

    /// A library of functions, by its source.
    pub fn library(&mut self, source: &[u8]) {
        self.0.library(source);
    }

    /// How many keys are in a database, and how many of them have deadlines, about: readers make room for as many.
    pub fn sizes(&mut self, db: u64, keys: u64, expiring: u64) {
        let out = self.0.entry(db, None, None);
        out.byte(opcodes::SIZES);
        out.length(keys);
        out.length(expiring);
    }

    /// As [`Chunk::pad_to`].
    ///
    /// # Panics
    /// As that.
    pub fn pad_to(&mut self, block_bytes: usize) {
        self.0.pad_to(block_bytes);
    }

    /// Its length: that does not depend on the version.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it says nothing, which is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The header of a file of which this is the latest version that anything in it needs.
    #[must_use]
    pub fn seal(self, version: Version) -> Sealed {
        let mut out = self.0.out;
        out.needs(version);
        let Version(number) = out.version();
        out.overwrite((0, 0), 0, format!("REDIS{number:04}").as_bytes());
        Sealed::of(out)
    }
}

/// The end of a file of which all else is `before`.
#[must_use]
pub fn trailer(before: Summed, checksum: Checksum) -> [u8; 9] {
    let end = [opcodes::END];
    let crc = match checksum {
        Checksum::Checked => before.then(Summed::of([&end[..]])).crc,
        Checksum::Skipped => 0,
    };
    let mut bytes = [opcodes::END; 9];
    bytes[1..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::{Input, Value};

    #[test]
    fn padding_fills_every_gap_with_a_note() {
        for len in 0..200 {
            for block in [6, 64, 70, 4096] {
                let mut chunk = Chunk::new(Packing::Lzf);
                chunk.out().raw(&vec![b'x'; len]);
                chunk.pad_to(block);
                let Sealed { pieces, summed, .. } = chunk.seal();
                let bytes = pieces.concat();
                assert_eq!(bytes.len(), summed.bytes as usize);
                assert!(bytes.len().is_multiple_of(block), "{len} {block}");
                assert!(bytes.len() < len + block + PADDING_MIN_BYTES);
                let mut note = Input::new(&bytes[len..]);
                if !note.is_empty() {
                    assert_eq!(note.byte().unwrap(), opcodes::NOTE);
                    assert_eq!(&*note.string().unwrap(), PADDING);
                    assert!(note.string().unwrap().iter().all(|byte| *byte == 0));
                    assert!(note.is_empty());
                }
            }
        }
    }

    #[test]
    fn an_entry_is_written_as_redis_writes_it() {
        let mut chunk = Chunk::new(Packing::None);
        let out = chunk.entry(0, Some(1), Some(History::Idle(64)));
        out.byte(Value::STRING);
        out.string(b"key");
        out.string(b"7");
        let out = chunk.entry(0, None, Some(History::Frequency(5)));
        out.raw(b"\x00\x01b\x00");
        chunk.entry(300, None, None).raw(b"\x00\x01c\x00");
        let bytes = chunk.seal().pieces.concat();
        let expected = [
            &b"\xfe\x00\xfc\x01\0\0\0\0\0\0\0\xf8\x40\x40\x00\x03key\xc0\x07"[..],
            b"\xf9\x05\x00\x01b\x00\xfe\x41\x2c\x00\x01c\x00",
        ];
        assert_eq!(bytes, expected.concat());
    }
}
