//! Loops over the bits of a string, eight bytes at a time.

/// Number of bits set.
pub(super) fn count(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words
        .iter()
        .map(|word| u64::from(u64::from_ne_bytes(*word).count_ones()));
    let rest = rest.iter().map(|byte| u64::from(byte.count_ones()));
    words.sum::<u64>() + rest.sum::<u64>()
}

/// Number of bits set from bit `first` to bit `last`, both inclusive and within `bytes`.
pub(super) fn count_between(bytes: &[u8], first: usize, last: usize) -> u64 {
    let (head, tail) = (first / 8, last / 8);
    let before = (bytes[head] & !from_bit(first)).count_ones();
    let after = (bytes[tail] & !up_to_bit(last)).count_ones();
    count(&bytes[head..=tail]) - u64::from(before) - u64::from(after)
}

/// The first bit that is `bit`.
pub(super) fn find(bytes: &[u8], bit: bool) -> Option<usize> {
    let nothing = if bit { 0 } else { u64::MAX };
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words
        .iter()
        .position(|word| u64::from_ne_bytes(*word) != nothing);
    if let Some(at) = found {
        let word = u64::from_be_bytes(words[at]);
        let word = if bit { word } else { !word };
        return Some(at * 64 + word.leading_zeros() as usize);
    }
    let at = rest.iter().position(|&byte| byte != nothing as u8)?;
    Some(words.len() * 64 + at * 8 + first_in(rest[at], bit) as usize)
}

/// The first bit that is `bit`, from bit `first` to bit `last`, both inclusive and within `bytes`.
pub(super) fn find_between(bytes: &[u8], bit: bool, first: usize, last: usize) -> Option<usize> {
    let (head, tail) = (first / 8, last / 8);
    // Bits outside the range are made to be none that is looked for.
    let outside = |mask: u8, byte: u8| if bit { byte & mask } else { byte | !mask };
    let edge = |at: usize, mask: u8| {
        let found = first_in(outside(mask, bytes[at]), bit);
        (found < 8).then_some(at * 8 + found as usize)
    };
    if head == tail {
        return edge(head, from_bit(first) & up_to_bit(last));
    }
    let middle = || find(&bytes[head + 1..tail], bit).map(|at| (head + 1) * 8 + at);
    edge(head, from_bit(first))
        .or_else(middle)
        .or_else(|| edge(tail, up_to_bit(last)))
}

/// The first bit of a byte that is `bit`; 8 if there is none.
fn first_in(byte: u8, bit: bool) -> u32 {
    if bit {
        byte.leading_zeros()
    } else {
        byte.leading_ones()
    }
}

/// The bits of a byte from bit `at` of the string on.
fn from_bit(at: usize) -> u8 {
    0xff >> (at % 8)
}

/// The bits of a byte up to bit `at` of the string.
fn up_to_bit(at: usize) -> u8 {
    !(0x7f >> (at % 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(bytes: &[u8], at: usize) -> bool {
        bytes[at / 8] >> (7 - at % 8) & 1 == 1
    }

    proptest! {
        #[test]
        fn loops_agree_with_looking_at_each_bit(
            mut bytes in prop::collection::vec(any::<u8>(), 1..70),
            run in 0..70usize,
            fill in prop::sample::select(vec![0u8, 0xff]),
            ends in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let run = run.min(bytes.len());
            bytes[..run].fill(fill);
            let bits = bytes.len() * 8;
            let (a, b) = (ends.0.index(bits), ends.1.index(bits));
            let (first, last) = (a.min(b), a.max(b));
            let counted = (first..=last).filter(|&at| bit(&bytes, at)).count() as u64;
            prop_assert_eq!(count_between(&bytes, first, last), counted);
            for wanted in [false, true] {
                let found = (first..=last).find(|&at| bit(&bytes, at) == wanted);
                prop_assert_eq!(find_between(&bytes, wanted, first, last), found);
                prop_assert_eq!(find(&bytes, wanted), (0..bits).find(|&at| bit(&bytes, at) == wanted));
            }
        }
    }
}
