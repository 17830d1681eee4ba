//! Clients that come and go, and what the runtime is to do with their connections.

use std::sync::atomic::Ordering;

use super::Core;
use crate::dispatch::limits::QUERY_HIGH_WATER_BYTES;
use crate::resp::errors;
use crate::session::{Closing, HighWater, Peer, Query, Session, SessionId, gate};

/// What the runtime is to do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Receive from it.
    Read,
    /// Leave what it sends in the kernel for now.
    PauseReading,
    /// Receive no more; send what is owed, then close.
    CloseAfterSend,
    /// Close.
    CloseNow,
}

impl Core {
    /// Takes in a client that has connected.
    ///
    /// # Errors
    /// The text to send before closing: there are `maxclients` already, or the client is from elsewhere and nothing
    /// protects the server.
    pub fn connect(&mut self, peer: Peer) -> Result<SessionId, &'static [u8]> {
        let config = &self.state.config;
        let is_from_elsewhere = peer.ip().is_some() && !peer.is_local();
        if config.protected_mode && config.requirepass.is_none() && is_from_elsewhere {
            self.state.stats.rejected_connections += 1;
            return Err(errors::PROTECTED_MODE);
        }
        let max = self.state.config.maxclients;
        if !self.state.shared.admit_client(max) {
            self.state.stats.rejected_connections += 1;
            return Err(errors::MAX_CLIENTS);
        }
        self.state.stats.connections += 1;
        let client_id = self.state.shared.next_client_id();
        let now_ms = self.state.clock.monotonic_ms();
        let needs_auth = self.state.config.requirepass.is_some();
        let high_water = HighWater::of(self.state.config.client_output_buffer_high_water_bytes);
        Ok(self.state.sessions.insert(|id| {
            let mut session = Session::new(client_id, id, peer, now_ms);
            session.set_gate(gate::NEEDS_AUTH, needs_auth);
            session.set_high_water(high_water);
            session
        }))
    }

    /// The client will send nothing more. What it has sent is still answered, then the session ends.
    pub fn input_ended(&mut self, id: SessionId) {
        if let Some(mut session) = self.state.sessions.take_out(id) {
            session.input_ended = true;
            self.settle(&mut session);
            self.state.sessions.put_back(session);
        }
    }

    /// The connection broke: the session ends.
    pub fn disconnected(&mut self, id: SessionId) {
        if let Some(session) = self.state.sessions.get_mut(id) {
            session.closing = Closing::Now;
            self.state.dirty.push(id);
        }
    }

    /// The runtime has closed the connection. An `EXEC` under way comes to its end all the same, and the session with it.
    pub fn closed(&mut self, id: SessionId) {
        let Some(session) = self.state.sessions.get_mut(id) else {
            return;
        };
        let is_executing = session.executing.is_some();
        session.connection_closed = true;
        session.closing = Closing::Now;
        for answer in session.large_answers.take(|_| true) {
            self.give_credit(answer.from, id, answer.bytes);
        }
        if !is_executing && let Some(mut session) = self.state.sessions.remove(id) {
            self.forget_locks(&mut session);
            if session.output.outstanding() > 0 {
                self.leave(id);
            }
            if let (Query::Buffer(buffer), _) = session.take_unread() {
                self.state.shard.bury(buffer);
            }
            if session.paused {
                self.state.paused.retain(|paused| *paused != id);
            }
            self.state.subscribers.leave(&mut session);
            self.state.end_tracking(&mut session);
            self.state.forget_emptying(&session);
            self.state.shared.release_client();
            let monitors = self.state.monitors.len();
            self.state.monitors.retain(|monitor| *monitor != id);
            let left = (monitors - self.state.monitors.len()) as u64;
            self.state
                .shared
                .monitors
                .fetch_sub(left, Ordering::Relaxed);
        }
    }

    /// Sessions with something to send or whose [`Intent`] changed since the last call.
    pub fn take_dirty(&mut self, into: &mut Vec<SessionId>) {
        into.append(&mut self.state.dirty);
    }

    /// What to send to the client now.
    pub fn unsent(&self, id: SessionId) -> &[u8] {
        self.state
            .sessions
            .get(id)
            .map_or(&[], |session| session.output.unsent())
    }

    /// `count` bytes of [`Self::unsent`] went out.
    pub fn sent(&mut self, id: SessionId, count: usize) {
        self.state.stats.sent_bytes += count as u64;
        self.state.stats.writes += 1;
        let Some(session) = self.state.sessions.get_mut(id) else {
            return;
        };
        if session.is_large() {
            return self.sent_of_much(id, count);
        }
        match session.output.take_sent(count) {
            Some(buffer) => self.buffers.give(buffer),
            None => session.output.advance(count),
        }
    }

    /// As [`Self::sent`], for a session that holds much and may be held back for it.
    #[cold]
    fn sent_of_much(&mut self, id: SessionId, count: usize) {
        let Some(mut session) = self.state.sessions.take_out(id) else {
            return;
        };
        let was_held_back = session.is_held_back();
        session.output.advance(count);
        if let Some(buffer) = session.output.take_buffer() {
            self.buffers.give(buffer);
        }
        session.review_allowance();
        self.give_credits(&mut session);
        // Who is to be closed is seen when the turn ends: what others have sent is yet to be told here.
        self.count_memory(&mut session);
        if was_held_back && !session.is_held_back() {
            self.run_queue.push(id);
        }
        self.state.sessions.put_back(session);
    }

    /// Whether there is something to do for the session as soon as [`Self::unsent`] has gone out.
    pub fn goes_on_when_sent(&self, id: SessionId) -> bool {
        let session = self.state.sessions.get(id);
        session.is_some_and(|session| {
            session.output.has_more_behind() || session.is_above_high_water()
        })
    }

    /// What to do with the connection.
    pub fn intent(&self, id: SessionId) -> Intent {
        let Some(session) = self.state.sessions.get(id) else {
            return Intent::CloseNow;
        };
        match session.closing {
            Closing::Now => Intent::CloseNow,
            Closing::AfterReplies if session.output.outstanding() > 0 => Intent::PauseReading,
            Closing::AfterReplies => Intent::CloseAfterSend,
            Closing::No
                if session.unread_bytes() > QUERY_HIGH_WATER_BYTES && session.is_stalled() =>
            {
                Intent::PauseReading
            }
            Closing::No => Intent::Read,
        }
    }
}
