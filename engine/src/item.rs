//! An item: one block of the arena that holds one entry. Short strings do without: they lie in the nodes of the keyspace.
//!
//! ```text
//!  0        1            4         5          6           (12)
//! +--------+------------+---------+----------+-----------+----------------+------------------+
//! | flags  | access     | key len | value    | deadline  | key, or        | value, or        |
//! |        | clock (24) | varint  | len      | 0, 6 or 8 | extent (4)     | extent (4)       |
//! +--------+------------+---------+----------+-----------+----------------+------------------+
//!  flags: bit 7 key in extent | 6 value in extent | 5 deadline | 4 wide deadline | 3..0 form (kind and encoding)
//! ```
//!
//! Lengths are LEB128 varints, one byte each below 128, so that a small item costs six bytes. A value in an extent has a
//! length of four fixed bytes instead, so that growing it never moves what follows. A deadline before the year 10889 takes
//! six bytes, another eight. All fields are little endian. The form 15 is reserved: with it, the flags could equal the mark
//! of a free block.
//!
//! The value of a large collection is its number, 4 bytes, and its form says so: what it is made of lies elsewhere. The form of a
//! small one is that of its type; forms are listed in decision 0022.
//!
//! An extent is named by its number and can be anywhere: a span of pages up to 1 MiB, a mapping of its own beyond.
//!
//! All but [`key_of`] reads and writes plain byte slices; where blocks and extents are is [`crate::memory`]'s affair.

use crate::nodes::{Heap, Owner};
use crate::raw::{Arena, Block, ExtentId};
use crate::{AccessClock, Encoding, Kind, UnixMillis, ValueImage};

/// Bytes of a reference to an extent inside an item.
const EXTENT_REF_BYTES: usize = 4;
/// Bytes of a deadline whose milliseconds are a number of 48 bits.
const DEADLINE_BYTES: usize = 6;
/// Bytes of any other deadline.
const WIDE_DEADLINE_BYTES: usize = 8;
/// Bytes of the head: flags and access clock.
pub(crate) const HEAD_BYTES: usize = 4;
/// Keys longer than this live in an extent.
const MAX_INLINE_KEY_BYTES: usize = 16 << 10;

/// Kind of a value and where its elements are, of a string its encoding, in four bits: decision 0022 lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form(u8);

impl Form {
    const MASK: u8 = 0b1111;
    const STRING_INT: Self = Self(0);
    const STRING_EMBSTR: Self = Self(1);
    const STRING_RAW: Self = Self(2);
    /// From here on the value is a variant and packed elements.
    const FIRST_PACKED: u8 = 3;
    const SET_PACKED: u8 = 4;
    const HASH_PACKED: u8 = 5;
    const SORTED_SET_PACKED: u8 = 6;
    /// From here on the value is the number of a collection.
    const FIRST_LARGE: u8 = 9;
    /// What a kind's large form is above its packed one.
    const LARGE: u8 = Self::FIRST_LARGE - Self::FIRST_PACKED;

