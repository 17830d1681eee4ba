//! Commands as tests write them.

use crate::resp::ArgRange;

/// The arguments of a command, for [`crate::command::Args::new`].
pub(super) fn words(words: &[&str]) -> (Vec<u8>, Vec<ArgRange>) {
    let mut bytes = Vec::new();
    let mut ranges = Vec::new();
    for word in words {
        ranges.push(ArgRange {
            start: bytes.len() as u32,
            len: word.len() as u32,
        });
        bytes.extend_from_slice(word.as_bytes());
    }
    (bytes, ranges)
}
