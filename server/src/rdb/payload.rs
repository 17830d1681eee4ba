//! The payload of `DUMP` and `RESTORE`: what an RDB file holds, and a footer.
//!
//! ```text
//! [ type (1) | value ... | RDB version (2, little-endian) | CRC-64 of all before (8, little-endian) ]
//! ```

use crc::{CRC_64_REDIS, Crc, Table};

use super::input::Input;
use super::output::Output;
use super::version::Version;

static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

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

/// Adds the footer to what was written.
#[must_use]
pub fn seal(out: Output) -> Vec<u8> {
    let version = out.version();
    seal_as(out.into_bytes(), version)
}

/// Adds the footer to a type and its value, as this version has it.
#[must_use]
pub fn seal_as(mut bytes: Vec<u8>, Version(version): Version) -> Vec<u8> {
    bytes.extend_from_slice(&version.to_le_bytes());
    let checksum = CRC64.checksum(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// What a payload holds, and the version it is of.
///
/// # Errors
/// The footer is not right.
pub fn unseal(payload: &[u8]) -> Result<(Version, Input<'_>), WrongFooter> {
    unseal_with(payload, Checksum::Checked)
}

/// As [`unseal`], perhaps whatever the checksum.
///
/// # Errors
/// The footer is not right.
pub fn unseal_with(
    payload: &[u8],
    checksum_is: Checksum,
) -> Result<(Version, Input<'_>), WrongFooter> {
    let (checked, checksum) = payload.split_last_chunk::<8>().ok_or(WrongFooter)?;
    let (value, version) = checked.split_last_chunk::<2>().ok_or(WrongFooter)?;
    let version = Version(u16::from_le_bytes(*version));
    let fits = checksum_is == Checksum::Skipped
        || u64::from_le_bytes(*checksum) == CRC64.checksum(checked);
    if !version.is_known() || !fits {
        return Err(WrongFooter);
    }
    Ok((version, Input::new(value)))
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
    fn a_checksum_that_nobody_looks_at_may_be_any_but_the_version_may_not() {
        let mut payload = string(b"some value");
        let end = payload.len();
        payload[end - 1] ^= 1;
        assert_eq!(unsealed(&payload), None);
        let skipped = unseal_with(&payload, Checksum::Skipped);
        assert_eq!(skipped.unwrap().1.rest(), &payload[..end - 10]);
        payload[end - 9] = 0xff;
        let skipped = unseal_with(&payload, Checksum::Skipped);
        assert_eq!(skipped.unwrap_err(), WrongFooter);
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
