//! Reading what every value is made of: lengths, strings, numbers.
//!
//! ```text
//! length:   00LLLLLL | 01LLLLLL L8 | 10000000 L32 | 10000001 L64          big-endian
//! string:   length bytes ...
//!           11000000 i8                                                   a canonical integer that fits
//!           11000001 i16 | 11000010 i32                                   the same, little-endian
//!           11000011 packed plain bytes ...                               LZF: both lengths, then the packed bytes
//! ```
//! Numbers of other kinds are little-endian. A length is believed only as far as there are bytes: nothing is set aside for it.

use std::borrow::Cow;

use super::fault::Fault;
use super::item::Item;
use super::limits::STRING_MAX_BYTES;
use super::lzf;

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(&'a [u8]);

/// What stands where a length may stand.
enum Length {
    Of(u64),
    /// One of the special forms of a string.
    Form(u8),
}

/// A string as it stands in the input.
enum Stored<'a> {
    Bytes(&'a [u8]),
    Integer(i32),
    Packed {
        packed: &'a [u8],
        plain_bytes: usize,
    },
}

impl<'a> Input<'a> {
    /// All of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    /// Reads on from byte `at` of what is left, which moves behind what was read.
    pub(super) fn read_on<T>(
        self,
        at: &mut usize,
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut left = self.behind(*at);
        let value = read(&mut left)?;
        *at = self.len() - left.len();
        Ok(value)
    }

    /// What is left behind so many bytes, which there are.
    pub(super) fn behind(self, bytes: usize) -> Self {
        Self(&self.0[bytes..])
    }

    /// The next bytes.
    ///
    /// # Errors
    /// There are not so many.
    pub fn take(&mut self, bytes: u64) -> Result<&'a [u8], Fault> {
        let bytes = usize::try_from(bytes).map_err(|_| Fault::Truncated)?;
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Fault::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next bytes, as many as the array has.
    ///
    /// # Errors
    /// There are not so many.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Fault::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// The next byte.
    ///
    /// # Errors
    /// There is none.
    pub fn byte(&mut self) -> Result<u8, Fault> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn length_or_form(&mut self) -> Result<Length, Fault> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(Length::Of(match first {
            0..0x40 => u64::from(low),
            0x40..0x80 => u64::from(u16::from_be_bytes([low, self.byte()?])),
            0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            0x81 => u64::from_be_bytes(self.array()?),
            0x82..0xc0 => return Err(Fault::Damaged("a length has an unknown form")),
            0xc0.. => return Ok(Length::Form(low)),
        }))
    }

    /// A length or count. It says nothing of what is there.
    ///
    /// # Errors
    /// None stands here.
    pub fn length(&mut self) -> Result<u64, Fault> {
        match self.length_or_form()? {
            Length::Of(len) => Ok(len),
            Length::Form(_) => Err(Fault::Damaged("there is a string instead of a length")),
        }
    }

    fn string_length(len: u64) -> Result<usize, Fault> {
        let len = usize::try_from(len).ok();
        len.filter(|&len| len <= STRING_MAX_BYTES)
            .ok_or(Fault::Damaged("a string is longer than any"))
    }

    fn stored(&mut self) -> Result<Stored<'a>, Fault> {
        Ok(match self.length_or_form()? {
            Length::Of(len) => {
                Self::string_length(len)?;
                Stored::Bytes(self.take(len)?)
            }
            Length::Form(0) => Stored::Integer(i8::from_le_bytes(self.array()?).into()),
            Length::Form(1) => Stored::Integer(i16::from_le_bytes(self.array()?).into()),
            Length::Form(2) => Stored::Integer(i32::from_le_bytes(self.array()?)),
            Length::Form(3) => {
                let packed_bytes = self.length()?;
                let plain_bytes = Self::string_length(self.length()?)?;
                let packed = self.take(packed_bytes)?;
                Stored::Packed {
                    packed,
                    plain_bytes,
                }
            }
            Length::Form(_) => return Err(Fault::Damaged("a string has an unknown form")),
        })
    }

    /// A string. `scratch` is where it is unpacked, if it is packed.
    ///
    /// # Errors
    /// None stands here.
    pub fn item<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<Item<'s>, Fault>
    where
        'a: 's,
    {
        Ok(match self.stored()? {
            Stored::Bytes(bytes) => Item::Bytes(bytes),
            Stored::Integer(number) => Item::Integer(number.into()),
            Stored::Packed {
                packed,
                plain_bytes,
            } => {
                lzf::unpack(packed, plain_bytes, scratch).map_err(Fault::inside)?;
                Item::Bytes(scratch)
            }
        })
    }

    /// A string's bytes.
    ///
    /// # Errors
    /// None stands here.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        Ok(match self.stored()? {
            Stored::Bytes(bytes) => Cow::Borrowed(bytes),
            Stored::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
            Stored::Packed {
                packed,
                plain_bytes,
            } => {
                let mut plain = Vec::new();
                lzf::unpack(packed, plain_bytes, &mut plain).map_err(Fault::inside)?;
                Cow::Owned(plain)
            }
        })
    }

    /// Passes a string over.
    ///
    /// # Errors
    /// None stands here. One that is packed may not be what it says.
    pub(super) fn pass_string(&mut self) -> Result<(), Fault> {
        self.stored().map(|_| ())
    }

    /// A moment, in milliseconds of Unix time, as versions from 9 on write it.
    ///
    /// # Errors
    /// The input ends.
    pub fn millis(&mut self) -> Result<i64, Fault> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A double of eight bytes.
    ///
    /// # Errors
    /// The input ends.
    pub fn double(&mut self) -> Result<f64, Fault> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A double as text behind its length, as sorted sets had it up to version 7: 253 is no number, 254 and 255 are the infinite.
    ///
    /// # Errors
    /// None stands here.
    pub fn double_text(&mut self) -> Result<f64, Fault> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Ok(f64::NAN),
            len => parse_double(self.take(len.into())?),
        }
    }
}