    /// The form of a string.
    #[inline]
    pub(crate) fn string(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Int => Self::STRING_INT,
            Encoding::EmbStr => Self::STRING_EMBSTR,
            Encoding::Raw => Self::STRING_RAW,
            _ => unreachable!("{encoding:?} is no encoding of strings"),
        }
    }

    /// The form of what an image has: of a collection, the packed one.
    #[inline]
    pub(crate) fn of_image(image: &ValueImage) -> Self {
        match image.kind {
            Kind::String => Self::string(image.encoding),
            kind => Self::packed(kind),
        }
    }

    /// The form of a small collection, in its item.
    #[inline]
    pub(crate) fn packed(kind: Kind) -> Self {
        match kind {
            Kind::String => unreachable!("a string is no collection"),
            Kind::List => Self(3),
            Kind::Set => Self(Self::SET_PACKED),
            Kind::Hash => Self(Self::HASH_PACKED),
            Kind::SortedSet => Self(Self::SORTED_SET_PACKED),
            // None is packed.
            Kind::Stream => Self(7),
        }
    }

    /// The form of a large collection, in nodes.
    #[inline]
    pub(crate) fn large(kind: Kind) -> Self {
        Self(Self::packed(kind).0 + Self::LARGE)
    }

    /// Whether the value is packed elements.
    #[inline(always)]
    pub(crate) fn is_packed(self) -> bool {
        self.0 >= Self::FIRST_PACKED && self.0 < Self::FIRST_LARGE
    }

    /// Whether the value is the number of a collection.
    #[inline(always)]
    pub(crate) fn is_large(self) -> bool {
        self.0 >= Self::FIRST_LARGE
    }

    /// Whether there are fields, which may have deadlines.
    #[inline(always)]
    pub(crate) fn has_fields(self) -> bool {
        const WITH_FIELDS: u16 = 1 << Form::HASH_PACKED | 1 << (Form::HASH_PACKED + Form::LARGE);
        WITH_FIELDS >> self.0 & 1 != 0
    }

    /// Whether it is a sorted set.
    #[inline(always)]
    pub(crate) fn is_sorted_set(self) -> bool {
        self.kind() == Kind::SortedSet
    }

    /// Whether the elements have names: a hash or a set.
    #[inline(always)]
    pub(crate) fn is_named(self) -> bool {
        const PACKED: u16 = 1 << Form::SET_PACKED | 1 << Form::HASH_PACKED;
        const NAMED: u16 = PACKED | PACKED << Form::LARGE;
        NAMED >> self.0 & 1 != 0
    }

    /// The data type.
    #[inline]
    pub(crate) fn kind(self) -> Kind {
        match self.0 {
            0..Self::FIRST_PACKED => Kind::String,
            3 | 9 => Kind::List,
            4 | 10 => Kind::Set,
            6 | 12 => Kind::SortedSet,
            7 | 13 => Kind::Stream,
            _ => Kind::Hash,
        }
    }

    /// The encoding of a string.
    #[inline]
    pub(crate) fn string_encoding(self) -> Encoding {
        match self {
            Self::STRING_INT => Encoding::Int,
            Self::STRING_EMBSTR => Encoding::EmbStr,
            _ => Encoding::Raw,
        }
    }
}

/// What a collection says of itself beside its elements: the first byte of a packed value, or a part of the root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variant(pub(crate) u8);

impl Variant {
    /// It has exceeded a threshold that clients know (`hash-max-listpack-entries`).
    const OUTGROWN: u8 = 1;
    /// Fields have had deadlines.
    const DEADLINES: u8 = 2;
    /// All members are integers.
    const INTEGERS: u8 = 4;

    /// What an empty collection of this kind says of itself.
    pub(crate) fn of_empty(kind: Kind) -> Self {
        match kind {
            Kind::Set => Self(Self::INTEGERS),
            _ => Self::default(),
        }
    }

    /// The same, beyond a threshold.
    pub(crate) fn outgrown(self) -> Self {
        Self(self.0 | Self::OUTGROWN)
    }

    /// The same, within the thresholds.
    pub(crate) fn fitting(self) -> Self {
        Self(self.0 & !Self::OUTGROWN)
    }

    /// Whether a threshold has been exceeded.
    pub(crate) fn is_outgrown(self) -> bool {
        self.0 & Self::OUTGROWN != 0
    }

    /// The same, with deadlines of fields.
    pub(crate) fn with_deadlines(self) -> Self {
        Self(self.0 | Self::DEADLINES)
    }

    /// Whether fields have had deadlines.
    pub(crate) fn has_deadlines(self) -> bool {
        self.0 & Self::DEADLINES != 0
    }

    /// The same, with a member that is no integer.
    pub(crate) fn with_texts(self) -> Self {
        Self(self.0 & !Self::INTEGERS)
    }

