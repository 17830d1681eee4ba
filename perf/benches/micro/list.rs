//! A large list by itself, of 16-byte elements.

use criterion::{BatchSize, Criterion};
use larder_engine::End;
use larder_perf::work::{OPERATIONS, list};

pub(crate) fn benches(criterion: &mut Criterion) {
    let elements = crate::many_keys();
    let mut group = crate::group(criterion, "list");
    let mut queue = list::filled(elements);
    group.bench_function("push at the head and pop at the tail", |bench| {
        bench.iter(|| {
            list::push(&mut queue, End::Head, OPERATIONS);
            list::pop(&mut queue, End::Tail, OPERATIONS)
        });
    });
    group.bench_function("index", |bench| {
        bench.iter(|| list::index(&queue, OPERATIONS));
    });
    group.bench_function("range of 100", |bench| {
        bench.iter(|| list::range(&queue, OPERATIONS));
    });
    group.bench_function("insert", |bench| {
        bench.iter_batched(
            || list::filled(elements),
            |mut list| {
                list::insert(&mut list, OPERATIONS);
                list
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}
