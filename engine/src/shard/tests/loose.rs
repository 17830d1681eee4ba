//! Collections that are gathered: what is put is what was given, and what is dropped, or finds no memory, leaves nothing.

use super::*;
use crate::journal::Effect;
use crate::{Encoding, Field, Stored};

/// Makes a collection of so many elements at a key; some fields have deadlines.
pub(super) fn make(shard: &mut Shard, key: &[u8], kind: Kind, count: u32) {
    let key = shard.hasher().clone().key(key);
    match kind {
        Kind::List => {
            let mut list = shard.list_mut(DB, key).expect("a list");
            for n in 0..count {
                list.push(crate::End::Tail, &number(n)).expect("memory");
            }
            list.close(&[Event::RPush]);
        }
        Kind::Set => {
            let mut set = shard.set_mut(DB, key).expect("a set");
            for n in 0..count {
                assert!(set.add(&number(n)).expect("memory"));
            }
            set.close(&[Event::SAdd]);
        }
        Kind::SortedSet => {
            let mut set = shard.sorted_set_mut(DB, key).expect("a sorted set");
            for n in 0..count {
                let score = f64::from(n.wrapping_mul(0x9E37_79B9)) / 7.0;
                set.set(&number(n), score).expect("memory");
            }
            set.close(&[Event::Silent]);
        }
        _ => {
            let mut hash = shard.hash_mut(DB, key).expect("a hash");
            for n in 0..count {
                let ttl = match n % 50 {
                    7 => TtlChange::At(UnixMillis(1_000_000 + i64::from(n))),
                    _ => TtlChange::Clear,
                };
                hash.set(&number(n), b"v", ttl).expect("memory");
            }
            hash.close(&[Event::HSet]);
        }
    }
}

pub(super) fn entry(shard: &mut Shard, key: &[u8]) -> Option<Entry> {
    let key = shard.hasher().clone().key(key);
    shard
        .get(DB, key, Access::Peek)
        .map(|entry| Entry::of(&entry))
}

/// Carries the collection at a key over to another shard in parts, until memory is out.
fn carry(
    from: &mut Shard,
    to: &mut Shard,
    (key, most_bytes): (&[u8], usize),
) -> Result<u32, StoreError> {
    let key = from.hasher().clone().key(key);
    let (mut parts, mut gathered, mut next) = (0, None, Some(0));
    while let Some(at) = next {
        let (image, behind) = from.part(DB, key, (at, most_bytes)).expect("it is there");
        // A hash gives buckets as a whole, and one in its item at once.
        assert!(
            image.bytes.len() < most_bytes + (16 << 10),
            "a part is short"
        );
        let id = *gathered.get_or_insert_with(|| to.begin_loose(image.kind, Some(image.encoding)));
        if let Err(error) = to.add_part(id, &image.bytes) {
            to.drop_loose(id);
            return Err(error);
        }
        to.check();
        parts += 1;
        next = behind;
        if next.is_none() {
            let attributes = (image.expires_at, image.access);
            to.put_loose(DB, key, id, attributes, Event::CopyTo)?;
        }
    }
    Ok(parts)
}

#[test]
fn parts_of_a_collection_are_that_collection_elsewhere() {
    for kind in [Kind::List, Kind::Set, Kind::Hash, Kind::SortedSet] {
        for (count, many) in [(1, false), (100, false), (3000, true)] {
            let (mut from, mut to) = (shard(), shard());
            make(&mut from, b"key", kind, count);
            let key = from.hasher().clone().key(b"key");
            let deadline = Some(UnixMillis(5_000_000));
            from.set_deadline(DB, key, deadline, Event::Expire)
                .expect("memory");
            let made = entry(&mut from, b"key");
            let parts = carry(&mut from, &mut to, (b"key", 4096)).expect("memory");
            assert_eq!(parts > 5, many);
            from.check();
            to.check();
            assert!(entry(&mut to, b"key") == made);
            assert!(take(&mut to, b"key"));
            tend_to_the_end(&mut to);
            to.check();
            assert_eq!(to.bytes_beside_nodes(), 0);
        }
    }
}

#[test]
fn without_memory_all_is_as_it_was() {
    for kind in [Kind::List, Kind::Set, Kind::Hash, Kind::SortedSet] {
        for is_undoable in [false, true] {
            let (mut from, mut to) = (shard(), shard());
            make(&mut from, b"key", kind, 2000);
            put(&mut to, b"key", b"old", TtlChange::Clear);
            let (before, used) = (entry(&mut to, b"key"), to.bytes_beside_nodes());
            let mut blocks = 0;
            loop {
                if is_undoable {
                    to.begin_undo();
                }
                to.memory.arena_mut().run_out_after(Some(blocks));
                let carried = carry(&mut from, &mut to, (b"key", 4096));
                to.memory.arena_mut().run_out_after(None);
                to.check();
                let is_done = carried.is_ok();
                if is_undoable {
                    to.undo();
                }
                if is_undoable || !is_done {
                    tend_to_the_end(&mut to);
                    to.check();
                    assert_eq!(entry(&mut to, b"key"), before);
                    assert_eq!(to.bytes_beside_nodes(), used, "{blocks}");
                }
                if is_done {
                    break;
                }
                blocks += 1 + blocks / 8;
            }
            assert!(blocks > 10);
        }
    }
}

