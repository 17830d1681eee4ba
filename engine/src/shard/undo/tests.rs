//! Random commands between opening the log and taking them back leave the shard equal to one that never ran them; let stand,
//! equal to one that ran them without a log.

mod observed;

use proptest::prelude::*;

pub(in crate::shard) use observed::Observed;
use observed::{STRINGS, assert_same, assert_same_answers};

use crate::key::Alike;
use crate::shard::tests::large::op_on_large_values;
use crate::shard::tests::ops::{Op, op};
use crate::shard::tests::{alike, cases, shard, tend_to_the_end};
use crate::{Access, DbIndex, Event, Key, KeyHasher, Shard, StringForm, TtlChange, UnixMillis};

const DB: DbIndex = DbIndex(0);

/// Commands whose answers and records do not depend on where entries lie in a table.
fn is_determined(op: &Op) -> bool {
    !matches!(op, Op::Random(..) | Op::Expire(_))
}

fn check((lfu, alike): (bool, Alike), [before, within, after]: [&[Op]; 3], stands: bool) {
    let [mut logged, mut plain] = [(), ()].map(|()| Observed::new(lfu, alike));
    for observed in [&mut logged, &mut plain] {
        observed.run(before);
        observed.watch_and_wait();
        // Some have been written before, and some notes are not yet taken.
        observed.run(&before[..before.len().min(3)]);
    }
    let time = logged.now;
    let records = logged.records.borrow().len();
    logged.shard.begin_undo();
    for (nth, op) in within.iter().enumerate() {
        logged.run(std::slice::from_ref(op));
        if nth % 8 == 0 {
            logged.shard.check();
        }
        if nth % 3 == 0 {
            let undo = logged.shard.lay_undo_aside();
            logged.look_around(nth as u64);
            logged.shard.take_up_undo(undo);
        }
        assert!(!logged.shard.journal().has_notes() && !logged.shard.awaited().has_written());
    }
    assert_eq!(
        logged.records.borrow().len(),
        records,
        "nothing is told yet"
    );
    if stands {
        logged.shard.end_undo();
        plain.run(within);
        assert_same_answers(&logged, &plain, within);
    } else {
        // What is put back takes no more than there was, and what is set aside.
        logged.shard.memory.arena_mut().run_out_after(Some(0));
        logged.shard.undo();
        logged.shard.memory.arena_mut().run_out_after(None);
        logged.now = time;
        logged.shard.set_now(UnixMillis(time));
        logged.answers.truncate(plain.answers.len());
    }
    for observed in [&mut logged, &mut plain] {
        assert!(!observed.shard.is_undoable());
        tend_to_the_end(&mut observed.shard);
    }
    assert_same(&logged.seen(stands), &plain.seen(stands));
    if !stands {
        let bytes = [&logged, &plain].map(Observed::bytes_without_extents);
        assert_eq!(bytes[0], bytes[1], "blocks are as large as they were");
    }
    let after: Vec<Op> = after
        .iter()
        .filter(|op| is_determined(op))
        .cloned()
        .collect();
    for observed in [&mut logged, &mut plain] {
        observed.run(&after);
        tend_to_the_end(&mut observed.shard);
    }
    assert_same_answers(&logged, &plain, &after);
    assert_same(&logged.seen(stands), &plain.seen(stands));
}

fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(prop_oneof![9 => op(), 1 => op_on_large_values()], 1..most)
}

proptest! {
    #![proptest_config(cases(60, 2))]

    #[test]
    fn undone_the_shard_is_what_one_is_that_never_ran_the_commands(
        lfu: bool, alike in alike(), before in ops(60), within in ops(60), after in ops(20)
    ) {
        check((lfu, alike), [&before, &within, &after], false);
    }

    #[test]
    fn ended_the_shard_is_what_one_is_that_ran_the_commands_without_a_log(
        lfu: bool, alike in alike(), before in ops(60), within in ops(60), after in ops(20)
    ) {
        check((lfu, alike), [&before, &within, &after], true);
    }

    #[test]
    #[cfg_attr(miri, ignore = "megabytes, byte by byte")]
    fn large_values_are_put_back(
        stands: bool,
        before in prop::collection::vec(op_on_large_values(), 1..12),
        within in prop::collection::vec(op_on_large_values(), 1..12),
        after in prop::collection::vec(op_on_large_values(), 1..4),
    ) {
        check((false, Alike::Nothing), [&before, &within, &after], stands);
    }
}

