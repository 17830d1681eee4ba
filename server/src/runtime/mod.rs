//! Sockets, rings, wake-ups: everything that touches the operating system's I/O.
//!
//! ```text
//!  server       starts and ends the threads        placement  which CPU each runs on
//!  core_thread  one core's thread                  probe      what the host offers
//!  drive        the turn, whatever the backend     listen     listening sockets
//!  desk         what happens to connections        mail       batches between cores, who sleeps
//!  backend      the seam to the operating system   ─▶ ring (io_uring inside glommio) | epoll
//! ```
//! Unsafe code stands in [`ring`] only. Start reading at [`run`], then `drive`.

mod backend;
mod connections;
mod core_thread;
mod desk;
mod drive;
mod epoll;
mod listen;
mod mail;
mod placement;
mod probe;
mod ring;
mod server;
#[cfg(test)]
mod tests;
mod tuning;
mod work;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

pub use server::{Server, ServerError};
pub use tuning::{SendBy, Tuning, WakeBy};
pub use work::GlommioWork;

use crate::config::Config;
use ring::os::Signals;

/// Runs a server until SIGTERM, SIGINT or `SHUTDOWN` ends it. Says at start what it is, on standard output or in the
/// log file.
///
/// # Errors
/// One line: the server could not start, or a core failed.
pub fn run(config: Config) -> Result<ExitCode, ServerError> {
    let logfile = config.logfile.clone();
    let signals = Signals::block()
        .map_err(|error| ServerError::from(format!("cannot wait for signals: {error}")))?;
    let version = env!("CARGO_PKG_VERSION");
    let greeting = format!("Larder {version}, PID: {}", std::process::id());
    // Before anything can fail: whoever started the server finds its process in the log.
    say(logfile.as_deref(), &[greeting])?;
    let server = Server::start_with(config, Tuning::from_env())?;
    let mut lines = server.report().to_vec();
    lines.push("Ready to accept connections".to_owned());
    say(logfile.as_deref(), &lines)?;

    let stopper = server.stopper();
    let log = logfile.clone();
    std::thread::Builder::new()
        .name("larder-signals".to_owned())
        .spawn(move || {
            let signal = signals.wait();
            // A log that cannot be written keeps no server from ending.
            let _ = say(log.as_deref(), &[format!("{signal}: ending")]);
            stopper.stop();
            signals.wait();
            std::process::exit(1);
        })
        .map_err(|error| ServerError::from(format!("cannot start a thread: {error}")))?;
    server.wait()?;
    say(logfile.as_deref(), &["Bye".to_owned()])?;
    Ok(ExitCode::SUCCESS)
}

/// Writes lines to the log file, or to standard output.
fn say(logfile: Option<&Path>, lines: &[String]) -> Result<(), ServerError> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    match logfile {
        None => {
            // Nobody may be reading.
            let _ = io::stdout().lock().write_all(text.as_bytes());
            Ok(())
        }
        Some(path) => OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| format!("cannot write the log {}: {error}", path.display()).into()),
    }
}
