//! Writing strings: new keys, and over values of the same and of another size.

use criterion::{BatchSize, Criterion};
use larder_engine::TtlChange;
use larder_perf::data::VALUE;
use larder_perf::shard::filled;
use larder_perf::work::set::{LONGER_VALUE, all};
use larder_perf::work::{KEYS, OPERATIONS, lookup};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "set");
    let present = lookup::present(OPERATIONS, KEYS);
    let absent = lookup::absent(OPERATIONS, KEYS);
    group.bench_function("insert", |bench| {
        bench.iter_batched(
            || filled(KEYS, TtlChange::Clear),
            |mut shard| {
                all(&mut shard, &absent, &VALUE);
                shard
            },
            BatchSize::PerIteration,
        );
    });
    let mut shard = filled(KEYS, TtlChange::Clear);
    group.bench_function("overwrite/same size", |bench| {
        bench.iter(|| all(&mut shard, &present, &VALUE));
    });
    // Longer and shorter in turns: neither fits where the other is.
    let mut sizes = [LONGER_VALUE.as_slice(), &VALUE].into_iter().cycle();
    group.bench_function("overwrite/another size", |bench| {
        bench.iter(|| {
            let value = sizes.next().expect("a cycle does not end");
            all(&mut shard, &present, value)
        });
    });
    group.finish();
}
