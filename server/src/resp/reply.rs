//! The reply writer: appends one reply to a session's output, in the session's protocol.

use super::ErrorReply;

/// Most bytes of one reply.
pub const REPLY_MAX_BYTES: usize = 1 << 30;

#[cfg(not(test))]
const fn max_bytes() -> usize {
    REPLY_MAX_BYTES
}

#[cfg(test)]
thread_local! {
    static MAX_BYTES: std::cell::Cell<usize> = const { std::cell::Cell::new(REPLY_MAX_BYTES) };
}

#[cfg(test)]
fn max_bytes() -> usize {
    MAX_BYTES.get()
}

/// Does something in which no reply may have more bytes than this.
#[cfg(test)]
pub(crate) fn with_replies_of<T>(most: usize, run: impl FnOnce() -> T) -> T {
    MAX_BYTES.set(most);
    let done = run();
    MAX_BYTES.set(REPLY_MAX_BYTES);
    done
}

/// Most bytes that a bulk string has in front of its own and behind them.
pub const BULK_FRAME_BYTES: usize = 24;

/// Most bytes of a null.
pub const NULL_BYTES: usize = 5;

/// The protocol a client chose with `HELLO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2, the default.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// A position in the output, to take back what was written since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

/// A length that is written when it is known, by [`Reply::end`]. Until then its place is held by as many marks as it is
/// expected to have digits.
#[derive(Debug)]
#[must_use = "without its length a reply is none"]
pub struct DeferredLen {
    /// Where the marks begin.
    at: usize,
    marks: usize,
    /// Replies that the length counts as one: the two of a pair, in RESP2.
    unit: u64,
}

/// Stands for a digit of a length that is not known yet. No length begins with it.
const MARK: u8 = b'?';

