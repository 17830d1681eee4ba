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
fn a_stream_of_an_entry_takes_its_root_and_a_node_however_long_its_entries_have_been() {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let mut stream = filled(&mut heap, 1);
    assert!(stream.list_bytes() < 640, "{}", stream.list_bytes());
    assert!(stream.block_bytes() < 256, "{}", stream.block_bytes());
    let mut long = Vec::new();
    Fields::write(b"field", &[b'v'; 40_000], &mut long);
    let (id, fields) = (StreamId::new(1_800_000_000_000, 0), &long[..]);
    let before = stream.list_bytes();
    apply(&mut stream, &mut heap, &StreamChange::Added { id, fields });
    apply(&mut stream, &mut heap, &StreamChange::Removed { id });
    assert!(stream.list_bytes() <= before + 64);
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
    // Each of the three trees keeps a short leaf.
    assert!(stream.block_bytes() <= entries + 3 * 256);
    apply(&mut stream, &mut heap, &StreamChange::GroupGone { group });
    stream.check(&heap);
    assert!(stream.block_bytes() <= entries + 64);
}

#[test]
fn consumers_of_a_group_that_is_gone_are_freed_in_slices() {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let mut stream = filled(&mut heap, 100);
    let before = (stream.block_bytes(), stream.list_bytes());
    let group = &b"group"[..];
    let made = StreamChange::Group {
        group,
        last_id: StreamId::MAX,
        entries_read: None,
    };
    apply(&mut stream, &mut heap, &made);
    for number in 0..500u32 {
        let consumer = &number.to_le_bytes()[..];
        let made = StreamChange::Consumer {
            group,
            consumer,
            seen_at: UnixMillis(0),
            active_at: None,
        };
        apply(&mut stream, &mut heap, &made);
        let pending = StreamChange::Pending {
            group,
            consumer,
            id: StreamId::new(u64::from(number), 0),
            delivered_at: UnixMillis(0),
            deliveries: 1,
        };
        apply(&mut stream, &mut heap, &pending);
    }
    apply(&mut stream, &mut heap, &StreamChange::GroupGone { group });
    stream.check(&heap);
    let mut slices = 0;
    while let Some(freed) = stream.reclaim(&mut heap, 64) {
        assert!(freed <= 66, "{freed}");
        slices += 1;
        stream.check(&heap);
    }
    assert!(slices >= 15, "{slices}");
    // The page of nodes has room for some more, and the list of trees stays as long.
    assert!(stream.block_bytes() <= before.0 + 64);
    assert!(stream.list_bytes() < before.1 + 600 * 112);
    while stream.dismantle(&mut heap, 64).is_some() {}
    assert_eq!(heap.arena.live_bytes(), 0);
}

#[test]
fn a_stream_that_is_gone_gives_its_names_back_in_slices() {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let mut stream = filled(&mut heap, 10);
    for group in 0..20u8 {
        let group = &[group][..];
        let made = StreamChange::Group {
            group,
            last_id: StreamId::MAX,
            entries_read: None,
        };
        apply(&mut stream, &mut heap, &made);
        for consumer in 0..20u8 {
            let consumer = &[consumer][..];
            let made = StreamChange::Consumer {
                group,
                consumer,
                seen_at: UnixMillis(0),
                active_at: None,
            };
            apply(&mut stream, &mut heap, &made);
            let produced = StreamChange::Produced {
                producer: group,
                iid: consumer,
                id: StreamId::MIN,
                is_oldest: false,
            };
            apply(&mut stream, &mut heap, &produced);
        }
    }
    let gone = StreamChange::GroupGone { group: &[7] };
    apply(&mut stream, &mut heap, &gone);
    let mut slices = 0;
    while let Some(freed) = stream.dismantle(&mut heap, 8) {
        assert!(freed <= 8 + 20, "{freed}");
        slices += 1;
    }
    assert!(slices >= 20 * 20 / 8, "{slices}");
    assert_eq!(stream.state_bytes, 0);
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

fn named(names: &[&str], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        Fields::write(name.as_bytes(), value, &mut out);
    }
    out
}

