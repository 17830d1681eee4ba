//! The 80-bit extended numbers of x87, in software: what `INCRBYFLOAT` counts in.
//!
//! Redis reads both numbers with `strtold`, adds them as `long double`, and prints with `%.17Lf` less the trailing
//! zeros. On x86-64, where the clients' expectations come from, that is a significand of 64 bits and every step rounded
//! to the nearest, ties to even. The same is done here in integers, so that every digit of every result is Redis's on
//! every machine: `0.1 + 0.2` is `0.3` as the 64 bits hold 17 decimals, and `1e30 + 1` is `1000000000000000000024696061952`.
//!
//! The one departure: numbers too small for a normal significand keep its 64 bits. No result shows it, since all that is
//! below 10^-17 prints as 0.
//!
//! Costs: numbers of at most 19 digits and common exponents take a few dozen nanoseconds of 128-bit arithmetic; others
//! go through [`Wide`], bounded by the 5119 bytes a number may have.

use super::wide::Wide;

/// Longest text of a number (`MAX_LONG_DOUBLE_CHARS` of Redis, less its terminator).
const TEXT_MAX_BYTES: usize = 5 * 1024 - 1;
/// Bits of the significand.
const BITS: i32 = 64;
/// Exponent of the lowest bit of the largest numbers: 2^16384 is infinite.
const EXPONENT_MAX: i32 = 16384 - BITS;
/// Exponent of the lowest bit a number can have; half of it rounds to zero.
const LOWEST_BIT: i32 = -16445;
/// Decimals printed.
const DECIMALS: u32 = 17;

/// A number: `significand * 2^exponent` with the highest bit of the significand set, or zero, or infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command::families) struct Extended {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    Zero,
    Finite { significand: u64, exponent: i32 },
    Infinite,
}

impl Extended {
    pub(in crate::command::families) const ZERO: Self = Self {
        negative: false,
        magnitude: Magnitude::Zero,
    };

    /// The number `text` stands for, as `strtold` and Redis read it: decimal or hexadecimal, with or without an
    /// exponent, or `inf`. `None` for anything else, and for what is too large, too small or not a number.
    pub(in crate::command::families) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX_BYTES {
            return None;
        }
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let magnitude = match digits {
            [b'0', b'x' | b'X', hexadecimal @ ..] => parse_hexadecimal(hexadecimal)?,
            word if is_word(word, b"inf") || is_word(word, b"infinity") => Magnitude::Infinite,
            decimal => parse_decimal(decimal)?,
        };
        Some(Self {
            negative,
            magnitude,
        })
    }

    /// Whether it is infinite.
    pub(in crate::command::families) fn is_infinite(self) -> bool {
        self.magnitude == Magnitude::Infinite
    }

    /// A thousand times the number, rounded up to a whole one; what 64 bits do not hold is the nearest that they hold.
    pub(in crate::command::families) fn thousandfold(self) -> i64 {
        let Magnitude::Finite {
            significand,
            exponent,
        } = self.magnitude
        else {
            let is_zero = self.magnitude == Magnitude::Zero;
            return self.saturated(if is_zero { 0 } else { u64::MAX });
        };
        let Magnitude::Finite {
            significand,
            exponent,
        } = round(u128::from(significand) * 1000, exponent)
        else {
            return self.saturated(u64::MAX);
        };
        if exponent >= 0 {
            // All 64 bits of the significand stand before the point.
            return self.saturated(if exponent == 0 { significand } else { u64::MAX });
        }
        let shift = exponent.unsigned_abs();
        let whole = significand.checked_shr(shift).unwrap_or(0);
        let has_fraction = shift >= 64 || whole << shift != significand;
        self.saturated(whole + u64::from(has_fraction && !self.negative))
    }

    fn saturated(self, magnitude: u64) -> i64 {
        let magnitude = i64::try_from(magnitude).unwrap_or(i64::MAX);
        if self.negative { -magnitude } else { magnitude }
    }

    /// The sum; `None` if it is infinite or no number.
    pub(in crate::command::families) fn plus(self, other: Self) -> Option<Self> {
        let (
            Magnitude::Finite {
                significand: a,
                exponent: high,
            },
            Magnitude::Finite {
                significand: b,
                exponent: low,
            },
        ) = (self.magnitude, other.magnitude)
        else {
            return match (self.magnitude, other.magnitude) {
                (Magnitude::Infinite, _) | (_, Magnitude::Infinite) => None,
                (Magnitude::Zero, _) => Some(other),
                (_, Magnitude::Zero) => Some(self),
                _ => unreachable!("two finite numbers were taken apart"),
            };
        };
        if (low, b) > (high, a) {
            return other.plus(self);
        }
        // Both significands are normal: `self` is the larger in magnitude. 63 bits are kept below it, and whether
        // anything was lost beyond them, which is more than rounding needs.
        const ROOM: i32 = BITS - 1;
        let distance = (high - low) as u32;
        let (a, b) = (u128::from(a) << ROOM, u128::from(b) << ROOM);
        let (shifted, lost) = if distance < 128 {
            (b >> distance, b & ((1 << distance) - 1) != 0)
        } else {
            (0, true)
        };
        let b = shifted | u128::from(lost);
        let sum = if self.negative == other.negative {
            a + b
        } else {
            a - b
        };
        let magnitude = round(sum, high - ROOM);
        (magnitude != Magnitude::Infinite).then_some(Self {
            negative: self.negative && magnitude != Magnitude::Zero,
            magnitude,
        })
    }

    /// In decimal, rounded to 17 decimals, without trailing zeros; zero has no sign. Infinity is `inf`.
    pub(in crate::command::families) fn to_decimal(self) -> String {
        let text = match self.magnitude {
            Magnitude::Zero => return "0".to_owned(),
            Magnitude::Infinite => "inf".to_owned(),
            Magnitude::Finite {
                significand,
                exponent,
            } if exponent >= 0 => {
                let mut wide = Wide::from(significand);
                wide.shift_left(exponent.unsigned_abs());
                wide.to_decimal()
            }
            Magnitude::Finite {
                significand,
                exponent,
            } => fraction_to_decimal(significand, exponent.unsigned_abs()),
        };
        if self.negative && text != "0" {
            format!("-{text}")
        } else {
            text
        }
    }
}

