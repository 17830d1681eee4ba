//! What the keys of a load are called.
//!
//! Keys are numbers until they are written: `PREFIX`, then the number with zeros before it up to the length asked for. A key's
//! length is a function of its number, so a key is called the same whenever it is used. A trace brings names of its own.

use std::sync::Arc;

use super::rng::{Rng, mix};
use super::size::SizeDistribution;
use super::trace::Trace;

/// Digits of a number when no key length is given, as redis-benchmark writes them.
const DEFAULT_DIGITS: usize = 12;

/// Digits of the largest number.
const MAX_DIGITS: usize = 20;

/// The names of the keys of a load.
#[derive(Clone, Debug)]
pub enum KeySpace {
    /// A prefix and a number.
    Numbered(Numbered),
    /// The keys of a trace behind a prefix; a key's number is that of the access.
    Traced {
        /// Before every key; may be empty.
        prefix: Box<[u8]>,
        /// The accesses.
        trace: Arc<Trace>,
    },
}

/// Keys with a prefix and a number.
#[derive(Clone, Debug)]
pub struct Numbered {
    prefix: Box<[u8]>,
    digits: Digits,
    seed: u64,
}

/// How many digits a number is written with, at least.
#[derive(Clone, Debug)]
enum Digits {
    Fixed(usize),
    /// The whole key is as long as a draw that depends on its number alone.
    Drawn(SizeDistribution),
}

impl KeySpace {
    /// Keys `0` to `keys - 1`, each `key_bytes` long with its prefix.
    ///
    /// # Errors
    /// One line, when the length leaves no room for the number of the last key.
    pub fn numbered(
        prefix: &str,
        keys: u64,
        key_bytes: Option<&SizeDistribution>,
        seed: u64,
    ) -> Result<Self, String> {
        let needed = digits_of(keys.saturating_sub(1));
        let digits = match key_bytes {
            None => Digits::Fixed(DEFAULT_DIGITS.max(needed)),
            Some(sizes) => match sizes.fixed() {
                None => Digits::Drawn(sizes.clone()),
                Some(bytes) if bytes >= prefix.len() + needed => {
                    Digits::Fixed(bytes - prefix.len())
                }
                Some(bytes) => {
                    return Err(format!(
                        "keys of {bytes} bytes have no room for the prefix `{prefix}` and {needed} digits"
                    ));
                }
            },
        };
        Ok(Self::Numbered(Numbered {
            prefix: prefix.as_bytes().into(),
            digits,
            seed,
        }))
    }

    /// The keys of a trace.
    #[must_use]
    pub fn traced(prefix: &str, trace: Arc<Trace>) -> Self {
        Self::Traced {
            prefix: prefix.as_bytes().into(),
            trace,
        }
    }

    /// The length that the names of all keys up to `last` have.
    #[must_use]
    pub fn fixed_bytes(&self, last: u64) -> Option<usize> {
        match self {
            Self::Numbered(Numbered {
                prefix,
                digits: Digits::Fixed(digits),
                ..
            }) if digits_of(last) <= *digits => Some(prefix.len() + digits),
            _ => None,
        }
    }

    /// How many digits the number of a key has at least, when that is the same for all.
    #[must_use]
    pub fn fixed_digits(&self) -> Option<usize> {
        match self {
            Self::Numbered(Numbered {
                digits: Digits::Fixed(digits),
                ..
            }) => Some(*digits),
            _ => None,
        }
    }

    /// The length of a key's name.
    #[must_use]
    pub fn bytes(&self, key: u64) -> usize {
        match self {
            Self::Numbered(numbered) => numbered.prefix.len() + numbered.digits(key),
            Self::Traced { prefix, trace } => prefix.len() + trace.key(key).len(),
        }
    }

    /// Appends a key's name.
    #[inline]
    pub fn write(&self, key: u64, out: &mut Vec<u8>) {
        match self {
            Self::Numbered(numbered) => {
                out.extend_from_slice(&numbered.prefix);
                write_padded(key, numbered.digits(key), out);
            }
            Self::Traced { prefix, trace } => {
                out.extend_from_slice(prefix);
                out.extend_from_slice(trace.key(key));
            }
        }
    }

    /// The hash that a key's value is derived from; equal names have equal ones.
    #[inline]
    #[must_use]
    pub fn hash(&self, key: u64) -> u64 {
        match self {
            Self::Numbered(_) => key,
            Self::Traced { trace, .. } => trace.key_hash(key),
        }
    }

    /// The size of the value, where a trace tells it.
    #[inline]
    #[must_use]
    pub fn value_bytes(&self, key: u64) -> Option<usize> {
        match self {
            Self::Numbered(_) => None,
            Self::Traced { trace, .. } => trace.value_bytes(key),
        }
    }
}

impl Numbered {
    #[inline]
    fn digits(&self, key: u64) -> usize {
        match &self.digits {
            Digits::Fixed(digits) => (*digits).max(digits_of(key)),
            Digits::Drawn(sizes) => {
                let drawn = sizes.draw(&mut Rng::new(mix(key) ^ self.seed));
                drawn.saturating_sub(self.prefix.len()).max(digits_of(key))
            }
        }
    }
}

