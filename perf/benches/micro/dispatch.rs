//! Whole turns of a core, sockets left out: pipelines of GET and SET from a client's bytes to the bytes of the replies.

use criterion::Criterion;
use larder_perf::data::{VALUE, get, pipelines, scattered, set};
use larder_perf::server::Server;
use larder_perf::work::{KEYS, OPERATIONS};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "dispatch");
    let numbers = scattered(OPERATIONS, KEYS);
    let mut server = Server::filled(KEYS);
    for pipeline in [1, 16, 64] {
        for (name, input) in [
            ("get hit", pipelines(numbers.clone().map(get), pipeline)),
            (
                "get miss",
                pipelines((KEYS..KEYS + OPERATIONS).map(get), pipeline),
            ),
            (
                "set over the same size",
                pipelines(numbers.clone().map(|number| set(number, &VALUE)), pipeline),
            ),
        ] {
            group.bench_function(format!("{name}/pipeline {pipeline}"), |bench| {
                bench.iter(|| server.run(&input));
            });
        }
    }
    group.finish();
}