/// `significand / 2^shift` in decimal.
fn fraction_to_decimal(significand: u64, shift: u32) -> String {
    const UNIT: u128 = 10u128.pow(DECIMALS);
    let whole = significand.checked_shr(shift).unwrap_or(0);
    let part = if shift < 64 {
        significand & ((1 << shift) - 1)
    } else {
        significand
    };
    // At most 2^121, so that beyond 122 bits less than half a unit is left.
    let scaled = u128::from(part) * UNIT;
    let (mut units, left, half) = if shift < 128 {
        (
            scaled >> shift,
            scaled & ((1 << shift) - 1),
            1 << (shift - 1),
        )
    } else {
        (0, 0, 1)
    };
    if left > half || left == half && units & 1 == 1 {
        units += 1;
    }
    let (whole, units) = (u128::from(whole) + units / UNIT, units % UNIT);
    let text = format!("{whole}.{units:0width$}", width = DECIMALS as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `value * 2^exponent` rounded to 64 bits, to the nearest, ties to even.
fn round(value: u128, exponent: i32) -> Magnitude {
    if value == 0 {
        return Magnitude::Zero;
    }
    let up = value.leading_zeros();
    let value = value << up;
    let rest = value as u64;
    let significand = (value >> 64) as u64;
    const HALF: u64 = 1 << 63;
    let round_up = rest > HALF || rest == HALF && significand & 1 == 1;
    finish(significand, exponent - up as i32 + 64, round_up)
}

/// The number `significand * 2^exponent`, or one more in the last bit.
fn finish(significand: u64, exponent: i32, round_up: bool) -> Magnitude {
    let (significand, exponent) = match significand.checked_add(round_up.into()) {
        Some(significand) => (significand, exponent),
        None => (1 << 63, exponent + 1),
    };
    if exponent > EXPONENT_MAX {
        return Magnitude::Infinite;
    }
    // At most half of the lowest bit there is.
    let (top, half) = (exponent + BITS - 1, LOWEST_BIT - 1);
    if top < half || top == half && significand == 1 << 63 {
        return Magnitude::Zero;
    }
    Magnitude::Finite {
        significand,
        exponent,
    }
}

fn is_word(text: &[u8], word: &[u8]) -> bool {
    text.eq_ignore_ascii_case(word)
}

/// The digits of a number, its point taken out, and what stands behind.
struct Scanned<'a> {
    /// Digits without leading zeros.
    digits: Vec<u8>,
    /// How many of them stand behind the point (leading zeros included).
    behind_point: i64,
    rest: &'a [u8],
}

/// Takes digits with at most one point among them; there must be at least one digit.
fn scan(text: &[u8], is_digit: fn(&u8) -> bool) -> Option<Scanned<'_>> {
    let mut digits = Vec::with_capacity(text.len());
    let (mut any, mut point, mut behind_point, mut at) = (false, false, 0, 0);
    while let Some(&byte) = text.get(at) {
        if byte == b'.' && !point {
            point = true;
        } else if is_digit(&byte) {
            any = true;
            behind_point += i64::from(point);
            if byte != b'0' || !digits.is_empty() {
                digits.push(byte);
            }
        } else {
            break;
        }
        at += 1;
    }
    any.then_some(Scanned {
        digits,
        behind_point,
        rest: &text[at..],
    })
}

