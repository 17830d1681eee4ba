//! Hashes, and the deadlines of their fields: reading them; `writer.rs` writes them.
//!
//! ```text
//!  4  fields (length) | [ string: field | string: value ] ...                            a large hash
//!  9  string: a zipmap                                                                   before 2.6
//! 13  string: a ziplist of fields and values                                             up to 6.2
//! 16  string: a listpack of fields and values                                            from 7.0 on
//! ```
//! Redis from 7.4 on, for a hash in which a field has a deadline; 22 and 23 are those of its release candidates:
//!
//! ```text
//! 24  soonest (8) | fields (length) | [ deadline (length) | string: field | string: value ] ...
//!                                                     0: none, else the milliseconds from the soonest, and 1
//! 25  soonest (8) | string: a listpack of fields, values and deadlines, 0: none; sorted, those without last
//! 22  as 24, without the soonest; deadlines absolute
//! 23  as 25, without the soonest
//! ```
//! Valkey 9, for the same:
//!
//! ```text
//! 22  fields (length) | [ string: field | string: value | deadline (8), -1: none ] ...
//! ```
//! Written are 4 and 16, which any Redis from 7.0 on reads, and 24 and 25, which those from 7.4 on do.

mod writer;

pub use writer::{HashForm, HashThresholds, HashWriter};

use super::fault::Fault;
use super::input::Input;
use super::item::Item;
use super::kind;
use super::limits::DEADLINE_MAX_MS;
use super::packed::{Layout, Packed, forget};
use super::seen::{Duplicates, Names};
use super::version::Version;

const WRONG_DEADLINE: Fault = Fault::Damaged("a field's deadline is no moment");

/// A field of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Item<'a>,
    /// Its value.
    pub value: Item<'a>,
    /// When it expires, in milliseconds of Unix time, not negative. That may have passed; Redis's are at most
    /// [`DEADLINE_MAX_MS`], Valkey's may be any later.
    pub deadline_ms: Option<i64>,
}

/// The fields of a hash, in the order in which they were written.
#[derive(Debug)]
pub struct Hash {
    /// Bytes that were read.
    read: usize,
    source: Source,
    names: Names,
}

#[derive(Debug)]
enum Source {
    /// Strings among the bytes.
    Strings(Strings),
    /// A field and its value, one after the other.
    Pairs(Packed),
    /// The same, and deadlines.
    Triples(Packed, Deadlines),
}

/// What is left of a hash that is strings among the bytes.
#[derive(Debug)]
struct Strings {
    left: u64,
    form: DeadlineForm,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// How a deadline stands with its field.
#[derive(Clone, Copy, Debug)]
enum DeadlineForm {
    None,
    Absolute,
    From { soonest_ms: u64 },
    Valkey,
}

/// What deadlines may follow, in a listpack.
#[derive(Clone, Copy, Debug)]
enum Deadlines {
    NotBefore(i64),
    NoMore,
}

impl Strings {
    fn next<'s, 'a: 's>(&'s mut self, input: &mut Input<'a>) -> Result<Option<Field<'s>>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        let absolute_ms = match self.form {
            DeadlineForm::None | DeadlineForm::Valkey => 0,
            DeadlineForm::Absolute => input.length()?,
            DeadlineForm::From { soonest_ms } => match input.length()? {
                0 => 0,
                from => soonest_ms.checked_add(from - 1).ok_or(WRONG_DEADLINE)?,
            },
        };
        if absolute_ms > DEADLINE_MAX_MS {
            return Err(WRONG_DEADLINE);
        }
        let name = input.item(&mut self.name)?;
        let value = input.item(&mut self.value)?;
        let deadline_ms = match (self.form, absolute_ms) {
            (DeadlineForm::Valkey, _) => match input.millis()? {
                ..-1 => return Err(WRONG_DEADLINE),
                -1 => None,
                at => Some(at),
            },
            (_, 0) => None,
            (_, at) => Some(at as i64),
        };
        self.left -= 1;
        Ok(Some(Field {
            name,
            value,
            deadline_ms,
        }))
    }
}

