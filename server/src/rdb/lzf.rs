//! LZF: literal bytes, and copies of bytes that came up to 8 KiB before.
//!
//! ```text
//! [ 000LLLLL | L + 1 bytes ]                        literal bytes, 1 to 32
//! [ LLLooooo | oooooooo ]           LLL 1 to 6      L + 2 bytes again, from o + 1 bytes back
//! [ 111ooooo | LLLLLLLL | oooooooo ]                L + 9 bytes again
//! ```
//! A copy may reach into what it writes itself: that is how runs are packed.
//!
//! Packing looks up each three bytes in a table of where such bytes stood last, and takes what it finds there: one pass, no
//! search for the best. Source: the format of Marc Lehmann's liblzf.

use super::fault::Fault;
use super::input::Input;
use super::limits::LZF_MAX_RATIO;

const LITERAL_MAX: usize = 32;
const COPY_MIN: usize = 3;
const COPY_MAX: usize = 264;
const BACK_MAX: usize = 1 << 13;

/// What says that a copy's length goes on in the next byte.
const LONG: u8 = 7;

const WRONG_LENGTH: Fault = Fault::Damaged("a packed string has not the length it says");

/// Unpacks into `out`, which it empties first.
///
/// Takes no more memory than `packed` can stand for, whatever `plain_bytes` says.
///
/// # Errors
/// Not exactly `plain_bytes` bytes come out.
pub(super) fn unpack(packed: &[u8], plain_bytes: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    out.clear();
    if plain_bytes > packed.len().saturating_mul(LZF_MAX_RATIO) {
        return Err(WRONG_LENGTH);
    }
    out.reserve_exact(plain_bytes);
    let mut input = Input::new(packed);
    while !input.is_empty() {
        let control = input.byte()?;
        if usize::from(control) < LITERAL_MAX {
            let literal = input.take(u64::from(control) + 1)?;
            if literal.len() > plain_bytes - out.len() {
                return Err(WRONG_LENGTH);
            }
            out.extend_from_slice(literal);
            continue;
        }
        let mut len = usize::from(control >> 5);
        if len == usize::from(LONG) {
            len += usize::from(input.byte()?);
        }
        len += COPY_MIN - 1;
        let back = usize::from(u16::from_be_bytes([control & 0x1f, input.byte()?])) + 1;
        let Some(from) = out.len().checked_sub(back) else {
            return Err(Fault::Damaged("a packed string copies what is not there"));
        };
        if len > plain_bytes - out.len() {
            return Err(WRONG_LENGTH);
        }
        copy_within(out, from, len);
    }
    if out.len() == plain_bytes {
        Ok(())
    } else {
        Err(WRONG_LENGTH)
    }
}

/// Appends `len` bytes from `from` on, some of which this may write itself: what is there is copied, then what is there by then.
fn copy_within(out: &mut Vec<u8>, from: usize, len: usize) {
    let end = out.len() + len;
    while out.len() < end {
        let there = (out.len() - from).min(end - out.len());
        out.extend_from_within(from..from + there);
    }
}

const TABLE_BITS: u32 = 14;

/// Packs strings, one after the other.
#[derive(Debug)]
pub(super) struct Packer {
    /// Where three bytes with this hash stood last, and one more; 0 if nowhere. What an earlier string left does no harm: the
    /// bytes are compared.
    table: Box<[u32]>,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            table: vec![0; 1 << TABLE_BITS].into(),
        }
    }
}

impl Packer {
    /// Appends `plain`, packed, to `out`, and says whether that took at most `room` bytes; else `out` is as it was.
    pub(super) fn pack(&mut self, plain: &[u8], room: usize, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let (mut at, mut literal_from) = (0, 0);
        while at + COPY_MIN <= plain.len() && at < u32::MAX as usize {
            let Some((from, len)) = self.earlier(plain, at) else {
                at += 1;
                continue;
            };
            write_literal(&plain[literal_from..at], out);
            write_copy(at - from - 1, len, out);
            at += len;
            literal_from = at;
            if out.len() - start > room {
                break;
            }
        }
        write_literal(&plain[literal_from..], out);
        let fits = out.len() - start <= room;
        if !fits {
            out.truncate(start);
        }
        fits
    }

