//! Types, encodings and the owned image of a value.

use crate::limits::EMBSTR_MAX_BYTES;
use crate::{AccessClock, UnixMillis};

/// The data type of an entry, as `TYPE` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string.
    String,
}

impl Kind {
    /// The name `TYPE` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
        }
    }
}

/// How a value is represented, as `OBJECT ENCODING` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A string holding the canonical decimal form of an `i64`.
    Int,
    /// A string of at most [`EMBSTR_MAX_BYTES`] that was written whole.
    EmbStr,
    /// A longer string, or one edited in place.
    Raw,
}

impl Encoding {
    /// The name `OBJECT ENCODING` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::EmbStr => "embstr",
            Self::Raw => "raw",
        }
    }

    /// The encoding of a string that is written whole.
    #[inline]
    pub fn of_string(value: &[u8]) -> Self {
        if value.len() <= 20 && parse_canonical_i64(value).is_some() {
            Self::Int
        } else if value.len() <= EMBSTR_MAX_BYTES {
            Self::EmbStr
        } else {
            Self::Raw
        }
    }
}

/// How a whole string is to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringForm {
    /// `int`, `embstr` or `raw`, by content and length (`SET`).
    Detect,
    /// `embstr` or `raw` by length, never `int` (`INCRBYFLOAT`).
    Text,
    /// Always `raw` (`BITOP`, and values assembled in place).
    Raw,
}

impl StringForm {
    /// The encoding of `value` written whole in this form.
    #[inline]
    pub fn encoding_of(self, value: &[u8]) -> Encoding {
        match self {
            Self::Detect => Encoding::of_string(value),
            Self::Text if value.len() <= EMBSTR_MAX_BYTES => Encoding::EmbStr,
            Self::Text | Self::Raw => Encoding::Raw,
        }
    }
}

/// An owned copy of an entry without its key: what travels between shards and databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueImage {
    /// The data type.
    pub kind: Kind,
    /// The encoding.
    pub encoding: Encoding,
    /// The value's bytes, in the representation of its encoding.
    pub bytes: Vec<u8>,
    /// The deadline, if it has one.
    pub expires_at: Option<UnixMillis>,
    /// The access history.
    pub access: AccessClock,
}

/// Parses `text` as the one decimal form of an `i64` Redis accepts: no sign but `-`, no leading zero, no space.
#[inline]
pub fn parse_canonical_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if negative {
        (magnitude <= 1 << 63).then(|| (magnitude as i64).wrapping_neg())
    } else {
        i64::try_from(magnitude).ok()
    }
}
