//! `larder-bench compare`: several servers, the same load, side by side.

use std::process::ExitCode;

/// The command line of `larder-bench compare`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The scenario file.
    pub scenario: std::path::PathBuf,
}

/// Runs the comparison.
pub fn main(args: Args) -> ExitCode {
    eprintln!(
        "larder-bench: {}: compare is not built yet",
        args.scenario.display()
    );
    ExitCode::from(2)
}
