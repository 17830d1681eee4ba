//! The shard against the naive model, and what the model cannot say: bounds, accounting, memory given back.

mod collections;
mod gently;
pub(super) mod large;
mod loose;
mod memory;
pub(super) mod ops;
mod rebuilt;
mod scan;
mod scarce;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;

use ops::{Content, HashOp, ListOp, Op, SetOp, SortedSetOp, Ttl, key_of, op};
pub(super) use ops::{run_on_hash, run_on_list, run_on_set, run_on_sorted_set};

use super::*;
use crate::journal::{Effect, Element, Event, Removal};
use crate::key::Alike;
use crate::model::{Entry, Model, Value, describe};
use crate::{Buffer, Intent, Kept, Kind, Member, Noted, StringForm, ValueImage, WrongType};

const DB: DbIndex = DbIndex(0);

/// So many cases of a property, or so few under miri; or as many as `PROPTEST_CASES` says.
pub(super) fn cases(count: u32, under_miri: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { under_miri } else { count };
    }
    config
}

pub(super) fn shard() -> Shard {
    shard_with(Alike::Nothing)
}

/// A shard in which hashes of keys are alike.
pub(super) fn shard_with(alike: Alike) -> Shard {
    Shard::new(&ShardOptions {
        databases: 3,
        memory_ceiling_bytes: 1 << 30,
        hasher: KeyHasher::with_alike(alike),
    })
    .expect("address space")
}

/// What hashes of keys have in common, mostly nothing.
pub(super) fn alike() -> impl Strategy<Value = Alike> {
    let any = prop::sample::select(&Alike::EACH[..]);
    prop_oneof![Just(Alike::Nothing), any]
}

fn put(shard: &mut Shard, key: &[u8], value: &[u8], ttl: TtlChange) {
    let key = shard.hasher().clone().key(key);
    shard
        .set(DB, key, value, StringForm::Detect, ttl, Event::Set)
        .expect("memory");
}

fn take(shard: &mut Shard, key: &[u8]) -> bool {
    let key = shard.hasher().clone().key(key);
    shard.remove(DB, key, Event::Del)
}

fn read(shard: &mut Shard, key: &[u8]) -> Option<Vec<u8>> {
    let key = shard.hasher().clone().key(key);
    shard
        .get(DB, key, Access::Peek)
        .map(|entry| entry.value().to_vec())
}

fn number(n: u32) -> Vec<u8> {
    format!("key:{n:08}").into_bytes()
}

fn fill(shard: &mut Shard, count: u32, ttl: TtlChange) {
    for n in 0..count {
        put(shard, &number(n), &[b'v'; 64], ttl);
    }
}

pub(super) fn tend_to_the_end(shard: &mut Shard) {
    let mut steps = 0;
    while shard.tend(1000) {
        steps += 1;
        assert!(steps < 1_000_000, "house-keeping comes to an end");
    }
}

/// Brings near what these are about, as a batch of commands has it, of the database of the first.
pub(super) fn bring_near(shard: &mut Shard, ops: &[Op]) {
    let mut places = ops.iter().filter_map(Op::key).peekable();
    let Some(&(db, _)) = places.peek() else {
        return;
    };
    let of_db = places.filter(|&(of, _)| of == db);
    let keys = of_db.map(|(_, k)| KeyAhead {
        hash: shard.hasher().hash(&key_of(k)),
        writes: false,
    });
    let keys: Vec<KeyAhead> = keys.collect();
    shard.prefetch(DbIndex(db), &keys);
}

/// Stores the string at `from` at `to` as well; what that was.
pub(super) fn copy(
    shard: &mut Shard,
    from: (DbIndex, &[u8]),
    to: (DbIndex, &[u8]),
) -> Option<ValueImage> {
    let hasher = shard.hasher().clone();
    let found = shard.get(from.0, hasher.key(from.1), Access::Peek)?;
    found.string()?;
    let image = found.shared_image();
    shard
        .put(to.0, hasher.key(to.1), &image, Event::CopyTo)
        .expect("memory");
    Some(image)
}

