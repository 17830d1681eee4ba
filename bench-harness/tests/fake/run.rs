//! Runs `larder-bench run` and reads what it says.

use std::process::{Command, Output};

use larder_bench::report::Report;

/// What a run said.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `larder-bench run` with these arguments.
pub fn run(arguments: &[&str]) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_larder-bench"))
        .arg("run")
        .args(arguments)
        .output()
        .unwrap();
    Ran {
        code: status.code().unwrap(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// Runs against a server and gives the report of a run that was good.
pub fn report(address: &str, arguments: &[&str]) -> Report {
    let (ran, report) = report_of(address, arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    report
}

/// Runs against a server and gives the report, also of a run that was not good.
pub fn report_of(address: &str, arguments: &[&str]) -> (Ran, Report) {
    let mut all = vec!["--server", address, "--quiet", "--json", "-"];
    all.extend_from_slice(arguments);
    let ran = run(&all);
    let report = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr));
    (ran, report)
}

/// The one line of a run that failed.
pub fn failure(arguments: &[&str]) -> String {
    let ran = run(arguments);
    assert_eq!(ran.code, 1, "{} {}", ran.stdout, ran.stderr);
    let line = ran.stderr.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "one line: {line}");
    line.strip_prefix("larder-bench: ").unwrap().to_owned()
}
