//! The `larder-server` binary: the command line, the configuration, then the server until it ends; or files that are checked.

use std::path::PathBuf;
use std::process::ExitCode;

use larder_server::cli::{self, Request};
use larder_server::config::Config;
use larder_server::runtime::EndSignals;
use larder_server::{check, runtime};

fn main() -> ExitCode {
    run().unwrap_or_else(|line| {
        eprintln!("larder-server: {line}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, String> {
    // Before anything that may take time.
    let signals = EndSignals::heed().map_err(|error| error.to_string())?;
    let invocation = match cli::parse() {
        Request::Serve(invocation) => invocation,
        Request::Check(files) => return Ok(check_all(&files)),
    };
    let config = Config::load(invocation.file.as_deref(), &invocation.directives)
        .map_err(|error| error.to_string())?;
    runtime::run(config, &signals).map_err(|error| error.to_string())
}

/// Says of each file what it is, and fails if one cannot be loaded.
fn check_all(files: &[PathBuf]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        match check::check(file) {
            Ok(line) => println!("{line}"),
            Err(line) => {
                eprintln!("{line}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
