//! Large collections in a shard: they move, are handed from key to key, and are freed in slices, with every byte accounted for.

use super::*;
use crate::nodes::Owner;

fn field(n: u32) -> Vec<u8> {
    format!("field:{n:010}").into_bytes()
}

/// The value of a field of this number: of sixteen bytes, every tenth longer than lies in a node, every thousandth than in a
/// block.
fn value(n: u32) -> Vec<u8> {
    let len = match n {
        n if n % 1000 == 7 => 40_000,
        n if n % 10 == 7 => 300,
        _ => 16,
    };
    vec![n as u8; len]
}

/// Makes a large hash.
fn make_hash(shard: &mut Shard, key: &[u8], fields: std::ops::Range<u32>) -> Owner {
    let hasher = shard.hasher().clone();
    let opened = shard.hash_mut(DB, hasher.key(key));
    let mut hash = opened.expect("it is a hash, or nothing");
    for n in fields {
        hash.set(&field(n), &value(n), TtlChange::Clear)
            .expect("memory");
    }
    hash.close(&[Event::HSet]);
    hash_at(shard, key).expect("it is there, and large")
}

fn remove_fields(shard: &mut Shard, key: &[u8], fields: impl Iterator<Item = u32>) {
    let hasher = shard.hasher().clone();
    let mut hash = shard.hash_mut(DB, hasher.key(key)).expect("it is a hash");
    fields.for_each(|n| assert!(hash.remove(&field(n))));
    hash.close(&[Event::HDel]);
}

/// The collection at a key.
fn hash_at(shard: &mut Shard, key: &[u8]) -> Option<Owner> {
    let hasher = shard.hasher().clone();
    let item = shard.find_to_read(DB, hasher.key(key)).and_then(item_of)?;
    shard.memory.collection_of(item)
}

fn assert_fields(shard: &mut Shard, key: &[u8], mut fields: impl Iterator<Item = u32>) {
    let hasher = shard.hasher().clone();
    let hash = shard.hash(DB, hasher.key(key), Access::Peek);
    let hash = hash.expect("it is a hash").expect("it is there");
    let all = |n: u32| {
        hash.get(&field(n))
            .is_some_and(|found| found.value == value(n))
    };
    assert!(fields.all(all));
}

#[test]
fn what_is_left_of_a_hash_moves_together_and_the_rest_goes_back_to_the_system() {
    let mut shard = shard();
    let count = 60_000;
    make_hash(&mut shard, b"hash", 0..count);
    fill(&mut shard, 10_000, TtlChange::Clear);
    let full = shard.memory();
    remove_fields(&mut shard, b"hash", (0..count).filter(|n| n % 10 != 0));
    for n in (0..10_000).filter(|n| n % 5 != 0) {
        take(&mut shard, &number(n));
    }
    tend_to_the_end(&mut shard);
    shard.check();
    assert_fields(&mut shard, b"hash", (0..count).step_by(10));
    let left = shard.memory();
    assert!(
        left.arena_bytes < full.arena_bytes / 8 + (6 << 20),
        "{left:?} of {full:?}"
    );
}

#[test]
fn a_removed_hash_counts_until_it_is_freed_in_slices() {
    let mut shard = shard();
    let empty = shard.bytes_beside_nodes();
    make_hash(&mut shard, b"hash", 0..30_000);
    let full = shard.memory();
    assert!(take(&mut shard, b"hash"));
    shard.check();
    let removed = shard.memory();
    assert_eq!(
        (
            shard.dying_bytes() > full.entry_bytes / 2,
            removed.payload_bytes
        ),
        (true, 0)
    );
    let mut slices = 0;
    let mut used = removed.entry_bytes;
    while shard.tend(1) {
        shard.check();
        let now = shard.bytes_beside_nodes();
        assert!(
            now <= used && used - now < 2 << 20,
            "a slice frees {}",
            used - now
        );
        used = now;
        slices += 1;
        if slices > 20 {
            break;
        }
    }
    assert!(slices > 20);
    tend_to_the_end(&mut shard);
    shard.check();
    assert_eq!(shard.bytes_beside_nodes(), empty);
    assert_eq!(shard.dying_bytes(), 0);
}

#[test]
fn nodes_move_while_their_collection_is_being_freed() {
    let mut shard = shard();
    make_hash(&mut shard, b"other", 0..40_000);
    make_hash(&mut shard, b"hash", 0..40_000);
    remove_fields(&mut shard, b"other", (0..40_000).filter(|n| n % 8 != 0));
    take(&mut shard, b"hash");
    let (mut slices, mut compacted) = (0, 0);
    while shard.memory.trim_some() {
        slices += 1;
        compacted += u32::from(shard.compact(20));
    }
    assert!(slices > 20 && compacted > 20, "{slices} {compacted}");
    tend_to_the_end(&mut shard);
    shard.check();
    assert_fields(&mut shard, b"other", (0..40_000).step_by(8));
}

