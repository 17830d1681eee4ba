//! What is written is read again, whatever the cuts; and what is damaged is refused.

use proptest::prelude::*;

use super::*;
use crate::rdb::{
    Checksum, Fault, HashForm, HashWriter, ListWriter, Output, Packing, SetWriter, SortedSetForm,
    SortedSetWriter, Summed, Value, Version,
};

/// An entry, its value as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    db: u64,
    key: Vec<u8>,
    kind: u8,
    deadline_ms: Option<i64>,
    history: Option<History>,
    value: Vec<u8>,
}

/// What else there is in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Contents {
    version: Option<Version>,
    notes: Vec<(Vec<u8>, Vec<u8>)>,
    libraries: Vec<Vec<u8>>,
    sizes: Vec<(u64, u64, u64)>,
    slots: Vec<(u64, u64, u64)>,
    modules: Vec<String>,
    slot_imports: usize,
    entries: Vec<Owned>,
    trailer: Option<Trailer>,
}

/// Reads a file that comes in pieces of these lengths, over and over, and whose values come in pieces of `piece_bytes`.
fn read(file: &[u8], cuts: &[usize], piece_bytes: usize) -> Result<Contents, Damage> {
    let mut frames = Frames::in_pieces(Checksum::Checked, piece_bytes);
    let (mut contents, mut db, mut at) = (Contents::default(), 0, 0);
    let mut cuts = cuts.iter().cycle();
    loop {
        while let Some(frame) = frames.next_frame()? {
            match frame {
                Frame::Header(version) => contents.version = Some(version),
                Frame::Note { name, text } => {
                    contents.notes.push((name.into_owned(), text.into_owned()));
                }
                Frame::Database(number) => db = number,
                Frame::Sizes { keys, expiring } => contents.sizes.push((db, keys, expiring)),
                Frame::Slot {
                    slot,
                    keys,
                    expiring,
                } => contents.slots.push((slot, keys, expiring)),
                Frame::Library(source) => contents.libraries.push(source.into_owned()),
                Frame::Module(name) => contents.modules.push(name.to_string()),
                Frame::SlotImport => contents.slot_imports += 1,
                Frame::Entry(entry, piece) => {
                    assert_eq!(entry.db, db);
                    contents.entries.push(Owned {
                        db: entry.db,
                        key: entry.key.to_vec(),
                        kind: entry.kind,
                        deadline_ms: entry.deadline_ms,
                        history: entry.history,
                        value: Vec::new(),
                    });
                    add(&mut contents, file, piece);
                }
                Frame::More(piece) => add(&mut contents, file, piece),
                Frame::End(trailer) => contents.trailer = Some(trailer),
            }
        }
        if at == file.len() && contents.trailer.is_none() {
            frames.complete();
            continue;
        }
        if contents.trailer.is_some() {
            return Ok(contents);
        }
        let to = file.len().min(at + cuts.next().unwrap());
        frames.add(&file[at..to]);
        at = to;
    }
}

fn add(contents: &mut Contents, file: &[u8], piece: Piece<'_>) {
    let at = piece.at as usize;
    assert_eq!(&file[at..at + piece.bytes.len()], piece.bytes);
    let entry = contents.entries.last_mut().unwrap();
    entry.value.extend_from_slice(piece.bytes);
}

/// Checks the same by the readers of values.
fn check(file: &[u8], cut: usize, piece_bytes: usize) -> Result<Found, Damage> {
    let mut check = Check::in_pieces(piece_bytes);
    for bytes in file.chunks(cut) {
        check.add(bytes)?;
    }
    check.complete()?;
    assert_eq!(check.key(), None);
    Ok(check.found().clone())
}

fn written(write: impl FnOnce(&mut Output)) -> Vec<u8> {
    let mut out = Output::new(Packing::Lzf);
    write(&mut out);
    out.into_bytes()
}

