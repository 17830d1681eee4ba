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

use crate::dispatch::mail::requests::Ticket;
use crate::routing::CoreId;
use crate::session::SessionId;

/// Who asked to end the waits of this core's sessions, and has yet to be answered.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Unblocks(HashMap<SessionId, Vec<Unanswered>>);

/// One who asked: values.
#[derive(Debug)]
pub(in crate::dispatch) struct Unanswered {
    pub(in crate::dispatch) from: CoreId,
    pub(in crate::dispatch) ticket: Ticket,
    /// Whether the wait ends for this one, and not for another or by time.
    pub(in crate::dispatch) is_first: bool,
}

impl Unblocks {
    /// Whether nobody has yet to be answered.
    #[inline]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Somebody asked to end the wait of a session.
    pub(in crate::dispatch) fn add(&mut self, session: SessionId, unanswered: Unanswered) {
        self.0.entry(session).or_default().push(unanswered);
    }

    /// All who asked to end the wait of a session.
    pub(in crate::dispatch) fn take(&mut self, session: SessionId) -> Vec<Unanswered> {
        self.0.remove(&session).unwrap_or_default()
    }
}
