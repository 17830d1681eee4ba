//! `CLIENT UNBLOCK` of a client that may be served before its wait ends: it is answered when that is clear.
//!
//! ```text
//!  keys on one core      that core is asked to end the wait: it has served it ──▶ 0, or ends it ──▶ 1
//!  an attempt under way  it takes something ──▶ 0, or finds nothing, and the wait ends ──▶ 1
//!  anything else         the wait ends at once ──▶ 1
//! ```
//! Whoever is told that he ended a wait knows that its client has taken nothing, and whoever is told that he did not, that it
//! waits no longer.

use std::collections::HashMap;

use super::batch::Ticket;
use super::core::Core;
use crate::observe::PartWriter;
use crate::routing::CoreId;
use crate::session::SessionId;

/// Who asked to end the waits of this core's sessions, and has yet to be answered.
#[derive(Debug, Default)]
pub(super) struct Unblocks(HashMap<SessionId, Vec<Unanswered>>);

#[derive(Debug)]
struct Unanswered {
    from: CoreId,
    ticket: Ticket,
    /// Whether the wait ends for this one, and not for another or by time.
    is_first: bool,
}

impl Unblocks {
    /// Whether nobody has yet to be answered.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Core {
    /// Whoever asked to end a session's wait is answered when it is clear whether it was served.
    #[cold]
    pub(super) fn answer_unblock_later(
        &mut self,
        session: SessionId,
        (from, ticket): (CoreId, Ticket),
        is_first: bool,
    ) {
        let unblock = Unanswered {
            from,
            ticket,
            is_first,
        };
        let unblocks = &mut self.blocked.unblocks.0;
        unblocks.entry(session).or_default().push(unblock);
        self.tell_of_ending(session);
    }

    /// As [`Self::answer_unblock_later`], inside an `EXEC` and on a server of one core, where the answer is needed now. It
    /// takes the place of what is in `answer`. Of a wait that another core serves it is not known yet that it ends: it is
    /// taken for granted.
    #[inline]
    pub(super) fn answer_unblock_now(&mut self, answer: &mut Vec<u8>) {
        if let Some((session, is_first)) = self.state.unblocking.take() {
            let ends = is_first && !self.is_served_already(session);
            self.tell_of_ending(session);
            answer.clear();
            PartWriter(answer).number(ends.into());
        }
    }

    /// Whether this core itself has served the session, which has yet to be told.
    fn is_served_already(&self, session: SessionId) -> bool {
        let session = self.state.sessions.get(session);
        let blocked = session.and_then(|session| session.blocked.as_ref());
        let wait = blocked.and_then(|blocked| blocked.served_by.zip(blocked.wait));
        wait.is_some_and(|(core, number)| core == self.state.id && !self.queues.knows(number))
    }

    /// A session's wait is over: it ended because it was asked to, or it was served.
    #[inline]
    pub(super) fn answer_unblocks(&mut self, session: SessionId, has_ended: bool) {
        if !self.blocked.unblocks.is_empty() {
            self.answer_all_unblocks(session, has_ended);
        }
    }

    #[cold]
    fn answer_all_unblocks(&mut self, session: SessionId, has_ended: bool) {
        let unblocks = self.blocked.unblocks.0.remove(&session);
        for unblock in unblocks.into_iter().flatten() {
            let ended_by_it = has_ended && unblock.is_first;
            self.outboxes[unblock.from.index()].answer(unblock.ticket, |out| {
                PartWriter(out).number(ended_by_it.into());
            });
        }
    }
}