/// Holds an image until others have come.
pub(super) fn hold(held: &mut Vec<ValueImage>, image: ValueImage) {
    held.push(image);
    if held.len() > 2 {
        held.remove(0);
    }
}

/// What the shard has removed by itself.
enum EndOf {
    Entry,
    Field(Vec<u8>),
    /// A hash without fields.
    Hash,
}

struct Pair {
    shard: Shard,
    model: Model,
    now: i64,
    log: Rc<RefCell<Vec<String>>>,
    /// Images that share buffers with it.
    held: Vec<ValueImage>,
}

impl Pair {
    fn new() -> Self {
        Self::with(Alike::Nothing)
    }

    fn with(alike: Alike) -> Self {
        let mut shard = shard_with(alike);
        let log = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&log);
        shard.journal().subscribe(Box::new(move |record| {
            let change = describe(record.db, record.key, &record.effect);
            sink.borrow_mut().push(change);
            assert_eq!(record.sequence, sink.borrow().len() as u64);
        }));
        shard.journal().keep_notes(Kept {
            changes: true,
            events: true,
        });
        Self {
            shard,
            model: Model::new(3),
            now: 1_000_000,
            log,
            held: Vec::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        let hasher = self.shard.hasher().clone();
        let (shard, model) = (&mut self.shard, &mut self.model);
        let at = |ms: i64| UnixMillis(self.now + ms);
        match *op {
            Op::Get(db, k) => {
                let (db, key) = (DbIndex(db), key_of(k));
                let found = shard
                    .get(db, hasher.key(&key), Access::Peek)
                    .map(|e| Entry::of(&e));
                assert_eq!(found, model.get(db, &key));
            }
            Op::Set(db, k, ref content, ref ttl) => {
                let (db, key, value) = (DbIndex(db), key_of(k), content.bytes());
                let ttl = match *ttl {
                    Ttl::Clear => TtlChange::Clear,
                    Ttl::Keep => TtlChange::Keep,
                    Ttl::In(ms) => TtlChange::At(at(ms)),
                };
                let form = StringForm::Detect;
                shard
                    .set(db, hasher.key(&key), &value, form, ttl, Event::Set)
                    .expect("memory");
                model
                    .set(db, &key, &value, form, ttl, Event::Set)
                    .expect("fits");
            }
            Op::SetLent(db, k, ref content, head) => {
                let (db, key, value) = (DbIndex(db), key_of(k), content.bytes());
                let mut buffer = Buffer::with_capacity(10).expect("memory");
                assert!(buffer.append(&vec![b'*'; head]) && buffer.append(&value));
                let buffer = Arc::new(buffer);
                shard.lend(&buffer);
                let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
                let lent = &buffer.bytes()[head..];
                shard
                    .set(db, hasher.key(&key), lent, form, ttl, Event::Set)
                    .expect("memory");
                shard.end_lending();
                shard.bury(buffer);
                model
                    .set(db, &key, &value, form, ttl, Event::Set)
                    .expect("fits");
            }
            Op::WriteRange(db, k, offset, ref content) => {
                let (db, key, value) = (DbIndex(db), key_of(k), content.bytes());
                if model
                    .get(db, &key)
                    .is_some_and(|entry| entry.kind() != Kind::String)
                {
                    return;
                }
                let event = Event::SetRange;
                assert_eq!(
                    shard.write_range(db, hasher.key(&key), offset, &value, event),
                    model.write_range(db, &key, offset, &value, event),
                );
            }
            Op::Remove(db, k) => {
                let (db, key) = (DbIndex(db), key_of(k));
                let removed = shard.remove(db, hasher.key(&key), Event::Del);
                assert_eq!(removed, model.remove(db, &key, Event::Del));
            }
            Op::List(db, k, ref op) => {
                let (db, key) = (DbIndex(db), key_of(k));
                let answer = run_on_list(shard, db, hasher.key(&key), op);
                let opened = model.open(db, &key, Kind::List);
                let expected = opened.map(|mut list| {
                    let (answer, events) = op.run(&mut list);
                    list.close(&events);
                    answer
                });
                assert_eq!(answer, expected);
            }
            Op::OfSet(db, k, ref op) => {
                let (db, key) = (DbIndex(db), key_of(k));
                let answer = run_on_set(shard, db, hasher.key(&key), op);
                let opened = model.open(db, &key, Kind::Set);
                let expected = opened.map(|mut set| {
                    let (answer, events) = op.run(&mut set);
                    set.close(&events);
                    answer
                });
                assert_eq!(answer, expected);
            }
            Op::Hash(db, k, ref op) => {
                let (db, key) = (DbIndex(db), key_of(k));
                let answer = run_on_hash(shard, db, hasher.key(&key), op, self.now);
                let opened = model.open(db, &key, Kind::Hash);
                let expected = opened.map(|mut hash| {
                    let (answer, events) = op.run(&mut hash, self.now);
                    hash.close(&events);
                    answer
                });
                assert_eq!(answer, expected);
            }
            Op::SortedSet(db, k, ref op) => {
                let (db, key) = (DbIndex(db), key_of(k));
                let answer = run_on_sorted_set(shard, db, hasher.key(&key), op);
                let opened = model.open(db, &key, Kind::SortedSet);
                let expected = opened.map(|mut set| {
                    let (answer, events) = op.run(&mut set);
                    set.close(&events);
                    answer
                });
                assert_eq!(answer, expected);
            }
            Op::SetDeadline(db, k, ms) => {
                let (db, key, deadline) = (DbIndex(db), key_of(k), ms.map(at));
                let found = shard.set_deadline(db, hasher.key(&key), deadline, Event::Expire);
                assert_eq!(
                    found,
                    Ok(model.set_deadline(db, &key, deadline, Event::Expire))
                );
            }
            Op::Relocate(d, k, e, l) => {
                let (d, key, e, other) = (DbIndex(d), key_of(k), DbIndex(e), key_of(l));
                let events = (Event::RenameFrom, Event::RenameTo);
                let found = shard.relocate((d, hasher.key(&key)), (e, hasher.key(&other)), events);
                assert_eq!(found, Ok(model.relocate((d, &key), (e, &other), events)));
            }
            Op::Copy(d, k, e, l) => {
                let (d, key, e, other) = (DbIndex(d), key_of(k), DbIndex(e), key_of(l));
                let image = copy(shard, (d, &key), (e, &other));
                let expected = model.get(d, &key);
                let is_string = |entry: &Entry| entry.kind() == Kind::String;
                assert_eq!(
                    image.as_ref().map(Entry::of_image),
                    expected.filter(is_string)
                );
                if let Some(image) = image {
                    let stored = model.put(e, &other, &image, Event::CopyTo);
                    stored.expect("no longer than it was");
                    hold(&mut self.held, image);
                }
            }
            Op::Flush(db) => {
                assert_eq!(shard.flush(DbIndex(db)), model.flush(DbIndex(db)));
            }
            Op::Swap(a, b) => {
                shard.swap(DbIndex(a), DbIndex(b));
                model.swap(DbIndex(a), DbIndex(b));
            }
            Op::Wait(ms) => {
                self.now += ms;
                shard.set_now(UnixMillis(self.now));
                model.set_now(UnixMillis(self.now));
            }
            Op::Expire(budget) => {
                let stats = shard.expire_cycle(budget);
                assert!(stats.expired <= stats.examined);
                self.follow_removals();
            }
            Op::Tend(budget) => {
                shard.tend(budget);
            }
            Op::Random(db, random) => {
                let found = shard.random(DbIndex(db), random).map(|e| e.key().to_vec());
                let live = model.live(DbIndex(db));
                assert_eq!(found.is_some(), !live.is_empty());
                assert!(found.is_none_or(|key| live.contains_key(&key)));
            }
            Op::Prefetch(db, k) => {
                let key_hash = hasher.hash(&key_of(k));
                let ahead = |writes| KeyAhead {
                    hash: key_hash,
                    writes,
                };
                shard.prefetch(DbIndex(db), &[ahead(false), ahead(true)]);
                let field = |intent| FieldAhead {
                    key_hash,
                    name: b"field",
                    intent,
                };
                let fields = [Intent::Read, Intent::Write(None)].map(field);
                shard.prefetch_fields(DbIndex(db), fields.into_iter());
            }
        }
    }

