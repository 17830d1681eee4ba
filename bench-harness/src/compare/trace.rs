//! Made-up traces for hit-ratio cases: popularity by Zipf's law, interrupted by scans of keys that never come back.
//!
//! Zipf's law is drawn by inverting the sum of the weights, a table of one number per key and a binary search per request;
//! which keys are popular is scattered over the key space. Equal parameters make equal traces on every machine.

use std::io::{self, Write};

use super::scenario::Synthetic;

/// Writes the trace `made_up` describes, one key a line.
///
/// # Errors
/// `out` takes no more.
pub(crate) fn write(made_up: &Synthetic, out: &mut impl Write) -> io::Result<()> {
    let mut random = SplitMix(made_up.seed);
    let mut sums = Vec::with_capacity(made_up.keys as usize);
    let mut total = 0.0;
    for rank in 1..=made_up.keys {
        total += (rank as f64).powf(-made_up.theta);
        sums.push(total);
    }
    // A scan begins so often that scans make up their fraction of the requests.
    let scan_keys = made_up.scan_keys as f64;
    let begin =
        made_up.scan_fraction / (scan_keys * (1.0 - made_up.scan_fraction) + made_up.scan_fraction);
    let (mut next_scanned, mut scan_left) = (0_u64, 0_u64);
    for _ in 0..made_up.requests {
        if scan_left == 0 && random.unit() < begin {
            scan_left = made_up.scan_keys;
        }
        if scan_left > 0 {
            scan_left -= 1;
            writeln!(out, "scan:{next_scanned:010}")?;
            next_scanned += 1;
        } else {
            let drawn = random.unit() * total;
            let rank = sums
                .partition_point(|sum| *sum <= drawn)
                .min(sums.len() - 1);
            writeln!(out, "page:{:010}", scatter(rank as u64, made_up.keys))?;
        }
    }
    Ok(())
}

/// A one-to-one mapping of `0..keys` that sets neighbours apart, so that popular keys do not lie side by side.
fn scatter(rank: u64, keys: u64) -> u64 {
    let mut step = 0x9E37_79B9_7F4A_7C15 % keys;
    while gcd(step, keys) != 1 {
        step += 1;
    }
    (u128::from(rank) * u128::from(step) % u128::from(keys)) as u64
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, not including, 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn trace(made_up: Synthetic) -> Vec<String> {
        let mut out = Vec::new();
        write(&made_up, &mut out).unwrap();
        String::from_utf8(out)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    const PLAIN: Synthetic = Synthetic {
        keys: 100,
        requests: 20_000,
        theta: 1.0,
        scan_fraction: 0.0,
        scan_keys: 50,
        seed: 7,
    };

    #[test]
    fn popularity_follows_the_law() {
        let mut counts = BTreeMap::new();
        for key in trace(PLAIN) {
            *counts.entry(key).or_insert(0_u32) += 1;
        }
        let mut counts: Vec<u32> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(counts.len(), 100);
        // The first of 100 keys has 1/5.187 of all requests with theta 1, the second half as many.
        assert!((3500..4200).contains(&counts[0]), "{}", counts[0]);
        assert!((1700..2200).contains(&counts[1]), "{}", counts[1]);
    }

    #[test]
    fn scans_take_their_part_and_come_once() {
        let keys = trace(Synthetic {
            scan_fraction: 0.25,
            requests: 200_000,
            ..PLAIN
        });
        let scanned: Vec<&String> = keys.iter().filter(|key| key.starts_with("scan:")).collect();
        let part = scanned.len() as f64 / keys.len() as f64;
        assert!((0.20..0.30).contains(&part), "{part}");
        assert_eq!(scanned.iter().collect::<BTreeSet<_>>().len(), scanned.len());
    }

    #[test]
    fn equal_parameters_make_equal_traces() {
        assert_eq!(trace(PLAIN), trace(PLAIN));
        assert_ne!(trace(PLAIN), trace(Synthetic { seed: 8, ..PLAIN }));
        let all: BTreeSet<u64> = (0..1000).map(|rank| scatter(rank, 1000)).collect();
        assert_eq!(all.len(), 1000);
        assert_eq!(scatter(0, 1), 0);
    }
}
