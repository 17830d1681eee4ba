//! What the model cannot say of lists: encodings, where elements lie, what is told, memory.

use proptest::prelude::*;

use super::model::play;
use super::{ListMut, ListView};
use crate::shard::tests::{cases, shard, tend_to_the_end};
use crate::shard::{Access, Shard};
use crate::{DbIndex, Encoding, End, Event, Kept, ListThreshold, Noted, StringForm, Thresholds};
use crate::{TtlChange, UnixMillis, WrongType};

const DB: DbIndex = DbIndex(0);
const KEY: &[u8] = b"list";

proptest! {
    #![proptest_config(cases(150, 1))]

    #[test]
    fn the_lists_of_a_shard_do_what_the_model_does(
        steps in prop::collection::vec(any::<u8>(), 1..1200),
    ) {
        play(&steps);
    }
}

/// Changes the list as a command would.
fn change<T>(shard: &mut Shard, change: impl FnOnce(&mut ListMut<'_>) -> T) -> T {
    let key = shard.hasher().clone().key(KEY);
    let mut list = shard.list_mut(DB, key).expect("a list");
    let result = change(&mut list);
    list.close(&[Event::RPush]);
    result
}

fn push(shard: &mut Shard, elements: &[&[u8]]) {
    change(shard, |list| {
        for element in elements {
            list.push(End::Tail, element).expect("memory");
        }
    });
}

fn push_many(shard: &mut Shard, count: u32, len: usize) {
    change(shard, |list| {
        for number in 0..count {
            let mut element = vec![b'e'; len];
            element[..4].copy_from_slice(&number.to_le_bytes());
            list.push(End::Tail, &element).expect("memory");
        }
    });
}

fn pop_many(shard: &mut Shard, end: End, count: u32) {
    change(shard, |list| {
        for _ in 0..count {
            list.pop(end, |_| ()).expect("an element");
        }
    });
}

fn encoding(shard: &mut Shard) -> Encoding {
    let key = shard.hasher().clone().key(KEY);
    let entry = shard.get(DB, key, Access::Peek);
    entry.expect("it is there").encoding()
}

fn memory_usage(shard: &mut Shard) -> u64 {
    let key = shard.hasher().clone().key(KEY);
    let entry = shard.get(DB, key, Access::Peek);
    entry.expect("it is there").memory_bytes()
}

fn is_packed(shard: &mut Shard) -> bool {
    let key = shard.hasher().clone().key(KEY);
    let found = shard.list(DB, key, Access::Peek).expect("a list");
    matches!(found.expect("it is there").view, ListView::Packed(_))
}

fn drop_list(shard: &mut Shard) {
    let key = shard.hasher().clone().key(KEY);
    shard.remove(DB, key, Event::Del);
}

fn set_threshold(shard: &mut Shard, list: ListThreshold) {
    shard.set_thresholds(Thresholds {
        list,
        ..Thresholds::default()
    });
}

/// The cases of Redis's own suite: a list grows beyond the threshold, and is small again at half of it.
#[test]
fn a_list_answers_the_encodings_that_redis_answers() {
    let shard = &mut shard();
    let (small, large) = (Encoding::ListPack, Encoding::QuickList);
    set_threshold(shard, ListThreshold::Elements(3));
    push(shard, &[b"a", b"b", b"c"]);
    assert_eq!(encoding(shard), small);
    push(shard, &[b"d"]);
    assert_eq!(encoding(shard), large);
    pop_many(shard, End::Tail, 2);
    assert_eq!(encoding(shard), large, "two are more than half of three");
    pop_many(shard, End::Tail, 1);
    assert_eq!(encoding(shard), small);

    // By LINSERT; back by LREM, and by LTRIM.
    push(shard, &[b"a", b"d"]);
    change(shard, |list| list.insert(1, b"a")).expect("memory");
    assert_eq!(encoding(shard), large);
    assert_eq!(
        change(shard, |list| list.remove_equal(b"a", 3, End::Head)),
        3
    );
    assert_eq!(encoding(shard), small);
    push(shard, &[b"a", b"b", b"c"]);
    assert_eq!(encoding(shard), large);
    change(shard, |list| list.remove(1..4));
    assert_eq!(encoding(shard), small);
    drop_list(shard);

    // A list of bytes: by a push, by LSET, and back by LSET.
    for (most, long) in [(4096, 5000), (8192, 9000), (65_536, 70_000)] {
        set_threshold(shard, ListThreshold::Bytes(most));
        let long = vec![b'x'; long];
        push(shard, &[b"a", b"b"]);
        assert_eq!(encoding(shard), small);
        change(shard, |list| list.replace(1, &long)).expect("memory");
        assert_eq!(encoding(shard), large);
        change(shard, |list| list.replace(1, b"d")).expect("memory");
        assert_eq!(encoding(shard), small);
        push(shard, &[&long]);
        assert_eq!(encoding(shard), large);
        pop_many(shard, End::Tail, 1);
        assert_eq!(encoding(shard), small);
        drop_list(shard);
    }

    // A number of elements bounds the bytes as well.
    set_threshold(shard, ListThreshold::Elements(1000));
    push(shard, &[&vec![b'x'; 8185]]);
    assert_eq!(encoding(shard), small);
    push(shard, &[b"12345"]);
    assert_eq!(encoding(shard), large);
    drop_list(shard);
    // Of none, one is allowed.
    set_threshold(shard, ListThreshold::Elements(0));
    push(shard, &[b"a"]);
    assert_eq!(encoding(shard), small);
    push(shard, &[b"a"]);
    assert_eq!(encoding(shard), large);
}

#[test]
fn the_encoding_of_a_list_between_half_of_the_threshold_and_all_is_what_it_was() {
    let shard = &mut shard();
    push_many(shard, 300, 16);
    assert!(!is_packed(shard));
    assert_eq!(
        encoding(shard),
        Encoding::ListPack,
        "a tree may be a small list"
    );
    push_many(shard, 155, 16);
    assert_eq!(
        encoding(shard),
        Encoding::ListPack,
        "8197 bytes, as Redis reckons them before the last"
    );
    push_many(shard, 1, 16);
    assert_eq!(encoding(shard), Encoding::QuickList);
    for _ in 0..10 {
        pop_many(shard, End::Head, 100);
        assert_eq!(encoding(shard), Encoding::QuickList);
        push_many(shard, 100, 16);
    }
    pop_many(shard, End::Head, 456 - 227);
    assert_eq!(encoding(shard), Encoding::ListPack);
}

#[test]
fn a_list_becomes_a_tree_and_is_packed_again_but_not_by_turns() {
    let shard = &mut shard();
    push_many(shard, 254, 16);
    assert!(is_packed(shard));
    push_many(shard, 1, 16);
    assert!(!is_packed(shard));
    for _ in 0..3 {
        // What is at the border goes back and forth without the list becoming the other.
        pop_many(shard, End::Head, 100);
        assert!(!is_packed(shard));
        push_many(shard, 100, 16);
    }
    pop_many(shard, End::Head, 255 - 126);
    assert!(is_packed(shard));
    for _ in 0..3 {
        push_many(shard, 128, 16);
        assert!(is_packed(shard));
        pop_many(shard, End::Head, 128);
        assert!(is_packed(shard));
    }
    // Nor by their number alone.
    drop_list(shard);
    push_many(shard, 256, 4);
    assert!(is_packed(shard));
    push_many(shard, 1, 4);
    assert!(!is_packed(shard));
    pop_many(shard, End::Tail, 128);
    assert!(!is_packed(shard));
    pop_many(shard, End::Tail, 1);
    assert!(is_packed(shard));
    // One that is too long for a run.
    let long = vec![b'x'; 5000];
    change(shard, |list| list.replace(3, &long)).expect("memory");
    assert!(!is_packed(shard));
    change(shard, |list| list.remove(3..4));
    assert!(is_packed(shard));
    shard.check();
}

#[test]
fn what_memory_usage_says_of_a_list_is_what_the_shard_has_more() {
    let shard = &mut shard();
    // What does not belong to one list: slots of roots, the first node of a keyspace.
    push_many(shard, 1000, 16);
    drop_list(shard);
    tend_to_the_end(shard);
    let (before, entries_before) = (shard.memory().used_bytes(), shard.bytes_beside_nodes());
    for (count, len) in [
        (1, 16),
        (10, 16),
        (200, 16),
        (300, 16),
        (20_000, 16),
        (50, 5000),
    ] {
        push_many(shard, count, len);
        let usage = memory_usage(shard);
        let used = shard.memory().used_bytes() - before;
        let root_and_table_share = 400;
        assert!(
            usage.abs_diff(used) <= root_and_table_share,
            "{usage} of {used} for {count} elements of {len}"
        );
        drop_list(shard);
        tend_to_the_end(shard);
        shard.check();
        assert_eq!(shard.bytes_beside_nodes(), entries_before);
    }
}

#[test]
fn the_block_of_a_packed_list_becomes_shorter_as_elements_go() {
    let shard = &mut shard();
    push_many(shard, 200, 16);
    let full = memory_usage(shard);
    let mut blocks = 0;
    let mut usage = full;
    for left in (1..200u64).rev() {
        pop_many(shard, End::Head, 1);
        let now = memory_usage(shard);
        blocks += u32::from(now != usage);
        usage = now;
        assert!(usage < left * 16 * 3 / 2 + 16 + 184, "{usage} for {left}");
    }
    assert!((3..20).contains(&blocks), "{blocks} blocks on the way");
    // Room is left: coming and going does not change the block.
    for _ in 0..50 {
        push_many(shard, 1, 16);
        pop_many(shard, End::Head, 1);
        assert_eq!(memory_usage(shard), usage);
    }
}

/// What was cut off and is yet to be freed does not count: the list is as small as what is left.
#[test]
fn a_list_of_which_ltrim_leaves_little_answers_so_at_once() {
    let shard = &mut shard();
    for (count, cut) in [(388, 0..276), (5000, 100..5000), (50_000, 0..49_950)] {
        push_many(shard, count, 22);
        assert_eq!(encoding(shard), Encoding::QuickList);
        change(shard, |list| list.remove(cut));
        assert_eq!(encoding(shard), Encoding::ListPack, "{count}");
        drop_list(shard);
        shard.check();
    }
}

#[test]
fn what_ltrim_cuts_off_is_freed_in_slices_and_counts_until_then() {
    let shard = &mut shard();
    push_many(shard, 200_000, 16);
    let full = shard.bytes_beside_nodes();
    change(shard, |list| list.remove(50..199_950));
    shard.check();
    assert!(is_packed(shard), "what is left is little");
    let trimmed = shard.bytes_beside_nodes();
    assert!(trimmed > full - 10_000, "{trimmed} of {full}");
    drop_list(shard);
    tend_to_the_end(shard);
    assert_eq!(shard.bytes_beside_nodes(), 0);

    push_many(shard, 200_000, 16);
    change(shard, |list| list.remove(10_000..190_000));
    assert!(!is_packed(shard));
    let mut used = shard.bytes_beside_nodes();
    assert!(used > full - 20_000);
    let mut slices = 0;
    while shard.tend(1) {
        shard.check();
        let now = shard.bytes_beside_nodes();
        assert!(
            now <= used && used - now < 1 << 20,
            "a slice frees {}",
            used - now
        );
        used = now;
        slices += 1;
        // The list goes on meanwhile, and is cut again.
        if slices == 2 {
            change(shard, |list| list.remove(5_000..6_000));
        }
    }
    assert!(slices > 5, "{slices}");
    assert!(used < full / 8, "{used} of {full}");
    // One that goes while it has some takes them along.
    push_many(shard, 200_000, 16);
    change(shard, |list| list.remove(10_000..190_000));
    shard.tend(1);
    drop_list(shard);
    push_many(shard, 1000, 16);
    tend_to_the_end(shard);
    shard.check();
    drop_list(shard);
    tend_to_the_end(shard);
    assert_eq!(shard.bytes_beside_nodes(), 0);
}

#[test]
fn only_lists_are_lists_and_a_miss_is_told_to_those_who_read() {
    let shard = &mut shard();
    shard.journal().keep_notes(Kept {
        changes: false,
        events: true,
    });
    let key = shard.hasher().clone().key(KEY);
    assert!(matches!(shard.list(DB, key, Access::Touch), Ok(None)));
    assert!(!shard.list_mut(DB, key).expect("nothing yet").is_there());
    let notes = shard.journal().take_notes();
    let events: Vec<_> = notes.iter().map(|note| note.what).collect();
    assert_eq!(events, [Noted::Event(Event::Missed)]);
    shard.journal().return_notes(notes);
    let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
    let set = shard.set(DB, key, b"value", form, ttl, Event::Set);
    assert_eq!(set, Ok(()));
    assert!(matches!(shard.list(DB, key, Access::Touch), Err(WrongType)));
    assert!(matches!(shard.list_mut(DB, key), Err(WrongType)));
}

#[test]
fn reading_touches_or_not_and_changing_does() {
    let shard = &mut shard();
    let access_of = |shard: &mut Shard| {
        let key = shard.hasher().clone().key(KEY);
        let entry = shard.get(DB, key, Access::Peek);
        entry.expect("it is there").access().0
    };
    push(shard, &[b"a"]);
    let key = shard.hasher().clone().key(KEY);
    for seconds in [10, 20] {
        shard.set_now(UnixMillis(seconds * 1000));
        let before = access_of(shard);
        assert!(shard.list(DB, key, Access::Peek).is_ok());
        assert_eq!(access_of(shard), before);
        match seconds {
            10 => assert!(shard.list(DB, key, Access::Touch).is_ok()),
            _ => push(shard, &[b"b"]),
        }
        assert_eq!(i64::from(access_of(shard)), seconds);
    }
}
