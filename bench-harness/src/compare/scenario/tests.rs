//! Scenarios that are sound, and what each kind of mistake is told.

use super::*;

const SOUND: &str = r#"
format = 1
title = "Two servers"
baseline = "b"
[cpus]
servers = "0-1"
load = "rest"
[[servers]]
name = "a"
command = "a-server --port {port} --save ''"
hit_ratio_arguments = "--maxmemory {maxmemory_bytes}"
version = "--version"
[[servers.skip]]
cases = "mem*"
reason = "it has none"
[[servers]]
name = "b"
label = "The B"
command = "b-server {port}"
protocol = "memcached-text"
missing = "fail"
[servers.environment]
DIR = "{dir}"
[[cases]]
command = ["GET", "SET"]
pipeline = [1, 16]
[[memory]]
name = "memory-small"
keys = 1_000_000
[[hit_ratio]]
name = "zipf"
maxmemory = "64mb"
synthetic = { keys = 1000, requests = 5000, theta = 0.9 }
"#;

fn with(from: &str, to: &str) -> Result<Scenario, String> {
    assert!(SOUND.contains(from), "{from}");
    Scenario::parse(SOUND.replacen(from, to, 1))
}

#[test]
fn a_sound_scenario_is_read_with_its_defaults() {
    let scenario = Scenario::parse(SOUND.to_owned()).unwrap();
    assert_eq!((scenario.rounds, scenario.baseline.as_str()), (5, "b"));
    assert_eq!(scenario.server_cpus.to_string(), "0-1");
    assert_eq!(scenario.load_cpus, LoadCpus::Rest);
    assert_eq!(
        scenario.servers[0].command,
        ["a-server", "--port", "{port}", "--save", ""]
    );
    assert_eq!(
        (
            scenario.servers[0].label.as_str(),
            scenario.servers[1].label.as_str()
        ),
        ("a", "The B")
    );
    assert_eq!(scenario.servers[1].protocol, Protocol::MemcachedText);
    assert_eq!(scenario.servers[1].missing, Missing::Fail);
    assert_eq!(
        scenario.servers[0].skipped("memory-small"),
        Some("it has none")
    );
    assert_eq!(scenario.servers[1].skipped("memory-small"), None);
    assert_eq!(scenario.hit_ratio[0].maxmemory_bytes, 64 << 20);
    assert_eq!(scenario.memory[0].title(), "1,000,000 keys · 16 B + 64 B");
    assert_eq!(scenario.names().len(), 6);
}

#[test]
fn every_mistake_is_named() {
    let mistakes = [
        ("format = 1", "format = 2", "format 2"),
        ("baseline = \"b\"", "baseline = \"c\"", "baseline \"c\""),
        ("baseline = \"b\"", "rounds = 0", "rounds"),
        ("baseline = \"b\"", "seconds = 0", "seconds = 0"),
        ("baseline = \"b\"", "seconds = nan", "seconds"),
        ("baseline = \"b\"", "roundz = 1", "roundz"),
        ("load = \"rest\"", "load = \"x\"", "list of CPUs"),
        ("name = \"b\"", "name = \"a\"", "two of one server name"),
        ("name = \"b\"", "name = \"b c\"", "letters"),
        ("b-server {port}", "b-server", "{port}"),
        ("b-server {port}", "'b-server {port}", "not closed"),
        ("DIR = \"{dir}", "DIR = \"{dri}", "{dri}"),
        (
            "--maxmemory {maxmemory_bytes}",
            "--maxmemory {maxmem}",
            "{maxmem}",
        ),
        (
            "--save ''",
            "--maxmemory {maxmemory_mib}",
            "{maxmemory_mib}",
        ),
        ("memcached-text", "memcached", "memcached-meta"),
        (
            "name = \"zipf\"",
            "name = \"memory-small\"",
            "two of one case name",
        ),
        ("\"64mb\"", "\"64 parsecs\"", "maxmemory"),
        (
            "synthetic = {",
            "trace = \"t\"\nsynthetic = {",
            "exactly one of trace",
        ),
        ("theta = 0.9", "theta = 9.0", "theta"),
        ("keys = 1_000_000", "keys = 0", "at least 1"),
    ];
    for (from, to, told) in mistakes {
        let error = with(from, to).expect_err(to);
        assert!(error.contains(told), "{to}: {error}");
    }
}

#[test]
fn a_scenario_needs_servers_and_something_to_measure() {
    let start = "format = 1\ntitle = \"x\"\n";
    assert!(
        Scenario::parse(start.to_owned())
            .unwrap_err()
            .contains("[[servers]]")
    );
    let idle = format!("{start}[[servers]]\nname = \"a\"\ncommand = \"a {{port}}\"\n");
    assert!(
        Scenario::parse(idle)
            .unwrap_err()
            .contains("nothing to measure")
    );
}

#[test]
fn cases_and_servers_can_be_chosen() {
    let mut scenario = Scenario::parse(SOUND.to_owned()).unwrap();
    scenario
        .keep(&["get-*".to_owned(), "zipf".to_owned()])
        .unwrap();
    assert_eq!(scenario.names().len(), 3);
    assert!(
        scenario
            .keep(&["nothing*".to_owned()])
            .unwrap_err()
            .contains("nothing*")
    );
    scenario.keep_servers(&["a".to_owned()]).unwrap();
    assert_eq!(
        (scenario.servers.len(), scenario.baseline.as_str()),
        (1, "a")
    );
    assert!(scenario.keep_servers(&["x".to_owned()]).is_err());
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, name, matched) in [
        ("*", "", true),
        ("get-*-p1", "get-64b-p1", true),
        ("get-*-p1", "get-64b-p16", false),
        ("*p1*", "get-p16-x", true),
        ("a", "ab", false),
        ("a*é*", "aüéx", true),
    ] {
        assert_eq!(matches(pattern, name), matched, "{pattern} {name}");
    }
}

#[test]
fn sizes_are_powers_of_two() {
    assert_eq!(bytes("64mb"), Some(64 << 20));
    assert_eq!(bytes("1_000 kb"), Some(1000 << 10));
    assert_eq!(bytes("7"), Some(7));
    for text in ["", "0", "mb", "1.5gb", "1tb"] {
        assert_eq!(bytes(text), None, "{text}");
    }
}

#[test]
fn the_scenarios_that_are_shipped_are_sound() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let scenario = Scenario::read(&path).unwrap();
            assert!(scenario.servers.len() > 1, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} scenarios");
}
