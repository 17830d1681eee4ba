//! The parts of `MULTI` and `EXEC` that work on a session alone, and what `WATCH` does on a shard ([`watch`]). The queued commands
//! are the session's (`session/multi.rs`).

pub(super) mod watch;

use super::limits::{EXEC_REPLIES_KEPT_BYTES, MULTI_KEPT_BYTES};
use super::mail::requests::{Counts, Held, Then, held_on};
use crate::command::Command;
use crate::routing::CoreId;
use crate::session::{Multi, Session, gate};

/// Memory of an `EXEC` that is over, for the next.
#[derive(Default)]
pub(in crate::dispatch) struct ExecMemory {
    /// That of what was queued.
    multi: Option<Box<Multi>>,
    /// That of its replies, where they were one answer to another core.
    replies: Vec<u8>,
}

impl ExecMemory {
    /// Nothing queued, in memory that is there if any is.
    #[inline]
    pub(in crate::dispatch) fn take_multi(&mut self) -> Box<Multi> {
        self.multi.take().unwrap_or_default()
    }

    /// Keeps the memory of what was queued, unless it is much.
    #[inline]
    pub(in crate::dispatch) fn keep_multi(&mut self, mut multi: Box<Multi>) {
        if multi.memory_bytes() <= MULTI_KEPT_BYTES {
            multi.clear();
            self.multi = Some(multi);
        }
    }

    /// No replies, in memory that is there if any is.
    pub(in crate::dispatch) fn take_replies(&mut self) -> Vec<u8> {
        let mut replies = std::mem::take(&mut self.replies);
        replies.clear();
        replies
    }

    /// Keeps the memory of replies, unless it is much.
    pub(in crate::dispatch) fn keep_replies(&mut self, replies: Vec<u8>) {
        if replies.capacity() <= EXEC_REPLIES_KEPT_BYTES {
            self.replies = replies;
        }
    }
}

/// Where an `EXEC` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum ExecPlacement {
    /// On this core alone.
    OneCore(CoreId),
    /// On several, each command on one of them, without locks.
    Cores,
    /// On this core, under locks of all it concerns.
    Locks,
}

/// The locks of an `EXEC` under way, for a command on core `core`.
pub(in crate::dispatch) fn locks_of(session: &Session, core: CoreId) -> Option<Held> {
    let executing = session.executing.as_ref()?;
    let held = held_on(&executing.locks, core, Then::Keep)?;
    let counts = Counts::of(session);
    Some(Held { counts, ..held })
}

/// Whether a command is queued between `MULTI` and `EXEC`.
pub(in crate::dispatch) fn is_queued(command: &Command) -> bool {
    !matches!(
        command.spec.name,
        "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
    )
}

/// Ends what was queued since `MULTI`.
pub(in crate::dispatch) fn end_multi(session: &mut Session) -> Option<Box<Multi>> {
    session.set_gate(gate::MULTI, false);
    session.multi.take()
}

/// Answers `OK`, unless the client wants no reply.
pub(in crate::dispatch) fn reply_ok(session: &mut Session, quiet: bool) {
    if !quiet {
        session.reply(|reply| reply.ok());
    }
}
