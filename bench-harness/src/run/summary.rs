//! From the counts of a run to its report.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use super::conduct::Conducted;
use super::record::{CommandCount, SECOND_NS, add, histogram};
use crate::machine::Machine;
use crate::report::{CommandReport, FORMAT, Interval, Latency, Report, Target, Totals};

/// Points of the curve for every halving of the distance to 100%.
const TICKS_PER_HALF: u32 = 5;

/// The report of a run.
pub(super) fn report(conducted: &Conducted) -> Report {
    let context = &conducted.context;
    let settings = &context.settings;
    let total = total(conducted);
    let labelled = context.workload.labels.iter().zip(&conducted.counts);
    Report {
        format: FORMAT,
        larder_bench: env!("CARGO_PKG_VERSION").to_owned(),
        command_line: command_line(),
        settings: serde_json::to_value(settings).expect("settings are plain data"),
        machine: Machine::look(),
        target: Target {
            address: settings.target.to_string(),
            protocol: settings.protocol.to_string(),
            server: conducted.server.clone(),
        },
        started_unix_ms: conducted.started_unix_ms,
        warmup_seconds: conducted.warmup_seconds,
        totals: totals(conducted, &total),
        latency_us: latency(&total.latency_ns),
        latency_curve: curve(&total.latency_ns),
        histogram_v2_base64: encode(&total.latency_ns),
        commands: labelled
            .filter(|(_, count)| count.operations > 0)
            .map(|(label, count)| (label.clone(), command(count)))
            .collect(),
        intervals: intervals(conducted),
    }
}

/// All commands together; with subscribers the deliveries alone, which is what such a run measures.
fn total(conducted: &Conducted) -> CommandCount {
    let mut total = CommandCount::new();
    for (label, count) in conducted.counts.iter().enumerate() {
        let headline = conducted.context.workload.message;
        if headline.is_none_or(|headline| headline == label) {
            total.add(count);
        } else {
            total.errors += count.errors;
        }
    }
    total
}

fn totals(conducted: &Conducted, total: &CommandCount) -> Totals {
    let reads = total.hits + total.misses;
    Totals {
        seconds: conducted.seconds,
        operations: total.operations,
        ops_per_second: total.operations as f64 / conducted.seconds.max(1e-9),
        errors: total.errors,
        hits: total.hits,
        misses: total.misses,
        hit_ratio: (reads > 0).then(|| total.hits as f64 / reads as f64),
        sent_bytes: conducted.sent_bytes,
        received_bytes: conducted.received_bytes,
        client_cpu_seconds: conducted.client_cpu_seconds,
        verify_failures: conducted.wrong_values,
        unsent: conducted.unsent,
        redirects: conducted.redirects,
        first_error: conducted.first_error.clone(),
    }
}

/// The arguments, without the password.
fn command_line() -> Vec<String> {
    hide_password(std::env::args())
}

fn hide_password(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut hidden = Vec::new();
    let mut is_password = false;
    for argument in arguments {
        hidden.push(match argument.strip_prefix("--password") {
            _ if is_password => "***".to_owned(),
            Some(rest) if rest.starts_with('=') => "--password=***".to_owned(),
            _ => argument.clone(),
        });
        is_password = argument == "--password";
    }
    hidden
}

fn command(count: &CommandCount) -> CommandReport {
    CommandReport {
        operations: count.operations,
        errors: count.errors,
        hits: count.hits,
        misses: count.misses,
        latency_us: latency(&count.latency_ns),
    }
}

fn intervals(conducted: &Conducted) -> Vec<Interval> {
    let seconds = conducted.intervals.values();
    // What was answered after the last whole second makes no second.
    let whole = (conducted.seconds * 1e9) as u64 / SECOND_NS;
    seconds
        .filter(|second| second.index < whole.max(1))
        .map(|second| Interval {
            second: second.index + 1,
            operations: second.latency_ns.len(),
            p50_us: us(second.latency_ns.value_at_quantile(0.5)),
            p99_us: us(second.latency_ns.value_at_quantile(0.99)),
            max_us: us(second.latency_ns.max()),
        })
        .collect()
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

fn latency(of: &Histogram<u64>) -> Latency {
    if of.is_empty() {
        return Latency::default();
    }
    let at = |quantile| us(of.value_at_quantile(quantile));
    Latency {
        mean: of.mean() / 1e3,
        min: us(of.min()),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        p99_99: at(0.9999),
        max: us(of.max()),
    }
}

fn curve(of: &Histogram<u64>) -> Vec<(f64, f64)> {
    of.iter_quantiles(TICKS_PER_HALF)
        .map(|point| {
            (
                point.quantile_iterated_to() * 100.0,
                us(point.value_iterated_to()),
            )
        })
        .collect()
}

fn encode(of: &Histogram<u64>) -> String {
    // Without bounds of its own the copy holds what it must, and readers get no more.
    let mut copy = histogram();
    add(&mut copy, of);
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&copy, &mut bytes)
        .expect("a histogram in memory can be written to memory");
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_goes_up_to_the_slowest() {
        let mut of = histogram();
        for value in 1..=10_000u64 {
            of.record(value * 1000).unwrap();
        }
        let curve = curve(&of);
        assert!(curve.len() > 40 && curve.len() < 200, "{}", curve.len());
        assert!(curve.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
        let (percentile, slowest) = curve[curve.len() - 1];
        assert!(percentile == 100.0 && (slowest / 10_000.0 - 1.0).abs() < 0.001);
        let latency = latency(&of);
        assert!((latency.p50 / 5000.0 - 1.0).abs() < 0.001);
        assert!((latency.p99_9 / 9990.0 - 1.0).abs() < 0.001);
    }

    #[test]
    fn the_histogram_comes_back_from_the_report() {
        let mut of = histogram();
        of.record_n(12_345, 7).unwrap();
        let bytes = STANDARD.decode(encode(&of)).unwrap();
        let mut deserializer = hdrhistogram::serialization::Deserializer::new();
        let back: Histogram<u64> = deserializer.deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!((back.len(), back.count_at(12_345)), (7, 7));
    }

    #[test]
    fn the_password_does_not_get_into_the_report() {
        let words = [
            "larder-bench",
            "--password",
            "a",
            "--password=b",
            "--db",
            "1",
        ];
        let hidden = hide_password(words.into_iter().map(str::to_owned));
        assert_eq!(
            hidden,
            [
                "larder-bench",
                "--password",
                "***",
                "--password=***",
                "--db",
                "1"
            ]
        );
    }
}
