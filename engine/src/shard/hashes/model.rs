//! Hashes of a shard against the naive model of them, lists of fields by key: any bytes are steps, so that property tests shrink
//! them and fuzzers mutate them.
//!
//! ```text
//!  [ step | operands ] [ step | operands ] ...      what is missing at the end reads as zero
//! ```
//! A second model is made of the records alone, and must come to the same.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Field, HashMut};
use crate::journal::{Effect, Element, Event, Record, Removal};
use crate::memory::Named;
use crate::model::Steps;
use crate::shard::played::{self, Play as _};
use crate::shard::{Access, FieldAhead, Stored, TtlChange};
use crate::{
    DbIndex, Encoding, Intent, Key, KeyHasher, Kind, Shard, StoreError, Thresholds, UnixMillis,
};

/// Steps played of any input.
const STEPS_MAX: usize = 400;
/// Steps between looks at everything.
const CHECK_INTERVAL: usize = 20;

const DB: DbIndex = DbIndex(0);
const EVENTS: (Event, Event) = (Event::RenameFrom, Event::RenameTo);

#[derive(Clone, Debug, PartialEq)]
struct OneField {
    name: Vec<u8>,
    value: Vec<u8>,
    deadline: Option<UnixMillis>,
}

/// A hash: its fields in the order in which they came, those past their deadline included.
#[derive(Clone, Debug, Default, PartialEq)]
struct Hash {
    fields: Vec<OneField>,
    is_outgrown: bool,
    had_deadlines: bool,
}

type Hashes = BTreeMap<Vec<u8>, Hash>;

struct Play<'a> {
    steps: Steps<'a>,
    shard: Shard,
    hasher: KeyHasher,
    thresholds: Thresholds,
    model: Hashes,
    /// What the records say.
    told: Rc<RefCell<Hashes>>,
    /// The next change finds no memory after so many blocks.
    memory_left: Option<u32>,
    /// What there was when the undo log was opened.
    before: Option<Hashes>,
}

/// Plays the steps.
///
/// # Panics
/// The hashes do something else than the model, or an invariant is broken.
pub fn play(bytes: &[u8]) {
    let (shard, told) = played::shard(replay);
    let mut play = Play {
        steps: Steps::new(bytes),
        shard,
        hasher: played::hasher(),
        thresholds: Thresholds::default(),
        model: Hashes::new(),
        told,
        memory_left: None,
        before: None,
    };
    played::drive(&mut play, STEPS_MAX, CHECK_INTERVAL);
    play.end();
}

/// Does to `hashes` what a record says.
fn replay(hashes: &mut Hashes, record: &Record<'_>) {
    match record.effect {
        Effect::Elements(
            &[
                Element::Field {
                    field,
                    value,
                    expires_at,
                },
            ],
        ) => {
            let hash = hashes.entry(record.key.to_vec()).or_default();
            hash.put(field, value, expires_at);
        }
        Effect::Elements(&[Element::Gone(field)]) => {
            let hash = hashes.get_mut(record.key).expect("it has the field");
            assert!(hash.take(field));
        }
        Effect::Remove(Removal::Deleted | Removal::Expired) => {
            hashes.remove(record.key);
        }
        Effect::MoveTo { key, .. } => {
            let hash = hashes.remove(record.key).expect("it was there");
            hashes.insert(key.to_vec(), hash);
        }
        Effect::Arrive { .. } | Effect::Deadline(_) => {}
        ref other => panic!("{other:?}"),
    }
}

impl Hash {
    fn find(&self, name: &[u8]) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    fn live(&self, name: &[u8], now: UnixMillis) -> Option<&OneField> {
        let field = &self.fields[self.find(name)?];
        field.is_live(now).then_some(field)
    }

    fn put(&mut self, name: &[u8], value: &[u8], deadline: Option<UnixMillis>) {
        let field = OneField {
            name: name.to_vec(),
            value: value.to_vec(),
            deadline,
        };
        match self.find(name) {
            Some(at) => self.fields[at] = field,
            None => self.fields.push(field),
        }
    }

    fn take(&mut self, name: &[u8]) -> bool {
        let found = self.find(name);
        found.map(|at| self.fields.remove(at)).is_some()
    }

