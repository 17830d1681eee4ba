//! Large answers of other cores that have yet to find their place among the replies that are ready, or found it full. The
//! core that gave one is told once it has, and gives no more than so much of them at a time (`dispatch::mail::credit`).

use super::ReplySeq;
use crate::routing::CoreId;

/// Bytes of large answers one core gives a session before they are among its ready replies. With a core more, as much
/// more: so many bytes can come on top of `client-output-buffer-high-water` from each.
pub const LARGE_ANSWERS_MAX_BYTES: u64 = 4 << 20;

/// An answer of at least so many bytes is large. Smaller ones are bounded by the number of replies a session may await.
pub const LARGE_ANSWER_BYTES: usize = 16 * 1024;

/// A large answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeAnswer {
    /// The core that gave it.
    pub from: CoreId,
    /// The reply it is, or has a part in.
    pub seq: ReplySeq,
    /// Its length.
    pub bytes: u64,
}

/// The large answers of one session, in the order they came.
#[derive(Debug, Default)]
pub struct LargeAnswers {
    held: Vec<LargeAnswer>,
    bytes: u64,
}

impl LargeAnswers {
    /// Another has come.
    pub fn push(&mut self, answer: LargeAnswer) {
        self.bytes += answer.bytes;
        self.held.push(answer);
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether some core gives no more, or soon will not.
    #[inline]
    pub fn are_too_many(&self) -> bool {
        self.bytes >= LARGE_ANSWERS_MAX_BYTES
    }

    /// Takes those of replies that `is_taken`, to tell the cores that gave them.
    pub fn take(&mut self, is_taken: impl Fn(ReplySeq) -> bool) -> Vec<LargeAnswer> {
        let (taken, held) = self.held.drain(..).partition(|answer| is_taken(answer.seq));
        self.held = held;
        self.bytes = self.held.iter().map(|answer| answer.bytes).sum();
        taken
    }
}
