//! A shard that is told of, and what somebody could find out about it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::evict::Lfu;
use crate::key::Alike;
use crate::memory::item_of;
use crate::model::{Entry, describe};
use crate::shard::tests::ops::{Op, Ttl, key_of};
use crate::shard::tests::{
    bring_near, copy, hold, run_on_hash, run_on_list, run_on_set, run_on_sorted_set, shard_with,
};
use crate::{
    Access, Buffer, DbIndex, Event, EvictionOptions, Kept, Key, Kind, ScanCursor, Shard,
    StringForm, TtlChange, UnixMillis, ValueImage, WakesOn,
};

const DATABASES: u16 = 3;
/// One who watches all keys, of [`key_of`].
const WATCHER: u64 = 100;
pub(super) const STRINGS: WakesOn = WakesOn::Value(Kind::String);
/// What wakes those who wait for keys, of [`key_of`].
const WAKES_ON: [WakesOn; 3] = [
    STRINGS,
    WakesOn::Value(Kind::List),
    WakesOn::ValueOrLoss(Kind::Hash),
];

/// A shard, what has been told of it, and what the commands of a test answered.
pub(in crate::shard) struct Observed {
    pub(in crate::shard) shard: Shard,
    pub(super) now: i64,
    pub(super) records: Rc<RefCell<Vec<String>>>,
    pub(super) answers: Vec<String>,
    /// Images that share buffers with the shard, as another core may have them when what was done is taken back.
    held: Vec<ValueImage>,
}

/// All that somebody could find out about a shard but where its entries lie.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    entries: Vec<BTreeMap<Vec<u8>, Entry>>,
    lens: Vec<(u64, u64)>,
    expired_totals: (u64, u64),
    changes: u64,
    /// Of what was taken back. A list that a log has is not packed when it becomes small, and takes other bytes then.
    payload_bytes: Option<u64>,
    records: Vec<String>,
    notes: Vec<String>,
    written: Vec<(DbIndex, Box<[u8]>)>,
    broken: Vec<u64>,
}