    /// Lets the model expire what the shard did by itself: which of the dead, and in which order, is the shard's to choose.
    fn follow_removals(&mut self) {
        let done = self.model.log.len();
        let news: Vec<String> = self.log.borrow()[done..].to_vec();
        if news.is_empty() {
            return;
        }
        let keys = (0..3u16).flat_map(|db| (0..24u8).map(move |k| (DbIndex(db), key_of(k))));
        let expired = keys.map(|(db, key)| {
            let told = describe(db, &key, &Effect::Remove(Removal::Expired));
            ((db, key), told)
        });
        let expired: Vec<_> = expired.collect();
        // The hash of which fields are ending.
        let mut ending = None;
        for record in news {
            let end_of = |(place, told): &((DbIndex, Vec<u8>), String)| {
                Some((self.end_of(place, told, &record)?, place.clone()))
            };
            let (end, place) = expired.iter().find_map(end_of).expect("of some key");
            let before = match &end {
                EndOf::Field(_) => ending
                    .replace(place.clone())
                    .filter(|other| *other != place),
                _ => ending.take(),
            };
            if let Some((db, key)) = before {
                self.model.tell_of_ended_fields(db, &key);
            }
            let (db, key) = place;
            match end {
                EndOf::Entry => assert!(self.model.expire_if_due(db, &key)),
                EndOf::Field(name) => self.model.expire_field(db, &key, &name),
                // Told with its last field.
                EndOf::Hash => {}
            }
        }
        if let Some((db, key)) = ending {
            self.model.tell_of_ended_fields(db, &key);
        }
    }

