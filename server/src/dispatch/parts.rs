//! Replies of other cores as parts of one: numbers to be added, arrays to be taken apart.

/// The value of an integer reply, `:1\r\n`.
pub(super) fn integer_reply(reply: &[u8]) -> i64 {
    let digits = reply
        .strip_prefix(b":")
        .and_then(|rest| rest.strip_suffix(b"\r\n"));
    digits
        .and_then(larder_engine::parse_canonical_i64)
        .expect("the part is an integer reply")
}

/// The elements of an array reply whose elements are bulk strings or nulls.
pub(super) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(super) fn of_array(reply: &'a [u8]) -> Self {
        let header = line_bytes(reply);
        Self {
            rest: &reply[header..],
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let header = line_bytes(self.rest);
        let body = match self.rest[0] {
            b'$' => larder_engine::parse_canonical_i64(&self.rest[1..header - 2]).unwrap_or(-1),
            _ => -1,
        };
        let bytes = usize::try_from(body).map_or(header, |body| header + body + 2);
        let (element, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        Some(element)
    }
}

/// Bytes of the reply's first line, its end included.
fn line_bytes(reply: &[u8]) -> usize {
    reply
        .iter()
        .position(|&byte| byte == b'\n')
        .expect("a reply has a line")
        + 1
}
