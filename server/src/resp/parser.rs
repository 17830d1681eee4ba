//! The command parser: finds one command after another in a session's input, without copying.
//!
//! A command is an array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) or an inline line (`GET k\n`). Arguments are
//! handed out as ranges of the input buffer.
//!
//! Two paths. [`whole_command`] takes a command that is entirely there and ordinary: one bounds check a header, lengths
//! of one and two digits without a loop. Whatever it does not take (incomplete, malformed, odd) goes to the second path,
//! a state machine that remembers how far it came, so that a command arriving in many pieces costs what it would in
//! one, and that alone finds errors.
//!
//! Rules and wire texts are Redis's, leniency included: a header line ends at the first `\r` and the byte behind it,
//! and the two bytes behind an argument are skipped without a look. One departure: a line's end is searched past NUL
//! bytes.
//!
//! Source: `redis/docs`, `develop/reference/protocol-spec.md`.

pub mod words;

use std::fmt;

use words::Words;

/// One argument: a range of the input buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgRange {
    /// Where it begins.
    pub start: u32,
    /// Bytes it has.
    pub len: u32,
}

impl ArgRange {
    /// The argument's bytes in `input`, the buffer it was found in.
    #[inline]
    pub fn of(self, input: &[u8]) -> &[u8] {
        &input[self.start as usize..self.start as usize + self.len as usize]
    }
}

/// What a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolLimits {
    /// Longest argument (`proto-max-bulk-len`).
    pub max_bulk_bytes: usize,
    /// Most arguments of a command.
    pub max_args: usize,
    /// Longest inline command and longest header line.
    pub max_inline_bytes: usize,
    /// A client that must still authenticate gets [`Self::UNAUTHENTICATED_ARGS`] arguments of
    /// [`Self::UNAUTHENTICATED_BULK_BYTES`], so that it cannot make the server reserve memory.
    pub authenticated: bool,
}

impl ProtocolLimits {
    /// Most arguments of a client that must still authenticate.
    pub const UNAUTHENTICATED_ARGS: usize = 10;
    /// Longest argument of a client that must still authenticate.
    pub const UNAUTHENTICATED_BULK_BYTES: usize = 16 * 1024;

    #[inline]
    fn effective_args(&self) -> usize {
        if self.authenticated {
            self.max_args
        } else {
            self.max_args.min(Self::UNAUTHENTICATED_ARGS)
        }
    }

    #[inline]
    fn effective_bulk_bytes(&self) -> usize {
        if self.authenticated {
            self.max_bulk_bytes
        } else {
            self.max_bulk_bytes.min(Self::UNAUTHENTICATED_BULK_BYTES)
        }
    }
}

impl Default for ProtocolLimits {
    fn default() -> Self {
        Self {
            max_bulk_bytes: 512 * 1024 * 1024,
            max_args: i32::MAX as usize,
            max_inline_bytes: 64 * 1024,
            authenticated: true,
        }
    }
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A command's arguments were appended to `args`, and `at` is behind it.
    Command,
    /// An inline command whose words had to be unquoted; `at` is behind it.
    Inline(Vec<Vec<u8>>),
    /// An empty line or an array of no arguments: nothing to run, `at` is behind it.
    Nothing,
    /// More bytes are needed; `at` is at the command's first byte.
    Incomplete,
}

/// The client does not speak the protocol; the connection is closed behind the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// An array header line does not end.
    TooBigArrayHeader,
    /// An array header is no number, or too large a one.
    InvalidArrayLength,
    /// Too many arguments for a client that must authenticate.
    UnauthenticatedArrayLength,
    /// A bulk header line does not end.
    TooBigBulkHeader,
    /// An argument does not begin with `$` but with this byte.
    ExpectedBulk(u8),
    /// A bulk header is no number, or too large a one.
    InvalidBulkLength,
    /// Too long an argument for a client that must authenticate.
    UnauthenticatedBulkLength,
    /// An inline command does not end.
    TooBigInline,
    /// An inline command has an open quote.
    UnbalancedQuotes,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Protocol error: ")?;
        out.write_str(match self {
            Self::TooBigArrayHeader => "too big mbulk count string",
            Self::InvalidArrayLength => "invalid multibulk length",
            Self::UnauthenticatedArrayLength => "unauthenticated multibulk length",
            Self::TooBigBulkHeader => "too big bulk count string",
            Self::ExpectedBulk(byte) => {
                return write!(out, "expected '$', got '{}'", char::from(*byte));
            }
            Self::InvalidBulkLength => "invalid bulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
            Self::TooBigInline => "too big inline request",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
        })
    }
}