    /// What has ended of a key, whose expiry would be told so, if that is what the record says.
    fn end_of(&self, place: &(DbIndex, Vec<u8>), expired: &str, record: &str) -> Option<EndOf> {
        let of_key = expired.strip_suffix("Remove(Expired)");
        match record.strip_prefix(of_key.expect("that is what it tells"))? {
            "Remove(Expired)" => return Some(EndOf::Entry),
            "Remove(Deleted)" => return Some(EndOf::Hash),
            _ => {}
        }
        let (db, key) = place;
        let is_gone =
            |name: &&[u8]| describe(*db, key, &Effect::Elements(&[Element::Gone(name)])) == record;
        let name = self.model.field_names(*db, key).find(is_gone);
        Some(EndOf::Field(name.expect("nothing but expiries").to_vec()))
    }

    fn compare(&mut self) {
        self.shard.check();
        for db in (0..3).map(DbIndex) {
            let mut seen = BTreeMap::new();
            self.shard.for_each(db, &mut |entry| {
                let twice = seen.insert(entry.key().to_vec(), Entry::of(&entry));
                assert_eq!(twice, None);
            });
            assert!(seen == self.model.live(db), "the same live entries");
            assert_eq!(self.shard.len(db), self.model.len(db));
            assert_eq!(self.shard.volatile_len(db), self.model.volatile_len(db));
            let mut scanned = BTreeSet::new();
            let mut cursor = ScanCursor(0);
            loop {
                cursor = self.shard.scan(db, cursor, 3, &mut |entry| {
                    assert!(
                        scanned.insert(entry.key().to_vec()),
                        "an entry that stays is met once"
                    );
                });
                if cursor == ScanCursor(0) {
                    break;
                }
            }
            assert!(scanned.iter().eq(seen.keys()));
        }
        assert!(*self.log.borrow() == self.model.log, "the same records");
        let notes = self.shard.journal().take_notes();
        let events = notes.iter().filter_map(|note| match note.what {
            Noted::Event(event) => Some((note.db, note.key.to_vec(), event)),
            Noted::Changed(_) | Noted::Database => None,
        });
        let mut events: Vec<_> = events.collect();
        // Fields of a hash end in several looks at it, of which the records say nothing.
        events.dedup_by(|event, before| event.2 == Event::HExpired && event == before);
        assert!(
            events == std::mem::take(&mut self.model.events),
            "the same events"
        );
    }
}

