//! Large values against the model, and what becomes of their memory.

use super::*;

fn large() -> impl Strategy<Value = Content> {
    let len = prop_oneof![
        2 => 20_000usize..70_000,
        2 => 70_000usize..900_000,
        3 => 1_000_000usize..1_300_000,
        1 => 2_000_000usize..4_000_000,
    ];
    (len, any::<u8>()).prop_map(|(len, seed)| Content(len, seed))
}

/// Values of all places in memory on two keys, so that each is overwritten by the others.
pub(in crate::shard) fn op_on_large_values() -> impl Strategy<Value = Op> {
    let (db, key) = (0u16..1, 20u8..22);
    let small = (0usize..50, any::<u8>()).prop_map(|(len, seed)| Content(len, seed));
    prop_oneof![
        4 => (db.clone(), key.clone(), large()).prop_map(|(d, k, c)| Op::Set(d, k, c, Ttl::Clear)),
        4 => (db.clone(), key.clone(), large(), 0usize..100_000)
            .prop_map(|(d, k, c, h)| Op::SetLent(d, k, c, h)),
        4 => (db.clone(), key.clone(), 0usize..1_500_000, small)
            .prop_map(|(d, k, o, c)| Op::WriteRange(d, k, o, c)),
        1 => (db.clone(), key.clone(), 0usize..10_000, large())
            .prop_map(|(d, k, o, c)| Op::WriteRange(d, k, o, c)),
        1 => (db.clone(), key.clone()).prop_map(|(d, k)| Op::Remove(d, k)),
        1 => (db.clone(), key.clone(), Just(Some(100i64))).prop_map(|(d, k, t)| Op::SetDeadline(d, k, t)),
        1 => (db.clone(), key.clone(), db.clone(), key).prop_map(|(d, k, e, l)| Op::Relocate(d, k, e, l)),
        1 => db.prop_map(Op::Flush),
        2 => (0u32..3000).prop_map(Op::Tend),
    ]
}

proptest! {
    #![proptest_config(cases(60, 1))]

    #[test]
    #[cfg_attr(miri, ignore = "megabytes, byte by byte")]
    fn large_values_do_what_the_model_does(ops in prop::collection::vec(op_on_large_values(), 1..25)) {
        let mut pair = Pair::new();
        for op in &ops {
            pair.apply(op);
            pair.compare();
        }
        pair.shard.flush(DB);
        tend_to_the_end(&mut pair.shard);
        let memory = pair.shard.memory();
        assert_eq!((memory.entry_bytes, memory.payload_bytes), (0, 0));
        // Free pages and slabs kept for what comes next.
        assert!(memory.arena_bytes <= (4 << 20) + (2 << 20), "{memory:?}");
    }
}

/// Entries of 40 KiB to a mebibyte come and go until each has been replaced many times.
#[test]
#[cfg_attr(miri, ignore = "many megabytes")]
fn churn_of_large_values_leaves_little_memory_behind() {
    let mut shard = shard();
    let mut random = 1u64;
    let mut below = |bound: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % bound
    };
    let value = vec![b'v'; 1 << 20];
    for step in 0..6000 {
        let key = number(below(150) as u32);
        if below(3) == 0 {
            take(&mut shard, &key);
        } else {
            let bytes = (40 << 10) + below(984 << 10) as usize;
            put(&mut shard, &key, &value[..bytes], TtlChange::Clear);
        }
        // As at the end of a turn.
        shard.tend(256);
        if step % 500 == 0 {
            shard.check();
        }
        let memory = shard.memory();
        // What rounding to pages adds, at most a page to ten, and what is kept: a sixteenth and a few megabytes.
        let most = memory.payload_bytes * 11 / 10 * 17 / 16 + (8 << 20);
        assert!(memory.arena_bytes <= most, "{memory:?} after {step} steps");
    }
    shard.flush(DB);
    tend_to_the_end(&mut shard);
    assert!(shard.memory().arena_bytes <= 6 << 20);
}

#[test]
fn a_large_value_is_neither_zeroed_nor_given_back_within_the_command() {
    let mut shard = shard();
    let value = vec![b'v'; 3 << 20];
    put(&mut shard, b"key", &value, TtlChange::Clear);
    let full = shard.memory().entry_bytes;
    put(&mut shard, b"key", &value[..(2 << 20)], TtlChange::Clear);
    assert_eq!(
        shard.memory().entry_bytes,
        full,
        "the tail counts until it is given back"
    );
    tend_to_the_end(&mut shard);
    let shorter = shard.memory();
    assert_eq!(shorter.entry_bytes, full - (1 << 20));
    assert_eq!(shorter.payload_bytes, 3 + (2 << 20));
    take(&mut shard, b"key");
    assert_eq!(shard.memory().entry_bytes, 2 << 20);
    assert_eq!(shard.memory().payload_bytes, 0);
    let mut steps = 0;
    while shard.tend(1) {
        steps += 1;
        shard.check();
    }
    assert!(steps >= 2, "a mebibyte at a time");
    assert_eq!(shard.memory().entry_bytes, 0);
}