impl ProtocolError {
    /// The error reply's line, without `-` and line end: `ERR Protocol error: …`. May hold any byte but `\r` and `\n`.
    pub fn text(&self) -> Vec<u8> {
        let mut line = b"ERR ".to_vec();
        if let Self::ExpectedBulk(byte) = *self {
            line.extend_from_slice(b"Protocol error: expected '$', got '");
            line.push(if matches!(byte, b'\r' | b'\n') {
                b' '
            } else {
                byte
            });
            line.push(b'\'');
        } else {
            line.extend_from_slice(self.to_string().as_bytes());
        }
        line
    }
}

impl std::error::Error for ProtocolError {}

/// A session's parser: how far the command at the front of its input has been read.
///
/// Positions are relative to the command's first byte, so that the caller may move the command within its buffer.
#[derive(Debug, Default)]
pub struct Parser {
    /// Some of the command has been seen.
    under_way: bool,
    /// Arguments still to come, the one at `cursor` included; 0 while the array header is not read.
    remaining: usize,
    /// The next byte to read: of a header, or of the argument itself when `bulk` is known.
    cursor: usize,
    /// Bytes of the argument at `cursor`.
    bulk: Option<usize>,
    /// Bytes behind `cursor` in which no line end was found.
    scanned: usize,
    /// Bytes still needed for the argument at `cursor`, with its line end.
    missing: usize,
    /// The arguments read.
    args: Vec<ArgRange>,
}

/// The input's addressable part: ranges are 32 bits wide.
const MAX_INPUT_BYTES: usize = u32::MAX as usize;

/// What has been read of a command that is not whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParsedSoFar {
    /// Bytes of the input, up to the argument that is not there as a whole.
    pub bytes: usize,
    /// Bytes of the arguments.
    pub args_bytes: usize,
}

impl Parser {
    /// A parser at the beginning of a command.
    pub fn new() -> Self {
        Self::default()
    }

    /// How far it has come with a command that is not whole.
    pub fn parsed(&self) -> ParsedSoFar {
        if !self.under_way {
            return ParsedSoFar::default();
        }
        let args = self.args.iter().map(|arg| arg.len as usize);
        ParsedSoFar {
            bytes: self.cursor,
            args_bytes: args.sum(),
        }
    }

    /// Bytes of memory it holds, itself apart.
    pub fn memory_bytes(&self) -> usize {
        self.args.capacity() * size_of::<ArgRange>()
    }

    /// Finds the command at `input[*at..]`.
    ///
    /// On [`Parsed::Incomplete`] the caller keeps `input[*at..]` and calls again with a buffer that has the same bytes
    /// at `*at` and more behind them. `args` is as it was unless [`Parsed::Command`] is given.
    ///
    /// A caller that parses several commands before it runs them has to stop behind `AUTH` and `HELLO` while
    /// `limits.authenticated` is false: what follows them is judged by new limits.
    ///
    /// # Errors
    /// A [`ProtocolError`], after which nothing behind `at` can be made sense of.
    #[inline]
    pub fn next(
        &mut self,
        input: &[u8],
        at: &mut usize,
        args: &mut Vec<ArgRange>,
        limits: &ProtocolLimits,
    ) -> Result<Parsed, ProtocolError> {
        if !self.under_way {
            let known = args.len();
            if let Some(end) = whole_command(input, *at, args, limits) {
                *at = end;
                return Ok(Parsed::Command);
            }
            args.truncate(known);
        }
        self.step(input, at, args, limits)
    }

    /// Bytes still needed to complete the argument that was last found incomplete, its line end included; 0 when its
    /// length is not known yet. Worth reserving when large.
    pub fn missing_hint(&self) -> usize {
        self.missing
    }

    /// Whether the input's front is the beginning of a command known to be incomplete.
    pub fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Forgets the command under way, for a caller that throws its input away.
    pub fn reset(&mut self) {
        const KEPT_ARGS: usize = 64;
        let mut args = std::mem::take(&mut self.args);
        args.clear();
        args.shrink_to(KEPT_ARGS);
        *self = Self {
            args,
            ..Self::default()
        };
    }

