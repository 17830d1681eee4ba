//! Runs of sparse registers passed eight bytes at a time, on the way to a register: how many registers eight bytes stand for is added up
//! from what each stands for.
//!
//! ```text
//!  00nnnnnn            n + 1
//!  01nnnnnn nnnnnnnn   256 n + 1, and n
//!  1vvvvvnn            n + 1
//! ```
//! Whether a byte is the second of a run hangs on all bytes before it, since a second one may look like any. Of bytes that look like the
//! first of two, one behind the other, every other one is: as with backslashes in a text, of which each keeps the next from being one.
//! (The subtraction that tells them apart is of Geoff Langdale and Daniel Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal
//! 28, 2019; here the flags of eight bytes are their lowest bits, and a borrow passes through the other seven.)

/// Bytes that are passed at once.
const WORD_BYTES: usize = 8;

/// The lowest bit of each byte.
const ONES: u64 = 0x0101_0101_0101_0101;
/// Of every other byte, the first not among them.
const ODD: u64 = 0x0100_0100_0100_0100;

/// What eight bytes of runs are.
struct Word {
    /// Registers that they stand for.
    registers: usize,
    /// Whether the first byte behind them is the second one of a run.
    cuts_run: bool,
}

impl Word {
    /// Of these bytes, the first of which is the second one of a run, or not.
    #[inline(always)]
    fn of(bytes: &[u8; WORD_BYTES], is_cut: bool) -> Self {
        let (bits, cut) = (u64::from_le_bytes(*bytes), u64::from(is_cut));
        let is_value = bits >> 7 & ONES;
        let looks_long = bits >> 6 & ONES & !is_value;
        let may_be_long = looks_long & !cut;
        let series = ((may_be_long << 8 | ODD).wrapping_sub(may_be_long) ^ ODD) & ONES;
        let is_second = series ^ (looks_long | cut);
        let is_long = series & looks_long;
        let is_value = is_value & !is_second;
        let is_short = ONES & !(is_second | is_long | is_value);

        // What is there of each byte: a flag times a mask is the mask, where the flag is set.
        let low = bits & (is_second * 0xFF | is_short * 0x3F | is_value * 0x03);
        let high = bits & (is_long * 0x3F);
        let pairs = (low & 0x00FF_00FF_00FF_00FF) + (low >> 8 & 0x00FF_00FF_00FF_00FF);
        let low = pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48;
        // Four of eight bytes at most, six bits each.
        let high = high.wrapping_mul(ONES) >> 56;
        let runs = u64::from((ONES & !is_second).count_ones());
        Self {
            registers: (low + (high << 8) + runs) as usize,
            cuts_run: is_long >> 56 != 0,
        }
    }
}

/// Where runs may be followed from to find the one that has register `index`, and how many registers are before: the beginning of `runs`,
/// or of another run than that one.
pub(super) fn skip(runs: &[u8], index: usize) -> (usize, usize) {
    let (mut start, mut next) = ((0, 0), (0, 0));
    let (mut registers, mut is_cut) = (0, false);
    for (number, bytes) in runs.as_chunks::<WORD_BYTES>().0.iter().enumerate() {
        let word = Word::of(bytes, is_cut);
        // Of a run that the word before cuts, what is in this one belongs to what is before its first run.
        let cut = usize::from(is_cut);
        (start, next) = (
            next,
            (
                number * WORD_BYTES + cut,
                registers + cut * usize::from(bytes[0]),
            ),
        );
        registers += word.registers;
        is_cut = word.cuts_run;
        if registers > index {
            // The run is in this word, or cut by the one before.
            return start;
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::REGISTERS;
    use super::super::sparse::Run;
    use super::*;

    proptest! {
        #[test]
        fn runs_are_passed_as_they_are_one_by_one(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..100),
                prop::collection::vec(prop_oneof![0x3Eu8..0x44, 0x7Eu8..0x84], 0..100),
            ],
            index in 0..REGISTERS,
        ) {
            let (at, registers) = skip(&bytes, index);
            let (mut rest, mut first, mut starts) = (&bytes[..], 0, vec![]);
            while let Some((run, behind)) = Run::split(rest) {
                starts.push((bytes.len() - rest.len(), first));
                if first + run.count > index {
                    break;
                }
                first += run.count;
                rest = behind;
            }
            // The beginning of a run, of the one that is looked for only if it is the first.
            let found = starts.iter().position(|start| *start == (at, registers));
            prop_assert!(found.is_some() || bytes.is_empty(), "{at} {starts:?}");
            prop_assert!(found.is_none_or(|found| found == 0 || found + 1 < starts.len()));
            // No more than two words are left to follow, and a third that is not whole.
            let last = starts.last().map_or(0, |(at, _)| *at);
            prop_assert!(last < at + 3 * WORD_BYTES || rest.is_empty());
        }
    }
}
