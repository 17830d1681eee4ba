//! A whole server of several cores in one thread: cores exchange batches by hand, clients are byte strings.

use std::sync::Arc;

use larder_engine::UnixMillis;
use larder_server::command::Clock;
use larder_server::config::Config;
use larder_server::dispatch::Core;
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
        let cores = (0..cores)
            .map(|id| {
                Core::new(CoreId(id), Arc::clone(&shared)).expect("address space is to be had")
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

    /// Turns of all cores until no batch is under way.
    fn turns(&mut self) {
        let mut shipped = true;
        while shipped {
            shipped = false;
            let clock = Clock {
                unix: UnixMillis(self.now_ms as i64),
                monotonic_us: self.now_ms * 1000,
            };
            for core in &mut self.cores {
                core.begin_turn(clock);
                core.end_turn();
            }
            for from in 0..self.cores.len() {
                for to in 0..self.cores.len() {
                    if let Some(batch) = self.cores[from].take_outbox(CoreId(to as u16)) {
                        self.cores[to].deliver(CoreId(from as u16), batch);
                        shipped = true;
                    }
                }
            }
        }
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