    fn encoding(&self) -> Encoding {
        match (self.is_outgrown, self.had_deadlines) {
            (true, _) => Encoding::HashTable,
            (false, true) => Encoding::ListPackEx,
            (false, false) => Encoding::ListPack,
        }
    }
}

impl OneField {
    fn is_live(&self, now: UnixMillis) -> bool {
        self.deadline.is_none_or(|at| at > now)
    }

    fn is(&self, field: &Field<'_>) -> bool {
        (&*self.name, &*self.value, self.deadline) == (field.name, field.value, field.expires_at)
    }
}

/// Field number `number` of those of one manner.
fn name(number: usize, manner: usize) -> Vec<u8> {
    let len = match manner {
        0..=159 => 5,
        160..=219 => 4 + number % 17,
        220..=239 => 100 + number % 160,
        240..=253 => 250 + manner % 5,
        _ => 40_000,
    };
    let mut name = format!("{number:03}{}", manner / 40).into_bytes();
    name.resize(len, b'n');
    name
}

impl played::Play for Play<'_> {
    /// Takes a step; whether there was one.
    fn step(&mut self) -> bool {
        let Some(step) = self.steps.next() else {
            return false;
        };
        let key = self.key();
        match step % 24 {
            0..=4 => {
                let (name, value, ttl) = (self.name(), self.value(), self.ttl());
                self.set(&key, &name, &value, ttl);
            }
            5 => self.update(&key),
            6 | 7 => {
                let name = self.name();
                self.remove(&key, &[name]);
            }
            8 | 9 => self.set_many(&key),
            10 => {
                let (first, manner) = (self.steps.operand(), self.steps.operand());
                let names: Vec<_> = (first..256).map(|number| name(number, manner)).collect();
                self.remove(&key, &names);
            }
            11 | 12 => self.set_deadline(&key),
            13 => self.read(&key),
            14 => {
                let now = self.shard.now().0 + self.steps.operand() as i64 % 30;
                self.shard.set_now(UnixMillis(now));
            }
            15 => self.memory_left = Some(self.steps.operand() as u32 % 6),
            16 => {
                self.thresholds.hash_fields = [512, 4, 128][self.steps.operand() % 3];
                self.thresholds.hash_value_bytes = [64, 10][self.steps.operand() % 2];
                self.shard.set_thresholds(self.thresholds);
            }
            17 => self.rename(&key),
            18 => self.move_items(),
            19 => self.open_or_close_undo(),
            23 => self.prefetch(),
            20 => {
                let budget = self.steps.operand() as u32 * 4;
                // Nothing ends by itself while something may be taken back.
                if self.before.is_none() {
                    self.shard.expire_cycle(budget);
                    self.take_expired();
                }
            }
            _ => match self.steps.operand() % 4 {
                0 => {
                    let removed = self.shard.remove(DB, self.hasher.key(&key), Event::Del);
                    assert_eq!(removed, self.model.remove(&key).is_some());
                }
                _ => {
                    let deadline = Some(UnixMillis(i64::MAX - self.steps.operand() as i64));
                    let key = self.hasher.key(&key);
                    let set = self.shard.set_deadline(DB, key, deadline, Event::Expire);
                    assert_eq!(set, Ok(self.model.contains_key(key.bytes())));
                }
            },
        }
        true
    }

    fn compare(&mut self) {
        let now = self.shard.now();
        self.shard.check();
        let told = self.told.borrow();
        // What may be taken back is told to nobody.
        let is_told = self.before.is_none();
        assert!(!is_told || told.keys().eq(self.model.keys()));
        for (key, model) in &self.model {
            let entry = self.shard.get(DB, self.hasher.key(key), Access::Peek);
            let entry = entry.expect("it is there");
            assert_eq!(
                (entry.kind(), entry.encoding()),
                (Kind::Hash, model.encoding())
            );
            let hash = self.shard.hash(DB, self.hasher.key(key), Access::Peek);
            let hash = hash.expect("a hash").expect("it is there");
            assert_eq!(hash.len(), model.fields.len() as u64);
            let mut shown = Vec::new();
            hash.each(&mut |field| {
                let live = model.live(field.name, now);
                assert!(live.is_some_and(|live| live.is(&field)));
                assert_eq!(hash.get(field.name), Some(field));
                shown.push(field.name.to_vec());
            });
            let live = || model.fields.iter().filter(|field| field.is_live(now));
            let is_packed = matches!(hash.fields, Named::Packed(_));
            if is_packed {
                assert!(shown.iter().eq(live().map(|field| &field.name)));
            }
            shown.sort();
            shown.dedup();
            assert_eq!(shown.len(), live().count());
            let soonest = model.fields.iter().filter_map(|field| field.deadline).min();
            let bound = hash.fields.soonest_deadline();
            assert_eq!(bound.is_some(), soonest.is_some());
            assert!(bound <= soonest && (!is_packed || bound == soonest));
            let Some(told) = told.get(key).filter(|_| is_told) else {
                continue;
            };
            // The order of large ones, and what they answer, records do not say.
            let by_name = |fields: &[OneField]| {
                let mut fields = fields.to_vec();
                fields.sort_by(|a, b| a.name.cmp(&b.name));
                fields
            };
            assert_eq!(by_name(&told.fields), by_name(&model.fields));
        }
    }
}

