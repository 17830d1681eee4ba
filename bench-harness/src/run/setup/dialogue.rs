//! A blocking conversation: one question, one answer, with a time limit.

use std::io::{self, Read, Write};

use crate::run::net::Stream;
use crate::run::reply::excerpt;

/// An answer longer than this is none that a set-up asks for.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Deeper nesting than `CLUSTER SHARDS` has by far.
const MAX_DEPTH: usize = 16;

/// An answer in RESP, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Strings, simple and bulk, and everything else that is text.
    Text(String),
    /// An error.
    Error(String),
    /// A number.
    Integer(i64),
    /// None.
    Nil,
    /// Arrays, sets and pushes; maps with keys and values in turn.
    List(Vec<Value>),
}

impl Value {
    /// The text of a string.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, also from a string.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The elements of a list.
    #[must_use]
    pub fn list(&self) -> &[Value] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }

    /// The value of a key in a map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.list()
            .chunks_exact(2)
            .find(|pair| pair[0].text() == Some(key))
            .map(|pair| &pair[1])
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The socket failed or was closed.
    Io(io::Error),
    /// What came is not of the protocol; escaped.
    Malformed(String),
}

/// A conversation on a socket that still blocks.
#[derive(Debug)]
pub struct Dialogue<'a> {
    stream: &'a Stream,
    unread: Vec<u8>,
}

impl<'a> Dialogue<'a> {
    /// A conversation on `stream`, whose time limits are set.
    #[must_use]
    pub fn new(stream: &'a Stream) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Sends a RESP command and waits for its answer.
    ///
    /// # Errors
    /// When there is no answer, or none in RESP.
    pub fn ask(&mut self, words: &[&str]) -> Result<Value, NoAnswer> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        (&mut &*self.stream)
            .write_all(request.as_bytes())
            .map_err(NoAnswer::Io)?;
        self.answer()
    }

    /// Waits for another answer.
    ///
    /// # Errors
    /// When there is none, or none in RESP.
    pub fn answer(&mut self) -> Result<Value, NoAnswer> {
        loop {
            match parse(&self.unread, MAX_DEPTH) {
                Parsed::Value(value, used) => {
                    self.unread.drain(..used);
                    return Ok(value);
                }
                Parsed::Malformed => return Err(self.malformed()),
                Parsed::Incomplete => self.read_more()?,
            }
        }
    }

    /// Sends text as it is and waits for a line.
    ///
    /// # Errors
    /// When there is no line.
    pub fn ask_line(&mut self, request: &str) -> Result<String, NoAnswer> {
        (&mut &*self.stream)
            .write_all(request.as_bytes())
            .map_err(NoAnswer::Io)?;
        loop {
            if let Some(end) = self.unread.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            }
            self.read_more()?;
        }
    }

    fn malformed(&self) -> NoAnswer {
        NoAnswer::Malformed(excerpt(&self.unread))
    }

    fn read_more(&mut self) -> Result<(), NoAnswer> {
        if self.unread.len() > MAX_ANSWER_BYTES {
            return Err(self.malformed());
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            return match (&mut &*self.stream).read(&mut buffer) {
                Ok(0) => Err(NoAnswer::Io(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server closed the connection",
                ))),
                Ok(read) => {
                    self.unread.extend_from_slice(&buffer[..read]);
                    Ok(())
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(NoAnswer::Io(
                    io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
                )),
                Err(error) => Err(NoAnswer::Io(error)),
            };
        }
    }
}

enum Parsed {
    Value(Value, usize),
    Incomplete,
    Malformed,
}

