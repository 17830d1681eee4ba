//! Sorted sets. Nothing says in which order their members stand; but whoever loads type 17 as it is takes them to be in order, and so
//! they are written.
//!
//! ```text
//!  3  members (length) | [ string: member | score, as text ] ...                         before 4.0
//!  5  members (length) | [ string: member | score (8) ] ...              from 4.0 on; this one is written, if it is large
//! 12  string: a ziplist of members and scores                                            up to 6.2
//! 17  string: a listpack of members and scores                                           from 7.0 on; this one, if it is small
//! ```

use super::fault::Fault;
use super::input::{Input, parse_double};
use super::item::Item;
use super::kind;
use super::listpack;
use super::output::Output;
use super::packed::{Layout, Packed, forget};
use super::seen::{Duplicates, Names};

/// A member of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member<'a> {
    /// It.
    pub name: Item<'a>,
    /// A number, which may be infinite.
    pub score: f64,
}

/// The members of a sorted set, in the order in which they were written.
#[derive(Debug)]
pub struct SortedSet {
    /// Bytes that were read.
    read: usize,
    source: Source,
    names: Names,
}

#[derive(Debug)]
enum Source {
    /// So many strings that are left in the input, each with its score behind it.
    Strings {
        left: u64,
        score: fn(&mut Input<'_>) -> Result<f64, Fault>,
        scratch: Vec<u8>,
    },
    Packed(Packed),
}

impl SortedSet {
    /// Begins to read a sorted set of this type from `body`; `None` if they have no such type.
    pub(super) fn open(
        kind: u8,
        body: Input<'_>,
        duplicates: Duplicates,
    ) -> Result<Option<Self>, Fault> {
        let mut input = body;
        let source = match kind {
            kind::ZSET | kind::ZSET_2 => Source::Strings {
                left: input.length()?,
                score: match kind {
                    kind::ZSET => |input| input.double_text(),
                    _ => |input| input.double(),
                },
                scratch: Vec::new(),
            },
            kind::ZSET_ZIPLIST => Source::Packed(Packed::open(Layout::Ziplist, body, &mut input)?),
            kind::ZSET_LISTPACK => {
                Source::Packed(Packed::open(Layout::Listpack, body, &mut input)?)
            }
            _ => return Ok(None),
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
    /// The sorted set is damaged there, or has no members at all.
    pub fn next_member<'s>(&'s mut self, body: Input<'s>) -> Result<Option<Member<'s>>, Fault> {
        let member = match &mut self.source {
            Source::Strings { left: 0, .. } => None,
            Source::Strings {
                left,
                score,
                scratch,
            } => {
                let member = body.read_on(&mut self.read, |input| {
                    let name = input.item(scratch)?;
                    let score = score(input)?;
                    Ok(Member { name, score })
                })?;
                *left -= 1;
                Some(member)
            }
            Source::Packed(packed) => match packed.next(body)? {
                Some([name, Item::Integer(score)]) => Some(Member {
                    name,
                    score: score as f64,
                }),
                Some([name, Item::Bytes(score)]) => Some(Member {
                    name,
                    score: parse_double(score)?,
                }),
                None => None,
            },
        };
        let Some(member) = member else {
            return self.names.end().map(|()| None);
        };
        if member.score.is_nan() {
            return Err(Fault::Damaged("a score is no number"));
        }
        self.names.add(member.name)?;
        Ok(Some(member))
    }

    /// What of `body` stands behind the sorted set, once it was read to its end.
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

/// How a sorted set is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortedSetForm {
    /// As one listpack.
    Listpack,
    /// As many strings.
    Strings,
}

impl SortedSetForm {
    /// The type of a sorted set of this form.
    #[must_use]
    pub fn kind(self) -> u8 {
        match self {
            Self::Listpack => kind::ZSET_LISTPACK,
            Self::Strings => kind::ZSET_2,
        }
    }
}

/// Writes a sorted set, whose members come in order.
#[derive(Debug)]
pub struct SortedSetWriter {
    /// The listpack, if it is one.
    listpack: Option<listpack::Writer>,
}

impl SortedSetWriter {
    /// Begins a sorted set of so many members.
    pub fn begin(form: SortedSetForm, members: u64, out: &mut Output) -> Self {
        let listpack = match form {
            SortedSetForm::Listpack => Some(listpack::Writer::default()),
            SortedSetForm::Strings => {
                out.length(members);
                None
            }
        };
        Self { listpack }
    }

    /// The next member, with its score as a number and as the text of that.
    pub fn push(&mut self, name: &[u8], (score, text): (f64, &[u8]), out: &mut Output) {
        match &mut self.listpack {
            Some(listpack) => {
                listpack.push(name);
                listpack.push(text);
            }
            None => {
                out.string(name);
                out.double(score);
            }
        }
    }

    /// Ends the sorted set.
    pub fn finish(self, out: &mut Output) {
        if let Some(mut listpack) = self.listpack {
            listpack.finish(|bytes| out.blob(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::output::Packing;
    use crate::rdb::ziplist;

    /// All members of a sorted set, which is followed by `!`.
    fn members(kind: u8, bytes: &[u8]) -> Result<Vec<(Vec<u8>, f64)>, Fault> {
        let bytes = [bytes, b"!"].concat();
        let body = Input::new(&bytes);
        let set = SortedSet::open(kind, body, Duplicates::Refused)?;
        let mut set = set.unwrap();
        let mut found = Vec::new();
        while let Some(member) = set.next_member(body)? {
            found.push((member.name.text().to_vec(), member.score));
        }
        assert_eq!(set.rest(body).rest(), b"!");
        Ok(found)
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&[bytes.len() as u8], bytes].concat()
    }

    fn doubles(members: &[(&[u8], f64)]) -> Vec<u8> {
        let member = |(name, score): &(&[u8], f64)| [name, &score.to_le_bytes()[..]].concat();
        let members: Vec<u8> = members.iter().flat_map(member).collect();
        [&[2], &*members].concat()
    }

    #[test]
    fn sorted_sets_of_every_type_are_read() {
        let listpack = b"\x13\0\0\0\x04\0\x81a\x02\x831.5\x04\x06\x01\x84-inf\x05\xff";
        let listpack = [&[listpack.len() as u8], &listpack[1..]].concat();
        for (kind, bytes) in [
            (3, b"\x02\x01a\x031.5\xc0\x06\xff".to_vec()),
            (
                5,
                doubles(&[(b"\x01a", 1.5), (b"\xc0\x06", f64::NEG_INFINITY)]),
            ),
            (12, string(&ziplist::of(&[b"a", b"1.5", b"6", b"-inf"]))),
            (17, string(&listpack)),
        ] {
            let found = members(kind, &bytes).unwrap();
            let expected = [(b"a".to_vec(), 1.5), (b"6".to_vec(), f64::NEG_INFINITY)];
            assert_eq!(found, expected, "{kind}");
        }
        let integers = string(&ziplist::of(&[b"a", b"-7"]));
        assert_eq!(members(12, &integers).unwrap(), [(b"a".to_vec(), -7.0)]);
    }

    #[test]
    fn what_is_written_is_read() {
        let expected = [
            (&b"-inf"[..], f64::NEG_INFINITY),
            (b"12", -1.5),
            (b"b", 3.0),
        ];
        for (form, kind) in [(SortedSetForm::Listpack, 17), (SortedSetForm::Strings, 5)] {
            let mut out = Output::new(Packing::None);
            out.byte(form.kind());
            let mut writer = SortedSetWriter::begin(form, 3, &mut out);
            for (name, score) in expected {
                writer.push(name, (score, score.to_string().as_bytes()), &mut out);
            }
            writer.finish(&mut out);
            let bytes = out.into_bytes();
            assert_eq!(bytes[0], kind);
            let found = members(kind, &bytes[1..]).unwrap();
            let expected = expected.map(|(name, score)| (name.to_vec(), score));
            assert_eq!(found, expected, "{form:?}");
        }
    }

    #[test]
    fn what_no_sorted_set_is_is_refused() {
        let no_number = Fault::Damaged("a score is no number");
        for (kind, bytes, fault) in [
            (3, b"\x00".to_vec(), Fault::Empty),
            (5, b"\x00".to_vec(), Fault::Empty),
            (12, string(&ziplist::of(&[])), Fault::Empty),
            (17, b"\x07\x07\0\0\0\0\0\xff".to_vec(), Fault::Empty),
            (3, b"\x01\x01a\xfd".to_vec(), no_number),
            (
                5,
                doubles(&[(b"\x01a", f64::NAN), (b"\x01b", 1.0)]),
                no_number,
            ),
            (12, string(&ziplist::of(&[b"a", b"nan"])), no_number),
            (12, string(&ziplist::of(&[b"a", b"x"])), no_number),
            (
                12,
                string(&ziplist::of(&[b"a", b"1", b"a", b"2"])),
                Fault::Duplicate,
            ),
            (
                5,
                doubles(&[(b"\x01a", 1.0), (b"\x01a", 2.0)]),
                Fault::Duplicate,
            ),
            (5, b"\x01\x01a\0\0\0".to_vec(), Fault::Truncated),
        ] {
            assert_eq!(members(kind, &bytes), Err(fault), "{kind}: {bytes:x?}");
        }
    }
}
