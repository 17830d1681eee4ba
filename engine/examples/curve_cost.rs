//! What a miss-ratio curve costs its shard: `curve_cost [ENTRIES [SAMPLE]]`.
//!
//! A shard of so many entries (1000000) is read by popularity, without a curve, with one that samples so many entries (2048) whatever that
//! costs, and with one that keeps to one percent. Prints nanoseconds of this thread for a read, of which an event of the sample,
//! the part of the time that this is, and the bytes that the curve holds. The floor of a read is a read alone: in a server, commands have
//! more to do than that, and the part is smaller.

use std::env::args;
use std::fs::read_to_string;

use larder_engine::evict::{CurveOptions, PERCENTS, PolicyName, Scope};
use larder_engine::{
    Access, DbIndex, Event, EvictionOptions, KeyHasher, Lfu, Shard, ShardOptions, StringForm,
    TtlChange, UnixMillis,
};

const DB: DbIndex = DbIndex(0);
const READS: u64 = 4_000_000;

/// Time of this thread on a processor.
fn cpu_ns() -> u64 {
    let told = read_to_string("/proc/thread-self/schedstat").expect("every Linux has it");
    let first = told.split(' ').next().expect("three numbers");
    first.parse().expect("a number")
}

/// Numbers by popularity, about: the logarithm is even.
fn draw(state: &mut u64, entries: u64) -> u64 {
    *state = state
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    let fraction = (*state >> 11) as f64 / (1u64 << 53) as f64;
    ((entries as f64).powf(fraction) - 1.0) as u64
}

fn main() {
    let number = |nth: usize, default: u64| -> u64 {
        args()
            .nth(nth)
            .map_or(default, |arg| arg.parse().expect("a number"))
    };
    let (entries, sample) = (number(1, 1_000_000), number(2, 2048));
    let mut shard = Shard::new(&ShardOptions {
        databases: 1,
        memory_ceiling_bytes: 8 << 30,
        hasher: KeyHasher::with_seeds([1, 2, 3, 4]),
    })
    .expect("address space");
    let hasher = shard.hasher().clone();
    let mut now = 1_700_000_000_000;
    shard.set_now(UnixMillis(now));
    shard.set_eviction(Some(&EvictionOptions {
        policy: PolicyName::Adaptive,
        scope: Scope::AllKeys,
        samples: 5,
        lfu: Lfu::default(),
        capacity_bytes: entries * 100,
    }));
    for key in 0..entries {
        let name = key.to_le_bytes();
        let form = StringForm::Detect;
        let stored = shard.set(
            DB,
            hasher.key(&name),
            &[7; 64],
            form,
            TtlChange::Clear,
            Event::Set,
        );
        stored.expect("memory");
    }
    let held = shard.memory().entry_bytes;
    println!(
        "| curve | a read, ns | events of the sample | an event, ns | part of the time | bytes |\n|---|---|---|---|---|---|"
    );
    let mut without = 0.0;
    for (name, cpu_percent) in [("none", 0), ("any time", 100), ("one percent", 1)] {
        let options = CurveOptions {
            policy: Some(PolicyName::Adaptive),
            scope: Scope::AllKeys,
            entries: sample as u32,
            cpu_percent,
        };
        shard.set_curve((cpu_percent > 0).then_some(&options));
        shard.fit_curve(PERCENTS.map(|percent| held / 100 * percent));
        while shard.tend(1000) {}
        let (mut state, mut began) = (1, cpu_ns());
        // The first half warms the caches up.
        for read in 0..2 * READS {
            if read == READS {
                if let Some(curve) = shard.curve() {
                    curve.count_anew();
                }
                began = cpu_ns();
            }
            let name = draw(&mut state, entries).to_le_bytes();
            shard.read(DB, hasher.key(&name), Access::Touch);
            if read.is_multiple_of(4000) {
                // A core that does nothing else: as much time passes.
                now += 1;
                shard.set_now(UnixMillis(now));
                shard.tend(16);
            }
        }
        let each = (cpu_ns() - began) as f64 / READS as f64;
        let events = shard.curve().map_or(0, |curve| curve.stats().sampled);
        if cpu_percent == 0 {
            without = each;
        }
        let more = (each - without).max(0.0);
        println!(
            "| {name} | {each:.1} | {events} | {:.0} | {:.2}% | {} |",
            more * READS as f64 / events.max(1) as f64,
            100.0 * more / each,
            shard.curve().map_or(0, |curve| curve.held_bytes()),
        );
    }
}