/// The double that a text says.
///
/// # Errors
/// It says none.
pub(super) fn parse_double(text: &[u8]) -> Result<f64, Fault> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or(Fault::Damaged("a score is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut input = Input::new(bytes);
        let owned = input.string().map(Cow::into_owned);
        let (mut again, mut scratch) = (Input::new(bytes), Vec::new());
        let item = again.item(&mut scratch).map(|item| item.text().to_vec());
        assert_eq!(owned, item, "{bytes:x?}");
        owned
    }

    #[test]
    fn a_string_packed_by_redis_is_read() {
        assert_eq!(
            string(b"\xc3\t\x1e\x01aa\xe0\x11\x00\x01aa").unwrap(),
            [b'a'; 30]
        );
    }

    #[test]
    fn what_promises_more_than_there_is_is_refused() {
        let too_long = Fault::Damaged("a string is longer than any");
        for (bytes, fault) in [
            (&b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"[..], too_long),
            (b"\xc3\x03\x81\xff\xff\xff\xff\xff\xff\xff\xff", too_long),
            (b"\x80\x7f\xff\xff\xff", Fault::Truncated),
            (b"\x05abc", Fault::Truncated),
            (b"\x40", Fault::Truncated),
            (b"\x80\x00\x00", Fault::Truncated),
            (b"\xc2\x01", Fault::Truncated),
            (b"", Fault::Truncated),
            (b"\xc4", Fault::Damaged("a string has an unknown form")),
            (b"\x90", Fault::Damaged("a length has an unknown form")),
            (
                b"\xc3\x03\x80\x7f\xff\xff\xff\x01aa",
                Fault::Damaged("a packed string has not the length it says"),
            ),
            (
                b"\xc3\xc0\x01\x01\x01aa",
                Fault::Damaged("there is a string instead of a length"),
            ),
        ] {
            assert_eq!(string(bytes), Err(fault), "{bytes:x?}");
        }
    }

    #[test]
    fn doubles_are_read_from_text() {
        for (bytes, expected) in [
            (&b"\x031.5"[..], 1.5),
            (b"\x05-1e10", -1e10),
            (b"\x14-1.2345678901234e300", -1.234_567_890_123_4e300),
            (b"\xfe", f64::INFINITY),
            (b"\xff", f64::NEG_INFINITY),
        ] {
            assert_eq!(Input::new(bytes).double_text(), Ok(expected));
        }
        assert!(Input::new(b"\xfd").double_text().unwrap().is_nan());
        assert_eq!(Input::new(b"\x05123").double_text(), Err(Fault::Truncated));
        let no_number = Err(Fault::Damaged("a score is no number"));
        assert_eq!(Input::new(b"\x03x.5").double_text(), no_number);
        assert_eq!(Input::new(b"\x00").double_text(), no_number);
    }
}
