//! CRC16 as Redis Cluster wants it: polynomial 0x1021, no reflection, from 0 (CRC-16/XMODEM).
//!
//! Eight bytes are taken at a time, each through a table of its own (Kounavis and Berry, "A Systematic Approach to Building
//! High Performance Software-based CRC Generators", 2005): their look-ups do not wait for one another. So are the last few,
//! of which the keys of most requests have some.

const POLYNOMIAL: u16 = 0x1021;

/// Bytes taken at a time.
const SLICE: usize = 8;

/// `TABLES[n][byte]`: what `byte` adds to the sum when `n` bytes come behind it in the slice.
static TABLES: [[u16; 256]; SLICE] = tables();

const fn tables() -> [[u16; 256]; SLICE] {
    let mut tables = [[0; 256]; SLICE];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            let carry = sum & 0x8000 != 0;
            sum <<= 1;
            if carry {
                sum ^= POLYNOMIAL;
            }
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut behind = 1;
    while behind < SLICE {
        let mut byte = 0;
        while byte < 256 {
            let sum = tables[behind - 1][byte];
            tables[behind][byte] = (sum << 8) ^ tables[0][(sum >> 8) as usize];
            byte += 1;
        }
        behind += 1;
    }
    tables
}

/// The sum of `bytes`.
#[inline]
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    let (slices, rest) = bytes.as_chunks::<SLICE>();
    let mut sum = 0;
    for slice in slices {
        sum = add(sum, slice);
    }
    match rest {
        [] => sum,
        [byte] => (sum << 8) ^ TABLES[0][usize::from((sum >> 8) as u8 ^ byte)],
        rest => add(sum, rest),
    }
}

/// The sum with two to [`SLICE`] bytes more.
#[inline(always)]
fn add(sum: u16, slice: &[u8]) -> u16 {
    let mut added = 0;
    for (at, &byte) in slice.iter().enumerate() {
        // The sum so far falls on the first two bytes.
        let byte = match at {
            0 => byte ^ (sum >> 8) as u8,
            1 => byte ^ sum as u8,
            _ => byte,
        };
        added ^= TABLES[(slice.len() - 1 - at) % SLICE][usize::from(byte)];
    }
    added
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bit at a time.
    fn plainly(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0, |sum: u16, &byte| {
            (0..8).fold(sum ^ u16::from(byte) << 8, |sum, _| {
                (sum << 1) ^ if sum & 0x8000 != 0 { POLYNOMIAL } else { 0 }
            })
        })
    }

    #[test]
    fn the_sum_is_that_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn the_sum_is_that_of_one_bit_at_a_time() {
        let bytes: Vec<u8> = (0..64u32)
            .map(|at| (at * at * 37 + 11 * at) as u8)
            .collect();
        for from in 0..bytes.len() {
            for to in from..=bytes.len() {
                assert_eq!(
                    crc16(&bytes[from..to]),
                    plainly(&bytes[from..to]),
                    "{from}..{to}"
                );
            }
        }
    }
}
