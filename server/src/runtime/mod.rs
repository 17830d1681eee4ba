//! Sockets, rings, wake-ups: everything that touches the operating system's I/O.
//!
//! ```text
//!  server       starts and ends the threads        placement  which CPU each runs on
//!  ending       what SIGTERM does, and when        own_files  those that go with the server
//!  core_thread  one core's thread                  probe      what the host offers
//!  drive        the turn, whatever the backend     listen     listening sockets
//!  desk         what happens to connections        mail       batches between cores, who sleeps
//!  backend      the seam to the operating system   ─▶ ring (io_uring inside glommio) | epoll, file_thread
//! ```
//! Unsafe code stands in [`ring`] only. Start reading at [`run`], then `drive`.

mod accept_failures;
mod backend;
mod connections;
mod core_thread;
mod desk;
mod drive;
mod ending;
mod epoll;
mod file_thread;
mod listen;
mod mail;
mod own_files;
mod placement;
mod probe;
mod ring;
mod server;
#[cfg(test)]
mod tests;
mod tuning;
mod work;

use std::process::ExitCode;

pub use ending::EndSignals;
pub use server::{Server, ServerError};
pub use tuning::{SendBy, Tuning, WakeBy};
pub use work::GlommioWork;

use crate::config::Config;
use crate::log;

/// Runs a server until SIGTERM, SIGINT or `SHUTDOWN` ends it. Says at start what it is, on standard output or in the
/// log file.
///
/// # Errors
/// One line: the server could not start, or a core failed.
pub fn run(config: Config, signals: &EndSignals) -> Result<ExitCode, ServerError> {
    std::env::set_current_dir(&config.dir)
        .map_err(|error| format!("cannot change to dir {}: {error}", config.dir.display()))?;
    if let Some(file) = &config.logfile {
        log::to_file(file);
    }
    let version = env!("CARGO_PKG_VERSION");
    let greeting = format!("Larder {version}, PID: {}", std::process::id());
    // Before anything can fail: whoever started the server finds its process in the log.
    log::say(&[greeting])?;
    let server = Server::start_with(config, Tuning::from_env())?;
    let mut lines = server.report().to_vec();
    lines.push("Ready to accept connections".to_owned());
    log::say(&lines)?;
    signals.serving(server.stopper());
    server.wait()?;
    log::say(&["Bye".to_owned()])?;
    Ok(ExitCode::SUCCESS)
}
