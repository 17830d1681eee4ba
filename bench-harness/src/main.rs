//! The `larder-bench` binary: load on one target (`run`) and comparison of several (`compare`).

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use larder_bench::{compare, run};

/// Load generator and comparison harness for RESP and memcached servers.
#[derive(Parser)]
#[command(name = "larder-bench", version, about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Puts load on one server and reports throughput and latency.
    Run(Box<run::Args>),
    /// Starts several servers in turn, loads each alike and reports them side by side.
    Compare(Box<compare::Args>),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::main(&args),
        Command::Compare(args) => compare::main(*args),
    }
}
