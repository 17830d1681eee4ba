//! Sizes of keys and values: fixed, a range, log-normal, or a weighted list.

use std::fmt;
use std::str::FromStr;

use super::rng::Rng;

/// No key or value is larger (the limit of a string in Redis).
pub const MAX_BYTES: usize = 512 << 20;

/// A log-normal draw is cut at this many deviations, one in a billion.
const LOGNORMAL_CUT: f64 = 6.0;

/// How long keys or values are.
#[derive(Clone, Debug, PartialEq)]
pub enum SizeDistribution {
    /// All alike.
    Fixed(usize),
    /// Every size from the first to the second alike.
    Range(usize, usize),
    /// Log-normal: sizes as they are seen in caches, many small and a few large ones.
    LogNormal {
        /// The arithmetic mean in bytes.
        mean: f64,
        /// The deviation of the logarithm.
        sigma: f64,
    },
    /// Sizes and their weights.
    Weighted(Vec<(usize, u32)>),
}

impl SizeDistribution {
    /// The size, when all are alike.
    #[must_use]
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Self::Fixed(bytes) => Some(*bytes),
            Self::Range(min, max) if min == max => Some(*min),
            _ => None,
        }
    }

    /// A size.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::Range(min, max) => rng.between(*min as u64, *max as u64) as usize,
            Self::LogNormal { mean, sigma } => {
                let deviations = rng.normal().min(LOGNORMAL_CUT);
                let bytes = (mean.ln() - sigma * sigma / 2.0 + sigma * deviations).exp();
                (bytes.round() as usize).clamp(1, MAX_BYTES)
            }
            Self::Weighted(sizes) => {
                let total: u64 = sizes.iter().map(|&(_, weight)| u64::from(weight)).sum();
                let mut at = rng.below(total);
                for &(bytes, weight) in sizes {
                    match at.checked_sub(u64::from(weight)) {
                        Some(rest) => at = rest,
                        None => return bytes,
                    }
                }
                unreachable!("the draw lies below the sum of the weights")
            }
        }
    }
}

impl FromStr for SizeDistribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(parameters) = text.strip_prefix("lognormal:") {
            return lognormal(parameters)
                .ok_or_else(|| format!("`{text}` is not lognormal:MEAN:SIGMA (a size; 0 to 5)"));
        }
        if text.contains(',') || text.contains(':') {
            let sizes = text.split(',').map(weighted).collect::<Option<Vec<_>>>();
            return sizes
                .map(Self::Weighted)
                .ok_or_else(|| format!("`{text}` is not SIZE:WEIGHT,SIZE:WEIGHT,…"));
        }
        match text.split_once('-') {
            None => bytes(text).map(Self::Fixed),
            Some((min, max)) => bytes(min)
                .zip(bytes(max))
                .filter(|(min, max)| min <= max)
                .map(|(min, max)| Self::Range(min, max)),
        }
        .ok_or_else(|| {
            format!("`{text}` is none of SIZE, MIN-MAX, lognormal:MEAN:SIGMA, SIZE:WEIGHT,…")
        })
    }
}

impl fmt::Display for SizeDistribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(bytes) => write!(f, "{bytes}"),
            Self::Range(min, max) => write!(f, "{min}-{max}"),
            Self::LogNormal { mean, sigma } => write!(f, "lognormal:{mean}:{sigma}"),
            Self::Weighted(sizes) => {
                for (index, (bytes, weight)) in sizes.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{bytes}:{weight}")?;
                }
                Ok(())
            }
        }
    }
}

fn lognormal(parameters: &str) -> Option<SizeDistribution> {
    let (mean, sigma) = parameters.split_once(':')?;
    let mean = bytes(mean).filter(|&mean| mean > 0)? as f64;
    let sigma = sigma
        .parse()
        .ok()
        .filter(|sigma| (0.0..=5.0).contains(sigma))?;
    Some(SizeDistribution::LogNormal { mean, sigma })
}

fn weighted(part: &str) -> Option<(usize, u32)> {
    let (size, weight) = part.split_once(':')?;
    let weight = weight.parse().ok().filter(|&weight| weight > 0)?;
    Some((bytes(size)?, weight))
}

/// Reads `64`, `4k`, `1m`.
fn bytes(text: &str) -> Option<usize> {
    let (digits, scale) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 1024),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    let number: usize = digits.parse().ok()?;
    number
        .checked_mul(scale)
        .filter(|&bytes| bytes <= MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(text: &str) -> Vec<usize> {
        let sizes: SizeDistribution = text.parse().unwrap();
        let mut rng = Rng::new(17);
        (0..100_000).map(|_| sizes.draw(&mut rng)).collect()
    }

    fn mean(draws: &[usize]) -> f64 {
        draws.iter().sum::<usize>() as f64 / draws.len() as f64
    }

    #[test]
    fn a_range_is_filled_from_end_to_end() {
        let draws = draws("10-20");
        assert_eq!(
            (draws.iter().min(), draws.iter().max()),
            (Some(&10), Some(&20))
        );
        assert!((mean(&draws) - 15.0).abs() < 0.1);
    }

    #[test]
    fn log_normal_sizes_have_the_mean_asked_for_and_a_lower_median() {
        let mut draws = draws("lognormal:1000:1");
        assert!(
            (mean(&draws) / 1000.0 - 1.0).abs() < 0.03,
            "{}",
            mean(&draws)
        );
        draws.sort_unstable();
        let median = draws[draws.len() / 2] as f64;
        // exp(ln 1000 - 1/2)
        assert!((median / 606.5 - 1.0).abs() < 0.03, "{median}");
    }

    #[test]
    fn weighted_sizes_come_as_often_as_their_weights_say() {
        let draws = draws("64:3,1k:1");
        let small = draws.iter().filter(|&&bytes| bytes == 64).count() as f64;
        assert!((small / draws.len() as f64 - 0.75).abs() < 0.01);
        assert!(draws.iter().all(|bytes| [64, 1024].contains(bytes)));
    }

    #[test]
    fn sizes_read_as_they_print_and_nonsense_is_refused() {
        for text in ["64", "1-9", "lognormal:300:0.5", "64:1,100:2"] {
            assert_eq!(text.parse::<SizeDistribution>().unwrap().to_string(), text);
        }
        assert_eq!("4k".parse(), Ok(SizeDistribution::Fixed(4096)));
        assert_eq!("5-5".parse::<SizeDistribution>().unwrap().fixed(), Some(5));
        for text in [
            "",
            "x",
            "9-1",
            "-1",
            "1-",
            "lognormal:0:1",
            "lognormal:5",
            "64:0",
            "64:1,",
            "600m",
            "lognormal:9:nan",
        ] {
            assert!(text.parse::<SizeDistribution>().is_err(), "{text}");
        }
    }
}