#[test]
fn a_cycle_meets_no_entry_twice_though_one_passed_before_became_due_since() {
    let content = || Content(0, 0);
    let mut pair = Pair::new();
    for op in [
        Op::Set(1, 0, content(), Ttl::In(0)),
        Op::Wait(0),
        Op::Set(1, 22, content(), Ttl::Clear),
        Op::Set(1, 181, content(), Ttl::In(0)),
        Op::Set(1, 22, content(), Ttl::In(1)),
        Op::Set(1, 14, content(), Ttl::Clear),
        Op::Set(1, 41, content(), Ttl::Clear),
        Op::WriteRange(1, 15, 0, content()),
        Op::Expire(1),
        Op::Wait(3),
        Op::Expire(18),
    ] {
        pair.apply(&op);
        pair.compare();
    }
}

proptest! {
    #![proptest_config(cases(100, 2))]

    #[test]
    fn the_shard_does_what_the_model_does(alike in alike(), ops in prop::collection::vec(op(), 1..120)) {
        let mut pair = Pair::with(alike);
        for ops in ops.chunks(3) {
            bring_near(&mut pair.shard, ops);
            for op in ops {
                pair.apply(op);
                pair.compare();
            }
        }
    }
}

#[test]
fn a_table_grows_and_shrinks_and_stays_whole() {
    let mut shard = shard();
    let count = if cfg!(miri) { 600 } else { 20_000 };
    for n in 0..count {
        put(&mut shard, &number(n), &n.to_le_bytes(), TtlChange::Clear);
        if n % 997 == 0 {
            shard.check();
        }
    }
    shard.check();
    for n in 0..count {
        assert_eq!(read(&mut shard, &number(n)), Some(n.to_le_bytes().to_vec()));
    }
    let full = shard.memory();
    for n in 0..count {
        assert!(take(&mut shard, &number(n)));
        if n % 997 == 0 {
            shard.check();
        }
    }
    shard.check();
    let empty = shard.memory();
    assert_eq!((shard.bytes_beside_nodes(), empty.payload_bytes), (0, 0));
    assert!(
        empty.entry_bytes < 256 && full.entry_bytes > 320_000,
        "{empty:?} after {full:?}"
    );
}

#[test]
fn churn_at_a_constant_size_does_not_grow_the_table() {
    let mut shard = shard();
    let live = 5_000;
    fill(&mut shard, live, TtlChange::Clear);
    let before = shard.memory().table_bytes;
    for n in 0..live * 10 {
        assert!(take(&mut shard, &number(n)));
        put(&mut shard, &number(n + live), b"v", TtlChange::Clear);
    }
    shard.check();
    assert!(shard.memory().table_bytes <= before * 5 / 4);
}

#[test]
fn an_empty_shard_is_small() {
    let shard = Shard::new(&ShardOptions {
        databases: 16,
        memory_ceiling_bytes: 16 << 30,
        hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
    })
    .expect("address space");
    let memory = shard.memory();
    assert!(
        memory.used_bytes() + memory.arena_bytes < 16 << 10,
        "{memory:?}"
    );
}

