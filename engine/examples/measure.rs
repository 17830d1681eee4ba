//! Measures the shard by itself: bytes per key, the longest single steps, the cost of operations.
//!
//! ```text
//! cargo build --profile quick -p larder-engine --example measure
//! target/quick/examples/measure bytes [KEYS [VALUE]]      resident bytes per key over the payload
//! target/quick/examples/measure bytes-ttl [KEYS [VALUE]]  the same, each key with a deadline
//! target/quick/examples/measure churn [KEYS]              the same after values of 32 to 96 bytes were written four times
//! target/quick/examples/measure stall [KEYS [VALUE]]      the longest single insertions
//! target/quick/examples/measure drain [KEYS [VALUE]]      the longest single removals
//! target/quick/examples/measure lookup [KEYS [VALUE]]     ns a lookup, prefetched and not
//! target/quick/examples/measure WORK [KEYS [VALUE]]       insert, hit, miss, same, other, vary, delete or idle in batches of 16, prefetched
//! target/quick/examples/measure empty                     an empty shard of 16 databases
//! ```
//! Keys are of 16 bytes, values of VALUE bytes or 64.

use std::time::{Duration, Instant};

use larder_engine::{
    Access, DbIndex, Event, KeyAhead, KeyHasher, Shard, ShardOptions, StringForm, TtlChange,
    UnixMillis,
};

const DB: DbIndex = DbIndex(0);
const PAGE_BYTES: u64 = 4096;
const WORK: [&str; 8] = [
    "insert", "hit", "miss", "same", "other", "vary", "delete", "idle",
];

/// Resident bytes of this process.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|field| field.parse::<u64>().ok());
    pages.expect("the second field is a number") * PAGE_BYTES
}

fn shard() -> Shard {
    let hasher = KeyHasher::with_seeds([1, 2, 3, 4]);
    Shard::new(&ShardOptions {
        databases: 16,
        memory_ceiling_bytes: 16 << 30,
        hasher,
    })
    .expect("address space")
}

/// A key of 16 bytes.
fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

fn insert(shard: &mut Shard, hasher: &KeyHasher, number: u64, value: &[u8], ttl: TtlChange) {
    let key = key(number);
    shard
        .set(
            DB,
            hasher.key(&key),
            value,
            StringForm::Detect,
            ttl,
            Event::Set,
        )
        .expect("memory");
}

fn fill(shard: &mut Shard, count: u64, value: &[u8], ttl: TtlChange) {
    let hasher = shard.hasher().clone();
    for number in 0..count {
        insert(shard, &hasher, number, value, ttl);
    }
}

/// Prints what `count` keys take whose values have `value_bytes` in all, in a process that had `before` bytes resident.
fn print_bytes(what: &str, shard: &Shard, before: u64, count: u64, value_bytes: u64) {
    let payload = 16 * count + value_bytes;
    let over = |bytes: u64| (bytes as f64 - payload as f64) / count as f64;
    let memory = shard.memory();
    println!(
        "{what}: resident {:.2} bytes a key over the payload; accounted: used {:.2}, held {:.2}, tables {:.2}",
        over(resident_bytes() - before),
        over(memory.used_bytes()),
        over(memory.arena_bytes + memory.table_bytes),
        memory.table_bytes as f64 / count as f64,
    );
}

fn bytes(count: u64, value: &[u8], ttl: TtlChange) {
    let before = resident_bytes();
    let mut shard = shard();
    fill(&mut shard, count, value, ttl);
    let value_bytes = count * value.len() as u64;
    print_bytes("fresh", &shard, before, count, value_bytes);
}

/// Writes values of 32 to 96 bytes to all keys four times, tending in between as a server does when it is idle.
fn churn(count: u64) {
    let before = resident_bytes();
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    let mut random = 1u64;
    for round in 1..=4 {
        let mut value_bytes = 0;
        for number in 0..count {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let len = 32 + (random >> 33) as usize % 65;
            value_bytes += len as u64;
            insert(
                &mut shard,
                &hasher,
                number,
                &[b'v'; 96][..len],
                TtlChange::Clear,
            );
        }
        let what = format!("written {round} times");
        print_bytes(&what, &shard, before, count, value_bytes);
        let began = ran();
        while shard.tend(64) {}
        let what = format!("  tended for {:.0?}", ran() - began);
        print_bytes(&what, &shard, before, count, value_bytes);
    }
}

