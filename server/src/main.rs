//! The `larder-server` binary: the command line, the configuration, then the server until it ends.

use std::process::ExitCode;

use larder_server::config::Config;
use larder_server::{cli, runtime};

fn main() -> ExitCode {
    let invocation = cli::parse();
    let outcome = Config::load(invocation.file.as_deref(), &invocation.directives)
        .map_err(|error| error.to_string())
        .and_then(|config| runtime::run(config).map_err(|error| error.to_string()));
    outcome.unwrap_or_else(|line| {
        eprintln!("larder-server: {line}");
        ExitCode::FAILURE
    })
}
