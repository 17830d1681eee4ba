//! What clients may make the server hold: one alone by what it does not read (`client-output-buffer-high-water`), all
//! together in all ways (`maxmemory-clients`).
//!
//! ```text
//!  a session has changed ─▶ the core's sum ─▶ the sum of all cores ─▶ more than they may hold?
//!                                                                           │
//!        close the oldest of the largest class here  ◀── one is on this core ┤
//!        have its core do so, and run little until then ◀── it is elsewhere ┘
//! ```
//! A core tells the others its sum and its largest class in the course of the turn, whenever a session that holds much has
//! changed: a core alone cannot go beyond by more than one session adds in its part of a turn. An ordinary client, whose
//! replies leave with the turn, costs two tests. A core closes [`CLOSED_AT_ONCE`] at a time, and goes on in its next turn.

use std::sync::atomic::Ordering;

use crate::command::closing::{self, Excess};
use crate::command::{CoreCall, CoreState};
use crate::dispatch::core::Core;
use crate::dispatch::limits::{CLOSED_AT_ONCE, SAY_AGAIN_MS};
use crate::routing::CoreId;
use crate::session::{Closing, Session, SessionId, SizeClass};

/// Has a core look whether it has to close a client.
pub(super) fn look_at_clients(call: &mut CoreCall<'_>) {
    call.core.sessions.memory_mut().note_change();
}

impl CoreState {
    /// Tells the other cores what this one's clients hold.
    fn publish_client_memory(&mut self) {
        let memory = self.sessions.memory();
        let (bytes, largest) = (memory.bytes(), memory.largest());
        let change = bytes.wrapping_sub(self.published_client_bytes);
        self.published_client_bytes = bytes;
        self.shared
            .client_bytes
            .fetch_add(change, Ordering::Relaxed);
        let gauges = self.shared.gauges(self.id);
        gauges
            .largest_client
            .store(largest.0.into(), Ordering::Relaxed);
    }

    /// What the clients of all cores hold, this one's as of now.
    fn bytes_of_clients(&self) -> u64 {
        let change = self
            .sessions
            .memory()
            .bytes()
            .wrapping_sub(self.published_client_bytes);
        let published = self.shared.client_bytes.load(Ordering::Relaxed);
        published.wrapping_add(change)
    }

    /// A core that has a client of the largest class of size, this one if it has, and that class. So a client that has made all hold too much finds
    /// it mended here when its reply comes, and elsewhere by whatever it asks for next.
    fn largest_client(&self) -> (CoreId, SizeClass) {
        let cores = std::iter::once(self.id).chain(self.other_cores());
        let classes = cores.map(|core| {
            let class = self
                .shared
                .gauges(core)
                .largest_client
                .load(Ordering::Relaxed);
            (core, SizeClass(class as u8))
        });
        let first_of_largest =
            classes.reduce(|best, next| if next.1 > best.1 { next } else { best });
        first_of_largest.expect("a server has a core")
    }
}

impl Core {
    /// A session at work, which holds much, has changed.
    #[cold]
    pub(in crate::dispatch::core) fn weigh(&mut self, session: &mut Session) {
        if session.id.is_messenger() {
            return;
        }
        self.count_memory(session);
        self.lease_held();
        self.bound_clients(Some(session));
    }

    /// As [`Self::weigh`], closing nobody.
    pub(in crate::dispatch::core) fn count_memory(&mut self, session: &mut Session) {
        self.note_high_water(session);
        self.state.sessions.memory_mut().count(session);
    }

    /// A session in its place, which holds much, has changed.
    #[cold]
    pub(in crate::dispatch::core) fn weigh_in_place(&mut self, id: SessionId) {
        if let Some(mut session) = self.state.sessions.take_out(id) {
            if session.closing == Closing::Now {
                // An `EXEC` goes on to its end without the client.
                session.output.discard();
            }
            self.give_credits(&mut session);
            self.weigh(&mut session);
            self.state.sessions.put_back(session);
        }
    }

    /// Notes when a session is held back until its client reads: once, until it has read half of what it is owed.
    fn note_high_water(&mut self, session: &mut Session) {
        if session.is_below_half_of_high_water() {
            session.is_noted_held_back = false;
        }
        if !session.is_above_high_water() || session.is_noted_held_back {
            return;
        }
        session.is_noted_held_back = true;
        self.state.stats.held_back_clients += 1;
        let now_ms = self.state.clock.monotonic_ms();
        let said_ms = session.said_held_back_ms;
        if said_ms.is_none_or(|said_ms| now_ms >= said_ms + SAY_AGAIN_MS) {
            session.said_held_back_ms = Some(now_ms);
            closing::say_held_back(session);
        }
    }

