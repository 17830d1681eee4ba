//! A GET whose key is on the core that reads it allocates nothing, once buffers have grown to what they need; nor does a
//! write of a key that concerns nobody, whatever other keys concern somebody, nor one of a field of a hash that has it.
//!
//! A global allocator counts what this thread allocates while it is told to. Sockets are left out, and so is the arena:
//! it takes its memory from the kernel, and a lookup takes none.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use larder_engine::{Kind, TtlChange, WakesOn};
use larder_perf::data::{BULK_BYTES, VALUE, get, key, pipelines, scattered, set};
use larder_perf::server::Server;
use larder_perf::shard::{self, DB, Hashed};
use larder_server::resp::encode_command;

/// The system's allocator, counting.
struct Counting;

thread_local! {
    /// Allocations of this thread since it began to count; `None` while it does not.
    static ALLOCATIONS: Cell<Option<u64>> = const { Cell::new(None) };
}

fn count_one() {
    // A thread that is ending has no cell any more, and nothing to count.
    let _ = ALLOCATIONS.try_with(|cell| cell.set(cell.get().map(|count| count + 1)));
}

// SAFETY: every call is handed on as it came to the system's allocator, whose promises these are; counting allocates
// nothing, as the cell has no destructor and is initialised at compile time.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's promise about `layout` is the one asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count_one();
        // SAFETY: `block` came from `alloc` above, so from the system, with this layout.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while it does `work`.
fn allocations(work: impl FnOnce()) -> u64 {
    ALLOCATIONS.set(Some(0));
    work();
    ALLOCATIONS.take().expect("counting began above")
}

const KEYS: usize = 4096;
/// Bytes of the reply to a GET that finds [`VALUE`].
const HIT_BYTES: usize = 5 + 64 + 2;

/// Allocations of a thousand turns of GET hits at this depth, `millis_a_turn` apart, behind as many for warming up.
fn allocations_of_hits(pipeline: usize, millis_a_turn: u64) -> u64 {
    let mut server = Server::filled(KEYS);
    let input = pipelines(scattered(1000 * pipeline, KEYS).map(get), pipeline);
    let mut replied = 0;
    let mut round = || {
        for piece in &input {
            server.advance(millis_a_turn);
            replied += server.turn(piece);
        }
    };
    round();
    let count = allocations(&mut round);
    assert_eq!(
        replied,
        2 * 1000 * pipeline * HIT_BYTES,
        "every GET is a hit"
    );
    count
}

#[test]
fn a_get_hit_alone_in_its_turn_allocates_nothing() {
    assert_eq!(allocations_of_hits(1, 0), 0);
}

#[test]
fn a_get_hit_in_a_pipeline_of_64_allocates_nothing() {
    assert_eq!(allocations_of_hits(64, 0), 0);
}

#[test]
fn get_hits_allocate_nothing_while_periodic_duties_come_and_go() {
    assert_eq!(allocations_of_hits(64, 7), 0);
}

#[test]
fn a_get_miss_and_a_set_over_a_value_of_the_same_size_allocate_nothing() {
    let mut server = Server::filled(KEYS);
    let misses = pipelines((KEYS..2 * KEYS).map(get), 64);
    let sets = pipelines((0..KEYS).map(|number| set(number, &VALUE)), 64);
    let mut round = || {
        assert_eq!(server.run(&misses), KEYS * b"$-1\r\n".len());
        assert_eq!(server.run(&sets), KEYS * b"+OK\r\n".len());
    };
    round();
    assert_eq!(allocations(&mut round), 0);
}

/// The words of a command, as a client sends it.
fn command(words: &[&[u8]]) -> Vec<u8> {
    encode_command(words.iter().copied())
}

