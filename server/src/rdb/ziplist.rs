//! Ziplists: what Redis kept small collections in up to 6.2, and the nodes of lists.
//!
//! ```text
//! [ bytes in all (4) | where the last entry begins (4) | entries (2), 65535: not said | entry ... | 255 ]   little-endian
//!
//! entry:  [ the bytes of the entry before: 1 byte, or 254 and 4 | what it is | a number's or a string's bytes ]
//!         00LLLLLL bytes ... | 01LLLLLL L8 bytes ... | 10...... L32 bytes ...                  lengths big-endian
//!         11000000 N16 | 11010000 N32 | 11100000 N64 | 11110000 N24 | 11111110 N8
//!         1111NNNN                               N - 1, which is 0 to 12
//! ```

use super::fault::Fault;
use super::input::Input;
use super::item::Item;
use super::listpack::{END, check_frame, i24, says};

const HEADER_BYTES: usize = 10;
const LONG: u8 = 0xfe;

/// How far a ziplist has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    at: usize,
    /// Where the entry before begins.
    before: usize,
    entries: u64,
}

impl Cursor {
    /// Checks the header.
    pub(super) fn open(bytes: &[u8]) -> Result<Self, Fault> {
        check_frame(
            bytes,
            HEADER_BYTES,
            "a ziplist has not the length it says",
            "a ziplist has no end",
        )?;
        Ok(Self {
            at: HEADER_BYTES,
            before: HEADER_BYTES,
            entries: 0,
        })
    }

    /// Whether all entries have been read. They are as many as the header says, and the last is where it says.
    pub(super) fn is_done(self, bytes: &[u8]) -> Result<bool, Fault> {
        if self.at + 1 < bytes.len() {
            return Ok(false);
        }
        let last = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let is_right = match self.entries {
            0 => (last as usize) < bytes.len(),
            _ => last as usize == self.before,
        };
        if !is_right {
            return Err(Fault::Damaged(
                "a ziplist's last entry is not where it says",
            ));
        }
        match says([bytes[8], bytes[9]], self.entries) {
            true => Ok(true),
            false => Err(Fault::Damaged("a ziplist has not the entries it says")),
        }
    }

    /// The next entry.
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<Item<'b>, Fault> {
        let left = &bytes[self.at..bytes.len() - 1];
        let mut input = Input::new(left);
        let before_bytes = match input.byte()? {
            END => return Err(Fault::Damaged("a ziplist ends before its end")),
            LONG => u32::from_le_bytes(input.array()?) as usize,
            short => short.into(),
        };
        if before_bytes != self.at - self.before {
            return Err(Fault::Damaged("a ziplist's entry has two lengths"));
        }
        let item = read(&mut input)?;
        self.before = self.at;
        self.at += left.len() - input.rest().len();
        self.entries += 1;
        Ok(item)
    }
}

fn read<'b>(input: &mut Input<'b>) -> Result<Item<'b>, Fault> {
    let first = input.byte()?;
    let string_bytes = match first {
        0..0x40 => u64::from(first),
        0x40..0x80 => u64::from(u16::from_be_bytes([first & 0x3f, input.byte()?])),
        0x80..0xc0 => u64::from(u32::from_be_bytes(input.array()?)),
        0xc0 => return Ok(Item::Integer(i16::from_le_bytes(input.array()?).into())),
        0xd0 => return Ok(Item::Integer(i32::from_le_bytes(input.array()?).into())),
        0xe0 => return Ok(Item::Integer(i64::from_le_bytes(input.array()?))),
        0xf0 => return Ok(Item::Integer(i24(input.array()?))),
        0xf1..=0xfd => return Ok(Item::Integer(i64::from(first) - 0xf1)),
        0xfe => return Ok(Item::Integer(i8::from_le_bytes(input.array()?).into())),
        _ => return Err(Fault::Damaged("a ziplist's entry is of an unknown form")),
    };
    Ok(Item::Bytes(input.take(string_bytes)?))
}

