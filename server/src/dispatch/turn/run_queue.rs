//! The sessions that a core runs again without their having sent anything: something that they waited for may have come, or
//! they have had their part of a turn.
//!
//! ```text
//!  room, a place in the order, a lock, a credit … may be there ─▶ due: looked at in this turn
//!  its part of the turn is used up ─▶ put off ── the next turn begins ──▶ due
//! ```
//! A session that is looked at and still waits stays due. It is looked at again, before those that come later, when another is due or
//! when something may have come for those that wait.

use crate::session::SessionId;

/// The sessions to run again.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct RunQueue {
    /// To be looked at: those that still waited the last time come first.
    due: Vec<SessionId>,
    /// How many of these still waited when they were last looked at.
    seen: usize,
    /// One became due that may go on, while the others were looked at.
    has_come: bool,
    /// Those that have had their part of this turn, and go on in the next.
    put_off: Vec<SessionId>,
}

impl RunQueue {
    /// Something may have come that a session waited for.
    #[inline]
    pub(in crate::dispatch) fn push(&mut self, session: SessionId) {
        self.due.push(session);
    }

    /// What a session waited for has come. It may be that others are being looked at.
    #[inline]
    pub(in crate::dispatch) fn push_answered(&mut self, session: SessionId) {
        self.has_come = true;
        if self.due.last() != Some(&session) {
            self.due.push(session);
        }
    }

    /// Those that have been looked at, if any, are to be looked at again: what came may be what one of them waits for.
    pub(in crate::dispatch) fn forget_look(&mut self) {
        self.seen = 0;
    }

    /// Whether nobody is to be looked at.
    #[inline]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Whether some are due that have not been looked at.
    #[inline]
    pub(in crate::dispatch) fn has_new(&self) -> bool {
        self.due.len() > self.seen
    }

    /// Takes all that are due, to look at each.
    pub(in crate::dispatch) fn take(&mut self) -> Vec<SessionId> {
        self.has_come = false;
        std::mem::take(&mut self.due)
    }

    /// They have been looked at: those that are due by now still wait, unless one has become so that may go on. `emptied` is the
    /// list of [`Self::take`], for its memory.
    pub(in crate::dispatch) fn end_look(&mut self, mut emptied: Vec<SessionId>) {
        // In the order in which they came.
        emptied.append(&mut self.due);
        self.due = emptied;
        self.seen = if self.has_come { 0 } else { self.due.len() };
    }

    /// A session has had its part of this turn.
    pub(in crate::dispatch) fn put_off(&mut self, session: SessionId) {
        self.put_off.push(session);
    }

    /// Whether some go on in the next turn.
    #[inline]
    pub(in crate::dispatch) fn has_put_off(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// A turn begins: those are due that were put off, as far as `goes_on` says so.
    pub(in crate::dispatch) fn begin_turn(&mut self, mut goes_on: impl FnMut(SessionId) -> bool) {
        let put_off = self.put_off.drain(..);
        self.due.extend(put_off.filter(|id| goes_on(*id)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Peer, Session, Sessions};

    #[test]
    fn who_may_go_on_while_others_are_looked_at_is_looked_at_next() {
        let mut sessions = Sessions::default();
        let [waits, answered] =
            [1, 2].map(|client| sessions.insert(|id| Session::new(client, id, Peer::default(), 0)));
        let mut queue = RunQueue::default();
        queue.push(waits);
        let looked_at = queue.take();
        queue.push(waits);
        queue.end_look(looked_at);
        assert!(!queue.has_new(), "it waits on, for what it waited for");
        let looked_at = queue.take();
        queue.push(waits);
        queue.push_answered(answered);
        queue.end_look(looked_at);
        assert!(queue.has_new());
    }
}
