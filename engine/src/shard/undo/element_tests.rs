//! Changes of elements of large collections are taken back, whatever becomes of the collections in between.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::key;
use crate::item::Variant;
use crate::journal::Element;
use crate::list::End;
use crate::memory::item_of;
use crate::nodes::{Heap, Owner};
use crate::shard::tests::{cases, shard, tend_to_the_end};
use crate::spiral::{ElementRef, Spiral};
use crate::{DbIndex, Event, Kind, Shard, StringForm, TtlChange, UnixMillis};

pub(super) const DB: DbIndex = DbIndex(0);
/// Hashes and lists by turns; the last two have keys in extents.
const KEYS: [&[u8]; 6] = [
    b"fields",
    b"elements",
    b"other fields",
    b"other elements",
    &[b'f'; 20_000],
    &[b'e'; 20_000],
];

/// A change of a hash or a list, or of its key.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Set(usize, u8, usize, Option<i64>),
    Drop(usize, u8),
    Push(usize, End, usize, usize),
    Pop(usize, End, usize),
    Insert(usize, u32, usize),
    Replace(usize, u32, usize),
    Cut(usize, u32, u32),
    /// The collection says something else of itself.
    Vary(usize),
    Remove(usize),
    /// It comes to another key of its kind, of this database or the other.
    Rename(usize, usize, DbIndex),
    Write(usize),
    Deadline(usize, Option<i64>),
    Flush,
    Swap,
    Tend,
}

fn act() -> impl Strategy<Value = Act> {
    let hash = prop_oneof![2 => Just(0), 1 => Just(2), 2 => Just(4)];
    let list = prop_oneof![2 => Just(1), 1 => Just(3), 2 => Just(5)];
    let any_key = prop_oneof![hash.clone(), list.clone()];
    let end = prop_oneof![Just(End::Head), Just(End::Tail)];
    let len = prop_oneof![20 => 0usize..40, 2 => 200usize..1500, 1 => 30_000usize..40_000];
    let deadline = prop::option::of(1_000_000i64..2_000_000);
    prop_oneof![
        10 => (hash.clone(), 0u8..60, len.clone(), deadline.clone()).prop_map(|(k, n, l, d)| Act::Set(k, n, l, d)),
        5 => (hash, 0u8..60).prop_map(|(k, n)| Act::Drop(k, n)),
        6 => (list.clone(), end.clone(), len.clone(), 1usize..300).prop_map(|(k, e, l, n)| Act::Push(k, e, l, n)),
        4 => (list.clone(), end, 1usize..400).prop_map(|(k, e, n)| Act::Pop(k, e, n)),
        3 => (list.clone(), any::<u32>(), len.clone()).prop_map(|(k, i, l)| Act::Insert(k, i, l)),
        3 => (list.clone(), any::<u32>(), len).prop_map(|(k, i, l)| Act::Replace(k, i, l)),
        4 => (list, any::<u32>(), 0u32..600).prop_map(|(k, i, n)| Act::Cut(k, i, n)),
        1 => any_key.clone().prop_map(Act::Vary),
        1 => any_key.clone().prop_map(Act::Remove),
        4 => (any_key.clone(), 0usize..3, 0u16..2).prop_map(|(k, to, db)| Act::Rename(k, (k + 2 * to) % 6, DbIndex(db))),
        1 => any_key.clone().prop_map(Act::Write),
        1 => (any_key, deadline).prop_map(|(k, d)| Act::Deadline(k, d)),
        1 => Just(Act::Flush),
        1 => Just(Act::Swap),
        1 => Just(Act::Tend),
    ]
}

fn name(n: u8) -> Vec<u8> {
    // Some are longer than lie in a node, and than in a block.
    let len = match n % 20 {
        19 => 33_000,
        18 => 200,
        _ => 3,
    };
    let mut name = vec![b'n'; len];
    name[0] = n;
    name
}

fn value(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at + seed) as u8).collect()
}

fn is_hash(at: usize) -> bool {
    at.is_multiple_of(2)
}

pub(super) fn collection(shard: &mut Shard, at: usize) -> Option<Owner> {
    let item = shard.item_at(DB, key(KEYS[at]))?;
    shard.memory.collection_of(item)
}