/// Values of the types that are written, each with its type.
fn values() -> Vec<(u8, Vec<u8>)> {
    let string = |text: &[u8]| (Value::STRING, written(|out| out.string(text)));
    let list = |elements: &[&[u8]]| {
        let bytes = written(|out| {
            let mut writer = ListWriter::begin(elements.len() as u64, out);
            elements
                .iter()
                .for_each(|element| writer.push(element, out));
            writer.finish(out);
        });
        (ListWriter::KIND, bytes)
    };
    let hash = |form, deadline_ms| {
        let mut writer = HashWriter::new(form, deadline_ms);
        let kind = writer.kind();
        let bytes = written(|out| {
            writer.begin(3, out);
            writer.push(b"name", b"value", deadline_ms, out);
            writer.push(b"12", b"", None, out);
            writer.push(&[b'n'; 100], &[b'v'; 300], None, out);
            writer.finish(out);
        });
        (kind, bytes)
    };
    let set = |is_intset| {
        let mut writer = SetWriter::new(is_intset);
        let kind = writer.kind();
        let bytes = written(|out| {
            writer.begin(3, out);
            for member in [&b"1"[..], b"-300", b"70000"] {
                writer.push(member, out);
            }
            writer.finish(out);
        });
        (kind, bytes)
    };
    let sorted_set = |form: SortedSetForm| {
        let bytes = written(|out| {
            let mut writer = SortedSetWriter::begin(form, 2, out);
            writer.push(b"a", (-1.5, b"-1.5"), out);
            writer.push(b"b", (f64::INFINITY, b"inf"), out);
            writer.finish(out);
        });
        (form.kind(), bytes)
    };
    vec![
        string(b"some value"),
        string(b"-70000"),
        string(b""),
        string(&[b'x'; 1000]),
        list(&[b"a", b"12345", &[b'l'; 9000], b""]),
        hash(HashForm::Listpack, None),
        hash(HashForm::Strings, None),
        hash(HashForm::Listpack, Some(9_999_999_999_999)),
        hash(HashForm::Strings, Some(9_999_999_999_999)),
        set(true),
        set(false),
        sorted_set(SortedSetForm::Listpack),
        sorted_set(SortedSetForm::Strings),
    ]
}

/// An entry of each of them, and of the types that only old servers wrote, as they did.
fn all_entries() -> Vec<Owned> {
    let old: [(u8, &[u8]); 6] = [
        (1, b"\x02\x01a\xc0\x07"),
        (3, b"\x03\x01a\x031.5\x01b\xfe\x01c\xff"),
        (9, b"\x0d\x02\x01a\x01\x001\x01b\x00\x02??\xff"),
        (
            14,
            b"\x01\x0f\x0f\0\0\0\x0c\0\0\0\x02\0\x00\xf3\x02\xf6\xff",
        ),
        (15, STREAM),
        (19, STREAM_2),
    ];
    let old = old.map(|(kind, value)| (kind, value.to_vec()));
    let entry = |(at, (kind, value)): (usize, (u8, Vec<u8>))| Owned {
        db: (at / 5) as u64,
        key: format!("key {at}").into_bytes(),
        kind,
        deadline_ms: at
            .is_multiple_of(3)
            .then_some(9_999_999_000_000 + at as i64),
        history: [
            None,
            Some(History::Idle(at as u64 * 100)),
            Some(History::Frequency(at as u8)),
        ][at % 3],
        value,
    };
    values()
        .into_iter()
        .chain(old)
        .enumerate()
        .map(entry)
        .collect()
}

/// An entry, `1-0` with the field `a` of `b`; a group, `g`, whose consumer `c` has it pending.
const STREAM: &[u8] = b"\x01\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\
    \x1d\x1d\0\0\0\x0a\0\x01\x01\0\x01\x01\x01\x81a\x02\0\x01\x02\x01\0\x01\0\x01\x81b\x02\x04\x01\xff\
    \x01\x01\x00\
    \x01\x01g\x01\x00\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x02\
    \x01\x01c\x09\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0";

/// The same, of Redis 7.0.
const STREAM_2: &[u8] = b"\x01\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\
    \x1d\x1d\0\0\0\x0a\0\x01\x01\0\x01\x01\x01\x81a\x02\0\x01\x02\x01\0\x01\0\x01\x81b\x02\x04\x01\xff\
    \x01\x01\x00\x01\x00\x00\x00\x01\
    \x01\x01g\x01\x00\x01\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x02\
    \x01\x01c\x09\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0";

