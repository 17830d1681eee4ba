//! Zipf-distributed ranks by rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate variates from
//! monotone discrete distributions", ACM TOMACS 6(3), 1996): the probability of rank k is proportional to k^-theta.
//!
//! It needs no table, so the number of keys costs nothing; any theta from 0 (uniform) up will do, also 1 and above, where the
//! formula of Gray et al. that YCSB uses fails. Cost: one exponential and one logarithm a draw, about 40 ns, seldom two tries.

use super::rng::Rng;

/// Draws ranks from 0 (the most frequent) to `ranks - 1`.
#[derive(Clone, Debug)]
pub struct Zipf {
    ranks: u64,
    theta: f64,
    /// The integral of the hat from the left end to rank 1, less that rank's own mass.
    low: f64,
    /// The integral of the hat up to the right end.
    high: f64,
    /// Draws that lie at most this far left of their rank are accepted without another look.
    near: f64,
}

impl Zipf {
    /// A sampler over `ranks` ranks.
    ///
    /// # Panics
    /// When `ranks` is 0, or `theta` is negative or not a number.
    #[must_use]
    pub fn new(ranks: u64, theta: f64) -> Self {
        assert!(ranks > 0, "a distribution needs a rank");
        assert!(theta >= 0.0, "theta is a number from 0 up");
        let mut zipf = Self {
            ranks,
            theta,
            low: 0.0,
            high: 0.0,
            near: 0.0,
        };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(ranks as f64 + 0.5);
        zipf.near = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.mass(2.0));
        zipf
    }

    /// A rank, 0 the most frequent.
    #[inline]
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        loop {
            let u = self.high + rng.unit() * (self.low - self.high);
            let x = self.inverse(u);
            let rank = ((x + 0.5) as u64).clamp(1, self.ranks);
            let k = rank as f64;
            if k - x <= self.near || u >= self.integral(k + 0.5) - self.mass(k) {
                return rank - 1;
            }
        }
    }

    /// x^-theta.
    fn mass(&self, x: f64) -> f64 {
        (-self.theta * x.ln()).exp()
    }

    /// The integral of t^-theta from 1 to x.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        expm1_over((1.0 - self.theta) * log) * log
    }

    /// The x whose integral is `y`.
    #[inline]
    fn inverse(&self, y: f64) -> f64 {
        // Rounding may carry the argument just past the pole.
        let t = (y * (1.0 - self.theta)).max(-1.0);
        (ln1p_over(t) * y).exp()
    }
}

/// (e^x - 1) / x, also near 0.
fn expm1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 {
        x.exp_m1() / x
    } else {
        1.0 + x / 2.0 * (1.0 + x / 3.0)
    }
}

/// ln(1 + x) / x, also near 0.
fn ln1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 {
        x.ln_1p() / x
    } else {
        1.0 - x / 2.0 * (1.0 - x * 2.0 / 3.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(ranks: u64, theta: f64, draws: usize) -> Vec<f64> {
        let zipf = Zipf::new(ranks, theta);
        let mut rng = Rng::new(42);
        let mut counts = vec![0u32; ranks as usize];
        for _ in 0..draws {
            counts[zipf.draw(&mut rng) as usize] += 1;
        }
        counts
            .iter()
            .map(|&count| f64::from(count) / draws as f64)
            .collect()
    }

    #[test]
    fn every_rank_is_as_frequent_as_its_power_law_says() {
        for theta in [0.5, 0.99, 1.0, 1.2, 2.0] {
            let seen = frequencies(100, theta, 400_000);
            let sum: f64 = (1..=100).map(|k| f64::from(k).powf(-theta)).sum();
            // The statistic of Pearson's test over 100 cells; 149 is passed once in a thousand seeds.
            let chi: f64 = (1..=100)
                .map(|k| {
                    let want = f64::from(k).powf(-theta) / sum;
                    400_000.0 * (seen[k as usize - 1] - want).powi(2) / want
                })
                .sum();
            assert!(chi < 149.0, "theta {theta}: chi square {chi}");
        }
    }

    #[test]
    fn theta_zero_is_uniform() {
        let seen = frequencies(50, 0.0, 200_000);
        assert!(
            seen.iter().all(|share| (share - 0.02).abs() < 0.002),
            "{seen:?}"
        );
    }

    #[test]
    fn draws_stay_in_range_for_one_rank_and_for_many() {
        let mut rng = Rng::new(1);
        let one = Zipf::new(1, 0.99);
        assert!((0..1000).all(|_| one.draw(&mut rng) == 0));
        let many = Zipf::new(1 << 40, 0.7);
        assert!((0..10_000).all(|_| many.draw(&mut rng) < 1 << 40));
    }
}
