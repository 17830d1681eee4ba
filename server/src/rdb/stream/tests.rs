//! What is written is read again, and nothing that is damaged is believed.

use super::*;
use crate::rdb::{Output, Packing};
use larder_engine::{Access, DbIndex, Event, Fields, KeyHasher, Kind, Shard, ShardOptions};

const DB: DbIndex = DbIndex(0);

fn shard() -> Shard {
    Shard::new(&ShardOptions {
        databases: 1,
        memory_ceiling_bytes: 1 << 30,
        hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
    })
    .unwrap()
}

/// The changes that a stream is read as, which `!` stands behind, as texts.
fn changes(kind: u8, bytes: &[u8]) -> Result<Vec<String>, Fault> {
    let bytes = [bytes, b"!"].concat();
    let body = Input::new(&bytes);
    let mut stream = Stream::open(kind, body)?.unwrap();
    let mut changes = Vec::new();
    while let Some(change) = stream.next_change(body)? {
        changes.push(format!("{change:?}"));
    }
    assert_eq!(stream.rest(body).rest(), b"!");
    Ok(changes)
}

/// What a stream comes to know of producers, and of a consumer that was never active.
fn production() -> [StreamChange<'static>; 5] {
    let produced = |producer, iid, ms| StreamChange::Produced {
        producer,
        iid,
        id: StreamId::new(ms, 1),
        is_oldest: false,
    };
    [
        StreamChange::Producers {
            duration_secs: 60,
            most: 7,
        },
        produced(b"one", b"a", 1),
        produced(b"one", b"b", 2),
        produced(b"two", b"a", 3),
        StreamChange::Consumer {
            group: b"group",
            consumer: b"idle",
            seen_at: UnixMillis(78),
            active_at: None,
        },
    ]
}

/// A stream of so many entries, and what it is written as, with its type before it.
fn written(entries: u64, producers: bool) -> (Shard, Vec<u8>) {
    let mut shard = shard();
    let key = shard.hasher().key(b"k");
    let mut stream = shard.stream_mut(DB, key).unwrap();
    for number in 0..entries {
        let mut fields = Vec::new();
        Fields::write(b"name", number.to_string().as_bytes(), &mut fields);
        if number % 7 == 3 {
            Fields::write(b"another", &vec![b'x'; 50 * number as usize], &mut fields);
        }
        let id = StreamId::new(1000 + number * number, number % 3);
        let fields = &fields[..];
        stream.change(&StreamChange::Added { id, fields }).unwrap();
    }
    let (group, consumer) = (&b"group"[..], &b"consumer"[..]);
    for change in [
        StreamChange::Removed {
            id: StreamId::new(1001, 1),
        },
        StreamChange::Group {
            group,
            last_id: StreamId::new(1004, 2),
            entries_read: None,
        },
        StreamChange::Consumer {
            group,
            consumer,
            seen_at: UnixMillis(77),
            active_at: Some(UnixMillis(77)),
        },
        StreamChange::Pending {
            group,
            consumer,
            id: StreamId::new(1004, 2),
            delivered_at: UnixMillis(99),
            deliveries: 3,
        },
        StreamChange::Group {
            group: b"other",
            last_id: StreamId::MIN,
            entries_read: Some(0),
        },
    ] {
        stream.change(&change).unwrap();
    }
    if producers {
        for change in production() {
            stream.change(&change).unwrap();
        }
    }
    stream.close(1, &[Event::XAdd]);
    let view = shard.stream(DB, key, Access::Peek).unwrap().unwrap();
    let mut out = Output::new(Packing::None);
    out.byte(StreamWriter::kind_of(&view));
    let mut writer = StreamWriter::begin(&view, &mut out);
    view.walk(StreamId::MIN, larder_engine::Direction::Up, &mut |entry| {
        writer.push(&entry, &mut out);
        std::ops::ControlFlow::Continue(())
    });
    writer.finish(&view, &mut out);
    let bytes = out.into_bytes();
    (shard, bytes)
}

#[test]
fn what_is_written_is_read_again() {
    let producers = |entries| [(entries, false), (entries, true)];
    for (entries, producers) in [3, 64, 65, 250].map(producers).concat() {
        let (mut shard, bytes) = written(entries, producers);
        let id = shard.begin_loose(Kind::Stream, None);
        let (&kind, bytes) = bytes.split_first().unwrap();
        assert_eq!(kind, if producers { 26 } else { 19 });
        let body = Input::new(bytes);
        let mut stream = Stream::open(kind, body).unwrap().unwrap();
        while let Some(change) = stream.next_change(body).unwrap() {
            shard.change_loose(id, &change).unwrap();
        }
        assert!(stream.rest(body).is_empty());
        let (from, to) = (shard.hasher().key(b"k"), shard.hasher().key(b"copy"));
        let attributes = (None, larder_engine::AccessClock(0));
        shard
            .put_loose(DB, to, id, attributes, Event::Restore)
            .unwrap();
        let mut rows = [from, to].map(|key| {
            let mut row = Vec::new();
            let stream = shard.stream(DB, key, Access::Peek).unwrap().unwrap();
            stream.each_change(&mut |change| row.push(format!("{change:?}")));
            row
        });
        rows.iter_mut().for_each(|row| row.sort());
        assert_eq!(rows[0], rows[1], "{entries} entries");
    }
}

