//! Which key comes next: uniform, zipf, gaussian, sequential, hot set, latest.
//!
//! A [`KeyDistribution`] is the choice as given on the command line, a [`Sampler`] draws from it for one thread.

use std::fmt;
use std::str::FromStr;

use super::rng::Rng;
use super::zipf::Zipf;

/// How keys are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KeyDistribution {
    /// Every key alike.
    Uniform,
    /// Key number k has a probability proportional to (k + 1)^-theta.
    Zipf {
        /// The exponent.
        theta: f64,
    },
    /// Bell-shaped around the middle key; draws outside of the key space are drawn again.
    Gaussian {
        /// The standard deviation in keys; a sixth of the key space when not given.
        sigma: Option<f64>,
    },
    /// One key after the other, around and around; every thread has its own part of the key space.
    Sequential,
    /// A part of the keys gets a part of the accesses, the others the rest.
    Hot {
        /// The hot part of the keys, from the first on.
        fraction: f64,
        /// The part of the accesses that goes to them.
        probability: f64,
    },
    /// Zipf counted back from the newest key (YCSB D, where keys are inserted).
    Latest {
        /// The exponent.
        theta: f64,
    },
}

impl FromStr for KeyDistribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let numbers = parts
            .map(|part| {
                part.parse::<f64>()
                    .ok()
                    .filter(|number| number.is_finite() && *number >= 0.0)
                    .ok_or_else(|| format!("`{part}` is not a number from 0 up"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let share = |number: f64| number > 0.0 && number < 1.0;
        match (name, numbers.as_slice()) {
            ("uniform", []) => Ok(Self::Uniform),
            ("zipf", []) => Ok(Self::Zipf { theta: 0.99 }),
            ("zipf", &[theta]) => Ok(Self::Zipf { theta }),
            ("latest", []) => Ok(Self::Latest { theta: 0.99 }),
            ("latest", &[theta]) => Ok(Self::Latest { theta }),
            ("gaussian", []) => Ok(Self::Gaussian { sigma: None }),
            ("gaussian", &[sigma]) if sigma > 0.0 => Ok(Self::Gaussian { sigma: Some(sigma) }),
            ("sequential", []) => Ok(Self::Sequential),
            ("hot", &[fraction, probability]) if share(fraction) && share(probability) => {
                Ok(Self::Hot {
                    fraction,
                    probability,
                })
            }
            _ => Err(format!(
                "`{text}` is none of uniform, zipf[:THETA], gaussian[:SIGMA], sequential, \
                 hot:FRACTION:PROBABILITY (both between 0 and 1), latest[:THETA]"
            )),
        }
    }
}

impl fmt::Display for KeyDistribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => write!(f, "uniform"),
            Self::Zipf { theta } => write!(f, "zipf:{theta}"),
            Self::Gaussian { sigma: None } => write!(f, "gaussian"),
            Self::Gaussian { sigma: Some(sigma) } => write!(f, "gaussian:{sigma}"),
            Self::Sequential => write!(f, "sequential"),
            Self::Hot {
                fraction,
                probability,
            } => write!(f, "hot:{fraction}:{probability}"),
            Self::Latest { theta } => write!(f, "latest:{theta}"),
        }
    }
}

/// One of `count` threads that share the key space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub index: u64,
    /// At least 1.
    pub count: u64,
}

impl Share {
    /// The whole, undivided.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// This share's part of `total` things in a row: parts differ by one at most and cover all.
    #[must_use]
    pub fn range(self, total: u64) -> std::ops::Range<u64> {
        let bound =
            |index: u64| (u128::from(total) * u128::from(index) / u128::from(self.count)) as u64;
        bound(self.index)..bound(self.index + 1)
    }
}

/// Draws key numbers for one thread, and hands out the numbers of keys to insert.
#[derive(Clone, Debug)]
pub struct Sampler {
    shape: Shape,
    keys: u64,
    share: Share,
    inserted: u64,
}

