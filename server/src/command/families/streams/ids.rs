//! Ids as clients write and read them: `ms-seq`, or parts of that.

use larder_engine::StreamId;

use crate::resp::errors::streams as errors;
use crate::resp::{Digits, ErrorReply, Reply};

/// The longest argument that is looked at, in bytes.
const TEXT_MAX_BYTES: usize = 127;

/// The id of an entry to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: by the clock.
    Auto,
    /// `ms-*`: the next of this millisecond.
    OfMs(u64),
    /// As it is given.
    Given(StreamId),
}

/// A number as `strtoull` reads it, which is 0 for nothing but zeros.
fn number(text: &[u8]) -> Option<u64> {
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace());
    let text = &text[blanks.count()..];
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Both parts of an id, the second as text, if there is one.
fn parts(arg: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    if arg.len() > TEXT_MAX_BYTES {
        return None;
    }
    match arg.iter().position(|&byte| byte == b'-') {
        None => Some((number(arg)?, None)),
        Some(at) => Some((number(&arg[..at])?, Some(&arg[at + 1..]))),
    }
}

/// An id; `seq` is its second part if that is left out.
pub(super) fn id(arg: &[u8], seq: u64) -> Result<StreamId, ErrorReply> {
    let parsed = parts(arg).and_then(|(ms, text)| match text {
        None => Some(StreamId::new(ms, seq)),
        Some(text) => number(text).map(|seq| StreamId::new(ms, seq)),
    });
    parsed.ok_or(errors::INVALID_ID)
}

/// The id of an entry to be added.
pub(super) fn new_id(arg: &[u8]) -> Result<NewId, ErrorReply> {
    if arg == b"*" {
        return Ok(NewId::Auto);
    }
    match parts(arg) {
        Some((ms, Some(b"*"))) => Ok(NewId::OfMs(ms)),
        _ => id(arg, 0).map(NewId::Given),
    }
}

/// An id that may also be `-` or `+`, the least and the greatest.
pub(super) fn end_id(arg: &[u8], seq: u64) -> Result<StreamId, ErrorReply> {
    match arg {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => id(arg, seq),
    }
}

/// The first id of an interval: as [`end_id`], or behind a `(` the next one.
pub(super) fn start(arg: &[u8]) -> Result<StreamId, ErrorReply> {
    match arg {
        [b'(', rest @ ..] if !rest.is_empty() => id(rest, 0)?.next().ok_or(errors::INVALID_START),
        _ => end_id(arg, 0),
    }
}

/// The last id of an interval.
pub(super) fn end(arg: &[u8]) -> Result<StreamId, ErrorReply> {
    match arg {
        [b'(', rest @ ..] if !rest.is_empty() => {
            id(rest, u64::MAX)?.previous().ok_or(errors::INVALID_END)
        }
        _ => end_id(arg, u64::MAX),
    }
}

/// Ids of arguments.
pub(super) fn all<'a>(args: impl Iterator<Item = &'a [u8]>) -> Result<Vec<StreamId>, ErrorReply> {
    args.map(|arg| id(arg, 0)).collect()
}

/// The text of an id.
pub(super) fn text(id: StreamId) -> Vec<u8> {
    let mut text = Digits::new().unsigned(id.ms).to_vec();
    text.push(b'-');
    text.extend_from_slice(Digits::new().unsigned(id.seq));
    text
}

/// Writes an id.
#[inline]
pub(super) fn show(reply: &mut Reply<'_>, id: StreamId) {
    let mut buffer = [0; 41];
    let (mut ms, mut seq) = (Digits::new(), Digits::new());
    let (ms, seq) = (ms.unsigned(id.ms), seq.unsigned(id.seq));
    buffer[..ms.len()].copy_from_slice(ms);
    buffer[ms.len()] = b'-';
    let len = ms.len() + 1 + seq.len();
    buffer[ms.len() + 1..len].copy_from_slice(seq);
    reply.bulk(&buffer[..len]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        for (text, ms, seq) in [
            ("5", 5, 9),
            ("5-6", 5, 6),
            ("0-0", 0, 0),
            ("007-01", 7, 1),
            ("+1- 2", 1, 2),
            (
                "18446744073709551615-18446744073709551615",
                u64::MAX,
                u64::MAX,
            ),
        ] {
            assert_eq!(id(text.as_bytes(), 9), Ok(StreamId::new(ms, seq)), "{text}");
        }
        for text in [
            "",
            "-",
            "+",
            "a",
            "1-",
            "-1",
            "1-a",
            "1-2-3",
            "1--2",
            "18446744073709551616",
        ] {
            assert_eq!(id(text.as_bytes(), 0), Err(errors::INVALID_ID), "{text}");
        }
        assert_eq!(new_id(b"*"), Ok(NewId::Auto));
        assert_eq!(new_id(b"7-*"), Ok(NewId::OfMs(7)));
        assert_eq!(new_id(b"7"), Ok(NewId::Given(StreamId::new(7, 0))));
        assert_eq!(new_id(b"7-**"), Err(errors::INVALID_ID));
    }

    #[test]
    fn intervals_have_open_ends_and_the_least_and_the_greatest_id() {
        assert_eq!(start(b"-"), Ok(StreamId::MIN));
        assert_eq!(end(b"+"), Ok(StreamId::MAX));
        assert_eq!(start(b"(5"), Ok(StreamId::new(5, 1)));
        assert_eq!(end(b"(5"), Ok(StreamId::new(5, u64::MAX - 1)));
        assert_eq!(end(b"(5-0"), Ok(StreamId::new(4, u64::MAX)));
        assert_eq!(end(b"(0-0"), Err(errors::INVALID_END));
        let greatest = b"(18446744073709551615-18446744073709551615";
        assert_eq!(start(greatest), Err(errors::INVALID_START));
        assert_eq!(start(b"(-"), Err(errors::INVALID_ID));
        assert_eq!(text(StreamId::new(12, 0)), b"12-0");
    }
}
