//! What the model cannot say by itself: bytes an entry, memory given back, ids at the borders.

use proptest::prelude::*;

use super::model::play;
use super::{Fields, Stream, StreamChange, StreamId};
use crate::UnixMillis;
use crate::nodes::{Heap, Owner};

fn cases(count: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(miri) { 2 } else { count };
    }
    config
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_stream_does_what_the_model_does(steps in prop::collection::vec(any::<u8>(), 1..1200)) {
        play(&steps);
    }
}

fn fields(values: [&[u8]; 2]) -> Vec<u8> {
    let mut out = Vec::new();
    Fields::write(b"temperature", values[0], &mut out);
    Fields::write(b"humidity", values[1], &mut out);
    out
}

fn apply(stream: &mut Stream, heap: &mut Heap, change: &StreamChange<'_>) {
    assert_eq!(stream.apply(heap, change), Ok(()));
}

fn filled(heap: &mut Heap, count: u64) -> Stream {
    let mut stream = Stream::new(Owner(1));
    let fields = fields([b"12345678", b"12345678"]);
    for number in 0..count {
        let id = StreamId::new(1_700_000_000_000 + number * 3, 0);
        let fields = &fields[..];
        apply(&mut stream, heap, &StreamChange::Added { id, fields });
    }
    stream
}

#[test]
fn an_entry_of_two_small_fields_takes_at_most_six_bytes_beside_its_values() {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let count = if cfg!(miri) { 1000 } else { 100_000 };
    let stream = filled(&mut heap, count);
    let bytes = stream.block_bytes() as f64 / count as f64 - 16.0;
    assert!(bytes < 6.0, "{bytes} bytes an entry");
}

#[test]
fn what_is_pending_takes_few_bytes_and_gives_them_back() {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let count = if cfg!(miri) { 500 } else { 100_000 };
    let mut stream = filled(&mut heap, count);
    let entries = stream.block_bytes();
    let group = &b"group"[..];
    let made = StreamChange::Group {
        group,
        last_id: StreamId::MAX,
        entries_read: None,
    };
    apply(&mut stream, &mut heap, &made);
    for consumer in [&b"one"[..], b"two"] {
        let made = StreamChange::Consumer {
            group,
            consumer,
            seen_at: UnixMillis(0),
            active_at: None,
        };
        apply(&mut stream, &mut heap, &made);
    }
    let ids = (0..count).map(|number| StreamId::new(1_700_000_000_000 + number * 3, 0));
    for (number, id) in ids.clone().enumerate() {
        let pending = StreamChange::Pending {
            group,
            consumer: [&b"one"[..], b"two"][number / 10 % 2],
            id,
            delivered_at: UnixMillis(id.ms as i64 + 5000),
            deliveries: 1,
        };
        apply(&mut stream, &mut heap, &pending);
    }
    let bytes = (stream.block_bytes() - entries) as f64 / count as f64;
    assert!(bytes < 10.0, "{bytes} bytes for each that is pending");
    for id in ids {
        apply(
            &mut stream,
            &mut heap,
            &StreamChange::Acknowledged { group, id },
        );
    }
    stream.check(&heap);
    assert_eq!(stream.block_bytes(), entries);
}

#[test]
fn half_an_entry_in_two_deleted_gives_the_memory_back() {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let count = if cfg!(miri) { 1000 } else { 100_000 };
    let mut stream = filled(&mut heap, count);
    for number in (0..count).filter(|number| number % 10 != 0) {
        let id = StreamId::new(1_700_000_000_000 + number * 3, 0);
        apply(&mut stream, &mut heap, &StreamChange::Removed { id });
    }
    stream.check(&heap);
    let left = stream.len();
    let fresh = {
        let mut heap = Heap::new(1 << 30).expect("address space");
        filled(&mut heap, left).block_bytes()
    };
    let ratio = stream.block_bytes() as f64 / fresh as f64;
    assert!(ratio < 1.5, "{ratio} of one built fresh");
}

#[test]
fn ids_at_the_borders_are_kept() {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let mut stream = Stream::new(Owner(1));
    let fields = fields([b"", b""]);
    let ids = [
        StreamId::new(0, 1),
        StreamId::new(0, u64::MAX),
        StreamId::new(1, 0),
        StreamId::new(u64::MAX, 0),
        StreamId::MAX,
    ];
    for id in ids {
        let fields = &fields[..];
        apply(&mut stream, &mut heap, &StreamChange::Added { id, fields });
    }
    stream.check(&heap);
    for id in ids {
        assert!(stream.view(&heap).contains(id));
        apply(&mut stream, &mut heap, &StreamChange::Removed { id });
        stream.check(&heap);
    }
    assert_eq!(stream.len(), 0);
    assert_eq!(stream.view(&heap).marks().max_deleted_id, StreamId::MAX);
}
