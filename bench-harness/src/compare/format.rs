//! Numbers as people read them, the same in the terminal and in the report: three significant digits, a unit.

/// A whole number with commas between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits: `0.0123`, `1.23`, `12.3`, `123`, `1234`.
pub(crate) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let magnitude = value.abs();
    // The bounds are where rounding adds a digit: 9.996 is 10.0, not 10.00.
    let decimals = if magnitude >= 99.95 || magnitude == 0.0 {
        0
    } else if magnitude >= 9.995 {
        1
    } else if magnitude >= 0.9995 {
        2
    } else if magnitude >= 0.09995 {
        3
    } else {
        4
    };
    format!("{value:.decimals$}")
}

/// Operations a second: `987`, `152 k`, `1.25 M`.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second >= 999_500.0 {
        format!("{} M", significant(per_second / 1e6))
    } else if per_second >= 9_995.0 {
        format!("{} k", significant(per_second / 1e3))
    } else {
        count(per_second.max(0.0).round() as u64)
    }
}

/// A duration given in microseconds: `0.34 µs`, `98.1 µs`, `1.20 ms`, `2.00 s`.
pub(crate) fn micros(micros: f64) -> String {
    if micros >= 999_500.0 {
        format!("{} s", significant(micros / 1e6))
    } else if micros >= 999.5 {
        format!("{} ms", significant(micros / 1e3))
    } else {
        format!("{} µs", significant(micros))
    }
}

/// Bytes in powers of two: `64 B`, `4 KiB`, `1.50 GiB`.
pub(crate) fn size(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let number = if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        significant(value)
    };
    format!("{number} {}", UNITS[unit])
}

/// A size as the load generator takes it: a number of bytes is shown with its unit, a distribution as it stands.
pub(crate) fn size_text(text: &str) -> String {
    match text.parse::<u64>() {
        Ok(bytes) => size(bytes as f64),
        Err(_) => format!("{} B", text.replace(':', " ")),
    }
}

/// A number as the load generator takes it, with commas; a range or a distribution as it stands.
pub(crate) fn number_text(text: &str) -> String {
    text.parse::<u64>().map_or_else(|_| text.to_owned(), count)
}

/// A multiple: `0.89×`, `1.31×`, `12.4×`.
pub(crate) fn ratio(ratio: f64) -> String {
    if (0.0995..9.995).contains(&ratio) {
        format!("{ratio:.2}×")
    } else {
        format!("{}×", significant(ratio))
    }
}

/// A part of one as a percentage: `97.3%`.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

/// A time span in words, for waiting: `40 s`, `12 min`, `2 h 05 min`.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=90 => format!("{whole} s"),
        91..=5400 => format!("{} min", (whole + 30) / 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A moment in UTC: `2026-11-24 23:08 UTC`.
///
/// The civil date from days since 1970 is Howard Hinnant's `civil_from_days`.
pub(crate) fn moment(unix_ms: u64) -> String {
    let minutes = unix_ms / 60_000;
    let (days, minute) = ((minutes / 1440) as i64 + 719_468, minutes % 1440);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02} UTC",
        minute / 60,
        minute % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_that_matter() {
        for (value, text) in [
            (0.0, "0"),
            (0.012_34, "0.0123"),
            (0.3456, "0.346"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (12.34, "12.3"),
            (99.96, "100"),
            (1234.4, "1234"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(significant(value), text);
        }
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(
            (count(0).as_str(), count(999).as_str(), count(1000).as_str()),
            ("0", "999", "1,000")
        );
    }

    #[test]
    fn units_follow_the_magnitude() {
        assert_eq!(
            [rate(987.4), rate(152_340.0), rate(999_600.0)],
            ["987", "152 k", "1.00 M"]
        );
        assert_eq!(
            [micros(0.34), micros(98.12), micros(1200.0), micros(2e6)],
            ["0.340 µs", "98.1 µs", "1.20 ms", "2.00 s"]
        );
        assert_eq!(
            [size(64.0), size(4096.0), size(1.5 * 1024.0 * 1024.0)],
            ["64 B", "4 KiB", "1.50 MiB"]
        );
        assert_eq!(
            [size_text("4096"), size_text("lognormal:200:1")],
            ["4 KiB", "lognormal 200 1 B"]
        );
        assert_eq!(
            [span(40.0), span(700.0), span(7500.0)],
            ["40 s", "12 min", "2 h 05 min"]
        );
    }

    #[test]
    fn moments_are_in_the_calendar() {
        assert_eq!(moment(0), "1970-01-01 00:00 UTC");
        assert_eq!(moment(1_709_210_096_000), "2024-02-29 12:34 UTC");
        assert_eq!(moment(4_102_444_740_000), "2099-12-31 23:59 UTC");
    }
}
