//! What a command costs inside Larder, sockets left out: a `Core` is fed pipelines of GET and SET as a client would send
//! them, and its replies are thrown away.
//!
//! `cargo run --release -p larder-perf --bin larder-dispatch-cost [KEYS [PIPELINE]]` prints nanoseconds an operation, the
//! least of several rounds. Under callgrind it is the place to count instructions.

use std::fmt::Write as _;
use std::time::Instant;

use larder_engine::UnixMillis;
use larder_server::command::Clock;
use larder_server::config::Config;
use larder_server::dispatch::Core;
use larder_server::routing::CoreId;
use larder_server::session::{Peer, SessionId};
use larder_server::shared::Shared;

const ROUNDS: usize = 7;
const OPERATIONS: usize = 1 << 20;

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .map(|arg| arg.parse::<usize>().expect("arguments are numbers"));
    let keys = args.next().unwrap_or(100_000);
    let pipeline = args.next().unwrap_or(64);
    let shared = Shared::new(Config::default(), 1, [1, 2, 3, 4], 0);
    let mut core = Core::new(CoreId(0), shared).expect("the shard's memory can be reserved");
    let Ok(client) = core.connect(Peer::default()) else {
        panic!("one client is admitted")
    };
    let value = "x".repeat(64);
    let random = |at: usize| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize % keys;
    let get = |out: &mut String, at: usize| {
        let _ = write!(out, "*2\r\n$3\r\nGET\r\n$16\r\nkey:{at:012}\r\n");
    };
    let set = |out: &mut String, at: usize| {
        let _ = write!(
            out,
            "*3\r\n$3\r\nSET\r\n$16\r\nkey:{at:012}\r\n$64\r\n{value}\r\n"
        );
    };
    run(&mut core, client, &pipelines(keys, pipeline, |at| at, set));
    for (name, input) in [
        ("GET", pipelines(OPERATIONS, pipeline, random, get)),
        ("SET", pipelines(OPERATIONS, pipeline, random, set)),
    ] {
        let least = (0..ROUNDS)
            .map(|_| run(&mut core, client, &input))
            .fold(f64::INFINITY, f64::min);
        println!(
            "{name} pipeline {pipeline}, {keys} keys: {:.1} ns an operation",
            least / OPERATIONS as f64
        );
    }
}

/// The input of `count` commands, in pieces of `pipeline`.
fn pipelines(
    count: usize,
    pipeline: usize,
    key: impl Fn(usize) -> usize,
    command: impl Fn(&mut String, usize),
) -> Vec<String> {
    let piece = |first: usize| {
        let mut out = String::new();
        (first..(first + pipeline).min(count)).for_each(|at| command(&mut out, key(at)));
        out
    };
    (0..count).step_by(pipeline).map(piece).collect()
}

/// Nanoseconds the core took for all of `input`.
fn run(core: &mut Core, client: SessionId, input: &[String]) -> f64 {
    let mut dirty = Vec::new();
    let mut sent = 0;
    let began = Instant::now();
    for piece in input {
        core.begin_turn(Clock {
            unix: UnixMillis(1_700_000_000_000),
            monotonic_us: 1_000_000,
        });
        core.receive(client, piece.as_bytes());
        core.end_turn();
        core.take_dirty(&mut dirty);
        dirty.clear();
        let bytes = core.unsent(client).len();
        core.sent(client, bytes);
        sent += bytes;
    }
    let nanos = began.elapsed().as_nanos() as f64;
    assert!(sent > 0, "the core replies");
    nanos
}