/// A ziplist of these entries, each in the shortest form.
#[cfg(test)]
pub(super) fn of(texts: &[&[u8]]) -> Vec<u8> {
    use larder_engine::parse_canonical_i64;

    let mut bytes = vec![0; HEADER_BYTES];
    let (mut before, mut last) = (0_u32, HEADER_BYTES);
    for text in texts {
        last = bytes.len();
        match before {
            0..254 => bytes.push(before as u8),
            _ => {
                bytes.push(LONG);
                bytes.extend_from_slice(&before.to_le_bytes());
            }
        }
        match (parse_canonical_i64(text), text.len()) {
            (Some(number @ 0..=12), _) => bytes.push(0xf1 + number as u8),
            (Some(number @ -128..=127), _) => bytes.extend_from_slice(&[0xfe, number as u8]),
            (Some(number @ -0x8000..=0x7fff), _) => {
                bytes.push(0xc0);
                bytes.extend_from_slice(&number.to_le_bytes()[..2]);
            }
            (Some(number @ -0x80_0000..=0x7f_ffff), _) => {
                bytes.push(0xf0);
                bytes.extend_from_slice(&number.to_le_bytes()[..3]);
            }
            (Some(number @ -0x8000_0000..=0x7fff_ffff), _) => {
                bytes.push(0xd0);
                bytes.extend_from_slice(&number.to_le_bytes()[..4]);
            }
            (Some(number), _) => {
                bytes.push(0xe0);
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            (None, len) => {
                match len {
                    0..0x40 => bytes.push(len as u8),
                    0x40..0x4000 => {
                        bytes.extend_from_slice(&(0x4000 | len as u16).to_be_bytes());
                    }
                    _ => {
                        bytes.push(0x80);
                        bytes.extend_from_slice(&(len as u32).to_be_bytes());
                    }
                }
                bytes.extend_from_slice(text);
            }
        }
        before = (bytes.len() - last) as u32;
    }
    bytes.push(END);
    let total = bytes.len() as u32;
    bytes[..4].copy_from_slice(&total.to_le_bytes());
    bytes[4..8].copy_from_slice(&(last as u32).to_le_bytes());
    let said = u16::try_from(texts.len()).unwrap_or(super::listpack::UNKNOWN_COUNT);
    bytes[8..HEADER_BYTES].copy_from_slice(&said.to_le_bytes());
    bytes
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

    /// The example of Redis's own description: "2" and "5".
    const TWO_AND_FIVE: &[u8] = b"\x0f\0\0\0\x0c\0\0\0\x02\0\x00\xf3\x02\xf6\xff";

    #[test]
    fn the_example_of_redis_is_read() {
        assert_eq!(entries(TWO_AND_FIVE).unwrap(), [b"2", b"5"]);
        assert_eq!(of(&[b"2", b"5"]), TWO_AND_FIVE);
        let with_hello = b"\x1c\0\0\0\x0e\0\0\0\x03\0\x00\xf3\x02\xf6\x02\x0bHello World\xff";
        let found = entries(with_hello).unwrap();
        assert_eq!(found, [&b"2"[..], b"5", b"Hello World"]);
    }

    #[test]
    fn every_form_of_entry_is_read() {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for power in 0..63 {
            for number in [(1_i64 << power) - 1, 1 << power, (1 << power) + 1] {
                texts.push(number.to_string().into_bytes());
                texts.push((-number).to_string().into_bytes());
            }
        }
        texts.push(i64::MIN.to_string().into_bytes());
        for len in [0, 63, 64, 249, 250, 251, 252, 16_383, 16_384, 70_000, 1] {
            texts.push(vec![b'x'; len]);
        }
        let borrowed: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        assert_eq!(entries(&of(&borrowed)).unwrap(), texts);
        let many = of(&vec![&b"1"[..]; 70_000]);
        assert_eq!(entries(&many).unwrap().len(), 70_000);
    }

    #[test]
    fn a_long_form_of_a_short_length_is_read_since_redis_leaves_such() {
        let bytes = b"\x13\0\0\0\x0c\0\0\0\x02\0\x00\xf3\xfe\x02\0\0\0\xf6\xff";
        assert_eq!(entries(bytes).unwrap(), [b"2", b"5"]);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (at, byte, fault) in [
            (0, 0x0e, "a ziplist has not the length it says"),
            (14, 0xfe, "a ziplist has no end"),
            (4, 0x0a, "a ziplist's last entry is not where it says"),
            (8, 1, "a ziplist has not the entries it says"),
            (8, 3, "a ziplist has not the entries it says"),
            (10, 1, "a ziplist's entry has two lengths"),
            (12, 3, "a ziplist's entry has two lengths"),
            (12, 0xff, "a ziplist ends before its end"),
            (11, 0xff, "a ziplist's entry is of an unknown form"),
            (11, 0xc1, "a ziplist's entry is of an unknown form"),
        ] {
            let mut bad = TWO_AND_FIVE.to_vec();
            bad[at] = byte;
            assert_eq!(entries(&bad), Err(Fault::Damaged(fault)), "{at}");
        }
        for (at, byte) in [(11, 0x03), (11, 0x40), (11, 0x80), (13, 0xfe), (13, 0xe0)] {
            let mut bad = TWO_AND_FIVE.to_vec();
            bad[at] = byte;
            assert_eq!(entries(&bad), Err(Fault::Truncated), "{at} {byte}");
        }
        assert_eq!(entries(&of(&[])).unwrap().len(), 0);
        let mut no_last = of(&[]);
        no_last[4] = no_last.len() as u8;
        assert!(entries(&no_last).is_err());
    }
}
