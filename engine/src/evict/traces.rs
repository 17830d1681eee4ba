//! Traces that are made: what caches are good and bad at, each the same on every run.

use super::rng::{Rng, mix};
use super::simulation::Request;

/// Keys by a Zipf distribution: the n-th is asked for in proportion to 1 / n^`skew`.
struct Zipf {
    /// For each key the part of all requests that go to it or one before.
    sums: Vec<f64>,
}

impl Zipf {
    fn new(keys: u64, skew: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=keys).map(|key| {
            sum += (key as f64).powf(-skew);
            sum
        });
        Self {
            sums: sums.collect(),
        }
    }

    fn draw(&self, rng: &mut Rng) -> u64 {
        let total = self.sums.last().copied().unwrap_or(0.0);
        let at = (rng.next() >> 11) as f64 / (1u64 << 53) as f64 * total;
        self.sums.partition_point(|&sum| sum < at) as u64
    }
}

fn of_one_size(key: u64) -> Request {
    Request { key, bytes: 1 }
}

/// Requests by popularity alone.
pub fn zipf(requests: usize, keys: u64, seed: u64) -> Vec<Request> {
    let (zipf, mut rng) = (Zipf::new(keys, 0.9), Rng::new(seed));
    let draws = (0..requests).map(|_| of_one_size(zipf.draw(&mut rng)));
    draws.collect()
}

/// The same, and now and then a walk over keys that are asked for once.
pub fn scans(requests: usize, keys: u64, seed: u64) -> Vec<Request> {
    let (zipf, mut rng) = (Zipf::new(keys, 0.9), Rng::new(seed));
    let mut scanned = keys;
    let draws = (0..requests as u64).map(|at| {
        if at / keys % 3 == 2 {
            scanned += 1;
            return of_one_size(scanned);
        }
        of_one_size(zipf.draw(&mut rng))
    });
    draws.collect()
}

/// All keys in turn, again and again, and others by popularity between.
pub fn loops(requests: usize, keys: u64, seed: u64) -> Vec<Request> {
    let (zipf, mut rng) = (Zipf::new(keys, 0.9), Rng::new(seed));
    let draws = (0..requests as u64).map(|at| match rng.next() % 4 {
        0 => of_one_size(keys + zipf.draw(&mut rng)),
        _ => of_one_size(at % keys),
    });
    draws.collect()
}

/// Popularity that moves on: after each eighth of the requests other keys are popular.
pub fn shifts(requests: usize, keys: u64, seed: u64) -> Vec<Request> {
    let (zipf, mut rng) = (Zipf::new(keys, 1.0), Rng::new(seed));
    let draws = (0..requests).map(|at| {
        let era = (at * 8 / requests.max(1)) as u64;
        of_one_size((zipf.draw(&mut rng) + era * keys / 3) % (3 * keys))
    });
    draws.collect()
}

/// By popularity, one key in five being twenty times as large as the others.
pub fn two_sizes(requests: usize, keys: u64, seed: u64) -> Vec<Request> {
    let mut trace = zipf(requests, keys, seed);
    for request in &mut trace {
        request.bytes = match mix(request.key ^ seed).is_multiple_of(5) {
            true => 4000,
            false => 200,
        };
    }
    trace
}

/// Gives each key a size between 64 bytes and 16 KiB, its logarithm drawn evenly by `seed`.
pub fn with_sizes(trace: &[Request], seed: u64) -> Vec<Request> {
    let sized = trace.iter().map(|&Request { key, .. }| {
        let drawn = (mix(key ^ mix(seed)) >> 11) as f64 / (1u64 << 53) as f64;
        let bytes = 2f64.powf(6.0 + 8.0 * drawn) as u64;
        Request { key, bytes }
    });
    sized.collect()
}
