//! RESP2 and RESP3 as a client sees them: commands out, replies of every type in.
//!
//! The parser keeps the wire form apart where two forms mean the same (`$-1`, `*-1` and `_` are three values here),
//! because a golden dialogue fixes the exact bytes a server chose.

use crate::quoting::escape;

/// One reply, with every type of RESP3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+text`
    Status(Vec<u8>),
    /// `-text`
    Error(Vec<u8>),
    /// `:number`
    Integer(i64),
    /// `$length`
    Bulk(Vec<u8>),
    /// `$-1`
    NullBulk,
    /// `*-1`
    NullArray,
    /// `_`
    Null,
    /// `*count`
    Array(Vec<Reply>),
    /// `%count`
    Map(Vec<(Reply, Reply)>),
    /// `~count`
    Set(Vec<Reply>),
    /// `>count`
    Push(Vec<Reply>),
    /// `,number`, kept as the text it came as
    Double(String),
    /// `#t` or `#f`
    Bool(bool),
    /// `(number`
    BigNumber(String),
    /// `=length`, the three letters of the format and the text
    Verbatim(String, Vec<u8>),
    /// `!length`
    BulkError(Vec<u8>),
    /// `|count`: attributes and the reply they belong to
    Attributed(Vec<(Reply, Reply)>, Box<Reply>),
}

/// Why bytes did not make a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseError {
    /// More bytes are needed.
    Incomplete,
    /// The bytes can never become a reply.
    Malformed(String),
}

/// A bulk string longer than this is shown by its length, a checksum and its first bytes.
const SHOWN_BULK_BYTES: usize = 512;

/// Encodes a command as an array of bulk strings.
#[must_use]
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Reads one reply from the front of `bytes`, giving it and the number of bytes it took.
///
/// # Errors
/// [`ParseError::Incomplete`] when `bytes` ends inside the reply.
pub fn parse(bytes: &[u8]) -> Result<(Reply, usize), ParseError> {
    let mut reader = Reader { bytes, at: 0 };
    let reply = reader.reply()?;
    Ok((reply, reader.at))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn reply(&mut self) -> Result<Reply, ParseError> {
        let line = self.line()?;
        let (&kind, rest) = line.split_first().ok_or_else(|| malformed(line))?;
        Ok(match kind {
            b'+' => Reply::Status(rest.to_vec()),
            b'-' => Reply::Error(rest.to_vec()),
            b':' => Reply::Integer(number(rest)?),
            b',' => Reply::Double(text(rest)?),
            b'(' => Reply::BigNumber(text(rest)?),
            b'_' if rest.is_empty() => Reply::Null,
            b'#' if rest == b"t" => Reply::Bool(true),
            b'#' if rest == b"f" => Reply::Bool(false),
            b'$' if rest == b"-1" => Reply::NullBulk,
            b'*' if rest == b"-1" => Reply::NullArray,
            b'$' => Reply::Bulk(self.body(rest)?.to_vec()),
            b'!' => Reply::BulkError(self.body(rest)?.to_vec()),
            b'=' => {
                let body = self.body(rest)?;
                let (format, content) = body
                    .split_at_checked(4)
                    .filter(|(format, _)| format[3] == b':')
                    .ok_or_else(|| malformed(body))?;
                Reply::Verbatim(text(&format[..3])?, content.to_vec())
            }
            b'*' => Reply::Array(self.items(rest)?),
            b'~' => Reply::Set(self.items(rest)?),
            b'>' => Reply::Push(self.items(rest)?),
            b'%' => Reply::Map(self.pairs(rest)?),
            b'|' => {
                let attributes = self.pairs(rest)?;
                Reply::Attributed(attributes, Box::new(self.reply()?))
            }
            _ => return Err(malformed(line)),
        })
    }

    fn line(&mut self) -> Result<&'a [u8], ParseError> {
        let rest = &self.bytes[self.at..];
        let end = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .ok_or(ParseError::Incomplete)?;
        self.at += end + 2;
        Ok(&rest[..end])
    }

    fn body(&mut self, length: &[u8]) -> Result<&'a [u8], ParseError> {
        let length = length_of(length)?;
        let rest = &self.bytes[self.at..];
        if rest.len() < length + 2 {
            return Err(ParseError::Incomplete);
        }
        if &rest[length..length + 2] != b"\r\n" {
            return Err(malformed(&rest[..length]));
        }
        self.at += length + 2;
        Ok(&rest[..length])
    }

    fn items(&mut self, count: &[u8]) -> Result<Vec<Reply>, ParseError> {
        (0..length_of(count)?).map(|_| self.reply()).collect()
    }

    fn pairs(&mut self, count: &[u8]) -> Result<Vec<(Reply, Reply)>, ParseError> {
        (0..length_of(count)?)
            .map(|_| Ok((self.reply()?, self.reply()?)))
            .collect()
    }
}

fn malformed(bytes: &[u8]) -> ParseError {
    ParseError::Malformed(format!(
        "not a reply: {}",
        escape(&bytes[..bytes.len().min(80)])
    ))
}

fn text(bytes: &[u8]) -> Result<String, ParseError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed(bytes))
}

fn number(bytes: &[u8]) -> Result<i64, ParseError> {
    text(bytes)?.parse().map_err(|_| malformed(bytes))
}

fn length_of(bytes: &[u8]) -> Result<usize, ParseError> {
    usize::try_from(number(bytes)?).map_err(|_| malformed(bytes))
}

