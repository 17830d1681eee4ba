//! The model, and what it cannot say: what a use is, encodings, events, where the bytes are.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;

use super::HashMut;
use super::model::play;
use crate::evict::Lfu;
use crate::journal::Event;
use crate::limits::{ITEM_SHARE_BYTES, PACKED_HASH_MAX_BYTES};
use crate::shard::tests::{cases, shard, tend_to_the_end};
use crate::shard::{Access, EvictionOptions, Stored};
use crate::{
    AccessClock, DbIndex, Encoding, Kept, Noted, Shard, StringForm, Thresholds, TtlChange,
    UnixMillis, WrongType,
};

const DB: DbIndex = DbIndex(0);

proptest! {
    #![proptest_config(cases(60, 2))]

    #[test]
    fn hashes_do_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1500)) {
        play(&steps);
    }
}

fn change<T>(
    shard: &mut Shard,
    key: &[u8],
    events: &[Event],
    change: impl FnOnce(&mut HashMut<'_>) -> T,
) -> T {
    let hasher = shard.hasher().clone();
    let opened = shard.hash_mut(DB, hasher.key(key));
    let mut hash = opened.expect("it is a hash, or nothing");
    let result = change(&mut hash);
    hash.close(events);
    result
}

fn set(shard: &mut Shard, key: &[u8], name: &[u8], value: &[u8], ttl: TtlChange) -> Stored {
    let set = change(shard, key, &[Event::HSet], |hash| {
        hash.set(name, value, ttl)
    });
    set.expect("memory")
}

fn encoding(shard: &mut Shard, key: &[u8]) -> Encoding {
    let key = shard.hasher().clone().key(key);
    let entry = shard.get(DB, key, Access::Peek);
    entry.expect("it is there").encoding()
}

fn access(shard: &mut Shard, key: &[u8]) -> AccessClock {
    let key = shard.hasher().clone().key(key);
    let entry = shard.get(DB, key, Access::Peek);
    entry.expect("it is there").access()
}

fn is_packed(shard: &mut Shard, key: &[u8]) -> bool {
    let key = shard.hasher().clone().key(key);
    let item = shard.item_at(DB, key).expect("it is there");
    let layout = shard.memory.layout(item);
    assert!(!layout.head.value_in_extent(), "it lies in its item");
    layout.head.form().is_packed()
}

#[test]
fn the_encoding_follows_the_thresholds_and_never_goes_back() {
    let mut shard = shard();
    for n in 0..512u32 {
        set(
            &mut shard,
            b"many",
            &n.to_le_bytes(),
            b"v",
            TtlChange::Clear,
        );
    }
    assert_eq!(encoding(&mut shard, b"many"), Encoding::ListPack);
    set(&mut shard, b"many", b"one more", b"v", TtlChange::Clear);
    assert_eq!(encoding(&mut shard, b"many"), Encoding::HashTable);
    assert!(is_packed(&mut shard, b"many"), "it is small all the same");
    change(&mut shard, b"many", &[Event::HDel], |hash| {
        assert!(hash.remove(b"one more"));
    });
    assert_eq!(encoding(&mut shard, b"many"), Encoding::HashTable);
    set(&mut shard, b"long", b"field", &[b'v'; 64], TtlChange::Clear);
    assert_eq!(encoding(&mut shard, b"long"), Encoding::ListPack);
    set(&mut shard, b"long", b"field", &[b'v'; 65], TtlChange::Clear);
    assert_eq!(encoding(&mut shard, b"long"), Encoding::HashTable);
    set(&mut shard, b"name", &[b'n'; 65], b"v", TtlChange::Clear);
    assert_eq!(encoding(&mut shard, b"name"), Encoding::HashTable);
    let deadline = TtlChange::At(UnixMillis(1000));
    set(&mut shard, b"ends", b"field", b"v", deadline);
    assert_eq!(encoding(&mut shard, b"ends"), Encoding::ListPackEx);
    set(&mut shard, b"ends", b"field", b"v", TtlChange::Clear);
    assert_eq!(encoding(&mut shard, b"ends"), Encoding::ListPackEx);
    shard.set_thresholds(Thresholds {
        hash_fields: 1,
        ..Thresholds::default()
    });
    assert_eq!(encoding(&mut shard, b"ends"), Encoding::ListPackEx);
    set(&mut shard, b"ends", b"other", b"v", TtlChange::Clear);
    assert_eq!(encoding(&mut shard, b"ends"), Encoding::HashTable);
}

/// Renaming a hash, or giving its key a deadline, moves it nowhere else and cannot fail for that.
#[test]
fn the_longest_packed_hash_fits_its_item_with_the_longest_key_and_a_deadline() {
    for key_len in [1, 100, 5000, 16 << 10] {
        let mut shard = shard();
        let hasher = shard.hasher().clone();
        let key = vec![b'k'; key_len];
        let mut fields = 0u32;
        loop {
            set(
                &mut shard,
                &key,
                &fields.to_le_bytes(),
                &[7; 40],
                TtlChange::Clear,
            );
            if !is_packed(&mut shard, &key) {
                break;
            }
            fields += 1;
        }
        // What the size class has beyond is used as well.
        let most = (PACKED_HASH_MAX_BYTES - 9) / 45;
        assert!((most..most + 1024 / 45).contains(&(fields as usize)));
        assert!(shard.remove(DB, hasher.key(&key), Event::Del));
        for n in 0..fields {
            set(
                &mut shard,
                &key,
                &n.to_le_bytes(),
                &[7; 40],
                TtlChange::Clear,
            );
        }
        let long = vec![b'K'; 16 << 10];
        let events = (Event::RenameFrom, Event::RenameTo);
        let (from, to) = ((DB, hasher.key(&key)), (DB, hasher.key(&long)));
        assert_eq!(shard.relocate(from, to, events), Ok(true));
        let deadline = Some(UnixMillis(i64::MAX));
        let set_deadline = shard.set_deadline(DB, to.1, deadline, Event::Expire);
        assert_eq!(set_deadline, Ok(true));
        assert!(is_packed(&mut shard, &long));
        set(&mut shard, &long, &[0; 4], &[8; 40], TtlChange::Clear);
        assert!(is_packed(&mut shard, &long));
        shard.check();
    }
}

#[test]
fn memory_usage_is_what_a_hash_occupies_in_either_form() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    // What hashes have in common, they have after the first: slots of roots, lists of the keyspace.
    for key in [&b"first"[..], b"small", b"large"] {
        let fields = if key == b"small" { 10 } else { 3000 };
        let before = shard.bytes_beside_nodes();
        for n in 0..fields as u32 {
            set(
                &mut shard,
                key,
                &n.to_le_bytes(),
                &[7; 16],
                TtlChange::Clear,
            );
        }
        tend_to_the_end(&mut shard);
        let is = shard.bytes_beside_nodes();
        let entry = shard.get(DB, hasher.key(key), Access::Peek);
        let usage = entry.expect("it is there").memory_bytes() - ITEM_SHARE_BYTES;
        let item = shard.item_at(DB, hasher.key(key));
        let root = shard.memory.root_bytes(item.expect("it is there"));
        assert_eq!(root == 0, is_packed(&mut shard, key));
        assert_eq!(usage - root, is - before);
        if key == b"small" {
            // The item's head and key, a variant, a header, a tag each, and what a size class has beyond.
            assert!(usage <= 7 + 5 + 1 + 9 + 10 * 21 + 3, "{usage}");
        }
    }
}

