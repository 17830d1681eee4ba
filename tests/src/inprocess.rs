//! Larder's cores within the process and without sockets: batches between cores are carried by hand, the clock is set.

use std::sync::Arc;

use larder_engine::UnixMillis;
use larder_server::command::Clock;
use larder_server::config::Config;
use larder_server::dispatch::{Core, Intent};
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
        let cores = (0..cores)
            .map(|id| {
                Core::new(CoreId(id), Arc::clone(&shared)).map_err(|why| format!("a core: {why:?}"))
            })
            .collect::<Outcome<Vec<_>>>()?;
        let mut cluster = Self { cores, now_ms };
        cluster.come_to_rest();
        Ok(cluster)
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

    /// Turns of all cores until no batch is under way.
    fn come_to_rest(&mut self) {
        loop {
            let clock = Clock {
                unix: UnixMillis(self.now_ms as i64),
                monotonic_us: self.now_ms * 1000,
            };
            for core in &mut self.cores {
                core.end_turn();
                core.begin_turn(clock);
            }
            let mut carried = false;
            for from in 0..self.cores.len() {
                for to in 0..self.cores.len() {
                    if let Some(batch) = self.cores[from].take_outbox(CoreId(to as u16)) {
                        self.cores[to].deliver(CoreId(from as u16), batch);
                        carried = true;
                    }
                }
            }
            if !carried {
                return;
            }
        }
    }
}
