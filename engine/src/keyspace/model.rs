//! A keyspace against the naive model of it, a map: any bytes are steps, so that property tests shrink them and fuzzers mutate them.
//!
//! ```text
//!  [ hashes ] [ step | operands ] [ step | operands ] ...      what is missing at the end reads as zero
//! ```
//! Its items are strings: what fields of hashes do is for models of the shard.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ahead, ContentsId, Cursor, KeyAhead, Keyspace};
use crate::item::Form;
use crate::key::Alike;
use crate::limits::{SAMPLED_NODES, STAYS_MS};
use crate::memory::{Content, Memory, Times, item_of};
use crate::model::Steps;
use crate::nodes::NodeKind;
use crate::raw::Block;
use crate::spiral::entries::Entry;
use crate::{AccessClock, DbIndex, Key, KeyHasher, StoreError, StringForm, UnixMillis};

/// Steps played of any input.
const STEPS_MAX: usize = 400;
/// The time at first, in milliseconds.
const BEGINS_AT: i64 = 1_700_000_000_000;
/// The last time that a node can tell.
const LAST_TIME: i64 = (1 << 48) - 2;
const DB: DbIndex = DbIndex(0);
/// Steps between looks at everything.
const CHECK_INTERVAL: usize = 10;

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    value: Vec<u8>,
    deadline: Option<UnixMillis>,
    access: AccessClock,
}

struct Play<'a> {
    steps: Steps<'a>,
    memory: Memory,
    keyspace: Keyspace,
    model: BTreeMap<Vec<u8>, Held>,
    alike: Alike,
    hasher: KeyHasher,
    now: UnixMillis,
    /// Until when some of what has ended may be passed over.
    put_off: UnixMillis,
    scan: Option<Scan>,
}

/// A scan under way.
struct Scan {
    cursor: u64,
    /// Keys there all the time since it began.
    stayed: BTreeSet<Vec<u8>>,
    met: Vec<Vec<u8>>,
}

/// Plays the steps.
///
/// # Panics
/// The keyspace does something else than the model, or an invariant of it is broken.
pub fn play(bytes: &[u8]) {
    let mut steps = Steps::new(bytes);
    let alike = Alike::EACH[steps.operand() % Alike::EACH.len()];
    let mut play = Play {
        steps,
        memory: Memory::new(1 << 30).expect("address space"),
        keyspace: Keyspace::new(ContentsId(5)),
        model: BTreeMap::new(),
        alike,
        hasher: KeyHasher::with_alike(alike),
        now: UnixMillis(BEGINS_AT),
        put_off: UnixMillis(0),
        scan: None,
    };
    let mut step = 0;
    while step < STEPS_MAX && play.step() {
        step += 1;
        if step % CHECK_INTERVAL == 0 {
            play.compare();
        }
    }
    play.compare();
    play.end();
}

