//! Measurements made up for tests of what comes after measuring.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use super::results::{
    CaseReport, CaseResult, HitRatioRound, MemoryRound, Placement, Results, Round, ServerReport,
    Settings,
};
use super::scenario::case::Work;
use super::scenario::{Case, CpuList, HitRatioCase, MemoryCase, Protocol, Trace};
use super::summary::{HitRatioSummary, MemorySummary, Spread, Summary};
use crate::machine::Machine;
use crate::report::{FORMAT, Latency, Report, Target, Totals};

/// A report of a load with this throughput and these latencies in microseconds.
pub(crate) fn report(ops_per_second: f64, latencies_us: &[u64]) -> Report {
    let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
    for latency in latencies_us {
        histogram
            .record(latency * 1000)
            .expect("the histogram grows");
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&histogram, &mut bytes)
        .expect("a vector takes all");
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
            unsent: 0,
            redirects: 0,
            first_error: None,
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
pub(crate) fn round(
    round: u32,
    ops_per_second: f64,
    cpu_us_per_op: f64,
    latencies_us: &[u64],
) -> Round {
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

/// A spread of one value.
pub(crate) fn one(value: f64) -> Spread {
    Spread {
        median: value,
        low: value,
        high: value,
    }
}

/// Results of two servers, `a` twice as fast as `b`, and one that is missing: GET at two pipelines, memory, a hit ratio.
pub(crate) fn results() -> Results {
    let server = |name: &str, label: &str, skipped: Option<&str>| ServerReport {
        name: name.to_owned(),
        label: label.to_owned(),
        command: format!("{name}-server --port {{port}}"),
        hit_ratio_arguments: None,
        program: skipped.is_none().then(|| format!("bin/{name}-server")),
        environment: Default::default(),
        protocol: Protocol::Resp2,
        version: skipped.is_none().then(|| format!("{name} 1.0")),
        skipped: skipped.map(str::to_owned),
    };
    Results {
        format: crate::compare::results::FORMAT,
        larder_bench: "0.1.0".to_owned(),
        command_line: vec![
            "larder-bench".to_owned(),
            "compare".to_owned(),
            "x.toml".to_owned(),
        ],
        settings: Settings {
            title: "A & B <compared>".to_owned(),
            description: "What for.".to_owned(),
            baseline: "a".to_owned(),
            rounds: 2,
            seconds: 1.0,
            warmup_seconds: 0.5,
            scenario: "format = 1\n".to_owned(),
        },
        machine: Machine::look(),
        setting: Placement {
            server_cpus: CpuList::parse("0").expect("a list"),
            load_cpus: CpuList::parse("1").expect("a list"),
            is_virtual: true,
            governor: None,
        },
        started_unix_ms: 1_709_210_096_000,
        took_seconds: 60.0,
        servers: vec![
            server("a", "The A", None),
            server("b", "The B", None),
            server(
                "gone",
                "Gone",
                Some("its program gone-server was not found"),
            ),
        ],
        cases: [1, 16].map(case).into(),
        memory: vec![memory()],
        hit_ratio: vec![hit_ratio()],
        warnings: vec!["The machine was busy.".to_owned()],
    }
}

fn case(pipeline: u64) -> CaseReport<Case, Round, Summary> {
    let case = Case {
        label: None,
        work: Work::Command("GET".to_owned()),
        pipeline,
        connections: 50,
        value_bytes: "64".to_owned(),
        keys: 1000,
        key_distribution: "uniform".to_owned(),
        key_bytes: None,
        ttl_seconds: None,
        rate: None,
        threads: None,
        preload: true,
        preload_command: None,
        arguments: Vec::new(),
    };
    let latencies: Vec<u64> = (1..=1000).map(|n| 50 + n * n / 1000).collect();
    let slower: Vec<u64> = latencies.iter().map(|latency| latency * 2).collect();
    let mine = [
        round(0, 250_000.0, 0.5, &latencies),
        round(1, 250_000.0, 0.5, &latencies),
    ];
    let theirs = [
        round(0, 125_000.0, 1.0, &slower),
        round(1, 125_000.0, 1.0, &slower),
    ];
    let result = |name: &str, rounds: &[Round]| CaseResult {
        server: name.to_owned(),
        summary: Summary::of(rounds, Some(&mine)).expect("sound histograms"),
        rounds: rounds.to_vec(),
    };
    CaseReport {
        name: case.name(),
        load_arguments: case.load_arguments(1),
        results: vec![result("a", &mine), result("b", &theirs)],
        skipped: Vec::new(),
        case,
    }
}

fn memory() -> CaseReport<MemoryCase, MemoryRound, MemorySummary> {
    let result = |server: &str, overhead: f64| CaseResult {
        server: server.to_owned(),
        summary: MemorySummary {
            empty_bytes: one(4e6),
            full_bytes: one(9e6),
            bytes_per_key: one(80.0 + overhead),
            overhead_per_key: one(overhead),
        },
        rounds: Vec::new(),
    };
    CaseReport {
        name: "memory".to_owned(),
        case: MemoryCase {
            name: "memory".to_owned(),
            keys: 1000,
            key_bytes: 16,
            value_bytes: 64,
            ttl_seconds: None,
            rounds: 1,
            settle_seconds: 0.0,
        },
        load_arguments: vec!["--preload".to_owned()],
        results: vec![result("a", 15.7), result("b", 64.6)],
        skipped: Vec::new(),
    }
}

fn hit_ratio() -> CaseReport<HitRatioCase, HitRatioRound, HitRatioSummary> {
    let result = |server: &str, ratio: f64| CaseResult {
        server: server.to_owned(),
        summary: HitRatioSummary {
            hit_ratio: one(ratio),
            resident_bytes: one(70e6),
            keys: one(100_000.0),
        },
        rounds: Vec::new(),
    };
    CaseReport {
        name: "zipf".to_owned(),
        case: HitRatioCase {
            name: "zipf".to_owned(),
            trace: Trace::File("zipf.txt".to_owned()),
            maxmemory_bytes: 64 << 20,
            value_bytes: 512,
            rounds: 1,
            connections: 1,
        },
        load_arguments: vec!["--replay".to_owned()],
        results: vec![result("a", 0.64), result("b", 0.61)],
        skipped: Vec::new(),
    }
}
