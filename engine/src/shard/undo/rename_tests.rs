//! A large collection that comes to another key while the log is open keeps its nodes, and what is done to it there is taken back.

use super::element_tests::{Act, DB, change, collection, contents, make, run, set_field};
use crate::DbIndex;
use crate::list::End;
use crate::shard::tests::{shard, tend_to_the_end};

/// What becomes of a collection under another key is taken back under the one that it had.
#[test]
fn a_large_collection_keeps_its_number_when_it_is_renamed_and_all_is_taken_back() {
    use Act::{
        Cut, Deadline, Drop, Flush, Pop, Push, Remove, Rename, Set, Swap, Tend, Vary, Write,
    };
    let other = DbIndex(1);
    // The hash of key 0 and the list of key 1 are renamed to the keys behind, and changed before and after.
    let changes = |hash: usize, list: usize| {
        [
            Set(hash, 1, 30, Some(1_500_000)),
            Set(hash, 80, 700, None),
            Drop(hash, 2),
            Push(list, End::Head, 20, 200),
            Pop(list, End::Tail, 150),
            Cut(list, 6, 100),
            Vary(hash),
            Vary(list),
        ]
    };
    let to = |from: usize, db| Rename(from, from + 2, db);
    let back = |from: usize| Rename(from + 2, from, DB);
    let ends: [&[Act]; 9] = [
        &[],
        &[back(0), back(1)],
        &[Remove(2), Remove(3)],
        &[Write(2), Write(3)],
        &[Rename(2, 4, DB), Rename(3, 5, DB), Remove(4)],
        &[Flush, Tend],
        &[Swap, Flush, Swap],
        &[Deadline(2, Some(1_700_000)), Remove(2)],
        // Over a large one that was there, and of which the log has changes.
        &[
            Set(4, 1, 40, None),
            Rename(2, 4, DB),
            Rename(4, 0, DB),
            Tend,
        ],
    ];
    for (nth, end) in ends.into_iter().enumerate() {
        for db in [DB, other] {
            for (stands, is_changed_before) in [(false, false), (false, true), (true, true)] {
                let mut shard = shard();
                for at in [0, 1, 4] {
                    make(&mut shard, at);
                }
                for n in 0..60 {
                    for at in [0, 4] {
                        change(&mut shard, at, &Set(at, n, 30, None), n.into());
                    }
                }
                change(&mut shard, 1, &Push(1, End::Tail, 20, 1000), 0);
                let was = contents(&shard);
                let numbers = [0, 1].map(|at| collection(&mut shard, at));
                shard.begin_undo();
                let mut run_all = |acts: &[Act]| {
                    for (seed, act) in acts.iter().enumerate() {
                        run(&mut shard, act, 100 + seed);
                        shard.check();
                    }
                };
                if is_changed_before {
                    run_all(&changes(0, 1));
                }
                run_all(&[to(0, db), to(1, db)]);
                if db == other {
                    run_all(&[Swap]);
                }
                run_all(&changes(2, 3));
                run_all(end);
                if nth == 1 && db == DB {
                    assert_eq!([0, 1].map(|at| collection(&mut shard, at)), numbers);
                }
                if stands {
                    let is = contents(&shard);
                    shard.end_undo();
                    tend_to_the_end(&mut shard);
                    shard.check();
                    assert!(contents(&shard) == is, "{nth} {db:?}");
                    shard.begin_undo();
                    run(&mut shard, &Remove(0), 0);
                    shard.undo();
                    assert!(contents(&shard) == is, "{nth} {db:?}");
                    continue;
                }
                shard.undo();
                assert_eq!([0, 1].map(|at| collection(&mut shard, at)), numbers);
                shard.check();
                assert!(contents(&shard) == was, "{nth} {db:?}");
                tend_to_the_end(&mut shard);
                shard.check();
                assert!(contents(&shard) == was, "{nth} {db:?}");
            }
        }
    }
}

/// Renaming is one step, whatever the size.
#[test]
fn renaming_a_large_collection_takes_no_room_in_the_log() {
    let mut shard = shard();
    make(&mut shard, 0);
    for n in 0..2000u32 {
        set_field(&mut shard, 0, &n.to_le_bytes(), b"value");
    }
    let before = shard.memory().used_bytes();
    shard.begin_undo();
    for _ in 0..100 {
        run(&mut shard, &Act::Rename(0, 2, DB), 0);
        run(&mut shard, &Act::Rename(2, 0, DB), 0);
    }
    let taken = shard.memory().used_bytes() - before;
    assert!(taken < 2000, "{taken}");
    shard.undo();
    shard.check();
}