/// Time this thread was ready to run and another ran instead, as the scheduler counts it.
fn waited() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let nanos = text.split(' ').nth(1).and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.expect("the second field is a number"))
}

/// Time this thread has run.
fn ran() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let nanos = text.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.expect("the first field is a number"))
}

/// Does `step` for each number and gives its time to `took`, less the time others had the core in between (sampled every
/// 64 steps).
fn timed(count: u64, mut step: impl FnMut(u64), mut took: impl FnMut(u64, Duration)) {
    let mut waited_before = waited();
    for number in 0..count {
        let start = Instant::now();
        step(number);
        let mut time = start.elapsed();
        if time > Duration::from_micros(50) {
            let waited_now = waited();
            time = time.saturating_sub(waited_now - waited_before);
            waited_before = waited_now;
        } else if number % 64 == 0 {
            waited_before = waited();
        }
        took(number, time);
    }
}

/// The longest insertions, or removals, of the same done three times, the least of the three times each: what the work
/// takes, without what interrupts and a hypervisor add at random.
fn stall(count: u64, value: &[u8], is_drained: bool) {
    let mut least = vec![u32::MAX; count as usize];
    for pass in 1..=3 {
        let mut shard = shard();
        let hasher = shard.hasher().clone();
        let took = |number: u64, took: Duration| {
            let slot = &mut least[number as usize];
            *slot = u32::try_from(took.as_nanos()).map_or(*slot, |nanos| nanos.min(*slot));
        };
        if is_drained {
            fill(&mut shard, count, value, TtlChange::Clear);
        }
        let begun = ran();
        let step = |number| match is_drained {
            false => insert(&mut shard, &hasher, number, value, TtlChange::Clear),
            true => assert!(shard.remove(DB, hasher.key(&key(number)), Event::Del)),
        };
        timed(count, step, took);
        println!("pass {pass}: {:.1?} of processor time", ran() - begun);
    }
    let mut histogram = [0u64; 8];
    for nanos in &least {
        let bucket = (nanos / 25_000)
            .checked_ilog2()
            .map_or(0, |log| log as usize + 1);
        histogram[bucket.min(7)] += 1;
    }
    for (bucket, &steps) in histogram.iter().enumerate() {
        let from = if bucket == 0 { 0 } else { 25 << (bucket - 1) };
        println!("  from {from:5} us: {steps}");
    }
    let mut numbers: Vec<usize> = (0..least.len()).collect();
    let longest = numbers.len().min(8);
    numbers.select_nth_unstable_by_key(longest - 1, |&number| std::cmp::Reverse(least[number]));
    numbers.truncate(longest);
    numbers.sort_unstable_by_key(|&number| std::cmp::Reverse(least[number]));
    for number in numbers {
        println!(
            "  {:.1} us at key {number}",
            f64::from(least[number]) / 1000.0
        );
    }
    least.sort_unstable();
    let at = |share: f64| f64::from(least[((least.len() - 1) as f64 * share) as usize]) / 1000.0;
    println!("  median {:.2} us, 99.9% {:.1} us", at(0.5), at(0.999));
}

fn lookup(count: u64, value: &[u8]) {
    let mut shard = shard();
    fill(&mut shard, count, value, TtlChange::Clear);
    shard.set_now(UnixMillis(1000));
    let hasher = shard.hasher().clone();
    for batch in [1usize, 4, 16, 64] {
        for prefetched in [false, true, false, true] {
            let (mut random, mut found, rounds) =
                (88_172_645_463_325_252u64, 0u64, 4_000_000 / batch);
            let (mut keys, mut hashes) = (vec![[0; 16]; batch], vec![0; batch]);
            let mut ahead = vec![KeyAhead::default(); batch];
            let start = ran();
            for _ in 0..rounds {
                for (key_bytes, hash) in keys.iter_mut().zip(&mut hashes) {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    *key_bytes = key(random % count);
                    *hash = hasher.hash(&*key_bytes);
                }
                if prefetched {
                    for (ahead, &hash) in ahead.iter_mut().zip(&hashes) {
                        ahead.hash = hash;
                    }
                    shard.prefetch(DB, &ahead);
                }
                for (key_bytes, &hash) in keys.iter().zip(&hashes) {
                    let key = larder_engine::Key::new(key_bytes, hash);
                    let entry = shard.get(DB, key, Access::Peek);
                    found += entry
                        .and_then(|entry| entry.string())
                        .map_or(0, |v| u64::from(v[0] == b'v'));
                }
            }
            assert_eq!(found, (rounds * batch) as u64);
            let each = (ran() - start).as_nanos() as f64 / (rounds * batch) as f64;
            println!("batch {batch:3} prefetch {prefetched:5}: {each:6.1} ns a lookup");
        }
    }
}

