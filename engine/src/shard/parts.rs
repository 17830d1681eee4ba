//! Parts of collections: the bytes that their elements are in, and where the next part begins.
//!
//! ```text
//!  list, set    | length (4) | element |
//!  hash         | length (4) | name | length (4) | value | deadline (8), negative if there is none |
//!  sorted set   | length (4) | name | score (8) |
//!  stream       a row of changes
//! ```
//! Each is in the order of the collection, and where the next begins is a number: of the element in a list, a cursor in a hash or a set,
//! a rank. That of a stream begins in a stage of changes, at an entry.

use super::Member;
use crate::UnixMillis;
use crate::spiral::ElementRef;
use crate::stream::StreamId;

/// Where a part begins: the first at the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartFrom {
    /// Of a list an element, of a hash a cursor, of a stream the stage.
    pub number: u64,
    /// Of a stream the entry.
    pub id: StreamId,
}

impl PartFrom {
    /// One that a number says.
    pub fn number(number: u64) -> Self {
        Self {
            number,
            id: StreamId::MIN,
        }
    }

    /// As bytes, for who asks for a part.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let words = [self.number, self.id.ms, self.id.seq];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// What [`Self::to_bytes`] made of one.
    ///
    /// # Panics
    /// It made none of these.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let [number, ms, seq] = words else {
            panic!("a place has three words");
        };
        assert!(rest.is_empty(), "a place has three words");
        Self {
            number: u64::from_le_bytes(*number),
            id: StreamId::new(u64::from_le_bytes(*ms), u64::from_le_bytes(*seq)),
        }
    }
}

pub(super) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

/// Adds a member to a part of a set.
pub fn write_member(member: &[u8], part: &mut Vec<u8>) {
    write_text(member, part);
}

/// The members in a part of a set.
pub fn members_of_part(mut part: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || (!part.is_empty()).then(|| read_text(&mut part)))
}

pub(super) fn write_field(field: &ElementRef<'_>, out: &mut Vec<u8>) {
    write_text(field.name, out);
    write_text(field.value, out);
    let deadline = field.deadline.map_or(-1, |at| at.0);
    out.extend_from_slice(&deadline.to_le_bytes());
}

pub(super) fn read_text<'a>(part: &mut &'a [u8]) -> &'a [u8] {
    let (len, rest) = part.split_first_chunk().expect("a length");
    let (text, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
    *part = rest;
    text
}

pub(super) fn read_field<'a>(part: &mut &'a [u8]) -> ElementRef<'a> {
    let (name, value) = (read_text(part), read_text(part));
    let (deadline, rest) = part.split_first_chunk().expect("a deadline");
    *part = rest;
    let deadline = i64::from_le_bytes(*deadline);
    ElementRef {
        name,
        value,
        deadline: (deadline >= 0).then_some(UnixMillis(deadline)),
    }
}

/// Adds a member to a part of a sorted set.
pub fn write_scored(member: &Member<'_>, part: &mut Vec<u8>) {
    write_text(member.name, part);
    part.extend_from_slice(&member.score.to_bits().to_le_bytes());
}

pub(super) fn read_scored<'a>(part: &mut &'a [u8]) -> Member<'a> {
    let name = read_text(part);
    let (score, rest) = part.split_first_chunk().expect("a score");
    *part = rest;
    Member {
        name,
        score: f64::from_bits(u64::from_le_bytes(*score)),
    }
}

/// The members in a part of a sorted set.
pub fn scored_of_part(mut part: &[u8]) -> impl Iterator<Item = Member<'_>> {
    std::iter::from_fn(move || (!part.is_empty()).then(|| read_scored(&mut part)))
}