impl Play<'_> {
    /// Takes a step; whether there was one.
    fn step(&mut self) -> bool {
        let Some(step) = self.steps.next() else {
            return false;
        };
        match step % 20 {
            0..=4 => {
                let (key, held) = (self.key(), self.held());
                self.put(&key, held);
            }
            5 | 6 => {
                let key = self.key();
                self.remove(&key);
            }
            7 => self.put_many(),
            8 => self.remove_many(),
            9 | 10 => self.set_deadline(),
            11..=13 => self.scan(),
            14 => self.random(),
            15 => self.expire(),
            16 | 17 => self.move_block(),
            18 => self.now.0 += self.steps.operand() as i64,
            _ => self.use_it(),
        }
        true
    }

    /// A key of one of 256 for each of a few lengths.
    fn key(&mut self) -> Vec<u8> {
        let (number, manner) = (self.steps.operand(), self.steps.operand());
        key(number, manner)
    }

    fn held(&mut self) -> Held {
        let (manner, fill) = (self.steps.operand(), self.steps.operand() as u8);
        let len = match manner {
            0..=79 => 16,
            80..=209 => (manner - 80) * 2,
            210..=219 => 33 + manner,
            220..=249 => manner * 10,
            _ => 33_000,
        };
        Held {
            value: vec![fill; len],
            deadline: self.deadline(),
            access: AccessClock(u32::from(fill)),
        }
    }

    fn deadline(&mut self) -> Option<UnixMillis> {
        let at = match self.steps.operand() {
            0..=159 => return None,
            160 => 0,
            161 => LAST_TIME,
            162 => LAST_TIME + 1,
            163 => i64::MAX,
            164 => -1,
            165 => i64::MIN,
            operand => self.now.0 + operand as i64 - 180,
        };
        Some(UnixMillis(at))
    }

    fn find(&self, key: &[u8]) -> Option<Entry> {
        self.keyspace.find(self.hasher.key(key), &self.memory)
    }

    /// Has a key hold something, perhaps with little memory; then it may stay as it was.
    fn put(&mut self, key: &[u8], held: Held) {
        let blocks = self.steps.operand();
        let is_scarce = blocks >= 192;
        if is_scarce {
            let arena = self.memory.arena_mut();
            arena.run_out_after(Some(blocks as u32 % 8));
        }
        let put = self.store(key, &held);
        self.memory.arena_mut().run_out_after(None);
        match put {
            Ok(()) => {
                self.model.insert(key.to_vec(), held);
            }
            Err(error) => assert!(is_scarce && error == StoreError::OutOfMemory),
        }
        assert_eq!(self.find(key).is_some(), self.model.contains_key(key));
        self.compare_one(key);
    }

    fn store(&mut self, key: &[u8], held: &Held) -> Result<(), StoreError> {
        let existing = self.find(key);
        let (memory, hasher) = (&mut self.memory, &self.hasher);
        let content = Content {
            form: Form::string(StringForm::Detect.encoding_of(&held.value)),
            access: held.access,
            deadline: held.deadline,
            value: &held.value,
        };
        let key = hasher.key(key);
        let keyspace = &mut self.keyspace;
        match (content.short(key.bytes().len()), existing) {
            (Some(short), None) => keyspace.insert_short((memory, hasher), key, &short),
            (Some(short), Some(Entry::Short(old))) => {
                keyspace.replace_short((memory, hasher), key, &old, &short)
            }
            (Some(short), Some(Entry::Item(item))) => {
                let times = memory.times(item);
                keyspace.put_short((memory, hasher), key, (item, &times), &short)?;
                memory.destroy(item);
                Ok(())
            }
            (None, Some(Entry::Item(item))) => {
                keyspace.make_place(memory, key.hash(), item)?;
                let was = memory.times(item);
                let new = memory.create(key.bytes(), &content)?;
                assert!(keyspace.replace_item(memory, key.hash(), (item, new)));
                memory.destroy(item);
                self.times_changed(key, new, &was);
                Ok(())
            }
            (None, _) => {
                let item = memory.create(key.bytes(), &content)?;
                let times = memory.times(item);
                let within = (&mut *memory, hasher);
                let put = match existing {
                    Some(Entry::Short(old)) => {
                        keyspace.put_item(within, key.hash(), &old, (item, &times))
                    }
                    _ => keyspace.insert_item(within, key.hash(), item, &times),
                };
                put.inspect_err(|_| memory.destroy(item))
            }
        }
    }

    /// The times of an item, which has a place, were these.
    fn times_changed(&mut self, key: Key<'_>, item: Block, was: &Option<Times>) {
        let is = self.memory.times(item);
        self.memory.arena_mut().run_out_after(Some(0));
        let place = (key.hash(), item);
        let changed = self
            .keyspace
            .times_changed(&mut self.memory, place, (was, &is));
        self.memory.arena_mut().run_out_after(None);
        changed.expect("it has a place");
    }

    fn set_deadline(&mut self) {
        let (key, deadline) = (self.key(), self.deadline());
        let Some(mut held) = self.model.get(&key).cloned() else {
            return;
        };
        held.deadline = deadline;
        let short = match self.find(&key).expect("it is there") {
            Entry::Short(short) => short,
            Entry::Item(item) => {
                let key = self.hasher.key(&key);
                let memory = &mut self.memory;
                let placed = self.keyspace.make_place(memory, key.hash(), item);
                placed.expect("memory");
                let was = memory.times(item);
                let moved = memory.set_deadline(item, deadline).expect("memory");
                if moved != item {
                    let replaced = self
                        .keyspace
                        .replace_item(memory, key.hash(), (item, moved));
                    assert!(replaced);
                }
                self.times_changed(key, moved, &was);
                self.model.insert(key.bytes().to_vec(), held);
                return;
            }
        };
        let (_, content) = short.content(self.memory.heap());
        let content = Content {
            deadline,
            ..content
        };
        if content.short(key.len()).is_none() {
            return self.put(&key, held);
        }
        let within = (&mut self.memory, &self.hasher);
        let hash = self.hasher.hash(&key);
        let set = self
            .keyspace
            .set_deadline_of_short(within, hash, &short, deadline);
        set.expect("memory");
        self.model.insert(key, held);
    }

    /// Another use of a key.
    fn use_it(&mut self) {
        let (key, access) = (self.key(), AccessClock(self.steps.operand() as u32));
        let (key_of, writes) = (
            self.hasher.key(&key),
            self.steps.operand().is_multiple_of(2),
        );
        let key_ahead = KeyAhead {
            hash: key_of.hash(),
            writes,
        };
        let mut ahead = Ahead::new();
        let keys = (DB, &[key_ahead, key_ahead][..]);
        self.keyspace.prefetch(keys, &self.memory, &mut ahead);
        for _ in 0..3 {
            if let Some(found) = ahead.take(DB, key_of, &self.memory) {
                let found = found.map(|entry| seen(&self.memory, entry));
                assert_eq!(found.as_ref(), self.model.get(&key));
            }
        }
        if let Some(entry) = self.find(&key) {
            self.memory.set_access_of(entry, access);
            self.model.get_mut(&key).expect("it is there").access = access;
            self.compare_one(&key);
        }
    }

    fn remove(&mut self, key: &[u8]) {
        let entry = self.find(key);
        assert_eq!(entry.is_some(), self.model.contains_key(key));
        if let Some(entry) = entry {
            let (within, hash) = ((&mut self.memory, &self.hasher), self.hasher.hash(key));
            self.keyspace.remove(within, hash, entry);
            self.gone(key, entry);
        }
        assert!(self.find(key).is_none());
    }

    /// An entry is not in the keyspace any more.
    fn gone(&mut self, key: &[u8], entry: Entry) {
        if let Some(item) = item_of(entry) {
            self.memory.destroy(item);
        }
        self.model.remove(key).expect("it was there");
        if let Some(scan) = &mut self.scan {
            scan.stayed.remove(key);
        }
    }

    fn put_many(&mut self) {
        let (first, manner, held) = (self.steps.operand(), self.steps.operand(), self.held());
        let held = match held.value.len() > 1000 {
            true => Held {
                value: Vec::new(),
                ..held
            },
            false => held,
        };
        // Where all hashes are alike, everything takes as long as there are entries, and a look at everything its square.
        let most = match self.alike {
            Alike::All | Alike::Few => 50,
            Alike::Nothing | Alike::Tags => 256,
        };
        for number in (first..256).take(most) {
            let key = key(number, manner);
            self.store(&key, &held).expect("memory");
            self.model.insert(key, held.clone());
        }
    }

    fn remove_many(&mut self) {
        let (first, manner) = (self.steps.operand(), self.steps.operand());
        for number in first..256 {
            self.remove(&key(number, manner));
        }
    }

    fn scan(&mut self) {
        let count = self.steps.operand() % 40;
        let mut scan = self.scan.take().unwrap_or_else(|| Scan {
            cursor: 0,
            stayed: self.model.keys().cloned().collect(),
            met: Vec::new(),
        });
        let within = (&self.memory, &self.hasher);
        let cursor = Cursor(scan.cursor);
        let next = self.keyspace.scan(within, cursor, count, &mut |entry| {
            let key = self.memory.key_of(entry);
            assert_eq!(seen(&self.memory, entry), self.model[key]);
            scan.met.push(key.to_vec());
        });
        match next {
            Some(Cursor(cursor)) => {
                assert!(cursor > scan.cursor);
                scan.cursor = cursor;
                self.scan = Some(scan);
            }
            None => {
                let met = scan.met.iter().filter(|key| scan.stayed.contains(*key));
                let mut met: Vec<&Vec<u8>> = met.collect();
                met.sort();
                let once = met.iter().copied().eq(&scan.stayed);
                assert!(once, "what stays is met once");
            }
        }
    }

    fn random(&mut self) {
        let draw = self.steps.operand() as u64;
        let is_live = |entry| !self.memory.has_ended(entry, self.now);
        let drawn = self.keyspace.random(&self.memory, draw, is_live);
        let live = self.model.values().filter(|held| !self.is_due(held));
        assert_eq!(drawn.is_some(), live.count() > 0);
        if let Some(entry) = drawn {
            let held = &self.model[self.memory.key_of(entry)];
            assert!(seen(&self.memory, entry) == *held && !self.is_due(held));
        }
    }

    fn is_due(&self, held: &Held) -> bool {
        held.deadline.is_some_and(|at| at <= self.now)
    }

    /// Has entries end, but for some that stay, in looks some of which are broken off.
    fn expire(&mut self) {
        let (stay, manner) = (self.steps.operand() as u64, self.steps.operand());
        let (mut looks, balances) = (self.steps.operand() % 8, manner % 4 == 1);
        let stays = |hash: u64| stay < 64 && (hash >> 8) % 4 == stay % 4;
        let (mut is_done, put_off) = (false, self.put_off);
        while looks > 0 {
            looks -= 1;
            let at_once = if manner % 4 == 2 { 3 } else { usize::MAX };
            if !self.look(&stays, balances, at_once) {
                is_done = true;
                break;
            }
        }
        if is_done && !balances && self.now > put_off {
            let mut left = self.model.iter().filter(|(_, held)| self.is_due(held));
            assert!(left.all(|(key, _)| stays(self.hasher.hash(key))));
        }
    }

    /// A look at a node, of which so many entries that have ended go at most; whether there was one that wanted it.
    fn look(&mut self, stays: &dyn Fn(u64) -> bool, balances: bool, most: usize) -> bool {
        let (now, mut pages_read) = (self.now, 0);
        let begun = self.keyspace.begin_look(&self.memory, now, &mut pages_read);
        let Some(mut look) = begun else {
            assert!(self.keyspace.look_at() > now);
            return false;
        };
        let (mut removed, mut is_through) = (0, true);
        let put_off = UnixMillis(now.0 + STAYS_MS);
        while let Some(entry) = self.keyspace.next_due(&self.memory, &mut look, now) {
            if removed >= most {
                is_through = false;
                break;
            }
            let key = self.memory.key_of(entry).to_vec();
            let hash = self.hasher.hash(&key);
            assert!(self.is_due(&self.model[&key]));
            if stays(hash) {
                self.put_off = put_off;
                look.pass();
                continue;
            }
            let keyspace = &mut self.keyspace;
            if balances {
                // Others may go to places where the look does not come.
                self.put_off = put_off;
            }
            match balances {
                true => keyspace.remove((&mut self.memory, &self.hasher), hash, entry),
                false => keyspace.remove_unbalanced(&mut self.memory, hash, entry),
            }
            self.gone(&key, entry);
            removed += 1;
        }
        let keyspace = &mut self.keyspace;
        keyspace.end_look(&self.memory, look, now, is_through);
        keyspace.balance((&mut self.memory, &self.hasher));
        true
    }

    /// Moves an item, or the node of a short string, as compaction does.
    fn move_block(&mut self) {
        let choice = self.steps.operand() * 256 + self.steps.operand();
        let count = self.model.len().max(1);
        let Some(key) = self.model.keys().nth(choice % count).cloned() else {
            return;
        };
        match self.find(&key).expect("it is there") {
            Entry::Item(item) => {
                let moved = self.memory.arena_mut().move_block(item).expect("memory");
                let hash = self.hasher.hash(&key);
                let keyspace = &mut self.keyspace;
                assert!(keyspace.replace_item(&mut self.memory, hash, (item, moved)));
                assert!(!keyspace.replace_item(&mut self.memory, hash, (item, moved)));
            }
            Entry::Short(short) => {
                let node = short.node();
                let kind = NodeKind::of(self.memory.arena().tail(node)[0]).expect("a node");
                let moved = self.memory.arena_mut().move_block(node).expect("memory");
                self.keyspace
                    .node_moved(&mut self.memory, kind, (node, moved));
            }
        }
        self.compare_one(&key);
    }

    fn compare_one(&self, key: &[u8]) {
        let found = self.find(key).map(|entry| seen(&self.memory, entry));
        assert_eq!(found.as_ref(), self.model.get(key));
    }

    fn compare(&self) {
        let hash_of = |name: &[u8]| self.hasher.hash(name);
        self.memory.check(&hash_of);
        self.keyspace.check(&self.memory, &self.hasher, self.now);
        let (mut shown, mut bytes) = (BTreeMap::new(), self.keyspace.node_bytes());
        self.keyspace.for_each(&self.memory, |entry| {
            let key = self.memory.key_of(entry).to_vec();
            assert_eq!(shown.insert(key, seen(&self.memory, entry)), None);
            bytes += item_of(entry).map_or(0, |item| self.memory.item_bytes(item));
        });
        assert!(shown == self.model, "the same entries");
        let held = self.memory.item_bytes_total() - self.memory.dying_bytes();
        assert_eq!(bytes, held);
        assert_eq!(self.keyspace.len(), self.model.len() as u64);
        self.model.keys().for_each(|key| self.compare_one(key));
        let payload = self
            .model
            .iter()
            .map(|(key, held)| key.len() + held.value.len());
        assert_eq!(self.memory.payload_bytes(), payload.sum::<usize>() as u64);
        let deadlines = || self.model.values().filter_map(|held| held.deadline);
        assert_eq!(self.keyspace.volatile_len(), deadlines().count() as u64);
        let left = deadlines().map(|at| i128::from(at.0) - i128::from(self.now.0));
        assert_eq!(self.keyspace.ttl_sum_ms(self.now), left.sum::<i128>());
        let due = deadlines().filter(|at| *at <= self.now).count() as u64;
        assert!(self.keyspace.node_bytes() < u64::from(SAMPLED_NODES) * 1000);
        // What stays is looked at later, and not counted until then.
        let about = self.keyspace.due_about(&self.memory, self.now);
        assert!(about == due || about == 0 && self.keyspace.look_at() > self.now);
    }

    /// Has all end that does, and frees everything, node by node.
    fn end(&mut self) {
        self.now.0 += 1000;
        while self.look(&|_| false, false, usize::MAX) {}
        assert!(!self.model.values().any(|held| self.is_due(held)));
        self.compare();
        while self.keyspace.dismantle(&mut self.memory).is_some() {}
        while self.memory.trim_some() {}
        assert_eq!(self.memory.payload_bytes(), 0);
        assert_eq!(self.memory.item_bytes_total(), 0);
        assert_eq!(self.keyspace.table_bytes(), 0);
    }
}

/// What an entry holds.
fn seen(memory: &Memory, entry: Entry) -> Held {
    let view = memory.view(entry);
    assert_eq!(memory.deadline_of(entry), view.expires_at());
    assert_eq!(memory.head_of(entry).access(), view.access());
    Held {
        value: view.value().to_vec(),
        deadline: view.expires_at(),
        access: view.access(),
    }
}

/// Key `number` of those of one manner.
fn key(number: usize, manner: usize) -> Vec<u8> {
    let len = match manner {
        0..=159 => 5,
        160..=219 => 3 + number % 17,
        220..=239 => 100 + number % 40,
        240..=249 => 240 + number % 16,
        _ => 17_000,
    };
    let mut key = format!("{number:03}{}", manner / 40).into_bytes();
    key.resize(len.max(4), b'n');
    key
}