    /// Whether clients have let go of so much memory that it is to be given back to the system now.
    #[inline]
    pub fn gives_memory_back(&mut self) -> bool {
        if self.state.is_to_give_back {
            return self.give_all_back();
        }
        let clock = self.state.clock;
        let gives_back = self.client_memory.take_giving_back(|| clock.monotonic_ms());
        if gives_back {
            self.state.sessions.memory_mut().forget_freed();
        }
        gives_back
    }

    /// Lets go of what is kept for reuse; whether this core is the one that has the allocator give back what is free, for all.
    #[cold]
    fn give_all_back(&mut self) -> bool {
        self.state.is_to_give_back = false;
        self.buffers.clear();
        self.state.sessions.give_back_idle();
        self.state.sessions.memory_mut().forget_freed();
        self.state.id == CoreId(0)
    }

    /// Ends a turn: what has become of the clients' memory in it.
    #[inline]
    pub(in crate::dispatch::core) fn end_client_memory(&mut self) {
        if self.state.sessions.memory_mut().take_change() {
            self.bound_clients(None);
            self.bound_owed();
        }
    }

    /// Looks at once whether a batch of another core has had clients hold too much, or has asked for that ([`look_at_clients`]): what comes next is to
    /// find it mended.
    #[inline]
    pub(in crate::dispatch::core) fn bound_clients_behind_batch(&mut self) {
        if self.state.sessions.memory().has_changed()
            && self
                .client_memory
                .is_too_much(self.state.bytes_of_clients())
        {
            self.bound_clients(None);
        }
    }

    /// Closes clients as long as all together hold more than they may: the oldest of the largest class each time, which may
    /// be the session at work.
    fn bound_clients(&mut self, mut at_work: Option<&mut Session>) {
        self.state.publish_client_memory();
        let were_short = self.client_memory.look_anew();
        let mut closed = 0;
        while self
            .client_memory
            .is_too_much(self.state.shared.client_bytes.load(Ordering::Relaxed))
        {
            let (core, class) = self.state.largest_client();
            if class == SizeClass::NONE {
                // Nobody who holds much may be closed (`CLIENT NO-EVICT`).
                return;
            }
            if core != self.state.id {
                return self.ask_to_close(core, were_short);
            }
            if closed == CLOSED_AT_ONCE || !self.close_oldest_of(class, at_work.as_deref_mut()) {
                self.client_memory.put_off();
                return self.state.sessions.memory_mut().note_change();
            }
            closed += 1;
            self.state.publish_client_memory();
        }
    }

    /// Has another core close one of its clients. It may be at a long command, and is not asked again at once.
    fn ask_to_close(&mut self, core: CoreId, were_short: bool) {
        let now_ms = self.state.clock.monotonic_ms();
        if self.client_memory.is_to_ask(were_short, now_ms) {
            self.state.tell(core, look_at_clients, &[]);
        }
        self.state.sessions.memory_mut().note_change();
    }

    /// Closes the oldest client of a class. False: all of them are at work, and this is not the one in hand.
    fn close_oldest_of(&mut self, class: SizeClass, at_work: Option<&mut Session>) -> bool {
        let in_hand = at_work.as_deref().map(|session| session.id);
        let sessions = &self.state.sessions;
        let may_be_closed = |id: &SessionId| Some(*id) == in_hand || sessions.get(*id).is_some();
        let Some(id) = sessions.memory().of_class(class).find(may_be_closed) else {
            return false;
        };
        match self.state.sessions.take_out(id) {
            Some(mut session) => {
                self.close_for_all(&mut session);
                self.state.sessions.put_back(session);
            }
            None => self.close_for_all(at_work.expect("it is the one in hand")),
        }
        true
    }

    pub(super) fn close_for_all(&mut self, session: &mut Session) {
        closing::close(session, Excess::AllClients, &mut self.state.stats);
        // The connection is closed when the turn ends. Until then others are not to be closed for what this one held.
        session.discard_buffers();
        self.state.sessions.memory_mut().count_now(session);
        // Or what all may hold would be held by the allocators of all cores in turn.
        let freed_bytes = self.state.sessions.memory().freed_bytes();
        self.client_memory.note_closed(freed_bytes);
        self.state.dirty.push(session.id);
    }
}
