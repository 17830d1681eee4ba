//! `larder-bench run`: load on one target.

use std::process::ExitCode;

/// The command line of `larder-bench run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The server, as HOST:PORT.
    #[arg(long, default_value = "127.0.0.1:6379")]
    pub server: String,
}

/// Runs the load.
pub fn main(args: &Args) -> ExitCode {
    eprintln!("larder-bench: {}: run is not built yet", args.server);
    ExitCode::from(2)
}