#[test]
fn reading_counts_as_a_use_if_it_is_to_and_changing_always_and_once() {
    let mut shard = shard();
    let key = shard.hasher().clone();
    let key = key.key(b"hash");
    set(&mut shard, b"hash", b"field", b"v", TtlChange::Clear);
    let mut now = 0;
    let mut uses = |shard: &mut Shard, use_it: &dyn Fn(&mut Shard)| {
        let before = access(shard, b"hash");
        now += 60_000;
        shard.set_now(UnixMillis(now));
        use_it(shard);
        access(shard, b"hash") != before
    };
    let read = |access| move |shard: &mut Shard| assert!(shard.hash(DB, key, access).is_ok());
    assert!(!uses(&mut shard, &read(Access::Peek)));
    assert!(uses(&mut shard, &read(Access::Touch)));
    assert!(uses(&mut shard, &|shard| {
        set(shard, b"hash", b"field", b"w", TtlChange::Clear);
    }));
    assert!(uses(&mut shard, &|shard| change(
        shard,
        b"hash",
        &[],
        |_| ()
    )));
    let lfu = Lfu {
        log_factor: 0,
        decay_minutes: 0,
    };
    shard.set_eviction(Some(&EvictionOptions::counting(lfu)));
    let count = |shard: &mut Shard| lfu.count(access(shard, b"hash"), shard.now());
    let before = count(&mut shard);
    set(&mut shard, b"hash", b"field", b"x", TtlChange::Clear);
    assert_eq!(count(&mut shard), before + 1);
    assert!(shard.hash(DB, key, Access::Touch).is_ok());
    assert_eq!(count(&mut shard), before + 2);
}

