//! Measures the shard by itself: bytes per key, the longest single insertion, the cost of lookups.
//!
//! ```text
//! cargo run --profile quick -p larder-engine --example measure -- bytes 3000000      resident bytes per key over the payload
//! cargo run --profile quick -p larder-engine --example measure -- bytes-ttl 3000000  the same, each key with a deadline
//! cargo run --profile quick -p larder-engine --example measure -- stall 30000000     the longest single insertion
//! cargo run --profile quick -p larder-engine --example measure -- lookup 3000000     ns a lookup, prefetched and not
//! cargo run --profile quick -p larder-engine --example measure -- empty              an empty shard of 16 databases
//! ```

use std::time::{Duration, Instant};

use larder_engine::{
    Access, DbIndex, Event, KeyHasher, Shard, ShardOptions, StringForm, TtlChange, UnixMillis,
};

const DB: DbIndex = DbIndex(0);
const PAGE_BYTES: u64 = 4096;

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

fn fill(shard: &mut Shard, count: u64, ttl: TtlChange) {
    let hasher = shard.hasher().clone();
    for number in 0..count {
        insert(shard, &hasher, number, &[b'v'; 64], ttl);
    }
}

fn bytes(count: u64, ttl: TtlChange) {
    let before = resident_bytes();
    let mut shard = shard();
    fill(&mut shard, count, ttl);
    let grown = resident_bytes() - before;
    let memory = shard.memory();
    let over = |bytes: u64| (bytes as f64 - 80.0 * count as f64) / count as f64;
    println!(
        "keys {count}: resident {:.2} bytes a key over the payload",
        over(grown)
    );
    println!(
        "accounted: used {:.2}, held {:.2}, tables {:.2} a key",
        over(memory.used_bytes()),
        over(memory.arena_bytes + memory.table_bytes),
        memory.table_bytes as f64 / count as f64,
    );
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

/// Fills a shard and gives each insertion's time to `took`, less the time others had the core in between (sampled
/// every 64 insertions).
fn timed_fill(count: u64, took: &mut dyn FnMut(u64, Duration)) {
    let mut shard = shard();
    let hasher = shard.hasher().clone();
    let mut waited_before = waited();
    for number in 0..count {
        let start = Instant::now();
        insert(&mut shard, &hasher, number, b"value:12", TtlChange::Clear);
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
    println!("{:?}", shard.memory());
}

/// The longest insertions of the same fill done three times, the least of the three times each: what the work takes,
/// without what interrupts and a hypervisor add at random.
fn stall(count: u64) {
    let mut least = vec![u32::MAX; count as usize];
    for pass in 1..=3 {
        let begun = ran();
        timed_fill(count, &mut |number, took| {
            let slot = &mut least[number as usize];
            *slot = u32::try_from(took.as_nanos()).map_or(*slot, |nanos| nanos.min(*slot));
        });
        println!(
            "pass {pass}: {count} insertions in {:.1?} of processor time",
            ran() - begun
        );
    }
    let mut histogram = [0u64; 8];
    for nanos in &least {
        let bucket = (nanos / 25_000)
            .checked_ilog2()
            .map_or(0, |log| log as usize + 1);
        histogram[bucket.min(7)] += 1;
    }
    for (bucket, &insertions) in histogram.iter().enumerate() {
        let from = if bucket == 0 { 0 } else { 25 << (bucket - 1) };
        println!("  from {from:5} us: {insertions}");
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
}

fn lookup(count: u64) {
    let mut shard = shard();
    fill(&mut shard, count, TtlChange::Clear);
    shard.set_now(UnixMillis(1000));
    let hasher = shard.hasher().clone();
    for batch in [1usize, 4, 16, 64] {
        for prefetched in [false, true, false, true] {
            let (mut random, mut found, rounds) =
                (88_172_645_463_325_252u64, 0u64, 4_000_000 / batch);
            let (mut keys, mut hashes) = (vec![[0; 16]; batch], vec![0; batch]);
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
                    shard.prefetch(DB, &hashes);
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
    let count = arguments
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(3_000_000);
    match what.as_str() {
        "bytes" => bytes(count, TtlChange::Clear),
        "bytes-ttl" => bytes(count, TtlChange::At(UnixMillis(2_000_000_000_000))),
        "stall" => stall(count),
        "lookup" => lookup(count),
        "empty" => empty(),
        _ => println!("measure bytes | bytes-ttl | stall | lookup | empty [COUNT]"),
    }
}
