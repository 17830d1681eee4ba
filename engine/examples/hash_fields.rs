//! A large hash by itself, without commands: bytes a field, time and instructions an operation, and the longest steps.
//!
//! ```text
//! cargo run --profile quick -p larder-engine --features bench --example hash_fields -- bytes [FIELDS]     bytes a field: fresh, with deadlines, after deletion
//! cargo run --profile quick -p larder-engine --features bench --example hash_fields -- times [FIELDS]     ns an operation
//! cargo run --profile quick -p larder-engine --features bench --example hash_fields -- steps [FIELDS]     the longest insertion and deletion
//! cargo run --profile quick -p larder-engine --features bench --example hash_fields -- WHAT [FIELDS]      one of insert, hit, miss, same, other, delete: for perf stat
//! ```
//! Names are of 16 bytes in a scattered order, values of 16. `touched` bytes are pages of the arena and all lists.

use std::time::{Duration, Instant};

use larder_engine::bench::BareHash;
use larder_engine::{KeyHasher, ShardOptions, UnixMillis};

const NAME_BYTES: usize = 16;
const VALUE: [u8; 16] = [b'v'; 16];
const DEADLINE: UnixMillis = UnixMillis(2_000_000_000_000);

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
    let step = (0x9E37_79B9 % count) | 1;
    let step = (step..).step_by(2).find(|&step| gcd(step, count) == 1);
    let step = step.expect("one is coprime");
    (0..count).scan(0, move |at, _| {
        *at = (*at + step) % count;
        Some(*at)
    })
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn fill(hash: &mut BareHash, numbers: impl Iterator<Item = usize>, deadline: Option<UnixMillis>) {
    for number in numbers {
        hash.set(&name(number), &VALUE, deadline)
            .expect("memory is to be had");
    }
}

fn print_bytes(what: &str, hash: &BareHash, before: u64, fields: usize) -> f64 {
    let bytes = hash.bytes();
    let over = |bytes: u64| (bytes as f64 - bytes_of_payload(fields)) / fields as f64;
    let (used, touched) = (over(bytes.used - before), over(bytes.touched));
    println!("{what}: {used:.2} used, {touched:.2} touched bytes a field above the payload");
    touched
}

fn bytes_of_payload(fields: usize) -> f64 {
    (fields * (NAME_BYTES + VALUE.len())) as f64
}

fn bytes(fields: usize) {
    let before = empty().bytes().used;
    for (what, deadline) in [
        ("fresh", None),
        ("fresh, each with a deadline", Some(DEADLINE)),
    ] {
        let mut hash = empty();
        fill(&mut hash, scattered(fields), deadline);
        print_bytes(what, &hash, before, fields);
        for (what, left) in [("half deleted", 2), ("nine tenths deleted", 10)] {
            let mut hash = empty();
            fill(&mut hash, scattered(fields), deadline);
            for number in (0..fields).filter(|number| number % left != 0) {
                assert!(hash.remove(&name(number)));
            }
            let kept = fields.div_ceil(left);
            print_bytes(&format!("{what}, at once"), &hash, before, kept);
            let began = Instant::now();
            let mut steps = 0;
            while hash.tend(64) {
                steps += 1;
            }
            let took = began.elapsed();
            let now = print_bytes(what, &hash, before, kept);
            let mut fresh = empty();
            fill(&mut fresh, (0..fields).step_by(left), deadline);
            let fresh = print_bytes("  the same, fresh", &fresh, before, kept);
            let all = bytes_of_payload(kept) / kept as f64;
            let ratio = (now + all) / (fresh + all);
            println!(
                "  {ratio:.3} of fresh with the payload, after {steps} steps of 64 in {took:.1?}"
            );
        }
    }
}

/// Does what is named to each field, in a scattered order; the time it took.
fn work(what: &str, fields: usize) -> Duration {
    let mut hash = empty();
    if what != "insert" {
        fill(&mut hash, scattered(fields), None);
    }
    let began = Instant::now();
    let mut found = 0;
    for number in scattered(fields) {
        found += usize::from(match what {
            "insert" => hash
                .set(&name(number), &VALUE, None)
                .expect("memory is to be had"),
            "hit" => hash.get(&name(number)).is_some(),
            "miss" => hash.get(&name(number + fields)).is_none(),
            "same" => !hash
                .set(&name(number), &[b'w'; 16], None)
                .expect("memory is to be had"),
            "other" => !hash
                .set(&name(number), &[b'w'; 24], None)
                .expect("memory is to be had"),
            "delete" => hash.remove(&name(number)),
            _ => true,
        });
    }
    let took = began.elapsed();
    assert_eq!(found, fields);
    took
}

const WORK: [&str; 6] = ["insert", "hit", "miss", "same", "other", "delete"];

fn times(fields: usize) {
    let idle = work("idle", fields);
    for what in WORK {
        let least = (0..3).map(|_| work(what, fields)).min().unwrap_or_default();
        let each = least.saturating_sub(idle).as_nanos() as f64 / fields as f64;
        println!("{what}: {each:.0} ns, least of three");
    }
}

/// The longest insertions and deletions, of each step the least of three rounds.
fn steps(fields: usize) {
    let mut least = vec![(u32::MAX, u32::MAX); fields];
    for _ in 0..3 {
        let mut hash = empty();
        for (number, least) in scattered(fields).zip(&mut least) {
            let name = name(number);
            let began = Instant::now();
            hash.set(&name, &VALUE, None).expect("memory is to be had");
            least.0 = least.0.min(began.elapsed().as_nanos() as u32);
        }
        for (number, least) in scattered(fields).zip(&mut least) {
            let name = name(number);
            let began = Instant::now();
            assert!(hash.remove(&name));
            least.1 = least.1.min(began.elapsed().as_nanos() as u32);
        }
    }
    let longest = |what: &str, mut nanos: Vec<u32>| {
        nanos.sort_unstable();
        let at = |share: f64| nanos[((nanos.len() - 1) as f64 * share) as usize] as f64 / 1000.0;
        println!(
            "{what}: median {:.2}, 99.9% {:.1}, longest {:.1} µs",
            at(0.5),
            at(0.999),
            at(1.0)
        );
    };
    longest("insert", least.iter().map(|least| least.0).collect());
    longest("delete", least.iter().map(|least| least.1).collect());
    let mut hash = empty();
    fill(&mut hash, scattered(fields), None);
    hash.delete();
    let mut slices = Vec::new();
    loop {
        let began = Instant::now();
        let more = hash.tend(1);
        slices.push(began.elapsed().as_nanos() as u32);
        if !more {
            break;
        }
    }
    longest("a slice of freeing", slices);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let fields = arguments.next().and_then(|fields| fields.parse().ok());
    let fields = fields.unwrap_or(1_000_000);
    match what.as_str() {
        "bytes" => bytes(fields),
        "times" => times(fields),
        "steps" => steps(fields),
        what if WORK.contains(&what) || what == "idle" => {
            work(what, fields);
        }
        _ => println!(
            "hash_fields bytes | times | steps | insert | hit | miss | same | other | delete [FIELDS]"
        ),
    }
}
