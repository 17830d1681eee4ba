//! One string of a value as it stands there: bytes, or an integer that stands for its digits.

use std::ops::Deref;

/// A string: a whole value, an element, a field, a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// Its bytes. They may be digits, too.
    Bytes(&'a [u8]),
    /// The canonical decimal digits of this integer.
    Integer(i64),
}

impl<'a> Item<'a> {
    /// The string's bytes.
    #[must_use]
    pub fn text(self) -> Text<'a> {
        match self {
            Self::Bytes(bytes) => Text(Form::Bytes(bytes)),
            Self::Integer(number) => Text(Form::Digits(Digits::of(number))),
        }
    }
}

/// The bytes of an [`Item`].
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(Form<'a>);

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Bytes(&'a [u8]),
    Digits(Digits),
}

impl Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Bytes(bytes) => bytes,
            Form::Digits(digits) => &digits.bytes[digits.start..],
        }
    }
}

/// The longest number of 64 bits has this many characters.
const MAX_DIGITS: usize = 20;

/// An integer's decimal characters, at the end of an array.
#[derive(Clone, Copy, Debug)]
struct Digits {
    bytes: [u8; MAX_DIGITS],
    start: usize,
}

impl Digits {
    fn of(number: i64) -> Self {
        let mut bytes = [0; MAX_DIGITS];
        let mut start = MAX_DIGITS;
        let mut left = number.unsigned_abs();
        loop {
            start -= 1;
            bytes[start] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        if number < 0 {
            start -= 1;
            bytes[start] = b'-';
        }
        Self { bytes, start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_stand_for_their_digits() {
        for number in [0, 7, -7, 10, -128, 1_234_567_890_123, i64::MAX, i64::MIN] {
            let text = Item::Integer(number).text();
            assert_eq!(&*text, number.to_string().as_bytes());
        }
        assert_eq!(&*Item::Bytes(b"007").text(), b"007");
    }
}