    /// The second path: from where the command under way was left, to its end or the input's.
    #[cold]
    fn step(
        &mut self,
        input: &[u8],
        at: &mut usize,
        args: &mut Vec<ArgRange>,
        limits: &ProtocolLimits,
    ) -> Result<Parsed, ProtocolError> {
        let base = *at;
        let visible = &input[..input.len().min(MAX_INPUT_BYTES)];
        let Some(command) = visible.get(base..) else {
            return Ok(Parsed::Incomplete);
        };
        let Some(&first) = command.first() else {
            return Ok(Parsed::Incomplete);
        };
        self.under_way = true;
        self.missing = 0;
        let parsed = if first == b'*' {
            self.step_array(command, limits)
        } else {
            self.step_inline(command, limits)
        };
        match parsed {
            Ok(Parsed::Incomplete) if command.len() == MAX_INPUT_BYTES => {
                self.reset();
                Err(ProtocolError::InvalidBulkLength)
            }
            Ok(Parsed::Incomplete) => Ok(Parsed::Incomplete),
            Ok(done) => {
                *at = base + self.cursor;
                let base = base as u32; // below MAX_INPUT_BYTES, as `visible` is
                args.extend(self.args.iter().map(|arg| ArgRange {
                    start: base + arg.start,
                    ..*arg
                }));
                self.reset();
                Ok(done)
            }
            Err(error) => {
                self.reset();
                Err(error)
            }
        }
    }

    fn step_array(
        &mut self,
        command: &[u8],
        limits: &ProtocolLimits,
    ) -> Result<Parsed, ProtocolError> {
        if self.remaining == 0 {
            let Some(end) =
                self.line_end(command, b'\r', limits, ProtocolError::TooBigArrayHeader)?
            else {
                return Ok(Parsed::Incomplete);
            };
            let count = decimal(&command[1..end])
                .filter(|&count| count <= limits.max_args as i64)
                .ok_or(ProtocolError::InvalidArrayLength)?;
            let count = usize::try_from(count).unwrap_or(0);
            if count > limits.effective_args() {
                return Err(ProtocolError::UnauthenticatedArrayLength);
            }
            self.cursor = end + 2;
            if count == 0 {
                return Ok(Parsed::Nothing);
            }
            self.remaining = count;
        }
        while self.remaining > 0 {
            let bulk = match self.bulk {
                Some(bulk) => bulk,
                None => match self.bulk_header(command, limits)? {
                    Some(bulk) => bulk,
                    None => return Ok(Parsed::Incomplete),
                },
            };
            self.bulk = Some(bulk);
            let end = self.cursor + bulk + 2;
            if end > command.len() {
                self.missing = end - command.len();
                return Ok(Parsed::Incomplete);
            }
            // Both fit: the whole input is addressed by 32 bits.
            self.args.push(ArgRange {
                start: self.cursor as u32,
                len: bulk as u32,
            });
            self.cursor = end;
            self.bulk = None;
            self.remaining -= 1;
        }
        Ok(Parsed::Command)
    }

