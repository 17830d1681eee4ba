//! `larder-bench compare` as a whole, with servers and a load that these tests make themselves: this executable, started
//! again as one of its own ignored tests. No outside program takes part but `sh`, and no figure depends on speed.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use larder_bench::machine::Machine;
use larder_bench::report::{FORMAT, Latency, Report, Target, Totals};
use serde_json::Value;

/// A directory with a scenario and what the servers and the load leave there.
struct Bench {
    directory: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("compare-test-{}-{name}", std::process::id()));
        fs::create_dir_all(directory.join("temporary")).unwrap();
        let load = format!(
            "#!/bin/sh\nFAKE_LOAD_ARGUMENTS=$(printf '%s\\n' \"$@\") exec {} --exact a_load_for_the_other_tests --ignored --nocapture\n",
            this_executable()
        );
        fs::write(directory.join("load.sh"), load).unwrap();
        let mut mode = fs::metadata(directory.join("load.sh"))
            .unwrap()
            .permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        fs::set_permissions(directory.join("load.sh"), mode).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A scenario of the servers `names` on one CPU, with `more` after them.
    fn scenario(&self, names: &[&str], more: &str) {
        let cpu = allowed_cpu();
        let mut text = format!(
            "format = 1\ntitle = \"Made for a test\"\nrounds = 2\nseconds = 0.05\nwarmup_seconds = 0.05\n\
             [cpus]\nservers = \"{cpu}\"\nload = \"{cpu}\"\n"
        );
        for name in names {
            text += &format!(
                "[[servers]]\nname = \"{name}\"\nlabel = \"Server {name}\"\n\
                 command = \"{} --exact a_server_for_the_other_tests --ignored --nocapture\"\n\
                 hit_ratio_arguments = \"--skip {{maxmemory_mib}}\"\n\
                 environment = {{ FAKE_SERVER_PORT = \"{{port}}\", FAKE_SERVER_NAME = \"{name}\" }}\n",
                this_executable()
            );
        }
        fs::write(self.path("scenario.toml"), text + more).unwrap();
    }

    fn command(&self, arguments: &[&str], load: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder-bench"));
        command
            .arg("compare")
            .args(arguments)
            .arg("--load-program")
            .arg(self.path("load.sh"))
            .env("FAKE_LOAD", load)
            .env("FAKE_DIRECTORY", &self.directory)
            .env("TMPDIR", self.path("temporary"))
            .stdin(Stdio::null());
        command
    }

    fn compare(&self, arguments: &[&str], load: &str) -> Output {
        let scenario = self.path("scenario.toml");
        let mut all = vec![scenario.to_str().unwrap()];
        all.extend(arguments);
        self.command(&all, load).output().unwrap()
    }

    /// What the load was asked for, a line a run.
    fn runs(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("runs")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Asserts that nothing is left of the servers: no process and no directory.
    fn assert_clean(&self) {
        let pids = fs::read_to_string(self.path("pids")).unwrap_or_default();
        assert!(!pids.is_empty(), "servers were started");
        for pid in pids.lines() {
            assert!(
                !Path::new(&format!("/proc/{pid}")).exists(),
                "server {pid} still runs"
            );
        }
        let left: Vec<_> = fs::read_dir(self.path("temporary")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn this_executable() -> String {
    std::env::current_exe().unwrap().display().to_string()
}

fn allowed_cpu() -> usize {
    let set = rustix::thread::sched_getaffinity(None).unwrap();
    (0..rustix::thread::CpuSet::MAX_CPU)
        .find(|cpu| set.is_set(*cpu))
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A line appended to `name` in the directory of the test that started this process.
fn leave(name: &str, line: &str) {
    let directory = PathBuf::from(std::env::var("FAKE_DIRECTORY").unwrap());
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(directory.join(name))
        .unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The keys of a server.
type Store = Mutex<HashMap<String, String>>;

/// A server that knows GET and SET, and dies when told DIE.
#[test]
#[ignore = "a server, started by the other tests"]
fn a_server_for_the_other_tests() {
    let Ok(port) = std::env::var("FAKE_SERVER_PORT") else {
        return;
    };
    leave("pids", &std::process::id().to_string());
    let name = std::env::var("FAKE_SERVER_NAME").unwrap();
    if name == "stillborn" {
        eprintln!("no such option");
        std::process::exit(4);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).unwrap();
    println!("server {name} listens");
    let store = Arc::new(Store::default());
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        let store = Arc::clone(&store);
        std::thread::spawn(move || answer(stream, &store));
    }
}

fn answer(mut stream: TcpStream, store: &Store) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut next = || lines.next()?.ok();
    while let Some(line) = next() {
        // Neither keys nor values of the load have line ends in them, so a command is as many lines as it says.
        let words: Vec<String> = match line.strip_prefix('*') {
            Some(count) => {
                let argument = |_| next().and_then(|_length| next());
                (0..count.parse().unwrap()).map_while(argument).collect()
            }
            None => vec![line],
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let reply = match words.as_slice() {
            ["PING"] => "+PONG\r\n".to_owned(),
            ["INFO", ..] => "$19\r\nredis_version:9.8.7\r\n".to_owned(),
            ["DBSIZE"] => format!(":{}\r\n", store.lock().unwrap().len().max(1000)),
            ["SET", key, value] => {
                store
                    .lock()
                    .unwrap()
                    .insert((*key).to_owned(), (*value).to_owned());
                "+OK\r\n".to_owned()
            }
            ["GET", key] => match store.lock().unwrap().get(*key) {
                Some(value) => format!("${}\r\n{value}\r\n", value.len()),
                None => "$-1\r\n".to_owned(),
            },
            ["NAME"] => std::env::var("FAKE_SERVER_NAME").unwrap() + "\r\n",
            ["DIE"] => {
                eprintln!("out of cheese");
                std::process::exit(3);
            }
            _ => "-ERR unknown command\r\n".to_owned(),
        };
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

/// A load that asks the server for its name, notes what it was asked to do, and writes a report.
#[test]
#[ignore = "a load, started by the other tests"]
fn a_load_for_the_other_tests() {
    let Ok(arguments) = std::env::var("FAKE_LOAD_ARGUMENTS") else {
        return;
    };
    let arguments: Vec<&str> = arguments.lines().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| *argument == name)?;
        arguments.get(at + 1).copied()
    };
    let mut stream = TcpStream::connect(option("--server").unwrap()).unwrap();
    stream.write_all(b"NAME\r\n").unwrap();
    let mut name = String::new();
    BufReader::new(stream.try_clone().unwrap())
        .read_line(&mut name)
        .unwrap();
    let name = name.trim();
    let cpus = fs::read_to_string("/proc/self/status").unwrap();
    let cpus = cpus
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap()
        .trim()
        .to_owned();
    let stopped = stopped();
    leave(
        "runs",
        &format!(
            "{name} cpus={cpus} stopped={stopped} {}",
            arguments.join(" ")
        ),
    );
    let mut report = report(name);
    match std::env::var("FAKE_LOAD").unwrap().as_str() {
        "die" => {
            stream.write_all(b"DIE\r\n").unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        "hang" => std::thread::sleep(Duration::from_secs(60)),
        "fail" => {
            eprintln!("larder-bench: wrong protocol");
            std::process::exit(1);
        }
        "errors" => {
            report.totals.errors = 3;
            report.totals.first_error = Some("OOM command not allowed".to_owned());
        }
        "unverified" => report.totals.verify_failures = 2,
        "old" => report.format = 99,
        "misses" => report.totals.hits = 900,
        "replay" => {
            let trace = fs::read_to_string(option("--replay").unwrap()).unwrap();
            leave("trace-lines", &trace.lines().count().to_string());
        }
        _ => {}
    }
    report.totals.misses = 1000 - report.totals.hits;
    report.totals.hit_ratio = Some(report.totals.hits as f64 / 1000.0);
    fs::write(
        option("--json").unwrap(),
        serde_json::to_string(&report).unwrap(),
    )
    .unwrap();
}

/// How many servers of the test that started this process are stopped by a signal.
fn stopped() -> usize {
    let directory = PathBuf::from(std::env::var("FAKE_DIRECTORY").unwrap());
    let pids = fs::read_to_string(directory.join("pids")).unwrap();
    let is_stopped = |pid: &&str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("State:\tT"))
    };
    pids.lines().filter(is_stopped).count()
}

fn report(server: &str) -> Report {
    let scale = if server == "b" { 2 } else { 1 };
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    (1..=1000_u64).for_each(|latency| histogram.record(latency * 1000 * scale).unwrap());
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&histogram, &mut bytes)
        .unwrap();
    Report {
        format: FORMAT,
        larder_bench: "0".to_owned(),
        command_line: Vec::new(),
        settings: Value::Null,
        machine: Machine::look(),
        target: Target {
            address: String::new(),
            protocol: "resp2".to_owned(),
            server: None,
        },
        started_unix_ms: 0,
        warmup_seconds: 0.0,
        totals: Totals {
            seconds: 1.0,
            operations: 1000,
            ops_per_second: 1000.0 / scale as f64,
            errors: 0,
            hits: 1000,
            misses: 0,
            hit_ratio: Some(1.0),
            sent_bytes: 0,
            received_bytes: 0,
            client_cpu_seconds: 0.5,
            verify_failures: 0,
            unsent: 0,
            redirects: 0,
            first_error: None,
        },
        latency_us: Latency::default(),
        latency_curve: Vec::new(),
        histogram_v2_base64: STANDARD.encode(bytes),
        commands: Default::default(),
        intervals: Vec::new(),
    }
}

const TWO_CASES: &str = "[[cases]]\ncommand = [\"GET\", \"SET\"]\nkeys = 1000\nconnections = 2\n";

#[test]
fn a_comparison_visits_the_servers_in_turn_and_reports_in_three_forms() {
    let bench = Bench::new("whole");
    let missing = "[[servers]]\nname = \"gone\"\nlabel = \"Gone\"\ncommand = \"no-such-server --port {port}\"\n";
    bench.scenario(&["a", "b"], &format!("{missing}{TWO_CASES}"));
    let (json, html) = (bench.path("out.json"), bench.path("out.html"));
    let files = [
        "--json",
        json.to_str().unwrap(),
        "--html",
        html.to_str().unwrap(),
    ];
    let output = bench.compare(&files, "good");
    assert!(output.status.success(), "{}", text(&output.stderr));
    bench.assert_clean();

    let results: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let case = &results["cases"][0];
    assert_eq!(
        case["results"][1]["summary"]["throughput_ratio"]["median"],
        0.5
    );
    assert_eq!(case["results"][1]["rounds"].as_array().unwrap().len(), 2);
    assert_eq!(results["servers"][0]["version"], "redis 9.8.7");
    assert!(
        case["results"][0]["summary"]["resident_bytes"]["low"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    assert!(
        case["results"][0]["rounds"][0]["server_cpu_seconds"]
            .as_f64()
            .unwrap()
            >= 0.0
    );
    // Values of 1 µs to 1 ms, and twice that.
    let p50 = |server: usize| {
        case["results"][server]["summary"]["latency_us"]["p50"]
            .as_f64()
            .unwrap()
    };
    assert!(
        (499.0..502.0).contains(&p50(0)) && (999.0..1003.0).contains(&p50(1)),
        "{} {}",
        p50(0),
        p50(1)
    );
    for out in [text(&output.stdout), fs::read_to_string(&html).unwrap()] {
        for part in [
            "Made for a test",
            "Server a",
            "Server b",
            "Gone was skipped: its program no-such-server was not found",
        ] {
            assert!(out.contains(part), "{part} in {out}");
        }
    }

    // The page and the table come out of the JSON again as they were.
    let again = bench.path("again.html");
    let from = bench
        .command(
            &[
                "--from",
                json.to_str().unwrap(),
                "--html",
                again.to_str().unwrap(),
            ],
            "",
        )
        .output()
        .unwrap();
    assert!(from.status.success(), "{}", text(&from.stderr));
    assert_eq!(text(&from.stdout), text(&output.stdout));
    assert_eq!(
        fs::read_to_string(again).unwrap(),
        fs::read_to_string(html).unwrap()
    );
}

#[test]
fn rounds_are_interleaved_and_warm_up_and_preload_are_runs_of_their_own() {
    let bench = Bench::new("order");
    bench.scenario(&["a", "b"], TWO_CASES);
    let output = bench.compare(&["--quiet"], "good");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        text(&output.stderr)
    );
    let runs = bench.runs();
    let (preloads, loads) = runs.split_at(2);
    assert!(
        preloads
            .iter()
            .all(|run| run.contains("--preload") && run.contains("--keys 1000")),
        "{preloads:?}"
    );
    assert!(
        preloads[0].contains("stopped=0") && runs[1..].iter().all(|run| run.contains("stopped=1")),
        "of two servers one rests: {runs:?}"
    );
    assert_eq!(
        loads.len(),
        16,
        "2 rounds of 2 cases on 2 servers, each with its warm-up"
    );
    let order: Vec<String> = loads
        .chunks(2)
        .map(|pair| {
            let server = |run: &str| run.split(' ').next().unwrap().to_owned();
            assert_eq!(
                server(&pair[0]),
                server(&pair[1]),
                "a warm-up is for the server it warms"
            );
            let case = if pair[1].contains("--ratio 0:1") {
                "GET"
            } else {
                "SET"
            };
            format!("{} {case}", server(&pair[1]))
        })
        .collect();
    assert_eq!(
        order,
        [
            "a GET", "b GET", "a SET", "b SET", "b GET", "a GET", "b SET", "a SET"
        ]
    );
    let seed = |run: &String| {
        run.split("--seed ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let seeds: Vec<String> = loads.iter().skip(1).step_by(2).map(seed).collect();
    assert_eq!(
        seeds,
        ["1", "1", "1", "1", "2", "2", "2", "2"],
        "the same keys for all servers of a round"
    );
    assert_ne!(seed(&loads[0]), seed(&loads[1]));
    let cpus = format!("cpus={} ", allowed_cpu());
    assert!(
        runs.iter()
            .all(|run| run.contains(&cpus) && !run.contains("--warmup")),
        "{runs:?}"
    );
}

#[test]
fn a_server_that_dies_fails_the_comparison_with_the_end_of_its_log() {
    let bench = Bench::new("dies");
    bench.scenario(&["a", "b"], TWO_CASES);
    let output = bench.compare(&[], "die");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("Server a died (exit status: 3)") && told.contains("| out of cheese"),
        "{told}"
    );
    bench.assert_clean();
}

#[test]
fn a_server_that_does_not_start_fails_the_comparison() {
    let bench = Bench::new("stillborn");
    bench.scenario(&["a", "stillborn"], TWO_CASES);
    let output = bench.compare(&[], "good");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("Server stillborn died (exit status: 4)") && told.contains("no such option"),
        "{told}"
    );
    bench.assert_clean();
}

#[test]
fn errors_wrong_values_and_a_failing_load_fail_the_comparison() {
    for (load, part) in [
        (
            "errors",
            "Server a answered 3 of 1000 commands with errors, the first: OOM command not allowed",
        ),
        (
            "unverified",
            "Server a returned 2 values that were never set",
        ),
        (
            "fail",
            "Server a cannot be loaded (exit status: 1): larder-bench: wrong protocol",
        ),
        ("old", "no report of the load: format 99"),
    ] {
        let bench = Bench::new(load);
        bench.scenario(&["a"], TWO_CASES);
        let json = bench.path("out.json");
        let output = bench.compare(&["--json", json.to_str().unwrap()], load);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(part), "{told}");
        assert!(!json.exists(), "nothing is written");
        bench.assert_clean();
    }
}

#[test]
fn an_interrupt_stops_every_server() {
    let bench = Bench::new("interrupt");
    bench.scenario(&["a", "b"], TWO_CASES);
    let scenario = bench.path("scenario.toml");
    let mut command = bench.command(&[scenario.to_str().unwrap()], "hang");
    // As at a terminal, where ctrl-C goes to every process of the group.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let give_up = Instant::now() + Duration::from_secs(60);
    while bench.runs().is_empty() {
        assert!(Instant::now() < give_up, "the load never started");
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process_group(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("interrupted"));
    bench.assert_clean();
}

#[test]
fn the_load_of_this_program_measures_a_server() {
    let bench = Bench::new("real");
    let case = "[[cases]]\nratio = \"1:3\"\nkeys = 500\nconnections = 3\npipeline = 4\narguments = \"--verify\"\n";
    bench.scenario(
        &["a"],
        &format!("{case}[[memory]]\nname = \"m\"\nkeys = 1000\nsettle_seconds = 0.0\n"),
    );
    let (scenario, json) = (bench.path("scenario.toml"), bench.path("out.json"));
    let output = Command::new(env!("CARGO_BIN_EXE_larder-bench"))
        .args(["compare", "--quiet", "--json"])
        .args([&json, &scenario])
        .env("FAKE_DIRECTORY", &bench.directory)
        .env("TMPDIR", bench.path("temporary"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    bench.assert_clean();
    let results: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let result = &results["cases"][0]["results"][0];
    for round in result["rounds"].as_array().unwrap() {
        let totals = &round["load"]["totals"];
        assert!(totals["operations"].as_u64().unwrap() > 0);
        assert_eq!(
            (&totals["misses"], &totals["errors"]),
            (&Value::from(0), &Value::from(0))
        );
        assert!(round["cpu_us_per_op"].as_f64().unwrap() > 0.0);
    }
    let summary = &result["summary"];
    assert_eq!(summary["hit_ratio"], 1.0);
    assert!(summary["latency_us"]["p50"].as_f64().unwrap() > 0.0);
    assert_eq!(
        results["memory"][0]["results"][0]["rounds"][0]["keys"],
        1000
    );
}

#[test]
fn reads_that_miss_are_told() {
    let bench = Bench::new("misses");
    bench.scenario(&["a"], TWO_CASES);
    let output = bench.compare(&[], "misses");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(
        told.contains("warning: Server a found only 90.0% of the keys that had been set, in GET"),
        "{told}"
    );
}

#[test]
fn memory_is_that_of_a_fresh_server_that_holds_every_key() {
    let memory = "[[memory]]\nname = \"small\"\nkeys = 1000\nsettle_seconds = 0.0\n";
    let bench = Bench::new("memory");
    bench.scenario(&["a"], memory);
    let json = bench.path("out.json");
    let output = bench.compare(&["--json", json.to_str().unwrap()], "good");
    assert!(output.status.success(), "{}", text(&output.stderr));
    bench.assert_clean();
    let results: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let round = &results["memory"][0]["results"][0]["rounds"][0];
    let number = |field: &str| round[field].as_f64().unwrap();
    let per_key = (number("full_bytes") - number("empty_bytes")) / 1000.0;
    assert!((number("bytes_per_key") - per_key).abs() < 1e-6);
    assert!((number("overhead_per_key") - (per_key - 80.0)).abs() < 1e-6);

    bench.scenario(&["a"], &memory.replace("1000", "2000"));
    let output = bench.compare(&[], "good");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("Server a holds 1,000 keys after 2,000 were set"),
        "{told}"
    );
}

#[test]
fn a_trace_is_made_and_replayed_where_memory_is_bounded() {
    let bench = Bench::new("trace");
    let unbounded = "[[servers]]\nname = \"u\"\nlabel = \"Unbounded\"\ncommand = \"sh {port}\"\n";
    let case = "[[hit_ratio]]\nname = \"zipf\"\nmaxmemory = \"8mb\"\nsynthetic = { keys = 50, requests = 700, theta = 0.9 }\n";
    bench.scenario(&["a"], &format!("{unbounded}{case}"));
    let output = bench.compare(&[], "replay");
    assert!(output.status.success(), "{}", text(&output.stderr));
    bench.assert_clean();
    assert_eq!(
        fs::read_to_string(bench.path("trace-lines")).unwrap(),
        "700\n"
    );
    let told = text(&output.stdout);
    assert!(
        told.contains("Hit ratio: zipf · 8 MiB") && told.contains("100.0%"),
        "{told}"
    );
    assert!(told.contains("Unbounded takes no part in zipf"), "{told}");

    let file = "[[hit_ratio]]\nname = \"file\"\nmaxmemory = \"8mb\"\ntrace = \"keys.txt\"\n";
    bench.scenario(&["a"], file);
    let output = bench.compare(&[], "replay");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("no trace"),
        "{}",
        text(&output.stderr)
    );
    fs::write(bench.path("keys.txt"), "k1\nk2\n").unwrap();
    let output = bench.compare(&[], "replay");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn what_cannot_be_is_refused_before_anything_starts() {
    let bench = Bench::new("usage");
    bench.scenario(&["a"], TWO_CASES);
    for (arguments, part) in [
        (["--server-cpus", "1023"], "CPU 1023 is not available"),
        (
            ["--program", "nobody=/bin/sh"],
            "no server of the scenario is called or runs that",
        ),
        (["--program", "a=no/such/file"], "is no program"),
        (["--only", "nothing"], "no case is called nothing"),
        (["--servers", "x"], "no server is called x"),
        (["--baseline", "x"], "baseline \"x\""),
        (["--rounds", "0"], "rounds"),
        (["--json", "no/such/directory/out.json"], "out.json"),
    ] {
        let output = bench.compare(&arguments, "good");
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
    }
    assert!(bench.runs().is_empty() && !bench.path("pids").exists());
    let none = bench
        .command(&["no/such/scenario.toml"], "")
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn a_server_that_must_not_be_missing_fails_the_comparison() {
    let bench = Bench::new("missing");
    let gone =
        "[[servers]]\nname = \"gone\"\ncommand = \"no-such-server {port}\"\nmissing = \"fail\"\n";
    bench.scenario(&["a"], &format!("{gone}{TWO_CASES}"));
    let output = bench.compare(&[], "good");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("gone: its program no-such-server was not found"));
    let output = bench.compare(&["--program", "gone=/bin/sh", "--list"], "good");
    assert_eq!(
        text(&output.stdout),
        "get-64b-uniform-1000k-c2-p1\nset-64b-uniform-1000k-c2-p1\n"
    );
}
