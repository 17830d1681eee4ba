//! One connection under load: what is to be sent, what is owed, and what has come of a line.

use std::collections::VecDeque;
use std::io::{self, Write};

use crate::run::net::Stream;
use crate::run::reply::Scanner;

/// A reply that is owed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    /// When the command was due, or sent in the closed loop.
    pub(super) due_ns: u64,
    /// The key it is routed by; 0 when it has none.
    pub(super) key: u64,
    /// Which command, or [`ASKING`].
    pub(super) program: u32,
    /// How often it has been redirected.
    pub(super) redirects: u32,
}

/// The program number of the `ASKING` that goes before a command that was redirected for once.
pub(super) const ASKING: u32 = u32::MAX;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Commands of this client.
    Load {
        /// Its number in the thread.
        client: usize,
    },
    /// Messages of a channel.
    Subscriber,
}

/// Whether output waits to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// There is none.
    Nothing,
    /// It will be written at the end of this turn, or when the socket takes more.
    Waiting,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) stream: Stream,
    /// The node of the cluster that it leads to.
    pub(super) node: usize,
    pub(super) role: Role,
    pub(super) scanner: S,
    /// Commands rendered and not yet written.
    pub(super) output: Vec<u8>,
    written: usize,
    pub(super) sending: Sending,
    /// Replies owed, in the order in which they will come.
    pub(super) owed: VecDeque<Owed>,
    /// The keys of owed commands with several keys, in order, where they are needed.
    pub(super) more_keys: VecDeque<u64>,
    /// The beginning of a line whose rest has not come.
    pub(super) carry: Vec<u8>,
    /// The stamp of the message that is coming in (subscribers).
    pub(super) stamp: Vec<u8>,
    /// Whether a part of the value that is coming in was wrong.
    pub(super) value_is_wrong: bool,
    /// When something was last heard, or first asked after all was answered.
    pub(super) heard_ns: u64,
}

impl<S: Scanner> Connection<S> {
    pub(super) fn new(stream: Stream, node: usize, role: Role) -> Self {
        Self {
            stream,
            node,
            role,
            scanner: S::default(),
            output: Vec::new(),
            written: 0,
            sending: Sending::Nothing,
            owed: VecDeque::new(),
            more_keys: VecDeque::new(),
            carry: Vec::new(),
            stamp: Vec::new(),
            value_is_wrong: false,
            heard_ns: 0,
        }
    }

    /// Writes what it can; how many bytes that was.
    pub(super) fn write(&mut self) -> io::Result<usize> {
        let before = self.written;
        while self.written < self.output.len() {
            match (&self.stream).write(&self.output[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(self.written - before);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let written = self.written - before;
        self.output.clear();
        self.written = 0;
        self.sending = Sending::Nothing;
        Ok(written)
    }
}

/// One closed-loop actor: a connection, or with a cluster one to every node.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// The connection to each node.
    pub(super) connections: Vec<Option<usize>>,
    /// Operations owed on all of them.
    pub(super) owed: usize,
    /// Whether it stands in the line of those that can take another command (open loop).
    pub(super) in_line: bool,
    /// Keys that were not found and are to be stored (replay).
    pub(super) misses: Vec<u64>,
}
