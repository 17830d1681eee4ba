//! The payload of `DUMP` and `RESTORE`: a value as an RDB file holds it, and a footer.
//!
//! ```text
//! [ type (1) | value ... | RDB version (2, little-endian) | CRC-64 of all before (8, little-endian) ]
//!
//! string, type 0:   length bytes ...              00LLLLLL | 01LLLLLL L8 | 10000000 L32 | 10000001 L64, big-endian
//!                   11000000 i8                   a canonical integer that fits
//!                   11000001 i16, 11000010 i32    the same, little-endian
//!                   11000011 packed plain bytes   LZF: both lengths as above, then the packed bytes
//! ```
//! Strings are written plain, never packed; packed ones are read. Written as version 10, that of Redis 7.0, since a server
//! refuses versions beyond its own and nothing about strings has changed since; read up to version 12, that of Redis 8.
//!
//! Source: "Redis RDB File Format"; LZF: the format of Marc Lehmann's liblzf.

use crc::{CRC_64_REDIS, Crc, Table};
use larder_engine::limits::MAX_VALUE_BYTES;
use larder_engine::parse_canonical_i64;

static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

const VERSION_WRITTEN: u16 = 10;
const VERSION_READ_MAX: u16 = 12;
const FOOTER_BYTES: usize = 10;

const TYPE_STRING: u8 = 0;

/// Why a payload cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command::families) enum Invalid {
    /// Its version is too new, or its checksum does not fit.
    Footer,
    /// What it holds is no value known here.
    Value,
}

/// The payload of a string.
pub(super) fn of_string(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + FOOTER_BYTES + 10);
    out.push(TYPE_STRING);
    write_string(value, &mut out);
    seal(&mut out);
    out
}

/// Adds the footer.
pub(in crate::command::families) fn seal(out: &mut Vec<u8>) {
    out.extend_from_slice(&VERSION_WRITTEN.to_le_bytes());
    let checksum = CRC64.checksum(out);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// What a payload holds without its footer.
///
/// # Errors
/// The footer does not fit.
pub(in crate::command::families) fn unseal(payload: &[u8]) -> Result<&[u8], Invalid> {
    let (checked, checksum) = payload.split_last_chunk::<8>().ok_or(Invalid::Footer)?;
    let (value, version) = checked.split_last_chunk::<2>().ok_or(Invalid::Footer)?;
    let known = u16::from_le_bytes(*version) <= VERSION_READ_MAX;
    if !known || u64::from_le_bytes(*checksum) != CRC64.checksum(checked) {
        return Err(Invalid::Footer);
    }
    Ok(value)
}

pub(in crate::command::families) fn write_string(value: &[u8], out: &mut Vec<u8>) {
    /// Characters of the longest integer of 32 bits.
    const SHORT_INTEGER_BYTES: usize = 11;
    let number = (value.len() <= SHORT_INTEGER_BYTES)
        .then(|| parse_canonical_i64(value))
        .flatten();
    if let Some(number) = number.and_then(|number| i32::try_from(number).ok()) {
        if let Ok(number) = i8::try_from(number) {
            out.push(0xc0);
            out.extend_from_slice(&number.to_le_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            out.push(0xc1);
            out.extend_from_slice(&number.to_le_bytes());
        } else {
            out.push(0xc2);
            out.extend_from_slice(&number.to_le_bytes());
        }
        return;
    }
    match value.len() as u64 {
        len @ 0..0x40 => out.push(len as u8),
        len @ 0x40..0x4000 => out.extend_from_slice(&(0x4000 | len as u16).to_be_bytes()),
        len => match u32::try_from(len) {
            Ok(len) => {
                out.push(0x80);
                out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                out.push(0x81);
                out.extend_from_slice(&len.to_be_bytes());
            }
        },
    }
    out.extend_from_slice(value);
}

/// The string a payload holds.
///
/// # Errors
/// It is damaged, or of a version or type not known here.
pub(super) fn to_string(payload: &[u8]) -> Result<Vec<u8>, Invalid> {
    match unseal(payload)?.split_first() {
        Some((&TYPE_STRING, rest)) => Input(rest).string().ok_or(Invalid::Value),
        _ => Err(Invalid::Value),
    }
}

/// What is left to read.
pub(in crate::command::families) struct Input<'a>(pub(in crate::command::families) &'a [u8]);

/// What stands where a length may stand.
enum Length {
    Bytes(usize),
    /// One of the special forms of a string.
    Form(u8),
}

impl<'a> Input<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn length(&mut self) -> Option<Length> {
        let [first] = self.array()?;
        let low = first & 0x3f;
        let len = match first >> 6 {
            0 => u64::from(low),
            1 => {
                let [second] = self.array()?;
                u64::from(u16::from_be_bytes([low, second]))
            }
            2 if first == 0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            2 if first == 0x81 => u64::from_be_bytes(self.array()?),
            3 => return Some(Length::Form(low)),
            _ => return None,
        };
        let len = usize::try_from(len).ok()?;
        (len <= MAX_VALUE_BYTES).then_some(Length::Bytes(len))
    }

    pub(in crate::command::families) fn plain_length(&mut self) -> Option<usize> {
        match self.length()? {
            Length::Bytes(len) => Some(len),
            Length::Form(_) => None,
        }
    }

    pub(in crate::command::families) fn string(&mut self) -> Option<Vec<u8>> {
        let number = match self.length()? {
            Length::Bytes(len) => return self.take(len).map(<[u8]>::to_vec),
            Length::Form(0) => i8::from_le_bytes(self.array()?).into(),
            Length::Form(1) => i16::from_le_bytes(self.array()?).into(),
            Length::Form(2) => i32::from_le_bytes(self.array()?),
            Length::Form(3) => {
                let packed = self.plain_length()?;
                let plain = self.plain_length()?;
                return unpack(self.take(packed)?, plain);
            }
            Length::Form(_) => return None,
        };
        Some(number.to_string().into_bytes())
    }
}

