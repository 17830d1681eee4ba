//! Replies of RESP2 and RESP3.
//!
//! Nesting needs no stack: an aggregate only adds its elements to the count of those still to come, and the reply ends when that
//! count is zero.

use super::{Body, Malformed, Part, Reply, Scanner, Shape, keep_error, parse_integer, take_line};

/// Lengths with more digits are left to the long way.
const MAX_SHORT_DIGITS: usize = 7;

/// A scanner of RESP replies.
#[derive(Debug, Default)]
pub struct RespScanner {
    /// Elements still to come; 0 between replies.
    expected: u64,
    element: usize,
    body: Option<Body>,
    /// Whether the body in hand is the text of an error.
    body_is_error: bool,
    reply: Reply,
    error: Vec<u8>,
}

impl Scanner for RespScanner {
    #[inline]
    fn next<F: FnMut(Part<'_>)>(
        &mut self,
        input: &mut &[u8],
        mut part: F,
    ) -> Result<Option<Reply>, Malformed> {
        if self.expected == 0
            && let Some((reply, body, rest)) = whole_reply(input)
        {
            if !body.is_empty() {
                part(Part {
                    element: 0,
                    offset: 0,
                    bytes: body,
                });
            }
            *input = rest;
            return Ok(Some(reply));
        }
        loop {
            if let Some(body) = &mut self.body {
                let error = &mut self.error;
                let keep = |seen: Part<'_>| keep_error(error, seen.bytes);
                let ended = if self.body_is_error {
                    body.pass(self.element, input, keep)?
                } else {
                    body.pass(self.element, input, &mut part)?
                };
                if !ended {
                    return Ok(None);
                }
                self.body = None;
                self.expected -= 1;
                self.element += 1;
            } else {
                let before = *input;
                let Some(line) = take_line(input)? else {
                    return Ok(None);
                };
                self.header(line).ok_or_else(|| Malformed::at(before))?;
            }
            if self.expected == 0 && self.body.is_none() {
                return Ok(Some(self.reply));
            }
        }
    }

    fn error(&self) -> &[u8] {
        &self.error
    }
}

/// The commonest replies, when all of one is there: a value, none, a short status. Everything else takes the long way, which
/// understands these too.
#[inline]
fn whole_reply(input: &[u8]) -> Option<(Reply, &[u8], &[u8])> {
    let mut reply = Reply::default();
    match input {
        [b'$', b'-', b'1', b'\r', b'\n', rest @ ..] => {
            reply.nils = 1;
            Some((reply, &[], rest))
        }
        [b'$', rest @ ..] => {
            let mut length = 0;
            let mut digits = 0;
            while let Some(digit @ b'0'..=b'9') = rest.get(digits) {
                length = length * 10 + usize::from(digit - b'0');
                digits += 1;
                if digits > MAX_SHORT_DIGITS {
                    return None;
                }
            }
            let (head, body) = rest.split_at(digits);
            let body = body.strip_prefix(b"\r\n")?;
            let (body, rest) = body.split_at_checked(length)?;
            let rest = rest.strip_prefix(b"\r\n")?;
            reply.values = 1;
            (!head.is_empty()).then_some((reply, body, rest))
        }
        [b'+', b'O', b'K', b'\r', b'\n', rest @ ..] => Some((reply, &[], rest)),
        _ => None,
    }
}

impl RespScanner {
    /// An element is complete; always something, so that branches can end with it.
    #[inline]
    fn finish_element(&mut self) -> Option<()> {
        self.expected -= 1;
        self.element += 1;
        Some(())
    }

    /// Takes up the line that every element begins with.
    #[inline]
    fn header(&mut self, line: &[u8]) -> Option<()> {
        let (&kind, rest) = line.split_first()?;
        let at_top = self.expected == 0;
        if at_top {
            self.expected = 1;
            self.element = 0;
            self.reply = Reply::default();
        }
        match kind {
            b'$' => self.bulk(rest),
            b'+' | b',' | b'#' | b'(' => self.finish_element(),
            b':' => {
                self.reply.integer = parse_integer(rest)?;
                self.finish_element()
            }
            b'*' | b'~' | b'%' | b'>' | b'|' => self.aggregate(kind, rest, at_top),
            b'_' => {
                self.reply.nils += 1;
                self.finish_element()
            }
            b'-' => {
                self.begin_error();
                keep_error(&mut self.error, rest);
                self.finish_element()
            }
            b'!' => {
                self.begin_error();
                self.body_is_error = true;
                self.begin_body(rest)
            }
            b'=' => {
                self.reply.values += 1;
                self.body_is_error = false;
                self.begin_body(rest)
            }
            _ => None,
        }
    }

    #[inline]
    fn bulk(&mut self, length: &[u8]) -> Option<()> {
        if length == b"-1" {
            self.reply.nils += 1;
            return self.finish_element();
        }
        self.reply.values += 1;
        self.body_is_error = false;
        self.begin_body(length)
    }

    #[inline]
    fn begin_body(&mut self, length: &[u8]) -> Option<()> {
        let left = usize::try_from(parse_integer(length)?).ok()?;
        self.body = Some(Body { left, offset: 0 });
        Some(())
    }

    fn begin_error(&mut self) {
        self.error.clear();
        self.reply.shape = Shape::Error;
    }