/// Makes changes, then takes them back from the last to the first, as an undo log does; bytes of what leads back.
fn there_and_back(stream: &mut Stream, heap: &mut Heap, changes: &[StreamChange<'_>]) -> usize {
    let mut back = Vec::new();
    for change in changes {
        let mut inverse = Vec::new();
        stream.write_inverse(heap, change, &mut inverse);
        apply(stream, heap, change);
        back.push(inverse);
    }
    for inverse in back.iter().rev() {
        let mut rest = &inverse[..];
        while !rest.is_empty() {
            let change = StreamChange::read(&mut rest);
            apply(stream, heap, &change);
        }
    }
    back.iter().map(Vec::len).sum()
}

#[test]
fn what_is_taken_back_takes_no_more_room_than_it_had_whatever_the_names_are() {
    let wide: Vec<String> = (0..20)
        .map(|number| format!("field name {number}"))
        .collect();
    let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    let long = ["name ".repeat(500), "word ".repeat(20_000)];
    let sets: [&[&str]; 4] = [&["a", "b"], &wide, &[&long[0]], &[&long[1], "b"]];
    // How many entries in a row have the same names.
    for in_a_row in [150, 37, 1] {
        let mut heap = Heap::new(1 << 30).expect("address space");
        let mut stream = Stream::new(Owner(1));
        let count = if cfg!(miri) { 300 } else { 1500 };
        let id = |number: u64| StreamId::new(1_700_000_000_000 + number * 7, number % 3);
        for number in 0..count {
            // What lies apart comes in rows, lest there be a gigabyte of names.
            let sets = if in_a_row == 1 { &sets[..2] } else { &sets[..] };
            let names = sets[(number / in_a_row) as usize % sets.len()];
            let fields = &named(names, b"12345678")[..];
            let id = id(number);
            apply(&mut stream, &mut heap, &StreamChange::Added { id, fields });
        }
        let before = stream.block_bytes();
        let all = |step: usize| {
            (0..count)
                .step_by(step)
                .map(|number| StreamChange::Removed { id: id(number) })
        };
        let trimmed = |first, last| StreamChange::Trimmed {
            first: id(first),
            last: id(last),
        };
        let ways: [(&str, Vec<StreamChange<'_>>); 7] = [
            ("the first half", vec![trimmed(0, count / 2)]),
            ("all", vec![trimmed(0, count)]),
            (
                "all in pieces",
                (0..count)
                    .step_by(60)
                    .map(|at| trimmed(at, at + 60))
                    .collect(),
            ),
            ("one by one", all(1).collect()),
            (
                "one by one, backwards",
                all(1).collect::<Vec<_>>().into_iter().rev().collect(),
            ),
            ("every other one", all(2).collect()),
            ("the middle", vec![trimmed(count / 3, count / 2)]),
        ];
        for (way, changes) in ways {
            let log_bytes = there_and_back(&mut stream, &mut heap, &changes);
            stream.check(&heap);
            assert_eq!(stream.len(), count, "{way}");
            let after = stream.block_bytes();
            let most = before + before / 8 + 4096;
            assert!(
                after <= most,
                "{way}, {in_a_row} in a row: {before}, then {after}"
            );
            if changes.len() == 1 {
                assert!(
                    log_bytes as u64 <= 2 * before,
                    "{way}: {log_bytes} of {before}"
                );
            }
        }
    }
}

#[test]
fn entries_that_come_together_take_memory_in_proportion_to_what_they_came_as() {
    let mut heap = Heap::new(1 << 30).expect("address space");
    for (name_bytes, count) in [
        (20, 5000),
        (900, 5000),
        (5000, 5000),
        (100_000, 5000),
        (100_000, 1),
    ] {
        let mut stream = Stream::new(Owner(1));
        let (mut together, mut names) = (super::Together::default(), Vec::new());
        super::varint::write_text(&vec![b'n'; name_bytes], &mut names);
        for number in 0..count {
            together.push(StreamId::new(5, number + 1), true, b"1");
        }
        let entries = together.bytes();
        let change = StreamChange::Entries {
            names: &names,
            entries,
        };
        apply(&mut stream, &mut heap, &change);
        stream.check(&heap);
        assert_eq!(stream.len(), count);
        let came = (names.len() + entries.len()) as u64;
        let most = match name_bytes <= 1024 {
            // Each leaf has them.
            true => count / 100 * (name_bytes as u64 + 64) + 3 * came,
            false => 3 * came,
        };
        let bytes = stream.block_bytes();
        assert!(
            bytes <= most + 4096,
            "{name_bytes} by {count}: {bytes} of {came}"
        );
        // What it is sent as is no larger.
        let (mut sent, from) = (Vec::new(), (StreamId::MIN, StreamId::MAX));
        assert_eq!(
            stream.write_entries(&heap, from, usize::MAX, &mut sent),
            None
        );
        assert!(
            sent.len() as u64 <= most + 4096,
            "{name_bytes} by {count}: {} sent",
            sent.len()
        );
        while stream.dismantle(&mut heap, 5).is_some() {}
        assert_eq!(stream.block_bytes(), 0);
    }
}

#[test]
fn long_names_are_kept_once_and_freed_with_the_last_leaf_that_has_them() {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let mut stream = Stream::new(Owner(1));
    let names = ["n".repeat(3000), "m".repeat(40_000)];
    let count = 1000;
    for number in 0..count {
        let fields = &named(&[&names[usize::from(number >= 500)]], b"value")[..];
        let id = StreamId::new(number + 1, 0);
        apply(&mut stream, &mut heap, &StreamChange::Added { id, fields });
    }
    stream.check(&heap);
    assert!(
        stream.block_bytes() < 80_000,
        "{} bytes",
        stream.block_bytes()
    );
    for (last, most) in [(500, 60_000), (1000, 0)] {
        let (first, last) = (StreamId::MIN, StreamId::new(last, 0));
        apply(
            &mut stream,
            &mut heap,
            &StreamChange::Trimmed { first, last },
        );
        stream.check(&heap);
        assert!(stream.block_bytes() <= most);
    }
}

#[test]
fn a_group_that_is_gone_is_freed_in_slices() {
    let mut heap = Heap::new(1 << 30).expect("address space");
    let count = if cfg!(miri) { 3000 } else { 100_000 };
    let mut stream = filled(&mut heap, count);
    let entries = stream.block_bytes();
    let (group, consumer) = (&b"group"[..], &b"me"[..]);
    let made = [
        StreamChange::Group {
            group,
            last_id: StreamId::MAX,
            entries_read: None,
        },
        StreamChange::Consumer {
            group,
            consumer,
            seen_at: UnixMillis(0),
            active_at: None,
        },
    ];
    for round in 0..2 {
        made.iter()
            .for_each(|change| apply(&mut stream, &mut heap, change));
        for number in 0..count {
            let id = StreamId::new(1_700_000_000_000 + number * 3, 0);
            let pending = StreamChange::Pending {
                group,
                consumer,
                id,
                delivered_at: UnixMillis(id.ms as i64),
                deliveries: 300,
            };
            apply(&mut stream, &mut heap, &pending);
        }
        let with_group = stream.block_bytes();
        apply(&mut stream, &mut heap, &StreamChange::GroupGone { group });
        stream.check(&heap);
        assert!(stream.has_some_to_reclaim() && stream.view(&heap).group(group).is_none());
        assert!(stream.block_bytes() > entries + (with_group - entries) / 2);
        // It comes again while the old one is being freed.
        if round == 0 {
            continue;
        }
        let mut slices = 0;
        while let Some(freed) = stream.reclaim(&mut heap, 8) {
            assert!(freed <= 16, "{freed} blocks at once");
            slices += 1;
            if slices % 16 == 0 {
                stream.check(&heap);
            }
        }
        stream.check(&heap);
        assert!(slices > 10 && !stream.has_some_to_reclaim());
        assert_eq!(stream.block_bytes(), entries);
    }
}
