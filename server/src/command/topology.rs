//! What cluster clients are told of the cores: each is a node of a cluster and holds the slots it owns.
//!
//! With `core-endpoints yes` core *i* also listens on port *P* + 1 + *i*, and a stock cluster client sends each command to the
//! core that owns its key, so that nothing hops. All ports take all commands: there is no `MOVED`, `ASK` or `CROSSSLOT`, and a
//! client whose map is old is merely slower. What such clients ask of every node and put together is about one core on that
//! core's port: `DBSIZE`, `KEYS`, `SCAN`, `RANDOMKEY`, `PUBSUB` (`Flags::BY_NODE`); all else, `FLUSHALL` and `INFO` among it, is
//! about the server.
//!
//! A client asks when it starts, and again when it thinks that something has moved; many clients ask at once. So a core
//! keeps the replies it has made, and makes them anew when the slot table has changed. A reply also depends on the
//! protocol and on the host that the client is told, which is the one it connected to: clients may come by several.
//!
//! Cost: making a reply walks the slot table, 16384 numbers; one that is kept is found among a few, and copied. Measured on
//! four cores with 50 connections, a `CLUSTER SLOTS` takes 0.6 (pipelined) to 1.3 µs of server CPU more than a `PING`: ten
//! thousand clients that ask at once take about 0.1 s of one core, their networking included.
//!
//! The forms are those of Redis 7 (`CLUSTER SLOTS`, `SHARDS`, `NODES`), measured against redis-server 7.0.15.

use std::fmt::Write;

use crate::resp::{Protocol, Reply};
use crate::routing::{CoreId, SlotRange};
use crate::shared::Shared;

/// Replies kept at most; with more hosts than that the oldest go.
const REPLIES_KEPT_MAX: usize = 32;

/// What a client may ask about the cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `CLUSTER SLOTS`.
    Slots,
    /// `CLUSTER SHARDS`.
    Shards,
    /// `CLUSTER NODES`.
    Nodes,
}

/// The replies a core has made for the present slot table.
#[derive(Debug, Default)]
pub struct Topology {
    version: u64,
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    question: Question,
    protocol: Protocol,
    host: Box<str>,
    reply: Vec<u8>,
}

impl Topology {
    /// The reply to `question`, asked of core `core` by a client that finds the server at `host`. Nothing if the cores are
    /// no nodes.
    pub fn reply(
        &mut self,
        shared: &Shared,
        core: CoreId,
        question: Question,
        protocol: Protocol,
        host: &str,
    ) -> Option<&[u8]> {
        let ports = shared.core_ports()?;
        let version = shared.slots.version();
        if self.version != version {
            self.version = version;
            self.kept.clear();
        }
        let known = self.kept.iter().position(|kept| {
            kept.question == question && kept.protocol == protocol && *kept.host == *host
        });
        let at = known.unwrap_or_else(|| {
            if self.kept.len() == REPLIES_KEPT_MAX {
                self.kept.remove(0);
            }
            let view = View {
                shared,
                ports,
                host,
                ranges: shared.slots.ranges(),
            };
            let mut reply = Vec::new();
            let writer = Reply::new(&mut reply, protocol);
            match question {
                Question::Slots => view.slots(writer),
                Question::Shards => view.shards(writer),
                Question::Nodes => view.nodes(writer, core),
            }
            self.kept.push(Kept {
                question,
                protocol,
                host: host.into(),
                reply,
            });
            self.kept.len() - 1
        });
        Some(&self.kept[at].reply)
    }
}

/// The cores as a client sees them.
struct View<'a> {
    shared: &'a Shared,
    ports: &'a [u16],
    host: &'a str,
    ranges: Vec<SlotRange>,
}

impl View<'_> {
    fn cores(&self) -> impl Iterator<Item = CoreId> + use<> {
        (0..self.shared.cores()).map(CoreId)
    }

    fn ranges_of(&self, core: CoreId) -> impl Iterator<Item = &SlotRange> + Clone {
        self.ranges.iter().filter(move |range| range.owner == core)
    }

    fn slots(&self, mut reply: Reply<'_>) {
        reply.array(self.ranges.len());
        for range in &self.ranges {
            reply.array(3);
            reply.integer(range.first.number().into());
            reply.integer(range.last.number().into());
            reply.array(4);
            reply.text(self.host);
            reply.integer(self.ports[range.owner.index()].into());
            reply.text(&self.shared.node_id(range.owner));
            // Other ways to reach it: none.
            reply.map(0);
        }
    }

    fn shards(&self, mut reply: Reply<'_>) {
        reply.array(self.ports.len());
        for core in self.cores() {
            reply.map(2);
            reply.text("slots");
            let ranges = self.ranges_of(core);
            reply.array(2 * ranges.clone().count());
            for range in ranges {
                reply.integer(range.first.number().into());
                reply.integer(range.last.number().into());
            }
            reply.text("nodes");
            reply.array(1);
            reply.map(7);
            reply.text("id");
            reply.text(&self.shared.node_id(core));
            reply.text("port");
            reply.integer(self.ports[core.index()].into());
            for (name, value) in [
                ("ip", self.host),
                ("endpoint", self.host),
                ("role", "master"),
            ] {
                reply.text(name);
                reply.text(value);
            }
            reply.text("replication-offset");
            reply.integer(0);
            reply.text("health");
            reply.text("online");
        }
    }

    fn nodes(&self, mut reply: Reply<'_>, asked: CoreId) {
        let mut text = String::new();
        for core in self.cores() {
            let (id, port) = (self.shared.node_id(core), self.ports[core.index()]);
            let flags = if core == asked {
                "myself,master"
            } else {
                "master"
            };
            // Behind the @ stands the port by which nodes talk to each other: these need none.
            write!(
                text,
                "{id} {}:{port}@0 {flags} - 0 0 {} connected",
                self.host,
                core.0 + 1
            )
            .expect("writing to memory");
            for range in self.ranges_of(core) {
                let (first, last) = (range.first.number(), range.last.number());
                let written = if first == last {
                    write!(text, " {first}")
                } else {
                    write!(text, " {first}-{last}")
                };
                written.expect("writing to memory");
            }
            text.push('\n');
        }
        reply.verbatim("txt", text.as_bytes());
    }
}