/// A file of these entries in chunks of so many, padded if there is a block.
fn file_of(entries: &[Owned], chunk: usize, block: Option<usize>) -> Vec<u8> {
    let facts = Facts {
        redis_version: "7.0.15",
        created_secs: 1_700_000_000,
        used_bytes: Some(123_456),
        is_log_base: false,
    };
    let mut header = Header::new(facts, Packing::Lzf);
    header.library(b"#!lua name=some\nredis.register_function('f', function() return 1 end)");
    header.sizes(0, 5, 2);
    header.sizes(1, 70_000, 0);
    if let Some(block) = block {
        header.pad_to(block);
    }
    let chunks: Vec<Sealed> = entries
        .chunks(chunk)
        .map(|entries| {
            let mut chunk = Chunk::new(Packing::Lzf);
            for entry in entries {
                let out = chunk.entry(entry.db, entry.deadline_ms, entry.history);
                out.byte(entry.kind);
                out.string(&entry.key);
                out.raw(&entry.value);
            }
            if let Some(block) = block {
                chunk.pad_to(block);
            }
            chunk.seal()
        })
        .collect();
    let header_bytes = header.len();
    let header = header.seal(Version(12));
    assert_eq!(header.summed.bytes, header_bytes as u64);
    let all = || std::iter::once(&header).chain(&chunks);
    let summed = all().fold(Summed::default(), |before, sealed| {
        before.then(sealed.summed)
    });
    let mut file = all()
        .flat_map(|sealed| sealed.pieces.concat())
        .collect::<Vec<u8>>();
    assert_eq!(summed, Summed::of([&file[..]]));
    file.extend_from_slice(&trailer(summed, Checksum::Checked));
    file
}

#[test]
fn what_is_written_is_read_again_at_every_cut() {
    let entries = all_entries();
    for (chunk, block) in [(1, None), (3, Some(64)), (100, Some(4096))] {
        let file = file_of(&entries, chunk, block);
        let whole = read(&file, &[usize::MAX], usize::MAX).unwrap();
        assert_eq!(whole.entries, entries);
        assert_eq!(whole.version, Some(Version(12)));
        assert_eq!(whole.trailer, Some(Trailer::Fits));
        assert_eq!(whole.sizes, [(0, 5, 2), (1, 70_000, 0)]);
        assert_eq!(whole.libraries.len(), 1);
        let notes = whole.notes.iter().filter(|(name, _)| name != b"pad");
        let notes: Vec<String> = notes
            .map(|(name, text)| format!("{}={}", name.escape_ascii(), text.escape_ascii()))
            .collect();
        let expected = "redis-ver=7.0.15 redis-bits=64 ctime=1700000000 used-mem=123456 aof-base=0";
        assert_eq!(notes.join(" "), expected);
        for (cut, piece_bytes) in [(1, 1), (1, 1000), (2, 7), (3, usize::MAX), (1000, 1)] {
            assert_eq!(
                read(&file, &[cut], piece_bytes).unwrap(),
                whole,
                "{cut} {piece_bytes}"
            );
        }
    }
}

#[test]
fn the_readers_of_values_go_on_from_piece_to_piece() {
    let entries = all_entries();
    let file = file_of(&entries, 4, None);
    let whole = check(&file, usize::MAX, usize::MAX).unwrap();
    let keys = whole.databases.values().map(|keys| keys.all).sum::<u64>();
    assert_eq!(keys, entries.len() as u64);
    assert_eq!(whole.bytes, file.len() as u64);
    assert_eq!(whole.writer, Some(("redis-ver".into(), "7.0.15".into())));
    for cut in [1, 2, 3, 17, 1000] {
        for piece_bytes in [1, 2, 3, 10, 100] {
            let found = check(&file, cut, piece_bytes);
            assert_eq!(found.as_ref(), Ok(&whole), "{cut} {piece_bytes}");
        }
    }
}

#[test]
fn a_file_that_ends_anywhere_is_refused() {
    let file = file_of(&all_entries(), 4, None);
    for len in 0..file.len() {
        for cut in [1000, usize::MAX] {
            let damage = check(&file[..len], cut, 100).unwrap_err();
            let wrong = match len {
                0..9 => Wrong::NoHeader,
                _ => Wrong::Fault(Fault::Truncated),
            };
            assert_eq!(damage.wrong, wrong, "{len}");
            assert!(len < 9 || damage.at == len as u64, "{len} {damage}");
        }
    }
}

#[test]
fn a_byte_that_was_changed_anywhere_is_noticed() {
    let file = file_of(&all_entries(), 4, None);
    for at in 0..file.len() {
        for mask in [1, 0x10, 0x80, 0xff] {
            let mut damaged = file.clone();
            damaged[at] ^= mask;
            let damage = match check(&damaged, 1000, 100) {
                Err(damage) => damage,
                // A version that has no checksum: what the file has of one is behind its end.
                Ok(found) => {
                    assert!(at < 9 && found.bytes_behind == 8, "{at} {found:?}");
                    continue;
                }
            };
            assert!(damage.at <= file.len() as u64);
        }
    }
}

