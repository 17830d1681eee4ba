//! Zipmaps: what Redis kept small hashes in before 2.6.
//!
//! ```text
//! [ fields (1), from 254 on: not said | field ... | 255 ]
//!
//! field:   [ length | the field's bytes | length | unused (1) | the value's bytes | as many unused ones ]
//! length:  1 byte, or 254 and 4 bytes, little-endian
//! ```

use super::fault::Fault;
use super::input::Input;
use super::item::Item;

const END: u8 = 0xff;
const LONG: u8 = 0xfe;

/// How far a zipmap has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    at: usize,
    fields: u64,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Field,
    Value,
}

impl Cursor {
    pub(super) fn open(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() < 2 || !bytes.ends_with(&[END]) {
            return Err(Fault::Damaged("a zipmap has no end"));
        }
        Ok(Self {
            at: 1,
            fields: 0,
            next: Next::Field,
        })
    }

    /// Whether all fields have been read. They are as many as the first byte says.
    pub(super) fn is_done(self, bytes: &[u8]) -> Result<bool, Fault> {
        if self.at + 1 < bytes.len() || self.next == Next::Value {
            return Ok(false);
        }
        if bytes[0] < LONG && u64::from(bytes[0]) != self.fields {
            return Err(Fault::Damaged("a zipmap has not the fields it says"));
        }
        Ok(true)
    }

    /// The next field or value.
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<Item<'b>, Fault> {
        let left = &bytes[self.at..bytes.len() - 1];
        let mut input = Input::new(left);
        let len = length(&mut input)?;
        let text = match self.next {
            Next::Field => {
                self.next = Next::Value;
                input.take(len)?
            }
            Next::Value => {
                self.next = Next::Field;
                self.fields += 1;
                let unused = input.byte()?;
                let value = input.take(len)?;
                input.take(unused.into())?;
                value
            }
        };
        self.at += left.len() - input.rest().len();
        Ok(Item::Bytes(text))
    }
}

fn length(input: &mut Input<'_>) -> Result<u64, Fault> {
    match input.byte()? {
        END => Err(Fault::Damaged("a zipmap ends before its end")),
        LONG => match u32::from_le_bytes(input.array()?) {
            len if len < LONG.into() => Err(Fault::Damaged("a zipmap's short length is long")),
            len => Ok(len.into()),
        },
        len => Ok(len.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        let mut cursor = Cursor::open(bytes)?;
        let mut found = Vec::new();
        while !cursor.is_done(bytes)? {
            found.push(cursor.next(bytes)?.text().to_vec());
        }
        Ok(found)
    }

    #[test]
    fn fields_are_read_without_what_is_unused() {
        let expected = [&b"foo"[..], b"bar", b"hello", b"world"];
        let tight = b"\x02\x03foo\x03\x00bar\x05hello\x05\x00world\xff";
        assert_eq!(entries(tight).unwrap(), expected);
        let loose = b"\xfe\x03foo\x03\x02bar??\x05hello\x05\x01world?\xff";
        assert_eq!(entries(loose).unwrap(), expected);
        let long = [&b"\x01\xfe\x00\x01\0\0"[..], &[b'f'; 256], b"\x00\x00\xff"].concat();
        assert_eq!(entries(&long).unwrap(), [vec![b'f'; 256], vec![]]);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (bytes, fault) in [
            (&b"\xff"[..], Fault::Damaged("a zipmap has no end")),
            (b"\x01\x01a\x01\x00b", Fault::Damaged("a zipmap has no end")),
            (
                b"\x02\x01a\x01\x00b\xff",
                Fault::Damaged("a zipmap has not the fields it says"),
            ),
            (
                b"\x01\xfe\x01\0\0\0a\x01\x00b\xff",
                Fault::Damaged("a zipmap's short length is long"),
            ),
            (
                b"\x01\x01a\xff\x00b\xff",
                Fault::Damaged("a zipmap ends before its end"),
            ),
            (b"\x01\x01a\xff", Fault::Truncated),
            (b"\x01\x01a\x01\xff", Fault::Truncated),
            (b"\x01\x01a\x02\x00b\xff", Fault::Truncated),
            (b"\x01\x01a\x01\x01b\xff", Fault::Truncated),
            (b"\x01\x05a\x01\x00b\xff", Fault::Truncated),
            (b"\x01\xfe\xff\xff\xff\xffa\xff", Fault::Truncated),
        ] {
            assert_eq!(entries(bytes), Err(fault), "{bytes:x?}");
        }
    }
}