/// The exponent that `text` ends with behind `letter`, 0 if there is none. Beyond a million it is a million: more than
/// any number of digits can make good.
fn parse_exponent(text: &[u8], letter: u8) -> Option<i64> {
    const LIMIT: i64 = 1_000_000;
    let (negative, digits) = match text {
        [] => return Some(0),
        [first, b'-', rest @ ..] if first.eq_ignore_ascii_case(&letter) => (true, rest),
        [first, b'+', rest @ ..] if first.eq_ignore_ascii_case(&letter) => (false, rest),
        [first, rest @ ..] if first.eq_ignore_ascii_case(&letter) => (false, rest),
        _ => return None,
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0, |sum: i64, digit| {
        (sum * 10 + i64::from(digit - b'0')).min(LIMIT)
    });
    Some(if negative { -magnitude } else { magnitude })
}

/// Zero and infinity are what a number that is neither rounded to: `strtold` reports both as out of range.
fn in_range(magnitude: Magnitude) -> Option<Magnitude> {
    matches!(magnitude, Magnitude::Finite { .. }).then_some(magnitude)
}

fn parse_decimal(text: &[u8]) -> Option<Magnitude> {
    let Scanned {
        mut digits,
        behind_point,
        rest,
    } = scan(text, u8::is_ascii_digit)?;
    let exponent = parse_exponent(rest, b'e')?;
    let zeros = digits
        .iter()
        .rev()
        .take_while(|&&digit| digit == b'0')
        .count();
    digits.truncate(digits.len() - zeros);
    if digits.is_empty() {
        return Some(Magnitude::Zero);
    }
    let exponent = exponent - behind_point + zeros as i64;
    // The number is in 10^(top-1) .. 10^top.
    let top = exponent + digits.len() as i64;
    if !(-4960..=4940).contains(&top) {
        return None;
    }
    in_range(small_decimal(&digits, exponent).unwrap_or_else(|| wide_decimal(&digits, exponent)))
}

/// `digits * 10^exponent` where 128 bits do.
fn small_decimal(digits: &[u8], exponent: i64) -> Option<Magnitude> {
    if digits.len() > 19 || !(-18..=19).contains(&exponent) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let power = 10u64.pow(exponent.unsigned_abs() as u32);
    if exponent >= 0 {
        return Some(round(u128::from(number) * u128::from(power), 0));
    }
    // The dividend has 128 bits and the divisor at most 60: the quotient has at least 68.
    let up = u128::from(number).leading_zeros();
    let dividend = u128::from(number) << up;
    let (quotient, left) = (dividend / u128::from(power), dividend % u128::from(power));
    // Below the bits that are kept, one that says whether anything follows.
    Some(round(quotient | u128::from(left != 0), -(up as i32)))
}

fn wide_decimal(digits: &[u8], exponent: i64) -> Magnitude {
    let mut number = Wide::default();
    for group in digits.chunks(9) {
        let value = group
            .iter()
            .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        number.multiply_add(10u32.pow(group.len() as u32), value);
    }
    if exponent >= 0 {
        number.scale_by_ten(exponent as u32);
        return round_wide(&number, 0);
    }
    let mut divisor = Wide::from(1);
    divisor.scale_by_ten(exponent.unsigned_abs() as u32);
    let (quotient, exponent, next, more) = number.divide(divisor);
    finish(quotient, exponent, next && (more || quotient & 1 == 1))
}

