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
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use larder_engine::{
    DbIndex, Effect, Element, ElementOf, Encoding, End, EntryRef, Kind, Moment, Record, Removal,
    UnixMillis,
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

/// What records do to entries.
enum Change {
    Put(Value),
    Elements(Vec<ElementOf<Vec<u8>>>),
    Deadline(Option<UnixMillis>),
    Remove,
    MoveTo(usize, Vec<u8>),
    Arrive,
    Flush,
    Swap(usize),
}

#[derive(Clone, Debug, PartialEq)]
struct Value {
    what: What,
    expires_at: Option<UnixMillis>,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    String(Encoding, Vec<u8>),
    List(VecDeque<Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
    Hash(BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMillis>)>),
    SortedSet(BTreeMap<Vec<u8>, f64>),
}

impl What {
    /// What an entry holds.
    fn of(entry: &EntryRef<'_>) -> Self {
        match entry.kind() {
            Kind::String => {
                let bytes = entry.string().expect("it is a string");
                Self::String(entry.encoding(), bytes.to_vec())
            }
            Kind::List => {
                let mut list = VecDeque::new();
                entry.each_element(&mut |element| list.push_back(element.to_vec()));
                Self::List(list)
            }
            Kind::Set => {
                let mut set = BTreeSet::new();
                entry.each_member(&mut |member| {
                    set.insert(member.to_vec());
                });
                Self::Set(set)
            }
            Kind::Hash => {
                let mut hash = BTreeMap::new();
                entry.each_field(&mut |field| {
                    hash.insert(
                        field.name.to_vec(),
                        (field.value.to_vec(), field.expires_at),
                    );
                });
                Self::Hash(hash)
            }
            Kind::SortedSet => {
                let mut set = BTreeMap::new();
                entry.each_scored(&mut |member| {
                    set.insert(member.name.to_vec(), member.score);
                });
                Self::SortedSet(set)
            }
            Kind::Stream => panic!("no stream is written here"),
        }
    }

    /// What the first change of an element makes of a key that holds nothing.
    fn without(element: &ElementOf<Vec<u8>>) -> Self {
        match element {
            ElementOf::Range { .. } => Self::String(Encoding::Raw, Vec::new()),
            ElementOf::Member(_) => Self::Set(BTreeSet::new()),
            ElementOf::Field { .. } => Self::Hash(BTreeMap::new()),
            ElementOf::Score { .. } => Self::SortedSet(BTreeMap::new()),
            _ => Self::List(VecDeque::new()),
        }
    }

    fn change(&mut self, element: &ElementOf<Vec<u8>>) {
        match self {
            Self::String(encoding, value) => {
                let ElementOf::Range { offset, bytes } = element else {
                    panic!("no string has {element:?}");
                };
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                value.resize(value.len().max(end), 0);
                value[start..end].copy_from_slice(bytes);
                *encoding = Encoding::Raw;
            }
            Self::List(list) => change_list(list, element),
            Self::Set(set) => match element {
                ElementOf::Member(member) => {
                    assert!(set.insert(member.clone()), "what comes was not there");
                }
                ElementOf::Gone(member) => assert!(set.remove(member), "what goes was there"),
                _ => panic!("no set has {element:?}"),
            },
            Self::Hash(hash) => match element {
                ElementOf::Field {
                    field,
                    value,
                    expires_at,
                } => drop(hash.insert(field.clone(), (value.clone(), *expires_at))),
                ElementOf::Gone(field) => {
                    let gone = hash.remove(field);
                    assert!(gone.is_some(), "what goes was there");
                }
                _ => panic!("no hash has {element:?}"),
            },
            Self::SortedSet(set) => match element {
                ElementOf::Score { member, score } => drop(set.insert(member.clone(), *score)),
                ElementOf::Gone(member) => {
                    let gone = set.remove(member);
                    assert!(gone.is_some(), "what goes was there");
                }
                _ => panic!("no sorted set has {element:?}"),
            },
        }
    }
}

fn change_list(list: &mut VecDeque<Vec<u8>>, element: &ElementOf<Vec<u8>>) {
    match element {
        ElementOf::Push { end, value } => match end {
            End::Head => list.push_front(value.clone()),
            End::Tail => list.push_back(value.clone()),
        },
        ElementOf::Pop(end) => {
            let popped = match end {
                End::Head => list.pop_front(),
                End::Tail => list.pop_back(),
            };
            assert!(popped.is_some(), "what is popped was there");
        }
        ElementOf::Insert { index, value } => list.insert(*index as usize, value.clone()),
        ElementOf::Replace { index, value } => list[*index as usize].clone_from(value),
        ElementOf::Cut { index, count } => {
            list.drain(*index as usize..(*index + *count) as usize);
        }
        _ => panic!("no list has {element:?}"),
    }
}

/// The same change, kept.
fn kept(element: &Element<'_>) -> ElementOf<Vec<u8>> {
    element.map(<[u8]>::to_vec)
}

impl Kept {
    fn of(record: &Record<'_>) -> Self {
        let change = match record.effect {
            Effect::Put {
                kind,
                encoding,
                value,
                expires_at,
            } => {
                let what = match kind {
                    Kind::String => What::String(encoding, value.to_vec()),
                    Kind::Set => What::Set(BTreeSet::new()),
                    // Its members follow.
                    Kind::SortedSet => What::SortedSet(BTreeMap::new()),
                    _ => panic!("no other collection is written whole"),
                };
                Change::Put(Value { what, expires_at })
            }
            Effect::Elements(elements) => Change::Elements(elements.iter().map(kept).collect()),
            Effect::Deadline(deadline) => Change::Deadline(deadline),
            Effect::Remove(Removal::HandedOver) => panic!("no slot moves"),
            Effect::Remove(_) => Change::Remove,
            Effect::MoveTo { db, key } => Change::MoveTo(db.0.into(), key.to_vec()),
            Effect::Arrive { .. } => Change::Arrive,
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
        Change::Elements(elements) => {
            for element in elements {
                let value = entries.entry(record.key.clone()).or_insert_with(|| Value {
                    what: What::without(element),
                    expires_at: None,
                });
                value.what.change(element);
            }
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
    /// Strings, mostly.
    others: Vec<String>,
    /// Lists, hashes and sorted sets, two and two on a core.
    lists: Vec<String>,
    hashes: Vec<String>,
    sorted: Vec<String>,
    tokens: u64,
}

const SET_ALL: &str = "for i=1,#KEYS do redis.call('set',KEYS[i],ARGV[1]) end";
/// It reaches beyond its keys, most often after it has written.
const SET_ALL_UNDECLARED: &str =
    "for i=2,#ARGV do redis.call('set',ARGV[i],ARGV[1]) end return redis.call('get',ARGV[2])";
/// What it does to lists and hashes is taken back when it reaches beyond its keys.
const CHANGE_UNDECLARED: &str = "local n=ARGV[5] \
    redis.call('rpush',ARGV[1],n,n..'x',n) redis.call('lpop',ARGV[1]) redis.call('ltrim',ARGV[1],0,30) \
    redis.call('hset',ARGV[2],n,n,'f',n) redis.call('hdel',ARGV[2],'f1',n-1) \
    redis.call('lmove',ARGV[1],ARGV[3],'left','right') redis.call('hincrby',ARGV[4],'count',n) \
    return redis.call('linsert',ARGV[3],'before',n,'y')";
/// What it does to sorted sets is taken back when it reaches beyond its keys.
const SCORE_UNDECLARED: &str = "local n=ARGV[3] \
    redis.call('zadd',ARGV[1],n,'a',1,n,n,'m1') redis.call('zpopmin',ARGV[1]) redis.call('zincrby',ARGV[1],n,'m2') \
    redis.call('zrem',ARGV[1],'m3','m4') return redis.call('zremrangebyrank',ARGV[2],0,1)";
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
            lists: (0..6).map(|at| on(at / 2, &format!("l{at}"))).collect(),
            hashes: (0..6).map(|at| on(at / 2, &format!("h{at}"))).collect(),
            sorted: (0..6).map(|at| on(at / 2, &format!("z{at}"))).collect(),
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

    /// A command on lists or hashes.
    fn any_of_elements(&mut self) -> String {
        let at = [(); 4].map(|()| self.random.below(self.lists.len()));
        let (one, two, beside) = (
            &self.lists[at[0]],
            &self.lists[at[1]],
            &self.lists[at[0] ^ 1],
        );
        let (hash, other) = (&self.hashes[at[2]], &self.hashes[at[3]]);
        let hash_beside = &self.hashes[at[2] ^ 1];
        let (number, field) = (self.random.below(100), self.random.below(30));
        match self.random.below(26) {
            0 | 1 => format!("RPUSH {one} {number} a {field}\r\n"),
            2 => format!("LPUSH {one} {number}\r\n"),
            3 => format!("LPOP {one} {}\r\n", number % 4),
            4 => format!("RPOP {one}\r\n"),
            5 => format!("LINSERT {one} AFTER a {number}\r\n"),
            6 => format!("LSET {one} {} {number}\r\n", field % 4),
            7 => format!("LREM {one} {} a\r\n", number as i64 % 5 - 2),
            8 => format!("LTRIM {one} {} {field}\r\n", number % 4),
            9 => format!("LMOVE {one} {two} LEFT RIGHT\r\n"),
            10 => format!("LMPOP 2 {one} {two} RIGHT COUNT 2\r\n"),
            11 => format!("BLPOP {one} {two} 0.004\r\n"),
            12 => format!("RENAME {one} {beside}\r\n"),
            13 => format!("HSET {hash} f{field} {number} g{number} x\r\n"),
            14 => format!("HDEL {hash} f{field} f1 g{number}\r\n"),
            15 => format!("HINCRBY {hash} f{field} {number}\r\n"),
            16 => format!("HPEXPIRE {hash} {number} FIELDS 2 f{field} f2\r\n"),
            17 => format!("HPERSIST {hash} FIELDS 1 f{field}\r\n"),
            18 => format!("HGETDEL {hash} FIELDS 1 f{field}\r\n"),
            19 => format!("HSETEX {hash} PX {} FIELDS 1 f{field} y\r\n", number + 1),
            20 => format!("RENAME {hash} {hash_beside}\r\n"),
            21 => format!("MULTI\r\nRPUSH {one} 1\r\nHSET {hash} f 1\r\nLPOP {two}\r\nEXEC\r\n"),
            22 | 23 => {
                format!("EVAL \"{CHANGE_UNDECLARED}\" 0 {one} {hash} {two} {other} {number}\r\n")
            }
            24 => format!("PEXPIRE {one} {number}\r\n"),
            _ => format!("DEL {one} {hash}\r\n"),
        }
    }

    /// A command on sorted sets.
    fn any_of_scores(&mut self) -> String {
        let at = [(); 2].map(|()| self.random.below(self.sorted.len()));
        let (one, two, beside) = (
            &self.sorted[at[0]],
            &self.sorted[at[1]],
            &self.sorted[at[0] ^ 1],
        );
        let (score, member) = (self.random.below(100), self.random.below(30));
        match self.random.below(16) {
            0..4 => format!("ZADD {one} {score} m{member} {member} n{score}\r\n"),
            4 => format!("ZADD {one} GT CH {score} m{member} 5 m1\r\n"),
            5 => format!("ZINCRBY {one} {score} m{member}\r\n"),
            6 => format!("ZREM {one} m{member} m1 n{score}\r\n"),
            7 => format!("ZPOPMIN {one} {}\r\n", score % 4),
            8 => format!("ZMPOP 2 {one} {two} MAX COUNT 2\r\n"),
            9 => format!("BZPOPMAX {one} {two} 0.004\r\n"),
            10 => format!("ZREMRANGEBYSCORE {one} {score} {}\r\n", score + 20),
            11 => format!("ZREMRANGEBYRANK {one} 2 {member}\r\n"),
            12 => format!("ZRANGESTORE {one} {two} 0 {member}\r\n"),
            13 => format!("RENAME {one} {beside}\r\n"),
            14 => format!("EVAL \"{SCORE_UNDECLARED}\" 0 {one} {two} {score}\r\n"),
            _ => {
                format!("MULTI\r\nZADD {one} {score} a\r\nZREM {two} a\r\nDEL {beside}\r\nEXEC\r\n")
            }
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
                let words = match self.random.below(7) {
                    0 => self.write_alike(),
                    1 => self.throw(),
                    2 | 3 => self.any_of_elements(),
                    4 => self.any_of_scores(),
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
                let value = Value {
                    what: What::of(&entry),
                    expires_at: entry.expires_at(),
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
