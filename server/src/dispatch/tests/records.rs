//! What append logs and replicas will do: the records of each core, read by themselves, are merged into one history. In it
//! every transaction is whole, and replayed it gives what the shards hold.
//!
//! ```text
//!  core 0    a, before 7    at 7    at 9    b, before 10    at 8     (its locks came late)
//!  core 1    at 8           at 9    c, before 10
//!  merged    a  [7]  [8 8]  [9 9]  b  c
//! ```
//! Records go by their positions, what a core did alone before the transactions of a position, and each core's of one place in the
//! order of their numbers. Nobody touches the keys of a transaction between its position and what it does later, under its locks;
//! and what waits for locks takes effect where it began to wait.

#![cfg(test)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use larder_engine::{
    DbIndex, Effect, Element, Encoding, Moment, Record, Removal, UnixMillis, ValueImage,
};

use crate::dispatch::Core;
use crate::dispatch::tests::testing::{Client, Random, Server, key_on, seeds};

const DATABASES: usize = 16;
/// Keys that every transaction on them writes alike.
const ALIKE: usize = 6;

/// A record, kept.
struct Kept {
    moment: Moment,
    db: usize,
    key: Vec<u8>,
    change: Change,
}

/// What records do to strings.
enum Change {
    Put(Value),
    Range(u64, Vec<u8>),
    Deadline(Option<UnixMillis>),
    Remove,
    MoveTo(usize, Vec<u8>),
    Arrive,
    Flush,
    Swap(usize),
}

#[derive(Clone, Debug, PartialEq)]
struct Value {
    encoding: Encoding,
    bytes: Vec<u8>,
    expires_at: Option<UnixMillis>,
}

impl Kept {
    fn of(record: &Record<'_>) -> Self {
        let change = match record.effect {
            Effect::Put {
                encoding,
                value,
                expires_at,
                ..
            } => Change::Put(Value {
                encoding,
                bytes: value.to_vec(),
                expires_at,
            }),
            Effect::Elements([Element::Range { offset, bytes }]) => {
                Change::Range(*offset, bytes.to_vec())
            }
            Effect::Elements(elements) => panic!("no string has {elements:?}"),
            Effect::Deadline(deadline) => Change::Deadline(deadline),
            Effect::Remove(Removal::HandedOver) => panic!("no slot moves"),
            Effect::Remove(_) => Change::Remove,
            Effect::MoveTo { db, key } => Change::MoveTo(db.0.into(), key.to_vec()),
            Effect::Arrive => Change::Arrive,
            Effect::FlushDb => Change::Flush,
            Effect::SwapDb { with } => Change::Swap(with.0.into()),
        };
        Self {
            moment: record.moment,
            db: record.db.0.into(),
            key: record.key.to_vec(),
            change,
        }
    }
}

type Log = Rc<RefCell<Vec<Kept>>>;

/// Keeps the records of a core.
fn subscribe(core: &mut Core) -> Log {
    let log = Log::default();
    let sink = Rc::clone(&log);
    core.state()
        .shard
        .journal()
        .subscribe(Box::new(move |record| {
            sink.borrow_mut().push(Kept::of(record));
            assert_eq!(
                record.sequence,
                sink.borrow().len() as u64,
                "none is left out"
            );
        }));
    log
}

/// What a shard holds, as its records tell.
type Replica = Vec<BTreeMap<Vec<u8>, Value>>;

fn replay(replica: &mut Replica, record: &Kept) {
    let entries = &mut replica[record.db];
    match &record.change {
        Change::Put(value) => drop(entries.insert(record.key.clone(), value.clone())),
        Change::Range(offset, bytes) => {
            let value = entries.entry(record.key.clone()).or_insert(Value {
                encoding: Encoding::Raw,
                bytes: Vec::new(),
                expires_at: None,
            });
            let (start, end) = (*offset as usize, *offset as usize + bytes.len());
            let len = value.bytes.len().max(end);
            value.bytes.resize(len, 0);
            value.bytes[start..end].copy_from_slice(bytes);
            value.encoding = Encoding::Raw;
        }
        Change::Deadline(deadline) => {
            let value = entries.get_mut(&record.key);
            value.expect("it is there").expires_at = *deadline;
        }
        Change::Remove => {
            let removed = entries.remove(&record.key);
            assert!(removed.is_some(), "what goes was there");
        }
        Change::MoveTo(db, key) => {
            let moved = entries.remove(&record.key).expect("what moves was there");
            replica[*db].insert(key.clone(), moved);
        }
        Change::Arrive => assert!(entries.contains_key(&record.key)),
        Change::Flush => entries.clear(),
        Change::Swap(with) => replica.swap(record.db, *with),
    }
}

/// Records in the order of one history, each with its core. Those of a moment stand together.
fn merge(logs: &[Vec<Kept>]) -> Vec<(usize, &Kept)> {
    let logs = logs.iter().enumerate();
    let mut merged: Vec<(usize, &Kept)> = logs
        .flat_map(|(core, log)| log.iter().map(move |record| (core, record)))
        .collect();
    // Records of one place keep their order on each core.
    merged.sort_by_key(|(_, Kept { moment, .. })| (moment.position, !moment.is_alone()));
    merged
}