impl Observed {
    pub(in crate::shard) fn new(lfu: bool, alike: Alike) -> Self {
        let mut shard = shard_with(alike);
        let records = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&records);
        shard.journal().subscribe(Box::new(move |record| {
            let change = describe(record.db, record.key, &record.effect);
            sink.borrow_mut()
                .push(format!("{} {change}", record.sequence));
        }));
        shard.journal().keep_notes(Kept {
            changes: true,
            events: true,
        });
        let counting = EvictionOptions::counting(Lfu {
            log_factor: 0,
            decay_minutes: 1,
        });
        shard.set_eviction(lfu.then_some(&counting));
        shard.set_now(UnixMillis(1_000_000));
        Self {
            shard,
            now: 1_000_000,
            records,
            answers: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Somebody watches each key by itself, and somebody waits for it.
    pub(super) fn watch_and_wait(&mut self) {
        let hasher = self.shard.hasher().clone();
        for db in (0..DATABASES).map(DbIndex) {
            for n in 0..24 {
                let key = key_of(n);
                let watcher = u64::from(db.0) * 1000 + u64::from(n);
                self.shard.watch(watcher, db, hasher.key(&key));
                self.shard.watch(WATCHER, db, hasher.key(&key));
                self.shard
                    .awaited()
                    .add(db, &key, WAKES_ON[usize::from(n) % 3]);
            }
        }
    }

    pub(in crate::shard) fn run(&mut self, ops: &[Op]) {
        for ops in ops.chunks(3) {
            bring_near(&mut self.shard, ops);
            for op in ops {
                let answer = self.answer(op);
                self.answers.push(answer);
            }
        }
    }

    fn answer(&mut self, op: &Op) -> String {
        let hasher = self.shard.hasher().clone();
        let now = self.now;
        let at = |ms: i64| UnixMillis(now + ms);
        let shard = &mut self.shard;
        match *op {
            Op::Get(db, k) => {
                let access = if k % 3 == 0 {
                    Access::Peek
                } else {
                    Access::Touch
                };
                let key = key_of(k);
                let found = shard.read(DbIndex(db), hasher.key(&key), access);
                format!("{:?}", found.map(|entry| Entry::of(&entry)))
            }
            Op::Set(db, k, ref content, ref ttl) => {
                let ttl = match *ttl {
                    Ttl::Clear => TtlChange::Clear,
                    Ttl::Keep => TtlChange::Keep,
                    Ttl::In(ms) => TtlChange::At(at(ms)),
                };
                let (key, value, form) = (key_of(k), content.bytes(), StringForm::Detect);
                let key = hasher.key(&key);
                format!(
                    "{:?}",
                    shard.set(DbIndex(db), key, &value, form, ttl, Event::Set)
                )
            }
            Op::SetLent(db, k, ref content, head) => {
                let (key, value) = (key_of(k), content.bytes());
                set_lent(shard, DbIndex(db), hasher.key(&key), &value, head);
                String::new()
            }
            Op::WriteRange(db, k, offset, ref content) => {
                let (key, value) = (key_of(k), content.bytes());
                let key = hasher.key(&key);
                let there = shard.get(DbIndex(db), key, Access::Peek);
                if there.is_some_and(|entry| entry.string().is_none()) {
                    return String::new();
                }
                format!(
                    "{:?}",
                    shard.write_range(DbIndex(db), key, offset, &value, Event::SetRange)
                )
            }
            Op::Remove(db, k) => {
                let key = key_of(k);
                let was_there = match k % 5 {
                    0 => shard.hand_over(DbIndex(db), hasher.key(&key)),
                    _ => shard.remove(DbIndex(db), hasher.key(&key), Event::Del),
                };
                was_there.to_string()
            }
            Op::List(db, k, ref op) => {
                let key = key_of(k);
                let answer = run_on_list(shard, DbIndex(db), hasher.key(&key), op);
                format!("{answer:?}")
            }
            Op::OfSet(db, k, ref op) => {
                let key = key_of(k);
                let answer = run_on_set(shard, DbIndex(db), hasher.key(&key), op);
                format!("{answer:?}")
            }
            Op::Hash(db, k, ref op) => {
                let key = key_of(k);
                let answer = run_on_hash(shard, DbIndex(db), hasher.key(&key), op, now);
                format!("{answer:?}")
            }
            Op::SortedSet(db, k, ref op) => {
                let key = key_of(k);
                let answer = run_on_sorted_set(shard, DbIndex(db), hasher.key(&key), op);
                format!("{answer:?}")
            }
            Op::SetDeadline(db, k, ms) => {
                let (key, deadline) = (key_of(k), ms.map(at));
                let key = hasher.key(&key);
                format!(
                    "{:?}",
                    shard.set_deadline(DbIndex(db), key, deadline, Event::Expire)
                )
            }
            Op::Relocate(d, k, e, l) => {
                let (key, other) = (key_of(k), key_of(l));
                let (from, to) = (hasher.key(&key), hasher.key(&other));
                let events = (Event::RenameFrom, Event::RenameTo);
                format!(
                    "{:?}",
                    shard.relocate((DbIndex(d), from), (DbIndex(e), to), events)
                )
            }
            Op::Copy(d, k, e, l) => {
                let (key, other) = (key_of(k), key_of(l));
                let image = copy(shard, (DbIndex(d), &key), (DbIndex(e), &other));
                let told = format!("{image:?}");
                image
                    .into_iter()
                    .for_each(|image| hold(&mut self.held, image));
                told
            }
            Op::Flush(db) => shard.flush(DbIndex(db)).to_string(),
            Op::Swap(a, b) => {
                shard.swap(DbIndex(a), DbIndex(b));
                String::new()
            }
            Op::Wait(ms) => {
                self.now += ms;
                shard.set_now(UnixMillis(self.now));
                String::new()
            }
            // How far a step with a budget comes depends on the memory that it gives back.
            Op::Expire(_) => format!("{:?}", shard.expire_cycle(u32::MAX)),
            Op::Tend(budget) => {
                shard.tend(budget);
                String::new()
            }
            Op::Random(db, random) => {
                let drawn = shard.random(DbIndex(db), random);
                format!("{:?}", drawn.map(|entry| entry.key().to_vec()))
            }
            Op::Prefetch(db, k) => {
                // Nothing comes of it; in its place the history is set.
                let key = key_of(k);
                shard.set_access(DbIndex(db), hasher.key(&key), crate::AccessClock(7));
                String::new()
            }
        }
    }

    /// What others do while a log lies aside and nobody may change what it is about.
    pub(super) fn look_around(&mut self, random: u64) {
        let hasher = self.shard.hasher().clone();
        for db in (0..DATABASES).map(DbIndex) {
            self.shard.random(db, random);
            for n in 0..24 {
                let key = key_of(n);
                self.shard.get(db, hasher.key(&key), Access::Peek);
            }
        }
        self.shard.tend(1000);
    }

    /// Bytes of strings that have no extents, and of the blocks of packed collections.
    pub(super) fn bytes_without_extents(&self) -> usize {
        let memory = &self.shard.memory;
        let mut bytes = 0;
        for keyspace in &self.shard.databases {
            keyspace.for_each(memory, |entry| {
                let view = memory.view(entry);
                bytes += match item_of(entry) {
                    Some(item) if memory.has_parts_elsewhere(item) => 0,
                    Some(item) if view.kind() != Kind::String => memory.arena().block_bytes(item),
                    _ => view.key().len() + view.value().len(),
                };
            });
        }
        bytes
    }

    pub(super) fn seen(&mut self, stands: bool) -> Seen {
        self.shard.check();
        let databases = || (0..DATABASES).map(DbIndex);
        let mut entries = Vec::new();
        for db in databases() {
            let mut of_db = BTreeMap::new();
            // The dead ones that are still there too.
            let now = self.shard.now();
            self.shard.set_now(UnixMillis(0));
            self.shard.for_each(db, &mut |entry| {
                of_db.insert(entry.key().to_vec(), Entry::of(&entry));
            });
            self.shard.set_now(now);
            let mut scanned = 0;
            self.shard
                .scan(db, ScanCursor(0), usize::MAX, &mut |_| scanned += 1);
            let live = of_db
                .values()
                .filter(|entry| entry.expires_at.is_none_or(|at| at > now));
            assert_eq!(scanned, live.count());
            entries.push(of_db);
        }
        let lens = |db| (self.shard.len(db), self.shard.volatile_len(db));
        let lens = databases().map(lens).collect();
        let watches = self.shard.watches();
        let broken = (0..3000)
            .filter(|&watcher| watches.is_broken(watcher))
            .collect();
        Seen {
            entries,
            lens,
            expired_totals: (
                self.shard.expired_total(),
                self.shard.expired_fields_total(),
            ),
            broken,
            changes: self.shard.journal().changes(),
            payload_bytes: (!stands).then(|| self.shard.memory().payload_bytes),
            records: self.records.borrow().clone(),
            notes: {
                let notes = self.shard.journal().take_notes();
                notes.iter().map(|note| format!("{note:?}")).collect()
            },
            written: {
                // An exchange of databases tells its keys in any order.
                let mut written = self.shard.awaited().take_written();
                written.sort();
                written
            },
        }
    }
}

/// The beginning of what is told of a record, without its long value.
fn shortened(record: &str) -> &str {
    record.get(..200).unwrap_or(record)
}

/// `ops` ran last.
pub(super) fn assert_same_answers(is: &Observed, should_be: &Observed, ops: &[Op]) {
    let before = should_be.answers.len() - ops.len();
    for ((op, is), should_be) in ops
        .iter()
        .zip(&is.answers[before..])
        .zip(&should_be.answers[before..])
    {
        assert_eq!(shortened(is), shortened(should_be), "{op:?}");
    }
    assert!(is.answers == should_be.answers, "the same answers");
}

/// Values are long: what differs is said field by field, and of entries by key.
pub(super) fn assert_same(is: &Seen, should_be: &Seen) {
    for (is, should_be) in is.entries.iter().zip(&should_be.entries) {
        assert!(is.keys().eq(should_be.keys()), "the same keys");
        for (key, entry) in is {
            let other = &should_be[key];
            let told = |entry: &Entry| (entry.encoding, entry.access, entry.expires_at);
            let name = key.escape_ascii().to_string();
            assert_eq!(told(entry), told(other), "{name:?}");
            assert!(entry.value == other.value, "the same value of {name:?}");
        }
    }
    let differs = |(is, should_be): &(&String, &String)| is != should_be;
    let first = is.records.iter().zip(&should_be.records).find(differs);
    let first = first.map(|(is, should_be)| (shortened(is), shortened(should_be)));
    assert_eq!(first, None, "the same records");
    assert_eq!(is.records.len(), should_be.records.len());
    assert_eq!(is.notes, should_be.notes);
    assert_eq!(is.written, should_be.written);
    assert_eq!(is.broken, should_be.broken);
    assert_eq!(is, should_be);
}

fn set_lent(shard: &mut Shard, db: DbIndex, key: Key<'_>, value: &[u8], head: usize) {
    let mut buffer = Buffer::with_capacity(10).expect("memory");
    assert!(buffer.append(&vec![b'*'; head]) && buffer.append(value));
    let buffer = Arc::new(buffer);
    shard.lend(&buffer);
    let lent = &buffer.bytes()[head..];
    let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
    shard
        .set(db, key, lent, form, ttl, Event::Set)
        .expect("memory");
    shard.end_lending();
    shard.bury(buffer);
}
