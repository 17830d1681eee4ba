//! The reply writer. Each function writes `count` replies, a pipeline of [`PIPELINE`] to a buffer that has grown enough.

use std::hint::black_box;

use larder_server::resp::{Protocol, Reply};

/// Replies written before the buffer is emptied.
pub const PIPELINE: usize = 64;

/// Bulk strings of `value`. Returns the bytes written.
pub fn bulk(out: &mut Vec<u8>, value: &[u8], count: usize) -> usize {
    write(out, count, |reply, _| reply.bulk(black_box(value)))
}

/// Integers of one to four digits. Returns the bytes written.
pub fn integer(out: &mut Vec<u8>, count: usize) -> usize {
    write(out, count, |reply, at| reply.integer(at as i64))
}

/// `+OK`. Returns the bytes written.
pub fn ok(out: &mut Vec<u8>, count: usize) -> usize {
    write(out, count, |reply, _| reply.ok())
}

/// The null of RESP2. Returns the bytes written.
pub fn null(out: &mut Vec<u8>, count: usize) -> usize {
    write(out, count, |reply, _| reply.null())
}

#[inline(always)]
fn write(out: &mut Vec<u8>, count: usize, mut one: impl FnMut(&mut Reply<'_>, usize)) -> usize {
    let mut written = 0;
    let mut left = count;
    while left > 0 {
        let pipeline = left.min(PIPELINE);
        out.clear();
        for _ in 0..pipeline {
            one(&mut Reply::new(out, black_box(Protocol::Resp2)), left);
        }
        left -= pipeline;
        written += black_box(&*out).len();
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_is_written_once() {
        let mut out = Vec::new();
        assert_eq!(ok(&mut out, 100), 500);
        assert_eq!(null(&mut out, 100), 500);
        assert_eq!(bulk(&mut out, b"value", 100), 1100);
        assert_eq!(integer(&mut out, 1), b":1\r\n".len());
    }
}