impl Deadlines {
    /// The deadline that comes next in a listpack.
    fn read(&mut self, item: Item<'_>) -> Result<Option<i64>, Fault> {
        let Item::Integer(at) = item else {
            return Err(WRONG_DEADLINE);
        };
        if at == 0 {
            *self = Self::NoMore;
            return Ok(None);
        }
        match *self {
            _ if at < 0 || at as u64 > DEADLINE_MAX_MS => Err(WRONG_DEADLINE),
            Self::NotBefore(earliest) if at >= earliest => {
                *self = Self::NotBefore(at);
                Ok(Some(at))
            }
            _ => Err(Fault::Damaged("deadlines of fields are not in their order")),
        }
    }
}

impl Hash {
    /// Begins to read a hash of this type from `body`; `None` if hashes have no such type.
    pub(super) fn open(
        kind: u8,
        version: Version,
        body: Input<'_>,
        duplicates: Duplicates,
    ) -> Result<Option<Self>, Fault> {
        let mut input = body;
        let packed =
            |layout, input: &mut Input<'_>| Packed::open(layout, body, input).map(Source::Pairs);
        let triples = |input: &mut Input<'_>| {
            let packed = Packed::open(Layout::Listpack, body, input)?;
            Ok(Source::Triples(packed, Deadlines::NotBefore(0)))
        };
        let source = if version.is_valkey() && kind >= kind::VALKEY_HASH_2 {
            match kind {
                kind::VALKEY_HASH_2 => Source::strings(&mut input, DeadlineForm::Valkey)?,
                _ => return Ok(None),
            }
        } else {
            match kind {
                kind::HASH => Source::strings(&mut input, DeadlineForm::None)?,
                kind::HASH_ZIPMAP => packed(Layout::Zipmap, &mut input)?,
                kind::HASH_ZIPLIST => packed(Layout::Ziplist, &mut input)?,
                kind::HASH_LISTPACK => packed(Layout::Listpack, &mut input)?,
                kind::HASH_METADATA_PRE_GA => Source::strings(&mut input, DeadlineForm::Absolute)?,
                kind::HASH_METADATA => {
                    let soonest_ms = u64::from_le_bytes(input.array()?);
                    Source::strings(&mut input, DeadlineForm::From { soonest_ms })?
                }
                kind::HASH_LISTPACK_EX_PRE_GA => triples(&mut input)?,
                kind::HASH_LISTPACK_EX => {
                    input.millis()?;
                    triples(&mut input)?
                }
                _ => return Ok(None),
            }
        };
        Ok(Some(Self {
            read: body.len() - input.len(),
            source,
            names: Names::new(duplicates),
        }))
    }

    /// The next field, `None` behind the last. `body` is what it was opened on.
    ///
    /// # Errors
    /// The hash is damaged there, or has no fields at all.
    pub fn next_field<'s>(&'s mut self, body: Input<'s>) -> Result<Option<Field<'s>>, Fault> {
        let field = match &mut self.source {
            Source::Strings(strings) => {
                body.read_on(&mut self.read, |input| strings.next(input))?
            }
            Source::Pairs(packed) => packed.next(body)?.map(|[name, value]| Field {
                name,
                value,
                deadline_ms: None,
            }),
            Source::Triples(packed, deadlines) => match packed.next(body)? {
                Some([name, value, deadline]) => Some(Field {
                    name,
                    value,
                    deadline_ms: deadlines.read(deadline)?,
                }),
                None => None,
            },
        };
        let Some(field) = field else {
            return self.names.end().map(|()| None);
        };
        self.names.add(field.name)?;
        Ok(Some(field))
    }

    /// What of `body` stands behind the hash, once it was read to its end.
    #[must_use]
    pub fn rest<'b>(&self, body: Input<'b>) -> Input<'b> {
        body.behind(self.read)
    }

    /// Has it forget the first bytes of what it was opened on that it needs no longer, and gives how many: it is given the rest from now on.
    pub fn forget(&mut self) -> usize {
        let held = match &mut self.source {
            Source::Strings(_) => None,
            Source::Pairs(packed) | Source::Triples(packed, _) => Some(packed.held()),
        };
        forget(&mut self.read, held)
    }

    /// The memory that reading it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let source = match &self.source {
            Source::Strings(strings) => strings.name.capacity() + strings.value.capacity(),
            Source::Pairs(packed) | Source::Triples(packed, _) => packed.held_bytes(),
        };
        source + self.names.held_bytes()
    }
}

