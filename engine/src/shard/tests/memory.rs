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