/// A server with random clients, and the keys that they use.
struct World {
    server: Server,
    random: Random,
    clients: Vec<Client>,
    logs: Vec<Log>,
    /// On all cores.
    alike: Vec<String>,
    /// On different cores; one of them is there.
    ball: [String; 2],
    /// Any.
    others: Vec<String>,
    tokens: u64,
}

const SET_ALL: &str = "for i=1,#KEYS do redis.call('set',KEYS[i],ARGV[1]) end";
/// It reaches beyond its keys, most often after it has written.
const SET_ALL_UNDECLARED: &str =
    "for i=2,#ARGV do redis.call('set',ARGV[i],ARGV[1]) end return redis.call('get',ARGV[2])";
const THROW: &str =
    "if redis.call('exists',KEYS[1])==1 then redis.call('rename',KEYS[1],KEYS[2]) end";

impl World {
    fn new(cores: u16, seed: u64) -> Self {
        let mut server = Server::new(cores);
        let logs = server.cores.iter_mut().map(subscribe).collect();
        let clients = (0..4)
            .map(|at| server.connect(at % usize::from(cores)))
            .collect();
        let on = |at: usize, name: &str| key_on(at as u16 % cores, cores, name);
        let mut world = Self {
            server,
            random: Random(seed),
            clients,
            logs,
            alike: (0..ALIKE).map(|at| on(at, &format!("alike{at}"))).collect(),
            ball: [on(0, "ball"), on(1, "ball")],
            others: (0..8).map(|at| on(at / 2, &format!("k{at}"))).collect(),
            tokens: 0,
        };
        let throw = format!("SET {} ball\r\n", world.ball[0]);
        world.server.send(world.clients[0], throw.as_bytes());
        world
    }

    fn other(&mut self) -> String {
        let at = self.random.below(self.others.len());
        self.others[at].clone()
    }

    /// A transaction that writes all keys alike.
    fn write_alike(&mut self) -> String {
        self.tokens += 1;
        let token = self.tokens;
        let keys = self.alike.join(" ");
        let pairs: Vec<String> = self
            .alike
            .iter()
            .map(|key| format!("{key} {token}"))
            .collect();
        let pairs = pairs.join(" ");
        let sets: String = self
            .alike
            .iter()
            .map(|key| format!("SET {key} {token}\r\n"))
            .collect();
        let script = format!("EVAL \"{SET_ALL}\" {ALIKE} {keys} {token}\r\n");
        match self.random.below(10) {
            0 | 1 => format!("MSET {pairs}\r\n"),
            2 => format!("MULTI\r\n{sets}EXEC\r\n"),
            3 => format!("WATCH {keys}\r\nMULTI\r\n{sets}EXEC\r\n"),
            4 => format!("MULTI\r\nMSET {pairs}\r\nGET {}\r\nEXEC\r\n", self.alike[0]),
            5 | 6 => script,
            7 => format!("EVAL \"{SET_ALL_UNDECLARED}\" 0 {token} {keys}\r\n"),
            8 => format!("MULTI\r\n{script}EXEC\r\n"),
            _ => format!("DEL {keys}\r\n"),
        }
    }

    /// A transaction that moves the ball, if it is where it looks for it.
    fn throw(&mut self) -> String {
        let from = self.random.below(2);
        let (from, to) = (&self.ball[from], &self.ball[1 - from]);
        match self.random.below(3) {
            0 => format!("RENAME {from} {to}\r\n"),
            1 => format!("MULTI\r\nRENAME {from} {to}\r\nEXEC\r\n"),
            _ => format!("EVAL \"{THROW}\" 2 {from} {to}\r\n"),
        }
    }

    fn any_other(&mut self) -> String {
        let (one, two, three) = (self.other(), self.other(), self.other());
        let number = self.random.below(100);
        match self.random.below(22) {
            0 => format!("SET {one} {number}\r\n"),
            1 => format!("SET {one} {number} PX {}\r\n", 1 + number),
            2 => format!("APPEND {one} {number}\r\n"),
            3 => format!("SETRANGE {one} {number} x\r\n"),
            4 => format!("SETBIT {one} {number} 1\r\n"),
            5 => format!("BITFIELD {one} SET u8 {number} 7 INCRBY u8 {number} 300\r\n"),
            6 => format!("INCR {one}\r\n"),
            7 => format!("PEXPIRE {one} {number}\r\n"),
            8 => format!("PERSIST {one}\r\n"),
            9 => format!("DEL {one} {two} {three}\r\n"),
            10 => format!("MSET {one} {number} {two} {number}\r\n"),
            11 => format!("BITOP XOR {one} {two} {three}\r\n"),
            12 => format!("COPY {one} {two} REPLACE\r\n"),
            13 => format!("RENAME {one} {two}\r\n"),
            14 => format!("MSETNX {one} {number} {two} {number}\r\n"),
            15 => format!("MULTI\r\nSET {one} {number}\r\nINCR {one}\r\nEXEC\r\n"),
            16 => format!("EVAL \"redis.call('append',KEYS[1],'s')\" 1 {one}\r\n"),
            17 => format!("MOVE {one} 1\r\n"),
            18 => format!("MGET {one} {two}\r\n"),
            19 if number < 20 => "SWAPDB 0 1\r\n".into(),
            20 if number < 10 => "FLUSHALL\r\n".into(),
            _ => format!("GET {one}\r\n"),
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.random.one_in(3) {
                let words = match self.random.below(4) {
                    0 => self.write_alike(),
                    1 => self.throw(),
                    _ => self.any_other(),
                };
                let client = self.clients[self.random.below(self.clients.len())];
                self.server.receive(client, words.as_bytes());
            } else if self.random.one_in(12) {
                self.server.advance(5);
            } else {
                self.server.stir(&mut self.random);
            }
            for client in &self.clients {
                self.server.take_output(*client);
            }
        }
    }