/// How many decimal digits a number has.
#[inline]
#[must_use]
pub fn digits_of(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Fills `out` with the last digits of a number, zeros before it; eight digits at a time.
#[inline]
pub fn write_digits(number: u64, out: &mut [u8]) {
    let mut left = number;
    let mut eights = out.rchunks_exact_mut(8);
    for eight in &mut eights {
        if left == 0 {
            eight.fill(b'0');
        } else {
            eight.copy_from_slice(&eight_digits((left % 100_000_000) as u32));
            left /= 100_000_000;
        }
    }
    let rest = eights.into_remainder();
    if left == 0 {
        rest.fill(b'0');
        return;
    }
    for digit in rest.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
}

/// Eight digits by halving three times, the halves side by side in one word: no loop and no division.
#[inline]
fn eight_digits(number: u32) -> [u8; 8] {
    let fours = u64::from(number / 10_000) | (u64::from(number % 10_000) << 32);
    // Division by 100 and by 10 as multiplication and shift, exact for numbers of four and of two digits.
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | ((pairs - 10 * tens) << 8);
    (digits | 0x3030_3030_3030_3030).to_le_bytes()
}

/// Appends a number with zeros before it up to `digits`.
#[inline]
pub fn write_padded(number: u64, digits: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; MAX_DIGITS];
    let mut at = MAX_DIGITS;
    let mut left = number;
    // Two digits a division: the division is what costs.
    while left >= 10 {
        let pair = (left % 100) as u8;
        left /= 100;
        at -= 2;
        text[at] = b'0' + pair / 10;
        text[at + 1] = b'0' + pair % 10;
    }
    if left > 0 {
        at -= 1;
        text[at] = b'0' + left as u8;
    }
    if digits <= MAX_DIGITS {
        let from = (MAX_DIGITS - digits).min(at);
        out.extend_from_slice(&text[from..]);
    } else {
        out.resize(out.len() + digits - MAX_DIGITS, b'0');
        out.extend_from_slice(&text);
    }
}

/// Appends a number.
#[inline]
pub fn write_number(number: u64, out: &mut Vec<u8>) {
    write_padded(number, 1, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(space: &KeySpace, key: u64) -> String {
        let mut out = Vec::new();
        space.write(key, &mut out);
        assert_eq!(out.len(), space.bytes(key));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_with_the_zeros_asked_for() {
        let padded = |number, digits| {
            let mut out = Vec::new();
            write_padded(number, digits, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(padded(0, 1), "0");
        assert_eq!(padded(7, 3), "007");
        assert_eq!(padded(100, 1), "100");
        assert_eq!(padded(1005, 4), "1005");
        assert_eq!(padded(u64::MAX, 1), "18446744073709551615");
        assert_eq!(padded(12, 25), format!("{:025}", 12));
        for number in (0..100_000).step_by(7) {
            let mut digits = [0; 7];
            write_digits(number, &mut digits);
            assert_eq!(digits, format!("{number:07}").as_bytes());
            let mut digits = [0; 19];
            let large = number * 987_654_321_987;
            write_digits(large, &mut digits);
            assert_eq!(digits, format!("{large:019}").as_bytes());
            assert_eq!(padded(number, 6), format!("{number:06}"));
            assert_eq!(digits_of(number), number.to_string().len());
        }
    }

    #[test]
    fn a_key_is_its_prefix_and_twelve_digits_unless_told_otherwise() {
        let space = KeySpace::numbered("key:", 1000, None, 0).unwrap();
        assert_eq!(name(&space, 42), "key:000000000042");
        assert_eq!(space.fixed_bytes(999), Some(16));
        let short = KeySpace::numbered("k", 1000, Some(&SizeDistribution::Fixed(6)), 0).unwrap();
        assert_eq!(name(&short, 42), "k00042");
        assert_eq!(short.fixed_bytes(99_999), Some(6));
        assert_eq!(short.fixed_bytes(100_000), None);
        assert_eq!(name(&short, 123_456), "k123456");
    }

    #[test]
    fn a_length_without_room_for_the_number_is_refused() {
        let error = KeySpace::numbered("key:", 1000, Some(&SizeDistribution::Fixed(6)), 0);
        assert!(error.unwrap_err().contains("no room"));
    }

    #[test]
    fn drawn_lengths_depend_on_the_key_alone() {
        let sizes = SizeDistribution::Range(10, 40);
        let space = KeySpace::numbered("p:", 1000, Some(&sizes), 8).unwrap();
        let names: Vec<String> = (0..1000).map(|key| name(&space, key)).collect();
        assert!(names.iter().all(|name| (10..=40).contains(&name.len())));
        assert!(
            names.iter().any(|name| name.len() < 15) && names.iter().any(|name| name.len() > 35)
        );
        assert_eq!(names[77], name(&space, 77));
        assert_eq!(space.fixed_bytes(999), None);
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), 1000);
    }
}