#[test]
fn what_is_gathered_answers_the_encoding_of_its_size() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    let key = hasher.key(b"key");
    let attributes = (None, AccessClock(0));
    for (count, long, deadline, encoding) in [
        (512, 64, None, Encoding::ListPack),
        (513, 1, None, Encoding::HashTable),
        (1, 65, None, Encoding::HashTable),
        (1, 1, Some(UnixMillis(9)), Encoding::ListPackEx),
        (512, 64, Some(UnixMillis(9)), Encoding::ListPackEx),
    ] {
        let id = shard.begin_loose(Kind::Hash, None);
        let value = vec![b'v'; long];
        for n in 0..count {
            let field = Field {
                name: &number(n),
                value: &value,
                expires_at: deadline,
            };
            assert_eq!(shard.add_field(id, field), Ok(Stored::Added));
            assert_eq!(shard.add_field(id, field), Ok(Stored::Replaced));
        }
        shard
            .put_loose(DB, key, id, attributes, Event::Restore)
            .expect("memory");
        shard.check();
        let found = entry(&mut shard, b"key").expect("it is there");
        assert_eq!(found.encoding, encoding, "{count} {long}");
    }
    for (count, encoding) in [(500, Encoding::ListPack), (600, Encoding::QuickList)] {
        let id = shard.begin_loose(Kind::List, None);
        for n in 0..count {
            shard.push_loose(id, &number(n)).expect("memory");
        }
        shard
            .put_loose(DB, key, id, attributes, Event::Restore)
            .expect("memory");
        shard.check();
        let found = entry(&mut shard, b"key").expect("it is there");
        assert_eq!(found.encoding, encoding, "{count}");
    }
}

#[test]
fn a_flush_leaves_what_is_being_gathered() {
    let mut shard = shard();
    let id = shard.begin_loose(Kind::List, None);
    for n in 0..1000 {
        shard.push_loose(id, &number(n)).expect("memory");
    }
    fill(&mut shard, 1000, TtlChange::Clear);
    shard.flush(DB);
    tend_to_the_end(&mut shard);
    shard.check();
    let key = shard.hasher().clone().key(b"key");
    let attributes = (None, AccessClock(0));
    shard
        .put_loose(DB, key, id, attributes, Event::Restore)
        .expect("memory");
    shard.check();
    let Some(Value::List(list)) = entry(&mut shard, b"key").map(|entry| entry.value) else {
        panic!("a list");
    };
    assert_eq!(list.len(), 1000);
}

#[test]
fn records_of_a_collection_that_is_put_are_its_elements_if_somebody_reads_them() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    make(&mut shard, b"small", Kind::Hash, 2);
    make(&mut shard, b"large", Kind::List, 1000);
    let changes = shard.journal().changes();
    let log = Rc::new(RefCell::new(Vec::new()));
    for is_read in [true, false] {
        let sink = Rc::clone(&log);
        let reader = shard.journal().subscribe(Box::new(move |record| {
            let is_put = matches!(record.effect, Effect::Put { value: b"", .. });
            let is_element = matches!(record.effect, Effect::Elements([_]));
            sink.borrow_mut().push((is_put, is_element));
        }));
        if !is_read {
            shard.journal().unsubscribe(reader);
        }
        for (of, count) in [(&b"small"[..], 2), (b"large", 1000)] {
            let key = hasher.key(of);
            log.borrow_mut().clear();
            let (part, next) = shard.part(DB, key, (0, usize::MAX)).expect("it");
            assert_eq!(next, None);
            let copy = shard.begin_loose(part.kind, Some(part.encoding));
            shard.add_part(copy, &part.bytes).expect("memory");
            let attributes = (None, AccessClock(0));
            shard
                .put_loose(DB, hasher.key(b"copy"), copy, attributes, Event::CopyTo)
                .expect("memory");
            let mut expected = vec![(true, false)];
            expected.resize(1 + count, (false, true));
            match is_read {
                true => assert_eq!(*log.borrow(), expected),
                false => assert!(log.borrow().is_empty()),
            }
        }
        if is_read {
            shard.journal().unsubscribe(reader);
        }
    }
    assert_eq!(shard.journal().changes(), changes + 4, "each is a change");
}

#[test]
fn elements_are_walked_in_steps_of_any_size_in_one_order() {
    use std::ops::ControlFlow;

    for kind in [Kind::List, Kind::Set, Kind::Hash, Kind::SortedSet] {
        for count in [1, 100, 3000] {
            let mut shard = shard();
            make(&mut shard, b"key", kind, count);
            let key = shard.hasher().clone().key(b"key");
            let entry = shard.get(DB, key, Access::Peek).expect("it is there");
            let mut all: Vec<Vec<u8>> = Vec::new();
            entry.each_element(&mut |element| all.push(element.to_vec()));
            entry.each_field(&mut |field| all.push(field.name.to_vec()));
            entry.each_member(&mut |member| all.push(member.to_vec()));
            entry.each_scored(&mut |member| all.push(member.name.to_vec()));
            for step in [1, 7, 1000, 5000] {
                let (mut walked, mut next) = (Vec::new(), Some(0));
                // A small hash or set is shown whole.
                let step = match kind != Kind::List && entry.is_whole() {
                    true => usize::MAX,
                    false => step,
                };
                while let Some(from) = next {
                    let mut left = step;
                    let mut show = |element: &[u8]| {
                        walked.push(element.to_vec());
                        left -= 1;
                        match left {
                            0 => ControlFlow::Break(()),
                            _ => ControlFlow::Continue(()),
                        }
                    };
                    next = match kind {
                        Kind::List => entry.elements_from(from, &mut show),
                        Kind::Set => entry.members_from(from, &mut show),
                        Kind::SortedSet => entry.scored_from(from, &mut |member| show(member.name)),
                        _ => entry.fields_from(from, &mut |field| show(field.name)),
                    };
                }
                assert!(walked == all, "{kind:?} {count} {step}");
            }
        }
    }
}
