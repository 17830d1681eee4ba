//! Larder's cores within the process and without sockets: their lines are queues of one thread, the clock is set.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use larder_engine::UnixMillis;
use larder_server::command::Clock;
use larder_server::config::Config;
use larder_server::dispatch::{Batch, Core, Intent, Lines};
use larder_server::persist::files::FileOp;
use larder_server::routing::CoreId;
use larder_server::session::{Peer, SessionId};
use larder_server::shared::Shared;

use crate::Outcome;
use crate::resp::{self, Reply};

/// A server of several cores, all driven by the caller's thread.
pub struct Cluster {
    cores: Vec<Core>,
    now_ms: u64,
}

/// A connection: the core it came in on, and its number there.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    core: usize,
    id: SessionId,
}

impl Cluster {
    /// Cores with the default configuration, at this time.
    ///
    /// # Errors
    /// When a core cannot have its memory.
    pub fn new(cores: u16, now_ms: u64) -> Outcome<Self> {
        let shared = Shared::new(Config::default(), cores, [1, 2, 3, 4], now_ms as i64);
        let cores = wired(&shared, &Rc::default())?;
        let mut cluster = Self { cores, now_ms };
        cluster.come_to_rest();
        Ok(cluster)
    }

    /// As [`Self::new`], at any time.
    ///
    /// # Panics
    /// When a core cannot have its memory.
    #[must_use]
    pub fn at_rest(cores: u16) -> Self {
        Self::new(cores, 1_700_000_000_000).expect("memory is to be had")
    }

    /// A new connection on this core.
    ///
    /// # Panics
    /// When the server admits no more.
    pub fn connect(&mut self, core: usize) -> Client {
        let id = self.cores[core]
            .connect(Peer::default())
            .expect("the server admits a few clients");
        Client { core, id }
    }

    /// Lets time pass, and the server do what it does meanwhile.
    pub fn advance(&mut self, millis: u64) {
        self.now_ms += millis;
        self.come_to_rest();
    }

    /// Sends bytes, lets the server come to rest, and gives all it replied.
    pub fn send(&mut self, client: Client, bytes: &[u8]) -> Vec<u8> {
        self.cores[client.core].receive(client.id, bytes);
        self.take_output(client)
    }

    /// Lets the server come to rest, and gives all it replied since it was last taken.
    pub fn take_output(&mut self, client: Client) -> Vec<u8> {
        let mut replied = Vec::new();
        // What was sent makes room for replies that had to wait.
        loop {
            self.come_to_rest();
            let output = self.cores[client.core].unsent(client.id).to_vec();
            if output.is_empty() {
                return replied;
            }
            self.cores[client.core].sent(client.id, output.len());
            replied.extend(output);
        }
    }

    /// Sends a line, lets the server come to rest, and gives all it replied.
    pub fn run(&mut self, client: Client, line: &str) -> String {
        let replied = self.send(client, format!("{line}\r\n").as_bytes());
        String::from_utf8_lossy(&replied).into_owned()
    }

    /// Sends one command and gives its reply.
    ///
    /// # Errors
    /// When not exactly one reply comes.
    pub fn call<A: AsRef<[u8]>>(&mut self, client: Client, args: &[A]) -> Outcome<Reply> {
        let output = self.send(client, &resp::encode(args));
        match resp::parse(&output) {
            Ok((reply, used)) if used == output.len() => Ok(reply),
            other => Err(format!("not one reply: {other:?}")),
        }
    }

    /// Whether the server means to close the connection.
    #[must_use]
    pub fn closes(&self, client: Client) -> bool {
        matches!(
            self.cores[client.core].intent(client.id),
            Intent::CloseAfterSend | Intent::CloseNow
        )
    }

    /// Turns of all cores until each would sleep.
    fn come_to_rest(&mut self) {
        loop {
            let clock = Clock {
                unix: UnixMillis(self.now_ms as i64),
                monotonic_us: self.now_ms * 1000,
                read_at: Instant::now(),
            };
            let mut has_worked = false;
            for core in &mut self.cores {
                core.wake_up();
                core.begin_turn(clock);
                core.take_mail();
                core.end_turn();
                has_worked |= core.do_file_ops(FileOp::pretend);
                core.ship();
            }
            if has_worked {
                continue;
            }
            let asleep = self.cores.iter_mut().map(Core::fall_asleep);
            if asleep.filter(|is_asleep| !is_asleep).count() == 0 {
                return;
            }
        }
    }
}

