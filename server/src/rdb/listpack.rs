//! Listpacks: what Redis 7 keeps small collections in, and the nodes of lists.
//!
//! ```text
//! [ bytes in all (4) | entries (2), 65535: not said | entry ... | 255 ]                          little-endian
//!
//! entry:  [ what it is, and a number's or a string's bytes | how long that is: 1 to 5 bytes, to be read from the end ]
//!         0NNNNNNN                                0 to 127
//!         10LLLLLL bytes ...                      a string of up to 63 bytes
//!         110NNNNN N8                             a number of 13 bits
//!         1110LLLL L8 bytes ...                   a string of up to 4095 bytes
//!         11110000 L32 bytes ...                  a longer string
//!         11110001 N16 | 11110010 N24 | 11110011 N32 | 11110100 N64
//! ```
//! An entry's length has seven bits a byte, the highest first; all bytes but the first have their top bit set. A length of 14
//! ones, or 21, or 28, has a byte more than it needs with Redis, and has not with Valkey, and neither reads the other's. Both
//! are read here, and none is written ([`ENTRY_TEXT_MAX_BYTES`]).

use larder_engine::parse_canonical_i64;

use super::fault::Fault;
use super::input::Input;
use super::item::Item;

const HEADER_BYTES: usize = 6;
pub(super) const END: u8 = 0xff;

/// What the header says when it does not say how many entries there are.
pub(super) const UNKNOWN_COUNT: u16 = u16::MAX;

/// How far a listpack has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    at: usize,
    entries: u64,
}

impl Cursor {
    /// Checks the header.
    pub(super) fn open(bytes: &[u8]) -> Result<Self, Fault> {
        check_frame(
            bytes,
            HEADER_BYTES,
            "a listpack has not the length it says",
            "a listpack has no end",
        )?;
        Ok(Self {
            at: HEADER_BYTES,
            entries: 0,
        })
    }

    /// Whether all entries have been read. They are as many as the header says.
    pub(super) fn is_done(self, bytes: &[u8]) -> Result<bool, Fault> {
        if self.at + 1 < bytes.len() {
            return Ok(false);
        }
        match says([bytes[4], bytes[5]], self.entries) {
            true => Ok(true),
            false => Err(Fault::Damaged("a listpack has not the entries it says")),
        }
    }

    /// The next entry.
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<Item<'b>, Fault> {
        let left = &bytes[self.at..bytes.len() - 1];
        let mut input = Input::new(left);
        let item = read(&mut input)?;
        let entry_bytes = left.len() - input.rest().len();
        let is_redis = input.rest().first() == Some(&0);
        let (expected, len) = length_backwards(entry_bytes, is_redis);
        if input.take(len as u64)? != &expected[..len] {
            return Err(Fault::Damaged("a listpack's entry has two lengths"));
        }
        self.at += entry_bytes + len;
        self.entries += 1;
        Ok(item)
    }
}

/// Checks what listpacks and ziplists have in common: the length in front, and the end. With the faults of either.
pub(super) fn check_frame(
    bytes: &[u8],
    header_bytes: usize,
    wrong_length: &'static str,
    no_end: &'static str,
) -> Result<(), Fault> {
    let total = u32::from_le_bytes(Input::new(bytes).array()?);
    if total as usize != bytes.len() || bytes.len() <= header_bytes {
        return Err(Fault::Damaged(wrong_length));
    }
    if !bytes.ends_with(&[END]) {
        return Err(Fault::Damaged(no_end));
    }
    Ok(())
}

/// Whether a header that says this many entries may stand before so many.
pub(super) fn says(count: [u8; 2], entries: u64) -> bool {
    let count = u16::from_le_bytes(count);
    count == UNKNOWN_COUNT || u64::from(count) == entries
}

fn read<'b>(input: &mut Input<'b>) -> Result<Item<'b>, Fault> {
    let first = input.byte()?;
    let string_bytes = match first {
        0..0x80 => return Ok(Item::Integer(first.into())),
        0x80..0xc0 => u64::from(first & 0x3f),
        0xc0..0xe0 => {
            // The thirteen bits to the top, and down again with the sign.
            let bits = i16::from_be_bytes([first, input.byte()?]) << 3;
            return Ok(Item::Integer((bits >> 3).into()));
        }
        0xe0..0xf0 => u64::from(u16::from_be_bytes([first & 0x0f, input.byte()?])),
        0xf0 => u64::from(u32::from_le_bytes(input.array()?)),
        0xf1 => return Ok(Item::Integer(i16::from_le_bytes(input.array()?).into())),
        0xf2 => return Ok(Item::Integer(i24(input.array()?))),
        0xf3 => return Ok(Item::Integer(i32::from_le_bytes(input.array()?).into())),
        0xf4 => return Ok(Item::Integer(i64::from_le_bytes(input.array()?))),
        0xf5.. => return Err(Fault::Damaged("a listpack's entry is of an unknown form")),
    };
    Ok(Item::Bytes(input.take(string_bytes)?))
}