pub(super) fn make(shard: &mut Shard, at: usize) {
    if shard.is_told_before {
        shard.before_new(DB, key(KEYS[at]));
    }
    let kind = if is_hash(at) { Kind::Hash } else { Kind::List };
    let made =
        shard
            .memory
            .create_collection(KEYS[at], (kind, Variant::default()), shard.clock, None);
    shard.attach_anyway(DB, key(KEYS[at]).hash(), made.expect("memory"));
}

fn put_element(shard: &mut Shard, at: usize, hash: Owner, element: ElementRef<'_>) {
    let hasher = shard.hasher().clone();
    let put = |spiral: &mut Spiral, heap: &mut Heap| {
        spiral.put(heap, &|name: &[u8]| hasher.hash(name), element)
    };
    change_hash(shard, at, hash, put).expect("memory");
}

fn remove_element(shard: &mut Shard, at: usize, hash: Owner, name: &[u8]) -> bool {
    let hasher = shard.hasher().clone();
    change_hash(shard, at, hash, |spiral, heap| {
        spiral.remove(heap, &|name: &[u8]| hasher.hash(name), name)
    })
}

/// Changes a hash as a command does that ends then.
fn change_hash<T>(
    shard: &mut Shard,
    at: usize,
    hash: Owner,
    change: impl FnOnce(&mut Spiral, &mut Heap) -> T,
) -> T {
    let item = shard.item_at(DB, key(KEYS[at]));
    let item = item.expect("it is there");
    let was = shard.memory.times(item);
    let done = shard.memory.change_spiral(hash, change);
    let is = shard.memory.times(item);
    shard.times_changed(DB, key(KEYS[at]).hash(), item, (was, is));
    done
}

fn has_element(shard: &Shard, hash: Owner, name: &[u8]) -> bool {
    let (spiral, heap) = shard.memory.spiral(hash);
    spiral.get(heap, shard.hasher().hash(name), name).is_some()
}

/// Announces a change of a collection that is there.
fn announce(shard: &mut Shard, at: usize, element: &Element<'_>) {
    let kind = if is_hash(at) { Kind::Hash } else { Kind::List };
    let opened = shard.open(DB, key(KEYS[at]), kind).ok();
    opened.expect("it is of this kind").before(element);
}

fn is_of_kind(shard: &mut Shard, at: usize) -> bool {
    let found = shard.get(DB, key(KEYS[at]), crate::Access::Peek);
    found.is_none_or(|entry| entry.kind() != Kind::String)
}

fn list_len(shard: &Shard, list: Owner) -> u32 {
    shard.memory.list(list).0.len()
}

