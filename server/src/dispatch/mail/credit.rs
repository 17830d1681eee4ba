//! Credit: a bound on the large answers that are under way to a session of another core, or wait there because too many of its
//! replies are ready. Credit-based flow control (Kung, Blackwell, Chapman, "Credit-based flow control for ATM networks", SIGCOMM
//! 1994), for large answers only.
//!
//! ```text
//!  asking core                                  answering core
//!   GET big ─────────────────────────────────▶  runs, answers; the session owes the answer's bytes
//!   GET big ─────────────────────────────────▶  the session owes too much: the request is set aside
//!   the reply stands among those that are
//!   ready, and these are not too many ─ credit ▶ owes less: what was set aside runs, in its order
//! ```
//! Nothing waits for ever: what a session owes a core came before what that core has set aside, so it becomes ready without
//! that, and where too much is ready, the client can take it. (A command that waited for locks may have been overtaken by
//! others, and is never set aside: `Core::run_alone`.) A small answer costs nothing here; a large one a look-up in a table
//! of the sessions that owe.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::command::Command;
use crate::dispatch::mail::batch::{Batch, Request};
use crate::routing::CoreId;
use crate::session::{LARGE_ANSWER_BYTES, LARGE_ANSWERS_MAX_BYTES, SessionId};

/// What sessions of other cores owe this one.
#[derive(Debug, Default)]
pub(in crate::dispatch) struct Debts {
    of: HashMap<(CoreId, SessionId), Debt>,
}

#[derive(Debug, Default)]
struct Debt {
    bytes: u64,
    /// Requests set aside until the session owes less.
    set_aside: Option<Box<Batch>>,
}

impl Debt {
    /// Takes what is set aside, to run. It does not count as under way any more: that ended when it was set aside.
    fn take_aside(&mut self) -> Option<Box<Batch>> {
        let mut aside = self.set_aside.take()?;
        aside.forget_under_way();
        Some(aside)
    }
}

impl Debts {
    /// Whether no session owes anything.
    #[inline]
    pub(in crate::dispatch) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// An answer of `bytes` goes to a session of core `to`.
    #[inline]
    pub(in crate::dispatch) fn owe(&mut self, to: CoreId, session: SessionId, bytes: usize) {
        if bytes >= LARGE_ANSWER_BYTES {
            self.of.entry((to, session)).or_default().bytes += bytes as u64;
        }
    }

    /// Sets a request aside if its session owes too much, or has others set aside already. The bytes it takes, if it did.
    pub(in crate::dispatch) fn set_aside(
        &mut self,
        from: CoreId,
        batch: &Batch,
        request: &Request,
    ) -> Option<usize> {
        let owing = (from, request.head.ticket.session());
        let debt = self.of.get_mut(&owing)?;
        if debt.bytes < LARGE_ANSWERS_MAX_BYTES && debt.set_aside.is_none() {
            return None;
        }
        let aside = debt.set_aside.get_or_insert_default();
        let before = aside.memory_bytes();
        aside.ask_as(batch, request);
        let bytes = aside.memory_bytes() - before;
        aside.weigh(bytes);
        Some(bytes)
    }

    /// Takes the requests that are set aside of a session, to run though it owes too much.
    pub(in crate::dispatch) fn take_aside(
        &mut self,
        from: CoreId,
        session: SessionId,
    ) -> Option<Box<Batch>> {
        let debt = self.of.get_mut(&(from, session));
        debt.and_then(Debt::take_aside)
    }

    /// Takes all that is set aside of each session that has a command among it for which `is_such` holds.
    pub(in crate::dispatch) fn take_all_aside(
        &mut self,
        is_such: impl Fn(&Command) -> bool,
    ) -> Vec<(CoreId, Box<Batch>)> {
        let mut taken = Vec::new();
        for ((from, _), debt) in &mut self.of {
            let holds_such = |batch: &mut Box<Batch>| {
                let commands = batch
                    .requests()
                    .iter()
                    .flat_map(|request| batch.commands(request));
                commands.into_iter().any(&is_such)
            };
            if debt.set_aside.as_mut().is_some_and(holds_such) {
                taken.extend(debt.take_aside().map(|aside| (*from, aside)));
            }
        }
        taken
    }

    /// Whether `is_such` holds for any request that is set aside.
    pub(in crate::dispatch) fn any_aside(
        &self,
        is_such: impl Fn(&Batch, &Request) -> bool,
    ) -> bool {
        let aside = self.of.values().filter_map(|debt| debt.set_aside.as_ref());
        let mut requests =
            aside.flat_map(|batch| batch.requests().iter().map(move |request| (batch, request)));
        requests.any(|(batch, request)| is_such(batch, request))
    }

    /// So many bytes of a session's large answers stand where they belong. What was set aside of it, if that may run now; it
    /// comes before all else that core `from` has sent since.
    pub(in crate::dispatch) fn credit(
        &mut self,
        from: CoreId,
        session: SessionId,
        bytes: u64,
    ) -> Option<Box<Batch>> {
        let Entry::Occupied(mut entry) = self.of.entry((from, session)) else {
            unreachable!("a session gives credit for what it was given")
        };
        let debt = entry.get_mut();
        debt.bytes -= bytes;
        if debt.bytes >= LARGE_ANSWERS_MAX_BYTES {
            return None;
        }
        let aside = debt.take_aside();
        if debt.bytes == 0 {
            entry.remove();
        }
        aside
    }
}