    /// Where the bytes at `at` stood before, and how many of them. Notes that they stand at `at`.
    fn earlier(&mut self, plain: &[u8], at: usize) -> Option<(usize, usize)> {
        let [a, b, c] = *plain[at..].first_chunk()?;
        let word = u32::from_le_bytes([a, b, c, 0]);
        let hash = word.wrapping_mul(0x9e37_79b1) >> (u32::BITS - TABLE_BITS);
        let noted = std::mem::replace(&mut self.table[hash as usize], at as u32 + 1);
        let from = (noted as usize).checked_sub(1)?;
        if from >= at || at - from > BACK_MAX {
            return None;
        }
        let most = COPY_MAX.min(plain.len() - at);
        let same = plain[from..].iter().zip(&plain[at..at + most]);
        let len = same.take_while(|(before, now)| before == now).count();
        (len >= COPY_MIN).then_some((from, len))
    }
}

fn write_literal(bytes: &[u8], out: &mut Vec<u8>) {
    for run in bytes.chunks(LITERAL_MAX) {
        out.push((run.len() - 1) as u8);
        out.extend_from_slice(run);
    }
}

fn write_copy(back: usize, len: usize, out: &mut Vec<u8>) {
    let [high, low] = (back as u16).to_be_bytes();
    let len = len + 1 - COPY_MIN;
    match len.checked_sub(LONG.into()) {
        None => out.extend_from_slice(&[(len as u8) << 5 | high, low]),
        Some(more) => out.extend_from_slice(&[LONG << 5 | high, more as u8, low]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpacked(packed: &[u8], plain_bytes: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        unpack(packed, plain_bytes, &mut out)?;
        assert!(out.capacity() <= packed.len() * LZF_MAX_RATIO);
        Ok(out)
    }

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(Packer::default().pack(plain, usize::MAX, &mut out));
        out
    }

    #[test]
    fn copies_reach_into_what_they_write() {
        assert_eq!(
            unpacked(b"\x01aa\xe0\x11\x00\x01aa", 30).unwrap(),
            [b'a'; 30]
        );
        assert_eq!(unpacked(b"\x01ab\x60\x01", 7).unwrap(), b"abababa");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let length = WRONG_LENGTH;
        let absent = Fault::Damaged("a packed string copies what is not there");
        for (packed, plain_bytes, expected) in [
            (&b"\x01aa\xe0\x11\x00\x01aa"[..], 29, length),
            (b"\x01aa\xe0\x11\x00\x01aa", 31, length),
            (b"\x01aa\xe0\x11\x00\x01aa", usize::MAX, length),
            (b"\x01aa\x20\x02", 5, absent),
            (b"\x20\x00", 3, absent),
            (b"\x02aa", 3, Fault::Truncated),
            (b"\x00a\xe0\x11", 27, Fault::Truncated),
            (b"\x00a\xe0", 27, Fault::Truncated),
            (b"\x00a\x20", 4, Fault::Truncated),
        ] {
            assert_eq!(unpacked(packed, plain_bytes), Err(expected), "{packed:x?}");
        }
    }

    #[test]
    fn runs_and_repetitions_are_packed() {
        for (plain, most) in [
            (vec![b'a'; 1000], 20),
            (b"one two three ".repeat(100), 50),
            (vec![0; 100_000], 1300),
        ] {
            let packed = packed(&plain);
            assert!(packed.len() <= most, "{} bytes", packed.len());
            assert_eq!(unpacked(&packed, plain.len()).unwrap(), plain);
        }
    }

    #[test]
    fn what_does_not_fit_leaves_nothing() {
        let mut out = b"before".to_vec();
        assert!(!Packer::default().pack(b"abcdefghijklmnopqrst", 20, &mut out));
        assert_eq!(out, b"before");
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(
            strings in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"abc\0\xff"[..]), 0..600), 1..5),
            far in prop::collection::vec(any::<u8>(), 0..40),
            between in 8100_usize..8300,
        ) {
            let mut packer = Packer::default();
            let distant = [&far[..], &vec![b'-'; between], &far].concat();
            for plain in strings.iter().chain([&distant]) {
                let mut out = Vec::new();
                prop_assert!(packer.pack(plain, usize::MAX, &mut out));
                prop_assert_eq!(&unpacked(&out, plain.len()).unwrap(), plain);
            }
        }

        #[test]
        fn no_bytes_do_harm(packed in prop::collection::vec(any::<u8>(), 0..100), plain_bytes in 0_usize..2000) {
            if let Ok(out) = unpacked(&packed, plain_bytes) {
                prop_assert_eq!(out.len(), plain_bytes);
            }
        }
    }
}
