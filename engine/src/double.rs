//! Doubles as text: as C's `strtod` reads them, and as Redis 8 writes them.
//!
//! Written are the fewest digits that mean no other double, of those the nearest; integers up to 2^62 as such; others without an exponent
//! if that is short. Redis finds the digits by Grisu2 (Loitsch, PLDI 2010), which in one of a thousand has one more than it takes.

use std::fmt::Write;
use std::str::FromStr;

/// Most bytes of a double: a sign, 17 digits, a point, `e`, and a sign and three digits behind it. Without an exponent it is no longer.
const TEXT_MAX_BYTES: usize = 26;

/// Integers up to this size are written as such.
const INTEGER_MAX: f64 = (1_u64 << 62) as f64;

/// A double as text.
#[derive(Clone, Copy, Debug)]
pub struct DoubleText {
    bytes: [u8; TEXT_MAX_BYTES],
    len: u8,
}

impl DoubleText {
    /// The text of this number.
    pub fn of(value: f64) -> Self {
        let mut text = Self {
            bytes: [0; TEXT_MAX_BYTES],
            len: 0,
        };
        if value.is_nan() {
            text.push("nan");
        } else if value.is_infinite() {
            text.push(if value > 0.0 { "inf" } else { "-inf" });
        } else if value == 0.0 {
            text.push(if value.is_sign_negative() { "-0" } else { "0" });
        } else if value.abs() <= INTEGER_MAX && value.trunc() == value {
            write!(text, "{}", value as i64).expect("19 digits and a sign fit");
        } else {
            text.push_shortest(value);
        }
        text
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("digits are ASCII")
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn push(&mut self, text: &str) {
        let from = usize::from(self.len);
        self.bytes[from..from + text.len()].copy_from_slice(text.as_bytes());
        self.len += text.len() as u8;
    }

    fn push_zeros(&mut self, count: i32) {
        (0..count).for_each(|_| self.push("0"));
    }

    /// Adds a finite number that is not zero.
    fn push_shortest(&mut self, value: f64) {
        let mut scientific = Self {
            bytes: [0; TEXT_MAX_BYTES],
            len: 0,
        };
        write!(scientific, "{:e}", value.abs()).expect("17 digits and an exponent fit");
        let (mantissa, exponent) = scientific.as_str().split_once('e').expect("an exponent");
        let exponent = i32::from_str(exponent).expect("it is a number");
        let (first, others) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let count = 1 + others.len() as i32;
        // The number is its digits, as an integer, times ten to this.
        let scale = exponent - (count - 1);
        if value < 0.0 {
            self.push("-");
        }
        if scale >= 0 && exponent < count + 7 {
            self.push(first);
            self.push(others);
            self.push_zeros(scale);
        } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
            if exponent < 0 {
                self.push("0.");
                self.push_zeros(-exponent - 1);
                self.push(first);
                self.push(others);
            } else {
                self.push(first);
                self.push(&others[..exponent as usize]);
                self.push(".");
                self.push(&others[exponent as usize..]);
            }
        } else {
            self.push(mantissa);
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(self, "e{sign}{}", exponent.abs()).expect("three digits fit");
        }
    }
}

impl Write for DoubleText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// The number that a text says as a whole, which may be infinite. None if it says none, or one too large or too small for a double.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    if let Some(value) = of_digits(text) {
        return Some(value);
    }
    let (value, len) = read_double(text)?;
    let digits = &text[usize::from(matches!(text[0], b'+' | b'-'))..];
    let is_word = digits[0].is_ascii_alphabetic();
    let is_beyond = value.is_infinite() && !is_word;
    (len == text.len() && !value.is_nan() && !is_beyond && !is_lost(value, digits)).then_some(value)
}

/// The number that digits alone say, if they are so few that a double holds it exactly: what most numbers are.
#[inline]
fn of_digits(text: &[u8]) -> Option<f64> {
    const MOST: usize = f64::DIGITS as usize;
    if text.is_empty() || text.len() > MOST {
        return None;
    }
    let mut digits = text.iter().map(|byte| byte.wrapping_sub(b'0'));
    let number = digits.try_fold(0, |number: u64, digit| {
        (digit < 10).then(|| number * 10 + u64::from(digit))
    });
    number.map(|number| number as f64)
}

/// Whether a number that is not zero has become so.
fn is_lost(value: f64, digits: &[u8]) -> bool {
    let is_hexadecimal = digits.get(1).is_some_and(|byte| byte | 0x20 == b'x');
    let exponent = if is_hexadecimal { b'p' } else { b'e' };
    let mut mantissa = digits.split(|byte| byte | 0x20 == exponent);
    let mantissa = mantissa.next().unwrap_or_default();
    value == 0.0
        && mantissa
            .iter()
            .any(|byte| !matches!(byte, b'0' | b'.' | b'x' | b'X'))
}