/// Parses the value at the front of `bytes`, and says how long it is.
fn parse(bytes: &[u8], depth: usize) -> Parsed {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
        return if bytes
            .first()
            .is_none_or(|kind| b"+-:$*_,#(!=%~>|".contains(kind))
        {
            Parsed::Incomplete
        } else {
            Parsed::Malformed
        };
    };
    let (Some((&kind, rest)), used) = (bytes[..end].split_first(), end + 1) else {
        return Parsed::Malformed;
    };
    let Some((b'\r', line)) = rest.split_last() else {
        return Parsed::Malformed;
    };
    let text = || String::from_utf8_lossy(line).into_owned();
    let count = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.parse::<i64>().ok());
    match (kind, count) {
        (b'+' | b',' | b'#' | b'(', _) => Parsed::Value(Value::Text(text()), used),
        (b'-', _) => Parsed::Value(Value::Error(text()), used),
        (b':', Some(number)) => Parsed::Value(Value::Integer(number), used),
        (b'_', _) | (b'$' | b'*', Some(-1)) => Parsed::Value(Value::Nil, used),
        (b'$' | b'!' | b'=', Some(count)) => parse_bulk(kind, bytes, used, count),
        (b'*' | b'~' | b'>', Some(count)) => parse_list(bytes, used, count, depth),
        (b'%', Some(count)) => parse_list(bytes, used, count.saturating_mul(2), depth),
        _ => Parsed::Malformed,
    }
}

fn parse_bulk(kind: u8, bytes: &[u8], used: usize, count: i64) -> Parsed {
    let Ok(count) = usize::try_from(count) else {
        return Parsed::Malformed;
    };
    if count > MAX_ANSWER_BYTES {
        return Parsed::Malformed;
    }
    let Some(body) = bytes.get(used..used + count + 2) else {
        return Parsed::Incomplete;
    };
    let Some(body) = body.strip_suffix(b"\r\n") else {
        return Parsed::Malformed;
    };
    let text = String::from_utf8_lossy(body).into_owned();
    let value = match kind {
        b'!' => Value::Error(text),
        // "txt:" stands before a verbatim string.
        b'=' => Value::Text(text.get(4..).unwrap_or_default().to_owned()),
        _ => Value::Text(text),
    };
    Parsed::Value(value, used + count + 2)
}

fn parse_list(bytes: &[u8], mut used: usize, count: i64, depth: usize) -> Parsed {
    let (Ok(count), true) = (usize::try_from(count), depth > 0) else {
        return Parsed::Malformed;
    };
    let mut elements = Vec::new();
    for _ in 0..count {
        match parse(&bytes[used..], depth - 1) {
            Parsed::Value(value, length) => {
                elements.push(value);
                used += length;
            }
            other => return other,
        }
    }
    Parsed::Value(Value::List(elements), used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<Value> {
        match parse(text.as_bytes(), MAX_DEPTH) {
            Parsed::Value(value, used) if used == text.len() => Some(value),
            _ => None,
        }
    }

    #[test]
    fn answers_of_every_kind_are_read() {
        assert_eq!(value("+PONG\r\n"), Some(Value::Text("PONG".into())));
        assert_eq!(value("-ERR x\r\n"), Some(Value::Error("ERR x".into())));
        assert_eq!(value("=7\r\ntxt:abc\r\n"), Some(Value::Text("abc".into())));
        let nested = value("*3\r\n:1\r\n$-1\r\n%1\r\n$1\r\nk\r\n:2\r\n").unwrap();
        assert_eq!(nested.list()[1], Value::Nil);
        assert_eq!(nested.list()[2].get("k").and_then(Value::integer), Some(2));
    }

    #[test]
    fn half_an_answer_is_waited_for_and_nonsense_is_not() {
        for text in ["", "+PO", "$5\r\nab", "*2\r\n:1\r\n", "$5\r"] {
            assert!(
                matches!(parse(text.as_bytes(), MAX_DEPTH), Parsed::Incomplete),
                "{text}"
            );
        }
        for text in [
            "ERROR\r\n",
            "ERR",
            "$1\r\nabc",
            ":x\r\n",
            "$99999999999\r\n",
        ] {
            assert!(
                matches!(parse(text.as_bytes(), MAX_DEPTH), Parsed::Malformed),
                "{text}"
            );
        }
        let deep = "*1\r\n".repeat(100);
        assert!(matches!(
            parse(deep.as_bytes(), MAX_DEPTH),
            Parsed::Malformed
        ));
    }
}
