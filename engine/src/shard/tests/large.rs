//! Large values against the model, and what becomes of their memory.

use super::*;
use crate::ValueBytes;

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
        1 => (db.clone(), key.clone(), db.clone(), key.clone()).prop_map(|(d, k, e, l)| Op::Relocate(d, k, e, l)),
        2 => (db.clone(), key.clone(), db.clone(), key).prop_map(|(d, k, e, l)| Op::Copy(d, k, e, l)),
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
        // The last of those who held a buffer gives it back.
        for image in pair.held.drain(..) {
            if let ValueBytes::Shared(buffer, _) = image.bytes {
                pair.shard.bury(buffer);
            }
        }
        tend_to_the_end(&mut pair.shard);
        let memory = pair.shard.memory();
        assert_eq!((pair.shard.bytes_beside_nodes(), memory.payload_bytes), (0, 0));
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
    let full = shard.bytes_beside_nodes();
    put(&mut shard, b"key", &value[..(2 << 20)], TtlChange::Clear);
    assert_eq!(
        shard.bytes_beside_nodes(),
        full,
        "the tail counts until it is given back"
    );
    tend_to_the_end(&mut shard);
    let shorter = shard.memory();
    assert_eq!(shard.bytes_beside_nodes(), full - (1 << 20));
    assert_eq!(shorter.payload_bytes, 3 + (2 << 20));
    take(&mut shard, b"key");
    assert_eq!(shard.bytes_beside_nodes(), 2 << 20);
    assert_eq!(shard.memory().payload_bytes, 0);
    let mut steps = 0;
    while shard.tend(1) {
        steps += 1;
        shard.check();
    }
    assert!(steps >= 2, "a mebibyte at a time");
    assert_eq!(shard.bytes_beside_nodes(), 0);
}

/// What there is of the large value at `key`, and where.
fn address(shard: &mut Shard, key: &[u8]) -> usize {
    let key = shard.hasher().clone().key(key);
    let entry = shard.get(DB, key, Access::Peek).expect("it is there");
    entry.value().as_ptr() as usize
}

/// Two shards that have one value of 3 MiB together, the second as `new`; and the image by which it got there.
fn two_with_one_value() -> (Shard, Shard, ValueImage) {
    let (mut source, mut destination) = (shard(), shard());
    put(&mut source, b"key", &vec![b'v'; 3 << 20], TtlChange::Clear);
    let hasher = source.hasher().clone();
    let found = source.get(DB, hasher.key(b"key"), Access::Peek);
    let image = found.expect("it is there").shared_image();
    destination
        .put(DB, hasher.key(b"new"), &image, Event::RenameTo)
        .expect("memory");
    (source, destination, image)
}

#[test]
#[cfg_attr(miri, ignore = "many megabytes")]
fn an_image_of_a_large_value_goes_to_another_shard_without_being_copied() {
    let mut alone = shard();
    put(&mut alone, b"key", &vec![b'v'; 3 << 20], TtlChange::Clear);
    let used = alone.bytes_beside_nodes();
    let (mut source, mut destination, image) = two_with_one_value();
    let hasher = source.hasher().clone();
    let at = address(&mut source, b"key");
    assert_eq!(address(&mut destination, b"new"), at);
    assert_eq!(source.bytes_beside_nodes(), used);
    assert_eq!(
        destination.bytes_beside_nodes(),
        used,
        "each counts what it has"
    );
    drop(image);
    // Shared, it is nobody's to change: the first to write has a copy.
    let written = source.write_range(DB, hasher.key(b"key"), 0, b"x", Event::SetRange);
    written.expect("memory");
    assert_ne!(address(&mut source, b"key"), at);
    assert_eq!(read(&mut source, b"key").expect("there")[..2], *b"xv");
    assert_eq!(read(&mut destination, b"new").expect("there")[..2], *b"vv");
    // The other is alone with it then, and writes in place.
    let written = destination.write_range(DB, hasher.key(b"new"), 0, b"y", Event::SetRange);
    written.expect("memory");
    assert_eq!(address(&mut destination, b"new"), at);
    for (shard, key) in [(&mut source, b"key".as_slice()), (&mut destination, b"new")] {
        assert!(take(shard, key));
        shard.check();
        tend_to_the_end(shard);
        assert_eq!(shard.bytes_beside_nodes(), 0);
    }
}

#[test]
#[cfg_attr(miri, ignore = "many megabytes")]
fn a_removed_value_that_another_shard_has_counts_no_more_at_once() {
    let (mut source, mut destination, image) = two_with_one_value();
    let hasher = source.hasher().clone();
    drop(image);
    assert!(take(&mut source, b"key"));
    assert_eq!((source.bytes_beside_nodes(), source.dying_bytes()), (0, 0));
    // It is the other's alone at once, not when the source has been tended.
    let at = address(&mut destination, b"new");
    let written = destination.write_range(DB, hasher.key(b"new"), 0, b"y", Event::SetRange);
    written.expect("memory");
    assert_eq!(address(&mut destination, b"new"), at);
    assert!(take(&mut destination, b"new"));
    assert_eq!(destination.dying_bytes(), 3 << 20, "the last gives it back");
}
