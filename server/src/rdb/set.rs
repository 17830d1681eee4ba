//! Sets.
//!
//! ```text
//!  2  members (length) | string ...
//! 11  string: an intset
//! 20  string: a listpack                                                                 from 7.2 on
//! ```
//! Written are 2 and 11, which any Redis reads.

use super::fault::Fault;
use super::input::Input;
use super::intset;
use super::item::Item;
use super::kind;
use super::output::Output;
use super::packed::{Layout, Packed, forget};
use super::seen::{Duplicates, Names};

/// The members of a set, in the order in which they were written.
#[derive(Debug)]
pub struct Set {
    /// Bytes that were read.
    read: usize,
    source: Source,
    names: Names,
}

#[derive(Debug)]
enum Source {
    /// So many strings that are left in the input.
    Strings {
        left: u64,
        scratch: Vec<u8>,
    },
    Packed(Packed),
}

impl Set {
    /// Begins to read a set of this type from `body`; `None` if sets have no such type.
    pub(super) fn open(
        kind: u8,
        body: Input<'_>,
        duplicates: Duplicates,
    ) -> Result<Option<Self>, Fault> {
        let mut input = body;
        let source = match kind {
            kind::SET => Source::Strings {
                left: input.length()?,
                scratch: Vec::new(),
            },
            kind::SET_INTSET => Source::Packed(Packed::open(Layout::Intset, body, &mut input)?),
            kind::SET_LISTPACK => Source::Packed(Packed::open(Layout::Listpack, body, &mut input)?),
            _ => return Ok(None),
        };
        // Those of an intset ascend, so that none is there twice.
        let duplicates = match kind {
            kind::SET_INTSET => Duplicates::LeftToCaller,
            _ => duplicates,
        };
        Ok(Some(Self {
            read: body.len() - input.len(),
            source,
            names: Names::new(duplicates),
        }))
    }

    /// The next member, `None` behind the last. `body` is what it was opened on.
    ///
    /// # Errors
    /// The set is damaged there, or has no members at all.
    pub fn next_member<'s>(&'s mut self, body: Input<'s>) -> Result<Option<Item<'s>>, Fault> {
        let member = match &mut self.source {
            Source::Strings { left: 0, .. } => None,
            Source::Strings { left, scratch } => {
                let member = body.read_on(&mut self.read, |input| input.item(scratch))?;
                *left -= 1;
                Some(member)
            }
            Source::Packed(packed) => packed.next(body)?.map(|[member]| member),
        };
        let Some(member) = member else {
            return self.names.end().map(|()| None);
        };
        self.names.add(member)?;
        Ok(Some(member))
    }

    /// What of `body` stands behind the set, once it was read to its end.
    #[must_use]
    pub fn rest<'b>(&self, body: Input<'b>) -> Input<'b> {
        body.behind(self.read)
    }

    /// Has it forget the first bytes of what it was opened on that it needs no longer, and gives how many: it is given the rest from now on.
    pub fn forget(&mut self) -> usize {
        let held = match &mut self.source {
            Source::Strings { .. } => None,
            Source::Packed(packed) => Some(packed.held()),
        };
        forget(&mut self.read, held)
    }

    /// The memory that reading it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let source = match &self.source {
            Source::Strings { scratch, .. } => scratch.capacity(),
            Source::Packed(packed) => packed.held_bytes(),
        };
        source + self.names.held_bytes()
    }
}

/// Writes a set.
#[derive(Debug)]
pub struct SetWriter {
    /// Its members, if they are all integers: they are written in their order.
    integers: Option<Vec<i64>>,
}

impl SetWriter {
    /// A writer for a set that has nothing but integers, and few of them, or for another.
    #[must_use]
    pub fn new(is_intset: bool) -> Self {
        Self {
            integers: is_intset.then(Vec::new),
        }
    }

    /// The type of what it writes.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self.integers {
            Some(_) => kind::SET_INTSET,
            None => kind::SET,
        }
    }

    /// Begins the set, which has so many members.
    pub fn begin(&mut self, members: u64, out: &mut Output) {
        if self.integers.is_none() {
            out.length(members);
        }
    }

    /// The next member.
    ///
    /// # Panics
    /// It is no integer of a set that has nothing else.
    pub fn push(&mut self, member: &[u8], out: &mut Output) {
        match &mut self.integers {
            None => out.string(member),
            Some(integers) => {
                let integer = larder_engine::parse_canonical_i64(member);
                integers.push(integer.expect("all members are integers"));
            }
        }
    }

    /// Ends the set.
    pub fn finish(self, out: &mut Output) {
        if let Some(mut integers) = self.integers {
            integers.sort_unstable();
            out.blob(&intset::bytes_of(&integers));
        }
    }

    /// The memory that writing it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let integers = self.integers.as_ref();
        integers.map_or(0, |integers| integers.capacity() * size_of::<i64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::output::Packing;

    #[test]
    fn what_is_written_is_read() {
        for (of, kind) in [
            (&[&b"b"[..], b"", b"5", b"12345678901234567890"][..], 2),
            (&[b"-1", b"3", b"300"], 11),
            (&[b"-70000", b"1"], 11),
            (&[b"-9223372036854775808", b"0", b"9223372036854775807"], 11),
        ] {
            let mut out = Output::new(Packing::Lzf);
            let mut writer = SetWriter::new(kind == 11);
            assert_eq!(writer.kind(), kind);
            writer.begin(of.len() as u64, &mut out);
            of.iter()
                .rev()
                .for_each(|member| writer.push(member, &mut out));
            writer.finish(&mut out);
            let mut read = members(kind, &out.into_bytes()).unwrap();
            if kind == 2 {
                read.reverse();
            }
            assert_eq!(read, of);
        }
    }

    /// All members of a set, which is followed by `!`.
    fn members(kind: u8, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        let bytes = [bytes, b"!"].concat();
        let body = Input::new(&bytes);
        let set = Set::open(kind, body, Duplicates::Refused)?;
        let mut set = set.unwrap();
        let mut found = Vec::new();
        while let Some(member) = set.next_member(body)? {
            found.push(member.text().to_vec());
        }
        assert_eq!(set.rest(body).rest(), b"!");
        Ok(found)
    }

    #[test]
    fn sets_of_every_type_are_read() {
        for (kind, bytes, expected) in [
            (2, &b"\x02\x01a\xc0\x05"[..], [b"a", b"5"]),
            (11, b"\x0c\x02\0\0\0\x02\0\0\0\x01\0\x05\0", [b"1", b"5"]),
            (
                20,
                b"\x0c\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff",
                [b"a", b"5"],
            ),
        ] {
            assert_eq!(members(kind, bytes).unwrap(), expected, "{kind}");
        }
    }

    #[test]
    fn empty_sets_and_members_that_come_twice_are_refused() {
        for (kind, bytes, fault) in [
            (2, &b"\x00"[..], Fault::Empty),
            (11, b"\x08\x02\0\0\0\0\0\0\0", Fault::Empty),
            (20, b"\x07\x07\0\0\0\0\0\xff", Fault::Empty),
            (2, b"\x02\x015\xc0\x05", Fault::Duplicate),
            (
                20,
                b"\x0c\x0c\0\0\0\x02\0\x815\x02\x05\x01\xff",
                Fault::Duplicate,
            ),
            (2, b"\x80\xff\xff\xff\xff\x01a", Fault::Truncated),
        ] {
            assert_eq!(members(kind, bytes), Err(fault), "{kind}: {bytes:x?}");
        }
    }
}
