//! What measurements of collections share: numbered names, and the order in which they are worked on.

/// Writes the last digits of a number.
pub(crate) fn write_number(digits: &mut [u8], number: usize) {
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// The numbers below `count` in a scattered order, each once.
pub(crate) fn scattered(count: usize) -> impl Iterator<Item = usize> {
    let first = (0x9E37_79B9 % count) | 1;
    let step = (first..).step_by(2).find(|&step| gcd(step, count) == 1);
    let step = step.expect("one is coprime");
    (0..count).scan(0, move |at, _| {
        *at = (*at + step) % count;
        Some(*at)
    })
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
