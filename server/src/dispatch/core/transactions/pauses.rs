//! `CLIENT PAUSE` on a core: who is held back, and when what was admitted before has run.
//!
//! ```text
//!  at its place    each core holds back from there on            (command::pausing, Core::pass_gates)
//!  clears it       nothing that it admitted before is under way from here: said to all, behind all that it sent
//!  answers         all cores have cleared it, and nothing here writes or waits to write
//!  +OK             all cores have answered
//! ```
//! Nothing is taken back or put aside: what was admitted before runs, at its place, and the client waits for it. This ends,
//! since no more of it is admitted, and nothing of it waits for what is held back.

use std::rc::Rc;

use crate::command::pausing::cleared_each;
use crate::command::{Args, Command, CommandTable};
use crate::dispatch::core::Core;
use crate::dispatch::gather::Finish;
use crate::dispatch::locks::{Mode, Scope};
use crate::dispatch::mail::requests::{Ticket, Work};
use crate::dispatch::run::recipient::recipient_of_session;
use crate::dispatch::transactions::clearing::writes;
use crate::routing::CoreId;
use crate::session::{ReplySeq, Session, gate};

impl Core {
    /// The pauses may have changed, or their time may be over. Whether there are any, or were.
    #[inline]
    pub(in crate::dispatch::core) fn follow_pauses(&mut self) -> bool {
        let are_any = self.state.pausing.is_any() || self.state.gates & gate::PAUSE != 0;
        if are_any {
            self.follow_each_pause();
        }
        are_any
    }

    #[cold]
    fn follow_each_pause(&mut self) {
        let pauses = self.state.pauses();
        let is_paused = pauses.contains(&true);
        self.set_gate(gate::PAUSE, is_paused);
        self.state.shard.hold_expiry(is_paused);
        if !is_paused {
            // Before anything else that it has held back.
            self.serve_put_off();
        }
        if !self.state.paused.is_empty() && pauses != self.state.held_by {
            self.end_pauses();
        }
        if !is_paused {
            self.state.pausing.end();
        }
    }

    /// Lets paused sessions try again: each runs its command, or is held back anew.
    fn end_pauses(&mut self) {
        for id in std::mem::take(&mut self.state.paused) {
            if let Some(session) = self.state.sessions.get_mut(id) {
                session.paused = false;
                self.run_queue.push(id);
            }
        }
    }

    /// The place of a pause, or of a request to clear, has come. It is answered when nothing that was admitted before is under way.
    #[cold]
    pub(in crate::dispatch::core) fn begin_clearing(&mut self, from: CoreId, ticket: Ticket) {
        self.state.pausing.begun += 1;
        let (number, entries) = (self.state.pausing.begun, self.entries_begun());
        self.clearing.add((from, ticket), number, entries);
    }

    /// An `EXEC` that has begun a pause is over, and has given its locks back: nothing that was admitted before waits for it any
    /// more. Its reply stands behind the place `seq`, which is filled, with nothing, when all cores have cleared what they admitted
    /// before a place in the order that this takes.
    pub(in crate::dispatch::core) fn clear_behind_exec(
        &mut self,
        session: &mut Session,
        seq: ReplySeq,
    ) {
        let cores = (0..self.state.shared.cores()).map(CoreId);
        let asks = cores.map(|core| (core, Work::Clear, Rc::default()));
        let parts = (Finish::All, asks.collect());
        session.set_gate(gate::BEHIND_LAST, true);
        let recipient = recipient_of_session(session, Some(seq), CommandTable::exec());
        self.begin_parts_of(session, recipient, Args::new(&[], &[]), parts);
    }

    /// Clears and answers the pauses that may be by now.
    #[inline]
    pub(in crate::dispatch::core) fn clear_pauses(&mut self) {
        if !self.clearing.is_empty() {
            self.clear_unanswered();
        }
    }

    #[cold]
    fn clear_unanswered(&mut self) {
        let is_paused = self.state.pauses().contains(&true);
        if is_paused && self.has_writes_under_way() {
            return;
        }
        let (here, begun) = (self.state.id, self.state.pausing.begun);
        if self.state.pausing.cleared_by(here) < begun {
            self.state.pausing.clear(here, begun);
            let args: [&[u8]; 2] = [&here.0.to_le_bytes(), &begun.to_le_bytes()];
            self.state.tell_others(cleared_each, &args);
            self.send_told();
        }
        if is_paused && self.all_are_cleared() {
            self.run_writes_aside();
            if self.has_writes_under_way()
                || self.locks.conflicts_in_order(&Scope::Whole(Mode::Shared))
            {
                return;
            }
        }
        let pausing = &self.state.pausing;
        // What ended before it was cleared holds nothing back any more.
        let is_over = |number| !is_paused || pausing.are_cleared(number);
        let over = self.clearing.take_over(is_over);
        for pause in over {
            self.outboxes.to(pause.from).answer(pause.ticket, |_| ());
        }
        self.take_own_mail();
    }

    fn all_are_cleared(&self) -> bool {
        let mut numbers = self.clearing.numbers();
        numbers.any(|number| self.state.pausing.are_cleared(number))
    }

    /// Whether something that this core's sessions have begun may yet write, or publish. What is sent elsewhere as one piece is
    /// not counted: what comes there behind it tells of its end. Nor is what has locks to write somewhere, which that core waits
    /// for; but an `EXEC` may have locks to read alone, and publish, and a script that begins again has none for a while.
    fn has_writes_under_way(&self) -> bool {
        self.own_entries_passed() < self.clearing.entries()
            || self
                .transactions
                .any_writes(|multi| writes(self.flags_of_multi(multi)))
            || self.state.sessions.iter().any(|session| {
                let executing = session.executing.as_ref();
                executing.is_some_and(|executing| {
                    let rest = executing.rest.as_ref();
                    rest.is_none_or(|(multi, _)| writes(self.flags_of_multi(multi)))
                })
            })
    }

    /// Runs what is set aside of sessions that owe much and have a write among it: their clients may be long in taking what they
    /// owe.
    fn run_writes_aside(&mut self) {
        let is_write = |command: &Command| writes(command.spec.flags);
        for (from, aside) in self.debts.take_all_aside(is_write) {
            self.run_aside(from, aside);
        }
    }
}
