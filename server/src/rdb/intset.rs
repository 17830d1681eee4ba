//! Intsets: what Redis keeps sets of integers in.
//!
//! ```text
//! [ bytes of a number: 2, 4 or 8 (4) | numbers (4) | number ..., each larger than the one before ]      little-endian
//! ```

use super::fault::Fault;
use super::input::Input;
use super::item::Item;

const HEADER_BYTES: usize = 8;

/// The intset of these numbers, which ascend.
pub(super) fn bytes_of(numbers: &[i64]) -> Vec<u8> {
    let fits = |number: i64, bytes: u32| {
        let bits = 64 - 8 * bytes;
        number << bits >> bits == number
    };
    let fit = |bytes: &u32| numbers.iter().all(|&number| fits(number, *bytes));
    let number_bytes = [2, 4].into_iter().find(fit).unwrap_or(8);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + numbers.len() * number_bytes as usize);
    bytes.extend(number_bytes.to_le_bytes());
    bytes.extend((numbers.len() as u32).to_le_bytes());
    for number in numbers {
        bytes.extend(&number.to_le_bytes()[..number_bytes as usize]);
    }
    bytes
}

/// How far an intset has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    at: usize,
    number_bytes: usize,
    before: Option<i64>,
}

impl Cursor {
    /// Checks the header.
    pub(super) fn open(bytes: &[u8]) -> Result<Self, Fault> {
        let mut input = Input::new(bytes);
        let number_bytes = u32::from_le_bytes(input.array()?);
        if !matches!(number_bytes, 2 | 4 | 8) {
            return Err(Fault::Damaged("an intset's numbers are of an unknown form"));
        }
        let count = u32::from_le_bytes(input.array()?);
        if u64::from(count) * u64::from(number_bytes) != input.rest().len() as u64 {
            return Err(Fault::Damaged("an intset has not the numbers it says"));
        }
        Ok(Self {
            at: HEADER_BYTES,
            number_bytes: number_bytes as usize,
            before: None,
        })
    }

    /// Whether all numbers have been read.
    pub(super) fn is_done(self, bytes: &[u8]) -> bool {
        self.at == bytes.len()
    }

    /// The next number.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Item<'static>, Fault> {
        let mut input = Input::new(&bytes[self.at..]);
        let number = match self.number_bytes {
            2 => i16::from_le_bytes(input.array()?).into(),
            4 => i32::from_le_bytes(input.array()?).into(),
            _ => i64::from_le_bytes(input.array()?),
        };
        if self.before.is_some_and(|before| before >= number) {
            return Err(Fault::Damaged("an intset's numbers do not ascend"));
        }
        self.before = Some(number);
        self.at += self.number_bytes;
        Ok(Item::Integer(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(bytes: &[u8]) -> Result<Vec<Item<'_>>, Fault> {
        let mut cursor = Cursor::open(bytes)?;
        let mut found = Vec::new();
        while !cursor.is_done(bytes) {
            found.push(cursor.next(bytes)?);
        }
        Ok(found)
    }

    #[test]
    fn numbers_of_each_width_are_read() {
        for (bytes, expected) in [
            (&b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\x00"[..], &[-1, 5][..]),
            (b"\x04\0\0\0\x01\0\0\0\x00\x00\x01\x00", &[65_536]),
            (b"\x08\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\x80", &[i64::MIN]),
            (b"\x02\0\0\0\0\0\0\0", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&n| Item::Integer(n)).collect();
            assert_eq!(numbers(bytes).unwrap(), expected);
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let count = "an intset has not the numbers it says";
        let order = "an intset's numbers do not ascend";
        for (bytes, fault) in [
            (&b"\x02\0\0\0\x02\0\0\0\x05\0\x05\0"[..], order),
            (b"\x02\0\0\0\x02\0\0\0\x05\0\x04\0", order),
            (b"\x02\0\0\0\x02\0\0\0\x05\0", count),
            (b"\x02\0\0\0\x01\0\0\0\x05\0\x06\0", count),
            (b"\x08\0\0\0\xff\xff\xff\xff", count),
            (
                b"\x03\0\0\0\x01\0\0\0\x05\0\0",
                "an intset's numbers are of an unknown form",
            ),
        ] {
            assert_eq!(numbers(bytes), Err(Fault::Damaged(fault)), "{bytes:x?}");
        }
        assert_eq!(numbers(b"\x02\0\0\0\x02"), Err(Fault::Truncated));
    }
}
