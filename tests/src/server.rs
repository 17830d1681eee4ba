//! A server process of its own for a test: Larder, or redis-server as the oracle.
//!
//! The process gets a free port and an empty working directory, is waited for until `PING` answers, and is ended by
//! its own process id when the test is done with it.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::client::Client;
use crate::programs;
use crate::resp::Reply;
use crate::scratch::ScratchDir;

/// What an oracle is called in messages.
const REDIS: &str = "redis-server";

/// How long a server may take until it answers `PING`.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Which way Larder talks to the kernel (`io-backend`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoBackend {
    /// The raw ring inside glommio.
    IoUring,
    /// Plain threads on epoll.
    Epoll,
}

impl IoBackend {
    /// Both, or the one that `LARDER_TEST_BACKENDS` names (for hosts that forbid io_uring).
    #[must_use]
    pub fn under_test() -> Vec<Self> {
        let chosen =
            std::env::var("LARDER_TEST_BACKENDS").unwrap_or_else(|_| "io_uring,epoll".into());
        [Self::IoUring, Self::Epoll]
            .into_iter()
            .filter(|backend| {
                chosen
                    .split(',')
                    .any(|name| name.trim() == backend.directive())
            })
            .collect()
    }

    /// The directive's value.
    #[must_use]
    pub fn directive(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

/// The name of a server's configuration file, if it has one.
pub const CONFIG_FILE: &str = "larder.conf";

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct Options {
    program: Program,
    directives: Vec<String>,
    /// What its configuration file says, if it has one.
    file: Option<String>,
    /// Ports behind the server's own that it takes too.
    more_ports: u16,
}

#[derive(Debug, Clone)]
enum Program {
    Larder { cores: usize, backend: IoBackend },
    Redis(PathBuf),
}

impl Options {
    /// Larder with so many cores on this backend.
    #[must_use]
    pub fn larder(cores: usize, backend: IoBackend) -> Self {
        Self {
            program: Program::Larder { cores, backend },
            directives: Vec::new(),
            file: None,
            more_ports: 0,
        }
    }

    /// A redis-server at this path.
    #[must_use]
    pub fn redis(path: PathBuf) -> Self {
        Self {
            program: Program::Redis(path),
            directives: Vec::new(),
            file: None,
            more_ports: 0,
        }
    }

    /// Whether this is a redis-server.
    #[must_use]
    pub fn is_redis(&self) -> bool {
        matches!(self.program, Program::Redis(_))
    }

    /// With an endpoint for each core, on the ports behind the server's own.
    #[must_use]
    pub fn with_core_endpoints(mut self) -> Self {
        if let Program::Larder { cores, .. } = self.program {
            self.more_ports = u16::try_from(cores).unwrap_or(u16::MAX);
        }
        self.directive("core-endpoints", "yes")
    }

    /// With a configuration file, [`CONFIG_FILE`] in the server's directory, that says so.
    #[must_use]
    pub fn with_file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    /// Adds a directive and its value.
    #[must_use]
    pub fn directive(mut self, name: &str, value: &str) -> Self {
        self.directives.push(format!("--{name}"));
        self.directives.extend(value.split(' ').map(str::to_owned));
        self
    }
}

/// A running server; ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    scratch: ScratchDir,
    label: String,
    /// Whether the test itself sent it a signal to end.
    is_told: AtomicBool,
    /// Whether that was one a process does not survive.
    is_killed: AtomicBool,
    /// Whether it was stopped and looked at.
    is_ended: bool,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When the program is missing, ends at once or does not answer; with the end of its log.
    pub fn start(options: &Options) -> Outcome<Self> {
        let (program, label) = match &options.program {
            Program::Larder { cores, backend } => (
                programs::larder_server()?,
                format!("larder, {cores} cores, {}", backend.directive()),
            ),
            Program::Redis(path) => (path.clone(), REDIS.into()),
        };
        let scratch = ScratchDir::new("server")?;
        let log = scratch.path().join("log");
        let open_log =
            || std::fs::File::create(&log).map_err(|why| format!("making the log: {why}"));
        let output = open_log()?;
        let errors = output.try_clone().map_err(|why| why.to_string())?;
        let port = free_ports(options.more_ports)?;
        let mut command = Command::new(&program);
        command
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        if let Some(text) = &options.file {
            let file = scratch.path().join(CONFIG_FILE);
            std::fs::write(&file, text).map_err(|why| format!("{}: {why}", file.display()))?;
            command.arg(file);
        }
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        match &options.program {
            Program::Larder { cores, backend } => {
                command.args([
                    "--cores",
                    &cores.to_string(),
                    "--io-backend",
                    backend.directive(),
                    "--enable-debug-command",
                    "yes",
                ]);
            }
            Program::Redis(_) => {
                // It sorts texts as the locale has it, Larder by their bytes.
                command.env("LC_ALL", "C");
                command.args([
                    "--save",
                    "",
                    "--daemonize",
                    "no",
                    "--enable-debug-command",
                    "yes",
                ]);
            }
        }
        command.args(&options.directives);
        let child = command
            .spawn()
            .map_err(|why| format!("starting {}: {why}", program.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Self {
            child,
            address,
            scratch,
            label,
            is_told: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            is_ended: false,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().map_err(|why| why.to_string())? {
                return Err(format!(
                    "{} ended at start with {status}\n{}",
                    self.label,
                    self.log_tail()
                ));
            }
            let answer =
                Client::connect(self.address).and_then(|mut client| client.call(&["PING"]));
            match answer {
                Ok(Reply::Status(_)) => return Ok(()),
                Ok(Reply::Error(text)) if text.starts_with(b"NOAUTH") => return Ok(()),
                _ if Instant::now() > deadline => {
                    return Err(format!(
                        "{} does not answer PING: {answer:?}\n{}",
                        self.label,
                        self.log_tail()
                    ));
                }
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// A new connection to it.
    ///
    /// # Errors
    /// When it does not accept one.
    pub fn connect(&self) -> Outcome<Client> {
        Client::connect(self.address).map_err(|why| format!("{why}\n{}", self.log_tail()))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is, for messages.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its working directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its resident memory, from `/proc`.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn resident_bytes(&self) -> Outcome<u64> {
        self.status_bytes("VmRSS:")
    }

    /// What of it lies in no file: not code, which the system drops where memory is short.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn anonymous_bytes(&self) -> Outcome<u64> {
        self.status_bytes("RssAnon:")
    }

    fn status_bytes(&self, name: &str) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .map_err(|why| why.to_string())?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| {
                rest.trim()
                    .trim_end_matches("kB")
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
            .ok_or_else(|| format!("no {name} in the process's status"))?;
        Ok(kib * 1024)
    }

    /// Sends a signal by name (`TERM`, `INT`).
    ///
    /// # Errors
    /// When `kill` does not run.
    pub fn signal(&self, name: &str) -> Outcome<()> {
        if FATAL_SIGNALS.contains(&name) {
            self.is_killed.store(true, Ordering::Relaxed);
        }
        if ["TERM", "INT"].contains(&name) {
            self.is_told.store(true, Ordering::Relaxed);
        }
        let sent = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        match sent {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("kill -s {name}: {other:?}")),
        }
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// When it still runs after `patience`.
    pub fn wait_for_exit(&mut self, patience: Duration) -> Outcome<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().map_err(|why| why.to_string())? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{} still runs after {patience:?}\n{}",
                    self.label,
                    self.log_tail()
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        let log = std::fs::read(self.scratch.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits until its log says so: it serves before it has said all there is to say of its start.
    ///
    /// # Errors
    /// It does not come to say it; with the end of its log.
    pub fn await_log(&self, text: &str) -> Outcome<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.log().contains(text) {
            if Instant::now() > deadline {
                return Err(format!("its log lacks {text}\n{}", self.log_tail()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The last lines it wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        let start = lines.len().saturating_sub(LOG_TAIL_LINES);
        format!(
            "--- end of the server's log\n{}\n---",
            lines[start..].join("\n")
        )
    }
}

/// Lines of a server's log that are shown: a panic's message with all frames of its backtrace.
const LOG_TAIL_LINES: usize = 90;

/// Signals, by name, that end a process at once.
const FATAL_SIGNALS: &[&str] = &["KILL", "ABRT", "SEGV", "BUS"];

/// How long a server may take to end when it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

impl Server {
    /// Stops it, and looks at how it fared: no thread of it panicked, and it ended as a process should.
    ///
    /// # Errors
    /// What it did instead, with the end of its log.
    pub fn stop(mut self) -> Outcome<()> {
        self.end()
    }

    fn end(&mut self) -> Outcome<()> {
        if std::mem::replace(&mut self.is_ended, true) {
            return Ok(());
        }
        let is_larder = self.label != REDIS;
        if is_larder && self.is_running() {
            // A second one would end it at once, and badly.
            if !self.is_told.load(Ordering::Relaxed) {
                self.signal("TERM")?;
            }
            // One that holds out is a matter of its own, and no panic.
            drop(self.wait_for_exit(STOP_TIMEOUT));
        }
        let had_to_be_killed = self.is_running();
        // It may have ended already; a process that is gone cannot be killed, and need not be.
        drop(self.child.kill());
        let status = self.child.wait().map_err(|why| why.to_string())?;
        if !is_larder {
            return Ok(());
        }
        let log = std::fs::read(self.scratch.path().join("log")).unwrap_or_default();
        let fault = fault_in(&String::from_utf8_lossy(&log)).or_else(|| {
            let is_meant = had_to_be_killed || self.is_killed.load(Ordering::Relaxed);
            (!is_meant && !status.success()).then(|| format!("it ended with {status}"))
        });
        match fault {
            Some(fault) => Err(format!("{}: {fault}\n{}", self.label, self.log_tail())),
            None => Ok(()),
        }
    }
}

/// What in a server's log no server should write, if there is such a thing.
#[must_use]
pub fn fault_in(log: &str) -> Option<String> {
    const SIGNS: &[&str] = &[
        "panicked at",
        "AddressSanitizer",
        "fatal runtime error",
        "memory allocation of",
    ];
    let is_fault = |line: &&str| SIGNS.iter().any(|sign| line.contains(sign));
    log.lines()
        .find(is_fault)
        .map(|line| format!("its log says {line:?}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.end();
        // A test that fails already says why itself.
        if let Err(fault) = ended
            && !std::thread::panicking()
        {
            panic!("{fault}");
        }
    }
}

/// A port nothing listens on, with `more` such ports behind it, none of which this process has given out before.
fn free_ports(more: u16) -> Outcome<u16> {
    static GIVEN: OnceLock<Mutex<HashSet<u16>>> = OnceLock::new();
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|why| format!("no free port: {why}"))?;
        let port = listener.local_addr().map_err(|why| why.to_string())?.port();
        let mut given = GIVEN
            .get_or_init(Mutex::default)
            .lock()
            .map_err(|why| why.to_string())?;
        let Some(last) = port.checked_add(more) else {
            continue;
        };
        let mut behind = port + 1..=last;
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let are_new = (port..=last).all(|port| !given.contains(&port));
        if are_new && behind.all(is_free) {
            given.extend(port..=last);
            return Ok(port);
        }
    }
}
