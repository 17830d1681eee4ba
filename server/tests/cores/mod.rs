//! A whole server of several cores in one thread: their lines are queues, clients are byte strings.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use larder_engine::UnixMillis;
use larder_server::command::Clock;
use larder_server::config::Config;
use larder_server::dispatch::{Batch, Core, Lines};
use larder_server::routing::CoreId;
use larder_server::session::{Peer, SessionId};
use larder_server::shared::Shared;

/// A connection: the core it is on and its place there.
pub(crate) type Client = (usize, SessionId);

/// Cores and the clock they share, which stands still unless told.
pub(crate) struct Server {
    cores: Vec<Core>,
    now_ms: u64,
}

impl Server {
    /// A server of `cores` cores and no keys.
    pub(crate) fn new(cores: u16) -> Self {
        let shared = Shared::new(Config::default(), cores, [1, 2, 3, 4], 0);
        let wires = Wires::default();
        let cores = (0..cores)
            .map(|own| {
                let core = Core::new(CoreId(own), Arc::clone(&shared));
                let mut core = core.expect("address space is to be had");
                let wires = Rc::clone(&wires);
                core.connect_lines(Box::new(Ends { own, wires }));
                core
            })
            .collect();
        let mut server = Self {
            cores,
            now_ms: 1_700_000_000_000,
        };
        server.turns();
        server
    }

    /// A client of core `core`.
    pub(crate) fn connect(&mut self, core: usize) -> Client {
        let id = self.cores[core].connect(Peer::default());
        (core, id.expect("maxclients is not reached"))
    }

    /// Lets time pass.
    #[allow(
        dead_code,
        reason = "not every test file that has this module needs it"
    )]
    pub(crate) fn advance(&mut self, millis: u64) {
        self.now_ms += millis;
        self.turns();
    }

    /// Sends an inline command, lets the server come to rest, and returns all it replied.
    pub(crate) fn run(&mut self, client: Client, command: &str) -> String {
        self.cores[client.0].receive(client.1, format!("{command}\r\n").as_bytes());
        self.turns();
        self.take_output(client)
    }

    /// What the client has been sent since the last call.
    pub(crate) fn take_output(&mut self, (core, id): Client) -> String {
        let out = self.cores[core].unsent(id).to_vec();
        self.cores[core].sent(id, out.len());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Turns of all cores until each would sleep.
    fn turns(&mut self) {
        let mut is_at_rest = false;
        while !is_at_rest {
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
            is_at_rest = true;
            for core in &mut self.cores {
                is_at_rest &= core.fall_asleep();
            }
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

    fn waiting(&self, from: CoreId) -> usize {
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

/// Runs each command on servers of one, two, three and seven cores and compares its reply, line ends shown as spaces.
pub(crate) fn check(dialogue: &[(&str, &str)]) {
    for cores in [1, 2, 3, 7] {
        let mut server = Server::new(cores);
        let client = server.connect(usize::from(cores) - 1);
        for (command, expected) in dialogue {
            let reply = server.run(client, command).replace("\r\n", " ");
            assert_eq!(reply.trim_end(), *expected, "{command} on {cores} cores");
        }
    }
}