/// Changes an element of a collection that may have to be made.
pub(super) fn change(shard: &mut Shard, at: usize, act: &Act, seed: usize) {
    if !is_of_kind(shard, at) {
        return;
    }
    if collection(shard, at).is_none() {
        make(shard, at);
    }
    let of = collection(shard, at).expect("it is there now");
    let len = if is_hash(at) { 0 } else { list_len(shard, of) };
    match *act {
        Act::Set(_, n, len, deadline) => {
            let (name, value) = (name(n), value(len, seed));
            let field = Element::Field {
                field: &name,
                value: &value,
                expires_at: deadline.map(UnixMillis),
            };
            announce(shard, at, &field);
            let element = ElementRef {
                name: &name,
                value: &value,
                deadline: deadline.map(UnixMillis),
            };
            put_element(shard, at, of, element);
        }
        Act::Drop(_, n) => {
            let name = name(n);
            if has_element(shard, of, &name) {
                announce(shard, at, &Element::Gone(&name));
                remove_element(shard, at, of, &name);
            }
        }
        Act::Push(_, end, len, times) => {
            let times = if len > 1000 { 2 } else { times };
            for n in 0..times {
                let value = value(len, seed + n);
                announce(shard, at, &Element::Push { end, value: &value });
                let pushed = shard
                    .memory
                    .change_list(of, |list, heap| list.push(heap, end, &value));
                pushed.expect("memory");
            }
        }
        Act::Pop(_, end, times) => {
            for _ in 0..times.min(len as usize) {
                announce(shard, at, &Element::Pop(end));
                let popped = shard
                    .memory
                    .change_list(of, |list, heap| list.pop(heap, end, |_| ()));
                assert!(popped.is_some());
            }
        }
        Act::Insert(_, index, bytes) => {
            let (index, value) = (index % (len + 1), value(bytes, seed));
            announce(
                shard,
                at,
                &Element::Insert {
                    index,
                    value: &value,
                },
            );
            let inserted = shard
                .memory
                .change_list(of, |list, heap| list.insert(heap, index, &value));
            inserted.expect("memory");
        }
        Act::Replace(_, index, bytes) if len > 0 => {
            let (index, value) = (index % len, value(bytes, seed));
            announce(
                shard,
                at,
                &Element::Replace {
                    index,
                    value: &value,
                },
            );
            let replaced = shard
                .memory
                .change_list(of, |list, heap| list.replace(heap, index, &value));
            replaced.expect("memory");
        }
        Act::Cut(_, index, count) if len > 0 => {
            // At an end as often as not.
            let index = if index % 2 == 0 { 0 } else { index % len };
            let index = if index % 3 == 1 {
                len.saturating_sub(count)
            } else {
                index
            };
            let count = count.min(len - index);
            announce(shard, at, &Element::Cut { index, count });
            shard
                .memory
                .change_list(of, |list, heap| list.remove(heap, index..index + count));
        }
        Act::Vary(_) => {
            announce(
                shard,
                at,
                &match is_hash(at) {
                    true => Element::Gone(b"none"),
                    false => Element::Cut { index: 0, count: 0 },
                },
            );
            shard
                .memory
                .set_variant(of, Variant::default().with_deadlines());
        }
        _ => {}
    }
}

pub(super) fn run(shard: &mut Shard, act: &Act, seed: usize) {
    let other = DbIndex(1);
    match *act {
        Act::Set(at, ..)
        | Act::Drop(at, ..)
        | Act::Push(at, ..)
        | Act::Pop(at, ..)
        | Act::Insert(at, ..)
        | Act::Replace(at, ..)
        | Act::Cut(at, ..)
        | Act::Vary(at) => change(shard, at, act, seed),
        Act::Remove(at) => drop(shard.remove(DB, key(KEYS[at]), Event::Del)),
        Act::Rename(at, to, db) => {
            let (from, to) = ((DB, key(KEYS[at])), (db, key(KEYS[to])));
            let events = (Event::RenameFrom, Event::RenameTo);
            shard.relocate(from, to, events).expect("memory");
        }
        Act::Write(at) => {
            let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
            let written = shard.set(DB, key(KEYS[at]), b"string", form, ttl, Event::Set);
            written.expect("memory");
        }
        Act::Deadline(at, deadline) => {
            let deadline = deadline.map(UnixMillis);
            let set = shard.set_deadline(DB, key(KEYS[at]), deadline, Event::Expire);
            set.expect("memory");
        }
        Act::Flush => drop(shard.flush(DB)),
        Act::Swap => shard.swap(DB, other),
        Act::Tend => drop(shard.tend(300)),
    }
}

/// All there is of an entry.
#[derive(Debug, PartialEq)]
pub(super) struct Whole {
    kind: Kind,
    variant: Option<Variant>,
    deadline: Option<UnixMillis>,
    /// In the order of a list, by the name of a field.
    elements: Vec<(Vec<u8>, Vec<u8>, Option<UnixMillis>)>,
}

pub(super) fn contents(shard: &Shard) -> Vec<BTreeMap<Vec<u8>, Whole>> {
    let databases = (0..shard.databases()).map(DbIndex);
    databases
        .map(|db| {
            let mut all = Vec::new();
            let keyspace = shard.keyspace(db);
            keyspace.for_each(&shard.memory, |entry| all.push(entry));
            let whole = |entry| {
                let item = item_of(entry);
                let view = shard.memory.view(entry);
                let collection = item.filter(|_| view.kind() != Kind::String);
                let string = || vec![(view.value().to_vec(), Vec::new(), None)];
                let whole = Whole {
                    kind: view.kind(),
                    variant: collection.map(|item| shard.memory.variant(item)),
                    deadline: view.expires_at(),
                    elements: item.map_or_else(string, |item| elements(shard, item)),
                };
                (view.key().to_vec(), whole)
            };
            all.into_iter().map(whole).collect()
        })
        .collect()
}

