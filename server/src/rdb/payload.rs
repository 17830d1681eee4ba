//! The payload of `DUMP` and `RESTORE`: what an RDB file holds, and a footer.
//!
//! ```text
//! [ type (1) | value ... | RDB version (2, little-endian) | CRC-64 of all before (8, little-endian) ]
//! ```

use super::crc64::Sum;
use super::input::Input;
use super::output::Output;
use super::version::Version;

const VERSION_BYTES: usize = 2;
const CHECKSUM_BYTES: usize = 8;

/// Bytes of the footer.
pub const FOOTER_BYTES: usize = VERSION_BYTES + CHECKSUM_BYTES;

/// A payload's footer is not right: its version is not known here, or its checksum does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongFooter;

/// Whether a payload's checksum has to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It has to.
    Checked,
    /// Nobody looks at it: then damage of any kind reaches those who read values (`DEBUG SET-SKIP-CHECKSUM-VALIDATION`).
    Skipped,
}

impl Sum {
    /// The footer of what was added, a type and its value as this version has it.
    #[must_use]
    pub fn footer(mut self, Version(version): Version) -> [u8; FOOTER_BYTES] {
        let mut footer = [0; FOOTER_BYTES];
        let (said, checksum) = footer.split_at_mut(VERSION_BYTES);
        said.copy_from_slice(&version.to_le_bytes());
        self.add(said);
        checksum.copy_from_slice(&self.value().to_le_bytes());
        footer
    }

    /// Whether this is what a payload says, all of which was added but its last [`CHECKSUM_BYTES`].
    #[must_use]
    pub fn fits(self, payload: &[u8]) -> bool {
        payload.ends_with(&self.value().to_le_bytes())
    }
}

/// The bytes of a payload that its checksum is of.
///
/// # Panics
/// It is none that [`open`] takes.
#[must_use]
pub fn summed(payload: &[u8]) -> &[u8] {
    &payload[..payload.len() - CHECKSUM_BYTES]
}

/// Adds the footer to what was written.
#[must_use]
pub fn seal(out: Output) -> Vec<u8> {
    let version = out.version();
    seal_as(out.into_bytes(), version)
}

/// Adds the footer to a type and its value, as this version has it.
#[must_use]
pub fn seal_as(mut bytes: Vec<u8>, version: Version) -> Vec<u8> {
    let mut sum = Sum::default();
    sum.add(&bytes);
    bytes.extend_from_slice(&sum.footer(version));
    bytes
}

/// What a payload holds, and the version it is of. Nobody has looked at its checksum.
///
/// # Errors
/// It has no footer, or is of no version known here.
pub fn open(payload: &[u8]) -> Result<(Version, Input<'_>), WrongFooter> {
    let (value, footer) = payload
        .split_last_chunk::<FOOTER_BYTES>()
        .ok_or(WrongFooter)?;
    let version = Version(u16::from_le_bytes([footer[0], footer[1]]));
    match version.is_known() {
        true => Ok((version, Input::new(value))),
        false => Err(WrongFooter),
    }
}

/// What a payload holds, and the version it is of.
///
/// # Errors
/// The footer is not right.
pub fn unseal(payload: &[u8]) -> Result<(Version, Input<'_>), WrongFooter> {
    let opened = open(payload)?;
    let mut sum = Sum::default();
    sum.add(summed(payload));
    match sum.fits(payload) {
        true => Ok(opened),
        false => Err(WrongFooter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::output::Packing;

    fn string(value: &[u8]) -> Vec<u8> {
        let mut out = Output::new(Packing::None);
        out.byte(0);
        out.string(value);
        seal(out)
    }

    fn unsealed(payload: &[u8]) -> Option<&[u8]> {
        let (_, input) = unseal(payload).ok()?;
        Some(input.rest())
    }

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
            assert_eq!(string(value), payload, "{}", value.escape_ascii());
            let mut input = Input::new(&unsealed(payload).unwrap()[1..]);
            assert_eq!(input.string().unwrap(), value);
        }
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let payload = string(b"some value");
        for at in 0..payload.len() {
            let mut damaged = payload.clone();
            damaged[at] ^= 0x10;
            assert_eq!(unsealed(&damaged), None, "byte {at}");
            assert_eq!(unsealed(&payload[..at]), None);
        }
    }

    #[test]
    fn a_footer_is_that_of_all_bytes_however_they_were_added() {
        let value = vec![7; 1000];
        let sealed = seal_as(value.clone(), Version::WRITTEN);
        for piece in [1, 7, 999, 1000] {
            let mut sum = Sum::default();
            value.chunks(piece).for_each(|piece| sum.add(piece));
            assert_eq!(sum.footer(Version::WRITTEN), sealed[1000..]);
            let mut sum = Sum::default();
            summed(&sealed)
                .chunks(piece)
                .for_each(|piece| sum.add(piece));
            assert!(sum.fits(&sealed));
        }
    }

    #[test]
    fn a_checksum_that_nobody_looks_at_may_be_any_but_the_version_may_not() {
        let mut payload = string(b"some value");
        let end = payload.len();
        payload[end - 1] ^= 1;
        assert_eq!(unsealed(&payload), None);
        assert_eq!(open(&payload).unwrap().1.rest(), &payload[..end - 10]);
        payload[end - 9] = 0xff;
        assert_eq!(open(&payload).unwrap_err(), WrongFooter);
    }

    #[test]
    fn versions_of_redis_and_valkey_are_read_and_no_others() {
        let of = |version: u16| {
            let bytes = seal_as(b"\x00\x00".to_vec(), Version(version));
            unseal(&bytes).map(|(version, _)| version)
        };
        for version in [6, 9, 10, 11, 12, 13, 80] {
            assert_eq!(of(version), Ok(Version(version)));
        }
        for version in [14, 79, 81, u16::MAX] {
            assert_eq!(of(version), Err(WrongFooter));
        }
    }
}
