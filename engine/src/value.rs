//! Types, encodings and the owned image of a value.

use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::limits::EMBSTR_MAX_BYTES;
use crate::{AccessClock, Buffer, UnixMillis};

/// The data type of an entry, as `TYPE` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string.
    String,
    /// Elements in order.
    List,
    /// Members, each there once.
    Set,
    /// Fields with values.
    Hash,
    /// Members in the order of their scores.
    SortedSet,
    /// Entries in the order of their ids, and groups that read them.
    Stream,
}

impl Kind {
    /// The name `TYPE` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::Hash => "hash",
            Self::SortedSet => "zset",
            Self::Stream => "stream",
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
    /// A small set of integers.
    IntSet,
    /// A small list, set, hash or sorted set.
    ListPack,
    /// A small hash whose fields have, or have had, deadlines.
    ListPackEx,
    /// A large list.
    QuickList,
    /// A large hash, or set.
    HashTable,
    /// A large sorted set.
    SkipList,
    /// A stream.
    Stream,
}

impl Encoding {
    /// The name `OBJECT ENCODING` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::EmbStr => "embstr",
            Self::Raw => "raw",
            Self::IntSet => "intset",
            Self::ListPack => "listpack",
            Self::ListPackEx => "listpackex",
            Self::QuickList => "quicklist",
            Self::HashTable => "hashtable",
            Self::SkipList => "skiplist",
            Self::Stream => "stream",
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

/// The bytes of a value that belongs to no shard.
#[derive(Clone)]
pub enum ValueBytes {
    /// A copy.
    Copied(Vec<u8>),
    /// A range of a buffer, which an entry may have as well. Who writes while others hold it takes a copy.
    Shared(Arc<Buffer>, Range<usize>),
}

impl ValueBytes {
    /// The bytes, to change: a copy, if they were none.
    pub fn to_mut(&mut self) -> &mut Vec<u8> {
        if let Self::Shared(..) = self {
            *self = Self::Copied(self.to_vec());
        }
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(..) => unreachable!("just copied"),
        }
    }

    /// Bytes of memory that nothing but this holds, as far as it knows: those of a copy.
    pub fn copied_bytes(&self) -> usize {
        match self {
            Self::Copied(bytes) => bytes.len(),
            Self::Shared(..) => 0,
        }
    }
}

impl Deref for ValueBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Shared(buffer, range) => &buffer.bytes()[range.clone()],
        }
    }
}

impl From<Vec<u8>> for ValueBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Copied(bytes)
    }
}

impl PartialEq for ValueBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ValueBytes {}

impl std::fmt::Debug for ValueBytes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(out)
    }
}

/// An owned entry without its key: what travels between shards and databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueImage {
    /// The data type.
    pub kind: Kind,
    /// The encoding.
    pub encoding: Encoding,
    /// The value's bytes, in the representation of its encoding.
    pub bytes: ValueBytes,
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
    let [first @ b'0'..=b'9', rest @ ..] = digits else {
        return None;
    };
    if rest.is_empty() && !negative {
        return Some(i64::from(first - b'0'));
    }
    if *first == b'0' || digits.len() > 19 {
        return None;
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