    /// Whether all members are integers, as far as it says.
    pub(crate) fn has_integers(self) -> bool {
        self.0 & Self::INTEGERS != 0
    }

    /// What a collection says of itself that answers this encoding.
    pub(crate) fn of(encoding: Encoding) -> Self {
        match encoding {
            Encoding::QuickList | Encoding::HashTable | Encoding::SkipList => {
                Self::default().outgrown()
            }
            Encoding::ListPackEx => Self::default().with_deadlines(),
            Encoding::IntSet => Self(Self::INTEGERS),
            _ => Self::default(),
        }
    }

    /// What `OBJECT ENCODING` answers of a collection of this kind.
    pub(crate) fn encoding(self, kind: Kind) -> Encoding {
        match (kind, self.is_outgrown()) {
            (Kind::Stream, _) => Encoding::Stream,
            (Kind::List, true) => Encoding::QuickList,
            (Kind::Set | Kind::Hash, true) => Encoding::HashTable,
            (Kind::SortedSet, true) => Encoding::SkipList,
            (Kind::Set, false) if self.has_integers() => Encoding::IntSet,
            (Kind::Hash, false) if self.has_deadlines() => Encoding::ListPackEx,
            _ => Encoding::ListPack,
        }
    }
}

/// The first four bytes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head(u32);

impl Head {
    const WIDE_DEADLINE: u32 = 1 << 4;
    const DEADLINE: u32 = 1 << 5;
    const VALUE_IN_EXTENT: u32 = 1 << 6;
    const KEY_IN_EXTENT: u32 = 1 << 7;
    const ACCESS_SHIFT: u32 = 8;

    #[inline]
    pub(crate) fn new(form: Form, access: AccessClock) -> Self {
        Self(u32::from(form.0) | access.0 << Self::ACCESS_SHIFT)
    }

    #[inline(always)]
    pub(crate) fn read(item: &[u8]) -> Self {
        Self(read_u32(item, 0))
    }

    /// What these bytes say.
    #[inline(always)]
    pub(crate) fn of_bytes(head: [u8; HEAD_BYTES]) -> Self {
        Self(u32::from_le_bytes(head))
    }

    #[inline(always)]
    pub(crate) fn write(self, item: &mut [u8]) {
        item[..HEAD_BYTES].copy_from_slice(&self.0.to_le_bytes());
    }

    #[inline]
    pub(crate) fn form(self) -> Form {
        Form(self.0 as u8 & Form::MASK)
    }

    #[inline]
    pub(crate) fn with_form(self, form: Form) -> Self {
        Self(self.0 & !u32::from(Form::MASK) | u32::from(form.0))
    }

    #[inline]
    pub(crate) fn access(self) -> AccessClock {
        AccessClock(self.0 >> Self::ACCESS_SHIFT)
    }

    #[inline]
    pub(crate) fn with_access(self, access: AccessClock) -> Self {
        Self(self.0 & 0xFF | access.0 << Self::ACCESS_SHIFT)
    }

    #[inline(always)]
    pub(crate) fn has_deadline(self) -> bool {
        self.0 & Self::DEADLINE != 0
    }

    #[inline]
    fn with_deadline(self, deadline: Option<UnixMillis>) -> Self {
        let cleared = self.0 & !(Self::DEADLINE | Self::WIDE_DEADLINE);
        Self(match deadline {
            None => cleared,
            Some(at) if at.0 >> (8 * DEADLINE_BYTES) == 0 => cleared | Self::DEADLINE,
            Some(_) => cleared | Self::DEADLINE | Self::WIDE_DEADLINE,
        })
    }

    #[inline(always)]
    fn deadline_bytes(self) -> usize {
        if !self.has_deadline() {
            0
        } else if self.0 & Self::WIDE_DEADLINE == 0 {
            DEADLINE_BYTES
        } else {
            WIDE_DEADLINE_BYTES
        }
    }

