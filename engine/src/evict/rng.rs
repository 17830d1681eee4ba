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

/// Independent trials of which one in so many succeeds. How many fail before the next that does is drawn at once (a geometric number, by the
/// inverse of its distribution), so that a trial is a decrement.
#[derive(Clone, Debug)]
pub(crate) struct Trials {
    /// Trials that fail before the next that succeeds.
    left: u64,
    /// 1 / ln(1 - chance).
    scale: f64,
    coin: Coin,
}

impl Trials {
    /// None succeeds, but after 2^64 of them.
    pub(crate) fn none(seed: u64) -> Self {
        Self {
            left: u64::MAX,
            scale: f64::NEG_INFINITY,
            coin: Coin::new(seed),
        }
    }

    /// Of those to come one in so many succeeds, two at least; `None`: none does.
    pub(crate) fn set_one_in(&mut self, many: Option<u64>) {
        let chance = many.map_or(0.0, |many| 1.0 / many as f64);
        self.scale = 1.0 / (-chance).ln_1p();
        self.begin_next();
    }

    /// A trial: whether it fails. Behind one that succeeds [`Self::begin_next`] is due.
    #[inline(always)]
    pub(crate) fn next_fails(&mut self) -> bool {
        let (left, succeeds) = self.left.overflowing_sub(1);
        self.left = left;
        !succeeds
    }

    /// Draws when the next trial succeeds. Another number, whose leading bits are random.
    pub(crate) fn begin_next(&mut self) -> u64 {
        let uniform = ((self.coin.toss() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        // Beyond what a word holds it is the most that it holds; without a chance at all it is that, or for 1 nothing.
        self.left = (uniform.ln() * self.scale) as u64;
        self.coin.toss()
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
