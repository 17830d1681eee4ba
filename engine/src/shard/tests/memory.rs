//! What is removed gives its memory back.

use super::*;

#[test]
fn memory_returns_after_a_flush_of_everything() {
    let mut shard = shard();
    fill(&mut shard, 50_000, TtlChange::Clear);
    put(&mut shard, b"big", &vec![1; 20 << 20], TtlChange::Clear);
    let full = shard.memory();
    assert_eq!(shard.flush(DB), 50_001);
    assert_eq!(shard.len(DB), 0);
    assert!(
        shard.memory().used_bytes() > full.used_bytes() / 2,
        "counted until freed"
    );
    put(&mut shard, b"next", b"v", TtlChange::Clear);
    tend_to_the_end(&mut shard);
    shard.check();
    assert_eq!(read(&mut shard, b"next"), Some(b"v".to_vec()));
    assert!(shard.memory().arena_bytes <= 8192, "{:?}", shard.memory());
}

#[test]
fn memory_returns_after_one_of_two_databases_is_flushed() {
    let mut shard = shard();
    let key = shard.hasher().clone().key(b"other");
    shard
        .set(
            DbIndex(1),
            key,
            b"v",
            StringForm::Detect,
            TtlChange::Clear,
            Event::Set,
        )
        .expect("memory");
    fill(&mut shard, 50_000, TtlChange::Clear);
    shard.flush(DB);
    assert!(shard.tend(100), "one step does not do it all");
    tend_to_the_end(&mut shard);
    shard.check();
    assert!(shard.memory().arena_bytes < 3 << 20, "{:?}", shard.memory());
    assert!(shard.get(DbIndex(1), key, Access::Touch).is_some());
}

#[test]
fn a_flush_of_little_does_not_wait_for_what_was_flushed_before() {
    let mut shard = shard();
    let (little, other) = (DbIndex(1), DbIndex(2));
    let key = shard.hasher().clone().key(b"key");
    for db in [little, other] {
        let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
        let set = shard.set(db, key, b"v", form, ttl, Event::Set);
        set.expect("memory");
    }
    fill(&mut shard, 50_000, TtlChange::Clear);
    shard.flush(DB);
    let used = shard.memory().used_bytes();
    shard.flush(little);
    assert!(shard.memory().used_bytes() > used - 10_000);
    tend_to_the_end(&mut shard);
    shard.check();
    assert!(shard.memory().used_bytes() < used / 10);
}

#[test]
fn memory_returns_after_scattered_removals() {
    let mut shard = shard();
    let count = 300_000;
    fill(&mut shard, count, TtlChange::Clear);
    let full = shard.memory().arena_bytes;
    for n in 0..count {
        if n % 10 != 0 {
            take(&mut shard, &number(n));
        }
    }
    tend_to_the_end(&mut shard);
    shard.check();
    let left = shard.memory();
    assert!(
        left.arena_bytes < full / 10 + (8 << 20),
        "{left:?} of {full}"
    );
    for n in (0..count).step_by(10) {
        assert_eq!(read(&mut shard, &number(n)), Some(vec![b'v'; 64]));
    }
    assert!(!shard.tend(1000), "and then there is nothing to do");
}

/// A number at random below a bound.
fn draw(random: &mut u64, below: u64) -> u64 {
    *random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
    (*random >> 33) % below
}

/// Compaction goes on in small steps while databases are exchanged and emptied, and logs are opened and taken back.
#[test]
#[cfg_attr(miri, ignore = "slow: megabytes of entries")]
fn nodes_and_items_move_while_whole_databases_come_and_go() {
    for seed in 0..4 {
        let (mut shard, mut random) = (shard(), seed);
        let mut model: Vec<BTreeMap<u64, u8>> = vec![BTreeMap::new(); 3];
        let hasher = shard.hasher().clone();
        let value_of = |n: u64, fill: u8| {
            vec![
                fill;
                if n.is_multiple_of(4) {
                    300
                } else {
                    n as usize % 200
                }
            ]
        };
        let mut turns = 0;
        let mut moved = false;
        while turns < 400 {
            turns += 1;
            let db = draw(&mut random, 3) as usize;
            let at = DbIndex(db as u16);
            let (first, fill) = (draw(&mut random, 40_000), turns as u8);
            let (count, is_undone) = (draw(&mut random, 1500), draw(&mut random, 8) == 0);
            let tends = draw(&mut random, 60);
            let was = model.clone();
            if is_undone {
                shard.begin_undo();
            }
            match draw(&mut random, 12) {
                0..=4 => {
                    for n in first..first + count {
                        let (key, value) = (n.to_le_bytes(), value_of(n, fill));
                        let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
                        let set = shard.set(at, hasher.key(&key), &value, form, ttl, Event::Set);
                        set.expect("memory");
                        model[db].insert(n, fill);
                    }
                }
                5..=9 => {
                    for n in (first..40_000).step_by(3).take(2000) {
                        let is_there = model[db].remove(&n).is_some();
                        let key = n.to_le_bytes();
                        assert_eq!(shard.remove(at, hasher.key(&key), Event::Del), is_there);
                    }
                }
                10 => {
                    let other = draw(&mut random, 3) as usize;
                    shard.swap(at, DbIndex(other as u16));
                    model.swap(db, other);
                }
                _ => {
                    shard.flush(at);
                    model[db].clear();
                }
            }
            if is_undone {
                shard.undo();
                model = was;
            }
            for _ in 0..tends {
                shard.tend(20);
                moved |= shard.memory.arena().evacuating().is_some();
            }
            if turns % 20 == 0 {
                shard.check();
                for (db, entries) in model.iter().enumerate() {
                    let mut seen = 0;
                    shard.for_each(DbIndex(db as u16), &mut |entry| {
                        let n = u64::from_le_bytes(entry.key().try_into().expect("a number"));
                        assert_eq!(entry.value(), value_of(n, entries[&n]));
                        seen += 1;
                    });
                    assert_eq!(seen, entries.len());
                    for &n in entries.keys().take(500) {
                        let key = n.to_le_bytes();
                        assert!(
                            shard
                                .get(DbIndex(db as u16), hasher.key(&key), Access::Peek)
                                .is_some()
                        );
                    }
                }
            }
        }
        assert!(moved, "some slabs were emptied");
    }
}
