//! `larder-instructions`: counts the instructions of the hot paths and holds them against the recorded baseline.
//!
//! Builds and runs the bench `instructions` as `cargo bench` does; gungraun runs each of its functions under callgrind.
//! Needs `valgrind` and the program `gungraun-runner` of the version of the crate. See `perf/README.md`.

mod baseline;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use baseline::{ALLOWED_GROWTH_PERCENT, Compared, Counts, Verdict, compare};

const USAGE: &str = "\
usage: larder-instructions [check|record]
  check   counts, compares with perf/baseline.txt, fails where a bench takes over 3% more (default)
  record  counts, and writes perf/baseline.txt anew";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        [] | ["check"] => check(),
        ["record"] => record(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            eprintln!("larder-instructions: {why}");
            ExitCode::from(2)
        }
    }
}

fn baseline_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.txt")
}

fn check() -> Result<ExitCode, String> {
    let file = baseline_file();
    let text = fs::read_to_string(&file).map_err(|why| format!("{}: {why}", file.display()))?;
    let recorded = Counts::parse(&text).map_err(|why| format!("{}: {why}", file.display()))?;
    let counted = count()?;
    let compared = compare(&recorded, &counted);
    print_table(&compared);
    if recorded.tools != counted.tools {
        println!("\nThe baseline was counted with other tools, which may be all the difference:");
        println!(
            "  recorded: {}\n  present:  {}",
            recorded.tools, counted.tools
        );
    }
    let failed: Vec<&Compared> = compared
        .iter()
        .filter(|bench| !bench.verdict().passes())
        .collect();
    if failed.is_empty() {
        println!(
            "\n{} benches, none above its baseline by more than {ALLOWED_GROWTH_PERCENT}%",
            compared.len()
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nFAILED: {} of {} benches:", failed.len(), compared.len());
    for bench in failed {
        println!("  {}", reason(bench));
    }
    println!(
        "Where it is meant: cargo run -p larder-perf --bin larder-instructions -- record, and say why in the commit."
    );
    Ok(ExitCode::FAILURE)
}

/// Why a bench fails, in a sentence.
fn reason(bench: &Compared) -> String {
    let name = &bench.name;
    match (bench.verdict(), bench.growth_percent()) {
        (Verdict::Unrecorded, _) => format!("{name} is not in the baseline"),
        (Verdict::Missing, _) => format!("{name} is in the baseline, but is no bench any more"),
        (_, growth) => format!(
            "{name} takes {:.2}% more instructions than recorded, {ALLOWED_GROWTH_PERCENT}% is allowed",
            growth.unwrap_or_default()
        ),
    }
}

fn record() -> Result<ExitCode, String> {
    let file = baseline_file();
    let counted = count()?;
    // What was there may be missing or broken: that is what recording mends.
    let recorded = fs::read_to_string(&file)
        .ok()
        .and_then(|text| Counts::parse(&text).ok())
        .unwrap_or_default();
    print_table(&compare(&recorded, &counted));
    fs::write(&file, counted.render()).map_err(|why| format!("{}: {why}", file.display()))?;
    println!("\nrecorded in {}", file.display());
    Ok(ExitCode::SUCCESS)
}

fn print_table(compared: &[Compared]) {
    println!(
        "{:<28} {:>9} {:>9} {:>9}",
        "instructions an operation", "recorded", "counted", "growth"
    );
    for bench in compared {
        println!("{bench}");
    }
}

/// Counts all benches.
fn count() -> Result<Counts, String> {
    let tools = tools()?;
    require_runner()?;
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "bench",
            "--quiet",
            "--package",
            "larder-perf",
            "--bench",
            "instructions",
            "--",
        ])
        // Instructions are all that is asked for: without a simulated cache they are counted in less than half the time.
        .args([
            "--output-format=json",
            "--parallel",
            "--callgrind-args=--cache-sim=no",
        ])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|why| format!("cargo: {why}"))?;
    if !output.status.success() {
        return Err(format!(
            "the benches could not be counted: {}",
            output.status
        ));
    }
    Counts::of_summaries(&String::from_utf8_lossy(&output.stdout), tools)
}

/// Sees to it, before minutes are spent on building, that gungraun's runner is there and of the library's version.
fn require_runner() -> Result<(), String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = fs::read_to_string(&file).map_err(|why| format!("{}: {why}", file.display()))?;
    let (_, entry) = lock
        .split_once("name = \"gungraun\"\nversion = \"")
        .ok_or("Cargo.lock does not name gungraun")?;
    let version = entry.split('"').next().unwrap_or_default();
    match first_line("gungraun-runner", &["--version"]) {
        Ok(line) if line == format!("gungraun-runner {version}") => Ok(()),
        found => Err(format!(
            "gungraun-runner {version} is needed: cargo install --locked gungraun-runner --version {version}\n  found: {}",
            found.unwrap_or_else(|why| why)
        )),
    }
}

/// What a count depends on beside the sources: compiler, valgrind, C library, instruction set.
fn tools() -> Result<String, String> {
    let rustc = first_line("rustc", &["--version"])?;
    let valgrind = first_line("valgrind", &["--version"])?;
    let libc = first_line("getconf", &["GNU_LIBC_VERSION"])?;
    Ok(format!(
        "{rustc}, {valgrind}, {libc}, {}",
        env::consts::ARCH
    ))
}

fn first_line(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|why| format!("{program} is needed: {why}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().filter(|_| output.status.success());
    line.map(|line| line.trim().to_owned())
        .ok_or_else(|| format!("{program} {} failed", args.join(" ")))
}
