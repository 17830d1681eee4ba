//! What a command costs inside Larder, sockets left out: a core is fed pipelines of GET and SET as a client would send
//! them, and its replies are thrown away.
//!
//! `cargo run --release -p larder-perf --example dispatch_cost [KEYS [PIPELINE]]` prints nanoseconds an operation, the
//! least of several rounds. It is the program to profile for where the instructions go: see `perf/README.md`.

use std::time::Instant;

use larder_perf::data::{VALUE, get, pipelines, scattered, set};
use larder_perf::server::Server;

const ROUNDS: usize = 7;
const OPERATIONS: usize = 1 << 20;

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|arg| arg.parse::<usize>().expect("arguments are numbers"));
    let keys = args.next().unwrap_or(100_000);
    let pipeline = args.next().unwrap_or(64);
    let mut server = Server::filled(keys);
    let numbers = scattered(OPERATIONS, keys);
    for (name, input) in [
        ("GET", pipelines(numbers.clone().map(get), pipeline)),
        (
            "SET",
            pipelines(numbers.map(|number| set(number, &VALUE)), pipeline),
        ),
    ] {
        let least = (0..ROUNDS)
            .map(|_| nanos(&mut server, &input))
            .fold(f64::INFINITY, f64::min);
        println!(
            "{name} pipeline {pipeline}, {keys} keys: {:.1} ns an operation",
            least / OPERATIONS as f64
        );
    }
}

/// Nanoseconds the core takes for all of `input`.
fn nanos(server: &mut Server, input: &[Vec<u8>]) -> f64 {
    let began = Instant::now();
    let sent = server.run(input);
    let nanos = began.elapsed().as_nanos() as f64;
    assert!(sent > 0, "the core replies");
    nanos
}
