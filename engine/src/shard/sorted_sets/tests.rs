//! What the model cannot say of sorted sets: encodings, where members lie, what is told, memory, and types.

use proptest::prelude::*;

use super::model::play;
use super::{Member, Scored, SortedSetMut};
use crate::limits::ITEM_SHARE_BYTES;
use crate::shard::tests::{cases, shard, tend_to_the_end};
use crate::shard::{Access, Shard};
use crate::{
    DbIndex, Effect, Element, Encoding, Event, Kept, Kind, Noted, StoreError, StringForm,
    Thresholds, TtlChange, WrongType,
};

const DB: DbIndex = DbIndex(0);
const KEY: &[u8] = b"scores";

proptest! {
    #![proptest_config(cases(150, 1))]

    #[test]
    fn the_sorted_sets_of_a_shard_do_what_the_model_does(
        steps in prop::collection::vec(any::<u8>(), 1..1500),
    ) {
        play(&steps);
    }
}

/// Changes a sorted set as a command would.
fn change<T>(
    shard: &mut Shard,
    key: &[u8],
    events: &[Event],
    change: impl FnOnce(&mut SortedSetMut<'_>) -> T,
) -> T {
    let key = shard.hasher().clone().key(key);
    let mut set = shard.sorted_set_mut(DB, key).expect("a sorted set");
    let result = change(&mut set);
    set.close(events);
    result
}

fn set(shard: &mut Shard, key: &[u8], name: &[u8], score: f64) -> Scored {
    change(shard, key, &[Event::Silent], |set| set.set(name, score)).expect("memory")
}

fn fill(shard: &mut Shard, key: &[u8], count: u32) {
    for n in 0..count {
        set(shard, key, format!("{n:016}").as_bytes(), f64::from(n));
    }
}

fn encoding(shard: &mut Shard, key: &[u8]) -> Encoding {
    let key = shard.hasher().clone().key(key);
    let found = shard.sorted_set(DB, key, Access::Peek);
    found
        .expect("a sorted set")
        .expect("it is there")
        .encoding()
}

fn is_packed(shard: &mut Shard, key: &[u8]) -> bool {
    let key = shard.hasher().clone().key(key);
    let item = shard.item_at(DB, key).expect("it is there");
    shard.memory.layout(item).head.form().is_packed()
}

#[test]
fn the_encoding_follows_the_thresholds_and_never_goes_back() {
    let mut shard = shard();
    fill(&mut shard, b"many", 128);
    assert_eq!(encoding(&mut shard, b"many"), Encoding::ListPack);
    set(&mut shard, b"many", b"one more", 1.0);
    assert_eq!(encoding(&mut shard, b"many"), Encoding::SkipList);
    assert!(is_packed(&mut shard, b"many"), "it is small all the same");
    change(&mut shard, b"many", &[Event::Silent], |set| {
        assert_eq!(set.remove(b"one more"), Some(1.0));
    });
    assert_eq!(encoding(&mut shard, b"many"), Encoding::SkipList);
    set(&mut shard, b"name", &[b'n'; 64], 1.0);
    assert_eq!(encoding(&mut shard, b"name"), Encoding::ListPack);
    set(&mut shard, b"name", &[b'n'; 65], 1.0);
    assert_eq!(encoding(&mut shard, b"name"), Encoding::SkipList);
    set(&mut shard, b"two", b"a", 1.0);
    shard.set_thresholds(Thresholds {
        sorted_set_members: 1,
        ..Thresholds::default()
    });
    // Only a member that comes is a reason.
    set(&mut shard, b"two", b"a", 2.0);
    assert_eq!(encoding(&mut shard, b"two"), Encoding::ListPack);
    set(&mut shard, b"two", b"b", 2.0);
    assert_eq!(encoding(&mut shard, b"two"), Encoding::SkipList);
}

#[test]
fn memory_usage_is_what_a_sorted_set_occupies_in_either_form() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    // What sorted sets have in common, they have after the first: slots of roots, lists of the keyspace.
    for (key, members) in [(&b"first"[..], 3000), (b"small", 10), (b"large", 3000)] {
        let before = shard.bytes_beside_nodes();
        fill(&mut shard, key, members);
        tend_to_the_end(&mut shard);
        let is = shard.bytes_beside_nodes();
        let entry = shard.get(DB, hasher.key(key), Access::Peek);
        let usage = entry.expect("it is there").memory_bytes() - ITEM_SHARE_BYTES;
        let item = shard.item_at(DB, hasher.key(key));
        let root = shard.memory.root_bytes(item.expect("it is there"));
        assert_eq!(root == 0, is_packed(&mut shard, key));
        assert_eq!(usage - root, is - before);
        if key == b"small" {
            // The item's head and key, a variant, a header, a byte of each score, and what a size class has beyond.
            assert!(usage <= 7 + 5 + 1 + (4 + 10 * 17) * 17 / 16 + 3, "{usage}");
        }
    }
}

#[test]
fn what_is_told_of_a_change_is_what_it_came_to() {
    // Which event it is, is nothing to the engine.
    const DONE: Event = Event::CopyTo;
    let mut shard = shard();
    shard.journal().keep_notes(Kept {
        events: true,
        ..Kept::default()
    });
    let told = |shard: &mut Shard| -> Vec<Event> {
        let notes = shard.journal().take_notes();
        let events = notes.iter().filter_map(|note| match note.what {
            Noted::Event(event) => Some(event),
            _ => None,
        });
        events.collect()
    };
    let put = |shard: &mut Shard, score| {
        let before = shard.journal().changes();
        let scored = change(shard, KEY, &[DONE], |set| set.set(b"a", score));
        (scored, shard.journal().changes() - before)
    };
    assert_eq!(put(&mut shard, 1.0), (Ok(Scored::Added), 1));
    assert_eq!(told(&mut shard), [Event::New, DONE]);
    assert_eq!(put(&mut shard, 1.0), (Ok(Scored::Same), 0));
    assert_eq!(put(&mut shard, 2.0), (Ok(Scored::Changed), 1));
    told(&mut shard);
    let removed = change(&mut shard, KEY, &[DONE], |set| set.remove_range(0..9));
    assert_eq!(removed, 1);
    assert_eq!(told(&mut shard), [DONE, Event::Del]);
    let element = Element::Score {
        member: b"a",
        score: 1.0,
    };
    let effect = Effect::Elements(std::slice::from_ref(&element));
    assert_eq!(effect.brings(), Some(Kind::SortedSet));
}

