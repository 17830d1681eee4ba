//! What cores tell each other about entries: the answer to a question, and a value on its way to another shard.
//!
//! ```text
//! answer:  0                      no
//!          1 payload ...          yes
//!          2 error text ...       failed
//!
//! image:   kind  encoding  timed  deadline (8)  access (4)  value ...      integers little-endian
//! ```
//! The form never leaves the process. It costs one copy of the value on either side.

use larder_engine::{AccessClock, Encoding, Kind, UnixMillis, ValueImage};

use crate::resp::ErrorReply;

/// A core's answer to a question of one round.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// There is nothing, or nothing was done.
    No,
    /// There is, or it was done.
    Yes(&'a [u8]),
}

const NO: u8 = 0;
const YES: u8 = 1;
const FAILED: u8 = 2;

impl<'a> Answer<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// The command failed on the core that answers.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, ErrorReply> {
        match bytes {
            [NO] => Ok(Self::No),
            [YES, payload @ ..] => Ok(Self::Yes(payload)),
            [FAILED, text @ ..] => Err(ErrorReply::new(text)),
            _ => unreachable!("cores answer in one of three ways"),
        }
    }

    /// Writes a no.
    pub(super) fn no(out: &mut Vec<u8>) {
        out.push(NO);
    }

    /// Writes a yes with what `payload` adds.
    pub(super) fn yes(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
        out.push(YES);
        payload(out);
    }

    /// Writes a failure.
    pub(super) fn failed(out: &mut Vec<u8>, error: &ErrorReply) {
        out.push(FAILED);
        out.extend_from_slice(error.text());
    }
}

/// Bytes before the value.
const HEADER_BYTES: usize = 15;

/// Appends `image` to `out`.
pub(super) fn encode(image: &ValueImage, out: &mut Vec<u8>) {
    let kind = match image.kind {
        Kind::String => 0,
    };
    let encoding = match image.encoding {
        Encoding::Int => 0,
        Encoding::EmbStr => 1,
        Encoding::Raw => 2,
    };
    out.reserve(HEADER_BYTES + image.bytes.len());
    out.extend_from_slice(&[kind, encoding, u8::from(image.expires_at.is_some())]);
    let deadline = image.expires_at.unwrap_or_default();
    out.extend_from_slice(&deadline.0.to_le_bytes());
    out.extend_from_slice(&image.access.0.to_le_bytes());
    out.extend_from_slice(&image.bytes);
}

/// The image [`encode`] wrote.
///
/// # Panics
/// If `bytes` are no image: they come from a core of this process.
pub(super) fn decode(bytes: &[u8]) -> ValueImage {
    let (header, value) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .expect("an image has its header");
    let [kind, encoding, timed, times @ ..] = header;
    let (deadline, access) = times.split_at(8);
    let deadline = i64::from_le_bytes(deadline.try_into().expect("split at eight bytes"));
    let access = u32::from_le_bytes(access.try_into().expect("four bytes are left"));
    ValueImage {
        kind: match kind {
            0 => Kind::String,
            other => unreachable!("no kind has number {other}"),
        },
        encoding: match encoding {
            0 => Encoding::Int,
            1 => Encoding::EmbStr,
            2 => Encoding::Raw,
            other => unreachable!("no encoding has number {other}"),
        },
        bytes: value.to_vec().into(),
        expires_at: (*timed != 0).then_some(UnixMillis(deadline)),
        access: AccessClock(access),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_arrives_as_it_was_sent() {
        for (encoding, bytes) in [
            (Encoding::Int, &b"-17"[..]),
            (Encoding::EmbStr, b""),
            (Encoding::Raw, b"\0\xff\r\n"),
        ] {
            for expires_at in [None, Some(UnixMillis(0)), Some(UnixMillis(i64::MAX))] {
                let image = ValueImage {
                    kind: Kind::String,
                    encoding,
                    bytes: bytes.to_vec().into(),
                    expires_at,
                    access: AccessClock(0x00ab_cdef),
                };
                let mut sent = Vec::new();
                encode(&image, &mut sent);
                assert_eq!(decode(&sent), image);
            }
        }
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let mut out = Vec::new();
        Answer::no(&mut out);
        assert_eq!(Answer::of(&out), Ok(Answer::No));
        out.clear();
        Answer::yes(&mut out, |out| out.extend_from_slice(b"payload"));
        assert_eq!(Answer::of(&out), Ok(Answer::Yes(b"payload")));
        out.clear();
        let error = ErrorReply::fixed("ERR no");
        Answer::failed(&mut out, &error);
        assert_eq!(Answer::of(&out), Err(error));
    }
}
