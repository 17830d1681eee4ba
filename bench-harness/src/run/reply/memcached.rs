//! Replies of memcached's text protocol and of its meta commands. Both are lines of which the first word decides, so one
//! scanner does for both.

use super::{Body, Malformed, Part, Reply, Scanner, Shape, keep_error, parse_integer, take_line};

/// A scanner of memcached replies.
#[derive(Debug, Default)]
pub struct MemcachedScanner {
    body: Option<(Body, AfterBody)>,
    reply: Reply,
    error: Vec<u8>,
}

/// What follows a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterBody {
    /// More lines, up to `END`.
    Lines,
    /// Nothing: the reply is complete.
    End,
}

/// What a line says.
enum Line {
    /// A value of so many bytes.
    Value(usize, AfterBody),
    /// The reply goes on.
    More,
    /// The reply is complete.
    End,
}

impl Scanner for MemcachedScanner {
    #[inline]
    fn next<F: FnMut(Part<'_>)>(
        &mut self,
        input: &mut &[u8],
        mut part: F,
    ) -> Result<Option<Reply>, Malformed> {
        loop {
            if let Some((body, after)) = &mut self.body {
                let element = self.reply.values as usize - 1;
                if !body.pass(element, input, &mut part)? {
                    return Ok(None);
                }
                let after = *after;
                self.body = None;
                if after == AfterBody::End {
                    return Ok(Some(std::mem::take(&mut self.reply)));
                }
            }
            let before = *input;
            let Some(line) = take_line(input)? else {
                return Ok(None);
            };
            match self.line(line).ok_or_else(|| Malformed::at(before))? {
                Line::Value(left, after) => {
                    self.reply.values += 1;
                    self.body = Some((Body { left, offset: 0 }, after));
                }
                Line::More => {}
                Line::End => return Ok(Some(std::mem::take(&mut self.reply))),
            }
        }
    }

    fn error(&self) -> &[u8] {
        &self.error
    }
}

impl MemcachedScanner {
    #[inline]
    fn line(&mut self, line: &[u8]) -> Option<Line> {
        let mut words = line.split(|&byte| byte == b' ');
        let first = words.next()?;
        match first {
            b"VALUE" => {
                let bytes = parse_integer(words.nth(2)?)?;
                Some(Line::Value(usize::try_from(bytes).ok()?, AfterBody::Lines))
            }
            b"VA" => {
                let bytes = parse_integer(words.next()?)?;
                Some(Line::Value(usize::try_from(bytes).ok()?, AfterBody::End))
            }
            b"END" => {
                self.reply.nils = u32::from(self.reply.values == 0);
                Some(Line::End)
            }
            b"EN" => {
                self.reply.nils = 1;
                Some(Line::End)
            }
            b"HD" => {
                // A hit without its value; what a store answers too, where nobody asks for hits.
                self.reply.values = 1;
                Some(Line::End)
            }
            b"STORED" | b"NOT_STORED" | b"EXISTS" | b"NOT_FOUND" | b"DELETED" | b"TOUCHED"
            | b"OK" | b"NS" | b"EX" | b"NF" | b"MN" | b"VERSION" | b"RESET" | b"ME" => {
                Some(Line::End)
            }
            b"STAT" => Some(Line::More),
            b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR" => {
                self.error.clear();
                keep_error(&mut self.error, line);
                self.reply.shape = Shape::Error;
                Some(Line::End)
            }
            number => {
                self.reply.integer = parse_integer(number)?;
                Some(Line::End)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{scan, scan_all_ways};
    use super::*;

    #[test]
    fn text_replies_are_told_apart_however_they_are_cut() {
        let seen = scan_all_ways::<MemcachedScanner>(
            b"STORED\r\nEND\r\nVALUE k 0 5\r\nab\r\nc\r\nEND\r\n12\r\nVALUE a 0 1 77\r\nx\r\nVALUE b 0 0\r\n\r\nEND\r\nSERVER_ERROR out of memory\r\nNOT_FOUND\r\n",
        );
        let counts: Vec<(u32, u32)> = seen.iter().map(|(r, _, _)| (r.values, r.nils)).collect();
        assert_eq!(
            counts,
            [(0, 0), (0, 1), (1, 0), (0, 0), (2, 0), (0, 0), (0, 0)]
        );
        assert_eq!(seen[2].1, [b"ab\r\nc".to_vec()]);
        assert_eq!(seen[3].0.integer, 12);
        assert_eq!(seen[5].0.shape, Shape::Error);
        assert_eq!(seen[5].2, b"SERVER_ERROR out of memory");
    }

    #[test]
    fn meta_replies_are_told_apart_however_they_are_cut() {
        let seen = scan_all_ways::<MemcachedScanner>(
            b"HD\r\nVA 3 f0 t-1\r\nabc\r\nEN\r\nNS\r\nHD c1\r\nMN\r\n",
        );
        let counts: Vec<(u32, u32)> = seen.iter().map(|(r, _, _)| (r.values, r.nils)).collect();
        assert_eq!(counts, [(1, 0), (1, 0), (0, 1), (0, 0), (1, 0), (0, 0)]);
        assert_eq!(seen[1].1, [b"abc".to_vec()]);
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for stream in [
            &b"-ERR unknown command\r\n"[..],
            b"+PONG\r\n",
            b"VALUE k\r\n",
            b"VA x\r\n",
            b"VALUE k 0 1\r\nab\r\n",
            b"hello\r\n",
            b"\r\n",
        ] {
            let scanned = scan::<MemcachedScanner>(stream, stream.len());
            assert!(scanned.is_err(), "{}", stream.escape_ascii());
        }
    }
}
