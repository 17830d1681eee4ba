//! Larder's cores within the process and without sockets: their lines are queues of one thread, the clock is set.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use larder_engine::UnixMillis;
use larder_server::command::Clock;
use larder_server::config::Config;
use larder_server::dispatch::{Batch, Core, Intent, Lines};
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
        let wires = Rc::default();
        let cores = (0..cores)
            .map(|id| {
                let mut core = Core::new(CoreId(id), Arc::clone(&shared))
                    .map_err(|why| format!("a core: {why:?}"))?;
                let wires = Rc::clone(&wires);
                core.connect_lines(Box::new(Ends { own: id, wires }));
                Ok(core)
            })
            .collect::<Outcome<Vec<_>>>()?;
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
            };
            for core in &mut self.cores {
                core.wake_up();
                core.begin_turn(clock);
                core.take_mail();
                core.end_turn();
                core.ship();
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

/// Batches under way from one core to another, oldest first.
type Wires = Rc<RefCell<HashMap<(u16, u16), VecDeque<Box<Batch>>>>>;

/// The ends of a core's lines.
struct Ends {
    own: u16,
    wires: Wires,
}

impl Lines for Ends {
    fn receive(&mut self, from: CoreId) -> Option<Box<Batch>> {
        let mut wires = self.wires.borrow_mut();
        wires.get_mut(&(from.0, self.own))?.pop_front()
    }

    fn arrived(&self, from: CoreId) -> usize {
        let wires = self.wires.borrow();
        wires.get(&(from.0, self.own)).map_or(0, VecDeque::len)
    }

    fn has_room(&self, _: CoreId) -> bool {
        true
    }

    fn send(&mut self, to: CoreId, batch: Box<Batch>) -> Result<(), Box<Batch>> {
        let mut wires = self.wires.borrow_mut();
        wires.entry((self.own, to.0)).or_default().push_back(batch);
        Ok(())
    }
}
