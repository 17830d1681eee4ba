//! The table, of a size the caches hold and of one they do not: hit, miss, and hits in prefetched batches.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use larder_engine::{Shard, TtlChange};
use larder_perf::shard::{Hashed, filled};
use larder_perf::work::{KEYS, OPERATIONS, lookup};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "lookup");
    for keys in [KEYS, crate::many_keys()] {
        let mut shard = filled(keys, TtlChange::Clear);
        let present = lookup::present(keys, keys);
        let absent = lookup::absent(keys, keys);
        let shard = &mut shard;
        bench(
            &mut group,
            &format!("hit/{keys} keys"),
            shard,
            &present,
            lookup::each,
        );
        bench(
            &mut group,
            &format!("miss/{keys} keys"),
            shard,
            &absent,
            lookup::each,
        );
        let name = format!("hit in batches of 16/{keys} keys");
        bench(&mut group, &name, shard, &present, lookup::batches::<16>);
        let name = format!("hit in batches of 32/{keys} keys");
        bench(&mut group, &name, shard, &present, lookup::batches::<32>);
    }
    group.finish();
}

/// Each iteration takes the next [`OPERATIONS`] keys, so that those of a large table are cold again when their turn comes.
fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    shard: &mut Shard,
    keys: &[Hashed],
    look_up: impl Fn(&mut Shard, &[Hashed]) -> usize,
) {
    let mut parts = keys.chunks_exact(OPERATIONS).cycle();
    group.bench_function(name, |bench| {
        bench.iter(|| look_up(shard, parts.next().expect("a cycle does not end")));
    });
}
