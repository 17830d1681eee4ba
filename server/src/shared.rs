//! What the cores share: the configuration, the slot table, and a few gauges each core publishes once a turn.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use crossbeam::utils::CachePadded;
use larder_engine::{KeyHasher, VersionWords};

use crate::budget::lending::{Lending, Told};
use crate::budget::{Exceeded, Pool, Resident};
use crate::config::Config;
use crate::observe::LogKind;
use crate::order::{Ring, Sleepers};
use crate::persist::load::Loading;
use crate::persist::snapshot::Snapshots;
use crate::routing::{CoreId, SlotMap};
use crate::script::{BusyScripts, KnownScripts, LibraryCache, ScriptCache};
use crate::topics::Topics;

/// Keys of a core that others may hold copies of; each has a version word.
pub const COPIED_KEYS_OF_CORE: usize = 16;

/// State of the whole process, behind one `Arc`. Nothing in it is written on the path of a GET.
#[derive(Debug)]
pub struct Shared {
    config: ArcSwap<Config>,
    config_version: AtomicU64,
    /// The memory that `maxmemory` allows and no core has leased.
    pub memory: Pool,
    /// What is resident that no core counts.
    pub resident: Resident,
    /// For how long more was held than there is.
    pub exceeded: Exceeded,
    /// How the cores lend one another what they may hold of it.
    pub lending: Lending,
    /// The table from slot to core.
    pub slots: SlotMap,
    /// The order of the transactions of all cores.
    pub order: Arc<Ring>,
    /// Which cores sleep.
    pub sleepers: Sleepers,
    /// Snapshots, the one under way and the last.
    pub snapshots: Snapshots,
    /// How far a file is loaded.
    pub loading: Loading,
    /// The hasher of all shards.
    pub hasher: KeyHasher,
    /// 40 hex digits that name this run of the server.
    pub run_id: String,
    /// When the process started, in milliseconds since the Unix epoch.
    pub started_unix_ms: i64,
    /// The port listened on, 0 without TCP; the configured port may have been 0 for a free one.
    pub port: AtomicU32,
    /// The ports of the cores, where each has one of its own.
    core_ports: OnceLock<Box<[u16]>>,
    /// The I/O backend taken (`io_uring` or `epoll`), for `INFO`.
    pub backend: ArcSwap<String>,
    /// Connections that are monitors, on all cores.
    pub monitors: AtomicU64,
    /// How far slots have been moved.
    pub rebalance: Rebalance,
    /// What is subscribed to, on all cores.
    pub topics: Topics,
    /// The scripts all cores know.
    pub scripts: ScriptCache,
    /// The libraries of functions all cores know.
    pub libraries: LibraryCache,
    /// Those that keep a core busy.
    pub busy: BusyScripts,
    /// Which of them keep to the keys they declare.
    pub known_scripts: KnownScripts,
    /// Scripts may call commands that are not for scripts (`DEBUG SET-DISABLE-DENY-SCRIPTS`).
    pub scripts_may_call_all: AtomicBool,
    /// The versions of the keys that are copied.
    pub copy_versions: Arc<VersionWords>,
    /// Set once the server is to end.
    pub stopping: AtomicBool,
    /// Set when a signal asks for the end, which is to come behind a snapshot.
    ends_behind_snapshot: AtomicBool,
    /// Bytes that the clients of all cores make the server hold, as the cores last published.
    pub client_bytes: AtomicU64,
    /// How many connections the process can hold; unknown without a runtime.
    descriptors: OnceLock<Descriptors>,
    next_client_id: AtomicU64,
    next_wait: AtomicU64,
    next_log_ids: [AtomicU64; LogKind::ALL.len()],
    clients: AtomicU64,
    cores: Box<[CachePadded<CoreGauges>]>,
}

/// How the process's limit of file descriptors bounds its connections.
#[derive(Clone, Copy, Debug)]
pub struct Descriptors {
    /// Those that are not for connections.
    pub own: u64,
    /// Raises the limit to a number as far as that is allowed; the limit in force.
    pub raise: fn(u64) -> u64,
}

impl Descriptors {
    /// How many of `wanted` connections are possible; the limit is raised for them.
    pub fn clients_possible(&self, wanted: u64) -> u64 {
        let limit = (self.raise)(wanted.saturating_add(self.own));
        limit.saturating_sub(self.own).min(wanted)
    }
}

/// How far the last rebalance has come; one core at a time writes it.
#[derive(Debug, Default)]
pub struct Rebalance {
    /// One is under way.
    pub busy: AtomicBool,
    /// Cores that are yet to find the keys of slots they are to give.
    pub collecting: AtomicU32,
    /// Slots yet to move.
    pub slots_left: AtomicU64,
    /// Slots that have moved.
    pub slots_moved: AtomicU64,
    /// Entries that have moved.
    pub keys_moved: AtomicU64,
    /// Times that slots could not move yet, because a client had to read first.
    pub retries: AtomicU64,
    /// The longest time that commands were held back.
    pub longest_pause_us: AtomicU64,
    /// Why it has failed; empty if it has not.
    pub failure: ArcSwap<String>,
}