fn elements(shard: &Shard, item: crate::raw::Block) -> Vec<(Vec<u8>, Vec<u8>, Option<UnixMillis>)> {
    let entry = shard.memory.entry(item);
    let mut elements = Vec::new();
    match (shard.memory.collection_of(item), entry.kind()) {
        (Some(list), Kind::List) => {
            let (list, heap) = shard.memory.list(list);
            list.range(heap, 0..list.len(), |element| {
                elements.push((element.to_vec(), Vec::new(), None));
            });
        }
        (Some(hash), _) => {
            let (spiral, heap) = shard.memory.spiral(hash);
            spiral.for_each(heap, |field| {
                elements.push((field.name.to_vec(), field.value.to_vec(), field.deadline));
            });
            elements.sort();
        }
        (None, _) => elements.push((entry.value().to_vec(), Vec::new(), None)),
    }
    elements
}

proptest! {
    #![proptest_config(cases(100, 2))]

    #[test]
    fn what_was_done_to_elements_is_taken_back(
        before in prop::collection::vec(act(), 1..40),
        within in prop::collection::vec(act(), 1..40),
        is_laid_aside: bool,
    ) {
        let mut shard = shard();
        for (seed, act) in before.iter().enumerate() {
            run(&mut shard, act, seed);
        }
        tend_to_the_end(&mut shard);
        let was = contents(&shard);
        let (payload, lens) = (shard.memory().payload_bytes, [0, 1].map(|db| shard.len(DbIndex(db))));
        shard.begin_undo();
        for (seed, act) in within.iter().enumerate() {
            run(&mut shard, act, 1000 + seed);
            if is_laid_aside && seed % 5 == 0 {
                let undo = shard.lay_undo_aside();
                shard.tend(100);
                shard.take_up_undo(undo);
            }
        }
        shard.check();
        shard.undo();
        shard.check();
        prop_assert!(contents(&shard) == was, "all is what it was");
        tend_to_the_end(&mut shard);
        shard.check();
        prop_assert!(contents(&shard) == was, "all is what it was");
        prop_assert_eq!((shard.memory().payload_bytes, [0, 1].map(|db| shard.len(DbIndex(db)))), (payload, lens));
    }
}

/// Each of two collections held most of the memory at some time, one after the other.
#[test]
#[cfg_attr(miri, ignore = "many elements")]
fn what_large_collections_became_gives_its_memory_back() {
    for kind in [0, 1] {
        let mut shard = shard();
        let (first, second) = (kind, kind + 2);
        let fill = |shard: &mut Shard, at: usize, range: std::ops::Range<u32>| {
            for n in range {
                let (name, value) = (n.to_le_bytes(), vec![n as u8; 700]);
                if is_hash(at) {
                    set_field(shard, at, &name, &value);
                } else {
                    change(shard, at, &Act::Push(at, End::Tail, 700, 1), n as usize);
                }
            }
        };
        let empty = |shard: &mut Shard, at: usize, range: std::ops::Range<u32>| {
            for n in range {
                if is_hash(at) {
                    let of = collection(shard, at).expect("it is there");
                    announce(shard, at, &Element::Gone(&n.to_le_bytes()));
                    assert!(remove_element(shard, at, of, &n.to_le_bytes()));
                } else {
                    change(shard, at, &Act::Pop(at, End::Tail, 1), 0);
                }
            }
        };
        fill(&mut shard, first, 0..9000);
        fill(&mut shard, second, 0..500);
        let (was, held) = (contents(&shard), shard.memory().arena_bytes);
        shard.begin_undo();
        empty(&mut shard, first, 10..9000);
        fill(&mut shard, second, 500..9000);
        empty(&mut shard, second, 10..9000);
        fill(&mut shard, first, 10..9000);
        empty(&mut shard, first, 10..9000);
        shard.undo();
        tend_to_the_end(&mut shard);
        shard.check();
        assert!(contents(&shard) == was);
        let is_held = shard.memory().arena_bytes;
        assert!(is_held < held * 5 / 4 + (2 << 20), "{is_held} after {held}");
    }
}

