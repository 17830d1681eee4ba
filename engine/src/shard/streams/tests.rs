//! Streams through a shard: what is done is told and can be taken back, wherever the key goes, and what travels arrives.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use proptest::prelude::*;

use crate::journal::{Effect, Element, Record};
use crate::shard::PartFrom;
use crate::shard::tests::{cases, shard, tend_to_the_end};
use crate::stream::{Fields, GivenEntries, StreamChange, StreamId};
use crate::{
    Access, DbIndex, Event, Key, Kind, PrefixSet, Shard, StoreError, StringForm, TtlChange,
    UnixMillis,
};

const DB: DbIndex = DbIndex(0);
const KEYS: [&[u8]; 3] = [b"one", b"two", b"three"];

/// Something that is done to a key.
#[derive(Clone, Debug)]
enum Act {
    Change(usize, Change),
    Create(usize),
    Remove(usize),
    Rename(usize, usize),
    Write(usize),
    Deadline(usize),
    Flush,
    Tend,
}

/// A change of a stream.
#[derive(Clone, Debug)]
enum Change {
    Add(u64, usize),
    Remove(u64),
    Trim(u64),
    Group(u8),
    GroupGone(u8),
    Consumer(u8, u8),
    ConsumerGone(u8, u8),
    Pending(u8, u8, u64),
    Give(u8, u8, u64),
    Release(u8, u8, u64),
    Acknowledge(u8, u64),
    Produce(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let len = prop_oneof![20 => 0usize..40, 1 => 1500usize..2500, 1 => 40_000usize..50_000];
    let change = prop_oneof![
        10 => (1u64..4, len).prop_map(|(step, len)| Change::Add(step, len)),
        3 => (0u64..80).prop_map(Change::Remove),
        1 => (0u64..60).prop_map(Change::Trim),
        2 => (0u8..2).prop_map(Change::Group),
        1 => (0u8..2).prop_map(Change::GroupGone),
        2 => (0u8..2, 0u8..3).prop_map(|(g, c)| Change::Consumer(g, c)),
        1 => (0u8..2, 0u8..3).prop_map(|(g, c)| Change::ConsumerGone(g, c)),
        5 => (0u8..2, 0u8..3, 0u64..80).prop_map(|(g, c, n)| Change::Pending(g, c, n)),
        2 => (0u8..2, 0u8..3, 0u64..80).prop_map(|(g, c, n)| Change::Give(g, c, n)),
        1 => (0u8..2, 0u8..3, 0u64..80).prop_map(|(g, c, n)| Change::Release(g, c, n)),
        3 => (0u8..2, 0u64..80).prop_map(|(g, n)| Change::Acknowledge(g, n)),
        1 => (0u8..5).prop_map(Change::Produce),
    ];
    let key = 0usize..KEYS.len();
    prop_oneof![
        40 => (key.clone(), change).prop_map(|(k, change)| Act::Change(k, change)),
        1 => key.clone().prop_map(Act::Create),
        1 => key.clone().prop_map(Act::Remove),
        2 => (key.clone(), key.clone()).prop_map(|(k, to)| Act::Rename(k, to)),
        1 => key.clone().prop_map(Act::Write),
        1 => key.prop_map(Act::Deadline),
        1 => Just(Act::Flush),
        1 => Just(Act::Tend),
    ]
}

fn key(shard: &Shard, at: usize) -> Key<'static> {
    shard.hasher().clone().key(KEYS[at])
}

