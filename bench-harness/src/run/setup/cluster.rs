//! The map of a Redis Cluster: which node owns which of the 16384 slots, and which slot a key belongs to.

use std::io;

use super::dialogue::{Dialogue, NoAnswer, Value};
use crate::run::error::RunError;
use crate::run::net::{Address, Stream};

/// Slots of a cluster.
const SLOTS: usize = 16384;

/// The owner of a slot that nobody owns.
const NOBODY: u16 = u16::MAX;

/// Nodes and their slots.
#[derive(Clone, Debug)]
pub struct SlotMap {
    nodes: Vec<Address>,
    owners: Box<[u16]>,
}

impl SlotMap {
    /// A map of one node that owns everything: a server that is no cluster.
    #[must_use]
    pub fn single(address: Address) -> Self {
        Self {
            nodes: vec![address],
            owners: vec![0; SLOTS].into(),
        }
    }

    /// Asks a node for the map: `CLUSTER SLOTS`, or else `CLUSTER SHARDS`.
    ///
    /// # Errors
    /// When it knows neither, or the map is empty.
    pub fn ask(stream: &Stream, address: &Address) -> Result<Self, RunError> {
        let mut dialogue = Dialogue::new(stream);
        let refused = |answer: String| RunError::Rejected {
            address: address.to_string(),
            asked: "CLUSTER SLOTS".to_owned(),
            answer,
        };
        let lost = |error: NoAnswer| match error {
            NoAnswer::Malformed(excerpt) => RunError::Malformed {
                address: address.to_string(),
                command: "CLUSTER SLOTS".to_owned(),
                excerpt,
            },
            NoAnswer::Io(error) => RunError::Connect {
                address: address.to_string(),
                error: io::Error::new(error.kind(), format!("to CLUSTER SLOTS: {error}")),
            },
        };
        let slots = dialogue.ask(&["CLUSTER", "SLOTS"]).map_err(lost)?;
        let parsed = match &slots {
            Value::Error(_) => {
                let shards = dialogue.ask(&["CLUSTER", "SHARDS"]).map_err(lost)?;
                Self::from_shards(&shards, address)
            }
            slots => Self::from_slots(slots, address),
        };
        match (parsed, slots) {
            (Some(map), _) => Ok(map),
            (None, Value::Error(answer)) => Err(refused(answer)),
            (None, _) => Err(refused("no slot has an owner".to_owned())),
        }
    }

    fn empty() -> Self {
        Self {
            nodes: Vec::new(),
            owners: vec![NOBODY; SLOTS].into(),
        }
    }

    /// Reads `[from, to, [host, port, …], replicas…]…`.
    fn from_slots(answer: &Value, seed: &Address) -> Option<Self> {
        let mut map = Self::empty();
        for range in answer.list() {
            let [from, to, master, ..] = range.list() else {
                return None;
            };
            let [host, port, ..] = master.list() else {
                return None;
            };
            let address = node_address(host.text(), port.integer()?, seed)?;
            map.assign(from.integer()?, to.integer()?, &address)?;
        }
        (!map.nodes.is_empty()).then_some(map)
    }

    /// Reads `[slots: [from, to, …], nodes: [[endpoint: …, port: …, role: …]…]]…`.
    fn from_shards(answer: &Value, seed: &Address) -> Option<Self> {
        let mut map = Self::empty();
        for shard in answer.list() {
            let nodes = shard.get("nodes")?.list();
            let is_master = |node: &&Value| {
                node.get("role")
                    .and_then(Value::text)
                    .is_some_and(|role| role == "master")
            };
            let ranges = shard.get("slots")?.list();
            if ranges.is_empty() {
                continue;
            }
            let master = nodes.iter().find(is_master)?;
            let host = master.get("endpoint").or_else(|| master.get("ip"));
            let port = master.get("port")?.integer()?;
            let address = node_address(host.and_then(Value::text), port, seed)?;
            for range in ranges.chunks_exact(2) {
                map.assign(range[0].integer()?, range[1].integer()?, &address)?;
            }
        }
        (!map.nodes.is_empty()).then_some(map)
    }

    fn assign(&mut self, from: i64, to: i64, address: &Address) -> Option<()> {
        let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
        let node = self.node(address) as u16;
        self.owners.get_mut(from..=to)?.fill(node);
        Some(())
    }

    /// The number of a node; a new one when it was not known.
    pub fn node(&mut self, address: &Address) -> usize {
        let known = self.nodes.iter().position(|node| node == address);
        known.unwrap_or_else(|| {
            self.nodes.push(address.clone());
            self.nodes.len() - 1
        })
    }

    /// All nodes that own or have been said to own slots.
    #[must_use]
    pub fn nodes(&self) -> &[Address] {
        &self.nodes
    }

    /// The node that owns a slot; the first one when nobody does, which will say so.
    #[must_use]
    pub fn owner(&self, slot: u16) -> usize {
        match self.owners[usize::from(slot)] {
            NOBODY => 0,
            node => usize::from(node),
        }
    }

    /// Takes note that a slot has moved; the number of its new owner.
    pub fn moved(&mut self, slot: u16, address: &Address) -> usize {
        let node = self.node(address);
        self.owners[usize::from(slot)] = node as u16;
        node
    }
}

