//! The clients people already have, run as programs against servers of every shape.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::server::{IoBackend, Options, Server};
use crate::{Outcome, tools};

/// What a program printed that ended well.
#[derive(Debug)]
pub struct Printed {
    /// On standard output.
    pub output: String,
    /// On standard error.
    pub errors: String,
}

/// Runs `with` on a server of every I/O backend under test and each number of `cores`, which it is given.
///
/// # Errors
/// A server does not start, or has ended by itself.
pub fn on_every_shape(
    cores: &[usize],
    options: impl Fn(usize, IoBackend) -> Options,
    with: impl Fn(&Server, usize),
) -> Outcome<()> {
    for backend in IoBackend::under_test() {
        for &cores in cores {
            let mut server = Server::start(&options(cores, backend))?;
            with(&server, cores);
            if !server.is_running() {
                return Err(format!("{} died\n{}", server.label(), server.log_tail()));
            }
        }
    }
    Ok(())
}

/// Where the scripts of client libraries are.
#[must_use]
pub fn scripts_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// A Python that has the PyPI `redis`; else the test is skipped.
///
/// # Panics
/// In CI, when it is missing.
#[must_use]
pub fn redis_py_or_skip() -> Option<PathBuf> {
    python_with_or_skip("redis")
}

/// A Python that has this module; else the test is skipped.
///
/// # Panics
/// In CI, when it is missing.
#[must_use]
pub fn python_with_or_skip(module: &str) -> Option<PathBuf> {
    let python = tools::find_or_skip("python3")?;
    let import = format!("import {module}");
    if !runs(Command::new(&python).args(["-c", &import])) {
        tools::skip(&format!(
            "the Python module {module} is not installed (tests/clients/requirements.txt)"
        ));
        return None;
    }
    Some(python)
}

/// A Node.js, beside which the npm `ioredis` is installed; else the test is skipped.
///
/// # Panics
/// In CI, when it is missing.
#[must_use]
pub fn ioredis_or_skip() -> Option<PathBuf> {
    node_with_or_skip("ioredis")
}

/// A Node.js, beside which this npm package is installed; else the test is skipped.
///
/// # Panics
/// In CI, when it is missing.
#[must_use]
pub fn node_with_or_skip(package: &str) -> Option<PathBuf> {
    let node = tools::find_or_skip("node")?;
    let import = format!("import '{package}'");
    let import = ["--input-type=module", "-e", &import];
    if !runs(Command::new(&node).args(import).current_dir(scripts_dir())) {
        tools::skip(&format!(
            "the npm package {package} is not installed (npm install in tests/clients)"
        ));
        return None;
    }
    Some(node)
}

fn runs(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs a program to its end, with this on its standard input.
///
/// # Errors
/// It does not start or fails; with what it printed and the end of the server's log.
pub fn run(command: &mut Command, input: &str, server: &Server) -> Outcome<Printed> {
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|why| format!("{command:?}: {why}"))?;
    let mut stdin = child.stdin.take().ok_or("it has no standard input")?;
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let ended = child.wait_with_output().map_err(|why| why.to_string())?;
    let written = writer.join().map_err(|_| "the writer panicked")?;
    written.map_err(|why| why.to_string())?;
    let printed = Printed {
        output: String::from_utf8_lossy(&ended.stdout).into_owned(),
        errors: String::from_utf8_lossy(&ended.stderr).into_owned(),
    };
    if !ended.status.success() {
        let (label, log) = (server.label(), server.log_tail());
        let Printed { output, errors } = printed;
        return Err(format!("{label}: {command:?}\n{output}\n{errors}\n{log}"));
    }
    Ok(printed)
}
