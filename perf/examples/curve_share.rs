//! What the miss-ratio curve takes of a server, in instructions: a core is fed GET and SET, ten to one, as a client would send them.
//!
//! `curve_share yes|no [KEYS [PIPELINE [COMMANDS_A_SECOND [SECONDS]]]]`, with the curve or without. Time passes as if it were so many commands
//! a second, since the curve is paid for by time. So many seconds in which the sample finds its size are not to be counted: it is made smaller
//! within one, and larger once a minute, so what is sampled in the long run takes some minutes to see, without callgrind.
//!
//! ```text
//! cargo build --release -p larder-perf --example curve_share
//! valgrind --tool=callgrind --toggle-collect='*counted*' target/release/examples/curve_share yes
//! ```
//! Prints how many commands [`counted`] runs, and how many of their keys were sampled.

use larder_perf::data::{VALUE, get, pipelines, set};
use larder_perf::server::Server;

const LIMIT_BYTES: u64 = 1 << 30;
const COUNTED: usize = 1 << 20;

fn main() {
    let mut args = std::env::args().skip(1);
    let curve = args.next().unwrap_or_else(|| "yes".to_owned());
    let mut numbers = args.map(|arg| arg.parse::<usize>().expect("a number"));
    let keys = numbers.next().unwrap_or(200_000);
    let pipeline = numbers.next().unwrap_or(16);
    let a_second = numbers.next().unwrap_or(1_000_000);
    let seconds = numbers.next().unwrap_or(4);
    let mut server = Server::new(1).evicting(
        LIMIT_BYTES,
        "allkeys-adaptive",
        &["--miss-ratio-curve", &curve],
    );
    let sets = (0..keys).map(|number| set(number, &VALUE));
    server.run(&pipelines(sets, pipeline));
    let mut state = 1;
    let commands = (0..COUNTED).map(|nth| {
        let number = draw(&mut state, keys);
        match nth % 11 {
            0 => set(number, &VALUE),
            _ => get(number),
        }
    });
    let input = pipelines(commands, pipeline);
    let turns_a_ms = (a_second / 1000 / pipeline).max(1);
    let before = seconds * a_second / pipeline;
    for (nth, piece) in input.iter().cycle().take(before).enumerate() {
        turn(&mut server, piece, nth % turns_a_ms == 0);
    }
    let sampled = server.sampled();
    counted(&mut server, &input, turns_a_ms);
    let sampled = server.sampled() - sampled;
    println!("{COUNTED} commands, {sampled} of them sampled");
}

/// What is to be counted.
#[inline(never)]
fn counted(server: &mut Server, input: &[Vec<u8>], turns_a_ms: usize) {
    for (nth, piece) in input.iter().enumerate() {
        turn(server, piece, nth % turns_a_ms == 0);
    }
}

fn turn(server: &mut Server, piece: &[u8], begins_ms: bool) {
    if begins_ms {
        server.advance(1);
    }
    server.turn(piece);
}

/// Numbers by popularity, about: the logarithm is even.
fn draw(state: &mut u64, keys: usize) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    let fraction = (*state >> 11) as f64 / (1u64 << 53) as f64;
    ((keys as f64).powf(fraction) - 1.0) as usize
}
