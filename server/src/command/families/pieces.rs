//! Long replies: elements in the form of a reply, made in several steps or rounds, and kept in pieces, so that none is moved when there
//! are more.

use crate::resp::errors::{self, CommandResult};
use crate::resp::{Protocol, REPLY_MAX_BYTES, Reply};

/// Bytes of a piece of a reply, but for what its last element exceeds that by.
const PIECE_BYTES: usize = 256 << 10;

/// Elements of a reply.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: Vec<Vec<u8>>,
    count: usize,
    bytes: usize,
}

impl Pieces {
    /// Adds an element, which `write` writes.
    ///
    /// # Errors
    /// They are more than a reply holds.
    pub(super) fn add(
        &mut self,
        protocol: Protocol,
        write: impl FnOnce(&mut Reply<'_>),
    ) -> CommandResult {
        let last = self.pieces.last();
        if last.is_none_or(|last| last.len() >= PIECE_BYTES) {
            self.pieces.push(Vec::with_capacity(PIECE_BYTES / 4));
        }
        let piece = self.pieces.last_mut().expect("there is a piece");
        let before = piece.len();
        write(&mut Reply::new(piece, protocol));
        self.bytes += piece.len() - before;
        self.count += 1;
        match self.bytes > REPLY_MAX_BYTES {
            true => Err(errors::REPLY_TOO_LARGE),
            false => Ok(()),
        }
    }

    /// How many elements there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The reply in pieces, the first of which is what `head` writes.
    pub(super) fn into_reply(
        self,
        protocol: Protocol,
        head: impl FnOnce(&mut Reply<'_>),
    ) -> Vec<Vec<u8>> {
        let mut header = Vec::new();
        head(&mut Reply::new(&mut header, protocol));
        let mut pieces = self.pieces;
        pieces.insert(0, header);
        pieces
    }

    /// Writes all elements.
    pub(super) fn write(&self, reply: &mut Reply<'_>) {
        self.pieces.iter().for_each(|piece| reply.raw(piece));
    }

    /// The memory they take.
    pub(super) fn held_bytes(&self) -> usize {
        self.pieces.iter().map(Vec::capacity).sum()
    }
}
