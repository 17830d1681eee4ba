//! One thread of the load: its connections, and the loop that keeps them busy.
//!
//! A turn waits in epoll, and for every connection that has something reads once, passes over the replies, records them, renders
//! the next commands into the connection's buffer and writes them: two system calls and one look at the clock a batch,
//! whatever its depth, plus one wait a turn. Nothing is allocated once buffers have grown.
//!
//! Measured beside it on loopback, one core each for load and server: io_uring with multishot receives and batched sends takes
//! 11 to 14% less CPU an operation at pipeline 1 and no less at 16 and 64. Epoll needs no unsafe code, works where io_uring is
//! forbidden, and sends every batch when it is stamped, not at the end of the turn; so this is epoll.

mod connection;
mod open;
mod receive;
mod send;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use self::connection::{Client, Connection, Role};
use super::distribution::Share;
use super::error::RunError;
use super::net::Stream;
use super::record::{CommandCount, Recorder, Second};
use super::reply::Scanner;
use super::rng::{Rng, mix};
use super::schedule::Schedule;
use super::settings::Settings;
use super::setup::{self, Introduction, SlotMap};
use super::template::Renderer;
use super::workload::{Source, Workload};

/// One read takes so much at most.
const BUFFER_BYTES: usize = 256 * 1024;

/// Connections looked at in one turn.
const EVENTS: usize = 512;

/// The longest wait, so that seconds end and silence is noticed.
const MAX_WAIT_NS: u64 = 100_000_000;

/// Subscribers whose publishers are done look this often whether all has been delivered.
const DELIVERY_WAIT_NS: u64 = 1_000_000;

/// Time since the run began, the same in all threads.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock that stands at 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            epoch: Instant::now(),
        }
    }

    /// Nanoseconds since.
    #[inline]
    #[must_use]
    pub fn now_ns(self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
}

/// What all threads share.
#[derive(Debug)]
pub struct Context {
    /// The run.
    pub settings: Settings,
    /// Its commands.
    pub workload: Workload,
    /// The clock.
    pub clock: Clock,
    /// What a connection says first.
    pub introduction: Introduction,
    /// The nodes; one without a cluster.
    pub map: SlotMap,
}

/// A part of a run: preload, warm-up, or the measurement.
#[derive(Debug)]
pub struct Phase {
    /// When it begins.
    pub start_ns: u64,
    /// When no more is sent.
    pub end_ns: Option<u64>,
    /// How many commands this thread sends at most.
    pub quota: Option<u64>,
    /// What it sends.
    pub source: Source,
    /// Commands sent together, or owed at most.
    pub pipeline: usize,
    /// The due times, in the open loop.
    pub schedule: Option<Schedule>,
    /// Deliveries to subscribers, of all threads.
    pub deliveries: Arc<Deliveries>,
}

/// How far publication and delivery have come.
#[derive(Debug, Default)]
pub struct Deliveries {
    /// Threads whose publishers are not done.
    pub publishing: AtomicUsize,
    /// Deliveries that the server has promised.
    pub promised: AtomicU64,
    /// Deliveries that have come.
    pub delivered: AtomicU64,
}

impl Deliveries {
    /// Promised and not come.
    #[must_use]
    pub fn missing(&self) -> u64 {
        let promised = self.promised.load(Ordering::Acquire);
        promised.saturating_sub(self.delivered.load(Ordering::Acquire))
    }
}

/// What a thread tells while and after it runs a phase.
#[derive(Debug)]
pub enum News {
    /// A second is over.
    Second(Box<Second>),
    /// The phase is.
    Done(Box<Result<Outcome, RunError>>),
}

/// What came out of a phase for one thread.
#[derive(Debug)]
pub struct Outcome {
    /// By label.
    pub counts: Vec<CommandCount>,
    /// When the last reply had come.
    pub finished_ns: u64,
    /// Bytes written.
    pub sent_bytes: u64,
    /// Bytes read.
    pub received_bytes: u64,
    /// Values that were not their keys'.
    pub wrong_values: u64,
    /// The name of the first such key.
    pub first_wrong: Option<String>,
    /// The first error.
    pub first_error: Option<String>,
    /// Commands sent to another node after `MOVED` or `ASK`.
    pub redirects: u64,
    /// Commands that were due and never sent (open loop).
    pub unsent: u64,
}

/// The running sums of a phase.
#[derive(Debug, Default)]
struct Sums {
    sent_bytes: u64,
    received_bytes: u64,
    wrong_values: u64,
    first_wrong: Option<String>,
    first_error: Option<String>,
    redirects: u64,
    unsent: u64,
    /// Deliveries that this thread's publications promise.
    promised: u64,
}