/// Makes a change; whether there was a stream for it.
fn make(shard: &mut Shard, at: usize, change: &Change) -> Result<bool, StoreError> {
    let key = key(shard, at);
    let Ok(mut stream) = shard.stream_mut(DB, key) else {
        return Ok(false);
    };
    let last = stream
        .as_ref()
        .map_or(0, |stream| stream.marks().last_id.ms);
    let (group, consumer) = (|g: u8| [b'g', g], |c: u8| [b'c', c]);
    let id = |n: u64| StreamId::new(n, 0);
    let mut fields = Vec::new();
    if let Change::Add(step, len) = change {
        Fields::write(b"name", &vec![b'v'; *len], &mut fields);
        let (id, fields) = (id(last + step), &fields[..]);
        let done = stream.change(&StreamChange::Added { id, fields });
        stream.close(1, &[Event::XAdd]);
        return done.map(|()| true);
    }
    if !stream.is_there() {
        stream.close(0, &[]);
        return Ok(false);
    }
    let done = match *change {
        Change::Add(..) => unreachable!("that is done"),
        Change::Remove(n) => stream.change(&StreamChange::Removed { id: id(n) }),
        Change::Trim(n) => stream.change(&StreamChange::Trimmed {
            first: StreamId::MIN,
            last: id(n),
        }),
        Change::Group(g) => stream.change(&StreamChange::Group {
            group: &group(g),
            last_id: id(last),
            entries_read: Some(last),
        }),
        Change::GroupGone(g) => stream.change(&StreamChange::GroupGone { group: &group(g) }),
        Change::Consumer(g, c) => stream.change(&StreamChange::Consumer {
            group: &group(g),
            consumer: &consumer(c),
            seen_at: UnixMillis(last as i64),
            active_at: None,
        }),
        Change::ConsumerGone(g, c) => stream.change(&StreamChange::ConsumerGone {
            group: &group(g),
            consumer: &consumer(c),
        }),
        Change::Pending(g, c, n) => stream.change(&StreamChange::Pending {
            group: &group(g),
            consumer: &consumer(c),
            id: id(n),
            delivered_at: UnixMillis(n as i64),
            deliveries: u64::from(c),
        }),
        Change::Give(g, c, n) => {
            let mut entries = GivenEntries::default();
            (n..n + 9).for_each(|n| entries.push(id(n), n % 3));
            stream.change(&StreamChange::Given {
                group: &group(g),
                consumer: &consumer(c),
                seen_at: UnixMillis(last as i64),
                is_active: n % 2 == 0,
                delivered_at: UnixMillis(7 * n as i64),
                last_id: id(n),
                entries_read: Some(n),
                entries: entries.bytes(),
            })
        }
        Change::Release(g, c, n) => stream.change(&StreamChange::Released {
            group: &group(g),
            consumer: &consumer(c),
            last: id(n),
        }),
        Change::Acknowledge(g, n) => stream.change(&StreamChange::Acknowledged {
            group: &group(g),
            id: id(n),
        }),
        Change::Produce(n) => stream.change(&StreamChange::Produced {
            producer: b"p",
            iid: &[n],
            id: id(last),
            is_oldest: false,
        }),
    };
    stream.close(0, &[]);
    done.map(|()| true)
}

fn act_on(shard: &mut Shard, act: &Act) {
    match *act {
        Act::Change(at, ref change) => {
            make(shard, at, change).expect("memory");
        }
        Act::Create(at) => {
            let key = key(shard, at);
            if let Ok(mut stream) = shard.stream_mut(DB, key) {
                if !stream.is_there() {
                    stream.create().expect("memory");
                }
                stream.close(0, &[]);
            }
        }
        Act::Remove(at) => {
            let key = key(shard, at);
            shard.remove(DB, key, Event::Del);
        }
        Act::Rename(at, to) => {
            let (from, to) = (key(shard, at), key(shard, to));
            if from.bytes() != to.bytes() && shard.get(DB, from, Access::Peek).is_some() {
                let events = (Event::RenameFrom, Event::RenameTo);
                let moved = shard.relocate((DB, from), (DB, to), events);
                assert_eq!(moved, Ok(true));
            }
        }
        Act::Write(at) => {
            let (key, how) = (key(shard, at), (StringForm::Detect, TtlChange::Clear));
            let written = shard.set(DB, key, b"a string", how.0, how.1, Event::Set);
            written.expect("memory");
        }
        Act::Deadline(at) => {
            let at = key(shard, at);
            if shard.get(DB, at, Access::Peek).is_some() {
                let deadline = Some(UnixMillis(1 << 40));
                shard
                    .set_deadline(DB, at, deadline, Event::Expire)
                    .expect("memory");
            }
        }
        Act::Flush => {
            shard.flush(DB);
        }
        Act::Tend => tend_to_the_end(shard),
    }
}

/// What a key holds: of a stream the changes that make it.
fn row(shard: &mut Shard, at: usize) -> Option<Vec<Vec<u8>>> {
    let key = key(shard, at);
    let entry = shard.get(DB, key, Access::Peek)?;
    let mut row = vec![entry.kind().name().as_bytes().to_vec()];
    row.push(format!("{:?}", entry.expires_at()).into_bytes());
    if let Some(stream) = entry.stream() {
        stream.each_change(&mut |change| {
            let mut bytes = Vec::new();
            change.write(&mut bytes);
            row.push(bytes);
        });
    }
    row[2..].sort();
    Some(row)
}

fn rows(shard: &mut Shard) -> Vec<Option<Vec<Vec<u8>>>> {
    (0..KEYS.len()).map(|at| row(shard, at)).collect()
}