impl Play<'_> {
    fn key(&mut self) -> Vec<u8> {
        match self.steps.operand() % 8 {
            0..=4 => b"one".to_vec(),
            5 | 6 => b"two".to_vec(),
            _ => vec![b'k'; 16 << 10],
        }
    }

    fn name(&mut self) -> Vec<u8> {
        let (number, manner) = (self.steps.operand(), self.steps.operand());
        name(number, manner)
    }

    fn value(&mut self) -> Vec<u8> {
        let (manner, fill) = (self.steps.operand(), self.steps.operand() as u8);
        let len = match manner {
            0..=119 => 16,
            120..=199 => manner - 120,
            200..=239 => 100 + manner,
            240..=250 => manner + 5,
            251..=253 => 3000 + manner,
            _ => 40_000,
        };
        vec![fill; len]
    }

    fn ttl(&mut self) -> TtlChange {
        let now = self.shard.now().0;
        match self.steps.operand() {
            0..=159 => TtlChange::Clear,
            160..=199 => TtlChange::Keep,
            // Some have passed.
            operand => TtlChange::At(UnixMillis(now + operand as i64 - 210)),
        }
    }

    fn open<'s>(shard: &'s mut Shard, hasher: &KeyHasher, key: &'s [u8]) -> HashMut<'s> {
        let opened = shard.hash_mut(DB, hasher.key(key));
        opened.expect("it is a hash, or nothing")
    }

    /// Brings fields near, as a run of commands does and as one command does, which changes nothing.
    fn prefetch(&mut self) {
        let count = self.steps.operand() % 40;
        let keys = [&b"one"[..], b"two", b"none", &[b'k'; 16 << 10]];
        let names: Vec<Vec<u8>> = (0..count).map(|number| name(number, 0)).collect();
        let fields = names.iter().enumerate().map(|(number, name)| FieldAhead {
            key_hash: self.hasher.hash(keys[number / 3 % keys.len()]),
            name,
            intent: match number % 4 {
                0 => Intent::Read,
                1 => Intent::Change,
                2 => Intent::Write(None),
                _ => Intent::Write(Some(16)),
            },
        });
        self.shard.prefetch_fields(DB, fields);
    }

    /// Has `change` change the hash, with the memory there is; `None` if that is too little, and nothing changed.
    fn change<T>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut HashMut<'_>) -> Result<T, StoreError>,
    ) -> Option<T> {
        let left = self.memory_left.take();
        self.shard.memory.arena_mut().run_out_after(left);
        let mut hash = Self::open(&mut self.shard, &self.hasher, key);
        hash.prefetch([&b"000"[..], b"0010"].into_iter(), Intent::Write(None));
        let changed = change(&mut hash);
        let event = match changed {
            Ok(_) => &[Event::HSet][..],
            Err(_) => &[],
        };
        hash.close(event);
        self.shard.memory.arena_mut().run_out_after(None);
        match changed {
            Ok(changed) => Some(changed),
            Err(error) => {
                assert_eq!((error, left.is_some()), (StoreError::OutOfMemory, true));
                self.compare();
                None
            }
        }
    }

    fn note_set(&mut self, key: &[u8], name: &[u8], value: &[u8], deadline: Option<UnixMillis>) {
        let hash = self.model.entry(key.to_vec()).or_default();
        hash.put(name, value, deadline);
        hash.had_deadlines |= deadline.is_some();
        let longest = name.len().max(value.len()) as u64;
        let Thresholds {
            hash_fields,
            hash_value_bytes,
            ..
        } = self.thresholds;
        hash.is_outgrown |= hash.fields.len() as u64 > hash_fields || longest > hash_value_bytes;
    }

    fn set(&mut self, key: &[u8], name: &[u8], value: &[u8], ttl: TtlChange) {
        let Some(stored) = self.change(key, |hash| hash.set(name, value, ttl)) else {
            return;
        };
        let now = self.shard.now();
        let old = self.model.get(key).and_then(|hash| hash.live(name, now));
        let expected = match old {
            Some(_) => Stored::Replaced,
            None => Stored::Added,
        };
        assert_eq!(stored, expected);
        let deadline = match ttl {
            TtlChange::Clear => None,
            TtlChange::Keep => old.and_then(|field| field.deadline),
            TtlChange::At(at) => Some(at),
        };
        self.note_set(key, name, value, deadline);
    }

    /// Makes a value longer by what it is, unless it is long or there is none.
    fn update(&mut self, key: &[u8]) {
        let name = self.name();
        let doubled = |value: &[u8]| (value.len() < 2000).then(|| value.repeat(2));
        let changed = self.change(key, |hash| {
            hash.update(&name, |field| {
                let doubled = field.and_then(|field| doubled(field.value));
                Ok::<_, StoreError>(doubled.map(|value| (value, TtlChange::Keep)))
            })
        });
        let Some(changed) = changed else {
            return;
        };
        let now = self.shard.now();
        let old = self.model.get(key).and_then(|hash| hash.live(&name, now));
        let new = old.and_then(|field| Some((doubled(&field.value)?, field.deadline)));
        assert_eq!(changed.is_some(), new.is_some());
        if let Some((value, deadline)) = new {
            self.note_set(key, &name, &value, deadline);
        }
    }

    fn set_many(&mut self, key: &[u8]) {
        let (first, manner, value) = (self.steps.operand(), self.steps.operand(), self.value());
        let (ttl, manner) = (self.ttl(), manner % 220);
        for number in first..256 {
            let value = &value[..value.len().min(300)];
            self.set(key, &name(number, manner), value, ttl);
        }
    }

    fn set_deadline(&mut self, key: &[u8]) {
        let (name, ttl) = (self.name(), self.ttl());
        let deadline = match ttl {
            TtlChange::At(at) => Some(at),
            _ => None,
        };
        let set = self.change(key, |hash| hash.set_deadline(&name, deadline));
        let Some(set) = set else {
            return;
        };
        let now = self.shard.now();
        let hash = self.model.get_mut(key);
        let found = hash.filter(|hash| hash.live(&name, now).is_some());
        assert_eq!(set, found.is_some());
        if let Some(hash) = found {
            let at = hash.find(&name).expect("it is live");
            hash.fields[at].deadline = deadline;
            hash.had_deadlines |= deadline.is_some();
        }
    }

    /// Removes fields in one command, which is never for want of memory that it fails.
    fn remove(&mut self, key: &[u8], names: &[Vec<u8>]) {
        let now = self.shard.now();
        let mut model = self.model.remove(key).unwrap_or_default();
        self.change(key, |hash| {
            for name in names {
                let is_live = model.live(name, now).is_some() && model.take(name);
                assert_eq!(hash.remove(name), is_live);
                assert_eq!(hash.get(name), None);
            }
            Ok(())
        });
        if !model.fields.is_empty() {
            self.model.insert(key.to_vec(), model);
        }
    }

    fn read(&mut self, key: &[u8]) {
        let (name, draw, count) = (
            self.name(),
            self.steps.operand() as u64,
            self.steps.operand() % 40,
        );
        let now = self.shard.now();
        let hash = self.shard.hash(DB, self.hasher.key(key), Access::Touch);
        let hash = hash.expect("it is a hash, or nothing");
        let model = self.model.get(key);
        assert_eq!(hash.is_some(), model.is_some());
        let (Some(hash), Some(model)) = (hash, model) else {
            return;
        };
        let (found, live) = (hash.get(&name), model.live(&name, now));
        assert_eq!(found.is_some(), live.is_some());
        assert!(found.is_none_or(|field| live.is_some_and(|live| live.is(&field))));
        if let Some(field) = hash.random(draw << 56) {
            assert!(
                model
                    .live(field.name, now)
                    .is_some_and(|live| live.is(&field))
            );
        }
        let mut scanned = Vec::new();
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            let mut show = |field: Field<'_>| scanned.push(field.name.to_vec());
            cursor = hash.scan(at, count, &mut show);
        }
        scanned.sort();
        let live = model.fields.iter().filter(|field| field.is_live(now));
        let mut expected: Vec<_> = live.map(|field| field.name.clone()).collect();
        expected.sort();
        assert_eq!(scanned, expected);
    }

    fn rename(&mut self, key: &[u8]) {
        let to = self.key();
        if key == to {
            return;
        }
        let (from, to) = (self.hasher.key(key), self.hasher.key(&to));
        let moved = self.shard.relocate((DB, from), (DB, to), EVENTS);
        let hash = self.model.remove(key);
        assert_eq!(moved, Ok(hash.is_some()));
        if let Some(hash) = hash {
            self.model.insert(to.bytes().to_vec(), hash);
        }
    }

    /// Fields that records say are gone were due.
    fn take_expired(&mut self) {
        let (now, told) = (self.shard.now(), self.told.borrow());
        self.model.retain(|key, hash| {
            let left = told.get(key);
            hash.fields.retain(|field| {
                let stays = left.is_some_and(|left| left.find(&field.name).is_some());
                assert!(stays || !field.is_live(now));
                stays
            });
            left.is_some()
        });
    }

    /// Every field with a deadline goes when all have come, and a hash with the last of its fields.
    fn expire_all(&mut self) {
        for _ in 0..3 {
            let now = self.shard.now().0 + 100_000_000;
            self.shard.set_now(UnixMillis(now));
            while self.shard.expire_cycle(1000).is_cut_short {}
        }
        self.take_expired();
        let is_left = |field: &OneField| field.deadline.is_none();
        for hash in self.model.values() {
            assert!(hash.fields.iter().all(is_left) && !hash.fields.is_empty());
        }
        self.compare();
    }

    /// Opens the undo log, or takes back what was done since, or lets it stand.
    fn open_or_close_undo(&mut self) {
        match self.before.take() {
            None => {
                self.before = Some(self.model.clone());
                self.shard.begin_undo();
                return;
            }
            Some(before) if !self.steps.operand().is_multiple_of(4) => {
                self.model = before;
                self.shard.undo();
            }
            Some(_) => self.shard.end_undo(),
        }
        self.compare();
    }

    /// Moves the items, as compaction does while nothing may be taken back.
    fn move_items(&mut self) {
        if self.before.is_some() {
            return;
        }
        for key in self.model.keys() {
            let key = self.hasher.key(key);
            let item = self.shard.item_at(DB, key);
            assert!(self.shard.move_block(item.expect("it is there")));
        }
    }

    /// A hash is no other type, and leaves nothing behind.
    fn end(&mut self) {
        if self.before.is_some() {
            self.shard.end_undo();
        }
        self.expire_all();
        let keys: Vec<Vec<u8>> = self.model.keys().cloned().collect();
        for key in keys {
            let key: Key<'_> = self.hasher.key(&key);
            assert!(self.shard.remove(DB, key, Event::Del));
        }
        while self.shard.memory.trim_some() {}
        self.shard.check();
        assert_eq!(self.shard.bytes_beside_nodes(), 0);
    }
}
