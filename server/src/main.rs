//! The `larder-server` binary: the command line, the configuration, then the server until it ends.

use std::process::ExitCode;

use larder_server::config::Config;
use larder_server::runtime::EndSignals;
use larder_server::{cli, runtime};

fn main() -> ExitCode {
    serve().unwrap_or_else(|line| {
        eprintln!("larder-server: {line}");
        ExitCode::FAILURE
    })
}

fn serve() -> Result<ExitCode, String> {
    // Before anything that may take time.
    let signals = EndSignals::heed().map_err(|error| error.to_string())?;
    let invocation = cli::parse();
    let config = Config::load(invocation.file.as_deref(), &invocation.directives)
        .map_err(|error| error.to_string())?;
    runtime::run(config, &signals).map_err(|error| error.to_string())
}