#[test]
fn the_sums_are_exact() {
    let mut shard = shard();
    put(&mut shard, &[b'k'; 16], &[b'v'; 64], TtlChange::Clear);
    let usage = |shard: &mut Shard| {
        let key = shard.hasher().clone().key(&[b'k'; 16]);
        let entry = shard.get(DB, key, Access::Peek);
        entry.expect("it is there").memory_bytes()
    };
    let one = shard.memory();
    assert_eq!((shard.bytes_beside_nodes(), one.payload_bytes), (0, 80));
    assert_eq!(usage(&mut shard), 80 + 4 + 1, "a head and a tag");
    put(
        &mut shard,
        &[b'k'; 16],
        &[b'v'; 64],
        TtlChange::At(UnixMillis(9)),
    );
    assert_eq!(usage(&mut shard), 80 + 4 + 1 + 6);
    put(&mut shard, b"big", &vec![b'v'; 100_000], TtlChange::Clear);
    assert_eq!(shard.memory().payload_bytes, 80 + 3 + 100_000);
    assert_eq!(shard.bytes_beside_nodes(), 25 * 4096 + 16);
    take(&mut shard, b"big");
    assert_eq!(
        (shard.bytes_beside_nodes(), shard.memory().payload_bytes),
        (0, 80)
    );
}

#[test]
fn a_value_of_similar_size_is_written_in_place() {
    let mut shard = shard();
    put(&mut shard, b"key", &[b'a'; 640], TtlChange::Clear);
    let hash = shard.hasher().hash(b"key");
    let item = |shard: &Shard| shard.item_at(DB, Key::new(b"key", hash));
    let before = item(&shard);
    put(&mut shard, b"key", &[b'b'; 600], TtlChange::Clear);
    assert_eq!(item(&shard), before);
    put(&mut shard, b"key", &[b'c'; 660], TtlChange::Clear);
    assert_eq!(read(&mut shard, b"key"), Some(vec![b'c'; 660]));
    put(&mut shard, b"key", b"d", TtlChange::Clear);
    assert_ne!(
        item(&shard),
        before,
        "a block is not kept for a value of a fraction of its size"
    );
    shard.check();
}

#[test]
fn appending_to_a_string_copies_it_seldom() {
    let mut shard = shard();
    let key = shard.hasher().clone().key(b"log");
    let (mut moves, mut last) = (0, None);
    for n in 1..=30_000 {
        assert_eq!(
            shard.write_range(DB, key, n - 1, b"x", Event::Append),
            Ok(n)
        );
        let item = shard.item_at(DB, key);
        moves += u32::from(item != last);
        last = item;
    }
    assert!(moves < 60, "{moves} moves");
    shard.check();
}