/// A number of 24 bits.
pub(super) fn i24([a, b, c]: [u8; 3]) -> i64 {
    i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)
}

/// An entry's length as it stands behind it, and how many of the bytes it takes: with Redis, one of nothing but ones takes one
/// more.
fn length_backwards(entry_bytes: usize, is_redis: bool) -> ([u8; 5], usize) {
    let len = match entry_bytes {
        0..=0x7f => 1,
        0x3fff if is_redis => 3,
        0x80..=0x3fff => 2,
        0x1f_ffff if is_redis => 4,
        0x4000..=0x1f_ffff => 3,
        0xfff_ffff if is_redis => 5,
        0x20_0000..=0xfff_ffff => 4,
        _ => 5,
    };
    let mut bytes = [0; 5];
    for (at, byte) in bytes[..len].iter_mut().enumerate() {
        let seven = (entry_bytes >> (7 * (len - 1 - at))) as u8 & 0x7f;
        *byte = if at == 0 { seven } else { seven | 0x80 };
    }
    (bytes, len)
}

/// The longest string of an entry whose length Redis and Valkey write alike, whatever it is.
pub(super) const ENTRY_TEXT_MAX_BYTES: usize = 16_000;

/// The most bytes that an entry takes besides those of its string.
pub(super) const ENTRY_OVERHEAD_MAX: usize = 10;

/// A listpack that is being written.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    entries: u64,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            bytes: vec![0; HEADER_BYTES],
            entries: 0,
        }
    }
}

impl Writer {
    /// What it takes in all, its end included.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Adds a string, as a number if it is one.
    pub(super) fn push(&mut self, text: &[u8]) {
        /// Characters of the longest number of 64 bits.
        const INTEGER_MAX_BYTES: usize = 20;
        let number = (text.len() <= INTEGER_MAX_BYTES)
            .then(|| parse_canonical_i64(text))
            .flatten();
        match number {
            Some(number) => self.push_integer(number),
            None => self.push_string(text),
        }
    }

