//! The payload that `DUMP` answers: a value, summed up some bytes at a time, and its footer.
//!
//! Nothing is packed by LZF: that would cost more than it saves.

use larder_engine::EntryRef;

use crate::persist::values::{Budget, Writing};
use crate::rdb::{FOOTER_BYTES, Output, Packing, Sum, Version, seal};

/// A value that is being written as a payload.
#[derive(Debug)]
pub(super) struct WritingPayload {
    out: Output,
    writing: Writing,
}

impl WritingPayload {
    /// Begins to write the value of an entry.
    pub(super) fn of(entry: &EntryRef<'_>) -> Self {
        let mut out = Output::new(Packing::None);
        let writing = Writing::begin(entry, &mut out, |_| ());
        Self { out, writing }
    }

    /// Writes more of the value, which is as it was. Whether there is more.
    pub(super) fn go_on(&mut self, entry: &EntryRef<'_>, budget: Budget) -> bool {
        self.writing.go_on(entry, budget, &mut self.out)
    }

    /// All elements are written.
    pub(super) fn end(self) -> Output {
        let Self { mut out, writing } = self;
        writing.end(&mut out);
        out
    }

    /// The memory it takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.out.held_bytes() + self.writing.held_bytes()
    }
}

/// A payload that is summed up, some bytes at a time, and gets its footer.
#[derive(Debug)]
pub(super) struct Sealing {
    pieces: Vec<Vec<u8>>,
    version: Version,
    sum: Sum,
    /// The first byte that is not summed up: which piece, and where in it.
    at: (usize, usize),
}

impl Sealing {
    /// Begins to sum up what was written.
    pub(super) fn of(out: Output) -> Self {
        let version = out.version();
        Self {
            pieces: out.into_pieces(),
            version,
            sum: Sum::default(),
            at: (0, 0),
        }
    }

    /// Adds so many bytes to the sum. Whether there are more.
    pub(super) fn go_on(&mut self, mut bytes: usize) -> bool {
        let (piece, at) = &mut self.at;
        while bytes > 0 && *piece < self.pieces.len() {
            let left = &self.pieces[*piece][*at..];
            let taken = left.len().min(bytes);
            self.sum.add(&left[..taken]);
            bytes -= taken;
            match taken == left.len() {
                true => (*piece, *at) = (*piece + 1, 0),
                false => *at += taken,
            }
        }
        *piece < self.pieces.len()
    }

    /// The payload as a reply.
    pub(super) fn into_reply(self) -> Vec<Vec<u8>> {
        let Self {
            mut pieces,
            version,
            sum,
            ..
        } = self;
        let len = pieces.iter().map(Vec::len).sum::<usize>() + FOOTER_BYTES;
        let last = pieces.last_mut().expect("there is a type at least");
        last.extend_from_slice(&sum.footer(version));
        last.extend_from_slice(b"\r\n");
        pieces.insert(0, format!("${len}\r\n").into_bytes());
        pieces
    }

    /// The memory it takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.pieces.iter().map(Vec::capacity).sum()
    }
}

/// The payload of a value. Fields past their deadline are in it, as in Redis, with that.
pub(in crate::command::families) fn payload_of(entry: &EntryRef<'_>) -> Vec<u8> {
    let mut writing = WritingPayload::of(entry);
    while writing.go_on(entry, Budget::ALL) {}
    seal(writing.end())
}

/// Bytes that a value takes in a payload, without type and footer.
pub(in crate::command::families) fn serialized_bytes(entry: &EntryRef<'_>) -> usize {
    const TYPE_BYTES: usize = 1;
    payload_of(entry).len() - TYPE_BYTES - FOOTER_BYTES
}
