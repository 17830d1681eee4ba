//! A large hash, or many small ones, in a shard without commands: bytes a field, time an operation, and the longest steps.
//!
//! ```text
//! cargo build --profile quick -p larder-engine --features bench --example hash_fields
//! target/quick/examples/hash_fields bytes [FIELDS [VALUE [EACH]]]    bytes a field: fresh, with deadlines, after deletion
//! target/quick/examples/hash_fields churn [FIELDS]                    the same after values of 32 to 96 bytes were replaced three times
//! target/quick/examples/hash_fields times [FIELDS [VALUE [EACH]]]    ns an operation
//! target/quick/examples/hash_fields batches [FIELDS [VALUE]]          the same in batches of 16, brought near, of one hash
//! target/quick/examples/hash_fields steps [FIELDS [VALUE [EACH]]]    the longest insertion and deletion
//! target/quick/examples/hash_fields free [FIELDS [VALUE]]             the longest slice of freeing
//! target/quick/examples/hash_fields WORK [FIELDS [VALUE [EACH]]]     insert, hit, miss, same, other, delete or idle, for a profiler
//! ```
//! All fields are of one hash, or EACH fields of each of many. They are worked on in a scattered order. Names are of 16 bytes, in
//! many hashes of 8; values of VALUE bytes or 16. The payload is keys, names and values. `touched` are pages of the arena and all
//! lists. An operation is what a command has of the engine: the key is looked up, records and events are told to nobody.

mod common;

use std::time::{Duration, Instant};

use common::{scattered, write_number};
use larder_engine::bench::BareHashes;
use larder_engine::{Intent, KeyHasher, ShardOptions, UnixMillis};

const NAME_BYTES: usize = 16;
const SHORT_NAME_BYTES: usize = 8;
const KEY: &[u8; 12] = b"hash00000000";
const DEADLINE: UnixMillis = UnixMillis(2_000_000_000_000);
/// Operations whose fields are brought near together.
const BATCH: usize = 16;
const WORK: [&str; 6] = ["insert", "hit", "miss", "same", "other", "delete"];

/// What the hash is of.
#[derive(Clone)]
struct Fields {
    count: usize,
    value: Vec<u8>,
    /// Fields of each hash, if they are of many.
    each: Option<usize>,
}

/// A field: its hash and its name.
struct Place {
    key: [u8; KEY.len()],
    name: [u8; NAME_BYTES],
    name_bytes: usize,
}

impl Place {
    fn name(&self) -> &[u8] {
        &self.name[..self.name_bytes]
    }
}

impl Fields {
    /// Field number `number`.
    fn place(&self, number: usize) -> Place {
        let mut place = Place {
            key: *KEY,
            name: *b"field:0000000000",
            name_bytes: NAME_BYTES,
        };
        match self.each {
            None => write_number(&mut place.name[6..], number),
            Some(each) => {
                place.name_bytes = SHORT_NAME_BYTES;
                write_number(&mut place.name[5..SHORT_NAME_BYTES], number % each);
                write_number(&mut place.key[4..], number / each);
            }
        }
        place
    }

    /// Bytes of keys, names and values of so many of the fields.
    fn payload(&self, count: usize) -> u64 {
        let names = match self.each {
            None => NAME_BYTES,
            Some(_) => SHORT_NAME_BYTES,
        };
        let hashes = self.each.map_or(1, |each| self.count.div_ceil(each));
        (count * (names + self.value.len()) + hashes * KEY.len()) as u64
    }

    /// A hash of the fields of these numbers.
    fn filled(
        &self,
        numbers: impl Iterator<Item = usize>,
        deadline: Option<UnixMillis>,
    ) -> BareHashes {
        let mut hash = empty();
        for number in numbers {
            let place = self.place(number);
            let set = hash.set(&place.key, place.name(), &self.value, deadline);
            set.expect("memory is to be had");
        }
        hash
    }

    fn all(&self) -> BareHashes {
        self.filled(scattered(self.count), None)
    }
}

