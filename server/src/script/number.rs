//! Numbers as C's `printf` writes them with `%.<precision>g`, which is how Lua and Redis do, and read as `strtod` reads.

use std::fmt::Write;

/// `value` as `%.<precision>g`: at most so many significant digits, none of them a trailing zero.
pub(super) fn format_general(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return if value.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        }
        .to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let precision = precision.max(1);
    let scientific = format!("{value:.*e}", precision - 1);
    let (mantissa, exponent) = scientific
        .split_once('e')
        .expect("the exponent is always written");
    let exponent: i32 = exponent.parse().expect("it is a small integer");
    if exponent < -4 || exponent >= precision as i32 {
        let mut text = without_trailing_zeros(mantissa).to_owned();
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(text, "e{sign}{:02}", exponent.unsigned_abs()).expect("writing to memory");
        return text;
    }
    let decimals = (precision as i32 - 1 - exponent) as usize;
    without_trailing_zeros(&format!("{value:.decimals$}")).to_owned()
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// `value` as Lua writes it (`%.14g`).
pub(super) fn lua_text(value: f64) -> String {
    format_general(value, 14)
}

/// As C casts a double to a 64-bit integer on x86-64: what does not fit becomes the least one.
pub(super) fn to_i64(value: f64) -> i64 {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if (-BEYOND..BEYOND).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// The number that `text` begins with as `strtod` reads it, and how many bytes it takes: decimal, hexadecimal, infinite or
/// none.
pub(super) fn read_prefix(text: &[u8]) -> Option<(f64, usize)> {
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
    use super::*;

    #[test]
    fn numbers_are_written_as_printf_writes_them() {
        for (value, precision, expected) in [
            (0.0, 17, "0"),
            (-0.0, 17, "-0"),
            (100.5, 17, "100.5"),
            (3.125, 17, "3.125"),
            (0.1, 17, "0.10000000000000001"),
            (9_007_199_254_740_991.0, 17, "9007199254740991"),
            (1e17, 17, "1e+17"),
            (123456789012345680.0, 17, "1.2345678901234568e+17"),
            (1e15, 14, "1e+15"),
            (1e100, 14, "1e+100"),
            (0.0001, 14, "0.0001"),
            (0.00001, 14, "1e-05"),
            (12345.678, 3, "1.23e+04"),
            (9.9999, 2, "10"),
            (f64::INFINITY, 17, "inf"),
            (f64::NEG_INFINITY, 17, "-inf"),
        ] {
            assert_eq!(format_general(value, precision), expected);
        }
    }

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
            assert_eq!(read_prefix(text.as_bytes()), expected, "{text}");
        }
        assert!(read_prefix(b"nan").is_some_and(|(value, len)| value.is_nan() && len == 3));
    }

    #[test]
    fn casts_are_those_of_the_processor() {
        assert_eq!(to_i64(-1.9), -1);
        assert_eq!(to_i64(1e300), i64::MIN);
        assert_eq!(to_i64(f64::NAN), i64::MIN);
        assert_eq!(to_i64(9.2e18), 9_200_000_000_000_000_000);
    }
}
