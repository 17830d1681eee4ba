//! From keys to slots and cores.

use criterion::Criterion;
use larder_perf::work::{OPERATIONS, routing};
use larder_server::routing::SlotMap;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "routing");
    for (name, keys) in [
        ("plain", routing::plain_keys(OPERATIONS)),
        ("tagged", routing::tagged_keys(OPERATIONS)),
    ] {
        group.bench_function(format!("slot/{name}"), |bench| {
            bench.iter(|| routing::slots(&keys));
        });
        for cores in [1, 4] {
            let map = SlotMap::even(cores);
            group.bench_function(format!("core/{name}/of {cores}"), |bench| {
                bench.iter(|| routing::cores(&map, &keys));
            });
        }
    }
    group.finish();
}
