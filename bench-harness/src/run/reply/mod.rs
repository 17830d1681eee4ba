//! Reply scanners: they find the ends of replies in what a socket delivers, and look at no more than a load needs to know.
//!
//! A scanner is fed the bytes as they come. Bodies of values are passed over without a copy, wherever they are cut; only a
//! line that is not yet complete stays in the input and is to be shown again with what follows it. Nothing is allocated but
//! the text of an error.

mod memcached;
mod resp;

pub use memcached::MemcachedScanner;
pub use resp::RespScanner;

/// A line longer than this is no line of a reply.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// So much of an error is kept.
const MAX_ERROR_BYTES: usize = 256;

/// So many bytes are shown of what does not parse.
const EXCERPT_BYTES: usize = 64;

/// What a reply was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its kind.
    pub shape: Shape,
    /// How many values are in it, at any depth.
    pub values: u32,
    /// How many nils (or memcached misses).
    pub nils: u32,
    /// The number, when it was one.
    pub integer: i64,
}

/// The kinds of replies that a load tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Anything but the others.
    #[default]
    Other,
    /// An error, or an aggregate with one in it; [`Scanner::error`] has the text.
    Error,
    /// An aggregate of nothing.
    Empty,
    /// No reply at all, but a message that came between replies (RESP3).
    Push,
}

/// A stretch of a value's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The how-manieth element of the reply it belongs to, from 0; nils and numbers count too.
    pub element: usize,
    /// Where in the value it begins.
    pub offset: usize,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// What came is not of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The bytes in question, escaped and cut.
    pub excerpt: String,
}

impl Malformed {
    fn at(bytes: &[u8]) -> Self {
        Self {
            excerpt: excerpt(bytes),
        }
    }
}

/// Bytes as they are shown in an error line: cut, and on one line.
#[must_use]
pub fn excerpt(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(EXCERPT_BYTES)];
    let dots = if shown.len() < bytes.len() { "…" } else { "" };
    let escaped = shown.escape_ascii().to_string();
    format!("{}{dots}", escaped.replace("\\'", "'"))
}

/// Finds replies in a stream of bytes.
pub trait Scanner: Default + Send {
    /// The next reply, when all of it has come. What has been understood is taken from the front of `input`; what stays there
    /// when there is no reply is the beginning of a line.
    ///
    /// # Errors
    /// When the bytes are not of the protocol.
    fn next<F: FnMut(Part<'_>)>(
        &mut self,
        input: &mut &[u8],
        part: F,
    ) -> Result<Option<Reply>, Malformed>;

    /// The text of the last error, cut at some length.
    fn error(&self) -> &[u8];
}

/// Takes a line without its end from the front of the input, when a whole one is there.
#[inline]
fn take_line<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    let bytes = *input;
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
        if bytes.len() > MAX_LINE_BYTES {
            return Err(Malformed::at(bytes));
        }
        return Ok(None);
    };
    match bytes[..end].split_last() {
        Some((b'\r', line)) => {
            *input = &bytes[end + 1..];
            Ok(Some(line))
        }
        _ => Err(Malformed::at(bytes)),
    }
}

/// What of a body is still to come, its line end included.
#[derive(Clone, Copy, Debug, Default)]
struct Body {
    left: usize,
    offset: usize,
}

impl Body {
    /// Passes over the body; whether its end was reached.
    #[inline]
    fn pass<F: FnMut(Part<'_>)>(
        &mut self,
        element: usize,
        input: &mut &[u8],
        mut part: F,
    ) -> Result<bool, Malformed> {
        let take = self.left.min(input.len());
        if take > 0 {
            let (bytes, rest) = input.split_at(take);
            part(Part {
                element,
                offset: self.offset,
                bytes,
            });
            self.left -= take;
            self.offset += take;
            *input = rest;
        }
        match *input {
            _ if self.left > 0 => Ok(false),
            [] | [b'\r'] => Ok(false),
            [b'\r', b'\n', rest @ ..] => {
                *input = rest;
                Ok(true)
            }
            other => Err(Malformed::at(other)),
        }
    }
}

/// Keeps the text of an error, cut at some length.
fn keep_error(kept: &mut Vec<u8>, more: &[u8]) {
    let room = MAX_ERROR_BYTES - kept.len().min(MAX_ERROR_BYTES);
    kept.extend_from_slice(&more[..more.len().min(room)]);
}

/// A decimal number with an optional sign; nothing else.
#[inline]
fn parse_integer(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, digits),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut number: u64 = 0;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    // 19 digits fit in 64 bits without a sign, so the sum did not overflow.
    let limit = i64::MAX as u64 + u64::from(negative);
    (number <= limit).then(|| {
        let number = number as i64;
        if negative {
            number.wrapping_neg()
        } else {
            number
        }
    })
}

#[cfg(test)]
pub(crate) mod testing {
    //! Feeds a scanner with bytes cut in every way.

    use super::{Malformed, Reply, Scanner, Shape};

    /// A reply, its values, and its error.
    pub(crate) type Seen = (Reply, Vec<Vec<u8>>, Vec<u8>);

    /// Feeds `stream` in pieces of `step` bytes, keeping unfinished lines as a connection does.
    pub(crate) fn scan<S: Scanner>(stream: &[u8], step: usize) -> Result<Vec<Seen>, Malformed> {
        let mut scanner = S::default();
        let (mut carry, mut seen) = (Vec::new(), Vec::new());
        let mut values: Vec<Vec<u8>> = Vec::new();
        for piece in stream.chunks(step) {
            carry.extend_from_slice(piece);
            let mut input = carry.as_slice();
            while let Some(reply) = scanner.next(&mut input, |part| {
                if part.offset == 0 {
                    values.push(Vec::new());
                }
                values.last_mut().unwrap().extend_from_slice(part.bytes);
            })? {
                let error = match reply.shape {
                    Shape::Error => scanner.error().to_vec(),
                    _ => Vec::new(),
                };
                seen.push((reply, std::mem::take(&mut values), error));
            }
            carry = input.to_vec();
        }
        assert_eq!(carry, b"", "all of the stream is understood");
        Ok(seen)
    }

    /// What is seen in `stream`, the same however it is cut.
    pub(crate) fn scan_all_ways<S: Scanner>(stream: &[u8]) -> Vec<Seen> {
        let whole = scan::<S>(stream, stream.len()).unwrap();
        for step in 1..stream.len() {
            assert_eq!(scan::<S>(stream, step).unwrap(), whole, "pieces of {step}");
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_to_their_limits_and_nothing_else_is() {
        for number in [0, 7, -7, i64::MAX, i64::MIN] {
            assert_eq!(parse_integer(number.to_string().as_bytes()), Some(number));
        }
        for text in [
            "",
            "-",
            "1a",
            " 1",
            "9223372036854775808",
            "99999999999999999999",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
    }
}