#[test]
fn events_are_told_at_the_end_after_that_of_the_new_key_and_before_that_of_the_one_that_is_gone() {
    let mut shard = shard();
    shard.journal().keep_notes(Kept {
        events: true,
        ..Kept::default()
    });
    let records = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&records);
    shard
        .journal()
        .subscribe(Box::new(move |_| *counted.borrow_mut() += 1));
    let told = |shard: &mut Shard| {
        let notes = shard.journal().take_notes();
        let events: Vec<Event> = notes
            .iter()
            .filter_map(|note| match note.what {
                Noted::Event(event) => Some(event),
                _ => None,
            })
            .collect();
        (events, std::mem::take(&mut *records.borrow_mut()))
    };
    change(
        &mut shard,
        b"hash",
        &[Event::HSet, Event::HExpire],
        |hash| {
            hash.set(b"a", b"1", TtlChange::Clear).expect("memory");
            hash.set(b"b", b"1", TtlChange::Clear).expect("memory");
        },
    );
    let set = (vec![Event::New, Event::HSet, Event::HExpire], 2);
    assert_eq!(told(&mut shard), set);
    change(&mut shard, b"hash", &[Event::HDel], |hash| {
        assert!(hash.remove(b"a") && hash.remove(b"b") && !hash.remove(b"c"));
    });
    assert_eq!(told(&mut shard), (vec![Event::HDel, Event::Del], 3));
    let key = shard.hasher().clone();
    let found = shard.hash(DB, key.key(b"hash"), Access::Touch);
    assert!(matches!(found, Ok(None)));
}

#[test]
fn a_field_past_its_deadline_is_as_one_that_is_not_there() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    let deadline = TtlChange::At(UnixMillis(100));
    for fields in [2u32, 3000] {
        shard.set_now(UnixMillis(0));
        for n in 0..fields {
            set(&mut shard, b"hash", &n.to_le_bytes(), b"v", deadline);
        }
        shard.set_now(UnixMillis(100));
        let name = 1u32.to_le_bytes();
        change(&mut shard, b"hash", &[], |hash| {
            assert_eq!(hash.get(&name), None);
            assert!(!hash.remove(&name));
            assert_eq!(hash.set_deadline(&name, None), Ok(false));
            assert_eq!(hash.len(), u64::from(fields));
        });
        assert_eq!(
            set(&mut shard, b"hash", &name, b"w", TtlChange::Keep),
            Stored::Added
        );
        let hash = shard.hash(DB, hasher.key(b"hash"), Access::Peek);
        let hash = hash.expect("a hash").expect("it is there");
        let field = hash.get(&name).expect("it is there again");
        assert_eq!((field.value, field.expires_at), (&b"w"[..], None));
        let mut shown = 0;
        hash.each(&mut |_| shown += 1);
        assert_eq!(shown, 1);
        assert!(shard.remove(DB, hasher.key(b"hash"), Event::Del));
    }
}

#[test]
fn what_is_no_hash_is_not_opened_as_one() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
    let written = shard.set(DB, hasher.key(b"string"), b"v", form, ttl, Event::Set);
    assert_eq!(written, Ok(()));
    let read = shard.hash(DB, hasher.key(b"string"), Access::Touch);
    assert!(matches!(read, Err(WrongType)));
    let opened = shard.hash_mut(DB, hasher.key(b"string"));
    assert!(matches!(opened, Err(WrongType)));
}
