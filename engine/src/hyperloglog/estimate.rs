//! The estimate: how many elements there were, from how many registers have each rank.
//!
//! Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284, algorithm 6. The operations on floating
//! point numbers, and their order, are Redis's: estimates are kept in values that other servers read, and are the same to the last one.
//!
//! Registers are counted in pairs, since one after the other they mostly have the same few ranks, and a counter that was just written is
//! waited for. A pair of packed registers is twelve bits and the number of its counter; in the end the counters of all pairs with a rank
//! are added up, a row or a column of a table of 64 by 64.

use super::sparse::Run;
use super::{RANK_MAX, REGISTER_BITS, REGISTER_VALUES, REGISTERS};

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

    /// Counts packed registers.
    pub(super) fn add_packed(&mut self, packed: &[u8]) {
        const PAIR: u64 = (1 << (2 * REGISTER_BITS)) - 1;
        let mut pairs: Pairs = [0; REGISTER_VALUES * REGISTER_VALUES];
        for bytes in packed.as_chunks::<6>().0 {
            let [a, b, c, d, e, f] = *bytes;
            let bits = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
            for pair in 0..4 {
                pairs[(bits >> (pair * 2 * REGISTER_BITS) & PAIR) as usize] += 1;
            }
        }
        self.add_pairs(&pairs);
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
        /// 1 / (2 ln 2).
        const ALPHA: f64 = 0.721_347_520_444_481_7;
        const COUNT: f64 = REGISTERS as f64;
        let highest = COUNT - f64::from(self.0[RANK_MAX]);
        let mut z = COUNT * tau(highest / COUNT);
        for &count in self.0[1..RANK_MAX].iter().rev() {
            z += f64::from(count);
            z *= 0.5;
        }
        z += COUNT * sigma(f64::from(self.0[0]) / COUNT);
        rounded(ALPHA * COUNT * COUNT / z)
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
