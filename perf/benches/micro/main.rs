//! How long the hot paths take by the clock, one subject a module: `cargo bench -p larder-perf --bench micro -- lookup`.
//!
//! What is done is in `larder_perf::work`, shared with the instruction counts. `cargo test --workspace --bench micro` runs
//! every bench once, on few keys, so that they keep working.

mod arena;
mod dispatch;
mod expiry;
mod list;
mod lookup;
mod parser;
mod reply;
mod routing;
mod set;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_main};
use larder_perf::work::OPERATIONS;

/// Keys of a table that does not fit the caches; fewer when nothing is measured.
fn many_keys() -> usize {
    if std::env::args().any(|arg| arg == "--bench") {
        1 << 20
    } else {
        1 << 15
    }
}

/// A group whose iterations are of [`OPERATIONS`] operations, and whose figures are of one.
fn group<'a>(criterion: &'a mut Criterion, subject: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(subject);
    group.throughput(Throughput::Elements(OPERATIONS as u64));
    group
}

fn all() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    parser::benches(&mut criterion);
    reply::benches(&mut criterion);
    routing::benches(&mut criterion);
    lookup::benches(&mut criterion);
    set::benches(&mut criterion);
    expiry::benches(&mut criterion);
    arena::benches(&mut criterion);
    list::benches(&mut criterion);
    dispatch::benches(&mut criterion);
    criterion.final_summary();
}

criterion_main!(all);
