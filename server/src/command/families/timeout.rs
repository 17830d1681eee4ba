//! How long commands wait that are told so in seconds.

use super::numbers::Extended;
use crate::command::WaitLimit;
use crate::resp::{ErrorReply, errors};

/// Most milliseconds that anything waits. Redis's bound is when 64 bits no longer hold the moment at which the wait ends.
const WAIT_MAX_MILLIS: i64 = i64::MAX - (1 << 41);

/// The time that an argument says in seconds, rounded up to milliseconds; zero is for ever.
///
/// # Errors
/// It is no number, negative, or more than can be waited.
pub(super) fn seconds(arg: &[u8]) -> Result<WaitLimit, ErrorReply> {
    if let Some(seconds) = whole(arg) {
        return Ok(match seconds {
            0 => WaitLimit::None,
            _ => WaitLimit::Millis(seconds * 1000),
        });
    }
    let seconds = Extended::parse(arg).ok_or(errors::TIMEOUT_NOT_A_FLOAT)?;
    let millis = seconds.thousandfold();
    if millis > WAIT_MAX_MILLIS {
        return Err(errors::TIMEOUT_OUT_OF_RANGE);
    }
    match u64::try_from(millis).map_err(|_| errors::TIMEOUT_NEGATIVE)? {
        0 => Ok(WaitLimit::None),
        millis => Ok(WaitLimit::Millis(millis)),
    }
}

/// The number that a few digits and nothing else say: what most clients send.
fn whole(arg: &[u8]) -> Option<u64> {
    const DIGITS_MAX: usize = 9;
    let are_few = (1..=DIGITS_MAX).contains(&arg.len());
    (are_few && arg.iter().all(u8::is_ascii_digit)).then(|| {
        let digits = arg.iter().map(|digit| u64::from(digit - b'0'));
        digits.fold(0, |number, digit| number * 10 + digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up_to_milliseconds_as_redis_does() {
        for (text, millis) in [
            ("1", 1000),
            ("0.001", 1),
            ("0.0001", 1),
            ("1.0001", 1001),
            ("16.1", 16100),
            ("0.057", 57),
            ("2.3", 2300),
            ("1e3", 1_000_000),
            ("0x10", 16000),
            (".5", 500),
            ("+1.5", 1500),
            ("1e-40", 1),
            ("4294967296", 4_294_967_296_000),
            ("999999999", 999_999_999_000),
            ("010", 10_000),
        ] {
            let limit = seconds(text.as_bytes());
            assert_eq!(limit, Ok(WaitLimit::Millis(millis)), "{text}");
        }
        // The last is less than a millisecond in 64 bits.
        for text in [
            "0",
            "000000000",
            "0000000000",
            "-0",
            "0.0",
            "-0.0001",
            "-1e-40",
            "-0.001",
        ] {
            assert_eq!(seconds(text.as_bytes()), Ok(WaitLimit::None), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_an_error() {
        for text in ["", " 1", "1 ", "abc", "nan", "0x", "1s"] {
            let limit = seconds(text.as_bytes());
            assert_eq!(limit, Err(errors::TIMEOUT_NOT_A_FLOAT), "{text}");
        }
        for text in ["-1", "-0.01", "-1e30", "-inf"] {
            let limit = seconds(text.as_bytes());
            assert_eq!(limit, Err(errors::TIMEOUT_NEGATIVE), "{text}");
        }
        for text in ["1e30", "inf", "9223372036854775", "1e4000"] {
            let limit = seconds(text.as_bytes());
            assert_eq!(limit, Err(errors::TIMEOUT_OUT_OF_RANGE), "{text}");
        }
    }
}