/// What a core publishes of itself.
#[derive(Debug, Default)]
pub struct CoreGauges {
    /// Bytes of large batches that have been sent to it and that it has yet to receive.
    pub mail_bytes: AtomicU64,
    /// Microseconds it has spent on commands, as of its last period.
    pub busy_us: AtomicU64,
    /// Channels and patterns that its sessions are subscribed to.
    pub topics: AtomicU64,
    /// Of these, those that events of keys may concern.
    pub event_topics: AtomicU64,
    /// Shard channels that its sessions are subscribed to.
    pub shard_topics: AtomicU64,
    /// How many units of events of keys there have been for its subscribers.
    pub units_of_events: AtomicU64,
    /// The [size class](crate::session::SizeClass) of the client that holds most, of those that may be closed for it.
    pub largest_client: AtomicU64,
    /// Keys remembered to have been read by clients that keep caches.
    pub tracked_keys: AtomicU64,
    /// Bytes of entries that may be evicted, as of its last turn.
    pub evictable_bytes: AtomicU64,
    /// Bytes that it holds, idle and dying ones among them, as of its last turn; of that of a server with a limit.
    pub held_bytes: AtomicU64,
    /// Of these, idle bytes that count.
    pub idle_bytes: AtomicU64,
    /// Entries that have come while it evicts, as last told for lending,
    pub came: AtomicU64,
    /// their bytes,
    pub came_bytes: AtomicU64,
    /// entries that it held then,
    pub entries: AtomicU64,
    /// and bytes that it had leased.
    pub leased_bytes: AtomicU64,
    /// Changes that its shard has seen, as last told for save points.
    pub changes: AtomicU64,
    /// Its budget, as a part of `maxmemory` ([`crate::budget::lending`]); zero before there is any.
    pub budget: AtomicU64,
}

impl CoreGauges {
    /// Tells what lending goes by.
    pub fn tell(&self, told: &Told) {
        self.came.store(told.came, Ordering::Relaxed);
        self.came_bytes.store(told.came_bytes, Ordering::Relaxed);
        self.entries.store(told.entries, Ordering::Relaxed);
        self.leased_bytes
            .store(told.leased_bytes, Ordering::Relaxed);
    }