/// `XADD s 1-1 a 1`, `XADD s 1-2 a 2`, `XADD s 2-1 b x`, `XDEL s 1-2`, and `1-1` given to a consumer of a group, by Redis 7.0.15.
const OF_REDIS_7: &[u8] = b"\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xc306\x076\x00\x00\x00\x16\x00\x02\x01@\x00\x07\x81a\x02\x00\x01\x02\x01\x00 \x01\x04\x01\x01\x04\x01\x03`\x07\x00\x02 \x09@\x0f@\x03\x08\x81b\x02\x81x\x02\x06\x01\xff\x02\x02\x01\x01\x01\x01\x02\x03\x01\x01g\x01\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xe6Ss+\xa2\x01\x00\x00\x01\x01\x01c\xe6Ss+\xa2\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01";

/// The same by Redis 8.6.3, and then `XADD s IDMP p i * b y`.
const OF_REDIS_8: &[u8] = b"\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\xc3@F@O\x07O\x00\x00\x00\x1d\x00\x03\x01@\x00\x07\x81a\x02\x00\x01\x02\x01\x00 \x01\x04\x01\x01\x04\x01\x03`\x07\x00\x02 \x09@\x0f@\x03\x06\x81b\x02\x81x\x02\x06 \x0b\x0c\xf4GUs+\xa2\x01\x00\x00\x09\xdf\xff\x02\x80\x18\x00y \x18\x00\xff\x03\x81\x00\x00\x01\xa2+sUH\x00\x01\x01\x01\x02\x04\x01\x01g\x01\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01HUs+\xa2\x01\x00\x00\x01\x01\x01cHUs+\xa2\x01\x00\x00HUs+\xa2\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01@d@d\x01\x01p\x01\x01i\x81\x00\x00\x01\xa2+sUH\x00\x01\x00";

#[test]
fn streams_that_redis_has_written_are_read() {
    let of_7 = changes(19, OF_REDIS_7).unwrap();
    let names = |changes: &[String]| {
        let name = |change: &String| change.split([' ', '(']).next().unwrap().to_owned();
        changes.iter().map(name).collect::<Vec<String>>()
    };
    let common = ["Entries", "Marks", "Group", "Consumer", "Pending"];
    assert_eq!(names(&of_7), common);
    assert!(of_7[1].contains("entries_added: 3"), "{}", of_7[1]);
    assert!(of_7[1].contains("max_deleted_id: StreamId { ms: 1, seq: 2 }"));
    assert!(of_7[4].contains("deliveries: 1"), "{}", of_7[4]);
    let of_8 = changes(26, OF_REDIS_8).unwrap();
    let expected = [
        "Entries",
        "Marks",
        "Group",
        "Consumer",
        "Pending",
        "Producers",
        "Produced",
        "Marks",
    ];
    assert_eq!(names(&of_8), expected);
    assert!(of_8[7].contains("iids_added: 1"), "{}", of_8[7]);
}

#[test]
fn every_cut_and_many_changed_bytes_are_refused_or_read_without_a_panic() {
    let (_, bytes) = written(12, true);
    let (&kind, bytes) = bytes.split_first().unwrap();
    for len in 0..bytes.len() {
        let body = Input::new(&bytes[..len]);
        let mut is_damaged = false;
        match Stream::open(kind, body) {
            Ok(stream) => {
                let mut stream = stream.unwrap();
                loop {
                    match stream.next_change(body) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => {
                            is_damaged = true;
                            break;
                        }
                    }
                }
            }
            Err(_) => is_damaged = true,
        }
        assert!(is_damaged, "{len} of {} bytes", bytes.len());
    }
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = bytes.to_vec();
            changed[at] ^= flip;
            let body = Input::new(&changed);
            for kind in [15, 19, 21, 26] {
                if let Ok(Some(mut stream)) = Stream::open(kind, body) {
                    while let Ok(Some(_)) = stream.next_change(body) {}
                }
            }
        }
    }
}

#[test]
fn names_that_entries_have_in_common_are_written_and_kept_once() {
    const NAME_BYTES: usize = 100_000;
    const ENTRIES: u64 = 3000;
    let mut shard = shard();
    let key = shard.hasher().key(b"k");
    let mut stream = shard.stream_mut(DB, key).unwrap();
    let mut fields = Vec::new();
    Fields::write(&[b'n'; NAME_BYTES], b"value", &mut fields);
    for number in 1..=ENTRIES {
        let (id, fields) = (StreamId::new(number, 0), &fields[..]);
        stream.change(&StreamChange::Added { id, fields }).unwrap();
    }
    stream.close(1, &[Event::XAdd]);
    let used = |shard: &Shard| shard.memory().used_bytes();
    let of_one = used(&shard);
    assert!(of_one < 2_000_000, "{of_one}");
    let view = shard.stream(DB, key, Access::Peek).unwrap().unwrap();
    let mut out = Output::new(Packing::None);
    out.byte(StreamWriter::kind_of(&view));
    let mut writer = StreamWriter::begin(&view, &mut out);
    view.walk(StreamId::MIN, larder_engine::Direction::Up, &mut |entry| {
        writer.push(&entry, &mut out);
        std::ops::ControlFlow::Continue(())
    });
    writer.finish(&view, &mut out);
    let bytes = out.into_bytes();
    assert!(bytes.len() < 3 * NAME_BYTES, "{}", bytes.len());
    let id = shard.begin_loose(Kind::Stream, None);
    let (&kind, bytes) = bytes.split_first().unwrap();
    let body = Input::new(bytes);
    let mut stream = Stream::open(kind, body).unwrap().unwrap();
    while let Some(change) = stream.next_change(body).unwrap() {
        shard.change_loose(id, &change).unwrap();
        assert!(stream.held_bytes() < 5 * NAME_BYTES);
    }
    let of_both = used(&shard);
    assert!(of_both < 2 * of_one + 500_000, "{of_one}, then {of_both}");
    shard.drop_loose(id);
}
