//! Natural numbers of any length, with the few operations that reading and writing floating-point numbers takes.
//!
//! Base 2^32, least significant digit first, no leading zero. Costs are those of school: linear in the length, except
//! that writing in decimal is quadratic. Callers bound the length ([`super::extended`]: some 35,000 bits).

use std::cmp::Ordering;

/// A natural number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wide(Vec<u32>);

impl From<u64> for Wide {
    fn from(value: u64) -> Self {
        let mut wide = Self(vec![value as u32, (value >> 32) as u32]);
        wide.trim();
        wide
    }
}

impl Wide {
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// Bits up to the highest one set.
    pub(super) fn bits(&self) -> u32 {
        match self.0.last() {
            Some(top) => self.0.len() as u32 * 32 - top.leading_zeros(),
            None => 0,
        }
    }

    /// `self * factor + term`
    pub(super) fn multiply_add(&mut self, factor: u32, term: u32) {
        let mut carry = u64::from(term);
        for digit in &mut self.0 {
            carry += u64::from(*digit) * u64::from(factor);
            *digit = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
        self.trim();
    }

    /// `self * 10^exponent`
    pub(super) fn scale_by_ten(&mut self, exponent: u32) {
        for _ in 0..exponent / 9 {
            self.multiply_add(1_000_000_000, 0);
        }
        self.multiply_add(10u32.pow(exponent % 9), 0);
    }

    /// `self * 2^count`
    pub(super) fn shift_left(&mut self, count: u32) {
        if self.is_zero() {
            return;
        }
        let (digits, bits) = ((count / 32) as usize, count % 32);
        if bits != 0 {
            self.multiply_add(1 << bits, 0);
        }
        self.0.splice(0..0, std::iter::repeat_n(0, digits));
    }

    /// The 64 bits from bit `low` on, and whether a bit below it is set.
    pub(super) fn window(&self, low: u32) -> (u64, bool) {
        let digit = |at: usize| u128::from(self.0.get(at).copied().unwrap_or(0));
        let (at, bits) = ((low / 32) as usize, low % 32);
        let three = digit(at) | digit(at + 1) << 32 | digit(at + 2) << 64;
        let below = self.0.iter().take(at).any(|&digit| digit != 0);
        let partly = three & ((1 << bits) - 1) != 0;
        ((three >> bits) as u64, below || partly)
    }

    /// `self - other`, which must not be larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0i64;
        for (at, digit) in self.0.iter_mut().enumerate() {
            let difference =
                i64::from(*digit) - i64::from(other.0.get(at).copied().unwrap_or(0)) + borrow;
            *digit = difference as u32;
            borrow = difference >> 32;
        }
        debug_assert_eq!(borrow, 0, "a natural number cannot be less than zero");
        self.trim();
    }

    /// The first 64 bits of `self / divisor`, the power of two they are to be multiplied by, and what follows them: the
    /// next bit, and whether anything is left behind it. Neither may be zero.
    ///
    /// By shifting and subtracting: 65 steps, whatever the length.
    pub(super) fn divide(mut self, mut divisor: Self) -> (u64, i32, bool, bool) {
        let mut exponent = self.bits() as i32 - divisor.bits() as i32;
        if exponent >= 0 {
            divisor.shift_left(exponent as u32);
        } else {
            self.shift_left(exponent.unsigned_abs());
        }
        if self.compare(&divisor) == Ordering::Less {
            self.shift_left(1);
            exponent -= 1;
        }
        // Now 1 <= self / divisor < 2.
        let mut quotient = 0u64;
        for _ in 0..64 {
            quotient = quotient << 1 | u64::from(self.take(&divisor));
        }
        let next = self.take(&divisor);
        (quotient, exponent - 63, next, !self.is_zero())
    }

    /// One step of [`Self::divide`]: whether `divisor` fits in; what is left is doubled.
    fn take(&mut self, divisor: &Self) -> bool {
        let fits = self.compare(divisor) != Ordering::Less;
        if fits {
            self.subtract(divisor);
        }
        self.shift_left(1);
        fits
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// In decimal.
    pub(super) fn to_decimal(&self) -> String {
        let mut left = self.0.clone();
        let mut groups = Vec::new();
        while !left.is_empty() {
            let mut remainder = 0u64;
            for digit in left.iter_mut().rev() {
                remainder = remainder << 32 | u64::from(*digit);
                *digit = (remainder / 1_000_000_000) as u32;
                remainder %= 1_000_000_000;
            }
            groups.push(remainder);
            while left.last() == Some(&0) {
                left.pop();
            }
        }
        let mut text = groups.pop().unwrap_or(0).to_string();
        for group in groups.iter().rev() {
            text.push_str(&format!("{group:09}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wide(value: u128) -> Wide {
        let mut wide = Wide::from((value >> 64) as u64);
        wide.shift_left(64);
        if wide.is_zero() {
            return Wide::from(value as u64);
        }
        wide.0[0] = value as u32;
        wide.0[1] = (value >> 32) as u32;
        wide
    }

    proptest! {
        #[test]
        fn small_numbers_behave_as_those_of_the_language(a in 1u128..1 << 100, b in 1u64.., shift in 0u32..28) {
            prop_assert_eq!(wide(a).to_decimal(), a.to_string());
            prop_assert_eq!(wide(a).bits(), 128 - a.leading_zeros());
            let mut shifted = wide(a);
            shifted.shift_left(shift);
            prop_assert_eq!(&shifted, &wide(a << shift));
            let window = shifted.window(37);
            prop_assert_eq!(window, ((a << shift >> 37) as u64, (a << shift) & ((1 << 37) - 1) != 0));
            let mut sum = wide(a >> 32);
            sum.multiply_add(b as u32, 7);
            prop_assert_eq!(sum, wide((a >> 32) * u128::from(b as u32) + 7));
        }

        #[test]
        fn quotients_are_exact_to_the_last_bit(a in 1u64.., b in 1u64..) {
            let (quotient, exponent, next, more) = Wide::from(a).divide(Wide::from(b));
            // a / b = quotient.next... * 2^exponent, exponent in -126..=0.
            let up = exponent.unsigned_abs().min(64) as u128;
            prop_assume!(u128::from(a).leading_zeros() as u128 > up);
            prop_assume!(exponent.unsigned_abs() <= 64);
            let exact = (u128::from(a) << up) / u128::from(b);
            prop_assert_eq!(u128::from(quotient), exact);
            let left = (u128::from(a) << up) % u128::from(b);
            prop_assert_eq!(next || more, left != 0);
            prop_assert_eq!(next, left * 2 >= u128::from(b));
        }
    }
}
