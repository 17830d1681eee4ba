//! A large hash by itself, without commands: bytes a field, time an operation, and the longest steps.
//!
//! ```text
//! cargo build --profile quick -p larder-engine --features bench --example hash_fields
//! target/quick/examples/hash_fields bytes [FIELDS [VALUE]]    bytes a field: fresh, with deadlines, after deletion
//! target/quick/examples/hash_fields churn [FIELDS]            the same after values of 32 to 96 bytes were replaced three times
//! target/quick/examples/hash_fields times [FIELDS [VALUE]]    ns an operation
//! target/quick/examples/hash_fields steps [FIELDS [VALUE]]    the longest insertion and deletion
//! target/quick/examples/hash_fields free [FIELDS [VALUE]]     the longest slice of freeing
//! target/quick/examples/hash_fields WORK [FIELDS [VALUE]]     insert, hit, miss, same, other, delete or idle, for a profiler
//! ```
//! Names are of 16 bytes in a scattered order, values of VALUE bytes or 16. `touched` are pages of the arena and all lists.

use std::time::{Duration, Instant};

use larder_engine::bench::BareHash;
use larder_engine::{KeyHasher, ShardOptions, UnixMillis};

const NAME_BYTES: usize = 16;
const DEADLINE: UnixMillis = UnixMillis(2_000_000_000_000);
const WORK: [&str; 6] = ["insert", "hit", "miss", "same", "other", "delete"];

/// What the hash is of.
#[derive(Clone)]
struct Fields {
    count: usize,
    value: Vec<u8>,
}

impl Fields {
    /// A hash of the fields of these numbers.
    fn filled(
        &self,
        numbers: impl Iterator<Item = usize>,
        deadline: Option<UnixMillis>,
    ) -> BareHash {
        let mut hash = empty();
        for number in numbers {
            let set = hash.set(&name(number), &self.value, deadline);
            set.expect("memory is to be had");
        }
        hash
    }

    fn all(&self) -> BareHash {
        self.filled(scattered(self.count), None)
    }
}

fn empty() -> BareHash {
    BareHash::new(&ShardOptions {
        databases: 1,
        memory_ceiling_bytes: 16 << 30,
        hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
    })
    .expect("memory is to be had")
}

/// Name number `number`.
fn name(number: usize) -> [u8; NAME_BYTES] {
    let mut name = *b"field:0000000000";
    let mut rest = number;
    for digit in name[6..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    name
}

/// The numbers below `count` in a scattered order, each once.
fn scattered(count: usize) -> impl Iterator<Item = usize> {
    let first = (0x9E37_79B9 % count) | 1;
    let step = (first..).step_by(2).find(|&step| gcd(step, count) == 1);
    let step = step.expect("one is coprime");
    (0..count).scan(0, move |at, _| {
        *at = (*at + step) % count;
        Some(*at)
    })
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Prints what a hash of `count` fields takes; touched bytes a field, payload included.
fn print_bytes(what: &str, hash: &BareHash, count: usize) -> f64 {
    let (bytes, before) = (hash.bytes(), empty().bytes());
    let each = |bytes: u64| bytes as f64 / count as f64;
    // A key and a number are in both.
    let payload = each(bytes.payload - before.payload);
    let (used, touched) = (each(bytes.used - before.used), each(bytes.touched));
    println!(
        "{what}: {:.2} used, {:.2} touched bytes a field above the payload of {payload:.1}",
        used - payload,
        touched - payload
    );
    touched
}

fn tend(hash: &mut BareHash) -> (u32, Duration) {
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
            &fields.filled(scattered(fields.count), deadline),
            fields.count,
        );
        for (what, left) in [("half", 2), ("nine tenths", 10)] {
            let mut hash = fields.filled(scattered(fields.count), deadline);
            for number in (0..fields.count).filter(|number| number % left != 0) {
                assert!(hash.remove(&name(number)));
            }
            let count = fields.count.div_ceil(left);
            print_bytes(&format!("{what} deleted, at once{with}"), &hash, count);
            let (steps, took) = tend(&mut hash);
            let now = print_bytes(&format!("{what} deleted{with}"), &hash, count);
            let fresh = fields.filled((0..fields.count).step_by(left), deadline);
            let fresh = print_bytes("  the same, fresh", &fresh, count);
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
            hash.set(&name(number), &value[..len], None)
                .expect("memory is to be had");
        }
        let (steps, took) = tend(&mut hash);
        print_bytes(&format!("written {} times", round + 1), &hash, fields.count);
        println!("  tended in {steps} steps of 64, {took:.1?}");
    }
}

/// Does what is named to each field, in a scattered order; the time it took.
fn work(what: &str, fields: &Fields) -> Duration {
    let mut hash = match what {
        "insert" => empty(),
        _ => fields.all(),
    };
    let same = vec![b'w'; fields.value.len()];
    let other = vec![b'w'; fields.value.len() + 8];
    let began = Instant::now();
    let mut found = 0;
    for number in scattered(fields.count) {
        let name = std::hint::black_box(name(number));
        let set = |hash: &mut BareHash, value: &[u8]| {
            hash.set(&name, value, None).expect("memory is to be had")
        };
        found += usize::from(match what {
            "insert" => set(&mut hash, &fields.value),
            "hit" => hash.get(&name).is_some(),
            "miss" => hash.get(&name[1..]).is_none(),
            "same" => !set(&mut hash, &same),
            "other" => !set(&mut hash, &other),
            "delete" => hash.remove(&name),
            _ => true,
        });
    }
    let took = began.elapsed();
    assert_eq!(found, fields.count);
    took
}

fn times(fields: &Fields) {
    let idle = work("idle", fields);
    for what in WORK {
        let least = (0..3).map(|_| work(what, fields)).min().unwrap_or_default();
        let each = least.saturating_sub(idle).as_nanos() as f64 / fields.count as f64;
        println!("{what}: {each:.0} ns, least of three");
    }
}

/// The longest insertions and deletions, of each the least of three rounds.
fn steps(fields: &Fields) {
    let mut least = vec![(u32::MAX, u32::MAX); fields.count];
    for _ in 0..3 {
        let mut hash = empty();
        for (number, least) in scattered(fields.count).zip(&mut least) {
            let name = name(number);
            let began = Instant::now();
            hash.set(&name, &fields.value, None)
                .expect("memory is to be had");
            least.0 = least.0.min(began.elapsed().as_nanos() as u32);
        }
        for (number, least) in scattered(fields.count).zip(&mut least) {
            let name = name(number);
            let began = Instant::now();
            assert!(hash.remove(&name));
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
        hash.delete();
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
    };
    match what.as_str() {
        "bytes" => bytes(&fields),
        "churn" => churn(&fields),
        "times" => times(&fields),
        "steps" => steps(&fields),
        "free" => free(&fields),
        what if WORK.contains(&what) || what == "idle" => {
            work(what, &fields);
        }
        _ => println!(
            "hash_fields bytes | churn | times | steps | free | {} [FIELDS [VALUE]]",
            WORK.join(" | ")
        ),
    }
}