    fn push_string(&mut self, text: &[u8]) {
        let start = self.bytes.len();
        match text.len() {
            len @ 0..64 => self.bytes.push(0x80 | len as u8),
            len @ 64..4096 => self
                .bytes
                .extend_from_slice(&(0xe000 | len as u16).to_be_bytes()),
            len => {
                self.bytes.push(0xf0);
                self.bytes.extend_from_slice(&(len as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(text);
        self.end_entry(start);
    }

    /// Adds a number.
    pub(super) fn push_integer(&mut self, number: i64) {
        const I24: std::ops::Range<i64> = -(1 << 23)..1 << 23;
        let start = self.bytes.len();
        if (0..128).contains(&number) {
            self.bytes.push(number as u8);
        } else if (-4096..4096).contains(&number) {
            let bits = 0xc000 | (number as u16 & 0x1fff);
            self.bytes.extend_from_slice(&bits.to_be_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            self.bytes.push(0xf1);
            self.bytes.extend_from_slice(&number.to_le_bytes());
        } else if I24.contains(&number) {
            self.bytes.push(0xf2);
            self.bytes.extend_from_slice(&number.to_le_bytes()[..3]);
        } else if let Ok(number) = i32::try_from(number) {
            self.bytes.push(0xf3);
            self.bytes.extend_from_slice(&number.to_le_bytes());
        } else {
            self.bytes.push(0xf4);
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.end_entry(start);
    }

    fn end_entry(&mut self, start: usize) {
        let (length, len) = length_backwards(self.bytes.len() - start, true);
        self.bytes.extend_from_slice(&length[..len]);
        self.entries += 1;
    }

    /// Adds entries of another listpack, from byte `from` of it to byte `to`.
    pub(super) fn push_entries(&mut self, of: &Self, from: usize, to: usize, entries: u64) {
        self.bytes.extend_from_slice(&of.bytes[from..to]);
        self.entries += entries;
    }

    /// Where the next entry will stand.
    pub(super) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// Hands the whole listpack to `take`, and is empty then.
    ///
    /// # Panics
    /// It is longer than 4 GiB.
    pub(super) fn finish(&mut self, take: impl FnOnce(&[u8])) {
        self.bytes.push(END);
        let total = u32::try_from(self.bytes.len()).expect("what goes into a listpack is bounded");
        let entries = u16::try_from(self.entries).unwrap_or(UNKNOWN_COUNT);
        self.bytes[..4].copy_from_slice(&total.to_le_bytes());
        self.bytes[4..HEADER_BYTES].copy_from_slice(&entries.to_le_bytes());
        take(&self.bytes);
        self.bytes.truncate(HEADER_BYTES);
        self.entries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(texts: &[&[u8]]) -> Vec<u8> {
        let mut writer = Writer::default();
        for text in texts {
            writer.push(text);
        }
        let mut bytes = Vec::new();
        let len = writer.len();
        writer.finish(|whole| bytes = whole.to_vec());
        assert_eq!(bytes.len(), len);
        bytes
    }

    fn entries(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        let mut cursor = Cursor::open(bytes)?;
        let mut found = Vec::new();
        while !cursor.is_done(bytes)? {
            found.push(cursor.next(bytes)?.text().to_vec());
        }
        Ok(found)
    }

    #[test]
    fn every_form_of_entry_comes_back() {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for power in 0..63 {
            for number in [(1_i64 << power) - 1, 1 << power, (1 << power) + 1] {
                texts.push(number.to_string().into_bytes());
                texts.push((-number).to_string().into_bytes());
            }
        }
        for number in [i64::MIN, i64::MAX] {
            texts.push(number.to_string().into_bytes());
        }
        for len in [
            0, 1, 63, 64, 126, 127, 128, 4095, 4096, 16_379, 16_380, 20_000,
        ] {
            texts.push(vec![b'x'; len]);
        }
        // The entry of the first has a length of fourteen ones, that of the second of 21.
        texts.extend([vec![b'y'; 16_378], vec![b'z'; 2_097_146]]);
        texts.extend(
            [&b"007"[..], b"-0", b"+1", b"1.0", b"9223372036854775808"].map(<[u8]>::to_vec),
        );
        let borrowed: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        assert_eq!(entries(&written(&borrowed)).unwrap(), texts);
    }

    #[test]
    fn lengths_of_entries_are_those_of_redis_or_of_valkey() {
        for (entry_bytes, redis, valkey) in [
            (1, &[1][..], &[1][..]),
            (127, &[127], &[127]),
            (128, &[1, 0x80], &[1, 0x80]),
            (16_382, &[0x7f, 0xfe], &[0x7f, 0xfe]),
            (16_383, &[0, 0xff, 0xff], &[0x7f, 0xff]),
            (16_384, &[1, 0x80, 0x80], &[1, 0x80, 0x80]),
            (2_097_151, &[0, 0xff, 0xff, 0xff], &[0x7f, 0xff, 0xff]),
            (
                268_435_455,
                &[0, 0xff, 0xff, 0xff, 0xff],
                &[0x7f, 0xff, 0xff, 0xff],
            ),
        ] {
            for (is_redis, expected) in [(true, redis), (false, valkey)] {
                let (bytes, len) = length_backwards(entry_bytes, is_redis);
                assert_eq!(&bytes[..len], expected, "{entry_bytes}");
            }
        }
        for len in [16_378, 2_097_146] {
            let redis = written(&[&vec![b'x'; len], b"1"]);
            let mut valkey = redis.clone();
            valkey.remove(6 + 5 + len);
            valkey[6 + 5 + len] = 0x7f;
            let total = valkey.len() as u32;
            valkey[..4].copy_from_slice(&total.to_le_bytes());
            assert_eq!(entries(&redis).unwrap()[0].len(), len);
            assert_eq!(entries(&valkey), entries(&redis));
        }
    }

    #[test]
    fn a_listpack_with_more_entries_than_its_header_can_say_is_read() {
        for count in [65_534, 65_535, 65_536] {
            let bytes = written(&vec![&b"1"[..]; count]);
            assert_eq!(entries(&bytes).unwrap().len(), count);
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let good = b"\x0f\0\0\0\x03\0\x81a\x02\x05\x01\xc0\x80\x02\xff";
        let found = entries(good).unwrap();
        assert_eq!(found, [&b"a"[..], b"5", b"128"]);
        for (at, byte, fault) in [
            (0, 0x0e, "a listpack has not the length it says"),
            (3, 1, "a listpack has not the length it says"),
            (14, 0xfe, "a listpack has no end"),
            (4, 2, "a listpack has not the entries it says"),
            (4, 4, "a listpack has not the entries it says"),
            (8, 3, "a listpack's entry has two lengths"),
            (8, 0x82, "a listpack's entry has two lengths"),
            (9, 0xff, "a listpack's entry is of an unknown form"),
            (9, 0xf5, "a listpack's entry is of an unknown form"),
        ] {
            let mut bad = good.to_vec();
            bad[at] = byte;
            assert_eq!(entries(&bad), Err(Fault::Damaged(fault)), "{at}");
        }
        for (at, byte) in [(6, 0xbf), (6, 0xf0), (11, 0xf4), (11, 0xe1)] {
            let mut bad = good.to_vec();
            bad[at] = byte;
            assert_eq!(entries(&bad), Err(Fault::Truncated), "{at}");
        }
        assert_eq!(entries(b"\x06\0\0\0\0\0").err(), entries(&good[..6]).err());
        assert_eq!(entries(b"\x07\0\0\0\0\0\xff").unwrap().len(), 0);
        assert_eq!(entries(b"\x07"), Err(Fault::Truncated));
    }
}