#[test]
fn a_field_that_is_read_written_and_counted_allocates_nothing_in_small_hashes_and_large() {
    /// Fields of a hash, one of which lies in its item, and one in nodes.
    const FIELDS: [usize; 2] = [10, 5000];
    for fields in FIELDS {
        let mut server = Server::new(1);
        let names: Vec<_> = (0..fields).map(key).collect();
        let each = |words: fn(&[u8; 16]) -> Vec<u8>| pipelines(names.iter().map(words), 64);
        let sets = each(|name| command(&[b"HSET", b"hash", name, &VALUE]));
        let reads = each(|name| command(&[b"HGET", b"hash", name]));
        let missing = each(|name| command(&[b"HMGET", b"hash", name, b"none"]));
        let counts = each(|name| command(&[b"HINCRBY", b"counts", name, b"1"]));
        // A sum of as many digits each time: the field stays where it is.
        let first = each(|name| command(&[b"HSET", b"counts", name, b"1000000"]));
        server.run(&sets);
        server.run(&first);
        let mut round = || {
            assert_eq!(server.run(&sets), fields * b":0\r\n".len());
            assert_eq!(server.run(&reads), fields * BULK_BYTES);
            let pair = b"*2\r\n".len() + BULK_BYTES + b"$-1\r\n".len();
            assert_eq!(server.run(&missing), fields * pair);
            assert_eq!(server.run(&counts), fields * b":1000001\r\n".len());
        };
        round();
        assert_eq!(allocations(&mut round), 0, "{fields} fields");
    }
}

/// What a client asks for, by name, so that changes of some keys concern it: of none that the test writes.
const CONCERNED: &[(&str, &[&str])] = &[
    ("a watch", &["WATCH watched also:watched"]),
    (
        "tracking of keys read",
        &["HELLO 3", "CLIENT TRACKING ON", "GET read", "GET also:read"],
    ),
    (
        "tracking by prefix",
        &[
            "HELLO 3",
            "CLIENT TRACKING ON BCAST PREFIX user: PREFIX page: PREFIX key: PREFIX key:9",
            "CLIENT TRACKING OFF",
            "CLIENT TRACKING ON BCAST PREFIX user: PREFIX page: PREFIX key:9",
        ],
    ),
    (
        "notifications that nobody hears",
        &["CONFIG SET notify-keyspace-events KEA"],
    ),
    (
        "notifications of other keys",
        &[
            "CONFIG SET notify-keyspace-events KEA",
            "HELLO 3",
            "SUBSCRIBE __keyspace@0__:other",
            "PSUBSCRIBE __key*@0__:*no-such-key",
        ],
    ),
];

#[test]
fn a_set_of_a_key_that_concerns_nobody_allocates_nothing_whatever_else_does() {
    for (name, commands) in CONCERNED {
        let mut server = Server::filled(KEYS);
        for command in *commands {
            server.turn(format!("{command}\r\n").as_bytes());
        }
        let sets = pipelines((0..KEYS).map(|number| set(number, &VALUE)), 64);
        let mut round = || assert_eq!(server.run(&sets), KEYS * b"+OK\r\n".len(), "{name}");
        round();
        assert_eq!(allocations(&mut round), 0, "{name}");
    }
}

#[test]
fn a_shard_allocates_nothing_for_a_write_while_other_keys_are_watched_awaited_and_copied() {
    const OTHERS: usize = 1000;
    let mut shard = shard::filled(KEYS, TtlChange::Clear);
    for number in KEYS..KEYS + OTHERS {
        let key = Hashed::of(number);
        shard.watch(number as u64, DB, key.key());
        let lists = WakesOn::Value(Kind::List);
        shard.awaited().add(DB, key.key().bytes(), lists);
    }
    let key = Hashed::of(KEYS);
    let key = key.key();
    shard.copied().add(DB, key.bytes(), key.hash(), 0);
    let keys: Vec<Hashed> = (0..KEYS).map(Hashed::of).collect();
    let round = || {
        let write = |key| shard::set(&mut shard, key, &VALUE, TtlChange::Clear);
        keys.iter().for_each(write);
    };
    assert_eq!(allocations(round), 0);
}

#[test]
fn the_count_sees_an_allocation_and_a_growing_buffer() {
    let counted = allocations(|| {
        let mut buffer = black_box(Vec::<u8>::with_capacity(16));
        buffer.resize(black_box(1 << 12), 0);
        black_box(&buffer);
    });
    assert_eq!(counted, 2);
    // What a server that has yet to grow its buffers does is seen too.
    let mut server = Server::filled(KEYS);
    let fresh = pipelines(
        (KEYS..KEYS + 64).map(|number| set(number, &[b'x'; 4096])),
        64,
    );
    server.run(&fresh);
    let first_large_reply = pipelines((KEYS..KEYS + 64).map(get), 64);
    assert!(allocations(|| assert!(server.run(&first_large_reply) > 64 * 4096)) > 0);
}
