//! What tests see of a core from outside.

#![cfg(test)]

use super::Core;
use crate::routing::CoreId;
use crate::session::SessionId;

impl Core {
    /// Panics unless nothing is left behind on this core.
    pub(in crate::dispatch) fn assert_nothing_is_left(&mut self) {
        let id = self.state.id;
        assert!(self.state.sessions.is_empty(), "{id:?} has sessions");
        assert!(self.gathers.is_empty(), "{id:?} gathers replies");
        assert!(self.backlog.is_empty(), "{id:?} has requests to run");
        assert!(self.run_queue.is_empty(), "{id:?} has sessions that wait");
        assert!(
            self.budget.is_at_rest(),
            "{id:?} counts what is gone: {:?}",
            self.budget
        );
        assert_eq!(
            self.state.given_bytes, 0,
            "{id:?} has something to hand over"
        );
        assert!(self.state.prefixes.is_empty(), "{id:?} has prefixes");
        assert!(self.state.told.is_empty(), "{id:?} has something to tell");
        assert!(!self.state.hearing.has_early(), "{id:?} has events to tell");
        assert!(self.tellings.is_empty(), "{id:?} gathers events");
        assert!(
            self.state.emptied.is_settled(),
            "{id:?} is to tell who emptied it"
        );
        assert!(self.scripts.is_idle(), "{id:?} runs a script");
        assert!(self.in_steps.is_empty(), "{id:?} has commands in steps");
        assert!(self.debts.is_empty(), "{id:?} is owed credit");
        let moving = &self.state.moving;
        assert!(moving.came_is_empty(), "{id:?} has what no key has");
        assert!(self.locks.is_empty(), "{id:?} has locks");
        assert!(!self.locks.has_granted(), "{id:?} has locks to hand out");
        assert!(self.transactions.is_empty(), "{id:?} has transactions");
        assert!(self.blocked.is_empty(), "{id:?} has blocked commands");
        assert!(self.key_queues.is_empty(), "{id:?} has queues for keys");
        assert!(self.state.shard.awaited().is_empty(), "{id:?} awaits keys");
        assert!(self.clearing.is_empty(), "{id:?} has pauses to clear");
        assert!(self.state.paused.is_empty(), "{id:?} has paused sessions");
        assert!(self.state.monitors.is_empty(), "{id:?} has monitors");
        assert!(self.state.subscribers.is_empty(), "{id:?} has subscribers");
        assert!(self.outboxes.are_empty(), "{id:?} has something to ship");
    }

    /// Whether something has come for sessions that have yet to be looked at.
    pub(in crate::dispatch) fn has_let_go(&self) -> bool {
        self.run_queue.has_new()
    }

    /// Batches kept for reuse.
    pub(in crate::dispatch) fn spare_batches(&self) -> usize {
        self.outboxes.spare_batches()
    }

    /// Batches received of which some requests have yet to run.
    pub(in crate::dispatch) fn backlog_batches(&self) -> usize {
        self.backlog.len()
    }

    /// Bytes that are to be shipped to a core.
    pub(in crate::dispatch) fn outbox_bytes_for(&self, core: usize) -> usize {
        self.outboxes.for_core(CoreId(core as u16)).memory_bytes()
    }

    /// Bytes of memory leased.
    pub(in crate::dispatch) fn leased_bytes(&self) -> u64 {
        self.budget.leased()
    }

    /// Bytes kept for later.
    pub(in crate::dispatch) fn kept_bytes(&self) -> usize {
        self.budget.kept_bytes()
    }

    /// Whether anybody holds or awaits locks of the shard.
    pub(in crate::dispatch) fn has_locks(&self) -> bool {
        !self.locks.is_empty()
    }

    /// Bytes of parts that have no place in the order yet.
    pub(in crate::dispatch) fn gathered_bytes(&self) -> usize {
        self.transactions.gathered_bytes()
    }

    /// All records below this position have been made.
    pub(in crate::dispatch) fn made_below(&self) -> u64 {
        let passed = self.position_in_order();
        let oldest = self.locks.oldest_position();
        oldest.map_or(passed, |oldest| oldest.min(passed))
    }

    /// A session of core `to` has so many bytes of large answers to take.
    pub(in crate::dispatch) fn note_large_answers(
        &mut self,
        to: CoreId,
        session: SessionId,
        bytes: usize,
    ) {
        self.debts.owe(to, session, bytes);
    }
}