/// The length of a value of 32 to 96 bytes, in no order.
fn varying(number: u64) -> usize {
    32 + (number.wrapping_mul(6_364_136_223_846_793_005) >> 33) as usize % 65
}

/// Does what is named to each key, in a scattered order, in batches of 16 that are prefetched: `other` makes values 8 bytes
/// longer, `vary` gives values of 32 to 96 bytes others of such sizes.
fn work(what: &str, count: u64, value: &[u8]) {
    const BATCH: usize = 16;
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    match what {
        "insert" => {}
        "vary" => (0..count).for_each(|number| {
            let value = &[b'v'; 96][..varying(number)];
            insert(&mut shard, &hasher, number, value, TtlChange::Clear);
        }),
        _ => fill(&mut shard, count, value, TtlChange::Clear),
    }
    shard.set_now(UnixMillis(1000));
    let other = vec![b'w'; value.len() + 8];
    // A prime that divides no count that anybody asks for.
    let numbers: Vec<u64> = (0..count).map(|at| at * 2_147_483_647 % count).collect();
    let begun = ran();
    let mut found = 0;
    for batch in numbers.chunks(BATCH) {
        let mut keys = [[0; 16]; BATCH];
        let mut hashes = [0; BATCH];
        for ((&number, of), hash) in batch.iter().zip(&mut keys).zip(&mut hashes) {
            *of = key(number + if what == "miss" { count } else { 0 });
            *hash = hasher.hash(&*of);
        }
        if what != "idle" {
            let writes = !matches!(what, "hit" | "miss" | "idle");
            let ahead = hashes.map(|hash| KeyAhead { hash, writes });
            shard.prefetch(DB, &ahead[..batch.len()]);
        }
        for (at, (bytes, &hash)) in keys.iter().zip(&hashes).take(batch.len()).enumerate() {
            let key = larder_engine::Key::new(bytes, hash);
            let mut set = |value: &[u8]| {
                let form = StringForm::Detect;
                let set = shard.set(DB, key, value, form, TtlChange::Clear, Event::Set);
                set.is_ok()
            };
            found += u64::from(match what {
                "insert" | "same" => set(value),
                "other" => set(&other),
                "vary" => set(&[b'w'; 96][..varying(batch[at] + count)]),
                "hit" => shard.read(DB, key, Access::Touch).is_some(),
                "miss" => shard.read(DB, key, Access::Touch).is_none(),
                "delete" => shard.remove(DB, key, Event::Del),
                _ => true,
            });
        }
    }
    let each = (ran() - begun).as_nanos() as f64 / count as f64;
    assert_eq!(found, count);
    println!("{what}: {each:.1} ns each");
}

fn empty() {
    let before = resident_bytes();
    let shards: Vec<Shard> = (0..10).map(|_| shard()).collect();
    let each = (resident_bytes() - before) / shards.len() as u64;
    println!(
        "an empty shard: {each} bytes resident, {:?}",
        shards[0].memory()
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let mut number = |otherwise| {
        let number = arguments.next().and_then(|number| number.parse().ok());
        number.unwrap_or(otherwise)
    };
    let (count, value) = (number(3_000_000), vec![b'v'; number(64) as usize]);
    match what.as_str() {
        "bytes" => bytes(count, &value, TtlChange::Clear),
        "bytes-ttl" => bytes(count, &value, TtlChange::At(UnixMillis(2_000_000_000_000))),
        "churn" => churn(count),
        "stall" => stall(count, &value, false),
        "drain" => stall(count, &value, true),
        "lookup" => lookup(count, &value),
        "empty" => empty(),
        what if WORK.contains(&what) => work(what, count, &value),
        _ => println!(
            "measure bytes | bytes-ttl | churn | stall | drain | lookup | empty | {} [KEYS [VALUE]]",
            WORK.join(" | ")
        ),
    }
}
