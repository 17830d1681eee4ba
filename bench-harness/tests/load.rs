//! What `larder-bench run` sends, and what it reports of the replies.
#![allow(clippy::unwrap_used)]

mod fake;

use std::collections::{HashMap, HashSet};

use fake::run::{report, report_of, run};
use fake::{Fake, Faults, Scratch, State};
use hdrhistogram::Histogram;
use larder_bench::report::Report;

fn histogram(report: &Report) -> Histogram<u64> {
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    let bytes = engine.decode(&report.histogram_v2_base64).unwrap();
    hdrhistogram::serialization::Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .unwrap()
}

#[test]
fn a_counted_run_sends_exactly_so_many_commands_and_its_figures_add_up() {
    let fake = Fake::resp(State::default());
    let report = report(
        &fake.address(),
        &[
            "--operations",
            "1000",
            "--threads",
            "2",
            "--clients",
            "7",
            "--pipeline",
            "3",
            "--ratio",
            "1:1",
        ],
    );
    let totals = &report.totals;
    assert_eq!((totals.operations, totals.errors), (1000, 0));
    assert_eq!(fake.command_count(), 1000);
    let by_command: u64 = report
        .commands
        .values()
        .map(|command| command.operations)
        .sum();
    assert_eq!(by_command, 1000);
    assert_eq!(
        totals.hits + totals.misses,
        report.commands["GET"].operations
    );
    assert_eq!(histogram(&report).len(), 1000);
    assert!(totals.seconds > 0.0 && totals.client_cpu_seconds > 0.0);
    assert!(totals.sent_bytes > 20_000 && totals.received_bytes > 4_000);
    let latency = report.latency_us;
    let rising = [
        latency.min,
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p99_9,
        latency.p99_99,
        latency.max,
    ];
    assert!(rising.is_sorted() && latency.min > 0.0, "{rising:?}");
    assert!(report.latency_curve.len() > 10);
    let clients_and_probe = 8;
    assert_eq!(
        fake.state
            .connections
            .load(std::sync::atomic::Ordering::SeqCst),
        clients_and_probe
    );
}

#[test]
fn the_report_tells_what_is_needed_to_repeat_the_run() {
    let fake = Fake::resp(State::default());
    let report = report(
        &fake.address(),
        &[
            "--operations",
            "50",
            "--seed",
            "7",
            "--key-distribution",
            "zipf:1.1",
        ],
    );
    assert_eq!(report.format, 1);
    assert_eq!(report.settings["seed"], 7);
    assert_eq!(report.settings["key_distribution"], "zipf:1.1");
    assert_eq!(report.settings["commands"][1]["template"], "GET __key__");
    assert_eq!(report.settings["value_bytes"], "64");
    assert_eq!(report.target.server.as_deref(), Some("redis 9.9.9"));
    assert!(report.command_line.contains(&"--seed".to_owned()));
    assert!(!report.machine.kernel.is_empty() && report.started_unix_ms > 0);
}

#[test]
fn equal_seeds_send_equal_commands() {
    let sent = |seed: &str| {
        let fake = Fake::resp(State::default());
        report(
            &fake.address(),
            &["--operations", "200", "--clients", "1", "--seed", seed],
        );
        fake.state.seen.lock().unwrap().clone()
    };
    assert_eq!(sent("5"), sent("5"));
    assert_ne!(sent("5"), sent("6"));
}

#[test]
fn preloaded_keys_are_all_found_and_verified_over_every_protocol() {
    for protocol in ["resp2", "resp3", "memcached-text", "memcached-meta"] {
        let fake = if protocol.starts_with("resp") {
            Fake::resp(State::default())
        } else {
            Fake::memcached(State::default())
        };
        let report = report(
            &fake.address(),
            &[
                "--protocol",
                protocol,
                "--preload",
                "--verify",
                "--keys",
                "300",
                "--operations",
                "2000",
                "--value-bytes",
                "1-500",
                "--pipeline",
                "4",
                "--clients",
                "5",
            ],
        );
        assert_eq!(report.totals.hit_ratio, Some(1.0), "{protocol}");
        assert_eq!(
            (report.totals.errors, report.totals.verify_failures),
            (0, 0),
            "{protocol}"
        );
        assert_eq!(
            report.totals.operations, 2000,
            "{protocol}: without the preload"
        );
        assert_eq!(fake.state.map.lock().unwrap().len(), 300, "{protocol}");
        assert_eq!(fake.command_count(), 2300, "{protocol}");
    }
}

