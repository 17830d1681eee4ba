//! The reply writer.

use criterion::Criterion;
use larder_perf::data::VALUE;
use larder_perf::work::{OPERATIONS, reply};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "reply");
    let mut out = Vec::new();
    for bytes in [8, 64, 4096] {
        let value = vec![VALUE[0]; bytes];
        group.bench_function(format!("bulk/{bytes} bytes"), |bench| {
            bench.iter(|| reply::bulk(&mut out, &value, OPERATIONS));
        });
    }
    group.bench_function("integer", |bench| {
        bench.iter(|| reply::integer(&mut out, OPERATIONS));
    });
    group.bench_function("ok", |bench| {
        bench.iter(|| reply::ok(&mut out, OPERATIONS));
    });
    group.bench_function("null", |bench| {
        bench.iter(|| reply::null(&mut out, OPERATIONS));
    });
    group.finish();
}