    /// Below this position every core has made all records there will be.
    fn made_below(&self) -> u64 {
        let cores = self.server.cores.iter();
        cores.map(Core::made_below).min().expect("there are cores")
    }

    /// Number of records so far, by core, of moments below a position.
    fn records_below(&self, position: u64) -> Vec<usize> {
        let is_below = |record: &&Kept| record.moment.position < position;
        let logs = self.logs.iter();
        logs.map(|log| log.borrow().iter().filter(is_below).count())
            .collect()
    }

    /// What all databases together have of a key.
    fn found<'a>(&self, replicas: &'a [Replica], key: &str) -> Vec<(usize, &'a Value)> {
        let databases = replicas
            .iter()
            .flat_map(|replica| replica.iter().enumerate());
        databases
            .filter_map(|(db, entries)| Some((db, entries.get(key.as_bytes())?)))
            .collect()
    }

    /// Panics unless all transactions so far are there as a whole.
    fn assert_whole(&self, replicas: &[Replica], was_flushed: bool) {
        let first = self.found(replicas, &self.alike[0]);
        for key in &self.alike {
            assert_eq!(self.found(replicas, key), first, "keys written alike");
        }
        let balls: usize = self
            .ball
            .iter()
            .map(|key| self.found(replicas, key).len())
            .sum();
        assert!(balls == 1 || balls == 0 && was_flushed, "{balls} balls");
    }
}

fn check(cores: u16, seed: u64) {
    let mut world = World::new(cores, seed);
    let mut marks = Vec::new();
    for _ in 0..8 {
        world.run(60);
        let below = world.made_below();
        marks.push((below, world.records_below(below)));
    }
    world.server.turns();
    for (below, records) in marks {
        assert_eq!(world.records_below(below), records, "none comes late");
    }
    let logs: Vec<Vec<Kept>> = world.logs.iter().map(|log| log.take()).collect();
    let mut replicas = vec![vec![BTreeMap::new(); DATABASES]; logs.len()];
    let merged = merge(&logs);
    let (mut was_flushed, mut spread) = (false, 0);
    for (at, (core, record)) in merged.iter().enumerate() {
        replay(&mut replicas[*core], record);
        was_flushed |= matches!(record.change, Change::Flush);
        let moment = record.moment;
        if moment.is_alone() {
            world.assert_whole(&replicas, was_flushed);
            continue;
        }
        assert!(
            moment.cores.0 & 1 << core != 0,
            "whoever has records is named"
        );
        let next = merged.get(at + 1).filter(|(_, next)| next.moment == moment);
        match next {
            None => world.assert_whole(&replicas, was_flushed),
            Some((next, _)) => spread += usize::from(next != core),
        }
    }
    assert!(spread > 0, "some transactions are on several cores");
    let now = UnixMillis(world.server.now_ms as i64);
    for (core, replica) in world.server.cores.iter_mut().zip(replicas) {
        for (db, mut entries) in replica.into_iter().enumerate() {
            entries.retain(|_, value| value.expires_at.is_none_or(|at| at > now));
            let mut held = BTreeMap::new();
            let db = DbIndex(db as u16);
            core.state().shard.for_each(db, &mut |entry| {
                let ValueImage {
                    encoding,
                    bytes,
                    expires_at,
                    ..
                } = entry.image();
                let value = Value {
                    encoding,
                    bytes: bytes.to_vec(),
                    expires_at,
                };
                held.insert(entry.key().to_vec(), value);
            });
            assert_eq!(held, entries, "{db:?} of {:?}", core.state().id);
        }
    }
}

#[test]
fn records_of_all_cores_make_one_history_in_which_transactions_are_whole() {
    for seed in 0..seeds(40) {
        let cores = 2 + (seed % 3) as u16;
        let result = std::panic::catch_unwind(|| check(cores, seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_server_of_one_core_needs_no_order_but_its_own() {
    let mut server = Server::new(1);
    let log = subscribe(&mut server.cores[0]);
    let client = server.connect(0);
    server.send(
        client,
        b"MSET a 1 b 2\r\nMULTI\r\nINCR a\r\nDEL b\r\nEXEC\r\nFLUSHALL\r\n",
    );
    let log = log.borrow();
    assert_eq!(log.len(), 5);
    assert!(log.iter().all(|record| record.moment == Moment::default()));
}