proptest! {
    #![proptest_config(cases(120, 2))]

    #[test]
    fn what_is_done_to_streams_is_taken_back(
        before in prop::collection::vec(act(), 0..150),
        since in prop::collection::vec(act(), 1..60),
    ) {
        let mut shard = shard();
        let prefixes = PrefixSet::new([KEYS[0], &KEYS[1][..2]]);
        shard.set_quotas(&Arc::new(prefixes), &[false, false]);
        before.iter().for_each(|act| act_on(&mut shard, act));
        tend_to_the_end(&mut shard);
        let was = rows(&mut shard);
        shard.begin_undo();
        since.iter().for_each(|act| act_on(&mut shard, act));
        shard.check();
        shard.undo();
        shard.check();
        prop_assert_eq!(rows(&mut shard), was);
        tend_to_the_end(&mut shard);
        shard.check();
        shard.begin_undo();
        since.iter().for_each(|act| act_on(&mut shard, act));
        let is = rows(&mut shard);
        shard.end_undo();
        tend_to_the_end(&mut shard);
        shard.check();
        prop_assert_eq!(rows(&mut shard), is);
    }

    #[test]
    fn records_tell_all_that_is_done_to_a_stream(
        acts in prop::collection::vec(act(), 1..150),
    ) {
        let (mut shard, mut other) = (shard(), shard());
        let told: Rc<RefCell<Vec<u8>>> = Rc::default();
        let listener = Rc::clone(&told);
        shard.journal().subscribe(Box::new(move |record: &Record<'_>| {
            if let Effect::Elements(elements) = record.effect {
                for element in elements {
                    if let Element::Stream(change) = element {
                        change.write(&mut listener.borrow_mut());
                    }
                }
            }
        }));
        let changes = acts.iter().filter(|act| matches!(act, Act::Change(0, _)));
        changes.for_each(|act| act_on(&mut shard, act));
        let told = told.borrow();
        let id = other.begin_followed(Kind::Stream).expect("memory");
        let mut rest = &told[..];
        while !rest.is_empty() {
            let element = Element::Stream(StreamChange::read(&mut rest));
            other.follow(id, &element).expect("memory");
        }
        if let Some(is) = row(&mut shard, 0) {
            let place = key(&other, 0);
            let attributes = (None, crate::AccessClock(0));
            other.put_loose(DB, place, id, attributes, Event::Restore).expect("memory");
            prop_assert_eq!(row(&mut other, 0), Some(is));
        } else {
            other.drop_loose(id);
        }
        tend_to_the_end(&mut other);
        other.check();
    }

    #[test]
    fn a_stream_arrives_in_parts(
        acts in prop::collection::vec(act(), 1..150),
        most in 1usize..3000,
    ) {
        let (mut shard, mut other) = (shard(), shard());
        let changes = acts.iter().filter(|act| matches!(act, Act::Change(0, _)));
        changes.for_each(|act| act_on(&mut shard, act));
        let (from, to) = (key(&shard, 0), key(&other, 0));
        let Some(is) = row(&mut shard, 0) else {
            return Ok(());
        };
        let id = other.begin_loose(Kind::Stream, None);
        let mut next = Some(PartFrom::default());
        while let Some(place) = next {
            let (part, behind) = shard.part(DB, from, (place, most)).expect("it is there");
            other.add_part(id, &part.bytes).expect("memory");
            next = behind;
        }
        let attributes = (None, crate::AccessClock(0));
        other.put_loose(DB, to, id, attributes, Event::Restore).expect("memory");
        other.check();
        prop_assert_eq!(row(&mut other, 0), Some(is));
    }
}

#[test]
fn a_stream_stays_when_it_is_empty_and_takes_nothing_when_it_is_gone() {
    let mut shard = shard();
    let before = shard.memory().used_bytes();
    for _ in 0..300 {
        make(&mut shard, 0, &Change::Add(1, 1800)).expect("memory");
    }
    make(&mut shard, 0, &Change::Trim(1000)).expect("memory");
    let place = key(&shard, 0);
    let entry = shard.get(DB, place, Access::Peek);
    let entry = entry.expect("it stays");
    assert_eq!((entry.kind(), entry.elements()), (Kind::Stream, 0));
    assert_eq!(entry.encoding().name(), "stream");
    act_on(&mut shard, &Act::Remove(0));
    tend_to_the_end(&mut shard);
    shard.check();
    // Lists of the shard keep some of their memory.
    assert!(shard.memory().used_bytes() < before + (16 << 10));
}

#[test]
fn a_command_of_another_type_finds_a_stream_of_the_wrong_one() {
    let mut shard = shard();
    make(&mut shard, 0, &Change::Add(1, 4)).expect("memory");
    let place = key(&shard, 0);
    assert!(shard.list(DB, place, Access::Touch).is_err());
    act_on(&mut shard, &Act::Write(1));
    let place = key(&shard, 1);
    assert!(shard.stream(DB, place, Access::Touch).is_err());
    assert!(shard.stream_mut(DB, place).is_err());
}