#[test]
fn large_values_pass_through_in_both_directions() {
    let fake = Fake::resp(State::default());
    let report = report(
        &fake.address(),
        &[
            "--preload",
            "--verify",
            "--keys",
            "20",
            "--operations",
            "300",
            "--value-bytes",
            "300k-1m",
            "--pipeline",
            "4",
            "--clients",
            "3",
            "--ratio",
            "1:2",
        ],
    );
    assert_eq!(
        (report.totals.operations, report.totals.verify_failures),
        (300, 0)
    );
    assert_eq!(report.totals.hit_ratio, Some(1.0));
}

#[test]
fn a_value_that_is_not_its_keys_fails_the_run() {
    let state = State {
        faults: Faults {
            wrong_value_every: Some(50),
            ..Faults::default()
        },
        ..State::default()
    };
    let fake = Fake::resp(state);
    let arguments = [
        "--preload",
        "--keys",
        "100",
        "--operations",
        "1000",
        "--ratio",
        "0:1",
    ];
    let (ran, _) = report_of(&fake.address(), &arguments);
    assert_eq!(ran.code, 0, "without --verify nobody looks");
    let (ran, report) = report_of(&fake.address(), &[&arguments[..], &["--verify"]].concat());
    assert_eq!(ran.code, 1);
    assert!(
        (15..=25).contains(&report.totals.verify_failures),
        "{}",
        report.totals.verify_failures
    );
    assert!(
        ran.stderr
            .contains("carried a value that is not their key's"),
        "{}",
        ran.stderr
    );
}

#[test]
fn templates_are_filled_in_and_come_by_their_weights() {
    let fake = Fake::resp(State::default());
    let report = report(
        &fake.address(),
        &[
            "--command",
            "ZADD board:__int:1-3__ __score__ __key__",
            "--command-weight",
            "3",
            "--command",
            "HSET __key__ __field__ __value__ ; HGET __same_key__ missing",
            "--operations",
            "2000",
            "--keys",
            "50",
            "--key-prefix",
            "user:",
            "--value-bytes",
            "9",
            "--fields",
            "2",
        ],
    );
    let operations = |name: &str| report.commands[name].operations;
    assert_eq!(operations("HSET"), operations("HGET"));
    assert_eq!(report.commands["HGET"].misses, operations("HGET"));
    let share = operations("ZADD") as f64 / (operations("ZADD") + operations("HSET")) as f64;
    assert!((share - 0.75).abs() < 0.05, "{share}");
    for words in fake.seen("ZADD") {
        let text: Vec<String> = words
            .iter()
            .map(|word| String::from_utf8(word.clone()).unwrap())
            .collect();
        assert!(
            ["board:1", "board:2", "board:3"].contains(&text[1].as_str()),
            "{text:?}"
        );
        assert!(text[2].parse::<u64>().unwrap() < 1_000_000);
        assert_eq!((&text[3][..5], text[3].len()), ("user:", 17));
    }
    let fields: HashSet<Vec<u8>> = fake
        .seen("HSET")
        .into_iter()
        .map(|words| words[2].clone())
        .collect();
    assert_eq!(
        fields,
        HashSet::from([b"field:0".to_vec(), b"field:1".to_vec()])
    );
    for (set, get) in fake.seen("HSET").iter().zip(fake.seen("HGET")) {
        assert_eq!(set[3].len(), 9);
        assert_eq!(get[2], b"missing");
    }
}

#[test]
fn keys_of_one_connection_come_by_the_distribution() {
    let fake = Fake::resp(State::default());
    report(
        &fake.address(),
        &[
            "--command",
            "GET __rand_int__",
            "--keys",
            "100",
            "--operations",
            "250",
            "--clients",
            "1",
            "--key-distribution",
            "sequential",
        ],
    );
    let numbers: Vec<u64> = fake
        .seen("GET")
        .iter()
        .map(|words| String::from_utf8_lossy(&words[1]).parse().unwrap())
        .collect();
    let want: Vec<u64> = (0..250).map(|index| index % 100).collect();
    assert_eq!(numbers, want);

    let fake = Fake::resp(State::default());
    report(
        &fake.address(),
        &[
            "--ratio",
            "0:1",
            "--keys",
            "1000",
            "--operations",
            "3000",
            "--key-distribution",
            "hot:0.1:0.9",
        ],
    );
    let mut counts: HashMap<Vec<u8>, u32> = HashMap::new();
    for words in fake.seen("GET") {
        *counts.entry(words[1].clone()).or_default() += 1;
    }
    let hot: u32 = (0..100)
        .map(|key| {
            counts
                .get(format!("key:{key:012}").as_bytes())
                .unwrap_or(&0)
        })
        .sum();
    assert!((2550..2850).contains(&hot), "{hot}");
}

