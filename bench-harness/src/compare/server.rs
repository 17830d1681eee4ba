//! A server under measurement: started pinned in a directory of its own, watched while it is loaded, always stopped.
//!
//! It is stopped by its own process id, and the directory goes, when the value is dropped: on success, on failure and on
//! ctrl-C, which the measuring loops turn into a failure. What it prints goes to a file whose end is quoted when it fails.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::failure::Failure;
use super::interrupt::{Interrupt, LOOK_EVERY};
use super::proc;
use super::scenario::{CpuList, Protocol, ServerSpec, words};
use super::scratch::Scratch;
use super::wire;

/// How long a server may take to answer for the first time.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to come to rest.
const REST_WITHIN: Duration = Duration::from_secs(10);
/// How much of its log is quoted when it fails.
const LOG_TAIL_LINES: usize = 20;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    label: String,
    port: u16,
    protocol: Protocol,
    child: Child,
    log: PathBuf,
    // Removed last: the server may still write to it while it stops.
    _scratch: Scratch,
}

/// How a server is started: the parts that no scenario says.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The program that its command names.
    pub(crate) program: &'a Path,
    /// The CPUs it keeps to.
    pub(crate) cpus: &'a CpuList,
    /// Arguments after the command's own, with placeholders.
    pub(crate) more: &'a [String],
    /// Placeholders besides `{port}`, `{dir}` and `{cpus}`.
    pub(crate) values: &'a [(&'static str, String)],
    /// Asked while waiting.
    pub(crate) interrupt: &'a Interrupt,
}

impl Server {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// It does not start, ends, or does not answer in [`START_WITHIN`]; its log is quoted.
    pub(crate) fn start(spec: &ServerSpec, launch: &Launch<'_>) -> Result<Self, Failure> {
        let scratch = Scratch::new(&spec.name)?;
        let port = free_port()?;
        let mut values = vec![
            ("port", port.to_string()),
            ("dir", scratch.path().display().to_string()),
            ("cpus", launch.cpus.count().to_string()),
        ];
        values.extend(launch.values.iter().cloned());
        let log = scratch.path().join("larder-bench-server.log");
        let mut command = command(spec, launch, &values, scratch.path(), &log)?;
        let child = proc::pinned(launch.cpus, move || command.spawn()).map_err(|error| {
            let program = launch.program.display();
            Failure::Failed(format!("{}: cannot start {program}: {error}", spec.label))
        })?;
        let mut server = Self {
            label: spec.label.clone(),
            port,
            protocol: spec.protocol,
            child,
            log,
            _scratch: scratch,
        };
        server.await_ready(launch.interrupt)?;
        Ok(server)
    }

    fn await_ready(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        let give_up = Instant::now() + START_WITHIN;
        loop {
            interrupt.check()?;
            self.check_alive()?;
            match wire::ready(self.port, self.protocol) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > give_up => {
                    let seconds = START_WITHIN.as_secs();
                    return Err(self.failed(&format!("does not answer after {seconds} s: {error}")));
                }
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// # Errors
    /// It has ended; its log is quoted.
    pub(crate) fn check_alive(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("died ({status})"))),
            Err(error) => Err(self.failed(&format!("cannot be watched: {error}"))),
        }
    }

    /// The failure that says `what` of it, with the end of its log.
    pub(crate) fn failed(&self, what: &str) -> Failure {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
        let label = &self.label;
        if tail.is_empty() {
            return Failure::Failed(format!("{label} {what}; it has printed nothing"));
        }
        let quoted: Vec<String> = tail.iter().map(|line| format!("  | {line}")).collect();
        Failure::Failed(format!(
            "{label} {what}; its last lines:\n{}",
            quoted.join("\n")
        ))
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// CPU time it has used.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn cpu_time(&mut self) -> Result<Duration, Failure> {
        self.check_alive()?;
        proc::cpu_time(self.child.id())
            .map_err(|error| self.failed(&format!("has no CPU clock: {error}")))
    }

    /// Its resident bytes.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn resident_bytes(&mut self) -> Result<u64, Failure> {
        self.check_alive()?;
        proc::resident_bytes(self.child.id())
            .map_err(|error| self.failed(&format!("has no resident memory: {error}")))
    }

    /// Stops it in its tracks (SIGSTOP), so that it takes no CPU from the one under load, whatever it does when idle.
    ///
    /// # Errors
    /// It has ended, or does not stop.
    pub(crate) fn rest(&mut self) -> Result<(), Failure> {
        self.check_alive()?;
        self.signal(Signal::STOP);
        let give_up = Instant::now() + REST_WITHIN;
        while !proc::is_stopped(self.child.id()) {
            if Instant::now() > give_up {
                return Err(self.failed("does not stop on SIGSTOP"));
            }
            std::thread::sleep(LOOK_EVERY);
            self.check_alive()?;
        }
        Ok(())
    }

    /// Lets it go on.
    pub(crate) fn wake(&mut self) {
        self.signal(Signal::CONT);
    }

    /// It may end between a look and the signal; its id stays its own until it is waited for.
    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, signal));
    }

    /// How many keys it says it holds.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) fn key_count(&self) -> Result<u64, Failure> {
        wire::key_count(self.port, self.protocol)
            .map_err(|error| self.failed(&format!("does not say how many keys it holds: {error}")))
    }

    /// Name and version as it tells them.
    pub(crate) fn version(&self) -> Option<String> {
        wire::version(self.port, self.protocol)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            // One that rests takes no signal but this.
            self.signal(Signal::CONT);
            let give_up = Instant::now() + STOP_WITHIN;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < give_up {
                std::thread::sleep(LOOK_EVERY);
            }
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn command(
    spec: &ServerSpec,
    launch: &Launch<'_>,
    values: &[(&str, String)],
    directory: &Path,
    log: &Path,
) -> Result<Command, Failure> {
    let usage = |error: String| Failure::Usage(format!("server {:?}: {error}", spec.name));
    let fill = |word: &String| words::fill(word, values).map_err(usage);
    let open = |error: std::io::Error| Failure::Failed(format!("{}: {error}", log.display()));
    let out = File::create(log).map_err(open)?;
    let mut command = Command::new(launch.program);
    command
        .args(
            spec.command[1..]
                .iter()
                .chain(launch.more)
                .map(fill)
                .collect::<Result<Vec<_>, _>>()?,
        )
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(out.try_clone().map_err(open)?)
        .stdout(out);
    for (name, value) in &spec.environment {
        command.env(name, fill(value)?);
    }
    Ok(command)
}

/// A port that nothing listens on now.
fn free_port() -> Result<u16, Failure> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|probe| probe.local_addr());
    probe
        .map(|address| address.port())
        .map_err(|error| Failure::Failed(format!("no free port: {error}")))
}