/// Unpacks LZF: runs of literal bytes and copies of what was unpacked before. `None` unless exactly `plain` bytes come out.
fn unpack(packed: &[u8], plain: usize) -> Option<Vec<u8>> {
    let mut input = Input(packed);
    // What is claimed is not believed: the room grows with what comes.
    let mut out = Vec::with_capacity(plain.min(packed.len() * 4));
    while !input.0.is_empty() {
        let [control] = input.array()?;
        if control < 0x20 {
            out.extend_from_slice(input.take(usize::from(control) + 1)?);
        } else {
            let mut len = usize::from(control >> 5);
            if len == 7 {
                let [more] = input.array()?;
                len += usize::from(more);
            }
            let [low] = input.array()?;
            let back = usize::from(u16::from_be_bytes([control & 0x1f, low])) + 1;
            let from = out.len().checked_sub(back)?;
            // The copy may reach into what it writes itself.
            for at in from..from + len + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > plain {
            return None;
        }
    }
    (out.len() == plain).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_those_of_redis() {
        for (value, payload) in [
            (
                &b"1"[..],
                &b"\x00\xc0\x01\n\x00&x\xe7\xb6\xd1\x01\x11\xfc"[..],
            ),
            (b"200", b"\x00\xc1\xc8\x00\n\x00\xed\xe8\xfdk\"\x12\x8c\x07"),
            (b"-129", b"\x00\xc1\x7f\xff\n\x00\x17`\x82(T\x80\x84\x80"),
            (
                b"40000",
                b"\x00\xc2@\x9c\x00\x00\n\x00\t\xcdc\x1f\xf3\xb9\x8c\xf2",
            ),
            (
                b"2147483648",
                b"\x00\n2147483648\n\x00\xe7\xb1)\xa3L\x1dv\xee",
            ),
            (b"hello", b"\x00\x05hello\n\x00cr\xdfve4 \n"),
            (b"", b"\x00\x00\n\x00]\x9b\\@\x0f\x7f\xa2\xda"),
            (b"012", b"\x00\x03012\n\x00\x8fTc\xe9T~\xeb\x0c"),
            (
                b"12345678901",
                b"\x00\x0b12345678901\n\x000NR\xd7'\x17e\x10",
            ),
        ] {
            assert_eq!(of_string(value), payload, "{}", value.escape_ascii());
            assert_eq!(to_string(payload).unwrap(), value);
        }
    }

    #[test]
    fn strings_of_any_length_come_back() {
        for len in [0, 1, 63, 64, 65, 16_383, 16_384, 100_000] {
            let value: Vec<u8> = (0..len).map(|at| (at * 7 % 251) as u8).collect();
            assert_eq!(to_string(&of_string(&value)).unwrap(), value, "{len} bytes");
        }
    }

    #[test]
    fn a_string_packed_by_redis_is_read() {
        let payload = b"\x00\xc3\t\x1e\x01aa\xe0\x11\x00\x01aa\n\x00Es|\xbb+d{\xbb";
        assert_eq!(to_string(payload).unwrap(), [b'a'; 30]);
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let payload = of_string(b"some value");
        for at in 0..payload.len() {
            let mut damaged = payload.clone();
            damaged[at] ^= 0x10;
            assert!(to_string(&damaged).is_err(), "byte {at}");
            assert_eq!(to_string(&payload[..at]), Err(Invalid::Footer));
        }
    }

    #[test]
    fn a_payload_that_promises_more_than_it_holds_is_refused() {
        for value in [
            &b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff"[..],
            b"\x00\x80\x7f\xff\xff\xff",
            b"\x00\x05abc",
            b"\x00\xc4",
            b"\x00\xc2\x01",
            b"\x00\xc3\x03\x80\x7f\xff\xff\xff\x01aa",
            b"\x00\xc3\x03\x04\x20\x05a",
            b"\x00\x90",
            b"\x01\x00",
            b"",
        ] {
            let mut payload = value.to_vec();
            payload.extend_from_slice(&10u16.to_le_bytes());
            let checksum = CRC64.checksum(&payload);
            payload.extend_from_slice(&checksum.to_le_bytes());
            assert_eq!(to_string(&payload), Err(Invalid::Value), "{value:?}");
        }
    }
}