pub(super) fn key(bytes: &[u8]) -> Key<'_> {
    KeyHasher::with_seeds([1, 2, 3, 4]).key(bytes)
}

fn set(shard: &mut Shard, name: &[u8], value: &[u8]) {
    let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
    shard
        .set(DB, key(name), value, form, ttl, Event::Set)
        .expect("memory");
}

#[test]
#[cfg_attr(miri, ignore = "many megabytes")]
fn a_large_value_is_neither_copied_to_be_replaced_nor_for_a_byte_of_it() {
    let mut shard = shard();
    let large = vec![b'v'; 64 << 20];
    for name in [&b"replaced"[..], b"removed", b"renamed", b"written"] {
        set(&mut shard, name, &large);
    }
    let used = |shard: &Shard| shard.memory().used_bytes();
    let before = used(&shard);
    shard.begin_undo();
    set(&mut shard, b"replaced", b"small");
    assert!(shard.remove(DB, key(b"removed"), Event::Del));
    for n in 0..1000 {
        shard
            .write_range(DB, key(b"written"), n * 1000, b"x", Event::SetRange)
            .expect("memory");
    }
    assert!(
        used(&shard) < before + (1 << 20),
        "what is kept is what there was"
    );
    shard.undo();
    assert!(used(&shard) < before + (1 << 20));
    shard.begin_undo();
    let events = (Event::RenameFrom, Event::RenameTo);
    let from_to = ((DB, key(b"renamed")), (DB, key(b"other")));
    shard
        .relocate(from_to.0, from_to.1, events)
        .expect("memory");
    assert!(
        shard.memory().arena_bytes < before + (65 << 20),
        "one buffer, counted twice"
    );
    shard.undo();
    tend_to_the_end(&mut shard);
    shard.check();
    for name in [&b"replaced"[..], b"removed", b"renamed", b"written"] {
        let entry = shard.get(DB, key(name), Access::Peek).expect("put back");
        assert!(entry.string() == Some(&large[..]));
    }
    assert!(used(&shard) < before + (1 << 20));
}

#[test]
fn a_key_changed_again_and_again_is_saved_once() {
    let mut shard = shard();
    set(&mut shard, b"key", &[b'v'; 100]);
    set(&mut shard, b"large", &[b'v'; 100_000]);
    shard.begin_undo();
    let mut used = 0;
    for round in 0..20_000u32 {
        set(&mut shard, b"key", &round.to_le_bytes());
        set(&mut shard, b"new", &round.to_le_bytes());
        let offset = round as usize * 7 % 90_000;
        shard
            .write_range(DB, key(b"large"), offset, b"x", Event::SetRange)
            .expect("memory");
        used = used.max(shard.memory().used_bytes());
    }
    assert!(used < 500_000, "{used}");
    shard.undo();
    shard.check();
    assert!(
        shard.memory().used_bytes() < 160_000,
        "no more than some is kept for the next log"
    );
    let large = shard
        .get(DB, key(b"large"), Access::Peek)
        .expect("put back");
    assert!(large.string() == Some(&[b'v'; 100_000]));
    let other = shard.get(DB, key(b"key"), Access::Peek).expect("put back");
    assert!(other.string() == Some(&[b'v'; 100]));
    assert!(shard.get(DB, key(b"new"), Access::Peek).is_none());
}

#[test]
fn exchanged_and_flushed_databases_are_what_they_were() {
    let mut shard = shard();
    let (first, second) = (DbIndex(0), DbIndex(1));
    for n in 0..2000u32 {
        set(&mut shard, &n.to_le_bytes(), b"first");
    }
    shard.begin_undo();
    set(&mut shard, b"a", b"1");
    assert_eq!(shard.flush(first), 2001);
    set(&mut shard, b"b", b"2");
    shard.swap(first, second);
    set(&mut shard, b"c", b"3");
    assert_eq!(shard.flush(second), 1);
    shard.swap(second, DbIndex(2));
    shard.check();
    shard.undo();
    tend_to_the_end(&mut shard);
    shard.check();
    assert_eq!(
        [first, second, DbIndex(2)].map(|db| shard.len(db)),
        [2000, 0, 0]
    );
    // Let stand, the memory goes as after a flush.
    shard.begin_undo();
    assert_eq!(shard.flush(first), 2000);
    shard.end_undo();
    tend_to_the_end(&mut shard);
    shard.check();
    assert_eq!(shard.bytes_beside_nodes(), 0);
}

