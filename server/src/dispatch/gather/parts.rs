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

/// The first of the elements of an array reply, which are bulk strings or nulls.
pub(super) fn first_element(elements: &[u8]) -> &[u8] {
    let header = line_bytes(elements);
    let body = match elements[0] {
        b'$' => larder_engine::parse_canonical_i64(&elements[1..header - 2]).unwrap_or(-1),
        _ => -1,
    };
    let bytes = usize::try_from(body).map_or(header, |body| header + body + 2);
    &elements[..bytes]
}

/// Bytes of the reply's first line, its end included.
pub(super) fn line_bytes(reply: &[u8]) -> usize {
    reply
        .iter()
        .position(|&byte| byte == b'\n')
        .expect("a reply has a line")
        + 1
}
