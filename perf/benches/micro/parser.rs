//! The command parser over pipelines of GET and SET, and over commands that arrive in halves.

use criterion::Criterion;
use larder_perf::data::{VALUE, get, pipelines, set};
use larder_perf::work::{OPERATIONS, parser};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "parser");
    let gets = || (0..OPERATIONS).map(get);
    let sets = || (0..OPERATIONS).map(|number| set(number, &VALUE));
    for pipeline in [1, 64] {
        let input = pipelines(gets(), pipeline);
        group.bench_function(format!("get/pipeline {pipeline}"), |bench| {
            bench.iter(|| parser::whole(&input));
        });
        let input = pipelines(sets(), pipeline);
        group.bench_function(format!("set/pipeline {pipeline}"), |bench| {
            bench.iter(|| parser::whole(&input));
        });
    }
    let input = pipelines(sets(), 1);
    group.bench_function("set/in halves", |bench| {
        bench.iter(|| parser::halved(&input));
    });
    group.finish();
}