#[test]
fn stored_values_carry_their_sizes_and_times_to_live() {
    let fake = Fake::resp(State::default());
    report(
        &fake.address(),
        &[
            "--ratio",
            "1:0",
            "--operations",
            "500",
            "--value-bytes",
            "10:1,20:1",
            "--ttl-seconds",
            "5-9",
            "--key-bytes",
            "20-30",
        ],
    );
    let sets = fake.seen("SET");
    assert!(
        sets.iter()
            .all(|words| words.len() == 5 && words[3] == b"EX")
    );
    let sizes: HashSet<usize> = sets.iter().map(|words| words[2].len()).collect();
    assert_eq!(sizes, HashSet::from([10, 20]));
    let ttls: HashSet<u64> = sets
        .iter()
        .map(|words| String::from_utf8_lossy(&words[4]).parse().unwrap())
        .collect();
    assert_eq!(ttls, HashSet::from([5, 6, 7, 8, 9]));
    let lengths: HashSet<usize> = sets.iter().map(|words| words[1].len()).collect();
    assert!(lengths.iter().all(|length| (20..=30).contains(length)) && lengths.len() > 5);
}

#[test]
fn several_keys_of_a_command_are_each_verified() {
    let fake = Fake::resp(State::default());
    let arguments = [
        "--preload",
        "--verify",
        "--keys",
        "200",
        "--operations",
        "400",
        "--pipeline",
        "3",
        "--command",
        "MGET __key__ __key__ __key__",
        "--command",
        "MGET __key_run:1-9__",
    ];
    let report = report(&fake.address(), &arguments);
    assert_eq!(report.totals.verify_failures, 0);
    assert!(report.totals.hits > 400);
}

#[test]
fn every_preset_runs_over_every_protocol_that_can_carry_it() {
    for preset in larder_bench::run::preset::PRESETS {
        let arguments = [
            "--preset",
            preset.name,
            "--preload",
            "--keys",
            "50",
            "--operations",
            "200",
            "--clients",
            "3",
            "--subscribers",
            "2",
        ];
        let fake = Fake::resp(State::default());
        let of_resp = report(&fake.address(), &arguments);
        assert!(of_resp.totals.operations >= 200, "{}", preset.name);
        assert_eq!(of_resp.totals.errors, 0, "{}", preset.name);
        let fake = Fake::memcached(State::default());
        let memcached = [&arguments[..], &["--protocol", "memcached-text"]].concat();
        if preset.memcached.is_empty() {
            let ran = run(&[&memcached[..], &["--server", &fake.address()]].concat());
            assert_eq!(ran.code, 2, "{}", preset.name);
            continue;
        }
        let of_memcached = report(&fake.address(), &memcached);
        assert!(of_memcached.totals.operations >= 200, "{}", preset.name);
    }
}

#[test]
fn a_replay_gets_sets_on_a_miss_and_reports_the_hit_ratio() {
    let lines = ["a 10", "b 20", "a 10", "c 30", "b 20", "a 10", "d"];
    let trace = Scratch::new("replay", &lines.join("\n"));
    let fake = Fake::resp(State::default());
    let report = report(
        &fake.address(),
        &[
            "--replay",
            trace.path().to_str().unwrap(),
            "--value-bytes",
            "40",
            "--verify",
        ],
    );
    assert_eq!((report.totals.hits, report.totals.misses), (3, 4));
    assert_eq!(report.commands["GET"].operations, 7);
    assert_eq!(report.commands["SET"].operations, 4);
    let map = fake.state.map.lock().unwrap();
    let sizes: Vec<usize> = ["a", "b", "c", "d"]
        .iter()
        .map(|key| map[key.as_bytes()].len())
        .collect();
    assert_eq!(sizes, [10, 20, 30, 40]);
}

#[test]
fn a_replay_by_many_clients_over_memcached_covers_the_trace_once() {
    let text: String = (0..5000).map(|line| format!("{}\n", line % 700)).collect();
    let trace = Scratch::new("replay-many", &text);
    let fake = Fake::memcached(State::default());
    let report = report(
        &fake.address(),
        &[
            "--replay",
            trace.path().to_str().unwrap(),
            "--protocol",
            "memcached-text",
            "--clients",
            "8",
            "--threads",
            "2",
            "--pipeline",
            "4",
            "--key-prefix",
            "t:",
        ],
    );
    assert_eq!(report.commands["GET"].operations, 5000);
    // Clients that miss the same key at the same time fill it twice.
    assert!(
        (700..900).contains(&report.totals.misses),
        "{}",
        report.totals.misses
    );
    assert_eq!(report.commands["SET"].operations, report.totals.misses);
    assert_eq!(fake.state.map.lock().unwrap().len(), 700);
}