fn empty() -> BareHashes {
    BareHashes::new(&ShardOptions {
        databases: 1,
        memory_ceiling_bytes: 16 << 30,
        hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
    })
    .expect("memory is to be had")
}

/// Prints what `count` of the fields take; touched bytes a field, payload included.
fn print_bytes(what: &str, fields: &Fields, hash: &BareHashes, count: usize) -> f64 {
    let (bytes, before) = (hash.bytes(), empty().bytes());
    let each = |bytes: u64| bytes as f64 / count as f64;
    let payload = each(fields.payload(count));
    let (used, touched) = (each(bytes.used - before.used), each(bytes.touched));
    println!(
        "{what}: {:.2} used, {:.2} touched bytes a field above the payload of {payload:.1}",
        used - payload,
        touched - payload
    );
    touched
}

fn tend(hash: &mut BareHashes) -> (u32, Duration) {
    let began = Instant::now();
    let mut steps = 0;
    while hash.tend(64) {
        steps += 1;
    }
    (steps, began.elapsed())
}

fn bytes(fields: &Fields) {
    for deadline in [None, Some(DEADLINE)] {
        let with = deadline.map_or("", |_| ", with deadlines");
        print_bytes(
            &format!("fresh{with}"),
            fields,
            &fields.filled(scattered(fields.count), deadline),
            fields.count,
        );
        for (what, left) in [("half", 2), ("nine tenths", 10)] {
            let mut hash = fields.filled(scattered(fields.count), deadline);
            for number in (0..fields.count).filter(|number| number % left != 0) {
                let place = fields.place(number);
                assert!(hash.remove(&place.key, place.name()));
            }
            let count = fields.count.div_ceil(left);
            print_bytes(
                &format!("{what} deleted, at once{with}"),
                fields,
                &hash,
                count,
            );
            let (steps, took) = tend(&mut hash);
            let now = print_bytes(&format!("{what} deleted{with}"), fields, &hash, count);
            let fresh = fields.filled((0..fields.count).step_by(left), deadline);
            let fresh = print_bytes("  the same, fresh", fields, &fresh, count);
            println!(
                "  {:.3} of fresh, after {steps} steps of 64 in {took:.1?}",
                now / fresh
            );
        }
    }
}

fn churn(fields: &Fields) {
    let mut hash = empty();
    let mut random = 1u64;
    let value = [b'v'; 96];
    for round in 0..4 {
        for number in scattered(fields.count) {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let len = 32 + (random >> 33) as usize % 65;
            let place = fields.place(number);
            hash.set(&place.key, place.name(), &value[..len], None)
                .expect("memory is to be had");
        }
        let (steps, took) = tend(&mut hash);
        print_bytes(
            &format!("written {} times", round + 1),
            fields,
            &hash,
            fields.count,
        );
        println!("  tended in {steps} steps of 64, {took:.1?}");
    }
}

/// Does what is named to each field, in a scattered order; the time it took.
fn work(what: &str, fields: &Fields, batch: usize) -> Duration {
    let mut hash = match what {
        "insert" => empty(),
        _ => fields.all(),
    };
    let intent = match what {
        "hit" | "miss" | "idle" => Intent::Read,
        "delete" => Intent::Change,
        "other" => Intent::Write(Some(fields.value.len() + 8)),
        _ => Intent::Write(Some(fields.value.len())),
    };
    let same = vec![b'w'; fields.value.len()];
    let other = vec![b'w'; fields.value.len() + 8];
    let numbers: Vec<usize> = scattered(fields.count).collect();
    let began = Instant::now();
    let mut found = 0;
    for numbers in numbers.chunks(batch) {
        let mut places = [const { None }; BATCH];
        for (&number, place) in numbers.iter().zip(&mut places) {
            *place = Some(std::hint::black_box(fields.place(number)));
        }
        let places = || places.iter().flatten();
        if batch > 1 {
            hash.prefetch(KEY, places().map(Place::name), intent);
        }
        for place in places() {
            let (key, name) = (&place.key, place.name());
            let set = |hash: &mut BareHashes, value: &[u8]| {
                hash.set(key, name, value, None)
                    .expect("memory is to be had")
            };
            let has = |hash: &mut BareHashes, name: &[u8]| {
                let hash = hash.hash(key).expect("it is there");
                hash.get(name).is_some()
            };
            found += usize::from(match what {
                "insert" => set(&mut hash, &fields.value),
                "hit" => has(&mut hash, name),
                "miss" => !has(&mut hash, &name[1..]),
                "same" => !set(&mut hash, &same),
                "other" => !set(&mut hash, &other),
                "delete" => hash.remove(key, name),
                _ => true,
            });
        }
    }
    let took = began.elapsed();
    assert_eq!(found, fields.count);
    took
}