/// The number that `text` begins with as `strtod` reads it, and how many bytes it takes: decimal, hexadecimal, infinite or
/// none.
pub fn read_double(text: &[u8]) -> Option<(f64, usize)> {
    let signed = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let negative = text.first() == Some(&b'-');
    let rest = &text[signed..];
    let starts_with =
        |word: &[u8]| rest.len() >= word.len() && rest[..word.len()].eq_ignore_ascii_case(word);
    let (magnitude, len) = if starts_with(b"infinity") {
        (f64::INFINITY, 8)
    } else if starts_with(b"inf") {
        (f64::INFINITY, 3)
    } else if starts_with(b"nan") {
        (f64::NAN, 3)
    } else if starts_with(b"0x")
        && rest
            .get(2)
            .is_some_and(|&b| b.is_ascii_hexdigit() || b == b'.')
    {
        hexadecimal(&rest[2..]).map_or((0.0, 1), |(value, len)| (value, len + 2))
    } else {
        decimal(rest)?
    };
    let value = if negative { -magnitude } else { magnitude };
    Some((value, signed + len))
}

fn digits(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_digit(byte)).count()
}

/// Bytes of an exponent with its letter, if it has digits.
fn exponent_len(text: &[u8], letter: u8) -> usize {
    if text.first().is_none_or(|byte| byte | 0x20 != letter) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    match digits(&text[1 + sign..], u8::is_ascii_digit) {
        0 => 0,
        count => 1 + sign + count,
    }
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits(text, u8::is_ascii_digit);
    let mut len = whole;
    let mut fraction = 0;
    if text.get(whole) == Some(&b'.') {
        fraction = digits(&text[whole + 1..], u8::is_ascii_digit);
        if whole + fraction > 0 {
            len = whole + 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return None;
    }
    len += exponent_len(&text[len..], b'e');
    let text = std::str::from_utf8(&text[..len]).expect("it is ASCII");
    Some((text.parse().expect("it is a decimal number"), len))
}

fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits(text, u8::is_ascii_hexdigit);
    let mut len = whole;
    let mut fraction: &[u8] = &[];
    if text.get(whole) == Some(&b'.') {
        let count = digits(&text[whole + 1..], u8::is_ascii_hexdigit);
        fraction = &text[whole + 1..][..count];
        len = whole + 1 + count;
    }
    if whole + fraction.len() == 0 {
        return None;
    }
    let mut value = 0.0f64;
    for &digit in text[..whole].iter().chain(fraction) {
        let digit = (digit as char).to_digit(16).expect("it is a digit");
        value = value * 16.0 + f64::from(digit);
    }
    let mut power = -4 * fraction.len() as i64;
    let exponent = exponent_len(&text[len..], b'p');
    if exponent > 0 {
        let digits = std::str::from_utf8(&text[len + 1..len + exponent]).expect("it is ASCII");
        power += digits.parse::<i64>().unwrap_or(0).clamp(-100_000, 100_000);
        len += exponent;
    }
    Some((value * 2f64.powi(power.clamp(-5_000, 5_000) as i32), len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_as_strtod_reads_them() {
        for (text, expected) in [
            ("12,", Some((12.0, 2))),
            ("-5e3]", Some((-5000.0, 4))),
            ("1e", Some((1.0, 1))),
            ("1e+", Some((1.0, 1))),
            ("1.", Some((1.0, 2))),
            (".5", Some((0.5, 2))),
            (".", None),
            ("-", None),
            ("abc", None),
            ("0x10", Some((16.0, 4))),
            ("0x.8p1", Some((1.0, 6))),
            ("0xg", Some((0.0, 1))),
            ("-Infinity!", Some((f64::NEG_INFINITY, 9))),
            ("inf", Some((f64::INFINITY, 3))),
        ] {
            assert_eq!(read_double(text.as_bytes()), expected, "{text}");
        }
        assert!(read_double(b"nan").is_some_and(|(value, len)| value.is_nan() && len == 3));
    }

    #[test]
    fn numbers_are_written_as_redis_8_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (1.25e-5, "1.25e-5"),
            (0.001_234_567_890_1, "0.0012345678901"),
            (123_456.789, "123456.789"),
            (1e18, "1000000000000000000"),
            (4_611_686_018_427_387_904.0, "4611686018427387904"),
            (4.611_686_018_427_389e18, "4611686018427389000"),
            (1e19, "1e+19"),
            (1.5e21, "1.5e+21"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157e+308"),
            (-2.225_073_858_507_201_4e-308, "-2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(DoubleText::of(value).as_str(), expected);
        }
    }

    #[test]
    fn a_text_that_is_a_number_as_a_whole_is_taken() {
        for (text, expected) in [
            ("+5", 5.0),
            ("5.", 5.0),
            (".5", 0.5),
            ("0x10", 16.0),
            ("0X1p3", 8.0),
            ("-inf", f64::NEG_INFINITY),
            ("Infinity", f64::INFINITY),
            ("00012", 12.0),
            ("1e+5", 100_000.0),
            ("0e-999", 0.0),
            ("0x0p9", 0.0),
            ("4.9e-324", 5e-324),
        ] {
            assert_eq!(parse_double(text.as_bytes()), Some(expected), "{text}");
        }
        for text in [
            "",
            "-",
            "+",
            ".",
            "nan",
            " 1",
            "1 ",
            "1e",
            "1_0",
            "0x",
            "1e400",
            "-1e400",
            "1e-400",
            "0x1p-9999",
        ] {
            assert_eq!(parse_double(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_number(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            let text = DoubleText::of(value);
            prop_assert_eq!(parse_double(text.as_bytes()).map(f64::to_bits), Some(bits));
        }
    }
}