    #[inline(always)]
    pub(crate) fn value_in_extent(self) -> bool {
        self.0 & Self::VALUE_IN_EXTENT != 0
    }

    #[inline(always)]
    pub(crate) fn key_in_extent(self) -> bool {
        self.0 & Self::KEY_IN_EXTENT != 0
    }

    /// Whether the value is the number of a collection.
    #[inline(always)]
    pub(crate) fn is_collection(self) -> bool {
        self.form().is_large()
    }

    /// Whether the value lies in the item itself.
    #[inline(always)]
    pub(crate) fn value_is_inline(self) -> bool {
        !self.value_in_extent() && !self.is_collection()
    }
}

/// Where the fields of an item are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) head: Head,
    pub(crate) key_len: usize,
    pub(crate) value_len: usize,
    /// Offset of the key or of its extent's reference.
    pub(crate) key_at: usize,
    /// Offset of the value or of its extent's reference.
    pub(crate) value_at: usize,
    /// Bytes of the item.
    pub(crate) total: usize,
}

#[inline]
fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[inline]
fn write_varint(mut value: usize, to: &mut [u8]) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        to[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    to[at] = value as u8;
    at + 1
}

#[inline(always)]
fn read_varint(item: &[u8], at: usize) -> (usize, usize) {
    let first = item[at];
    if first < 0x80 {
        return (usize::from(first), at + 1);
    }
    let second = item[at + 1];
    if second < 0x80 {
        return (usize::from(first & 0x7F) | usize::from(second) << 7, at + 2);
    }
    read_long_varint(item, at)
}

#[cold]
fn read_long_varint(item: &[u8], mut at: usize) -> (usize, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = item[at];
        value |= usize::from(byte & 0x7F) << shift;
        (shift, at) = (shift + 7, at + 1);
        if byte < 0x80 {
            return (value, at);
        }
    }
}

impl Layout {
    /// The layout of an item to be written: what goes inline and what into extents follows from the sizes.
    #[inline]
    pub(crate) fn plan(
        form: Form,
        access: AccessClock,
        key_len: usize,
        value_len: usize,
        deadline: Option<UnixMillis>,
    ) -> Self {
        let mut head = Head::new(form, access).with_deadline(deadline).0;
        if key_len > MAX_INLINE_KEY_BYTES {
            head |= Head::KEY_IN_EXTENT;
        }
        let inline = Self::arrange(Head(head), key_len, value_len);
        if inline.total <= Arena::max_block_bytes() {
            inline
        } else {
            Self::arrange(Head(head | Head::VALUE_IN_EXTENT), key_len, value_len)
        }
    }

    #[inline]
    fn arrange(head: Head, key_len: usize, value_len: usize) -> Self {
        let value_len_bytes = if head.value_in_extent() {
            EXTENT_REF_BYTES
        } else {
            varint_len(value_len)
        };
        let deadline_at = HEAD_BYTES + varint_len(key_len) + value_len_bytes;
        Self::with_key_at(
            head,
            key_len,
            value_len,
            deadline_at + head.deadline_bytes(),
        )
    }

    #[inline(always)]
    fn with_key_at(head: Head, key_len: usize, value_len: usize, key_at: usize) -> Self {
        let key_field = if head.key_in_extent() {
            EXTENT_REF_BYTES
        } else {
            key_len
        };
        let value_field = if head.value_in_extent() {
            EXTENT_REF_BYTES
        } else {
            value_len
        };
        let value_at = key_at + key_field;
        Self {
            head,
            key_len,
            value_len,
            key_at,
            value_at,
            total: value_at + value_field,
        }
    }

