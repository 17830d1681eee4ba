//! The content of values: derived from the key, so that every reply can be checked without remembering what was written.
//!
//! ```text
//!  byte 0        8                                     length
//!       ├ header ┼ body ────────────────────────────────┤
//!       48 bits    a stretch of the pool (64 KiB of random text), around and around;
//!       of the     where it begins is 16 further bits of the key's hash
//!       key's hash
//! ```
//!
//! A value of any length is a prefix of its key's endless one: sizes may differ from write to write and still be checked.
//! Writing and checking are copies and comparisons of whole stretches, about 10 ns for 64 bytes. All bytes are letters, digits,
//! `-` and `_`.

use super::rng::{Rng, mix};

/// Bytes of the pool; a power of two.
const POOL_BYTES: usize = 1 << 16;

/// Bytes that only one key in 2^48 shares.
const HEADER_BYTES: usize = 8;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What stands in the values of a run.
#[derive(Debug)]
pub struct Values {
    pool: Box<[u8; POOL_BYTES]>,
}

impl Values {
    /// The values of the runs with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut pool = Box::new([0; POOL_BYTES]);
        for byte in pool.iter_mut() {
            *byte = ALPHABET[rng.below(64) as usize];
        }
        Self { pool }
    }

    /// Appends the value of the key with this hash.
    #[inline]
    pub fn write(&self, key_hash: u64, bytes: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + bytes, 0);
        self.write_over(key_hash, &mut out[start..]);
    }

    /// Fills `out` with the value of the key with this hash.
    #[inline]
    pub fn write_over(&self, key_hash: u64, out: &mut [u8]) {
        let hash = mix(key_hash);
        let header = header(hash);
        let (head, mut body) = out.split_at_mut(out.len().min(HEADER_BYTES));
        head.copy_from_slice(&header[..head.len()]);
        let mut at = start(hash);
        while !body.is_empty() {
            let stretch = body.len().min(POOL_BYTES - at);
            let (now, rest) = body.split_at_mut(stretch);
            now.copy_from_slice(&self.pool[at..at + stretch]);
            body = rest;
            at = 0;
        }
    }

    /// Whether `part` is what the value of the key with this hash holds from byte `offset` on.
    #[must_use]
    pub fn check(&self, key_hash: u64, offset: usize, part: &[u8]) -> bool {
        let hash = mix(key_hash);
        let header = header(hash);
        let of_header = HEADER_BYTES.saturating_sub(offset).min(part.len());
        let (head, mut body) = part.split_at(of_header);
        if head != &header[offset.min(HEADER_BYTES)..][..of_header] {
            return false;
        }
        let mut at = (start(hash) + offset.saturating_sub(HEADER_BYTES)) % POOL_BYTES;
        // Every stretch but the first begins where the pool does, as in `write`.
        while !body.is_empty() {
            let stretch = body.len().min(POOL_BYTES - at);
            let (now, rest) = body.split_at(stretch);
            if now != &self.pool[at..at + stretch] {
                return false;
            }
            body = rest;
            at = 0;
        }
        true
    }
}

/// Six bits of the hash a letter.
#[inline]
fn header(hash: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    for (index, byte) in header.iter_mut().enumerate() {
        *byte = ALPHABET[(hash >> (6 * index)) as usize & 63];
    }
    header
}

/// Where in the pool the body begins.
#[inline]
fn start(hash: u64) -> usize {
    (hash >> 48) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(values: &Values, key: u64, bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        values.write(key, bytes, &mut out);
        assert_eq!(out.len(), bytes);
        out
    }

    #[test]
    fn a_value_passes_whole_and_in_any_parts() {
        let values = Values::new(1);
        for bytes in [0, 1, 7, 8, 9, 64, 4096, 70_000, 200_000] {
            let value = value(&values, 12, bytes);
            let mut over = vec![0; bytes];
            values.write_over(12, &mut over);
            assert_eq!(over, value);
            assert!(values.check(12, 0, &value));
            for part in [1, 5, 8, 1000, 65_536] {
                let mut at = 0;
                for chunk in value.chunks(part) {
                    assert!(
                        values.check(12, at, chunk),
                        "{bytes} bytes, part of {part} at {at}"
                    );
                    at += chunk.len();
                }
            }
        }
    }

    #[test]
    fn a_shorter_value_is_a_prefix_of_a_longer_one() {
        let values = Values::new(1);
        assert!(value(&values, 5, 100).starts_with(&value(&values, 5, 60)));
    }

    #[test]
    fn the_value_of_another_key_does_not_pass() {
        let values = Values::new(1);
        for other in 1..1000 {
            assert!(!values.check(0, 0, &value(&values, other, 8)));
        }
    }

    #[test]
    fn one_wrong_byte_anywhere_is_seen() {
        let values = Values::new(3);
        for at in [0, 7, 8, 40, 299] {
            let mut wrong = value(&values, 9, 300);
            wrong[at] ^= 1;
            assert!(!values.check(9, 0, &wrong), "byte {at}");
        }
    }
}
