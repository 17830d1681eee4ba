//! How long the steps are in which what is large is freed: a collection of each type, a flushed database alone, and beside another.
//!
//! `cargo run --release -p larder-engine --example freeing_steps [ELEMENTS]` prints their number, their median and the longest, in
//! microseconds: the removal itself, and the steps of house-keeping behind it, of as much work as a turn does. Each round does the same
//! steps, and of each the least time counts: what else the machine did is left out.

use std::time::Instant;

use larder_engine::{
    DbIndex, End, Event, Fields, KeyHasher, Shard, ShardOptions, StreamChange, StreamId,
    StringForm, TtlChange, UnixMillis,
};

const ROUNDS: usize = 3;
/// What a turn of a core does at most.
const BUDGET: u32 = 256;
const DB: DbIndex = DbIndex(0);
const KINDS: [&str; 5] = ["hash", "set", "list", "sorted set", "stream"];

fn main() {
    let mut args = std::env::args().skip(1);
    let elements = args.next().map_or(1_000_000, |elements| {
        elements
            .parse()
            .expect("the number of elements is a number")
    });
    for kind in KINDS {
        print(kind, || {
            let mut shard = empty();
            set(&mut shard, DbIndex(1), b"other");
            fill(&mut shard, kind, elements);
            steps(shard, |shard| {
                let key = shard.hasher().clone().key(b"large");
                assert!(shard.remove(DB, key, Event::Del));
            })
        });
    }
    for beside in [false, true] {
        let what = if beside {
            "flushed beside"
        } else {
            "flushed alone"
        };
        print(what, || {
            let mut shard = empty();
            if beside {
                set(&mut shard, DbIndex(1), b"other");
            }
            (0..elements).for_each(|n| set(&mut shard, DB, &name(n)));
            steps(shard, |shard| {
                shard.flush(DB);
            })
        });
    }
}

fn empty() -> Shard {
    let options = ShardOptions {
        databases: 2,
        memory_ceiling_bytes: 16 << 30,
        hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
    };
    let mut shard = Shard::new(&options).expect("address space");
    shard.set_now(UnixMillis(1_700_000_000_000));
    shard
}

fn name(n: u32) -> [u8; 16] {
    let mut name = *b"0000000000000000";
    name[8..].copy_from_slice(format!("{n:08x}").as_bytes());
    name
}

fn set(shard: &mut Shard, db: DbIndex, name: &[u8]) {
    let key = shard.hasher().clone().key(name);
    let (form, ttl) = (StringForm::Detect, TtlChange::Clear);
    let stored = shard.set(db, key, &[b'v'; 64], form, ttl, Event::Set);
    stored.expect("there is memory");
}

fn fill(shard: &mut Shard, kind: &str, elements: u32) {
    let hasher = shard.hasher().clone();
    let key = hasher.key(b"large");
    match kind {
        "hash" => {
            let mut hash = shard.hash_mut(DB, key).expect("nothing is there");
            for n in 0..elements {
                let set = hash.set(&name(n), b"value", TtlChange::Clear);
                set.expect("there is memory");
            }
            hash.close(&[]);
        }
        "set" => {
            let mut set = shard.set_mut(DB, key).expect("nothing is there");
            for n in 0..elements {
                set.add(&name(n)).expect("there is memory");
            }
            set.close(&[]);
        }
        "list" => {
            let mut list = shard.list_mut(DB, key).expect("nothing is there");
            for n in 0..elements {
                list.push(End::Tail, &name(n)).expect("there is memory");
            }
            list.close(&[]);
        }
        "sorted set" => {
            let mut set = shard.sorted_set_mut(DB, key).expect("nothing is there");
            for n in 0..elements {
                set.set(&name(n), f64::from(n)).expect("there is memory");
            }
            set.close(&[]);
        }
        _ => {
            let mut stream = shard.stream_mut(DB, key).expect("nothing is there");
            let mut fields = Vec::new();
            for n in 0..elements {
                fields.clear();
                Fields::write(b"field", &name(n), &mut fields);
                let added = StreamChange::Added {
                    id: StreamId::new(u64::from(n) + 1, 0),
                    fields: &fields,
                };
                stream.change(&added).expect("there is memory");
            }
            stream.close(u64::from(elements), &[]);
        }
    }
}

/// The nanoseconds of what removes something, and of each step behind it.
fn steps(mut shard: Shard, remove: impl FnOnce(&mut Shard)) -> Vec<u64> {
    let began = Instant::now();
    remove(&mut shard);
    let mut nanos = vec![began.elapsed().as_nanos() as u64];
    loop {
        let began = Instant::now();
        let has_more = shard.tend(BUDGET);
        nanos.push(began.elapsed().as_nanos() as u64);
        if !has_more {
            return nanos;
        }
    }
}

fn print(what: &str, round: impl Fn() -> Vec<u64>) {
    let mut least = round();
    for _ in 1..ROUNDS {
        let nanos = round();
        assert_eq!(nanos.len(), least.len(), "rounds are alike");
        for (least, nanos) in least.iter_mut().zip(nanos) {
            *least = nanos.min(*least);
        }
    }
    let removal = least[0] as f64 / 1000.0;
    least.sort_unstable();
    let micros = |at: usize| least[at] as f64 / 1000.0;
    let count = least.len();
    let (median, longest) = (micros(count / 2), micros(count - 1));
    println!(
        "{what}: removed in {removal:.0} µs, {count} steps, median {median:.0} µs, longest {longest:.0} µs"
    );
}