#[test]
fn subscribers_get_every_message_and_the_time_to_delivery_is_measured() {
    for protocol in ["resp2", "resp3"] {
        let fake = Fake::resp(State::default());
        let report = report(
            &fake.address(),
            &[
                "--preset",
                "pubsub",
                "--protocol",
                protocol,
                "--subscribers",
                "6",
                "--channels",
                "2",
                "--clients",
                "4",
                "--threads",
                "2",
                "--operations",
                "300",
            ],
        );
        // Every channel has three of the six subscribers.
        assert_eq!(report.commands["PUBLISH"].operations, 300, "{protocol}");
        assert_eq!(report.commands["MESSAGE"].operations, 900, "{protocol}");
        assert_eq!(report.totals.operations, 900, "{protocol}");
        assert_eq!(histogram(&report).len(), 900);
        assert!(report.latency_us.p50 > 0.0 && report.latency_us.max < 60e6);
    }
}

#[test]
fn a_unix_socket_is_loaded_like_any_other() {
    let (path, state) = Fake::unix(State::default());
    let ran = run(&[
        "--unix",
        path.to_str().unwrap(),
        "--operations",
        "500",
        "--json",
        "-",
        "--quiet",
    ]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let report: Report = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report.target.address, path.to_str().unwrap());
    assert_eq!(
        state.commands.load(std::sync::atomic::Ordering::SeqCst),
        500
    );
}

#[test]
fn time_and_warm_up_are_kept_apart() {
    let fake = Fake::resp(State::default());
    let report = report(
        &fake.address(),
        &["--duration", "1.2", "--warmup", "0.3", "--clients", "2"],
    );
    assert!(report.totals.seconds >= 1.2 && report.warmup_seconds >= 0.3);
    assert!(fake.command_count() > report.totals.operations);
    assert_eq!(report.intervals[0].second, 1);
    let in_intervals: u64 = report
        .intervals
        .iter()
        .map(|interval| interval.operations)
        .sum();
    assert!(in_intervals > 0 && in_intervals <= report.totals.operations);
}

#[test]
fn the_table_goes_to_standard_output_and_json_to_its_file() {
    let fake = Fake::resp(State::default());
    let file = Scratch::new("report.json", "");
    let path = file.path().to_str().unwrap();
    let ran = run(&[
        "--server",
        &fake.address(),
        "--operations",
        "100",
        "--json",
        path,
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for word in [
        "redis 9.9.9",
        "100 operations",
        "p99.99",
        "GET",
        "SET",
        "total",
        "CPU",
    ] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    let report: Report = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(report.totals.operations, 100);
}

#[test]
fn a_group_taken_as_one_counts_once_and_fills_the_pipeline_once() {
    let fake = Fake::resp(State::default());
    let report = report(
        &fake.address(),
        &[
            "--operations",
            "300",
            "--clients",
            "2",
            "--pipeline",
            "5",
            "--command",
            "MULTI ; SET __key__ a ; SET __key__ b ; EXEC",
            "--groups-as-one",
        ],
    );
    let totals = &report.totals;
    assert_eq!((totals.operations, totals.errors), (300, 0));
    assert_eq!(report.commands["MULTI SET EXEC"].operations, 300);
    assert_eq!(report.commands.len(), 1);
    assert_eq!(histogram(&report).len(), 300);
    assert_eq!(fake.command_count(), 4 * 300);
}

#[test]
fn an_error_within_a_group_taken_as_one_is_told() {
    let fake = Fake::resp(State::default());
    let report = report(
        &fake.address(),
        &[
            "--operations",
            "100",
            "--clients",
            "1",
            "--command",
            "MULTI ; UNKNOWN2 __key__ ; EXEC",
            "--command",
            "GET __key__",
            "--groups-as-one",
        ],
    );
    let groups = &report.commands["MULTI UNKNOWN2 EXEC"];
    assert!(groups.operations > 0 && groups.errors == groups.operations);
    assert_eq!(report.totals.errors, groups.errors);
    assert_eq!(report.totals.operations, 100);
}