/// One thread of the load.
#[derive(Debug)]
pub struct Worker<S> {
    context: Arc<Context>,
    epoll: OwnedFd,
    connections: Vec<Connection<S>>,
    clients: Vec<Client>,
    map: SlotMap,
    renderer: Renderer,
    /// What reads go into.
    buffer: Vec<u8>,
    /// The keys of the group in hand.
    keys: Vec<u64>,
    /// A key's name, for its slot.
    name: Vec<u8>,
    /// Connections with output of this turn.
    dirty: Vec<usize>,
    /// Clients that can take another command (open loop).
    line: VecDeque<usize>,
    source: Source,
    pipeline: usize,
    schedule: Option<Schedule>,
    recorder: Recorder,
    sums: Sums,
    /// No more is sent from then on.
    end_ns: u64,
    /// Commands that may still be sent.
    left: u64,
    owed: usize,
    /// Where the next command without a key goes.
    turn: usize,
    subscribers: usize,
}

impl<S: Scanner> Worker<S> {
    /// Connects this thread's clients and subscribers.
    ///
    /// # Errors
    /// When a connection or an introduction fails.
    pub fn new(context: &Arc<Context>, share: Share) -> Result<Self, RunError> {
        let settings = &context.settings;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(system("epoll"))?;
        let seed = mix(settings.seed ^ mix(share.index));
        let mut worker = Self {
            epoll,
            connections: Vec::new(),
            clients: Vec::new(),
            map: context.map.clone(),
            renderer: Renderer::new(context.workload.sources.clone(), Rng::new(seed)),
            buffer: vec![0; BUFFER_BYTES],
            keys: Vec::new(),
            name: Vec::new(),
            dirty: Vec::new(),
            line: VecDeque::new(),
            source: Source::Preload {
                group: 0,
                left: 0..0,
            },
            pipeline: 1,
            schedule: None,
            recorder: Recorder::new(0, None, 0),
            sums: Sums::default(),
            end_ns: 0,
            left: 0,
            owed: 0,
            turn: 0,
            subscribers: 0,
            context: Arc::clone(context),
        };
        for client in share.range(settings.clients as u64).enumerate() {
            worker.clients.push(Client::default());
            for node in 0..worker.map.nodes().len() {
                worker.connection_to(client.0, node)?;
            }
        }
        for subscriber in share.range(settings.subscribers as u64) {
            worker.add_subscriber(subscriber)?;
        }
        Ok(worker)
    }

    /// The connection of a client to a node; a new one when there is none yet.
    fn connection_to(&mut self, client: usize, node: usize) -> Result<usize, RunError> {
        let known = self.clients[client]
            .connections
            .get(node)
            .copied()
            .flatten();
        if let Some(index) = known {
            return Ok(index);
        }
        let stream = setup::connect(&self.map.nodes()[node], &self.context.introduction)?;
        let index = self.register(stream, node, Role::Load { client })?;
        let connections = &mut self.clients[client].connections;
        connections.resize(self.map.nodes().len().max(connections.len()), None);
        connections[node] = Some(index);
        Ok(index)
    }

    fn add_subscriber(&mut self, subscriber: u64) -> Result<(), RunError> {
        let address = &self.map.nodes()[0];
        let stream = setup::connect(address, &self.context.introduction)?;
        let channel = subscriber % self.context.settings.channels as u64;
        setup::subscribe(&stream, address, &format!("channel:{channel}"))?;
        self.register(stream, 0, Role::Subscriber)?;
        self.subscribers += 1;
        Ok(())
    }

    fn register(&mut self, stream: Stream, node: usize, role: Role) -> Result<usize, RunError> {
        let failed = |error| RunError::Connect {
            address: self.map.nodes()[node].to_string(),
            error,
        };
        stream.set_nonblocking().map_err(failed)?;
        let index = self.connections.len();
        // Edge-triggered and for writing too: no further call is needed when a socket fills up and drains.
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(
            &self.epoll,
            &stream,
            EventData::new_u64(index as u64),
            flags,
        )
        .map_err(system("epoll"))?;
        self.connections.push(Connection::new(stream, node, role));
        Ok(index)
    }

    /// Runs a phase until everything that was sent is answered, and tells `news` of every second.
    ///
    /// # Errors
    /// When the run cannot go on.
    pub fn run(&mut self, phase: Phase, news: &mpsc::Sender<News>) -> Result<Outcome, RunError> {
        let context = Arc::clone(&self.context);
        let workload = &context.workload;
        let deliveries = Arc::clone(&phase.deliveries);
        self.recorder = Recorder::new(workload.labels.len(), workload.message, phase.start_ns);
        self.sums = Sums::default();
        self.source = phase.source;
        self.pipeline = phase.pipeline;
        self.schedule = phase.schedule;
        self.end_ns = phase.end_ns.unwrap_or(u64::MAX);
        self.left = phase.quota.unwrap_or(u64::MAX);
        self.begin()?;
        let mut publishing = true;
        loop {
            let now_ns = context.clock.now_ns();
            if now_ns >= self.recorder.second_ends_ns() {
                let second = self.recorder.end_second(now_ns);
                // The other end is gone only when the run has failed elsewhere.
                let _ = news.send(News::Second(Box::new(second)));
                self.check_silence(now_ns)?;
            }
            let mut wait_ns = self.advance(now_ns)?;
            if self.is_done(now_ns) {
                if std::mem::take(&mut publishing) {
                    deliveries
                        .promised
                        .fetch_add(self.sums.promised, Ordering::AcqRel);
                    deliveries.publishing.fetch_sub(1, Ordering::AcqRel);
                }
                if self.deliveries_are_over(&deliveries, now_ns) {
                    break;
                }
                wait_ns = DELIVERY_WAIT_NS;
            }
            self.turn(wait_ns, &deliveries)?;
        }
        self.finish(news)
    }