#[derive(Clone, Debug)]
enum Shape {
    Uniform,
    Zipf(Zipf),
    Gaussian {
        sigma: f64,
    },
    Sequential {
        range: std::ops::Range<u64>,
        next: u64,
    },
    Hot {
        hot: u64,
        probability: f64,
    },
    Latest(Zipf),
}

impl Sampler {
    /// A sampler of `distribution` over `keys` keys for the thread `share`.
    ///
    /// # Panics
    /// When there are no keys.
    #[must_use]
    pub fn new(distribution: KeyDistribution, keys: u64, share: Share) -> Self {
        assert!(keys > 0, "a load needs a key");
        let shape = match distribution {
            KeyDistribution::Uniform => Shape::Uniform,
            KeyDistribution::Zipf { theta } => Shape::Zipf(Zipf::new(keys, theta)),
            KeyDistribution::Latest { theta } => Shape::Latest(Zipf::new(keys, theta)),
            KeyDistribution::Gaussian { sigma } => Shape::Gaussian {
                // A wider bell than the key space is nearly flat, and drawing again would take long.
                sigma: sigma.unwrap_or(keys as f64 / 6.0).clamp(1e-9, keys as f64),
            },
            KeyDistribution::Sequential => {
                let part = share.range(keys);
                // With more threads than keys, a thread may have no part of its own.
                let range = if part.is_empty() { 0..keys } else { part };
                Shape::Sequential {
                    next: range.start,
                    range,
                }
            }
            KeyDistribution::Hot {
                fraction,
                probability,
            } => Shape::Hot {
                hot: ((keys as f64 * fraction) as u64).clamp(1, keys),
                probability,
            },
        };
        Self {
            shape,
            keys,
            share,
            inserted: 0,
        }
    }

    /// The number of the next key to use.
    #[inline]
    pub fn draw(&mut self, rng: &mut Rng) -> u64 {
        match &mut self.shape {
            Shape::Uniform => rng.below(self.keys),
            Shape::Zipf(zipf) => zipf.draw(rng),
            Shape::Gaussian { sigma } => gaussian(rng, self.keys, *sigma),
            Shape::Sequential { range, next } => {
                let key = *next;
                *next = if key + 1 < range.end {
                    key + 1
                } else {
                    range.start
                };
                key
            }
            Shape::Hot { hot, probability } => {
                if rng.unit() <= *probability || *hot == self.keys {
                    rng.below(*hot)
                } else {
                    *hot + rng.below(self.keys - *hot)
                }
            }
            Shape::Latest(zipf) => {
                // The other threads insert at about the pace of this one.
                let newest = self.keys + self.inserted * self.share.count - 1;
                newest - zipf.draw(rng)
            }
        }
    }

    /// The number of a key that nobody has used yet; threads take turns, so that none gives out another's.
    pub fn insert(&mut self) -> u64 {
        let number = self.keys + self.inserted * self.share.count + self.share.index;
        self.inserted += 1;
        number
    }
}