fn refused(file: &[u8]) -> Damage {
    let whole = read(file, &[usize::MAX], usize::MAX).unwrap_err();
    assert_eq!(read(file, &[1], 1), Err(whole.clone()));
    whole
}

#[test]
fn headers_of_all_servers_are_read_and_no_others() {
    for (header, version) in [
        ("REDIS0001", 1),
        ("REDIS0009", 9),
        ("REDIS0013", 13),
        ("VALKEY080", 80),
    ] {
        let mut file = header.as_bytes().to_vec();
        file.push(0xff);
        file.extend_from_slice(if version < 5 { b"" } else { &[0; 8] });
        let contents = read(&file, &[1], 1).unwrap();
        assert_eq!(contents.version, Some(Version(version)));
        assert_eq!(contents.trailer, Some(Trailer::None));
    }
    for header in [
        "REDIS0000",
        "REDIS0014",
        "REDIS0080",
        "VALKEY011",
        "VALKEY081",
        "REDIS00x1",
    ] {
        let damage = refused(format!("{header}\u{7f}").as_bytes());
        assert_eq!(
            damage,
            Damage {
                at: 0,
                wrong: Wrong::Version(header.into())
            }
        );
    }
    for file in ["", "REDIS", "*2\r\n$6\r\nSELECT\r\n", "redis0010\u{7f}"] {
        let damage = refused(file.as_bytes());
        assert_eq!(
            damage,
            Damage {
                at: 0,
                wrong: Wrong::NoHeader
            }
        );
    }
}

/// `TESTTYPE0` and its version 3, as modules' types are numbered.
const MODULE: u64 = {
    let mut number = 0_u64;
    let mut at = 0;
    let name = [19, 4, 18, 19, 19, 24, 15, 4, 52];
    while at < name.len() {
        number = number << 6 | name[at];
        at += 1;
    }
    number << 10 | 3
};

fn module() -> Vec<u8> {
    written(|out| out.length(MODULE))
}

#[test]
fn what_modules_keep_beside_keys_is_passed_over_and_a_value_of_theirs_is_refused_by_its_name() {
    let aux = [
        &b"REDIS0012\xf7"[..],
        &module(),
        b"\x02\x01\x01\x40\x50\x02\x07\x03abcd\x04abcdefgh\x05\x03abc\x05\xc0\x07\0",
        b"\xf4\x07\x05\x02\x00\x01k\x01v\xff",
    ]
    .concat();
    let aux = [aux, vec![0; 8]].concat();
    let contents = read(&aux, &[1], 1).unwrap();
    assert_eq!(contents.modules, ["TESTTYPE0"]);
    assert_eq!(contents.slots, [(7, 5, 2)]);
    assert_eq!(contents.entries.len(), 1);
    for kind in [6, 7] {
        let file = [
            &b"REDIS0012"[..],
            &[kind],
            b"\x01k",
            &module(),
            b"\x02\x01\0\xff",
        ]
        .concat();
        let damage = refused(&file);
        assert_eq!(damage.at, 9);
        assert_eq!(damage.wrong, Wrong::Module(ModuleName::of(MODULE)));
        assert!(damage.to_string().contains("TESTTYPE0"), "{damage}");
    }
    let unknown = [&b"REDIS0012\xf7"[..], &module(), b"\x02\x01\x06\0"].concat();
    assert!(matches!(
        refused(&unknown).wrong,
        Wrong::Fault(Fault::Damaged(_))
    ));
}

#[test]
fn the_same_number_is_of_slots_to_valkey_and_of_metadata_to_redis() {
    let behind = b"\x03job\x02\x00\x07\x40\x80\x41\x00\x00\x01k\x01v\xff\0\0\0\0\0\0\0\0";
    let valkey = [&b"VALKEY080\xf3"[..], behind].concat();
    let contents = read(&valkey, &[1], 1).unwrap();
    assert_eq!((contents.slot_imports, contents.entries.len()), (1, 1));
    let redis = |version: u8| [&b"REDIS00"[..], &[b'1', version, 0xf3], &behind[..]].concat();
    assert_eq!(
        refused(&redis(b'3')),
        Damage {
            at: 9,
            wrong: Wrong::KeyMetadata
        }
    );
    let unknown = Wrong::Fault(Fault::UnknownType(0xf3));
    assert_eq!(
        refused(&redis(b'2')),
        Damage {
            at: 9,
            wrong: unknown
        }
    );
    let old = [&b"REDIS0010\xf6"[..], behind].concat();
    assert_eq!(
        refused(&old),
        Damage {
            at: 9,
            wrong: Wrong::OldFunctions
        }
    );
}

