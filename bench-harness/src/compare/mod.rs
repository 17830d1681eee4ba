//! `larder-bench compare`: several servers, the same load, side by side.
//!
//! A [`scenario`] says what to start and how to load it; [`measure`] does it and yields [`results`], whole and with their
//! [`summary`]; [`table`] shows them in the terminal, JSON keeps them, [`html`] makes a page of them. The page and the table
//! are functions of the results alone.

mod facets;
mod failure;
mod format;
mod html;
mod interrupt;
mod load;
mod markdown;
mod measure;
mod proc;
mod programs;
mod progress;
mod results;
mod scenario;
mod scratch;
mod server;
mod summary;
mod table;
#[cfg(test)]
mod testing;
mod trace;
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use failure::Failure;
use measure::Options;
use programs::Programs;
use progress::Progress;
use results::Results;
use scenario::{CpuList, LoadCpus, Scenario};

/// The command line of `larder-bench compare`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The scenario: servers, loads and CPUs, in TOML.
    #[arg(required_unless_present = "from")]
    scenario: Option<PathBuf>,
    /// Measure nothing: show the results that an earlier comparison wrote with --json.
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    from: Option<PathBuf>,
    /// Write everything measured, each round, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report with charts, one file that opens without a network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print hit ratios as tables in Markdown instead.
    #[arg(long)]
    markdown: bool,
    /// Where the program of a server is, by the server's name or the program's; else beside this one or on PATH.
    #[arg(long, value_name = "NAME=PATH")]
    program: Vec<String>,
    /// Measure only these servers, by name.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    servers: Vec<String>,
    /// Measure only the cases whose name matches, with * for any text (see --list).
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,
    /// The server that ratios are to.
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// How often every case visits every server.
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// How long one measurement takes.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Load before each measurement, in no figure.
    #[arg(long, value_name = "SECONDS")]
    warmup: Option<f64>,
    /// CPUs of the servers, such as 0 or 0-3.
    #[arg(long, value_name = "LIST")]
    server_cpus: Option<String>,
    /// CPUs of the load, or `rest`.
    #[arg(long, value_name = "LIST")]
    load_cpus: Option<String>,
    /// Where the scenario's trace files are; its own directory by default.
    #[arg(long, value_name = "DIRECTORY")]
    traces: Option<PathBuf>,
    /// Print the names of the scenario's cases and stop.
    #[arg(long)]
    list: bool,
    /// Say nothing while measuring.
    #[arg(long, short)]
    quiet: bool,
    /// What makes the load instead of this program; for tests.
    #[arg(long, value_name = "PATH", hide = true)]
    load_program: Option<PathBuf>,
}

/// Runs the comparison.
pub fn main(args: Args) -> ExitCode {
    match execute(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn execute(args: Args) -> Result<(), Failure> {
    // What was measured for an hour must not be lost to a file that cannot be written.
    for path in [&args.json, &args.html].into_iter().flatten() {
        writable(path)?;
    }
    let (json, html, is_markdown) = (args.json.clone(), args.html.clone(), args.markdown);
    let results = match &args.from {
        Some(path) => Results::read(path)?,
        None => match compare(args)? {
            Some(results) => results,
            None => return Ok(()),
        },
    };
    if let Some(path) = &json {
        let text = serde_json::to_string_pretty(&results)
            .map_err(|error| Failure::Failed(format!("results as JSON: {error}")))?;
        write(path, &text)?;
    }
    if let Some(path) = &html {
        write(path, &html::page(&results))?;
    }
    match is_markdown {
        true => print!("{}", markdown::hit_ratios(&results)),
        false => print!("{}", table::render(&results)),
    }
    Ok(())
}

/// Measures what `args` ask for; `None` when they only ask for a list.
fn compare(args: Args) -> Result<Option<Results>, Failure> {
    let path = args.scenario.as_deref().unwrap_or(Path::new(""));
    let scenario = Scenario::read(path).and_then(|scenario| changed(scenario, &args));
    let scenario = scenario.map_err(Failure::Usage)?;
    if args.list {
        for name in scenario.names() {
            println!("{name}");
        }
        return Ok(None);
    }
    let options = Options {
        programs: Programs::new(&args.program).map_err(Failure::Usage)?,
        traces: args
            .traces
            .unwrap_or_else(|| path.parent().unwrap_or(Path::new("")).to_owned()),
        progress: if args.quiet {
            Progress::silent()
        } else {
            Progress::new()
        },
        load_program: args.load_program,
    };
    measure::run(&scenario, options).map(Some)
}

/// The scenario with what the command line says instead.
fn changed(mut scenario: Scenario, args: &Args) -> Result<Scenario, String> {
    scenario.keep(&args.only)?;
    scenario.keep_servers(&args.servers)?;
    if let Some(list) = &args.server_cpus {
        scenario.server_cpus = CpuList::parse(list)?;
    }
    if let Some(list) = &args.load_cpus {
        scenario.load_cpus = LoadCpus::parse(list)?;
    }
    scenario.rounds = args.rounds.unwrap_or(scenario.rounds);
    scenario.seconds = args.seconds.unwrap_or(scenario.seconds);
    scenario.warmup_seconds = args.warmup.unwrap_or(scenario.warmup_seconds);
    if let Some(name) = &args.baseline {
        scenario.baseline.clone_from(name);
    }
    scenario.check()?;
    Ok(scenario)
}

/// Checks that `path` can be written, and leaves it as it was.
fn writable(path: &Path) -> Result<(), Failure> {
    let was_there = path.exists();
    let opened = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path);
    opened.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    if !was_there {
        // Should it stay, it is an empty file that is written in the end.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}