fn times(fields: &Fields, batch: usize) {
    let idle = work("idle", fields, 1);
    for what in WORK {
        let least = (0..3).map(|_| work(what, fields, batch)).min();
        let each = least.unwrap_or_default().saturating_sub(idle).as_nanos() as f64;
        let each = each / fields.count as f64;
        println!("{what}: {each:.0} ns, least of three");
    }
}

/// The longest insertions and deletions, of each the least of three rounds.
fn steps(fields: &Fields) {
    let mut least = vec![(u32::MAX, u32::MAX); fields.count];
    for _ in 0..3 {
        let mut hash = empty();
        for (number, least) in scattered(fields.count).zip(&mut least) {
            let place = fields.place(number);
            let began = Instant::now();
            hash.set(&place.key, place.name(), &fields.value, None)
                .expect("memory is to be had");
            least.0 = least.0.min(began.elapsed().as_nanos() as u32);
        }
        for (number, least) in scattered(fields.count).zip(&mut least) {
            let place = fields.place(number);
            let began = Instant::now();
            assert!(hash.remove(&place.key, place.name()));
            least.1 = least.1.min(began.elapsed().as_nanos() as u32);
        }
    }
    print_times("insert", least.iter().map(|least| least.0).collect());
    print_times("delete", least.iter().map(|least| least.1).collect());
}

/// The longest slices of freeing, of each the least of three rounds.
fn free(fields: &Fields) {
    let mut least: Vec<u32> = Vec::new();
    for _ in 0..3 {
        let mut hash = fields.all();
        hash.delete(KEY);
        for slice in 0.. {
            let began = Instant::now();
            let more = hash.tend(1);
            let nanos = began.elapsed().as_nanos() as u32;
            match least.get_mut(slice) {
                Some(least) => *least = nanos.min(*least),
                None => least.push(nanos),
            }
            if !more {
                break;
            }
        }
    }
    print_times("a slice of freeing", least);
}

fn print_times(what: &str, mut nanos: Vec<u32>) {
    nanos.sort_unstable();
    let at = |share: f64| f64::from(nanos[((nanos.len() - 1) as f64 * share) as usize]) / 1000.0;
    println!(
        "{what}: median {:.2}, 99.9% {:.1}, longest {:.1} µs",
        at(0.5),
        at(0.999),
        at(1.0)
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let mut number = |otherwise| {
        let number = arguments.next().and_then(|number| number.parse().ok());
        number.unwrap_or(otherwise)
    };
    let fields = Fields {
        count: number(1_000_000),
        value: vec![b'v'; number(16)],
        each: Some(number(0)).filter(|&each| each > 0),
    };
    match what.as_str() {
        "bytes" => bytes(&fields),
        "churn" => churn(&fields),
        "times" => times(&fields, 1),
        "batches" if fields.each.is_none() => times(&fields, BATCH),
        "steps" => steps(&fields),
        "free" => free(&fields),
        what if WORK.contains(&what) || what == "idle" => {
            work(what, &fields, 1);
        }
        _ => println!(
            "hash_fields bytes | churn | times | steps | free | {} [FIELDS [VALUE [EACH]]]",
            WORK.join(" | ")
        ),
    }
}
