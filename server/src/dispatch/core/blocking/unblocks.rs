//! `CLIENT UNBLOCK`: the wait is ended, and whoever asked is answered when it is clear what came of it ([`Unblocks`]).

use crate::dispatch::blocking::unblocks::Unanswered;
use crate::dispatch::core::Core;
use crate::dispatch::mail::requests::Ticket;
use crate::observe::PartWriter;
use crate::routing::CoreId;
use crate::session::{SessionId, Unblocked};

impl Core {
    /// Acts on a `CLIENT UNBLOCK` that has run. Whether it is yet to become clear what came of it; it is answered then.
    #[inline]
    pub(in crate::dispatch::core) fn is_unblock_open(&mut self, asked: (CoreId, Ticket)) -> bool {
        let unblocked = self.state.unblocked.take();
        unblocked.is_some_and(|(session, how)| self.await_end(session, how, asked))
    }

    #[cold]
    fn await_end(
        &mut self,
        session: SessionId,
        how: Unblocked,
        (from, ticket): (CoreId, Ticket),
    ) -> bool {
        self.follow_unblock(session, how);
        let is_open = matches!(how, Unblocked::IsToBe | Unblocked::WasToBe);
        if is_open {
            let unanswered = Unanswered {
                from,
                ticket,
                is_first: how == Unblocked::IsToBe,
            };
            self.blocked.unblocks().add(session, unanswered);
        }
        is_open
    }

    /// Has the cores that know of the wait know of its end, and the session go on.
    fn follow_unblock(&mut self, session: SessionId, how: Unblocked) {
        self.tell_of_ending(session);
        if how == Unblocked::AtOnce {
            self.state.dirty.push(session);
            self.run_queue.push(session);
        }
    }

    /// As [`Self::is_unblock_open`], inside an `EXEC` and on a server of one core, where the answer is needed now. It replaces
    /// what is in `answer`. A wait that another core serves is said to end, though that core may yet serve it.
    #[inline]
    pub(in crate::dispatch::core) fn answer_unblock_now(&mut self, answer: &mut Vec<u8>) {
        if let Some((session, how)) = self.state.unblocked.take() {
            let ends = how == Unblocked::AtOnce
                || how == Unblocked::IsToBe && !self.is_served_already(session);
            self.follow_unblock(session, how);
            answer.clear();
            PartWriter(answer).number(ends.into());
        }
    }

    /// Whether this core itself has served the session, which has yet to be told.
    fn is_served_already(&self, session: SessionId) -> bool {
        let session = self.state.sessions.get(session);
        let blocked = session.and_then(|session| session.blocked.as_ref());
        let wait = blocked.and_then(|blocked| blocked.served_by.zip(blocked.wait));
        wait.is_some_and(|(core, number)| core == self.state.id && !self.key_queues.knows(number))
    }

    /// A session's wait is over: it ended because it was asked to, or it was served.
    #[inline]
    pub(in crate::dispatch::core) fn answer_unblocks(
        &mut self,
        session: SessionId,
        has_ended: bool,
    ) {
        if !self.blocked.unblocks().is_empty() {
            self.answer_all_unblocks(session, has_ended);
        }
    }

    #[cold]
    fn answer_all_unblocks(&mut self, session: SessionId, has_ended: bool) {
        let unblocks = self.blocked.unblocks().take(session);
        for unblock in unblocks {
            let ended_by_it = has_ended && unblock.is_first;
            self.outboxes
                .to(unblock.from)
                .answer(unblock.ticket, |out| {
                    PartWriter(out).number(ended_by_it.into());
                });
        }
    }
}
