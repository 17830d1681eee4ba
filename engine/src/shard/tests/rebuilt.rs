//! Entries made anew: they are what they were, nobody is told, and what was there before is freed.

use super::*;
use crate::{Kind, Record};

#[test]
fn what_is_made_anew_is_what_it_was_and_no_change() {
    let mut shard = shard();
    let deadline = Some(UnixMillis(5_000_000));
    let access = AccessClock(77);
    put(&mut shard, b"string", &[b'v'; 300], TtlChange::Clear);
    loose::make(&mut shard, b"list", Kind::List, 3000);
    loose::make(&mut shard, b"small", Kind::Hash, 60);
    loose::make(&mut shard, b"hash", Kind::Hash, 3000);
    let records = Rc::new(RefCell::new(0));
    let seen = Rc::clone(&records);
    let see = Box::new(move |_: &Record<'_>| *seen.borrow_mut() += 1);
    for name in [&b"string"[..], b"list", b"small", b"hash"] {
        let key = shard.hasher().clone().key(name);
        shard
            .set_deadline(DB, key, deadline, Event::Expire)
            .expect("memory");
        shard.set_access(DB, key, access);
    }
    shard.journal().subscribe(see);
    for name in [&b"string"[..], b"list", b"small", b"hash"] {
        let key = shard.hasher().clone().key(name);
        shard.watch(7, DB, key);
        let was = loose::entry(&mut shard, name);
        for _ in 0..3 {
            match was.as_ref().map(|entry| &entry.value) {
                Some(Value::String(value)) => {
                    shard.rebuild_string(DB, key, value, (deadline, access))
                }
                _ => {
                    let (image, _) = shard
                        .part(DB, key, (PartFrom::default(), usize::MAX))
                        .expect("it is there");
                    let id = shard.begin_loose(image.kind, None);
                    shard.add_part(id, &image.bytes).expect("memory");
                    shard.rebuild_collection(DB, key, id, (deadline, access))
                }
            }
            .expect("memory");
            shard.check();
            assert!(loose::entry(&mut shard, name) == was);
        }
    }
    assert_eq!(*records.borrow(), 0);
    assert!(shard.watch_holds(7));
    for name in [&b"string"[..], b"list", b"small", b"hash"] {
        assert!(take(&mut shard, name));
    }
    tend_to_the_end(&mut shard);
    shard.check();
    assert_eq!(shard.bytes_beside_nodes(), 0);
}