    fn aggregate(&mut self, kind: u8, count: &[u8], at_top: bool) -> Option<()> {
        if count == b"-1" && kind == b'*' {
            self.reply.nils += 1;
            return self.finish_element();
        }
        let count = u64::try_from(parse_integer(count)?).ok()?;
        let pairs = matches!(kind, b'%' | b'|');
        self.expected = count
            .checked_mul(if pairs { 2 } else { 1 })?
            .checked_add(self.expected)?;
        if kind == b'|' {
            // An attribute stands before an element and is none itself.
            return Some(());
        }
        self.expected -= 1;
        if at_top && kind == b'>' {
            self.reply.shape = Shape::Push;
        } else if at_top && count == 0 {
            self.reply.shape = Shape::Empty;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{scan, scan_all_ways};
    use super::*;

    fn reply(shape: Shape, values: u32, nils: u32, integer: i64) -> Reply {
        Reply {
            shape,
            values,
            nils,
            integer,
        }
    }

    #[test]
    fn simple_replies_are_told_apart_however_they_are_cut() {
        let seen = scan_all_ways::<RespScanner>(
            b"+OK\r\n:-42\r\n$-1\r\n$5\r\nhe\r\nl\r\n$0\r\n\r\n-ERR no\r\n_\r\n,1.5\r\n#t\r\n(12345678901234567890\r\n*-1\r\n*0\r\n",
        );
        let replies: Vec<Reply> = seen.iter().map(|(reply, _, _)| *reply).collect();
        assert_eq!(
            replies,
            [
                reply(Shape::Other, 0, 0, 0),
                reply(Shape::Other, 0, 0, -42),
                reply(Shape::Other, 0, 1, 0),
                reply(Shape::Other, 1, 0, 0),
                reply(Shape::Other, 1, 0, 0),
                reply(Shape::Error, 0, 0, 0),
                reply(Shape::Other, 0, 1, 0),
                reply(Shape::Other, 0, 0, 0),
                reply(Shape::Other, 0, 0, 0),
                reply(Shape::Other, 0, 0, 0),
                reply(Shape::Other, 0, 1, 0),
                reply(Shape::Empty, 0, 0, 0),
            ]
        );
        assert_eq!(seen[3].1, [b"he\r\nl".to_vec()]);
        assert_eq!(seen[5].2, b"ERR no");
    }

    #[test]
    fn nested_aggregates_end_where_their_last_element_does() {
        let seen = scan_all_ways::<RespScanner>(
            b"*3\r\n*2\r\n$1\r\na\r\n:1\r\n%1\r\n+k\r\n~2\r\n$1\r\nb\r\n_\r\n*0\r\n+OK\r\n",
        );
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].0.values, seen[0].0.nils), (2, 1));
        assert_eq!(seen[0].1, [b"a".to_vec(), b"b".to_vec()]);
    }

    #[test]
    fn elements_are_numbered_with_the_nils_among_them() {
        let mut scanner = RespScanner::default();
        let mut elements = Vec::new();
        let mut input: &[u8] = b"*4\r\n$1\r\na\r\n$-1\r\n:5\r\n$1\r\nb\r\n";
        let reply = scanner.next(&mut input, |part| elements.push(part.element));
        assert_eq!(reply.unwrap().unwrap().values, 2);
        assert_eq!(elements, [0, 3]);
    }

    #[test]
    fn pushes_attributes_bulk_errors_and_verbatim_strings_are_understood() {
        let seen = scan_all_ways::<RespScanner>(
            b">2\r\n+invalidate\r\n$1\r\nx\r\n|1\r\n+ttl\r\n:9\r\n$2\r\nhi\r\n!7\r\nERR bad\r\n=7\r\ntxt:abc\r\n*2\r\n+OK\r\n-WRONG type\r\n",
        );
        let shapes: Vec<Shape> = seen.iter().map(|(reply, _, _)| reply.shape).collect();
        assert_eq!(
            shapes,
            [
                Shape::Push,
                Shape::Other,
                Shape::Error,
                Shape::Other,
                Shape::Error
            ]
        );
        assert_eq!(seen[1].1, [b"hi".to_vec()]);
        assert_eq!(seen[2].2, b"ERR bad");
        assert_eq!(seen[4].2, b"WRONG type");
    }

    #[test]
    fn what_is_no_reply_is_refused_with_an_excerpt() {
        for stream in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"ERROR\r\n",
            b"$x\r\n",
            b"$-2\r\n",
            b":\r\n",
            b"+OK\n",
            b"\r\n",
            b"$1\r\nab\r\n",
            b"*-2\r\n",
            b"$?\r\n",
        ] {
            let error = scan::<RespScanner>(stream, stream.len()).unwrap_err();
            assert!(!error.excerpt.is_empty(), "{}", stream.escape_ascii());
        }
        let error = scan::<RespScanner>(b"ERROR\r\n", 7).unwrap_err();
        assert_eq!(error.excerpt, "ERROR\\r\\n");
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut scanner = RespScanner::default();
        let line = vec![b'+'; super::super::MAX_LINE_BYTES + 1];
        assert!(scanner.next(&mut line.as_slice(), |_| ()).is_err());
    }
}
