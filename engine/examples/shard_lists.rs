//! Lists as commands use them, through a shard: instructions and time an operation, bytes a list, and the longest slices of freeing.
//!
//! ```text
//! cargo build --profile quick -p larder-engine --example shard_lists
//! target/quick/examples/shard_lists WORK LENGTH [TIMES]     WORK over and over on a list of LENGTH elements, for a profiler
//! target/quick/examples/shard_lists bytes [LISTS]           bytes a list of few elements
//! target/quick/examples/shard_lists trim [LENGTH]           the longest steps while most of a list is cut out and freed
//! ```
//! Elements have 16 bytes. What an operation takes is the difference to `idle`, which looks nothing up.

use std::hint::black_box;
use std::time::Instant;

use larder_engine::{Access, DbIndex, End, Event, Key, KeyHasher, Shard, ShardOptions};

const DB: DbIndex = DbIndex(0);
const ELEMENT: [u8; 16] = *b"element:00000000";
const WORK: [&str; 8] = [
    "idle", "push", "pop", "queue", "one", "index", "range", "move",
];

fn shard() -> Shard {
    Shard::new(&ShardOptions {
        databases: 1,
        memory_ceiling_bytes: 16 << 30,
        hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
    })
    .expect("address space is to be had")
}

fn push(shard: &mut Shard, key: Key<'_>, end: End) {
    let mut list = shard.list_mut(DB, key).expect("a list");
    list.push(end, &ELEMENT).expect("memory is to be had");
    list.close(&[match end {
        End::Head => Event::LPush,
        End::Tail => Event::RPush,
    }]);
}

fn pop(shard: &mut Shard, key: Key<'_>, end: End) -> Option<u8> {
    let mut list = shard.list_mut(DB, key).expect("a list");
    let popped = list.pop(end, |element| element[0]);
    list.close(&[match end {
        End::Head => Event::LPop,
        End::Tail => Event::RPop,
    }]);
    popped
}

fn work(what: &str, length: u32, times: u32) {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    let key = hasher.key(b"some:list:0001");
    let before = if what == "pop" {
        length + times
    } else {
        length
    };
    for _ in 0..before {
        push(&mut shard, key, End::Tail);
    }
    let began = Instant::now();
    for number in 0..times {
        match what {
            "push" => push(&mut shard, key, End::Tail),
            "pop" => _ = black_box(pop(&mut shard, key, End::Head)),
            "queue" => {
                push(&mut shard, key, End::Head);
                black_box(pop(&mut shard, key, End::Tail));
            }
            // A list comes to be and is gone again.
            "one" => {
                let key = hasher.key(b"another:list:0001");
                push(&mut shard, key, End::Head);
                black_box(pop(&mut shard, key, End::Tail));
            }
            "index" => {
                let list = shard.list(DB, key, Access::Touch).expect("a list");
                let list = list.expect("it is there");
                black_box(list.get(length / 2 + number % 16));
            }
            "range" => {
                let list = shard.list(DB, key, Access::Touch).expect("a list");
                let list = list.expect("it is there");
                let mut sum = 0;
                list.range(0..list.len().min(100), |element| {
                    sum += u32::from(element[3])
                });
                black_box(sum);
            }
            "move" => {
                let mut list = shard.list_mut(DB, key).expect("a list");
                let element = list.pop(End::Tail, <[u8]>::to_vec).expect("an element");
                list.push(End::Head, &element).expect("memory");
                list.close(&[Event::RPop, Event::LPush]);
            }
            _ => _ = black_box(number),
        }
    }
    println!("{what}: {times} times in {:.1?}", began.elapsed());
}

fn bytes(lists: u32) {
    for elements in [1, 2, 5, 10, 20, 50, 100, 200, 300, 1000] {
        let mut shard = shard();
        let hasher = shard.hasher().clone();
        let lists = lists / elements;
        for number in 0..lists {
            let name = format!("list:{number:011}");
            for _ in 0..elements {
                push(&mut shard, hasher.key(name.as_bytes()), End::Tail);
            }
        }
        let memory = shard.memory();
        let payload = u64::from(lists) * u64::from(16 * elements + 16);
        let over = (memory.arena_bytes + memory.table_bytes - payload) as f64;
        let used = (memory.used_bytes() - payload) as f64;
        let count = f64::from(lists);
        println!(
            "{elements} elements: {:.1} used, {:.1} touched bytes a list above names and elements, {:.2} an element",
            used / count,
            over / count,
            over / count / f64::from(elements)
        );
    }
}

/// Prints how long it takes to cut most of a list out, and each slice of freeing that and the rest; of each the least of three
/// rounds.
fn trim(length: u32) {
    let mut least: [Vec<u128>; 3] = Default::default();
    for _ in 0..3 {
        let mut shard = shard();
        let hasher = shard.hasher().clone();
        let key = hasher.key(b"some:list:0001");
        for _ in 0..length {
            push(&mut shard, key, End::Tail);
        }
        let began = Instant::now();
        let mut list = shard.list_mut(DB, key).expect("a list");
        list.remove(length / 7..length / 7 * 6);
        list.close(&[Event::LTrim]);
        let cut = vec![began.elapsed().as_nanos()];
        let reclaimed = slices(&mut shard);
        shard.remove(DB, key, Event::Del);
        let freed = slices(&mut shard);
        for (least, nanos) in least.iter_mut().zip([cut, reclaimed, freed]) {
            let known = least.len();
            least.extend_from_slice(nanos.get(known..).unwrap_or_default());
            let both = least.iter_mut().zip(nanos);
            both.for_each(|(least, nanos)| *least = (*least).min(nanos));
        }
    }
    let what = [
        "cutting five sevenths out",
        "freeing that",
        "freeing the rest",
    ];
    for (what, nanos) in what.into_iter().zip(least) {
        let longest = nanos.iter().max().copied().unwrap_or(0) as f64 / 1000.0;
        println!("{what}: {} steps, the longest {longest:.1} µs", nanos.len());
    }
}

/// How long each slice of house-keeping takes until there is nothing left to do.
fn slices(shard: &mut Shard) -> Vec<u128> {
    let mut nanos = Vec::new();
    loop {
        let began = Instant::now();
        let more = shard.tend(1);
        nanos.push(began.elapsed().as_nanos());
        if !more {
            return nanos;
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let mut number = |otherwise| {
        let argument = arguments.next().and_then(|number| number.parse().ok());
        argument.unwrap_or(otherwise)
    };
    match what.as_str() {
        "bytes" => bytes(number(1_000_000)),
        "trim" => trim(number(10_000_000)),
        what if WORK.contains(&what) => work(what, number(100), number(100_000)),
        _ => eprintln!("bytes, trim, or one of {WORK:?}, and numbers"),
    }
}