#[test]
fn entries_of_other_sizes_make_way_for_those_put_back() {
    let mut shard = shard();
    let count = if cfg!(miri) { 300 } else { 10_000u32 };
    let fill = |shard: &mut Shard, len: usize| {
        for n in 0..count {
            set(shard, &n.to_le_bytes(), &vec![b'v'; len]);
        }
    };
    fill(&mut shard, 90);
    let before = shard.memory();
    shard.begin_undo();
    for n in 0..count {
        assert!(shard.remove(DB, key(&n.to_le_bytes()), Event::Del));
    }
    fill(&mut shard, 1500);
    assert_eq!(shard.flush(DB), count.into());
    fill(&mut shard, 300);
    shard.check();
    shard.undo();
    tend_to_the_end(&mut shard);
    shard.check();
    let after = shard.memory();
    assert_eq!(shard.len(DB), count.into());
    assert_eq!(after.entry_bytes, before.entry_bytes);
    assert!(
        after.arena_bytes <= before.arena_bytes * 9 / 8 + (2 << 20),
        "{after:?}"
    );
}

#[test]
fn a_value_written_and_then_renamed_is_put_back_though_both_had_one_buffer() {
    let mut shard = shard();
    let large = vec![b'v'; 2 << 20];
    set(&mut shard, b"key", &large);
    shard.begin_undo();
    let range = |shard: &mut Shard, name: &[u8]| {
        shard
            .write_range(DB, key(name), 10, b"xyz", Event::SetRange)
            .expect("memory");
    };
    range(&mut shard, b"key");
    let (from, to) = ((DB, key(b"key")), (DB, key(b"other")));
    shard
        .relocate(from, to, (Event::RenameFrom, Event::RenameTo))
        .expect("memory");
    shard.check();
    shard.undo();
    tend_to_the_end(&mut shard);
    shard.check();
    let entry = shard.get(DB, key(b"key"), Access::Peek).expect("put back");
    assert!(entry.string() == Some(&large[..]));
    assert!(shard.get(DB, key(b"other"), Access::Peek).is_none());
}

#[test]
fn what_was_appended_to_a_large_value_gives_its_memory_back() {
    for len in [100_000, 2 << 20] {
        let mut shard = shard();
        set(&mut shard, b"key", &vec![b'v'; len]);
        let before = shard.memory().entry_bytes;
        shard.begin_undo();
        shard
            .write_range(DB, key(b"key"), len, &vec![b'x'; len * 2], Event::Append)
            .expect("memory");
        shard.undo();
        tend_to_the_end(&mut shard);
        shard.check();
        let after = shard.memory().entry_bytes;
        assert!(after <= before * 5 / 4, "{after} after {before}");
    }
}

#[test]
fn an_entry_read_and_then_written_has_the_history_it_had_before_it_was_read() {
    let mut shard = shard();
    shard.set_now(UnixMillis(1_000_000));
    set(&mut shard, b"key", b"value");
    shard.set_now(UnixMillis(9_000_000));
    let history = |shard: &mut Shard| {
        let entry = shard.get(DB, key(b"key"), Access::Peek);
        entry.expect("it is there").access()
    };
    let before = history(&mut shard);
    shard.begin_undo();
    shard.get(DB, key(b"key"), Access::Touch);
    assert_ne!(history(&mut shard), before);
    set(&mut shard, b"key", b"other");
    shard.undo();
    assert_eq!(history(&mut shard), before);
}

/// Kept items are in no table, where compaction would look for them.
#[test]
#[cfg_attr(miri, ignore = "many entries")]
fn compaction_rests_while_the_log_is_open() {
    let mut shard = shard();
    let count = 600_000u32;
    for n in 0..count {
        set(&mut shard, &n.to_le_bytes(), b"1234567");
        if n % 6000 == 0 {
            set(&mut shard, &(n + count).to_le_bytes(), &[b'v'; 40_000]);
        }
    }
    for n in (0..count).filter(|n| n % 4 != 0) {
        assert!(shard.remove(DB, key(&n.to_le_bytes()), Event::Del));
    }
    assert!(shard.memory.arena().is_sparse());
    shard.begin_undo();
    for n in (0..count).filter(|n| n % 6000 == 0) {
        assert!(shard.remove(DB, key(&(n + count).to_le_bytes()), Event::Del));
    }
    tend_to_the_end(&mut shard);
    shard.check();
    shard.undo();
    assert!(shard.memory.arena().is_sparse());
    tend_to_the_end(&mut shard);
    shard.check();
    assert!(!shard.memory.arena().is_sparse(), "it goes on afterwards");
}

