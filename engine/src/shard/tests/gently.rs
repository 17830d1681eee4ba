//! Large things go gently: what goes as a whole is freed in slices, whatever took it away, and none of them is long. A slice is measured by the
//! bytes it frees, not by the clock.

use super::*;
use crate::evict::{PolicyName, Scope};
use crate::limits::{FREED_AT_ONCE_BLOCKS, GIVEN_BACK_AT_ONCE_BYTES, NODE_MAX_BYTES};
use crate::stream::{Fields, StreamChange, StreamId};
use crate::{End, Lfu};

const ELEMENTS: u32 = 200_000;
const KEYS: u32 = 100_000;

/// What a slice of a collection may free: its blocks, and those that it looks at before it sees that they are enough.
const SLICE_MAX_BYTES: u64 = (FREED_AT_ONCE_BLOCKS as u64 + 16) * NODE_MAX_BYTES as u64;

/// What a step of house-keeping may give back of memory that went as a whole: some slabs.
const RELEASE_MAX_BYTES: u64 = 4 * GIVEN_BACK_AT_ONCE_BYTES;

/// A large collection of each type.
const KINDS: [Kind; 5] = [
    Kind::Hash,
    Kind::Set,
    Kind::List,
    Kind::SortedSet,
    Kind::Stream,
];

/// How it goes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Removed,
    Overwritten,
    Expired,
    Evicted,
    Flushed,
}

const WAYS: [Way; 5] = [
    Way::Removed,
    Way::Overwritten,
    Way::Expired,
    Way::Evicted,
    Way::Flushed,
];

fn make(shard: &mut Shard, name: &[u8], kind: Kind, elements: u32) {
    let key = shard.hasher().clone().key(name);
    let numbered = |n: u32| format!("element:{n:08}").into_bytes();
    match kind {
        Kind::String => unreachable!("a string has no elements"),
        Kind::Hash => {
            let mut hash = shard.hash_mut(DB, key).expect("nothing is there");
            for n in 0..elements {
                let set = hash.set(&numbered(n), b"value", TtlChange::Clear);
                set.expect("memory");
            }
            hash.close(&[Event::HSet]);
        }
        Kind::Set => {
            let mut set = shard.set_mut(DB, key).expect("nothing is there");
            for n in 0..elements {
                set.add(&numbered(n)).expect("memory");
            }
            set.close(&[Event::SAdd]);
        }
        Kind::List => {
            let mut list = shard.list_mut(DB, key).expect("nothing is there");
            for n in 0..elements {
                list.push(End::Tail, &numbered(n)).expect("memory");
            }
            list.close(&[Event::RPush]);
        }
        Kind::SortedSet => {
            let mut set = shard.sorted_set_mut(DB, key).expect("nothing is there");
            for n in 0..elements {
                set.set(&numbered(n), f64::from(n)).expect("memory");
            }
            set.close(&[Event::ZAdd]);
        }
        Kind::Stream => {
            let mut stream = shard.stream_mut(DB, key).expect("nothing is there");
            for n in 0..elements {
                let mut fields = Vec::new();
                Fields::write(b"field", &numbered(n), &mut fields);
                let added = StreamChange::Added {
                    id: StreamId::new(u64::from(n) + 1, 0),
                    fields: &fields,
                };
                stream.change(&added).expect("memory");
            }
            stream.close(u64::from(elements), &[Event::XAdd]);
        }
    }
}

/// Has the only entry that may go go.
fn lose(shard: &mut Shard, name: &[u8], way: Way) {
    let key = shard.hasher().clone().key(name);
    match way {
        Way::Removed => assert!(take(shard, name)),
        Way::Overwritten => put(shard, name, b"short", TtlChange::Clear),
        Way::Expired => {
            let soon = UnixMillis(shard.now().0 + 10);
            let set = shard.set_deadline(DB, key, Some(soon), Event::Expire);
            assert_eq!(set, Ok(true));
            shard.set_now(UnixMillis(soon.0 + 100));
            assert_eq!(shard.expire_cycle(1).expired, 1);
        }
        Way::Evicted => {
            shard.set_eviction(Some(&EvictionOptions {
                policy: PolicyName::Random,
                scope: Scope::AllKeys,
                samples: 5,
                lfu: Lfu::default(),
                capacity_bytes: 1 << 20,
            }));
            // The other entry is locked, as it were.
            let goes = key.hash();
            while shard.evict(|hash| hash != goes) != Evicted::Entry {}
        }
        Way::Flushed => {
            shard.flush(DB);
        }
    }
}