pub(super) fn set_field(shard: &mut Shard, at: usize, name: &[u8], value: &[u8]) {
    if collection(shard, at).is_none() {
        make(shard, at);
    }
    let of = collection(shard, at).expect("it is there now");
    let field = Element::Field {
        field: name,
        value,
        expires_at: None,
    };
    announce(shard, at, &field);
    let element = ElementRef {
        name,
        value,
        deadline: None,
    };
    put_element(shard, at, of, element);
}

#[test]
fn what_says_enough_already_takes_no_room_in_the_log() {
    let mut shard = shard();
    shard.begin_undo();
    shard.end_undo();
    for at in [0, 1] {
        make(&mut shard, at);
    }
    set_field(&mut shard, 0, b"counter", b"0");
    change(&mut shard, 1, &Act::Push(1, End::Tail, 10, 100), 0);
    let was = contents(&shard);
    shard.begin_undo();
    for n in 0..20_000u32 {
        set_field(&mut shard, 0, b"counter", &n.to_le_bytes());
    }
    for end in [End::Tail, End::Head] {
        for n in 0..100 {
            change(&mut shard, 1, &Act::Push(1, end, 20, 200), n);
        }
    }
    assert!(shard.undo_bytes() < 2000, "{}", shard.undo_bytes());
    // Of elements that go, little more than them.
    let before = shard.undo_bytes();
    for end in [End::Head, End::Tail] {
        change(&mut shard, 1, &Act::Pop(1, end, 10_000), 0);
    }
    let elements = 20_000 * (20 + 4);
    let room = shard.undo_bytes() - before;
    assert!((elements..elements * 5 / 2).contains(&room), "{room}");
    shard.undo();
    shard.check();
    assert!(contents(&shard) == was);
}

/// A change that fails for want of memory was announced.
#[test]
fn a_change_announced_in_vain_is_taken_back_as_well() {
    let mut shard = shard();
    for at in [0, 1] {
        make(&mut shard, at);
    }
    set_field(&mut shard, 0, b"a", b"1");
    change(&mut shard, 1, &Act::Push(1, End::Tail, 10, 5), 0);
    let was = contents(&shard);
    for round in 0..2 {
        shard.begin_undo();
        for element in [
            Element::Push {
                end: End::Head,
                value: b"x",
            },
            Element::Push {
                end: End::Tail,
                value: b"x",
            },
            Element::Insert {
                index: 2,
                value: b"x",
            },
            Element::Replace {
                index: 1,
                value: b"x",
            },
        ] {
            announce(&mut shard, 1, &element);
            if round == 1 {
                change(&mut shard, 1, &Act::Push(1, End::Head, 3, 1), 0);
            }
        }
        let field = Element::Field {
            field: b"a",
            value: b"2",
            expires_at: Some(UnixMillis(1)),
        };
        announce(&mut shard, 0, &field);
        shard.undo();
        assert!(contents(&shard) == was, "{round}");
    }
}

fn list_at(shard: &mut Shard, at: usize, change: impl FnOnce(&mut crate::ListMut<'_>)) {
    let mut list = shard.list_mut(DB, key(KEYS[at])).expect("it is a list");
    change(&mut list);
    list.close(&[Event::LPush]);
}

/// A list that has become small while the log was open is not packed: the log names it by its number.
#[test]
fn a_list_that_becomes_small_and_large_again_is_taken_back() {
    let mut shard = shard();
    let push = |list: &mut crate::ListMut<'_>| {
        for n in 0..4000u32 {
            list.push(End::Tail, &n.to_le_bytes()).expect("memory");
        }
    };
    list_at(&mut shard, 1, push);
    let was = contents(&shard);
    for stands in [false, true] {
        shard.begin_undo();
        list_at(&mut shard, 1, |list| list.remove(3..4000));
        list_at(&mut shard, 1, |list| list.remove(1..2));
        list_at(&mut shard, 1, push);
        list_at(&mut shard, 1, |list| list.remove(1..4001));
        shard.check();
        if stands {
            shard.end_undo();
            break;
        }
        shard.undo();
        tend_to_the_end(&mut shard);
        shard.check();
        assert!(contents(&shard) == was);
    }
    // The next command that makes it smaller packs it.
    assert!(collection(&mut shard, 1).is_some());
    list_at(&mut shard, 1, |list| {
        let popped = list.pop(End::Tail, <[u8]>::to_vec);
        assert_eq!(popped, Some(3999u32.to_le_bytes().to_vec()));
        list.push(End::Tail, b"x").expect("memory");
    });
    assert!(collection(&mut shard, 1).is_none());
    shard.check();
}