    /// What was last told of it.
    pub fn told(&self) -> Told {
        Told {
            came: self.came.load(Ordering::Relaxed),
            came_bytes: self.came_bytes.load(Ordering::Relaxed),
            entries: self.entries.load(Ordering::Relaxed),
            leased_bytes: self.leased_bytes.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    /// The shared state of a server of `cores` cores.
    pub fn new(config: Config, cores: u16, seeds: [u64; 4], started_unix_ms: i64) -> Arc<Self> {
        let words = usize::from(cores) * COPIED_KEYS_OF_CORE;
        let run_id = format!(
            "{:016x}{:016x}{:08x}",
            seeds[0] ^ seeds[2],
            seeds[1] ^ seeds[3],
            seeds[0] as u32
        );
        Arc::new(Self {
            memory: Pool::new(config.maxmemory_bytes),
            resident: Resident::default(),
            exceeded: Exceeded::default(),
            lending: Lending::default(),
            config: ArcSwap::from_pointee(config),
            config_version: AtomicU64::new(1),
            slots: SlotMap::even(cores),
            order: Ring::new(cores, u64::try_from(started_unix_ms).unwrap_or(0)),
            sleepers: Sleepers::new(cores),
            snapshots: Snapshots::new(started_unix_ms),
            loading: Loading::default(),
            hasher: KeyHasher::with_seeds(seeds),
            run_id,
            started_unix_ms,
            port: AtomicU32::new(0),
            core_ports: OnceLock::new(),
            backend: ArcSwap::from_pointee(String::new()),
            monitors: AtomicU64::new(0),
            rebalance: Rebalance::default(),
            topics: Topics::default(),
            scripts: ScriptCache::default(),
            libraries: LibraryCache::default(),
            busy: BusyScripts::default(),
            known_scripts: KnownScripts::default(),
            scripts_may_call_all: AtomicBool::new(false),
            copy_versions: Arc::new(VersionWords::new(words)),
            stopping: AtomicBool::new(false),
            ends_behind_snapshot: AtomicBool::new(false),
            client_bytes: AtomicU64::new(0),
            descriptors: OnceLock::new(),
            next_client_id: AtomicU64::new(1),
            next_wait: AtomicU64::new(1),
            next_log_ids: Default::default(),
            clients: AtomicU64::new(0),
            cores: (0..cores).map(|_| CachePadded::default()).collect(),
        })
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Counts the changes of the configuration; a core that sees a new number loads the new one.
    #[inline]
    pub fn config_version(&self) -> u64 {
        self.config_version.load(Ordering::Acquire)
    }

    /// Replaces the configuration with `change` of the present one.
    ///
    /// # Errors
    /// Those of `change`; the configuration stays.
    pub fn update_config<E>(&self, change: impl Fn(&Config) -> Result<Config, E>) -> Result<(), E> {
        loop {
            let present = self.config.load_full();
            let next = Arc::new(change(&present)?);
            if Arc::ptr_eq(&self.config.compare_and_swap(&present, next), &present) {
                self.config_version.fetch_add(1, Ordering::Release);
                return Ok(());
            }
        }
    }

    /// From now on connections are bounded by these descriptors.
    pub fn set_descriptors(&self, descriptors: Descriptors) {
        self.descriptors.get_or_init(|| descriptors);
    }

    /// How many of `wanted` connections are possible.
    pub fn clients_possible(&self, wanted: u64) -> u64 {
        let descriptors = self.descriptors.get();
        descriptors.map_or(wanted, |descriptors| descriptors.clients_possible(wanted))
    }

    /// Each core listens on a port of its own, these: from now on the cores are nodes to cluster clients.
    ///
    /// # Panics
    /// They have been given before, or are not as many as there are cores.
    pub fn set_core_ports(&self, ports: Vec<u16>) {
        assert_eq!(
            ports.len(),
            usize::from(self.cores()),
            "a port for each core"
        );
        let given = self.core_ports.set(ports.into());
        assert!(given.is_ok(), "the cores get their ports once");
    }

    /// The ports of the cores, if each has one of its own (`core-endpoints yes`).
    pub fn core_ports(&self) -> Option<&[u16]> {
        self.core_ports.get().map(|ports| &**ports)
    }

    /// 40 hex digits that name `core` as a node to cluster clients, as long as the server runs.
    pub fn node_id(&self, core: CoreId) -> String {
        self.id_of(core, 0x9E37_79B1)
    }

    /// 40 hex digits that name the shard whose only node is `core`.
    pub fn shard_id(&self, core: CoreId) -> String {
        self.id_of(core, 0x85EB_CA6B)
    }

    /// The run's id with eight digits of the core's own in front, where people look: an odd `step` gives no two cores the same.
    fn id_of(&self, core: CoreId, step: u32) -> String {
        let (first, rest) = self.run_id.split_at(8);
        let first = u32::from_str_radix(first, 16).expect("a run's id is of hex digits");
        let first = first.wrapping_add((u32::from(core.0) + 1).wrapping_mul(step));
        format!("{first:08x}{rest}")
    }

    /// A client id never given before.
    pub fn next_client_id(&self) -> u64 {
        self.next_client_id.fetch_add(1, Ordering::Relaxed)
    }

    /// A number for a wait for keys: those who wait for a key are served in the order of their numbers.
    pub fn next_wait(&self) -> u64 {
        self.next_wait.fetch_add(1, Ordering::Relaxed)
    }

    /// A number for an entry of a command log.
    pub fn next_log_id(&self, kind: LogKind) -> u64 {
        self.next_log_ids[kind as usize].fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a connection in, unless there are `max` already.
    pub fn admit_client(&self, max: u64) -> bool {
        self.clients
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                (held < max).then_some(held + 1)
            })
            .is_ok()
    }

    /// Counts a connection out.
    pub fn release_client(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections open.
    pub fn clients(&self) -> u64 {
        self.clients.load(Ordering::Relaxed)
    }

    /// Number of cores.
    #[inline]
    pub fn cores(&self) -> u16 {
        self.slots.cores()
    }

    /// The gauges of `core`.
    pub fn gauges(&self, core: CoreId) -> &CoreGauges {
        &self.cores[core.index()]
    }

    /// Keys that all cores remember to have been read by clients that keep caches, as they last published.
    pub fn tracked_keys(&self) -> u64 {
        let cores = self.cores.iter();
        cores
            .map(|gauges| gauges.tracked_keys.load(Ordering::Relaxed))
            .sum()
    }

    /// Asks the server to end, as SIGTERM does.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Asks the server to end behind a snapshot.
    pub fn end_behind_snapshot(&self) {
        self.ends_behind_snapshot.store(true, Ordering::Release);
    }

    /// Whether that was asked.
    #[inline]
    pub fn is_to_end_behind_snapshot(&self) -> bool {
        self.ends_behind_snapshot.load(Ordering::Acquire)
    }

    /// Takes that as heard.
    pub fn take_end_behind_snapshot(&self) -> bool {
        self.ends_behind_snapshot.swap(false, Ordering::AcqRel)
    }

    /// Whether the server is to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