#[test]
fn random_is_close_to_uniform_and_skips_the_dead() {
    let mut shard = shard();
    let count = 3000;
    for n in 0..count {
        let ttl = if n % 2 == 0 {
            TtlChange::At(UnixMillis(10))
        } else {
            TtlChange::Clear
        };
        put(&mut shard, &number(n), b"v", ttl);
    }
    shard.set_now(UnixMillis(10));
    let mut drawn = BTreeMap::new();
    for n in 0..75_000u64 {
        let entry = shard
            .random(DB, n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .expect("half live");
        *drawn.entry(entry.key().to_vec()).or_insert(0u32) += 1;
    }
    assert_eq!(drawn.len(), 1500, "everything live is drawn");
    let most = drawn.values().copied().max();
    assert!(most < Some(150), "fifty times on average, {most:?} at most");
    shard.check();
}

#[test]
fn random_finds_the_one_live_entry_among_many_dead() {
    let mut shard = shard();
    fill(&mut shard, 5000, TtlChange::At(UnixMillis(10)));
    put(&mut shard, b"alive", b"v", TtlChange::Clear);
    shard.set_now(UnixMillis(10));
    assert_eq!(
        shard.random(DB, 7).map(|entry| entry.key().to_vec()),
        Some(b"alive".to_vec())
    );
    shard.check();
}

#[test]
fn a_large_value_moves_without_being_copied() {
    let mut shard = shard();
    let value = vec![b'x'; 1 << 20];
    put(&mut shard, b"from", &value, TtlChange::At(UnixMillis(99)));
    let address = |shard: &mut Shard, key: &[u8]| {
        let key = shard.hasher().clone().key(key);
        shard
            .get(DB, key, Access::Peek)
            .and_then(|e| e.string())
            .map(<[u8]>::as_ptr)
    };
    let before = address(&mut shard, b"from");
    let hasher = shard.hasher().clone();
    let moved = shard.relocate(
        (DB, hasher.key(b"from")),
        (DB, hasher.key(b"to, a longer name")),
        (Event::RenameFrom, Event::RenameTo),
    );
    assert_eq!(moved, Ok(true));
    assert_eq!(address(&mut shard, b"to, a longer name"), before);
    assert_eq!(address(&mut shard, b"from"), None);
    shard.check();
}

#[test]
fn the_access_clock_is_that_before_the_lookup_and_is_touched_or_not() {
    let mut shard = shard();
    shard.set_now(UnixMillis(5_000));
    put(&mut shard, b"key", b"v", TtlChange::Clear);
    shard.set_now(UnixMillis(9_000));
    let key = shard.hasher().clone().key(b"key");
    let mut access = |how| shard.get(DB, key, how).map(|entry| entry.access().0);
    assert_eq!(access(Access::Peek), Some(5));
    assert_eq!(access(Access::Touch), Some(5));
    assert_eq!(access(Access::Peek), Some(9));
    shard.set_access(DB, key, AccessClock(3));
    assert_eq!(
        shard
            .get(DB, key, Access::Peek)
            .map(|entry| entry.access().0),
        Some(3)
    );
}

#[test]
fn what_is_too_large_is_refused_and_changes_nothing() {
    let mut shard = shard();
    let key = shard.hasher().clone().key(b"key");
    let refused = shard.write_range(DB, key, usize::MAX, b"x", Event::SetRange);
    assert_eq!(refused, Err(StoreError::TooLarge));
    assert!(shard.is_empty(DB));
    assert_eq!(shard.journal().changes(), 0);
}

#[test]
fn an_entry_handed_over_leaves_without_an_event_even_past_its_deadline() {
    let mut shard = shard();
    let (db, hasher) = (DbIndex(0), shard.hasher().clone());
    shard.set_now(UnixMillis(1000));
    for (key, ttl) in [
        ("stays", TtlChange::Clear),
        ("due", TtlChange::At(UnixMillis(1500))),
    ] {
        let key = hasher.key(key.as_bytes());
        shard
            .set(db, key, b"v", StringForm::Detect, ttl, Event::Set)
            .expect("memory");
    }
    shard.watch(1, db, hasher.key(b"stays"));
    shard.watch(2, db, hasher.key(b"absent"));
    let log: Rc<RefCell<Vec<bool>>> = Rc::default();
    let sink = Rc::clone(&log);
    let subscriber = shard.journal().subscribe(Box::new(move |record| {
        sink.borrow_mut()
            .push(record.effect == Effect::Remove(Removal::HandedOver));
    }));
    shard.journal().keep_notes(Kept {
        changes: false,
        events: true,
    });
    shard.set_now(UnixMillis(2000));
    for (key, is_there) in [("stays", true), ("due", true), ("absent", false)] {
        assert_eq!(
            shard.hand_over(db, hasher.key(key.as_bytes())),
            is_there,
            "{key}"
        );
    }
    assert!(shard.is_empty(db));
    assert_eq!(shard.expired_total(), 0);
    assert_eq!(*log.borrow(), [true, true]);
    assert!(!shard.journal().has_notes());
    assert!(shard.journal().unsubscribe(subscriber));
    assert!(!shard.watch_holds(1) && shard.watch_holds(2));
    shard.watches().spoil_keys(|key| key == b"absent");
    assert!(!shard.watch_holds(2));
    let key = hasher.key(b"k");
    shard
        .set(
            db,
            key,
            b"v",
            StringForm::Detect,
            TtlChange::Clear,
            Event::Set,
        )
        .expect("memory");
    assert_eq!(log.borrow().len(), 2, "the subscriber has gone");
    shard.check();
}
