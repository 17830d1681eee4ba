//! What one core sends another in one turn: all commands of all its sessions for that core, all answers it owes, as one
//! message. Buffers are reused: a batch received is emptied and becomes the next one sent.

use larder_engine::{Access, DbIndex};

use super::limits::BATCH_HIGH_WATER_BYTES;
use crate::command::{Args, Command, CoreFn, FirstKey};
use crate::resp::{ArgRange, Protocol};
use crate::session::{ReplySeq, SessionId};

/// A turn's messages from one core to another.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) requests: Vec<Request>,
    pub(super) answers: Vec<Answer>,
    /// Lines for the monitors of the receiving core.
    pub(super) monitor_lines: Vec<u8>,
    slow: Vec<SlowAnswer>,
    ranges: Vec<ArgRange>,
    bytes: Vec<u8>,
}

/// What is to run on the receiving core.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// A command on its shard; the answer is the reply.
    Command(&'static Command),
    /// A part of a command; the answer is of a form the command knows.
    Part(CoreFn),
}

/// Where an answer belongs on the core that asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ticket {
    /// A place in a session's output.
    Reply { session: SessionId, seq: ReplySeq },
    /// Part `part` of a gathered reply.
    Part { gather: usize, part: usize },
    /// Nobody wants it (`CLIENT REPLY OFF`).
    Discard,
}

/// Work for another core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) ticket: Ticket,
    pub(super) work: Work,
    pub(super) db: DbIndex,
    pub(super) protocol: Protocol,
    pub(super) access: Access,
    pub(super) client_id: u64,
    /// The first key's hash, if it is known.
    pub(super) first_key: FirstKey,
    first_range: u32,
    ranges: u32,
}

/// An answer to another core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) ticket: Ticket,
    start: usize,
    len: usize,
}

/// Word of an answered command that took long.
#[derive(Clone, Copy, Debug)]
struct SlowAnswer {
    ticket: Ticket,
    command: &'static Command,
    micros: u64,
    first_range: u32,
    ranges: u32,
}

/// A command that ran on the sending core and took long.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowHop<'a> {
    pub(super) ticket: Ticket,
    pub(super) command: &'static Command,
    pub(super) micros: u64,
    pub(super) args: Args<'a>,
}

/// What a request says besides its arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) ticket: Ticket,
    pub(super) work: Work,
    pub(super) db: DbIndex,
    pub(super) protocol: Protocol,
    pub(super) access: Access,
    pub(super) client_id: u64,
    pub(super) first_key: FirstKey,
}

impl Batch {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.answers.is_empty() && self.monitor_lines.is_empty()
    }

    /// Empties the batch and keeps its memory, unless it grew large.
    pub fn clear(&mut self) {
        const KEPT_BYTES: usize = 1 << 20;
        self.requests.clear();
        self.answers.clear();
        self.slow.clear();
        self.monitor_lines.clear();
        self.ranges.clear();
        self.bytes.clear();
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
    }

    pub(super) fn ask<'a>(&mut self, head: Head, args: impl Iterator<Item = &'a [u8]>) {
        let (first_range, ranges) = self.keep_args(args);
        let Head {
            ticket,
            work,
            db,
            protocol,
            access,
            client_id,
            first_key,
        } = head;
        self.requests.push(Request {
            ticket,
            work,
            db,
            protocol,
            access,
            client_id,
            first_key,
            first_range,
            ranges,
        });
    }

    /// Copies arguments into the batch; the first of their ranges, and how many.
    fn keep_args<'a>(&mut self, args: impl Iterator<Item = &'a [u8]>) -> (u32, u32) {
        let first_range = self.ranges.len() as u32;
        for arg in args {
            self.ranges.push(ArgRange {
                start: self.bytes.len() as u32,
                len: arg.len() as u32,
            });
            self.bytes.extend_from_slice(arg);
        }
        (first_range, self.ranges.len() as u32 - first_range)
    }

    /// Says that the command answered last took long.
    pub(super) fn tell_slow(&mut self, command: &'static Command, micros: u64, args: Args<'_>) {
        let Some(answer) = self.answers.last() else {
            return;
        };
        let ticket = answer.ticket;
        if !self.has_room(args.bytes()) {
            return;
        }
        let (first_range, ranges) = self.keep_args(args.iter_from(0));
        self.slow.push(SlowAnswer {
            ticket,
            command,
            micros,
            first_range,
            ranges,
        });
    }

    pub(super) fn slow(&self) -> impl Iterator<Item = SlowHop<'_>> {
        self.slow.iter().map(|slow| SlowHop {
            ticket: slow.ticket,
            command: slow.command,
            micros: slow.micros,
            args: self.args_at(slow.first_range, slow.ranges),
        })
    }

    pub(super) fn answer(&mut self, ticket: Ticket, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.answers.push(Answer {
            ticket,
            start,
            len: self.bytes.len() - start,
        });
    }

    pub(super) fn args(&self, request: &Request) -> Args<'_> {
        self.args_at(request.first_range, request.ranges)
    }

    fn args_at(&self, first: u32, count: u32) -> Args<'_> {
        let first = first as usize;
        Args::new(&self.bytes, &self.ranges[first..first + count as usize])
    }

    pub(super) fn bytes(&self, answer: &Answer) -> &[u8] {
        &self.bytes[answer.start..answer.start + answer.len]
    }

    /// Whether arguments of `bytes` more fit.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        /// Offsets into a batch are 32 bits wide.
        const ADDRESSABLE_BYTES: usize = u32::MAX as usize;
        !self.is_full() && self.bytes.len() + bytes <= ADDRESSABLE_BYTES
    }

    /// Whether the batch holds as much as one should.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() > BATCH_HIGH_WATER_BYTES
    }
}
