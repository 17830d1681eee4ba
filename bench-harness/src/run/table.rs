//! The table at the end of a run.

use crate::report::{CommandReport, Latency, Report};

/// The report as a table, with remarks below.
pub(super) fn render(report: &Report, remarks: &[String]) -> String {
    let totals = &report.totals;
    let server = report.target.server.as_deref().unwrap_or("unknown server");
    let mut text = format!(
        "{server} at {}, {}\n{} operations in {:.2} s: {} per second\n\n",
        report.target.address,
        report.target.protocol,
        count(totals.operations),
        totals.seconds,
        count(totals.ops_per_second.round() as u64),
    );
    text.push_str(&format!(
        "{:14} {:>13} {:>12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7}\n",
        "",
        "operations",
        "per second",
        "mean",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "p99.99",
        "max",
        "hits",
        "errors"
    ));
    let whole = CommandReport {
        operations: totals.operations,
        errors: totals.errors,
        hits: totals.hits,
        misses: totals.misses,
        latency_us: report.latency_us,
    };
    for (name, row) in &report.commands {
        text.push_str(&line(name, row, totals.seconds));
    }
    if report.commands.len() != 1 {
        text.push_str(&line("total", &whole, totals.seconds));
    }
    text.push_str(&format!(
        "\nsent {}, received {}; the load used {:.2} s of CPU, {:.3} µs an operation\n",
        bytes(totals.sent_bytes),
        bytes(totals.received_bytes),
        totals.client_cpu_seconds,
        totals.client_cpu_seconds * 1e6 / totals.operations.max(1) as f64,
    ));
    for remark in remarks {
        text.push_str(&format!("note: {remark}\n"));
    }
    text
}

fn line(name: &str, row: &CommandReport, seconds: f64) -> String {
    let Latency {
        mean,
        p50,
        p90,
        p99,
        p99_9,
        p99_99,
        max,
        ..
    } = row.latency_us;
    let reads = row.hits + row.misses;
    let hits = if reads > 0 {
        format!("{:.2}%", row.hits as f64 / reads as f64 * 100.0)
    } else {
        "-".to_owned()
    };
    let mut line = format!(
        "{name:14} {:>13} {:>12}",
        count(row.operations),
        count((row.operations as f64 / seconds.max(1e-9)).round() as u64)
    );
    for latency in [mean, p50, p90, p99, p99_9, p99_99, max] {
        line.push_str(&format!(" {:>9}", micros(latency)));
    }
    line.push_str(&format!(" {hits:>7} {:>7}\n", count(row.errors)));
    line
}

/// A number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in the unit that suits it.
pub(super) fn micros(us: f64) -> String {
    match us {
        us if us < 10.0 => format!("{us:.1} µs"),
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e4 => format!("{:.2} ms", us / 1e3),
        us if us < 1e6 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

fn bytes(bytes: u64) -> String {
    let number = bytes as f64;
    match number {
        number if number < 1e4 => format!("{number:.0} B"),
        number if number < 1e6 => format!("{:.1} kB", number / 1e3),
        number if number < 1e9 => format!("{:.1} MB", number / 1e6),
        number => format!("{:.2} GB", number / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1000, 1_234_567].map(count)
        );
        assert_eq!(micros(4.25), "4.2 µs");
        assert_eq!(micros(250.4), "250 µs");
        assert_eq!(micros(2_500.0), "2.50 ms");
        assert_eq!(micros(100_000.0), "100.0 ms");
        assert_eq!(micros(3_000_000.0), "3.00 s");
        assert_eq!(bytes(1_500_000), "1.5 MB");
    }
}
