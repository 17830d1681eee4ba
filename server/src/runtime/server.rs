//! A running server: its threads, and how it is started and ended.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::core_thread::{CoreTask, run_core};
use super::listen;
use super::mail::Mesh;
use super::own_files::OwnFile;
use super::placement::CorePlan;
use super::probe;
use super::ring::os;
use super::tuning::Tuning;
use crate::command::CommandTable;
use crate::config::Config;
use crate::persist::load::{self, Loader, Source};
use crate::rdb::Checksum;
use crate::routing::CoreId;
use crate::shared::Shared;

/// Why a server did not start, or ended: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError(String);

impl fmt::Display for ServerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

impl From<String> for ServerError {
    fn from(line: String) -> Self {
        Self(line)
    }
}

/// A server in this process.
pub struct Server {
    shared: Arc<Shared>,
    mesh: Arc<Mesh>,
    threads: Vec<JoinHandle<()>>,
    ended: Receiver<Result<(), String>>,
    report: Vec<String>,
    /// Removed when the server has ended.
    _unix: Option<OwnFile>,
    _pid_file: Option<OwnFile>,
}

impl Server {
    /// Starts a server; when this returns, it takes connections.
    ///
    /// # Errors
    /// One line saying what is missing or in the way.
    pub fn start(config: Config) -> Result<Self, ServerError> {
        Self::start_with(config, Tuning::default())
    }

    /// As [`Self::start`], with the runtime's internal choices made otherwise.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(config: Config, tuning: Tuning) -> Result<Self, ServerError> {
        os::bound_kept_memory();
        // Each core makes its own.
        CommandTable::renamed(config.renames()).map_err(|refused| refused.to_string())?;
        let plan = CorePlan::new(&config.cores, config.core_pinning)?;
        let cores = plan.cores;
        let mut report = vec![format!("cores: {}", plan.describe())];
        let descriptors = probe::descriptors(&config, cores);
        let possible = descriptors.clients_possible(config.maxclients);
        let short = probe::too_few_descriptors(descriptors, config.maxclients, possible)?;
        let config = config.with_maxclients(possible);
        let (backend, backend_line) = probe::choose(config.io_backend, cores)?;
        let listeners = listen::listen(&config, cores, tuning.tcp_port)?;
        if listeners.addresses.is_empty() {
            return Err(NOTHING_TO_LISTEN_ON.to_owned().into());
        }
        report.push(format!("listening: {}", listeners.addresses.join(", ")));
        if !listeners.core_ports.is_empty() {
            report.push(format!(
                "core endpoints: {}",
                ports_of_cores(&listeners.core_ports)
            ));
        }
        report.push(match config.maxmemory_bytes {
            0 => "memory limit: none".to_owned(),
            bytes => format!("memory limit: {bytes} bytes"),
        });
        let source = Source::open(config.dbfilename.as_str().into())?;
        report.push(persistence(&config, source.as_ref()));
        report.push(format!("io backend: {backend_line}"));
        // As with Redis, a file that cannot be written keeps no server from starting.
        let pid_file = config.pidfile.as_deref().map(OwnFile::with_process_id);
        let (pid_file, no_pid_file) = match pid_file.transpose() {
            Ok(file) => (file, None),
            Err(why) => (None, Some(why)),
        };
        let warnings = listeners.notes.into_iter().chain(short).chain(no_pid_file);
        report.extend(warnings.map(|line| format!("warning: {line}")));
        report.extend(
            config
                .startup_warnings()
                .into_iter()
                .map(|line| format!("warning: {line}")),
        );