impl Reply {
    /// The reply as the lines of a golden dialogue: a type mark and the value, children two blanks further in.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.write_lines(0, &mut out);
        out
    }

    fn write_lines(&self, depth: usize, out: &mut Vec<String>) {
        let pad = "  ".repeat(depth);
        let nested = |mark: char, items: &[Self], out: &mut Vec<String>| {
            out.push(format!("{pad}{mark}{}", items.len()));
            for item in items {
                item.write_lines(depth + 1, out);
            }
        };
        match self {
            Self::Status(text) => out.push(format!("{pad}+{}", plain(text))),
            Self::Error(text) => out.push(format!("{pad}-{}", plain(text))),
            Self::Integer(value) => out.push(format!("{pad}:{value}")),
            Self::Bulk(bytes) => out.push(format!("{pad}{}", shown(bytes))),
            Self::NullBulk => out.push(format!("{pad}$-1")),
            Self::NullArray => out.push(format!("{pad}*-1")),
            Self::Null => out.push(format!("{pad}_")),
            Self::Array(items) => nested('*', items, out),
            Self::Set(items) => nested('~', items, out),
            Self::Push(items) => nested('>', items, out),
            Self::Map(pairs) => Self::write_pairs('%', pairs, depth, out),
            Self::Double(text) => out.push(format!("{pad},{text}")),
            Self::Bool(value) => out.push(format!("{pad}#{}", if *value { 't' } else { 'f' })),
            Self::BigNumber(text) => out.push(format!("{pad}({text}")),
            Self::Verbatim(format, bytes) => out.push(format!("{pad}={format}:{}", shown(bytes))),
            Self::BulkError(bytes) => out.push(format!("{pad}!{}", shown(bytes))),
            Self::Attributed(pairs, reply) => {
                Self::write_pairs('|', pairs, depth, out);
                reply.write_lines(depth, out);
            }
        }
    }

    fn write_pairs(mark: char, pairs: &[(Self, Self)], depth: usize, out: &mut Vec<String>) {
        out.push(format!("{}{mark}{}", "  ".repeat(depth), pairs.len()));
        for (key, value) in pairs {
            key.write_lines(depth + 1, out);
            value.write_lines(depth + 2, out);
        }
    }

    /// The reply with maps, and arrays and sets of single values, put in order: for replies whose order is free.
    #[must_use]
    pub fn sorted(self) -> Self {
        let sort = |items: Vec<Self>| -> Vec<Self> {
            let mut items: Vec<Self> = items.into_iter().map(Self::sorted).collect();
            if items.iter().all(|item| !item.is_nested()) {
                items.sort_by_key(Self::lines);
            }
            items
        };
        match self {
            Self::Array(items) => Self::Array(sort(items)),
            Self::Set(items) => Self::Set(sort(items)),
            Self::Map(mut pairs) => {
                pairs.sort_by_key(|(key, _)| key.lines());
                Self::Map(pairs)
            }
            other => other,
        }
    }

    fn is_nested(&self) -> bool {
        matches!(
            self,
            Self::Array(_) | Self::Set(_) | Self::Push(_) | Self::Map(_) | Self::Attributed(..)
        )
    }

    /// The bytes of a status, a bulk or a verbatim string.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Status(bytes) | Self::Bulk(bytes) | Self::Verbatim(_, bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The reply as text, for saving it under a name or looking into it.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Integer(value) => value.to_string(),
            Self::Array(items) => items.first().map(Self::to_text).unwrap_or_default(),
            other => other
                .bytes()
                .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
                .unwrap_or_default(),
        }
    }

    /// The number of an integer reply.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }
}

/// A status or error text: escaped, but quotes stay readable.
fn plain(bytes: &[u8]) -> String {
    escape(bytes).replace("\\\"", "\"")
}

fn shown(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN_BULK_BYTES {
        return format!("\"{}\"", escape(bytes));
    }
    // FNV-1a: two different long strings should not look alike.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!(
        "<{} bytes, fnv {hash:016x}> \"{}\"...",
        bytes.len(),
        escape(&bytes[..32])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_resp3_is_read_and_shown() {
        let wire = b"*13\r\n+OK\r\n-ERR no\r\n:-5\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n_\r\n%1\r\n+k\r\n:1\r\n~1\r\n:2\r\n\
            ,1.5\r\n#t\r\n(123\r\n=7\r\ntxt:a\"b\r\n"
            .to_vec();
        let (reply, used) = parse(&wire).unwrap();
        assert_eq!(used, wire.len());
        let expected = "*13\n  +OK\n  -ERR no\n  :-5\n  \"a\\r\\n\"\n  $-1\n  *-1\n  _\n  %1\n    +k\n      :1\n  ~1\n    :2\n  \
            ,1.5\n  #t\n  (123\n  =txt:\"a\\\"b\"";
        assert_eq!(reply.lines().join("\n"), expected);
        let attributed = parse(b"|1\r\n+a\r\n:1\r\n!3\r\nabc\r\n").unwrap().0;
        assert_eq!(attributed.lines(), ["|1", "  +a", "    :1", "!\"abc\""]);
    }

    #[test]
    fn a_cut_reply_is_incomplete_at_every_byte() {
        let wire = b"*2\r\n$5\r\nhello\r\n%1\r\n+a\r\n=5\r\ntxt:x\r\n";
        for end in 0..wire.len() {
            assert_eq!(parse(&wire[..end]), Err(ParseError::Incomplete), "at {end}");
        }
        assert!(parse(wire).is_ok());
    }

    #[test]
    fn nonsense_is_malformed() {
        assert!(matches!(parse(b"hello\r\n"), Err(ParseError::Malformed(_))));
        assert!(matches!(parse(b":12a\r\n"), Err(ParseError::Malformed(_))));
        assert!(matches!(parse(b"*-2\r\n"), Err(ParseError::Malformed(_))));
    }

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        assert_eq!(encode(&["GET", "k"]), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}
