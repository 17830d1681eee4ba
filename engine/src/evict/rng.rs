//! Random numbers of a policy: from a seed, so that all it does can be repeated.

const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

/// Steele's SplitMix64: a Weyl sequence, mixed.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STRIDE);
        mix(self.0)
    }

    /// What [`Self::next`] will return after so many calls.
    pub(crate) fn ahead(&self, calls: usize) -> u64 {
        mix(self.0.wrapping_add(STRIDE.wrapping_mul(calls as u64 + 1)))
    }
}

/// A multiplicative congruential sequence (Steele, Vigna: Computationally easy, spectrally good multipliers for congruential pseudorandom
/// number generators, 2021), for what is decided with each use: one multiplication. The leading bits are random.
#[derive(Clone, Debug)]
pub(crate) struct Coin(u64);

impl Coin {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed) | 1)
    }

    #[inline(always)]
    pub(crate) fn toss(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0xF135_7AEA_2E62_A9C5);
        self.0
    }
}

/// The number below `bound` that 64 random bits choose (Lemire's reduction, without its rejection).
#[inline(always)]
pub(crate) fn below(random: u64, bound: u64) -> u64 {
    (u128::from(random) * u128::from(bound) >> 64) as u64
}

/// A bijection of 64 bits in which every bit of the result depends on every bit given (Stafford's variant 13).
pub(crate) fn mix(bits: u64) -> u64 {
    let bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}