fn gaussian(rng: &mut Rng, keys: u64, sigma: f64) -> u64 {
    let middle = keys as f64 / 2.0;
    loop {
        let at = middle + rng.normal() * sigma;
        if at >= 0.0 && at < keys as f64 {
            return at as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 100_000;

    fn draws(text: &str, keys: u64) -> Vec<u64> {
        let mut rng = Rng::new(5);
        let distribution = text.parse().unwrap();
        let mut sampler = Sampler::new(distribution, keys, Share::WHOLE);
        (0..DRAWS).map(|_| sampler.draw(&mut rng)).collect()
    }

    fn share_below(draws: &[u64], bound: u64) -> f64 {
        draws.iter().filter(|&&key| key < bound).count() as f64 / draws.len() as f64
    }

    #[test]
    fn uniform_draws_cover_the_key_space_evenly() {
        let draws = draws("uniform", 1000);
        assert!(draws.iter().all(|&key| key < 1000));
        for bound in [100, 500, 900] {
            let share = share_below(&draws, bound);
            assert!((share - bound as f64 / 1000.0).abs() < 0.01, "{share}");
        }
    }

    #[test]
    fn a_hot_set_gets_its_share_of_the_accesses() {
        let draws = draws("hot:0.2:0.8", 1000);
        let share = share_below(&draws, 200);
        assert!((share - 0.8).abs() < 0.01, "{share}");
        let of_cold = draws
            .iter()
            .filter(|&&key| (200..600).contains(&key))
            .count() as f64;
        assert!((of_cold / DRAWS as f64 - 0.1).abs() < 0.01);
    }

    #[test]
    fn gaussian_draws_gather_around_the_middle_with_the_deviation_asked_for() {
        let narrow = draws("gaussian:50", 1000);
        let within = |keys: u64| {
            let near = |key: &&u64| key.abs_diff(500) < keys;
            narrow.iter().filter(near).count() as f64 / DRAWS as f64
        };
        assert!((within(50) - 0.683).abs() < 0.02, "{}", within(50));
        assert!((within(100) - 0.954).abs() < 0.02, "{}", within(100));
        let wide = draws("gaussian:1000000", 1000);
        assert!(wide.iter().all(|&key| key < 1000));
    }

    #[test]
    fn sequential_draws_go_around_within_the_part_of_the_thread() {
        let mut rng = Rng::new(1);
        let share = Share { index: 1, count: 3 };
        let mut sampler = Sampler::new(KeyDistribution::Sequential, 10, share);
        let keys: Vec<u64> = (0..7).map(|_| sampler.draw(&mut rng)).collect();
        assert_eq!(keys, [3, 4, 5, 3, 4, 5, 3]);
    }

    #[test]
    fn the_parts_of_all_threads_cover_everything_once() {
        let parts = (0..7).map(|index| Share { index, count: 7 }.range(100));
        let all: Vec<u64> = parts.flatten().collect();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn latest_draws_prefer_the_newest_keys_and_follow_insertions() {
        let mut rng = Rng::new(9);
        let mut sampler = Sampler::new("latest".parse().unwrap(), 100, Share::WHOLE);
        let near = |sampler: &mut Sampler, rng: &mut Rng, newest: u64| {
            let draws = (0..10_000).map(|_| sampler.draw(rng));
            draws.filter(|&key| newest - key < 10).count()
        };
        assert!(near(&mut sampler, &mut rng, 99) > 5000);
        let inserted: Vec<u64> = (0..50).map(|_| sampler.insert()).collect();
        assert_eq!(inserted, (100..150).collect::<Vec<_>>());
        assert!(near(&mut sampler, &mut rng, 149) > 5000);
    }

    #[test]
    fn threads_insert_different_keys() {
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..3 {
            let share = Share { index, count: 3 };
            let mut sampler = Sampler::new(KeyDistribution::Uniform, 10, share);
            assert!((0..5).all(|_| seen.insert(sampler.insert())));
        }
        assert_eq!(
            seen.into_iter().collect::<Vec<_>>(),
            (10..25).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_distribution_reads_as_it_prints_and_nonsense_is_refused() {
        for text in [
            "uniform",
            "zipf:0.99",
            "gaussian",
            "gaussian:12.5",
            "sequential",
            "hot:0.1:0.9",
            "latest:1.1",
        ] {
            assert_eq!(text.parse::<KeyDistribution>().unwrap().to_string(), text);
        }
        assert_eq!("zipf".parse(), Ok(KeyDistribution::Zipf { theta: 0.99 }));
        for text in [
            "",
            "zipf:x",
            "zipf:-1",
            "hot:0.1",
            "hot:2:0.5",
            "hot:0.5:0",
            "gauss",
            "uniform:1",
            "zipf:nan",
        ] {
            assert!(text.parse::<KeyDistribution>().is_err(), "{text}");
        }
    }
}