#[test]
fn deadlines_are_read_in_seconds_too_and_only_of_the_next_key() {
    let file = b"REDIS0003\xfe\x01\xfd\xe8\x03\0\0\xf9\x07\x00\x01a\x00\x00\x01b\x00\
        \xfc\xff\xff\xff\xff\xff\xff\xff\xff\xfe\x00\x00\x01c\x00\xff*1\r\n";
    let contents = read(file, &[1], 1).unwrap();
    let found: Vec<_> = contents
        .entries
        .iter()
        .map(|entry| (entry.db, entry.deadline_ms, entry.history))
        .collect();
    let expected = [
        (1, Some(1_000_000), Some(History::Frequency(7))),
        (1, None, None),
        (0, None, None),
    ];
    assert_eq!(found, expected);
    // What stands behind the end is not read.
    let mut frames = Frames::new(Checksum::Checked);
    frames.add(file);
    while frames.next_frame().unwrap().is_some() {}
    assert_eq!(frames.rest(), b"*1\r\n");
    assert_eq!(frames.given_bytes(), file.len() as u64 - 4);
}

#[test]
fn a_large_value_comes_in_pieces_and_little_of_it_is_held() {
    const ELEMENT_BYTES: usize = 1000;
    let mut chunk = Chunk::new(Packing::None);
    let out = chunk.entry(0, None, None);
    out.byte(ListWriter::KIND);
    out.string(b"list");
    let mut writer = ListWriter::begin(20_000, out);
    (0..20_000).for_each(|_| writer.push(&[b'x'; ELEMENT_BYTES], out));
    writer.finish(out);
    let list = chunk.seal();
    let file = [&b"REDIS0010"[..], &list.pieces.concat(), &[0xff], &[0; 8]].concat();
    let (mut frames, mut pieces) = (Frames::new(Checksum::Skipped), 0);
    let mut check = Check::new();
    for bytes in file.chunks(1 << 16) {
        frames.add(bytes);
        while let Some(frame) = frames.next_frame().unwrap() {
            if let Frame::Entry(_, piece) | Frame::More(piece) = frame {
                assert!(piece.bytes.len() < (1 << 20) + 10_000);
                pieces += 1;
            }
        }
        check.add(bytes).unwrap();
        assert!(frames.held_bytes() < 3 << 20, "{}", frames.held_bytes());
        assert!(check.held_bytes() < 6 << 20, "{}", check.held_bytes());
    }
    check.complete().unwrap();
    assert_eq!(check.found().databases[&0].all, 1);
    assert_eq!(pieces, file.len().div_ceil((1 << 20) + 8000));
}

#[test]
fn a_collection_without_elements_is_counted_and_passed_over() {
    let file = b"REDIS0010\x02\x01a\x00\x00\x01b\x01v\xff\0\0\0\0\0\0\0\0";
    let found = check(file, 1, 1).unwrap();
    let keys = Keys {
        all: 2,
        expiring: 0,
        empty: 1,
    };
    assert_eq!(found.databases[&0], keys);
}

fn history() -> impl Strategy<Value = Option<History>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|secs| Some(History::Idle(secs))),
        any::<u8>().prop_map(|frequency| Some(History::Frequency(frequency))),
    ]
}

fn entry() -> impl Strategy<Value = Owned> {
    let values = values();
    let key = prop::collection::vec(any::<u8>(), 0..70);
    let deadline = prop::option::of(0..i64::MAX);
    (
        0..3_u64,
        key,
        prop::sample::select(values),
        deadline,
        history(),
    )
        .prop_map(|(db, key, (kind, value), deadline_ms, history)| Owned {
            db,
            key,
            kind,
            deadline_ms,
            history,
            value,
        })
}

proptest! {
    #[test]
    fn any_entries_are_read_again_at_any_cuts(
        entries in prop::collection::vec(entry(), 0..30),
        chunk in 1..10_usize,
        block in prop::option::of(6..5000_usize),
        cuts in prop::collection::vec(1..400_usize, 1..20),
        piece_bytes in 1..500_usize,
    ) {
        let file = file_of(&entries, chunk, block);
        let contents = read(&file, &cuts, piece_bytes).unwrap();
        prop_assert_eq!(&contents.entries, &entries);
        let found = check(&file, cuts[0], piece_bytes).unwrap();
        prop_assert_eq!(found.trailer, Some(Trailer::Fits));
    }
}
