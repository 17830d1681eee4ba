//! The arena by size class: fresh blocks, and blocks freed and taken again.

use criterion::{BatchSize, Criterion};
use larder_perf::work::{OPERATIONS, arena};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "arena");
    for bytes in arena::SIZES_BYTES {
        // The kernel's share, a page fault every 4096 bytes, is part of what a fresh block costs.
        group.bench_function(format!("alloc/{bytes} bytes"), |bench| {
            bench.iter_batched(
                || (arena::empty(), Vec::with_capacity(OPERATIONS)),
                |(mut arena, mut blocks)| {
                    arena::alloc(&mut arena, &mut blocks, bytes, OPERATIONS);
                    (arena, blocks)
                },
                BatchSize::PerIteration,
            );
        });
        let (mut arena, mut blocks) = (arena::empty(), Vec::new());
        arena::alloc(&mut arena, &mut blocks, bytes, OPERATIONS);
        group.bench_function(format!("free and alloc/{bytes} bytes"), |bench| {
            bench.iter(|| arena::reuse(&mut arena, &mut blocks, bytes));
        });
    }
    group.finish();
}
