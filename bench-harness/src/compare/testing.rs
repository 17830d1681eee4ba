//! Measurements made up for tests of what comes after measuring.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use super::results::Round;
use crate::machine::Machine;
use crate::report::{FORMAT, Latency, Report, Target, Totals};

/// A report of a load with this throughput and these latencies in microseconds.
pub(crate) fn report(ops_per_second: f64, latencies_us: &[u64]) -> Report {
    let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
    for latency in latencies_us {
        histogram.record(latency * 1000).expect("the histogram grows");
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&histogram, &mut bytes).expect("a vector takes all");
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    Report {
        format: FORMAT,
        larder_bench: "0".to_owned(),
        command_line: vec!["larder-bench".to_owned(), "run".to_owned()],
        settings: serde_json::Value::Null,
        machine: Machine::look(),
        target: Target {
            address: "127.0.0.1:1".to_owned(),
            protocol: "resp2".to_owned(),
            server: None,
        },
        started_unix_ms: 0,
        warmup_seconds: 0.0,
        totals: Totals {
            seconds: 1.0,
            operations: ops_per_second as u64,
            ops_per_second,
            errors: 0,
            hits: ops_per_second as u64,
            misses: 0,
            hit_ratio: Some(1.0),
            sent_bytes: 0,
            received_bytes: 0,
            client_cpu_seconds: 0.9,
            verify_failures: 0,
        },
        latency_us: Latency {
            mean: histogram.mean() / 1000.0,
            min: histogram.min() as f64 / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: histogram.max() as f64 / 1000.0,
        },
        latency_curve: Vec::new(),
        histogram_v2_base64: STANDARD.encode(bytes),
        commands: Default::default(),
        intervals: Vec::new(),
    }
}

/// A round with this throughput, CPU per operation and these latencies.
pub(crate) fn round(round: u32, ops_per_second: f64, cpu_us_per_op: f64, latencies_us: &[u64]) -> Round {
    Round {
        round,
        order: round,
        server_cpu_seconds: cpu_us_per_op * ops_per_second / 1e6,
        cpu_us_per_op,
        server_cores: 0.8,
        load_cores: 1.0,
        foreign_cores: 0.01,
        resident_bytes: 20 << 20,
        load: report(ops_per_second, latencies_us),
    }
}
