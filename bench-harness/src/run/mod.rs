//! `larder-bench run`: load on one target, and a report of what came of it.
//!
//! [`settings`] resolves the command line, [`workload`] makes the commands ready, [`conduct`] runs the phases on threads of
//! [`worker`], [`summary`] turns their counts into a [`Report`](crate::report::Report) and [`table`] prints it.

use std::process::ExitCode;

pub mod args;
mod conduct;
pub mod distribution;
pub mod error;
mod help;
pub mod keyspace;
pub mod net;
pub mod preset;
mod progress;
pub mod protocol;
pub mod record;
pub mod reply;
pub mod rng;
pub mod schedule;
pub mod settings;
pub mod setup;
pub mod size;
mod summary;
mod table;
pub mod template;
pub mod trace;
pub mod value;
pub mod worker;
pub mod workload;
pub mod zipf;

pub use args::Args;

use error::RunError;
use settings::Settings;

/// Runs the load and reports.
pub fn main(args: &Args) -> ExitCode {
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("larder-bench: {error}");
            match error {
                RunError::Usage(_) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(args: &Args) -> Result<(), RunError> {
    let settings = Settings::resolve(args).map_err(RunError::Usage)?;
    let conducted = conduct::conduct(settings, args.quiet)?;
    let report = summary::report(&conducted);
    let json_to_stdout = args
        .json
        .as_deref()
        .is_some_and(|path| path.as_os_str() == "-");
    if !args.quiet {
        let text = table::render(&report, &conducted.remarks());
        if json_to_stdout {
            eprint!("{text}");
        } else {
            print!("{text}");
        }
    }
    // The report is written even of a run that is not good: what is wrong is in its figures.
    if let Some(path) = &args.json {
        write_json(&report, path, json_to_stdout)?;
    }
    conducted.verdict()
}

fn write_json(
    report: &crate::report::Report,
    path: &std::path::Path,
    to_stdout: bool,
) -> Result<(), RunError> {
    let mut text =
        serde_json::to_string_pretty(report).expect("a report has string keys and numbers");
    text.push('\n');
    if to_stdout {
        print!("{text}");
        return Ok(());
    }
    std::fs::write(path, text).map_err(|error| RunError::System {
        action: format!("cannot write {}", path.display()),
        error,
    })
}