impl Source {
    fn strings(input: &mut Input<'_>, form: DeadlineForm) -> Result<Self, Fault> {
        Ok(Self::Strings(Strings {
            left: input.length()?,
            form,
            name: Vec::new(),
            value: Vec::new(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::listpack;
    use crate::rdb::output::{Output, Packing};
    use crate::rdb::ziplist;

    pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>, Option<i64>)>;

    pub(super) const REDIS: Version = Version(12);
    const VALKEY: Version = Version(80);

    /// All fields of a hash, which is followed by `!`.
    pub(super) fn fields(kind: u8, version: Version, bytes: &[u8]) -> Result<Fields, Fault> {
        let bytes = [bytes, b"!"].concat();
        let body = Input::new(&bytes);
        let hash = Hash::open(kind, version, body, Duplicates::Refused)?;
        let mut hash = hash.ok_or(Fault::UnknownType(kind))?;
        let mut found = Vec::new();
        while let Some(field) = hash.next_field(body)? {
            let text = (field.name.text().to_vec(), field.value.text().to_vec());
            found.push((text.0, text.1, field.deadline_ms));
        }
        assert_eq!(hash.rest(body).rest(), b"!");
        Ok(found)
    }

    pub(super) fn expected(fields: &[(&str, &str, Option<i64>)]) -> Fields {
        let owned = |text: &str| text.as_bytes().to_vec();
        let fields = fields.iter();
        fields
            .map(|(name, value, at)| (owned(name), owned(value), *at))
            .collect()
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        let mut out = Output::new(Packing::Lzf);
        out.blob(bytes);
        out.into_bytes()
    }

    fn listpack(texts: &[&str]) -> Vec<u8> {
        let mut writer = listpack::Writer::default();
        for text in texts {
            writer.push(text.as_bytes());
        }
        let mut bytes = Vec::new();
        writer.finish(|whole| bytes = string(whole));
        bytes
    }

    fn millis(at: i64, rest: &[u8]) -> Vec<u8> {
        [&at.to_le_bytes(), rest].concat()
    }

    #[test]
    fn hashes_of_every_type_are_read() {
        let plain = expected(&[("a", "1", None), ("b", "", None)]);
        for (kind, bytes) in [
            (4, b"\x02\x01a\xc0\x01\x01b\x00".to_vec()),
            (9, string(b"\x02\x01a\x01\x001\x01b\x00\x02??\xff")),
            (13, string(&ziplist::of(&[b"a", b"1", b"b", b""]))),
            (16, listpack(&["a", "1", "b", ""])),
        ] {
            assert_eq!(fields(kind, REDIS, &bytes).unwrap(), plain, "{kind}");
            assert_eq!(fields(kind, VALKEY, &bytes).unwrap(), plain, "{kind}");
        }
    }

    #[test]
    fn deadlines_of_fields_are_read_as_each_server_writes_them() {
        let with = expected(&[
            ("b", "2", Some(1000)),
            ("c", "3", Some(1063)),
            ("a", "1", None),
        ]);
        let relative = b"\x03\x01\x01b\xc0\x02\x40\x40\x01c\xc0\x03\x00\x01a\xc0\x01";
        let absolute = b"\x03\x43\xe8\x01b\xc0\x02\x44\x27\x01c\xc0\x03\x00\x01a\xc0\x01";
        let triples = listpack(&["b", "2", "1000", "c", "3", "1063", "a", "1", "0"]);
        for (kind, bytes) in [
            (24, millis(1000, relative)),
            (22, absolute.to_vec()),
            (25, millis(1000, &triples)),
            (23, triples.clone()),
        ] {
            assert_eq!(fields(kind, REDIS, &bytes).unwrap(), with, "{kind}");
            let at_valkey = fields(kind, VALKEY, &bytes);
            assert!(at_valkey.is_err(), "{kind}: {at_valkey:?}");
        }
        let behind = [
            (&b"\x03\x01b\xc0\x02"[..], 1000_i64),
            (b"\x01c\xc0\x03", 1063),
            (b"\x01a\xc0\x01", -1),
        ];
        let behind = behind.map(|(field, at)| [field, &at.to_le_bytes()].concat());
        assert_eq!(fields(22, VALKEY, &behind.concat()).unwrap(), with);
    }

    #[test]
    fn a_field_that_comes_twice_is_refused_unless_the_caller_looks() {
        let triples = listpack(&["5", "1", "0", "5", "1", "0"]);
        let again = b"\x02\xc0\x05\x00\x015\x00";
        for (kind, bytes) in [
            (4, again.to_vec()),
            (9, string(b"\x02\x01a\x01\x001\x01a\x00\x02??\xff")),
            (13, string(&ziplist::of(&[b"5", b"1", b"5", b"2"]))),
            (16, listpack(&["5", "1", "5", "2"])),
            (24, millis(1, b"\x02\x00\x01a\x00\x00\x01a\x00")),
            (22, b"\x02\x00\x01a\x00\x00\x01a\x00".to_vec()),
            (25, millis(0, &triples)),
            (23, triples),
        ] {
            assert_eq!(fields(kind, REDIS, &bytes), Err(Fault::Duplicate), "{kind}");
        }
        // A number and its digits are the same field.
        let mixed = string(b"\x10\0\0\0\x04\0\x05\x01\x01\x01\x815\x02\x02\x01\xff");
        assert_eq!(fields(16, REDIS, &mixed), Err(Fault::Duplicate));
        let input = Input::new(again);
        let hash = Hash::open(4, REDIS, input, Duplicates::LeftToCaller);
        let mut hash = hash.unwrap().unwrap();
        assert_eq!(
            hash.next_field(input).unwrap().unwrap().name,
            Item::Integer(5)
        );
        assert_eq!(
            hash.next_field(input).unwrap().unwrap().name,
            Item::Bytes(b"5")
        );
    }

    #[test]
    fn a_hash_without_fields_is_none() {
        for (kind, bytes) in [
            (4, b"\x00".to_vec()),
            (9, string(b"\x00\xff")),
            (13, string(&ziplist::of(&[]))),
            (16, listpack(&[])),
            (22, b"\x00".to_vec()),
            (23, listpack(&[])),
            (24, millis(1000, b"\x00")),
            (25, millis(1000, &listpack(&[]))),
        ] {
            assert_eq!(fields(kind, REDIS, &bytes), Err(Fault::Empty), "{kind}");
        }
        assert_eq!(fields(22, VALKEY, b"\x00"), Err(Fault::Empty));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let no_value = Fault::Damaged("a field has no value");
        let order = Fault::Damaged("deadlines of fields are not in their order");
        for (kind, bytes, fault) in [
            (
                4,
                b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a\x01b".to_vec(),
                Fault::Truncated,
            ),
            (13, string(&ziplist::of(&[b"a", b"1", b"b"])), no_value),
            (16, listpack(&["a", "1", "b"]), no_value),
            (25, millis(0, &listpack(&["a", "1"])), no_value),
            (
                25,
                millis(0, &listpack(&["a", "1", "5", "b", "1", "4"])),
                order,
            ),
            (23, listpack(&["a", "1", "0", "b", "1", "4"]), order),
            (23, listpack(&["a", "1", "-1"]), WRONG_DEADLINE),
            (23, listpack(&["a", "1", "x"]), WRONG_DEADLINE),
            (23, listpack(&["a", "1", "281474976710656"]), WRONG_DEADLINE),
            (
                22,
                b"\x01\x81\0\x01\0\0\0\0\0\0\x01a\x00".to_vec(),
                WRONG_DEADLINE,
            ),
            (24, millis(i64::MAX, b"\x01\x01\x01a\x00"), WRONG_DEADLINE),
            (24, millis(-1, b"\x01\x02\x01a\x00"), WRONG_DEADLINE),
        ] {
            assert_eq!(
                fields(kind, REDIS, &bytes),
                Err(fault),
                "{kind}: {bytes:x?}"
            );
        }
        let before = [&b"\x01\x01a\x00"[..], &(-2_i64).to_le_bytes()].concat();
        assert_eq!(fields(22, VALKEY, &before), Err(WRONG_DEADLINE));
        let last = millis(0, &listpack(&["a", "1", "281474976710655"]));
        assert_eq!(fields(25, REDIS, &last).unwrap()[0].2, Some((1 << 48) - 1));
    }
}
