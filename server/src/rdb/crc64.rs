//! The checksum of payloads and files: CRC-64 with Jones's polynomial, as Redis has it.
//!
//! Of two stretches of bytes that stand one behind the other, the checksum follows from those of both and the length of the second
//! ([`Summed::then`]): who writes or reads a file side by side sums up each stretch where it is. A checksum is a polynomial over two
//! numbers, 0 and 1, modulo Jones's; so many zero bytes behind a stretch multiply its checksum by x to the power of their bits, which
//! takes a multiplication for each bit of the length. Source: the same in zlib's `crc32_combine`.

use crc::{CRC_64_REDIS, Crc, Digest, Table};

static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// Jones's polynomial without its highest power; the bit of the lowest power is the highest, as in every number here.
const POLYNOMIAL: u64 = CRC_64_REDIS.poly.reverse_bits();

/// The checksum of bytes, one after the other.
#[derive(Clone)]
pub struct Sum(Digest<'static, u64, Table<16>>);

impl Default for Sum {
    fn default() -> Self {
        Self(CRC64.digest())
    }
}

impl std::fmt::Debug for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sum")
    }
}

impl Sum {
    /// More bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of what was added.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.clone().finalize()
    }
}

/// A stretch of bytes: how many, and their checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summed {
    /// Its length.
    pub bytes: u64,
    /// The checksum.
    pub crc: u64,
}

impl Summed {
    /// The stretch of these pieces, one behind the other.
    #[must_use]
    pub fn of<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let (mut sum, mut bytes) = (Sum::default(), 0);
        for piece in pieces {
            sum.add(piece);
            bytes += piece.len() as u64;
        }
        let crc = sum.value();
        Self { bytes, crc }
    }

    /// This stretch with another behind it.
    #[must_use]
    pub fn then(self, behind: Self) -> Self {
        Self {
            bytes: self.bytes + behind.bytes,
            crc: combine(self.crc, behind.crc, behind.bytes),
        }
    }
}

/// The checksum of two stretches one behind the other, of which the second has so many bytes.
#[must_use]
pub fn combine(first: u64, second: u64, second_bytes: u64) -> u64 {
    multiply(first, power_of_bytes(second_bytes)) ^ second
}

/// The number 1.
const ONE: u64 = 1 << 63;

/// The product of two polynomials, modulo Jones's.
const fn multiply(left: u64, mut right: u64) -> u64 {
    let (mut product, mut power) = (0, ONE);
    while power != 0 {
        if left & power != 0 {
            product ^= right;
        }
        right = times_x(right);
        power >>= 1;
    }
    product
}

const fn times_x(number: u64) -> u64 {
    (number >> 1) ^ if number & 1 == 1 { POLYNOMIAL } else { 0 }
}

/// `x` to the power of 8 times `1 << at`, for each place of a length's bits.
static POWERS: [u64; 64] = {
    let mut powers = [ONE >> 8; 64];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = multiply(powers[at - 1], powers[at - 1]);
        at += 1;
    }
    powers
};

/// `x` to the power of the bits of so many bytes.
fn power_of_bytes(bytes: u64) -> u64 {
    let places = (0..u64::BITS).filter(|place| bytes >> place & 1 == 1);
    places.fold(ONE, |power, place| multiply(power, POWERS[place as usize]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_that_of_redis() {
        assert_eq!(Summed::of([&b"123456789"[..]]).crc, 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(Summed::of([]), Summed::default());
    }

    #[test]
    fn zero_bytes_without_end_are_added_in_no_time() {
        // What four gigabytes of zeros make of a checksum, by as many zeros as one may write out.
        let (mut summed, mut zeros) = (Summed::of([&b"abc"[..]]), Summed { bytes: 1, crc: 0 });
        let small = Summed::of([&b"abc"[..], &[0; 1 << 12]]);
        assert_eq!(
            summed.then(Summed {
                bytes: 1 << 12,
                crc: 0
            }),
            small
        );
        for _ in 0..32 {
            zeros = zeros.then(zeros);
        }
        summed = summed.then(zeros);
        assert_eq!((zeros.crc, summed.bytes), (0, (1 << 32) + 3));
        assert_eq!(
            summed.crc,
            combine(combine(small.crc, 0, (1 << 32) - 4096), 0, 0)
        );
    }

    proptest! {
        #[test]
        fn the_checksum_of_a_whole_follows_from_its_parts(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
        ) {
            let parts = parts.iter().map(Vec::as_slice);
            let whole = Summed::of(parts.clone());
            let summed = parts.map(|part| Summed::of([part]));
            prop_assert_eq!(summed.fold(Summed::default(), Summed::then), whole);
        }
    }
}