/// Writes replies to the end of `out`.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// A writer of `protocol` to the end of `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The protocol written.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether the client speaks RESP3.
    pub fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// The same writer, reborrowed.
    pub fn reborrow(&mut self) -> Reply<'_> {
        Reply {
            out: self.out,
            protocol: self.protocol,
        }
    }

    /// Where the next reply begins.
    pub fn mark(&self) -> Mark {
        Mark(self.out.len())
    }

    /// Bytes that were written since a place.
    #[inline]
    pub fn len_since(&self, mark: Mark) -> usize {
        self.out.len() - mark.0
    }

    /// Whether what was written since `mark` is no more than a reply may be.
    ///
    /// # Errors
    /// It is more than [`REPLY_MAX_BYTES`]: a command that names one large value many times could ask for any amount.
    #[inline]
    pub fn check_len(&self, mark: Mark) -> Result<(), ErrorReply> {
        Self::check_bytes(self.out.len() - mark.0)
    }

    /// Whether so many bytes are no more than a reply may be.
    ///
    /// # Errors
    /// They are more than [`REPLY_MAX_BYTES`].
    #[inline]
    pub fn check_bytes(bytes: usize) -> Result<(), ErrorReply> {
        match bytes <= max_bytes() {
            true => Ok(()),
            false => Err(super::errors::REPLY_TOO_LARGE),
        }
    }

    /// Takes back everything written since `mark`.
    pub fn rewind(&mut self, mark: Mark) {
        self.out.truncate(mark.0);
    }

    /// Bytes already encoded as RESP.
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A status line. The text must hold no line break.
    pub fn status(&mut self, text: &str) {
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// An error line.
    pub fn error(&mut self, error: &ErrorReply) {
        self.out.push(b'-');
        self.out.extend_from_slice(error.text());
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.header(b':', value),
            Err(_) => self.negative(value),
        }
    }

    /// An integer that cannot be negative.
    #[inline]
    pub fn count(&mut self, value: u64) {
        self.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + BULK_FRAME_BYTES);
        self.header(b'$', bytes.len() as u64);
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// The bulk string of `len` bytes that was written last.
    pub fn last_bulk(&self, len: usize) -> &[u8] {
        let end = self.out.len() - b"\r\n".len();
        &self.out[end - len..end]
    }

    /// A bulk string of text.
    pub fn text(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// A bulk string holding a decimal integer.
    pub fn bulk_integer(&mut self, value: i64) {
        let mut digits = Digits::new();
        self.bulk(digits.signed(value));
    }

    /// The null: `$-1` in RESP2, `_` in RESP3.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The null where an array was to be expected: `*-1` in RESP2, `_` in RESP3.
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Begins an array of `len` replies, which follow.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as u64);
    }

    /// Begins a map of `len` pairs, which follow (in RESP2 a flat array).
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as u64 * 2),
            Protocol::Resp3 => self.header(b'%', len as u64),
        }
    }

    /// Begins a set of `len` replies, which follow (in RESP2 an array).
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as u64),
            Protocol::Resp3 => self.header(b'~', len as u64),
        }
    }

    /// Begins an array whose length is known at its end. It costs what [`Self::array`] costs if the length has as many
    /// digits as `expected`; else what follows is moved once, by the difference.
    pub fn begin_array(&mut self, expected: usize) -> DeferredLen {
        self.begin(b'*', 1, expected)
    }

    /// Begins a map whose number of pairs is known at its end, as [`Self::begin_array`] does.
    pub fn begin_map(&mut self, expected: usize) -> DeferredLen {
        match self.protocol {
            Protocol::Resp2 => self.begin(b'*', 2, expected),
            Protocol::Resp3 => self.begin(b'%', 1, expected),
        }
    }

    /// Begins a set whose length is known at its end, as [`Self::begin_array`] does.
    pub fn begin_set(&mut self, expected: usize) -> DeferredLen {
        match self.protocol {
            Protocol::Resp2 => self.begin(b'*', 1, expected),
            Protocol::Resp3 => self.begin(b'~', 1, expected),
        }
    }

    fn begin(&mut self, sigil: u8, unit: u64, expected: usize) -> DeferredLen {
        let mut digits = Digits::new();
        let marks = digits.unsigned(expected as u64 * unit).len();
        self.out.push(sigil);
        let at = self.out.len();
        self.out.resize(at + marks, MARK);
        self.out.extend_from_slice(b"\r\n");
        DeferredLen { at, marks, unit }
    }

    /// Writes the length of what was begun: it has `len` replies, or pairs. Positions behind it ([`Mark`]) hold no longer.
    ///
    /// # Panics
    /// Something that was begun later has not been ended, or what was begun has been taken back.
    pub fn end(&mut self, DeferredLen { at, marks, unit }: DeferredLen, len: usize) {
        let place = at..at + marks;
        assert_eq!(
            self.out.get(at),
            Some(&MARK),
            "what is begun last is ended first"
        );
        let mut digits = Digits::new();
        let digits = digits.unsigned(len as u64 * unit);
        if digits.len() == marks {
            self.out[place].copy_from_slice(digits);
        } else {
            self.out.splice(place, digits.iter().copied());
        }
    }

    /// Begins an out-of-band message of `len` replies, which follow (in RESP2 an array).
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len as u64),
            Protocol::Resp3 => self.header(b'>', len as u64),
        }
    }

    /// A boolean (in RESP2 the integer 1 or 0).
    pub fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.protocol, value) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        });
    }

    /// A double, already formatted (in RESP2 a bulk string).
    pub fn double_text(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.text(text),
            Protocol::Resp3 => {
                self.out.push(b',');
                self.out.extend_from_slice(text.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// A big number, already formatted (in RESP2 a bulk string).
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.text(digits),
            Protocol::Resp3 => {
                self.out.push(b'(');
                self.out.extend_from_slice(digits.as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Text with a three-letter format, `txt` or `mkd` (in RESP2 a bulk string).
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert_eq!(format.len(), 3);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.header(b'=', text.len() as u64 + 4);
                self.out.extend_from_slice(format.as_bytes());
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// An array of status lines, as `HELP` subcommands answer.
    pub fn help(&mut self, lines: &[&str]) {
        self.array(lines.len());
        for line in lines {
            self.status(line);
        }
    }

    /// Most are of a digit or two: those are written as one array of known length.
    #[inline]
    fn header(&mut self, sigil: u8, value: u64) {
        let digit = |value: u64| b'0' + value as u8;
        match value {
            0..10 => (self.out).extend_from_slice(&[sigil, digit(value), b'\r', b'\n']),
            10..100 => {
                let (tens, ones) = (digit(value / 10), digit(value % 10));
                self.out
                    .extend_from_slice(&[sigil, tens, ones, b'\r', b'\n']);
            }
            _ => self.long_header(sigil, value),
        }
    }

    fn long_header(&mut self, sigil: u8, value: u64) {
        let mut digits = Digits::new();
        self.out.push(sigil);
        self.out.extend_from_slice(digits.unsigned(value));
        self.out.extend_from_slice(b"\r\n");
    }

    fn negative(&mut self, value: i64) {
        let mut digits = Digits::new();
        self.out.push(b':');
        self.out.extend_from_slice(digits.signed(value));
        self.out.extend_from_slice(b"\r\n");
    }
}

/// A command as a client sends it: an array of bulk strings.
pub fn encode_command<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Reply::new(&mut out, Protocol::Resp2);
    writer.array(args.len());
    for arg in args {
        writer.bulk(arg);
    }
    out
}

/// Room for the decimal form of a 64-bit integer.
#[derive(Debug)]
pub struct Digits([u8; 20]);

impl Digits {
    /// An empty buffer.
    #[inline]
    pub fn new() -> Self {
        Self([0; 20])
    }

    /// The decimal form of `value`.
    #[inline]
    pub fn unsigned(&mut self, mut value: u64) -> &[u8] {
        let mut at = self.0.len();
        loop {
            at -= 1;
            self.0[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return &self.0[at..];
            }
        }
    }

    /// The decimal form of `value`.
    #[inline]
    pub fn signed(&mut self, value: i64) -> &[u8] {
        let negative = value < 0;
        let digits = self.unsigned(value.unsigned_abs()).len();
        let mut at = self.0.len() - digits;
        if negative {
            at -= 1;
            self.0[at] = b'-';
        }
        &self.0[at..]
    }
}

impl Default for Digits {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, protocol));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_are_written_to_the_last_digit_at_both_ends_of_the_range() {
        for value in [0, 1, -1, 9, 10, -10, 12345, i64::MAX, i64::MIN] {
            assert_eq!(
                written(Protocol::Resp2, |r| r.integer(value)),
                format!(":{value}\r\n")
            );
            let text = value.to_string();
            let expected = format!("${}\r\n{text}\r\n", text.len());
            assert_eq!(
                written(Protocol::Resp2, |r| r.bulk_integer(value)),
                expected
            );
        }
    }

    #[test]
    fn types_that_resp2_lacks_fall_back_as_in_redis() {
        assert_eq!(written(Protocol::Resp2, |r| r.map(2)), "*4\r\n");
        assert_eq!(written(Protocol::Resp3, |r| r.map(2)), "%2\r\n");
        assert_eq!(written(Protocol::Resp2, |r| r.null()), "$-1\r\n");
        assert_eq!(written(Protocol::Resp3, |r| r.null()), "_\r\n");
        assert_eq!(
            written(Protocol::Resp2, |r| r.verbatim("txt", b"hi")),
            "$2\r\nhi\r\n"
        );
        assert_eq!(
            written(Protocol::Resp3, |r| r.verbatim("txt", b"hi")),
            "=6\r\ntxt:hi\r\n"
        );
        assert_eq!(
            written(Protocol::Resp2, |r| r.double_text("1.5")),
            "$3\r\n1.5\r\n"
        );
        assert_eq!(
            written(Protocol::Resp3, |r| r.double_text("1.5")),
            ",1.5\r\n"
        );
    }

    /// A set of maps of an array each, by lengths that are known before, or expected to be `expected`.
    fn nested(protocol: Protocol, lens: [usize; 3], expected: Option<usize>) -> String {
        let [maps, pairs, elements] = lens;
        written(protocol, |reply| {
            let set = expected.map(|expected| reply.begin_set(expected));
            if set.is_none() {
                reply.set(maps);
            }
            for _ in 0..maps {
                let map = expected.map(|expected| reply.begin_map(expected));
                if map.is_none() {
                    reply.map(pairs);
                }
                for _ in 0..pairs {
                    reply.text("?");
                    let array = expected.map(|expected| reply.begin_array(expected));
                    if array.is_none() {
                        reply.array(elements);
                    }
                    (0..elements).for_each(|element| reply.count(element as u64));
                    if let Some(array) = array {
                        reply.end(array, elements);
                    }
                }
                if let Some(map) = map {
                    reply.end(map, pairs);
                }
            }
            if let Some(set) = set {
                reply.end(set, maps);
            }
            reply.ok();
        })
    }

    #[test]
    fn a_length_written_at_the_end_is_as_if_it_had_been_known_whatever_was_expected() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            for lens in [[0, 0, 0], [1, 5, 9], [3, 4, 10], [10, 50, 2], [2, 3, 101]] {
                let known = nested(protocol, lens, None);
                for expected in [0, 1, 4, 5, 9, 10, 99, 100, 5000] {
                    let deferred = nested(protocol, lens, Some(expected));
                    assert_eq!(deferred, known, "{lens:?}, {expected} expected");
                }
            }
        }
    }

    #[test]
    fn an_expected_length_moves_nothing() {
        let mut out = Vec::with_capacity(64);
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        let array = reply.begin_array(12);
        reply.bulk(b"x");
        let before = reply.out.len();
        reply.end(array, 99);
        assert_eq!(reply.out.len(), before);
        assert_eq!(out, b"*99\r\n$1\r\nx\r\n");
    }

    #[test]
    #[should_panic(expected = "what is begun last is ended first")]
    fn lengths_that_end_in_the_wrong_order_are_noticed() {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        let outer = reply.begin_array(1);
        let inner = reply.begin_array(1);
        reply.end(outer, 100);
        reply.end(inner, 1);
    }

    #[test]
    fn a_rewound_reply_leaves_no_trace() {
        let mut out = b"+OK\r\n".to_vec();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        let mark = reply.mark();
        reply.array(3);
        reply.bulk(b"x");
        reply.rewind(mark);
        assert_eq!(out, b"+OK\r\n");
    }
}
