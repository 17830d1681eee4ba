//! Numbers in as few bytes as they need: seven bits a byte, the lower ones first.

/// Writes a number.
#[inline]
pub(crate) fn write(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a number at `at`, which then is behind it.
///
/// # Panics
/// There is none.
#[inline(always)]
pub(crate) fn read(bytes: &[u8], at: &mut usize) -> u64 {
    let byte = bytes[*at];
    *at += 1;
    match byte < 0x80 {
        true => u64::from(byte),
        false => read_on(bytes, at, byte),
    }
}

fn read_on(bytes: &[u8], at: &mut usize, first: u8) -> u64 {
    let (mut value, mut shift) = (u64::from(first & 0x7F), 7);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

/// A signed number as one that is small if it is near zero.
#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// What [`zigzag`] made of a number.
#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Writes bytes with their length.
#[inline]
pub(crate) fn write_text(text: &[u8], out: &mut Vec<u8>) {
    write(text.len() as u64, out);
    out.extend_from_slice(text);
}

/// Reads bytes with their length at `at`, which then is behind them.
///
/// # Panics
/// There are none.
#[inline(always)]
pub(crate) fn read_text<'a>(bytes: &'a [u8], at: &mut usize) -> &'a [u8] {
    let len = read(bytes, at) as usize;
    let text = &bytes[*at..*at + len];
    *at += len;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_survive_the_round_trip() {
        let mut out = Vec::new();
        let numbers = [0, 1, 127, 128, 16383, 16384, u64::from(u32::MAX), u64::MAX];
        numbers.iter().for_each(|&number| write(number, &mut out));
        write_text(b"text", &mut out);
        let mut at = 0;
        for number in numbers {
            assert_eq!(read(&out, &mut at), number);
        }
        assert_eq!(read_text(&out, &mut at), b"text");
        assert_eq!(at, out.len());
        for number in [0, -1, 1, i64::MIN, i64::MAX, -4000] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
        assert!(zigzag(-3) < 8);
    }
}
