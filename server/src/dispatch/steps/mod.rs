//! Commands that a core does in steps, one in a turn, so that a long one holds nobody up who wants other keys.
//!
//! ```text
//!  a command on keys of this core ── the first step is all? ── yes ──▶ its reply, as of any other
//!        └── no: its keys are locked, and it is queued ──▶ a step a turn, of one of those queued ──▶ its reply; the keys are free
//! ```
//! It takes effect when its keys are locked. Its lock is the one it has waited for, if it has waited; what comes behind waits for that.
//!
//! A core's part of a command on all keys is queued among them, and locks nothing: it sees the keys as they were when it began
//! ([`Walking`]).

use std::collections::VecDeque;

use crate::command::{Command, Steps, Walking};
use crate::dispatch::mail::batch::{Batch, Request};
use crate::dispatch::mail::requests::{Ticket, Work};
use crate::routing::CoreId;
use crate::session::{LockId, SessionId};

/// A command that has begun.
#[derive(Debug)]
pub(in crate::dispatch) struct InSteps {
    /// The core of its session.
    pub(in crate::dispatch) from: CoreId,
    /// What was asked for: one request.
    pub(in crate::dispatch) batch: Box<Batch>,
    pub(in crate::dispatch) steps: Box<dyn Steps>,
    /// Its keys' lock.
    pub(in crate::dispatch) lock: LockId,
    /// Whether its session is this core's, and runs nothing until this is over.
    pub(in crate::dispatch) is_awaited: bool,
    /// Time that its steps have taken.
    pub(in crate::dispatch) nanos: u64,
    /// Bytes of memory that are counted for what it has made so far.
    pub(in crate::dispatch) held_bytes: usize,
    /// Whether its session, another core's, has gone.
    pub(in crate::dispatch) is_left: bool,
}

impl InSteps {
    /// What was asked for.
    pub(in crate::dispatch) fn request(&self) -> &Request {
        &self.batch.requests()[0]
    }

    /// The command.
    pub(in crate::dispatch) fn command(&self) -> &'static Command {
        match self.request().head.work {
            Work::Command(command) => command,
            _ => unreachable!("only commands take several turns"),
        }
    }
}

/// A core's part of a command on all keys, which has begun.
#[derive(Debug)]
pub(in crate::dispatch) struct InWalk {
    /// The core of its session.
    pub(in crate::dispatch) from: CoreId,
    /// Which part it is.
    pub(in crate::dispatch) ticket: Ticket,
    pub(in crate::dispatch) command: &'static Command,
    pub(in crate::dispatch) walking: Box<dyn Walking>,
    /// As those of [`InSteps`].
    pub(in crate::dispatch) nanos: u64,
    pub(in crate::dispatch) held_bytes: usize,
    pub(in crate::dispatch) is_left: bool,
}

/// What goes on in steps.
#[derive(Debug)]
pub(in crate::dispatch) enum UnderWay {
    Command(InSteps),
    Walk(InWalk),
}

/// Commands that have begun, and those that are about to.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct CommandsInSteps {
    queue: VecDeque<UnderWay>,
    /// The lock of what runs, which has waited for it.
    lock: Option<LockId>,
}

impl CommandsInSteps {
    /// Whether there is none.
    #[inline]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What runs next holds this lock.
    pub(in crate::dispatch) fn lend_lock(&mut self, lock: LockId) {
        self.lock = Some(lock);
    }

    /// Takes the lock of what runs, if nobody has: whoever takes it gives it back.
    pub(in crate::dispatch) fn take_lock(&mut self) -> Option<LockId> {
        self.lock.take()
    }

    /// The command whose turn it is.
    pub(in crate::dispatch) fn next(&mut self) -> Option<UnderWay> {
        self.queue.pop_front()
    }

    /// A command goes on behind all others.
    pub(in crate::dispatch) fn add(&mut self, command: UnderWay) {
        self.queue.push_back(command);
    }

    /// A session of core `from` has gone: nobody waits for what its commands read.
    pub(in crate::dispatch) fn leave(&mut self, from: CoreId, session: SessionId) {
        for under_way in &mut self.queue {
            let (of, ticket, is_left) = match under_way {
                UnderWay::Command(command) => {
                    let ticket = command.request().head.ticket;
                    (command.from, ticket, &mut command.is_left)
                }
                UnderWay::Walk(walk) => (walk.from, walk.ticket, &mut walk.is_left),
            };
            *is_left |= of == from && ticket.session() == session;
        }
    }
}