#[test]
#[should_panic(expected = "one log at a time")]
fn a_log_is_not_opened_twice() {
    let mut shard = shard();
    shard.begin_undo();
    shard.begin_undo();
}

/// What others see and do while a log lies aside is as if its owner had done nothing, but for the keys that it changed.
#[test]
fn while_a_log_lies_aside_others_are_told_of_what_they_do_and_lose_nothing_by_it() {
    for stands in [false, true] {
        let mut observed = Observed::new(false, Alike::Nothing);
        let large = vec![b'v'; 100_000];
        for (name, value) in [
            (&b"owned"[..], &b"1"[..]),
            (b"large", &large),
            (b"other", b"1"),
        ] {
            set(&mut observed.shard, name, value);
        }
        let shard = &mut observed.shard;
        drop(shard.journal().take_notes());
        shard.watch(1, DB, key(b"owned"));
        shard.watch(2, DB, key(b"other"));
        shard.awaited().add(DB, b"owned", STRINGS);
        shard.awaited().add(DB, b"other", STRINGS);
        let (changes, records) = (shard.journal().changes(), observed.records.borrow().len());
        shard.begin_undo();
        set(shard, b"owned", b"2");
        let soon = Some(UnixMillis(1_000_001));
        let is_set = shard.set_deadline(DB, key(b"large"), soon, Event::Expire);
        assert_eq!(is_set, Ok(true));
        let undo = shard.lay_undo_aside();
        assert!(!shard.is_undoable() && !shard.journal().has_notes());
        assert_eq!(shard.journal().changes(), changes, "nothing has happened");
        set(shard, b"other", b"2");
        let told = shard.journal().take_notes();
        let told: Vec<Vec<u8>> = told.iter().map(|note| note.key.to_vec()).collect();
        assert_eq!(told, [b"other", b"other"], "a change and its event");
        assert_eq!(shard.awaited().take_written(), [(DB, b"other"[..].into())]);
        assert_eq!(observed.records.borrow().len(), records + 1);
        assert!(shard.watch_holds(1) && !shard.watch_holds(2));
        // It would be due now.
        shard.set_now(UnixMillis(1_000_002));
        assert!(shard.get(DB, key(b"large"), Access::Peek).is_none());
        shard.expire_cycle(1000);
        shard.tend(1000);
        shard.take_up_undo(undo);
        if stands {
            shard.end_undo();
        } else {
            shard.undo();
        }
        shard.check();
        let value = |shard: &mut Shard, name: &[u8]| {
            let found = shard.get(DB, key(name), Access::Peek);
            found.map(|entry| entry.value().to_vec())
        };
        assert_eq!(value(shard, b"other"), Some(b"2".to_vec()));
        let (owned, is_there): (&[u8], _) = if stands { (b"2", false) } else { (b"1", true) };
        assert_eq!(value(shard, b"owned"), Some(owned.to_vec()));
        assert_eq!(value(shard, b"large").is_some(), is_there);
        assert_eq!(shard.watch_holds(1), !stands);
        assert_eq!(shard.journal().has_notes(), stands);
        assert_eq!(shard.awaited().has_written(), stands);
    }
}

#[test]
#[cfg_attr(miri, ignore = "many megabytes")]
fn a_value_written_in_place_is_put_back_though_what_it_became_is_freed_later() {
    let mut shard = shard();
    let large = vec![b'v'; 2 << 20];
    set(&mut shard, b"large", &large);
    shard.begin_undo();
    shard
        .write_range(DB, key(b"large"), 0, b"x", Event::SetRange)
        .expect("memory");
    let other = DbIndex(1);
    shard.flush(other);
    // More than are freed at once.
    for n in 0..400 {
        let name = format!("{n}");
        let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
        let name = key(name.as_bytes());
        shard
            .set(other, name, b"v", form, ttl, Event::Set)
            .expect("memory");
    }
    let events = (Event::MoveFrom, Event::MoveTo);
    let (from, to) = ((DB, key(b"large")), (other, key(b"large")));
    assert_eq!(shard.relocate(from, to, events), Ok(true));
    shard.undo();
    let entry = shard.get(DB, key(b"large"), Access::Peek);
    assert!(entry.expect("put back").value() == large);
    tend_to_the_end(&mut shard);
    shard.check();
}