    /// The layout of the item at the start of `item`.
    #[inline(always)]
    pub(crate) fn read(item: &[u8]) -> Self {
        let head = Head::read(item);
        let (key_len, at) = read_varint(item, HEAD_BYTES);
        let (value_len, deadline_at) = if head.value_in_extent() {
            (read_u32(item, at) as usize, at + 4)
        } else {
            read_varint(item, at)
        };
        Self::with_key_at(
            head,
            key_len,
            value_len,
            deadline_at + head.deadline_bytes(),
        )
    }

    /// Writes all that comes before the key.
    #[inline]
    pub(crate) fn write_prefix(&self, item: &mut [u8], deadline: Option<UnixMillis>) {
        debug_assert_eq!(self.head, self.head.with_deadline(deadline));
        self.head.write(item);
        let mut at = HEAD_BYTES + write_varint(self.key_len, &mut item[HEAD_BYTES..]);
        if self.head.value_in_extent() {
            let len = u32::try_from(self.value_len).expect("values are bounded by MAX_VALUE_BYTES");
            item[at..at + 4].copy_from_slice(&len.to_le_bytes());
            at += 4;
        } else {
            at += write_varint(self.value_len, &mut item[at..]);
        }
        if let Some(deadline) = deadline {
            let bytes = self.head.deadline_bytes();
            item[at..at + bytes].copy_from_slice(&deadline.0.to_le_bytes()[..bytes]);
        }
    }

    /// The deadline, which stands right before the key.
    #[inline(always)]
    pub(crate) fn deadline(&self, item: &[u8]) -> Option<UnixMillis> {
        if !self.head.has_deadline() {
            return None;
        }
        let mut bytes = [0; WIDE_DEADLINE_BYTES];
        if self.head.0 & Head::WIDE_DEADLINE == 0 {
            bytes[..DEADLINE_BYTES]
                .copy_from_slice(&item[self.key_at - DEADLINE_BYTES..self.key_at]);
        } else {
            bytes.copy_from_slice(&item[self.key_at - WIDE_DEADLINE_BYTES..self.key_at]);
        }
        Some(UnixMillis(i64::from_le_bytes(bytes)))
    }

    /// The extent of the key, if it has one.
    #[inline(always)]
    pub(crate) fn key_extent(&self, item: &[u8]) -> Option<ExtentId> {
        let has = self.head.key_in_extent();
        has.then(|| ExtentId(read_u32(item, self.key_at)))
    }

    /// The extent of the value, if it has one.
    #[inline(always)]
    pub(crate) fn value_extent(&self, item: &[u8]) -> Option<ExtentId> {
        let has = self.head.value_in_extent();
        has.then(|| ExtentId(read_u32(item, self.value_at)))
    }

    /// The collection that is the value, if it is one.
    #[inline(always)]
    pub(crate) fn collection(&self, item: &[u8]) -> Option<Owner> {
        let is = self.head.is_collection();
        is.then(|| Owner(read_u32(item, self.value_at)))
    }

    /// The key's bytes inside the item, for a key that is not in an extent.
    #[inline(always)]
    pub(crate) fn inline_key<'a>(&self, item: &'a [u8]) -> &'a [u8] {
        &item[self.key_at..self.value_at]
    }

    /// The value's bytes inside the item, for a value that is not in an extent.
    #[inline(always)]
    pub(crate) fn inline_value<'a>(&self, item: &'a [u8]) -> &'a [u8] {
        &item[self.value_at..self.total]
    }

    /// The same item with a value of another form.
    pub(crate) fn with_form(mut self, form: Form) -> Self {
        self.head = self.head.with_form(form);
        self
    }

    /// The same item with a value of `value_len` bytes, in the same place of storage.
    pub(crate) fn with_value_len(&self, value_len: usize) -> Self {
        Self::arrange(self.head, self.key_len, value_len)
    }

    /// The same item with another deadline or none.
    pub(crate) fn with_deadline(&self, deadline: Option<UnixMillis>) -> Self {
        Self::arrange(
            self.head.with_deadline(deadline),
            self.key_len,
            self.value_len,
        )
    }

    /// The same value under a key of `key_len` bytes.
    pub(crate) fn with_key_len(&self, key_len: usize) -> Self {
        let cleared = self.head.0 & !Head::KEY_IN_EXTENT;
        let head = if key_len > MAX_INLINE_KEY_BYTES {
            cleared | Head::KEY_IN_EXTENT
        } else {
            cleared
        };
        Self::arrange(Head(head), key_len, self.value_len)
    }
}