        let shared = Shared::new(config, cores, seeds(), unix_ms());
        shared.set_descriptors(descriptors);
        shared.port.store(
            u32::from(listeners.port),
            std::sync::atomic::Ordering::Relaxed,
        );
        if !listeners.core_ports.is_empty() {
            shared.set_core_ports(listeners.core_ports);
        }
        shared.backend.store(Arc::new(backend.name().to_owned()));
        let (mesh, mails) =
            Mesh::new(cores).map_err(|error| format!("cannot make the cores' mail: {error}"))?;
        let (ended_sender, ended) = mpsc::channel();
        let mut server = Self {
            shared,
            mesh,
            threads: Vec::new(),
            ended,
            report,
            _unix: listeners.unix,
            _pid_file: pid_file,
        };
        let mut loaders = server.begin_loading(source, cores)?.into_iter();
        let epoch = Instant::now();
        let tasks = mails.into_iter().zip(listeners.of_cores).enumerate();
        let tasks = tasks.map(|(index, (mail, listeners))| CoreTask {
            mail,
            listeners,
            shared: Arc::clone(&server.shared),
            backend,
            cpu: plan.cpus.get(index).copied(),
            tuning,
            epoch,
            loader: loaders.next(),
        });
        let tasks: Vec<CoreTask> = tasks.collect();
        server.start_threads(tasks, &ended_sender)?;
        Ok(server)
    }

    /// Begins to load a file: a thread reads it, and deals it out to the loaders of the cores.
    fn begin_loading(
        &mut self,
        source: Option<Source>,
        cores: u16,
    ) -> Result<Vec<Loader>, ServerError> {
        let Some(source) = source.filter(|source| source.bytes > 0) else {
            return Ok(Vec::new());
        };
        let now_ms = unix_ms();
        let began_ms = u64::try_from(now_ms).unwrap_or(0);
        self.shared.loading.begin(cores, source.bytes, began_ms);
        let queues = (0..cores).map(|_| mpsc::sync_channel(BATCHES_MAX));
        let (senders, receivers): (Vec<_>, Vec<_>) = queues.unzip();
        let (shared, mesh) = (Arc::clone(&self.shared), Arc::clone(&self.mesh));
        let checksum = match shared.config().rdbchecksum {
            true => Checksum::Checked,
            false => Checksum::Skipped,
        };
        let read = move || {
            let ring = |core: CoreId| mesh.ring_bell(core.index());
            let terms = (&shared.slots, now_ms, checksum);
            load::read(source, &shared.loading, terms, senders, &ring);
        };
        // It ends when the cores that it reads for have gone.
        let thread = Builder::new().name("larder-load".to_owned()).spawn(read);
        thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(receivers.into_iter().map(Loader::new).collect())
    }

    /// Starts the threads and lets them serve once all are ready.
    fn start_threads(
        &mut self,
        tasks: Vec<CoreTask>,
        ended: &Sender<Result<(), String>>,
    ) -> Result<(), ServerError> {
        let count = tasks.len();
        let (ready_sender, ready) = mpsc::channel();
        let mut gates = Vec::with_capacity(count);
        for (index, task) in tasks.into_iter().enumerate() {
            let (open_gate, gate) = mpsc::channel::<()>();
            let ready = ready_sender.clone();
            let ended = EndGuard {
                shared: Arc::clone(&self.shared),
                mesh: Arc::clone(&self.mesh),
                ended: ended.clone(),
                result: None,
            };
            let thread = Builder::new()
                .name(format!("larder-{index}"))
                .spawn(move || {
                    let mut ended = ended;
                    ended.result = Some(run_core(task, &ready, &gate));
                });
            match thread {
                Ok(thread) => self.threads.push(thread),
                Err(error) => return Err(format!("cannot start a thread: {error}").into()),
            }
            gates.push(open_gate);
        }
        drop(ready_sender);
        for _ in 0..count {
            match ready.recv() {
                Ok(Ok(())) => {}
                // Dropping the gates ends the threads that wait at them.
                Ok(Err(why)) => return Err(why.into()),
                Err(_) => return Err("a core ended while it started".to_owned().into()),
            }
        }
        self.shared.resident.begin(os::resident_bytes());
        for gate in gates {
            // A core that is gone has told why by `ended`.
            let _ = gate.send(());
        }
        Ok(())
    }

    /// The TCP port, 0 without TCP.
    pub fn port(&self) -> u16 {
        let port = self.shared.port.load(std::sync::atomic::Ordering::Relaxed);
        u16::try_from(port).expect("a port is 16 bits wide")
    }

    /// What the server is, line by line, as it is told at start.
    pub fn report(&self) -> &[String] {
        &self.report
    }

    /// What its cores share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What asks the server to end, from any thread.
    pub(super) fn stopper(&self) -> Stopper {
        Stopper {
            shared: Arc::clone(&self.shared),
            mesh: Arc::clone(&self.mesh),
        }
    }

    /// Ends the server: it accepts nothing more, sends what it owes for a second at most, and closes.
    ///
    /// # Errors
    /// A core had failed.
    pub fn stop(self) -> Result<(), ServerError> {
        self.stopper().stop();
        self.wait()
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    /// A core failed.
    pub fn wait(mut self) -> Result<(), ServerError> {
        for thread in self.threads.drain(..) {
            // A panic has been told by `ended`.
            let _ = thread.join();
        }
        if let Some(job) = self.shared.snapshots.current() {
            // That nothing is left of it is not needed.
            let _ = job.remove().perform();
        }
        let failed = self.ended.try_iter().find_map(Result::err);
        let failed = failed.or_else(|| self.shared.loading.failure());
        failed.map_or(Ok(()), |why| Err(why.into()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopper().stop();
        for thread in self.threads.drain(..) {
            // As in `wait`.
            let _ = thread.join();
        }
    }
}

/// Asks a server to end.
pub(super) struct Stopper {
    shared: Arc<Shared>,
    mesh: Arc<Mesh>,
}

impl Stopper {
    /// As Redis does: behind a snapshot, if any are saved by themselves.
    pub(super) fn end(&self) {
        if self.shared.config().save.is_empty() || self.shared.loading.is_on() {
            return self.stop();
        }
        self.shared.end_behind_snapshot();
        self.mesh.ring_all();
    }

    pub(super) fn stop(&self) {
        self.shared.stop();
        self.mesh.ring_all();
    }
}

/// Tells how a core ended, and ends the others: a server with a core missing would lose a part of its keys.
struct EndGuard {
    shared: Arc<Shared>,
    mesh: Arc<Mesh>,
    ended: Sender<Result<(), String>>,
    /// Absent when the thread panicked.
    result: Option<Result<(), String>>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        let result = self
            .result
            .take()
            .unwrap_or_else(|| Err("a core panicked; its message is above".to_owned()));
        // Nobody may be waiting any more.
        let _ = self.ended.send(result);
        self.shared.stop();
        self.mesh.ring_all();
    }
}

/// Why a server that nobody could connect to does not start.
const NOTHING_TO_LISTEN_ON: &str =
    "there is nothing to listen on: port is 0, or bind is empty, and there is no unixsocket";

/// Batches of a file that may await a core.
const BATCHES_MAX: usize = 8;

/// What is kept outside of memory, for people.
fn persistence(config: &Config, source: Option<&Source>) -> String {
    let saves = match config.save.is_empty() {
        true => "no snapshots by themselves".to_owned(),
        false => format!("snapshots to {}", config.dbfilename),
    };
    match source {
        Some(source) => format!("persistence: {saves}; loading {}", source.path.display()),
        None => format!("persistence: {saves}"),
    }
}

/// The cores' own ports, for people.
fn ports_of_cores(ports: &[u16]) -> String {
    let each = ports.iter().enumerate();
    let each: Vec<String> = each
        .map(|(core, port)| format!("core {core} on port {port}"))
        .collect();
    each.join(", ")
}

fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// Seeds nobody can guess, for the tables' hasher.
fn seeds() -> [u64; 4] {
    use std::hash::{BuildHasher, RandomState};
    std::array::from_fn(|index| RandomState::new().hash_one((index, unix_ms(), std::process::id())))
}