#[test]
fn a_zero_of_the_other_sign_is_the_same_and_a_small_sorted_set_has_no_negative_ones() {
    let mut shard = shard();
    let bits_of = |shard: &mut Shard, name: &[u8]| {
        let score = change(shard, KEY, &[], |set| set.score(name));
        score.map(f64::to_bits)
    };
    let (zero, negative) = (Some(0.0f64.to_bits()), Some((-0.0f64).to_bits()));
    for (count, kept) in [(1, zero), (126, zero), (200, negative), (3000, negative)] {
        fill(&mut shard, KEY, count);
        set(&mut shard, KEY, b"zero", 0.0);
        assert_eq!(set(&mut shard, KEY, b"zero", -0.0), Scored::Same);
        assert_eq!(bits_of(&mut shard, b"zero"), zero);
        assert_eq!(set(&mut shard, KEY, b"negative", -0.0), Scored::Added);
        assert_eq!(bits_of(&mut shard, b"negative"), kept);
        assert_eq!(set(&mut shard, KEY, b"negative", 0.0), Scored::Same);
        assert_eq!(bits_of(&mut shard, b"negative"), kept);
        assert_eq!(
            set(&mut shard, KEY, b"0000000000000000", 7.0),
            Scored::Changed
        );
        assert_eq!(
            set(&mut shard, KEY, b"0000000000000000", -0.0),
            Scored::Changed
        );
        assert_eq!(bits_of(&mut shard, b"0000000000000000"), kept);
        shard.check();
        shard.remove(DB, shard.hasher().clone().key(KEY), Event::Del);
    }
    // The one that makes it large keeps its own.
    fill(&mut shard, KEY, 128);
    set(&mut shard, KEY, b"negative", -0.0);
    assert_eq!(bits_of(&mut shard, b"negative"), negative);
}

#[test]
fn so_many_that_are_expected_make_it_large_whether_they_come_or_not() {
    let mut shard = shard();
    let mut expect = |key: &[u8], members, score| {
        change(&mut shard, key, &[Event::Silent], |set| {
            set.expect(members);
            set.set(b"a", score).expect("memory");
            set.set(b"b", 1.0).expect("memory");
        });
        encoding(&mut shard, key)
    };
    assert_eq!(expect(b"new", 129, 1.0), Encoding::SkipList);
    assert_eq!(expect(b"few", 128, 1.0), Encoding::ListPack);
    assert_eq!(expect(b"few", 128, 2.0), Encoding::ListPack);
    assert_eq!(expect(b"few", 129, 3.0), Encoding::SkipList);
}

#[test]
fn what_is_put_as_a_small_sorted_set_has_no_negative_zeros() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    // A packed one, a large one that is small, and two that are not.
    for (members, threshold, kept) in [
        (100, 128, false),
        (2000, 3000, false),
        (200, 128, true),
        (2000, 128, true),
    ] {
        shard.set_thresholds(Thresholds {
            sorted_set_members: threshold,
            ..Thresholds::default()
        });
        let id = shard.begin_loose(Kind::SortedSet, None);
        for n in 0..members {
            let name = format!("{n:04}");
            let score = if n % 3 == 0 { -0.0 } else { (n % 5) as f64 };
            let member = Member {
                name: name.as_bytes(),
                score,
            };
            shard.add_scored(id, member).expect("memory");
        }
        let attributes = (None, shard.access_of_new());
        let put = shard.put_loose(DB, hasher.key(KEY), id, attributes, Event::Silent);
        assert_eq!(put, Ok(()));
        shard.check();
        let found = shard.sorted_set(DB, hasher.key(KEY), Access::Peek);
        let set = found.expect("a sorted set").expect("it is there");
        assert_eq!(set.len(), members);
        let score = set.score(b"0003").map(f64::to_bits);
        assert_eq!(score, Some(if kept { -0.0f64 } else { 0.0 }.to_bits()));
        assert_eq!(set.score(b"0004"), Some(4.0));
    }
}

#[test]
fn only_sorted_sets_are_opened_as_such() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    let key = hasher.key(KEY);
    let stored = shard.set(
        DB,
        key,
        b"v",
        StringForm::Text,
        TtlChange::Clear,
        Event::Set,
    );
    assert_eq!(stored, Ok(()));
    assert!(shard.sorted_set(DB, key, Access::Peek).is_err());
    assert!(shard.sorted_set_mut(DB, key).is_err());
    shard.remove(DB, key, Event::Del);
    fill(&mut shard, KEY, 3);
    assert!(shard.hash(DB, key, Access::Peek).is_err());
    assert!(matches!(shard.list(DB, key, Access::Peek), Err(WrongType)));
    let kind = shard.get(DB, key, Access::Peek).map(|entry| entry.kind());
    assert_eq!(kind, Some(Kind::SortedSet));
    let failed = change(&mut shard, KEY, &[], |set| {
        set.update(b"1", |_| Err(StoreError::TooLarge))
    });
    assert_eq!(failed, Err(StoreError::TooLarge));
}