/// Takes steps of house-keeping to the end, none of which frees more than `most` bytes; how many they were.
fn tend_gently(shard: &mut Shard, most: u64) -> u64 {
    let mut steps = 0;
    loop {
        let before = shard.memory().used_bytes();
        let has_more = shard.tend(1);
        let freed = before.saturating_sub(shard.memory().used_bytes());
        assert!(freed <= most, "{freed} bytes in a step");
        steps += 1;
        if !has_more {
            return steps;
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "millions of elements")]
fn a_large_collection_is_freed_in_slices_however_it_goes() {
    for kind in KINDS {
        for way in WAYS {
            let mut shard = shard();
            shard.set_now(UnixMillis(1_700_000_000_000));
            let other = shard.hasher().clone().key(b"other");
            let how = (StringForm::Detect, TtlChange::Clear, Event::Set);
            let stored = shard.set(DbIndex(1), other, b"stays", how.0, how.1, how.2);
            stored.expect("memory");
            make(&mut shard, b"large", kind, ELEMENTS);
            let full = shard.memory().used_bytes();
            lose(&mut shard, b"large", way);
            let at_once = full.saturating_sub(shard.memory().used_bytes());
            assert!(at_once <= SLICE_MAX_BYTES, "{kind:?} {way:?}: {at_once}");
            assert_eq!(shard.lazy_objects().pending, 1, "{kind:?} {way:?}");
            let steps = tend_gently(&mut shard, SLICE_MAX_BYTES);
            let left = shard.memory().used_bytes();
            assert!(steps >= (full - left) / SLICE_MAX_BYTES, "{kind:?} {way:?}");
            assert!(left < full / 20, "{kind:?} {way:?}: {left} of {full}");
            let lazy = shard.lazy_objects();
            assert_eq!((lazy.pending, lazy.freed), (0, 1), "{kind:?} {way:?}");
            shard.check();
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "hundreds of thousands of entries")]
fn many_keys_are_flushed_in_slices_alone_or_beside_others() {
    for beside in [false, true] {
        let mut shard = shard();
        fill(&mut shard, KEYS, TtlChange::Clear);
        if beside {
            let other = shard.hasher().clone().key(b"other");
            let how = (StringForm::Detect, TtlChange::Clear, Event::Set);
            let stored = shard.set(DbIndex(1), other, b"stays", how.0, how.1, how.2);
            stored.expect("memory");
        }
        let full = shard.memory().used_bytes();
        shard.flush(DB);
        let at_once = full.saturating_sub(shard.memory().used_bytes());
        assert!(at_once <= SLICE_MAX_BYTES, "{at_once} bytes at once");
        assert_eq!(shard.lazy_objects().pending, u64::from(KEYS));
        let most = match beside {
            true => SLICE_MAX_BYTES,
            false => RELEASE_MAX_BYTES,
        };
        let steps = tend_gently(&mut shard, most);
        assert!(steps >= full / most, "{steps} steps");
        let lazy = shard.lazy_objects();
        assert_eq!((lazy.pending, lazy.freed), (0, u64::from(KEYS)));
        shard.check();
    }
}

#[test]
fn an_object_is_told_of_as_freed_lazily_once_and_small_ones_are_not() {
    let mut shard = shard();
    let large = 2 * crate::limits::FREED_LAZILY_ELEMENTS as u32;
    // One entry alone: a stream of one, and a hash that is packed.
    make(&mut shard, b"stream", Kind::Stream, 1);
    make(&mut shard, b"hash", Kind::Hash, 3);
    take(&mut shard, b"stream");
    take(&mut shard, b"hash");
    tend_to_the_end(&mut shard);
    assert_eq!(shard.lazy_objects(), crate::LazyObjects::default());
    // Flushed with 300 keys, a large collection among them is one object like any other.
    fill(&mut shard, 299, TtlChange::Clear);
    make(&mut shard, b"stream", Kind::Stream, large);
    let other = shard.hasher().clone().key(b"other");
    let how = (StringForm::Detect, TtlChange::Clear, Event::Set);
    let stored = shard.set(DbIndex(1), other, b"stays", how.0, how.1, how.2);
    stored.expect("memory");
    shard.flush(DB);
    assert_eq!(shard.lazy_objects().pending, 300);
    tend_to_the_end(&mut shard);
    let lazy = shard.lazy_objects();
    assert_eq!((lazy.pending, lazy.freed), (0, 300));
    // A flush that is taken back has freed nothing.
    fill(&mut shard, 299, TtlChange::Clear);
    shard.begin_undo();
    shard.flush(DB);
    assert_eq!(shard.lazy_objects().pending, 0);
    shard.undo();
    tend_to_the_end(&mut shard);
    assert_eq!(shard.lazy_objects(), lazy);
    shard.check();
}
