//! Numbers as C's `printf` writes them with `%.<precision>g`, which is how Lua does.

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
    fn casts_are_those_of_the_processor() {
        assert_eq!(to_i64(-1.9), -1);
        assert_eq!(to_i64(1e300), i64::MIN);
        assert_eq!(to_i64(f64::NAN), i64::MIN);
        assert_eq!(to_i64(9.2e18), 9_200_000_000_000_000_000);
    }
}