#[test]
fn memory_usage_of_a_hash_is_what_it_occupies() {
    let mut shard = shard();
    let before = shard.memory().used_bytes();
    make_hash(&mut shard, b"hash", 0..5000);
    let used = shard.memory().used_bytes() - before;
    let key = shard.hasher().clone().key(b"hash");
    let entry = shard.get(DB, key, Access::Peek).expect("it is there");
    assert_eq!(
        (entry.kind().name(), entry.encoding().name()),
        ("hash", "hashtable")
    );
    assert_eq!(entry.string(), None);
    // Not of one hash: the other slots of the first chunk, the keyspace's first node, and lists of the arena.
    let usage = entry.memory_bytes();
    assert!(usage <= used && used - usage < 24_000, "{usage} of {used}");
}

#[test]
fn a_hash_goes_with_its_key() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    let hash = make_hash(&mut shard, b"one", 0..500);
    let events = (Event::RenameFrom, Event::RenameTo);
    let key = vec![b'k'; 20_000];
    assert_eq!(
        shard.relocate((DB, hasher.key(b"one")), (DB, hasher.key(&key)), events),
        Ok(true)
    );
    let deadline = Some(UnixMillis(1000));
    assert_eq!(
        shard.set_deadline(DB, hasher.key(&key), deadline, Event::Expire),
        Ok(true)
    );
    assert_eq!(hash_at(&mut shard, &key), Some(hash));
    assert_eq!(hash_at(&mut shard, b"one"), None);
    assert_fields(&mut shard, &key, 0..500);
    shard.check();
    shard.set_now(UnixMillis(1000));
    assert_eq!(hash_at(&mut shard, &key), None);
    tend_to_the_end(&mut shard);
    assert_eq!(shard.bytes_beside_nodes(), 0);
}

#[test]
fn a_string_written_over_a_hash_and_flushes_leave_nothing_of_it() {
    let mut shard = shard();
    for round in 0..4 {
        make_hash(&mut shard, b"one", 0..3000);
        make_hash(&mut shard, b"two", 0..3000);
        match round {
            0 => put(&mut shard, b"one", b"v", TtlChange::Clear),
            1 => {
                let key = shard.hasher().clone().key(b"other");
                let options = (StringForm::Detect, TtlChange::Clear, Event::Set);
                shard
                    .set(DbIndex(1), key, b"v", options.0, options.1, options.2)
                    .expect("memory");
            }
            _ => {}
        }
        shard.flush(DB);
        tend_to_the_end(&mut shard);
        shard.flush(DbIndex(1));
        tend_to_the_end(&mut shard);
        shard.check();
        assert_eq!(shard.bytes_beside_nodes(), 0);
    }
}

#[test]
fn what_was_done_to_a_hash_as_a_whole_is_taken_back() {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    let hash = make_hash(&mut shard, b"one", 0..2000);
    let used = shard.bytes_beside_nodes();
    let events = (Event::RenameFrom, Event::RenameTo);
    for what in 0..5 {
        shard.begin_undo();
        match what {
            0 => assert!(take(&mut shard, b"one")),
            1 => put(&mut shard, b"one", b"v", TtlChange::Clear),
            2 => {
                let moved =
                    shard.relocate((DB, hasher.key(b"one")), (DB, hasher.key(b"two")), events);
                assert_eq!(moved, Ok(true));
                assert_eq!(hash_at(&mut shard, b"two"), Some(hash));
                assert_fields(&mut shard, b"two", 0..2000);
            }
            3 => {
                let deadline = Some(UnixMillis(1000));
                assert_eq!(
                    shard.set_deadline(DB, hasher.key(b"one"), deadline, Event::Expire),
                    Ok(true)
                );
            }
            _ => assert_eq!(shard.flush(DB), 1),
        }
        shard.check();
        shard.undo();
        tend_to_the_end(&mut shard);
        shard.check();
        assert_eq!(hash_at(&mut shard, b"one"), Some(hash));
        assert_fields(&mut shard, b"one", 0..2000);
        // An item that had a deadline for a while may have a block with room for one.
        let is_used = shard.bytes_beside_nodes();
        assert!(is_used <= used + 8, "{what}: {is_used} {used}");
    }
    shard.begin_undo();
    assert!(take(&mut shard, b"one"));
    shard.end_undo();
    tend_to_the_end(&mut shard);
    assert_eq!(shard.bytes_beside_nodes(), 0);
}

#[test]
#[should_panic = "the elements of a collection are not in its item"]
fn there_is_no_image_of_a_collections_number() {
    let mut shard = shard();
    make_hash(&mut shard, b"hash", 0..1000);
    let key = shard.hasher().clone().key(b"hash");
    let entry = shard.get(DB, key, Access::Peek).expect("it is there");
    let _ = entry.image();
}
