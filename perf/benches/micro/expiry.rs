//! Expiry: what an entry costs that the hand removes, or a lookup; what a step of the hand costs that finds nothing due.

use criterion::{BatchSize, Criterion};
use larder_perf::work::{KEYS, OPERATIONS, expiry, lookup};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "expiry");
    group.bench_function("entry removed by the hand", |bench| {
        bench.iter_batched(
            || expiry::all_due(OPERATIONS),
            |mut shard| {
                expiry::hand_until_done(&mut shard);
                shard
            },
            BatchSize::PerIteration,
        );
    });
    let keys = lookup::present(OPERATIONS, KEYS);
    group.bench_function("entry removed by a lookup", |bench| {
        bench.iter_batched(
            || expiry::all_due(KEYS),
            |mut shard| {
                lookup::each(&mut shard, &keys);
                shard
            },
            BatchSize::PerIteration,
        );
    });
    let mut shard = expiry::none_due(KEYS);
    group.bench_function(format!("step, none of {KEYS} entries due"), |bench| {
        bench.iter(|| expiry::hand_steps(&mut shard, OPERATIONS));
    });
    group.finish();
}