/// Elements that are taken out in one step are told of one after the other before.
#[test]
fn elements_that_are_equal_are_put_back_where_they_were() {
    for count in [30, 3000] {
        let mut shard = shard();
        list_at(&mut shard, 1, |list| {
            for n in 0..count {
                let value: &[u8] = if n % 3 < 2 { b"same" } else { b"other" };
                list.push(End::Tail, value).expect("memory");
                list.push(End::Head, &[n as u8]).expect("memory");
            }
        });
        let was = elements_at(&mut shard, 1);
        for from in [End::Head, End::Tail] {
            for most in [1, 7, u32::MAX] {
                shard.begin_undo();
                list_at(&mut shard, 1, |list| {
                    assert!(list.remove_equal(b"same", most, from) > 0);
                    list.push(End::Head, b"same").expect("memory");
                    list.remove_equal(b"same", most, from);
                });
                shard.undo();
                shard.check();
                assert!(elements_at(&mut shard, 1) == was);
            }
        }
    }
}

fn elements_at(shard: &mut Shard, at: usize) -> Vec<Vec<u8>> {
    let entry = shard.get(DB, key(KEYS[at]), crate::Access::Peek);
    let mut elements = Vec::new();
    let mut show = |element: &[u8]| elements.push(element.to_vec());
    entry.expect("it is there").each_element(&mut show);
    elements
}

/// What comes to one place of a list shares a record; what comes beside it does not.
#[test]
fn elements_that_come_beside_each_other_go_again() {
    let mut shard = shard();
    make(&mut shard, 1);
    change(&mut shard, 1, &Act::Push(1, End::Tail, 3, 4), 0);
    let was = contents(&shard);
    for first in 0..=4 {
        for second in 0..=5 {
            for third in 0..=6 {
                shard.begin_undo();
                for index in [first, second, third] {
                    change(&mut shard, 1, &Act::Insert(1, index, 3), index as usize);
                }
                shard.undo();
                assert!(contents(&shard) == was, "{first} {second} {third}");
            }
        }
    }
}

/// Keys that come back divide nodes in which hashes lie that changed in place: their times are what they were.
#[test]
fn the_times_of_a_hash_are_right_before_others_come_back_beside_it() {
    let fields: Vec<Vec<u8>> = (0..2000)
        .map(|n| format!("field {n}").into_bytes())
        .collect();
    for had_deadline in [false, true] {
        let mut shard = shard();
        let hash = key(b"hash");
        let strings: Vec<_> = (0..1000)
            .map(|n| key(format!("{n}").leak().as_bytes()))
            .collect();
        let mut opened = shard.hash_mut(DB, hash).expect("nothing is there");
        for field in &fields {
            opened
                .set(field, b"value", TtlChange::Clear)
                .expect("memory");
        }
        let deadline = had_deadline.then_some(UnixMillis(1_000_000));
        opened.set_deadline(&fields[1], deadline).expect("memory");
        opened.close(&[]);
        for &string in &strings {
            let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
            shard
                .set(DB, string, b"v", form, ttl, Event::Set)
                .expect("memory");
        }
        shard.begin_undo();
        for &string in &strings {
            assert!(shard.remove(DB, string, Event::Del));
        }
        let mut opened = shard.hash_mut(DB, hash).expect("a hash");
        let other = (!had_deadline).then_some(UnixMillis(2_000_000));
        opened.set_deadline(&fields[1], other).expect("memory");
        opened.close(&[]);
        shard.undo();
        shard.check();
        let read = shard.hash(DB, hash, crate::Access::Peek).expect("a hash");
        let field = read.expect("it is there").get(&fields[1]);
        assert_eq!(field.expect("it is there").expires_at, deadline);
        assert_eq!(shard.len(DB), 1001);
    }
}