/// A node without a name of its own is where it was asked.
fn node_address(host: Option<&str>, port: i64, seed: &Address) -> Option<Address> {
    let host = match (host, seed) {
        (Some(host), _) if !host.is_empty() && host != "?" => host.to_owned(),
        (_, Address::Tcp { host, .. }) => host.clone(),
        (_, Address::Unix(_)) => return None,
    };
    let port = u16::try_from(port).ok().filter(|&port| port > 0)?;
    Some(Address::Tcp { host, port })
}

/// Where `MOVED` and `ASK` send a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Whether it holds for this command alone (`ASK`).
    pub once: bool,
    /// The slot.
    pub slot: u16,
    /// The node.
    pub address: Address,
}

/// Reads `MOVED 3999 127.0.0.1:6381`; `from` is who said it.
#[must_use]
pub fn parse_redirect(error: &[u8], from: &Address) -> Option<Redirect> {
    let text = std::str::from_utf8(error).ok()?;
    let mut words = text.split(' ');
    let once = match words.next()? {
        "MOVED" => false,
        "ASK" => true,
        _ => return None,
    };
    let slot = words
        .next()?
        .parse()
        .ok()
        .filter(|&slot: &u16| usize::from(slot) < SLOTS)?;
    let (host, port) = words.next()?.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = node_address(Some(host), port.parse().ok()?, from)?;
    Some(Redirect {
        once,
        slot,
        address,
    })
}

/// The slot of a key: CRC-16 of the part between `{` and `}`, or of all of it.
#[must_use]
pub fn key_slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let inner = &key[open + 1..];
        let close = inner.iter().position(|&byte| byte == b'}')?;
        (close > 0).then(|| &inner[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS as u16
}

/// CRC-16/XMODEM, a byte at a time.
fn crc16(bytes: &[u8]) -> u16 {
    const TABLE: [u16; 256] = crc16_table();
    bytes.iter().fold(0, |crc, &byte| {
        (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)]
    })
}

const fn crc16_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn list(elements: &[Value]) -> Value {
        Value::List(elements.to_vec())
    }

    fn seed() -> Address {
        "127.0.0.1:7000".parse().unwrap()
    }

    #[test]
    fn slots_are_those_that_redis_computes() {
        // From the cluster specification, and from CLUSTER KEYSLOT.
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(key_slot(b"foo"), 12182);
        assert_eq!(
            key_slot(b"{user1000}.following"),
            key_slot(b"{user1000}.followers")
        );
        assert_eq!(key_slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % 16384);
        assert_eq!(key_slot(b"foo{{bar}}zap"), crc16(b"{bar") % 16384);
        assert_eq!(key_slot(b"foo{bar"), crc16(b"foo{bar") % 16384);
    }

    #[test]
    fn cluster_slots_becomes_a_map() {
        let node = |host: &str, port| list(&[text(host), Value::Integer(port), text("id")]);
        let range = |from, to, master| list(&[Value::Integer(from), Value::Integer(to), master]);
        let answer = list(&[
            range(0, 99, node("", 7000)),
            range(100, 16383, node("10.0.0.2", 7001)),
        ]);
        let map = SlotMap::from_slots(&answer, &seed()).unwrap();
        let names: Vec<String> = map.nodes().iter().map(Address::to_string).collect();
        assert_eq!(names, ["127.0.0.1:7000", "10.0.0.2:7001"]);
        assert_eq!((map.owner(99), map.owner(100)), (0, 1));
        assert!(SlotMap::from_slots(&list(&[]), &seed()).is_none());
    }

    #[test]
    fn cluster_shards_becomes_the_same_map() {
        let node = |port, role: &str| {
            list(&[
                text("endpoint"),
                text("127.0.0.1"),
                text("port"),
                Value::Integer(port),
                text("role"),
                text(role),
            ])
        };
        let shard = |from, to, nodes: &[Value]| {
            let slots = list(&[Value::Integer(from), Value::Integer(to)]);
            list(&[text("slots"), slots, text("nodes"), list(nodes)])
        };
        let answer = list(&[
            shard(0, 8191, &[node(7009, "replica"), node(7000, "master")]),
            shard(8192, 16383, &[node(7001, "master")]),
        ]);
        let map = SlotMap::from_shards(&answer, &seed()).unwrap();
        assert_eq!(map.nodes()[0].to_string(), "127.0.0.1:7000");
        assert_eq!((map.owner(8191), map.owner(8192)), (0, 1));
    }

    #[test]
    fn redirects_are_read_and_move_their_slot() {
        let redirect = parse_redirect(b"MOVED 5 :7002", &seed()).unwrap();
        assert_eq!(redirect.address.to_string(), "127.0.0.1:7002");
        let mut map = SlotMap::single(seed());
        assert_eq!(map.moved(redirect.slot, &redirect.address), 1);
        assert_eq!((map.owner(5), map.owner(6)), (1, 0));
        assert!(parse_redirect(b"ASK 9 ::1:7002", &seed()).unwrap().once);
        assert_eq!(parse_redirect(b"ERR MOVED 5 a:1", &seed()), None);
        assert_eq!(parse_redirect(b"MOVED 16384 a:1", &seed()), None);
    }
}