    /// Reads the `$…` line at the cursor and steps behind it. `None` when it is not all there.
    fn bulk_header(
        &mut self,
        command: &[u8],
        limits: &ProtocolLimits,
    ) -> Result<Option<usize>, ProtocolError> {
        let Some(end) = self.line_end(command, b'\r', limits, ProtocolError::TooBigBulkHeader)?
        else {
            return Ok(None);
        };
        let first = command[self.cursor];
        if first != b'$' {
            return Err(ProtocolError::ExpectedBulk(first));
        }
        let length = decimal(&command[self.cursor + 1..end])
            .and_then(|length| usize::try_from(length).ok())
            .filter(|&length| length <= limits.max_bulk_bytes)
            .ok_or(ProtocolError::InvalidBulkLength)?;
        if length > limits.effective_bulk_bytes() {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        self.cursor = end + 2;
        Ok(Some(length))
    }

    fn step_inline(
        &mut self,
        command: &[u8],
        limits: &ProtocolLimits,
    ) -> Result<Parsed, ProtocolError> {
        let Some(newline) = self.line_end(command, b'\n', limits, ProtocolError::TooBigInline)?
        else {
            return Ok(Parsed::Incomplete);
        };
        self.cursor = newline + 1;
        let line = &command[..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match words::cut(line).map_err(|words::UnbalancedQuotes| ProtocolError::UnbalancedQuotes)? {
            Words::Plain(words) if words.is_empty() => Ok(Parsed::Nothing),
            Words::Unquoted(words) if words.is_empty() => Ok(Parsed::Nothing),
            Words::Plain(words) => {
                self.args.extend(words.into_iter().map(|word| ArgRange {
                    start: word.start as u32, // the line is inside the input, which 32 bits address
                    len: word.len() as u32,
                }));
                Ok(Parsed::Command)
            }
            Words::Unquoted(words) => Ok(Parsed::Inline(words)),
        }
    }

    /// Where the line at the cursor ends. `None` when its end, or the byte that follows a `\r`, is not there yet.
    fn line_end(
        &mut self,
        command: &[u8],
        terminator: u8,
        limits: &ProtocolLimits,
        too_big: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let unread = &command[self.cursor..];
        let seen = self.scanned.min(unread.len());
        let found = unread[seen..]
            .iter()
            .position(|&byte| byte == terminator)
            .map(|ahead| seen + ahead);
        let length = found.unwrap_or(unread.len());
        if length > limits.max_inline_bytes {
            return Err(too_big);
        }
        if found.is_none() || (terminator == b'\r' && length + 1 >= unread.len()) {
            self.scanned = length;
            return Ok(None);
        }
        self.scanned = 0;
        Ok(Some(self.cursor + length))
    }
}

/// Takes the command at `input[start..]` when all of it is there and nothing about it is odd: appends its arguments and
/// gives the position behind it. Otherwise `None`, with any part of the arguments appended.
#[inline]
fn whole_command(
    input: &[u8],
    start: usize,
    args: &mut Vec<ArgRange>,
    limits: &ProtocolLimits,
) -> Option<usize> {
    if input.len() > MAX_INPUT_BYTES {
        return None;
    }
    let (count, mut at) = short_header::<b'*'>(input, start)?;
    if count == 0 || count > limits.effective_args() {
        return None;
    }
    let max_bulk_bytes = limits.effective_bulk_bytes();
    for _ in 0..count {
        let (length, begin) = short_header::<b'$'>(input, at)?;
        at = begin + length + 2;
        if length > max_bulk_bytes || at > input.len() {
            return None;
        }
        args.push(ArgRange {
            start: begin as u32,
            len: length as u32,
        });
    }
    Some(at)
}

/// The number behind `MARK` at `input[at..]` and the position behind the line. A line that is not followed by at least
/// one more byte is not taken: behind a header there is always an argument or its line end.
#[inline(always)]
fn short_header<const MARK: u8>(input: &[u8], at: usize) -> Option<(usize, usize)> {
    let &[mark, first, second, third, _] = input.get(at..)?.first_chunk::<5>()?;
    let units = first.wrapping_sub(b'0');
    if mark != MARK || units > 9 {
        return None;
    }
    if second == b'\r' {
        return Some((usize::from(units), at + 4));
    }
    let next = second.wrapping_sub(b'0');
    if third == b'\r' && units != 0 && next <= 9 {
        return Some((usize::from(units) * 10 + usize::from(next), at + 5));
    }
    long_header(input, at + 1)
}

/// As [`short_header`] for numbers of 3 to 9 digits; `at` is at the first digit.
#[inline]
fn long_header(input: &[u8], at: usize) -> Option<(usize, usize)> {
    const MAX_DIGITS: usize = 9;
    let line = &input[at..input.len().min(at + MAX_DIGITS + 1)];
    if line.first() == Some(&b'0') {
        return None;
    }
    let mut value = 0;
    for (read, &byte) in line.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let end = at + read + 2;
            return (byte == b'\r' && end < input.len()).then_some((value, end));
        }
        value = value * 10 + usize::from(digit);
    }
    None
}

/// A number as headers have it: an optional `-`, no leading zeros, no `+`, within 64 bits.
fn decimal(text: &[u8]) -> Option<i64> {
    if text == b"0" {
        return Some(0);
    }
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    let mut value = 0i64;
    for &byte in digits {
        let digit = i64::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?;
        value = if negative {
            value.checked_sub(digit)?
        } else {
            value.checked_add(digit)?
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests;