    fn finish(&mut self, news: &mpsc::Sender<News>) -> Result<Outcome, RunError> {
        let finished_ns = self.context.clock.now_ns();
        self.schedule = None;
        let second = self.recorder.end_second(finished_ns);
        let _ = news.send(News::Second(Box::new(second)));
        let recorder = std::mem::replace(&mut self.recorder, Recorder::new(0, None, 0));
        let sums = std::mem::take(&mut self.sums);
        Ok(Outcome {
            counts: recorder.into_counts(),
            finished_ns,
            sent_bytes: sums.sent_bytes,
            received_bytes: sums.received_bytes,
            wrong_values: sums.wrong_values,
            first_wrong: sums.first_wrong,
            first_error: sums.first_error,
            redirects: sums.redirects,
            unsent: sums.unsent,
        })
    }

    /// Sends the first commands of a phase.
    fn begin(&mut self) -> Result<(), RunError> {
        let now_ns = self.context.clock.now_ns();
        for connection in &mut self.connections {
            connection.heard_ns = now_ns;
        }
        self.line.clear();
        for client in 0..self.clients.len() {
            self.clients[client].in_line = false;
            self.clients[client].misses.clear();
            // One after the other, each with its own time: the first is already at work while the others are filled.
            self.carry_on(client, self.context.clock.now_ns())?;
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what is due (open loop); how long nothing else will be.
    fn advance(&mut self, now_ns: u64) -> Result<u64, RunError> {
        let until_end = self.end_ns.saturating_sub(now_ns);
        let wait_ns = if self.schedule.is_some() {
            self.send_due(now_ns)?
        } else {
            MAX_WAIT_NS
        };
        let wait_ns = wait_ns.min(MAX_WAIT_NS);
        Ok(if until_end > 0 {
            wait_ns.min(until_end)
        } else {
            wait_ns
        })
    }

    /// Waits for sockets, and serves those that have something.
    fn turn(&mut self, wait_ns: u64, deliveries: &Deliveries) -> Result<(), RunError> {
        let timeout = Timespec {
            tv_sec: (wait_ns / 1_000_000_000) as i64,
            tv_nsec: (wait_ns % 1_000_000_000) as i64,
        };
        let mut events = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; EVENTS];
        let ready = match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(system("epoll")(error)),
        };
        for event in ready {
            let (flags, data) = (event.flags, event.data);
            let index = data.u64() as usize;
            if flags.contains(EventFlags::OUT) && !self.connections[index].output.is_empty() {
                self.write(index)?;
            }
            let closing = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
            if flags.intersects(EventFlags::IN | closing) {
                self.receive(index, flags.intersects(closing), deliveries)?;
            }
        }
        self.flush()
    }

    /// Whether all that is to be sent has been sent and answered.
    fn is_done(&self, now_ns: u64) -> bool {
        self.owed == 0 && (now_ns >= self.end_ns || self.left == 0)
    }

    fn deliveries_are_over(&self, deliveries: &Deliveries, now_ns: u64) -> bool {
        if self.context.workload.message.is_none() {
            return true;
        }
        if deliveries.publishing.load(Ordering::Acquire) > 0 {
            return false;
        }
        let heard_ns = self
            .connections
            .iter()
            .map(|connection| connection.heard_ns)
            .max();
        let silent_ns = now_ns.saturating_sub(heard_ns.unwrap_or(0));
        deliveries.missing() == 0 || silent_ns > self.timeout_ns()
    }

    fn timeout_ns(&self) -> u64 {
        Duration::from_secs_f64(self.context.settings.timeout_seconds).as_nanos() as u64
    }

    /// A server that owes a reply and says nothing for too long ends the run.
    fn check_silence(&self, now_ns: u64) -> Result<(), RunError> {
        let limit_ns = self.timeout_ns();
        for connection in &self.connections {
            let silent_ns = now_ns.saturating_sub(connection.heard_ns);
            if !connection.owed.is_empty() && silent_ns > limit_ns {
                return Err(RunError::Silent {
                    address: self.map.nodes()[connection.node].to_string(),
                    seconds: silent_ns as f64 / 1e9,
                    owed: connection.owed.len(),
                });
            }
        }
        Ok(())
    }
}

fn system(action: &str) -> impl FnOnce(rustix::io::Errno) -> RunError {
    let action = action.to_owned();
    move |errno| RunError::System {
        action,
        error: errno.into(),
    }
}
