//! Sets.
//!
//! ```text
//!  2  members (length) | string ...
//! 11  string: an intset
//! 20  string: a listpack                                                                 from 7.2 on
//! ```

use super::fault::Fault;
use super::input::Input;
use super::item::Item;
use super::kind;
use super::packed::{Layout, Packed};
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
                *left -= 1;
                Some(body.read_on(&mut self.read, |input| input.item(scratch))?)
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

#[cfg(test)]
mod tests {
    use super::*;

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
