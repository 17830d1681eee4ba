//! What an operation has found so far.

use larder_engine::members_of_part;

use crate::resp::errors::{self, CommandResult};
use crate::resp::{Protocol, REPLY_MAX_BYTES, Reply};

/// Bytes of a piece of a reply.
const PIECE_BYTES: usize = 256 << 10;

/// Members in the form of a reply, in pieces, so that none is moved when there are more.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pieces: Vec<Vec<u8>>,
    count: usize,
    bytes: usize,
}

impl Shown {
    /// Adds the members of a part.
    ///
    /// # Errors
    /// They are more than a reply holds.
    pub(super) fn add(&mut self, part: &[u8]) -> CommandResult {
        for member in members_of_part(part) {
            let last = self.pieces.last();
            if last.is_none_or(|last| last.len() + member.len() > PIECE_BYTES) {
                self.pieces.push(Vec::with_capacity(PIECE_BYTES / 4));
            }
            let piece = self.pieces.last_mut().expect("there is a piece");
            let before = piece.len();
            Reply::new(piece, Protocol::Resp2).bulk(member);
            self.bytes += piece.len() - before;
            self.count += 1;
            if self.bytes > REPLY_MAX_BYTES {
                return Err(errors::REPLY_TOO_LARGE);
            }
        }
        Ok(())
    }

    /// The reply in pieces, the first of which says that it is a set, and of how many.
    pub(super) fn into_pieces(self, protocol: Protocol) -> Vec<Vec<u8>> {
        let mut header = Vec::new();
        Reply::new(&mut header, protocol).set(self.count);
        let mut pieces = self.pieces;
        pieces.insert(0, header);
        pieces
    }

    /// Replies.
    pub(super) fn reply(&self, reply: &mut Reply<'_>) {
        reply.set(self.count);
        self.pieces.iter().for_each(|piece| reply.raw(piece));
    }

    /// The memory it takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.pieces.iter().map(Vec::capacity).sum()
    }
}