/// Runs each line on servers of one, two, three and seven cores and compares its reply, line ends shown as spaces.
///
/// # Panics
/// When a reply is another.
pub fn check(dialogue: &[(&str, &str)]) {
    for cores in [1, 2, 3, 7] {
        let mut server = Cluster::at_rest(cores);
        let client = server.connect(usize::from(cores) - 1);
        for (line, expected) in dialogue {
            let reply = server.run(client, line).replace("\r\n", " ");
            assert_eq!(reply.trim_end(), *expected, "{line} on {cores} cores");
        }
    }
}

/// The cores of a server, with these lines between them.
///
/// # Errors
/// When a core cannot have its memory.
pub(crate) fn wired(shared: &Arc<Shared>, wires: &Rc<RefCell<Wires>>) -> Outcome<Vec<Core>> {
    let cores = 0..shared.cores();
    let cores = cores.map(|own| {
        let mut core =
            Core::new(CoreId(own), Arc::clone(shared)).map_err(|why| format!("a core: {why:?}"))?;
        let wires = Rc::clone(wires);
        core.connect_lines(Box::new(Ends { own, wires }));
        Ok(core)
    });
    cores.collect()
}

/// Batches under way from each core to each other.
pub(crate) struct Wires {
    queues: HashMap<(u16, u16), VecDeque<UnderWay>>,
    /// The moment: what is under way until a later one is not seen yet.
    now: u64,
    /// Batches that a queue takes.
    room: usize,
    /// For how long the next batch is under way on a line, from one core to another.
    delay: Box<dyn FnMut((u16, u16)) -> u64>,
}

/// A batch, and from when on the core it is sent to sees that it is there.
struct UnderWay {
    seen_from: u64,
    batch: Box<Batch>,
}

impl Wires {
    /// Queues of this room, whose batches are seen when this many moments have passed.
    pub(crate) fn new(room: usize, delay: impl FnMut((u16, u16)) -> u64 + 'static) -> Self {
        Self {
            queues: HashMap::new(),
            now: 0,
            room,
            delay: Box::new(delay),
        }
    }

    /// Lets moments pass, up to this one.
    pub(crate) fn pass_to(&mut self, now: u64) {
        self.now = now;
    }

    /// When the next batch is seen of those that core `to` does not see yet.
    pub(crate) fn next_seen(&self, to: u16) -> Option<u64> {
        let queues = self.queues.iter().filter(|((_, at), _)| *at == to);
        let moments = queues.flat_map(|(_, queue)| queue.iter().map(|sent| sent.seen_from));
        moments.filter(|moment| *moment > self.now).min()
    }

    fn length(&self, from: u16, to: u16) -> usize {
        self.queues.get(&(from, to)).map_or(0, VecDeque::len)
    }
}

impl Default for Wires {
    /// What is sent is seen at once, however much it is.
    fn default() -> Self {
        Self::new(usize::MAX, |_| 0)
    }
}

/// The ends of a core's lines.
pub(crate) struct Ends {
    pub(crate) own: u16,
    pub(crate) wires: Rc<RefCell<Wires>>,
}

impl Lines for Ends {
    /// Also what is not seen yet: an entry of the order says that it is there.
    fn receive(&mut self, from: CoreId) -> Option<Box<Batch>> {
        let queues = &mut self.wires.borrow_mut().queues;
        Some(queues.get_mut(&(from.0, self.own))?.pop_front()?.batch)
    }

    fn arrived(&self, from: CoreId) -> usize {
        let wires = self.wires.borrow();
        let Some(queue) = wires.queues.get(&(from.0, self.own)) else {
            return 0;
        };
        let seen = queue.iter().take_while(|sent| sent.seen_from <= wires.now);
        seen.count()
    }

    fn has_room(&self, to: CoreId) -> bool {
        let wires = self.wires.borrow();
        wires.length(self.own, to.0) < wires.room
    }

    fn send(&mut self, to: CoreId, batch: Box<Batch>) -> Result<(), Box<Batch>> {
        if !self.has_room(to) {
            return Err(batch);
        }
        let mut wires = self.wires.borrow_mut();
        let line = (self.own, to.0);
        let seen_from = wires.now + (wires.delay)(line);
        let queue = wires.queues.entry(line).or_default();
        queue.push_back(UnderWay { seen_from, batch });
        Ok(())
    }
}
