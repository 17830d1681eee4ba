//! The estimate: how many elements there were, from how many registers have each rank.
//!
//! Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284, algorithm 6. The operations on floating
//! point numbers, and their order, are Redis's: estimates are kept in values that other servers read, and are the same to the last one.
//!
//! *Weighed*: what is added up is 2^-r for each register that is r. Where the machine can it takes 32 registers at once
//! (`raw/registers.rs`), as integers. Up to the rank of 39, which one of 2^39 elements exceeds, the sum has 53 bits at most, so that
//! floating point numbers would lose none of them either, in whatever order they are added: it is the same sum.
//!
//! *Counted*, otherwise: how many registers have each rank. They are counted in pairs, since one after the other they mostly have the same
//! few ranks, and a counter that was just written is waited for. In the end the counters of all pairs with a rank are added up, a row or a
//! column of a table of 64 by 64.

use super::sparse::Run;
use super::{RANK_MAX, REGISTER_BITS, REGISTER_VALUES, REGISTERS};
use crate::raw::{self, Weighed};

/// Registers, as a number of the formula.
const COUNT: f64 = REGISTERS as f64;

/// The estimate of registers of a byte each.
pub(super) fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    raw::weigh(registers).map_or_else(
        || {
            let mut histogram = Histogram::default();
            histogram.add_bytes(registers);
            histogram.estimate()
        },
        estimate_weighed,
    )
}

/// The estimate of registers none of which has the highest rank.
fn estimate_weighed(Weighed { zeros, weight }: Weighed) -> u64 {
    /// What a register of rank zero would weigh.
    const UNIT: f64 = (1u64 << raw::WEIGHED_MAX) as f64;
    estimate_of(zeros, weight as f64 / UNIT)
}

/// The estimate, of how many registers are zero and the sum of 2^-r of the others.
fn estimate_of(zeros: u32, sum: f64) -> u64 {
    /// 1 / (2 ln 2).
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let z = sum + COUNT * sigma(f64::from(zeros) / COUNT);
    rounded(ALPHA * COUNT * COUNT / z)
}

/// How many registers have each value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Histogram([u32; REGISTER_VALUES]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; REGISTER_VALUES])
    }
}

/// How many pairs of registers have each two values, the second's in the upper bits.
type Pairs = [u16; REGISTER_VALUES * REGISTER_VALUES];

impl Histogram {
    /// How many registers have each value.
    #[cfg(test)]
    pub(super) fn counts(&self) -> &[u32] {
        &self.0
    }

    /// Counts the registers of a run.
    pub(super) fn add(&mut self, run: Run) {
        self.0[usize::from(run.value)] += run.count as u32;
    }

    /// Counts registers of a byte each.
    pub(super) fn add_bytes(&mut self, registers: &[u8; REGISTERS]) {
        /// The first registers of four pairs; the second ones are eight bits further up, and have to move down by two.
        const FIRSTS: u64 = 0x003F_003F_003F_003F;
        const SECONDS: u64 = 0x0FC0_0FC0_0FC0_0FC0;
        const PAIR: u64 = (1 << (2 * REGISTER_BITS)) - 1;
        let mut pairs: Pairs = [0; REGISTER_VALUES * REGISTER_VALUES];
        let mut zeros = 0;
        for eight in registers.as_chunks::<8>().0 {
            let bits = u64::from_le_bytes(*eight);
            // Of sparse values most are zeros, and a counter that was just written is waited for.
            if bits == 0 {
                zeros += 8;
                continue;
            }
            let bits = bits & FIRSTS | bits >> (8 - REGISTER_BITS) & SECONDS;
            for pair in 0..4 {
                pairs[(bits >> (16 * pair) & PAIR) as usize] += 1;
            }
        }
        self.0[0] += zeros;
        self.add_pairs(&pairs);
    }

    fn add_pairs(&mut self, pairs: &Pairs) {
        for (second, row) in pairs.as_chunks::<REGISTER_VALUES>().0.iter().enumerate() {
            let mut sum = 0;
            for (count, &pairs) in self.0.iter_mut().zip(row) {
                *count += u32::from(pairs);
                sum += u32::from(pairs);
            }
            self.0[second] += sum;
        }
    }

    /// The estimate.
    pub(super) fn estimate(&self) -> u64 {
        let highest = COUNT - f64::from(self.0[RANK_MAX]);
        let mut z = COUNT * tau(highest / COUNT);
        for &count in self.0[1..RANK_MAX].iter().rev() {
            z += f64::from(count);
            z *= 0.5;
        }
        estimate_of(self.0[0], z)
    }
}

/// The nearest integer. Of what no 63 bits hold (no elements give such registers) it is what x86-64 makes of it.
fn rounded(estimate: f64) -> u64 {
    const LIMIT: f64 = (1u64 << 63) as f64;
    let estimate = estimate.round();
    if estimate < LIMIT {
        estimate as u64
    } else {
        1 << 63
    }
}

/// Σ x^2^k · 2^(k-1), what registers that are zero add.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// What registers that have the highest rank add.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