/// `number * 2^exponent` rounded to 64 bits.
fn round_wide(number: &Wide, exponent: i32) -> Magnitude {
    let bits = number.bits();
    if bits <= 64 {
        return round(u128::from(number.window(0).0), exponent);
    }
    let (significand, _) = number.window(bits - 64);
    let (from_half, more) = number.window(bits - 65);
    let round_up = from_half & 1 == 1 && (more || significand & 1 == 1);
    finish(significand, exponent + bits as i32 - 64, round_up)
}

fn parse_hexadecimal(text: &[u8]) -> Option<Magnitude> {
    let Scanned {
        digits,
        behind_point,
        rest,
    } = scan(text, u8::is_ascii_hexdigit)?;
    let exponent = parse_exponent(rest, b'p')? - behind_point * 4;
    if digits.is_empty() {
        return Some(Magnitude::Zero);
    }
    let top = exponent + digits.len() as i64 * 4;
    if !(-16500..=16500).contains(&top) {
        return None;
    }
    let mut number = Wide::default();
    for &digit in &digits {
        let value = char::from(digit).to_digit(16)?;
        number.multiply_add(16, value);
    }
    in_range(round_wide(&number, exponent as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums as redis-server 7.0.15 printed them on x86-64.
    #[test]
    fn sums_are_those_of_redis_to_the_last_digit() {
        for (a, b, expected) in [
            ("0.1", "0.2", "0.3"),
            ("3.0e3", "200", "3200"),
            ("1e30", "1", "1000000000000000000024696061952"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("18446744073709551616", "1", "18446744073709551616"),
            ("18446744073709551616", "3", "18446744073709551620"),
            ("1", "-1.00000000000000001", "-0.00000000000000001"),
            ("0", "5e-18", "0"),
            ("0", "4.9e-18", "0"),
            ("0", "15e-18", "0.00000000000000002"),
            ("-0", "-0.0", "0"),
            ("-1e-18", "0", "0"),
            ("0x1.8p1", "0xA", "13"),
            (
                "123456789.987654321",
                "0.000000001",
                "123456789.98765432199434144",
            ),
            ("1e-4950", "1", "1"),
            ("9007199254740993", "0.5", "9007199254740993.5"),
            ("12345678901234567890.123", "0.877", "12345678901234567891"),
            (
                "99999999999999999",
                "0.99999999999999999",
                "100000000000000000",
            ),
            ("1e22", "-1e21", "9000000000000000000000"),
            ("0.00000000000000000049", "1.5", "1.5"),
        ] {
            let sum = Extended::parse(a.as_bytes())
                .unwrap()
                .plus(Extended::parse(b.as_bytes()).unwrap());
            assert_eq!(sum.unwrap().to_decimal(), expected, "{a} + {b}");
        }
    }

    #[test]
    fn only_what_strtold_takes_whole_is_a_number() {
        for text in [
            "",
            " 1",
            "1 ",
            ".",
            "e1",
            "1e",
            "1e+",
            "+-1",
            "--1",
            "0x",
            "0xg",
            "1_0",
            "nan",
            "-nan",
            "infinit",
            "1e5000",
            "1e-5000",
            "1.2e4932",
            "1e-4951",
            "0x1p-16446",
            "0x1p16384",
            "1\x00",
        ] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text:?}");
        }
        for text in [
            "1.",
            ".5",
            "+3",
            "1E3",
            "0X1P4",
            "0e99999",
            "-Infinity",
            "INF",
            "1e4932",
            "2e-4951",
            "0x1p-16445",
            "0x.8",
        ] {
            assert!(Extended::parse(text.as_bytes()).is_some(), "{text:?}");
        }
        let longest = "1".repeat(TEXT_MAX_BYTES - 190) + &"0".repeat(190);
        assert_eq!(
            Extended::parse(longest.as_bytes()),
            None,
            "beyond the greatest number"
        );
        let fraction = "0.".to_owned() + &"1".repeat(TEXT_MAX_BYTES - 2);
        assert!(Extended::parse(fraction.as_bytes()).is_some());
        assert_eq!(
            Extended::parse((fraction + "1").as_bytes()),
            None,
            "too long"
        );
    }

    #[test]
    fn sums_that_are_not_finite_are_none() {
        let number = |text: &str| Extended::parse(text.as_bytes()).unwrap();
        assert_eq!(number("inf").plus(number("1")), None);
        assert_eq!(number("inf").plus(number("-inf")), None);
        assert_eq!(number("1.18e4932").plus(number("1.18e4932")), None);
    }
}