/// The key of an item.
#[inline(always)]
pub(crate) fn key_of(heap: &Heap, item: Block) -> &[u8] {
    let bytes = heap.arena.tail(item);
    let layout = Layout::read(bytes);
    match layout.key_extent(bytes) {
        None => layout.inline_key(bytes),
        Some(extent) => heap.extents.bytes(extent, layout.key_len),
    }
}

#[inline(always)]
fn read_u32(item: &[u8], at: usize) -> u32 {
    let word = item[at..at + 4].first_chunk();
    u32::from_le_bytes(*word.expect("the range is so long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::FREE_MARK;

    fn round_trip(key_len: usize, value_len: usize, deadline: Option<UnixMillis>) -> Layout {
        let access = AccessClock(0xAB_CDEF);
        let plan = Layout::plan(Form::STRING_RAW, access, key_len, value_len, deadline);
        let mut item = vec![0; plan.total + 16];
        plan.write_prefix(&mut item, deadline);
        let read = Layout::read(&item);
        assert_eq!(read, plan);
        assert_eq!(read.deadline(&item), deadline);
        assert_eq!(read.head.access(), access);
        assert_eq!(read.head.form(), Form::STRING_RAW);
        assert_ne!(item[0], FREE_MARK);
        plan
    }

    #[test]
    fn a_small_item_costs_six_bytes_and_six_more_with_a_deadline() {
        assert_eq!(round_trip(16, 64, None).total, 86);
        assert_eq!(round_trip(16, 64, Some(UnixMillis(5))).total, 92);
        assert_eq!(
            round_trip(16, 64, Some(UnixMillis((1 << 48) - 1))).total,
            92
        );
        assert_eq!(round_trip(16, 64, Some(UnixMillis(1 << 48))).total, 94);
        assert_eq!(round_trip(16, 64, Some(UnixMillis(-1))).total, 94);
        assert_eq!(round_trip(0, 0, None).total, 6);
    }

    #[test]
    fn every_length_survives_the_round_trip() {
        for key_len in [0, 1, 127, 128, 16 << 10, (16 << 10) + 1, 300_000] {
            for value_len in [
                0,
                127,
                128,
                16_383,
                16_384,
                40_000,
                crate::limits::MAX_VALUE_BYTES,
            ] {
                for deadline in [None, Some(UnixMillis(i64::MIN)), Some(UnixMillis(i64::MAX))] {
                    let plan = round_trip(key_len, value_len, deadline);
                    assert!(plan.total <= Arena::max_block_bytes());
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_a_block_goes_into_extents() {
        assert!(!round_trip(100, 32_000, None).head.value_in_extent());
        assert!(round_trip(1000, 32_000, None).head.value_in_extent());
        assert!(round_trip(20_000, 5, None).head.key_in_extent());
        assert!(!round_trip(20_000, 5, None).head.value_in_extent());
    }

    #[test]
    fn the_predicates_of_a_head_are_independent() {
        let head = Head::new(Form::STRING_INT, AccessClock(7));
        let other = head
            .with_form(Form::STRING_EMBSTR)
            .with_access(AccessClock(9));
        assert_eq!(
            (other.form(), other.access()),
            (Form::STRING_EMBSTR, AccessClock(9))
        );
        assert_eq!(other.form().string_encoding(), Encoding::EmbStr);
        assert_eq!(other.form().kind(), Kind::String);
        assert!(!other.has_deadline() && !other.value_in_extent() && !other.key_in_extent());
    }
}
